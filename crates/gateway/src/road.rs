//! The road of one request, stage by stage.
//!
//! Read [`travel`] from top to bottom: it is the life of a request. Each stage is a file of the same name, takes what
//! the stages before it made, and either hands on or refuses with a [`Refusal`], which `refuse` tells the client in
//! its own format, in one place. What has been admitted carries a [`Ticket`]; the answer takes it along, and it is
//! settled exactly once: when the client has its answer, when it gave up, or when no answer could be had.

pub mod admit;
pub mod decide;
pub mod guard;
pub mod identify;
pub mod recall;
pub mod relay;
pub mod send;
pub mod settle;

pub mod handed;
pub mod line;

mod a2a;
pub mod alias;
mod arrive;
mod aside;
pub mod batches;
mod collections;
mod compact;
mod converse;
mod count;
mod embed;
mod enrich;
pub mod errand;
mod explain;
mod feedback;
mod files;
mod follow;
mod forward;
mod grounds;
mod hallucination;
mod imagine;
pub mod labels;
mod list;
mod looped;
mod mcp;
mod memory;
mod picture;
mod prompt;
mod rates;
mod realtime;
mod recover;
mod refuse;
mod rerank;
mod shadow;
mod sound;
mod state;
mod structure;
mod suspect;
mod tokens;
mod tooled;
mod transform;
mod understand;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use hyper::body::Incoming;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use crate::certificate::Certificate;
use crate::incoming;
use crate::reply::{self, Reply};
use crate::snapshot::Snapshot;
use crate::surface::{self, Asks, FileCall, Surface};
use crate::worker::Worker;

pub use a2a::{Cards as AgentCards, Lasting as A2aLasting};
pub use decide::Prices;
pub use mcp::{Described as McpDescribed, Pipes as McpPipes, tool_reader};
pub use realtime::Secrets;
pub use refuse::{Origin, Refusal};
pub use settle::Ticket;
pub use shadow::{Desk as CopyDesk, Lanes as CopyLanes, Owner as CopyOwner, desk as copy_desk};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where Anthropic's SDKs look for it.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where AWS's SDKs look for it.
const AMZN_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A request as it came in, before anything is known about it.
#[derive(Clone)]
pub struct Arrival {
    /// Ours, never repeated.
    pub id: String,
    /// When its head was complete.
    pub started: Instant,
    /// How it is asked.
    pub method: Method,
    /// What is asked for, as the client wrote it. Its query may hold a key: it is not logged.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Who is at the other end of the connection.
    pub peer: SocketAddr,
    /// Where the client is: there, or where a proxy that is trusted says.
    pub client: IpAddr,
    /// The certificate that was shown when the connection was made.
    pub certificate: Option<Arc<Certificate>>,
    /// What is asked for, and in which dialect.
    pub surface: Surface,
    /// The configuration of this request, from its first to its last stage.
    pub snapshot: Arc<Snapshot>,
    /// On whose behalf it is under way.
    pub standing: Standing,
    /// Whether it is a part of a request that was admitted and keeps its place.
    pub is_part: bool,
    /// Through how many agents it has come.
    pub hops: u8,
    /// Calls of agents that are its tools.
    pub agent_calls: AgentCalls,
}

/// How many agents a request has called as tools: each call is its own in the ledger. Nothing is allocated before the
/// first; copies that are made after it count on together.
#[derive(Debug, Clone, Default)]
pub struct AgentCalls(OnceLock<Arc<AtomicU32>>);

impl AgentCalls {
    /// The counter of all of the request's calls.
    pub fn counter(&self) -> Arc<AtomicU32> {
        Arc::clone(self.0.get_or_init(Arc::default))
    }
}

/// On whose behalf a request is under way: what becomes of it when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A client waits for it.
    Awaited,
    /// A line of a batch: given up, it is sent again, and only then recorded.
    Line,
    /// A line of a batch that was recorded and charged, but whose answer was lost with its process.
    Charged,
}

