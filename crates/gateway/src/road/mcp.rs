//! The address of MCP servers: streamable HTTP, in the era with sessions and in the one without.
//!
//! Here is what HTTP is about: who may call from where, statuses, streams, sessions by their header. What is asked is
//! answered by the `mcp` crate; calls are admitted and settled as everything else on the road.

mod agents;
mod aside;
mod consent;
mod door;
mod grants;
mod judge;
mod listen;
mod oauth;
mod oldest;
mod read;
mod resume;
mod sessions;
mod shelf;
mod stateless;
mod stream;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pointsman_governance::Principal;
use pointsman_mcp::Hub;
use pointsman_mcp::access::Caller;
use pointsman_mcp::call::Asker;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::judge::Judge;
use pointsman_mcp::message::{self, Id, Incoming, Message};
use pointsman_mcp::meta;
use pointsman_mcp::version::Version;
use pointsman_mcp::view::View;
use pointsman_wire::form::{Failure, FailureKind};

use super::{Arrival, Refusal};
use crate::reply::{self, Reply, ReplyBody};
use crate::worker::Worker;

pub use aside::call as call_aside;
pub use consent::serve as consent;
pub use grants::answer as grants;
pub use oauth::{Described, describe, unknown};
pub use oldest::Pipes;
pub use read::tool_reader;
pub use shelf::{Called, Listed, Shelf, is_known, may_reach};

/// What every part of the address needs.
struct Desk<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    caller: Arc<Principal>,
    /// What the caller's token is allowed.
    scopes: Option<Vec<String>>,
    hub: Arc<Hub>,
    view: Arc<View>,
}

impl Desk<'_> {
    /// Whose sessions these are: the key's alone.
    fn owner(&self) -> String {
        let key = self.caller.key.as_ref();
        key.map_or_else(|| "anonymous".to_owned(), |key| format!("key:{}", key.as_str()))
    }

    /// Where their browser reaches the gateway.
    fn base(&self) -> Option<String> {
        consent::base(self.arrival)
    }

    /// Who they are, as far as rules look.
    fn caller(&self) -> Arc<Caller> {
        let key = self.caller.key.as_ref().map(|key| key.as_str().to_owned());
        let name = key.as_ref().map(|_| self.caller.name.clone());
        Arc::new(Caller {
            keys: key.into_iter().chain(name).collect(),
            team: self.caller.team.as_ref().map(|team| team.as_str().to_owned()),
            roles: self.caller.roles.clone(),
            groups: self.caller.groups.clone(),
            scopes: self.scopes.clone(),
        })
    }

    /// Who asks servers for them, without a session.
    fn asker(&self, judge: Option<Arc<dyn Judge>>) -> Asker {
        Asker {
            hub: Arc::clone(&self.hub),
            view: Arc::clone(&self.view),
            session: None,
            client: self.worker.client.clone(),
            caller: self.caller(),
            judge,
            trail: None,
            owner: self.owner(),
            base: self.base(),
            agents: agents::deputy(self),
        }
    }

    /// The value of a header that says one thing.
    fn header(&self, name: &header::HeaderName) -> Option<&str> {
        self.arrival.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

/// Answers whatever is asked at `/mcp` and `/mcp/{server}`.
pub async fn answer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let policy = &arrival.snapshot.mcp;
    let hub = Arc::clone(&policy.hub);
    if let Err(error) = door::check(&arrival.headers, arrival.uri.authority(), policy) {
        return Ok(told(&error, None));
    }
    let scopes = oauth::scopes(arrival)?;
    if let Some(refusal) = scopes
        .as_ref()
        .and_then(|has| oauth::lacking_always(arrival, has))
    {
        return Err(refusal);
    }
    let scope = arrival.surface.model.as_deref();
    let view = hub
        .view_of(scope, &consent::owner(&caller))
        .filter(|view| !view.servers().is_empty());
    let Some(view) = view else {
        return Err(nothing(&hub, scope).into());
    };
    let desk = Desk {
        worker,
        arrival,
        caller,
        scopes,
        hub,
        view,
    };
    if oldest::is_meant(arrival) {
        let answered = Box::pin(oldest::answer(&desk, &body)).await?;
        return Ok(answered.unwrap_or_else(|error| told(&error, None)));
    }
    let answered = match arrival.method {
        Method::GET => listen::open(&desk).await,
        Method::DELETE => sessions::end(&desk).await,
        Method::POST => post(&desk, &body).await?,
        _ => Err(RpcError::request("use POST, GET or DELETE").with(StatusCode::METHOD_NOT_ALLOWED)),
    };
    Ok(answered.unwrap_or_else(|error| told(&error, None)))
}

fn nothing(hub: &Hub, scope: Option<&str>) -> Failure {
    let names: Vec<&str> = hub.names().collect();
    let message = match scope {
        _ if names.is_empty() => "no MCP servers are configured here (`mcp.servers`)".to_owned(),
        Some(name) => format!("there is no MCP server {name:?}; there are {}", names.join(", ")),
        None => "there are no MCP servers".to_owned(),
    };
    Failure::new(FailureKind::NotFound, message)
}

/// Takes messages. Outside is what is refused as any request is, inside what is refused as MCP does.
async fn post(desk: &Desk<'_>, body: &Bytes) -> Result<Result<Reply, RpcError>, Refusal> {
    let incoming = match take(desk, body) {
        Ok(incoming) => incoming,
        Err(error) => return Ok(Err(error)),
    };
    if is_modern(desk, &incoming) {
        return stateless::answer(desk, incoming).await;
    }
    sessions::answer(desk, incoming).await
}

fn take(desk: &Desk<'_>, body: &Bytes) -> Result<Incoming, RpcError> {
    let limit = desk.hub.config.message_limit;
    if body.len() > limit {
        let message = format!("the message is larger than {limit} bytes (`mcp.message_limit`)");
        return Err(RpcError::request(message).with(StatusCode::PAYLOAD_TOO_LARGE));
    }
    door::check_forms(&desk.arrival.headers)?;
    let text = std::str::from_utf8(body).map_err(|_| RpcError::parse("the message is not UTF-8"))?;
    message::decode(text)
}

/// Whether a request says everything itself: by its metadata, or by the header of its version.
fn is_modern(desk: &Desk<'_>, incoming: &Incoming) -> bool {
    let by_header = desk
        .header(&meta::VERSION_HEADER)
        .and_then(Version::from_name)
        .is_some_and(Version::is_modern);
    by_header
        || match incoming {
            Incoming::One(Message::Request(request)) => meta::is_modern(&request.params),
            _ => false,
        }
}

/// An error as the body of a reply.
fn told(error: &RpcError, id: Option<&Id>) -> Reply {
    let mut reply = reply::json_bytes(error.status, error.answer(id).into());
    if error.status == StatusCode::METHOD_NOT_ALLOWED {
        reply
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    reply
}

/// That a message was taken.
fn accepted() -> Reply {
    let mut reply = Reply::new(ReplyBody::Whole(None));
    *reply.status_mut() = StatusCode::ACCEPTED;
    reply
}
