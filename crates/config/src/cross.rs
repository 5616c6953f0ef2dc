//! Checks that need to see several blocks at once, or what another room says of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pointsman_catalog::Catalog;
use pointsman_governance::introspection::IntrospectionConfig;
use pointsman_governance::jwt::JwtConfig;
use pointsman_guard::GuardSet;
use pointsman_routing::About;
use pointsman_routing::Router;
use pointsman_store::{MasterKeys, Network, RedisCounters, blob};
use pointsman_understanding::{Medium, Origin, Role};
use pointsman_upstream::{
    AuthStyle, Credential, Endpoint, EndpointConfig, EndpointRegistry, Environment, RetryPolicy,
    balance::Policy,
};
use secrecy::SecretString;

use crate::catalog;
use crate::check::nearest;
use crate::node::{File, Node};
use crate::problem::Problem;
use crate::types::{Config, ModelConfig, ProviderConfig, TargetConfig};

/// Checks a configuration.
pub(crate) fn check(config: &Config, root: &Node, file: File<'_>) -> Vec<Problem> {
    let mut checker = Checker {
        config,
        catalog: Arc::new(config.catalog.build()),
        root,
        file,
        problems: Vec::new(),
    };
    checker.unsupported();
    checker.catalog();
    for (name, provider) in &config.providers {
        checker.provider(name, provider);
    }
    for (name, model) in &config.models {
        checker.model(name, model);
    }
    checker.routing();
    checker.understanding();
    checker.classifiers();
    checker.guardrails();
    checker.cache();
    checker.kept();
    for (block, problems) in [
        ("mcp", config.mcp.problems()),
        ("alerts", config.alerts.problems()),
        ("prompts", config.prompts.problems()),
        ("a2a", config.a2a.problems()),
        ("limits", config.limits.problems()),
        ("identity", config.identity.problems()),
    ] {
        for (at, message) in problems {
            checker.wrong(&format!("{block}.{at}"), message);
        }
    }
    if config.secrets.refresh.get() < Duration::from_secs(1) {
        checker.wrong("secrets.refresh", "is at least 1s");
    }
    if let Err(why) = MasterKeys::read(&config.secrets) {
        checker.wrong("secrets.store", why);
    }
    if config
        .identity
        .signing_secret
        .as_ref()
        .is_some_and(|secret| secret.expose().len() < 32)
    {
        checker.wrong(
            "identity.signing_secret",
            "is too short: give at least 32 characters of chance, such as from `openssl rand -hex 32`",
        );
    }
    if config.listeners.api.address == config.listeners.admin.address
        && config.listeners.api.address.port() != 0
    {
        checker.wrong(
            "listeners.admin.address",
            "is the address of the api listener, too",
        );
    }
    checker.problems
}

/// What serves and yet can't be meant.
pub(crate) fn conflicts(config: &Config, root: &Node, file: File<'_>) -> Vec<Problem> {
    let found = config.routing.iter().flat_map(pointsman_routing::conflicts);
    let problem = |conflict: pointsman_routing::Conflict| {
        let path = format!("routing.{}", conflict.path);
        file.problem(root.place_of(&path), path, conflict.message)
    };
    let mut all: Vec<Problem> = found.map(problem).collect();
    all.extend(
        unread(config)
            .into_iter()
            .map(|(path, message)| file.problem(root.place_of(&path), path, message)),
    );
    all
}

/// Signals that compare what no model reads.
fn unread(config: &Config) -> Vec<(String, String)> {
    let reads = |medium: Medium| {
        let mut models = config.understanding.models.values();
        models.any(|model| model.reads.contains(&medium))
    };
    let Some(routing) = &config.routing else {
        return Vec::new();
    };
    let compared = routing.media_signals().into_iter();
    let unread = compared.filter_map(|(path, about)| {
        let medium = match about {
            About::Image => Medium::Image,
            About::Audio => Medium::Audio,
            _ => return None,
        };
        let message = format!(
            "never matches: no model of understanding.models reads this; name one at a provider, with role: embedding \
             and reads: [{}]",
            medium.name()
        );
        (!reads(medium)).then(|| (format!("routing.{path}.query_modality"), message))
    });
    unread.collect()
}

