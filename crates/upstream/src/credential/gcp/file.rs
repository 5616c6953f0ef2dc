//! Google's credentials files, by their `type`.

use serde::Deserialize;
use serde_json::{Map, json};

use super::external::{Exchange, ExternalAccount};
use super::{Context, impersonate};
use crate::config::Secret;
use crate::credential::bearer::{self, Token, Wanted};
use crate::credential::cache::Issued;
use crate::credential::error::{CredentialError, CredentialErrorKind};
use crate::credential::fetch::{Ask, Form};
use crate::credential::jwt::{Algorithm, Claims, Signer};
use crate::credential::oauth2::JWT_BEARER;

const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const WHO: &str = "the token endpoint of Google Cloud";
/// The longest that Google takes.
const ASSERTION_SECS: i64 = 3600;

/// A credentials file.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Credentials {
    ServiceAccount(ServiceAccount),
    AuthorizedUser(AuthorizedUser),
    ExternalAccount(Box<ExternalAccount>),
    ImpersonatedServiceAccount(ImpersonatedAccount),
}

/// A key of a service account.
#[derive(Deserialize)]
pub(super) struct ServiceAccount {
    client_email: String,
    private_key: Secret,
    #[serde(default)]
    private_key_id: Option<String>,
    #[serde(default)]
    token_uri: Option<String>,
    #[serde(default)]
    quota_project_id: Option<String>,
}

/// What `gcloud auth application-default login` leaves behind.
#[derive(Deserialize)]
pub(super) struct AuthorizedUser {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    #[serde(default)]
    token_uri: Option<String>,
    #[serde(default)]
    quota_project_id: Option<String>,
}

/// An account that another file's owner acts as.
#[derive(Deserialize)]
pub(super) struct ImpersonatedAccount {
    source_credentials: Box<Credentials>,
    service_account_impersonation_url: String,
    #[serde(default)]
    quota_project_id: Option<String>,
}

impl Credentials {
    /// Reads a file's text; nothing of it appears in the error.
    pub(super) fn parse(text: &str) -> Result<Self, CredentialError> {
        let wrong =
            |problem: String| CredentialError::invalid(format!("the Google credentials file {problem}"));
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|_| wrong("is not valid JSON".to_owned()))?;
        let kind = value
            .get("type")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        serde_json::from_value(value).map_err(|_| {
            let known = [
                "service_account",
                "authorized_user",
                "external_account",
                "impersonated_service_account",
            ];
            wrong(match kind {
                Some(kind) if known.contains(&kind.as_str()) => {
                    format!("lacks a field of its type {kind:?}, or has one of the wrong kind")
                }
                Some(_) => format!("is of a type that is not one of {}", known.join(", ")),
                None => "has no `type`".to_owned(),
            })
        })
    }

    pub(super) fn quota_project(&self) -> Option<String> {
        match self {
            Self::ServiceAccount(account) => account.quota_project_id.clone(),
            Self::AuthorizedUser(user) => user.quota_project_id.clone(),
            Self::ExternalAccount(account) => account.quota_project_id.clone(),
            Self::ImpersonatedServiceAccount(account) => account.quota_project_id.clone(),
        }
    }

    pub(super) async fn ask(&self, context: &Context<'_>) -> Result<Issued<Token>, CredentialError> {
        match self {
            Self::ServiceAccount(account) => account.ask(context).await,
            Self::AuthorizedUser(user) => user.ask(context).await,
            Self::ExternalAccount(account) => Exchange::try_from(account.as_ref())?.ask(context).await,
            Self::ImpersonatedServiceAccount(account) => {
                let own = Context {
                    scopes: &[super::SCOPE.to_owned()],
                    ..*context
                };
                let source = Box::pin(account.source_credentials.ask(&own)).await?;
                let url = &account.service_account_impersonation_url;
                let lifetime = super::IMPERSONATED_SECS;
                impersonate(context.client, url, &source.token, context.scopes, lifetime).await
            }
        }
    }
}

impl ServiceAccount {
    async fn ask(&self, context: &Context<'_>) -> Result<Issued<Token>, CredentialError> {
        match self.ask_once(context).await {
            Err((error, true)) if error.kind() == CredentialErrorKind::Refused => {
                self.ask_once(context).await.map_err(|(error, _)| error)
            }
            outcome => outcome.map_err(|(error, _)| error),
        }
    }

    /// One try; a failure comes with whether the clock explains it.
    async fn ask_once(&self, context: &Context<'_>) -> Result<Issued<Token>, (CredentialError, bool)> {
        let plain = |error| (error, false);
        let what = "the key of the Google service account";
        let url = self.token_uri.as_deref().unwrap_or(TOKEN_URL);
        let signer =
            Signer::from_pem(self.private_key.expose(), Some(Algorithm::Rs256), what).map_err(plain)?;
        let mut header = Map::new();
        if let Some(id) = &self.private_key_id {
            header.insert("kid".to_owned(), json!(id));
        }
        let claims = Claims {
            issuer: &self.client_email,
            subject: None,
            audience: url,
            lifetime_secs: ASSERTION_SECS,
        };
        let mut claims = claims.now(context.clock);
        claims.insert("scope".to_owned(), json!(context.scopes.join(" ")));
        let assertion = signer.sign(header, &claims).map_err(plain)?;
        let mut form = Form::default();
        form.set("grant_type", JWT_BEARER)
            .set_secret("assertion", assertion.expose());
        let reply = Ask::form(WHO, url, form)
            .send(context.client)
            .await
            .map_err(plain)?;
        if !reply.status.is_success() {
            return Err((reply.refusal(), context.clock.correct(&reply.headers)));
        }
        bearer::issued(&reply, WHO, Wanted::Access).map_err(plain)
    }
}

impl AuthorizedUser {
    async fn ask(&self, context: &Context<'_>) -> Result<Issued<Token>, CredentialError> {
        let mut form = Form::default();
        form.set("grant_type", "refresh_token")
            .set("client_id", self.client_id.as_str())
            .set_secret("client_secret", self.client_secret.expose())
            .set_secret("refresh_token", self.refresh_token.expose());
        let url = self.token_uri.as_deref().unwrap_or(TOKEN_URL);
        let reply = Ask::form(WHO, url, form).send(context.client).await?;
        bearer::issued(&reply, WHO, Wanted::Access)
    }
}
