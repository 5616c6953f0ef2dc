//! What Qdrant is told and what it says: plain functions, without a network.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::BackendError;
use crate::key::CacheKey;
use crate::labels::Labels;

/// Most letters of what a server says of its refusal.
const TOLD: usize = 200;

/// A point, as far as it was asked for.
#[derive(Debug, Deserialize)]
pub struct Point {
    pub id: Value,
    #[serde(default)]
    pub payload: Payload,
}

/// What is known of a point.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Payload {
    pub key: Option<String>,
    /// Unix milliseconds.
    pub expires: u64,
    pub value: Option<String>,
    pub bytes: Option<u64>,
    pub labels: Option<Labels>,
    pub note: Option<String>,
    /// Unix microseconds.
    pub at: u64,
}

/// Points of a list.
#[derive(Debug, Deserialize)]
pub struct Scrolled {
    pub points: Vec<Point>,
}

/// How many there are.
#[derive(Debug, Deserialize)]
pub struct Counted {
    pub count: u64,
}

/// Which collections there are.
#[derive(Debug, Deserialize)]
pub struct Collections {
    pub collections: Vec<Collection>,
}

/// A collection.
#[derive(Debug, Deserialize)]
pub struct Collection {
    pub name: String,
}

/// What an answer is about.
pub fn result<T: DeserializeOwned>(body: &[u8]) -> Result<T, BackendError> {
    #[derive(Deserialize)]
    struct Answered<T> {
        result: T,
    }
    let answered: Result<Answered<T>, _> = serde_json::from_slice(body);
    // What does not fit is not told: it may hold an entry.
    answered
        .map(|answered| answered.result)
        .map_err(|_| BackendError("the answer is not of the form that it should be".to_owned()))
}

/// Why a server has refused. It names fields and collections, and no content.
pub fn refused(status: StatusCode, body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = said
        .pointer("/status/error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let said: String = said.chars().take(TOLD).collect();
    format!("{} {said}", status.as_u16()).trim().to_owned()
}

/// The name of a point: half of a key, as a UUID.
pub fn id(key: CacheKey) -> String {
    uuid(&key.hex())
}

/// A name that nobody has given before.
pub fn random_id() -> String {
    uuid(&format!("{:032x}", rand::random::<u128>()))
}

fn uuid(digits: &str) -> String {
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

/// Demands that a field is, or holds, a value.
pub fn is(field: &str, value: &str) -> Value {
    json!({ "key": field, "match": { "value": value } })
}

/// Demands labels.
pub fn labels(labels: &Labels) -> Vec<Value> {
    let Labels {
        key,
        user,
        team,
        organization,
        models,
        tags,
    } = labels;
    let one = [
        ("labels.key", key),
        ("labels.user", user),
        ("labels.team", team),
        ("labels.organization", organization),
    ];
    let one = one
        .into_iter()
        .filter_map(|(field, value)| Some(is(field, value.as_deref()?)));
    let models = models.iter().map(|model| is("labels.models", model));
    let tags = tags.iter().map(|tag| is("labels.tags", tag));
    one.chain(models).chain(tags).collect()
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Up to where notes were heard: from when on they are asked for, and which of those are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Unix microseconds.
    pub from: u64,
    /// Names of notes since then that were heard.
    pub heard: Vec<String>,
}

impl Cursor {
    /// Nothing heard of what is since then.
    pub fn at(from: u64) -> Self {
        Self {
            from,
            heard: Vec::new(),
        }
    }

    /// Reads what [`written`](Self::written) has written.
    pub fn read(text: &str) -> Option<Self> {
        let (from, heard) = text.split_once(' ')?;
        let heard = heard.split(',').filter(|id| !id.is_empty());
        Some(Self {
            from: from.parse().ok()?,
            heard: heard.map(str::to_owned).collect(),
        })
    }

    /// As a text.
    pub fn written(&self) -> String {
        format!("{} {}", self.from, self.heard.join(","))
    }

    /// The notes among `points`, which are in order, that were not heard yet, at most `most`; and up to where that is. What
    /// is not older by `late` than the last of them may still come.
    pub fn hear(self, points: Vec<Point>, most: usize, late: u64) -> (Vec<Bytes>, Self) {
        let mut notes = Vec::new();
        let mut seen: Vec<(u64, String)> = Vec::new();
        for point in points {
            let Some(id) = point.id.as_str().map(str::to_owned) else {
                continue;
            };
            if !self.heard.contains(&id) {
                if notes.len() == most {
                    break;
                }
                let note = point.payload.note.and_then(|note| STANDARD.decode(note).ok());
                notes.push(Bytes::from(note.unwrap_or_default()));
            }
            seen.push((point.payload.at, id));
        }
        let last = seen.iter().map(|(at, _)| *at).max().unwrap_or(self.from);
        let from = last.saturating_sub(late).max(self.from);
        let heard = seen.into_iter().filter(|(at, _)| *at >= from).map(|(_, id)| id);
        let next = Self {
            from,
            heard: heard.collect(),
        };
        (notes, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(at: u64, id: &str) -> Point {
        Point {
            id: Value::from(id),
            payload: Payload {
                at,
                note: Some(STANDARD.encode(id)),
                ..Payload::default()
            },
        }
    }

    #[test]
    fn a_note_that_comes_late_is_heard_and_none_twice() {
        let cursor = Cursor::at(100);
        let (notes, cursor) = cursor.hear(vec![note(100, "a"), note(110, "b"), note(120, "c")], 2, 15);
        assert_eq!(notes, ["a", "b"]);
        let cursor = Cursor::read(&cursor.written()).unwrap();
        assert_eq!((cursor.from, cursor.heard.len()), (100, 2));
        let (notes, cursor) = cursor.hear(
            vec![note(100, "a"), note(105, "late"), note(110, "b"), note(120, "c")],
            9,
            15,
        );
        assert_eq!(notes, ["late", "c"]);
        // What is further back is not asked for again.
        assert_eq!(
            (cursor.from, cursor.heard),
            (105, vec!["late".into(), "b".into(), "c".into()])
        );
        assert_eq!(Cursor::read("x y"), None);
    }

    #[test]
    fn a_point_is_named_as_servers_want_it() {
        let key = CacheKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        assert_eq!(id(key), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(random_id().len(), 36);
        let refusal = br#"{"status":{"error":"Wrong input: no index"},"time":0.1}"#;
        assert_eq!(
            refused(StatusCode::BAD_REQUEST, refusal),
            "400 Wrong input: no index"
        );
    }
}
