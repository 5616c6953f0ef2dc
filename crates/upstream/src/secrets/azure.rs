//! Azure Key Vault.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::source::{Document, Reading, SecretSource};
use super::{base, client, join};
use crate::client::Client;
use crate::config::{AuthConfig, AzureSecretsConfig, ConfigError, EntraConfig};
use crate::credential::fetch::Ask;
use crate::credential::{AuthStyle, Credential, CredentialError, Environment};

const WHO: &str = "Azure Key Vault";
const SCOPE: &str = "https://vault.azure.net/.default";
const VERSION: &str = "7.4";

/// One vault.
pub(super) struct KeyVault {
    client: Client,
    credential: Credential,
    vault: Url,
}

#[derive(Deserialize)]
struct Bundle {
    value: String,
}

impl KeyVault {
    pub(super) fn open(config: &AzureSecretsConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let field = "secrets.azure.vault";
        let missing = || ConfigError::new(field, "is missing: the URL of the vault");
        let vault = base(config.vault.as_deref().ok_or_else(missing)?, field)?;
        let auth = AuthConfig {
            entra: Some(EntraConfig {
                scope: Some(config.auth.scope.clone().unwrap_or_else(|| SCOPE.to_owned())),
                ..config.auth.clone()
            }),
            ..AuthConfig::default()
        };
        let credential = Credential::compile_with(&auth, &AuthStyle::Bearer, environment)
            .map_err(|error| ConfigError::new(format!("secrets.azure.{}", error.field), error.problem))?;
        Ok(Self {
            client: client(None)?,
            credential,
            vault,
        })
    }

    /// What an action of one of its keys, named `NAME/VERSION`, answers.
    pub(super) async fn key(&self, path: &str, action: &str, body: &Value) -> Result<Value, CredentialError> {
        let mut url = join(&self.vault, &["keys", path, action]);
        url.query_pairs_mut().append_pair("api-version", VERSION);
        let mut ask = Ask::json(WHO, url, body);
        ask.keep_secret(body["value"].as_str().unwrap_or_default());
        ask.send_with(&self.client, &self.credential).await?.json()
    }

    /// `NAME` or `NAME/VERSION`.
    async fn secret(&self, path: &str) -> Result<Document, CredentialError> {
        if path.split('/').count() > 2 {
            return Err(CredentialError::invalid(
                "secrets of Azure are named NAME or NAME/VERSION",
            ));
        }
        let mut url = join(&self.vault, &["secrets", path]);
        url.query_pairs_mut().append_pair("api-version", VERSION);
        let ask = Ask::get(WHO, url);
        let told: Bundle = ask.send_with(&self.client, &self.credential).await?.json()?;
        Ok(Document::text(told.value))
    }
}

impl SecretSource for KeyVault {
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a> {
        Box::pin(self.secret(path))
    }
}
