//! Workload identity federation: a token from elsewhere is exchanged for one of Google's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::{Context, SCOPE, STS, impersonate};
use crate::config::{GcpWorkloadConfig, Secret};
use crate::credential::aws::Chain;
use crate::credential::bearer::{self, Token, Wanted};
use crate::credential::cache::Issued;
use crate::credential::environment;
use crate::credential::error::CredentialError;
use crate::credential::fetch::{Ask, Form};
use crate::credential::oauth2::{ACCESS_TOKEN_TYPE, JWT_TYPE, TOKEN_EXCHANGE};
use crate::credential::sigv4::{self, Payload, Scope};
use crate::credential::subject::Subject;

const WHO: &str = "the Security Token Service of Google Cloud";
const TARGET: HeaderName = HeaderName::from_static("x-goog-cloud-target-resource");

/// A credentials file of type `external_account`.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: CredentialSource,
    #[serde(default)]
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    service_account_impersonation: Option<Impersonation>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<Secret>,
    #[serde(default)]
    workforce_pool_user_project: Option<String>,
    #[serde(default)]
    pub(super) quota_project_id: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Impersonation {
    #[serde(default)]
    token_lifetime_seconds: Option<u64>,
}

/// Where the token from elsewhere is.
#[derive(Clone, Deserialize)]
struct CredentialSource {
    #[serde(default)]
    file: Option<PathBuf>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    format: Option<TokenFormat>,
    #[serde(default)]
    environment_id: Option<String>,
    #[serde(default)]
    region_url: Option<String>,
    #[serde(default)]
    regional_cred_verification_url: Option<String>,
}

#[derive(Clone, Deserialize)]
struct TokenFormat {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    subject_token_field_name: Option<String>,
}

/// An exchange.
pub(super) struct Exchange {
    audience: String,
    subject_token_type: String,
    token_url: String,
    subject: External,
    impersonation: Option<(String, u64)>,
    client: Option<(String, Secret)>,
    user_project: Option<String>,
}

enum External {
    Plain(Subject),
    /// A file or URL, with the form of what is in it.
    Found(CredentialSource),
    /// A signed request that proves an AWS identity.
    Aws(CredentialSource),
}

impl Exchange {
    /// As configured without a file.
    pub(super) fn of(config: &GcpWorkloadConfig, subject: Subject) -> Self {
        let or = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        Self {
            audience: config.audience.clone(),
            subject_token_type: or(&config.subject_token_type, JWT_TYPE),
            token_url: or(&config.token_url, STS),
            subject: External::Plain(subject),
            impersonation: None,
            client: None,
            user_project: None,
        }
    }

    /// Exchanges the token, and acts as a service account where the file says so.
    pub(super) async fn ask(&self, context: &Context<'_>) -> Result<Issued<Token>, CredentialError> {
        let subject = self.subject(context).await?;
        let mut form = Form::default();
        let own = [SCOPE.to_owned()];
        let scopes = if self.impersonation.is_some() {
            &own
        } else {
            context.scopes
        };
        form.set("grant_type", TOKEN_EXCHANGE)
            .set("audience", self.audience.as_str())
            .set("scope", scopes.join(" "))
            .set("requested_token_type", ACCESS_TOKEN_TYPE)
            .set("subject_token_type", self.subject_token_type.as_str())
            .set_secret("subject_token", subject.expose());
        if let Some(project) = &self.user_project {
            form.set("options", json!({ "userProject": project }).to_string());
        }
        let mut ask = Ask::form(WHO, self.token_url.as_str(), form);
        if let Some((id, secret)) = &self.client {
            let pair = STANDARD.encode(format!("{id}:{}", secret.expose()));
            ask = ask.secret(AUTHORIZATION, &format!("Basic {pair}"))?;
            ask.keep_secret(secret.expose());
        }
        let reply = ask.send(context.client).await?;
        let issued = bearer::issued(&reply, WHO, Wanted::Access)?;
        match &self.impersonation {
            None => Ok(issued),
            Some((url, lifetime)) => {
                impersonate(context.client, url, &issued.token, context.scopes, *lifetime).await
            }
        }
    }

    async fn subject(&self, context: &Context<'_>) -> Result<Token, CredentialError> {
        match &self.subject {
            External::Plain(subject) => subject.token(context.client).await,
            External::Found(source) => source.token(context).await,
            External::Aws(source) => source.signed(context, &self.audience).await,
        }
    }
}

impl TryFrom<&ExternalAccount> for Exchange {
    type Error = CredentialError;

