//! What clients ask, answered: from lists that are merged, or by the server that a name leads to.

mod agent;
mod entrance;
mod find;
mod older;
mod plain;
mod policy;
mod tasks;

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pointsman_catalog::Money;
use pointsman_upstream::Client;
use serde_json::json;
use serde_json::value::RawValue;

use crate::access::Caller;
use crate::agents::Deputy;
use crate::catalog::Kind;
use crate::error::RpcError;
use crate::hub::Hub;
use crate::judge::{Judge, Verdict};
use crate::link::{Ask, Failed, Link, Sink};
use crate::message::{self, Id, Object, Raw, Request, Response};
use crate::meta;
use crate::server::Server;
use crate::session::Session;
use crate::task;
use crate::trail::{Resume, Trail};
use crate::version;
use crate::view::{Found, View};
use crate::when::Called;

pub use entrance::TICKET;
pub use older::Waits;
use policy::{Listed, Outgoing};
pub use policy::{replied, said, sent};
use tasks::Call;

/// How often a server may want more input for one request.
const MAX_ROUNDS: usize = 16;

/// Who asks, and what they see.
#[derive(Clone)]
pub struct Asker {
    /// The servers.
    pub hub: Arc<Hub>,
    /// What they see of them.
    pub view: Arc<View>,
    /// Their session, in the era that has any.
    pub session: Option<Arc<Session>>,
    /// The connections of this thread.
    pub client: Client,
    /// Who they are, as far as rules look.
    pub caller: Arc<Caller>,
    /// Who judges what passes, if anybody does.
    pub judge: Option<Arc<dyn Judge>>,
    /// What other replicas know of what is asked, where there are any.
    pub trail: Option<Arc<Trail>>,
    /// Whose tasks are theirs.
    pub owner: String,
    /// Where their browser reaches the gateway, as far as that is known.
    pub base: Option<String>,
    /// Who asks agents on their behalf, where servers are any.
    pub agents: Option<Arc<dyn Deputy>>,
}

/// An answer, and who gave it.
#[derive(Debug)]
pub struct Answered {
    /// The result, or the error.
    pub outcome: Result<Raw, Refused>,
    /// The server that was asked.
    pub server: Option<String>,
    /// What it calls that which was asked for.
    pub name: Option<String>,
    /// What it costs.
    pub cost: Money,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Refused {
    /// The gateway says so.
    Here(RpcError),
    /// The server says so.
    There(Raw),
}

impl Refused {
    /// The error object.
    #[must_use]
    pub fn raw(&self) -> Raw {
        match self {
            Self::Here(error) => error.raw(),
            Self::There(raw) => raw.clone(),
        }
    }

    /// The status it is told with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Here(error) => error.status,
            Self::There(_) => StatusCode::OK,
        }
    }

    /// The same in the era without sessions, in which a capability that the client lacks is told by the status, too.
    #[must_use]
    pub fn stateless_status(&self) -> StatusCode {
        match self {
            Self::There(error) if code_of(error) == Some(RpcError::LACKS_CAPABILITY) => {
                StatusCode::BAD_REQUEST
            }
            other => other.status(),
        }
    }
}

fn code_of(error: &Raw) -> Option<i64> {
    Object::parse(error.get()).ok()?.get("code")?.get().parse().ok()
}

impl From<RpcError> for Refused {
    fn from(error: RpcError) -> Self {
        Self::Here(error)
    }
}

impl Answered {
    /// The answer to `id`, as a message.
    #[must_use]
    pub fn text(&self, id: &Id) -> String {
        match &self.outcome {
            Ok(result) => message::response(Some(id), Ok(result)),
            Err(refused) => message::response(Some(id), Err(&refused.raw())),
        }
    }
}

