//! The `auth` block of a provider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// How requests to a provider are authenticated. Without any of these fields they carry no credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// API key, or a list of keys to be used in turn.
    pub api_key: Option<ApiKeys>,
    /// Header that carries the key; by default the one that the provider's format expects.
    pub header: Option<String>,
    /// Text before the key in that header, such as `Bearer ` with its space. Needs `header`.
    pub prefix: Option<String>,
    /// AWS credentials and request signing. Not supported yet in this version.
    pub aws: Option<CloudAuth>,
    /// Microsoft Entra ID tokens. Not supported yet in this version.
    pub entra: Option<CloudAuth>,
    /// Google Cloud credentials. Not supported yet in this version.
    pub gcp: Option<CloudAuth>,
}

/// One API key, or several to be used in turn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an API key, or a list of API keys")]
pub enum ApiKeys {
    /// One key.
    One(Secret),
    /// Several keys, used in turn.
    Many(Vec<Secret>),
}

impl ApiKeys {
    /// All keys, in the order written.
    #[must_use]
    pub fn as_slice(&self) -> &[Secret] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

/// Settings of a cloud's own authentication, kept as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CloudAuth {}
