//! A server behind the gateway: how it is reached, what it lists, and what of that clients may see.

mod granted;
mod lists;
pub mod standing;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_governance::fits;
use pointsman_upstream::{AuthConfig, AuthStyle, Client, Credential, Endpoint, EndpointConfig, HealthConfig};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::access::Rules;
use crate::agents::Agents;
use crate::board::Board;
use crate::call::Waits;
use crate::catalog::{Kind, List};
use crate::config::{McpConfig, ServerConfig};
use crate::error::RpcError;
use crate::link::{self, Api, Failed, Link, Owner, Sink, Told};
use crate::message::{Notification, Raw, Request};
use crate::oauth::Account;
use crate::openapi::Document;
use crate::pin::Pins;

/// How long a call may take unless the configuration says something else.
const TIMEOUT: Duration = Duration::from_secs(300);
/// How long a server that could not be reached is left alone.
const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Whose everything is that is nobody's own.
const NOBODY: &str = "anonymous";
/// Most processes of a program unless the configuration says something else.
const MAX_PROCESSES: usize = 32;

/// Where a server is on the web.
#[derive(Debug)]
pub struct Web {
    /// Scheme, host and port.
    pub endpoint: Arc<Endpoint>,
    /// Path and query.
    pub path: String,
    /// The gateway's credential for it.
    pub credential: Credential,
    /// Headers that go with every request.
    pub headers: HeaderMap,
}

/// A server.
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: ServerConfig,
    /// How long one call may take.
    pub timeout: Duration,
    /// Most bytes of one message of it.
    pub limit: usize,
    lists_for: ListTimes,
    rules: Rules,
    prices: Vec<(String, Money)>,
    web: Option<Web>,
    /// What was granted there.
    account: Option<Account>,
    /// Its tasks that wait for input of clients of the newer era.
    waits: Waits,
    /// The same server for users who have grants of their own, and when they came last.
    personal: Mutex<HashMap<String, (Arc<Self>, Instant)>>,
    described: Option<Described>,
    /// The API that a document describes, once that is here.
    api: OnceCell<Arc<Api>>,
    /// Who knows the agent that it is.
    agents: Mutex<Option<Arc<dyn Agents>>>,
    board: Arc<Board>,
    this: Weak<Self>,
    /// 0: not known; 1: new; 2: old.
    era: AtomicU8,
    processes: Arc<AtomicUsize>,
    /// The link that lists are asked on, and calls of clients without a session.
    house: tokio::sync::Mutex<Option<Arc<Link>>>,
    resting: Mutex<Option<Resting>>,
    lists: [Listed; 4],
    /// What it last said of itself.
    says: Mutex<Option<String>>,
    judged: Mutex<Judged>,
    /// What was approved of it, if anything was.
    approved: Option<BTreeMap<String, Value>>,
}

/// Where the description of an API is.
enum Described {
    /// Here; and where the API is.
    Here(Arc<Document>, String),
    /// On the web, at this address.
    At(Box<Web>, String),
}

/// How long lists are waited for, and how long they are good.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ListTimes {
    timeout: Duration,
    ttl: Duration,
}

impl From<&McpConfig> for ListTimes {
    fn from(config: &McpConfig) -> Self {
        Self {
            timeout: config.list_timeout.get(),
            ttl: config.list_ttl.get(),
        }
    }
}

/// What became of the tools that were held against their pins.
#[derive(Default)]
struct Judged {
    pins: Pins,
    quarantined: HashSet<String>,
    /// Those that were told of as suspect.
    suspects: HashSet<String>,
}

#[derive(Default)]
struct Listed {
    list: Mutex<Option<Kept>>,
    /// Counts what was listed.
    generation: AtomicU64,
    refreshing: tokio::sync::Mutex<()>,
}

struct Kept {
    list: List,
    until: Instant,
}

/// A server that is left alone.
struct Resting {
    until: Instant,
    last: Duration,
    why: Failed,
}

