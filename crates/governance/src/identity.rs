//! From a key to its principal, without a lock and without the database.
//!
//! Where there are many keys, only those are in memory that have been used; any other is read once, by whoever may wait.
//! What nobody has is remembered for a while, so that it is not asked for again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use papaya::HashMap as SharedMap;
use parking_lot::Mutex;
use pointsman_store::{HolderKind, KeyId, KeyRecord, Store, StoreError, hash_key};

use crate::account::unix_ms;
use crate::config::Limits;
use crate::directory::{Directory, Standing};
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
    /// It is disabled for the moment.
    #[error("the key is disabled")]
    Disabled,
    /// One of its holders is disabled or deleted.
    #[error("the {} of the key is disabled or deleted", .0.as_str())]
    Closed(HolderKind),
    /// It is not in memory: whether anybody has it must be [looked up](KeyRing::look_up).
    #[error("the key has not been looked up")]
    Unread,
}

/// A key that may not be in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By the hash of its secret.
    Secret([u8; 32]),
    /// By its id.
    Id(KeyId),
}

impl Wanted {
    /// The key with this secret.
    #[must_use]
    pub fn secret(secret: &str) -> Self {
        Self::Secret(hash_key(secret))
    }

    /// What it is remembered by where nobody has it.
    fn mark(&self) -> [u8; 32] {
        match self {
            Self::Secret(hash) => *hash,
            Self::Id(id) => hash_key(id.as_str()),
        }
    }
}

/// No more keys than this are read at start; more are read one by one, when they are used.
const EAGER: u32 = 20_000;
/// How long it is remembered that nobody has a key, milliseconds. Whatever changes ends it earlier.
const UNKNOWN_FOR: i64 = 30_000;
/// So many of these are remembered.
const MAX_UNKNOWN: usize = 20_000;
/// Keys that nobody has and that are looked up within a second; past that nothing is.
const MAX_MISSES: u32 = 500;

/// All keys.
pub struct KeyRing {
    store: Arc<Store>,
    keys: Keys,
    /// Whether there may be keys that are not in memory.
    is_partial: AtomicBool,
    states: Mutex<States>,
}

#[derive(Default)]
struct Keys {
    /// By the hash of their secret, the former one included.
    by_hash: SharedMap<[u8; 32], Entry>,
    /// The hashes of each key: of its secret, and of its former one.
    hashes: SharedMap<KeyId, ([u8; 32], Option<[u8; 32]>)>,
    /// What nobody has, and until when that is believed, Unix milliseconds.
    unknown: SharedMap<[u8; 32], i64>,
}

#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    /// When this secret ends, though the key does not, Unix milliseconds.
    until: Option<i64>,
}

impl Keys {
    fn find(&self, hash: &[u8; 32]) -> Result<Arc<Principal>, IdentifyError> {
        let by_hash = self.by_hash.pin();
        let entry = by_hash.get(hash).ok_or(IdentifyError::Unknown)?;
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

    fn put(&self, record: &KeyRecord, principal: Principal) {
        let (by_hash, hashes) = (self.by_hash.pin(), self.hashes.pin());
        let principal = Arc::new(principal);
        let former = record.former.map(|(hash, _)| hash);
        if let Some((hash, until)) = record.former {
            let (principal, until) = (Arc::clone(&principal), Some(until));
            by_hash.insert(hash, Entry { principal, until });
        }
        let until = None;
        by_hash.insert(record.hash, Entry { principal, until });
        // A secret that is not good any more goes once the new one is there.
        if let Some(&(old, older)) = hashes.insert(record.id.clone(), (record.hash, former)) {
            for hash in [Some(old), older].into_iter().flatten() {
                if hash != record.hash && Some(hash) != former {
                    by_hash.remove(&hash);
                }
            }
        }
    }

    /// Remembers that nobody has a key.
    fn forget(&self, mark: [u8; 32]) {
        let unknown = self.unknown.pin();
        if unknown.len() >= MAX_UNKNOWN {
            unknown.clear();
        }
        unknown.insert(mark, unix_ms() + UNKNOWN_FOR);
    }

    fn is_unknown(&self, mark: &[u8; 32]) -> bool {
        self.unknown
            .pin()
            .get(mark)
            .is_some_and(|until| *until > unix_ms())
    }
}

/// What is known of keys and holders, and up to which change.
struct States {
    directory: Directory,
    /// The number of the last change that was seen; all are looked at where there is none.
    seen: Option<i64>,
    /// Whether every key is to be looked at again, changed or not.
    all: bool,
    /// Whether keys are read when they are used.
    is_lazy: bool,
    /// Keys that are in memory, as they were read.
    records: HashMap<KeyId, KeyRecord>,
    /// The second in which keys that nobody has were looked up last, and how many.
    misses: (i64, u32),
}

impl KeyRing {
    /// Reads all keys and holders.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(store: Arc<Store>, defaults: Limits) -> Result<Self, StoreError> {
        let is_lazy = store.has_more_keys_than(EAGER)?;
        let states = States {
            directory: Directory::new(Arc::clone(&store), defaults),
            seen: None,
            all: true,
            is_lazy,
            records: HashMap::new(),
            misses: (0, 0),
        };
        let ring = Self {
            // Another machine may have made a key just now.
            is_partial: AtomicBool::new(is_lazy || store.is_shared()),
            store,
            keys: Keys::default(),
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
        let hash = hash_key(presented);
        self.keys
            .find(&hash)
            .map_err(|error| self.or_unread(error, &hash))
    }

