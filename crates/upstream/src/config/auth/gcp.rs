//! `auth.gcp`: where Google Cloud access tokens come from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::OAuth2Config;
use crate::config::Secret;

/// Google Cloud. Without any of these, Application Default Credentials: the file in `GOOGLE_APPLICATION_CREDENTIALS`,
/// gcloud's own file, the metadata server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GcpConfig {
    /// Credentials file (service account key, authorized user, external account, impersonated account); read anew
    /// each time.
    pub credentials_file: Option<PathBuf>,
    /// The content of such a file.
    pub credentials: Option<Secret>,
    /// What the token is for; `https://www.googleapis.com/auth/cloud-platform` when empty.
    pub scopes: Vec<String>,
    /// Project that is charged, sent as `x-goog-user-project`.
    pub quota_project: Option<String>,
    /// Service account (e-mail) to act as, with these credentials.
    pub impersonate: Option<String>,
    /// A token of another identity provider is exchanged, without a credentials file.
    pub workload_identity: Option<GcpWorkloadConfig>,
}

/// Workload identity federation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpWorkloadConfig {
    /// `//iam.googleapis.com/projects/…/locations/global/workloadIdentityPools/…/providers/…`
    pub audience: String,
    /// File that holds the token; read anew each time.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// OAuth server that issues the token.
    #[serde(default)]
    pub oidc: Option<Box<OAuth2Config>>,
    /// What sort of token it is; `urn:ietf:params:oauth:token-type:jwt` when absent.
    #[serde(default)]
    pub subject_token_type: Option<String>,
    /// URL of the exchange; `https://sts.googleapis.com/v1/token` when absent.
    #[serde(default)]
    pub token_url: Option<String>,
}
