//! What requests name beside their keys: their end customer, the agent they come from, their tags; and what is known of
//! those that somebody has given limits or budgets.
//!
//! Anything may be named, and what is not known is only written down: nothing is kept in memory for it.

use std::hash::Hash;
use std::sync::Arc;

use papaya::{Equivalent, HashMap};
use pointsman_store::{Holder, HolderKind};
use smallvec::SmallVec;

use crate::account::Account;

/// Tags of one request, at most.
pub const MAX_TAGS: usize = 8;
/// Bytes of a name, at most.
const MAX_NAME: usize = 256;

/// What a request names beside its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its end customer.
    pub customer: Option<Box<str>>,
    /// The agent that it comes from.
    pub agent: Option<Box<str>>,
    /// Its tags, each once.
    pub tags: Arc<[Box<str>]>,
}

/// Whether something can be named so: not endless, not empty, and in one line.
#[must_use]
pub fn is_label(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

impl Labels {
    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.customer.is_none() && self.agent.is_none() && self.tags.is_empty()
    }

    /// All that is named.
    fn all(&self) -> impl Iterator<Item = (HolderKind, &str)> {
        let one = |kind, name: &'_ Option<Box<str>>| name.is_some().then_some(kind);
        let customer = one(HolderKind::Customer, &self.customer).zip(self.customer.as_deref());
        let agent = one(HolderKind::Agent, &self.agent).zip(self.agent.as_deref());
        let tags = self.tags.iter().map(|tag| (HolderKind::Tag, &**tag));
        customer.into_iter().chain(agent).chain(tags)
    }
}

/// Why a request may not name what it names, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// It is disabled.
    #[error("the {} {name:?} is disabled", .kind.as_str())]
    Closed {
        /// What it is.
        kind: HolderKind,
        /// What it is called.
        name: String,
    },
    /// What it has spent must be [looked up](crate::KeyRing::look_up).
    #[error("what the {} {id} has spent has not been looked up", .kind.as_str())]
    Unread {
        /// What it is.
        kind: HolderKind,
        /// Its id.
        id: String,
    },
}

/// By what something is found.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: HolderKind,
    organization: Option<Box<str>>,
    name: Box<str>,
}

/// The same, borrowed: nothing is allocated to look.
#[derive(Hash)]
struct Asked<'a> {
    kind: HolderKind,
    organization: Option<&'a str>,
    name: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.kind, self.organization, self.name) == (key.kind, key.organization.as_deref(), &*key.name)
    }
}

/// Something that is named, with its counters.
#[derive(Debug)]
struct Known {
    id: Box<str>,
    account: Arc<Account>,
    is_ready: bool,
    is_disabled: bool,
}

/// What is known of what requests name.
#[derive(Default)]
pub(crate) struct LabelMap(HashMap<Key, Known>);

/// Counters of what one request names.
pub(crate) type Named = SmallVec<[Arc<Account>; 4]>;

impl LabelMap {
    /// Takes over how something is now.
    pub(crate) fn put(&self, holder: &Holder, account: &Arc<Account>, is_ready: bool) {
        let organization = holder.spec.organization.as_ref();
        let key = Key {
            kind: holder.kind,
            organization: organization.map(|id| id.as_str().into()),
            name: holder.spec.name.as_str().into(),
        };
        let map = self.0.pin();
        if holder.deleted_at.is_some() {
            // Another one may have the name by now.
            map.remove_if(&key, |_, known| *known.id == *holder.id).ok();
            return;
        }
        let known = Known {
            id: holder.id.as_str().into(),
            account: Arc::clone(account),
            is_ready,
            is_disabled: holder.spec.disabled,
        };
        map.insert(key, known);
    }

    /// The counters of what `labels` name, for keys of an organization: those that belong to it, and those that belong
    /// to nobody and hold for all.
    pub(crate) fn find(&self, labels: &Labels, organization: Option<&str>) -> Result<Named, LabelError> {
        self.look(labels, organization, false)
    }

    /// The same of who pays for what was answered already: also of what was disabled meanwhile. What is not known by now
    /// is left out: whoever looks it up finds what was spent in the ledger.
    pub(crate) fn owing(&self, labels: &Labels, organization: Option<&str>) -> Named {
        self.look(labels, organization, true).unwrap_or_default()
    }

    fn look(&self, labels: &Labels, organization: Option<&str>, is_owed: bool) -> Result<Named, LabelError> {
        let mut found = Named::new();
        let map = self.0.pin();
        if map.is_empty() {
            return Ok(found);
        }
        for (kind, name) in labels.all() {
            let own = organization.map(|organization| Asked {
                kind,
                organization: Some(organization),
                name,
            });
            let all = Asked {
                kind,
                organization: None,
                name,
            };
            for known in own.into_iter().chain([all]).filter_map(|asked| map.get(&asked)) {
                if is_owed {
                    found.extend(known.is_ready.then(|| Arc::clone(&known.account)));
                    continue;
                }
                if known.is_disabled {
                    let name = name.to_owned();
                    return Err(LabelError::Closed { kind, name });
                }
                if !known.is_ready {
                    let id = known.id.to_string();
                    return Err(LabelError::Unread { kind, id });
                }
                found.push(Arc::clone(&known.account));
            }
        }
        // In one order everywhere, so that two requests never wait for each other; and each once.
        found.sort_unstable_by_key(|account| Arc::as_ptr(account).addr());
        found.dedup_by(|one, other| Arc::ptr_eq(one, other));
        Ok(found)
    }
}
