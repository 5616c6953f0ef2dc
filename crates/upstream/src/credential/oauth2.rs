//! OAuth 2.0 token endpoints: client credentials, token exchange (RFC 8693), JWT bearer (RFC 7523).

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use super::bearer::{self, Token, Wanted};
use super::cache::Issued;
use super::environment;
use super::error::{CredentialError, CredentialErrorKind};
use super::fetch::{Ask, Form};
use super::jwt::{self, Algorithm, Claims, Signer};
use super::skew::ServerClock;
use super::subject::Subject;
use crate::client::Client;
use crate::config::{
    AssertionConfig, ClientAuth, ConfigError, Grant, HumanDuration, IssuedToken, OAuth2Config, Secret,
};

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const ASSERTION_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token endpoint and what it is asked.
pub(crate) struct OAuth2 {
    config: OAuth2Config,
    who: String,
    auth: ClientAuth,
    key: Option<PrivateKey>,
    subject: Option<Subject>,
    clock: ServerClock,
}

/// A private key that signs assertions.
struct PrivateKey {
    pem: Pem,
    algorithm: Option<Algorithm>,
    id: Option<String>,
}

enum Pem {
    File(PathBuf),
    Text(Secret),
}

impl OAuth2 {
    /// `block` is where the configuration stands, for errors.
    pub(crate) fn compile(config: &OAuth2Config, block: &str) -> Result<Self, ConfigError> {
        let wrong = |field: &str, problem: &str| Err(ConfigError::new(format!("{block}.{field}"), problem));
        let Some(host) = host(&config.token_url) else {
            return wrong("token_url", "is not an http or https URL");
        };
        let auth = config
            .client_auth
            .unwrap_or(match (&config.client_secret, &config.private_key) {
                (Some(_), _) => ClientAuth::Basic,
                (None, Some(_)) if config.grant != Grant::JwtBearer => ClientAuth::PrivateKeyJwt,
                _ => ClientAuth::None,
            });
        let needs_secret = matches!(auth, ClientAuth::Basic | ClientAuth::Post);
        if needs_secret && config.client_secret.is_none() {
            return wrong("client_secret", "is missing: `client_auth` asks for it");
        }
        if auth != ClientAuth::None && config.client_id.is_none() {
            return wrong("client_id", "is missing: the client has to name itself");
        }
        if config.grant == Grant::ClientCredentials && auth == ClientAuth::None {
            let problem = "is missing: client credentials need a `client_secret` or a `private_key`";
            return wrong("client_secret", problem);
        }
        let key = compile_key(config, block)?;
        if auth == ClientAuth::PrivateKeyJwt && key.is_none() {
            return wrong(
                "private_key",
                "is missing: `client_auth: private_key_jwt` asks for it",
            );
        }
        let subject = match (&config.subject_token, &config.subject_token_file) {
            (Some(token), None) => Some(Subject::Fixed(token.clone())),
            (None, Some(file)) => Some(Subject::file(file)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return wrong("subject_token", "give either this or `subject_token_file`");
            }
        };
        match config.grant {
            Grant::TokenExchange if subject.is_none() => {
                return wrong("subject_token_file", "is missing: the token that is exchanged");
            }
            Grant::JwtBearer if subject.is_none() && key.is_none() => {
                return wrong("private_key", "is missing: the key that signs the assertion");
            }
            _ => {}
        }
        Ok(Self {
            who: format!("the token endpoint of {host}"),
            config: config.clone(),
            auth,
            key,
            subject,
            clock: ServerClock::default(),
        })
    }

    /// What errors call it.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// Asks for a token; once more when our clock turns out to be wrong.
    pub(crate) async fn ask(&self, client: &Client) -> Result<Issued<Token>, CredentialError> {
        match self.ask_once(client).await {
            Err((error, true)) if error.kind() == CredentialErrorKind::Refused => {
                self.ask_once(client).await.map_err(|(error, _)| error)
            }
            outcome => outcome.map_err(|(error, _)| error),
        }
    }

    /// One try; a failure comes with whether the clock explains it.
    async fn ask_once(&self, client: &Client) -> Result<Issued<Token>, (CredentialError, bool)> {
        let plain = |error| (error, false);
        let ask = self.request(client).await.map_err(plain)?;
        let reply = ask.send(client).await.map_err(plain)?;
        if !reply.status.is_success() {
            return Err((reply.refusal(), self.clock.correct(&reply.headers)));
        }
        let wanted = match self.config.issued {
            IssuedToken::AccessToken => Wanted::Access,
            IssuedToken::IdToken => Wanted::Id,
        };
        bearer::issued(&reply, &self.who, wanted).map_err(plain)
    }

