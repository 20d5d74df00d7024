//! The server's own certificate: read from PEM files, and read again when they change or on SIGHUP. A new one that is
//! no good is reported and the old one stays. And whose certificates are believed when a service is called.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use doorward_config::Tls;

use crate::failure::{Failure, Result};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);

/// Makes rustls use AWS-LC everywhere. To be called once, before anything speaks TLS.
pub(crate) fn install_provider() {
    // Refused when it was installed before, which is what is wanted.
    let _installed = aws_lc_rs::default_provider().install_default();
}

/// TLS towards services behind the reverse proxy: the certificate authorities of this machine are believed.
///
/// # Errors
/// A sentence when the machine has none.
pub(crate) fn client_config() -> std::result::Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let (_added, ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if ignored > 0 {
        tracing::debug!(
            ignored,
            "certificate authorities of this machine could not be read"
        );
    }
    if roots.is_empty() {
        return Err(
            "this machine has no certificate authorities: install ca-certificates, or pin the certificate"
                .to_owned(),
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A certificate that can be exchanged while connections are open.
pub(crate) struct Certificate {
    files: Files,
    current: ArcSwap<CertifiedKey>,
}

#[derive(Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn load(tls: &Tls) -> Result<Arc<Self>> {
        let files = Files {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
        };
        let current = files.read().map_err(Failure::Fault)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            files,
        }))
    }

    /// The configuration of listeners that show this certificate, with HTTP/2 and HTTP/1.1.
    pub(crate) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Reads the files again.
    fn reload(&self) {
        match self.files.read() {
            Ok(fresh) => {
                self.current.store(Arc::new(fresh));
                tracing::info!(
                    "the certificate {} was read again",
                    self.files.certificate.display()
                );
            }
            Err(problem) => tracing::error!("{problem}; the certificate in use stays"),
        }
    }

    /// Reads the files again whenever they change and on every SIGHUP, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP cannot be listened to");
                None
            }
        };
        let mut seen = self.files.changed_at();
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => {
                        hangup.recv().await;
                    }
                    None => std::future::pending().await,
                }
            };
            let was_asked = tokio::time::timeout(LOOK, asked).await.is_ok();
            let now = self.files.changed_at();
            if was_asked || now != seen {
                seen = now;
                self.reload();
            }
        }
    }
}

impl Files {
    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        let of = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
        [of(&self.certificate), of(&self.key)]
    }

    fn read(&self) -> std::result::Result<CertifiedKey, String> {
        let chain = self.read_chain()?;
        let shown = self.key.display();
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("the private key {shown} cannot be read: {}", Told(&error)))?;
        let provider = aws_lc_rs::default_provider();
        let signing = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| format!("the private key {shown} cannot be used: {error}"))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(_) => Err(format!(
                "the private key {shown} does not belong to the certificate {}",
                self.certificate.display()
            )),
        }
    }

    fn read_chain(&self) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
        let shown = self.certificate.display();
        let unreadable = |error: &rustls::pki_types::pem::Error| {
            format!("the certificate {shown} cannot be read: {}", Told(error))
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .map_err(|error| unreadable(&error))?
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| unreadable(&error))?;
        if chain.is_empty() {
            return Err(format!(
                "the certificate {shown} holds no certificate in PEM form"
            ));
        }
        Ok(chain)
    }
}

/// The error of a PEM file without any of its content.
struct Told<'a>(&'a rustls::pki_types::pem::Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rustls::pki_types::pem::Error::Io(error) => error.fmt(f),
            rustls::pki_types::pem::Error::NoItemsFound => {
                f.write_str("it holds nothing of that kind in PEM form")
            }
            _ => f.write_str("it is not well-formed PEM"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("file", &self.files.certificate)
            .finish_non_exhaustive()
    }
}
