//! The `guardrails` block of the configuration.

use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::groundedness::GroundednessConfig;
use crate::remote::config::{
    AzureConfig, BedrockConfig, HttpConfig, LakeraConfig, LiteLlmConfig, LlmGuardConfig, ModelArmorConfig,
    ModerationConfig, NemoConfig, PresidioConfig, Remote,
};
use crate::topics::TopicsConfig;

/// A guardrail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// Answers held against what they may go by.
    Groundedness(GroundednessConfig),
    /// What may be spoken of, by example sentences.
    Topics(TopicsConfig),
    /// A Microsoft Presidio analyzer.
    Presidio(PresidioConfig),
    /// A service of your own, by the contract in `docs/guardrails.md`.
    Http(HttpConfig),
    /// A service that speaks LiteLLM's generic guardrail API.
    #[serde(rename = "litellm")]
    LiteLlm(LiteLlmConfig),
    /// OpenAI's moderations, or whoever speaks like them.
    #[serde(rename = "openai-moderation")]
    OpenAiModeration(ModerationConfig),
    /// Amazon Bedrock Guardrails.
    #[serde(rename = "bedrock-guardrails")]
    BedrockGuardrails(BedrockConfig),
    /// Azure AI Content Safety.
    #[serde(rename = "azure-content-safety")]
    AzureContentSafety(AzureConfig),
    /// Google Cloud Model Armor.
    #[serde(rename = "model-armor")]
    ModelArmor(ModelArmorConfig),
    /// Lakera Guard.
    Lakera(LakeraConfig),
    /// An LLM Guard API server.
    #[serde(rename = "llm-guard")]
    LlmGuard(LlmGuardConfig),
    /// A NeMo Guardrails server.
    Nemo(NemoConfig),
}

/// What all guardrails have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) name: &'a str,
    pub(crate) on: &'a [Stage],
    pub(crate) action: Action,
    pub(crate) to: Option<&'a str>,
    pub(crate) default_on: bool,
    pub(crate) dry_run: bool,
    pub(crate) sample: Option<u8>,
}

/// The common fields of a guardrail's block, whichever it is.
macro_rules! common {
    ($config:expr) => {
        $crate::config::Common {
            name: &$config.name,
            on: &$config.on,
            action: $config.action,
            to: $config.to.as_deref(),
            default_on: $config.default_on.unwrap_or(true),
            dry_run: $config.dry_run,
            sample: $config.sample,
        }
    };
}

impl GuardrailConfig {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.common().name
    }

    pub(crate) fn common(&self) -> Common<'_> {
        match self {
            Self::Regex(config) => common!(config),
            Self::Pii(config) => common!(config),
            Self::Jailbreak(config) | Self::Harmful(config) => common!(config),
            Self::Groundedness(config) => common!(config),
            Self::Topics(config) => common!(config),
            Self::Presidio(config) => common!(config),
            Self::Http(config) => common!(config),
            Self::LiteLlm(config) => common!(config),
            Self::OpenAiModeration(config) => common!(config),
            Self::BedrockGuardrails(config) => common!(config),
            Self::AzureContentSafety(config) => common!(config),
            Self::ModelArmor(config) => common!(config),
            Self::Lakera(config) => common!(config),
            Self::LlmGuard(config) => common!(config),
            Self::Nemo(config) => common!(config),
        }
    }

    /// As a guardrail that is asked over the network; none where it is none.
    pub(crate) fn remote(&self) -> Option<&dyn Remote> {
        Some(match self {
            Self::Regex(_)
            | Self::Pii(_)
            | Self::Jailbreak(_)
            | Self::Harmful(_)
            | Self::Groundedness(_)
            | Self::Topics(_) => return None,
            Self::Presidio(config) => config,
            Self::Http(config) => config,
            Self::LiteLlm(config) => config,
            Self::OpenAiModeration(config) => config,
            Self::BedrockGuardrails(config) => config,
            Self::AzureContentSafety(config) => config,
            Self::ModelArmor(config) => config,
            Self::Lakera(config) => config,
            Self::LlmGuard(config) => config,
            Self::Nemo(config) => config,
        })
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
    /// The model that answers instead, with `action: route`.
    pub to: Option<String>,
    /// Whether it acts on all requests (when absent), or only where a model, a team or a key names it.
    pub default_on: Option<bool>,
    /// It judges and changes nothing: what it would have done is noted.
    pub dry_run: bool,
    /// The share of requests that it sees, in percent; all when absent.
    #[schemars(range(min = 1, max = 100))]
    pub sample: Option<u8>,
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
    /// The model that answers instead, with `action: route`.
    pub to: Option<String>,
    /// Whether it acts on all requests (when absent), or only where a model, a team or a key names it.
    pub default_on: Option<bool>,
    /// It judges and changes nothing: what it would have done is noted.
    pub dry_run: bool,
    /// The share of requests that it sees, in percent; all when absent.
    #[schemars(range(min = 1, max = 100))]
    pub sample: Option<u8>,
    /// What it looks for (`EMAIL_ADDRESS`, `CREDIT_CARD`, `NATIONAL_ID`, `PERSON`, …); everything when empty.
    pub entities: Vec<String>,
    /// How sure a find must be, in percent; 50 when absent.
    pub certainty: Option<u8>,
    /// With `redact`: what was replaced is put back into the answer.
    pub restore: bool,
    /// With `redact`: what stands in the place of a find.
    pub replace: Replace,
    /// The model is asked for names, places and organisations, and for whatever has no shape of its own.
    pub model: Asked,
    /// What happens to a text when the model can't be asked, or does not answer in time.
    pub on_error: OnError,
    /// How long the model may take for all texts of a request; 2 s when absent.
    pub timeout: Option<HumanDuration>,
}

/// What stands in the place of a find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Replace {
    /// Its kind in brackets, with a number.
    #[default]
    Placeholder,
    /// A made-up value of the same kind and form.
    Synthetic,
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
    /// What it does: `block`, `flag` or `route`.
    pub action: Action,
    /// The model that answers instead, with `action: route`.
    pub to: Option<String>,
    /// Whether it acts on all requests (when absent), or only where a model, a team or a key names it.
    pub default_on: Option<bool>,
    /// It judges and changes nothing: what it would have done is noted.
    pub dry_run: bool,
    /// The share of requests that it sees, in percent; all when absent.
    #[schemars(range(min = 1, max = 100))]
    pub sample: Option<u8>,
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
    /// Lets another model answer, the one that `to` names.
    Route,
}