impl Asker {
    /// Checks the headers that repeat parameters of the tool that is called.
    ///
    /// # Errors
    /// When they do not say what the arguments say.
    pub async fn check_headers(&self, request: &Request, headers: &HeaderMap) -> Result<(), RpcError> {
        let name = request
            .params
            .text("name")
            .filter(|_| request.method == "tools/call");
        let Some(name) = name else { return Ok(()) };
        let found = self.find(Kind::Tools, &name).await;
        let Some(entry) = found.and_then(|found| found.entry) else {
            return Ok(());
        };
        let arguments = request.params.get("arguments").map_or("null", RawValue::get);
        let arguments = serde_json::from_str(arguments).unwrap_or_default();
        entry
            .item
            .mirrored
            .iter()
            .try_for_each(|one| one.check(headers, &arguments))
    }

    fn is_modern(&self) -> bool {
        self.session.is_none()
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request, sink: &Sink) -> Answered {
        let mut answered = Answered {
            outcome: Ok(Object::default().raw()),
            server: None,
            name: None,
            cost: Money::ZERO,
        };
        let outcome = Box::pin(self.route(request, sink, &mut answered)).await;
        answered.outcome = if self.is_modern() {
            modern(&request.method, outcome)
        } else {
            outcome
        };
        answered
    }

    async fn route(&self, request: &Request, sink: &Sink, answered: &mut Answered) -> Result<Raw, Refused> {
        let params = &request.params;
        if let Some(kind) = Kind::listed_by(&request.method) {
            if kind == Kind::Tools && self.view.is_searched() {
                return Ok(find::listed());
            }
            return self.list(kind, params).await;
        }
        if request.method.starts_with("tasks/") {
            return Box::pin(self.task(request, sink, answered)).await;
        }
        if self.is_search(request) {
            return self.find_tools(params).await;
        }
        let (key, kind) = match (request.method.as_str(), &self.session) {
            ("ping", Some(_)) => return Ok(Object::default().raw()),
            ("logging/setLevel", Some(session)) => return self.set_level(session, params).await,
            ("server/discover", None) => return Ok(self.discover().await),
            ("resources/subscribe" | "resources/unsubscribe", Some(_)) | ("resources/read", _) => {
                ("uri", Kind::Resources)
            }
            ("tools/call", _) => ("name", Kind::Tools),
            ("prompts/get", _) => ("name", Kind::Prompts),
            ("completion/complete", _) => return self.complete(params, answered).await,
            (method, _) => return Err(RpcError::method(method).with(self.unknown_status()).into()),
        };
        let Some(name) = params.text(key) else {
            return Err(RpcError::params(format!("`{key}` is missing")).into());
        };
        let Some(found) = self.find(kind, &name).await else {
            return Err(self.nothing(kind, &name).into());
        };
        self.scoped(&found, kind)?;
        self.may_with(&found, kind, params)?;
        self.may_flow(&found.server).await?;
        answered.server = Some(found.server.name.clone());
        answered.name = Some(found.name.clone());
        let mut params = params.clone();
        params.set(key, &found.name);
        if request.method.ends_with("subscribe") {
            return self.watch(&found, &request.method).await;
        }
        if found.entry.as_ref().is_some_and(|entry| entry.item.is_entrance) {
            return self.entrance(&found.server).await;
        }
        let params = match self.outgoing(&found, kind, params).await {
            Ok(params) => params,
            Err(stopped) => return stopped.told(),
        };
        if kind == Kind::Tools {
            answered.cost = found.server.price(&found.name);
        }
        let result = self.exchange(&found, &request.method, params, sink).await?;
        self.note_begun(&found.server, &result).await;
        let result = self.incoming(&found.server, result).await?;
        let result = self.view.show(&found.server.name, result);
        Ok(self.names().show(&found.server.name, result, false))
    }

    /// The status of a method that is not there: newer clients tell by it that this is no older server.
    fn unknown_status(&self) -> StatusCode {
        if self.is_modern() {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        }
    }

