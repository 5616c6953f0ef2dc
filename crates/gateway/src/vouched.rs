//! Callers that somebody else vouches for: the issuer of a token that only it can read is asked about it (RFC 7662), a proxy
//! that is trusted says whom it has let in, an authority has signed a certificate.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use pointsman_governance::introspection::{CertificateConfig, IntrospectionConfig, ProxyConfig};
use pointsman_governance::jwt::TokenError;
use pointsman_governance::{IdentityConfig, Principal};
use pointsman_upstream::introspect;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::certificate::Certificate;
use crate::tokens::{take_up, unix_ms};
use crate::worker::Worker;

/// What errors call it.
const WHO: &str = "the issuer of a token";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tokens that are asked about at once.
const MAX_ASKED: usize = 64;
/// How long it is remembered that a token is not good, milliseconds, and of how many.
const REFUSED_FOR: i64 = 10_000;
const MAX_REFUSED: usize = 20_000;
/// Bytes of a token, at most.
const MAX_TOKEN: usize = 16 * 1024;

/// Who may vouch for callers without a key.
pub struct Vouchers {
    /// Servers that are asked about tokens which only they can read.
    pub introspectors: Vec<Arc<Introspector>>,
    /// Which headers of trusted proxies say whom they have let in.
    pub proxy: Option<Arc<Salted<ProxyConfig>>>,
    /// What a client's certificate says of it.
    pub certificate: Option<Arc<Salted<CertificateConfig>>>,
}

impl Vouchers {
    /// Those of a configuration.
    pub fn of(config: &IdentityConfig) -> Self {
        let introspector = |config| Arc::new(Introspector::new(config));
        Self {
            introspectors: config.introspection.iter().map(introspector).collect(),
            proxy: config.proxy.clone().map(|proxy| Arc::new(Salted::new(proxy))),
            certificate: config.certificate.clone().map(|one| Arc::new(Salted::new(one))),
        }
    }

    /// Whether nobody may.
    pub fn is_empty(&self) -> bool {
        self.introspectors.is_empty() && self.proxy.is_none() && self.certificate.is_none()
    }
}

/// A configuration, and what digests of callers under it are mixed with: what was found out by another counts no more.
pub struct Salted<C> {
    config: C,
    salt: [u8; 32],
}

impl<C: Debug> Salted<C> {
    fn new(config: C) -> Self {
        Self {
            // Secrets are hidden in it.
            salt: Sha256::digest(format!("{config:?}")).into(),
            config,
        }
    }
}

/// A server that is asked about tokens.
pub struct Introspector {
    asked: Salted<IntrospectionConfig>,
    places: Semaphore,
    /// Tokens that are not good, by their digests, and until when that is believed, Unix milliseconds.
    refused: Mutex<HashMap<[u8; 32], i64>>,
}

impl Introspector {
    /// One that nobody has been asked about.
    pub fn new(config: &IntrospectionConfig) -> Self {
        Self {
            asked: Salted::new(config.clone()),
            places: Semaphore::new(MAX_ASKED),
            refused: Mutex::default(),
        }
    }

    /// Whether it is asked about this: never about what looks like a key of the gateway's own.
    pub fn is_meant(&self, presented: &str) -> bool {
        !presented.starts_with("pm-")
            && presented.len() <= MAX_TOKEN
            && presented.starts_with(self.asked.config.prefix.as_str())
    }

    /// Who comes with a token.
    ///
    /// # Errors
    /// When it is not good, whoever it is for may not come, or nobody can be asked.
    pub async fn identify(&self, worker: &Arc<Worker>, text: &str) -> Result<Arc<Principal>, TokenError> {
        let digest = digest(&self.asked.salt, [text.as_bytes()].into_iter());
        let keys = &worker.shared.keys;
        // One whose answer is too old is asked about again.
        if let Some(Ok(known)) = keys.remembered(&digest) {
            return Ok(known);
        }
        let now = unix_ms();
        if self.refused.lock().get(&digest).is_some_and(|until| now < *until) {
            return Err(TokenError::Inactive);
        }
        let answer = tokio::time::timeout(PATIENCE, self.ask(worker, text)).await;
        let answer = answer.unwrap_or_else(|_| {
            tracing::warn!(
                url = self.asked.config.url,
                "the issuer of a token does not answer in time"
            );
            Err(TokenError::Unavailable)
        })?;
        match self.asked.config.subject(&answer, unix_ms()) {
            Ok(subject) => take_up(Arc::clone(keys), subject, digest).await,
            Err(error) => {
                self.refuse(digest, now);
                Err(error)
            }
        }
    }

    async fn ask(
        &self,
        worker: &Worker,
        text: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, TokenError> {
        let _place = self.places.acquire().await.map_err(|_| TokenError::Unavailable)?;
        let config = &self.asked.config;
        let client = (config.client_id.as_str(), &config.client_secret);
        let answer = introspect(&worker.client, WHO, (&config.url, text), client).await;
        answer.map_err(|error| {
            tracing::warn!(url = config.url, %error, "the issuer of a token cannot be asked about it");
            TokenError::Unavailable
        })
    }

    fn refuse(&self, digest: [u8; 32], now: i64) {
        let mut refused = self.refused.lock();
        if refused.len() >= MAX_REFUSED {
            refused.clear();
        }
        refused.insert(digest, now + REFUSED_FOR);
    }
}

/// Whom a proxy has let in; nothing where it says nobody. Whoever calls this has seen that the proxy is trusted.
pub async fn by_proxy(
    worker: &Arc<Worker>,
    proxy: &Salted<ProxyConfig>,
    headers: &HeaderMap,
) -> Option<Result<Arc<Principal>, TokenError>> {
    // A header that is there twice may be the client's own beside the proxy's.
    let said = |name: &str| {
        let mut all = headers.get_all(name).iter();
        let one = all.next()?.to_str().ok()?;
        (all.next().is_none() && !one.is_empty()).then(|| one.to_owned())
    };
    let config = &proxy.config;
    said(&config.user)?;
    let parts: Vec<_> = config
        .headers()
        .map(|name| said(name).unwrap_or_default())
        .collect();
    let digest = digest(&proxy.salt, parts.iter().map(String::as_bytes));
    let keys = &worker.shared.keys;
    if let Some(Ok(known)) = keys.remembered(&digest) {
        return Some(Ok(known));
    }
    Some(match config.subject(said, unix_ms()) {
        Ok(subject) => take_up(Arc::clone(keys), subject, digest).await,
        Err(error) => Err(error),
    })
}

/// Who comes with a certificate; nothing where it does not say.
pub async fn by_certificate(
    worker: &Arc<Worker>,
    certificate: &Salted<CertificateConfig>,
    shown: &Certificate,
) -> Option<Result<Arc<Principal>, TokenError>> {
    let config = &certificate.config;
    let name = shown.name(config.user)?;
    let digest = digest(&certificate.salt, [name.as_bytes()].into_iter());
    let keys = &worker.shared.keys;
    if let Some(Ok(known)) = keys.remembered(&digest) {
        return Some(Ok(known));
    }
    Some(match config.subject(name, unix_ms()) {
        Ok(subject) => take_up(Arc::clone(keys), subject, digest).await,
        Err(error) => Err(error),
    })
}

/// Parts cannot be taken for others that read the same together.
fn digest<'a>(salt: &[u8; 32], parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(salt);
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
