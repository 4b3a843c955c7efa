//! Password-based encryption of keys: PBES2, and the two forms that old PKCS#12 files have.

use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit, block_padding::Pkcs7};
use pkcs5::EncryptionScheme;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{der::Reader, flaw::Flaw};

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// `pkcs-12PbeIds`; the last byte says which.
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];
/// What no honest file has, and what would keep us busy for minutes.
const MOST_ITERATIONS: u32 = 10_000_000;

/// Decrypts what `algorithm` (a whole `AlgorithmIdentifier`) describes.
pub(super) fn decrypt(algorithm: &[u8], data: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut parts = Reader::sequence_of(algorithm).ok_or_else(unknown)?;
    let id = parts.oid().ok_or_else(unknown)?;
    if id == PBES2 {
        let scheme = EncryptionScheme::try_from(algorithm).map_err(|_| unknown())?;
        return scheme.decrypt(password, data).map(Zeroizing::new).map_err(|_| wrong_password());
    }
    let form = id.strip_prefix(PKCS12_PBE).and_then(|rest| rest.first()).ok_or_else(unknown)?;
    let mut parameters = parts.sequence().ok_or_else(unknown)?;
    let (salt, iterations) = (parameters.octets(), parameters.number());
    let salt = salt.ok_or_else(unknown)?;
    let iterations = iterations.filter(|count| (1..=MOST_ITERATIONS).contains(count)).ok_or_else(unknown)?;
    let derive = |purpose, length| pkcs12_key::<Sha1>(64, purpose, length, password, salt, iterations);
    let iv = derive(Purpose::Iv, 8);
    match form {
        3 => cbc_decrypt::<cbc::Decryptor<des::TdesEde3>>(&derive(Purpose::Key, 24), &iv, data),
        4 => cbc_decrypt::<cbc::Decryptor<des::TdesEde2>>(&derive(Purpose::Key, 16), &iv, data),
        5 => rc2(&derive(Purpose::Key, 16), &iv, data),
        6 => rc2(&derive(Purpose::Key, 5), &iv, data),
        _ => Err(unknown()),
    }
}

/// What a PKCS#12 key is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// The key with which a PKCS#12 file is sealed.
pub(super) fn mac_key(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
    match hash {
        Hash::Sha1 => pkcs12_key::<Sha1>(64, Purpose::Mac, 20, password, salt, iterations),
        Hash::Sha256 => pkcs12_key::<Sha256>(64, Purpose::Mac, 32, password, salt, iterations),
        Hash::Sha384 => pkcs12_key::<Sha384>(128, Purpose::Mac, 48, password, salt, iterations),
        Hash::Sha512 => pkcs12_key::<Sha512>(128, Purpose::Mac, 64, password, salt, iterations),
    }
}

/// The hashes that seal PKCS#12 files.
#[derive(Clone, Copy)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// RFC 7292, appendix B.2; `block` is the hash's block size.
fn pkcs12_key<D: Digest>(
    block: usize,
    purpose: Purpose,
    length: usize,
    password: &str,
    salt: &[u8],
    iterations: u32,
) -> Zeroizing<Vec<u8>> {
    let text: Zeroizing<Vec<u8>> =
        Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect());
    let fill =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().cycle().take(bytes.len().div_ceil(block) * block).collect() };
    let mut input = Zeroizing::new([fill(salt), fill(&text)].concat());
    let mut key = Zeroizing::new(Vec::with_capacity(length + block));
    loop {
        let mut round = D::new();
        round.update(vec![purpose as u8; block]);
        round.update(&*input);
        let mut hash = round.finalize();
        for _ in 1..iterations {
            hash = D::digest(&hash);
        }
        key.extend_from_slice(&hash);
        if key.len() >= length {
            key.truncate(length);
            return key;
        }
        let addend: Vec<u8> = hash.iter().copied().cycle().take(block).collect();
        input.chunks_mut(block).for_each(|chunk| add_with_one(chunk, &addend));
    }
}

/// `chunk + addend + 1`, as big-endian numbers that wrap.
fn add_with_one(chunk: &mut [u8], addend: &[u8]) {
    let mut carry = 1_u16;
    for (byte, add) in chunk.iter_mut().zip(addend).rev() {
        let sum = u16::from(*byte) + u16::from(*add) + carry;
        *byte = sum.to_be_bytes()[1];
        carry = sum >> 8;
    }
}

fn cbc_decrypt<C: KeyIvInit + cbc::cipher::BlockModeDecrypt>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let cipher = C::new_from_slices(key, iv).map_err(|_| unknown())?;
    cipher.decrypt_padded_vec::<Pkcs7>(data).map(Zeroizing::new).map_err(|_| wrong_password())
}

/// RC2's effective key size is that of its key here, 40 or 128 bits.
fn rc2(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    use cbc::cipher::InnerIvInit as _;
    let cipher = rc2::Rc2::new_with_eff_key_len(key, key.len() * 8);
    let cipher = cbc::Decryptor::inner_iv_slice_init(cipher, iv).map_err(|_| unknown())?;
    cipher.decrypt_padded_vec::<Pkcs7>(data).map(Zeroizing::new).map_err(|_| wrong_password())
}

pub(super) fn wrong_password() -> Flaw {
    Flaw::new("cannot be decrypted: the password is wrong", "set `password` to the one that `FILE` was encrypted with")
}

fn unknown() -> Flaw {
    let fix = "encrypt it anew: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`, \
               or `openssl pkcs12 -export` for PKCS#12";
    Flaw::new("is encrypted in a way that is not known here", fix)
}
