//! The address of A2A agents: cards, JSON-RPC in both versions, HTTP+JSON, and gRPC.
//!
//! Here is what HTTP is about: paths, versions, statuses, streams. What is asked is admitted, guarded and settled as
//! everything else on the road (`work`), and led to an agent by the `a2a` crate. An agent knows one caller, the gateway:
//! whose tasks are whose is kept apart here.

mod cards;
mod chat;
mod judge;
mod list;
mod model;
mod push;
mod speech;
mod stream;
mod tool;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use pointsman_a2a::Hub;
use pointsman_a2a::agent::{Agent, WELL_KNOWN};
use pointsman_a2a::book::Keeping;
use pointsman_a2a::call::Call;
use pointsman_a2a::config::Allow;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::json::{self, Object};
use pointsman_a2a::link::{Beside, EXTENSIONS_HEADER, HOPS_HEADER, OLD_EXTENSIONS_HEADER, VERSION_HEADER};
use pointsman_a2a::operation::Operation;
use pointsman_a2a::proto::{self, schema};
use pointsman_a2a::version::Version;
use pointsman_a2a::{grpc, old, rest, rpc};
use pointsman_governance::{Principal, fits};
use pointsman_wire::form::{Failure, FailureKind};

use super::{Arrival, Refusal};
use crate::incoming;
use crate::reply::Reply;
use crate::worker::Worker;
use speech::Speech;

pub use chat::{ask, ask_chosen, attempt, can_be_told, knowing, may_answer, named, names};
pub use push::Lasting;
pub use tool::{Cards, Wanted, call as call_tool, may as may_call_tool};

/// Where all of it is.
const ROOT: &str = "/a2a/";

/// What every part of the address needs.
struct Desk<'a> {
    worker: &'a Arc<Worker>,
    arrival: &'a Arrival,
    caller: Arc<Principal>,
    hub: Arc<Hub>,
    agent: Arc<Agent>,
}

impl Desk<'_> {
    /// Whose tasks these are: the key's alone.
    fn owner(&self) -> String {
        let key = self.caller.key.as_ref();
        key.map_or_else(|| "anonymous".to_owned(), |key| format!("key:{}", key.as_str()))
    }

    /// How much is remembered of tasks.
    fn keeping(&self) -> Keeping {
        Keeping {
            most: self.hub.config.max_tasks,
            life: self.hub.config.task_ttl.get(),
        }
    }

    fn lasting(&self) -> &Lasting {
        &self.worker.shared.lasting.a2a
    }

    /// What an agent is told in headers: extensions that the client uses, and through how many agents it has come.
    fn beside(&self) -> Beside<'_> {
        let headers = &self.arrival.headers;
        Beside {
            extensions: headers
                .get(EXTENSIONS_HEADER)
                .or_else(|| headers.get(OLD_EXTENSIONS_HEADER)),
            hops: self.arrival.hops,
        }
    }
}

/// Through how many agents a request has come, as they say.
pub fn hops(headers: &HeaderMap) -> u8 {
    let said = headers.get(HOPS_HEADER).and_then(|said| said.to_str().ok());
    // What is no number is no small one.
    said.map_or(0, |said| said.trim().parse().unwrap_or(u8::MAX))
}

/// What a path below an agent leads to. The rest of it is as it was sent: names in it may hold anything.
struct Place<'a> {
    agent: &'a str,
    rest: &'a str,
}

fn place(path: &str) -> Option<Place<'_>> {
    let below = path.find(ROOT).map(|at| &path[at + ROOT.len()..])?;
    let (agent, rest) = below.find('/').map_or((below, ""), |at| below.split_at(at));
    Some(Place { agent, rest })
}

