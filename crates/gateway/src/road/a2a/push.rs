//! Events that agents tell to addresses of clients: through the gateway, there and back.
//!
//! The agent is given the gateway's address, in which the client's own is sealed, and a secret of its own. What it tells
//! there is judged and handed on to the client with the client's credential; where a client's address leads is checked
//! when it is given and each time it is told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use pointsman_a2a::book::Book;
use pointsman_a2a::call::Call;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::event::Event;
use pointsman_a2a::json::{self, Object, Raw};
use pointsman_a2a::operation::Operation;
use pointsman_a2a::seal::{self, Sealer, Told};
use pointsman_a2a::translate;
use pointsman_a2a::version::Version;
use pointsman_store::SharedSessions;
use pointsman_upstream::FetchBounds;
use pointsman_wire::form::{Failure, FailureKind};

use super::judge::Judge;
use super::{Desk, speech};
use crate::incoming::{self, BodyBounds};
use crate::reply::{Reply, ReplyBody};
use crate::road::{Arrival, Refusal};
use crate::worker::Worker;

/// What a client recognises an event by.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-a2a-notification-token");
/// Most bytes of what a client's address answers.
const MAX_ANSWER: usize = 64 * 1024;
/// How long it is waited before an address is tried again; twice as long each time.
const PAUSE: Duration = Duration::from_millis(250);

/// What outlasts a configuration.
pub struct Lasting {
    /// Whose tasks are whose.
    pub book: Arc<Book>,
    /// Seals addresses as long as the process lives.
    pub sealer: Arc<Sealer>,
}

impl Default for Lasting {
    fn default() -> Self {
        Self::sharing(None)
    }
}

impl Lasting {
    /// Nothing yet; all replicas know what one has begun, where there are several.
    pub fn sharing(shared: Option<Arc<dyn SharedSessions>>) -> Self {
        Self {
            book: Arc::new(Book::sharing(shared)),
            sealer: Arc::new(Sealer::new(None)),
        }
    }
}

/// Where agents reach the gateway; nothing where they cannot, or shall not.
pub fn base(arrival: &Arrival) -> Option<&str> {
    let policy = &arrival.snapshot.a2a;
    policy.base.as_deref().filter(|_| policy.hub.config.push.enabled)
}

fn bounds(arrival: &Arrival) -> FetchBounds {
    let config = &arrival.snapshot.a2a.hub.config.push;
    FetchBounds {
        max_bytes: MAX_ANSWER,
        timeout: config.timeout.get(),
        plain_http: config.plain_http,
        private_hosts: config.private_hosts.clone(),
    }
}

/// Where a call has the address of its client, if it has one: the fields that lead there.
fn way(call: &Call) -> Option<&'static [&'static str]> {
    match (call.operation, call.version) {
        (Operation::CreatePush, Version::V10) => Some(&[]),
        (Operation::CreatePush, Version::V03) => Some(&["pushNotificationConfig"]),
        (Operation::Send | Operation::Stream, Version::V10) => {
            Some(&["configuration", "taskPushNotificationConfig"])
        }
        (Operation::Send | Operation::Stream, Version::V03) => {
            Some(&["configuration", "pushNotificationConfig"])
        }
        _ => None,
    }
}

fn within(object: &mut Object, way: &[&str], change: &mut dyn FnMut(&mut Object)) {
    match way {
        [] => change(object),
        [first, rest @ ..] => object.within(first, |inner| within(inner, rest, change)),
    }
}

