//! WireGuard keys as the store holds them: base64 of 32 bytes, or (the predecessor's `-b64` names) base64 of that text.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bowline_base::Secret;
use bowline_tunnel::{KeyError, SecretKey};

/// Reads a key in either form, and gives it in WireGuard's own.
///
/// # Errors
/// [`KeyError`], which does not repeat the text.
pub(crate) fn read(text: &Secret) -> Result<Secret, KeyError> {
    let bare = text.expose().trim();
    if SecretKey::parse(text).is_ok() {
        return Ok(Secret::new(bare));
    }
    let inner = BASE64_STANDARD.decode(bare).map_err(|_| KeyError)?;
    let inner = Secret::new(String::from_utf8(inner).map_err(|_| KeyError)?.trim());
    SecretKey::parse(&inner).map(|_| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_predecessor_are_one_key() {
        let key = SecretKey::generate([255; 32]).to_base64();
        let wrapped = Secret::new(BASE64_STANDARD.encode(format!("{}\n", key.expose())));
        assert_eq!(read(&key), Ok(key.clone()));
        assert_eq!(read(&wrapped), Ok(key));
        for bad in ["", "hunter2", "aHVudGVyMg==", "AAAA"] {
            assert!(read(&Secret::new(bad)).is_err(), "{bad}");
        }
    }
}