/// Answers what needs no key: cards that are for everybody, and what agents tell. Gives the body back for everything else.
pub async fn unkeyed(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    body: Incoming,
) -> Result<Result<Reply, Refusal>, Incoming> {
    let policy = &arrival.snapshot.a2a;
    let place = place(arrival.uri.path());
    if let Some(place) = &place
        && let Some(sealed) = place.rest.strip_prefix("/push/")
        && arrival.method == Method::POST
    {
        let told = (place.agent, sealed);
        return Ok(Box::pin(push::receive(worker, arrival, told, body)).await);
    }
    let agent = match &place {
        Some(place) if place.rest == WELL_KNOWN => policy.hub.agent(place.agent),
        None if arrival.uri.path().ends_with(WELL_KNOWN) => policy.hub.default_agent(),
        _ => None,
    };
    let Some(agent) = agent.filter(|agent| !agent.config.private_card && agent.config.allow.is_everybody())
    else {
        return Err(body);
    };
    incoming::leave(&arrival.headers, body);
    Ok(Box::pin(cards::card(worker, arrival, agent, None)).await)
}

/// Answers whatever is asked at `/a2a` and below by a caller who is known.
pub async fn answer(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let hub = Arc::clone(&arrival.snapshot.a2a.hub);
    let path = arrival.uri.path();
    if path.contains(grpc::SERVICE) || path.contains(old::SERVICE) {
        return Box::pin(call(worker, arrival, caller, &body)).await;
    }
    let Some(place) = place(path) else {
        if !path.ends_with(WELL_KNOWN) {
            return Ok(cards::catalog(worker, arrival, &caller).await);
        }
        let agent = hub.default_agent().filter(|agent| may_call(&caller, agent));
        let agent = agent.ok_or_else(|| {
            let why =
                "no agent's card stands here; GET /a2a lists the agents, `a2a.default` names one of several";
            Failure::new(FailureKind::NotFound, why)
        })?;
        return Box::pin(cards::card(worker, arrival, agent, Some(&caller))).await;
    };
    let agent = hub.agent(place.agent).filter(|agent| may_call(&caller, agent));
    let agent = Arc::clone(agent.ok_or_else(|| nothing(&hub, &caller, place.agent))?);
    if place.rest == WELL_KNOWN && arrival.method != Method::POST {
        return Box::pin(cards::card(worker, arrival, &agent, Some(&caller))).await;
    }
    if place.rest.trim_end_matches('/').is_empty() && arrival.method != Method::POST {
        let message = "use POST here; the agent's card is at /.well-known/agent-card.json below";
        return Err(Failure::new(FailureKind::MethodNotAllowed, message).into());
    }
    let desk = Desk {
        worker,
        arrival,
        caller,
        hub: Arc::clone(&hub),
        agent,
    };
    let limit = hub.config.message_limit;
    if body.len() > limit {
        let message = format!("the message is larger than {limit} bytes (`a2a.message_limit`)");
        return Err(Failure::new(FailureKind::TooLarge, message).into());
    }
    let (speech, call) = match read(arrival, place.rest, &body) {
        Ok(read) => read,
        Err((speech, error)) => return Ok(speech.whole(Err(&error))),
    };
    Box::pin(work::answer(&desk, speech, call)).await
}

/// Answers a call of gRPC. Its address names no agent: the `tenant` that the card says does, or it is the default one.
async fn call(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    body: &Bytes,
) -> Result<Reply, Refusal> {
    let hub = Arc::clone(&arrival.snapshot.a2a.hub);
    let path = arrival.uri.path();
    let Some((operation, version)) = method(path) else {
        let error = A2aError::new(Kind::Method, "there is no such method");
        return Ok(Speech::Grpc(Operation::Get).whole(Err(&error)));
    };
    let speech = match version {
        Version::V10 => Speech::Grpc(operation),
        Version::V03 => Speech::OldGrpc(operation),
    };
    let params = match asked(arrival, (operation, version), (body, hub.config.message_limit)) {
        Ok(params) => params,
        Err(error) => return Ok(speech.whole(Err(&error))),
    };
    let tenant = params.filled("tenant");
    let named = match &tenant {
        Some(name) => hub.agent(name),
        None => hub.default_agent(),
    };
    let Some(agent) = named.filter(|agent| may_call(&caller, agent)) else {
        let message = nothing(&hub, &caller, tenant.as_deref().unwrap_or_default()).message;
        let error = A2aError::params(format!("{message}; `tenant` names one"));
        return Ok(speech.whole(Err(&error)));
    };
    let desk = Desk {
        worker,
        arrival,
        caller,
        agent: Arc::clone(agent),
        hub: Arc::clone(&hub),
    };
    let call = Call {
        operation,
        version,
        params,
    };
    Box::pin(work::answer(&desk, speech, call)).await
}

