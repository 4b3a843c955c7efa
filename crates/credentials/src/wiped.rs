//! The body of an answer that holds a secret: wiped when the last of it has been sent, which a plain buffer is not.

use bowline_base::Secret;
use bytes::Bytes;

struct Wiped(Secret);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// The bytes of `secret`, and no copy of them.
pub(crate) fn body(secret: Secret) -> Bytes {
    Bytes::from_owner(Wiped(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_secret_and_lie_where_it_does() {
        let secret = Secret::new("hunter2");
        let place = secret.expose().as_ptr();
        let bytes = body(secret);
        assert_eq!((&*bytes, bytes.as_ptr()), (&b"hunter2"[..], place));
    }
}