    /// Where a name leads. What the caller may not use leads nowhere.
    async fn find(&self, kind: Kind, name: &str) -> Option<Found> {
        let found = if kind.is_uri() {
            self.view.find_uri(&self.client, name).await
        } else {
            self.view.find(&self.client, kind, name).await
        };
        let found = found.filter(|found| self.may(&found.server, kind, &found.name))?;
        if let Some(entry) = &found.entry
            && matches!(self.verdict(&found.server, &entry.item).await, Verdict::Hidden)
        {
            return None;
        }
        Some(found)
    }

    /// Whether the caller may use something of a server.
    fn may(&self, server: &Server, kind: Kind, name: &str) -> bool {
        let tool = (kind == Kind::Tools).then_some(name);
        self.hub.gates.allow(&self.caller, &server.name, tool) && self.may_ask(server, tool)
    }

    /// Whether the caller's token allows what is asked.
    ///
    /// # Errors
    /// When it lacks scopes: its holder can get another one.
    fn scoped(&self, found: &Found, kind: Kind) -> Result<(), RpcError> {
        let (Some(authorization), Some(has)) = (&self.hub.config.authorization, &self.caller.scopes) else {
            return Ok(());
        };
        let tool = (kind == Kind::Tools).then_some(found.name.as_str());
        let lacking = authorization.lacking(has, &found.server.name, tool);
        lacking.map_or(Ok(()), |needed| Err(RpcError::scopes(&needed)))
    }

    /// Whether the caller may use something with these arguments.
    ///
    /// # Errors
    /// When a rule with a condition does not let them: what is called is there, and may be called otherwise.
    fn may_with(&self, found: &Found, kind: Kind, params: &Object) -> Result<(), RpcError> {
        let called = Called {
            kind: match kind {
                Kind::Tools => "tool",
                Kind::Prompts => "prompt",
                _ => "resource",
            },
            server: &found.server.name,
            name: &found.name,
            arguments: params.get("arguments"),
        };
        if self.hub.gates.allow_call(&self.caller, &called) {
            return Ok(());
        }
        Err(RpcError::arguments_denied(&found.name))
    }

    /// The same for what is not there and for what is not allowed.
    fn nothing(&self, kind: Kind, name: &str) -> RpcError {
        let mut error = match kind {
            Kind::Tools => RpcError::params(format!("Unknown tool: {name}")),
            Kind::Prompts => RpcError::params(format!("Unknown prompt: {name}")),
            _ => RpcError::params(format!("Resource not found: {name}")),
        };
        if kind.is_uri() {
            error.data = Some(Box::new(json!({ "uri": name })));
            if !self.is_modern() {
                error.code = -32002;
            }
        }
        error
    }

    /// A page of a merged list.
    async fn list(&self, kind: Kind, params: &Object) -> Result<Raw, Refused> {
        let from = match params.get("cursor").filter(|cursor| cursor.get() != "null") {
            None => 0,
            Some(_) => params
                .text("cursor")
                .and_then(|cursor| cursor.strip_prefix("at-")?.parse::<usize>().ok())
                .ok_or_else(|| RpcError::params("`cursor` is none of this list"))?,
        };
        let merged = self.view.fresh(&self.client, kind).await;
        let seen = merged.entries.iter().filter(|entry| {
            let server = &self.view.servers()[entry.server];
            (kind != Kind::Tools || entry.item.is_entrance || server.allows(&entry.item.name))
                && self.may(server, kind, &entry.item.name)
        });
        let size = self.hub.config.page_size.max(1);
        let mut page: Vec<Listed<'_>> = seen
            .skip(from)
            .take(size + 1)
            .map(|entry| Listed {
                server: &self.view.servers()[entry.server],
                item: &entry.item,
                text: &entry.text,
            })
            .collect();
        if from > 0 && page.is_empty() {
            return Err(RpcError::params("`cursor` is beyond the end of the list").into());
        }
        let is_more = page.len() > size;
        page.truncate(size);
        let mut result = Object::default();
        // It changes as soon as somebody consents.
        if self.is_modern() && page.iter().any(|entry| entry.item.is_entrance) {
            result.set("ttlMs", &0);
        }
        result.set(kind.field(), &self.listed(page).await);
        if is_more {
            result.set("nextCursor", &format!("at-{}", from + size));
        }
        Ok(result.raw())
    }

