//! What models say of texts, asked before guardrails judge them.
//!
//! Asking takes time and is done for all texts of a request together, away from the threads that serve; judging takes none
//! and goes through the texts in order. A text that looks like another one to a reader is read as that one too, and the
//! worse of both counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use pointsman_semantics::views::views;
use pointsman_understanding::{Ask, Entity, HeadAnswer, Nobody, Understanding, Wanted};
use tokio::time::Instant;

use crate::topics;

/// Texts that are asked about at once. The service that reads them has a queue for all requests.
const AT_ONCE: usize = 8;
/// What guardrails wait for models, when the configuration does not say.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked for a stage, and how long it may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asking {
    pub(crate) entities: bool,
    pub(crate) heads: Vec<String>,
    /// Vectors of texts from outside.
    pub(crate) vectors: bool,
    pub(crate) patience: Duration,
}

/// What models said of the texts of a request.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    texts: HashMap<Arc<str>, Said>,
}

/// Texts that models are asked about.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// From outside: what a user says, what documents and tools say. Attacks come from there.
    pub foreign: Vec<Arc<str>>,
    /// Of the operator, and of the model itself: personal data may stand in them, and nobody attacks himself.
    pub own: Vec<Arc<str>>,
}

impl From<Vec<Arc<str>>> for Texts {
    fn from(foreign: Vec<Arc<str>>) -> Self {
        Self {
            foreign,
            own: Vec::new(),
        }
    }
}

/// What was said of one text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// Personal data in it, told by the model.
    pub(crate) entities: Vec<Entity>,
    /// What heads say of it, and of each way in which it can be read.
    pub(crate) answers: Vec<HeadAnswer>,
    /// Vectors of the text and of its parts.
    pub(crate) vectors: Vec<Vec<f32>>,
}

impl Asking {
    pub(crate) fn is_empty(&self) -> bool {
        !self.entities && self.heads.is_empty() && !self.vectors
    }

    pub(crate) fn add_head(&mut self, head: &str, patience: Duration) {
        if !self.heads.iter().any(|known| known == head) {
            self.heads.push(head.to_owned());
        }
        self.patience = self.patience.max(patience);
    }

    pub(crate) fn add_entities(&mut self, patience: Duration) {
        self.entities = true;
        self.patience = self.patience.max(patience);
    }

    pub(crate) fn add_vectors(&mut self, patience: Duration) {
        self.vectors = true;
        self.patience = self.patience.max(patience);
    }

    fn heads(&self) -> Wanted {
        if self.heads.is_empty() {
            Wanted::None
        } else {
            Wanted::Named(self.heads.clone())
        }
    }
}

impl Heard {
    /// Asks of every text what `asking` wants to know. A text of which nothing is heard in time is not in the result.
    pub(crate) async fn ask(asking: &Asking, understanding: &Understanding, texts: Texts) -> Self {
        let mut heard = Self::default();
        if asking.is_empty() {
            return heard;
        }
        let mut foreign: HashMap<Arc<str>, bool> = HashMap::new();
        let own = texts.own.into_iter().map(|text| (text, false));
        for (text, is_foreign) in own.chain(texts.foreign.into_iter().map(|text| (text, true))) {
            if !text.trim().is_empty() {
                *foreign.entry(text).or_default() |= is_foreign;
            }
        }
        let until = Instant::now() + asking.patience;
        let each = foreign.into_iter().map(|(text, is_foreign)| async move {
            let said = tokio::time::timeout_at(until, said((asking, is_foreign), understanding, &text)).await;
            (text, said)
        });
        let mut each = stream::iter(each).buffer_unordered(AT_ONCE);
        while let Some((text, said)) = each.next().await {
            // Not in time, or not at all: those who judge see that nothing was heard.
            if let Ok(Some(said)) = said {
                heard.texts.insert(text, said);
            }
        }
        heard
    }

    /// What was said of a text. Nobody is asked about an empty one.
    pub(crate) fn of(&self, text: &str) -> Option<&Said> {
        const NOTHING: &Said = &Said {
            entities: Vec::new(),
            answers: Vec::new(),
            vectors: Vec::new(),
        };
        self.texts.get(text).or(text.trim().is_empty().then_some(NOTHING))
    }
}

async fn said(
    (asking, is_foreign): (&Asking, bool),
    understanding: &Understanding,
    text: &Arc<str>,
) -> Option<Said> {
    let judged = is_foreign && !asking.heads.is_empty();
    let heads = || if judged { asking.heads() } else { Wanted::None };
    let ask = Ask {
        heads: heads(),
        entities: asking.entities,
        unaided: asking.entities,
        embedding: is_foreign && asking.vectors,
        ..Ask::default()
    };
    if ask == Ask::default() {
        return Some(Said::default());
    }
    let read = understanding.read(text, &ask, &Nobody).await;
    let read = read
        .map_err(|failed| tracing::warn!(%failed, "a guardrail's model did not answer"))
        .ok()?;
    let mut said = Said {
        entities: read.entities,
        answers: read.heads,
        vectors: read.embedding.into_iter().collect(),
    };
    if is_foreign && asking.vectors {
        for part in topics::parts(text) {
            let part: Arc<str> = part.into();
            let read = understanding.read(&part, &Ask::embedding(), &Nobody).await;
            said.vectors.push(read.ok()?.embedding?);
        }
    }
    if !judged {
        return Some(said);
    }
    let ask = Ask {
        heads: heads(),
        ..Ask::default()
    };
    for view in views(text) {
        let view: Arc<str> = view.into();
        // A view that can't be read leaves the text unjudged.
        said.answers
            .extend(understanding.read(&view, &ask, &Nobody).await.ok()?.heads);
    }
    Some(said)
}