    fn try_from(account: &ExternalAccount) -> Result<Self, CredentialError> {
        let source = account.credential_source.clone();
        let subject = match (&source.environment_id, &source.file, &source.url) {
            (Some(id), _, _) if id == "aws1" => External::Aws(source),
            (Some(_), _, _) => {
                return Err(CredentialError::invalid(
                    "the Google credentials file has an environment_id other than aws1",
                ));
            }
            (None, Some(_), None) | (None, None, Some(_)) => External::Found(source),
            _ => {
                return Err(CredentialError::invalid(
                    "the Google credentials file has a credential_source that is neither a file, a url nor aws1 \
                     (executables are not run)",
                ));
            }
        };
        let lifetime = account
            .service_account_impersonation
            .as_ref()
            .and_then(|impersonation| impersonation.token_lifetime_seconds)
            .unwrap_or(super::IMPERSONATED_SECS);
        Ok(Self {
            audience: account.audience.clone(),
            subject_token_type: account.subject_token_type.clone(),
            token_url: account.token_url.clone(),
            subject,
            impersonation: account
                .service_account_impersonation_url
                .clone()
                .map(|url| (url, lifetime)),
            client: account.client_id.clone().zip(account.client_secret.clone()),
            user_project: account.workforce_pool_user_project.clone(),
        })
    }
}

impl CredentialSource {
    /// The token of a file or URL.
    async fn token(&self, context: &Context<'_>) -> Result<Token, CredentialError> {
        let what = "the federated token of Google Cloud";
        let text = match (&self.file, &self.url) {
            (Some(file), _) => environment::read(file, what).await?,
            (None, Some(url)) => {
                let mut ask = Ask::get(what, url.as_str()).at_any_address();
                for (name, value) in &self.headers {
                    let name = HeaderName::try_from(name).map_err(|_| {
                        CredentialError::invalid(format!("{what}: a header's name is not valid"))
                    })?;
                    ask = ask.secret(name, value.expose())?;
                }
                ask.send(context.client).await?.text()?
            }
            (None, None) => return Err(CredentialError::missing(format!("{what} has no source"))),
        };
        let token = match self.format.as_ref().filter(|format| format.kind == "json") {
            None => text.trim().to_owned(),
            Some(format) => {
                let name = format
                    .subject_token_field_name
                    .as_deref()
                    .unwrap_or("access_token");
                let json: Value = serde_json::from_str(&text)
                    .map_err(|_| CredentialError::invalid(format!("{what} is not valid JSON")))?;
                let field = json.get(name).and_then(Value::as_str);
                let missing = || CredentialError::invalid(format!("{what} has no field {name:?}"));
                field.ok_or_else(missing)?.to_owned()
            }
        };
        if token.is_empty() {
            return Err(CredentialError::invalid(format!("{what} is empty")));
        }
        Ok(token.into())
    }

    /// A request to AWS that says who signed it, signed and not sent.
    async fn signed(&self, context: &Context<'_>, audience: &str) -> Result<Token, CredentialError> {
        let region = self.region(context).await?;
        let keys = Chain::usual(context.environment.clone())
            .keys(context.client)
            .await?;
        let url = self
            .regional_cred_verification_url
            .as_deref()
            .unwrap_or("https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15");
        let url = url.replace("{region}", &region);
        let ask = Ask::form("AWS", url.as_str(), Form::default()).secret(TARGET, audience)?;
        let (mut request, host) = ask.request()?;
        request.headers_mut().remove(http::header::CONTENT_TYPE);
        let scope = Scope {
            region: &region,
            service: "sts",
        };
        sigv4::sign(
            &mut request,
            &host,
            (&keys.token, scope),
            Payload::Signed,
            context.clock.now_secs(),
        )?;
        let mut headers = vec![json!({ "key": "host", "value": host })];
        for (name, value) in request.headers() {
            let is_part = *name == AUTHORIZATION || name.as_str().starts_with("x-");
            if let (true, Ok(value)) = (is_part, value.to_str()) {
                headers.push(json!({ "key": name.as_str(), "value": value }));
            }
        }
        let proof = json!({ "url": url, "method": "POST", "headers": headers, "body": "" }).to_string();
        Ok(byte_serialize(proof.as_bytes())
            .collect::<String>()
            .replace('+', "%20")
            .into())
    }

    async fn region(&self, context: &Context<'_>) -> Result<String, CredentialError> {
        if let Some(region) = context.environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]) {
            return Ok(region.trim().to_owned());
        }
        let missing =
            || CredentialError::missing("no AWS region is known for Google's federation: set AWS_REGION");
        let url = self.region_url.as_deref().ok_or_else(missing)?;
        let token = crate::credential::aws::instance_token(context.client, context.environment).await?;
        let mut ask = Ask::get("the metadata service of the EC2 instance", url).nearby();
        if let Some(token) = token {
            ask = ask.secret(HeaderName::from_static("x-aws-ec2-metadata-token"), &token)?;
        }
        let zone = ask.send(context.client).await?.text()?;
        let region = zone.trim().trim_end_matches(|c: char| c.is_ascii_lowercase());
        if region.is_empty() {
            Err(missing())
        } else {
            Ok(region.to_owned())
        }
    }
}
