//! Opens a profile's two values together: what one of them does tells why the other did not.

use base::Secret;
use bowline_base as base;

use super::{Cause, LONGEST, NONCE, NotOpened, PREFIX, Scheme, TAG, cause::LineEnds, is_sealed, key};
use crate::{
    lenient_base64,
    profile::Field,
    ssh::{KeyFile, LONGEST_KEY_FILE, NotOpenSsh},
};

/// A profile's two values as they stand in the file; either may be plaintext.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// For messages.
    pub profile: &'a str,
    /// `aws_access_key_id`.
    pub key_id: &'a str,
    /// `aws_secret_access_key`.
    pub secret_key: &'a str,
}

/// Both values, opened.
#[derive(Debug)]
pub struct OpenedPair {
    /// `AKIA…`
    pub key_id: Secret,
    /// The secret access key.
    pub secret_key: Secret,
    /// How the secret key was sealed; `None` if it was plaintext.
    pub scheme: Option<Scheme>,
}

/// One value after every scheme was tried.
enum Tried {
    Plain(Secret),
    Opened(Secret, Scheme),
    Closed(Cause),
}

/// Opens both values with the bytes of `key_file`, trying v1, then the older scheme.
///
/// # Errors
/// [`NotOpened`] names the field and the likely cause. It holds nothing of the plaintext.
pub fn open_pair(pair: Pair<'_>, key_file: &[u8]) -> Result<OpenedPair, NotOpened> {
    let values = [(Field::KeyId, pair.key_id), (Field::SecretKey, pair.secret_key)];
    let tried = values.map(|(field, value)| attempt(field, value, key_file));
    let any_opened = tried.iter().any(|tried| matches!(tried, Tried::Opened(..)));
    let mut opened = Vec::with_capacity(2);
    for ((field, value), tried) in values.into_iter().zip(tried) {
        match tried {
            Tried::Plain(secret) => opened.push((secret, None)),
            Tried::Opened(secret, scheme) => opened.push((secret, Some(scheme))),
            Tried::Closed(first) => {
                let cause = if any_opened { first } else { about_the_key(value, key_file).unwrap_or(first) };
                return Err(NotOpened { profile: pair.profile.to_owned(), field, cause });
            }
        }
    }
    let [(key_id, _), (secret_key, scheme)] =
        <[_; 2]>::try_from(opened).expect("two values were tried and neither failed");
    check_shapes(pair, &key_id, &secret_key)?;
    Ok(OpenedPair { key_id, secret_key, scheme })
}

/// One sealed value, opened; `None` where these are not the bytes that it was sealed with.
#[must_use]
pub fn open_value(value: &Secret, key_file: &[u8]) -> Option<Secret> {
    match attempt(Field::SecretKey, value.expose(), key_file) {
        Tried::Plain(secret) | Tried::Opened(secret, _) => Some(secret),
        Tried::Closed(_) => None,
    }
}

/// The first of several key files that opens a sealed value: tells somebody which of their keys it was.
#[must_use]
pub fn which_opens<'a, K>(value: &str, key_files: impl IntoIterator<Item = (K, &'a [u8])>) -> Option<K> {
    let payload = payload(value).ok()?;
    key_files.into_iter().find(|(_, file)| opens(&payload, file)).map(|(name, _)| name)
}

fn attempt(field: Field, value: &str, key_file: &[u8]) -> Tried {
    if !is_sealed(value) {
        return Tried::Plain(Secret::new(value));
    }
    let payload = match payload(value) {
        Ok(payload) => payload,
        Err(cause) => return Tried::Closed(cause),
    };
    for scheme in [Scheme::V1, Scheme::Saltless] {
        if let Some(bytes) = key::open(&payload, key_file, scheme) {
            let text = std::str::from_utf8(&bytes).map(Secret::new);
            return text.map_or(Tried::Closed(Cause::NotAKeyOfAws), |text| Tried::Opened(text, scheme));
        }
    }
    let cut = field == Field::SecretKey && payload.len() < NONCE + 40 + TAG || payload.len() < NONCE + 16 + TAG;
    Tried::Closed(if cut { Cause::Cut } else { Cause::Altered })
}

