//! Answers beside this process: packed for a back end, and read again by whoever shares it.
//!
//! A back end is asked by the one of many equal requests that leads, after the memory of this process and before
//! anything is sent. What it gives is remembered here, too.

mod follow;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pointsman_cache::backend::{self, BackendConfigError, NewEntry};
use pointsman_cache::{CacheKey, Labels, Note, NoteOf, Question, QuestionNote, Remote};
use pointsman_catalog::Money;
use pointsman_config::Config;
use pointsman_upstream::breaker::BreakerState;
use pointsman_wire::keep;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::answers::Answers;
use super::{Kept, Recalled, Remembered};

pub use follow::start_following;

/// The back end of a configuration. Must be called within a Tokio runtime, which drives its connections.
///
/// # Errors
/// When it is configured in a way that makes no sense.
pub fn connect(config: &Config) -> Result<Option<Arc<Remote>>, BackendConfigError> {
    let Some(backend) = &config.cache.backend else {
        return Ok(None);
    };
    let runtime =
        Handle::try_current().map_err(|error| BackendConfigError::of("the runtime", &error.to_string()))?;
    let timeout = backend.timeout.get();
    let backend = backend::at(backend, &runtime)?;
    Remote::new(backend, timeout, &runtime).map(|remote| Some(Arc::new(remote)))
}

/// An answer as it lies at a back end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed<'a> {
    /// Under which key: what lies under another is not given.
    key: CacheKey,
    /// When it was given, Unix milliseconds.
    at: u64,
    /// How long it may be, in milliseconds.
    ttl: u64,
    /// How long it is fresh, in milliseconds.
    fresh: u64,
    provider: String,
    model: String,
    cost: i64,
    labels: Labels,
    #[serde(borrow)]
    answer: &'a RawValue,
}

/// An answer to be kept at a back end.
pub fn pack(key: CacheKey, answer: &Remembered, ttl: Duration) -> Option<NewEntry> {
    let response = String::from_utf8(keep::pack(&answer.response)?).ok()?;
    let packed = Packed {
        key,
        at: now().saturating_sub(millis(answer.stored.elapsed())),
        ttl: millis(ttl),
        fresh: millis(answer.fresh),
        provider: answer.provider.clone(),
        model: answer.model.clone(),
        cost: answer.cost.nanodollars(),
        labels: (*answer.labels).clone(),
        answer: &RawValue::from_string(response).ok()?,
    };
    Some(NewEntry {
        key,
        value: serde_json::to_vec(&packed).ok()?.into(),
        labels: packed.labels,
        ttl,
    })
}

/// The answer that a back end has under a key, and how long it may still be given.
pub fn unpack(key: CacheKey, bytes: &[u8]) -> Option<(Arc<Remembered>, Duration)> {
    let packed: Packed<'_> = serde_json::from_slice(bytes).ok()?;
    // The clocks of two machines may differ: nothing is younger than new.
    let age = now().saturating_sub(packed.at);
    let left = packed.ttl.checked_sub(age).filter(|left| *left > 0)?;
    if packed.key != key {
        return None;
    }
    let answer = Remembered {
        response: keep::unpack(packed.answer.get().as_bytes()).ok()?,
        provider: packed.provider,
        model: packed.model,
        cost: Money::from_nanodollars(packed.cost),
        labels: Arc::new(packed.labels),
        fresh: Duration::from_millis(packed.fresh),
        stored: Instant::now().checked_sub(Duration::from_millis(age))?,
    };
    Some((Arc::new(answer), Duration::from_millis(left)))
}

impl Answers {
    /// The answer that the back end has under a key; from now on it is remembered here, too.
    pub async fn elsewhere(&self, key: CacheKey) -> Option<Recalled> {
        let bytes = self.remote.as_ref()?.get(key).await?;
        let (answer, left) = unpack(key, &bytes)?;
        let now = Instant::now();
        self.exact.put(
            key,
            Arc::new(Kept::Answer(Arc::clone(&answer))),
            bytes.len(),
            left,
            now,
        );
        Some(Recalled {
            answer,
            similarity: None,
        })
    }

    /// Has an answer of `bytes` kept at the back end.
    pub fn send(&self, key: CacheKey, answer: &Remembered, bytes: usize, ttl: Duration) {
        if let Some(remote) = self.remote.as_ref().filter(|_| self.exact.takes(bytes))
            && let Some(entry) = pack(key, answer, ttl)
        {
            remote.put(entry);
        }
    }

