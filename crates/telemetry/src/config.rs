//! The `telemetry` block of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where traces, metrics and the access log go. Prometheus metrics are always at `/metrics` of the admin listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// An OpenTelemetry collector's gRPC address, such as `http://127.0.0.1:4317`. Off when absent.
    pub otlp: Option<String>,
    /// One line for each request, on standard output.
    pub access_log: AccessLogFormat,
    /// Whether prompts and answers may be part of traces. Not supported yet: must stay false.
    pub capture_content: bool,
}

/// How the access log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogFormat {
    /// Not at all.
    #[default]
    Off,
    /// One JSON object a line.
    Json,
    /// One readable line.
    Text,
}
