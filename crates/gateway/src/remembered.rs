//! What operators see of remembered answers, and have forgotten: in the memory of this process, at the back end, and at
//! every replica that shares it. No word of an answer is shown.

use std::time::{Duration, Instant};

use pointsman_cache::backend::{BackendError, Holds};
use pointsman_cache::{CacheKey, Filter, Labels, NoteOf, Stats};
use pointsman_upstream::breaker::BreakerState;

use crate::road::recall::Kept;
use crate::server::Gateway;

/// How the caches do.
#[derive(Debug)]
pub struct CacheView {
    /// To the same request; of this process.
    pub exact: Stats,
    /// To questions that ask the same; of this process.
    pub semantic: Stats,
    /// Beside this process.
    pub backend: Option<BackendView>,
}

/// How a back end does.
#[derive(Debug)]
pub struct BackendView {
    /// `redis`, `postgres`, `qdrant`, `s3`, `google-storage`, `azure-blob` or `disk`.
    pub kind: &'static str,
    /// What its breaker does.
    pub breaker: BreakerState,
    /// Bytes that wait to be kept.
    pub queued: usize,
    /// How much there is; why it does not say, otherwise.
    pub holds: Result<Holds, BackendError>,
}

/// What is known of an answer.
#[derive(Debug)]
pub struct EntryView {
    /// What it is known by.
    pub labels: Labels,
    /// How long it will still be remembered.
    pub left: Duration,
    /// Provider, its name of the model, what the answer cost in billionths of a dollar, and how old it is; of one in the
    /// memory of this process.
    pub memory: Option<GivenView>,
    /// Bytes at the back end, where it is there.
    pub backend_bytes: Option<u64>,
}

/// Who gave an answer.
#[derive(Debug)]
pub struct GivenView {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Billionths of a dollar.
    pub cost_nanodollars: i64,
    /// How old it is.
    pub age: Duration,
}

/// How many answers were forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Of the exact cache of this process.
    pub exact: usize,
    /// Of the semantic cache of this process.
    pub semantic: usize,
    /// Of the back end.
    pub backend: Option<u64>,
}

/// Who gave it; of a failure, nobody did.
fn given(kept: &Kept) -> Option<GivenView> {
    let (provider, model, cost, stored) = match kept {
        Kept::Answer(answer) => (&answer.provider, &answer.model, answer.cost, answer.stored),
        Kept::Piece(piece) => (&piece.provider, &piece.model, piece.cost, piece.stored),
        Kept::Failure(_) => return None,
    };
    Some(GivenView {
        provider: provider.clone(),
        model: model.clone(),
        cost_nanodollars: cost.nanodollars(),
        age: stored.elapsed(),
    })
}

impl Gateway {
    /// How the caches do.
    pub async fn cache(&self) -> CacheView {
        let answers = self.answers();
        let backend = match &answers.remote {
            None => None,
            Some(remote) => Some(BackendView {
                kind: remote.name(),
                breaker: remote.breaker(),
                queued: remote.queued(),
                holds: remote.holds().await,
            }),
        };
        CacheView {
            exact: answers.exact.stats(),
            semantic: answers.semantic.stats(),
            backend,
        }
    }

    /// What is known of an answer; none where there is no such.
    ///
    /// # Errors
    /// When the back end does not say, and this process does not know.
    pub async fn cache_entry(&self, key: CacheKey) -> Result<Option<EntryView>, BackendError> {
        let answers = self.answers();
        let memory = answers.exact.peek(&key, Instant::now());
        let beside = match &answers.remote {
            None => None,
            Some(remote) => match remote.describe(key).await {
                Err(error) if memory.is_none() => return Err(error),
                told => told.ok().flatten(),
            },
        };
        let backend_bytes = beside.as_ref().map(|beside| beside.bytes);
        Ok(match (memory, beside) {
            (Some((kept, left)), _) => Some(EntryView {
                labels: kept.labels().clone(),
                left,
                memory: given(&kept),
                backend_bytes,
            }),
            (None, Some(beside)) => Some(EntryView {
                labels: beside.labels,
                left: beside.left,
                memory: None,
                backend_bytes,
            }),
            (None, None) => None,
        })
    }

    /// Forgets what a filter means: here, at the back end, and, as soon as they hear of it, at all who share that.
    ///
    /// # Errors
    /// When the back end does not do it: here it is forgotten nevertheless.
    pub async fn forget_cached(&self, filter: &Filter) -> Result<Forgotten, BackendError> {
        let answers = self.answers();
        let beside = match &answers.remote {
            None => None,
            Some(remote) => {
                let deleted = remote.delete(filter.clone()).await;
                answers.note(remote, NoteOf::Forget(filter.clone()));
                Some(deleted)
            }
        };
        // After the back end: what is read from there meanwhile is forgotten, too.
        let [exact, semantic] = answers.forget(filter);
        Ok(Forgotten {
            exact,
            semantic,
            backend: beside.transpose()?,
        })
    }
}