    async fn request(&self, client: &Client) -> Result<Ask, CredentialError> {
        let config = &self.config;
        let mut form = Form::default();
        match config.grant {
            Grant::ClientCredentials => {
                form.set("grant_type", "client_credentials");
            }
            Grant::TokenExchange => {
                let subject_type = config.subject_token_type.as_deref().unwrap_or(JWT_TYPE);
                form.set("grant_type", TOKEN_EXCHANGE)
                    .set("requested_token_type", ACCESS_TOKEN_TYPE)
                    .set("subject_token_type", subject_type);
                if let Some(subject) = &self.subject {
                    form.set_secret("subject_token", subject.token(client).await?.expose());
                }
            }
            Grant::JwtBearer => {
                let assertion = match &self.subject {
                    Some(subject) => subject.token(client).await?,
                    None => self.assertion(self.config.assertion.as_ref()).await?,
                };
                form.set("grant_type", JWT_BEARER)
                    .set_secret("assertion", assertion.expose());
            }
        }
        if !config.scopes.is_empty() {
            form.set("scope", config.scopes.join(" "));
        }
        form.set_some("audience", config.audience.as_deref());
        for (name, value) in &config.parameters {
            form.set(name, value.as_str());
        }
        self.authenticate(form).await
    }

    async fn authenticate(&self, mut form: Form) -> Result<Ask, CredentialError> {
        let config = &self.config;
        let id = config.client_id.as_deref();
        let secret = config.client_secret.as_ref().map(Secret::expose);
        match (self.auth, id, secret) {
            (ClientAuth::Basic, Some(id), Some(secret)) => {
                // Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
                let mut ask = Ask::form(&self.who, &config.token_url, form)
                    .secret(AUTHORIZATION, &format!("Basic {pair}"))?;
                ask.keep_secret(&pair);
                ask.keep_secret(secret);
                return Ok(ask);
            }
            (ClientAuth::Post, Some(id), Some(secret)) => {
                form.set("client_id", id).set_secret("client_secret", secret);
            }
            (ClientAuth::PrivateKeyJwt, Some(id), _) => {
                let assertion = self.assertion(None).await?;
                form.set("client_id", id)
                    .set("client_assertion_type", CLIENT_ASSERTION)
                    .set_secret("client_assertion", assertion.expose());
            }
            _ => {
                form.set_some("client_id", id);
            }
        }
        Ok(Ask::form(&self.who, &config.token_url, form))
    }

    /// A signed assertion: of the client about itself, or what the configuration says.
    async fn assertion(&self, says: Option<&AssertionConfig>) -> Result<Token, CredentialError> {
        let what = "the private key that signs assertions";
        let Some(key) = &self.key else {
            return Err(CredentialError::missing(format!("{what} is not configured")));
        };
        let pem: Secret = match &key.pem {
            Pem::File(path) => environment::read(path, what).await?.into(),
            Pem::Text(text) => text.clone(),
        };
        let signer = Signer::from_pem(pem.expose(), key.algorithm, what)?;
        let issuer = says
            .and_then(|says| says.issuer.as_deref())
            .or(self.config.client_id.as_deref())
            .unwrap_or_default();
        let subject = says.and_then(|says| says.subject.as_deref()).unwrap_or(issuer);
        let lifetime = says
            .and_then(|says| says.lifetime)
            .map_or(ASSERTION_LIFETIME, HumanDuration::get);
        let claims = Claims {
            issuer,
            subject: Some(subject),
            audience: says
                .and_then(|says| says.audience.as_deref())
                .unwrap_or(&self.config.token_url),
            lifetime_secs: i64::try_from(lifetime.as_secs()).unwrap_or(300),
        };
        let mut claims = claims.now(&self.clock);
        claims.insert("jti".to_owned(), json!(jwt::unique()));
        for (name, value) in says.iter().flat_map(|says| &says.claims) {
            claims.insert(name.clone(), json!(value));
        }
        let mut header = Map::<String, Value>::new();
        if let Some(id) = &key.id {
            header.insert("kid".to_owned(), json!(id));
        }
        signer.sign(header, &claims)
    }
}

fn compile_key(config: &OAuth2Config, block: &str) -> Result<Option<PrivateKey>, ConfigError> {
    let Some(key) = &config.private_key else {
        return Ok(None);
    };
    let wrong = |field: &str, problem: &str| ConfigError::new(format!("{block}.private_key{field}"), problem);
    let pem = match (&key.file, &key.pem) {
        (Some(file), None) => Pem::File(file.clone()),
        (None, Some(text)) => Pem::Text(text.clone()),
        _ => return Err(wrong("", "give either `file` or `pem`")),
    };
    let algorithm = match &key.algorithm {
        None => None,
        Some(name) => Some(
            Algorithm::parse(name)
                .ok_or_else(|| wrong(".algorithm", "must be one of RS256, PS256, ES256"))?,
        ),
    };
    if let Pem::Text(text) = &pem {
        Signer::from_pem(text.expose(), algorithm, "the key")
            .map_err(|error| wrong(".pem", &error.to_string()))?;
    }
    Ok(Some(PrivateKey {
        pem,
        algorithm,
        id: key.key_id.clone(),
    }))
}

/// The host of an http or https URL.
pub(crate) fn host(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let known = matches!(url.scheme(), "http" | "https");
    known.then(|| url.host_str().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests;
