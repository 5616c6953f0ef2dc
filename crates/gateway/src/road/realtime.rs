//! The road of a realtime session (OpenAI's Realtime API): a WebSocket to the client, and one to a provider.
//!
//! Until the provider has agreed, it is the road of any request: refused in HTTP, tried again, failed over. From then
//! on target and price are fixed, and the stages repeat for every answer: its estimate is reserved before the
//! provider can begin it, and it is settled before the client sees its end.

mod context;
mod dial;
mod end;
mod handshake;
mod judge;
mod meter;
mod secret;
mod session;

use std::sync::Arc;

use http::Version;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use pointsman_governance::{Estimate, Principal, Reservation};
use pointsman_guard::{Guards, Stage};
use pointsman_wire::form::{Failure, FailureKind, Text};

use super::relay::describe;
use super::send::{self, Round};
use super::{Arrival, Refusal, Ticket, admit, alias, guard, identify, labels};
use crate::reply::Reply;
use crate::snapshot::{Model, Target};
use crate::surface::{Asks, Surface, query_value};
use crate::worker::Worker;
use dial::{Dial, Dialed};
use judge::Judge;
use meter::{Meter, Parties};
use secret::Minted;
use session::Session;

pub use secret::{Secrets, mint};

/// Models asked for one session at most, fallbacks included.
const MAX_MODELS: usize = 8;

/// The client's connection, once HTTP has let go of it.
pub struct Opening {
    upgrade: OnUpgrade,
    version: Version,
}

/// Takes what a session needs of a request before it is looked at; nothing of a request for something else.
pub fn prepare(surface: &Surface, parts: &mut Parts) -> Option<Opening> {
    if surface.asks != Asks::Realtime {
        return None;
    }
    handshake::unfold(&mut parts.headers);
    Some(Opening {
        upgrade: parts.extensions.remove::<OnUpgrade>()?,
        version: parts.version,
    })
}

/// What is said of ways into a session that would lead around the gateway.
pub fn aside() -> Failure {
    let message = "the gateway makes no keys of a provider and no calls over WebRTC or SIP: what they use could not be \
                   metered. Open a WebSocket at /v1/realtime, with your key or one of /v1/realtime/client_secrets; a \
                   browser sends it as the subprotocol openai-insecure-api-key.KEY";
    Failure::new(FailureKind::NotFound, message).coded("not_supported")
}

/// Identified, with a key of any sort; then the road.
pub async fn enter(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    opening: Option<Opening>,
) -> Result<Reply, Refusal> {
    let (caller, minted) = match secret::redeem(worker, arrival) {
        Some(redeemed) => {
            let (caller, minted) = redeemed?;
            // Where it may be used from was for whoever has minted it: this is for a browser elsewhere.
            identify::may_ask(&caller, arrival.surface.path)?;
            (caller, Some(minted))
        }
        None => {
            let claim = identify::identify(worker, arrival).await?;
            (claim.prove(arrival, &[])?, None)
        }
    };
    let named = labels::of_headers(worker, arrival, Arc::clone(&caller)).await;
    let caller = named.map_err(|failure| Refusal::from(failure).of(&caller))?;
    let opened = travel(worker, arrival, &caller, (opening, minted)).await;
    opened.map_err(|refusal| refusal.of(&caller))
}

/// Admitted, dialed, opened; the session goes on beside the reply.
async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: &Arc<Principal>,
    (opening, minted): (Option<Opening>, Option<Minted>),
) -> Result<Reply, Refusal> {
    let version = opening
        .as_ref()
        .map_or(Version::HTTP_2, |opening| opening.version);
    let asked = handshake::read(arrival, version)?;
    let Some(opening) = opening else {
        return Err(Failure::new(FailureKind::Internal, "the connection cannot be taken over").into());
    };
    let (model, only_transcribes) = query(arrival, caller, minted.as_ref())?;
    let asking = |failure: Failure| Refusal::from(failure).asking(&model);
    let guards = guard::of(arrival, caller, &model).map_err(asking)?;
    let steps = models(arrival, &model, &guards).map_err(asking)?;
    let caller = &admit::asking(&arrival.snapshot, Arc::clone(caller), &model);
    // The session itself uses nothing: each of its answers is reserved when it begins.
    let nothing = Estimate::default();
    let mut ticket = admit::admit_at(worker, arrival, Arc::clone(caller), (&model, nothing))
        .await
        .map_err(|failure| Refusal::from(failure).asking(&model))?;
    ticket.facts.streamed = true;
    let targets: Vec<&Target> = steps.iter().flat_map(|step| &step.targets).collect();
    let first = match meter::first(arrival, caller, &targets).await {
        Ok(first) => first,
        Err(failure) => return Err(ticket.refuse(failure)),
    };
    let dial = Dial {
        worker,
        arrival,
        only_transcribes,
    };
    let dialed = match dial_any(&steps, &dial, &mut ticket).await {
        Ok(dialed) => dialed,
        Err(failure) => return Err(ticket.refuse(failure)),
    };
    let mut reply = asked.reply();
    describe(reply.headers_mut(), &ticket, None);
    let parties = Parties {
        worker: Arc::clone(worker),
        arrival: Arc::new(arrival.clone()),
        caller: Arc::clone(caller),
        guards,
        model,
        target: dialed.target.clone(),
    };
    let settings = minted.map(|minted| minted.settings);
    open((opening, settings), parties, (ticket, first), dialed);
    Ok(reply)
}

