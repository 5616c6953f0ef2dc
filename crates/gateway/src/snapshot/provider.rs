//! Providers, ready to be reached.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pointsman_upstream::balance::Policy;
use pointsman_upstream::{Credential, Endpoint, RetryBudget, RetryPolicy, Timeouts};
use pointsman_wire::form::MaxTokensName;
use pointsman_wire::format::Format;

/// A provider: its servers, how to speak to them and how to be let in.
pub struct Provider {
    /// Its name in the configuration.
    pub name: String,
    /// Its id in the catalog, for metrics and prices.
    pub kind: String,
    /// Where in the world it is, where that has a price of its own.
    pub region: Option<String>,
    /// Its servers.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// How a server is picked.
    pub balance: Policy,
    /// How to be let in.
    pub credential: Credential,
    /// Headers it wants on every request.
    pub headers: HeaderMap,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// How long the first content of a stream may take.
    pub first_token: Option<Duration>,
    /// How often and on what it is tried again.
    pub retry: Arc<RetryPolicy>,
    /// Bounds retries to a share of the traffic; survives reloads.
    pub retry_budget: Arc<RetryBudget>,
    /// What it understands.
    pub speaks: Speaks,
    /// Models it serves, beside those of the catalog.
    pub listed: Vec<String>,
}

/// What a provider understands.
#[derive(Debug, Clone)]
pub struct Speaks {
    /// Chat formats it speaks, the preferred one first, each with its path under the base URL.
    pub formats: Vec<(Format, String)>,
    /// Path for embeddings (OpenAI's shape), where it has them.
    pub embeddings: Option<String>,
    /// Path for token counting (Anthropic's shape), where it has it.
    pub count_tokens: Option<String>,
    /// Under which name it takes the completion limit.
    pub max_tokens_name: MaxTokensName,
    /// Whether it knows the role `developer`.
    pub developer_role: bool,
    /// Whether it takes any model name (a server of one's own), not only those of the catalog.
    pub any_model: bool,
}

impl Speaks {
    /// The format and path for a client that speaks `client`: its own if the provider knows it, else the preferred.
    pub fn for_client(&self, client: Format) -> Option<(Format, &str)> {
        let own = self.formats.iter().find(|(format, _)| *format == client);
        // Text completions cannot carry a conversation: only a client that speaks them is answered with them.
        let preferred = || {
            self.formats
                .iter()
                .find(|(format, _)| *format != Format::OpenAiCompletions)
        };
        own.or_else(preferred)
            .map(|(format, path)| (*format, path.as_str()))
    }
}
