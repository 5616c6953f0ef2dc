//! The configuration's types; their comments are its published reference.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use pointsman_a2a::A2aConfig;
use pointsman_alerts::AlertsConfig;
use pointsman_cache::CacheConfig;
use pointsman_catalog::Price;
use pointsman_governance::{IdentityConfig, LimitsConfig, ProviderLimits};
use pointsman_guard::GuardrailConfig;
use pointsman_mcp::McpConfig;
use pointsman_routing::RoutingConfig;
use pointsman_telemetry::TelemetryConfig;
use pointsman_understanding::UnderstandingConfig;
use pointsman_upstream::config::{Secret, SecretsConfig};
use pointsman_upstream::{
    AuthConfig, BalanceConfig, EndpointConfig, HealthConfig, HumanDuration, RetryConfig, TimeoutsConfig,
    UpstreamConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::CatalogConfig;
use crate::kept::{BatchesConfig, FilesConfig};
use crate::media::MediaConfig;
use crate::prompts::PromptsConfig;
use crate::realtime::RealtimeConfig;
use crate::responses::ResponsesConfig;
use crate::shape::RequestConfig;

/// pointsman.yaml.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listeners: ListenersConfig,
    /// Where it keeps what lasts.
    pub stores: StoresConfig,
    /// Sizes, times and threads.
    pub server: ServerConfig,
    /// How providers are reached.
    pub upstream: UpstreamConfig,
    /// Where secrets are that are not in this file.
    pub secrets: SecretsConfig,
    /// What the audit log holds, and for how long.
    pub audit: AuditConfig,
    /// Who answers.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Names that clients ask for. A name may hold one `*`, which stands for any run of letters; a `*` in the `model`
    /// of its targets becomes what it stood for. Names come before patterns, longer patterns before shorter ones.
    pub models: BTreeMap<String, ModelConfig>,
    /// What is known of providers and models, beside what the catalog knows.
    pub catalog: CatalogConfig,
    /// From a prompt to a model.
    pub routing: Option<RoutingConfig>,
    /// How prompts are understood.
    pub understanding: UnderstandingConfig,
    /// What may go in and out, in this order.
    pub guardrails: Vec<GuardrailConfig>,
    /// Whether answers are remembered.
    pub cache: CacheConfig,
    /// What is kept of responses.
    pub responses: ResponsesConfig,
    /// Limits of keys that have none of their own.
    pub limits: LimitsConfig,
    /// Who may come in.
    pub identity: IdentityConfig,
    /// Who is told.
    pub telemetry: TelemetryConfig,
    /// Who is told of what goes wrong.
    pub alerts: AlertsConfig,
    /// Files that clients keep here.
    pub files: FilesConfig,
    /// Batches.
    pub batches: BatchesConfig,
    /// What is put around conversations, and texts that clients call by name.
    pub prompts: PromptsConfig,
    /// MCP servers.
    pub mcp: McpConfig,
    /// A2A agents.
    pub a2a: A2aConfig,
}

/// Where it listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenersConfig {
    /// For applications.
    pub api: ApiListener,
    /// For operators: metrics and health.
    pub admin: PlainListener,
    /// Envoy's external processing. Not supported in this version.
    pub extproc: Option<serde_json::Value>,
}

/// The listener for applications.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiListener {
    /// Address and port.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP when absent.
    pub tls: Option<TlsListenerConfig>,
}

impl Default for ApiListener {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
        }
    }
}

/// Certificate and key of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsListenerConfig {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Client certificates must be signed by one of these, PEM.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// A listener without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlainListener {
    /// Address and port.
    #[schemars(with = "String")]
    pub address: SocketAddr,
}

impl Default for PlainListener {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 9090)),
        }
    }
}

