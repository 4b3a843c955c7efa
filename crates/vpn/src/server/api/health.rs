//! `/health`, open to everybody and silent about users, and `/events`, the administrator's.

use axum::{Extension, extract::State, response::Response};
use http::{StatusCode, Uri};
use serde_json::json;

use super::{Asker, Shared, json_answer, problem::Problem};

/// `GET /health`: 200 while users get through, 503 when the tunnel has stopped. A store that is away does not end tunnels.
pub(super) async fn health(State(api): Shared) -> Response {
    let view = api.board.view();
    let tunnel = view.tunnel_away.is_none();
    let store = view.store_away.is_none();
    let word = |good: bool| if good { "ok" } else { "away" };
    let status = match (tunnel, store) {
        (false, _) => "failed",
        (true, false) => "degraded",
        (true, true) => "ok",
    };
    let code = if tunnel { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let no_ping = view.stats.ping.as_ref().map(|why| format!("ping does not work through the tunnel: {why}"));
    let mut notes: Vec<String> = no_ping.into_iter().collect();
    let unreadable = view.directory.troubles().len();
    if unreadable > 0 {
        notes.push(format!("{unreadable} records in the store cannot be read"));
    }
    let shown = json!({
        "status": status, "tunnel": word(tunnel), "store": word(store), "notes": notes,
        "version": env!("CARGO_PKG_VERSION"),
    });
    json_answer(code, &shown)
}

/// `GET /events?after=N`
pub(super) async fn events(State(api): Shared, asker: Extension<Asker>, uri: Uri) -> Result<Response, Problem> {
    api.master(&asker)?;
    let after = uri.query().and_then(|query| query.split('&').find_map(|part| part.strip_prefix("after=")));
    let after = match after.map(str::parse) {
        None => 0,
        Some(Ok(number)) => number,
        Some(Err(_)) => return Err(Problem::unusable("`after` is no number")),
    };
    Ok(json_answer(StatusCode::OK, &api.board.events(after).into()))
}