/// The model that is asked for, and whether it shall only write down what it hears.
fn query(arrival: &Arrival, caller: &Principal, minted: Option<&Minted>) -> Result<(String, bool), Failure> {
    let query = arrival.uri.query().unwrap_or_default();
    if query_value(query, "call_id").is_some() {
        return Err(aside());
    }
    let model = query_value(query, "model").filter(|model| !model.is_empty());
    let model = model.or_else(|| query_value(query, "deployment").filter(|model| !model.is_empty()));
    let model = model.map(|said| alias::meant(&arrival.snapshot, caller, &said).to_owned());
    if let Some(minted) = minted {
        if model.is_some_and(|model| model != minted.model) {
            let message = format!("this client secret is for {:?}", minted.model);
            return Err(Failure::new(FailureKind::PermissionDenied, message).at("model"));
        }
        return Ok((minted.model.clone(), minted.only_transcribes));
    }
    let Some(model) = model else {
        let message = "say which model the session is with: /v1/realtime?model=NAME";
        return Err(Failure::new(FailureKind::InvalidRequest, message)
            .at("model")
            .coded("missing_model"));
    };
    let only_transcribes = match query_value(query, "intent").as_deref() {
        None | Some("conversation") => false,
        Some("transcription") => true,
        Some(other) => {
            let message = format!("the intent {other:?} is not known; it is transcription, or absent");
            return Err(Failure::new(FailureKind::InvalidRequest, message).at("intent"));
        }
    };
    Ok((model, only_transcribes))
}

/// The model and those that take over for it, with the targets that have realtime sessions.
fn models(arrival: &Arrival, name: &str, guards: &Guards) -> Result<Vec<Model>, Failure> {
    let snapshot = &arrival.snapshot;
    if snapshot.is_routed(name) {
        let message =
            format!("{name:?} is chosen by what is asked, which a session says only later; name a model");
        return Err(Failure::new(FailureKind::InvalidRequest, message).at("model"));
    }
    if guards.restores() {
        let message = "what guardrails replace here is put back into answers (restore: true), and it cannot be put back into \
                       what a realtime session says";
        return Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"));
    }
    if !guards.for_stage(Stage::Output).is_empty() {
        let message = "guardrails on answers are configured here, and sound cannot be shown to them before it is heard: \
                       there are no realtime sessions";
        return Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"));
    }
    let model = snapshot.resolve(name)?;
    let others = model
        .fallback
        .any
        .iter()
        .filter_map(|name| snapshot.resolve(name).ok());
    let mut without = Vec::new();
    let mut able = Vec::new();
    for model in std::iter::once(Arc::clone(&model)).chain(others).take(MAX_MODELS) {
        let (with, rest): (Vec<&Target>, Vec<&Target>) = model
            .targets
            .iter()
            .partition(|target| target.provider.speaks.realtime.is_some());
        without.extend(rest.iter().map(|target| target.provider.name.clone()));
        if !with.is_empty() {
            able.push(Model {
                name: model.name.clone(),
                targets: with.into_iter().cloned().collect(),
                balance: Arc::clone(&model.balance),
                retry: model.retry.clone(),
                fallback: model.fallback.clone(),
                guardrails: Arc::clone(&model.guardrails),
                agent: None,
                meets_agents: false,
            });
        }
    }
    if able.is_empty() {
        without.sort_unstable();
        without.dedup();
        let names: Vec<&str> = without.iter().map(String::as_str).collect();
        let message = dial::without_realtime(&names);
        return Err(Failure::new(FailureKind::InvalidRequest, message)
            .at("model")
            .coded("no_realtime"));
    }
    Ok(able)
}

/// Asks one model after another until a provider agrees.
async fn dial_any(steps: &[Model], dial: &Dial<'_>, ticket: &mut Ticket) -> Result<Dialed, Failure> {
    let mut causes = Vec::new();
    let mut last = None;
    for model in steps {
        let round = Round {
            model,
            attempt: dial,
            barred: &[],
        };
        match round.run(ticket, &mut causes).await {
            Ok(dialed) => return Ok(dialed),
            Err(failed) => {
                let hopeless = failed.fault.is_none();
                last = Some(failed);
                if hopeless {
                    break;
                }
            }
        }
    }
    Err(send::exhausted(last, &causes))
}

/// Lets the session run once the client's connection is its own; the worker waits for it as for a connection.
fn open(
    (opening, settings): (Opening, Option<Text>),
    parties: Parties,
    (ticket, first): (Ticket, Reservation),
    dialed: Dialed,
) {
    let worker = Arc::clone(&parties.worker);
    let held = worker.hold();
    let session = Session {
        worker,
        ticket,
        judge: Judge::new(&parties),
        caller: Arc::clone(&parties.caller),
        model: parties.model.clone(),
        bounds: parties.arrival.snapshot.bounds,
        meter: Meter::new(parties, first),
        settings,
        provider: dialed.io,
        in_flight: dialed.in_flight,
    };
    tokio::spawn(async move {
        let _held = held;
        match opening.upgrade.await {
            Ok(upgraded) => Box::pin(session.run(upgraded)).await,
            Err(error) => tracing::debug!(%error, "a client left before its session began"),
        }
    });
}
