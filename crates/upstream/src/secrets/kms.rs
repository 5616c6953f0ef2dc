//! Master keys that a key management service wraps. Whoever has a wrapped key has nothing: only the service, asked by
//! somebody whom it lets in, says what the key is. It is asked once in the life of a process, and what it said is in memory
//! only.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{CONTENT_TYPE, HeaderName};
use parking_lot::Mutex;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::azure::KeyVault;
use super::source::Reference;
use super::vault::Vault;
use super::{base, client, join};
use crate::client::Client;
use crate::config::{AuthConfig, AwsConfig, ConfigError, SecretsConfig};
use crate::credential::fetch::Ask;
use crate::credential::{AuthStyle, Credential, CredentialError, Environment};

/// What a wrapped key begins with, before a colon.
const SERVICES: [&str; 4] = ["aws-kms", "gcp-kms", "azure-kms", "vault-transit"];
/// Bytes of a key.
const KEY: usize = 32;
/// Longest text of a wrapped key.
const LONGEST: usize = 8 * 1024;
/// How long a service may take, tries included.
const PATIENCE: Duration = Duration::from_secs(20);
/// Keys that are remembered.
const REMEMBERED: usize = 64;
/// What a wrapped key is bound to where a service can: it is not taken for anything else.
const BOUND: &str = "pointsman master key";
const GOOGLE: &str = "https://cloudkms.googleapis.com";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// What the keys of Azure wrap with: RSA, and SHA-256 twice.
const ALGORITHM: &str = "RSA-OAEP-256";

/// What services have said, by what they were asked.
static KNOWN: Mutex<BTreeMap<String, SecretString>> = Mutex::new(BTreeMap::new());

/// Whether a text is a wrapped key, and no key itself.
#[must_use]
pub fn is_wrapped_key(text: &str) -> bool {
    let service = text.split_once(':').map(|(service, _)| service);
    service.is_some_and(|service| SERVICES.contains(&service))
}

/// The key that a service has wrapped, in base64; blocks while it is asked, the first time.
///
/// # Errors
/// When it cannot be had, in words that hold nothing of it.
pub fn unwrap_key(text: &str, config: &SecretsConfig) -> Result<SecretString, String> {
    if let Some(known) = KNOWN.lock().get(text) {
        return Ok(known.clone());
    }
    let asked = waited(unwrap(text, config, &Environment::process()))?;
    let mut known = KNOWN.lock();
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(text.to_owned(), asked.clone());
    Ok(asked)
}

/// Has a service wrap a key (in base64) by one of its own, named as in `aws-kms:alias/pointsman`; blocks while it is asked.
/// What is given back is what [`unwrap_key`] takes.
///
/// # Errors
/// When that cannot be done, in words that hold nothing of the key.
pub fn wrap_key(by: &str, key: &SecretString, config: &SecretsConfig) -> Result<String, String> {
    waited(wrap(by, key, config, &Environment::process()))
}

/// Waits for a service on a thread of its own: whoever loads a configuration is no task, or may not be.
fn waited<T: Send>(asked: impl Future<Output = Result<T, String>> + Send) -> Result<T, String> {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let answered = tokio::time::timeout(PATIENCE, asked).await;
            answered.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
        })
    };
    let waited = std::thread::scope(|scope| scope.spawn(wait).join());
    waited.unwrap_or_else(|_| Err("asking it has failed".to_owned()))
}

async fn unwrap(
    text: &str,
    config: &SecretsConfig,
    environment: &Environment,
) -> Result<SecretString, String> {
    let odd =
        "a wrapped key is SERVICE:KEY:TEXT, as `pointsman secret key --wrapped-by SERVICE:KEY` makes it";
    let (service, rest) = text.split_once(':').ok_or(odd)?;
    // Texts of Vault have colons of their own.
    let parts = match service {
        "vault-transit" => rest.split_once(':'),
        _ => rest.rsplit_once(':'),
    };
    let (key, wrapped) = parts
        .filter(|(key, wrapped)| !key.is_empty() && !wrapped.is_empty() && text.len() <= LONGEST)
        .ok_or(odd)?;
    let named = format!("{service}:{key}");
    let told = |error: CredentialError| refusal(&named, &error);
    let service = Service::open(&named, config, environment)?;
    let key = service.unwrap(wrapped).await.map_err(told)?;
    if key.len() != KEY {
        return Err(format!(
            "{named}: what is wrapped there is no master key: it has not {KEY} bytes"
        ));
    }
    Ok(STANDARD.encode(&*key).into())
}

