//! Collections and what is asked of them, in OpenAI's shapes, with `access` of our own.

use pointsman_semantics::lookup::By;
use pointsman_store::{Collection, CollectionFile, Page};
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::WORDS;
use super::take_in::How;
use crate::collections::{Found, Readers};

/// Letters of a collection's name.
const NAME: usize = 256;
/// Words of its owner's, and letters of their names and values.
const PAIRS: usize = 16;
const KEY: usize = 64;
const VALUE: usize = 512;
/// Names in each list of who may read.
const READERS: usize = 1_000;
/// Tokens of a passage and of what two share: where nobody says, and at most.
const SIZES: (u64, u64) = (200, 40);
const LONGEST: u64 = 4_096;
/// Questions of one search, and findings.
const QUESTIONS: usize = 8;
const FINDINGS: u64 = 50;
const USUAL: u64 = 10;

/// A collection that shall be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Making {
    pub name: Option<String>,
    #[serde(default)]
    pub file_ids: Vec<String>,
    pub metadata: Option<Map<String, Value>>,
    pub access: Option<Readers>,
    chunking_strategy: Option<Chunking>,
    expires_after: Option<Value>,
}

impl Making {
    /// # Errors
    /// For what is not done.
    pub fn how(&self) -> Result<How, Failure> {
        if self.expires_after.is_some() {
            return Err(wrong(
                "expires_after",
                "vector stores do not expire here: delete them".to_owned(),
            ));
        }
        how(self.chunking_strategy.as_ref(), None)
    }
}

/// What shall be different.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changing {
    pub name: Option<String>,
    pub metadata: Option<Map<String, Value>>,
    pub access: Option<Readers>,
}

/// A file that shall come in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileGiven {
    pub file_id: String,
    attributes: Option<Map<String, Value>>,
    chunking_strategy: Option<Chunking>,
}

impl FileGiven {
    /// # Errors
    /// For what makes no sense.
    pub fn how(&self) -> Result<How, Failure> {
        how(self.chunking_strategy.as_ref(), self.attributes.as_ref())
    }
}

/// Files that shall come in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesGiven {
    pub file_ids: Vec<String>,
    attributes: Option<Map<String, Value>>,
    chunking_strategy: Option<Chunking>,
}

