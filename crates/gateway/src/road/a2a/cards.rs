//! Cards: of one agent, of all that a caller may call, and the one for those who are known.

use std::sync::Arc;

use futures_util::future::join_all;
use http::{HeaderValue, StatusCode, header};
use pointsman_a2a::agent::{Agent, Known};
use pointsman_a2a::card::{self, Card, Face};
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::json::{Object, Raw};
use pointsman_a2a::link::{Failed, VERSION_HEADER};
use pointsman_a2a::translate;
use pointsman_a2a::version::Version;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind};
use serde_json::json;

use super::{Desk, hidden, may_call, push};
use crate::reply::{self, Reply, ReplyBody};
use crate::road::{Arrival, Refusal};
use crate::worker::Worker;

/// Where clients call the gateway for an agent: as the operator says, or else as this client does.
fn address(arrival: &Arrival, name: &str) -> String {
    let policy = &arrival.snapshot.a2a;
    if let Some(public) = &policy.hub.config.public_url {
        return format!("{}/a2a/{name}", public.trim_end_matches('/'));
    }
    let said = arrival
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // HTTP/2 has it in the target.
    let authority = arrival.uri.authority().map(http::uri::Authority::as_str);
    let host = said.or(authority).unwrap_or("localhost");
    let scheme = if arrival.snapshot.keeping.tls {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{host}/a2a/{name}")
}

fn failed(agent: &Agent, why: &Failed) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("{:?}: {why}", agent.name))
}

/// Whether the words of 0.3 are shown: to who asks for them, and of an agent that speaks 0.3 to who says nothing.
fn reads_old(known: &Known, said: Option<Version>) -> bool {
    let speaks_old = || known.ways.iter().any(|way| way.version == Version::V03);
    said.map_or_else(speaks_old, |said| said == Version::V03)
}

/// The card of an agent, as the gateway shows it.
pub async fn card(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    agent: &Arc<Agent>,
    caller: Option<&Principal>,
) -> Result<Reply, Refusal> {
    let known = agent
        .known(&worker.client)
        .await
        .map_err(|why| failed(agent, &why))?;
    let said = arrival
        .headers
        .get(VERSION_HEADER)
        .and_then(|said| said.to_str().ok());
    let said = said.and_then(Version::said);
    let url = address(arrival, &agent.name);
    let face = Face {
        url: &url,
        needs_key: arrival.snapshot.anonymous.is_none(),
        pushes: push::base(arrival).is_some(),
        is_both: reads_old(&known, said),
        is_default: is_default(arrival, agent),
        hidden: &hidden(caller, agent),
    };
    let text = known.card.shown(&face).raw().get().to_owned();
    let etag = card::etag(&text);
    let is_known = arrival
        .headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == etag);
    let mut reply = if is_known {
        let mut reply = Reply::new(ReplyBody::Whole(None));
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply
    } else {
        reply::json_bytes(StatusCode::OK, text.into())
    };
    let headers = reply.headers_mut();
    // It names the host that this client called, and has the words of its version.
    let age = arrival.snapshot.a2a.hub.config.card_ttl.get().as_secs();
    if let Ok(age) = HeaderValue::try_from(format!("private, max-age={age}")) {
        headers.insert(header::CACHE_CONTROL, age);
    }
    headers.insert(header::VARY, HeaderValue::from_static("A2A-Version, Host"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(reply)
}

/// Whether an agent is called where nobody is named.
fn is_default(arrival: &Arrival, agent: &Agent) -> bool {
    let usual = arrival.snapshot.a2a.hub.default_agent();
    usual.is_some_and(|usual| usual.name == agent.name)
}

/// The agents that a caller may call.
pub async fn catalog(worker: &Arc<Worker>, arrival: &Arrival, caller: &Principal) -> Reply {
    let agents = arrival.snapshot.a2a.hub.agents();
    let agents: Vec<&Arc<Agent>> = agents.filter(|agent| may_call(caller, agent)).collect();
    let known = agents.iter().map(|agent| agent.known(&worker.client));
    let known = join_all(known).await;
    let entries: Vec<Raw> = agents
        .iter()
        .zip(known)
        .map(|(agent, known)| {
            let url = address(arrival, &agent.name);
            card::entry(&agent.name, &url, known.as_ref().ok().map(|known| &known.card))
        })
        .collect();
    reply::json(StatusCode::OK, &json!({ "agents": entries }))
}

/// The card for those who are known, out of what the agent answered.
///
/// # Errors
/// When it is no card.
pub fn extended(desk: &Desk<'_>, result: &Raw, (from, to): (Version, Version)) -> Result<Raw, A2aError> {
    let none = |why| {
        A2aError::new(
            Kind::InvalidAgentResponse,
            format!("the agent's card is none: {why}"),
        )
    };
    let mut object = Object::of(result).ok_or_else(|| none("it is no object".to_owned()))?;
    if from == Version::V03 {
        translate::card::up(&mut object);
    }
    let url = address(desk.arrival, &desk.agent.name);
    let face = Face {
        url: &url,
        needs_key: desk.arrival.snapshot.anonymous.is_none(),
        pushes: push::base(desk.arrival).is_some(),
        is_both: false,
        is_default: is_default(desk.arrival, &desk.agent),
        hidden: &hidden(Some(&desk.caller), &desk.agent),
    };
    let mut shown = Card::of(object).map_err(none)?.shown(&face);
    if to == Version::V03 {
        translate::card::down(&mut shown);
    }
    Ok(shown.raw())
}
