//! From a configuration to a snapshot.

mod named;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use pointsman_a2a::seal::Sealer;
use pointsman_catalog::{Catalog, Quirk};
use pointsman_config::{Config, ModelConfig, ProviderConfig, RequestConfig, StateKeeper, TargetConfig};
use pointsman_governance::jwt::JwtConfig;
use pointsman_governance::{Anonymous, Gates, ModelLimits, Principal, Sharing};
use pointsman_guard::GuardSet;
use pointsman_mcp::Hub;
use pointsman_mcp::agents::Agents;
use pointsman_mcp::board::Board;
use pointsman_mcp::oauth::Grants;
use pointsman_mcp::parked::Lot;
use pointsman_routing::Router;
use pointsman_store::{MasterKeys, SharedSessions, Store, StoreError};
use pointsman_understanding::{Origin, Role, Understanding};
use pointsman_upstream::{
    AuthStyle, CredentialRegistry, EndpointRegistry, FetchBounds, RetryBudget, RetryPolicy, balance::Policy,
};
use pointsman_wire::form::MaxTokensName;
use pointsman_wire::format::Format;

use crate::pace::Paces;
use crate::road::{A2aLasting, AgentCards, McpDescribed, McpPipes, tool_reader};
use crate::signals::Examples;
use crate::tokens::Trusted;
use crate::vouched::Vouchers;

use super::{
    A2aPolicy, Batches, Bounds, Fallback, Keeping, McpPolicy, MediaPolicy, Model, Patience, Pattern,
    Provider, Proxies, ResponsesPolicy, Shape, Snapshot, Speech, Target, Template, place, provider::Speaks,
    recall,
};

/// Something that cannot be carried out. The configuration's own checks name places; this is what they cannot see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Where in the configuration.
    pub path: String,
    /// What.
    pub message: String,
}

/// State that outlives a configuration.
#[derive(Default)]
pub struct Lasting {
    endpoints: Mutex<EndpointRegistry>,
    credentials: CredentialRegistry,
    budgets: Mutex<HashMap<String, Arc<RetryBudget>>>,
    anonymous: Mutex<Option<Arc<Principal>>>,
    limited: Mutex<ModelLimits>,
    gates: Mutex<Gates>,
    issuers: Mutex<Vec<Arc<Trusted>>>,
    /// With whom limits are counted together, where this process is not alone.
    pub sharing: Option<Arc<Sharing>>,
    understanding: Mutex<Option<Arc<Understanding>>>,
    hub: Mutex<Option<Arc<Hub>>>,
    /// Configurations so far.
    revisions: AtomicU64,
    /// How fast models are.
    paces: Paces,
    agents: Mutex<Option<Arc<pointsman_a2a::Hub>>>,
    /// Sessions with MCP servers, and who listens to them.
    pub board: Arc<Board>,
    /// What authorization servers say of themselves.
    pub described: McpDescribed,
    /// Streams of MCP clients of the first transport.
    pub pipes: McpPipes,
    /// Requests to MCP servers that wait for their clients.
    pub lot: Lot,
    /// Whose tasks of A2A agents are whose.
    pub a2a: A2aLasting,
}

impl Lasting {
    /// Nothing yet; limits are counted together with these, and sessions shared with those. What MCP servers grant lasts
    /// in `grants`.
    pub fn counting(
        sharing: Option<Arc<Sharing>>,
        sessions: Option<Arc<dyn SharedSessions>>,
        grants: Option<Arc<dyn Grants>>,
    ) -> Self {
        Self {
            sharing,
            a2a: A2aLasting::sharing(sessions.clone()),
            board: Arc::new(Board::sharing(sessions, grants)),
            ..Self::default()
        }
    }

    /// Has the limits of providers hold that the configuration says which was compiled last, and reads what was spent of
    /// budgets that are new. Blocks on the database.
    ///
    /// # Errors
    /// When it refuses: then those limits stay that are in force.
    pub fn read_budgets(&self, store: &Store) -> Result<(), StoreError> {
        self.gates.lock().read(store, self.sharing.as_ref())
    }
}

