//! All servers of a configuration, and the addresses at which they are seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use pointsman_upstream::Client;
use serde_json::{Value, json};

use crate::access::Gates;
use crate::agents::Agents;
use crate::board::Board;
use crate::config::{McpConfig, Prefix};
use crate::flows::Flows;
use crate::link::Link;
use crate::message::Object;
use crate::pin::Approved;
use crate::search::vectors::{Reader, Vectors};
use crate::server::Server;
use crate::task;
use crate::version::Version;
use crate::view::View;
use crate::virtuals::{self, Picked};

/// The servers of a configuration.
pub struct Hub {
    /// The configuration.
    pub config: McpConfig,
    /// Who is to be told of changes.
    pub board: Arc<Board>,
    /// Who may use what.
    pub gates: Gates,
    /// Which way data may not flow.
    pub flows: Flows,
    /// Who makes vectors of texts, where anybody does: tools are found by what they mean, too.
    pub reader: Option<Arc<dyn Reader>>,
    /// Vectors of tools.
    pub vectors: Arc<Vectors>,
    servers: BTreeMap<String, Arc<Server>>,
    all: Arc<View>,
    alone: HashMap<String, Arc<View>>,
    /// What users see who have grants of their own, and when they came last.
    personal: Mutex<HashMap<Address, (Arc<View>, Instant)>>,
}

/// Where something is seen: of which server, if of one alone, and on whose behalf.
type Address = (Option<String>, String);

/// Views of users that are at hand, at most.
const MAX_PERSONAL: usize = 10_000;
/// How long the view of a user is at hand that does not come back.
const PERSONAL: Duration = Duration::from_secs(30 * 60);

