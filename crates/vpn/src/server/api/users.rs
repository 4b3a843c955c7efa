//! `/users`: the shapes of the predecessor, and what came after it.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bowline_base::utc;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::{Api, Asker, Shared, body, json_answer, problem::Problem};
use crate::server::{
    ClientId, User, client_conf,
    orders::{Change, Done, Order},
    qr, view,
    view::View,
};

/// `GET /users`
pub(super) async fn list(State(api): Shared, asker: Extension<Asker>, uri: Uri) -> Result<Response, Problem> {
    api.master(&asker)?;
    let view = api.board.view();
    let detail = uri.query().is_some_and(|query| {
        query.split('&').any(|part| part.split('=').next() == Some("detail") && !part.ends_with("=false"))
    });
    let shown: Vec<Value> = match detail {
        true => view.directory.users().map(|user| record(&api, &view, user)).collect(),
        false => view.directory.users().map(|user| user.id.as_str().into()).collect(),
    };
    Ok(json_answer(StatusCode::OK, &shown.into()))
}

/// `POST /users`
pub(super) async fn create(State(api): Shared, asker: Extension<Asker>, content: Body) -> Result<Response, Problem> {
    api.master(&asker)?;
    let mut object = body::object(content).await?;
    let (id, wanted) = (object.client_id()?, object.wanted()?);
    object.finish()?;
    let done = api.order(&asker, Order::Create(id, wanted)).await?;
    keyed(&api, StatusCode::CREATED, done)
}

/// `GET /users/{id}`
pub(super) async fn show(State(api): Shared, asker: Extension<Asker>, id: Path<String>) -> Result<Response, Problem> {
    let (view, user) = api.own(&asker, &id)?;
    Ok(json_answer(StatusCode::OK, &record(&api, &view, &user)))
}