/// The operation of a method of gRPC, and the version that its package is.
fn method(path: &str) -> Option<(Operation, Version)> {
    if let Some(at) = path.find(grpc::SERVICE) {
        return Some((grpc::operation(&path[at..])?, Version::V10));
    }
    let at = path.find(old::SERVICE)?;
    Some((old::operation(&path[at..])?, Version::V03))
}

/// The parameters of a call of gRPC, in the version that its package is.
fn asked(
    arrival: &Arrival,
    (operation, of): (Operation, Version),
    (body, limit): (&Bytes, usize),
) -> Result<Object, A2aError> {
    if arrival.headers.contains_key(VERSION_HEADER) {
        let said = version(&arrival.headers, None)?;
        if said != of {
            return Err(A2aError::version(said.name()));
        }
    }
    let mut frames = grpc::Frames::new(limit);
    frames.push(body);
    let message = frames.take().map_err(A2aError::params)?;
    let message = message.ok_or_else(|| A2aError::params("there is no message"))?;
    if of == Version::V03 {
        return old::asked(operation, &message);
    }
    let value = proto::decode(schema::of(operation).0, &message);
    let value = value.map_err(|error| A2aError::params(error.to_string()))?;
    Ok(Object::of(&json::raw(&value)).unwrap_or_default())
}

/// What is not there, and what a caller may not call, is told in the same words.
fn nothing(hub: &Hub, caller: &Principal, name: &str) -> Failure {
    let names = hub.agents().filter(|agent| may_call(caller, agent));
    let names: Vec<&str> = names.map(|agent| agent.name.as_str()).collect();
    let name: String = name.chars().take(64).collect();
    let message = if names.is_empty() {
        format!("there is no agent {name:?}")
    } else {
        format!("there is no agent {name:?}; there are {}", names.join(", "))
    };
    Failure::new(FailureKind::NotFound, message)
}

/// Whether a caller may call an agent: its key's models name it as `a2a/NAME`, and the agent names the caller.
fn may_call(caller: &Principal, agent: &Agent) -> bool {
    is_named(caller, &agent.config.allow) && caller.allows_model(&model_name(agent))
}

/// Whether a caller is one of those who may; everybody is where nobody is named.
fn is_named(caller: &Principal, allow: &Allow) -> bool {
    allow.is_everybody()
        || allow.keys.iter().any(|pattern| fits(pattern, &caller.name))
        || caller
            .team
            .as_ref()
            .is_some_and(|team| allow.teams.iter().any(|id| id == team.as_str()))
        || caller
            .organization
            .as_ref()
            .is_some_and(|one| allow.organizations.iter().any(|id| id == one.as_str()))
}

/// Skills of an agent that are not a caller's, as patterns; of whoever is not known, all that are for some alone.
fn hidden<'a>(caller: Option<&Principal>, agent: &'a Agent) -> Vec<&'a str> {
    let rules = agent.config.skills.iter();
    rules
        .filter(|(_, allow)| match caller {
            Some(caller) => !is_named(caller, allow),
            None => !allow.is_everybody(),
        })
        .map(|(skill, _)| skill.as_str())
        .collect()
}

/// What an agent is called in lists of models, and in the ledger.
fn model_name(agent: &Agent) -> String {
    format!("a2a/{}", agent.name)
}

