//! Entries, notes and questions on Qdrant, over its REST API.
//!
//! Entries and notes are points without vectors in one collection; questions are points of another, for each width of
//! vectors, and are found there by nearness. Each point says when its time is over. Notes are ordered by the clocks of those
//! who leave them: what comes late by less than [`LATE`] is heard all the same.

mod wire;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pointsman_upstream::{AuthConfig, AuthStyle};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use url::Url;

use super::head::now;
use super::service::{Address, Question, Service};
use super::{Backend, BackendConfigError, BackendError, Described, Doing, Heard, Holds, NewEntry};
use crate::key::{CacheKey, KeyBuilder};
use crate::labels::Filter;
use crate::note::QuestionNote;
use wire::{Cursor, Point, Scrolled};

/// The collection when the URL names none.
const COLLECTION: &str = "pointsman_cache";
/// The port when the URL names none.
const PORT: u16 = 6333;
/// Most bytes of an answer with one value in it, which is told as base 64.
const LONGEST: usize = 384 * 1024 * 1024;
/// How long notes are kept.
const NOTES_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// A note may be this much later than its time says.
const LATE: Duration = Duration::from_secs(5);
/// Fields that are filtered by, and of which kind they are.
const INDEXED: [(&str, &str); 11] = [
    ("kind", "keyword"),
    ("key", "keyword"),
    ("partition", "keyword"),
    ("expires", "integer"),
    ("at", "integer"),
    ("labels.key", "keyword"),
    ("labels.user", "keyword"),
    ("labels.team", "keyword"),
    ("labels.organization", "keyword"),
    ("labels.models", "keyword"),
    ("labels.tags", "keyword"),
];

/// Where a server is, and the collection.
#[derive(Clone)]
pub struct QdrantAddress {
    service: Address,
    collection: String,
}

/// A server.
pub struct QdrantBackend {
    service: Service,
    collection: String,
    /// The time of the last note that this process has left: its own come in order.
    last: AtomicU64,
}

impl fmt::Debug for QdrantBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QdrantBackend")
    }
}

impl QdrantAddress {
    /// Reads `qdrant://HOST[:PORT][/COLLECTION]`, or `qdrants://…` for TLS.
    pub fn read(url: &str, auth: &AuthConfig) -> Result<Self, BackendConfigError> {
        let wrong = |message: &str| BackendConfigError(message.to_owned());
        let form = || wrong("use qdrant://HOST[:PORT][/COLLECTION], or qdrants:// for TLS");
        let parsed = Url::parse(url).map_err(|_| form())?;
        if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
            return Err(wrong(
                "holds a key or settings; give the key as `auth: { api_key: … }`",
            ));
        }
        let host = parsed
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(form)?;
        let scheme = if parsed.scheme() == "qdrants" {
            "https"
        } else {
            "http"
        };
        let port = parsed.port().unwrap_or(PORT);
        let collection = match parsed.path().trim_matches('/') {
            "" => COLLECTION,
            name => name,
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !collection.bytes().all(is_plain) {
            return Err(wrong(
                "names a collection with letters other than a-z, A-Z, 0-9, - and _",
            ));
        }
        let style = AuthStyle::Header(HeaderName::from_static("api-key"));
        Ok(Self {
            service: Address::of(&format!("{scheme}://{host}:{port}"), auth, &style)?,
            collection: collection.to_owned(),
        })
    }
}

impl QdrantBackend {
    /// Not connected yet.
    pub fn new(address: QdrantAddress, runtime: Handle) -> Self {
        Self {
            service: Service::new(address.service, runtime),
            collection: address.collection,
            last: AtomicU64::new(0),
        }
    }

    /// The collection of questions whose vectors have so many numbers.
    fn questions(&self, width: usize) -> String {
        format!("{}{width}", self.questions_of_any())
    }

    fn questions_of_any(&self) -> String {
        format!("{}_questions_", self.collection)
    }

