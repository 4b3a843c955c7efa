//! age files as bytes: sealed to a list, opened with one key, nothing in them believed beyond its bounds.

use std::io::{ErrorKind, Read as _, Write as _};

use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use super::{error::StoreError, recipients::Recipients};
use crate::agent::AgentError;

/// The longest age file that is read: thousands of keys.
pub(super) const LONGEST: usize = 4 * 1024 * 1024;
/// The longest header: 64 recipients take 50 KiB at most.
const LONGEST_HEADER: usize = 128 * 1024;
/// 2^20 rounds of scrypt take a few seconds and 1 GiB; age itself writes 2^18.
const MOST_WORK: u8 = 20;

pub(super) fn seal(plaintext: &[u8], recipients: &Recipients) -> Result<Vec<u8>, StoreError> {
    let recipients = recipients.for_age()?;
    let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| &**recipient as &dyn age::Recipient))
        .map_err(|error| StoreError::NotARecipient(error.to_string()))?;
    Ok(write(encryptor, plaintext))
}

/// Seals with a passphrase, at 2^`work` rounds of scrypt: age's own use is 18.
pub(super) fn seal_with_passphrase(plaintext: &[u8], passphrase: age::secrecy::SecretString, work: u8) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(work.clamp(1, MOST_WORK));
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .expect("a passphrase alone is always a good list");
    write(encryptor, plaintext)
}

/// Opens a file that was sealed with a passphrase.
pub(super) fn open_with_passphrase(
    what: &'static str,
    file: &[u8],
    passphrase: age::secrecy::SecretString,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    open(what, file, &identity).map_err(|error| match error {
        StoreError::Altered(_) | StoreError::NotForThisKey(_) => StoreError::WrongPassphrase,
        other => other,
    })
}

/// The plaintext, in memory that is wiped.
pub(super) fn open(
    what: &'static str,
    file: &[u8],
    identity: &dyn age::Identity,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    check_bounds(what, file)?;
    let told = |error| tell(what, error);
    let mut reader = Decryptor::new_buffered(file).map_err(told)?.decrypt(std::iter::once(identity)).map_err(told)?;
    // The plaintext is shorter than the file, so this buffer never moves and leaves no copy behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(file.len()));
    reader.read_to_end(&mut plaintext).map_err(|error| tell(what, DecryptError::Io(error)))?;
    Ok(plaintext)
}

fn write(encryptor: Encryptor, plaintext: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(plaintext.len() + 4096);
    let mut writer = encryptor.wrap_output(&mut file).expect("writing to memory cannot fail");
    writer.write_all(plaintext).expect("writing to memory cannot fail");
    writer.finish().expect("writing to memory cannot fail");
    file
}

fn check_bounds(what: &'static str, file: &[u8]) -> Result<(), StoreError> {
    if file.len() > LONGEST {
        return Err(StoreError::TooLong(what));
    }
    if !file.starts_with(b"age-encryption.org/v1\n") {
        return Err(StoreError::NotAge(what));
    }
    let header = &file[..file.len().min(LONGEST_HEADER)];
    let ends = header.windows(5).any(|window| window == b"\n--- ");
    match (ends, file.len() > LONGEST_HEADER) {
        (true, _) => Ok(()),
        (false, true) => Err(StoreError::TooLong(what)),
        (false, false) => Err(StoreError::Cut(what)),
    }
}

fn tell(what: &'static str, error: DecryptError) -> StoreError {
    match error {
        DecryptError::NoMatchingKeys => StoreError::NotForThisKey(what),
        DecryptError::ExcessiveWork { required, .. } => StoreError::TooMuchWork { what, required, most: MOST_WORK },
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => StoreError::NotAge(what),
        DecryptError::InvalidMac | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            StoreError::Altered(what)
        }
        DecryptError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => StoreError::Cut(what),
        DecryptError::Io(error) => match error.into_inner().map(|inner| inner.downcast::<AgentError>()) {
            Some(Ok(agent)) => StoreError::Agent(*agent),
            _ => StoreError::Altered(what),
        },
        // The library may name further causes; none of them is a matter of the key.
        _ => StoreError::Altered(what),
    }
}
