//! Tasks, asked of the server that has them; and waited for where client and server speak of them in different eras.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Answered, Asker, Refused, code_of, gather, replied};
use crate::catalog::Kind;
use crate::error::RpcError;
use crate::link::{Ask, Link, Sink};
use crate::message::{Object, Raw, Request};
use crate::meta;
use crate::server::Server;
use crate::session::Session;
use crate::shorten::fitted;
use crate::task::{self, EXTENSION, Names, Support};
use crate::version::Version;
use crate::view::Found;

/// How often a task is asked after that is waited for, unless its server says something else.
const PAUSE: Duration = Duration::from_millis(500);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Most pages of a server's list of tasks.
const MAX_PAGES: usize = 20;

/// How a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// As it is asked for.
    Plain,
    /// As a task, that is handed out.
    Task,
    /// As a task, that is waited for.
    Awaited,
}

impl Asker {
    /// What they call tasks.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names {
            vault: self.hub.board.vault(),
            owner: &self.owner,
        }
    }

    /// Something of a task.
    pub(super) async fn task(
        &self,
        request: &Request,
        sink: &Sink,
        answered: &mut Answered,
    ) -> Result<Raw, Refused> {
        let version = self.session.as_ref().map(|session| session.version);
        let is_there = match (request.method.as_str(), version) {
            ("tasks/get" | "tasks/cancel" | "tasks/update", None) => true,
            ("tasks/get" | "tasks/cancel" | "tasks/result" | "tasks/list", Some(version)) => {
                version >= Version::V2025November
            }
            _ => false,
        };
        if !is_there {
            let error = RpcError::method(&request.method).with(self.unknown_status());
            return Err(error.into());
        }
        match &self.session {
            None if !declares(&request.params) => return Err(RpcError::extension(EXTENSION).into()),
            Some(session) if request.method == "tasks/list" => return self.tasks(session).await,
            _ => {}
        }
        let shown = request.params.text("taskId");
        let shown = shown.ok_or_else(|| RpcError::params("`taskId` is missing"))?;
        let unknown = || RpcError::params(format!("Unknown task: {shown}"));
        let (server, id) = self.names().find(&shown).ok_or_else(unknown)?;
        let server = self.view.server(&server).ok_or_else(unknown)?;
        if !self.hub.gates.allow(&self.caller, &server.name, None) {
            return Err(unknown().into());
        }
        let found = Found {
            server: Arc::clone(server),
            name: id.clone(),
            entry: None,
        };
        self.scoped(&found, Kind::Resources)?;
        answered.server = Some(server.name.clone());
        let mut params = request.params.clone();
        params.set("taskId", &id);
        let params = match self.outgoing(&found, Kind::Resources, params).await {
            Ok(params) => params,
            Err(stopped) => return stopped.told(),
        };
        let link = self.link(server).await;
        let link = link.map_err(|failed| self.failure(server, failed))?;
        let result = if self.is_modern() && !link.version.is_modern() {
            self.of_older((&found, request), params, sink).await?
        } else {
            self.exchange(&found, &request.method, params, sink).await?
        };
        let result = self.incoming(server, result).await?;
        let result = self.within(server, self.view.show(&server.name, result));
        Ok(self
            .names()
            .show(&server.name, result, request.method != "tasks/result"))
    }

    /// The result in a task, as a client may see it that asks for it alone.
    fn within(&self, server: &Server, task: Raw) -> Raw {
        let Some((mut object, result)) = Object::parse(task.get()).ok().and_then(|object| {
            let result = object.get("result")?.to_owned();
            object.get("taskId").is_some().then_some((object, result))
        }) else {
            return task;
        };
        let result = fitted(result, &server.config.tools);
        object.set("result", &self.view.show(&server.name, result));
        object.raw()
    }

    /// The tasks of a session, at all servers that list theirs.
    async fn tasks(&self, session: &Session) -> Result<Raw, Refused> {
        let own = session.tasks().await;
        let mut listed = Vec::new();
        for server in self.view.servers() {
            // Servers know one caller, the gateway: what they list may be anybody's.
            if !own.iter().any(|(name, _)| *name == server.name) {
                continue;
            }
            let Ok(link) = session.link(&self.client, server).await else {
                continue;
            };
            let capability = link.greeting.capabilities.object("tasks");
            if capability.is_none_or(|tasks| tasks.get("list").is_none()) {
                continue;
            }
            for mut one in self.tasks_of(&link).await {
                let id = one.text("taskId").unwrap_or_default();
                if own.contains(&(server.name.clone(), id)) {
                    self.names().show_told(&server.name, &mut one);
                    listed.push(one);
                }
            }
        }
        let mut result = Object::default();
        result.set("tasks", &listed);
        Ok(result.raw())
    }

    async fn tasks_of(&self, link: &Arc<Link>) -> Vec<Object> {
        let (mut all, mut cursor) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let mut params = Object::default();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor);
            }
            let ask = Ask::plain("tasks/list", params, self.hub.config.list_timeout.get());
            let Ok(answer) = link.ask(&self.client, ask).await else {
                break;
            };
            let Some(page) = answer
                .outcome
                .ok()
                .and_then(|page| Object::parse(page.get()).ok())
            else {
                break;
            };
            let tasks = page.list("tasks").unwrap_or_default();
            all.extend(tasks.iter().filter_map(|task| Object::parse(task.get()).ok()));
            cursor = page.text("nextCursor");
            if cursor.is_none() {
                break;
            }
        }
        all
    }

    /// A call that began a task: whose it is is noted.
    pub(super) async fn note_begun(&self, server: &Server, result: &Raw) {
        let Some(session) = &self.session else { return };
        if let Some(id) = task::begun(result) {
            session.note_task(&server.name, &id).await;
        }
    }

    /// How a server of the older era is called, whose client does not know tasks as it does.
    ///
    /// # Errors
    /// When its tool is nothing but a task, and the client has not heard of tasks though it could have.
    pub(super) async fn kind_of_call(
        &self,
        found: &Found,
        method: &str,
        params: &mut Object,
    ) -> Result<Call, Refused> {
        let knows_them = |session: &Arc<Session>| session.version >= Version::V2025November;
        let Some(entry) = found.entry.as_ref().filter(|_| method == "tools/call") else {
            return Ok(Call::Plain);
        };
        let support = task::support(&entry.item.object);
        if self.session.as_ref().is_some_and(knows_them)
            || (support.is_none() && params.get("task").is_none())
        {
            return Ok(Call::Plain);
        }
        let link = self.link(&found.server).await;
        let link = link.map_err(|failed| self.failure(&found.server, failed))?;
        if link.version.is_modern() {
            return Ok(Call::Plain);
        }
        // It would be taken for a wish in the older era's way.
        params.remove("task");
        let call = match (support, &self.session) {
            (Some(_), _) if !task::has_tasks(&link.greeting.capabilities) => Call::Plain,
            (Some(_), None) if declares(params) => Call::Task,
            (Some(Support::Required), None) => return Err(RpcError::extension(EXTENSION).into()),
            (Some(Support::Required), Some(_)) => Call::Awaited,
            _ => Call::Plain,
        };
        if call != Call::Plain {
            params.set("task", &json!({}));
        }
        Ok(call)
    }

    /// The result of a task of the older era, waited for. What its server asks meanwhile is asked as in any call.
    pub(super) async fn awaited_result(
        &self,
        (found, link): (&Found, &Arc<Link>),
        begun: Raw,
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        let Some(id) = task::begun(&begun) else {
            return Ok(begun);
        };
        let mut guard = Abandoned::of(self, link, &id);
        let mut params = Object::default();
        params.set("taskId", &id);
        let asked = self.ask(found, "tasks/result", &params, sink).await;
        let (_, answer) = asked.map_err(|failed| self.failure(&found.server, failed))?;
        guard.is_over = true;
        answer.outcome.map(task::unrelated).map_err(Refused::There)
    }

    /// The result of a task of the newer era, asked after until it is there. What it wants is asked of the client.
    pub(super) async fn awaited_end(
        &self,
        (found, link, session): (&Found, &Arc<Link>, &Session),
        begun: Raw,
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        let Some(id) = task::begun(&begun) else {
            return Ok(begun);
        };
        let server = &found.server;
        let mut guard = Abandoned::of(self, link, &id);
        let waiting = async {
            let mut task = Object::parse(begun.get()).unwrap_or_default();
            loop {
                match task.text("status").as_deref() {
                    Some("completed") => {
                        let result = task.get("result").map(ToOwned::to_owned);
                        return result.ok_or_else(|| {
                            RpcError::internal(format!("{}: a task has ended without a result", server.name))
                                .into()
                        });
                    }
                    Some("failed") => {
                        let error = task.get("error").map(ToOwned::to_owned);
                        let none = || RpcError::internal(format!("{}: a task has failed", server.name)).raw();
                        return Err(Refused::There(error.unwrap_or_else(none)));
                    }
                    Some("cancelled") => {
                        let message = format!("{}: the task was cancelled", server.name);
                        return Err(RpcError::internal(message).into());
                    }
                    Some("input_required") => {
                        let responses = gather(session, &task, sink).await?;
                        let responses = replied(self.judge(), server, responses.raw()).await;
                        let mut params = Object::default();
                        params.set("taskId", &id);
                        params.set("inputResponses", &responses.map_err(RpcError::from)?);
                        self.of_task(found, session, ("tasks/update", params), sink)
                            .await?;
                    }
                    _ => tokio::time::sleep(pause(&task)).await,
                }
                let mut params = Object::default();
                params.set("taskId", &id);
                let told = self.of_task(found, session, ("tasks/get", params), sink).await?;
                task = Object::parse(told.get()).unwrap_or_default();
            }
        };
        let ended = tokio::time::timeout(server.timeout, Box::pin(waiting)).await;
        let late = || RpcError::internal(format!("{}: the task did not end in time", server.name));
        let ended = ended.map_err(|_| Refused::from(late()))?;
        guard.is_over = true;
        ended
    }

    async fn of_task(
        &self,
        found: &Found,
        session: &Session,
        (method, mut params): (&str, Object),
        sink: &Sink,
    ) -> Result<Raw, Refused> {
        declare(session, &mut params);
        let asked = self.ask(found, method, &params, sink).await;
        let (_, answer) = asked.map_err(|failed| self.failure(&found.server, failed))?;
        answer.outcome.map_err(Refused::There)
    }
}