    /// Nobody has a key only where that was looked up.
    fn or_unread(&self, error: IdentifyError, mark: &[u8; 32]) -> IdentifyError {
        let is_unread = error == IdentifyError::Unknown
            && self.is_partial.load(Ordering::Relaxed)
            && !self.keys.is_unknown(mark)
            && self.keys.by_hash.pin().get(mark).is_none();
        if is_unread { IdentifyError::Unread } else { error }
    }

    /// Reads a key into memory, if anybody has it. Blocks on the database: not for a worker's thread.
    ///
    /// # Errors
    /// When the store cannot be read, or too many keys that nobody has were looked up just now.
    pub fn look_up(&self, wanted: &Wanted) -> Result<(), StoreError> {
        let mut states = self.states.lock();
        let second = unix_ms() / 1_000;
        if states.misses.0 != second {
            states.misses = (second, 0);
        } else if states.misses.1 >= MAX_MISSES {
            let why = "too many keys that nobody has are asked for";
            return Err(StoreError::Unreachable(why.to_owned()));
        }
        // Its holders must be known as they are by now.
        self.take_over(&mut states)?;
        // Under the lock: what is changed after this is seen by the next refresh, which finds the key in memory.
        let found = match wanted {
            Wanted::Secret(hash) => self.store.key_by_hash(*hash)?,
            Wanted::Id(id) => match self.store.key(id) {
                Ok(key) => Some(key),
                Err(StoreError::NoSuchKey(_)) => None,
                Err(error) => return Err(error),
            },
        };
        match found {
            Some(record) => {
                let principal = Principal::of(&record, &mut states.directory)?;
                self.keys.put(&record, principal);
                states.records.insert(record.id.clone(), record);
            }
            None => {
                states.misses.1 += 1;
                self.keys.forget(wanted.mark());
            }
        }
        Ok(())
    }

    /// Whose key has this id? Ids are no secrets: the caller has to prove that it has the key, with the hash that comes
    /// along.
    ///
    /// # Errors
    /// When nobody's, or not any more.
    pub fn claimed(&self, id: &str) -> Result<(Arc<Principal>, [u8; 32]), IdentifyError> {
        let id = KeyId::from(id.to_owned());
        let hash = self.keys.hashes.pin().get(&id).map(|(hash, _)| *hash);
        let Some(hash) = hash else {
            return Err(self.or_unread(IdentifyError::Unknown, &hash_key(id.as_str())));
        };
        Ok((self.keys.find(&hash)?, hash))
    }

    /// Whose key this id is or was: for what is owed, never for what is asked.
    #[must_use]
    pub fn whoever(&self, id: &KeyId) -> Option<Arc<Principal>> {
        let hash = self.keys.hashes.pin().get(id)?.0;
        let by_hash = self.keys.by_hash.pin();
        by_hash.get(&hash).map(|entry| Arc::clone(&entry.principal))
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
        self.take_over(&mut self.states.lock())
    }

    fn take_over(&self, states: &mut States) -> Result<(), StoreError> {
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
        let mut changed = Vec::new();
        if !states.is_lazy || states.seen.is_some() {
            let (is_lazy, records) = (states.is_lazy, &states.records);
            self.store.each_key_since(since, |record| {
                if !is_lazy || records.contains_key(&record.id) {
                    changed.push(record);
                }
            })?;
        }
        self.keys.unknown.pin().clear();
        for record in &changed {
            states.records.insert(record.id.clone(), record.clone());
        }
        let all = states.all.then(|| std::mem::take(&mut states.records));
        let put = match &all {
            Some(all) => self.put_all(all.values(), &mut states.directory),
            None => self.put_all(changed.iter(), &mut states.directory),
        };
        states.records.extend(all.into_iter().flatten());
        put?;
        states.seen = Some(now);
        states.all = false;
        Ok(())
    }

    fn put_all<'a>(
        &self,
        records: impl Iterator<Item = &'a KeyRecord>,
        directory: &mut Directory,
    ) -> Result<(), StoreError> {
        for record in records {
            let principal = Principal::of(record, directory)?;
            self.keys.put(record, principal);
        }
        Ok(())
    }
}
