//! An authority of our own for one or a few machines, and a server's certificate from it.
//!
//! rcgen (of the rustls project) writes the certificates: X.509 by hand is easy to get almost right. The authority's key
//! stays in its directory; whoever has it can be any server to those who trust it.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, Secret, Timestamp, atomic};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The authority's certificate, for clients to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub private_key: PathBuf,
    /// Whether the authority was there already.
    pub kept_authority: bool,
}

/// Makes a certificate for `names` (hosts and IP addresses) in `directory`, signed by the authority there, which is made
/// where there is none. `now` begins both lives: ten years for the authority, 397 days for the server.
///
/// # Errors
/// A fault of kind `Config`: the directory cannot be used, or a name is none.
pub fn make(directory: &Path, names: &[String], now: Timestamp) -> Result<Made, Fault> {
    let wrong = |what: String| Fault::new(Kind::Config, "tls", what);
    let usable = |cause: io::Error| wrong(format!("cannot write into `{}`", directory.display())).cause(cause);
    let unusable = |cause: rcgen::Error| wrong("cannot make a certificate".to_owned()).cause(cause.to_string());
    atomic::private_directory(directory).map_err(usable)?;
    let file = |name: &str| directory.join(name);
    let kept_authority = file("ca.pem").exists() && file("ca.key").exists();
    if !kept_authority {
        let key = KeyPair::generate().map_err(unusable)?;
        let certificate = authority(now).self_signed(&key).map_err(unusable)?;
        atomic::write_private(&file("ca.key"), key.serialize_pem().as_bytes()).map_err(usable)?;
        atomic::write(&file("ca.pem"), certificate.pem().as_bytes(), 0o644).map_err(usable)?;
    }
    let read = |name: &str| fs::read_to_string(file(name)).map_err(usable);
    let key = KeyPair::from_pem(&read("ca.key")?).map_err(unusable)?;
    // The same words and the same key as in the certificate: that is all that a signature takes from it.
    let issuer = Issuer::new(authority(now), key);
    let own = KeyPair::generate().map_err(unusable)?;
    let certificate = server(names, now).map_err(unusable)?.signed_by(&own, &issuer).map_err(unusable)?;
    atomic::write_private(&file("server.key"), own.serialize_pem().as_bytes()).map_err(usable)?;
    atomic::write(&file("server.pem"), certificate.pem().as_bytes(), 0o644).map_err(usable)?;
    Ok(Made {
        authority: file("ca.pem"),
        certificate: file("server.pem"),
        private_key: file("server.key"),
        kept_authority,
    })
}

/// A certificate for `names` that no authority vouches for, and its key, both in PEM; good for ten years. Clients know it
/// by its fingerprint.
///
/// # Errors
/// A fault of kind `Config`: a name that cannot stand in a certificate.
pub fn self_signed(names: &[String], now: Timestamp) -> Result<(String, Secret), Fault> {
    let unusable =
        |cause: rcgen::Error| Fault::new(Kind::Config, "tls", "cannot make a certificate").cause(cause.to_string());
    let key = KeyPair::generate().map_err(unusable)?;
    let mut params = server(names, now).map_err(unusable)?;
    params.use_authority_key_identifier_extension = false;
    live(&mut params, now, 3650);
    let certificate = params.self_signed(&key).map_err(unusable)?;
    Ok((certificate.pem(), Secret::new(key.serialize_pem())))
}

fn authority(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called("Bowline local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live(&mut params, now, 3650);
    params
}

fn server(names: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(names.first().map_or("localhost", String::as_str));
    let name = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => text.as_str().try_into().map(SanType::DnsName),
    };
    params.subject_alt_names = names.iter().map(name).collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    live(&mut params, now, 397);
    Ok(params)
}

fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday, so that a clock that is a little slow believes it, for `days`.
fn live(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let at = |days: i64| {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(now.as_second() / 86_400 + days));
        let date = date.unwrap_or(jiff::civil::date(2100, 1, 1));
        date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (at(-1), at(days));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls_server::ServerTls;

    #[test]
    fn a_second_run_renews_the_server_and_keeps_the_authority() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("tls");
        let names = ["localhost", "127.0.0.1", "repo.corp"].map(str::to_owned);
        let now = crate::clock::now().wall;
        let first = make(&directory, &names, now).unwrap();
        assert!(!first.kept_authority);
        ServerTls::load(&first.certificate, &first.private_key).unwrap();
        let read = |path: &Path| fs::read(path).unwrap();
        let (authority, certificate) = (read(&first.authority), read(&first.certificate));
        let second = make(&directory, &names, now).unwrap();
        assert!(second.kept_authority);
        assert_eq!(read(&second.authority), authority);
        assert_ne!(read(&second.certificate), certificate);
        for secret in ["ca.key", "server.key"] {
            assert_eq!(fs::metadata(directory.join(secret)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(make(&directory, &["no\u{e9}".to_owned()], now).is_err());
    }
}
