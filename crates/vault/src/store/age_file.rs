//! age files as bytes: sealed to a list, opened with one key, nothing in them believed beyond its bounds.

use std::{
    cell::RefCell,
    collections::HashSet,
    io::{ErrorKind, Read as _},
};

use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use age_core::{
    format::{FILE_KEY_BYTES, FileKey, Stanza},
    secrecy::ExposeSecret as _,
};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use zeroize::Zeroizing;

use super::{error::StoreError, recipients::Recipients};
use crate::agent::AgentError;

/// The longest age file that is read: thousands of keys.
pub(super) const LONGEST: usize = 4 * 1024 * 1024;
/// The longest header: 64 recipients take 50 KiB at most.
const LONGEST_HEADER: usize = 128 * 1024;
/// 2^20 rounds of scrypt take a few seconds and 1 GiB; age itself writes 2^18.
const MOST_WORK: u8 = 20;
/// Of the payload, between header and first piece.
const NONCE: usize = 16;
const PIECE: usize = 64 * 1024;

pub(super) fn seal(plaintext: &[u8], recipients: &Recipients) -> Result<Vec<u8>, StoreError> {
    let recipients = recipients.for_age()?;
    let recipients: Vec<&dyn age::Recipient> = recipients.iter().map(|recipient| &**recipient).collect();
    write(&recipients, plaintext).map_err(|error| StoreError::NotARecipient(error.to_string()))
}

/// Seals with a passphrase, at 2^`work` rounds of scrypt: age's own use is 18.
pub(super) fn seal_with_passphrase(plaintext: &[u8], passphrase: age::secrecy::SecretString, work: u8) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(work.clamp(1, MOST_WORK));
    write(&[&recipient], plaintext).expect("a passphrase alone is always a good list")
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

/// The library writes the header, and this the payload: the library's writer leaves the plaintext behind in memory that
/// it does not wipe, which the search in `tests/it/memory.rs` found.
fn write(recipients: &[&dyn age::Recipient], plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
    let key = RefCell::new(Zeroizing::new([0; FILE_KEY_BYTES]));
    let taps: Vec<Tap<'_>> = recipients.iter().map(|recipient| Tap { recipient: *recipient, key: &key }).collect();
    let encryptor = Encryptor::with_recipients(taps.iter().map(|tap| tap as &dyn age::Recipient))?;
    let mut file = Vec::with_capacity(plaintext.len() + 4096);
    // Header and nonce are written here; the writer itself is not used.
    drop(encryptor.wrap_output(&mut file).map_err(EncryptError::Io)?);
    let prk = Salt::new(HKDF_SHA256, &file[file.len() - NONCE..]).extract(&**key.borrow());
    let okm = prk.expand(&[b"payload"], &CHACHA20_POLY1305).expect("32 bytes are well within HKDF's limit");
    append_payload(&mut file, &LessSafeKey::new(UnboundKey::from(okm)), plaintext);
    Ok(file)
}

/// age's payload: pieces of 64 KiB, their number and whether it is the last one in the nonce.
fn append_payload(file: &mut Vec<u8>, key: &LessSafeKey, plaintext: &[u8]) {
    let last = plaintext.len().saturating_sub(1) / PIECE;
    for number in 0..=last {
        let end = plaintext.len().min((number + 1) * PIECE);
        let mut piece = Zeroizing::new(plaintext[number * PIECE..end].to_vec());
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&(number as u64).to_be_bytes());
        nonce[11] = u8::from(number == last);
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut piece);
        file.extend_from_slice(&piece);
        file.extend_from_slice(tag.expect("64 KiB are not too long").as_ref());
    }
}

/// A recipient that also notes the file's key, which the payload's key comes from.
struct Tap<'a> {
    recipient: &'a dyn age::Recipient,
    key: &'a RefCell<Zeroizing<[u8; FILE_KEY_BYTES]>>,
}

impl age::Recipient for Tap<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        self.key.borrow_mut().copy_from_slice(file_key.expose_secret());
        self.recipient.wrap_file_key(file_key)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_every_awkward_length_are_what_the_library_reads() {
        let key = age::x25519::Identity::generate();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1] {
            let plaintext: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let file = write(&[&key.to_public()], &plaintext).unwrap();
            assert_eq!(*open("a file", &file, &key).unwrap(), plaintext, "{length}");
        }
    }
}
