//! Google Secret Manager.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use url::Url;

use super::source::{Document, Reading, SecretSource};
use super::{base, client, join};
use crate::client::Client;
use crate::config::{AuthConfig, ConfigError, GcpSecretsConfig};
use crate::credential::fetch::Ask;
use crate::credential::{AuthStyle, Credential, CredentialError, Environment};

const WHO: &str = "Google Secret Manager";
const ENDPOINT: &str = "https://secretmanager.googleapis.com";

/// The service, and the project of secrets that are named without one.
pub(super) struct SecretManager {
    client: Client,
    credential: Credential,
    endpoint: Url,
    project: Option<String>,
}

#[derive(Deserialize)]
struct Accessed {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    data: String,
}

impl SecretManager {
    pub(super) fn open(config: &GcpSecretsConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let auth = AuthConfig {
            gcp: Some(config.auth.clone()),
            ..AuthConfig::default()
        };
        let credential = Credential::compile_with(&auth, &AuthStyle::Bearer, environment)
            .map_err(|error| ConfigError::new(format!("secrets.gcp.{}", error.field), error.problem))?;
        let endpoint = config.endpoint.as_deref().unwrap_or(ENDPOINT);
        Ok(Self {
            client: client(None)?,
            credential,
            endpoint: base(endpoint, "secrets.gcp.endpoint")?,
            project: config
                .project
                .clone()
                .or_else(|| environment.first(&["GOOGLE_CLOUD_PROJECT"])),
        })
    }

    /// `NAME`, `NAME/VERSION`, or the whole `projects/P/secrets/NAME[/versions/VERSION]`.
    fn url(&self, path: &str) -> Result<Url, CredentialError> {
        let parts: Vec<&str> = path.split('/').collect();
        let (project, name, version) = match parts[..] {
            ["projects", project, "secrets", name] => (Some(project), name, "latest"),
            ["projects", project, "secrets", name, "versions", version] => (Some(project), name, version),
            [name] => (self.project.as_deref(), name, "latest"),
            [name, version] => (self.project.as_deref(), name, version),
            _ => return Err(CredentialError::invalid("this is not how Google names a secret")),
        };
        let project = project.ok_or_else(|| {
            CredentialError::missing("set secrets.gcp.project, or name the secret with its project")
        })?;
        let access = format!("{version}:access");
        let segments = ["v1", "projects", project, "secrets", name, "versions", &access];
        Ok(join(&self.endpoint, &segments))
    }

    async fn secret(&self, path: &str) -> Result<Document, CredentialError> {
        let ask = Ask::get(WHO, self.url(path)?);
        let told: Accessed = ask.send_with(&self.client, &self.credential).await?.json()?;
        let wrong = || CredentialError::invalid(format!("what {WHO} keeps there is no text"));
        let bytes = STANDARD.decode(told.payload.data).map_err(|_| wrong())?;
        String::from_utf8(bytes).map(Document::text).map_err(|_| wrong())
    }
}

impl SecretSource for SecretManager {
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a> {
        Box::pin(self.secret(path))
    }
}
