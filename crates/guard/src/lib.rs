//! Guardrails: what may go in, and what may come out.
//!
//! A guardrail sees texts, one after another or piece by piece, and blocks, redacts or flags. It knows no wire format
//! and no network. Streamed or whole, a text gets the same verdict. Models are asked beforehand, by name, and what they said
//! is told to those who judge.

mod classifier;
mod config;
mod heard;
mod hold;
mod pii;
mod placeholder;
mod regex;
mod stage;
mod stream;

pub use config::{Action, Asked, ClassifierConfig, GuardrailConfig, OnError, PiiConfig, RegexConfig, Stage};
pub use heard::{Heard, Texts};
pub use placeholder::{Placeholders, Restorer};
pub use stage::{Block, CompileError, Flag, Guards, StageGuards, Verdict};
pub use stream::{Step, StreamGuard};
