//! The guardrail of personal data and credentials: over a whole text, and over one that comes in pieces.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pointsman_semantics::recognise::flow::{Flow, Flowing, Piece};
use pointsman_semantics::recognise::{self, Definition, Recognisers};
use pointsman_understanding::{Entity, personal};

use crate::config::{Action, Asked, OnError, PiiConfig, Replace, Stage};
use crate::heard::{Heard, PATIENCE};
use crate::placeholder::{Placeholders, Replacing};

/// How sure a find must be, when the configuration does not say.
const LEAST: f32 = 0.5;

/// What stands in answers is a name in brackets: a made-up value would be taken for a true one.
const IN_ANSWERS: Replacing = Replacing {
    restorable: false,
    synthetic: false,
};

/// A compiled guardrail.
#[derive(Debug)]
pub(crate) struct PiiGuard {
    pub(crate) action: Action,
    pub(crate) on_error: OnError,
    pub(crate) patience: Duration,
    recognisers: Arc<Recognisers>,
    /// For answers, where it sees them.
    flowing: Option<Arc<Flowing>>,
    /// What the model is asked for: these kinds, or everything.
    kinds: Vec<String>,
    asks: bool,
    least: f32,
    pub(crate) replacing: Replacing,
}

/// What the guardrail found in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The text with placeholders, when something was replaced.
    pub(crate) rewritten: Option<String>,
    /// Entities that occur.
    pub(crate) entities: BTreeSet<String>,
    /// The model was to be asked, and was not heard.
    pub(crate) unheard: bool,
}

impl Found {
    /// What was found, as a reason; none when nothing was.
    pub(crate) fn reason(&self) -> Option<String> {
        let entities: Vec<&str> = self.entities.iter().map(String::as_str).collect();
        (!entities.is_empty())
            .then(|| format!("personal data or a credential occurs: {}", entities.join(", ")))
    }
}

impl PiiGuard {
    /// Compiles a block; `action` is what it does, which a dry run changes.
    pub(crate) fn compile(config: &PiiConfig, action: Action) -> Result<Self, (&'static str, String)> {
        let all = recognise::shipped().map_err(|error| ("type", error.to_string()))?;
        let mut told = Vec::new();
        for entity in &config.entities {
            if let Some(kinds) = personal::told_by_model(entity) {
                told.push(entity.as_str());
                if config.model == Asked::Never {
                    let message = format!("{entity:?} is told by the model alone; leave model: never out");
                    return Err(("entities", message));
                }
                debug_assert!(!kinds.is_empty());
            } else if !all.iter().any(|one| one.answers_to(entity)) {
                return Err(("entities", unknown(entity, &all)));
            }
        }
        if let (Some(first), true) = (told.first(), config.on.contains(&Stage::Output)) {
            let message = format!(
                "{first:?} is told by the model, which reads whole texts and does not see answers; use two guardrails, that one without on: [output]"
            );
            return Err(("entities", message));
        }
        if config.replace == Replace::Synthetic {
            if config.action != Action::Redact {
                return Err((
                    "replace",
                    "is what action: redact puts in the place of a find".to_owned(),
                ));
            }
            if config.on.contains(&Stage::Output) {
                let message =
                    "synthetic values in answers would be taken for true ones; use on: [input, tool_result]";
                return Err(("replace", message.to_owned()));
            }
        }
        let wanted = |one: &Definition| {
            config.entities.is_empty() || config.entities.iter().any(|entity| one.answers_to(entity))
        };
        let kinds = told.iter().filter_map(|entity| personal::told_by_model(entity));
        let chosen = all.into_iter().filter(|one| wanted(one)).collect();
        let wrong = |error: recognise::RecogniserError| ("entities", error.to_string());
        let recognisers = Arc::new(Recognisers::compile(chosen).map_err(wrong)?);
        let flowing = match config.on.contains(&Stage::Output) {
            true => Some(Arc::new(Flowing::new(Arc::clone(&recognisers)).map_err(wrong)?)),
            false => None,
        };
        Ok(Self {
            action,
            on_error: config.on_error,
            patience: config.timeout.map_or(PATIENCE, |timeout| timeout.get()),
            recognisers,
            flowing,
            kinds: kinds.flatten().map(|kind| (*kind).to_owned()).collect(),
            asks: config.model == Asked::Auto && (config.entities.is_empty() || !told.is_empty()),
            least: config
                .certainty
                .map_or(LEAST, |percent| f32::from(percent.min(100)) / 100.0),
            replacing: Replacing {
                restorable: config.restore,
                synthetic: config.replace == Replace::Synthetic,
            },
        })
    }

