//! What is kept of grants: sealed, so that neither the database nor whoever passes a text on can read or change it.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use pointsman_upstream::config::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

/// Most bytes of something sealed.
const MAX_SEALED: usize = 64 * 1024;
/// Most grants that are kept in memory, where they are not kept elsewhere.
const MAX_IN_MEMORY: usize = 10_000;

/// Where sealed texts last.
pub trait Grants: Send + Sync {
    /// The text of this name, if there is one.
    fn load(&self, name: String) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>>;

    /// Keeps a text in place of the one before.
    fn save(&self, name: String, sealed: Vec<u8>) -> BoxFuture<'static, Result<(), String>>;

    /// Forgets a text.
    fn remove(&self, name: String) -> BoxFuture<'static, Result<(), String>>;

    /// The names that begin with this one and come after another, in their order; `most` of them.
    fn names(
        &self,
        prefix: String,
        after: String,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<String>, String>>;
}

/// Seals texts, and keeps some. Outlives a configuration.
pub struct Vault {
    key: Mutex<Key>,
    grants: Option<Arc<dyn Grants>>,
    memory: Mutex<HashMap<String, Vec<u8>>>,
}

struct Key {
    key: Option<LessSafeKey>,
    /// What nonces are made with where the same value gives the same text.
    same: hmac::Key,
    /// Whether it is the same at all replicas, and after a restart.
    lasts: bool,
}

impl Default for Vault {
    fn default() -> Self {
        Self::new(None)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault whose texts last in `grants`, once there is a secret to seal them with.
    #[must_use]
    pub fn new(grants: Option<Arc<dyn Grants>>) -> Self {
        let bytes = random::<32>().map(Vec::from).unwrap_or_default();
        let key = Key {
            key: UnboundKey::new(&AES_256_GCM, &bytes).ok().map(LessSafeKey::new),
            same: same(&bytes),
            lasts: false,
        };
        Self {
            key: Mutex::new(key),
            grants,
            memory: Mutex::default(),
        }
    }

    /// From now on seals with a key of this secret.
    pub fn seal_with(&self, secret: &str) {
        let named = ["pointsman mcp grants\n", secret].concat();
        let digest = ring::digest::digest(&ring::digest::SHA256, named.as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, digest.as_ref()).ok();
        *self.key.lock() = Key {
            key: key.map(LessSafeKey::new),
            same: same(digest.as_ref()),
            lasts: true,
        };
    }

    /// Seals something for one purpose.
    pub fn seal<T: Serialize>(&self, purpose: &str, value: &T) -> Option<String> {
        self.sealed(purpose, value)
            .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The same, so that the same value always gives the same text.
    pub fn seal_same<T: Serialize>(&self, purpose: &str, value: &T) -> Option<String> {
        let text = serde_json::to_vec(value).ok()?;
        let nonce = {
            let key = self.key.lock();
            let tag = hmac::sign(&key.same, &[purpose.as_bytes(), b"\n", &text].concat());
            *tag.as_ref().first_chunk::<NONCE_LEN>()?
        };
        self.sealed_as(nonce, purpose, text)
            .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what was sealed for this purpose.
    pub fn open<T: DeserializeOwned>(&self, purpose: &str, sealed: &str) -> Option<T> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        self.opened(purpose, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }

    fn sealed<T: Serialize>(&self, purpose: &str, value: &T) -> Option<Vec<u8>> {
        self.sealed_as(random::<NONCE_LEN>()?, purpose, serde_json::to_vec(value).ok()?)
    }

    fn sealed_as(&self, nonce: [u8; NONCE_LEN], purpose: &str, mut text: Vec<u8>) -> Option<Vec<u8>> {
        let key = self.key.lock();
        let place = Aad::from(purpose.as_bytes());
        key.key
            .as_ref()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place, &mut text)
            .ok()?;
        Some([nonce.as_slice(), &text].concat())
    }

    fn opened<T: DeserializeOwned>(&self, purpose: &str, bytes: &[u8]) -> Option<T> {
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let key = self.key.lock();
        let place = Aad::from(purpose.as_bytes());
        let plain = key
            .key
            .as_ref()?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), place, &mut text)
            .ok()?;
        serde_json::from_slice(plain).ok()
    }

