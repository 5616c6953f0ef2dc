//! The configuration, compiled: immutable, shared by all requests, swapped as a whole by a reload.
//!
//! What must survive a reload (endpoint health, breaker state, retry budgets, counters, the cache) is not in here but
//! behind the `Arc`s that a new snapshot takes over from [`Lasting`].

mod agents;
mod compile;
mod model;
mod pattern;
mod place;
mod provider;
mod proxies;
mod recall;
mod resolve;
mod shape;
mod speech;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use pointsman_a2a::seal::Sealer;
use pointsman_cache::{CacheKey, Scope};
use pointsman_catalog::Catalog;
use pointsman_config::PromptsConfig;
use pointsman_config::{AuditConfig, BatchesConfig, FilesConfig, RealtimeConfig};
use pointsman_governance::oidc::OidcConfig;
use pointsman_governance::{ModelLimits, Principal};
use pointsman_guard::GuardSet;
use pointsman_mcp::Hub;
use pointsman_routing::Router;
use pointsman_semantics::similar::Point;
use pointsman_store::{Aliases, MasterKeys};
use pointsman_understanding::Understanding;
use pointsman_upstream::FetchBounds;
use secrecy::SecretString;

use crate::pace::Pace;
use crate::signals::Examples;
use crate::tokens::Trusted;
use crate::vouched::Vouchers;

pub use compile::{Lasting, Problem, compile};
pub use model::{Fallback, Model, Target};
pub use pattern::Pattern;
pub use provider::{Batches, Patience, Provider};
pub use proxies::Proxies;
pub use recall::bounds as cache_bounds;
pub use resolve::Unresolved;
pub use shape::Shape;
pub use speech::{Envelope, Speech, Template, are_kin};

/// Everything the road needs to know about the configuration.
pub struct Snapshot {
    /// Sizes and times.
    pub bounds: Bounds,
    /// What is known of providers and models.
    pub catalog: Arc<Catalog>,
    /// Providers by their configured name.
    pub providers: HashMap<String, Arc<Provider>>,
    /// Models by the name clients ask for.
    pub models: HashMap<String, Arc<Model>>,
    /// Models whose name holds a `*`, the longest name first.
    pub patterns: Vec<Pattern>,
    /// The semantic router.
    pub router: Option<Router>,
    /// How fast the router's models are, and how busy.
    pub paces: HashMap<String, Arc<Pace>>,
    /// Examples that the router compares prompts with.
    pub examples: Examples,
    /// Who understands prompts; loads what it needs when it is first asked, and outlasts a reload that leaves it as it is.
    pub understanding: Arc<Understanding>,
    /// Guardrails.
    pub guards: GuardSet,
    /// What is put around conversations.
    pub prompts: PromptsConfig,
    /// Whether and for whom answers are remembered.
    pub cache: Option<CachePolicy>,
    /// The same for decisions that say so of their own answers, before what they say is put in its place.
    pub cache_of_decisions: Option<CachePolicy>,
    /// From what the secrets of callers who sign are made, if they may come.
    pub signing: Option<SecretString>,
    /// What seals secrets of the database, if anything does.
    pub master_keys: Option<Arc<MasterKeys>>,
    /// What the audit log holds.
    pub audit: AuditConfig,
    /// Who comes without a key, if anyone may.
    pub anonymous: Option<Arc<Principal>>,
    /// Names of models for all callers, each with the model that it stands for.
    pub aliases: Aliases,
    /// What all callers together may ask of models.
    pub limited: ModelLimits,
    /// Proxies that are believed when they say for whom they ask.
    pub proxies: Proxies,
    /// Identity providers whose tokens are accepted.
    pub issuers: Vec<Arc<Trusted>>,
    /// Who may vouch for callers without a key.
    pub vouchers: Vouchers,
    /// Where people sign in to the admin API.
    pub sign_in: Option<Arc<OidcConfig>>,
    /// What is kept of responses.
    pub responses: ResponsesPolicy,
    /// Tokens reserved for an answer whose length the client did not bound.
    pub default_completion: u64,
    /// What clients may leave here.
    pub keeping: Keeping,
    /// Which files are fetched for providers that take no URLs.
    pub media: Option<MediaPolicy>,
    /// MCP servers.
    pub mcp: McpPolicy,
    /// A2A agents.
    pub a2a: A2aPolicy,
}

