//! Microsoft Entra ID: tokens for a client with a secret, a certificate or a federated token, and for managed
//! identities.

mod managed;

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest;
use serde_json::{Map, json};

use super::bearer::{self, Token, Wanted};
use super::cache::Issued;
use super::environment::{self, Environment};
use super::error::{CredentialError, CredentialErrorKind};
use super::fetch::{Ask, Form, Reply};
use super::jwt::{self, Algorithm, Claims, Signer};
use super::oauth2::{CLIENT_ASSERTION, host};
use super::skew::ServerClock;
use super::subject::Subject;
use crate::client::Client;
use crate::config::{AssertionAlgorithm, ConfigError, EntraConfig, ManagedIdentity, Secret};
use managed::Managed;

const AUTHORITY: &str = "https://login.microsoftonline.com";
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const WHO: &str = "Microsoft Entra ID";
const ASSERTION_SECS: i64 = 600;

/// How Entra ID is asked.
pub(crate) struct Entra {
    way: Way,
    scope: String,
    clock: ServerClock,
}

enum Way {
    Client(ClientWay),
    Managed(Managed),
}

/// A client of a tenant.
struct ClientWay {
    url: String,
    client: String,
    proof: Proof,
}

/// How a client proves who it is.
enum Proof {
    Secret(Secret),
    Certificate(Certificate),
    Federated(Subject),
}

struct Certificate {
    file: PathBuf,
    key: Option<PathBuf>,
    algorithm: AssertionAlgorithm,
    send_chain: bool,
}

impl Entra {
    pub(crate) fn compile(config: &EntraConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let scope = config.scope.clone().unwrap_or_else(|| SCOPE.to_owned());
        let managed = managed_identity(config)?;
        let proof = proof(config, environment, managed.is_some())?;
        let way = match (proof, managed) {
            (Some(_), Some(_)) => {
                let problem = "cannot be combined with a secret, a certificate or a federated token";
                return Err(ConfigError::new("auth.entra.managed_identity", problem));
            }
            (Some(proof), None) => Way::Client(client(config, environment, proof)?),
            (None, Some(named)) => Way::Managed(Managed::new(named, environment.clone())),
            (None, None) => {
                if config.tenant.is_some() {
                    let problem = "is missing beside `tenant`: give `secret`, `certificate`, \
                                   `federated_token_file` or `oidc`";
                    return Err(ConfigError::new("auth.entra.secret", problem));
                }
                let named = config
                    .client
                    .clone()
                    .or_else(|| environment.get("AZURE_CLIENT_ID"));
                let named = crate::config::ManagedIdentityConfig {
                    client_id: named,
                    ..Default::default()
                };
                Way::Managed(Managed::new(named, environment.clone()))
            }
        };
        Ok(Self {
            way,
            scope,
            clock: ServerClock::default(),
        })
    }

    pub(crate) fn who(&self) -> &str {
        match &self.way {
            Way::Client(_) => WHO,
            Way::Managed(_) => "the managed identity",
        }
    }

    /// Asks for a token; once more when our clock turns out to be wrong.
    pub(crate) async fn ask(&self, client: &Client) -> Result<Issued<Token>, CredentialError> {
        let way = match &self.way {
            Way::Managed(managed) => return managed.ask(client, &self.scope).await,
            Way::Client(way) => way,
        };
        let mut reply = self.ask_once(client, way).await?;
        let refused = !reply.status.is_success()
            && reply.refusal().kind() == CredentialErrorKind::Refused
            && matches!(way.proof, Proof::Certificate(_));
        if refused && self.clock.correct(&reply.headers) {
            reply = self.ask_once(client, way).await?;
        }
        bearer::issued(&reply, WHO, Wanted::Access)
    }

    async fn ask_once(&self, client: &Client, way: &ClientWay) -> Result<Reply, CredentialError> {
        let mut form = Form::default();
        form.set("grant_type", "client_credentials")
            .set("client_id", way.client.as_str())
            .set("scope", self.scope.as_str());
        match &way.proof {
            Proof::Secret(secret) => {
                form.set_secret("client_secret", secret.expose());
            }
            Proof::Certificate(certificate) => {
                let assertion = certificate.assertion(way, &self.clock).await?;
                form.set("client_assertion_type", CLIENT_ASSERTION)
                    .set_secret("client_assertion", assertion.expose());
            }
            Proof::Federated(subject) => {
                let token = subject.token(client).await?;
                form.set("client_assertion_type", CLIENT_ASSERTION)
                    .set_secret("client_assertion", token.expose());
            }
        }
        Ask::form(WHO, way.url.as_str(), form).send(client).await
    }
}