impl FilesGiven {
    /// # Errors
    /// For what makes no sense.
    pub fn how(&self) -> Result<How, Failure> {
        how(self.chunking_strategy.as_ref(), self.attributes.as_ref())
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Chunking {
    Auto {},
    Static {
        #[serde(rename = "static")]
        sizes: Sizes,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    max_chunk_size_tokens: u64,
    chunk_overlap_tokens: u64,
}

fn how(chunking: Option<&Chunking>, attributes: Option<&Map<String, Value>>) -> Result<How, Failure> {
    let sizes = match chunking {
        None | Some(Chunking::Auto {}) => SIZES,
        Some(Chunking::Static { sizes }) => {
            let (size, shared) = (sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens);
            if !(50..=LONGEST).contains(&size) || shared > size / 2 {
                let message = format!(
                    "max_chunk_size_tokens is a number from 50 to {LONGEST}, chunk_overlap_tokens at most half of it"
                );
                return Err(wrong("chunking_strategy", message));
            }
            (size, shared)
        }
    };
    Ok(How {
        sizes,
        attributes: metadata(attributes)?,
    })
}

/// What is searched for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Searching {
    query: Questions,
    max_num_results: Option<u64>,
    #[serde(default)]
    ranking_options: Ranking,
    filters: Option<Value>,
    #[serde(default)]
    rewrite_query: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Questions {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Ranking {
    ranker: Option<String>,
    score_threshold: Option<f32>,
    hybrid_search: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    embedding_weight: f32,
    text_weight: f32,
}

impl Searching {
    /// Questions, most findings, by what they are found, and the least score of one.
    ///
    /// # Errors
    /// For what makes no sense, or is not done.
    pub fn read(self) -> Result<(Vec<String>, usize, By, f32), Failure> {
        if self.filters.is_some() {
            return Err(wrong(
                "filters",
                "filters are not supported in this version".to_owned(),
            ));
        }
        if self.rewrite_query {
            return Err(wrong(
                "rewrite_query",
                "questions are not rewritten here".to_owned(),
            ));
        }
        let ranker = self.ranking_options.ranker.as_deref();
        if let Some(other) = ranker.filter(|ranker| !["auto", "none", "default-2024-11-15"].contains(ranker))
        {
            return Err(wrong(
                "ranking_options.ranker",
                format!("there is no ranker {other:?}; use auto"),
            ));
        }
        let questions = match self.query {
            Questions::One(question) => vec![question],
            Questions::Several(questions) => questions,
        };
        let empty = questions.iter().any(|question| question.trim().is_empty());
        if questions.is_empty() || questions.len() > QUESTIONS || empty {
            return Err(wrong(
                "query",
                format!("a text, or from 1 to {QUESTIONS} of them"),
            ));
        }
        let most = self.max_num_results.unwrap_or(USUAL);
        if !(1..=FINDINGS).contains(&most) {
            return Err(wrong("max_num_results", format!("a number from 1 to {FINDINGS}")));
        }
        let by = match self.ranking_options.hybrid_search {
            None => By::Both(WORDS),
            Some(Weights {
                embedding_weight: meaning,
                text_weight: words,
            }) => {
                let sum = meaning + words;
                if !(meaning >= 0.0 && words >= 0.0 && sum > 0.0 && sum.is_finite()) {
                    let message = "two numbers from 0 on, of which one is more".to_owned();
                    return Err(wrong("ranking_options.hybrid_search", message));
                }
                By::Both(words / sum)
            }
        };
        let most = usize::try_from(most).unwrap_or(1);
        Ok((
            questions,
            most,
            by,
            self.ranking_options.score_threshold.unwrap_or(0.0),
        ))
    }
}

/// A field that makes no sense.
pub fn wrong(field: &'static str, message: String) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at(field)
}

/// A file that is not in a collection.
pub fn no_file(id: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("the vector store has no file {id:?}"),
    )
    .at("file_id")
}

/// # Errors
/// For one that is too long.
pub fn name(name: Option<&str>) -> Result<String, Failure> {
    let name = name.unwrap_or_default();
    match name.chars().count() <= NAME {
        true => Ok(name.to_owned()),
        false => Err(wrong("name", format!("at most {NAME} letters"))),
    }
}

/// Words of an owner's, as they are kept.
///
/// # Errors
/// For too many, and for values that are no texts, numbers or truths.
pub fn metadata(words: Option<&Map<String, Value>>) -> Result<String, Failure> {
    let Some(words) = words else {
        return Ok("{}".to_owned());
    };
    let plain = |(key, value): (&String, &Value)| {
        let short = match value {
            Value::String(text) => text.chars().count() <= VALUE,
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        key.chars().count() <= KEY && short
    };
    if words.len() > PAIRS || !words.iter().all(plain) {
        let message = format!(
            "at most {PAIRS} pairs, of names of at most {KEY} letters, with texts of at most {VALUE} letters, numbers, true \
             or false"
        );
        return Err(wrong("metadata", message));
    }
    Ok(Value::Object(words.clone()).to_string())
}

/// Who may read, as it is kept.
///
/// # Errors
/// For too many names.
pub fn readers(readers: Option<&Readers>) -> Result<String, Failure> {
    let Some(readers) = readers else {
        return Ok("{}".to_owned());
    };
    if readers.lists().iter().any(|list| list.len() > READERS) {
        return Err(wrong("access", format!("at most {READERS} names in a list")));
    }
    serde_json::to_string(readers).map_err(|error| wrong("access", error.to_string()))
}

fn kept(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json!({}))
}

/// How far files are.
pub fn counts(files: u64) -> Value {
    json!({"in_progress": 0, "completed": files, "failed": 0, "cancelled": 0, "total": files})
}

/// A collection; who may read it is its owner's to know.
pub fn collection(one: &Collection, is_own: bool) -> Value {
    let mut told = json!({
        "id": one.id, "object": "vector_store", "created_at": one.at, "name": one.name, "usage_bytes": one.bytes,
        "file_counts": counts(one.files), "status": "completed", "expires_after": null, "expires_at": null,
        "last_active_at": one.at, "metadata": kept(&one.metadata),
    });
    if is_own {
        told["access"] = kept(&one.readers);
    }
    told
}

/// A file of a collection.
pub fn file(collection: &str, file: &CollectionFile) -> Value {
    json!({
        "id": file.id, "object": "vector_store.file", "created_at": file.at, "vector_store_id": collection,
        "usage_bytes": file.bytes, "status": "completed", "last_error": null, "attributes": kept(&file.attributes),
    })
}

/// A finding, with what is known of its file.
pub fn result(found: &Found, files: &[CollectionFile]) -> Value {
    let file = files.iter().find(|file| file.id == found.file);
    json!({
        "file_id": found.file, "filename": file.map(|file| &file.name), "score": found.score,
        "attributes": file.map_or_else(|| json!({}), |file| kept(&file.attributes)),
        "content": [{"type": "text", "text": found.text}],
    })
}

/// A page of a list that stands the latest first.
pub fn page(mut all: Vec<Value>, page: &Page) -> Value {
    if page.oldest_first {
        all.reverse();
    }
    if let Some(after) = &page.after {
        let behind = all
            .iter()
            .position(|one| one["id"] == **after)
            .map_or(all.len(), |at| at + 1);
        all.drain(..behind);
    }
    let most = page.limit as usize;
    let more = all.len() > most;
    all.truncate(most);
    super::files::listed(all, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_by_pages() {
        let all = || ["c", "b", "a"].map(|id| json!({"id": id})).to_vec();
        let ids = |after: Option<&str>, limit: u32, oldest_first: bool| {
            let wanted = Page {
                after: after.map(str::to_owned),
                before: None,
                limit,
                oldest_first,
            };
            let told = page(all(), &wanted);
            let ids: Vec<String> = told["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].to_string())
                .collect();
            (ids.join("").replace('"', ""), told["has_more"] == true)
        };
        assert_eq!(ids(None, 2, false), ("cb".to_owned(), true));
        assert_eq!(ids(Some("b"), 2, false), ("a".to_owned(), false));
        assert_eq!(ids(None, 1, true), ("a".to_owned(), true));
        assert_eq!(ids(Some("gone"), 2, false), (String::new(), false));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let search = |body: Value| serde_json::from_value::<Searching>(body).unwrap().read();
        let (questions, most, by, least) =
            search(json!({"query": "a", "ranking_options": {"ranker": "auto", "score_threshold": 0.2}}))
                .unwrap();
        assert_eq!((questions.len(), most, by, least), (1, 10, By::Both(WORDS), 0.2));
        let weights = json!({"hybrid_search": {"embedding_weight": 1.0, "text_weight": 3.0}});
        assert_eq!(
            search(json!({"query": ["a"], "ranking_options": weights}))
                .unwrap()
                .2,
            By::Both(0.75)
        );
        for body in [
            json!({"query": " "}),
            json!({"query": []}),
            json!({"query": "a", "max_num_results": 51}),
            json!({"query": "a", "filters": {"type": "eq"}}),
            json!({"query": "a", "ranking_options": {"ranker": "best"}}),
        ] {
            assert!(search(body.clone()).is_err(), "{body}");
        }
        let made = |body: Value| serde_json::from_value::<Making>(body).unwrap().how();
        assert!(made(json!({"expires_after": {"anchor": "last_active_at", "days": 7}})).is_err());
        let sizes = |size: u64, shared: u64| {
            made(json!({"chunking_strategy": {"type": "static",
                "static": {"max_chunk_size_tokens": size, "chunk_overlap_tokens": shared}}}))
        };
        assert_eq!(sizes(100, 50).unwrap().sizes, (100, 50));
        assert!(sizes(100, 51).is_err() && sizes(10, 1).is_err() && sizes(5_000, 1).is_err());
        assert!(metadata(json!({"a": {"b": 1}}).as_object()).is_err());
        assert!(serde_json::from_value::<Making>(json!({"access": {"team": ["x"]}})).is_err());
    }
}