/// Compiles a configuration.
///
/// # Errors
/// Everything that cannot be carried out.
pub fn compile(config: &Config, lasting: &Lasting) -> Result<Snapshot, Vec<Problem>> {
    lasting.gates.lock().begin();
    let mut compiler = Compiler {
        config,
        catalog: Arc::new(config.catalog.build()),
        lasting,
        problems: Vec::new(),
    };
    let snapshot = compiler.snapshot();
    if compiler.problems.is_empty() {
        *lasting.understanding.lock() = Some(Arc::clone(&snapshot.understanding));
        *lasting.agents.lock() = Some(Arc::clone(&snapshot.a2a.hub));
        let agents: Arc<dyn Agents> = Arc::new(AgentCards(Arc::clone(&snapshot.a2a.hub)));
        snapshot.mcp.hub.know(&agents);
        let before = lasting.hub.lock().replace(Arc::clone(&snapshot.mcp.hub));
        if let Some(before) = before {
            before.leave_to(&snapshot.mcp.hub);
        }
        Ok(snapshot)
    } else {
        Err(compiler.problems)
    }
}

/// What clients may leave here.
fn keeping(config: &Config) -> Keeping {
    Keeping {
        files: config.files.clone(),
        batches: config.batches.clone(),
        tls: config.listeners.api.tls.is_some(),
    }
}

/// From what the secrets of callers who sign are made.
fn signing(config: &Config) -> Option<secrecy::SecretString> {
    let secret = config.identity.signing_secret.as_ref();
    secret.map(|secret| secret.expose().into())
}

/// What is kept of responses.
fn responses(config: &Config) -> ResponsesPolicy {
    let said = config.responses;
    ResponsesPolicy {
        store: said.store,
        here: said.state == StateKeeper::Gateway,
        max_bytes: said.max_bytes,
        max_background: said.max_background,
    }
}

/// Who can be a target: providers by their names, and agents.
type Known<'k> = (&'k HashMap<String, Arc<Provider>>, &'k pointsman_a2a::Hub);

