//! What a private key file says without its passphrase: the header of `openssh-key-v1`, or which other form it is.
//!
//! The format is OpenSSH's PROTOCOL.key. Every length is bounded by what is there, the file by [`LONGEST_KEY_FILE`].

use super::{armor, public::PublicKey, wire::Reader};

/// No key file is longer: an RSA key of 16,384 bits takes 12 KiB.
pub const LONGEST_KEY_FILE: usize = 64 * 1024;
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// A file that somebody calls their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// OpenSSH's own format.
    OpenSsh(Header),
    /// Anything else.
    Other(NotOpenSsh),
}

/// What stands in front of the private part of `openssh-key-v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name of the cipher: `none`, `aes256-ctr`, …
    pub cipher: String,
    /// How the passphrase becomes the cipher's key: `none`, `bcrypt`.
    pub kdf: String,
    /// How often, if the KDF says so.
    pub rounds: Option<u32>,
    /// The public key.
    pub public: PublicKey,
}

impl Header {
    /// Whether a passphrase protects the private part.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.cipher != "none"
    }
}

/// What a file is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpenSsh {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Longer than any key.
    #[error("the file is longer than 64 KiB, which no key is")]
    TooLong,
    /// `id_….pub`.
    #[error("the file is the public half of a key")]
    PublicHalf,
    /// `BEGIN PRIVATE KEY`, `BEGIN ENCRYPTED PRIVATE KEY`.
    #[error("the file is a PKCS#8 key")]
    Pkcs8,
    /// `BEGIN RSA PRIVATE KEY` and its like.
    #[error("the file is a key in the old PEM form")]
    OldPem,
    /// PuTTY's format.
    #[error("the file is a PuTTY key")]
    Putty,
    /// Begins as an OpenSSH key and is cut or damaged.
    #[error("the file is an OpenSSH key that is cut or damaged")]
    Damaged,
    /// None of these.
    #[error("the file is no SSH key")]
    Unknown,
}

impl KeyFile {
    /// Reads the bytes of a key file. Every input has an answer.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        if bytes.len() > LONGEST_KEY_FILE {
            return Self::Other(NotOpenSsh::TooLong);
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Other(NotOpenSsh::Unknown) };
        match armor::find(text) {
            Some(("OPENSSH PRIVATE KEY", body)) => {
                let header = body.and_then(armor::decode).and_then(|bytes| header(&bytes));
                header.map_or(Self::Other(NotOpenSsh::Damaged), Self::OpenSsh)
            }
            Some((label, _)) => Self::Other(other_armor(label)),
            None => Self::Other(without_armor(text)),
        }
    }
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(bytes.strip_prefix(MAGIC)?);
    let (cipher, kdf) = (reader.name()?.to_owned(), reader.name()?.to_owned());
    let options = reader.string()?;
    if reader.u32()? != 1 {
        return None;
    }
    let public = PublicKey::from_blob(reader.string()?).ok()?;
    reader.string().filter(|private| !private.is_empty())?;
    let rounds = if kdf == "bcrypt" { Some(bcrypt_rounds(options)?) } else { None };
    // Either both are `none` or neither: anything else is not what ssh-keygen writes.
    ((cipher == "none") == (kdf == "none")).then_some(Header { cipher, kdf, rounds, public })
}

fn bcrypt_rounds(options: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(options);
    reader.string().filter(|salt| !salt.is_empty())?;
    reader.u32().filter(|rounds| *rounds > 0)
}

fn other_armor(label: &str) -> NotOpenSsh {
    match label {
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => NotOpenSsh::Pkcs8,
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" => NotOpenSsh::OldPem,
        _ => NotOpenSsh::Unknown,
    }
}

fn without_armor(text: &str) -> NotOpenSsh {
    if text.trim().is_empty() {
        NotOpenSsh::Empty
    } else if text.starts_with("PuTTY-User-Key-File") {
        NotOpenSsh::Putty
    } else if PublicKey::from_line(text).is_ok() {
        NotOpenSsh::PublicHalf
    } else {
        NotOpenSsh::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN a@b\n";
        let cases: [(&[u8], NotOpenSsh); 9] = [
            (b"", NotOpenSsh::Empty),
            (b"\n", NotOpenSsh::Empty),
            (public.as_bytes(), NotOpenSsh::PublicHalf),
            (b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", NotOpenSsh::Pkcs8),
            (b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", NotOpenSsh::OldPem),
            (b"PuTTY-User-Key-File-3: ssh-ed25519\n", NotOpenSsh::Putty),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n", NotOpenSsh::Damaged),
            (b"[default]\n", NotOpenSsh::Unknown),
            (&[0xff; 10], NotOpenSsh::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(KeyFile::parse(bytes), KeyFile::Other(expected), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(KeyFile::parse(&[b'a'; LONGEST_KEY_FILE + 1]), KeyFile::Other(NotOpenSsh::TooLong));
    }
}