    async fn discover(&self) -> Raw {
        let (capabilities, instructions) = self.hub.greeting(&self.view, &self.client, version::MODERN).await;
        let mut result = Object::default();
        result.set("supportedVersions", &[version::MODERN.name()]);
        result.set("capabilities", &capabilities);
        if let Some(instructions) = instructions {
            result.set("instructions", &instructions);
        }
        result.raw()
    }

    async fn link(&self, server: &Arc<Server>) -> Result<Arc<Link>, Failed> {
        match &self.session {
            Some(session) => session.link(&self.client, server).await,
            None => server.house(&self.client).await,
        }
    }

    /// Asks a server, on a new link where the old one is lost.
    async fn ask(
        &self,
        found: &Found,
        method: &str,
        params: &Object,
        sink: &Sink,
    ) -> Result<(Arc<Link>, Response), Failed> {
        let mut again = true;
        let mut resume = self.resume(found, method)?;
        loop {
            let link = self.link(&found.server).await?;
            let ask = Ask {
                method: method.to_owned(),
                params: params.clone(),
                headers: headers(found, &link, params),
                sink: Some(sink.clone()),
                timeout: found.server.timeout,
                trail: self.trail.clone(),
                resume: resume.take(),
            };
            match link.ask(&self.client, ask).await {
                Err(Failed::Lost) if again => {
                    again = false;
                    match &self.session {
                        Some(session) => session.drop_link(&link).await,
                        None => found.server.drop_house(&link).await,
                    }
                }
                answered => return answered.map(|answer| (link, answer)),
            }
        }
    }

    /// From where a request goes on that another replica had under way; none where it is asked.
    ///
    /// # Errors
    /// When its server cannot be asked for the rest, and might do twice what it has done already.
    fn resume(&self, found: &Found, method: &str) -> Result<Option<Resume>, Failed> {
        let resume = self.trail.as_ref().and_then(|trail| trail.resume());
        match resume.filter(|resume| resume.server == found.server.name) {
            Some(resume) if resume.from.is_some() => Ok(Some(resume)),
            Some(_) if !found.is_harmless(method) => Err(Failed::Broken(
                "the replica that had this call under way is gone, and nobody can say whether it was done"
                    .to_owned(),
            )),
            _ => Ok(None),
        }
    }

    /// Asks a server; input that it wants first is got from the client where there is a session.
    async fn exchanged(
        &self,
        found: &Found,
        method: &str,
        mut params: Object,
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        if let Some(agent) = &found.server.config.agent {
            return self.ask_agent((found, agent), method, &params, sink).await;
        }
        let (call, mut knows_tasks) = (self.kind_of_call(found, method, &mut params).await?, false);
        for _ in 0..MAX_ROUNDS {
            let asked = self.ask(found, method, &params, sink).await;
            let (link, answer) = asked.map_err(|failed| self.failure(&found.server, failed))?;
            let result = match (answer.outcome, &self.session) {
                (Ok(result), _) => result,
                // Its client has never heard of tasks as this server has them: they are waited for.
                (Err(error), Some(session)) if !knows_tasks && tasks::wants_tasks(&error) => {
                    knows_tasks = true;
                    tasks::declare(session, &mut params);
                    continue;
                }
                (Err(error), _) => return Err(Refused::There(error)),
            };
            match call {
                Call::Plain => {}
                Call::Task => return Ok(older::begun(result)),
                Call::Awaited => return self.awaited_result((found, &link), result, sink).await,
            }
            let Some(session) = &self.session else {
                return Ok(result);
            };
            if knows_tasks && task::begun(&result).is_some() {
                return self.awaited_end((found, &link, session), result, sink).await;
            }
            if !link.version.is_modern() || !result.get().contains("input_required") {
                return Ok(result);
            }
            let Some(wanted) = Object::parse(result.get())
                .ok()
                .filter(|wanted| wanted.text("resultType").as_deref() == Some("input_required"))
            else {
                return Ok(result);
            };
            params.remove("inputResponses");
            params.remove("requestState");
            let responses = gather(session, &wanted, sink).await?;
            let responses = replied(self.judge(), &found.server, responses.raw()).await;
            params.set("inputResponses", &responses.map_err(RpcError::from)?);
            if let Some(state) = wanted.get("requestState") {
                params.set("requestState", state);
            }
        }
        Err(RpcError::internal(format!("{} wants input again and again", found.server.name)).into())
    }
}

