//! `auth.oauth2`: tokens of any OAuth 2.0 server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{HumanDuration, Secret};

/// An OAuth 2.0 token endpoint and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Config {
    /// URL of the token endpoint.
    pub token_url: String,
    /// What is exchanged for a token.
    #[serde(default)]
    pub grant: Grant,
    /// Client id.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Client secret.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// How the client proves who it is; `basic` when there is a secret, `private_key_jwt` when there is a key and no
    /// secret, else `none`.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
    /// Key that signs assertions, for `private_key_jwt` and the grant `jwt_bearer`.
    #[serde(default)]
    pub private_key: Option<PrivateKeyConfig>,
    /// Scopes to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Audience to ask for.
    #[serde(default)]
    pub audience: Option<String>,
    /// More parameters of the token request, as the server wants them (`resource`, …).
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// The token to be exchanged, for the grant `token_exchange`.
    #[serde(default)]
    pub subject_token: Option<Secret>,
    /// File that holds the token to be exchanged; read anew each time.
    #[serde(default)]
    pub subject_token_file: Option<PathBuf>,
    /// What sort of token it is; `urn:ietf:params:oauth:token-type:jwt` when absent.
    #[serde(default)]
    pub subject_token_type: Option<String>,
    /// What the assertion of the grant `jwt_bearer` says.
    #[serde(default)]
    pub assertion: Option<AssertionConfig>,
    /// Which token of the answer is used.
    #[serde(default, rename = "use")]
    pub issued: IssuedToken,
}

/// What is exchanged for a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// The client's own authentication (RFC 6749 section 4.4).
    #[default]
    ClientCredentials,
    /// Another token (RFC 8693).
    TokenExchange,
    /// A signed assertion (RFC 7523), or one from `subject_token` or `subject_token_file`.
    JwtBearer,
}

/// How the client proves who it is to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Id and secret in the `Authorization` header.
    Basic,
    /// Id and secret in the body.
    Post,
    /// An assertion signed with `private_key` (RFC 7523).
    PrivateKeyJwt,
    /// Not at all; the id alone is sent.
    None,
}

/// Which token of the answer is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuedToken {
    /// `access_token`.
    #[default]
    AccessToken,
    /// `id_token`.
    IdToken,
}

/// A key that signs assertions. Give `file` or `pem`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrivateKeyConfig {
    /// PEM file; read anew each time.
    pub file: Option<PathBuf>,
    /// The key itself, PEM.
    pub pem: Option<Secret>,
    /// `RS256`, `PS256` or `ES256`; by the kind of key (RS256, ES256) when absent.
    pub algorithm: Option<String>,
    /// Key id (`kid`).
    pub key_id: Option<String>,
}

/// What an assertion says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AssertionConfig {
    /// Issuer; the client id when absent.
    pub issuer: Option<String>,
    /// Subject; the issuer when absent.
    pub subject: Option<String>,
    /// Audience; the token endpoint's URL when absent.
    pub audience: Option<String>,
    /// How long it is valid; 5m when absent.
    pub lifetime: Option<HumanDuration>,
    /// More claims.
    pub claims: BTreeMap<String, String>,
}
