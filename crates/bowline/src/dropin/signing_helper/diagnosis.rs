//! `read-certificate-data` and `sign-string`: what people compare when Roles Anywhere says no. Prints as AWS's tool does,
//! without a newline.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use bowline_base::Fault;
use bowline_credentials::x509;
use serde_json::{Value, json};

use super::{
    cli::{Digest, Format, ReadCertificateData, SignString},
    session,
};
use crate::output;

pub(super) fn read_certificate_data(arguments: &ReadCertificateData) -> Result<(), Fault> {
    session::refuse(&arguments.absent)?;
    let path = needed(arguments.certificate.as_deref(), "--certificate")?;
    output::data(&document(&x509::certificate_facts(&session::file(path)?)?).to_string())
}

pub(super) fn sign_string(arguments: &SignString) -> Result<(), Fault> {
    session::refuse(&arguments.absent)?;
    let path = arguments.private_key.as_deref().or(arguments.certificate.as_deref());
    let path = session::file(needed(path, "--private-key")?)?;
    let password =
        session::password(&arguments.password).map(|place| x509::password(&place, &BTreeMap::new())).transpose()?;
    let digest = match arguments.digest {
        Digest::Sha256 => x509::Digest::Sha256,
        Digest::Sha384 => x509::Digest::Sha384,
        Digest::Sha512 => x509::Digest::Sha512,
    };
    let signature = x509::test_signature(&path, password.as_ref(), digest)?;
    match arguments.format {
        Format::Bin => output::bytes(&signature),
        Format::Text => output::data(&hex(&signature)),
        Format::Json => output::data(&Value::from(hex(&signature)).to_string()),
    }
}

/// In the order in which AWS's tool prints it.
fn document(facts: &x509::CertificateFacts) -> Value {
    let kind = facts.key_type;
    json!({
        "keyType": kind,
        "certificateData": facts.base64,
        "serialNumber": facts.serial,
        "supportedAlgorithms": [format!("{kind}SHA256"), format!("{kind}SHA384"), format!("{kind}SHA512")],
    })
}

fn needed<'a>(path: Option<&'a Path>, flag: &str) -> Result<&'a Path, Fault> {
    path.ok_or_else(|| session::wrong(format!("`{flag}` is missing")).hint(format!("add `{flag} FILE`")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
