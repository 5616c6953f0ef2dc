//! Providers, ready to be reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pointsman_catalog::BatchFacts;
use pointsman_governance::Gate;
use pointsman_upstream::balance::Policy;
use pointsman_upstream::{
    Credential, Endpoint, HumanDuration, RetryBudget, RetryPolicy, Timeouts, TimeoutsConfig,
};
use pointsman_wire::form::MaxTokensName;
use pointsman_wire::format::Format;

use super::{Shape, Speech, Template, are_kin};

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
    pub credential: Arc<Credential>,
    /// Headers it wants on every request.
    pub headers: HeaderMap,
    /// How long is waited.
    pub timeouts: Patience,
    /// How often and on what it is tried again.
    pub retry: Arc<RetryPolicy>,
    /// Bounds retries to a share of the traffic; survives reloads.
    pub retry_budget: Arc<RetryBudget>,
    /// What is changed of requests on their way to it.
    pub shape: Arc<Shape>,
    /// What it understands.
    pub speaks: Speaks,
    /// Models it serves, beside those of the catalog.
    pub listed: Vec<String>,
    /// What all callers together may send to it.
    pub gate: Gate,
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For each phase of an exchange.
    pub exchange: Timeouts,
    /// For the first content of a stream.
    pub first_token: Option<Duration>,
}

impl From<&TimeoutsConfig> for Patience {
    fn from(config: &TimeoutsConfig) -> Self {
        Self {
            exchange: Timeouts::from(config),
            first_token: config.first_token.map(HumanDuration::get),
        }
    }
}

/// What a provider understands.
#[derive(Debug, Clone)]
pub struct Speaks {
    /// Chat formats it speaks, the preferred one first.
    pub formats: Vec<Speech>,
    /// Paths of everything else, by the catalog's names of them.
    pub endpoints: HashMap<String, Template>,
    /// Path for token counting (Anthropic's shape), where it has it.
    pub count_tokens: Option<String>,
    /// Its own batches, where it has them.
    pub batches: Option<Batches>,
    /// Path of its realtime sessions (OpenAI's protocol), the model in its query, where it has them.
    pub realtime: Option<Template>,
    /// Under which name it takes the completion limit.
    pub max_tokens_name: MaxTokensName,
    /// Whether it knows the role `developer`.
    pub developer_role: bool,
    /// Whether it takes schemas for answers; else `json_object` at most.
    pub schemas: bool,
    /// Anthropic's features under test that it has, and what it calls them; all, under their own names, when absent.
    pub betas: Option<Vec<(String, String)>>,
    /// Whether it takes any model name (a server of one's own), not only those of the catalog.
    pub any_model: bool,
}

/// A provider's own batches.
#[derive(Debug, Clone)]
pub struct Batches {
    /// What is known of them.
    pub facts: BatchFacts,
    /// Their path.
    pub path: String,
    /// Path of the files of their lines; empty where there are none.
    pub files: String,
}

impl Speaks {
    /// How to speak to the provider about `model` for a client of format `client`: in the client's own format if it
    /// can be, else in the next of kin, else in the one the provider likes best.
    pub fn for_client(&self, client: Format, model: &str) -> Option<&Speech> {
        let fitting = self.formats.iter().filter(|speech| speech.is_for(model));
        let own = fitting.clone().find(|speech| speech.format == client);
        let kin = || fitting.clone().find(|speech| are_kin(speech.format, client));
        // Text completions cannot carry a conversation: only a client that speaks them is answered with them.
        own.or_else(kin).or_else(|| {
            fitting
                .clone()
                .find(|speech| speech.format != Format::OpenAiCompletions)
        })
    }

    /// The path of an endpoint beside chat, for `model`; none where the provider has no such endpoint.
    pub fn endpoint(&self, name: &str, model: &str) -> Option<String> {
        self.endpoints.get(name).map(|path| path.fill(model).into_owned())
    }

    /// How to speak `format`, whatever the model.
    pub fn in_format(&self, format: Format) -> Option<&Speech> {
        self.formats.iter().find(|speech| speech.format == format)
    }
}
