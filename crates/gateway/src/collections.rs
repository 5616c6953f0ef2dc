//! Collections of documents, as requests look things up in them: who may read one, and its passages in memory, read from
//! the database when they are first wanted and again when they have changed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_governance::Principal;
use pointsman_semantics::lookup::{By, Lookup};
use pointsman_store::{Collection, Passage, StoreError};
use pointsman_understanding::SHIPPED;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::kept::{Kept, tenant};

/// Bytes of passages that are held in memory, of all collections together.
const HELD: usize = 512 << 20;
/// Files that are read at once.
const READING: usize = 2;

/// Who may read a collection beside its owner: whoever any of these names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Readers {
    /// Whoever has a key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// Keys, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Teams.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Projects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<String>,
    /// Organizations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
}

impl Readers {
    /// Lists of names, to be bounded.
    pub fn lists(&self) -> [&Vec<String>; 6] {
        [
            &self.keys,
            &self.users,
            &self.groups,
            &self.teams,
            &self.projects,
            &self.organizations,
        ]
    }

    fn name(&self, caller: &Principal) -> bool {
        let of =
            |list: &[String], id: Option<&str>| id.is_some_and(|id| list.iter().any(|known| known == id));
        self.everyone && caller.key.is_some()
            || of(&self.keys, caller.key.as_ref().map(|id| id.as_str()))
            || of(&self.users, caller.user.as_ref().map(|id| id.as_str()))
            || of(&self.teams, caller.team.as_ref().map(|id| id.as_str()))
            || of(&self.projects, caller.project.as_ref().map(|id| id.as_str()))
            || of(
                &self.organizations,
                caller.organization.as_ref().map(|id| id.as_str()),
            )
            || caller.groups.iter().any(|group| self.groups.contains(group))
    }
}

/// Whether a caller may read a collection. What cannot be understood of its readers lets nobody in.
pub fn may_read(collection: &Collection, caller: &Principal) -> bool {
    let readers = || serde_json::from_str::<Readers>(&collection.readers).unwrap_or_default();
    collection.owner == tenant(caller).as_str() || readers().name(caller)
}

/// Whether all callers with a key read the same.
pub fn is_for_all(collection: &Collection) -> bool {
    serde_json::from_str::<Readers>(&collection.readers).is_ok_and(|readers| readers.everyone)
}

/// A collection, ready to be looked up in.
#[derive(Debug)]
pub struct Shelf {
    version: i64,
    /// What each passage says, and the number of its file.
    passages: Vec<(Box<str>, usize)>,
    files: Vec<String>,
    lookup: Lookup,
    bytes: usize,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its file.
    pub file: String,
    /// What it says.
    pub text: String,
    /// How well it answers, from 0 to 1.
    pub score: f32,
}

impl Shelf {
    fn of(version: i64, all: Vec<Passage>) -> Self {
        let mut shelf = Self {
            version,
            passages: Vec::with_capacity(all.len()),
            files: Vec::new(),
            lookup: Lookup::default(),
            bytes: 0,
        };
        for passage in all {
            if shelf.files.last() != Some(&passage.file) {
                shelf.files.push(passage.file);
            }
            // What another model has read means nothing beside this one's vectors; its words still do.
            let vector = if passage.model == SHIPPED.name {
                &passage.vector[..]
            } else {
                &[]
            };
            shelf.lookup.push(&passage.text, vector);
            shelf.bytes += passage.text.len() + 24;
            shelf
                .passages
                .push((passage.text.into_boxed_str(), shelf.files.len() - 1));
        }
        shelf.bytes += shelf.lookup.bytes();
        shelf
    }

    /// The `most` passages that answer a question best, of these files or of all.
    pub fn find(
        &self,
        (question, vector): (&str, Option<&[f32]>),
        by: By,
        most: usize,
        files: Option<&[String]>,
    ) -> Vec<Found> {
        let wanted: Vec<bool> = self
            .files
            .iter()
            .map(|file| files.is_none_or(|files| files.contains(file)))
            .collect();
        let hits = self.lookup.find((question, vector), by, most, |index| {
            wanted[self.passages[index].1]
        });
        let found = hits.into_iter().map(|hit| {
            let (text, file) = &self.passages[hit.index];
            Found {
                file: self.files[*file].clone(),
                text: text.to_string(),
                score: hit.score,
            }
        });
        found.collect()
    }
}

/// Collections in memory.
pub struct Collections {
    held: Mutex<Held>,
    /// Room to read files.
    pub reading: Semaphore,
}

#[derive(Default)]
struct Held {
    /// With when each was wanted last.
    shelves: HashMap<String, (u64, Arc<Shelf>)>,
    bytes: usize,
    clock: u64,
}

impl Default for Collections {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            reading: Semaphore::new(READING),
        }
    }
}

