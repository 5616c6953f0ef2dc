//! The `limits` and `identity` blocks of the configuration.

use pointsman_upstream::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::introspection::{CertificateConfig, IntrospectionConfig, ProxyConfig};
use crate::jwt::JwtConfig;
use crate::oidc::OidcConfig;

/// Limits of keys that have none of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// For every key, each on its own.
    pub default: Limits,
}

/// How much, how fast. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts in any minute.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of answers in any minute.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
}

/// Who may come in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// Whether callers without a key are let in.
    pub anonymous: Anonymous,
    /// Lets callers of AWS's SDKs in, who sign their requests: from this secret and a key their secret access key is
    /// made (`pointsman key create --aws`). At least 32 characters of chance; changing it ends all of them.
    pub signing_secret: Option<Secret>,
    /// Identity providers whose tokens (JWT) are accepted in the place of a key.
    pub jwt: Vec<JwtConfig>,
    /// Servers that are asked about tokens which only they can read (RFC 7662).
    pub introspection: Vec<IntrospectionConfig>,
    /// Callers without a key whom a proxy of `server.trusted_proxies` has let in.
    pub proxy: Option<ProxyConfig>,
    /// Callers without a key who come with a client certificate.
    pub certificate: Option<CertificateConfig>,
    /// Where people sign in to the admin API.
    pub oidc: Option<OidcConfig>,
}

/// Whether callers without a key are let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// They are not.
    #[default]
    Deny,
    /// They are, with the default limits.
    Allow,
}
