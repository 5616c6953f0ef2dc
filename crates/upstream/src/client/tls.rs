//! TLS: whom to trust, and which HTTP versions to offer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsConnector;

use super::identity::ClientIdentity;
use crate::config::{ClientCertificateConfig, ConfigError, HttpVersion, TlsConfig};
use crate::endpoint::Origin;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Connectors without a client certificate, and for each certificate in use.
pub(super) struct Tls {
    anonymous: Connectors,
    base: ClientConfig,
    /// Taken when dialing, not by requests.
    identities: Mutex<HashMap<ClientCertificateConfig, Connectors>>,
}

/// One connector for each set of HTTP versions to offer (ALPN, RFC 7301).
#[derive(Clone)]
struct Connectors {
    auto: TlsConnector,
    http1: TlsConnector,
    http2: TlsConnector,
}

impl Connectors {
    fn new(client: &ClientConfig) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut client = client.clone();
            client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsConnector::from(Arc::new(client))
        };
        Self {
            auto: offering(&[HTTP2, HTTP1]),
            http1: offering(&[HTTP1]),
            http2: offering(&[HTTP2]),
        }
    }

    fn speaking(&self, http: HttpVersion) -> &TlsConnector {
        match http {
            HttpVersion::Auto => &self.auto,
            HttpVersion::Http1 => &self.http1,
            HttpVersion::Http2 => &self.http2,
        }
    }
}

impl Tls {
    pub(super) fn compile(config: &TlsConfig) -> Result<Self, ConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::new("upstream.tls", error.to_string()))?
            .with_root_certificates(roots(config)?)
            .with_no_client_auth();
        Ok(Self {
            anonymous: Connectors::new(&client),
            base: client,
            identities: Mutex::default(),
        })
    }

    /// The connector for an origin; with the certificate that it asks us for.
    pub(super) fn connector(&self, origin: &Origin) -> TlsConnector {
        let Some(certificate) = origin.client_certificate() else {
            return self.anonymous.speaking(origin.http()).clone();
        };
        let mut identities = self.identities.lock();
        let connectors = identities.entry(certificate.clone()).or_insert_with(|| {
            let mut client = self.base.clone();
            client.client_auth_cert_resolver = Arc::new(ClientIdentity::new(certificate.clone()));
            // A resumed session would go on with the certificate of the first.
            client.resumption = Resumption::disabled();
            Connectors::new(&client)
        });
        connectors.speaking(origin.http()).clone()
    }
}

/// Whether the server chose HTTP/2.
pub(super) fn chose_http2(protocol: Option<&[u8]>) -> bool {
    protocol == Some(HTTP2)
}

fn roots(config: &TlsConfig) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if config.system_roots {
        let system = rustls_native_certs::load_native_certs();
        // A system's store may hold certificates that cannot be used; the others count.
        let (added, _) = roots.add_parsable_certificates(system.certs);
        if added == 0 {
            let problem = "no usable certificate was found in the operating system's store";
            return Err(ConfigError::new("upstream.tls.system_roots", problem));
        }
    }
    if let Some(path) = &config.ca_file {
        let wrong = |problem: String| {
            ConfigError::new("upstream.tls.ca_file", format!("`{}`: {problem}", path.display()))
        };
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("holds no certificate in PEM format".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    Ok(roots)
}
