//! What is understood of a prompt, beside how it is routed.

use pointsman_semantics::language;
use pointsman_understanding::{Entity, HeadAnswer, Understood};
use serde::Serialize;

/// What is understood of a prompt.
#[derive(Serialize)]
pub struct Told {
    /// What each head says.
    heads: Vec<HeadAnswer>,
    /// Personal data.
    entities: Vec<Entity>,
    /// The language it is in.
    language: Option<Language>,
    /// Tokens that the encoder read.
    tokens: usize,
    /// Whether it is longer than is read.
    cut: bool,
    /// Microseconds, waiting included.
    took_us: u64,
}

#[derive(Serialize)]
struct Language {
    code: &'static str,
    confidence: f64,
}

impl Told {
    /// Of this text.
    pub fn new(text: &str, read: Understood) -> Self {
        Self {
            heads: read.heads,
            entities: read.entities,
            language: language::detect(text).map(|detected| Language {
                code: detected.code,
                confidence: detected.confidence,
            }),
            tokens: read.tokens,
            cut: read.cut,
            took_us: u64::try_from(read.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}