struct Compiler<'a> {
    config: &'a Config,
    catalog: Arc<Catalog>,
    lasting: &'a Lasting,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn wrong(&mut self, path: impl Into<String>, message: impl ToString) {
        self.problems.push(Problem {
            path: path.into(),
            message: message.to_string(),
        });
    }

    fn snapshot(&mut self) -> Snapshot {
        let config = self.config;
        let mut providers = HashMap::new();
        for (name, provider) in &config.providers {
            if let Some(provider) = self.provider(name, provider) {
                providers.insert(name.clone(), Arc::new(provider));
            }
        }
        let a2a = self.a2a();
        let mut models = HashMap::new();
        let mut patterns = Vec::new();
        for (name, model) in &config.models {
            let model = Arc::new(self.model(name, model, (&providers, &a2a.hub)));
            match Pattern::new(&model) {
                Some(pattern) => patterns.push(pattern),
                None => drop(models.insert(name.clone(), model)),
            }
        }
        self.embedding_models((&providers, &a2a.hub), &mut models);
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.length()));
        let router = config
            .routing
            .as_ref()
            .and_then(|routing| match Router::compile(routing) {
                Ok(router) => Some(router),
                Err(errors) => {
                    errors
                        .into_iter()
                        .for_each(|error| self.wrong(format!("routing.{}", error.path), error.message));
                    None
                }
            });
        let guards = self.guards();
        let understanding = self.understanding();
        let snapshot = Snapshot {
            bounds: bounds(config),
            catalog: Arc::clone(&self.catalog),
            providers,
            models,
            patterns,
            paces: self.lasting.paces.of(router.iter().flat_map(Router::models)),
            examples: router.as_ref().map(Examples::of).unwrap_or_default(),
            understanding: Arc::clone(&understanding),
            guards,
            prompts: config.prompts.clone(),
            cache_of_decisions: recall::of_decisions(config, router.as_ref()),
            cache: recall::policy(config),
            signing: signing(config),
            master_keys: self.master_keys(),
            audit: config.audit,
            anonymous: self.anonymous(),
            aliases: config.identity.aliases.clone(),
            limited: self.limited(),
            proxies: Proxies::new(&config.server.trusted_proxies),
            issuers: self.issuers(),
            vouchers: Vouchers::of(&config.identity),
            sign_in: config.identity.oidc.clone().map(Arc::new),
            responses: responses(config),
            media: media(config),
            mcp: self.mcp(&understanding, &a2a),
            a2a,
            default_completion: config.server.default_completion_tokens,
            keeping: keeping(config),
            router,
        };
        self.routed(&snapshot);
        snapshot
    }

    /// Guardrails, with what is known of their services.
    fn guards(&mut self) -> GuardSet {
        let compiled = GuardSet::compile(&self.config.guardrails, &self.lasting.endpoints.lock());
        compiled.unwrap_or_else(|errors| {
            errors
                .into_iter()
                .for_each(|error| self.wrong(format!("guardrails[{}]", error.index), error.message));
            GuardSet::default()
        })
    }

    /// What seals secrets of the database.
    fn master_keys(&mut self) -> Option<Arc<MasterKeys>> {
        match MasterKeys::read(&self.config.secrets) {
            Ok(keys) => keys.map(Arc::new),
            Err(why) => {
                self.wrong("secrets.store".to_owned(), why);
                None
            }
        }
    }

    /// MCP servers, with what is known of those that stay.
    fn mcp(&mut self, understanding: &Arc<Understanding>, a2a: &A2aPolicy) -> McpPolicy {
        let board = &self.lasting.board;
        // Sealed with the operator's secret, grants are good at every replica, and after a restart.
        if let Some(secret) = &self.config.identity.signing_secret {
            board.vault().seal_with(secret.expose());
        }
        let before = self.lasting.hub.lock().clone();
        let mut hub = Hub::following(&self.config.mcp, board, before.as_deref()).unwrap_or_else(|problems| {
            for (at, message) in problems {
                self.wrong(format!("mcp.{at}"), message);
            }
            Hub::empty(board)
        });
        hub.reader = Some(tool_reader(understanding));
        for (name, server) in &self.config.mcp.servers {
            if let Some(agent) = server
                .agent
                .as_ref()
                .filter(|agent| a2a.hub.agent(agent).is_none())
            {
                let message = format!("{agent:?} is the name of no agent (`a2a.agents`)");
                self.wrong(format!("mcp.servers.{name}.agent"), message);
            }
        }
        McpPolicy {
            hub: Arc::new(hub),
            is_local: self.config.listeners.api.address.ip().is_loopback(),
            revision: self.lasting.revisions.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A2A agents, with what is known of those that stay.
    fn a2a(&mut self) -> A2aPolicy {
        let before = self.lasting.agents.lock().clone();
        let hub = pointsman_a2a::Hub::following(&self.config.a2a, before.as_deref());
        let hub = hub.unwrap_or_else(|problems| {
            for (at, message) in problems {
                self.wrong(format!("a2a.{at}"), message);
            }
            pointsman_a2a::Hub::default()
        });
        let listener = &self.config.listeners.api;
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let is_place = !listener.address.ip().is_unspecified() && listener.address.port() != 0;
        let own = is_place.then(|| format!("{scheme}://{}", listener.address));
        let said = self.config.a2a.public_url.as_deref();
        let said = said.map(|url| url.trim_end_matches('/').to_owned());
        // Sealed with the operator's secret, addresses are good at every replica, and after a restart.
        let secret = self.config.identity.signing_secret.as_ref();
        let sealer = secret.map(|secret| Arc::new(Sealer::new(Some(secret.expose()))));
        A2aPolicy {
            hub: Arc::new(hub),
            base: said.or(own),
            sealer: sealer.unwrap_or_else(|| Arc::clone(&self.lasting.a2a.sealer)),
        }
    }

    /// Whoever understands prompts, with what was loaded before.
    fn understanding(&self) -> Arc<Understanding> {
        let config = &self.config.understanding;
        let before = self.lasting.understanding.lock().clone();
        match before {
            Some(before) if before.config() == config => before,
            before => Arc::new(Understanding::following(config, before.as_deref())),
        }
    }

    /// Embedding models at providers are models like all others, under the names of the `understanding` block.
    fn embedding_models(&mut self, known: Known<'_>, models: &mut HashMap<String, Arc<Model>>) {
        let config = self.config;
        for (name, said) in &config.understanding.models {
            if let (Role::Embedding, Some(Origin::Provider { provider, model })) = (said.role, said.origin())
            {
                let target = TargetConfig {
                    provider: provider.to_owned(),
                    model: model.to_owned(),
                    agent: None,
                    format: None,
                    timeouts: None,
                    request: None,
                    weight: 1,
                    priority: 0,
                };
                let alone = ModelConfig {
                    targets: vec![target],
                    ..ModelConfig::default()
                };
                models.insert(name.clone(), Arc::new(self.model(name, &alone, known)));
            }
        }
    }

    fn provider(&mut self, name: &str, config: &ProviderConfig) -> Option<Provider> {
        let path = format!("providers.{name}");
        let kind = config.kind.as_deref().unwrap_or(name);
        let catalog = Arc::clone(&self.catalog);
        let Some(facts) = catalog.provider(kind) else {
            self.wrong(path, format!("there is no provider kind {kind:?}"));
            return None;
        };
        // An alias is another name of the same kind.
        let style = match &facts.auth_header {
            None => AuthStyle::Bearer,
            Some(header) => AuthStyle::Header(HeaderName::try_from(header.as_str()).ok()?),
        };
        let auth = config.auth.clone().with_region(config.region.as_deref());
        let credential = self
            .lasting
            .credentials
            .credential(name, &auth, &style)
            .map_err(|error| self.wrong(format!("{path}.auth"), error))
            .ok()?;
        let mut endpoints = Vec::new();
        for mut endpoint in place::endpoints(config, &facts.id, facts.base_url.as_deref()) {
            endpoint
                .client_certificate
                .clone_from(&config.auth.client_certificate);
            match self
                .lasting
                .endpoints
                .lock()
                .endpoint(name, &endpoint, &config.health)
            {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => self.wrong(format!("{path}.endpoints"), error),
            }
        }
        let retry = RetryPolicy::compile(&config.retry)
            .map_err(|error| self.wrong(format!("{path}.retry"), error))
            .ok()?;
        let balance = Policy::compile(&config.balance)
            .map_err(|error| self.wrong(format!("{path}.balance"), error))
            .ok()?;
        Some(Provider {
            name: name.to_owned(),
            endpoints,
            balance,
            credential,
            headers: self.headers(&path, facts, config),
            timeouts: Patience::from(&config.timeouts),
            retry: Arc::new(retry),
            retry_budget: self.budget(name, config)?,
            shape: self.shape(&[(&path, &config.request)]),
            speaks: speaks(facts, config),
            listed: config.models.clone(),
            gate: self
                .lasting
                .gates
                .lock()
                .of(name, &config.limits, self.lasting.sharing.as_ref()),
            kind: facts.id.clone(),
            region: config.region.clone().or_else(|| config.location.clone()),
        })
    }

    fn budget(&mut self, name: &str, config: &ProviderConfig) -> Option<Arc<RetryBudget>> {
        let fresh = RetryBudget::compile(&config.retry.budget);
        let fresh = fresh
            .map_err(|error| self.wrong(format!("providers.{name}.retry.budget"), error))
            .ok()?;
        let mut budgets = self.lasting.budgets.lock();
        Some(Arc::clone(
            budgets.entry(name.to_owned()).or_insert_with(|| Arc::new(fresh)),
        ))
    }

    fn headers(
        &mut self,
        path: &str,
        facts: &pointsman_catalog::Provider,
        config: &ProviderConfig,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let own = config
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all = facts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(own);
        for (name, value) in all {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => self.wrong(format!("{path}.headers.{name}"), "is not a valid header"),
            }
        }
        headers
    }

    fn model(&mut self, name: &str, config: &ModelConfig, (providers, agents): Known<'_>) -> Model {
        let path = format!("models.{name}");
        let mut targets = Vec::new();
        for (index, target) in config.targets.iter().enumerate() {
            if let Some(agent) = target.agent.as_ref().and_then(|agent| agents.agent(agent)) {
                let stands_for_it = self.stand_in(&format!("{path}.targets[{index}].agent"), agent);
                targets.extend(stands_for_it.map(|provider| Target::of_agent(agent, provider, target)));
                continue;
            }
            let Some(provider) = providers.get(&target.provider) else {
                continue;
            };
            let format = self.format_of(&format!("{path}.targets[{index}]"), target, provider);
            let shape = self.shape_of((&path, config), index);
            let facts = provider.facts(&self.catalog, &target.model);
            let price = config.price.clone();
            let price = price.or_else(|| facts?.price.clone());
            targets.push(Target {
                provider: Arc::clone(provider),
                agent: None,
                model: target.model.clone(),
                format,
                shape,
                timeouts: target
                    .timeouts
                    .as_ref()
                    .or(config.timeouts.as_ref())
                    .map(Patience::from),
                weight: target.weight,
                priority: target.priority,
                price,
                max_output: facts.and_then(|facts| facts.max_output),
                features: facts.map(|facts| facts.features).unwrap_or_default(),
            });
        }
        let retry = config
            .retry
            .as_ref()
            .and_then(|retry| match RetryPolicy::compile(retry) {
                Ok(retry) => Some(Arc::new(retry)),
                Err(error) => {
                    self.wrong(format!("{path}.retry"), error);
                    None
                }
            });
        let balance = Policy::compile(&config.balance).unwrap_or_else(|error| {
            self.wrong(format!("{path}.balance"), error);
            Policy::default()
        });
        Model {
            name: name.to_owned(),
            targets,
            balance: Arc::new(balance),
            retry,
            fallback: Fallback {
                any: config.fallback.any.clone(),
                context_window: config.fallback.context_window.clone(),
                content_policy: config.fallback.content_policy.clone(),
            },
            guardrails: self.guardrails_of(name),
            agent: None,
            meets_agents: self.meets_agents(name),
        }
    }

    /// What is changed of requests to a target: as its provider's block says, its model's, and its own.
    fn shape_of(&mut self, (path, model): (&str, &ModelConfig), index: usize) -> Arc<Shape> {
        let target = &model.targets[index];
        let provider = self.config.providers.get(&target.provider);
        let mut blocks = Vec::new();
        let places = [
            format!("providers.{}", target.provider),
            path.to_owned(),
            format!("{path}.targets[{index}]"),
        ];
        blocks.extend(provider.map(|provider| (places[0].as_str(), &provider.request)));
        blocks.push((&places[1], &model.request));
        blocks.extend(target.request.as_ref().map(|block| (places[2].as_str(), block)));
        self.shape(&blocks)
    }

    fn shape(&mut self, blocks: &[(&str, &RequestConfig)]) -> Arc<Shape> {
        let mut shape = Shape::default();
        for (path, block) in blocks {
            let mut wrong = Vec::new();
            shape.add(block, &mut wrong);
            for (at, message) in wrong {
                self.wrong(format!("{path}.request.{at}"), message);
            }
        }
        Arc::new(shape)
    }

    /// The format a target is to be spoken to in, where the configuration says one.
    fn format_of(&mut self, path: &str, target: &TargetConfig, provider: &Provider) -> Option<Format> {
        let name = target.format.as_deref()?;
        let known = Format::from_name(name).filter(|format| provider.speaks.in_format(*format).is_some());
        if known.is_none() {
            let spoken: Vec<&str> = provider
                .speaks
                .formats
                .iter()
                .map(|speech| speech.format.name())
                .collect();
            let message = format!(
                "the provider {:?} does not speak {name:?}; it speaks {}",
                provider.name,
                spoken.join(", ")
            );
            self.wrong(format!("{path}.format"), message);
        }
        known
    }

    /// Issuers that stay as they are keep the keys that were read.
    fn issuers(&mut self) -> Vec<Arc<Trusted>> {
        let mut lasting = self.lasting.issuers.lock();
        let of = |config: &JwtConfig| {
            let known = lasting.iter().find(|known| known.config() == config);
            known.map_or_else(|| Trusted::new(config), Arc::clone)
        };
        let issuers: Vec<_> = self.config.identity.jwt.iter().map(of).collect();
        lasting.clone_from(&issuers);
        issuers
    }

    /// Limits of models keep their counters over a reload.
    fn limited(&self) -> ModelLimits {
        let mut lasting = self.lasting.limited.lock();
        lasting.set(&self.config.limits, self.lasting.sharing.as_ref());
        lasting.clone()
    }

    /// Callers without a key keep their counters over a reload, too.
    fn anonymous(&mut self) -> Option<Arc<Principal>> {
        if self.config.identity.anonymous == Anonymous::Deny {
            return None;
        }
        let limits = self.config.limits.default;
        let mut lasting = self.lasting.anonymous.lock();
        let sharing = self.lasting.sharing.as_ref();
        let principal = lasting.get_or_insert_with(|| Arc::new(Principal::anonymous_shared(limits, sharing)));
        principal.set_limits(limits);
        Some(Arc::clone(principal))
    }
}