fn payload(value: &str) -> Result<Vec<u8>, Cause> {
    let text = value.strip_prefix(PREFIX).filter(|text| text.len() <= LONGEST).ok_or(Cause::Foreign)?;
    let payload = lenient_base64::decode(text).map_err(|error| match error {
        lenient_base64::NotBase64::Incomplete => Cause::Cut,
        lenient_base64::NotBase64::Foreign => Cause::Foreign,
    })?;
    // An empty plaintext can be written and not be read: so it is with the peer.
    if payload.len() > NONCE + TAG { Ok(payload) } else { Err(Cause::Cut) }
}

fn opens(payload: &[u8], key_file: &[u8]) -> bool {
    [Scheme::V1, Scheme::Saltless].into_iter().any(|scheme| key::open(payload, key_file, scheme).is_some())
}

/// What is wrong with the key file, if it explains why nothing opened. A value that is cut anyway explains itself.
fn about_the_key(value: &str, key_file: &[u8]) -> Option<Cause> {
    let payload = payload(value).ok()?;
    if key_file.len() > LONGEST_KEY_FILE {
        return Some(Cause::NotAKey(NotOpenSsh::TooLong));
    }
    let changed = variants(key_file).into_iter().find(|(_, bytes)| opens(&payload, bytes));
    if let Some((ends, _)) = changed {
        return Some(Cause::LineEnds(ends));
    }
    match KeyFile::parse(key_file) {
        KeyFile::Other(what) => Some(Cause::NotAKey(what)),
        KeyFile::OpenSsh(header) if !header.is_protected() => Some(Cause::PassphraseRemoved),
        KeyFile::OpenSsh(_) => (payload.len() >= NONCE + 16 + TAG).then_some(Cause::OtherKey),
    }
}

/// The key file as it was before somebody's editor or git touched its line ends.
fn variants(key_file: &[u8]) -> Vec<(LineEnds, Vec<u8>)> {
    let mut lf = Vec::with_capacity(key_file.len());
    let mut crlf = Vec::with_capacity(key_file.len() + key_file.len() / 32);
    let bare: Vec<&[u8]> =
        key_file.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    for (index, line) in bare.iter().enumerate() {
        if index > 0 {
            lf.push(b'\n');
            crlf.extend_from_slice(b"\r\n");
        }
        lf.extend_from_slice(line);
        crlf.extend_from_slice(line);
    }
    let mut variants = Vec::with_capacity(4);
    variants.push((LineEnds::LastLost, [key_file, b"\n"].concat()));
    variants.extend(key_file.strip_suffix(b"\n").map(|less| (LineEnds::LastAdded, less.to_vec())));
    variants.push((LineEnds::ToCrLf, lf));
    variants.push((LineEnds::ToLf, crlf));
    variants
}

/// A value that opened in the wrong place: the envelope does not say which field it belongs to, its text does.
fn check_shapes(pair: Pair<'_>, key_id: &Secret, secret_key: &Secret) -> Result<(), NotOpened> {
    let not = |field, cause| Err(NotOpened { profile: pair.profile.to_owned(), field, cause });
    for (field, value, opened) in [(Field::KeyId, pair.key_id, key_id), (Field::SecretKey, pair.secret_key, secret_key)]
    {
        if is_sealed(value) && opened.expose().chars().any(|c| c.is_control() || c.is_whitespace()) {
            return not(field, Cause::NotAKeyOfAws);
        }
    }
    if is_sealed(pair.key_id) && looks_like_a_secret_key(key_id.expose()) {
        return not(Field::KeyId, Cause::Swapped);
    }
    if is_sealed(pair.secret_key) && looks_like_a_key_id(secret_key.expose()) {
        return not(Field::SecretKey, Cause::Swapped);
    }
    Ok(())
}

/// Secret keys are 40 characters of base64; a key id is upper case and digits.
fn looks_like_a_secret_key(text: &str) -> bool {
    let upper = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    text.len() == 40 && !upper
}

fn looks_like_a_key_id(text: &str) -> bool {
    let upper = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (text.starts_with("AKIA") || text.starts_with("ASIA")) && text.len() < 40 && upper
}
