//! From a key to its principal, without a lock and without the database.
//!
//! Where there are many keys, only those are in memory that have been used; any other is read once, by whoever may wait.
//! What nobody has is remembered for a while, so that it is not asked for again and again.

mod subjects;
mod uses;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use papaya::HashMap as SharedMap;
use parking_lot::Mutex;
use pointsman_store::{HolderKind, KeyId, KeyRecord, Store, StoreError, hash_key};

use crate::account::unix_ms;
use crate::config::Limits;
use crate::directory::{BeyondSoft, Directory, Outlook, Standing, Stood};
use crate::labels::{LabelError, LabelMap, Labels};
use crate::principal::Principal;
use crate::sharing::Sharing;

use subjects::Subjects;
use uses::{Named, Uses};

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
    /// No key, but something that requests name, by its kind and id: what it has spent is looked up.
    Label(HolderKind, String),
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
            Self::Label(_, id) => hash_key(id),
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
    is_partial: bool,
    states: Mutex<States>,
    subjects: Subjects,
    /// What requests name beside their keys.
    labels: LabelMap,
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
    /// On whom they depend.
    uses: Uses,
    misses: Misses,
}

/// How many keys that nobody has were looked up in the second in which one was last.
#[derive(Default)]
struct Misses {
    second: i64,
    count: u32,
}

