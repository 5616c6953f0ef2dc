//! What other replicas note, taken over: questions that have an answer at the back end, and what is to be forgotten.
//!
//! A process that starts reads what was noted while answers of now may last, its own earlier life included.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pointsman_cache::backend::Heard;
use pointsman_cache::{Note, NoteOf, QuestionNote, Remote};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::answers::Pointer;
use super::{millis, now};
use crate::server::Shared;

/// How often it is looked for notes.
const ROUND: Duration = Duration::from_millis(500);
/// Notes that are read at once.
const TOGETHER: usize = 256;

/// Starts taking notes over, where others leave some. Must be called within a Tokio runtime.
pub fn start_following(shared: &Arc<Shared>, stopped: &watch::Receiver<bool>) -> Option<JoinHandle<()>> {
    let remote = shared.cache.remote.as_ref().filter(|remote| remote.is_shared())?;
    Some(tokio::spawn(follow(
        Arc::clone(shared),
        Arc::clone(remote),
        stopped.clone(),
    )))
}

/// Takes notes over until the gateway stops.
async fn follow(shared: Arc<Shared>, remote: Arc<Remote>, mut stopped: watch::Receiver<bool>) {
    let mut heard = Heard::Since(longest(&shared));
    loop {
        let more = match remote.hear(heard.clone(), TOGETHER).await {
            Some((notes, upto)) => {
                let more = notes.len() == TOGETHER;
                let taking = Arc::clone(&shared);
                let taken = tokio::task::spawn_blocking(move || take_over(&taking, &notes)).await;
                if taken.is_err() {
                    tracing::error!("notes of the cache's back end could not be taken over");
                }
                heard = upto;
                more
            }
            None => false,
        };
        let rest = if more { Duration::ZERO } else { ROUND };
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// How long answers are remembered by their questions.
fn longest(shared: &Shared) -> Duration {
    let snapshot = shared.snapshot.load();
    let semantic = snapshot.cache.as_ref().and_then(|cache| cache.semantic);
    semantic.map_or(Duration::ZERO, |semantic| semantic.ttl)
}

fn take_over(shared: &Shared, notes: &[Bytes]) {
    let is_semantic = !longest(shared).is_zero();
    for note in notes {
        let Some(note) = Note::unpacked(note).filter(|note| note.from != shared.cache.name) else {
            continue;
        };
        match note.says {
            NoteOf::Forget(filter) => drop(shared.cache.forget(&filter)),
            NoteOf::Question(question) if is_semantic => learn(shared, *question),
            NoteOf::Question(_) => {}
        }
    }
}

/// Remembers that a question has an answer at the back end.
fn learn(shared: &Shared, note: QuestionNote) {
    let answers = &shared.cache;
    let age = now().saturating_sub(note.at);
    let is_fresh = note.ttl > age;
    let stored = Instant::now().checked_sub(Duration::from_millis(age));
    let Some(stored) = stored.filter(|_| is_fresh && answers.semantic.has_width(note.vector.len())) else {
        return;
    };
    if let Err(error) = answers.semantic.prepare() {
        tracing::warn!(%error, "questions of other replicas cannot be verified");
        return;
    }
    let place = (note.partition, note.owner);
    let Some(question) = answers.semantic.question(place, &note.text, note.vector) else {
        return;
    };
    let labels = Arc::new(note.labels);
    let cost = labels.bytes() + size_of::<Pointer>();
    let pointer = Pointer {
        entry: note.entry,
        labels,
        answer: None,
    };
    let ttl = Duration::from_millis(note.ttl.min(millis(longest(shared))));
    answers
        .semantic
        .put(question, Arc::new(pointer), cost, ttl, stored);
}
