//! Questions on Redis or Valkey, found by nearness: by an index of the search module, or in vector sets (Redis 8).
//!
//! A question is a hash of its own, which the server lets go when its time is over. The index is over these hashes, one for
//! each width of vectors, and lets go with them. A vector set, of which each partition has its own for each width, keeps
//! its elements for ever: a sorted set beside it knows when each is over, and whoever adds one takes some of these out.
//! Which of both a server has is asked whenever it is connected to. Where it has neither, it is told in the log, and
//! questions are passed on by notes.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use super::{RedisBackend, STEP, bytes, list, read};
use crate::backend::BackendError;
use crate::key::{CacheKey, KeyBuilder};
use crate::labels::Filter;
use crate::note::QuestionNote;

/// What the names of questions begin with, the version of what is in them included.
const QUESTION: &str = "pointsman:cache-question:1:";
/// Vector sets.
const SET: &str = "pointsman:cache-near:1:";
/// When the elements of a vector set are over.
const OVER: &str = "pointsman:cache-over:1:";
/// Indexes of the search module.
const INDEX: &str = "pointsman:cache-questions:1:";
/// Elements that are taken out of a vector set in one step, those over.
const SWEPT: usize = 16;

/// How a server finds questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finds {
    /// It was not asked: the configuration does not want it.
    Unwanted,
    /// By an index of the search module.
    ByIndex,
    /// In vector sets.
    InSets,
    /// It has neither.
    Nowhere,
}

/// What is known of how questions are found, of all connections.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The last server that was connected to finds nothing.
    is_nowhere: AtomicBool,
    /// Widths for which there is an index.
    widths: Mutex<Vec<usize>>,
}

impl Known {
    /// Whether questions can be found, as far as is known.
    pub(super) fn may_find(&self) -> bool {
        !self.is_nowhere.load(Ordering::Relaxed)
    }

    /// Asks a server that was just connected to. Indexes are only in database 0.
    pub(super) async fn ask(&self, connection: &mut MultiplexedConnection, database: i64) -> Finds {
        let mut command = redis::cmd("COMMAND");
        command.arg("INFO").arg("FT.SEARCH").arg("VSIM");
        let told: Value = command.query_async(connection).await.unwrap_or(Value::Nil);
        let mut has = list(told).into_iter().map(|command| !list(command).is_empty());
        let (index, sets) = (has.next() == Some(true), has.next() == Some(true));
        let finds = match (index && database == 0, sets) {
            (true, _) => Finds::ByIndex,
            (false, true) => Finds::InSets,
            (false, false) => Finds::Nowhere,
        };
        self.widths.lock().clear();
        let was_nowhere = self.is_nowhere.swap(finds == Finds::Nowhere, Ordering::Relaxed);
        if finds == Finds::Nowhere && !was_nowhere {
            tracing::error!(
                "the cache's Redis has neither vector sets (Redis 8) nor the search module, which works in database 0 alone: questions in other words are found in the memory of each process; leave backend.search out, or use another server"
            );
        }
        finds
    }
}

/// The names of all that a question touches.
struct Places {
    /// The hash.
    question: String,
    /// What its vector set calls it.
    element: String,
    set: String,
    over: String,
}

impl Places {
    fn of(width: usize, partition: &str, element: String) -> Self {
        Self {
            question: format!("{QUESTION}{width}:{element}"),
            set: format!("{SET}{width}:{partition}"),
            over: format!("{OVER}{width}:{partition}"),
            element,
        }
    }

    /// Those of a hash that was found by its name.
    fn named(name: &str, partition: &str) -> Option<Self> {
        let (width, element) = name.strip_prefix(QUESTION)?.split_once(':')?;
        Some(Self::of(width.parse().ok()?, partition, element.to_owned()))
    }
}

impl RedisBackend {
    /// Keeps a question, in place of the same one in its partition.
    pub(super) async fn learn_question(&self, note: &QuestionNote) -> Result<(), BackendError> {
        let expires = note.at.saturating_add(note.ttl);
        let points_nowhere = note.vector.iter().all(|number| *number == 0.0);
        let finds = self.link.get().await?.finds;
        if expires <= now() || points_nowhere || !matches!(finds, Finds::ByIndex | Finds::InSets) {
            return Ok(());
        }
        let width = note.vector.len();
        let mut name = KeyBuilder::new();
        name.field("partition", note.partition.as_bytes());
        name.field("text", note.text.as_bytes());
        let places = Places::of(width, &note.partition.hex(), name.finish().hex());
        if finds == Finds::ByIndex {
            self.make_index(width).await?;
        }
        let mut all = Pipeline::new();
        all.atomic();
        keep(&mut all, &places, note, expires)?;
        if finds == Finds::ByIndex {
            return self.ask_all::<Value>(&all).await.map(drop);
        }
        add(&mut all, &places, &note.vector, expires);
        let (over,): (Vec<String>,) = self.ask_all(&all).await?;
        self.take_out(&places, &over).await
    }