    /// Where texts last, if they do.
    fn lasting(&self) -> Option<&Arc<dyn Grants>> {
        self.grants.as_ref().filter(|_| self.key.lock().lasts)
    }

    /// What is kept under a name. What another secret has sealed is not there.
    pub(crate) async fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = match self.lasting() {
            None => self.memory.lock().get(name).cloned()?,
            Some(grants) => match grants.load(name.to_owned()).await {
                Ok(bytes) => bytes?,
                Err(error) => {
                    tracing::warn!(error, "a grant could not be read");
                    return None;
                }
            },
        };
        self.opened(name, &bytes)
    }

    /// Whether it is certain that nothing is kept under a name where others could have forgotten it.
    pub(crate) async fn is_gone(&self, name: &str) -> bool {
        let Some(grants) = self.lasting() else {
            return false;
        };
        matches!(grants.load(name.to_owned()).await, Ok(None))
    }

    /// Names under which something is kept, that begin with this one and come after another; `most` of them.
    pub(crate) async fn names(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<String>, String> {
        if let Some(grants) = self.lasting() {
            return grants.names(prefix.to_owned(), after.to_owned(), most).await;
        }
        let memory = self.memory.lock();
        let mut names: Vec<String> = memory
            .keys()
            .filter(|name| name.starts_with(prefix) && name.as_str() > after)
            .cloned()
            .collect();
        names.sort_unstable();
        names.truncate(most);
        Ok(names)
    }

    /// Keeps something under a name; whether it is kept.
    pub(crate) async fn save<T: Serialize>(&self, name: &str, value: &T) -> bool {
        let Some(sealed) = self.sealed(name, value) else {
            return false;
        };
        match self.lasting() {
            None => {
                let mut memory = self.memory.lock();
                let has_room = memory.len() < MAX_IN_MEMORY || memory.contains_key(name);
                if has_room {
                    memory.insert(name.to_owned(), sealed);
                }
                has_room
            }
            Some(grants) => {
                let saved = grants.save(name.to_owned(), sealed).await;
                if let Err(error) = &saved {
                    tracing::warn!(error, "a grant could not be kept: it is lost with this process");
                }
                saved.is_ok()
            }
        }
    }

    /// Forgets what is kept under a name, as far as that can be done now.
    pub(crate) async fn remove(&self, name: &str) {
        if let Err(error) = self.forget(name).await {
            tracing::warn!(error, "a grant could not be forgotten");
        }
    }

    /// Forgets what is kept under a name.
    pub(crate) async fn forget(&self, name: &str) -> Result<(), String> {
        if let Some(grants) = self.lasting() {
            return grants.remove(name.to_owned()).await;
        }
        self.memory.lock().remove(name);
        Ok(())
    }
}

/// The key that nonces are made with: of the same secret, and another than the one that seals.
fn same(secret: &[u8]) -> hmac::Key {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"nonces");
    hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref())
}

/// Bytes of chance.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// A secret on its way into the seal.
pub(super) fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// The same where there may be none.
pub(super) fn exposed_some<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sealed_opens_for_its_purpose_alone() {
        let (one, other) = (Vault::default(), Vault::default());
        for vault in [&one, &other] {
            vault.seal_with("s");
        }
        let sealed = one.seal("ticket", &"text").unwrap();
        assert_eq!(other.open::<String>("ticket", &sealed).unwrap(), "text");
        assert!(other.open::<String>("state", &sealed).is_none());
        assert!(Vault::default().open::<String>("ticket", &sealed).is_none());
        one.save("a", &1).await;
        assert_eq!(one.load::<u8>("a").await, Some(1));
        assert_eq!(one.load::<u8>("b").await, None);
        assert_eq!(one.names("a", "", 9).await.unwrap(), ["a"]);
        assert!(one.names("a", "a", 9).await.unwrap().is_empty());
        one.remove("a").await;
        assert_eq!(one.load::<u8>("a").await, None);
    }
}
