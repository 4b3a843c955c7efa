//! In front of the proxy: which addresses may be served, TLS on them, and the guard's word to a request.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bowline_base::{Fault, Kind};
use bowline_host::{Address, Ctx, Listener, Peer, ServerLimits, process, tls_server::ServerTls};
use http::{
    Request, Response, StatusCode,
    header::{self, HeaderValue},
};
use serde_json::json;
use tracing::warn;

use crate::{
    access::{Access, Guard, Welcome},
    answer,
    body::Payload,
    config::Tls,
    proxy::Proxy,
};

/// Connections at one time. A build farm keeps many open; each that is idle costs about 12 KiB.
const MOST_CONNECTIONS: usize = 16 * 1024;

/// What clients may cost. A quarter of the files that this process may open is for copies and for the way to upstreams.
pub(crate) fn limits() -> ServerLimits {
    let connections = (process::file_limit() / 4 * 3).clamp(64, MOST_CONNECTIONS);
    let (head, stall) = (Duration::from_secs(10), Duration::from_secs(60));
    ServerLimits { head, connections, head_bytes: 64 * 1024, stall }
}

/// Whether `access` says who may come in through `address`.
pub(crate) fn may_serve(address: &Address, access: &Access) -> Result<(), Fault> {
    match address {
        Address::Tcp(tcp) if *access == Access::Local && !tcp.ip().to_canonical().is_loopback() => {
            let message = format!("`{tcp}` can be reached from other machines, and nothing says who may read");
            Err(Fault::new(Kind::Config, "artifacts", message).hint(
                "set `access = { tokens = [{ name = \"ci\", file = \"…\" }] }` in [artifacts], or `access = \"open\"` (flags: --token-file FILE, --open), or listen on 127.0.0.1",
            ))
        }
        Address::Tcp(_) | Address::Unix(_) => Ok(()),
    }
}

/// The certificate, read and watched.
pub(crate) fn tls(ctx: &Ctx, tls: Option<&Tls>) -> Result<Option<Arc<ServerTls>>, Fault> {
    let Some(tls) = tls else { return Ok(None) };
    let loaded = ServerTls::load(&tls.certificate, &tls.private_key)?;
    loaded.watch(&ctx.tasks);
    Ok(Some(loaded))
}

/// `listener` with TLS before it, where there is a certificate. A Unix socket needs none.
pub(crate) fn behind(listener: Arc<Listener>, tls: Option<&Arc<ServerTls>>) -> Arc<Listener> {
    match tls {
        Some(tls) if listener.local_addr().is_some() => Arc::new(Listener::Tls(listener, Arc::clone(tls))),
        _ => listener,
    }
}

/// What the guard answers instead of the proxy. Probes may ask how we are without a key, and learn a word.
pub(crate) fn refusal<B>(guard: &Guard, peer: &Peer, request: &Request<B>, proxy: &Proxy) -> Option<Response<Payload>> {
    let from = match peer {
        Peer::Tcp(address) | Peer::Tls(address) => address.ip(),
        Peer::Unix { .. } => return None,
    };
    let header = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    match guard.welcome(header, from, proxy.clock.now().boot) {
        Welcome::Come => None,
        _ if request.uri().path() == "/healthz" && header.is_none() => Some(plain_health(proxy)),
        Welcome::NeedsKey => Some(needs_key(header.is_some(), from)),
        Welcome::TooManyGuesses(left) => {
            let mut response = answer::refusal(429, "guesses", "too many wrong keys came from this address");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
            Some(response)
        }
    }
}

fn plain_health(proxy: &Proxy) -> Response<Payload> {
    let status = proxy.health_answer().status();
    let word = if status == StatusCode::OK { "ok" } else { "failed" };
    answer::made(status, "application/json", format!("{}\n", json!({ "status": word })))
}

fn needs_key(wrong: bool, from: IpAddr) -> Response<Payload> {
    if wrong && from != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        warn!(%from, "a wrong key came");
    }
    let mut response = answer::refusal(401, "key", "this repository asks for a token or a password");
    for challenge in ["Basic realm=\"bowline\", charset=\"UTF-8\"", "Bearer realm=\"bowline\""] {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_needs_a_word_about_who_may_read() {
        let at = |text: &str, access: &Access| may_serve(&Address::Tcp(text.parse().unwrap()), access).is_ok();
        for open in ["127.0.0.1:9000", "[::1]:9000", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"] {
            assert!(at(open, &Access::Local), "{open}");
        }
        for others in ["0.0.0.0:9000", "[::]:9000", "192.168.1.5:9000"] {
            assert!(!at(others, &Access::Local), "{others}");
            assert!(at(others, &Access::Open) && at(others, &Access::Keys(Vec::new())), "{others}");
        }
        assert!(may_serve(&Address::Unix("/x".into()), &Access::Local).is_ok());
    }
}