    /// Takes elements out of a vector set.
    async fn take_out(&self, places: &Places, elements: &[String]) -> Result<(), BackendError> {
        if elements.is_empty() {
            return Ok(());
        }
        let mut all = Pipeline::new();
        for element in elements {
            all.cmd("VREM").arg(&places.set).arg(element);
        }
        all.cmd("ZREM").arg(&places.over).arg(elements);
        self.ask_all::<Value>(&all).await.map(drop)
    }

    /// Makes the index of a width where it is not known to be there. Somebody else may be faster.
    async fn make_index(&self, width: usize) -> Result<(), BackendError> {
        if self.known.widths.lock().contains(&width) {
            return Ok(());
        }
        let mut command = redis::cmd("FT.CREATE");
        command.arg(format!("{INDEX}{width}"));
        command.arg(&["ON", "HASH", "PREFIX", "1"]);
        command.arg(format!("{QUESTION}{width}:"));
        command.arg(&[
            "SCHEMA", "p", "TAG", "v", "VECTOR", "HNSW", "6", "TYPE", "FLOAT32",
        ]);
        command.arg("DIM").arg(width).arg(&["DISTANCE_METRIC", "COSINE"]);
        match self.ask::<Value>(&command).await {
            Err(error) if !error.0.to_lowercase().contains("already exists") => return Err(error),
            _ => {}
        }
        let mut widths = self.known.widths.lock();
        if !widths.contains(&width) {
            widths.push(width);
        }
        Ok(())
    }

    /// Questions of a partition that are near to a vector, the nearest first.
    pub(super) async fn near_questions(
        &self,
        partition: CacheKey,
        vector: &[f32],
        most: usize,
    ) -> Result<Vec<QuestionNote>, BackendError> {
        let notes = match self.link.get().await?.finds {
            Finds::ByIndex => self.near_by_index(partition, vector, most).await?,
            Finds::InSets => self.near_in_set(partition, vector, most).await?,
            Finds::Unwanted | Finds::Nowhere => Vec::new(),
        };
        let notes = notes.into_iter().filter_map(|note| {
            let note: QuestionNote = serde_json::from_slice(&note).ok()?;
            (note.partition == partition && note.at.saturating_add(note.ttl) > now()).then_some(note)
        });
        Ok(notes.collect())
    }

    async fn near_by_index(
        &self,
        partition: CacheKey,
        vector: &[f32],
        most: usize,
    ) -> Result<Vec<Vec<u8>>, BackendError> {
        let width = vector.len();
        let mut command = redis::cmd("FT.SEARCH");
        command
            .arg(format!("{INDEX}{width}"))
            .arg(format!("(@p:{{{}}})=>[KNN {most} @v $v AS far]", partition.hex()))
            .arg(&["PARAMS", "2", "v"])
            .arg(packed(vector))
            .arg(&["RETURN", "2", "n", "far", "LIMIT", "0"])
            .arg(most)
            .arg(&["DIALECT", "2"]);
        let told = match self.ask::<Value>(&command).await {
            Err(error) if is_missing(&error) => {
                // Nobody has asked anything yet, or it is gone: the next question makes it.
                self.known.widths.lock().retain(|known| *known != width);
                return Ok(Vec::new());
            }
            told => told?,
        };
        Ok(by_distance(told))
    }

    async fn near_in_set(
        &self,
        partition: CacheKey,
        vector: &[f32],
        most: usize,
    ) -> Result<Vec<Vec<u8>>, BackendError> {
        let (width, partition) = (vector.len(), partition.hex());
        let mut command = redis::cmd("VSIM");
        command
            .arg(format!("{SET}{width}:{partition}"))
            .arg("FP32")
            .arg(packed(vector))
            .arg("COUNT")
            .arg(most)
            .arg("FILTER")
            .arg(format!(".expires > {}", now()));
        let elements: Vec<String> = self.ask(&command).await?;
        if elements.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = Pipeline::new();
        for element in elements {
            let places = Places::of(width, &partition, element);
            all.cmd("HGET").arg(places.question).arg("n");
        }
        let notes: Vec<Option<Vec<u8>>> = self.ask_all(&all).await?;
        Ok(notes.into_iter().flatten().collect())
    }