/// A place among the processes of a server.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Compiles a server. Nothing is asked of it before somebody asks something.
    ///
    /// # Errors
    /// A field of it, and what is wrong.
    pub fn compile(
        name: &str,
        config: &ServerConfig,
        (all, approved): (&McpConfig, Option<&BTreeMap<String, Value>>),
        board: &Arc<Board>,
    ) -> Result<Arc<Self>, (String, String)> {
        let bounds = (all.message_limit, all.into());
        Self::made(name, config, (bounds, approved), (board, NOBODY))
    }

    fn made(
        name: &str,
        config: &ServerConfig,
        ((limit, lists_for), approved): ((usize, ListTimes), Option<&BTreeMap<String, Value>>),
        (board, owner): (&Arc<Board>, &str),
    ) -> Result<Arc<Self>, (String, String)> {
        let account = config.oauth.as_ref().zip(config.url.as_deref());
        let account = account.map(|(oauth, url)| Account::new(name, url, oauth, owner, board.vault()));
        let web = config
            .url
            .as_deref()
            .map(|url| web(url, config, &config.auth))
            .transpose()?;
        let prices = prices(config)?;
        let described = config
            .openapi
            .as_deref()
            .map(|openapi| described(openapi, config))
            .transpose()?;
        Ok(Arc::new_cyclic(|this| Self {
            name: name.to_owned(),
            config: config.clone(),
            timeout: config.timeout.map_or(TIMEOUT, |timeout| timeout.get()),
            limit,
            lists_for,
            rules: Rules::new(&config.tools.allow, &config.tools.deny),
            prices,
            web,
            account,
            waits: Waits::default(),
            personal: Mutex::default(),
            described,
            api: OnceCell::new(),
            agents: Mutex::default(),
            board: Arc::clone(board),
            this: this.clone(),
            era: AtomicU8::new(0),
            processes: Arc::default(),
            house: tokio::sync::Mutex::new(None),
            resting: Mutex::new(None),
            lists: Default::default(),
            says: Mutex::default(),
            judged: Mutex::new(Judged {
                pins: approved.map(Pins::approved).unwrap_or_default(),
                quarantined: HashSet::new(),
                suspects: HashSet::new(),
            }),
            approved: approved.cloned(),
        }))
    }

    /// Whether a server that is configured like this would be the same.
    #[must_use]
    pub fn is(
        &self,
        config: &ServerConfig,
        (all, approved): (&McpConfig, Option<&BTreeMap<String, Value>>),
    ) -> bool {
        self.config == *config
            && self.limit == all.message_limit
            && self.lists_for == ListTimes::from(all)
            && self.approved.as_ref() == approved
    }

    /// Where it is on the web.
    pub fn web(&self) -> Option<&Web> {
        self.web.as_ref()
    }

    /// The API that its document describes.
    ///
    /// # Errors
    /// When the document cannot be fetched or used.
    pub async fn api(&self, client: &Client) -> Result<Arc<Api>, Failed> {
        let made = self.api.get_or_try_init(|| async {
            let (document, base) = match &self.described {
                None => return Err(Failed::Unreachable("it has no document".to_owned())),
                Some(Described::Here(document, base)) => (Arc::clone(document), base.clone()),
                Some(Described::At(place, url)) => {
                    let document = link::fetched(place, client).await?;
                    let base = match &self.config.base_url {
                        Some(base) => base.clone(),
                        None => link::own_base(&document, url).map_err(Failed::Unreachable)?,
                    };
                    (Arc::new(document), base)
                }
            };
            let auth = link::brought(&self.config.auth, &document);
            let web = web(&base, &self.config, &auth).map_err(|(_, why)| Failed::Unreachable(why))?;
            Ok(Arc::new(Api::new(&self.name, &document, web)))
        });
        Box::pin(made).await.cloned()
    }

    /// From now on these are the agents that there are: what it lists may be other.
    pub fn know(&self, agents: &Arc<dyn Agents>) {
        if self.config.agent.is_none() {
            return;
        }
        *self.agents.lock() = Some(Arc::clone(agents));
        self.invalidate(&[Kind::Tools]);
    }

    /// Who knows the agent that it is.
    pub(crate) fn agents(&self) -> Option<Arc<dyn Agents>> {
        self.agents.lock().clone()
    }

    /// Whether it is worth asking it in the new era's way.
    pub fn may_be_modern(&self) -> bool {
        self.era.load(Ordering::Relaxed) != 2
    }

    /// Notes how it was spoken to.
    pub fn remember_era(&self, modern: bool) {
        self.era.store(if modern { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// A place for one more process.
    pub fn place(&self) -> Option<Place> {
        let most = self.config.max_processes.unwrap_or(MAX_PROCESSES);
        let taken = self
            .processes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |running| {
                (running < most).then_some(running + 1)
            });
        taken.ok().map(|_| Place(Arc::clone(&self.processes)))
    }

    /// Whether clients may see and call a tool.
    pub fn allows(&self, tool: &str) -> bool {
        self.rules.allows(tool) && !self.judged.lock().quarantined.contains(tool)
    }

    /// Whether arguments are checked here. An API checks them where it makes a request of them.
    pub fn checks(&self) -> bool {
        self.config.openapi.is_none() && self.config.tools.check_arguments.unwrap_or(true)
    }

    /// What a call of a tool costs.
    pub fn price(&self, tool: &str) -> Money {
        let fitting = self.prices.iter().filter(|(pattern, _)| fits(pattern, tool));
        let closest = fitting.max_by_key(|(pattern, _)| pattern.len());
        closest.map_or(Money::ZERO, |(_, price)| *price)
    }

    /// The link that belongs to nobody but the gateway.
    ///
    /// # Errors
    /// When the server cannot be reached; not asked again for a while.
    pub async fn house(self: &Arc<Self>, client: &Client) -> Result<Arc<Link>, Failed> {
        if let Ok(house) = self.house.try_lock()
            && let Some(link) = house.as_ref().filter(|link| link.is_alive())
        {
            return Ok(Arc::clone(link));
        }
        if let Some(why) = self.is_resting() {
            return Err(why);
        }
        // Beside whoever waits: a program that takes long to start is there for those who come after.
        let (server, client) = (Arc::clone(self), client.clone());
        let opening = tokio::spawn(async move { server.open_house(&client).await });
        opening.await.unwrap_or(Err(Failed::Late))
    }

    async fn open_house(self: &Arc<Self>, client: &Client) -> Result<Arc<Link>, Failed> {
        let mut house = self.house.lock().await;
        if let Some(link) = house.as_ref().filter(|link| link.is_alive()) {
            return Ok(Arc::clone(link));
        }
        let owner: Weak<dyn Owner> = self.this.clone();
        // Clients of the new era answer questions of servers of the old one in their next request.
        let described = crate::session::described(
            &serde_json::json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {} }),
        );
        match link::open(self, client, described, owner).await {
            Ok(link) => {
                *self.resting.lock() = None;
                self.says.lock().clone_from(&link.greeting.instructions);
                *house = Some(Arc::clone(&link));
                Ok(link)
            }
            // It is there, and comes in once somebody lets the gateway in.
            Err(why @ Failed::Consent(_)) => Err(why),
            Err(why) => {
                tracing::warn!(server = self.name, error = %why, "an MCP server cannot be reached");
                self.rest(&why);
                Err(why)
            }
        }
    }

    /// Leaves it alone for a while, longer each time.
    fn rest(&self, why: &Failed) {
        let mut resting = self.resting.lock();
        let last = resting.as_ref().map_or(REST / 2, |resting| resting.last);
        let last = (last * 2).min(LONGEST_REST);
        *resting = Some(Resting {
            until: Instant::now() + last,
            last,
            why: why.clone(),
        });
    }

    fn is_resting(&self) -> Option<Failed> {
        let resting = self.resting.lock();
        let resting = resting.as_ref().filter(|resting| Instant::now() < resting.until);
        resting.map(|resting| resting.why.clone())
    }

    /// The house's link is not used any more.
    pub async fn drop_house(&self, lost: &Arc<Link>) {
        let mut house = self.house.lock().await;
        if house.as_ref().is_some_and(|link| Arc::ptr_eq(link, lost)) {
            lost.shut();
            *house = None;
        }
    }

    /// Listens no more: the configuration has no such server any more.
    pub fn shut(&self) {
        for (_, (server, _)) in self.personal.lock().drain() {
            server.shut();
        }
        if let Ok(mut house) = self.house.try_lock()
            && let Some(link) = house.take()
        {
            link.shut();
        }
    }
}

