//! From a key to its principal, without a lock and without the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_store::{KeyId, KeyRecord, Store, StoreError, hash_key};

use crate::budget::{Purse, bounds};
use crate::config::Limits;
use crate::limits::{KeyState, unix_ms};
use crate::principal::Principal;

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
}

/// All keys.
pub struct KeyRing {
    store: Arc<Store>,
    keys: ArcSwap<Keys>,
    states: Mutex<States>,
}

#[derive(Default)]
struct Keys {
    /// By the hash of their secret.
    by_hash: HashMap<[u8; 32], Arc<Principal>>,
    /// The hash of each key.
    hashes: HashMap<KeyId, [u8; 32]>,
}

impl Keys {
    fn find(&self, hash: &[u8; 32]) -> Result<Arc<Principal>, IdentifyError> {
        let principal = self.by_hash.get(hash).ok_or(IdentifyError::Unknown)?;
        if principal.revoked {
            return Err(IdentifyError::Revoked);
        }
        if principal.expires_at.is_some_and(|expires| unix_ms() >= expires) {
            return Err(IdentifyError::Expired);
        }
        Ok(Arc::clone(principal))
    }
}

/// Counters by key; they survive reloads of keys and configuration.
struct States {
    defaults: Limits,
    by_key: HashMap<KeyId, Arc<KeyState>>,
    version: Option<(i64, u64)>,
}

impl KeyRing {
    /// Reads all keys.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(store: Arc<Store>, defaults: Limits) -> Result<Self, StoreError> {
        let states = States {
            defaults,
            by_key: HashMap::new(),
            version: None,
        };
        let ring = Self {
            store,
            keys: ArcSwap::default(),
            states: Mutex::new(states),
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
        let hash = keys
            .hashes
            .get(&KeyId::from(id.to_owned()))
            .ok_or(IdentifyError::Unknown)?;
        Ok((keys.find(hash)?, *hash))
    }

    /// Whose key this id is or was: for what is owed, never for what is asked.
    #[must_use]
    pub fn whoever(&self, id: &KeyId) -> Option<Arc<Principal>> {
        let keys = self.keys.load();
        keys.by_hash.get(keys.hashes.get(id)?).map(Arc::clone)
    }

    /// Changes the limits of keys that have none of their own.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn set_defaults(&self, defaults: Limits) -> Result<(), StoreError> {
        let mut states = self.states.lock();
        if states.defaults != defaults {
            states.defaults = defaults;
            states.version = None;
        }
        drop(states);
        self.refresh()
    }

    /// Reads the keys again, if anybody has changed them. Blocks on the database: not for a worker's thread.
    ///
    /// # Errors
    /// When the store cannot be read; the keys stay as they are.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let mut states = self.states.lock();
        let version = self.store.change_version()?;
        if states.version == Some(version) {
            return Ok(());
        }
        let mut keys = Keys::default();
        for record in self.store.keys()? {
            let state = self.state_of(&mut states, &record)?;
            keys.hashes.insert(record.id.clone(), record.hash);
            keys.by_hash
                .insert(record.hash, Arc::new(Principal::new(&record, state)));
        }
        self.keys.store(Arc::new(keys));
        states.version = Some(version);
        Ok(())
    }

    fn state_of(&self, states: &mut States, record: &KeyRecord) -> Result<Arc<KeyState>, StoreError> {
        let grant = &record.grant;
        let defaults = states.defaults;
        let limits = Limits {
            requests_per_minute: grant.requests_per_minute.or(defaults.requests_per_minute),
            tokens_per_minute: grant.tokens_per_minute.or(defaults.tokens_per_minute),
            concurrency: grant.concurrency.or(defaults.concurrency),
        };
        let now = unix_ms();
        let known = states.by_key.get(&record.id);
        let purse = match grant.budget {
            None => None,
            // What was counted here is newer than the ledger, and summing the ledger up is not cheap.
            Some(budget) if known.is_some_and(|state| state.has_purse(budget.window)) => {
                Some(Purse::new(budget, Money::ZERO, now))
            }
            Some(budget) => {
                let spent = self.store.spent(&record.id, bounds(budget.window, now).0)?;
                Some(Purse::new(budget, spent, now))
            }
        };
        if let Some(state) = known {
            state.configure(limits, purse);
            return Ok(Arc::clone(state));
        }
        let state = Arc::new(KeyState::new(limits, purse, Instant::now()));
        states.by_key.insert(record.id.clone(), Arc::clone(&state));
        Ok(state)
    }
}
