//! A certificate, as far as Roles Anywhere cares: whose it is, how long it is good, what its key may do.

use bowline_base::{Timestamp, utc};

use super::{
    der::{BIT_STRING, INTEGER, OCTET_STRING, Reader, SEQUENCE, context},
    flaw::Flaw,
    key::{self, Curve},
};

/// A parsed certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(super) der: Vec<u8>,
    serial: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) public_key: PublicKey,
    signature_algorithm: Vec<u8>,
    v3: bool,
    ca: bool,
    /// The first byte of the key usage bits; `None` without that extension.
    usage: Option<u8>,
}

/// The key that a certificate speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// The DER of `RSAPublicKey`.
    Rsa(Vec<u8>),
    /// An uncompressed point.
    Ec(Curve, Vec<u8>),
    Other,
}

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const DIGITAL_SIGNATURE: u8 = 0x80;

/// MD2, MD5 and SHA-1 signatures, which AWS refuses.
const WEAK: [(&[u8], &str); 4] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02], "MD2"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], "MD5"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], "SHA-1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], "SHA-1"),
];

impl Certificate {
    /// `None`: this is no certificate.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let mut outer = Reader::sequence_of(der)?;
        let mut tbs = outer.sequence()?;
        let version = tbs.next(context(0)).and_then(|version| Reader::new(version.content).number()).unwrap_or(0);
        let serial = tbs.next(INTEGER)?.content.to_vec();
        let signature_algorithm = tbs.sequence()?.oid()?.to_vec();
        let issuer = tbs.next(SEQUENCE)?.whole.to_vec();
        let mut validity = tbs.sequence()?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = tbs.next(SEQUENCE)?.whole.to_vec();
        let public_key = public_key(tbs.sequence()?)?;
        let Extensions { ca, usage } = extensions(tbs)?;
        let (v3, der) = (version == 2, der.to_vec());
        Some(Self {
            der,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            signature_algorithm,
            v3,
            ca,
            usage,
        })
    }

    /// The serial number in decimal digits, however long it is.
    pub(crate) fn serial(&self) -> String {
        let mut digits: Vec<u8> = vec![0];
        for byte in &self.serial {
            let mut carry = u32::from(*byte);
            for digit in &mut digits {
                carry += u32::from(*digit) << 8;
                *digit = u8::try_from(carry % 10).expect("a remainder of ten is one digit");
                carry /= 10;
            }
            while carry > 0 {
                digits.push(u8::try_from(carry % 10).expect("a remainder of ten is one digit"));
                carry /= 10;
            }
        }
        digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
    }

    /// It is signed by its own key, as far as the names say.
    pub(super) fn is_root(&self) -> bool {
        self.issuer == self.subject
    }

    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Why AWS would refuse it as the certificate of a workload, as far as that can be seen from here.
    pub(super) fn flaw(&self, now: Timestamp) -> Option<Flaw> {
        let reissue = |what: &str| format!("issue the certificate of `FILE` anew, {what}");
        if now > self.not_after {
            let what = format!("has a certificate that ended {}", utc(self.not_after));
            return Some(Flaw::new(what, "renew the certificate in `FILE`"));
        }
        if now < self.not_before {
            let what = format!("has a certificate that begins {}", utc(self.not_before));
            return Some(Flaw::new(what, "compare this machine's clock with the right time: `timedatectl status`"));
        }
        if !self.v3 {
            return Some(Flaw::new("has a certificate that is not of version 3", reissue("with extensions")));
        }
        if self.ca {
            let what = "has the certificate of a CA (`CA:TRUE`), which is the trust anchor's and not a workload's";
            return Some(Flaw::new(
                what,
                "point `certificate` at one that this CA issued, with `basicConstraints=CA:FALSE`",
            ));
        }
        if self.usage.is_none_or(|usage| usage & DIGITAL_SIGNATURE == 0) {
            let what = "has a certificate whose key may not sign (`keyUsage` without `digitalSignature`)";
            return Some(Flaw::new(what, reissue("with `keyUsage=critical,digitalSignature`")));
        }
        let weak = WEAK.iter().find(|(oid, _)| *oid == self.signature_algorithm);
        if let Some((_, name)) = weak {
            let what = format!("has a certificate signed with {name}, which AWS refuses");
            return Some(Flaw::new(what, reissue("signed with SHA-256: `openssl x509 -req -sha256 …`")));
        }
        if self.public_key == PublicKey::Other {
            let what = "has a certificate whose key is neither RSA nor on P-256, P-384 or P-521";
            return Some(Flaw::new(what, reissue("with such a key")));
        }
        None
    }
}

/// What the extensions say that matters here.
#[derive(Default)]
struct Extensions {
    ca: bool,
    usage: Option<u8>,
}

/// Of the rest of the certificate, behind its public key.
fn extensions(mut rest: Reader<'_>) -> Option<Extensions> {
    let mut said = Extensions::default();
    while let Some(element) = rest.any() {
        if element.tag != context(3) {
            continue;
        }
        let mut extensions = Reader::sequence_of(element.content)?;
        while let Some(mut extension) = extensions.sequence() {
            let id = extension.oid()?;
            extension.next(0x01);
            let value = extension.next(OCTET_STRING)?.content;
            match id {
                BASIC_CONSTRAINTS => {
                    said.ca = Reader::sequence_of(value)?.next(0x01).is_some_and(|flag| flag.content != [0]);
                }
                KEY_USAGE => {
                    said.usage = Some(Reader::new(value).next(BIT_STRING)?.content.get(1).copied().unwrap_or(0));
                }
                _ => {}
            }
        }
    }
    Some(said)
}

fn public_key(mut info: Reader<'_>) -> Option<PublicKey> {
    let mut algorithm = info.sequence()?;
    let id = algorithm.oid()?;
    let bits = info.bits()?.to_vec();
    if id == key::RSA {
        return Some(PublicKey::Rsa(bits));
    }
    let curve = algorithm.oid().filter(|_| id == key::EC).and_then(Curve::of);
    Some(curve.map_or(PublicKey::Other, |curve| PublicKey::Ec(curve, bits)))
}
