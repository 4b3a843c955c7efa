//! Invitations: a link that makes one user, once. Looking at the link uses nothing up: programs that fetch links to show a
//! preview do no harm. The page behind it needs no script.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bowline_base::{Secret, utc};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{
    Api, Asker, Shared, body,
    documents::{escape, html},
    json_answer,
    problem::Problem,
    users,
};
use crate::server::{
    User, client_conf,
    invitation::Invitation,
    orders::{Done, Order},
    qr,
};

/// Open for so long where nothing else is asked.
const USUAL: u64 = 24 * 3600;

/// `GET /invitations`
pub(super) async fn list(State(api): Shared, asker: Extension<Asker>) -> Result<Response, Problem> {
    api.master(&asker)?;
    let view = api.board.view();
    let open = view.directory.invitations(api.wire.now().wall).map(|(_, one)| shown(one));
    Ok(json_answer(StatusCode::OK, &Value::Array(open.collect())))
}

/// `POST /invitations`
pub(super) async fn create(State(api): Shared, asker: Extension<Asker>, content: Body) -> Result<Response, Problem> {
    api.master(&asker)?;
    let mut object = body::object(content).await?;
    let (id, mut wanted) = (object.client_id()?, object.wanted()?);
    let seconds = object.change("valid_seconds", seconds)?.flatten().unwrap_or(USUAL);
    object.finish()?;
    if wanted.public_key.take().is_some() {
        return Err(Problem::unusable("`public_key` is brought by whoever accepts the invitation"));
    }
    match api.order(&asker, Order::Invite(id, wanted, Duration::from_secs(seconds))).await? {
        Done::Invited(invitation, key) => {
            let mut answer = shown(&invitation);
            let base = api.public_url.as_deref().unwrap_or(&asker.base).trim_end_matches('/').to_owned();
            answer["url"] = format!("{base}/join/{}", key.expose()).into();
            Ok(json_answer(StatusCode::CREATED, &answer))
        }
        _ => Err(users::strange()),
    }
}

/// `DELETE /invitations/{id}`
pub(super) async fn remove(State(api): Shared, asker: Extension<Asker>, id: Path<String>) -> Result<Response, Problem> {
    api.master(&asker)?;
    let id = id.parse().map_err(|_| Problem::missing("there is no such invitation"))?;
    api.order(&asker, Order::Uninvite(id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /join/{key}`: one button.
pub(super) async fn door(State(api): Shared, asker: Extension<Asker>, key: Path<String>) -> Result<Response, Problem> {
    let key = Secret::new(key.0);
    let hash = crate::server::KeyHash::of(&key);
    let view = api.board.view();
    let found = view.directory.invitations(api.wire.now().wall).find(|(_, one)| one.key.matches(&hash));
    let Some((_, invitation)) = found else { return Ok(closed(&api, &asker)) };
    let page = format!(
        "<h1>You are invited</h1><p>This link sets up the VPN for <strong>{}</strong> once, until {}. Open it on the \
         device that is to use the VPN.</p><form method=\"post\"><button>Set up</button></form>",
        escape(invitation.id.as_str()),
        utc(invitation.expires_at)
    );
    Ok(html(StatusCode::OK, "Invitation", &page))
}

/// `POST /join/{key}`: JSON for programs, a page for browsers.
pub(super) async fn accept(
    State(api): Shared,
    asker: Extension<Asker>,
    key: Path<String>,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Problem> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let from_a_page = header(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
    let own = if from_a_page {
        body::bytes(content).await?;
        None
    } else {
        let mut object = body::object(content).await?;
        let own = object.public_key()?;
        object.finish()?;
        own
    };
    match api.order(&asker, Order::Accept(Secret::new(key.0), own)).await {
        Ok(Done::Keyed(user, key)) if from_a_page => Ok(welcome(&api, &user, &key)),
        Ok(Done::Keyed(user, key)) => Ok(json_answer(StatusCode::CREATED, &handed_out(&api, &user, &key))),
        Ok(_) => Err(users::strange()),
        Err(problem) if from_a_page => Ok(refused(problem)),
        Err(problem) => Err(problem),
    }
}

fn handed_out(api: &Api, user: &User, key: &Secret) -> Value {
    json!({
        "api_key": key.expose(), "client_id": user.id.as_str(), "created_at": utc(user.created_at),
        "status": "active", "config": client_conf::conf(&api.facts, user).expose(),
    })
}

fn welcome(api: &Api, user: &User, key: &Secret) -> Response {
    let conf = client_conf::conf(&api.facts, user);
    let image = qr::svg(&conf).unwrap_or_default();
    let image = image.split_once("?>").map_or(image.as_str(), |(_, drawing)| drawing);
    let page = format!(
        "<h1>Welcome, {}</h1><p>Scan this with the WireGuard app, or save the text below as a file and import it. \
         It is shown once.</p><div class=\"qr\">{image}</div><label for=\"conf\">Configuration</label>\
         <textarea id=\"conf\" readonly rows=\"12\">{}</textarea><label for=\"key\">Your API key</label>\
         <input id=\"key\" readonly value=\"{}\">",
        escape(user.id.as_str()),
        escape(conf.expose()),
        escape(key.expose())
    );
    html(StatusCode::CREATED, "Welcome", &page)
}

/// Guessing links is like guessing keys.
fn closed(api: &Api, asker: &Asker) -> Response {
    let detail = "this invitation is used, expired or unknown";
    let status = api.bad_login(asker.address, detail).into_response().status();
    let status = if status == StatusCode::UNAUTHORIZED { StatusCode::GONE } else { status };
    html(
        status,
        "Invitation",
        "<h1>This link is over</h1><p>It was used, has expired, or never was. Ask for another one.</p>",
    )
}

fn refused(problem: Problem) -> Response {
    let status = problem.into_response().status();
    html(
        status,
        "Invitation",
        "<h1>It did not work</h1><p>The link was used or has expired, or the server cannot make a user just now. Try once more, or ask for another link.</p>",
    )
}

fn shown(invitation: &Invitation) -> Value {
    json!({
        "client_id": invitation.id.as_str(), "created_at": utc(invitation.created_at),
        "expires_at": utc(invitation.expires_at), "user_expires_at": invitation.user_expires_at.map(utc),
        "quota_bytes": invitation.limits.quota,
    })
}

fn seconds(value: &Value) -> Result<u64, &'static str> {
    value.as_u64().filter(|seconds| *seconds > 0).ok_or("whole number of seconds, from 1")
}
