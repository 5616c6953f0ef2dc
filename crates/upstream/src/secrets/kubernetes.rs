//! Secrets of Kubernetes, by its API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION};
use serde::Deserialize;
use url::Url;

use super::source::{Document, Reading, SecretSource};
use super::{base, client, join};
use crate::client::Client;
use crate::config::{ConfigError, KubernetesSecretsConfig};
use crate::credential::fetch::Ask;
use crate::credential::{CredentialError, Environment, environment};

const WHO: &str = "Kubernetes";
/// Where a pod finds what its service account is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster, and the namespace of secrets that are named without one.
pub(super) struct Cluster {
    client: Client,
    server: Url,
    namespace: Option<String>,
    token: PathBuf,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Cluster {
    pub(super) fn open(
        config: &KubernetesSecretsConfig,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let folder = Path::new(ACCOUNT);
        let ca = folder.join("ca.crt");
        let ca_file = config.ca_file.clone().or_else(|| ca.exists().then_some(ca));
        let server = config.server.clone().or_else(|| {
            let host = environment.first(&["KUBERNETES_SERVICE_HOST"])?;
            let port = environment.first(&["KUBERNETES_SERVICE_PORT"])?;
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host
            };
            Some(format!("https://{host}:{port}"))
        });
        let field = "secrets.kubernetes.server";
        let missing = || ConfigError::new(field, "is missing: this does not run in a cluster");
        Ok(Self {
            client: client(ca_file.as_ref())?,
            server: base(&server.ok_or_else(missing)?, field)?,
            namespace: config
                .namespace
                .clone()
                .or_else(|| std::fs::read_to_string(folder.join("namespace")).ok())
                .map(|name| name.trim().to_owned()),
            token: config.token_file.clone().unwrap_or_else(|| folder.join("token")),
        })
    }

    /// `NAME` or `NAMESPACE/NAME`.
    async fn secret(&self, path: &str) -> Result<Document, CredentialError> {
        let parts: Vec<&str> = path.split('/').collect();
        let (namespace, name) = match parts[..] {
            [name] => (self.namespace.as_deref(), name),
            [namespace, name] => (Some(namespace), name),
            _ => {
                return Err(CredentialError::invalid(
                    "secrets of Kubernetes are named NAME or NAMESPACE/NAME",
                ));
            }
        };
        let namespace = namespace.ok_or_else(|| {
            CredentialError::missing(
                "set secrets.kubernetes.namespace, or name the secret with its namespace",
            )
        })?;
        let token = environment::read_token(&self.token, "the token of the service account").await?;
        let segments = ["api", "v1", "namespaces", namespace, "secrets", name];
        let ask = Ask::get(WHO, join(&self.server, &segments))
            .plain(ACCEPT, "application/json")
            .at_any_address()
            .secret(AUTHORIZATION, &format!("Bearer {token}"))?;
        let secret: Secret = ask.send(&self.client).await?.json()?;
        let mut fields = BTreeMap::new();
        for (name, encoded) in secret.data {
            let text = STANDARD
                .decode(encoded)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            // What is no text, such as a key store, is of no use here, and no reason to do without the rest.
            if let Some(text) = text {
                fields.insert(name, text.into());
            }
        }
        Ok(Document::fields(fields))
    }
}

impl SecretSource for Cluster {
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a> {
        Box::pin(self.secret(path))
    }
}
