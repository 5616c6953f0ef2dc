//! Whose tasks and contexts are whose, and at which instance they are.
//!
//! An agent knows one caller: the gateway. So the gateway keeps its own callers apart. What a caller has not begun is not
//! there for it; what it has begun is at the instance that began it. Each owner has a book of its own, of bounded size.
//! With several replicas, all know what one has begun (`shared`).

mod shared;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use pointsman_store::SharedSessions;

pub use shared::{Holder, Keeping};

/// Parts of the book that have locks of their own.
const SHARDS: usize = 64;

/// Who may see what.
pub struct Book {
    hasher: RandomState,
    owners: Vec<Mutex<Owners>>,
    /// Who has a context.
    contexts: Vec<Mutex<HashMap<String, Arc<str>>>>,
    /// What other replicas know, where there are any.
    shared: Option<Arc<dyn SharedSessions>>,
}

/// Everybody who has anything, and what.
type Owners = HashMap<Arc<str>, Arc<Mutex<Owned>>>;

/// What one owner has.
#[derive(Default)]
struct Owned {
    tasks: HashMap<String, u64>,
    task_order: VecDeque<String>,
    contexts: HashMap<String, u64>,
    context_order: VecDeque<String>,
    /// Of contexts whose agent waits to hear more: the task that waits.
    waiting: HashMap<String, String>,
}

/// Where a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nobody has it.
    Free,
    /// It is the caller's own, at this instance.
    Own(u64),
    /// It is somebody else's.
    Taken,
}

impl Default for Book {
    fn default() -> Self {
        let shards = 0..SHARDS;
        Self {
            hasher: RandomState::default(),
            owners: shards.clone().map(|_| Mutex::default()).collect(),
            contexts: shards.map(|_| Mutex::default()).collect(),
            shared: None,
        }
    }
}

impl Book {
    /// A book that other replicas know of, where there are any.
    #[must_use]
    pub fn sharing(shared: Option<Arc<dyn SharedSessions>>) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    fn shard<'a, T>(&self, shards: &'a [T], key: impl Hash) -> Option<&'a T> {
        let hash = self.hasher.hash_one(key) as usize;
        shards.get(hash % SHARDS)
    }

    fn owned(&self, owner: &str) -> Option<Arc<Mutex<Owned>>> {
        self.shard(&self.owners, owner)?.lock().get(owner).cloned()
    }

    fn opened(&self, owner: &str) -> Option<(Arc<str>, Arc<Mutex<Owned>>)> {
        let mut owners = self.shard(&self.owners, owner)?.lock();
        if let Some((name, owned)) = owners.get_key_value(owner) {
            return Some((Arc::clone(name), Arc::clone(owned)));
        }
        let (name, owned): (Arc<str>, Arc<Mutex<Owned>>) = (owner.into(), Arc::default());
        owners.insert(Arc::clone(&name), Arc::clone(&owned));
        Some((name, owned))
    }

    /// The instance that a task of this owner is at.
    #[must_use]
    pub fn task(&self, owner: &str, agent: &str, id: &str) -> Option<u64> {
        let owned = self.owned(owner)?;
        let owned = owned.lock();
        owned.tasks.get(&key(agent, id)).copied()
    }

    /// Where a context is, as this owner sees it.
    #[must_use]
    pub fn context(&self, owner: &str, agent: &str, id: &str) -> Place {
        let key = key(agent, id);
        let holder = self
            .shard(&self.contexts, &key)
            .and_then(|shard| shard.lock().get(&key).cloned());
        match holder {
            None => Place::Free,
            Some(holder) if *holder == *owner => {
                let owned = self.owned(owner);
                let at = owned.and_then(|owned| owned.lock().contexts.get(&key).copied());
                at.map_or(Place::Free, Place::Own)
            }
            Some(_) => Place::Taken,
        }
    }

    /// Notes that a task is this owner's, and at which instance; of an owner with more than `most`, the oldest goes.
    pub fn keep_task(&self, owner: &str, agent: &str, id: &str, instance: u64, most: usize) {
        let Some((_, owned)) = self.opened(owner) else {
            return;
        };
        let mut owned = owned.lock();
        let key = key(agent, id);
        if owned.tasks.insert(key.clone(), instance).is_none() {
            owned.task_order.push_back(key);
            if owned.task_order.len() > most
                && let Some(oldest) = owned.task_order.pop_front()
            {
                owned.tasks.remove(&oldest);
            }
        }
    }

    /// Notes that a context is this owner's, unless it is somebody else's already.
    pub fn keep_context(&self, owner: &str, agent: &str, id: &str, instance: u64, most: usize) {
        let Some((name, owned)) = self.opened(owner) else {
            return;
        };
        let key = key(agent, id);
        if let Some(shard) = self.shard(&self.contexts, &key) {
            match shard.lock().entry(key.clone()) {
                Entry::Occupied(holder) if **holder.get() != *owner => return,
                Entry::Occupied(_) => {}
                Entry::Vacant(free) => drop(free.insert(name)),
            }
        }
        let mut owned = owned.lock();
        if owned.contexts.insert(key.clone(), instance).is_some() {
            return;
        }
        owned.context_order.push_back(key);
        let oldest = if owned.context_order.len() > most {
            owned.context_order.pop_front()
        } else {
            None
        };
        if let Some(oldest) = oldest {
            owned.contexts.remove(&oldest);
            owned.waiting.remove(&oldest);
            drop(owned);
            if let Some(shard) = self.shard(&self.contexts, &oldest) {
                shard.lock().remove(&oldest);
            }
        }
    }
}

