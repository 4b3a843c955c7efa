//! The key that a client shows, as `Proxy-Authorization` carries it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bowline_base::Secret;
use http::{HeaderMap, header::PROXY_AUTHORIZATION};

/// A key, and the name that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// `Basic` brings a name; it must be that of the key's user.
    pub name: Option<String>,
    /// The API key.
    pub key: Secret,
}

impl Offer {
    /// From `Basic` (name and key) or `Bearer` (key). `None` where there is neither, or more than one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(PROXY_AUTHORIZATION).iter();
        let text = values.next()?.to_str().ok()?;
        let (scheme, rest) = text.trim().split_once(' ')?;
        if values.next().is_some() {
            return None;
        }
        let offer = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Self { name: None, key: Secret::new(rest.trim()) },
            "basic" => Self::basic(rest.trim())?,
            _ => return None,
        };
        (!offer.key.is_blank()).then_some(offer)
    }

    fn basic(encoded: &str) -> Option<Self> {
        let text = Secret::new(String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?);
        let (name, key) = text.expose().split_once(':')?;
        Some(Self { name: Some(name.to_owned()), key: Secret::new(key) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Offer> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PROXY_AUTHORIZATION, value.parse().unwrap());
        }
        Offer::of(&headers)
    }

    #[test]
    fn both_ways_of_showing_a_key_are_read() {
        let offer =
            |name: Option<&str>, key: &str| Some(Offer { name: name.map(str::to_owned), key: Secret::new(key) });
        assert_eq!(of(&["Basic YWxpY2U6a2V5OndpdGg6Y29sb25z"]), offer(Some("alice"), "key:with:colons"));
        assert_eq!(of(&["basic YWxpY2U6a2V5OndpdGg6Y29sb25z"]), offer(Some("alice"), "key:with:colons"));
        assert_eq!(of(&["Bearer key"]), offer(None, "key"));
    }

    #[test]
    fn anything_else_is_no_offer() {
        assert_eq!(of(&[]), None);
        for wrong in ["", "Basic", "Basic !!!", "Basic YWxpY2U=", "Basic YWxpY2U6", "Bearer ", "Digest x"] {
            assert_eq!(of(&[wrong]), None, "{wrong}");
        }
        assert_eq!(of(&["Bearer key", "Bearer other"]), None);
    }
}
