//! The road of one request, stage by stage.
//!
//! Read [`travel`] from top to bottom: it is the life of a request. Each stage is a file of the same name, takes what
//! the stages before it made, and either hands on or refuses with a [`Refusal`], which [`answer`] tells the client in
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

mod arrive;
mod converse;
mod count;
mod embed;
mod explain;
mod list;
mod refusal;
mod strip;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use pointsman_governance::Principal;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use crate::incoming;
use crate::reply::{self, Reply};
use crate::snapshot::Snapshot;
use crate::surface::{self, Asks, Surface};
use crate::worker::Worker;

pub use refusal::{Origin, Refusal};
pub use settle::Ticket;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request as it came in, before anything is known about it.
pub struct Arrival {
    /// Ours, never repeated.
    pub id: String,
    /// When its head was complete.
    pub started: Instant,
    /// The path as the client wrote it.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Who is at the other end of the connection.
    pub peer: SocketAddr,
    /// What is asked for, and in which dialect.
    pub surface: Surface,
    /// The configuration of this request, from its first to its last stage.
    pub snapshot: Arc<Snapshot>,
}

/// Answers a request, whatever it is. Cannot fail: failures are told in the client's format.
pub async fn answer(worker: Arc<Worker>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let (method, version) = (parts.method.clone(), parts.version);
    let mut origin = Origin {
        id: worker.next_id(),
        started,
        dialect: Format::OpenAiChat,
        surface: surface::UNKNOWN,
    };
    let answered = match surface::find(&parts.method, parts.uri.path(), &parts.headers) {
        Err((failure, dialect)) => {
            origin.dialect = dialect;
            incoming::leave(&parts.headers, body);
            Err(failure.into())
        }
        Ok(surface) => {
            (origin.dialect, origin.surface) = (surface.dialect, surface.path);
            let arrival = Arrival {
                started,
                path: parts.uri.path().to_owned(),
                headers: parts.headers,
                peer,
                surface,
                snapshot: worker.shared.snapshot.load_full(),
                id: origin.id.clone(),
            };
            travel(&worker, &arrival, body).await
        }
    };
    let mut reply = answered.unwrap_or_else(|refusal| refuse(&worker, &origin, &refusal));
    if method == Method::HEAD {
        *reply.body_mut() = reply::ReplyBody::Whole(None);
    }
    if version == Version::HTTP_2 {
        reply.headers_mut().remove(header::CONNECTION);
    }
    if let Ok(value) = HeaderValue::from_str(&origin.id) {
        reply.headers_mut().insert(REQUEST_ID, value);
    }
    reply
}

/// From the surface to the reply.
async fn travel(worker: &Arc<Worker>, arrival: &Arrival, body: Incoming) -> Result<Reply, Refusal> {
    match arrival.surface.asks {
        Asks::Live => return Ok(list::alive()),
        Asks::Ready => return Ok(list::ready(worker)?),
        Asks::Chat(_) | Asks::Embeddings | Asks::CountTokens | Asks::Models | Asks::Explain => {}
    }
    let caller = match identify::identify(worker, arrival) {
        Ok(caller) => caller,
        Err(failure) => {
            incoming::leave(&arrival.headers, body);
            return Err(failure.into());
        }
    };
    let served = serve(worker, arrival, Arc::clone(&caller), body).await;
    served.map_err(|refusal| refusal.of(&caller))
}

/// What a caller who is known asks for.
async fn serve(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Incoming,
) -> Result<Reply, Refusal> {
    match arrival.surface.asks {
        Asks::Chat(format) => {
            let body = arrive::read(arrival, body).await?;
            Box::pin(converse::travel(worker, arrival, caller, format, body)).await
        }
        Asks::Embeddings => {
            let body = arrive::read(arrival, body).await?;
            Box::pin(embed::travel(worker, arrival, caller, body)).await
        }
        Asks::CountTokens => {
            let body = arrive::read(arrival, body).await?;
            Box::pin(count::travel(worker, arrival, caller, body)).await
        }
        Asks::Explain => {
            let body = arrive::read(arrival, body).await?;
            Ok(explain::travel(arrival, &caller, &body)?)
        }
        Asks::Models => Ok(list::models(arrival, &caller)?),
        Asks::Live | Asks::Ready => Err(Failure::new(FailureKind::Internal, "health was asked twice").into()),
    }
}

/// The one place where a failure becomes a reply.
fn refuse(worker: &Worker, origin: &Origin, refusal: &Refusal) -> Reply {
    let failure = &refusal.failure;
    let rendered = failure::render(origin.dialect, failure, &origin.id);
    refusal.tell(worker, origin, rendered.status.as_u16());
    let mut reply = reply::json_bytes(rendered.status, rendered.body);
    let headers = reply.headers_mut();
    headers.extend(refusal.headers().clone());
    if let Some(wait) = failure.retry_after {
        // Whole seconds, rounded up: a client that comes back too early is refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if failure.kind == FailureKind::Authentication {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if rendered.status == StatusCode::PAYLOAD_TOO_LARGE || failure.kind == FailureKind::ClientTimeout {
        // The rest of the body is not wanted, so the connection is not used again.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}
