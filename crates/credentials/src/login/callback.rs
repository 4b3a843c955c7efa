//! What the browser's way back to us may look like. Pure: a request in, a verdict out.

use bowline_base::Secret;
use http::{HeaderMap, Method, Uri, header};
use subtle::ConstantTimeEq as _;

/// The only path that means anything.
pub(super) const PATH: &str = "/oauth/callback";

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The person said yes: the code to trade.
    Code(Secret),
    /// The service or the person said no.
    Denied(String),
    /// Not for us: a favicon, another program, a page that guesses. The sign-in goes on.
    Ignore(u16),
}

/// Judges a request to our listener on `port`, which was announced with `state`.
pub(super) fn judge(method: &Method, uri: &Uri, headers: &HeaderMap, port: u16, state: &Secret) -> Verdict {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host != format!("127.0.0.1:{port}") {
        return Verdict::Ignore(403);
    }
    if uri.path() != PATH {
        return Verdict::Ignore(404);
    }
    if method != Method::GET {
        return Verdict::Ignore(405);
    }
    let query = uri.query().unwrap_or_default();
    let given = parameter(query, "state").unwrap_or_default();
    if !bool::from(given.as_bytes().ct_eq(state.expose().as_bytes())) {
        return Verdict::Ignore(400);
    }
    if let Some(error) = parameter(query, "error") {
        return Verdict::Denied(parameter(query, "error_description").unwrap_or(error));
    }
    match parameter(query, "code").filter(|code| !code.is_empty()) {
        Some(code) => Verdict::Code(Secret::new(code)),
        None => Verdict::Ignore(400),
    }
}

/// The page that the browser shows at the end; the same for everybody, with nothing of the request in it.
pub(super) fn page(verdict: &Verdict) -> (u16, &'static str) {
    match verdict {
        Verdict::Code(_) => {
            (200, "<!doctype html><title>Bowline</title><p>You are signed in. You may close this page.</p>")
        }
        Verdict::Denied(_) => {
            (200, "<!doctype html><title>Bowline</title><p>The sign-in was refused. The terminal says why.</p>")
        }
        Verdict::Ignore(status) => (*status, "<!doctype html><title>Bowline</title><p>Nothing is here.</p>"),
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?.1;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push(u8::try_from(digit(rest.next()?)? * 16 + digit(rest.next()?)?).ok()?);
            }
            b'+' => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn verdict(method: Method, target: &str, host: &'static str) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        judge(&method, &target.parse().unwrap(), &headers, 4711, &Secret::new("st-1"))
    }

    const HOST: &str = "127.0.0.1:4711";

    #[test]
    fn a_code_with_our_state_ends_the_sign_in() {
        let answer = verdict(Method::GET, "/oauth/callback?code=a%2Fb&state=st-1", HOST);
        assert_eq!(answer, Verdict::Code(Secret::new("a/b")));
    }

    #[test]
    fn what_is_not_for_us_is_ignored_and_the_sign_in_goes_on() {
        for (target, host) in [
            ("/favicon.ico", HOST),
            ("/oauth/callback/x?code=a&state=st-1", HOST),
            ("/oauth/callback?code=a&state=st-2", HOST),
            ("/oauth/callback?code=a", HOST),
            ("/oauth/callback?code=&state=st-1", HOST),
            ("/oauth/callback?code=a&state=st-1", "evil.example:4711"),
            ("/oauth/callback?code=a&state=st-1", "127.0.0.1:4712"),
        ] {
            assert!(matches!(verdict(Method::GET, target, host), Verdict::Ignore(_)), "{target} {host}");
        }
        assert_eq!(verdict(Method::POST, "/oauth/callback?code=a&state=st-1", HOST), Verdict::Ignore(405));
    }

    #[test]
    fn a_refusal_is_told_in_the_service_s_words() {
        let target = "/oauth/callback?error=access_denied&error_description=said+no&state=st-1";
        assert_eq!(verdict(Method::GET, target, HOST), Verdict::Denied("said no".to_owned()));
    }
}