impl Owner for Server {
    fn told(&self, link: &Arc<Link>, told: Notification, sink: Option<&Sink>) {
        let changed = Kind::changed_by(&told.method);
        if !changed.is_empty() {
            self.invalidate(changed);
            self.board.changed(&self.name, &told.method);
        } else if told.method == "notifications/resources/updated" {
            if let Some(uri) = told.params.text("uri") {
                self.board.updated(link, &uri);
            }
        } else if told.method == "notifications/tasks" {
            if let Some(id) = told.params.text("taskId") {
                self.board.task(link, &id);
            }
        } else if let Some(sink) = sink {
            let text = crate::message::notification(&told.method, &told.params);
            let _ = sink.try_send(Told::Message(text));
        }
    }

    fn asked(&self, link: &Arc<Link>, asked: Request, sink: Option<&Sink>) -> Option<Result<Raw, Raw>> {
        let Some(sink) = sink else {
            return Some(Err(RpcError::method(&asked.method).raw()));
        };
        let question = Told::Question {
            link: Arc::clone(link),
            request: asked,
        };
        match sink.try_send(question) {
            Ok(()) => None,
            Err(_) => Some(Err(RpcError::internal("the client does not listen").raw())),
        }
    }
}

fn prices(config: &ServerConfig) -> Result<Vec<(String, Money)>, (String, String)> {
    let prices = config.tools.price.iter();
    prices
        .map(|(pattern, price)| match price.money() {
            Ok(money) => Ok((pattern.clone(), money)),
            Err(why) => Err((format!("tools.price.{pattern}"), why)),
        })
        .collect()
}

