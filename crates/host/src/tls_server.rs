//! A server's own certificate: read from two PEM files, and read anew when they change.
//!
//! Whoever renews them writes two files, one after the other. A pair that does not fit together, or cannot be read, is
//! not taken: the old one stays in use until both are there.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bowline_base::{Fault, Kind, Secret};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{info, warn};

use crate::{Tasks, watch};

/// The pair in use. Only TLS 1.2 and 1.3, HTTP/1.1 alone, no certificates of clients.
pub struct ServerTls {
    certificate: PathBuf,
    private_key: PathBuf,
    current: Mutex<Pair>,
}

struct Pair {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads the chain in `certificate` (PEM, the server's own first) and its key in `private_key` (PEM).
    ///
    /// # Errors
    /// A fault of kind `Config` that names the file: unreadable, not PEM, or not a pair.
    pub fn load(certificate: &Path, private_key: &Path) -> Result<Arc<Self>, Fault> {
        let pair = pair(certificate, private_key)?;
        let (certificate, private_key) = (certificate.to_path_buf(), private_key.to_path_buf());
        Ok(Arc::new(Self { certificate, private_key, current: Mutex::new(pair) }))
    }

    /// A pair that stands in no file: PEM both.
    ///
    /// # Errors
    /// A fault of kind `Config`: not PEM, or not a pair.
    pub fn from_pem(certificate: &str, private_key: &Secret) -> Result<Arc<Self>, Fault> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(private_key.expose().as_bytes());
        let no_pair = || Fault::new(Kind::Config, "tls", "the stored certificate and its key are no usable pair");
        let (Ok(chain), Ok(key)) = (chain, key) else { return Err(no_pair()) };
        let config = config(&chain, key).map_err(|cause| no_pair().cause(cause))?;
        let current = Mutex::new(Pair { config: Arc::new(config), chain });
        Ok(Arc::new(Self { certificate: PathBuf::new(), private_key: PathBuf::new(), current }))
    }

    /// `sha256:` and the hash of the certificate in use, 64 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let der = current.chain.first().map_or(&[][..], |certificate| certificate.as_ref());
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Reads the files again until shutdown, whenever one of them changes.
    pub fn watch(self: &Arc<Self>, tasks: &Tasks) {
        let files = vec![self.certificate.clone(), self.private_key.clone()];
        let (this, mut changes) = (Arc::clone(self), watch::files(tasks, files));
        tasks.spawn_until_shutdown("tls-reload", async move {
            while changes.recv().await.is_some() {
                this.reload();
            }
        });
    }

    /// Takes what the files hold now, if it is a pair.
    fn reload(&self) {
        match pair(&self.certificate, &self.private_key) {
            Ok(new) => {
                let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
                if new.chain != current.chain {
                    *current = new;
                    info!(certificate = %self.certificate.display(), "a new certificate is in use");
                }
            }
            Err(fault) => {
                warn!(reason = %fault.chain(), "the certificate on disk cannot be used; the one in use stays");
            }
        }
    }

    pub(crate) async fn accept(&self, stream: TcpStream, limit: Duration) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).config);
        let handshake = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(limit, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn pair(certificate: &Path, private_key: &Path) -> Result<Pair, Fault> {
    let wrong = |path: &Path, what: &str| {
        Fault::new(Kind::Config, "tls", format!("`{}` {what}", path.display()))
            .hint("name a certificate and its key in PEM, or make them with `bowline artifacts tls init`")
    };
    let read = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|cause| wrong(certificate, "cannot be read").cause(cause.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|cause| wrong(private_key, "holds no readable private key").cause(cause.to_string()))?;
    let config =
        config(&chain, key).map_err(|cause| wrong(certificate, "and its key are no usable pair").cause(cause))?;
    Ok(Pair { config: Arc::new(config), chain })
}

fn config(chain: &[CertificateDer<'static>], key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.to_vec(), key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use bowline_base::atomic;

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, made: &rcgen::CertifiedKey<rcgen::KeyPair>, certificate: bool, key: bool) {
            if certificate {
                atomic::write_private(&self.path("c.pem"), made.cert.pem().as_ref()).unwrap();
            }
            if key {
                atomic::write_private(&self.path("k.pem"), made.signing_key.serialize_pem().as_ref()).unwrap();
            }
        }
    }

    fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
    }

    #[test]
    fn half_a_renewal_changes_nothing_and_a_whole_one_does() {
        let files = Files(tempfile::tempdir().unwrap());
        let (old, new) = (made(), made());
        files.write(&old, true, true);
        let tls = ServerTls::load(&files.path("c.pem"), &files.path("k.pem")).unwrap();
        let in_use = || tls.current.lock().unwrap().chain[0].clone();
        files.write(&new, true, false);
        tls.reload();
        assert_eq!(in_use(), *old.cert.der());
        atomic::write_private(&files.path("k.pem"), "half a".as_ref()).unwrap();
        tls.reload();
        assert_eq!(in_use(), *old.cert.der());
        files.write(&new, true, true);
        tls.reload();
        assert_eq!(in_use(), *new.cert.der());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let files = Files(tempfile::tempdir().unwrap());
        files.write(&made(), true, false);
        files.write(&made(), false, true);
        let fault = ServerTls::load(&files.path("c.pem"), &files.path("k.pem")).unwrap_err();
        assert!(fault.chain().contains("no usable pair"), "{}", fault.chain());
        atomic::write_private(&files.path("c.pem"), "".as_ref()).unwrap();
        let fault = ServerTls::load(&files.path("c.pem"), &files.path("k.pem")).unwrap_err();
        assert!(fault.message.contains("holds no certificate"), "{fault}");
        assert!(ServerTls::load(&files.path("none.pem"), &files.path("k.pem")).is_err());
    }
}
