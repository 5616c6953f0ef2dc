//! Google Cloud: access tokens from credentials files, workload identity federation and the metadata server.

mod external;
mod file;
mod metadata;

use std::path::PathBuf;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::bearer::Token;
use super::cache::Issued;
use super::environment::{self, Environment};
use super::error::CredentialError;
use super::fetch::Ask;
use super::skew::{self, ServerClock};
use super::subject::Subject;
use crate::client::Client;
use crate::config::{ConfigError, GcpConfig, Secret};
use external::Exchange;
use file::Credentials;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const STS: &str = "https://sts.googleapis.com/v1/token";
const IAM: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts";
const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");
const IMPERSONATED_SECS: u64 = 3600;

/// Where Google's tokens come from.
pub(crate) struct Gcp {
    origin: Origin,
    scopes: Vec<String>,
    quota_project: Option<HeaderValue>,
    /// URL that gives a token for another account.
    impersonate: Option<String>,
    environment: Environment,
    clock: ServerClock,
}

enum Origin {
    File(PathBuf),
    Text(Secret),
    Federated(Box<Exchange>),
    /// Application Default Credentials.
    Default,
}

/// A token, and the project that its owner's file says is charged.
pub(crate) struct GcpToken {
    pub(crate) token: Token,
    pub(crate) quota_project: Option<(HeaderName, HeaderValue)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: Secret,
    expire_time: String,
}

/// What a request for a token needs.
struct Context<'a> {
    client: &'a Client,
    scopes: &'a [String],
    environment: &'a Environment,
    clock: &'a ServerClock,
}

impl Gcp {
    pub(crate) fn compile(config: &GcpConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let origin = match (
            &config.credentials_file,
            &config.credentials,
            &config.workload_identity,
        ) {
            (None, None, None) => Origin::Default,
            (Some(file), None, None) => Origin::File(file.clone()),
            (None, Some(text), None) => {
                Credentials::parse(text.expose())
                    .map_err(|error| ConfigError::new("auth.gcp.credentials", error.to_string()))?;
                Origin::Text(text.clone())
            }
            (None, None, Some(workload)) => {
                let block = "auth.gcp.workload_identity";
                let oidc = workload.oidc.as_deref();
                let subject = Subject::compile(block, workload.token_file.as_ref(), oidc)?;
                Origin::Federated(Box::new(Exchange::of(workload, subject)))
            }
            _ => {
                let problem = "give only one of `credentials_file`, `credentials` and `workload_identity`";
                return Err(ConfigError::new("auth.gcp", problem));
            }
        };
        let quota_project = config
            .quota_project
            .clone()
            .or_else(|| environment.get("GOOGLE_CLOUD_QUOTA_PROJECT"));
        let quota_project = quota_project
            .map(|project| HeaderValue::from_str(&project))
            .transpose()
            .map_err(|_| ConfigError::new("auth.gcp.quota_project", "is not the id of a project"))?;
        let impersonate = config.impersonate.as_deref().map(impersonation).transpose()?;
        Ok(Self {
            origin,
            scopes: match config.scopes.as_slice() {
                [] => vec![SCOPE.to_owned()],
                scopes => scopes.to_vec(),
            },
            quota_project,
            impersonate,
            environment: environment.clone(),
            clock: ServerClock::default(),
        })
    }

    /// Asks for a token.
    pub(crate) async fn ask(&self, client: &Client) -> Result<Issued<GcpToken>, CredentialError> {
        let own = [SCOPE.to_owned()];
        let context = Context {
            client,
            // Acting as another account takes the right to do so; the scopes are for that account's token.
            scopes: if self.impersonate.is_some() {
                &own
            } else {
                &self.scopes
            },
            environment: &self.environment,
            clock: &self.clock,
        };
        let (issued, project) = match &self.origin {
            Origin::File(path) => from_file(&context, path.clone()).await?,
            Origin::Text(text) => from_text(&context, text.expose()).await?,
            Origin::Federated(exchange) => (exchange.ask(&context).await?, None),
            Origin::Default => self.default_credentials(&context).await?,
        };
        let issued = match &self.impersonate {
            Some(url) => impersonate(client, url, &issued.token, &self.scopes, IMPERSONATED_SECS).await?,
            None => issued,
        };
        let of_file = || project.and_then(|project| HeaderValue::from_str(&project).ok());
        let project = self.quota_project.clone().or_else(of_file);
        Ok(issued.map(|token| GcpToken {
            token,
            quota_project: project.map(|project| (QUOTA_PROJECT, project)),
        }))
    }

    /// The order of Application Default Credentials: the named file, gcloud's file, the metadata server.
    async fn default_credentials(
        &self,
        context: &Context<'_>,
    ) -> Result<(Issued<Token>, Option<String>), CredentialError> {
        if let Some(path) = self.environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
            return from_file(context, path.into()).await;
        }
        let folder = self.environment.get("CLOUDSDK_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| Some(self.environment.home()?.join(".config").join("gcloud")));
        if let Some(path) = folder.map(|folder| folder.join("application_default_credentials.json"))
            && tokio::fs::metadata(&path).await.is_ok()
        {
            return from_file(context, path).await;
        }
        Ok((metadata::ask(context).await?, None))
    }
}

async fn from_file(
    context: &Context<'_>,
    path: PathBuf,
) -> Result<(Issued<Token>, Option<String>), CredentialError> {
    let text = Secret::from(environment::read(&path, "the credentials file of Google Cloud").await?);
    from_text(context, text.expose()).await
}

async fn from_text(
    context: &Context<'_>,
    text: &str,
) -> Result<(Issued<Token>, Option<String>), CredentialError> {
    let credentials = Credentials::parse(text)?;
    let project = credentials.quota_project();
    // Boxed: an impersonated account's file holds another's.
    Ok((Box::pin(credentials.ask(context)).await?, project))
}

/// The URL that gives tokens of an account.
fn impersonation(account: &str) -> Result<String, ConfigError> {
    let is_address = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_:".contains(&byte);
    if !account.contains('@') || !account.bytes().all(is_address) {
        let problem = "is not the e-mail address of a service account";
        return Err(ConfigError::new("auth.gcp.impersonate", problem));
    }
    Ok(format!("{IAM}/{account}:generateAccessToken"))
}

/// A token of another account.
async fn impersonate(
    client: &Client,
    url: &str,
    token: &Token,
    scopes: &[String],
    lifetime_secs: u64,
) -> Result<Issued<Token>, CredentialError> {
    let who = "the IAM credentials service of Google Cloud";
    let body = json!({ "scope": scopes, "lifetime": format!("{lifetime_secs}s") });
    let mut ask = Ask::json(who, url, &body).secret(AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
    ask.keep_secret(token.expose());
    let reply = ask.send(client).await?;
    let answer: Impersonated = reply.json()?;
    let at = skew::parse_timestamp(&answer.expire_time)
        .ok_or_else(|| CredentialError::invalid(format!("{who} names no valid time of expiration")))?;
    Ok(Issued::lasting(
        answer.access_token,
        skew::until(at, Some(&reply.headers)),
    ))
}

#[cfg(test)]
mod tests;
