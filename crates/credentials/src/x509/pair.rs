//! A private key and its certificate, checked against each other and ready to sign.

use std::{fs, io, path::Path, time::Duration};

use bowline_aws::rolesanywhere::{Algorithm, Signer};
use bowline_awsfiles::RolesAnywhere;
use bowline_base::{Fault, Kind, Secret, Timestamp};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::certificate::Life;

use super::{
    certificate::Certificate,
    chain,
    contents::{self, Contents},
    flaw::Flaw,
    key::SigningKey,
};

/// A key and its certificate.
pub(crate) struct Pair {
    key: SigningKey,
    certificate: Certificate,
    serial: String,
    chain: Vec<Vec<u8>>,
}

/// The bytes of the files of an identity at one moment.
pub(crate) struct Files {
    certificate: Vec<u8>,
    intermediates: Option<Vec<u8>>,
    key: Option<Zeroizing<Vec<u8>>>,
    /// Of all that a pair is made of: the same digest is the same pair.
    pub(crate) digest: [u8; 32],
}

/// Why there is no pair.
#[derive(Debug)]
pub(crate) enum NoPair {
    /// Key and certificate are of two pairs: somebody may be renewing them at this moment.
    Mismatch(Fault),
    /// Waiting does not help.
    Fault(Fault),
}

impl From<NoPair> for Fault {
    fn from(why: NoPair) -> Self {
        match why {
            NoPair::Mismatch(fault) | NoPair::Fault(fault) => fault,
        }
    }
}

/// A file of this kind is a few kilobytes.
const LONGEST_FILE: u64 = 1 << 20;

impl Files {
    /// Reads them all.
    pub(crate) fn read(identity: &RolesAnywhere, password: Option<&Secret>) -> Result<Self, Fault> {
        let certificate = read(&identity.certificate)?;
        let intermediates = identity.intermediates.as_deref().map(read).transpose()?;
        let key = identity.private_key.as_deref().map(read).transpose()?.map(Zeroizing::new);
        let mut digest = Sha256::new();
        let password = password.map(|password| Sha256::digest(password.expose()).to_vec());
        let parts = [Some(&certificate), intermediates.as_ref(), key.as_deref(), password.as_ref()];
        for part in parts.into_iter().map(|part| part.map_or(&[][..], Vec::as_slice)) {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        Ok(Self { certificate, intermediates, key, digest: digest.finalize().into() })
    }

    /// Puts key and certificate together and looks whether AWS can take them.
    pub(crate) fn pair(
        &self,
        identity: &RolesAnywhere,
        password: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Pair, NoPair> {
        match self.look(identity, password, now)? {
            (pair, None) => Ok(pair),
            (_, Some(flaw)) => Err(NoPair::Fault(flaw)),
        }
    }

    /// As [`Files::pair`]; for what AWS would not take, the pair and why.
    pub(crate) fn look(
        &self,
        identity: &RolesAnywhere,
        password: Option<&Secret>,
        now: Timestamp,
    ) -> Result<(Pair, Option<Fault>), NoPair> {
        let password = password.map(Secret::expose);
        let parse =
            |bytes: &[u8], path: &Path| contents::read(bytes, password).map_err(|flaw| NoPair::Fault(flaw.of(path)));
        let mut all = parse(&self.certificate, &identity.certificate)?;
        if let Some((bytes, path)) = self.key.as_deref().zip(identity.private_key.as_deref()) {
            all.keys = parse(bytes, path)?.keys;
        }
        let key_path = identity.private_key.as_deref().unwrap_or(&identity.certificate);
        if let Some((bytes, path)) = self.intermediates.as_deref().zip(identity.intermediates.as_deref()) {
            all.certificates.extend(parse(bytes, path)?.certificates);
        }
        found(&all, &identity.certificate, key_path, now)
    }
}

/// The pair whatever AWS thinks of it, and what AWS would think.
fn found(
    all: &Contents,
    certificate_path: &Path,
    key_path: &Path,
    now: Timestamp,
) -> Result<(Pair, Option<Fault>), NoPair> {
    let wrong = |path: &Path, flaw: &Flaw| NoPair::Fault(flaw.of(path));
    if all.certificates.is_empty() {
        let flaw = Flaw::new("holds no certificate", "put the certificate (`-----BEGIN CERTIFICATE-----`) into `FILE`");
        return Err(wrong(certificate_path, &flaw));
    }
    if all.keys.is_empty() {
        let flaw = Flaw::new("holds no private key", "point `private-key` at the file with the key");
        return Err(wrong(key_path, &flaw));
    }
    let found = chain::leaf(&all.keys, &all.certificates, now).map_err(|flaw| wrong(key_path, &flaw))?;
    let Some((key, certificate)) = found else {
        return Err(NoPair::Mismatch(mismatch(certificate_path, key_path)));
    };
    let flaw = certificate.flaw(now).map(|flaw| flaw.of(certificate_path));
    let chain = chain::above(certificate, &all.certificates, now);
    Ok((Pair { key, serial: certificate.serial(), certificate: certificate.clone(), chain }, flaw))
}

fn mismatch(certificate: &Path, key: &Path) -> Fault {
    let (certificate, key) = (certificate.display(), key.display());
    let message = format!("the key in `{key}` does not belong to the certificate in `{certificate}`");
    Fault::new(Kind::Config, "x509", message)
        .hint(format!("compare `openssl pkey -in {key} -pubout` with `openssl x509 -in {certificate} -noout -pubkey`"))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let refused = |cause: io::Error| {
        let fault = Fault::new(Kind::Config, "x509", format!("cannot read `{}`", path.display())).cause(cause);
        fault.hint(format!("see that the file is there and readable for this user: `ls -l {}`", path.display()))
    };
    if fs::metadata(path).map_err(refused)?.len() > LONGEST_FILE {
        let flaw = Flaw::new("is too long for a key or certificate file", "point at the right file");
        return Err(flaw.of(path));
    }
    fs::read(path).map_err(refused)
}

impl Pair {
    /// From when the certificate is good.
    pub(crate) fn begins(&self) -> Timestamp {
        self.certificate.not_before
    }

    /// When the first of the certificates above it ends; `None` where there is none.
    pub(crate) fn chain_ends(&self) -> Option<Timestamp> {
        self.chain.iter().filter_map(|der| Certificate::parse(der)).map(|above| above.not_after).min()
    }

    /// When the certificate ends.
    pub(crate) fn ends(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// How long the certificate lasts, once less than a third of its life is left.
    pub(crate) fn ends_soon(&self, now: Timestamp) -> Option<Duration> {
        let life = Life::of(self.begins(), self.ends(), now);
        matches!(life, Life::Ending | Life::Ended)
            .then(|| Duration::try_from(self.ends().duration_since(now)).unwrap_or_default())
    }

    /// Whether the certificate can still be used.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.certificate.is_valid(now)
    }
}

impl Signer for Pair {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn certificate(&self) -> &[u8] {
        &self.certificate.der
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn serial(&self) -> &str {
        &self.serial
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        self.key.sign(message).ok_or_else(|| Fault::new(Kind::Bug, "x509", "the private key could not sign"))
    }
}
