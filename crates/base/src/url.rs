//! URLs in words for people: who signs in with which password, and what a query carries, is nobody's business. Pure.

use http::Uri;

/// Stands where something was left out.
const LEFT_OUT: &str = "…";

/// `text` as a message may show it, a URL or what somebody took for one: nothing before the last `@`, nothing of a query.
#[must_use]
pub fn harmless(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let (user, place) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("…@", place));
    let (place, query) = place.split_once(['?', '#']).map_or((place, ""), |(place, _)| (place, LEFT_OUT));
    let colon = if scheme.is_empty() { "" } else { "://" };
    // What comes before `://` holds a password only where that stands in the password.
    let scheme = if scheme.contains('@') { LEFT_OUT } else { scheme };
    format!("{scheme}{colon}{user}{place}{query}")
}

/// Host and port of `uri`, without a user.
#[must_use]
pub fn place(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    authority.rsplit_once('@').map_or(authority, |(_, place)| place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_tells_where_stays() {
        for (text, shown) in [
            ("http://minio:9000", "http://minio:9000"),
            ("https://me:pw@proxy.corp:3128/aws", "https://…@proxy.corp:3128/aws"),
            ("me:pw@proxy.corp", "…@proxy.corp"),
            ("http://me:p@s/s@host", "http://…@host"),
            ("https://hooks.example/a?token=x", "https://hooks.example/a…"),
            ("x y", "x y"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), shown);
        }
        assert_eq!(place(&Uri::from_static("http://me:pw@127.0.0.1:1/x")), "127.0.0.1:1");
    }

    proptest! {
        #[test]
        fn a_password_is_never_left(before in "[a-z:/?#]{0,6}", host in "[a-z./:]{0,12}") {
            let shown = harmless(&format!("https://{before}S3cretPw!@{host}"));
            prop_assert!(!shown.contains("S3cretPw!"), "{}", shown);
        }
    }
}
