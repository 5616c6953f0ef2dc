//! The `guardrails` block of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A guardrail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GuardrailConfig {
    /// Regular expressions.
    Regex(RegexConfig),
    /// Personal data. Not supported in this version.
    Pii(UnsupportedConfig),
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
