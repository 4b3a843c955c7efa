//! The Ed25519 key that signs checkpoints: made once, 0600, in the state directory.

use std::{fmt, fs, io, path::Path};

use bowline_base::{Fault, Kind, Secret, atomic};
use bowline_host::client::random_bytes;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::hex;

const KIND: &str = "bowline-audit-key";

/// Whom to believe: 32 bytes, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(String);

impl PublicKey {
    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        hex::decode(&text).filter(|bytes| bytes.len() == 32).map(|_| Self(text))
    }

    /// Whether `signature` (hexadecimal) over `message` is this key's.
    pub(crate) fn signed(&self, message: &str, signature: &str) -> bool {
        let (Some(key), Some(signature)) = (hex::decode(&self.0), hex::decode(signature)) else { return false };
        UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The private half.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// The key in `path`; made there, once, when there is none. The public half is in `path` with `.pub` added.
    pub(crate) fn load_or_make(path: &Path) -> Result<Self, Fault> {
        let seed = match fs::read_to_string(path) {
            Ok(text) => read(&Secret::new(text)).ok_or_else(|| unreadable(path, None))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = Secret::new(hex::encode(&random_bytes::<32>()?));
                let text = json!({ "kind": KIND, "version": 1, "seed": seed.expose() });
                atomic::write_private(path, format!("{text}\n").as_bytes())
                    .map_err(|error| unreadable(path, Some(error)))?;
                seed
            }
            Err(error) => return Err(unreadable(path, Some(error))),
        };
        let key = Self::from_seed(&seed).ok_or_else(|| unreadable(path, None))?;
        let public = path.with_extension("pub");
        if fs::read_to_string(&public).ok().as_deref() != Some(&format!("{}\n", key.public)) {
            atomic::write(&public, format!("{}\n", key.public).as_bytes(), 0o644)
                .map_err(|error| unreadable(&public, Some(error)))?;
        }
        Ok(key)
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, message: &str) -> String {
        hex::encode(self.pair.sign(message.as_bytes()).as_ref())
    }

    fn from_seed(seed: &Secret) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&hex::decode(seed.expose())?).ok()?;
        let public = PublicKey(hex::encode(pair.public_key().as_ref()));
        Some(Self { pair, public })
    }

    #[cfg(test)]
    pub(crate) fn of(byte: u8) -> Self {
        Self::from_seed(&Secret::new(hex::encode(&[byte; 32]))).expect("32 bytes are a seed")
    }
}

fn read(text: &Secret) -> Option<Secret> {
    let value: Value = serde_json::from_str(text.expose()).ok()?;
    let ours = value["kind"] == KIND && value["version"] == 1;
    value["seed"].as_str().filter(|_| ours).map(Secret::new)
}

fn unreadable(path: &Path, cause: Option<io::Error>) -> Fault {
    let shown = path.display();
    let fault = Fault::new(Kind::Config, "audit", format!("cannot use the audit key in `{shown}`"))
        .hint(format!("give this user `{shown}` and its directory, or move the file away: a new key is made"));
    match cause {
        Some(cause) => fault.cause(cause),
        None => fault.cause("it is not a key file of this version"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.key");
        let first = SigningKey::load_or_make(&path).unwrap().public;
        assert_eq!(SigningKey::load_or_make(&path).unwrap().public, first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(path.with_extension("pub")).unwrap(), format!("{first}\n"));
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.key");
        atomic::write_private(&path, b"{}").unwrap();
        assert!(SigningKey::load_or_make(&path).is_err_and(|fault| fault.message.contains("audit.key")));
        assert_eq!(fs::read(&path).unwrap(), b"{}");
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn signs_as_the_rfc_says() {
        let seed = Secret::new("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.public.to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let signature = key.sign("");
        assert!(signature.starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"));
        assert!(key.public.signed("", &signature) && !key.public.signed("x", &signature));
    }
}