/// The version that a request is in, by its header or its query.
fn version(headers: &HeaderMap, query: Option<&str>) -> Result<Version, A2aError> {
    let said = headers
        .get(VERSION_HEADER)
        .map(|value| value.to_str().unwrap_or("?").to_owned());
    let said = said.or_else(|| {
        let mut parameters = rest::parameters(query);
        parameters.find_map(|(name, value)| (name == rest::VERSION_PARAMETER).then_some(value))
    });
    let said = said.unwrap_or_default();
    Version::said(&said).ok_or_else(|| A2aError::version(&said))
}

/// What is asked, and how it is to be answered; an error with how it is to be told.
fn read(arrival: &Arrival, rest: &str, body: &Bytes) -> Result<(Speech, Call), (Speech, A2aError)> {
    let version = version(&arrival.headers, arrival.uri.query());
    if !rest.trim_end_matches('/').is_empty() {
        return read_rest(arrival, rest, (version, body));
    }
    let request = match rpc::decode(body) {
        Ok(request) => request,
        Err(none) => {
            let version = version.unwrap_or(Version::V10);
            return Err((Speech::rpc(none.id, version), none.error));
        }
    };
    let named = Operation::named(&request.method);
    let speech = Speech::rpc(
        Some(request.id),
        named.map_or(Version::V10, |(_, version)| version),
    );
    let version = match version {
        Ok(version) => version,
        Err(error) => return Err((speech, error)),
    };
    match named {
        None => {
            let message = "Method not found: neither 1.0 nor 0.3 has this method";
            Err((speech, A2aError::new(Kind::Method, message)))
        }
        Some((operation, of)) if of == version => Ok((
            speech,
            Call {
                operation,
                version,
                params: request.params,
            },
        )),
        // Without a header it is 0.3, which has no such method.
        Some((_, Version::V10)) => Err((speech, A2aError::version(version.name()))),
        Some((_, Version::V03)) => {
            let message = "Method not found: it is called otherwise in A2A 1.0";
            Err((speech, A2aError::new(Kind::Method, message)))
        }
    }
}

fn read_rest(
    arrival: &Arrival,
    rest: &str,
    (version, body): (Result<Version, A2aError>, &Bytes),
) -> Result<(Speech, Call), (Speech, A2aError)> {
    let version = version.map_err(|error| (Speech::Rest, error))?;
    let asked = (&arrival.method, rest, arrival.uri.query());
    if version == Version::V10 {
        let call = rest::read(asked.0, asked.1, asked.2, body);
        return call
            .map(|call| (Speech::Rest, call))
            .map_err(|error| (Speech::Rest, error));
    }
    match old::rest::read(asked.0, asked.1, asked.2, body) {
        Ok(call) => Ok((Speech::OldRest(call.operation), call)),
        Err(error) => Err((Speech::OldRest(Operation::Get), error)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn paths_are_taken_apart_as_they_were_sent() {
        for (path, agent, rest) in [
            ("/a2a/a", "a", ""),
            ("/a2a/a/", "a", "/"),
            ("/a2a/a/tasks/x%2Fa2a%2Fb", "a", "/tasks/x%2Fa2a%2Fb"),
            ("/openai/a2a/a/message:send", "a", "/message:send"),
            ("/a2a/a/a2a/b", "a", "/a2a/b"),
        ] {
            let place = place(path).unwrap();
            assert_eq!((place.agent, place.rest), (agent, rest), "{path}");
        }
        assert!(place("/a2a").is_none());
    }

    #[test]
    fn a_version_stands_in_the_header_or_the_query() {
        let mut headers = HeaderMap::new();
        assert_eq!(version(&headers, None).unwrap(), Version::V03);
        assert_eq!(
            version(&headers, Some("a=b&A2A-Version=1.0")).unwrap(),
            Version::V10
        );
        headers.insert(VERSION_HEADER, HeaderValue::from_static("99.0"));
        assert_eq!(
            version(&headers, None).unwrap_err().kind,
            Kind::VersionNotSupported
        );
    }
}
