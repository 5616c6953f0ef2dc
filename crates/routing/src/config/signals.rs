//! Signals: what to look at. Those that need a model have their settings in `learned`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::learned::{
    ClassConfig, ClassifierConfig, ComplexityConfig, DomainConfig, EmbeddingConfig, HallucinationConfig,
    InputModalityConfig, JailbreakConfig, KbConfig, PiiConfig, PreferenceConfig, ReaskConfig, SafetyConfig,
};

/// All signals, by kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignalsConfig {
    /// Words in the user's text.
    pub keywords: Vec<KeywordConfig>,
    /// Length of the prompt.
    pub context: Vec<ContextConfig>,
    /// Patterns and their number.
    pub structure: Vec<StructureConfig>,
    /// Shape of the conversation.
    pub conversation: Vec<ConversationConfig>,
    /// What the caller says of the request.
    pub metadata: Vec<MetadataConfig>,
    /// Events that the caller reports.
    pub events: Vec<EventConfig>,
    /// Who asks.
    pub role_bindings: Vec<AuthzConfig>,
    /// In which language.
    pub language: Vec<LanguageConfig>,
    /// Likeness of meaning to examples.
    pub embeddings: Vec<EmbeddingConfig>,
    /// What it is about.
    pub domains: Vec<DomainConfig>,
    /// Whether facts need checking.
    pub fact_check: Vec<ClassConfig>,
    /// What the user thinks of the last answer.
    pub user_feedbacks: Vec<ClassConfig>,
    /// Whether the user asks again.
    pub reasks: Vec<ReaskConfig>,
    /// What the user likes.
    pub preferences: Vec<PreferenceConfig>,
    /// How hard it is.
    pub complexity: Vec<ComplexityConfig>,
    /// Whether text or an image is wanted.
    pub modality: Vec<ClassConfig>,
    /// Attempts to talk the model out of its instructions.
    pub jailbreak: Vec<JailbreakConfig>,
    /// Harm.
    pub safety: Vec<SafetyConfig>,
    /// Claims of the answer that nothing supports.
    pub hallucination: Vec<HallucinationConfig>,
    /// Personal data.
    pub pii: Vec<PiiConfig>,
    /// Likeness to what a knowledge base knows.
    pub kb: Vec<KbConfig>,
    /// Classifiers of one's own.
    pub classifiers: Vec<ClassifierConfig>,
    /// Kinds of content in the request.
    pub input_modality: Vec<InputModalityConfig>,
}

/// Words in the user's text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeywordConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// How many of the words must occur.
    pub operator: Operator,
    /// The words, as they stand; with the method `regex`, patterns.
    pub keywords: Vec<String>,
    /// Whether capitals matter.
    pub case_sensitive: bool,
    /// How words are compared; as whole words when absent.
    pub method: Option<KeywordMethod>,
    /// Least score with `bm25`; 0.1 when absent.
    pub bm25_threshold: Option<f64>,
    /// Least similarity with `ngram`; 0.4 when absent.
    pub ngram_threshold: Option<f64>,
    /// Letters of an n-gram; 3 when absent.
    pub ngram_arity: Option<usize>,
    /// Whether to compare fuzzily, as `method: fuzzy` does.
    pub fuzzy_match: bool,
    /// Least similarity with `fuzzy`, 0 to 100; 80 when absent.
    pub fuzzy_threshold: Option<u32>,
}

/// How many must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operator {
    /// At least one.
    #[default]
    #[serde(alias = "or")]
    Or,
    /// All.
    #[serde(alias = "and")]
    And,
    /// None.
    #[serde(alias = "nor")]
    Nor,
}

/// How words are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeywordMethod {
    /// As patterns.
    Regex,
    /// By BM25.
    Bm25,
    /// By shared n-grams of letters.
    Ngram,
    /// By edit distance.
    Fuzzy,
}

/// Length of the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Least tokens, such as `1000` or `32K`.
    pub min_tokens: TokenCount,
    /// Most tokens.
    pub max_tokens: Option<TokenCount>,
}

