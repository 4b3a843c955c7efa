//! The HTTP client: pooled HTTP/1.1 over TLS or, on loopback, plain; limits on every wait; proxies by the usual rules.
//!
//! It sends one request once. Retries, redirects and signatures belong to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bowline_base::{
    BoxFuture, Fault, Now, Secret, url,
    wire::{Body, Limits, Wire, WireError},
};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};

type Direct = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
type Tunnelled = Client<HttpsConnector<Tunnel<HttpConnector>>, Full<Bytes>>;

/// What the environment says about the way out, read by the caller.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// `HTTPS_PROXY`: https requests go through it by CONNECT. Loopback never does.
    pub https_proxy: Option<String>,
    /// `NO_PROXY`: hosts that are reached directly.
    pub no_proxy: Option<String>,
    /// `AWS_CA_BUNDLE`, else `SSL_CERT_FILE`.
    pub ca_bundle: Option<std::path::PathBuf>,
    /// No certificate of a server is checked: only for users who say so themselves.
    pub unverified: bool,
    /// The one certificate that servers may show; then no authority is asked.
    pub pin: Option<crate::tls::Pin>,
}

/// A proxy on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is told as `Proxy-Authorization`.
    pub authorization: Option<Secret>,
}

impl Outside {
    /// The proxy that a connection to `host` goes through, by the rules that https requests go by; `None` is straight.
    #[must_use]
    pub fn proxy_for(&self, host: &str, port: u16) -> Option<Onward> {
        let no = self.no_proxy.clone().unwrap_or_default();
        let matcher = Matcher::builder().https(self.https_proxy.as_deref()?).no(no).build();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let to: Uri = format!("https://{host}:{port}").parse().ok()?;
        let found = matcher.intercept(&to).filter(|_| goes_through(&matcher, &to))?;
        let proxy = found.uri();
        let usual = if proxy.scheme_str() == Some("https") { 443 } else { 80 };
        let told = found.basic_auth().and_then(|value| value.to_str().ok());
        Some(Onward {
            host: proxy.host()?.trim_matches(['[', ']']).to_owned(),
            port: proxy.port_u16().unwrap_or(usual),
            authorization: told.map(Secret::new),
        })
    }
}

/// The real [`Wire`]: sockets, TLS, the machine's clocks and its random numbers.
#[derive(Debug)]
pub struct HttpWire {
    direct: Direct,
    tunnelled: Option<(Matcher, Tunnelled)>,
}

impl HttpWire {
    /// A client for the way out that `outside` describes. Needs a tokio runtime when it is used, not before.
    ///
    /// # Errors
    /// A fault of kind `Config` for an unreadable CA bundle or a proxy that is no URL.
    pub fn new(outside: &Outside) -> Result<Self, Fault> {
        let verified = crate::tls::client_config(outside.ca_bundle.as_deref())?;
        let tls = match outside.pin {
            Some(pin) => crate::tls::believe_only(verified, pin),
            None if outside.unverified => crate::tls::believe_anybody(verified),
            None => verified,
        };
        let tunnelled = outside.https_proxy.as_deref().map(|proxy| tunnelled(proxy, outside, &tls)).transpose()?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp());
        Ok(Self { direct: pool().build(connector), tunnelled })
    }

    async fn exchange(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Body>, WireError> {
        let host = host_of(request.uri());
        let request = request.map(Full::new);
        let answer = match &self.tunnelled {
            Some((matcher, client)) if goes_through(matcher, request.uri()) => client.request(request),
            _ => self.direct.request(request),
        };
        match within(limits.head, answer).await {
            Some(Ok(response)) => Ok(response.map(|body| timed_body(body, host, limits.idle))),
            Some(Err(cause)) if cause.is_connect() => Err(WireError::Connect { host, cause: cause.into() }),
            Some(Err(cause)) => Err(WireError::Broken { host, cause: cause.into() }),
            None => Err(WireError::TimedOut { host, limit: limits.head }),
        }
    }
}

impl Wire for HttpWire {
    fn now(&self) -> Now {
        crate::clock::now()
    }

    fn entropy(&self) -> u64 {
        random_u64()
    }

    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Body>, WireError>> {
        Box::pin(self.exchange(request, limits))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(crate::clock::sleep_until(crate::clock::now().boot + time))
    }
}

/// A random number from the system; for jitter and names.
#[must_use]
pub fn random_u64() -> u64 {
    getrandom::u64().unwrap_or_else(|_| crate::clock::now().boot.as_nanos() as u64)
}

/// `N` random bytes from the system, good enough for secrets.
///
/// # Errors
/// The system has no randomness to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| {
        Fault::new(bowline_base::Kind::Bug, "random", "the system gives no random numbers").cause(cause.to_string())
    })?;
    Ok(bytes)
}

fn pool() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(20)).retry_canceled_requests(true);
    builder
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(5)));
    tcp
}

