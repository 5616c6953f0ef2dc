//! Guardrails: what may go in, and what may come out.
//!
//! A guardrail sees texts, one after another or piece by piece, and blocks, redacts, flags or has another model answer. It
//! knows no wire format of conversations. Streamed or whole, a text gets the same verdict. Models are asked beforehand, by
//! name, and services over the network as the texts come to them ([`Guards::review`]); what they said is told to those who
//! judge.

mod arguments;
mod classifier;
mod config;
mod groundedness;
mod grounds;
mod guards;
mod heard;
mod hold;
mod pii;
mod placeholder;
mod regex;
mod remote;
mod review;
mod stage;
mod stream;
mod synthetic;
mod tally;
mod texts;
mod topics;

pub use config::{
    Action, Asked, ClassifierConfig, GuardrailConfig, OnError, PiiConfig, RegexConfig, Replace, Stage,
};
pub use groundedness::{GroundednessConfig, WithoutContext};
pub use grounds::{Given, Grounds};
pub use guards::{CompileError, GuardSet, Guards};
pub use heard::{Heard, Texts};
pub use placeholder::{Placeholders, Restorer};
pub use remote::Unjudged;
pub use remote::config::{
    AzureCheck, AzureConfig, BedrockConfig, HttpConfig, LakeraConfig, LiteLlmConfig, LlmGuardConfig,
    ModelArmorConfig, ModerationConfig, NemoConfig, PresidioConfig,
};
pub use review::{Askable, Reviewed};
pub use stage::{Block, Flag, StageGuards, Verdict};
pub use stream::{Step, StreamGuard};
pub use tally::{Done, Note, Tally};
pub use texts::{Shown, Sort};
pub use topics::TopicsConfig;
