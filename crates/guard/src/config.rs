//! The `guardrails` block of the configuration.

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
    /// Jailbreaks and prompt injections. Not supported in this version.
    Jailbreak(UnsupportedConfig),
    /// A Microsoft Presidio server. Not supported in this version.
    Presidio(UnsupportedConfig),
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

/// Personal data and credentials that are recognised by their shape, their check digits and the words around them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PiiConfig {
    /// Its name, told when it acts.
    pub name: String,
    /// Which texts it sees: `input`, `tool_result`. Answers are not supported in this version.
    pub on: Vec<Stage>,
    /// What it does.
    pub action: Action,
    /// What it looks for (`EMAIL_ADDRESS`, `CREDIT_CARD`, `NATIONAL_ID`, `IT_FISCAL_CODE`, …); everything when empty.
    pub entities: Vec<String>,
    /// How sure a find must be, in percent; 50 when absent.
    pub certainty: Option<u8>,
    /// With `redact`: what was replaced is put back into the answer.
    pub restore: bool,
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
