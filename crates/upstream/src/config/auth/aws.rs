//! `auth.aws`: where AWS credentials come from and what is signed.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OAuth2Config;
use crate::config::{HumanDuration, Secret};

/// AWS credentials. Without any of them the usual chain is asked: environment, profiles, web identity, container
/// (ECS, EKS pod identity), EC2 instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsConfig {
    /// Region to sign for. When absent: the provider's `region`, the endpoint's host name, `AWS_REGION`, the profile.
    pub region: Option<String>,
    /// Service to sign for; `bedrock` when absent.
    pub service: Option<String>,
    /// Access key id. Needs `secret_access_key`.
    pub access_key_id: Option<Secret>,
    /// Secret access key.
    pub secret_access_key: Option<Secret>,
    /// Session token of temporary keys.
    pub session_token: Option<Secret>,
    /// Bedrock API key: sent as a bearer token, nothing is signed. `AWS_BEARER_TOKEN_BEDROCK` is looked at as well.
    pub bearer_token: Option<Secret>,
    /// Profile of the shared files; `AWS_PROFILE` or `default` when absent.
    pub profile: Option<String>,
    /// A token of an OpenID Connect provider is exchanged for a role.
    pub web_identity: Option<WebIdentityConfig>,
    /// Role to assume with these credentials, or several, each assumed with the one before.
    pub assume_role: Option<AssumeRoles>,
    /// URL of the Security Token Service; the region's when absent.
    pub sts_endpoint: Option<String>,
    /// The body is not part of the signature. For services that allow it.
    pub unsigned_payload: bool,
}

/// One role, or a chain of roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a role, or a list of roles")]
pub enum AssumeRoles {
    /// One role.
    One(RoleConfig),
    /// Several, each assumed with the one before.
    Chain(Vec<RoleConfig>),
}

impl AssumeRoles {
    /// All roles in the order in which they are assumed.
    #[must_use]
    pub fn as_slice(&self) -> &[RoleConfig] {
        match self {
            Self::One(role) => std::slice::from_ref(role),
            Self::Chain(roles) => roles,
        }
    }
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// ARN of the role.
    pub role_arn: String,
    /// External id that the role's owner asks for.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Name that the session is logged under.
    #[serde(default)]
    pub session_name: Option<String>,
    /// How long the session lasts; at least 15m. The service's default when absent.
    #[serde(default)]
    pub duration: Option<HumanDuration>,
}

/// A token of an OpenID Connect provider, and the role it is exchanged for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebIdentityConfig {
    /// ARN of the role.
    pub role_arn: String,
    /// File that holds the token; read anew each time.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// OAuth server that issues the token.
    #[serde(default)]
    pub oidc: Option<Box<OAuth2Config>>,
    /// Name that the session is logged under.
    #[serde(default)]
    pub session_name: Option<String>,
    /// How long the session lasts; at least 15m. The service's default when absent.
    #[serde(default)]
    pub duration: Option<HumanDuration>,
}
