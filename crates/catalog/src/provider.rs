//! Providers: where they are and how they want to be spoken to.

use indexmap::IndexMap;
use serde::Deserialize;

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its id, by which a configuration names it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it is; absent for kinds of which everybody has their own.
    pub base_url: Option<String>,
    /// Environment variables that usually hold its key.
    #[serde(default)]
    pub env: Vec<String>,
    /// Chat formats, the preferred one first, with their paths under the base URL.
    pub formats: IndexMap<String, String>,
    /// Path for embeddings in OpenAI's shape.
    pub embeddings: Option<String>,
    /// Path for token counting in Anthropic's shape.
    pub count_tokens: Option<String>,
    /// The header that carries the key; `Authorization: Bearer` when absent.
    pub auth_header: Option<String>,
    /// Headers that go with every request.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// It takes the completion limit as `max_completion_tokens`.
    #[serde(default)]
    pub max_completion_tokens: bool,
    /// It knows the role `developer`.
    #[serde(default)]
    pub developer_role: bool,
    /// It takes models the catalog does not list.
    #[serde(default)]
    pub any_model: bool,
    /// It usually runs on the same machine and wants no key.
    #[serde(default)]
    pub local: bool,
}
