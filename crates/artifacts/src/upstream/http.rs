//! A Maven repository behind a web server: Maven Central, a Nexus, an Artifactory.
//!
//! It is asked over TLS (plain http on loopback only), without compression, and redirects are followed to https only.
//! What it says is read by HTTP's own rules: 404 and 410 are missing keys, 401 and 403 are lost access, 429 and 5xx are
//! trouble that is tried again within the time that is allowed. A server that names a time to come back is left alone
//! until then. It is never listed: names are asked for, pages are not read.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bowline_base::{
    BoxFuture, backoff, url,
    wire::{Body, Limits, Wire, WireError},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Answer, Head, Page, Trouble, Upstream, Want, is_page};

/// Tries of one call, the first one included.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Redirects of one try.
const REDIRECTS: usize = 5;
/// Bytes of a body without a length, which has to be held to be measured.
const UNMEASURED: usize = 16 << 20;
/// The longest that a server may keep us away.
const LONGEST_QUIET: Duration = Duration::from_secs(300);
/// What a key's bytes may be in a path as they are.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'+')
    .remove(b'@')
    .remove(b':')
    .remove(b'=')
    .remove(b',')
    .remove(b'!')
    .remove(b'$')
    .remove(b'(')
    .remove(b')');

/// Everything below a URL.
pub struct Http {
    base: String,
    wire: Arc<dyn Wire>,
    timeout: Duration,
    /// Boot time until which the server asked to be left alone.
    quiet_until: Mutex<Option<Duration>>,
}