impl Book {
    /// Notes which task of a context of this owner waits to hear more.
    pub fn keep_waiting(&self, owner: &str, agent: &str, context: &str, task: &str) {
        let Some(owned) = self.owned(owner) else { return };
        let mut owned = owned.lock();
        let key = key(agent, context);
        if owned.contexts.contains_key(&key) {
            owned.waiting.insert(key, task.to_owned());
        }
    }

    /// The task of a context that waits to hear more, and goes on waiting.
    fn peek_waiting(&self, owner: &str, agent: &str, context: &str) -> Option<String> {
        let owned = self.owned(owner)?;
        let owned = owned.lock();
        owned.waiting.get(&key(agent, context)).cloned()
    }

    /// The task of a context that waits to hear more, which is told now.
    #[must_use]
    pub fn take_waiting(&self, owner: &str, agent: &str, context: &str) -> Option<String> {
        let owned = self.owned(owner)?;
        owned.lock().waiting.remove(&key(agent, context))
    }
}

/// Agents name their tasks as they like: the same name at two of them is two tasks.
fn key(agent: &str, id: &str) -> String {
    format!("{agent}\n{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_begun_is_not_there() {
        let book = Book::default();
        book.keep_task("a", "planner", "t", 7, 10);
        book.keep_context("a", "planner", "c", 7, 10);
        assert_eq!(book.task("a", "planner", "t"), Some(7));
        assert_eq!(book.task("b", "planner", "t"), None);
        assert_eq!(book.task("a", "painter", "t"), None);
        assert_eq!(book.context("a", "planner", "c"), Place::Own(7));
        assert_eq!(book.context("b", "planner", "c"), Place::Taken);
        assert_eq!(book.context("b", "painter", "c"), Place::Free);
        book.keep_context("b", "planner", "c", 9, 10);
        assert_eq!(book.context("a", "planner", "c"), Place::Own(7));
    }

    #[test]
    fn an_owner_forgets_its_own_first() {
        let book = Book::default();
        book.keep_task("quiet", "p", "first", 1, 3);
        book.keep_context("quiet", "p", "first", 1, 3);
        for index in 0..1_000 {
            book.keep_task("loud", "p", &format!("t{index}"), 1, 3);
            book.keep_context("loud", "p", &format!("c{index}"), 1, 3);
        }
        assert_eq!(book.task("quiet", "p", "first"), Some(1));
        assert_eq!(book.context("quiet", "p", "first"), Place::Own(1));
        assert_eq!(book.task("loud", "p", "t996"), None);
        assert_eq!(book.task("loud", "p", "t997"), Some(1));
        assert_eq!(book.context("loud", "p", "c996"), Place::Free);
        let held: usize = book.contexts.iter().map(|shard| shard.lock().len()).sum();
        assert_eq!(held, 4);
    }

    #[test]
    fn a_task_waits_in_its_context_until_it_is_told() {
        let book = Book::default();
        book.keep_waiting("a", "p", "c", "t");
        assert_eq!(book.take_waiting("a", "p", "c"), None);
        book.keep_context("a", "p", "c", 1, 1);
        book.keep_waiting("a", "p", "c", "t");
        assert_eq!(book.take_waiting("b", "p", "c"), None);
        assert_eq!(book.take_waiting("a", "p", "c").as_deref(), Some("t"));
        assert_eq!(book.take_waiting("a", "p", "c"), None);
        book.keep_waiting("a", "p", "c", "t");
        book.keep_context("a", "p", "d", 1, 1);
        assert_eq!(book.take_waiting("a", "p", "c"), None);
    }

    #[test]
    fn a_task_that_is_told_again_counts_once() {
        let book = Book::default();
        for _ in 0..10 {
            book.keep_task("a", "p", "t", 1, 2);
        }
        book.keep_task("a", "p", "u", 1, 2);
        assert_eq!(book.task("a", "p", "t"), Some(1));
    }
}