/// Where it keeps what lasts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoresConfig {
    /// Keys, holders, ledger and audit log: `sqlite://FILE`, with files, batches and responses, for one machine; or
    /// `postgres://USER:PASSWORD@HOST/NAME` for many replicas. With `?sslmode=`, `sslrootcert=` and `connections=`;
    /// another machine is spoken to over TLS unless `sslmode` is `disable`. Files, batches and responses then stay with each
    /// replica, in `local`.
    pub database: String,
    /// How many whole months of the ledger PostgreSQL keeps beside the one that runs; older ones are dropped, and what they
    /// summed up to is kept. All of them when absent.
    #[schemars(range(min = 1, max = 1200))]
    pub ledger_months: Option<u32>,
    /// Counters of limits and budgets: `memory`, or the Redis or Valkey server on which all replicas count, as
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS.
    pub shared: Secret,
    /// What happens, while that server does not answer, to requests that need more of a limit than this replica holds.
    pub shared_down: SharedDown,
    /// With `shared_down: local`: how many hundredths of each limit, and of what was left of each budget, every replica
    /// may use on its own.
    #[schemars(range(min = 1, max = 100))]
    pub shared_local_percent: u8,
    /// Vectors: `memory`. Other engines are not supported in this version.
    pub vectors: String,
    /// Files: `file://FOLDER`, or `s3://BUCKET/PREFIX?region=REGION` with the keys of the usual AWS chain;
    /// `&endpoint=URL` for what speaks like S3.
    pub blobs: String,
    /// A local folder for the usage journal, uploads under way and results of batches under way; the folder of
    /// `blobs` when absent, or `./data` where that is a bucket.
    pub local: Option<PathBuf>,
}

/// What happens while the server that counts does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SharedDown {
    /// They are refused, 503: nothing is ever exceeded.
    #[default]
    Closed,
    /// Each replica admits a share of its own, which may pass limits by that much.
    Local,
}

impl StoresConfig {
    /// Whether other replicas count, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.expose() != "memory"
    }

    /// The local folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let blobs = || self.blobs.strip_prefix("file://").unwrap_or("./data");
        self.local.clone().unwrap_or_else(|| PathBuf::from(blobs()))
    }

    /// The SQLite database of what stays on this machine: all there is, unless many machines share another.
    #[must_use]
    pub fn local_database(&self) -> String {
        if self.database.starts_with("sqlite:") {
            self.database.clone()
        } else {
            format!("sqlite://{}", self.folder().join("local.db").display())
        }
    }
}

impl Default for StoresConfig {
    fn default() -> Self {
        Self {
            database: "sqlite://pointsman.db".to_owned(),
            ledger_months: None,
            shared: "memory".into(),
            shared_down: SharedDown::default(),
            shared_local_percent: 10,
            vectors: "memory".to_owned(),
            blobs: "file://./data".to_owned(),
            local: None,
        }
    }
}

/// Sizes, times and threads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Threads that serve requests; as many as there are cores when absent.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<usize>,
    /// Most bytes of a request body, before and after decompression.
    pub request_limit: usize,
    /// Most bytes of a whole (not streamed) answer.
    pub response_limit: usize,
    /// Most bytes of a request head.
    #[schemars(range(min = 8192, max = 1_048_576))]
    pub header_limit: usize,
    /// Longest wait for a request head.
    pub header_timeout: HumanDuration,
    /// Longest wait for a request body.
    pub request_timeout: HumanDuration,
    /// Longest wait for open requests when stopping.
    pub drain: HumanDuration,
    /// Tokens set aside for an answer whose length the client does not bound.
    pub default_completion_tokens: u64,
    /// Networks of proxies that are believed when they say for whom they ask (`x-forwarded-for`, `x-forwarded-proto`).
    pub trusted_proxies: Vec<String>,
    /// Files that requests name by URL.
    pub media: MediaConfig,
    /// Bounds of realtime sessions.
    pub realtime: RealtimeConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            workers: None,
            request_limit: 64 * 1024 * 1024,
            response_limit: 256 * 1024 * 1024,
            header_limit: 65_536,
            header_timeout: HumanDuration::from_secs(30),
            request_timeout: HumanDuration::from_secs(120),
            drain: HumanDuration::from_secs(30),
            default_completion_tokens: 1_024,
            trusted_proxies: Vec::new(),
            media: MediaConfig::default(),
            realtime: RealtimeConfig::default(),
        }
    }
}

