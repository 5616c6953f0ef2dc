//! The `guardrails` block of the configuration.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A guardrail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GuardrailConfig {
    /// Regular expressions.
    Regex(RegexConfig),
    /// Personal data and credentials.
    Pii(PiiConfig),
    /// Jailbreaks and prompt injections, told by a model.
    Jailbreak(ClassifierConfig),
    /// What would do harm, told by a model.
    Harmful(ClassifierConfig),
    /// A Microsoft Presidio server. Not supported in this version.
    Presidio(UnsupportedConfig),
}

impl GuardrailConfig {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Regex(config) => &config.name,
            Self::Pii(config) => &config.name,
            Self::Jailbreak(config) | Self::Harmful(config) => &config.name,
            Self::Presidio(config) => &config.name,
        }
    }
}

/// Regular expressions that must not, or must, occur.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegexConfig {
    /// Its name, told when it acts.
    pub name: String,
    /// Which texts it sees.
    pub on: Vec<Stage>,
    /// What it does.
    pub action: Action,
    /// Patterns that must not occur.
    pub deny: Vec<String>,
    /// What stands in the place of a match; `[REDACTED:<name>]` when absent.
    pub replacement: Option<String>,
    /// Most bytes of a stream that are held back while a match could still form; past that the stream is blocked.
    pub max_hold_bytes: Option<usize>,
}

/// Personal data and credentials: by their shape, their check digits and the words around them, and, for names and places, by
/// a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PiiConfig {
    /// Its name, told when it acts.
    pub name: String,
    /// Which texts it sees. In answers nothing is told by the model.
    pub on: Vec<Stage>,
    /// What it does.
    pub action: Action,
    /// What it looks for (`EMAIL_ADDRESS`, `CREDIT_CARD`, `NATIONAL_ID`, `PERSON`, …); everything when empty.
    pub entities: Vec<String>,
    /// How sure a find must be, in percent; 50 when absent.
    pub certainty: Option<u8>,
    /// With `redact`: what was replaced is put back into the answer.
    pub restore: bool,
    /// The model is asked for names, places and organisations, and for whatever has no shape of its own.
    pub model: Asked,
    /// What happens to a text when the model can't be asked, or does not answer in time.
    pub on_error: OnError,
    /// How long the model may take for all texts of a request; 2 s when absent.
    pub timeout: Option<HumanDuration>,
}

/// Whether a model is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Where something is looked for that only it can tell.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// What a model tells of a whole text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Its name, told when it acts.
    pub name: String,
    /// Which texts it sees: `input`, `tool_result`.
    pub on: Vec<Stage>,
    /// What it does: `block` or `flag`.
    pub action: Action,
    /// The threshold, by the name that the model gives it: `fpr_0.1pct`, `fpr_1pct` (when absent), `fpr_3pct`, `balanced`.
    pub operating_point: Option<String>,
    /// What happens to a text when the model can't be asked, or does not answer in time.
    pub on_error: OnError,
    /// How long the model may take for all texts of a request; 2 s when absent.
    pub timeout: Option<HumanDuration>,
}

/// What happens to a text that could not be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The request is refused.
    #[default]
    Block,
    /// It goes on, and that is noted.
    Allow,
}

/// A guardrail of a later version, kept as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnsupportedConfig {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Which texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// What the client sends.
    Input,
    /// What tools answered.
    ToolResult,
    /// What the model says.
    Output,
}

/// What a guardrail does with a match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Refuses the request, or ends the answer.
    #[default]
    Block,
    /// Replaces the match.
    Redact,
    /// Notes it.
    Flag,
}
