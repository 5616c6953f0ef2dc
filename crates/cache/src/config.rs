//! The `cache` block of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether answers are remembered. Nothing is, unless `exact` is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Answers to requests that are the same to the letter.
    pub exact: Option<ExactConfig>,
    /// Who may see whose answers.
    pub scope: Scope,
    /// Answers to requests that mean the same. Not supported in this version.
    pub semantic: Option<serde_json::Value>,
}

/// Bounds of the exact cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExactConfig {
    /// How long an answer is remembered, such as `1h`, `30m` or `45s`.
    pub ttl: String,
    /// Most bytes of all answers together.
    pub max_bytes: usize,
    /// Most bytes of one answer.
    pub max_entry_bytes: usize,
}

impl Default for ExactConfig {
    fn default() -> Self {
        Self {
            ttl: "1h".to_owned(),
            max_bytes: 256 * 1024 * 1024,
            max_entry_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Who may see whose answers. What a key does not have (a team, a user) narrows the scope to the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Keys of the same user.
    User,
    /// The key alone.
    #[default]
    Key,
    /// Keys of the same team.
    Team,
    /// Keys of the same organization. Until organizations exist: of the same team.
    Organization,
    /// Everybody.
    Shared,
}