/// Answers a request, whatever it is, of who is at the other end of the connection and has shown this certificate. Cannot
/// fail: failures are told in the client's format.
pub async fn answer(
    worker: Arc<Worker>,
    request: Request<Incoming>,
    (peer, certificate): (SocketAddr, Option<Arc<Certificate>>),
) -> Reply {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let mut origin = Origin {
        id: worker.next_id(),
        started,
        version: parts.version,
        dialect: Format::OpenAiChat,
        surface: surface::UNKNOWN,
    };
    let surface = match surface::find(&parts.method, &parts.uri, &parts.headers) {
        Ok(surface) => surface,
        Err((failure, dialect)) => {
            incoming::leave(&parts.headers, body);
            origin.dialect = dialect;
            let reply = refuse::reply(&worker, &origin, failure.into());
            return named(reply, dialect, &origin.id);
        }
    };
    (origin.dialect, origin.surface) = (surface.dialect, surface.path);
    let opening = realtime::prepare(&surface, &mut parts);
    let snapshot = worker.shared.snapshot.load_full();
    let client = snapshot.proxies.client(peer.ip(), &parts.headers);
    let arrival = Arrival {
        started,
        method: parts.method,
        uri: parts.uri,
        hops: a2a::hops(&parts.headers),
        headers: parts.headers,
        peer,
        client,
        certificate,
        surface,
        snapshot,
        id: origin.id.clone(),
        standing: Standing::Awaited,
        is_part: false,
        agent_calls: AgentCalls::default(),
    };
    let mut reply = match travel(&worker, &arrival, (body, opening)).await {
        Ok(reply) => reply,
        Err(refusal) => refuse::reply(&worker, &origin, refusal),
    };
    if arrival.method == Method::HEAD {
        *reply.body_mut() = reply::ReplyBody::Whole(None);
    }
    named(reply, arrival.surface.dialect, &arrival.id)
}

/// The reply with the request's id, where the SDKs of its dialect look for it, too.
fn named(mut reply: Reply, dialect: Format, id: &str) -> Reply {
    let Ok(value) = HeaderValue::from_str(id) else {
        return reply;
    };
    let headers = reply.headers_mut();
    match dialect {
        Format::AnthropicMessages => drop(headers.insert(ANTHROPIC_REQUEST_ID, value.clone())),
        Format::BedrockConverse | Format::BedrockInvoke => {
            drop(headers.insert(AMZN_REQUEST_ID, value.clone()));
        }
        _ => {}
    }
    headers.insert(REQUEST_ID, value);
    reply
}

/// From the surface to the reply.
async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    (body, opening): (Incoming, Option<realtime::Opening>),
) -> Result<Reply, Refusal> {
    match arrival.surface.asks {
        Asks::Live => return Ok(list::alive()),
        Asks::Ready => return Ok(list::ready(worker)?),
        Asks::McpDescribed => {
            incoming::leave(&arrival.headers, body);
            return Box::pin(mcp::describe(worker, arrival)).await;
        }
        Asks::McpConsent => return Box::pin(mcp::consent(worker, arrival, body)).await,
        Asks::Chat(..)
        | Asks::Embeddings(_)
        | Asks::Rerank(_)
        | Asks::Endpoint(_)
        | Asks::CountTokens
        | Asks::Compact
        | Asks::State(_)
        | Asks::Models
        | Asks::Files(_)
        | Asks::Memory(_)
        | Asks::Collections(_)
        | Asks::Batches(_)
        | Asks::RealtimeSecret
        | Asks::RealtimeAside
        | Asks::Understand(_)
        | Asks::Judge(_)
        | Asks::Mcp
        | Asks::McpGrants
        | Asks::A2a
        | Asks::Explain => {}
        Asks::Realtime => return Box::pin(realtime::enter(worker, arrival, opening)).await,
    }
    let body = if arrival.surface.asks == Asks::A2a {
        match Box::pin(a2a::unkeyed(worker, arrival, body)).await {
            Ok(answered) => return answered,
            Err(body) => body,
        }
    } else {
        body
    };
    let claim = match identify::identify(worker, arrival).await {
        Ok(claim) => claim,
        Err(failure) => {
            incoming::leave(&arrival.headers, body);
            return Err(match arrival.surface.asks {
                Asks::Mcp => mcp::unknown(arrival, failure),
                _ => failure.into(),
            });
        }
    };
    if arrival.surface.asks == Asks::Models {
        let caller = claim.prove(arrival, &[])?;
        return list::models(arrival, &caller).map_err(|failure| Refusal::from(failure).of(&caller));
    }
    if arrival.surface.asks == Asks::Files(FileCall::Upload) {
        // Never in memory as a whole, so nothing that must be could prove a signature.
        let caller = claim.prove(arrival, &[])?;
        let kept = Box::pin(files::upload(worker, arrival, &caller, body)).await;
        return kept.map_err(|failure| Refusal::from(failure).of(&caller));
    }
    let (caller, body) = arrive::read(arrival, claim, body).await?;
    let named = labels::of_headers(worker, arrival, Arc::clone(&caller)).await;
    let caller = named.map_err(|failure| Refusal::from(failure).of(&caller))?;
    let served = serve(worker, arrival, Arc::clone(&caller), body).await;
    served.map_err(|refusal| refusal.of(&caller))
}