/// Whether a server refuses a call because it would have to begin a task, which its client does not know.
pub(super) fn wants_tasks(error: &Raw) -> bool {
    if code_of(error) != Some(RpcError::LACKS_CAPABILITY) {
        return false;
    }
    let error = Object::parse(error.get()).unwrap_or_default();
    let needed = error
        .object("data")
        .and_then(|data| data.object("requiredCapabilities"));
    needed.is_some_and(|needed| task::has_extension(&needed))
}

/// Whether a client says with a request that it knows tasks.
fn declares(params: &Object) -> bool {
    let capabilities = meta::of(params).object(meta::CLIENT_CAPABILITIES);
    capabilities.is_some_and(|capabilities| task::has_extension(&capabilities))
}

/// Says with a request that tasks are known: the gateway waits for them on behalf of a client that has a session.
pub(super) fn declare(session: &Session, params: &mut Object) {
    let mut capabilities = session.capabilities();
    let mut extensions = capabilities.object("extensions").unwrap_or_default();
    extensions.set(EXTENSION, &json!({}));
    capabilities.set("extensions", &extensions);
    let mut meta = meta::of(params);
    meta.set(meta::CLIENT_CAPABILITIES, &capabilities);
    params.set("_meta", &meta);
}

fn pause(task: &Object) -> Duration {
    let said = task
        .get("pollIntervalMs")
        .and_then(|said| said.get().parse().ok());
    said.map_or(PAUSE, Duration::from_millis)
        .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// A task that is waited for: nobody wants it any more when this is dropped before it is over.
struct Abandoned {
    link: Arc<Link>,
    client: pointsman_upstream::Client,
    params: Object,
    is_over: bool,
}

impl Abandoned {
    fn of(asker: &Asker, link: &Arc<Link>, id: &str) -> Self {
        let mut params = Object::default();
        params.set("taskId", id);
        if let Some(session) = asker.session.as_ref().filter(|_| link.version.is_modern()) {
            declare(session, &mut params);
        }
        Self {
            link: Arc::clone(link),
            client: asker.client.clone(),
            params,
            is_over: false,
        }
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.is_over {
            return;
        }
        let (link, client) = (Arc::clone(&self.link), self.client.clone());
        let ask = Ask::plain(
            "tasks/cancel",
            std::mem::take(&mut self.params),
            Duration::from_secs(10),
        );
        runtime.spawn(async move {
            if let Err(error) = link.ask(&client, ask).await {
                tracing::debug!(server = link.server.name, %error, "a task could not be cancelled");
            }
        });
    }
}
