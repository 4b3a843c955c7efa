//! A text that must never be printed, logged or serialised.
//!
//! There is no `Display`, no `Serialize` and no telling `Debug`: a secret leaves through [`Secret::expose`] only,
//! so that every place where it does can be found by searching for that word.

use std::sync::OnceLock;

use zeroize::Zeroizing;

/// A secret text: a key, a token, a password. Wiped from memory when dropped, and told to who keeps memory out of swap.
#[derive(PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Is told where a secret lies.
type Keeper = fn(&[u8]);

static KEEPER: OnceLock<Keeper> = OnceLock::new();

/// From now on `keep` is told where each new secret lies. Once for a process: who comes later is not heard.
pub fn keep_each_by(keep: Keeper) {
    KEEPER.get_or_init(|| keep);
}

impl Secret {
    /// Takes ownership of `text`; the original buffer becomes the secret's.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        if let Some(keep) = KEEPER.get() {
            keep(text.as_bytes());
        }
        Self(text)
    }

    /// The secret itself. Every call is a place where it may leak: keep them few.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it, as in a half-written file.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

/// A copy lies elsewhere.
impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::new(self.0.as_str())
    }
}

/// Prints only that there is a secret, so that a type holding one may derive `Debug`.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_keeps_secrets_hears_of_each_and_of_each_copy() {
        static HEARD: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
        keep_each_by(|bytes| {
            // Other tests make secrets too.
            if bytes == b"a secret of this test alone" {
                HEARD.lock().unwrap().push(bytes.as_ptr() as usize);
            }
        });
        let secret = Secret::new("a secret of this test alone");
        let copy = secret.clone();
        let places = [&secret, &copy].map(|secret| secret.expose().as_ptr() as usize);
        assert_eq!(*HEARD.lock().unwrap(), places);
    }

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
