//! What replicas that share a back end tell each other: which questions have an answer there, and what is to be
//! forgotten.

use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::key::CacheKey;
use crate::labels::{Filter, Labels};

/// A note, and who has left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The process; it knows already.
    pub from: String,
    /// What it says.
    pub says: NoteOf,
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteOf {
    /// A question has an answer.
    Question(Box<QuestionNote>),
    /// What this means was deleted.
    Forget(Filter),
}

/// A question that has an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionNote {
    /// Of all but the text that changes the answer.
    pub partition: CacheKey,
    /// Of those who may see it.
    pub owner: CacheKey,
    /// The text.
    pub text: String,
    /// Its vector.
    #[serde(with = "packed")]
    pub vector: Vec<f32>,
    /// Where its answer is.
    pub entry: CacheKey,
    /// What the answer is known by.
    pub labels: Labels,
    /// When it was given, Unix milliseconds.
    pub at: u64,
    /// How long it is remembered by its question, in milliseconds.
    pub ttl: u64,
}

impl Note {
    /// As it is left.
    #[must_use]
    pub fn packed(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// What was left; none where another version has, or nobody.
    #[must_use]
    pub fn unpacked(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Vectors as base 64 of their numbers, little end first.
mod packed {
    use base64::Engine as _;
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, STANDARD};

    pub fn serialize<S: Serializer>(vector: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(D::Error::custom("a number has four bytes"));
        }
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        if numbers.iter().all(|number| number.is_finite()) {
            Ok(numbers)
        } else {
            Err(D::Error::custom("a vector has finite numbers"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(vector: Vec<f32>) -> Note {
        let key = |byte| CacheKey([byte; 32]);
        Note {
            from: "a".to_owned(),
            says: NoteOf::Question(Box::new(QuestionNote {
                partition: key(1),
                owner: key(2),
                text: "Who wrote \"Hamlet\"?".to_owned(),
                vector,
                entry: key(3),
                labels: Labels::default(),
                at: 7,
                ttl: 8,
            })),
        }
    }

    #[test]
    fn notes_come_back_as_they_were() {
        for note in [
            note(vec![0.25, -1.5, f32::MIN_POSITIVE]),
            Note {
                from: "b".to_owned(),
                says: NoteOf::Forget(Filter::default()),
            },
        ] {
            let packed = note.packed().unwrap();
            assert_eq!(Note::unpacked(&packed), Some(note));
        }
        let packed = String::from_utf8(note(vec![f32::NAN]).packed().unwrap()).unwrap();
        assert_eq!(Note::unpacked(packed.as_bytes()), None);
        assert_eq!(Note::unpacked(b"{}"), None);
    }
}
