//! Tokens of identity providers: their keys, read when they are needed and again when they are old, and who comes with
//! them.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pointsman_governance::jwt::{self, Issuer, JwtConfig, TokenError};
use pointsman_governance::{KeyRing, Principal};
use pointsman_upstream::fetch_document;
use sha2::{Digest, Sha256};

use crate::worker::Worker;

/// How often keys are read again where the configuration does not say it.
const REFRESH: Duration = Duration::from_secs(300);
/// Keys are not read more often than this, however many tokens name keys that are not known.
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes of a key file, at most.
const MAX_FILE: u64 = 1024 * 1024;
/// How long reading keys may take before whoever waits for them is refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// An issuer with what is needed to read its keys.
pub struct Trusted {
    issuer: Issuer,
    /// One reads, the others wait.
    reading: tokio::sync::Mutex<()>,
    begun: Instant,
    /// When its keys were read last, and when reading them was tried last: milliseconds, nought for never.
    read: AtomicU64,
    tried: AtomicU64,
}

impl Trusted {
    /// An issuer whose keys have not been read yet.
    pub fn new(config: &JwtConfig) -> Arc<Self> {
        Arc::new(Self {
            issuer: Issuer::new(config.clone()),
            reading: tokio::sync::Mutex::new(()),
            begun: Instant::now(),
            read: AtomicU64::new(0),
            tried: AtomicU64::new(0),
        })
    }

    /// How it is configured.
    pub fn config(&self) -> &JwtConfig {
        self.issuer.config()
    }

    /// Milliseconds, never nought.
    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64 + 1
    }

    /// How often its keys are read again.
    fn refresh(&self) -> Duration {
        self.config()
            .jwks
            .refresh
            .map_or(REFRESH, |refresh| refresh.get())
    }

    /// Whether its keys are to be read again.
    fn is_old(&self) -> bool {
        let read = self.read.load(Ordering::Relaxed);
        self.now().saturating_sub(read) > self.refresh().as_millis() as u64
    }

    fn was_tried_just_now(&self) -> bool {
        let tried = self.tried.load(Ordering::Relaxed);
        let pause = self.refresh().min(PAUSE);
        tried != 0 && self.now().saturating_sub(tried) < pause.as_millis() as u64
    }

    /// Reads its keys, unless somebody has just done so.
    async fn read_keys(&self, worker: &Worker) {
        let _alone = self.reading.lock().await;
        if self.was_tried_just_now() {
            return;
        }
        self.tried.store(self.now(), Ordering::Relaxed);
        let issuer = &self.config().issuer;
        let text = match tokio::time::timeout(PATIENCE, self.fetch(worker)).await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::warn!(
                    issuer,
                    error,
                    "the keys of an issuer cannot be read; those before stay"
                );
                return;
            }
            Err(_) => {
                tracing::warn!(
                    issuer,
                    "the keys of an issuer cannot be read in time; those before stay"
                );
                return;
            }
        };
        match self.issuer.learn(&text) {
            Ok(keys) => {
                tracing::debug!(issuer, keys, "the keys of an issuer were read");
                self.read.store(self.now(), Ordering::Relaxed);
                // What was signed with a key that is gone is not good any more.
                worker.shared.keys.forget_tokens();
            }
            Err(error) => tracing::warn!(issuer, %error, "the keys of an issuer are none; those before stay"),
        }
    }

    async fn fetch(&self, worker: &Worker) -> Result<Vec<u8>, String> {
        let jwks = &self.config().jwks;
        if let Some(url) = &jwks.url {
            let document = fetch_document(&worker.client, "the issuer's key server", url).await;
            return document.map(Vec::from).map_err(|error| error.to_string());
        }
        let file = jwks.file.clone().unwrap_or_default();
        let read = tokio::task::spawn_blocking(move || read_file(&file));
        match read.await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

/// Who comes with a token.
///
/// # Errors
/// When it is not what is expected of one, or whoever it is for may not come.
pub async fn identify(
    worker: &Arc<Worker>,
    issuers: &[Arc<Trusted>],
    text: &str,
) -> Result<Arc<Principal>, TokenError> {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let keys = &worker.shared.keys;
    if let Some(known) = keys.remembered(&digest) {
        return known;
    }
    let said = jwt::said_issuer(text)?;
    let trusted = issuers
        .iter()
        .find(|trusted| trusted.config().issuer == said)
        .ok_or(TokenError::Issuer)?;
    if trusted.read.load(Ordering::Relaxed) == 0 {
        trusted.read_keys(worker).await;
    } else if trusted.is_old() && !trusted.was_tried_just_now() {
        // Nobody waits for it: those before are good until then.
        let (trusted, worker) = (Arc::clone(trusted), Arc::clone(worker));
        tokio::spawn(async move { trusted.read_keys(&worker).await });
    }
    let subject = match trusted.issuer.verify(text, unix_ms()) {
        // Perhaps it has a new one.
        Err(TokenError::NoKey) if !trusted.was_tried_just_now() => {
            trusted.read_keys(worker).await;
            trusted.issuer.verify(text, unix_ms())
        }
        verified => verified,
    }?;
    let keys = Arc::clone(keys);
    take_up(keys, subject, digest).await
}

/// Takes up whoever it is, and remembers them under this digest.
///
/// # Errors
/// When a holder is not known or closed, or the database refuses.
pub async fn take_up(
    keys: Arc<KeyRing>,
    subject: jwt::Subject,
    digest: [u8; 32],
) -> Result<Arc<Principal>, TokenError> {
    let taken = tokio::task::spawn_blocking(move || keys.take_up(&subject, digest));
    taken.await.unwrap_or(Err(TokenError::Unavailable))
}

/// Unix milliseconds.
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64)
}