/// `DELETE /users/{id}`
pub(super) async fn remove(State(api): Shared, asker: Extension<Asker>, id: Path<String>) -> Result<Response, Problem> {
    api.master(&asker)?;
    api.order(&asker, Order::Delete(known(&id)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH /users/{id}`
pub(super) async fn change(
    State(api): Shared,
    asker: Extension<Asker>,
    id: Path<String>,
    content: Body,
) -> Result<Response, Problem> {
    api.master(&asker)?;
    let id = known(&id)?;
    let mut object = body::object(content).await?;
    let change = Change {
        expires_at: object.change("expires_at", body::time)?,
        quota: object.change("quota_bytes", body::number)?,
        download: object.change("download_bytes_per_second", body::rate)?,
        upload: object.change("upload_bytes_per_second", body::rate)?,
        reset_usage: object.flag("reset_usage")?,
    };
    object.finish()?;
    changed(&api, api.order(&asker, Order::Change(id, change)).await?)
}

/// `POST /users/{id}/disable`
pub(super) async fn disable(
    State(api): Shared,
    asker: Extension<Asker>,
    id: Path<String>,
) -> Result<Response, Problem> {
    turn(&api, &asker, &id, true).await
}

/// `POST /users/{id}/enable`
pub(super) async fn enable(State(api): Shared, asker: Extension<Asker>, id: Path<String>) -> Result<Response, Problem> {
    turn(&api, &asker, &id, false).await
}

/// `POST /users/{id}/rotate`
pub(super) async fn rotate(
    State(api): Shared,
    asker: Extension<Asker>,
    id: Path<String>,
    content: Body,
) -> Result<Response, Problem> {
    let (_, user) = api.own(&asker, &id)?;
    let mut object = body::object(content).await?;
    let own = object.public_key()?;
    object.finish()?;
    let done = api.order(&asker, Order::Rotate(user.id.clone(), own)).await?;
    keyed(&api, StatusCode::OK, done)
}

/// `GET /users/{id}/config`
pub(super) async fn config(State(api): Shared, asker: Extension<Asker>, id: Path<String>) -> Result<Response, Problem> {
    let (_, user) = api.own(&asker, &id)?;
    let conf = client_conf::conf(&api.facts, &user);
    let mut response = typed("text/plain; charset=utf-8", conf.expose().to_owned());
    let disposition = format!("attachment; filename=\"{}.conf\"", user.id);
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// `GET /users/{id}/qr.svg`
pub(super) async fn qr_svg(State(api): Shared, asker: Extension<Asker>, id: Path<String>) -> Result<Response, Problem> {
    let (_, user) = api.own(&asker, &id)?;
    let image = qr::svg(&client_conf::conf(&api.facts, &user)).ok_or_else(too_long)?;
    Ok(typed("image/svg+xml", image))
}

/// `GET /users/{id}/qr.txt`
pub(super) async fn qr_text(
    State(api): Shared,
    asker: Extension<Asker>,
    id: Path<String>,
) -> Result<Response, Problem> {
    let (_, user) = api.own(&asker, &id)?;
    let image = qr::terminal(&client_conf::conf(&api.facts, &user)).ok_or_else(too_long)?;
    Ok(typed("text/plain; charset=utf-8", image))
}

async fn turn(api: &Api, asker: &Asker, id: &str, disabled: bool) -> Result<Response, Problem> {
    api.master(asker)?;
    changed(api, api.order(asker, Order::Disable(known(id)?, disabled)).await?)
}

fn changed(api: &Api, done: Done) -> Result<Response, Problem> {
    let Done::User(user) = done else { return Err(strange()) };
    Ok(json_answer(StatusCode::OK, &record(api, &api.board.view(), &user)))
}

/// The predecessor's four fields: the key is in this answer and in no other.
fn keyed(api: &Api, status: StatusCode, done: Done) -> Result<Response, Problem> {
    let Done::Keyed(user, key) = done else { return Err(strange()) };
    let view = api.board.view();
    let shown = json!({
        "api_key": key.expose(), "client_id": user.id.as_str(), "created_at": utc(user.created_at),
        "status": status_of(&view, &user),
    });
    let mut response = json_answer(status, &shown);
    if let Ok(place) = HeaderValue::from_str(&format!("/users/{}", user.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// What is shown of a user; no key of any kind but the public one.
pub(super) fn record(api: &Api, view: &View, user: &User) -> Value {
    let (peer, used) = (view.peer(user), view.usage(&user.id));
    json!({
        "client_id": user.id.as_str(), "created_at": utc(user.created_at), "status": status_of(view, user),
        "reason": view.idle.get(&user.id).map(|idle| idle.why()),
        "address": user.wireguard.address.to_string(), "public_key": user.wireguard.public_key.to_string(),
        "own_key": user.wireguard.private_key.is_none(),
        "expires_at": user.expires_at.map(utc), "quota_bytes": user.limits.quota,
        "download_bytes_per_second": user.limits.download, "upload_bytes_per_second": user.limits.upload,
        "received_bytes": used.received, "sent_bytes": used.sent,
        "connected": view.connected.contains(&user.id),
        "last_handshake": peer.and_then(|peer| peer.last_handshake).map(utc),
        "source": peer.and_then(view::source).map(|address| address.to_string()),
        "proxy": api.board.proxy(),
        "former_server_key": peer.is_some_and(|peer| peer.former_key),
    })
}

fn status_of(view: &View, user: &User) -> &'static str {
    let idle = user.disabled || view.idle.contains_key(&user.id);
    if idle { "inactive" } else { "active" }
}

pub(super) fn known(text: &str) -> Result<ClientId, Problem> {
    text.parse().map_err(|_| Problem::missing("there is no such user"))
}

pub(super) fn typed(kind: &'static str, body: String) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    (headers, body).into_response()
}

fn too_long() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this configuration does not fit into a QR code")
}

pub(super) fn strange() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is of another kind; this is a bug")
}