/// What the URL of a repository must be like. Answers with the URL without slash at its end.
///
/// # Errors
/// What is wrong with it.
pub fn repository_url(text: &str) -> Result<String, String> {
    let shown = url::harmless(text);
    let uri: Uri = text.parse().map_err(|_| format!("`{shown}` is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| format!("`{shown}` names no host"))?;
    if authority.as_str().contains('@') {
        return Err("a repository's URL must not hold a password".to_owned());
    }
    if uri.query().is_some() {
        return Err(format!("`{shown}` has a query, which no repository has"));
    }
    if !may_be_asked(&uri) {
        return Err(format!("`{shown}` is not https; plain http is for this machine's own addresses"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// `key` as a path below a repository: percent-encoded where it has to be.
#[must_use]
pub fn encode(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

impl Http {
    /// Asks below `base`, a [`repository_url`], through `wire`; `timeout` is for one call with its tries, up to the head
    /// of the answer.
    #[must_use]
    pub fn new(wire: Arc<dyn Wire>, base: &str, timeout: Duration) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), wire, timeout, quiet_until: Mutex::new(None) }
    }

    async fn fetch(&self, want: &Want) -> Result<Answer, Trouble> {
        let response = self.call(&Method::GET, &want.key, &conditions(want)).await?;
        match response.status() {
            StatusCode::OK if want.from > 0 => Err(Trouble::Changed),
            StatusCode::OK => whole(&want.key, response).await,
            StatusCode::PARTIAL_CONTENT if want.from > 0 => part(want, response),
            StatusCode::NOT_MODIFIED if want.if_none_match.is_some() || want.if_modified_since.is_some() => {
                Ok(Answer::Unchanged)
            }
            status => Err(refusal(status, &want.key)),
        }
    }

    async fn describe(&self, key: &str) -> Result<Head, Trouble> {
        let response = self.call(&Method::HEAD, key, &HeaderMap::new()).await?;
        match response.status() {
            StatusCode::OK => match number(response.headers(), &header::CONTENT_LENGTH) {
                Some(length) => head(key, response.headers(), length),
                None => match self.fetch(&Want::whole(key)).await? {
                    Answer::File(head, _) => Ok(head),
                    Answer::Unchanged => Err(Trouble::Broken("unchanged, though no condition was named".to_owned())),
                },
            },
            status => Err(refusal(status, key)),
        }
    }

    /// One logical call: tries until something other than weather is answered, or the time is over.
    async fn call(&self, method: &Method, key: &str, headers: &HeaderMap) -> Result<Response<Body>, Trouble> {
        let begun = self.wire.now().boot;
        if let Some(left) = self.quiet(begun) {
            return Err(Trouble::BusyFor(left));
        }
        let url = format!("{}/{}", self.base, encode(key));
        let mut attempt = 0;
        loop {
            let (trouble, asked) = match self.follow(method, &url, headers).await {
                Ok(response) => match weather(&response, self.wall()) {
                    None => return Ok(response),
                    Some(weather) => weather,
                },
                Err(trouble @ Trouble::Refused(_)) => return Err(trouble),
                Err(trouble) => (trouble, None),
            };
            let jitter = backoff::full_jitter(attempt, FIRST_PAUSE, LONGEST_PAUSE, self.wire.entropy());
            let pause = asked.unwrap_or(jitter);
            let spent = self.wire.now().boot.saturating_sub(begun);
            attempt += 1;
            if attempt == TRIES || pause > LONGEST_PAUSE || spent + pause >= self.timeout {
                self.keep_quiet(asked);
                return Err(trouble);
            }
            self.wire.sleep(pause).await;
        }
    }

    /// One try, redirects included.
    async fn follow(&self, method: &Method, url: &str, headers: &HeaderMap) -> Result<Response<Body>, Trouble> {
        let mut uri: Uri = url.parse().map_err(|_| Trouble::Refused("the key cannot be put into a URL".to_owned()))?;
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(Bytes::new());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            request.headers_mut().clone_from(headers);
            let identity = HeaderValue::from_static("identity");
            request.headers_mut().insert(header::ACCEPT_ENCODING, identity);
            request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("bowline"));
            let limits = Limits { head: self.timeout, idle: self.timeout };
            let response = self.wire.send(request, limits).await.map_err(|error| self.unanswered(&error))?;
            let moved = [301, 302, 303, 307, 308].contains(&response.status().as_u16());
            let Some(target) = response.headers().get(header::LOCATION).filter(|_| moved) else { return Ok(response) };
            uri = next(&uri, target)?;
        }
        Err(Trouble::Refused(format!("more than {REDIRECTS} redirects")))
    }

    fn unanswered(&self, error: &WireError) -> Trouble {
        match error {
            WireError::TimedOut { .. } => Trouble::TimedOut(self.timeout),
            WireError::Connect { .. } | WireError::Broken { .. } => Trouble::Unreachable(chain(error)),
        }
    }

    fn quiet(&self, now: Duration) -> Option<Duration> {
        let until = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero())
    }

    fn keep_quiet(&self, asked: Option<Duration>) {
        let until = asked.map(|asked| self.wire.now().boot + asked.min(LONGEST_QUIET));
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn wall(&self) -> SystemTime {
        SystemTime::from(self.wire.now().wall)
    }
}

impl Upstream for Http {
    fn name(&self) -> &str {
        &self.base
    }

    fn has_sidecars(&self) -> bool {
        true
    }

    fn get<'a>(&'a self, want: &'a Want) -> BoxFuture<'a, Result<Answer, Trouble>> {
        Box::pin(self.fetch(want))
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Head, Trouble>> {
        Box::pin(self.describe(key))
    }

    /// What cannot be listed adds nothing to a listing.
    fn list<'a>(&'a self, _prefix: &'a str, _after: Option<&'a str>) -> BoxFuture<'a, Result<Page, Trouble>> {
        Box::pin(async { Err(Trouble::Missing) })
    }

    /// A refused key says something about that key, as long as others can be read.
    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async { Ok(()) })
    }
}

/// Whether `uri` is one that may be asked: https, or this machine.
fn may_be_asked(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => here,
        _ => false,
    }
}