    /// Asks; none where there is no such collection.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<T>, BackendError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let body = match body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                serde_json::to_vec(body).map_err(|error| BackendError(error.to_string()))?
            }
            None => Vec::new(),
        };
        let answer = self.service.ask(Question {
            method,
            path: path.to_owned(),
            headers,
            body: body.into(),
            most: LONGEST,
        });
        let answer = answer.await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(BackendError(wire::refused(answer.status, &answer.body)));
        }
        wire::result(&answer.body).map(Some)
    }

    async fn points<T: DeserializeOwned>(
        &self,
        (collection, what): (&str, &str),
        body: &Value,
    ) -> Result<Option<T>, BackendError> {
        let path = format!("/collections/{collection}/points{what}");
        self.ask(Method::POST, &path, Some(body)).await
    }

    /// Puts a point; where there is no such collection, it is made.
    async fn upsert(
        &self,
        collection: &str,
        width: Option<usize>,
        point: &Value,
    ) -> Result<(), BackendError> {
        let path = format!("/collections/{collection}/points?wait=true");
        let body = json!({ "points": [point] });
        let put: Option<Value> = self.ask(Method::PUT, &path, Some(&body)).await?;
        if put.is_some() {
            return Ok(());
        }
        self.make(collection, width).await?;
        let put: Option<Value> = self.ask(Method::PUT, &path, Some(&body)).await?;
        put.map(drop)
            .ok_or_else(|| BackendError("the collection is gone again".to_owned()))
    }

    /// Makes a collection, and what its fields are looked up by. Somebody else may be faster.
    async fn make(&self, collection: &str, width: Option<usize>) -> Result<(), BackendError> {
        let vectors = width.map_or_else(
            || json!({}),
            |width| json!({ "size": width, "distance": "Cosine" }),
        );
        let path = format!("/collections/{collection}");
        let made: Result<Option<Value>, _> = self
            .ask(Method::PUT, &path, Some(&json!({ "vectors": vectors })))
            .await;
        if let Err(error) = made {
            let there: Option<Value> = self.ask(Method::GET, &path, None).await?;
            if there.is_none() {
                return Err(error);
            }
        }
        for (name, kind) in INDEXED {
            let body = json!({ "field_name": name, "field_schema": kind });
            let path = format!("/collections/{collection}/index?wait=true");
            let _: Option<Value> = self.ask(Method::PUT, &path, Some(&body)).await?;
        }
        Ok(())
    }

    /// The point of an entry, with these fields of it.
    async fn entry(&self, key: CacheKey, fields: &[&str]) -> Result<Option<Point>, BackendError> {
        let body = json!({ "ids": [wire::id(key)], "with_payload": fields, "with_vector": false });
        let found: Option<Vec<Point>> = self.points((self.collection.as_str(), ""), &body).await?;
        let found = found.unwrap_or_default().into_iter().next();
        // Half of a key names the point: it says itself which it is.
        let name = key.hex();
        let is_own = |point: &Point| point.payload.key.as_deref() == Some(&name);
        Ok(found.filter(|point| is_own(point) && point.payload.expires > now()))
    }

    async fn count(&self, filter: &Value) -> Result<u64, BackendError> {
        let body = json!({ "filter": filter, "exact": true });
        let counted: Option<wire::Counted> = self.points((self.collection.as_str(), "/count"), &body).await?;
        Ok(counted.map_or(0, |counted| counted.count))
    }

    /// Deletes what a filter means, in the collection of entries and in those of questions.
    async fn delete_where(&self, filter: &Value) -> Result<(), BackendError> {
        let listed: Option<wire::Collections> = self.ask(Method::GET, "/collections", None).await?;
        let all = listed.map(|listed| listed.collections).unwrap_or_default();
        let body = json!({ "filter": filter });
        for collection in all {
            let name = collection.name;
            if name == self.collection || name.starts_with(&self.questions_of_any()) {
                let _: Option<Value> = self.points((name.as_str(), "/delete?wait=true"), &body).await?;
            }
        }
        Ok(())
    }

    /// A time for a note: now, and later than that of the last, in microseconds.
    fn stamp(&self) -> u64 {
        let now = micros();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.unwrap_or_default() + 1)
    }
}