/// MCP servers, and who may call.
#[derive(Clone)]
pub struct McpPolicy {
    /// The servers.
    pub hub: Arc<Hub>,
    /// Whether clients can only come from this machine: then the host they call must be one of its own names.
    pub is_local: bool,
    /// Another one for each configuration: what guardrails have said of a definition is of one.
    pub revision: u64,
}

/// A2A agents, and where they reach the gateway.
#[derive(Clone)]
pub struct A2aPolicy {
    /// The agents.
    pub hub: Arc<pointsman_a2a::Hub>,
    /// Where agents reach the gateway: as the operator says, or the listener's own address, if it is one.
    pub base: Option<String>,
    /// Seals where clients want to be told.
    pub sealer: Arc<Sealer>,
}

/// What clients may leave here, and how it is worked off.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Files.
    pub files: FilesConfig,
    /// Batches.
    pub batches: BatchesConfig,
    /// Whether clients come over TLS: for the addresses they are told.
    pub tls: bool,
}

/// Sizes and times that bound every request.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most bytes of a request body.
    pub request_limit: usize,
    /// Most bytes of a whole (not streamed) answer.
    pub response_limit: usize,
    /// Most bytes of a request head.
    pub header_limit: usize,
    /// Longest wait for a request head.
    pub header_timeout: Duration,
    /// Longest wait for a request body.
    pub request_timeout: Duration,
    /// Longest wait for open requests when the gateway stops.
    pub drain: Duration,
    /// Of realtime sessions.
    pub realtime: RealtimeConfig,
}

/// Which files, that requests name by URL, are fetched for providers that take no URLs.
#[derive(Debug, Clone)]
pub struct MediaPolicy {
    /// How far a fetch may go.
    pub bounds: FetchBounds,
    /// Most files of a request.
    pub max_files: usize,
}

/// What is kept of responses.
#[derive(Debug, Clone, Copy)]
pub struct ResponsesPolicy {
    /// Whether any is.
    pub store: bool,
    /// Whether the gateway keeps them, or the provider.
    pub here: bool,
    /// Most bytes of one.
    pub max_bytes: usize,
    /// Most that run in the background at once.
    pub max_background: usize,
}

/// For whom and how long answers are remembered.
#[derive(Debug, Clone)]
pub struct CachePolicy {
    /// Who may see whose answers.
    pub scope: Scope,
    /// How long.
    pub ttl: Duration,
    /// How long a request waits for another that is the same.
    pub wait: Duration,
    /// How long past that time they are still given, while they are asked for anew.
    pub stale: Duration,
    /// How long refusals are remembered.
    pub errors: Duration,
    /// Of all in the configuration that changes answers.
    pub revision: CacheKey,
    /// Decisions look at who asks.
    pub routes_by_caller: bool,
    /// Headers in which callers bring credentials of their own for providers.
    pub credentials: Vec<HeaderName>,
    /// What else keeps answers apart: the decision, and what it depends on.
    pub apart: Vec<String>,
    /// Whether and how questions that ask the same are answered alike.
    pub semantic: Option<SemanticPolicy>,
}

/// How questions that ask the same are answered alike.
#[derive(Debug, Clone, Copy)]
pub struct SemanticPolicy {
    /// How long answers are remembered.
    pub ttl: Duration,
    /// How sure it must be that both ask the same.
    pub point: Point,
    /// How like questions must be at least, whatever else is looked at: the cosine of their vectors.
    pub least: Option<f32>,
    /// Only count.
    pub shadow: bool,
    /// Most bytes of a question.
    pub longest: usize,
    /// How long a request waits until its question is understood.
    pub deadline: Duration,
}
