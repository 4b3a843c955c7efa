//! The API over HTTP: who may ask what, and in which form it is answered. What is decided is `orders`' business; what is
//! shown comes from the view of a moment ago and waits for nothing.

mod body;
mod documents;
mod health;
mod invitations;
mod problem;
mod users;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bowline_base::{Secret, wire::Wire};
use bowline_host::{Peer, ServerLimits, Tasks, server};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tower_service::Service as _;

use self::problem::Problem;
use super::{
    KeyHash, User,
    clerk::Ask,
    client_conf::Facts,
    orders::{Done, Order, Refusal},
    view::{Board, Denied, View},
};

/// What the handlers share.
pub(crate) struct Api {
    pub(crate) board: Board,
    pub(crate) orders: mpsc::Sender<Ask>,
    pub(crate) master: KeyHash,
    pub(crate) facts: Facts,
    pub(crate) wire: Arc<dyn Wire>,
    /// `https://…` as an invitation's link begins; without it the address that was asked.
    pub(crate) public_url: Option<String>,
}

type Shared = State<Arc<Api>>;

/// Where a request comes from, and the key that it brings.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) address: IpAddr,
    key: Option<Secret>,
    /// `https://vpn.example.net:8000`, as the request names us.
    pub(crate) base: String,
}

/// A request is answered within this time, whatever the store does.
const PATIENCE: Duration = Duration::from_secs(30);
const LIMITS: ServerLimits = ServerLimits {
    head: Duration::from_secs(10),
    connections: 256,
    head_bytes: 16 * 1024,
    stall: Duration::from_secs(30),
};

/// Serves the API on `listener` inside `tasks`.
pub(crate) fn serve(tasks: &Tasks, listener: Arc<bowline_host::Listener>, api: Arc<Api>) {
    let router = router(Arc::clone(&api));
    server::serve(tasks, "vpn-api", listener, LIMITS, move |peer, request| {
        let router = router.clone();
        async move { answer(router, &peer, request.map(Body::new)).await }
    });
}

/// Every path, and nothing else. `openapi.json` names the same ones; a test compares.
fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", get(documents::page))
        .route("/app.css", get(documents::style))
        .route("/app.js", get(documents::script))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/docs", get(documents::reference))
        .route("/openapi.json", get(documents::openapi))
        .route("/health", get(health::health))
        .route("/events", get(health::events))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show).patch(users::change).delete(users::remove))
        .route("/users/{id}/config", get(users::config))
        .route("/users/{id}/qr.svg", get(users::qr_svg))
        .route("/users/{id}/qr.txt", get(users::qr_text))
        .route("/users/{id}/disable", post(users::disable))
        .route("/users/{id}/enable", post(users::enable))
        .route("/users/{id}/rotate", post(users::rotate))
        .route("/invitations", get(invitations::list).post(invitations::create))
        .route("/invitations/{id}", axum::routing::delete(invitations::remove))
        .route("/join/{key}", get(invitations::door).post(invitations::accept))
        .fallback(|| async { Problem::missing("there is nothing at this path").hint("see /docs") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path knows other methods").hint("see /docs")
        })
        .with_state(api)
}

/// What a good key of a user's is told that asks for everybody's.
pub(crate) const ADMINISTRATORS: &str = "this is the administrator's";

/// Keys do not travel in the clear: over plain HTTP only this machine is heard, and everybody's question for health.
async fn answer(mut router: Router, peer: &Peer, mut request: Request<Body>) -> Response {
    let (address, sealed) = match peer {
        Peer::Tls(address) => (address.ip().to_canonical(), true),
        Peer::Tcp(address) => (address.ip().to_canonical(), false),
        Peer::Unix { .. } => (IpAddr::from([127, 0, 0, 1]), true),
    };
    let in_the_clear = !sealed && !address.is_loopback() && request.uri().path() != "/health";
    let readable = percent_decode_str(request.uri().path()).decode_utf8().is_ok();
    let response = if !readable {
        Problem::missing("there is nothing at this path").into_response()
    } else if in_the_clear {
        let problem =
            Problem::forbidden("keys do not travel in the clear").hint("use https:// and pin the certificate");
        problem.into_response()
    } else {
        let asker = Asker { address, key: bearer(request.headers()), base: base(request.headers(), sealed) };
        request.extensions_mut().insert(asker);
        match tokio::time::timeout(PATIENCE, router.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this takes too long").into_response(),
        }
    };
    sealed_off(response)
}

/// Nothing is kept by caches, framed by others, or fetched from elsewhere; no script but our own file runs.
fn sealed_off(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Api {
    /// The administrator, and nobody else.
    pub(crate) fn master(&self, asker: &Asker) -> Result<(), Problem> {
        match self.who(asker)? {
            Who::Master => Ok(()),
            Who::User(_) => Err(Problem::forbidden(ADMINISTRATORS).hint("use the master key")),
        }
    }

    /// The record of `id`, for the administrator and for itself. To others it is the same whether it is there or not.
    pub(crate) fn own(&self, asker: &Asker, id: &str) -> Result<(Arc<View>, Arc<User>), Problem> {
        let who = self.who(asker)?;
        let view = self.board.view();
        let user = id.parse().ok().and_then(|id| view.directory.user(&id).cloned());
        match (who, user) {
            (Who::Master, Some(user)) => Ok((view, user)),
            (Who::User(me), Some(user)) if me.id == user.id => Ok((view, user)),
            (Who::Master, None) => Err(Problem::missing("there is no such user")),
            (Who::User(_), _) => Err(Problem::forbidden("a user's key opens its own record only")),
        }
    }

    /// Gives an order to the clerk and waits for what comes of it.
    pub(crate) async fn order(&self, asker: &Asker, order: Order) -> Result<Done, Problem> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask { order, source: Some(asker.address), answer };
        let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many changes at once; try again");
        self.orders.try_send(ask).map_err(|_| busy().retry_after(Duration::from_secs(1)))?;
        answered.await.map_err(|_| busy())?.map_err(|refusal: Refusal| refusal.into())
    }

    fn who(&self, asker: &Asker) -> Result<Who, Problem> {
        let Some(key) = &asker.key else { return Err(Problem::unauthorized("a key is needed here")) };
        if self.master.matches(&KeyHash::of(key)) {
            return Ok(Who::Master);
        }
        match self.board.admit(key, self.wire.now().wall) {
            Ok(user) => Ok(Who::User(user)),
            Err(Denied::Disabled) => Err(Problem::forbidden("this user is disabled")),
            Err(Denied::Expired) => Err(Problem::unauthorized("this user has expired")),
            Err(Denied::Unknown) => Err(self.bad_login(asker.address, "this key opens nothing")),
        }
    }

    /// A wrong key: counted, told now and then, and slowed down.
    pub(crate) fn bad_login(&self, address: IpAddr, detail: &str) -> Problem {
        match self.board.wrong_key(address, self.wire.now()) {
            None => Problem::unauthorized(detail),
            Some(wait) => {
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong keys from this address");
                problem.retry_after(wait)
            }
        }
    }
}

/// Whose key it is.
enum Who {
    Master,
    User(Arc<User>),
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim())).filter(|key| !key.is_blank())
}

fn base(headers: &HeaderMap, sealed: bool) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let plain: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(*c)).collect();
    format!("{}://{plain}", if sealed { "https" } else { "http" })
}

pub(crate) fn json_answer(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, kind, value.to_string() + "\n").into_response()
}