/// Puts the gateway's address in the place of a client's.
///
/// # Errors
/// When there is none for agents, or the client's leads where it may not.
pub async fn seal(desk: &Desk<'_>, call: &mut Call) -> Result<(), A2aError> {
    let Some(way) = way(call) else { return Ok(()) };
    let mut found = None;
    within(&mut call.params, way, &mut |config| found = Some(config.clone()));
    let Some(config) = found else { return Ok(()) };
    let Some(base) = base(desk.arrival) else {
        return Err(A2aError::new(
            Kind::PushNotSupported,
            "events are told to no addresses here: `a2a.push` is off, or `a2a.public_url` is not set",
        ));
    };
    let url = config
        .filled("url")
        .ok_or_else(|| A2aError::params("the push configuration has no `url`"))?;
    let vetted = Box::pin(desk.worker.client.vet(&url, &bounds(desk.arrival))).await;
    vetted
        .map_err(|why| A2aError::params(format!("the push configuration's `url` is not allowed: {why}")))?;
    let broken = || A2aError::new(Kind::Internal, "the address could not be sealed");
    let secret = seal::secret().ok_or_else(broken)?;
    let (scheme, credentials) = credential(&config);
    let told = Told {
        owner: desk.owner(),
        url,
        token: config.filled("token"),
        scheme,
        credentials,
        is_old: call.version == Version::V03,
        secret: secret.clone(),
    };
    let sealer = &desk.arrival.snapshot.a2a.sealer;
    let sealed = sealer.seal(&desk.agent.name, &told).ok_or_else(broken)?;
    let ours = format!("{base}/a2a/{}/push/{sealed}", desk.agent.name);
    let is_old = call.version == Version::V03;
    within(&mut call.params, way, &mut |config| {
        config.set("url", &ours);
        config.set("token", &secret);
        set_credential(config, is_old, Some("Bearer"), Some(&secret));
    });
    Ok(())
}

/// The scheme and the credential of a push configuration of either version.
fn credential(config: &Object) -> (Option<String>, Option<String>) {
    let said = config.object("authentication").unwrap_or_default();
    let first = said
        .list("schemes")
        .and_then(|schemes| schemes.into_iter().next());
    let first = first.and_then(|first| serde_json::from_str(first.get()).ok());
    (said.filled("scheme").or(first), said.filled("credentials"))
}

fn set_credential(config: &mut Object, is_old: bool, scheme: Option<&str>, credentials: Option<&str>) {
    let Some(scheme) = scheme else {
        config.remove("authentication");
        return;
    };
    let mut said = Object::default();
    if is_old {
        said.set("schemes", &[scheme]);
    } else {
        said.set("scheme", scheme);
    }
    if let Some(credentials) = credentials {
        said.set("credentials", credentials);
    }
    config.set("authentication", &said);
}

/// Puts clients' addresses back into what an agent says of them. What is not this caller's is not there.
///
/// # Errors
/// When a single one is not there.
pub fn unseal(
    desk: &Desk<'_>,
    operation: Operation,
    result: &Raw,
    version: Version,
) -> Result<Raw, A2aError> {
    match operation {
        Operation::CreatePush | Operation::GetPush => {
            let config = Object::of(result).and_then(|config| opened(desk, config, version));
            config.map(|config| config.raw()).ok_or_else(A2aError::no_task)
        }
        Operation::ListPush => {
            let list = match version {
                Version::V03 => serde_json::from_str(result.get()).ok(),
                Version::V10 => Object::of(result).map(|all| all.list("configs").unwrap_or_default()),
            };
            let list: Vec<Raw> = list.unwrap_or_default();
            let own = list
                .iter()
                .filter_map(|one| opened(desk, Object::of(one)?, version));
            let own: Vec<Raw> = own.map(|config| config.raw()).collect();
            match version {
                Version::V03 => Ok(json::raw(&own)),
                Version::V10 => {
                    let mut all = Object::of(result).unwrap_or_default();
                    all.set("configs", &own);
                    Ok(all.raw())
                }
            }
        }
        // Agents say so in different ways.
        Operation::DeletePush if version == Version::V10 => Ok(Object::default().raw()),
        _ => Ok(result.clone()),
    }
}

fn opened(desk: &Desk<'_>, mut config: Object, version: Version) -> Option<Object> {
    let is_old = version == Version::V03;
    let way: &[&str] = if is_old { &["pushNotificationConfig"] } else { &[] };
    let mut is_own = false;
    within(&mut config, way, &mut |config| {
        let url = config.filled("url").unwrap_or_default();
        let sealed = url.rsplit('/').next().unwrap_or_default();
        let told = desk.arrival.snapshot.a2a.sealer.open(&desk.agent.name, sealed);
        let Some(told) = told.filter(|told| told.owner == desk.owner()) else {
            return;
        };
        is_own = true;
        config.set("url", &told.url);
        match &told.token {
            Some(token) => config.set("token", token),
            None => drop(config.remove("token")),
        }
        set_credential(
            config,
            is_old,
            told.scheme.as_deref(),
            told.credentials.as_deref(),
        );
    });
    is_own.then_some(config)
}

