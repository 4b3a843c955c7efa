//! What opens the store: an SSH key file, the recovery key, the passphrase, or ssh-agent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use age::secrecy::{ExposeSecret as _, SecretString};
use base::Secret;
use bowline_base as base;

use super::{age_file, error::StoreError, recipients::Recipient};
use crate::{
    agent::{AgentIdentity, Signer},
    ssh::{Header, KeyFile, KeyKind, NotOpenSsh},
};

const PASSPHRASE_FILE: &str = "`passphrase.age`";
/// The age library reads these; OpenSSH can also write `chacha20-poly1305@openssh.com`.
const CIPHERS: [&str; 6] = ["none", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes256-gcm@openssh.com"];
/// ssh-keygen takes 16 or 24; 1024 take some ten seconds.
const MOST_ROUNDS: u32 = 1024;

/// A private key, ready to open the store with.
pub struct Unlocked(Box<dyn age::Identity>);

impl Unlocked {
    /// Takes the bytes of an SSH key file and, if it is protected, its passphrase.
    ///
    /// # Errors
    /// [`StoreError`]: which passphrase, cipher or kind is the matter.
    pub fn ssh_key(file: &[u8], passphrase: Option<&Secret>) -> Result<Self, StoreError> {
        let header = match KeyFile::parse(file) {
            KeyFile::OpenSsh(header) => header,
            KeyFile::Other(what) => return Err(StoreError::KeyFile(what)),
        };
        check(&header, passphrase)?;
        // The library's reader of numbers panics on some that no key has; a damaged file must not end a daemon.
        catch_unwind(AssertUnwindSafe(|| read_ssh_key(file, passphrase)))
            .unwrap_or(Err(StoreError::KeyFile(NotOpenSsh::Damaged)))
    }

    /// Takes the recovery key.
    #[must_use]
    pub fn recovery(key: &RecoveryKey) -> Self {
        Self(Box::new(key.0.clone()))
    }

    /// Opens `passphrase.age` with its passphrase.
    ///
    /// # Errors
    /// [`StoreError::WrongPassphrase`], or what is the matter with the file.
    pub fn passphrase(file: &[u8], passphrase: &Secret) -> Result<Self, StoreError> {
        let text = age_file::open_with_passphrase(PASSPHRASE_FILE, file, SecretString::from(passphrase.expose()))?;
        let text = std::str::from_utf8(&text).map_err(|_| StoreError::NotARecoveryKey)?;
        RecoveryKey::parse(&Secret::new(text)).map(|key| Self(Box::new(key.0)))
    }

    /// Opens through whoever signs with the keys of an ssh-agent. Experimental.
    #[must_use]
    pub fn agent(signer: Box<dyn Signer>) -> Self {
        Self(Box::new(AgentIdentity::new(signer)))
    }

    pub(super) fn for_age(&self) -> &dyn age::Identity {
        &*self.0
    }
}

/// A key made for opening the store when every other way is lost. It is shown once and kept on paper.
pub struct RecoveryKey(age::x25519::Identity);

impl RecoveryKey {
    /// Makes a new one; the randomness is the age library's.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// Reads one: `AGE-SECRET-KEY-1…` on a line, other lines being comments.
    ///
    /// # Errors
    /// [`StoreError::NotARecoveryKey`]
    pub fn parse(text: &Secret) -> Result<Self, StoreError> {
        let mut lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(StoreError::NotARecoveryKey) };
        line.parse().map(Self).map_err(|_| StoreError::NotARecoveryKey)
    }

    /// `AGE-SECRET-KEY-1…`, to be shown once.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::new(self.0.to_string().expose_secret())
    }

    /// Its public half, as a recipient.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient::Recovery { public: self.public() }
    }

    fn public(&self) -> String {
        self.0.to_public().to_string()
    }
}

/// A passphrase as a recipient. age lets a passphrase be the only recipient of a file and no other, so it protects a
/// key instead, and the key is the recipient: what `age-keygen | age -p` makes.
pub struct Passphrase {
    /// For the list of recipients.
    pub recipient: Recipient,
    /// The contents of `passphrase.age`.
    pub file: Vec<u8>,
}

impl Passphrase {
    /// Makes a key and protects it with 2^`work` rounds of scrypt; age's own measure is 18.
    #[must_use]
    pub fn new(passphrase: &Secret, work: u8) -> Self {
        let key = RecoveryKey::generate();
        let public = key.public();
        let text = Secret::new(format!("# public key: {public}\n{}\n", key.secret().expose()));
        let file =
            age_file::seal_with_passphrase(text.expose().as_bytes(), SecretString::from(passphrase.expose()), work);
        Self { recipient: Recipient::Passphrase { public }, file }
    }
}

/// Everything that can be known without the passphrase, so that nobody is asked for one in vain.
fn check(header: &Header, passphrase: Option<&Secret>) -> Result<(), StoreError> {
    match header.public.kind() {
        KeyKind::Ed25519 | KeyKind::Rsa { .. } => {}
        other => return Err(StoreError::KeyKind(other.clone())),
    }
    if !CIPHERS.contains(&header.cipher.as_str()) {
        return Err(StoreError::Cipher(header.cipher.clone()));
    }
    if let Some(rounds) = header.rounds.filter(|rounds| *rounds > MOST_ROUNDS) {
        return Err(StoreError::Rounds(rounds));
    }
    if header.is_protected() && passphrase.is_none_or(|passphrase| passphrase.expose().is_empty()) {
        return Err(StoreError::PassphraseNeeded);
    }
    Ok(())
}

fn read_ssh_key(file: &[u8], passphrase: Option<&Secret>) -> Result<Unlocked, StoreError> {
    let damaged = || StoreError::KeyFile(NotOpenSsh::Damaged);
    match age::ssh::Identity::from_buffer(file, None).map_err(|_| damaged())? {
        age::ssh::Identity::Encrypted(key) => {
            let passphrase = passphrase.ok_or(StoreError::PassphraseNeeded)?;
            let key = key.decrypt(SecretString::from(passphrase.expose())).map_err(|_| StoreError::WrongPassphrase)?;
            Ok(Unlocked(Box::new(age::ssh::Identity::from(key))))
        }
        key @ age::ssh::Identity::Unencrypted(_) => Ok(Unlocked(Box::new(key))),
        age::ssh::Identity::Unsupported(_) => Err(damaged()),
    }
}
