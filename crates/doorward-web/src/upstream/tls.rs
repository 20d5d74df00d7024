//! TLS towards services: the shared configuration, one certificate that was pinned, or none that is looked at.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

use super::Outbound;
use super::connect::Want;
use super::pool::{Entry, KeyTrust};

/// Names of protocols in ALPN.
pub(super) const H2: &[u8] = b"h2";
const HTTP_11: &[u8] = b"http/1.1";

/// The connector of a service, made once, so that sessions are resumed.
pub(super) fn connector(outbound: &Outbound, entry: &Entry, want: Want) -> Result<TlsConnector, String> {
    let [any, one] = &entry.tls;
    let (cell, offered): (_, &[&[u8]]) = if want == Want::One {
        (one, &[HTTP_11])
    } else {
        (any, &[H2, HTTP_11])
    };
    if let Some(connector) = cell.get() {
        return Ok(connector.clone());
    }
    let mut config = match &entry.key.trust {
        KeyTrust::Authorities => (*(outbound.tls)()?).clone(),
        KeyTrust::Pinned(certificate) => unverified(Some(certificate.clone()))?,
        KeyTrust::Anything => {
            let (host, port) = (&entry.key.host, entry.key.port);
            tracing::warn!(
                host,
                port,
                "the certificate of an upstream is not checked; pin it, or whoever is in between can read and change everything"
            );
            unverified(None)?
        }
    };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    Ok(cell.get_or_init(|| TlsConnector::from(Arc::new(config))).clone())
}

fn unverified(pinned: Option<Vec<u8>>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Pinned {
        certificate: pinned,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Takes one certificate, byte for byte, or any. The signature of the handshake is checked: a certificate is public, its key
/// is not.
#[derive(Debug)]
struct Pinned {
    certificate: Option<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.certificate {
            Some(pinned) if pinned.as_slice() != end_entity.as_ref() => Err(rustls::Error::General(
                "the certificate is not the pinned one".to_owned(),
            )),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
