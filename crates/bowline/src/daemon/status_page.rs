//! `/livez`, `/readyz`, `/metrics`, `/status.json` and a page for people (`page/`), on the daemon's own address.
//!
//! Read-only, without secrets. Only requests for a loopback name or the bound address are answered, so that a web
//! page cannot read it through a rebound DNS name. The page runs no script but its own file, which asks `/status.json`.

use std::{net::SocketAddr, sync::Arc};

use bowline_host::{Check, Listener, ServerLimits, Tasks, Verdict, clock, exposition::Exposition, server};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::board::{Board, overall};
use crate::health::SERVES;

/// Nothing comes from elsewhere, nothing is framed, and no script runs but the page's own file.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Serves `board` on `listener` until shutdown.
pub(crate) fn serve(tasks: &Tasks, listener: Arc<Listener>, board: Board) {
    let own = listener.local_addr();
    server::serve(tasks, "status page", listener, ServerLimits::default(), move |_peer, request| {
        let reply = answer(&board, own, &request);
        async move { reply }
    });
}

fn answer<B>(board: &Board, own: Option<SocketAddr>, request: &Request<B>) -> Response<Full<Bytes>> {
    if !names_us(request, own) {
        return plain(StatusCode::FORBIDDEN, "this address is for this machine only\n".to_owned());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" | "/healthz" => readiness(&board.checks()),
        SERVES => readiness(&of_serving(board.checks())),
        "/metrics" => {
            let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            let form = Exposition::accepted(accept);
            typed(StatusCode::OK, form.media_type(), form.of(board.metrics()))
        }
        "/status.json" => typed(StatusCode::OK, "application/json", format!("{:#}\n", board.status(clock::now()))),
        "/troubles.json" => typed(StatusCode::OK, "application/json", format!("{:#}\n", board.troubles())),
        path => match page(path) {
            Some((kind, text)) => typed(StatusCode::OK, kind, text.to_owned()),
            None => plain(StatusCode::NOT_FOUND, "try /, /livez, /readyz, /metrics or /status.json\n".to_owned()),
        },
    }
}

/// Without those of credentials.
fn of_serving(mut checks: Vec<Check>) -> Vec<Check> {
    checks.retain(|check| !check.id.starts_with("credentials."));
    checks
}

/// 200 while everything is served, from what is left if need be; 503 when something is not.
fn readiness(checks: &[Check]) -> Response<Full<Bytes>> {
    let verdict = overall(checks);
    let status = if verdict == Verdict::Failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = serde_json::json!({ "status": verdict, "checks": checks });
    typed(status, "application/json", format!("{body:#}\n"))
}

/// A file of the page, with its type.
fn page(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/" => Some(("text/html; charset=utf-8", include_str!("page/index.html"))),
        "/page.css" => Some(("text/css; charset=utf-8", include_str!("page/page.css"))),
        "/page.js" => Some(("text/javascript; charset=utf-8", include_str!("page/page.js"))),
        "/icon.svg" | "/favicon.ico" => Some(("image/svg+xml", include_str!("page/icon.svg"))),
        _ => None,
    }
}

fn names_us<B>(request: &Request<B>, own: Option<SocketAddr>) -> bool {
    let Some(host) = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()) else { return true };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let name = name.trim_matches(['[', ']']);
    let address = name.parse::<std::net::IpAddr>().ok();
    let bound = own.map(|own| own.ip());
    name == "localhost"
        || address.is_some_and(|ip| ip.is_loopback() || Some(ip) == bound || bound.is_some_and(|b| b.is_unspecified()))
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text)
}

fn typed(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(path: &str, host: &str) -> StatusCode {
        let request = Request::builder().uri(path).header("host", host).body(()).unwrap();
        answer(&Board::default(), Some(([127, 0, 0, 1], 9910).into()), &request).status()
    }

    #[test]
    fn answers_to_its_own_names_only() {
        assert_eq!(status_of("/livez", "localhost:9910"), StatusCode::OK);
        assert_eq!(status_of("/readyz", "[::1]:9910"), StatusCode::OK);
        assert_eq!(status_of("/metrics", "evil.example:9910"), StatusCode::FORBIDDEN);
        assert_eq!(status_of("/nothing", "127.0.0.1:9910"), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_page_is_files_of_its_own_and_no_script_stands_in_it() {
        for path in ["/", "/page.css", "/page.js", "/icon.svg"] {
            let request = Request::builder().uri(path).header("host", "localhost").body(()).unwrap();
            let answer = answer(&Board::default(), None, &request);
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        }
        let (_, html) = page("/").unwrap();
        assert!(["<style", " style=", " onclick", " onload"].iter().all(|inline| !html.contains(inline)), "{html}");
        assert!(html.matches("<script").count() == 1 && html.contains("<script src=\"page.js\" defer></script>"));
        let (_, script) = page("/page.js").unwrap();
        assert!(!script.contains("innerHTML"), "what others say must not become markup");
        // Every place that the script fills is there.
        let named = script.split("at(\"").skip(1).chain(script.split("show(\"").skip(1));
        for id in named.filter_map(|rest| rest.split('"').next()) {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn a_failed_check_makes_it_unready_and_a_degraded_one_does_not() {
        let check = |verdict| Check { id: "x".to_owned(), verdict, why: "w".to_owned(), fix: None };
        assert_eq!(readiness(&[check(Verdict::Degraded)]).status(), StatusCode::OK);
        assert_eq!(readiness(&[check(Verdict::Ok), check(Verdict::Failed)]).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