async fn wrap(
    by: &str,
    key: &SecretString,
    config: &SecretsConfig,
    environment: &Environment,
) -> Result<String, String> {
    let told = |error: CredentialError| refusal(by, &error);
    let plain = STANDARD.decode(key.expose_secret()).map(Zeroizing::new);
    let plain = plain.map_err(|_| "the key is no base64".to_owned())?;
    let service = Service::open(by, config, environment)?;
    let text = format!("{by}:{}", service.wrap(&plain).await.map_err(told)?);
    // What cannot be had back must not seal anything.
    let again = unwrap(&text, config, environment).await?;
    if again.expose_secret() != key.expose_secret() {
        return Err(format!("{by}: it gives another key back than it was given"));
    }
    Ok(text)
}

/// Who refused, why, and what it said.
fn refusal(named: &str, error: &CredentialError) -> String {
    match error.detail() {
        Some(detail) => format!("{named}: {error}: {detail}"),
        None => format!("{named}: {error}"),
    }
}

/// A service, and its key.
enum Service {
    Aws(Aws),
    Google(Google),
    Azure {
        vault: KeyVault,
        key: String,
    },
    Vault {
        vault: Box<Vault>,
        mount: String,
        key: String,
    },
}

struct Aws {
    client: Client,
    credential: Credential,
    endpoint: Url,
    key: String,
}

struct Google {
    client: Client,
    credential: Credential,
    endpoint: Url,
    key: String,
}

impl Service {
    /// That of `SERVICE:KEY`.
    fn open(named: &str, config: &SecretsConfig, environment: &Environment) -> Result<Self, String> {
        let Reference {
            scheme,
            path: key,
            field,
        } = Reference::parse(named).map_err(|_| format!("{named:?} names no key of a service"))?;
        let told = |error: ConfigError| error.to_string();
        let parts: Vec<&str> = key.split('/').collect();
        let odd = |like: &str| Err(format!("{named}: write it like {scheme}:{like}"));
        if field.is_some() {
            return odd("KEY");
        }
        match (scheme.as_str(), &parts[..]) {
            ("aws-kms", _) => Aws::open(key, config, environment).map(Self::Aws).map_err(told),
            ("gcp-kms", ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _]) => {
                Google::open(key, config, environment)
                    .map(Self::Google)
                    .map_err(told)
            }
            ("gcp-kms", _) => odd("projects/P/locations/L/keyRings/R/cryptoKeys/KEY"),
            ("azure-kms", [_, _]) => {
                let vault = KeyVault::open(&config.azure, environment).map_err(told)?;
                Ok(Self::Azure { vault, key })
            }
            ("azure-kms", _) => odd("NAME/VERSION"),
            ("vault-transit", [mount @ .., key]) if !mount.is_empty() => Ok(Self::Vault {
                vault: Box::new(Vault::open(&config.vault, environment).map_err(told)?),
                mount: mount.join("/"),
                key: (*key).to_owned(),
            }),
            ("vault-transit", _) => odd("ENGINE/KEY"),
            _ => Err(format!(
                "there is no service {scheme:?} that wraps keys; there are {}",
                SERVICES.join(", ")
            )),
        }
    }

    async fn wrap(&self, plain: &[u8]) -> Result<String, CredentialError> {
        let wrapped = match self {
            Self::Aws(aws) => aws.ask("Encrypt", ("Plaintext", plain), "CiphertextBlob").await,
            Self::Google(google) => google.ask("encrypt", ("plaintext", plain), "ciphertext").await,
            Self::Azure { vault, key } => {
                let body = json!({ "alg": ALGORITHM, "value": URL_SAFE_NO_PAD.encode(plain) });
                text(Some(&mut vault.key(key, "wrapkey", &body).await?), "value")
            }
            Self::Vault { vault, mount, key } => {
                let body = json!({ "plaintext": STANDARD.encode(plain) });
                let mut told = vault.carried_out(&[mount, "encrypt", key], &body).await?;
                text(told.get_mut("data"), "ciphertext")
            }
        };
        wrapped.map(|wrapped| wrapped.as_str().to_owned())
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        let odd = |_| CredentialError::invalid("what is wrapped is not base64");
        match self {
            Self::Aws(aws) => {
                let bytes = STANDARD.decode(wrapped).map_err(odd)?;
                decoded(
                    &aws.ask("Decrypt", ("CiphertextBlob", &bytes), "Plaintext")
                        .await?,
                )
            }
            Self::Google(google) => {
                let bytes = STANDARD.decode(wrapped).map_err(odd)?;
                decoded(&google.ask("decrypt", ("ciphertext", &bytes), "plaintext").await?)
            }
            Self::Azure { vault, key } => {
                let body = json!({ "alg": ALGORITHM, "value": wrapped });
                let told = text(Some(&mut vault.key(key, "unwrapkey", &body).await?), "value")?;
                let bytes = URL_SAFE_NO_PAD.decode(told.trim_end_matches('='));
                bytes.map(Zeroizing::new).map_err(|_| nonsense())
            }
            Self::Vault { vault, mount, key } => {
                let body = json!({ "ciphertext": wrapped });
                let mut told = vault.carried_out(&[mount, "decrypt", key], &body).await?;
                decoded(&text(told.get_mut("data"), "plaintext")?)
            }
        }
    }
}

