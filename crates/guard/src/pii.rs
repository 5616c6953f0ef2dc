//! The guardrail of personal data and credentials, over a whole text.

use std::collections::BTreeSet;

use crate::config::{Action, PiiConfig};
use crate::placeholder::Placeholders;
use crate::recognise::{self, Definition, Recognisers, Sighting};

/// How sure a find must be, when the configuration does not say.
const LEAST: f32 = 0.5;

/// A compiled guardrail.
#[derive(Debug)]
pub(crate) struct PiiGuard {
    pub(crate) name: String,
    pub(crate) action: Action,
    recognisers: Recognisers,
    least: f32,
    restore: bool,
}

/// What the guardrail found in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The text with placeholders, when something was replaced.
    pub(crate) rewritten: Option<String>,
    /// Entities that occur.
    pub(crate) entities: BTreeSet<String>,
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
    pub(crate) fn compile(config: &PiiConfig) -> Result<Self, (&'static str, String)> {
        let all = recognise::shipped().map_err(|error| ("type", error.to_string()))?;
        for entity in &config.entities {
            if !all.iter().any(|one| one.answers_to(entity)) {
                return Err(("entities", unknown(entity, &all)));
            }
        }
        let wanted = |one: &Definition| {
            config.entities.is_empty() || config.entities.iter().any(|entity| one.answers_to(entity))
        };
        let least = config
            .certainty
            .map_or(LEAST, |percent| f32::from(percent.min(100)) / 100.0);
        let chosen = all.into_iter().filter(|one| wanted(one)).collect();
        Ok(Self {
            name: config.name.clone(),
            action: config.action,
            recognisers: Recognisers::compile(chosen).map_err(|error| ("entities", error.to_string()))?,
            least,
            restore: config.restore,
        })
    }

    /// Judges a whole text.
    pub(crate) fn inspect(&self, text: &str, placeholders: &Placeholders) -> Found {
        let sightings = self.recognisers.find(text, self.least);
        let mut found = Found::default();
        if sightings.is_empty() {
            return found;
        }
        if self.action == Action::Redact {
            found.rewritten = Some(self.replaced(text, &sightings, placeholders));
        }
        found.entities = self.entities(&sightings);
        found
    }

    fn entities(&self, sightings: &[Sighting]) -> BTreeSet<String> {
        let each = sightings.iter().map(|one| self.recognisers.definition(one));
        each.map(|one| one.entity.clone()).collect()
    }

    /// The text with placeholders for what was found in it.
    fn replaced(&self, text: &str, sightings: &[Sighting], placeholders: &Placeholders) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for one in sightings {
            let entity = &self.recognisers.definition(one).entity;
            out.push_str(&text[from..one.start]);
            out.push_str(&placeholders.of(entity, &text[one.start..one.end], self.restore));
            from = one.end;
        }
        out.push_str(&text[from..]);
        out
    }
}

fn unknown(entity: &str, all: &[Definition]) -> String {
    let known: BTreeSet<&str> = all.iter().map(|one| one.entity.as_str()).collect();
    format!(
        "nothing recognises {entity:?}; there are {}, and the names of single recognisers",
        known.into_iter().collect::<Vec<_>>().join(", ")
    )
}
