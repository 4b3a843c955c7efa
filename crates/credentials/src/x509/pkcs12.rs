//! PKCS#12 (`.p12`, `.pfx`): keys and certificates in one sealed file. RFC 7292, the forms that OpenSSL, Java and Windows write.

use hmac::Hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{
    certificate::Certificate,
    contents::{Contents, encrypted_pkcs8},
    der::{OCTET_STRING, OID, Reader, SEQUENCE, context},
    encryption::{Hash, decrypt, mac_key, wrong_password},
    flaw::Flaw,
    key::PrivateKey,
};

const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
/// `pkcs-12BagTypes`; the last byte says which.
const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
const MOST_ITERATIONS: u32 = 10_000_000;
/// Safes may hold safes; nobody nests them.
const DEEPEST: usize = 4;

/// Whether `der` begins as a PKCS#12 file does.
pub(super) fn is_pkcs12(der: &[u8]) -> bool {
    let begins = || {
        let mut file = Reader::sequence_of(der)?;
        file.number().filter(|version| *version == 3)?;
        file.sequence()?.oid().filter(|id| *id == DATA)
    };
    begins().is_some()
}

/// Keys and certificates of the file.
pub(super) fn read(der: &[u8], password: &str) -> Result<Contents, Flaw> {
    let open = || {
        let mut file = Reader::sequence_of(der)?;
        file.number()?;
        let mut info = file.sequence()?;
        info.oid()?;
        let safes = Reader::new(info.next(context(0))?.content).octets()?;
        Some((safes, file.sequence()))
    };
    let (safes, seal) = open().ok_or_else(broken)?;
    if let Some(seal) = seal {
        check_seal(seal, safes, password)?;
    }
    let mut contents = Contents::default();
    let mut infos = Reader::sequence_of(safes).ok_or_else(broken)?;
    while let Some(info) = infos.sequence() {
        let safe = open_safe(info, password)?;
        read_safe(&safe, password, DEEPEST, &mut contents)?;
    }
    Ok(contents)
}

/// The seal tells a wrong password from a broken file. One of a kind that we do not know is passed over: the decryption
/// fails then.
fn check_seal(mut seal: Reader<'_>, sealed: &[u8], password: &str) -> Result<(), Flaw> {
    let mut read = || {
        let mut digest = seal.sequence()?;
        let hash = hash(digest.sequence()?.oid()?);
        let (expected, salt) = (digest.octets()?, seal.octets()?);
        Some((hash, expected, salt, seal.number().unwrap_or(1)))
    };
    let (hash, expected, salt, iterations) = read().ok_or_else(broken)?;
    let Some(hash) = hash else { return Ok(()) };
    if !(1..=MOST_ITERATIONS).contains(&iterations) {
        return Err(broken());
    }
    let key = mac_key(hash, password, salt, iterations);
    let good = match hash {
        Hash::Sha1 => seals::<Hmac<Sha1>>(&key, sealed, expected),
        Hash::Sha256 => seals::<Hmac<Sha256>>(&key, sealed, expected),
        Hash::Sha384 => seals::<Hmac<Sha384>>(&key, sealed, expected),
        Hash::Sha512 => seals::<Hmac<Sha512>>(&key, sealed, expected),
    };
    if good { Ok(()) } else { Err(wrong_password()) }
}

fn seals<M: hmac::Mac + hmac::KeyInit>(key: &[u8], sealed: &[u8], expected: &[u8]) -> bool {
    let Ok(mut mac) = <M as hmac::KeyInit>::new_from_slice(key) else { return false };
    mac.update(sealed);
    mac.verify_slice(expected).is_ok()
}

fn hash(oid: &[u8]) -> Option<Hash> {
    match oid {
        [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Some(Hash::Sha1),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Some(Hash::Sha256),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Some(Hash::Sha384),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Some(Hash::Sha512),
        _ => None,
    }
}

fn open_safe(mut info: Reader<'_>, password: &str) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut open = || {
        let id = info.oid()?;
        Some((id, Reader::new(info.next(context(0))?.content)))
    };
    let (id, mut content) = open().ok_or_else(broken)?;
    if id == DATA {
        return content.octets().map(|plain| Zeroizing::new(plain.to_vec())).ok_or_else(broken);
    }
    if id != ENCRYPTED_DATA {
        return Err(Flaw::new("is sealed for a public key, not with a password", "export it with a password"));
    }
    let mut parts = || {
        let mut data = content.sequence()?;
        data.number()?;
        let mut encrypted = data.sequence()?;
        encrypted.next(OID)?;
        Some((encrypted.next(SEQUENCE)?.whole, encrypted.next(0x80)?.content))
    };
    let (algorithm, data) = parts().ok_or_else(broken)?;
    decrypt(algorithm, data, password)
}

fn read_safe(safe: &[u8], password: &str, depth: usize, contents: &mut Contents) -> Result<(), Flaw> {
    let mut bags = Reader::sequence_of(safe).filter(|_| depth > 0).ok_or_else(broken)?;
    while let Some(mut bag) = bags.sequence() {
        let id = bag.oid().ok_or_else(broken)?;
        let value = bag.next(context(0)).ok_or_else(broken)?.content;
        match id.strip_prefix(BAG) {
            Some([1]) => contents.keys.push(PrivateKey::pkcs8(value)?),
            Some([2]) => contents.keys.push(encrypted_pkcs8(value, Some(password))?),
            Some([3]) => {
                let certificate = certificate(value).ok_or_else(broken)?;
                contents.certificates.push(certificate);
            }
            Some([6]) => read_safe(value, password, depth - 1, contents)?,
            _ => {}
        }
    }
    Ok(())
}

fn certificate(bag: &[u8]) -> Option<Certificate> {
    let mut bag = Reader::sequence_of(bag)?;
    bag.next(OID)?;
    Certificate::parse(Reader::new(bag.next(context(0))?.content).next(OCTET_STRING)?.content)
}

fn broken() -> Flaw {
    Flaw::new("is a PKCS#12 file that cannot be read", "look what `openssl pkcs12 -in FILE -info -noout` says")
}