fn tunnelled(proxy: &str, outside: &Outside, tls: &rustls::ClientConfig) -> Result<(Matcher, Tunnelled), Fault> {
    let no = outside.no_proxy.clone().unwrap_or_default();
    let matcher = Matcher::builder().https(proxy).no(no).build();
    let probe = Uri::from_static("https://aws.amazon.com");
    let intercept = matcher.intercept(&probe).map(|found| (found.uri().clone(), found.basic_auth().cloned()));
    let proxy_uri =
        intercept.as_ref().map_or_else(|| proxy.parse().ok(), |(uri, _)| Some(uri.clone())).ok_or_else(|| {
            Fault::new(bowline_base::Kind::Config, "proxy", "HTTPS_PROXY is not a URL")
                .hint("write it as http://host:port")
        })?;
    let mut tunnel = Tunnel::new(proxy_uri, tcp());
    if let Some((_, Some(credentials))) = intercept {
        tunnel = tunnel.with_auth(credentials);
    }
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_only().enable_http1().wrap_connector(tunnel);
    Ok((matcher, pool().build(connector)))
}

fn goes_through(matcher: &Matcher, uri: &Uri) -> bool {
    uri.scheme_str() == Some("https") && !is_loopback(uri) && matcher.intercept(uri).is_some()
}

/// Whether `uri` leads to this machine, by its own words.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn host_of(uri: &Uri) -> String {
    if uri.authority().is_some() { url::place(uri).to_owned() } else { url::harmless(&uri.to_string()) }
}

/// A process that was stopped wakes to a timer that has run out and to an answer that nobody has read yet: what it
/// brought may be good for one use, so it gets this long to come out of the socket.
const SECOND_CHANCE: Duration = Duration::from_secs(1);

/// What `work` brings within `limit`, or a moment later.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    for limit in [limit, SECOND_CHANCE] {
        if let Ok(done) = tokio::time::timeout(limit, work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

fn timed_body(inner: Incoming, host: String, idle: Duration) -> Body {
    TimedBody { inner, host, idle, alarm: Alarm::new(idle) }.boxed_unsync()
}

/// Rings twice: when nothing has come for a while, and for good when nothing has come after [`SECOND_CHANCE`] either.
struct Alarm {
    sleep: Pin<Box<tokio::time::Sleep>>,
    rung: bool,
}

impl Alarm {
    fn new(after: Duration) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(after)), rung: false }
    }

    fn reset(&mut self, after: Duration) {
        self.rung = false;
        self.sleep.as_mut().reset(tokio::time::Instant::now() + after);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if std::mem::replace(&mut self.rung, true) {
            return Poll::Ready(());
        }
        self.sleep.as_mut().reset(tokio::time::Instant::now() + SECOND_CHANCE);
        self.sleep.as_mut().poll(cx)
    }
}

/// A body whose chunks may not be further apart than `idle`.
struct TimedBody {
    inner: Incoming,
    host: String,
    idle: Duration,
    alarm: Alarm,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            let idle = self.idle;
            self.alarm.reset(idle);
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|cause| WireError::Broken { host: self.host.clone(), cause: cause.into() })
            }));
        }
        match self.alarm.poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Some(Err(WireError::TimedOut { host: self.host.clone(), limit: self.idle })))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_the_way_is_found_by_the_usual_rules() {
        let outside = Outside {
            https_proxy: Some("http://me:secret@proxy.example:8080".to_owned()),
            no_proxy: Some("inside.example".to_owned()),
            ..Outside::default()
        };
        let found = outside.proxy_for("vpn.example.net", 3128).unwrap();
        assert_eq!((found.host.as_str(), found.port), ("proxy.example", 8080));
        assert_eq!(found.authorization, Some(Secret::new("Basic bWU6c2VjcmV0")));
        for straight in ["vpn.inside.example", "127.0.0.1", "::1", "localhost"] {
            assert_eq!(outside.proxy_for(straight, 3128), None, "{straight}");
        }
        assert_eq!(Outside::default().proxy_for("vpn.example.net", 3128), None);
    }

    /// Ready at the second look after `limit`, as an answer is that lay in the socket while the process was stopped.
    async fn answer_that_is_read_late(limit: Duration) -> &'static str {
        tokio::time::sleep(limit).await;
        tokio::time::sleep(SECOND_CHANCE / 2).await;
        "answer"
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_lay_in_the_socket_while_the_process_was_stopped_is_taken() {
        let limit = Duration::from_secs(10);
        assert_eq!(within(limit, answer_that_is_read_late(limit)).await, Some("answer"));
        assert_eq!(within(limit, answer_that_is_read_late(2 * limit)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_looked_at_once_more_before_it_counts_as_stalled() {
        let limit = Duration::from_secs(20);
        let (mut alarm, begun) = (Alarm::new(limit), tokio::time::Instant::now());
        std::future::poll_fn(|cx| alarm.poll(cx)).await;
        assert!(begun.elapsed() >= limit + SECOND_CHANCE);
        alarm.reset(limit);
        std::future::poll_fn(|cx| alarm.poll(cx)).await;
        assert!(begun.elapsed() >= 2 * (limit + SECOND_CHANCE));
    }
}