struct Checker<'a> {
    config: &'a Config,
    catalog: Arc<Catalog>,
    root: &'a Node,
    file: File<'a>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.problems
            .push(self.file.problem(self.root.place_of(path), path, message));
    }

    fn unknown<'n>(&mut self, path: &str, what: &str, name: &str, known: impl Iterator<Item = &'n str>) {
        let mut problem = self.file.problem(
            self.root.place_of(path),
            path,
            format!("there is no {what} {name:?}"),
        );
        problem.suggestion = nearest(name, known);
        self.problems.push(problem);
    }

    /// Parts of the contract that a later version brings.
    fn unsupported(&mut self) {
        let config = self.config;
        let blocks = [
            ("listeners.extproc", config.listeners.extproc.is_some()),
            ("telemetry.capture_content", config.telemetry.capture_content),
        ];
        for (path, _) in blocks.into_iter().filter(|(_, there)| *there) {
            self.wrong(path, "is not supported in this version");
        }
        let stores = &config.stores;
        let engines = [("stores.vectors", &stores.vectors, "memory")];
        let database = ["sqlite:", "postgres://", "postgresql://"];
        if !database.iter().any(|scheme| stores.database.starts_with(scheme)) {
            let scheme = stores.database.split(':').next().unwrap_or_default();
            let message =
                format!("{scheme:?} is not supported in this version; use sqlite://… or postgres://…");
            self.wrong("stores.database", message);
        }
        if stores.ledger_months.is_some() && stores.database.starts_with("sqlite:") {
            let message = "only PostgreSQL keeps the ledger by months; SQLite keeps all of it";
            self.wrong("stores.ledger_months", message);
        }
        for (path, url, prefix) in engines {
            if !url.starts_with(prefix) {
                // The URL may hold a password: only its scheme is told.
                let scheme = url.split(':').next().unwrap_or_default();
                self.wrong(
                    path,
                    format!("{scheme:?} is not supported in this version; use {prefix}…"),
                );
            }
        }
        self.shared_counters();
        self.issuers();
        self.proxies();
    }

    /// Where limits and budgets are counted.
    fn shared_counters(&mut self) {
        let stores = &self.config.stores;
        if !(1..=100).contains(&stores.shared_local_percent) {
            self.wrong("stores.shared_local_percent", "is between 1 and 100");
        }
        if stores.is_shared()
            && let Err(error) = RedisCounters::check(&SecretString::from(stores.shared.expose()))
        {
            self.wrong("stores.shared", error.to_string());
        }
    }

    /// Proxies that are believed.
    fn proxies(&mut self) {
        for (at, text) in self.config.server.trusted_proxies.iter().enumerate() {
            if let Err(error) = text.parse::<Network>() {
                self.wrong(&format!("server.trusted_proxies[{at}]"), error.to_string());
            }
        }
    }

    /// Identity providers whose tokens are accepted.
    fn issuers(&mut self) {
        for (at, message) in JwtConfig::problems(&self.config.identity.jwt) {
            self.wrong(&format!("identity.jwt{at}"), message);
        }
        for (at, message) in IntrospectionConfig::problems(&self.config.identity.introspection) {
            self.wrong(&format!("identity.introspection{at}"), message);
        }
        if let Some(proxy) = &self.config.identity.proxy {
            let wrong: Vec<_> = proxy
                .headers()
                .filter(|name| HeaderName::from_bytes(name.as_bytes()).is_err())
                .map(|name| format!("{name:?} is no name of a header"))
                .collect();
            for message in wrong {
                self.wrong("identity.proxy", message);
            }
            if self.config.server.trusted_proxies.is_empty() {
                let message = "is believed from nobody: name the proxies in server.trusted_proxies";
                self.wrong("identity.proxy", message.to_owned());
            }
        }
        let tls = self.config.listeners.api.tls.as_ref();
        if self.config.identity.certificate.is_some() && tls.is_none_or(|tls| tls.client_ca.is_none()) {
            let message = "nobody shows a certificate: set listeners.api.tls.client_ca";
            self.wrong("identity.certificate", message.to_owned());
        }
        let oidc = self.config.identity.oidc.as_ref();
        for (at, message) in oidc.map(|oidc| oidc.problems()).unwrap_or_default() {
            self.wrong(&format!("identity.oidc{at}"), message);
        }
    }

    fn understanding(&mut self) {
        let config = self.config;
        for (at, message) in config.understanding.problems() {
            self.wrong(&format!("understanding.{at}"), message);
        }
        for (name, model) in &config.understanding.models {
            let path = format!("understanding.models.{name}");
            if config.models.contains_key(name) {
                self.wrong(&path, "is the name of one of `models`, too");
            }
            if let Some(Origin::Provider { provider, .. }) = model.origin()
                && !config.providers.contains_key(provider)
            {
                let known = config.providers.keys().map(String::as_str);
                self.unknown(&format!("{path}.provider"), "provider", provider, known);
            }
        }
    }

    /// Classifiers on this machine are models of classes.
    fn classifiers(&mut self) {
        let config = self.config;
        let Some(routing) = &config.routing else { return };
        let recipes = routing.recipes.iter().enumerate().map(|(at, recipe)| {
            let path = format!("routing.recipes[{at}].routing.signals.classifiers");
            (path, &recipe.routing.signals.classifiers)
        });
        let own = (
            "routing.signals.classifiers".to_owned(),
            &routing.signals.classifiers,
        );
        for (path, classifiers) in std::iter::once(own).chain(recipes) {
            for (at, classifier) in classifiers.iter().enumerate() {
                let Some(name) = classifier.model.as_deref().filter(|_| classifier.kind == "local") else {
                    continue;
                };
                let models = &config.understanding.models;
                let of_texts = models.iter().filter(|(_, model)| model.role == Role::Texts);
                let known: Vec<&str> = of_texts.map(|(name, _)| name.as_str()).collect();
                if !known.contains(&name) {
                    let path = format!("{path}[{at}].model");
                    self.unknown(
                        &path,
                        "model of texts in understanding.models",
                        name,
                        known.into_iter(),
                    );
                }
            }
        }
    }

    fn provider(&mut self, name: &str, provider: &ProviderConfig) {
        let path = format!("providers.{name}");
        for (at, message) in provider.limits.problems() {
            self.wrong(&format!("{path}.limits.{at}"), message);
        }
        let kind = provider.kind.as_deref().unwrap_or(name);
        let catalog = Arc::clone(&self.catalog);
        let Some(facts) = catalog.provider(kind) else {
            let at = if provider.kind.is_some() {
                format!("{path}.kind")
            } else {
                path
            };
            let known = self.catalog.providers();
            let suggestion = nearest(kind, known.map(|provider| provider.id.as_str()));
            let mut problem = self.file.problem(
                self.root.place_of(&at),
                at,
                format!("there is no provider kind {kind:?}"),
            );
            problem.suggestion = suggestion;
            self.problems.push(problem);
            return;
        };
        let placed = provider.base_url.is_some() || !provider.endpoints.is_empty();
        let lacks = match &facts.base_url {
            _ if !facts.is_spoken() => Some(format!(
                "{kind:?} is known for its prices only: this version does not speak to it"
            )),
            _ if placed => None,
            None => Some(format!("{kind:?} needs a base_url, or endpoints")),
            // A base URL with a gap that no setting fills is as good as none.
            Some(url) if has_gap(url) => Some(format!("{kind:?} needs a base_url: {url}, filled in")),
            Some(_) => None,
        };
        if let Some(lacks) = lacks {
            self.wrong(&path, lacks);
        }
        if provider.base_url.is_some() && !provider.endpoints.is_empty() {
            self.wrong(&format!("{path}.base_url"), "give either base_url or endpoints");
        }
        self.place(&path, &facts.id, provider);
        self.endpoints(&path, provider);
        for (header, value) in &provider.headers {
            if HeaderName::try_from(header).is_err() || HeaderValue::try_from(value).is_err() {
                let path = format!("{path}.headers.{header}");
                self.wrong(&path, "is not a header: name or value holds what cannot be sent");
            }
        }
        if let Err(error) = Credential::compile(&provider.auth, &AuthStyle::Bearer) {
            self.wrong(&format!("{path}.{}", error.field), error.problem);
        }
        if let Err(error) = Policy::compile(&provider.balance) {
            self.wrong(&format!("{path}.balance.{}", error.field), error.problem);
        }
        if let Err(error) = RetryPolicy::compile(&provider.retry) {
            self.wrong(&format!("{path}.retry.{}", error.field), error.problem);
        }
    }

    fn endpoints(&mut self, path: &str, provider: &ProviderConfig) {
        let own = provider
            .base_url
            .iter()
            .map(|url| (format!("{path}.base_url"), EndpointConfig::new(url)));
        let several = provider.endpoints.iter().enumerate();
        let several = several.map(|(at, endpoint)| (format!("{path}.endpoints[{at}].url"), endpoint.clone()));
        let wrong: Vec<_> = own
            .chain(several)
            .filter_map(|(at, endpoint)| Some((at, Endpoint::new(&endpoint, &provider.health).err()?)))
            .collect();
        for (at, error) in wrong {
            let at = if error.field == "url" {
                at
            } else {
                format!("{path}.health.{}", error.field)
            };
            self.wrong(&at, error.problem);
        }
    }

    /// What a cloud must know to find the provider, and what means nothing to others.
    fn place(&mut self, path: &str, kind: &str, provider: &ProviderConfig) {
        let settings = [
            ("region", "aws-bedrock", &provider.region),
            ("project", "gcp-vertex", &provider.project),
            ("location", "gcp-vertex", &provider.location),
            ("api_version", "azure-openai", &provider.api_version),
        ];
        for (field, whose, value) in settings {
            let means_something = kind.starts_with(whose.split('-').next().unwrap_or(whose))
                || (field == "region" && provider.auth.aws.is_some());
            match value {
                Some(_) if !means_something => {
                    self.wrong(
                        &format!("{path}.{field}"),
                        format!("means something to {whose:?} only"),
                    );
                }
                Some(value) if !is_plain(value) => {
                    self.wrong(
                        &format!("{path}.{field}"),
                        "holds characters that cannot stand in a URL",
                    );
                }
                None if kind == whose && field != "api_version" => {
                    self.wrong(path, format!("{kind:?} needs a {field}"));
                }
                _ => {}
            }
        }
    }

    /// What the catalog's own block says.
    fn catalog(&mut self) {
        for (path, message, suggestion) in catalog::wrong(&self.config.catalog, &self.catalog) {
            let mut problem = self.file.problem(self.root.place_of(&path), path, message);
            problem.suggestion = suggestion;
            self.problems.push(problem);
        }
    }

    /// A target is a provider with its model, or an agent.
    fn target(&mut self, path: &str, target: &TargetConfig) {
        let config = self.config;
        let Some(agent) = &target.agent else {
            if target.provider.is_empty() || target.model.is_empty() {
                self.wrong(path, "needs a `provider` and its `model`, or an `agent`");
            } else if !config.providers.contains_key(&target.provider) {
                let known = config.providers.keys().map(String::as_str);
                self.unknown(&format!("{path}.provider"), "provider", &target.provider, known);
            }
            return;
        };
        let beside = [
            ("provider", !target.provider.is_empty()),
            ("model", !target.model.is_empty()),
            ("format", target.format.is_some()),
            ("timeouts", target.timeouts.is_some()),
            ("request", target.request.is_some()),
        ];
        for (field, _) in beside.into_iter().filter(|(_, is_there)| *is_there) {
            self.wrong(
                &format!("{path}.{field}"),
                "is for providers: a target with an `agent` has `weight` and `priority` beside",
            );
        }
        let path = format!("{path}.agent");
        match config.a2a.agents.get(agent) {
            None => {
                let known = config.a2a.agents.keys().map(String::as_str);
                self.unknown(&path, "agent", agent, known);
            }
            Some(said) => {
                if let Some(model) = &said.model {
                    let message = format!("{agent:?} stands for the model {:?}: name that", model.name);
                    self.wrong(&path, message);
                }
            }
        }
    }

    fn model(&mut self, name: &str, model: &ModelConfig) {
        let config = self.config;
        let path = format!("models.{name}");
        let stars = name.matches('*').count();
        if stars > 1 {
            self.wrong(&path, "a name can hold one `*` only");
        }
        for (index, target) in model.targets.iter().enumerate() {
            if target.model.matches('*').count() > stars {
                let path = format!("{path}.targets[{index}].model");
                self.wrong(
                    &path,
                    "holds a `*` that stands for nothing: the name of the model holds none",
                );
            }
        }
        if model.targets.is_empty() {
            self.wrong(&path, "a model needs targets");
        } else if model.targets.iter().all(|target| target.weight == 0) {
            self.wrong(&format!("{path}.targets"), "all weights are zero");
        }
        for (index, target) in model.targets.iter().enumerate() {
            self.target(&format!("{path}.targets[{index}]"), target);
        }
        let fallback = &model.fallback;
        let lists = [
            ("any", &fallback.any),
            ("context_window", &fallback.context_window),
            ("content_policy", &fallback.content_policy),
        ];
        for (list, names) in lists {
            for (index, other) in names.iter().enumerate() {
                if !config.models.contains_key(other) && !other.contains('/') {
                    let path = format!("{path}.fallback.{list}[{index}]");
                    self.unknown(&path, "model", other, config.models.keys().map(String::as_str));
                }
            }
        }
        if let Err(error) = Policy::compile(&model.balance) {
            self.wrong(&format!("{path}.balance.{}", error.field), error.problem);
        }
        if let Some(error) = model
            .retry
            .as_ref()
            .and_then(|retry| RetryPolicy::compile(retry).err())
        {
            self.wrong(&format!("{path}.retry.{}", error.field), error.problem);
        }
    }

    fn routing(&mut self) {
        let Some(routing) = &self.config.routing else {
            return;
        };
        let Err(errors) = Router::compile(routing) else {
            return;
        };
        for error in errors {
            let path = format!("routing.{}", error.path);
            let mut problem = self.file.problem(self.root.place_of(&path), path, error.message);
            problem.suggestion = error.suggestion;
            self.problems.push(problem);
        }
    }

    fn guardrails(&mut self) {
        let mut names = HashSet::new();
        for (index, guardrail) in self.config.guardrails.iter().enumerate() {
            let name = guardrail.name();
            if !names.insert(name) {
                let message = format!("there is another guardrail named {name:?}");
                self.wrong(&format!("guardrails[{index}].name"), message);
            }
        }
        self.named_guardrails(&names);
        match GuardSet::compile(&self.config.guardrails, &EndpointRegistry::default()) {
            Ok(guards) => self.guarding_models(&guards),
            Err(errors) => {
                for error in errors {
                    let path = format!("guardrails[{}].{}", error.index, error.field);
                    self.wrong(&path, error.message);
                }
            }
        }
    }

    /// Models, decisions and MCP servers name guardrails that there are.
    fn named_guardrails(&mut self, names: &HashSet<&str>) {
        let config = self.config;
        for (model, block) in &config.models {
            self.are_named(names, &format!("models.{model}"), &block.guardrails);
        }
        for (server, block) in &config.mcp.servers {
            self.are_named(names, &format!("mcp.servers.{server}"), &block.guardrails);
        }
        let Some(routing) = &config.routing else { return };
        let recipes = routing.recipes.iter().enumerate().map(|(at, recipe)| {
            let path = format!("routing.recipes[{at}].routing.decisions");
            (path, &recipe.routing.decisions)
        });
        let own = ("routing.decisions".to_owned(), &routing.decisions);
        for (path, decisions) in std::iter::once(own).chain(recipes) {
            for (at, decision) in decisions.iter().enumerate() {
                self.are_named(names, &format!("{path}[{at}]"), &decision.guardrails);
            }
        }
    }

    fn are_named(&mut self, names: &HashSet<&str>, path: &str, guardrails: &[String]) {
        for (index, name) in guardrails.iter().enumerate() {
            if !names.contains(name.as_str()) {
                let message = format!("there is no guardrail named {name:?}");
                self.wrong(&format!("{path}.guardrails[{index}]"), message);
            }
        }
    }

    /// Guardrails ask models of this machine: a text that must not go out is not sent away to be judged.
    fn guarding_models(&mut self, guards: &GuardSet) {
        let config = self.config;
        for head in guards.heads() {
            let mut models = config.understanding.models.iter();
            let away = models.find(|(_, model)| {
                model.head.as_deref() == Some(head.as_str())
                    && matches!(model.origin(), Some(Origin::Provider { .. }))
            });
            if let Some((name, _)) = away {
                let message = format!(
                    "a guardrail asks {head:?}, for which the model {name:?} answers, and that is at a provider; give one of this machine"
                );
                self.wrong(&format!("understanding.models.{name}"), message);
            }
        }
    }

    /// Files and batches.
    fn kept(&mut self) {
        let config = self.config;
        if let Err(error) = blob::at(&config.stores.blobs, &Environment::process()) {
            self.wrong("stores.blobs", error.to_string());
        }
        let bounds = [
            ("batches.window", config.batches.window, "1s", 1),
            ("batches.keep", config.batches.keep, "1m", 60),
        ];
        for (path, time, least, seconds) in bounds {
            if time.get().as_secs() < seconds {
                self.wrong(path, format!("is shorter than {least}"));
            }
        }
    }

    fn cache(&mut self) {
        for (path, problem) in self.config.cache.problems() {
            self.wrong(&format!("cache.{path}"), problem);
        }
    }
}

/// Whether a text can be put into a URL as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'))
}

/// Whether a catalog's base URL has a place that no setting of the provider fills.
fn has_gap(url: &str) -> bool {
    let settings = ["{region}", "{project}", "{location}"];
    let filled = settings
        .iter()
        .fold(url.to_owned(), |url, setting| url.replace(setting, ""));
    filled.contains('{')
}
