//! One server of a provider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ClientCertificateConfig;

/// One server of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Base URL, `http://` or `https://`; a path becomes the prefix of every request's path.
    pub url: String,
    /// Share of the traffic among endpoints of the same priority. 0 drains the endpoint: it gets no new requests.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Endpoints with the lowest number are used first; the next number only when none of these is available.
    #[serde(default)]
    pub priority: u32,
    /// HTTP version to speak.
    #[serde(default)]
    pub http: HttpVersion,
    /// Whether it may have an address of the link itself, where clouds' metadata services are: they tell credentials to
    /// whoever asks.
    #[serde(default)]
    pub link_local: bool,
    /// The certificate of the provider's `auth.client_certificate`; not written here.
    #[serde(skip)]
    pub client_certificate: Option<ClientCertificateConfig>,
}

/// HTTP version to speak to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpVersion {
    /// Over TLS what the server prefers of HTTP/2 and HTTP/1.1; HTTP/1.1 over plain TCP.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; over plain TCP the server must know it too (prior knowledge).
    Http2,
}

impl EndpointConfig {
    /// An endpoint at `url`, everything else as by default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            weight: default_weight(),
            priority: 0,
            http: HttpVersion::Auto,
            link_local: false,
            client_certificate: None,
        }
    }
}

fn default_weight() -> u32 {
    1
}
