//! Secrets that are kept elsewhere: read from their manager when a configuration first names them, read again in the
//! background, and kept as they were while the manager does not answer.
//!
//! A manager is one [`SecretSource`]; which there are is said once, in [`SCHEMES`]. What is read is a [`Document`], and
//! nothing of it is ever part of a message.

mod aws;
mod azure;
mod gcp;
mod keeper;
mod kms;
mod kubernetes;
mod source;
mod vault;

pub use keeper::{Offer, Secrets, SecretsSession, Standing};
pub use kms::{is_wrapped_key, unwrap_key, wrap_key};
pub use source::{Document, Reading, Reference, SecretSource};

use std::sync::Arc;

use crate::config::{ConfigError, SecretsConfig};
use crate::credential::Environment;

/// What a reference may begin with.
pub const SCHEMES: [&str; 6] = ["vault", "aws", "gcp", "azure", "kubernetes", "store"];

/// The manager of a scheme.
fn open(
    scheme: &str,
    config: &SecretsConfig,
    environment: &Environment,
) -> Result<Arc<dyn SecretSource>, ConfigError> {
    Ok(match scheme {
        "vault" => Arc::new(vault::Vault::open(&config.vault, environment)?),
        "aws" => Arc::new(aws::SecretsManager::open(&config.aws, environment)?),
        "gcp" => Arc::new(gcp::SecretManager::open(&config.gcp, environment)?),
        "azure" => Arc::new(azure::KeyVault::open(&config.azure, environment)?),
        "kubernetes" => Arc::new(kubernetes::Cluster::open(&config.kubernetes, environment)?),
        "store" => {
            return Err(ConfigError::new(
                "secrets.store",
                "there is no database that secrets could be read from",
            ));
        }
        _ => {
            return Err(ConfigError::new(
                "secrets",
                format!("there is no manager {scheme:?}; there are {}", SCHEMES.join(", ")),
            ));
        }
    })
}

/// A client that trusts these certificates as well.
fn client(ca_file: Option<&std::path::PathBuf>) -> Result<crate::Client, ConfigError> {
    let mut config = crate::UpstreamConfig::default();
    config.tls.ca_file = ca_file.cloned();
    crate::ClientOptions::compile(&config).map(crate::Client::new)
}

/// A URL, with these segments behind its path.
fn join(base: &url::Url, segments: &[&str]) -> url::Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty();
        for segment in segments {
            path.extend(segment.split('/'));
        }
    }
    url
}

/// The URL of a service.
fn base(url: &str, field: &str) -> Result<url::Url, ConfigError> {
    let parsed = url::Url::parse(url).ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(|| ConfigError::new(field, "is not an http or https URL"))
}

#[cfg(test)]
mod tests;