impl Hub {
    /// Compiles a configuration. Servers that have not changed stay as they are, with what is known of them.
    ///
    /// # Errors
    /// Fields that cannot be carried out, as paths under `mcp`, and why.
    pub fn following(
        config: &McpConfig,
        board: &Arc<Board>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<(String, String)>> {
        let mut servers = BTreeMap::new();
        let mut problems = config.problems();
        let approved = config.pins.as_deref().map(Approved::read).transpose();
        let approved = approved.unwrap_or_else(|why| {
            problems.push(("pins".to_owned(), why));
            None
        });
        for (name, said) in &config.servers {
            let approved = approved.as_ref().and_then(|approved| approved.servers.get(name));
            let same = before
                .and_then(|before| before.servers.get(name))
                .filter(|server| server.is(said, (config, approved)));
            if let Some(same) = same {
                servers.insert(name.clone(), Arc::clone(same));
                continue;
            }
            match Server::compile(name, said, (config, approved), board) {
                Ok(server) => drop(servers.insert(name.clone(), server)),
                Err((field, why)) => problems.push((format!("servers.{name}.{field}"), why)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let view = |server: &Arc<Server>| Arc::new(View::new(vec![Arc::clone(server)], Prefix::Never, true));
        let mut alone: HashMap<String, Arc<View>> = servers
            .iter()
            .map(|(name, server)| (name.clone(), view(server)))
            .collect();
        for (name, said) in &config.virtuals {
            let chosen = servers.values().filter(|server| said.has(&server.name));
            let seen = View::new(chosen.cloned().collect(), said.prefix, false)
                .with(Picked::new(said))
                .searched(said.search);
            alone.insert(name.clone(), Arc::new(seen));
        }
        let all = View::new(servers.values().cloned().collect(), config.prefix, false);
        Ok(Self {
            config: config.clone(),
            board: Arc::clone(board),
            gates: Gates::new(&config.access),
            personal: Mutex::default(),
            flows: Flows::new(&config.flows),
            reader: None,
            vectors: before
                .map(|before| Arc::clone(&before.vectors))
                .unwrap_or_default(),
            all: Arc::new(all.searched(config.search)),
            alone,
            servers,
        })
    }

    /// No servers.
    #[must_use]
    pub fn empty(board: &Arc<Board>) -> Self {
        Self {
            config: McpConfig::default(),
            board: Arc::clone(board),
            gates: Gates::default(),
            flows: Flows::default(),
            reader: None,
            vectors: Arc::default(),
            servers: BTreeMap::new(),
            all: Arc::new(View::new(Vec::new(), Prefix::default(), false)),
            alone: HashMap::new(),
            personal: Mutex::default(),
        }
    }

    /// Ends what the servers do that a later configuration has no more.
    pub fn leave_to(&self, later: &Self) {
        for (name, server) in &self.servers {
            if !later
                .servers
                .get(name)
                .is_some_and(|other| Arc::ptr_eq(server, other))
            {
                server.shut();
            }
        }
    }

    /// What is seen at `/mcp`, or at `/mcp/{name}` of a server or of a virtual one.
    #[must_use]
    pub fn view(&self, scope: Option<&str>) -> Option<Arc<View>> {
        match scope {
            None => Some(Arc::clone(&self.all)),
            Some(server) => self.alone.get(server).cloned(),
        }
    }

    /// What is seen there on behalf of `owner`: of servers where users have grants of their own, what they list for that
    /// one.
    #[must_use]
    pub fn view_of(&self, scope: Option<&str>, owner: &str) -> Option<Arc<View>> {
        let shared = self.view(scope)?;
        if !shared.servers().iter().any(|server| server.is_personal()) {
            return Some(shared);
        }
        let servers: Vec<Arc<Server>> = shared.servers().iter().map(|server| server.of(owner)).collect();
        let now = Instant::now();
        let mut personal = self.personal.lock();
        let key = (scope.map(str::to_owned), owner.to_owned());
        if let Some((view, used)) = personal.get_mut(&key) {
            let is_same = |(one, other): (&Arc<Server>, &Arc<Server>)| Arc::ptr_eq(one, other);
            if view.servers().iter().zip(&servers).all(is_same) {
                *used = now;
                return Some(Arc::clone(view));
            }
        }
        if personal.len() >= MAX_PERSONAL {
            personal.retain(|_, (_, used)| now.saturating_duration_since(*used) < PERSONAL);
        }
        let view = Arc::new(shared.through(servers));
        if personal.len() < MAX_PERSONAL {
            personal.insert(key, (Arc::clone(&view), now));
        }
        Some(view)
    }

    /// The server of this name, with what was granted on behalf of `owner`.
    #[must_use]
    pub fn server_of(&self, name: &str, owner: &str) -> Option<Arc<Server>> {
        self.servers.get(name).map(|server| server.of(owner))
    }

    /// Tells the servers that are agents who knows those.
    pub fn know(&self, agents: &Arc<dyn Agents>) {
        self.servers.values().for_each(|server| server.know(agents));
    }

    /// The servers, as they are for everybody.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.values()
    }

    /// The names of the servers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    /// What can be had at an address, and how it wants to be used. Servers that are late or gone say nothing.
    pub async fn greeting(&self, view: &View, client: &Client, version: Version) -> (Value, Option<String>) {
        let patience = self.config.list_timeout.get();
        let reached = view.servers().iter().map(|server| {
            let house = Box::pin(server.house(client));
            async move { tokio::time::timeout(patience, house).await.ok()?.ok() }
        });
        let links: Vec<Arc<Link>> = join_all(reached).await.into_iter().flatten().collect();
        let has = |capability: &str| {
            links
                .iter()
                .any(|link| link.greeting.capabilities.get(capability).is_some())
        };
        let mut capabilities = json!({});
        // Nothing is known of servers that cannot be reached: they may have tools when they come back.
        if has("tools") || links.len() < view.servers().len() || links.is_empty() {
            capabilities["tools"] = json!({ "listChanged": true });
        }
        if has("resources") {
            capabilities["resources"] = json!({ "subscribe": true, "listChanged": true });
        }
        if has("prompts") {
            capabilities["prompts"] = json!({ "listChanged": true });
        }
        for capability in ["completions", "logging"] {
            if has(capability) {
                capabilities[capability] = json!({});
            }
        }
        let said = links
            .iter()
            .map(|link| (link.version, &link.greeting.capabilities));
        if let Some((name, tasks)) = tasks(version, said) {
            capabilities[name] = tasks;
        }
        if view.is_searched() {
            return (capabilities, Some(virtuals::INSTRUCTIONS.to_owned()));
        }
        let instructions = links.first().filter(|_| view.is_alone());
        (
            capabilities,
            instructions.and_then(|link| link.greeting.instructions.clone()),
        )
    }
}

/// What there is of tasks for clients of a version. Those of the newer era know tasks of both; to those of the older one
/// tasks of the newer are not handed out, but waited for.
fn tasks<'a>(
    version: Version,
    mut said: impl Iterator<Item = (Version, &'a Object)> + Clone,
) -> Option<(&'static str, Value)> {
    if version.is_modern() {
        let has = said.any(|(spoken, said)| {
            if spoken.is_modern() {
                task::has_extension(said)
            } else {
                task::has_tasks(said)
            }
        });
        return has.then(|| ("extensions", json!({ (task::EXTENSION): {} })));
    }
    let said = said.filter(|(spoken, said)| !spoken.is_modern() && task::has_tasks(said));
    if version < Version::V2025November || said.clone().next().is_none() {
        return None;
    }
    let mut tasks = json!({ "requests": { "tools": { "call": {} } } });
    for ability in ["list", "cancel"] {
        let mut of_tasks = said.clone().filter_map(|(_, one)| one.object("tasks"));
        if of_tasks.any(|one| one.get(ability).is_some()) {
            tasks[ability] = json!({});
        }
    }
    Some(("tasks", tasks))
}
