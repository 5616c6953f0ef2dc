//! HashiCorp Vault and OpenBao: the key-value engine, version 1 and 2; tokens, AppRole and Kubernetes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http::{HeaderName, StatusCode};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::source::{Document, Reading, SecretSource};
use super::{base, client, join};
use crate::client::Client;
use crate::config::{ConfigError, VaultConfig};
use crate::credential::fetch::{Ask, Reply};
use crate::credential::{CredentialError, Environment, environment};

const WHO: &str = "Vault";
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
/// Where a pod finds the token of its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A Vault.
pub(super) struct Vault {
    client: Client,
    address: Url,
    namespace: Option<String>,
    login: Login,
    version: Option<u8>,
    session: Mutex<Option<Session>>,
}

/// How it lets us in.
enum Login {
    Token(SecretString),
    File(PathBuf),
    AppRole {
        mount: String,
        role: String,
        secret: SecretString,
    },
    Kubernetes {
        mount: String,
        role: String,
        file: PathBuf,
    },
}

/// A token that is at hand.
#[derive(Clone)]
struct Session {
    token: SecretString,
    /// When half of its life is over; never for one that does not end, or cannot be renewed.
    renew: Option<Instant>,
}

/// What a login answers.
#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    #[serde(default)]
    lease_duration: u64,
}

/// Where an engine is mounted.
struct Mount {
    path: String,
    version: u8,
}

impl Vault {
    pub(super) fn open(config: &VaultConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let address = config
            .address
            .clone()
            .or_else(|| environment.first(&["VAULT_ADDR", "BAO_ADDR"]))
            .ok_or_else(|| ConfigError::new("secrets.vault.address", "is missing, and so is VAULT_ADDR"))?;
        let from_environment = environment
            .first(&["VAULT_CACERT", "BAO_CACERT"])
            .map(PathBuf::from);
        let ca_file = config.ca_file.clone().or(from_environment);
        if config
            .kv_version
            .is_some_and(|version| !(1..=2).contains(&version))
        {
            return Err(ConfigError::new("secrets.vault.kv_version", "is 1 or 2"));
        }
        Ok(Self {
            client: client(ca_file.as_ref())?,
            address: base(&address, "secrets.vault.address")?,
            namespace: config
                .namespace
                .clone()
                .or_else(|| environment.first(&["VAULT_NAMESPACE", "BAO_NAMESPACE"])),
            login: login(config, environment)?,
            version: config.kv_version,
            session: Mutex::new(None),
        })
    }

    fn ask(&self, method: Method<'_>, path: &[&str]) -> Result<Ask, CredentialError> {
        let mut segments = vec!["v1"];
        segments.extend(path);
        let url = join(&self.address, &segments);
        let mut ask = match method {
            Method::Get(None) => Ask::get(WHO, url),
            Method::Get(Some(version)) => {
                let mut url = url;
                url.query_pairs_mut().append_pair("version", version);
                Ask::get(WHO, url)
            }
            Method::Post(body) => Ask::json(WHO, url, body),
        }
        .plain(REQUEST, "true")
        // It is the operator who says where it is.
        .at_any_address();
        if let Method::Post(body) = method {
            ask.keep_secret(body["plaintext"].as_str().unwrap_or_default());
        }
        if let Some(namespace) = &self.namespace {
            ask = ask.secret(NAMESPACE, namespace)?;
        }
        Ok(ask)
    }

    /// Asks with a token; with a new one where the first is refused and another can be had.
    async fn asked(&self, method: Method<'_>, path: &[&str]) -> Result<Reply, CredentialError> {
        let token = self.token().await?;
        let ask = || self.ask(method, path);
        let reply = ask()?
            .secret(TOKEN, token.expose_secret())?
            .send(&self.client)
            .await?;
        if reply.status != StatusCode::FORBIDDEN || matches!(self.login, Login::Token(_)) {
            return Ok(reply);
        }
        *self.session.lock() = None;
        let again = self.token().await?;
        if again.expose_secret() == token.expose_secret() {
            return Ok(reply);
        }
        ask()?
            .secret(TOKEN, again.expose_secret())?
            .send(&self.client)
            .await
    }

