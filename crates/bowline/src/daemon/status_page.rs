//! `/livez`, `/readyz`, `/metrics`, `/status.json` and a page for people, on the daemon's own address.
//!
//! Read-only, without secrets. Only requests for a loopback name or the bound address are answered, so that a web
//! page cannot read it through a rebound DNS name.

use std::{net::SocketAddr, sync::Arc};

use bowline_host::{Check, Listener, ServerLimits, Tasks, Verdict, exposition::Exposition, server};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::board::{Board, overall};

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
        "/metrics" => {
            let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            let form = Exposition::accepted(accept);
            typed(StatusCode::OK, form.media_type(), form.of(board.metrics()))
        }
        "/status.json" => typed(StatusCode::OK, "application/json", format!("{:#}\n", board.status())),
        "/" => typed(StatusCode::OK, "text/html; charset=utf-8", page(&board.checks())),
        _ => plain(StatusCode::NOT_FOUND, "try /, /livez, /readyz, /metrics or /status.json\n".to_owned()),
    }
}

/// 200 while everything is served, from what is left if need be; 503 when something is not.
fn readiness(checks: &[Check]) -> Response<Full<Bytes>> {
    let verdict = overall(checks);
    let status = if verdict == Verdict::Failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = serde_json::json!({ "status": verdict, "checks": checks });
    typed(status, "application/json", format!("{body:#}\n"))
}

fn page(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let fix = check.fix.as_deref().map(|fix| format!("<br><code>{}</code>", escape(fix))).unwrap_or_default();
        format!("<tr><td>{}<td>{:?}<td>{}{fix}", escape(&check.id), check.verdict, escape(&check.why))
    };
    let rows: String = checks.iter().map(row).collect();
    format!(
        "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=5><title>Bowline</title>\
         <h1>Bowline: {:?}</h1><table border=1 cellpadding=6><tr><th>what<th>verdict<th>why{rows}</table>\
         <p><a href=/status.json>status.json</a> · <a href=/metrics>metrics</a> · <a href=/readyz>readyz</a>\n",
        overall(checks)
    )
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text)
}

fn typed(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
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
    fn a_failed_check_makes_it_unready_and_a_degraded_one_does_not() {
        let check = |verdict| Check { id: "x".to_owned(), verdict, why: "w".to_owned(), fix: None };
        assert_eq!(readiness(&[check(Verdict::Degraded)]).status(), StatusCode::OK);
        assert_eq!(readiness(&[check(Verdict::Ok), check(Verdict::Failed)]).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
