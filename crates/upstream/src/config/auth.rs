//! The `auth` block of a provider.

mod aws;
mod entra;
mod gcp;
mod oauth2;

pub use aws::{AssumeRoles, AwsConfig, RoleConfig, WebIdentityConfig};
pub use entra::{AssertionAlgorithm, EntraConfig, ManagedIdentity, ManagedIdentityConfig};
pub use gcp::{GcpConfig, GcpWorkloadConfig};
pub use oauth2::{AssertionConfig, ClientAuth, Grant, IssuedToken, OAuth2Config, PrivateKeyConfig};

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Secret;

/// How requests to a provider are authenticated. Without any of these fields they carry no credential. Only one of
/// `api_key`, `aws`, `entra`, `gcp`, `oauth2` and `passthrough` can be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// API key, or a list of keys to be used in turn. A key that the provider refuses or limits rests, and the next
    /// takes over.
    pub api_key: Option<ApiKeys>,
    /// Header that carries the key or token; by default the one that the provider's format expects.
    pub header: Option<String>,
    /// Text before the key in that header, such as `Bearer ` with its space. Needs `header`.
    pub prefix: Option<String>,
    /// Query parameter that carries the key, in place of a header.
    pub query: Option<String>,
    /// AWS credentials: requests are signed (Signature Version 4), or carry a Bedrock API key. Empty: the usual
    /// chain of environment, profiles, web identity, container and instance.
    #[serde(deserialize_with = "present")]
    pub aws: Option<AwsConfig>,
    /// Microsoft Entra ID tokens. Empty: environment, workload identity, managed identity.
    #[serde(deserialize_with = "present")]
    pub entra: Option<EntraConfig>,
    /// Google Cloud access tokens. Empty: Application Default Credentials.
    #[serde(deserialize_with = "present")]
    pub gcp: Option<GcpConfig>,
    /// Tokens of any OAuth 2.0 server.
    pub oauth2: Option<OAuth2Config>,
    /// The caller's own credential is passed on: `true`, or in which header it comes and goes.
    pub passthrough: Option<Passthrough>,
    /// Client certificate for TLS with the provider (mTLS); goes with any of the above.
    pub client_certificate: Option<ClientCertificateConfig>,
}

impl AuthConfig {
    /// The same with the region of the provider where `aws` names none.
    #[must_use]
    pub fn with_region(mut self, region: Option<&str>) -> Self {
        if let Some(aws) = &mut self.aws
            && aws.region.is_none()
        {
            aws.region = region.map(str::to_owned);
        }
        self
    }
}

/// One API key, or several to be used in turn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an API key, or a list of API keys")]
pub enum ApiKeys {
    /// One key.
    One(Secret),
    /// Several keys, used in turn.
    Many(Vec<ApiKey>),
}

/// One of several API keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an API key, or a mapping with `key`")]
pub enum ApiKey {
    /// The key alone.
    Plain(Secret),
    /// A key with its share and limits.
    Limited(LimitedKey),
}

/// An API key with its share of the requests and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitedKey {
    /// The key.
    pub key: Secret,
    /// Share of the requests among the keys.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// Requests that may be sent with it in any minute; no limit when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u64>,
    /// Prompt tokens (estimated) that may be sent with it in any minute; no limit when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub tokens_per_minute: Option<u64>,
}

fn one() -> u32 {
    1
}

impl From<Secret> for ApiKey {
    fn from(key: Secret) -> Self {
        Self::Plain(key)
    }
}

/// Whose credential is passed on, and in which header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "true, or a mapping with `from` and `header`")]
pub enum Passthrough {
    /// `true`: from and to the header that the provider's format expects.
    Flag(bool),
    /// Named headers.
    Headers(PassthroughHeaders),
}

/// The header that the caller's credential comes in, and the one it goes out in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PassthroughHeaders {
    /// Header of the caller's request; the one of the provider's format when absent.
    pub from: Option<String>,
    /// Header of the request to the provider; the one of the provider's format when absent.
    pub header: Option<String>,
}

/// A certificate that proves to a TLS server who we are. Both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificateConfig {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// A block that is there but has nothing in it (`aws:`) is an empty block, not an absent one.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(|block| Some(block.unwrap_or_default()))
}