/// Puts what a server wants to the client, and gathers the answers.
async fn gather(session: &Session, wanted: &Object, sink: &Sink) -> Result<Object, Refused> {
    let mut waiting = Vec::new();
    for (key, asked) in wanted.object("inputRequests").unwrap_or_default().iter() {
        let asked = Object::parse(asked.get()).unwrap_or_default();
        let method = asked.text("method").unwrap_or_default();
        let params = asked.object("params").unwrap_or_default();
        let answer = session.ask(&method, &params, sink);
        let answer = answer.ok_or_else(|| RpcError::internal("the client does not listen"))?;
        waiting.push((key.to_owned(), answer));
    }
    let mut responses = Object::default();
    for (key, answer) in waiting {
        match answer.await {
            Ok(Ok(response)) => responses.set(&key, &response),
            // A client that cannot or will not answer ends the request with its own error.
            Ok(Err(error)) => return Err(Refused::There(error)),
            Err(_) => return Err(RpcError::internal("the client is gone").into()),
        }
    }
    Ok(responses)
}

/// Headers that repeat parameters of a tool, for servers that want them.
fn headers(found: &Found, link: &Link, params: &Object) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let Some(entry) = found.entry.as_ref().filter(|_| link.version.is_modern()) else {
        return Vec::new();
    };
    if entry.item.mirrored.is_empty() {
        return Vec::new();
    }
    let arguments = params
        .get("arguments")
        .and_then(|arguments| serde_json::from_str(arguments.get()).ok());
    let arguments = arguments.unwrap_or(serde_json::Value::Null);
    let mirrored = entry.item.mirrored.iter();
    mirrored
        .filter_map(|one| Some((one.header.clone(), meta::encoded(&one.value(&arguments)?)?)))
        .collect()
}

/// What the stateless era wants of every result, where an older server does not say it; its own code for what is not there.
fn modern(method: &str, outcome: Result<Raw, Refused>) -> Result<Raw, Refused> {
    let result = match outcome {
        Ok(result) => result,
        Err(Refused::There(error)) if method == "resources/read" => {
            let Ok(mut object) = Object::parse(error.get()) else {
                return Err(Refused::There(error));
            };
            if object.get("code").is_some_and(|code| code.get() == "-32002") {
                object.set("code", &-32602);
            }
            return Err(Refused::There(object.raw()));
        }
        Err(refused) => return Err(refused),
    };
    let Ok(mut object) = Object::parse(result.get()) else {
        return Ok(result);
    };
    if object.get("resultType").is_none() {
        object.set("resultType", "complete");
    }
    let listed = Kind::listed_by(method).is_some() || method == "server/discover";
    let is_complete = object.text("resultType").as_deref() == Some("complete");
    if (listed || method == "resources/read") && is_complete {
        if object.get("ttlMs").is_none() {
            object.set("ttlMs", &if listed { 5_000 } else { 0 });
        }
        // What a caller sees depends on who they are.
        object.set("cacheScope", "private");
    }
    if listed {
        let mut meta = meta::of(&object);
        meta.set(
            meta::SERVER_INFO,
            &json!({ "name": "pointsman", "version": env!("CARGO_PKG_VERSION") }),
        );
        object.set("_meta", &meta);
    }
    Ok(object.raw())
}