impl Aws {
    fn open(key: String, config: &SecretsConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let config = &config.aws;
        // Keys are signed for one region, and a whole name says which.
        let of = key.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
        let region = of
            .map(str::to_owned)
            .or_else(|| config.region.clone())
            .or_else(|| config.auth.region.clone())
            .or_else(|| environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
            .ok_or_else(|| ConfigError::new("secrets.aws.region", "is missing, and so is AWS_REGION"))?;
        let names = ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"];
        let endpoint = config.kms_endpoint.clone().or_else(|| environment.first(&names));
        let domain = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://kms.{region}.{domain}"));
        let auth = AuthConfig {
            aws: Some(AwsConfig {
                region: Some(region),
                service: Some("kms".to_owned()),
                ..config.auth.clone()
            }),
            ..AuthConfig::default()
        };
        Ok(Self {
            client: client(None)?,
            credential: credential(&auth, "aws", environment)?,
            endpoint: base(&endpoint, "secrets.aws.kms_endpoint")?,
            key,
        })
    }

    /// Carries an action out on bytes; gives the text of the answer that is asked for.
    async fn ask(
        &self,
        action: &str,
        (name, bytes): (&str, &[u8]),
        answer: &str,
    ) -> Result<Zeroizing<String>, CredentialError> {
        let given = Zeroizing::new(STANDARD.encode(bytes));
        let target = match action {
            "Encrypt" => "TrentService.Encrypt",
            _ => "TrentService.Decrypt",
        };
        let body = json!({
            "KeyId": self.key,
            name: given.as_str(),
            "EncryptionContext": { "purpose": BOUND },
        });
        let mut ask = Ask::json("AWS KMS", self.endpoint.as_str(), &body)
            .plain(CONTENT_TYPE, "application/x-amz-json-1.1")
            .plain(TARGET, target);
        ask.keep_secret(&given);
        let mut told: Value = ask.send_with(&self.client, &self.credential).await?.json()?;
        text(Some(&mut told), answer)
    }
}

impl Google {
    fn open(key: String, config: &SecretsConfig, environment: &Environment) -> Result<Self, ConfigError> {
        let auth = AuthConfig {
            gcp: Some(config.gcp.auth.clone()),
            ..AuthConfig::default()
        };
        let endpoint = config.gcp.kms_endpoint.as_deref().unwrap_or(GOOGLE);
        Ok(Self {
            client: client(None)?,
            credential: credential(&auth, "gcp", environment)?,
            endpoint: base(endpoint, "secrets.gcp.kms_endpoint")?,
            key,
        })
    }

    /// As [`Aws::ask`].
    async fn ask(
        &self,
        action: &str,
        (name, bytes): (&str, &[u8]),
        answer: &str,
    ) -> Result<Zeroizing<String>, CredentialError> {
        let given = Zeroizing::new(STANDARD.encode(bytes));
        let body = json!({ name: given.as_str(), "additionalAuthenticatedData": STANDARD.encode(BOUND) });
        let url = join(&self.endpoint, &["v1", &format!("{}:{action}", self.key)]);
        let mut ask = Ask::json("Google Cloud KMS", url, &body);
        ask.keep_secret(&given);
        let mut told: Value = ask.send_with(&self.client, &self.credential).await?.json()?;
        text(Some(&mut told), answer)
    }
}

fn credential(auth: &AuthConfig, which: &str, environment: &Environment) -> Result<Credential, ConfigError> {
    Credential::compile_with(auth, &AuthStyle::Bearer, environment)
        .map_err(|error| ConfigError::new(format!("secrets.{which}.{}", error.field), error.problem))
}

fn nonsense() -> CredentialError {
    CredentialError::invalid("its answer makes no sense")
}

/// Takes a text out of an answer, so that no copy of a key stays behind in memory.
fn text(told: Option<&mut Value>, name: &str) -> Result<Zeroizing<String>, CredentialError> {
    match told.and_then(|told| told.get_mut(name)).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Zeroizing::new(text)),
        _ => Err(nonsense()),
    }
}

fn decoded(told: &str) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    STANDARD.decode(told).map(Zeroizing::new).map_err(|_| nonsense())
}

#[cfg(test)]
mod tests;