/// Reads a document that is a file; where one on the web is.
fn described(openapi: &str, config: &ServerConfig) -> Result<Described, (String, String)> {
    let wrong = |field: &str, why: String| (field.to_owned(), why);
    if is_web(openapi) {
        let bare = ServerConfig::default();
        let place = web(openapi, &bare, &bare.auth).map_err(|(_, why)| wrong("openapi", why))?;
        return Ok(Described::At(Box::new(place), openapi.to_owned()));
    }
    let text = std::fs::read_to_string(openapi)
        .map_err(|error| wrong("openapi", format!("{openapi} cannot be read: {error}")))?;
    let document = Document::read(&text).map_err(|why| wrong("openapi", format!("{openapi}: {why}")))?;
    let Some(base) = &config.base_url else {
        let says = document.server().unwrap_or_else(|| "nothing".to_owned());
        return Err(wrong(
            "base_url",
            format!("is missing: say where the API is; its document says {says}"),
        ));
    };
    web(base, config, &link::brought(&config.auth, &document)).map_err(|(_, why)| wrong("base_url", why))?;
    Ok(Described::Here(Arc::new(document), base.clone()))
}

/// Whether a document is on the web, and not a file.
pub fn is_web(openapi: &str) -> bool {
    openapi.starts_with("https://") || openapi.starts_with("http://")
}

fn web(url: &str, config: &ServerConfig, auth: &AuthConfig) -> Result<Web, (String, String)> {
    let wrong = |field: &str, why: String| (field.to_owned(), why);
    let parsed = Url::parse(url).map_err(|error| wrong("url", error.to_string()))?;
    let mut place = EndpointConfig::new(&parsed[..url::Position::BeforePath]);
    place.client_certificate.clone_from(&auth.client_certificate);
    let endpoint =
        Endpoint::new(&place, &HealthConfig::default()).map_err(|error| wrong("url", error.problem))?;
    let path = parsed[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    endpoint
        .uri(&path)
        .map_err(|error| wrong("url", error.to_string()))?;
    let credential = Credential::compile(auth, &AuthStyle::Bearer)
        .map_err(|error| wrong(&format!("auth.{}", error.field), error.problem))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let parsed = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.expose()),
        );
        let (Ok(parsed), Ok(mut value)) = parsed else {
            return Err(wrong(&format!("headers.{name}"), "is no header".to_owned()));
        };
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(Web {
        endpoint,
        path,
        credential,
        headers,
    })
}