    /// Deletes the questions that a filter means. Looks at all of them.
    pub(super) async fn forget_questions(&self, filter: &Filter) -> Result<(), BackendError> {
        if !matches!(self.link.get().await?.finds, Finds::ByIndex | Finds::InSets) {
            return Ok(());
        }
        let mut cursor = 0;
        loop {
            let (next, names) = self.scan(QUESTION, cursor).await?;
            for names in names.chunks(STEP) {
                self.forget_of(filter, names).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Deletes those of some hashes that a filter means.
    async fn forget_of(&self, filter: &Filter, names: &[String]) -> Result<(), BackendError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut fields = Pipeline::new();
        for name in names {
            fields.cmd("HMGET").arg(name).arg(&["p", "e", "l"]);
        }
        let fields: Vec<(Option<String>, Option<String>, Option<String>)> = self.ask_all(&fields).await?;
        let in_sets = self.link.get().await?.finds == Finds::InSets;
        let mut gone = Pipeline::new();
        for (name, (partition, entry, labels)) in names.iter().zip(fields) {
            let known = entry
                .as_deref()
                .and_then(CacheKey::from_hex)
                .zip(labels.as_deref().and_then(read));
            if known.is_some_and(|(entry, labels)| !filter.means(&entry, &labels)) {
                continue;
            }
            gone.cmd("UNLINK").arg(name);
            if let Some(places) = partition.and_then(|partition| Places::named(name, &partition))
                && in_sets
            {
                gone.cmd("VREM").arg(&places.set).arg(&places.element);
                gone.cmd("ZREM").arg(&places.over).arg(&places.element);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        self.ask_all::<Value>(&gone).await.map(drop)
    }
}

/// Keeps the hash of a question.
fn keep(all: &mut Pipeline, places: &Places, note: &QuestionNote, expires: u64) -> Result<(), BackendError> {
    let wrong = |error: serde_json::Error| BackendError(error.to_string());
    all.cmd("HSET")
        .arg(&places.question)
        .arg("p")
        .arg(note.partition.hex())
        .arg("e")
        .arg(note.entry.hex())
        .arg("l")
        .arg(serde_json::to_string(&note.labels).map_err(wrong)?)
        .arg("n")
        .arg(serde_json::to_string(note).map_err(wrong)?)
        .arg("v")
        .arg(packed(&note.vector))
        .ignore();
    all.cmd("PEXPIREAT").arg(&places.question).arg(expires).ignore();
    Ok(())
}

/// Adds an element to a vector set, which lasts as long as the longest of its elements; asks for some that are over.
fn add(all: &mut Pipeline, places: &Places, vector: &[f32], expires: u64) {
    all.cmd("VADD")
        .arg(&places.set)
        .arg("FP32")
        .arg(packed(vector))
        .arg(&places.element)
        .arg("SETATTR")
        .arg(format!("{{\"expires\":{expires}}}"))
        .ignore();
    all.cmd("ZADD")
        .arg(&places.over)
        .arg(expires)
        .arg(&places.element)
        .ignore();
    for name in [&places.set, &places.over] {
        for when in ["NX", "GT"] {
            all.cmd("PEXPIREAT").arg(name).arg(expires).arg(when).ignore();
        }
    }
    all.cmd("ZRANGE")
        .arg(&places.over)
        .arg("-inf")
        .arg(now())
        .arg(&["BYSCORE", "LIMIT", "0"])
        .arg(SWEPT);
}

/// Whether a server has said that there is no such index.
fn is_missing(error: &BackendError) -> bool {
    let said = error.0.to_lowercase();
    ["no such index", "unknown index", "not found"]
        .iter()
        .any(|words| said.contains(words))
}

/// The notes of what a search has found, the nearest first: how many there are, then each's name and fields.
fn by_distance(told: Value) -> Vec<Vec<u8>> {
    let mut found: Vec<(f64, Vec<u8>)> = Vec::new();
    for fields in list(told).into_iter().skip(2).step_by(2) {
        let (mut note, mut far) = (None, f64::INFINITY);
        let mut fields = list(fields).into_iter().map(bytes);
        while let (Some(name), Some(value)) = (fields.next().flatten(), fields.next().flatten()) {
            match name.as_slice() {
                b"n" => note = Some(value),
                b"far" => {
                    let number = std::str::from_utf8(&value)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    far = number.unwrap_or(far);
                }
                _ => {}
            }
        }
        found.extend(note.map(|note| (far, note)));
    }
    found.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    found.into_iter().map(|(_, note)| note).collect()
}

/// A vector's numbers, little end first.
fn packed(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Unix milliseconds.
fn now() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX >> 12)
}
