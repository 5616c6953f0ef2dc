//! The configuration, compiled: immutable, shared by all requests, swapped as a whole by a reload.
//!
//! What must survive a reload (endpoint health, breaker state, retry budgets, counters, the cache) is not in here but
//! behind the `Arc`s that a new snapshot takes over from [`Lasting`].

mod compile;
mod model;
mod pattern;
mod place;
mod provider;
mod resolve;
mod shape;
mod speech;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pointsman_cache::Scope;
use pointsman_catalog::Catalog;
use pointsman_config::PromptsConfig;
use pointsman_config::{BatchesConfig, FilesConfig, RealtimeConfig};
use pointsman_governance::Principal;
use pointsman_guard::Guards;
use pointsman_routing::Router;
use pointsman_understanding::Understanding;
use pointsman_upstream::FetchBounds;
use secrecy::SecretString;

use crate::signals::Examples;

pub use compile::{Lasting, Problem, cache_bounds, compile};
pub use model::{Fallback, Model, Target};
pub use pattern::Pattern;
pub use provider::{Batches, Patience, Provider};
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
    /// Examples that the router compares prompts with.
    pub examples: Examples,
    /// Who understands prompts; loads what it needs when it is first asked, and outlasts a reload that leaves it as it is.
    pub understanding: Arc<Understanding>,
    /// Guardrails.
    pub guards: Guards,
    /// What is put around conversations.
    pub prompts: PromptsConfig,
    /// Whether and for whom answers are remembered.
    pub cache: Option<CachePolicy>,
    /// From what the secrets of callers who sign are made, if they may come.
    pub signing: Option<SecretString>,
    /// Who comes without a key, if anyone may.
    pub anonymous: Option<Arc<Principal>>,
    /// What is kept of responses.
    pub responses: ResponsesPolicy,
    /// Tokens reserved for an answer whose length the client did not bound.
    pub default_completion: u64,
    /// What clients may leave here.
    pub keeping: Keeping,
    /// Which files are fetched for providers that take no URLs.
    pub media: Option<MediaPolicy>,
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
#[derive(Debug, Clone, Copy)]
pub struct CachePolicy {
    /// Who may see whose answers.
    pub scope: Scope,
    /// How long.
    pub ttl: Duration,
}