impl Misses {
    /// Whether another one may be looked up in this second.
    fn has_room(&mut self, second: i64) -> bool {
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count < MAX_MISSES
    }
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
        Self::load_up_to(EAGER, store, defaults, sharing)
    }

    /// Reads all keys, if there are no more than so many, and all holders.
    fn load_up_to(
        eager: u32,
        store: Arc<Store>,
        defaults: Limits,
        sharing: Option<Arc<Sharing>>,
    ) -> Result<Self, StoreError> {
        let is_lazy = store.has_more_keys_than(eager)?;
        let states = States {
            directory: Directory::new(Arc::clone(&store), defaults, sharing),
            seen: None,
            all: true,
            is_lazy,
            records: HashMap::new(),
            uses: Uses::default(),
            misses: Misses::default(),
        };
        let ring = Self {
            // Another machine may have made a key just now.
            is_partial: is_lazy || store.is_shared(),
            store,
            keys: Keys::default(),
            states: Mutex::new(states),
            subjects: Subjects::default(),
            labels: LabelMap::default(),
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
            && self.is_partial
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
        if !states.misses.has_room(unix_ms() / 1_000) {
            let why = "too many keys that nobody has are asked for";
            return Err(StoreError::Unreachable(why.to_owned()));
        }
        // Its holders must be known as they are by now. Under the lock: what is changed after this is seen by the next
        // refresh, which finds the key in memory.
        let found = match wanted {
            Wanted::Secret(hash) => self.read_key(&mut states, *hash)?,
            Wanted::Id(id) => {
                self.take_over(&mut states)?;
                match self.store.key(id) {
                    Ok(key) => Some(key),
                    Err(StoreError::NoSuchKey(_)) => None,
                    Err(error) => return Err(error),
                }
            }
            Wanted::Label(kind, id) => {
                self.take_over(&mut states)?;
                states.directory.ready(*kind, id)?;
                self.know(&states.directory, *kind, id);
                return Ok(());
            }
        };
        match found {
            Some(record) => {
                let States { directory, uses, .. } = &mut *states;
                self.put(&record, directory, uses)?;
                states.records.insert(record.id.clone(), record);
            }
            None => {
                states.misses.count += 1;
                self.keys.forget(wanted.mark());
            }
        }
        Ok(())
    }

    /// The key with this hash, with its holders known as they are by now. Mostly nothing has changed, which the key's own
    /// row says: then one question is all.
    fn read_key(&self, states: &mut States, hash: [u8; 32]) -> Result<Option<KeyRecord>, StoreError> {
        let seen = states.seen;
        let found = self.store.key_and_change(hash)?;
        match &found {
            Some((_, now)) if seen == Some(*now) && !states.all => return Ok(found.map(|(record, _)| record)),
            _ => self.take_over(states)?,
        }
        if found.is_none() && seen.is_some() && states.seen == seen {
            // Nobody has made it meanwhile.
            return Ok(None);
        }
        self.store.key_by_hash(hash)
    }

    /// Takes over what requests name, as it is now.
    fn know(&self, directory: &Directory, kind: HolderKind, id: &str) {
        if let Some((holder, account, is_ready)) = directory.labelled(kind, id) {
            self.labels.put(holder, account, is_ready);
        }
    }

    /// Whoever asks, for a request that names `labels`: what of it has limits or budgets is charged with the others.
    ///
    /// # Errors
    /// When something is named that is disabled, or whose spending has to be [looked up](Self::look_up) before.
    pub fn naming(&self, caller: &Principal, labels: Labels) -> Result<Principal, LabelError> {
        let organization = caller.organization.as_ref().map(|id| id.as_str());
        let named = self.labels.find(&labels, organization)?;
        Ok(caller.naming(labels, &named))
    }

    /// Whoever asked, for what was answered already: what it names is charged, also where it may not be named any more.
    #[must_use]
    pub fn owing(&self, caller: &Principal, labels: Labels) -> Principal {
        let organization = caller.organization.as_ref().map(|id| id.as_str());
        let named = self.labels.owing(&labels, organization);
        caller.naming(labels, &named)
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
        self.states.lock().directory.standings(kind, id).0
    }

    /// How the quotas of a holder stand; of a key, where no kind is given.
    #[must_use]
    pub fn stood(&self, kind: Option<HolderKind>, id: &str) -> Vec<Stood> {
        self.states.lock().directory.standings(kind, id).1
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

    /// Everybody who has spent more than a soft budget says; nothing while they are being read anew.
    #[must_use]
    pub fn beyond_soft(&self) -> Vec<BeyondSoft> {
        let states = self.states.try_lock();
        states
            .map(|states| states.directory.beyond_soft())
            .unwrap_or_default()
    }

    /// Everybody who will have spent more than `percent` of a budget when its window ends, if they go on as they do; not
    /// before `after` of a hundred parts of it have passed. Nothing while they are being read anew.
    #[must_use]
    pub fn outlooks(&self, percent: u16, after: u8) -> Vec<Outlook> {
        let states = self.states.try_lock();
        states
            .map(|states| states.directory.outlooks((percent, after), unix_ms()))
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

    /// The number of the last change that was seen; nothing while they are being read anew.
    #[must_use]
    pub fn seen(&self) -> Option<i64> {
        self.states.try_lock().and_then(|states| states.seen)
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
        let mut touched: HashSet<Named> = HashSet::new();
        for holder in self.store.holders_since(since)? {
            let (kind, id) = (holder.kind, holder.id.clone());
            states.directory.learn(holder)?;
            if kind.is_label() {
                self.know(&states.directory, kind, &id);
            }
            touched.insert((kind, id));
        }
        let mut again: HashSet<KeyId> = HashSet::new();
        if !states.is_lazy || states.seen.is_some() {
            let States { is_lazy, records, .. } = &mut *states;
            self.store.each_key_since(since, |record| {
                if !*is_lazy || records.contains_key(&record.id) {
                    again.insert(record.id.clone());
                    records.insert(record.id.clone(), record);
                }
            })?;
        }
        self.keys.unknown.pin().clear();
        if states.all {
            self.subjects.forget();
        } else {
            self.subjects.forget_of(&touched);
        }
        let States {
            directory,
            uses,
            records,
            all,
            ..
        } = &mut *states;
        if *all {
            records
                .values()
                .try_for_each(|record| self.put(record, directory, uses))?;
        } else {
            // Of all others nothing has changed, and nothing that they depend on: a user that is made costs one row.
            again.extend(uses.of(&touched).cloned());
            again
                .iter()
                .filter_map(|id| records.get(id))
                .try_for_each(|record| self.put(record, directory, uses))?;
        }
        states.seen = Some(now);
        states.all = false;
        Ok(())
    }

    fn put(&self, record: &KeyRecord, directory: &mut Directory, uses: &mut Uses) -> Result<(), StoreError> {
        uses.note(record, &directory.chain(record));
        let principal = Principal::of(record, directory)?;
        self.keys.put(record, principal);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pointsman_store::{Actor, HolderSpec, NewKey};
    use secrecy::ExposeSecret;

    use super::*;

    /// A store, and a ring that reads no key before it is used.
    fn lazy() -> (Arc<Store>, KeyRing, KeyRecord, String) {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        let grant = NewKey {
            team: Some("t".into()),
            ..NewKey::default()
        };
        let (key, secret) = store.create_key(grant).unwrap();
        let ring = KeyRing::load_up_to(0, Arc::clone(&store), Limits::default(), None).unwrap();
        (store, ring, key, secret.expose_secret().to_owned())
    }

    fn why(ring: &KeyRing, secret: &str) -> Option<IdentifyError> {
        ring.identify(secret).err()
    }

    #[test]
    fn a_key_is_read_when_it_is_used_and_dies_like_any_other() {
        let (store, ring, key, secret) = lazy();
        assert_eq!(why(&ring, &secret), Some(IdentifyError::Unread));
        ring.look_up(&Wanted::secret(&secret)).unwrap();
        assert_eq!(why(&ring, &secret), None);
        assert_eq!(ring.claimed(key.id.as_str()).unwrap().1, key.hash);
        assert!(ring.whoever(&key.id).is_some());
        // Its former secret, too, and neither longer than it is good.
        let (rotated, new) = store
            .rotate_key_as(&Actor::local(), &key.id, None, 60_000)
            .unwrap();
        ring.refresh().unwrap();
        for good in [&secret, new.expose_secret()] {
            assert_eq!(why(&ring, good), None);
        }
        let again = store.rotate_key(&key.id).unwrap();
        ring.refresh().unwrap();
        assert_eq!(why(&ring, again.expose_secret()), None);
        for old in [&secret, new.expose_secret()] {
            assert_eq!(
                why(&ring, old),
                Some(IdentifyError::Unread),
                "nobody's, as far as is known"
            );
            ring.look_up(&Wanted::secret(old)).unwrap();
            assert_eq!(why(&ring, old), Some(IdentifyError::Unknown));
        }
        assert_ne!(rotated.hash, key.hash);
        store.revoke_key(&key.id).unwrap();
        ring.refresh().unwrap();
        assert_eq!(why(&ring, again.expose_secret()), Some(IdentifyError::Revoked));
    }

    #[test]
    fn what_changes_at_its_team_counts_for_a_key_that_was_read() {
        let (store, ring, key, secret) = lazy();
        ring.look_up(&Wanted::Id(key.id)).unwrap();
        assert_eq!(why(&ring, &secret), None);
        let disable = |disabled| {
            let change = |spec: &mut HolderSpec| {
                spec.disabled = disabled;
                Ok(())
            };
            store
                .update_holder(&Actor::local(), (HolderKind::Team, "t"), None, change)
                .unwrap();
            ring.refresh().unwrap();
        };
        disable(true);
        assert_eq!(why(&ring, &secret), Some(IdentifyError::Closed(HolderKind::Team)));
        disable(false);
        assert_eq!(why(&ring, &secret), None);
        // A key of a team that was made after the last look.
        let grant = NewKey {
            team: Some("new".into()),
            ..NewKey::default()
        };
        let (_, secret) = store.create_key(grant).unwrap();
        let secret = secret.expose_secret();
        ring.look_up(&Wanted::secret(secret)).unwrap();
        assert_eq!(why(&ring, secret), None);
    }

    #[test]
    fn what_nobody_has_is_not_asked_for_again_until_something_changes() {
        let (store, ring, _, _) = lazy();
        let nobodys = "pm-nobodys";
        assert_eq!(why(&ring, nobodys), Some(IdentifyError::Unread));
        ring.look_up(&Wanted::secret(nobodys)).unwrap();
        assert_eq!(why(&ring, nobodys), Some(IdentifyError::Unknown));
        let chosen = "chosen-by-somebody-else";
        ring.look_up(&Wanted::secret(chosen)).unwrap();
        let made = store.create_key_as(
            &Actor::local(),
            NewKey::default(),
            pointsman_store::Metadata::new(),
            Some(chosen.into()),
        );
        made.unwrap();
        ring.refresh().unwrap();
        assert_eq!(why(&ring, chosen), Some(IdentifyError::Unread));
        ring.look_up(&Wanted::secret(chosen)).unwrap();
        assert_eq!(why(&ring, chosen), None);
        let id = KeyId::from("key_nobodys");
        assert_eq!(ring.claimed(id.as_str()).err(), Some(IdentifyError::Unread));
        ring.look_up(&Wanted::Id(id.clone())).unwrap();
        assert_eq!(ring.claimed(id.as_str()).err(), Some(IdentifyError::Unknown));
    }

    #[test]
    fn a_flood_of_keys_that_nobody_has_is_bounded() {
        let (_, ring, _, _) = lazy();
        let mut misses = Misses::default();
        for _ in 0..MAX_MISSES {
            assert!(misses.has_room(7));
            misses.count += 1;
        }
        assert!(!misses.has_room(7) && misses.has_room(8));
        for number in 0..MAX_UNKNOWN as u64 + 100 {
            ring.keys.forget(hash_key(&number.to_string()));
        }
        assert!(ring.keys.unknown.len() <= MAX_UNKNOWN);
    }

    #[test]
    fn where_all_keys_are_in_memory_nobody_looks() {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        let ring = KeyRing::load(Arc::clone(&store), Limits::default()).unwrap();
        assert_eq!(why(&ring, "pm-nobodys"), Some(IdentifyError::Unknown));
    }

    #[test]
    fn what_is_changed_at_a_holder_costs_its_keys_alone() {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        let actor = Actor::local();
        let make = |kind, id: &str, spec| {
            let id = Some(id.to_owned());
            store.create_holder(&actor, kind, id, spec).unwrap();
        };
        let of = |organization: &str| HolderSpec {
            organization: Some(organization.into()),
            ..HolderSpec::default()
        };
        for name in ["a", "b"] {
            make(HolderKind::Organization, name, HolderSpec::default());
            make(HolderKind::Team, &format!("team-{name}"), of(name));
            let spec = HolderSpec {
                team: Some(format!("team-{name}").into()),
                ..HolderSpec::default()
            };
            make(HolderKind::Project, &format!("project-{name}"), spec);
        }
        let secret = |name: &str| {
            let grant = NewKey {
                project: Some(format!("project-{name}").into()),
                ..NewKey::default()
            };
            let made = store.create_key(grant).unwrap();
            made.1.expose_secret().to_owned()
        };
        let (one, other) = (secret("a"), secret("b"));
        let ring = KeyRing::load(Arc::clone(&store), Limits::default()).unwrap();
        let both = || (ring.identify(&one).unwrap(), ring.identify(&other).unwrap());
        let before = both();
        // A user that nobody's key belongs to.
        make(HolderKind::User, "new", of("a"));
        ring.refresh().unwrap();
        let after = both();
        assert!(Arc::ptr_eq(&before.0, &after.0) && Arc::ptr_eq(&before.1, &after.1));
        // An organization that a key belongs to by the team of its project.
        let change = |kind, id: &str, allowed: &str| {
            let set = |spec: &mut HolderSpec| {
                spec.terms.models = vec![allowed.to_owned()];
                Ok(())
            };
            store.update_holder(&actor, (kind, id), None, set).unwrap();
            ring.refresh().unwrap();
        };
        change(HolderKind::Organization, "a", "small");
        let changed = both();
        assert!(!changed.0.allows_model("large") && changed.0.allows_model("small"));
        assert!(Arc::ptr_eq(&before.1, &changed.1));
        // A project that moves takes its keys along, and the team that it comes to counts from then on.
        let moved = |spec: &mut HolderSpec| {
            spec.team = Some("team-b".into());
            Ok(())
        };
        store
            .update_holder(&actor, (HolderKind::Project, "project-a"), None, moved)
            .unwrap();
        ring.refresh().unwrap();
        assert!(both().0.allows_model("large"));
        change(HolderKind::Team, "team-b", "tiny");
        let at_last = both();
        assert!(!at_last.0.allows_model("large") && at_last.0.allows_model("tiny"));
        assert!(!at_last.1.allows_model("large"));
    }
}