impl Certificate {
    /// An assertion by the client about itself, signed with the key of its certificate.
    async fn assertion(&self, way: &ClientWay, clock: &ServerClock) -> Result<Token, CredentialError> {
        let what = "the client certificate of Entra ID";
        let pem = Secret::from(environment::read(&self.file, what).await?);
        let key = match &self.key {
            Some(file) => Some(Secret::from(environment::read(file, what).await?)),
            None => None,
        };
        let algorithm = match self.algorithm {
            AssertionAlgorithm::PS256 => Algorithm::Ps256,
            AssertionAlgorithm::RS256 => Algorithm::Rs256,
        };
        let key = key.as_ref().unwrap_or(&pem);
        let signer = Signer::from_pem(key.expose(), Some(algorithm), what)?;
        let chain = jwt::certificates(pem.expose(), what)?;
        let mut header = Map::new();
        if let Some(own) = chain.first() {
            let (name, hash) = match self.algorithm {
                AssertionAlgorithm::PS256 => ("x5t#S256", &digest::SHA256),
                AssertionAlgorithm::RS256 => ("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY),
            };
            let thumbprint = digest::digest(hash, own);
            header.insert(name.to_owned(), json!(URL_SAFE_NO_PAD.encode(thumbprint)));
        }
        if self.send_chain {
            let all: Vec<String> = chain.iter().map(|one| STANDARD.encode(one)).collect();
            header.insert("x5c".to_owned(), json!(all));
        }
        let claims = Claims {
            issuer: &way.client,
            subject: Some(&way.client),
            audience: &way.url,
            lifetime_secs: ASSERTION_SECS,
        };
        let mut claims = claims.now(clock);
        claims.insert("nbf".to_owned(), claims.get("iat").cloned().unwrap_or_default());
        claims.insert("jti".to_owned(), json!(jwt::unique()));
        signer.sign(header, &claims)
    }
}

/// How the client proves who it is: as configured, else by the environment.
fn proof(
    config: &EntraConfig,
    environment: &Environment,
    is_managed: bool,
) -> Result<Option<Proof>, ConfigError> {
    let federated = config.federated_token_file.is_some() || config.oidc.is_some();
    let given = [config.secret.is_some(), config.certificate.is_some(), federated];
    if given.iter().filter(|given| **given).count() > 1 {
        let problem = "give only one of `secret`, `certificate`, `federated_token_file` and `oidc`";
        return Err(ConfigError::new("auth.entra", problem));
    }
    if config.certificate_key.is_some() && config.certificate.is_none() {
        return Err(ConfigError::new(
            "auth.entra.certificate_key",
            "needs `certificate`",
        ));
    }
    if let Some(secret) = &config.secret {
        return Ok(Some(Proof::Secret(secret.clone())));
    }
    let certificate = |file: PathBuf| {
        Some(Proof::Certificate(Certificate {
            file,
            key: config.certificate_key.clone(),
            algorithm: config.algorithm,
            send_chain: config.send_chain,
        }))
    };
    if let Some(file) = &config.certificate {
        return Ok(certificate(file.clone()));
    }
    if federated {
        let (file, oidc) = (config.federated_token_file.as_ref(), config.oidc.as_deref());
        return Subject::compile("auth.entra", file, oidc).map(|subject| Some(Proof::Federated(subject)));
    }
    if is_managed {
        return Ok(None);
    }
    if let Some(secret) = environment.get("AZURE_CLIENT_SECRET") {
        return Ok(Some(Proof::Secret(secret.into())));
    }
    if let Some(file) = environment.get("AZURE_CLIENT_CERTIFICATE_PATH") {
        return Ok(certificate(file.into()));
    }
    let file = environment.get("AZURE_FEDERATED_TOKEN_FILE");
    Ok(file.map(|file| Proof::Federated(Subject::File(file.into()))))
}

fn client(config: &EntraConfig, environment: &Environment, proof: Proof) -> Result<ClientWay, ConfigError> {
    let required = |field: &str, given: &Option<String>, variable: &str| {
        given
            .clone()
            .or_else(|| environment.get(variable))
            .ok_or_else(|| {
                ConfigError::new(
                    format!("auth.entra.{field}"),
                    format!("is missing, and {variable} is not set"),
                )
            })
    };
    let tenant = required("tenant", &config.tenant, "AZURE_TENANT_ID")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if !tenant.bytes().all(is_name) || tenant.contains("..") {
        return Err(ConfigError::new(
            "auth.entra.tenant",
            "is neither an id nor a domain",
        ));
    }
    let authority = config
        .authority
        .clone()
        .or_else(|| environment.get("AZURE_AUTHORITY_HOST"))
        .unwrap_or_else(|| AUTHORITY.to_owned());
    if host(&authority).is_none() {
        return Err(ConfigError::new(
            "auth.entra.authority",
            "is not an http or https URL",
        ));
    }
    Ok(ClientWay {
        url: format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/')),
        client: required("client", &config.client, "AZURE_CLIENT_ID")?,
        proof,
    })
}

/// The managed identity that the configuration names.
fn managed_identity(
    config: &EntraConfig,
) -> Result<Option<crate::config::ManagedIdentityConfig>, ConfigError> {
    let mut named = match &config.managed_identity {
        None | Some(ManagedIdentity::Flag(false)) => return Ok(None),
        Some(ManagedIdentity::Flag(true)) => crate::config::ManagedIdentityConfig::default(),
        Some(ManagedIdentity::Named(named)) => named.clone(),
    };
    let names = [&named.client_id, &named.object_id, &named.resource_id];
    match names.into_iter().flatten().count() {
        0 => named.client_id = config.client.clone(),
        1 => {}
        _ => {
            let problem = "give only one of `client_id`, `object_id` and `resource_id`";
            return Err(ConfigError::new("auth.entra.managed_identity", problem));
        }
    }
    Ok(Some(named))
}

#[cfg(test)]
mod tests;
