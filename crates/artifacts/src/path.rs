//! From the request's path to a key: decoded exactly once, refused when it could mean anything but one key.
//!
//! Keys are S3's: any UTF-8, `+` is a plus, `a` and `a/b` may both be files. A path that ends in `/` asks for a
//! listing. Nothing is normalised, because S3 does not either.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// S3's own limit, in bytes.
const LONGEST_KEY: usize = 1024;

/// What a path asks for, below the mount that it fell to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// A file.
    File(&'a str),
    /// What stands below this prefix (empty, or ending in `/`).
    Listing(&'a str),
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// `ftp://…` in the request line.
    #[error("only http is spoken here")]
    Scheme,
    /// A `%` without two hex digits after it, or bytes that are not UTF-8.
    #[error("the path is not percent-encoded UTF-8")]
    Encoding,
    /// `.`, `..`, a backslash or a control character.
    #[error("the path has a part that no key may have")]
    Forbidden,
    /// More than 1,024 bytes.
    #[error("the path is longer than any key")]
    TooLong,
}

impl PathError {
    /// 400, or 414 for length.
    pub(crate) fn status(self) -> u16 {
        if self == Self::TooLong { 414 } else { 400 }
    }
}

/// The decoded path, without its first slash. A server has to take `GET http://host/path` too (RFC 9112, 3.2.2).
pub(crate) fn decode(uri: &http::Uri) -> Result<Cow<'_, str>, PathError> {
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(PathError::Scheme);
    }
    let raw = uri.path().strip_prefix('/').ok_or(PathError::Encoding)?;
    if !escapes_are_whole(raw) {
        return Err(PathError::Encoding);
    }
    let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| PathError::Encoding)?;
    if decoded.len() > LONGEST_KEY {
        return Err(PathError::TooLong);
    }
    let forbidden = |c: char| c == '\\' || c.is_control();
    if decoded.contains(forbidden) || decoded.split('/').any(|part| part == "." || part == "..") {
        return Err(PathError::Forbidden);
    }
    Ok(decoded)
}

/// `internal/` for `/internal`, `internal/`, `internal`; empty for the root.
pub(crate) fn mount(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        inner => format!("{inner}/"),
    }
}

/// The index of the longest of `mounts` that `path` is below, and what is left of the path.
pub(crate) fn route<'a>(mounts: &[impl AsRef<str>], path: &'a str) -> Option<(usize, Wanted<'a>)> {
    let below = |(index, mount): (usize, &str)| path.strip_prefix(mount).map(|rest| (mount.len(), index, rest));
    let fitting = mounts.iter().map(AsRef::as_ref).enumerate().filter_map(below);
    let (_, index, rest) = fitting.max_by_key(|(length, ..)| *length)?;
    let listing = rest.is_empty() || rest.ends_with('/');
    Some((index, if listing { Wanted::Listing(rest) } else { Wanted::File(rest) }))
}

fn escapes_are_whole(raw: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = raw.as_bytes();
    let percents = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').map(|(at, _)| at);
    percents.into_iter().all(|at| is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(path: &str) -> Result<String, PathError> {
        decode(&path.parse().unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn a_path_is_decoded_exactly_once_and_a_plus_stays_a_plus() {
        assert_eq!(decoded("/g/a+b/1%2B2/x%20y%5B1%5D.jar").unwrap(), "g/a+b/1+2/x y[1].jar");
        assert_eq!(decoded("/%252e%252e/x").unwrap(), "%2e%2e/x");
        assert_eq!(decoded("/a%2Fb").unwrap(), "a/b");
        assert_eq!(decoded("/a//b").unwrap(), "a//b");
    }

    #[test]
    fn what_could_leave_the_prefix_is_refused() {
        for path in ["/../x", "/a/..", "/%2e%2e/x", "/a/%2E./x", "/..%2fx", "/a%00b", "/a%5cb", "/a/./b", "/a%0Ab"] {
            assert_eq!(decoded(path), Err(PathError::Forbidden), "{path}");
        }
        assert_eq!(decoded("http://host/../x"), Err(PathError::Forbidden));
        assert_eq!(decoded("*"), Err(PathError::Encoding));
    }

    #[test]
    fn a_whole_url_asks_for_its_path() {
        assert_eq!(decoded("http://host:9000/g/x%20y").unwrap(), "g/x y");
        assert_eq!(decoded("http://host").unwrap(), "");
        assert_eq!(decoded("ftp://host/x"), Err(PathError::Scheme));
    }

    #[test]
    fn half_an_escape_and_foreign_bytes_are_refused() {
        for path in ["/a%", "/a%2", "/a%zz", "/%ff%fe"] {
            assert_eq!(decoded(path), Err(PathError::Encoding), "{path}");
        }
        assert_eq!(decoded(&format!("/{}", "a".repeat(1025))), Err(PathError::TooLong));
        assert_eq!((PathError::TooLong.status(), PathError::Forbidden.status()), (414, 400));
    }

    #[test]
    fn the_longest_mount_wins_and_a_slash_at_the_end_is_a_listing() {
        let mounts = ["/", "internal", "/internal/deep/"].map(mount);
        let to = |path| route(&mounts, path).unwrap();
        assert_eq!(to("internal/deep/x"), (2, Wanted::File("x")));
        assert_eq!(to("internal/x/"), (1, Wanted::Listing("x/")));
        assert_eq!(to("internal"), (0, Wanted::File("internal")));
        assert_eq!(to(""), (0, Wanted::Listing("")));
        assert_eq!(route(&["internal/"], "other/x"), None);
    }

    proptest! {
        #[test]
        fn no_decoded_path_climbs(path in "/[a./%25eEfF0\\\\]{0,40}") {
            if let Ok(uri) = path.parse::<http::Uri>()
                && let Ok(key) = decode(&uri)
            {
                prop_assert!(key.split('/').all(|part| part != ".." && part != "."), "{key}");
            }
        }
    }
}
