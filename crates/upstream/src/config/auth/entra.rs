//! `auth.entra`: how Microsoft Entra ID is asked for tokens.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OAuth2Config;
use crate::config::Secret;

/// Microsoft Entra ID. Without any of these: the environment (`AZURE_…`), workload identity, managed identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EntraConfig {
    /// Tenant: its id or a domain.
    pub tenant: Option<String>,
    /// Client (application) id.
    pub client: Option<String>,
    /// Client secret.
    pub secret: Option<Secret>,
    /// Client certificate, PEM; may hold the private key as well. Read anew each time.
    pub certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM, when it is in a file of its own.
    pub certificate_key: Option<PathBuf>,
    /// How the certificate signs.
    pub algorithm: AssertionAlgorithm,
    /// Sends the certificate chain along, for registrations that trust a subject name and issuer.
    pub send_chain: bool,
    /// File that holds a federated token (workload identity); read anew each time.
    pub federated_token_file: Option<PathBuf>,
    /// OAuth server that issues the federated token.
    pub oidc: Option<Box<OAuth2Config>>,
    /// The identity of the machine or service: `true`, or which of several.
    pub managed_identity: Option<ManagedIdentity>,
    /// What the token is for; `https://cognitiveservices.azure.com/.default` when absent.
    pub scope: Option<String>,
    /// URL of the token service; `https://login.microsoftonline.com` when absent.
    pub authority: Option<String>,
}

/// How a certificate signs an assertion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256; the certificate is named by its SHA-256 thumbprint.
    #[default]
    PS256,
    /// RSASSA-PKCS1 with SHA-256; the certificate is named by its SHA-1 thumbprint, as older servers want it.
    RS256,
}

/// The managed identity to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "true, or a mapping with client_id, object_id or resource_id"
)]
pub enum ManagedIdentity {
    /// `true`: the one assigned by the system.
    Flag(bool),
    /// One assigned by a user.
    Named(ManagedIdentityConfig),
}

/// A managed identity that a user assigned; give one of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ManagedIdentityConfig {
    /// Its client id.
    pub client_id: Option<String>,
    /// Its object (principal) id.
    pub object_id: Option<String>,
    /// Its Azure resource id.
    pub resource_id: Option<String>,
}
