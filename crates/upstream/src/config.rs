//! The configuration types of this crate: what people write, before it is compiled into what runs.
//!
//! Doc comments of fields here are the published reference. Checks that serde cannot express are made by the
//! `compile` functions beside the run-time types; they report a [`ConfigError`].

mod auth;
mod balance;
mod client;
mod duration;
mod endpoint;
mod health;
mod retry;
mod secret;
mod secrets;
mod timeouts;

pub use auth::{
    ApiKey, ApiKeys, AssertionAlgorithm, AssertionConfig, AssumeRoles, AuthConfig, AwsConfig, ClientAuth,
    ClientCertificateConfig, EntraConfig, GcpConfig, GcpWorkloadConfig, Grant, IssuedToken, LimitedKey,
    ManagedIdentity, ManagedIdentityConfig, OAuth2Config, Passthrough, PassthroughHeaders, PrivateKeyConfig,
    RoleConfig, WebIdentityConfig,
};
pub use balance::{BalanceConfig, BalancePolicyName};
pub use client::{PoolConfig, ProxyConfig, TlsConfig, UpstreamConfig};
pub use duration::{HumanDuration, ParseDurationError};
pub use endpoint::{EndpointConfig, HttpVersion};
pub use health::HealthConfig;
pub use retry::{BackoffConfig, RetryBudgetConfig, RetryConfig};
pub use secret::Secret;
pub use secrets::{
    AppRoleConfig, AwsSecretsConfig, AzureSecretsConfig, GcpSecretsConfig, KubernetesSecretsConfig,
    SecretsConfig, StoredSecretsConfig, VaultAuthConfig, VaultConfig, VaultKubernetesConfig,
};
pub use timeouts::TimeoutsConfig;

/// A value that has the right shape and yet cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The field at fault, as a dotted path relative to the block that was compiled.
    pub field: String,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl ConfigError {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// A feature that the file may name and this version refuses.
    pub(crate) fn unsupported(field: &str, feature: &str) -> Self {
        Self::new(field, format!("{feature} is not supported yet in this version"))
    }
}

#[cfg(test)]
mod tests;
