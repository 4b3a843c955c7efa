//! A request, taken apart once: path and query decoded, form read, headers by name.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters: what SigV4 escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a path, whose slashes stay.
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// One request, as the services read it.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Decoded exactly once.
    pub(crate) path: String,
    /// Decoded, in the order of the request.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn read(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
        let query = pairs(head.uri.query().unwrap_or_default());
        Self { method: head.method, path, query, headers: head.headers, body }
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// A header's text, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as a form.
    pub(crate) fn form(&self) -> Form {
        Form(pairs(&String::from_utf8_lossy(&self.body)))
    }

    /// Where the caller thinks we are, for links in answers.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("127.0.0.1"))
    }
}

/// The fields of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        first(&self.0, name)
    }
}

/// Percent-encodes as SigV4 and `encoding-type=url` do; `/` too.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Percent-encodes a path; `/` stays.
pub(crate) fn escape_path(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED_IN_PATH).to_string()
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (decode(name), decode(value))
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_exactly_once_and_a_plus_in_it_stays() {
        let request = Request::get("/maven/a%2520b+c?prefix=x%2Fy+z&list").body(Bytes::new()).unwrap();
        let call = Call::read(request);
        assert_eq!(call.path, "/maven/a%20b+c");
        assert_eq!((call.query("prefix"), call.query("list"), call.query("no")), (Some("x/y z"), Some(""), None));
        assert_eq!((escape("a/b é"), escape_path("a/b~")), ("a%2Fb%20%C3%A9".into(), "a/b~".into()));
    }
}