    /// What something that is to be done answers.
    pub(super) async fn carried_out(&self, path: &[&str], body: &Value) -> Result<Value, CredentialError> {
        self.asked(Method::Post(body), path).await?.json()
    }

    async fn token(&self) -> Result<SecretString, CredentialError> {
        if let Login::File(file) = &self.login {
            let token = environment::read_token(file, "the file of Vault's token").await?;
            return Ok(token.into());
        }
        let known = self.session.lock().clone();
        let session = match (known, &self.login) {
            (Some(session), _) if session.renew.is_none_or(|at| Instant::now() < at) => session,
            (known, Login::Token(token)) => self.keep_alive(token, known.is_some()).await,
            // Logging in anew is what renews a token longest. Half of its life is left, if that cannot be done now.
            (known, _) => match (self.log_in().await, known) {
                (Ok(session), _) => session,
                (Err(error), Some(session)) => {
                    tracing::warn!(%error, "Vault did not let us in again; the token that is left is used");
                    session
                }
                (Err(error), None) => return Err(error),
            },
        };
        *self.session.lock() = Some(session.clone());
        Ok(session.token)
    }

    async fn log_in(&self) -> Result<Session, CredentialError> {
        let (mount, body) = match &self.login {
            Login::AppRole { mount, role, secret } => (
                mount,
                json!({ "role_id": role, "secret_id": secret.expose_secret() }),
            ),
            Login::Kubernetes { mount, role, file } => {
                let jwt = environment::read_token(file, "the token of the service account").await?;
                (mount, json!({ "role": role, "jwt": jwt }))
            }
            Login::Token(_) | Login::File(_) => return Err(CredentialError::missing("no way into Vault")),
        };
        let mut ask = self.ask(Method::Post(&body), &["auth", mount, "login"])?;
        for name in ["secret_id", "jwt"] {
            if let Some(secret) = body.get(name).and_then(Value::as_str) {
                ask.keep_secret(secret);
            }
        }
        let LoggedIn { auth } = ask.send(&self.client).await?.json()?;
        Ok(Session {
            token: auth.client_token.into(),
            renew: halfway(auth.lease_duration),
        })
    }

