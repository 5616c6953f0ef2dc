//! From a key to its principal, without a lock and without the database.

mod subjects;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pointsman_store::{HolderKind, KeyId, KeyRecord, Store, StoreError, hash_key};

use crate::account::unix_ms;
use crate::config::Limits;
use crate::directory::{Directory, Standing};
use crate::principal::Principal;
use crate::sharing::Sharing;

use subjects::Subjects;

/// Why a key was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// Nobody has it.
    #[error("the key is not known")]
    Unknown,
    /// It was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired")]
    Expired,
    /// It is disabled for the moment.
    #[error("the key is disabled")]
    Disabled,
    /// One of its holders is disabled or deleted.
    #[error("the {} of the key is disabled or deleted", .0.as_str())]
    Closed(HolderKind),
}

/// All keys.
pub struct KeyRing {
    store: Arc<Store>,
    keys: ArcSwap<Keys>,
    states: Mutex<States>,
    subjects: Subjects,
}

#[derive(Default, Clone)]
struct Keys {
    /// By the hash of their secret, the former one included.
    by_hash: HashMap<[u8; 32], Entry>,
    /// The hashes of each key: of its secret, and of its former one.
    hashes: HashMap<KeyId, ([u8; 32], Option<[u8; 32]>)>,
}

#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    /// When this secret ends, though the key does not, Unix milliseconds.
    until: Option<i64>,
}

impl Keys {
    fn find(&self, hash: &[u8; 32]) -> Result<Arc<Principal>, IdentifyError> {
        let entry = self.by_hash.get(hash).ok_or(IdentifyError::Unknown)?;
        let principal = &entry.principal;
        if let Some(closed) = principal.closed {
            return Err(closed);
        }
        let past = |end: Option<i64>| end.is_some_and(|end| unix_ms() >= end);
        if past(entry.until) {
            return Err(IdentifyError::Unknown);
        }
        if past(principal.expires_at) {
            return Err(IdentifyError::Expired);
        }
        Ok(Arc::clone(principal))
    }

    fn put(&mut self, record: &KeyRecord, principal: Principal) {
        let former = record.former.map(|(hash, _)| hash);
        let hashes = (record.hash, former);
        if let Some((current, former)) = self.hashes.insert(record.id.clone(), hashes) {
            self.by_hash.remove(&current);
            former.map(|former| self.by_hash.remove(&former));
        }
        let principal = Arc::new(principal);
        if let Some((hash, until)) = record.former {
            let (principal, until) = (Arc::clone(&principal), Some(until));
            self.by_hash.insert(hash, Entry { principal, until });
        }
        let until = None;
        self.by_hash.insert(record.hash, Entry { principal, until });
    }
}

/// What is known of keys and holders, and up to which change.
struct States {
    directory: Directory,
    /// The number of the last change that was seen; all are looked at where there is none.
    seen: Option<i64>,
    /// Whether every key is to be looked at again, changed or not.
    all: bool,
}

impl KeyRing {
    /// Reads all keys and holders.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(store: Arc<Store>, defaults: Limits) -> Result<Self, StoreError> {
        Self::load_shared(store, defaults, None)
    }

    /// Reads all keys and holders, whose limits and budgets are counted together with other replicas.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load_shared(
        store: Arc<Store>,
        defaults: Limits,
        sharing: Option<Arc<Sharing>>,
    ) -> Result<Self, StoreError> {
        let states = States {
            directory: Directory::new(Arc::clone(&store), defaults, sharing),
            seen: None,
            all: true,
        };
        let ring = Self {
            store,
            keys: ArcSwap::default(),
            states: Mutex::new(states),
            subjects: Subjects::default(),
        };
        ring.refresh()?;
        Ok(ring)
    }

    /// Whose key is it?
    ///
    /// # Errors
    /// When nobody's, or not any more.
    pub fn identify(&self, presented: &str) -> Result<Arc<Principal>, IdentifyError> {
        // Found by the digest, which says nothing of the key: there is no comparison whose time could be measured.
        self.keys.load().find(&hash_key(presented))
    }

    /// Whose key has this id? Ids are no secrets: the caller has to prove that it has the key, with the hash that comes
    /// along.
    ///
    /// # Errors
    /// When nobody's, or not any more.
    pub fn claimed(&self, id: &str) -> Result<(Arc<Principal>, [u8; 32]), IdentifyError> {
        let keys = self.keys.load();
        let (hash, _) = keys
            .hashes
            .get(&KeyId::from(id.to_owned()))
            .ok_or(IdentifyError::Unknown)?;
        Ok((keys.find(hash)?, *hash))
    }

    /// Whose key this id is or was: for what is owed, never for what is asked.
    #[must_use]
    pub fn whoever(&self, id: &KeyId) -> Option<Arc<Principal>> {
        let keys = self.keys.load();
        let entry = keys.by_hash.get(&keys.hashes.get(id)?.0);
        entry.map(|entry| Arc::clone(&entry.principal))
    }

    /// How the budgets of a holder stand; of a key, where no kind is given.
    #[must_use]
    pub fn standings(&self, kind: Option<HolderKind>, id: &str) -> Vec<Standing> {
        self.states.lock().directory.standings(kind, id)
    }

    /// How many keys, and how many holders of each kind, have spent more than a soft budget says; nothing while they
    /// are being read anew, because whoever asks must not wait for the database.
    #[must_use]
    pub fn past_soft(&self) -> Vec<(&'static str, usize)> {
        let states = self.states.try_lock();
        states
            .map(|states| states.directory.past_soft())
            .unwrap_or_default()
    }

    /// Changes the limits of keys that have none of their own.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn set_defaults(&self, defaults: Limits) -> Result<(), StoreError> {
        let mut states = self.states.lock();
        if states.directory.defaults != defaults {
            states.directory.defaults = defaults;
            states.all = true;
        }
        drop(states);
        self.refresh()
    }

    /// Takes over what anybody has changed of keys and holders. Blocks on the database: not for a worker's thread.
    ///
    /// # Errors
    /// When the store cannot be read; then it is tried again next time.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let mut states = self.states.lock();
        let now = self.store.changes()?;
        if states.seen == Some(now) && !states.all {
            return Ok(());
        }
        let since = states.seen.unwrap_or(0);
        let holders = self.store.holders_since(since)?;
        // What belongs to a holder may follow from it: then no key is left as it was.
        states.all |= !holders.is_empty();
        for holder in holders {
            states.directory.learn(holder)?;
        }
        let (mut keys, changed) = if states.all {
            (Keys::default(), self.store.keys()?)
        } else {
            (Keys::clone(&self.keys.load()), self.store.keys_since(since)?)
        };
        for record in &changed {
            let principal = Principal::of(record, &mut states.directory)?;
            keys.put(record, principal);
        }
        self.keys.store(Arc::new(keys));
        self.subjects.forget();
        states.seen = Some(now);
        states.all = false;
        Ok(())
    }
}
