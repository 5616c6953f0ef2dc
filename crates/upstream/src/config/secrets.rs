//! The `secrets` block: managers that `${vault:…}` and the like are read from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsConfig, EntraConfig, GcpConfig, HumanDuration, Secret};

/// Where secrets are read from that the configuration refers to: `${vault:PATH#FIELD}`, `${aws:NAME#FIELD}`,
/// `${gcp:NAME#FIELD}`, `${azure:NAME#FIELD}`, `${kubernetes:NAME#KEY}`, `${store:NAME#FIELD}`. This block itself may hold variables and files,
/// and no such references.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// How often they are read again. What has changed is taken over as a change of the file is.
    pub refresh: HumanDuration,
    /// HashiCorp Vault or OpenBao, key-value engine of version 1 or 2.
    pub vault: VaultConfig,
    /// AWS Secrets Manager.
    pub aws: AwsSecretsConfig,
    /// Google Secret Manager.
    pub gcp: GcpSecretsConfig,
    /// Azure Key Vault.
    pub azure: AzureSecretsConfig,
    /// Secrets of Kubernetes, by its API. What is mounted is read as `${file:PATH}`.
    pub kubernetes: KubernetesSecretsConfig,
    /// Secrets that are kept in `stores.database`, sealed.
    pub store: StoredSecretsConfig,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self {
            refresh: HumanDuration::from_secs(300),
            vault: VaultConfig::default(),
            aws: AwsSecretsConfig::default(),
            gcp: GcpSecretsConfig::default(),
            azure: AzureSecretsConfig::default(),
            kubernetes: KubernetesSecretsConfig::default(),
            store: StoredSecretsConfig::default(),
        }
    }
}

/// Secrets that are kept in the database: each is sealed by a key of its own (AES-256-GCM), which a master key wraps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoredSecretsConfig {
    /// Master keys, 32 bytes each in hexadecimal or base64: the first wraps, all unwrap. Or what a key management service
    /// has wrapped: `aws-kms:KEY:TEXT`, `gcp-kms:KEY:TEXT`, `azure-kms:NAME/VERSION:TEXT`, `vault-transit:ENGINE/KEY:TEXT`.
    /// `POINTSMAN_MASTER_KEY` when there are none, several with commas between them.
    pub keys: Vec<Secret>,
    /// Files that hold one each, after those.
    pub key_files: Vec<PathBuf>,
}

/// HashiCorp Vault or OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaultConfig {
    /// Its URL; `VAULT_ADDR` or `BAO_ADDR` when absent.
    pub address: Option<String>,
    /// Namespace; `VAULT_NAMESPACE` or `BAO_NAMESPACE` when absent.
    pub namespace: Option<String>,
    /// Certificates that are trusted as well, PEM; `VAULT_CACERT` or `BAO_CACERT` when absent.
    pub ca_file: Option<PathBuf>,
    /// How it lets us in: one of the ways; `VAULT_TOKEN` or `BAO_TOKEN` when absent.
    pub auth: VaultAuthConfig,
    /// Version of the key-value engine; when absent, Vault is asked.
    #[schemars(range(min = 1, max = 2))]
    pub kv_version: Option<u8>,
}

/// How Vault lets us in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaultAuthConfig {
    /// A token; renewed while that is possible.
    pub token: Option<Secret>,
    /// File that holds a token, as Vault's agent writes it; read anew each time.
    pub token_file: Option<PathBuf>,
    /// AppRole.
    pub app_role: Option<AppRoleConfig>,
    /// The service account of this pod.
    pub kubernetes: Option<VaultKubernetesConfig>,
}

/// AppRole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRoleConfig {
    /// Role id.
    pub role_id: String,
    /// Secret id.
    pub secret_id: Secret,
    /// Where the method is mounted; `approle` when absent.
    #[serde(default)]
    pub mount: Option<String>,
}

/// The service account of this pod, shown to Vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultKubernetesConfig {
    /// Role of the method.
    pub role: String,
    /// Where the method is mounted; `kubernetes` when absent.
    #[serde(default)]
    pub mount: Option<String>,
    /// File of the token; `/var/run/secrets/kubernetes.io/serviceaccount/token` when absent. Read anew each time.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// AWS Secrets Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsSecretsConfig {
    /// Region; `AWS_REGION` or `AWS_DEFAULT_REGION` when absent.
    pub region: Option<String>,
    /// URL of the service; the region's when absent.
    pub endpoint: Option<String>,
    /// URL of AWS KMS, where that wraps a master key; the region's when absent.
    pub kms_endpoint: Option<String>,
    /// Credentials; the usual chain when absent.
    pub auth: AwsConfig,
}

/// Google Secret Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GcpSecretsConfig {
    /// Project of secrets that are named without one; `GOOGLE_CLOUD_PROJECT` when absent.
    pub project: Option<String>,
    /// URL of the service; `https://secretmanager.googleapis.com` when absent.
    pub endpoint: Option<String>,
    /// URL of Cloud KMS, where that wraps a master key; `https://cloudkms.googleapis.com` when absent.
    pub kms_endpoint: Option<String>,
    /// Credentials; Application Default Credentials when absent.
    pub auth: GcpConfig,
}

/// Azure Key Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AzureSecretsConfig {
    /// URL of the vault, such as `https://name.vault.azure.net`.
    pub vault: Option<String>,
    /// Credentials; the environment, then the managed identity when absent.
    pub auth: EntraConfig,
}

/// Secrets of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesSecretsConfig {
    /// URL of the API; that of the cluster that this runs in when absent.
    pub server: Option<String>,
    /// Namespace of secrets that are named without one; this pod's when absent.
    pub namespace: Option<String>,
    /// File of the token; the service account's when absent. Read anew each time.
    pub token_file: Option<PathBuf>,
    /// Certificates of the API, PEM; the service account's when absent.
    pub ca_file: Option<PathBuf>,
}