impl Backend for QdrantBackend {
    fn name(&self) -> &'static str {
        "qdrant"
    }

    fn get(&self, key: CacheKey) -> Doing<'_, Option<Bytes>> {
        async move {
            let found = self.entry(key, &["key", "expires", "value"]).await?;
            let value = found.and_then(|point| STANDARD.decode(point.payload.value?).ok());
            Ok(value.map(Bytes::from))
        }
        .boxed()
    }

    fn put<'a>(&'a self, entry: &'a NewEntry) -> Doing<'a, ()> {
        async move {
            let ttl = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX >> 12);
            let point = json!({ "id": wire::id(entry.key), "vector": {}, "payload": {
                "kind": "entry",
                "key": entry.key.hex(),
                "value": STANDARD.encode(&entry.value),
                "bytes": entry.value.len(),
                "labels": entry.labels,
                "expires": now().saturating_add(ttl),
            } });
            self.upsert(&self.collection, None, &point).await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, filter: &'a Filter) -> Doing<'a, u64> {
        async move {
            let mut must = wire::labels(&filter.labels);
            if let Some(key) = filter.entry {
                must.push(wire::is("key", &key.hex()));
            }
            let mut entries = must.clone();
            entries.push(wire::is("kind", "entry"));
            let count = self.count(&json!({ "must": entries })).await?;
            // Notes stay: others have not heard of them yet.
            let all = json!({ "must": must, "must_not": [wire::is("kind", "note")] });
            self.delete_where(&all).await?;
            Ok(count)
        }
        .boxed()
    }

    fn describe(&self, key: CacheKey) -> Doing<'_, Option<Described>> {
        async move {
            let found = self.entry(key, &["key", "expires", "labels", "bytes"]).await?;
            Ok(found.map(|point| Described {
                labels: point.payload.labels.unwrap_or_default(),
                bytes: point.payload.bytes.unwrap_or_default(),
                left: Duration::from_millis(point.payload.expires.saturating_sub(now())),
            }))
        }
        .boxed()
    }

    fn holds(&self) -> Doing<'_, Holds> {
        async move {
            let young = json!({ "key": "expires", "range": { "gt": now() } });
            let filter = json!({ "must": [wire::is("kind", "entry"), young] });
            Ok(Holds {
                entries: self.count(&filter).await?,
                bytes: None,
            })
        }
        .boxed()
    }

    fn tend(&self) -> Doing<'_, ()> {
        async move {
            let over = json!({ "must": [{ "key": "expires", "range": { "lte": now() } }] });
            self.delete_where(&over).await
        }
        .boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn tell(&self, note: Bytes) -> Doing<'_, ()> {
        async move {
            let point = json!({ "id": wire::random_id(), "vector": {}, "payload": {
                "kind": "note",
                "at": self.stamp(),
                "note": STANDARD.encode(&note),
                "expires": now() + wire::millis(NOTES_LIFE),
            } });
            self.upsert(&self.collection, None, &point).await
        }
        .boxed()
    }

    fn hear(&self, after: Heard, most: usize) -> Doing<'_, (Vec<Bytes>, Heard)> {
        async move {
            let cursor = match &after {
                Heard::UpTo(text) => Cursor::read(text)
                    .ok_or_else(|| BackendError("the place among notes is none".to_owned()))?,
                Heard::Since(age) => Cursor::at(micros().saturating_sub(wire::micros(*age))),
            };
            let body = json!({
                "filter": { "must": [
                    wire::is("kind", "note"),
                    { "key": "at", "range": { "gte": cursor.from } },
                ] },
                "order_by": { "key": "at", "direction": "asc" },
                "limit": most + cursor.heard.len(),
                "with_payload": ["at", "note", "expires"],
                "with_vector": false,
            });
            let scrolled: Option<Scrolled> =
                self.points((self.collection.as_str(), "/scroll"), &body).await?;
            let points = scrolled.map(|scrolled| scrolled.points).unwrap_or_default();
            let (notes, next) = cursor.hear(points, most, wire::micros(LATE));
            Ok((notes, Heard::UpTo(next.written())))
        }
        .boxed()
    }

    fn finds(&self) -> bool {
        true
    }

    fn learn<'a>(&'a self, question: &'a QuestionNote) -> Doing<'a, ()> {
        async move {
            let note = serde_json::to_string(question).map_err(|error| BackendError(error.to_string()))?;
            let mut name = KeyBuilder::new();
            name.field("partition", question.partition.as_bytes());
            name.field("text", question.text.as_bytes());
            let point = json!({ "id": wire::id(name.finish()), "vector": question.vector, "payload": {
                "kind": "question",
                "partition": question.partition.hex(),
                "key": question.entry.hex(),
                "labels": question.labels,
                "expires": question.at.saturating_add(question.ttl),
                "note": note,
            } });
            let width = question.vector.len();
            self.upsert(&self.questions(width), Some(width), &point).await
        }
        .boxed()
    }

    fn near<'a>(
        &'a self,
        partition: CacheKey,
        vector: &'a [f32],
        most: usize,
    ) -> Doing<'a, Vec<QuestionNote>> {
        async move {
            let body = json!({
                "query": vector,
                "filter": { "must": [
                    wire::is("partition", &partition.hex()),
                    { "key": "expires", "range": { "gt": now() } },
                ] },
                "limit": most,
                "with_payload": ["note", "expires"],
            });
            let collection = self.questions(vector.len());
            let found: Option<Scrolled> = self.points((collection.as_str(), "/query"), &body).await?;
            let points = found.map(|found| found.points).unwrap_or_default();
            let notes = points.into_iter().filter_map(|point| {
                let note: QuestionNote = serde_json::from_str(&point.payload.note?).ok()?;
                (note.partition == partition).then_some(note)
            });
            Ok(notes.collect())
        }
        .boxed()
    }
}

/// Unix microseconds.
fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    wire::micros(now)
}