fn speaks(facts: &pointsman_catalog::Provider, config: &ProviderConfig) -> Speaks {
    let placed = |path: &'_ str| -> String {
        if facts.id == "azure-openai" {
            place::azure(path, config.api_version.as_deref()).into_owned()
        } else {
            path.to_owned()
        }
    };
    let formats = facts
        .formats
        .iter()
        .filter_map(|(name, path)| Some(Speech::new(&facts.id, Format::from_name(name)?, &placed(path))));
    Speaks {
        formats: formats.chain(Speech::beside(&facts.id)).collect(),
        endpoints: facts
            .endpoints
            .iter()
            .map(|(name, path)| (name.clone(), Template::new(&placed(path))))
            .collect(),
        count_tokens: facts.endpoint("count_tokens").map(str::to_owned),
        batches: facts
            .batch
            .as_ref()
            .zip(facts.endpoint("batches"))
            .map(|(batch, path)| Batches {
                facts: batch.clone(),
                path: placed(path),
                files: facts.endpoint("files").map(placed).unwrap_or_default(),
            }),
        realtime: facts
            .endpoint("realtime")
            .map(|path| Template::new(&place::realtime(path, &facts.id, config.api_version.as_deref()))),
        max_tokens_name: if facts.quirks.has(Quirk::MaxCompletionTokens) {
            MaxTokensName::MaxCompletionTokens
        } else {
            MaxTokensName::MaxTokens
        },
        developer_role: facts.quirks.has(Quirk::DeveloperRole),
        schemas: !facts.quirks.has(Quirk::JsonObjectOnly),
        betas: facts.betas.as_ref().map(|betas| {
            let named = betas.iter().map(|(asked, name)| (asked.clone(), name.clone()));
            named.collect()
        }),
        any_model: facts.any_model,
    }
}

/// Which files are fetched.
fn media(config: &Config) -> Option<MediaPolicy> {
    let media = &config.server.media;
    media.fetch.then(|| MediaPolicy {
        bounds: FetchBounds {
            max_bytes: media.max_bytes,
            timeout: media.timeout.get(),
            plain_http: media.plain_http,
            private_hosts: media.private_hosts.clone(),
        },
        max_files: media.max_files,
    })
}

fn bounds(config: &Config) -> Bounds {
    let server = &config.server;
    Bounds {
        request_limit: server.request_limit,
        response_limit: server.response_limit,
        header_limit: server.header_limit,
        header_timeout: server.header_timeout.get(),
        request_timeout: server.request_timeout.get(),
        drain: server.drain.get(),
        realtime: server.realtime,
    }
}
