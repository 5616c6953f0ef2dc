//! Guardrails: what may go in, and what may come out.
//!
//! A guardrail sees texts, one after another or piece by piece, and blocks, redacts or flags. It knows no wire format
//! and no network. Streamed or whole, a text gets the same verdict.

mod config;
mod hold;
mod pii;
mod placeholder;
pub mod recognise;
mod regex;
mod stage;

pub use config::{Action, GuardrailConfig, PiiConfig, RegexConfig, Stage};
pub use placeholder::{Placeholders, Restorer};
pub use stage::{Block, CompileError, Flag, Guards, StageGuards, Step, StreamGuard, Verdict};