/// Where a redirect leads; never from https to anything else.
fn next(from: &Uri, target: &HeaderValue) -> Result<Uri, Trouble> {
    let refused = |why: &str| Trouble::Refused(format!("a redirect {why}"));
    let text = target.to_str().map_err(|_| refused("to something that is no URL"))?;
    let (scheme, authority) =
        (from.scheme_str().unwrap_or("https"), from.authority().map_or("", |found| found.as_str()));
    let absolute = match text {
        text if text.starts_with("//") => format!("{scheme}:{text}"),
        text if text.starts_with('/') => format!("{scheme}://{authority}{text}"),
        text if text.contains("://") => text.to_owned(),
        text => {
            let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{text}")
        }
    };
    let uri: Uri = absolute.parse().map_err(|_| refused("to something that is no URL"))?;
    let stays_safe = from.scheme_str() != Some("https") || uri.scheme_str() == Some("https");
    if may_be_asked(&uri) && stays_safe { Ok(uri) } else { Err(refused("away from https")) }
}

fn conditions(want: &Want) -> HeaderMap {
    let range = (want.from > 0).then(|| format!("bytes={}-", want.from));
    // A weak tag may not be named here (RFC 9110, 13.1.5): then the answer's own tag is compared.
    let strong = want.if_match.clone().filter(|tag| want.from > 0 && tag.starts_with('"'));
    let all: [(HeaderName, Option<String>); 4] = [
        (header::RANGE, range),
        (header::IF_RANGE, strong),
        (header::IF_NONE_MATCH, want.if_none_match.clone()),
        (header::IF_MODIFIED_SINCE, want.if_modified_since.clone().filter(|_| want.if_none_match.is_none())),
    ];
    let given = all.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value?).ok()?)));
    given.collect()
}

/// What has nothing to do with the key, and for how long it is said to last.
fn weather(response: &Response<Body>, wall: SystemTime) -> Option<(Trouble, Option<Duration>)> {
    let status = response.status();
    let asked = retry_after(response.headers(), wall);
    match status.as_u16() {
        429 => Some((asked.map_or(Trouble::Busy, Trouble::BusyFor), asked)),
        503 if asked.is_some() => Some((asked.map_or(Trouble::Busy, Trouble::BusyFor), asked)),
        500..=599 => Some((Trouble::Server(status.as_u16()), None)),
        408 => Some((Trouble::Server(408), None)),
        _ => None,
    }
}

fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let until = || httpdate::parse_http_date(text).ok()?.duration_since(wall).ok();
    text.parse().ok().map(Duration::from_secs).or_else(until)
}

/// A status that ends the call.
fn refusal(status: StatusCode, key: &str) -> Trouble {
    match status.as_u16() {
        404 | 410 => Trouble::Missing,
        401 => Trouble::AccessLost(key.to_owned()),
        403 => Trouble::Denied,
        412 | 416 => Trouble::Changed,
        code => Trouble::Refused(format!("the repository answered {code}")),
    }
}

async fn whole(key: &str, response: Response<Body>) -> Result<Answer, Trouble> {
    let (parts, body) = response.into_parts();
    if let Some(length) = number(&parts.headers, &header::CONTENT_LENGTH) {
        return Ok(Answer::File(head(key, &parts.headers, length)?, body));
    }
    let read = Limited::new(body, UNMEASURED).collect().await;
    let bytes = read.map_err(|error| Trouble::Broken(format!("a body without a length: {error}")))?.to_bytes();
    let head = head(key, &parts.headers, bytes.len() as u64)?;
    Ok(Answer::File(head, Full::new(bytes).map_err(|never| match never {}).boxed_unsync()))
}

fn part(want: &Want, response: Response<Body>) -> Result<Answer, Trouble> {
    let (parts, body) = response.into_parts();
    let range = parts.headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let ends = range.strip_prefix("bytes ").and_then(|range| range.split_once('/'));
    let first = ends.and_then(|(part, _)| part.split_once('-')?.0.parse::<u64>().ok());
    let (Some(first), Some(total)) = (first, ends.and_then(|(_, total)| total.parse().ok())) else {
        return Err(Trouble::Broken("a part without a place in the whole".to_owned()));
    };
    if first != want.from {
        return Err(Trouble::Broken("the answer does not begin where it was asked to".to_owned()));
    }
    Ok(Answer::File(head(&want.key, &parts.headers, total)?, body))
}

