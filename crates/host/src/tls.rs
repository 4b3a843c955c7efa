//! Which authorities are trusted: Mozilla's roots, or the bundle that the user names.

use std::{path::Path, sync::Arc};

use bowline_base::{Fault, Kind};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// A client configuration that trusts `bundle` (`AWS_CA_BUNDLE`, else `SSL_CERT_FILE`) or, without one, the built-in roots.
///
/// # Errors
/// A fault of kind `Config` that names the bundle when it cannot be read or holds no certificate.
pub fn client_config(bundle: Option<&Path>) -> Result<ClientConfig, Fault> {
    let roots = match bundle {
        Some(path) => bundle_roots(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Fault::new(Kind::Bug, "tls", "no usable TLS version").cause(cause))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn bundle_roots(path: &Path) -> Result<RootCertStore, Fault> {
    let wrong = |message: &str| {
        Fault::new(Kind::Config, "tls", format!("{message} in the CA bundle `{}`", path.display()))
            .hint("set AWS_CA_BUNDLE to a PEM file of CA certificates, or unset it")
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|cause| wrong("nothing readable").cause(cause.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    if added == 0 { Err(wrong("no certificate")) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fault = client_config(Some(file.path())).unwrap_err();
        assert!(fault.message.contains(&file.path().display().to_string()), "{fault}");
    }
}
