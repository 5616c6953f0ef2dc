//! A line of a batch on the road: the same stages as any request, but nobody waits at the other end.
//!
//! Who asks is the batch's owner, looked up anew for each line, so that a key that was revoked sends no more. Where
//! the owner's own limits have no room, the line is not refused but comes again later.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use pointsman_governance::{IdentifyError, Labels, Principal};
use pointsman_store::KeyId;
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;

use super::{AgentCalls, Arrival, Origin, Refusal, Standing, identify, labels, refuse, serve};
use crate::surface;
use crate::worker::Worker;

/// Where OpenAI's lines may go.
pub const OPENAI_ENDPOINTS: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
];
/// Where Anthropic's go.
pub const ANTHROPIC_ENDPOINT: &str = "/v1/messages";

/// A line.
pub struct Line {
    /// Its id in the ledger; the same each time it is sent.
    pub id: String,
    /// Whose batch it is; none for anonymous callers.
    pub owner: Option<KeyId>,
    /// Its surface.
    pub endpoint: String,
    /// Its body.
    pub body: Bytes,
    /// What was named when its batch was made.
    pub labels: Labels,
    /// Whether it is in the ledger already.
    pub charged: bool,
}

/// What came of a line.
pub enum Came {
    /// An answer, or an error, as a client would have got it.
    Answer {
        /// Its status.
        status: StatusCode,
        /// Its body.
        body: Bytes,
    },
    /// Its owner's limits have no room for it before this time has passed.
    Later(Duration),
}

/// Sends a line.
pub async fn send(worker: &Arc<Worker>, line: Line) -> Came {
    let (arrival, origin) = match arrive(worker, &line) {
        Ok(arrived) => arrived,
        Err(lost) => {
            let (failure, origin) = *lost;
            return answered(refuse::reply(worker, &origin, failure.into())).await;
        }
    };
    let served = match allowed(worker, &arrival, &line).await {
        Ok(caller) => {
            let served = serve(worker, &arrival, Arc::clone(&caller), line.body).await;
            served.map_err(|refusal| refusal.of(&caller))
        }
        Err(failure) => Err(Refusal::from(failure)),
    };
    match served {
        Ok(reply) => answered(reply).await,
        Err(refusal) => refused(worker, &origin, refusal).await,
    }
}

/// A line as a request, and as whom a failure of it is told.
pub fn arrive(worker: &Worker, line: &Line) -> Result<(Arrival, Origin), Box<(Failure, Origin)>> {
    let started = Instant::now();
    let uri: Uri = line.endpoint.parse().unwrap_or_default();
    let headers = HeaderMap::new();
    let mut origin = Origin {
        id: line.id.clone(),
        started,
        version: Version::HTTP_11,
        dialect: pointsman_wire::format::Format::OpenAiChat,
        surface: surface::UNKNOWN,
    };
    let surface = match surface::find(&Method::POST, &uri, &headers) {
        Ok(surface) => surface,
        Err((failure, _)) => return Err(Box::new((failure, origin))),
    };
    (origin.dialect, origin.surface) = (surface.dialect, surface.path);
    let arrival = Arrival {
        id: line.id.clone(),
        started,
        method: Method::POST,
        uri,
        headers,
        peer: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        client: Ipv4Addr::UNSPECIFIED.into(),
        certificate: None,
        surface,
        snapshot: worker.shared.snapshot.load_full(),
        standing: if line.charged {
            Standing::Charged
        } else {
            Standing::Line
        },
        is_part: false,
        hops: 0,
        agent_calls: AgentCalls::default(),
    };
    Ok((arrival, origin))
}

/// Who asks, if the line may be asked at all.
pub async fn allowed(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    line: &Line,
) -> Result<Arc<Principal>, Failure> {
    let caller = owner(worker, arrival, line.owner.as_ref())?;
    identify::may_ask(&caller, arrival.surface.path)?;
    whole(&line.body)?;
    labels::of_batch(worker, caller, &line.labels).await
}

/// What came of a line that was refused.
pub async fn refused(worker: &Worker, origin: &Origin, refusal: Refusal) -> Came {
    match later(&refusal) {
        Some(wait) => Came::Later(wait),
        None => answered(refuse::reply(worker, origin, refusal)).await,
    }
}

/// The batch's owner, if it may still ask.
fn owner(worker: &Worker, arrival: &Arrival, owner: Option<&KeyId>) -> Result<Arc<Principal>, Failure> {
    let refused = |why: &str| {
        Failure::new(
            FailureKind::Authentication,
            format!("{why}, so this line was not sent"),
        )
        .coded("invalid_api_key")
    };
    match owner {
        None => arrival
            .snapshot
            .anonymous
            .clone()
            .ok_or_else(|| refused("callers without a key are not let in any more")),
        Some(key) => match worker.shared.keys.claimed(key.as_str()) {
            Ok((caller, _)) => Ok(caller),
            Err(IdentifyError::Expired) => Err(refused("the key of this batch has expired")),
            Err(IdentifyError::Revoked | IdentifyError::Unknown | IdentifyError::Unread) => {
                Err(refused("the key of this batch was revoked"))
            }
            Err(error @ (IdentifyError::Disabled | IdentifyError::Closed(_))) => {
                Err(refused(&format!("of this batch, {error}")))
            }
        },
    }
}

/// A line has one answer: nobody could read a stream.
fn whole(body: &[u8]) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(default)]
        stream: Option<bool>,
    }
    // What cannot be read is told by who decodes it.
    let streamed = serde_json::from_slice(body).is_ok_and(|probe: Probe| probe.stream == Some(true));
    if streamed {
        return Err(Failure::new(
            FailureKind::InvalidRequest,
            "a line of a batch cannot be streamed; leave `stream` out",
        )
        .at("stream"));
    }
    Ok(())
}

/// How long to wait, where the owner's own limits are all that is in the way.
fn later(refusal: &Refusal) -> Option<Duration> {
    let denied = refusal.failure.kind == FailureKind::RateLimited && !refusal.is_settled();
    refusal.failure.retry_after.filter(|_| denied)
}

/// A reply, as what came of its line.
pub async fn answered(reply: crate::reply::Reply) -> Came {
    let status = reply.status();
    let body = match reply.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    Came::Answer { status, body }
}