impl ServerConfig {
    /// How many workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.unwrap_or_else(cores).max(1)
    }
}

/// A provider.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderConfig {
    /// Id in the catalog; the provider's own name when absent.
    pub kind: Option<String>,
    /// Where it is, when not where the catalog says.
    pub base_url: Option<String>,
    /// How to be let in.
    pub auth: AuthConfig,
    /// Its servers, when it has several.
    pub endpoints: Vec<EndpointConfig>,
    /// How a server is picked.
    pub balance: BalanceConfig,
    /// How long is waited.
    pub timeouts: TimeoutsConfig,
    /// How often and on what it is tried again.
    pub retry: RetryConfig,
    /// When a server rests.
    pub health: HealthConfig,
    /// Headers that go with every request.
    pub headers: BTreeMap<String, String>,
    /// Models it serves, beside those of the catalog.
    pub models: Vec<String>,
    /// AWS region (`aws-bedrock`, or to sign for with `auth.aws`).
    pub region: Option<String>,
    /// Google Cloud project (`gcp-vertex`).
    pub project: Option<String>,
    /// Google Cloud location (`gcp-vertex`), such as `europe-west4` or `global`.
    pub location: Option<String>,
    /// API version (`azure-openai`). A date asks for paths with the deployment in them; absent or `v1` for the newer
    /// ones, which need none; `preview` for those with what is not settled yet.
    pub api_version: Option<String>,
    /// What is changed of requests to it.
    pub request: RequestConfig,
    /// What all callers together may send to it.
    pub limits: ProviderLimits,
}

/// A name that clients ask for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Where it can be had.
    pub targets: Vec<TargetConfig>,
    /// How a target is picked.
    pub balance: BalanceConfig,
    /// How often and on what it is tried again; as its providers say when absent.
    pub retry: Option<RetryConfig>,
    /// How long is waited; as its providers say when absent.
    pub timeouts: Option<TimeoutsConfig>,
    /// Which models take over.
    pub fallback: FallbackConfig,
    /// Guardrails that act on requests that may be answered by it, beside those that always do; by their names.
    pub guardrails: Vec<String>,
    /// Its price, when not what the catalog says: dollars for a million tokens, and what else the catalog knows.
    pub price: Option<Price>,
    /// What is changed of requests for it.
    pub request: RequestConfig,
}

/// A provider and its name of the model, or an agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["provider", "model"] }, { "required": ["agent"] }]))]
pub struct TargetConfig {
    /// The provider.
    #[serde(default)]
    pub provider: String,
    /// Its name of the model.
    #[serde(default)]
    pub model: String,
    /// An agent of `a2a.agents`, in the place of a provider and its model.
    #[serde(default)]
    pub agent: Option<String>,
    /// The format it is spoken to in; when absent the client's own, if the provider speaks it.
    #[serde(default)]
    pub format: Option<String>,
    /// How long is waited; as the model says when absent.
    #[serde(default)]
    pub timeouts: Option<TimeoutsConfig>,
    /// What is changed of requests to it.
    #[serde(default)]
    pub request: Option<RequestConfig>,
    /// Share of the traffic among targets of the same priority.
    #[serde(default = "one")]
    pub weight: u32,
    /// Lower is first.
    #[serde(default)]
    pub priority: u32,
}

fn one() -> u32 {
    1
}

/// Which models take over, by what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// Any failure that another model may not have.
    pub any: Vec<String>,
    /// The prompt does not fit.
    pub context_window: Vec<String>,
    /// The provider refuses the content.
    pub content_policy: Vec<String>,
}

/// What the audit log holds, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Whether it is written down who reads what is sensitive: the log itself, recorded decisions, remembered answers,
    /// secrets, grants.
    pub reads: bool,
    /// After so many days rows are taken out; never when absent.
    #[schemars(range(min = 1))]
    pub keep_days: Option<u32>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            reads: true,
            keep_days: None,
        }
    }
}