impl Collections {
    /// A collection as it is now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn shelf(&self, kept: &Kept, collection: &Collection) -> Result<Arc<Shelf>, StoreError> {
        if let Some(shelf) = self.held.lock().get(&collection.id, collection.version) {
            return Ok(shelf);
        }
        let (id, version) = (collection.id.clone(), collection.version);
        let read = kept.ask(move |store| Ok(Shelf::of(version, store.passages(&id)?)));
        let shelf = Arc::new(read.await?);
        self.held.lock().put(collection.id.clone(), Arc::clone(&shelf));
        Ok(shelf)
    }

    /// Forgets a collection that is gone.
    pub fn forget(&self, id: &str) {
        self.held.lock().take(id);
    }
}

impl Held {
    fn get(&mut self, id: &str, version: i64) -> Option<Arc<Shelf>> {
        self.clock += 1;
        let (wanted, shelf) = self.shelves.get_mut(id)?;
        *wanted = self.clock;
        (shelf.version == version).then(|| Arc::clone(shelf))
    }

    fn take(&mut self, id: &str) {
        if let Some((_, shelf)) = self.shelves.remove(id) {
            self.bytes -= shelf.bytes;
        }
    }

    /// What was not wanted for the longest time goes, where there is no room.
    fn put(&mut self, id: String, shelf: Arc<Shelf>) {
        self.take(&id);
        if shelf.bytes > HELD {
            return;
        }
        while self.bytes + shelf.bytes > HELD {
            let oldest = self.shelves.iter().min_by_key(|(_, (wanted, _))| *wanted);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            self.take(&oldest);
        }
        self.clock += 1;
        self.bytes += shelf.bytes;
        self.shelves.insert(id, (self.clock, shelf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(file: &str, text: &str) -> Passage {
        Passage {
            file: file.to_owned(),
            text: text.to_owned(),
            model: SHIPPED.name.to_owned(),
            vector: vec![1.0],
        }
    }

    #[test]
    fn passages_are_found_with_their_files_and_of_some_files_alone() {
        let all = vec![
            passage("a", "red apples"),
            passage("a", "green pears"),
            passage("b", "red pears"),
        ];
        let shelf = Shelf::of(1, all);
        let texts = |files: Option<&[String]>| -> Vec<String> {
            let found = shelf.find(("red", None), By::Words, 9, files);
            found
                .into_iter()
                .map(|one| format!("{}: {}", one.file, one.text))
                .collect()
        };
        assert_eq!(texts(None), ["a: red apples", "b: red pears"]);
        assert_eq!(texts(Some(&["b".to_owned()])), ["b: red pears"]);
    }

    #[test]
    fn what_has_changed_is_read_anew_and_what_is_wanted_least_goes() {
        let mut held = Held::default();
        let shelf = |version, bytes| {
            Arc::new(Shelf {
                bytes,
                ..Shelf::of(version, Vec::new())
            })
        };
        held.put("a".to_owned(), shelf(1, HELD / 2));
        held.put("b".to_owned(), shelf(1, HELD / 2));
        assert!(held.get("a", 2).is_none() && held.get("a", 1).is_some());
        held.put("c".to_owned(), shelf(1, 10));
        assert!(held.get("a", 1).is_some() && held.get("b", 1).is_none() && held.get("c", 1).is_some());
        held.put("d".to_owned(), shelf(1, HELD + 1));
        assert!(held.get("d", 1).is_none());
        held.take("a");
        held.take("c");
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn readers_are_whoever_is_named() {
        let collection = |owner: &str, readers: &str| Collection {
            id: "c".to_owned(),
            owner: owner.to_owned(),
            at: 0,
            version: 0,
            name: String::new(),
            metadata: "{}".to_owned(),
            readers: readers.to_owned(),
            files: 0,
            bytes: 0,
            passages: 0,
        };
        let caller = Principal::anonymous(pointsman_governance::Limits::default());
        assert!(may_read(&collection("anonymous", "{}"), &caller));
        assert!(!may_read(
            &collection("team:x", r#"{"everyone": true, "teams": ["y"]}"#),
            &caller
        ));
        let caller = caller.known_as(|known| {
            known.key = Some(pointsman_store::KeyId::from("k1".to_owned()));
            known.team = Some(pointsman_store::TeamId::from("y".to_owned()));
            known.groups = vec!["staff".to_owned()];
        });
        assert!(may_read(&collection("team:y", "{}"), &caller));
        assert!(!may_read(&collection("team:x", "{}"), &caller));
        assert!(!may_read(&collection("key:k1", "not json"), &caller));
        for readers in [
            r#"{"everyone": true}"#,
            r#"{"teams": ["z", "y"]}"#,
            r#"{"keys": ["k1"]}"#,
            r#"{"groups": ["staff"]}"#,
        ] {
            assert!(may_read(&collection("team:x", readers), &caller), "{readers}");
        }
        for readers in [
            r#"{"users": ["y"]}"#,
            r#"{"teams": ["k1"]}"#,
            r#"{"organizations": [""]}"#,
        ] {
            assert!(!may_read(&collection("team:x", readers), &caller), "{readers}");
        }
    }
}
