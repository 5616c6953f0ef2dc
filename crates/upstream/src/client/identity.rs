//! The client certificate of TLS connections, read again when its files change.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{ClientCertificateConfig, ConfigError};

/// A certificate and its key, as they are in their files now.
pub(crate) struct ClientIdentity {
    config: ClientCertificateConfig,
    /// Taken when dialing, not by requests.
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    stamps: Option<[Stamp; 2]>,
    key: Option<Arc<CertifiedKey>>,
}

/// When a file was changed last, and its size.
type Stamp = (SystemTime, u64);

impl ClientIdentity {
    pub(crate) fn new(config: ClientCertificateConfig) -> Self {
        Self {
            config,
            loaded: Mutex::default(),
        }
    }

    /// Whether both files can be used together, as they are now.
    pub(crate) fn check(config: &ClientCertificateConfig) -> Result<(), ConfigError> {
        load(config)
            .map(drop)
            .map_err(|(field, problem)| ConfigError::new(format!("auth.client_certificate.{field}"), problem))
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        let mut loaded = self.loaded.lock();
        let stamps = stamp(&self.config.cert)
            .zip(stamp(&self.config.key))
            .map(<[Stamp; 2]>::from);
        if loaded.key.is_none() || loaded.stamps != stamps {
            match load(&self.config) {
                Ok(key) => {
                    loaded.key = Some(Arc::new(key));
                    loaded.stamps = stamps;
                }
                // Perhaps only one of the files has been replaced yet: the next connection looks again.
                Err((field, problem)) => {
                    tracing::warn!(
                        field,
                        problem,
                        "a client certificate could not be read; the last one is used"
                    );
                }
            }
        }
        loaded.key.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The key with its certificates, or which field is at fault and why.
fn load(config: &ClientCertificateConfig) -> Result<CertifiedKey, (&'static str, String)> {
    let shown = |path: &Path, problem: &str| format!("`{}`: {problem}", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect)
        .map_err(|error| ("cert", shown(&config.cert, &error.to_string())))?;
    if chain.is_empty() {
        return Err(("cert", shown(&config.cert, "holds no certificate in PEM format")));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|_| ("key", shown(&config.key, "holds no private key in PEM format")))?;
    let key = any_supported_type(&key).map_err(|_| {
        (
            "key",
            shown(&config.key, "is a key of a kind that cannot be used"),
        )
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err(("key", shown(&config.key, "is not the key of the certificate"))),
    }
}

impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let key = self.current()?;
        key.key.choose_scheme(schemes).is_some().then_some(key)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