    /// Looks at a token that was given, the first time, and renews it after. One that cannot be is used as it is: what it
    /// opens will tell.
    async fn keep_alive(&self, token: &SecretString, is_known: bool) -> Session {
        let path: &[&str] = if is_known {
            &["auth", "token", "renew-self"]
        } else {
            &["auth", "token", "lookup-self"]
        };
        let body = json!({});
        let method = if is_known {
            Method::Post(&body)
        } else {
            Method::Get(None)
        };
        let asked = async {
            let ask = self.ask(method, path)?.secret(TOKEN, token.expose_secret())?;
            ask.send(&self.client).await?.json::<Value>()
        };
        let renew = match asked.await {
            Ok(told) if is_known => halfway(told["auth"]["lease_duration"].as_u64().unwrap_or(0)),
            Ok(told) if told["data"]["renewable"].as_bool() == Some(true) => {
                halfway(told["data"]["ttl"].as_u64().unwrap_or(0))
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "Vault's token could not be looked at or renewed; it is used as it is");
                Some(Instant::now() + Duration::from_secs(60))
            }
        };
        Session {
            token: token.clone(),
            renew,
        }
    }

    /// Where the engine of a path is mounted, and its version; a token need not be allowed to ask.
    async fn mount(&self, path: &str) -> Result<Option<Mount>, CredentialError> {
        let reply = self
            .asked(Method::Get(None), &["sys/internal/ui/mounts", path])
            .await?;
        if !reply.status.is_success() {
            return Ok(None);
        }
        let told: Value = reply.json()?;
        let data = told.get("data").unwrap_or(&told);
        let version = match data["options"]["version"].as_str() {
            Some("2") => 2,
            _ => 1,
        };
        let mount = data["path"].as_str().map(|path| Mount {
            path: path.trim_matches('/').to_owned(),
            version,
        });
        Ok(mount.filter(|mount| !mount.path.is_empty()))
    }

    async fn secret(&self, path: &str) -> Result<Document, CredentialError> {
        let (path, version) = match path.split_once('?') {
            None => (path, None),
            Some((path, query)) => {
                let version = query.strip_prefix("version=").filter(|version| {
                    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
                });
                let wrong = || CredentialError::invalid("behind a path of Vault may stand ?version=NUMBER");
                (path, Some(version.ok_or_else(wrong)?))
            }
        };
        let is_second = |path: &str| path.split('/').nth(1) == Some("data");
        let mount = match self.version {
            Some(version) => mount_of(path, version),
            None => self.mount(path).await?.unwrap_or_else(|| {
                // It does not say: a path that is written out tells.
                mount_of(path, if is_second(path) { 2 } else { 1 })
            }),
        };
        let rest = path
            .strip_prefix(&mount.path)
            .unwrap_or_default()
            .trim_matches('/');
        if rest.is_empty() {
            return Err(CredentialError::invalid("a path of Vault is ENGINE/PATH"));
        }
        let reply = if mount.version == 2 {
            let rest = rest.strip_prefix("data/").unwrap_or(rest);
            self.asked(Method::Get(version), &[&mount.path, "data", rest])
                .await?
        } else {
            self.asked(Method::Get(None), &[&mount.path, rest]).await?
        };
        if reply.status == StatusCode::NOT_FOUND {
            return Err(CredentialError::missing("Vault keeps nothing at this path"));
        }
        let told: Map<String, Value> = reply.json()?;
        let data = told.get("data");
        let data = if mount.version == 2 {
            data.and_then(|data| data.get("data"))
        } else {
            data
        };
        // Of one that was deleted, version 2 has metadata and no data.
        let data = data.and_then(Value::as_object);
        data.map(Document::object)
            .ok_or_else(|| CredentialError::missing("Vault keeps nothing at this path"))
    }
}

impl SecretSource for Vault {
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a> {
        Box::pin(self.secret(path))
    }
}

#[derive(Clone, Copy)]
enum Method<'a> {
    /// With a version of a secret, perhaps.
    Get(Option<&'a str>),
    Post(&'a Value),
}

fn mount_of(path: &str, version: u8) -> Mount {
    let first = path.split('/').next().unwrap_or(path);
    Mount {
        path: first.to_owned(),
        version,
    }
}

/// When half of a life of so many seconds is over; never for one without an end.
fn halfway(seconds: u64) -> Option<Instant> {
    (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds.min(86_400)) / 2)
}

fn login(config: &VaultConfig, environment: &Environment) -> Result<Login, ConfigError> {
    let auth = &config.auth;
    let ways = [
        auth.token.is_some(),
        auth.token_file.is_some(),
        auth.app_role.is_some(),
        auth.kubernetes.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        let problem = "takes one of token, token_file, app_role and kubernetes";
        return Err(ConfigError::new("secrets.vault.auth", problem));
    }
    if let Some(token) = &auth.token {
        return Ok(Login::Token(token.expose().into()));
    }
    if let Some(file) = &auth.token_file {
        return Ok(Login::File(file.clone()));
    }
    if let Some(role) = &auth.app_role {
        return Ok(Login::AppRole {
            mount: role.mount.clone().unwrap_or_else(|| "approle".to_owned()),
            role: role.role_id.clone(),
            secret: role.secret_id.expose().into(),
        });
    }
    if let Some(role) = &auth.kubernetes {
        return Ok(Login::Kubernetes {
            mount: role.mount.clone().unwrap_or_else(|| "kubernetes".to_owned()),
            role: role.role.clone(),
            file: role.token_file.clone().unwrap_or_else(|| PathBuf::from(ACCOUNT)),
        });
    }
    let token = environment.first(&["VAULT_TOKEN", "BAO_TOKEN"]);
    let missing = || ConfigError::new("secrets.vault.auth", "is missing, and so is VAULT_TOKEN");
    token.map(|token| Login::Token(token.into())).ok_or_else(missing)
}