fn head(key: &str, headers: &HeaderMap, length: u64) -> Result<Head, Trouble> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let content_type = text(&header::CONTENT_TYPE);
    if is_page(key, content_type.as_deref()) {
        return Err(Trouble::Broken("a web page came instead of the file".to_owned()));
    }
    let content_encoding = text(&header::CONTENT_ENCODING).filter(|coding| coding != "identity");
    // They are of the file, not of its compressed form.
    let checksums = ["md5", "sha1", "sha256"].into_iter().filter(|_| content_encoding.is_none()).filter_map(|kind| {
        let sum = headers.get(format!("x-checksum-{kind}"))?.to_str().ok()?.trim().to_ascii_lowercase();
        Some((kind.to_owned(), sum))
    });
    Ok(Head {
        length,
        etag: text(&header::ETAG),
        last_modified: text(&header::LAST_MODIFIED),
        content_type,
        checksums: checksums.collect(),
        content_encoding,
        md5: None,
    })
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_https_or_on_this_machine() {
        assert_eq!(repository_url("https://repo1.maven.org/maven2/").unwrap(), "https://repo1.maven.org/maven2");
        for good in ["http://127.0.0.1:8081/x", "http://localhost", "http://[::1]:80/"] {
            assert!(repository_url(good).is_ok(), "{good}");
        }
        for bad in ["http://repo1.maven.org/maven2", "ftp://x/y", "https://u:p@host/", "https://host/?x", "/maven", ""]
        {
            assert!(repository_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_redirect_stays_within_https() {
        let to = |from: &str, target: &str| {
            next(&from.parse().unwrap(), &target.parse().unwrap()).map(|uri| uri.to_string()).ok()
        };
        let from = "https://a.example/m/g/x.jar";
        assert_eq!(to(from, "/y").as_deref(), Some("https://a.example/y"));
        assert_eq!(to(from, "y.jar").as_deref(), Some("https://a.example/m/g/y.jar"));
        assert_eq!(to(from, "//cdn.example/y").as_deref(), Some("https://cdn.example/y"));
        assert_eq!(to(from, "https://b.example/y?sig=1").as_deref(), Some("https://b.example/y?sig=1"));
        for away in ["http://b.example/y", "http://127.0.0.1/y", "file:///etc/passwd", "ftp://b/y"] {
            assert_eq!(to(from, away), None, "{away}");
        }
        assert_eq!(to("http://127.0.0.1:1/x", "http://127.0.0.1:2/y").as_deref(), Some("http://127.0.0.1:2/y"));
        assert_eq!(to("http://127.0.0.1:1/x", "http://b.example/y"), None);
    }

    #[test]
    fn the_time_to_come_back_is_seconds_or_a_date() {
        let wall = httpdate::parse_http_date("Sun, 22 Nov 2026 02:02:02 GMT").unwrap();
        let after = |text: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, wall)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 22 Nov 2026 02:02:12 GMT"), Some(Duration::from_secs(10)));
        assert_eq!((after("soon"), after("Sun, 22 Nov 2026 02:02:00 GMT")), (None, None));
    }

    #[test]
    fn only_404_and_410_say_that_there_is_no_such_key() {
        for code in [401, 402, 403, 405, 407, 412, 416, 418, 451, 300, 204] {
            assert_ne!(refusal(StatusCode::from_u16(code).unwrap(), "k"), Trouble::Missing, "{code}");
        }
        assert_eq!(refusal(StatusCode::GONE, "k"), Trouble::Missing);
    }

    #[test]
    fn a_weak_tag_is_not_named_for_a_range() {
        let want = |tag: &str| Want { from: 5, if_match: Some(tag.to_owned()), ..Want::whole("k") };
        assert!(conditions(&want("\"e\"")).contains_key(header::IF_RANGE));
        assert!(!conditions(&want("W/\"e\"")).contains_key(header::IF_RANGE));
    }
}
