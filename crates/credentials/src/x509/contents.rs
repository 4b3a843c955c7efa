//! What a key or certificate file holds, whatever its form: PEM, DER or PKCS#12.

use super::{
    certificate::Certificate,
    der::{OID, Reader, SEQUENCE},
    encryption::{decrypt, wrong_password},
    flaw::Flaw,
    key::PrivateKey,
    pem, pkcs12,
};

/// Keys and certificates, in the file's order.
#[derive(Default)]
pub(crate) struct Contents {
    pub(super) keys: Vec<PrivateKey>,
    pub(super) certificates: Vec<Certificate>,
}

/// Reads a whole file; `password` is used where something is encrypted.
pub(crate) fn read(bytes: &[u8], password: Option<&str>) -> Result<Contents, Flaw> {
    if bytes.first() == Some(&SEQUENCE) {
        return of_der(bytes, password);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut contents = Contents::default();
    for block in pem::blocks(&text)? {
        add(&mut contents, &block, password)?;
    }
    if contents.keys.is_empty() && contents.certificates.is_empty() {
        return Err(Flaw::new(
            "holds neither a key nor a certificate",
            "put PEM (`-----BEGIN …`) or PKCS#12 into `FILE`",
        ));
    }
    Ok(contents)
}

fn add(contents: &mut Contents, block: &pem::Block, password: Option<&str>) -> Result<(), Flaw> {
    if block.old_encryption {
        return Err(Flaw::new(
            "is encrypted in OpenSSL's old form (`Proc-Type: 4,ENCRYPTED`), which is not read",
            "convert it: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`",
        ));
    }
    match block.label.as_str() {
        "RSA PRIVATE KEY" => contents.keys.push(PrivateKey::pkcs1(&block.der)),
        "EC PRIVATE KEY" => contents.keys.push(PrivateKey::sec1(&block.der, None)?),
        "PRIVATE KEY" => contents.keys.push(PrivateKey::pkcs8(&block.der)?),
        "TSS2 PRIVATE KEY" => {
            return Err(Flaw::new("holds the key of a TPM, which Bowline cannot use", "point at a key that is a file"));
        }
        "ENCRYPTED PRIVATE KEY" => contents.keys.push(encrypted_pkcs8(&block.der, password)?),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            contents.certificates.push(Certificate::parse(&block.der).ok_or_else(no_certificate)?);
        }
        // EC PARAMETERS, DH PARAMETERS, requests: nothing that we need.
        _ => {}
    }
    Ok(())
}

/// `EncryptedPrivateKeyInfo`.
pub(super) fn encrypted_pkcs8(der: &[u8], password: Option<&str>) -> Result<PrivateKey, Flaw> {
    let open = || {
        let mut info = Reader::sequence_of(der)?;
        Some((info.next(SEQUENCE)?.whole, info.octets()?))
    };
    let cut = || Flaw::new("holds an encrypted key that cannot be read", "copy the file again, whole");
    let (algorithm, data) = open().ok_or_else(cut)?;
    let password = password.ok_or_else(no_password)?;
    let plain = decrypt(algorithm, data, password)?;
    // A wrong password gives good padding once in 256 times, and then no sequence.
    if Reader::sequence_of(&plain).is_none() {
        return Err(wrong_password());
    }
    PrivateKey::pkcs8(&plain)
}

fn of_der(der: &[u8], password: Option<&str>) -> Result<Contents, Flaw> {
    if pkcs12::is_pkcs12(der) {
        // Without a password means the empty one, with which many files are made.
        return pkcs12::read(der, password.unwrap_or_default());
    }
    if let Some(certificate) = Certificate::parse(der) {
        return Ok(Contents { keys: Vec::new(), certificates: vec![certificate] });
    }
    let is_encrypted = Reader::sequence_of(der).and_then(|mut info| info.sequence()?.next(OID)).is_some();
    let key = if is_encrypted {
        encrypted_pkcs8(der, password)?
    } else {
        PrivateKey::pkcs8(der).or_else(|flaw| PrivateKey::sec1(der, None).map_err(|_| flaw))?
    };
    Ok(Contents { keys: vec![key], certificates: Vec::new() })
}

fn no_password() -> Flaw {
    let fix = "add `password = { file = \"…\" }` or `{ env = \"…\" }` to the identity, or `--pkcs8-password-file`";
    Flaw::new("is encrypted and there is no password for it", fix)
}

fn no_certificate() -> Flaw {
    Flaw::new("holds a certificate that cannot be read", "look what `openssl x509 -in FILE -noout -text` says")
}