/// A number of tokens, plain or with `K` or `M`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(with = "CountForm")]
pub struct TokenCount(pub u64);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum CountForm {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for TokenCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match CountForm::deserialize(deserializer)? {
            CountForm::Number(count) => return Ok(Self(count)),
            CountForm::Text(text) => text,
        };
        let upper = text.trim().to_ascii_uppercase();
        let (digits, factor) = match (upper.strip_suffix('K'), upper.strip_suffix('M')) {
            (Some(digits), _) => (digits, 1_000.0),
            (_, Some(digits)) => (digits, 1_000_000.0),
            _ => (upper.as_str(), 1.0),
        };
        let count: f64 = digits.trim().parse().map_err(|_| {
            serde::de::Error::custom(format!(
                "{text:?} is not a number of tokens; write it like 1000, 32K or 1M"
            ))
        })?;
        Ok(Self((count * factor).max(0.0) as u64))
    }
}

/// Patterns and their number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StructureConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// What is counted.
    pub feature: Feature,
    /// When it matches; without one, when there is any.
    #[serde(default)]
    pub predicate: Option<Predicate>,
}

/// Something to count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// `exists`, `count`, `density` or `sequence`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What.
    pub source: Source,
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    /// `regex`, `keyword_set`, `sequence` or `text_bytes`; for conversations `message`, `tool_definition`,
    /// `assistant_tool_call`, `assistant_tool_cycle`, `active_tool_loop` or `image_content`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A pattern.
    pub pattern: Option<String>,
    /// Words.
    pub keywords: Vec<String>,
    /// Words that must follow one another.
    pub sequences: Vec<Vec<String>>,
    /// Whether capitals matter.
    pub case_sensitive: bool,
    /// Only messages of this role; `non_user` for all but the user's.
    pub role: Option<String>,
}

/// Bounds of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Predicate {
    /// Greater than.
    pub gt: Option<f64>,
    /// At least.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// At most.
    pub lte: Option<f64>,
}

impl Predicate {
    /// Whether `value` lies within.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.gt.is_none_or(|bound| value > bound)
            && self.gte.is_none_or(|bound| value >= bound)
            && self.lt.is_none_or(|bound| value < bound)
            && self.lte.is_none_or(|bound| value <= bound)
    }
}

/// Shape of the conversation.
pub type ConversationConfig = StructureConfig;

/// What the caller says of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which entry.
    pub key: String,
    /// What it must be; it must be there when absent.
    pub predicate: MetadataPredicate,
}

/// What an entry of the metadata must be. The first that is given counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataPredicate {
    /// This.
    pub equals: Option<String>,
    /// One of these.
    #[serde(rename = "in")]
    pub one_of: Vec<String>,
    /// There, or not there.
    pub exists: Option<bool>,
}

/// Events that the user's text reports, such as an alert or a line of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventConfig {
    /// By which decisions refer to it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Types, one of which the text names.
    pub event_types: Vec<String>,
    /// Severities, one of which the text names: `critical`, `high`, `medium` or `low`.
    pub severities: Vec<String>,
    /// Codes, one of which the text names.
    pub action_codes: Vec<String>,
    /// Whether words of haste count, such as `urgent` or `deadline`.
    pub temporal: bool,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthzConfig {
    /// Its own name; by which decisions refer to it where it has no role.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who has the role.
    pub subjects: Vec<Subject>,
    /// The role, by which decisions refer to it.
    pub role: String,
}

impl AuthzConfig {
    /// By which decisions refer to it.
    #[must_use]
    pub fn signal(&self) -> &str {
        if self.role.is_empty() {
            &self.name
        } else {
            &self.role
        }
    }
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `User`, `Group` or `Team`.
    pub kind: String,
    /// Their name.
    pub name: String,
}

/// In which language.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LanguageConfig {
    /// ISO 639-1 code; decisions refer to it by this.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Least confidence; 0.3 when absent.
    pub threshold: Option<f64>,
}
