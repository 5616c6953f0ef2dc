//! AWS Secrets Manager.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderName};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::source::{Document, Reading, SecretSource};
use super::{base, client};
use crate::client::Client;
use crate::config::{AuthConfig, AwsConfig, AwsSecretsConfig, ConfigError};
use crate::credential::fetch::Ask;
use crate::credential::{AuthStyle, Credential, CredentialError, Environment};

const WHO: &str = "AWS Secrets Manager";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// The service of one region.
pub(super) struct SecretsManager {
    client: Client,
    credential: Credential,
    endpoint: Url,
    region: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

impl SecretsManager {
    pub(super) fn open(config: &AwsSecretsConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let region = config
            .region
            .clone()
            .or_else(|| config.auth.region.clone())
            .or_else(|| environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
            .ok_or_else(|| ConfigError::new("secrets.aws.region", "is missing, and so is AWS_REGION"))?;
        let names = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"];
        let endpoint = config.endpoint.clone().or_else(|| environment.first(&names));
        let domain = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://secretsmanager.{region}.{domain}"));
        let auth = AuthConfig {
            aws: Some(AwsConfig {
                region: Some(region.clone()),
                service: Some("secretsmanager".to_owned()),
                ..config.auth.clone()
            }),
            ..AuthConfig::default()
        };
        let credential = Credential::compile_with(&auth, &AuthStyle::Bearer, environment)
            .map_err(|error| ConfigError::new(format!("secrets.aws.{}", error.field), error.problem))?;
        Ok(Self {
            client: client(None)?,
            credential,
            endpoint: base(&endpoint, "secrets.aws.endpoint")?,
            region,
        })
    }

    async fn secret(&self, name: &str) -> Result<Document, CredentialError> {
        // Keys are signed for one region.
        let of = name.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
        if of.is_some_and(|of| of != self.region) {
            let problem = format!(
                "the secret is in another region than secrets.aws.region, {}",
                self.region
            );
            return Err(CredentialError::invalid(problem));
        }
        let ask = Ask::json(WHO, self.endpoint.as_str(), &json!({ "SecretId": name }))
            .plain(CONTENT_TYPE, "application/x-amz-json-1.1")
            .plain(TARGET, "secretsmanager.GetSecretValue");
        let value: Value = ask.send_with(&self.client, &self.credential).await?.json()?;
        let wrong = || CredentialError::invalid(format!("what {WHO} keeps there is no text"));
        match value {
            Value {
                secret_string: Some(text),
                ..
            } => Ok(Document::text(text)),
            Value {
                secret_binary: Some(encoded),
                ..
            } => {
                let bytes = STANDARD.decode(encoded).map_err(|_| wrong())?;
                String::from_utf8(bytes).map(Document::text).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }
}

impl SecretSource for SecretsManager {
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a> {
        Box::pin(self.secret(path))
    }
}
