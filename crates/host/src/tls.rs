//! Which authorities are trusted: Mozilla's roots, or the bundle that the user names.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use bowline_base::{Fault, Kind};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

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

/// Which certificate a server must show, whoever signed it: the SHA-256 of it, as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of this certificate (DER).
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Letters of either case, with or without colons between the bytes, as `openssl x509 -fingerprint` prints them.
impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no pin: write `sha256:` and the 64 hex digits that the server printed");
        let digits = text.strip_prefix("sha256:").ok_or_else(wrong)?.replace(':', "");
        let byte = |at: usize| digits.get(2 * at..2 * at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        let mut bytes = [0; 32];
        for (at, place) in bytes.iter_mut().enumerate() {
            *place = byte(at).ok_or_else(wrong)?;
        }
        if digits.len() == 64 { Ok(Self(bytes)) } else { Err(wrong()) }
    }
}

/// TLS over `stream` with the server `host`, who is known by `pin`, or by an authority.
///
/// # Errors
/// A fault of kind `Unreachable`: no TLS came about, with the reason.
pub async fn greet(stream: TcpStream, host: &str, pin: Option<Pin>) -> Result<TlsStream<TcpStream>, Fault> {
    let wrong = || Fault::new(Kind::Unreachable, "tls", format!("no TLS with `{host}`"));
    let config = client_config(None)?;
    let config = pin.map_or_else(|| config.clone(), |pin| believe_only(config.clone(), pin));
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| wrong().cause(cause))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|cause| wrong().cause(cause))
}

/// The same for one server, known by its certificate alone.
pub(crate) fn believe_only(config: ClientConfig, pin: Pin) -> ClientConfig {
    believe(config, Belief::Only(pin))
}

/// The same with no authority asked: whoever answers is believed to be the server, so that everybody on the way can read
/// and change what is said. Only for users who ask for exactly that.
pub(crate) fn believe_anybody(config: ClientConfig) -> ClientConfig {
    believe(config, Belief::Anybody)
}

fn believe(mut config: ClientConfig, belief: Belief) -> ClientConfig {
    let provider = Arc::clone(config.crypto_provider());
    config.dangerous().set_certificate_verifier(Arc::new(WithoutAuthority { belief, provider }));
    config
}

#[derive(Debug)]
enum Belief {
    /// Who shows this certificate.
    Only(Pin),
    Anybody,
}

/// Checks that the server has the key of its certificate, and that it is one to believe. No authority is asked.
#[derive(Debug)]
struct WithoutAuthority {
    belief: Belief,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for WithoutAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match (&self.belief, Pin::of(end_entity)) {
            (Belief::Only(pin), shown) if shown != *pin => {
                Err(Error::General(format!("the server's certificate is {shown}, not {pin}")))
            }
            (Belief::Only(_) | Belief::Anybody, _) => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// How many certificates `bundle` brings.
///
/// # Errors
/// As [`client_config`].
pub fn roots(bundle: &Path) -> Result<usize, Fault> {
    bundle_roots(bundle).map(|roots| roots.len())
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
    fn a_pin_is_read_as_it_is_shown_and_as_openssl_shows_it() {
        let pin = Pin::of(b"certificate");
        let shown = pin.to_string();
        assert_eq!((shown.len(), shown.parse()), (71, Ok(pin)));
        let digits: Vec<String> =
            shown.as_bytes()[7..].chunks(2).map(|two| String::from_utf8_lossy(two).into()).collect();
        assert_eq!(format!("sha256:{}", digits.join(":").to_uppercase()).parse(), Ok(pin));
        for wrong in ["", &shown[7..], &shown[..70], "sha256:", &shown.replace('a', "g"), &format!("{shown}00")] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bundle_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fault = client_config(Some(file.path())).unwrap_err();
        assert!(fault.message.contains(&file.path().display().to_string()), "{fault}");
    }
}