    /// Has the back end keep that a question has an answer there, or tells all who share it.
    pub fn tell(&self, question: &Question, entry: CacheKey, answer: &Remembered, ttl: Duration) {
        let tells = |remote: &&Arc<Remote>| remote.is_shared() || remote.finds();
        let Some(remote) = self.remote.as_ref().filter(tells) else {
            return;
        };
        let (partition, owner) = question.place();
        let says = QuestionNote {
            partition,
            owner,
            text: question.text().to_owned(),
            vector: question.vector().to_vec(),
            entry,
            labels: (*answer.labels).clone(),
            at: now().saturating_sub(millis(answer.stored.elapsed())),
            ttl: millis(ttl),
        };
        if remote.finds() {
            remote.learn(says);
        } else {
            self.note(remote, NoteOf::Question(Box::new(says)));
        }
    }

    /// Leaves a note.
    pub fn note(&self, remote: &Remote, says: NoteOf) {
        let note = Note {
            from: self.name.clone(),
            says,
        };
        if let Some(packed) = note.packed() {
            remote.tell(Bytes::from(packed));
        }
    }
}

/// Unix milliseconds.
pub(super) fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the metrics tell of a back end, in Prometheus' text format.
pub fn tell(remote: &Remote, text: &mut String) {
    let name = remote.name();
    let state = match remote.breaker() {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# HELP pointsman_cache_backend_breaker Breaker of the cache's back end: 0 closed, 1 half-open, 2 open.\n\
         # TYPE pointsman_cache_backend_breaker gauge\n\
         pointsman_cache_backend_breaker{{backend=\"{name}\"}} {state}\n\
         # HELP pointsman_cache_backend_queued_bytes Bytes that wait to be kept at the cache's back end.\n\
         # TYPE pointsman_cache_backend_queued_bytes gauge\n\
         pointsman_cache_backend_queued_bytes{{backend=\"{name}\"}} {}\n\
         # HELP pointsman_cache_backend_operations_total What the cache's back end was asked, and what came of it.\n\
         # TYPE pointsman_cache_backend_operations_total counter",
        remote.queued()
    );
    for (operation, came, count) in remote.counts() {
        let _ = writeln!(
            text,
            "pointsman_cache_backend_operations_total{{backend=\"{name}\",operation=\"{}\",result=\"{}\"}} {count}",
            operation.name(),
            came.name()
        );
    }
}

#[cfg(test)]
mod tests {
    use pointsman_cache::KeyBuilder;
    use pointsman_wire::format::{Format, decode_response};

    use super::*;

    fn answer(age: Duration) -> Remembered {
        let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        Remembered {
            response: decode_response(Format::OpenAiChat, &Bytes::from_static(body.as_bytes())).unwrap(),
            provider: "o".to_owned(),
            model: "m".to_owned(),
            cost: Money::from_nanodollars(7),
            labels: Arc::new(Labels {
                team: Some("red".to_owned()),
                ..Labels::default()
            }),
            fresh: Duration::from_secs(9),
            stored: Instant::now().checked_sub(age).unwrap(),
        }
    }

    fn key(name: &str) -> CacheKey {
        let mut key = KeyBuilder::new();
        key.field("name", name.as_bytes());
        key.finish()
    }

    #[test]
    fn an_answer_is_given_with_its_age_under_its_own_key_and_not_for_ever() {
        let hour = Duration::from_secs(3_600);
        let packed = pack(key("a"), &answer(Duration::from_secs(100)), hour).unwrap();
        assert_eq!(packed.labels.team.as_deref(), Some("red"));
        let (read, left) = unpack(key("a"), &packed.value).unwrap();
        assert_eq!(
            (read.cost, read.response.id.to_string()),
            (Money::from_nanodollars(7), "c".to_owned())
        );
        let age = read.stored.elapsed().as_secs();
        assert!((100..105).contains(&age), "{age}");
        assert!(left <= hour - Duration::from_secs(100) && left > hour - Duration::from_secs(105));
        assert!(unpack(key("b"), &packed.value).is_none(), "another key");
        assert!(unpack(key("a"), &packed.value[1..]).is_none(), "damaged");
        let old = pack(key("a"), &answer(hour), hour).unwrap();
        assert!(unpack(key("a"), &old.value).is_none(), "its time is over");
    }
}