    /// Whether a model is asked about the texts of a stage. Answers come in pieces, of which it can say nothing.
    pub(crate) fn asks(&self, stage: Stage) -> bool {
        self.asks && stage != Stage::Output
    }

    /// Judges a whole text: `heard` is what the model said of the text `of`, which other guardrails may have changed since.
    pub(crate) fn inspect(
        &self,
        text: &str,
        (of, heard): (&str, &Heard),
        placeholders: &Placeholders,
    ) -> Found {
        let mut spans = self.recognised(text);
        if !self.asks {
            return self.found(text, spans, placeholders);
        }
        let Some(said) = heard.of(of) else {
            return Found {
                unheard: true,
                ..self.found(text, spans, placeholders)
            };
        };
        let wanted = said.entities.iter().filter(|entity| self.wants(entity));
        spans = personal::joined(text, spans, personal::moved(of, text, wanted));
        self.found(text, spans, placeholders)
    }

    /// Judges a text about which no model was asked.
    pub(crate) fn inspect_part(&self, text: &str, placeholders: &Placeholders) -> Found {
        self.found(text, self.recognised(text), placeholders)
    }

    fn recognised(&self, text: &str) -> Vec<Entity> {
        let sightings = self.recognisers.find(text, self.least).into_iter();
        let entities = sightings.map(|one| Entity {
            kind: self.recognisers.definition(&one).entity.clone(),
            start: one.start,
            end: one.end,
            probability: one.score,
            recognised: true,
        });
        entities.collect()
    }

    fn found(&self, text: &str, spans: Vec<Entity>, placeholders: &Placeholders) -> Found {
        let redacts = self.action == Action::Redact && !spans.is_empty();
        Found {
            rewritten: redacts.then(|| self.replaced(text, &spans, placeholders)),
            entities: spans.into_iter().map(|span| span.kind).collect(),
            unheard: false,
        }
    }

    fn wants(&self, entity: &Entity) -> bool {
        entity.probability >= self.least && (self.kinds.is_empty() || self.kinds.contains(&entity.kind))
    }

    /// The text with placeholders for what was found in it.
    fn replaced(&self, text: &str, spans: &[Entity], placeholders: &Placeholders) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for one in spans {
            out.push_str(&text[from..one.start]);
            out.push_str(&placeholders.of(&one.kind, &text[one.start..one.end], self.replacing));
            from = one.end;
        }
        out.push_str(&text[from..]);
        out
    }
}

/// A text that comes in pieces, on its way through one guardrail.
#[derive(Debug)]
pub(crate) struct PiiFlow {
    guard: Arc<PiiGuard>,
    flow: Flow,
    placeholders: Placeholders,
    entities: BTreeSet<String>,
}

impl PiiFlow {
    /// None where the guardrail does not see answers.
    pub(crate) fn new(guard: Arc<PiiGuard>, placeholders: &Placeholders) -> Option<Self> {
        Some(Self {
            flow: Flow::new(Arc::clone(guard.flowing.as_ref()?), guard.least),
            guard,
            placeholders: placeholders.clone(),
            entities: BTreeSet::new(),
        })
    }

    /// Takes a piece in and releases what is settled.
    pub(crate) fn push(&mut self, piece: &str, ended: bool, out: &mut String) {
        let (guard, placeholders, entities) = (&self.guard, &self.placeholders, &mut self.entities);
        let mut blocked = guard.action == Action::Block && !entities.is_empty();
        let mut each = |piece: Piece<'_>| match piece {
            // Nothing goes on behind what must not.
            _ if blocked => {}
            Piece::Plain(text) => out.push_str(text),
            Piece::Found(text, of) => {
                let entity = &guard.recognisers.at(of).entity;
                entities.insert(entity.clone());
                match guard.action {
                    Action::Redact => out.push_str(&placeholders.of(entity, text, IN_ANSWERS)),
                    Action::Flag | Action::Route => out.push_str(text),
                    Action::Block => blocked = true,
                }
            }
        };
        self.flow.push(piece, &mut each);
        if ended {
            self.flow.finish(&mut each);
        }
    }

    /// What was found, as a whole text would be told of.
    pub(crate) fn found(&self) -> Found {
        Found {
            entities: self.entities.clone(),
            ..Found::default()
        }
    }
}

fn unknown(entity: &str, all: &[Definition]) -> String {
    let known: BTreeSet<&str> = all.iter().map(|one| one.entity.as_str()).collect();
    format!(
        "nothing recognises {entity:?}; there are {}, {}, and the names of single recognisers",
        known.into_iter().collect::<Vec<_>>().join(", "),
        personal::BY_MODEL.join(", ")
    )
}