/// Takes what an agent tells, and hands it on.
pub async fn receive(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    (agent, sealed): (&str, &str),
    body: Incoming,
) -> Result<Reply, Refusal> {
    let policy = &arrival.snapshot.a2a;
    let told = base(arrival)
        .and(policy.hub.agent(agent))
        .and_then(|_| policy.sealer.open(agent, sealed))
        .filter(|told| is_from_agent(&arrival.headers, told));
    let Some(told) = told else {
        incoming::leave(&arrival.headers, body);
        let message = "nobody is told here, or not with this token";
        return Err(Failure::new(FailureKind::Authentication, message).into());
    };
    let bounds = BodyBounds {
        limit: policy.hub.config.message_limit,
        timeout: arrival.snapshot.bounds.request_timeout,
    };
    let sent = incoming::read(&arrival.headers, body, bounds).await?;
    let sent = incoming::decode(&arrival.headers, sent, bounds.limit)?;
    let text = event((worker, arrival), &told, &sent).await?;
    deliver(worker, arrival, &told, text).await?;
    let mut reply = Reply::new(ReplyBody::Whole(None));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    Ok(reply)
}

fn is_from_agent(headers: &HeaderMap, told: &Told) -> bool {
    let token = headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|said| said.to_str().ok());
    let bearer = bearer
        .and_then(|said| said.split_once(' '))
        .map(|(_, token)| token.trim());
    [token, bearer]
        .into_iter()
        .flatten()
        .any(|shown| told.is_from_agent(shown))
}

/// What was told, judged, in the client's version.
async fn event(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    told: &Told,
    sent: &Bytes,
) -> Result<Raw, Failure> {
    let object = Object::read(sent).map_err(|why| {
        let message = format!("what is told is no JSON object: {why}");
        Failure::new(FailureKind::InvalidRequest, message)
    })?;
    let from = match object.get("kind") {
        Some(_) => Version::V03,
        None => Version::V10,
    };
    let mut raw = object.raw();
    // Nobody's key is here: those that always act.
    let guards = Arc::clone(arrival.snapshot.guards.always());
    let mut judge = Judge::new(worker, &arrival.snapshot, guards);
    if let Some(event) = Event::open(&raw, from) {
        raw = judge.whole(event).await?.close();
    }
    let to = if told.is_old { Version::V03 } else { Version::V10 };
    if from != to {
        raw = translate::event(&raw, to);
    }
    Ok(raw)
}

async fn deliver(worker: &Worker, arrival: &Arrival, told: &Told, text: Raw) -> Result<(), Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, speech::A2A_JSON);
    let sensitive = |text: String| {
        HeaderValue::try_from(text).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        })
    };
    if let Some(token) = told.token.clone().and_then(sensitive) {
        headers.insert(TOKEN_HEADER, token);
    }
    if let (Some(scheme), Some(credentials)) = (&told.scheme, &told.credentials)
        && let Some(credential) = sensitive(format!("{scheme} {credentials}"))
    {
        headers.insert(header::AUTHORIZATION, credential);
    }
    let body = Bytes::from(text.get().to_owned());
    let (bounds, attempts) = (bounds(arrival), arrival.snapshot.a2a.hub.config.push.attempts);
    let mut why = String::new();
    for attempt in 0..attempts.max(1) {
        if attempt > 0 {
            tokio::time::sleep(PAUSE * 2_u32.saturating_pow(attempt - 1)).await;
        }
        let sent = (headers.clone(), body.clone());
        match Box::pin(worker.client.deliver(&told.url, sent, &bounds)).await {
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) => why = format!("it answered {}", status.as_u16()),
            Err(error) => why = error.to_string(),
        }
    }
    let message = format!("the client could not be told: {why}");
    Err(Failure::new(FailureKind::Provider, message))
}