/// What a caller who is known asks for.
async fn serve(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let resolved = alias::resolve(arrival, &caller, &body);
    let (arrival, body) = match &resolved {
        Some((arrival, body)) => (arrival, body.clone()),
        None => (arrival, body),
    };
    match arrival.surface.asks {
        Asks::Chat(Format::OpenAiResponses, _) => {
            Box::pin(state::travel(worker, arrival, caller, body)).await
        }
        Asks::Chat(format, delivery) => {
            let asked = (format, delivery);
            Box::pin(converse::travel(worker, arrival, caller, asked, body)).await
        }
        Asks::Embeddings(shape) => Box::pin(embed::travel(worker, arrival, caller, shape, body)).await,
        Asks::Rerank(shape) => Box::pin(rerank::travel(worker, arrival, caller, shape, body)).await,
        Asks::Endpoint(endpoint) => Box::pin(forward::travel(worker, arrival, caller, endpoint, body)).await,
        Asks::CountTokens if arrival.surface.dialect == Format::OpenAiResponses => {
            let body = state::expanded(worker, arrival, &caller, body).await?;
            Box::pin(count::travel(worker, arrival, caller, body)).await
        }
        Asks::CountTokens => Box::pin(count::travel(worker, arrival, caller, body)).await,
        Asks::Compact => {
            let body = state::expanded(worker, arrival, &caller, body).await?;
            Box::pin(compact::travel(worker, arrival, caller, body)).await
        }
        Asks::State(kept) => Box::pin(state::answer(worker, arrival, &caller, kept, body)).await,
        Asks::Explain => Box::pin(explain::travel(worker, arrival, caller, body)).await,
        Asks::Understand(what) => Box::pin(understand::travel(worker, arrival, caller, (what, body))).await,
        Asks::Judge(what) => Box::pin(feedback::travel(worker, arrival, caller, (what, body))).await,
        Asks::Files(call) => Ok(Box::pin(files::travel(worker, arrival, &caller, call)).await?),
        Asks::Memory(call) => Ok(Box::pin(memory::travel(worker, arrival, &caller, (call, body))).await?),
        Asks::Collections(call) => {
            let answering: BoxFuture<'_, _> =
                Box::pin(collections::travel(worker, arrival, &caller, (call, body)));
            Ok(answering.await?)
        }
        Asks::Batches(call) => Ok(Box::pin(batches::travel(worker, arrival, &caller, (call, body))).await?),
        Asks::Mcp => Box::pin(mcp::answer(worker, arrival, caller, body)).await,
        Asks::McpGrants => Ok(Box::pin(mcp::grants(worker, arrival, &caller)).await?),
        Asks::A2a => Box::pin(a2a::answer(worker, arrival, caller, body)).await,
        Asks::RealtimeSecret => Ok(realtime::mint(worker, arrival, &caller, &body)?),
        Asks::RealtimeAside => Err(realtime::aside().into()),
        Asks::Models | Asks::Realtime | Asks::Live | Asks::Ready | Asks::McpDescribed | Asks::McpConsent => {
            Err(Failure::new(FailureKind::Internal, "it was answered before").into())
        }
    }
}
