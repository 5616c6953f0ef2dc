//! A line that a provider answers in one of its own batches: the road, cut in two.
//!
//! Before the batch goes away each line is decoded, admitted, guarded and looked up like any request; what is left to
//! send is written for the provider, and what it may cost stays set aside. When the provider's answers are there, each
//! is judged, settled at the price of batches and told to the client like any answer. In between may lie a day, a
//! `kill -9` and another configuration.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pointsman_governance::{Labels, Limits, Principal, Reservation, SetAside};
use pointsman_store::KeyId;
use pointsman_wire::failure;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::{self, Format};

use super::arrive::Asked;
use super::decide::Step;
use super::line::{self, Came, Line};
use super::send::{self, Answer};
use super::{
    Arrival, Refusal, Ticket, admit, alias, arrive, embed, guard, labels, prompt, recall, refuse, relay,
};
use crate::snapshot::{Model, Speech, Target, are_kin};
use crate::surface::{Asks, Delivery};
use crate::worker::Worker;

/// Where all lines of a batch go.
pub struct Destination {
    /// The name by which clients ask for it.
    pub name: String,
    /// The target, at the price of its provider's batches.
    pub target: Target,
    /// How it is spoken to.
    pub speaking: Speaking,
}

/// How a target is spoken to in a batch.
pub enum Speaking {
    /// About conversations.
    Chat(Speech),
    /// About vectors, as OpenAI does.
    Embeddings,
}

impl Speaking {
    /// The format that errors are told in.
    fn format(&self) -> Format {
        match self {
            Self::Chat(speech) => speech.format,
            Self::Embeddings => Format::OpenAiChat,
        }
    }
}

/// What became of a line before its batch goes away.
pub enum Prepared {
    /// It goes with the batch.
    Goes(Box<Going>),
    /// It has its answer, or its error, already; or it comes again later.
    Stays(Came),
    /// The whole batch cannot go, and why.
    Unfit(String),
}

/// A line that goes with a batch.
pub struct Going {
    /// Its body, for the provider.
    pub body: Bytes,
    /// What it may use.
    pub reserved: Reservation,
    /// The end customer whom its body names.
    pub customer: Option<Box<str>>,
}

/// What a provider told of a line.
pub enum Told {
    /// An answer in the provider's format.
    Answer(Bytes),
    /// An error in the provider's format.
    Error(StatusCode, Bytes),
    /// Nothing, though it should have.
    Nothing(String),
}

/// Takes a line as far as it goes without its provider. `holding`: lines before it have money set aside.
pub async fn prepare(worker: &Arc<Worker>, line: Line, to: &Destination, holding: bool) -> Prepared {
    let (arrival, origin) = match line::arrive(worker, &line) {
        Ok(arrived) => arrived,
        Err(lost) => {
            let (failure, origin) = *lost;
            return Prepared::Stays(line::refused(worker, &origin, failure.into()).await);
        }
    };
    let ready = match line::allowed(worker, &arrival, &line).await {
        Ok(caller) => ready(worker, &arrival, Arc::clone(&caller), (line.body, to))
            .await
            .map_err(|refusal| refusal.of(&caller)),
        Err(failure) => Err(failure.into()),
    };
    match ready {
        // Whom the batch names itself is not written down line by line.
        Ok(Ready::Goes(mut going)) => {
            going.customer = going.customer.take().filter(|_| line.labels.customer.is_none());
            Prepared::Goes(going)
        }
        Ok(Ready::Replied(reply)) => Prepared::Stays(line::answered(reply).await),
        Ok(Ready::Unfit(why)) => Prepared::Unfit(why),
        // Line by line it might have room once the others are paid for.
        Err(refusal) if holding && is_spent(&refusal) => {
            Prepared::Unfit("the budget of its key has no room for all lines at once".to_owned())
        }
        Err(refusal) => Prepared::Stays(line::refused(worker, &origin, refusal).await),
    }
}

fn is_spent(refusal: &Refusal) -> bool {
    refusal.failure.kind == FailureKind::QuotaExceeded && !refusal.is_settled()
}

enum Ready {
    Goes(Box<Going>),
    Replied(crate::reply::Reply),
    Unfit(String),
}

/// Whether a line that asks for `model` may go where the batch goes.
fn goes(caller: &Principal, model: &Model, to: &Destination) -> bool {
    only(&model.targets, &to.target) && caller.allows_provider(&to.target.provider.name)
}

async fn ready(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (body, to): (Bytes, &Destination),
) -> Result<Ready, Refusal> {
    let body = alias::in_body(&arrival.snapshot, &caller, &body).unwrap_or(body);
    let Speaking::Chat(speech) = &to.speaking else {
        let (name, ..) = embed::asked(&body)?;
        let model = model(arrival, &caller, &name)?;
        if !goes(&caller, &model, to) {
            return Ok(Ready::Unfit(elsewhere(&name)));
        }
        let (body, ticket) = embed::prepared(worker, arrival, caller, (&body, &to.target)).await?;
        return gone(body, ticket);
    };
    let mut asked = arrive::decode(arrival, conversation(arrival)?, body)?;
    prompt::prepare(&arrival.snapshot.prompts, &mut asked)?;
    let model = model(arrival, &caller, &asked.request.model)?;
    if !goes(&caller, &model, to) {
        return Ok(Ready::Unfit(elsewhere(&asked.request.model)));
    }
    if asked.transforming.is_some() {
        return Ok(Ready::Unfit("a model rewrites texts of a line".to_owned()));
    }
    let estimate = admit::estimate(&arrival.snapshot, &asked, &to.target);
    let customer = labels::customer(&asked.request);
    let caller = labels::of_body(worker, caller, customer.as_deref()).await?;
    let mut ticket = admit::admit_at(worker, arrival, caller, (&asked.request.model, estimate))
        .await
        .map_err(|failure| Refusal::from(failure).asking(&asked.request.model))?;
    if let Err(failure) = guard::input(arrival, &mut asked, &mut ticket).await {
        return Err(ticket.refuse(failure));
    }
    if asked.rerouted.is_some() {
        drop(ticket);
        return Ok(Ready::Unfit(
            "a guardrail wants another model to answer a line".to_owned(),
        ));
    }
    match recall::find(worker, arrival, &mut asked, &mut ticket).await {
        Ok(Some(found)) => {
            return relay::replay(&asked, ticket, &found).map(Ready::Replied);
        }
        Ok(None) => {}
        Err(failure) => return Err(ticket.refuse(failure)),
    }
    let step = Step::plain(model);
    let at = (worker, arrival);
    match send::body_for_batch(at, (&asked, &step), (&to.target, speech), &mut ticket) {
        Ok(Some(body)) => gone(body, ticket),
        Ok(None) => {
            drop(ticket);
            Ok(Ready::Unfit(
                "a line wants a structured answer that its provider cannot promise".to_owned(),
            ))
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// The model of this name. Who may not use it is not told whether it is there.
fn model(arrival: &Arrival, caller: &Principal, name: &str) -> Result<Arc<Model>, Refusal> {
    let asking = |failure: Failure| Refusal::from(failure).asking(name);
    arrival.snapshot.resolve(name).map_err(|unknown| {
        let barred = admit::may_use(caller, name).err();
        asking(barred.unwrap_or_else(|| unknown.into()))
    })
}

/// A line that goes.
fn gone(body: Bytes, ticket: Ticket) -> Result<Ready, Refusal> {
    let customer = ticket.caller().labels.customer.clone();
    match ticket.hand_on() {
        Some(reserved) => Ok(Ready::Goes(Box::new(Going {
            body,
            reserved,
            customer,
        }))),
        None => Err(Failure::new(FailureKind::Internal, "nothing was reserved for this line").into()),
    }
}

/// The conversation that a line's surface is for.
fn conversation(arrival: &Arrival) -> Result<(Format, Delivery), Failure> {
    match arrival.surface.asks {
        Asks::Chat(format, delivery) => Ok((format, delivery)),
        _ => Err(Failure::new(FailureKind::Internal, "the line is no conversation")),
    }
}

/// Whether `target` is all there is.
pub fn only(targets: &[Target], target: &Target) -> bool {
    match targets {
        [one] => one.provider.name == target.provider.name && one.model == target.model,
        _ => false,
    }
}

/// Why a batch that asks for `model` is not handed on.
pub fn elsewhere(model: &str) -> String {
    let name: String = model.chars().take(200).collect();
    format!("{name:?} does not go where the other lines go")
}

/// Takes a line to its end: the answer is judged, charged and told, the error is told. What it costs comes out of
/// what is set `aside`.
pub async fn settle(
    worker: &Arc<Worker>,
    line: Line,
    (to, told): (&Destination, Told),
    aside: &mut SetAside,
) -> (StatusCode, Bytes) {
    let (arrival, origin) = match line::arrive(worker, &line) {
        Ok(arrived) => arrived,
        Err(lost) => {
            let (failure, origin) = *lost;
            return whole(refuse::reply(worker, &origin, failure.into())).await;
        }
    };
    let caller = payer(worker, line.owner.as_ref());
    let paying = (caller, &line.labels);
    let settled = settled(worker, (&arrival, line.body), paying, (to, told), aside).await;
    whole(settled.unwrap_or_else(|refusal| refuse::reply(worker, &origin, refusal))).await
}

/// Who pays: the owner of the batch, also one whose key sends no more.
pub fn payer(worker: &Worker, owner: Option<&KeyId>) -> Arc<Principal> {
    let known = match owner {
        Some(key) => worker.shared.keys.whoever(key),
        None => worker.shared.snapshot.load().anonymous.clone(),
    };
    known.unwrap_or_else(|| Arc::new(Principal::anonymous(Limits::default())))
}

/// Whether the owner of a batch may send no more.
pub fn is_barred(worker: &Worker, owner: Option<&KeyId>) -> bool {
    owner.is_some_and(|key| worker.shared.keys.claimed(key.as_str()).is_err())
}

async fn settled(
    worker: &Arc<Worker>,
    (arrival, body): (&Arrival, Bytes),
    (payer, labels): (Arc<Principal>, &Labels),
    (to, told): (&Destination, Told),
    aside: &mut SetAside,
) -> Result<crate::reply::Reply, Refusal> {
    let body = alias::in_body(&arrival.snapshot, &payer, &body).unwrap_or(body);
    let told = match told {
        Told::Answer(bytes) => Ok(bytes),
        Told::Error(status, body) => {
            let headers = HeaderMap::new();
            let told = failure::decode_typed(to.speaking.format(), status, &headers, None, &body);
            // Nobody waits who could come again.
            Err(Failure {
                retry_after: None,
                ..told
            })
        }
        Told::Nothing(why) => Err(Failure::new(FailureKind::Provider, why)),
    };
    let mut ticket = |model: &str, customer: Option<&str>, prompt, cost| {
        let payer = labels::owing(worker, Arc::clone(&payer), labels, customer);
        let part = aside.part_of(cost, &payer).charging(model);
        let mut ticket = Ticket::new(worker, arrival, payer, part);
        model.clone_into(&mut ticket.facts.model_requested);
        ticket.asking(&to.target, to.target.model.clone(), prompt);
        ticket
    };
    let Speaking::Chat(speech) = &to.speaking else {
        let (model, prompt, customer) = embed::asked(&body)?;
        let ticket = ticket(
            &model,
            customer.as_deref(),
            prompt,
            admit::estimate_of(&to.target, prompt, 0).cost,
        );
        return match told {
            Ok(body) => embed::told(ticket, prompt, body),
            Err(failure) => Err(ticket.refuse(failure)),
        };
    };
    let mut asked = prepared_anew(arrival, arrive::decode(arrival, conversation(arrival)?, body)?);
    let cost = admit::estimate(&arrival.snapshot, &asked, &to.target).cost;
    let customer = labels::customer(&asked.request);
    let mut ticket = ticket(
        &asked.request.model,
        customer.as_deref(),
        asked.prompt_tokens,
        cost,
    );
    asked.guards = match guard::of(arrival, ticket.caller(), &asked.request.model) {
        Ok(guards) => guards,
        Err(failure) => return Err(unrestored(ticket, &told, (speech, &failure))),
    };
    if asked.guards.restores() && told.is_ok() {
        // The same book is written once more. Where that cannot be, nothing that was replaced could be put back: the line
        // has no answer that is worth its name.
        if let Err(failure) = guard::input(arrival, &mut asked, &mut ticket).await {
            return Err(unrestored(ticket, &told, (speech, &failure)));
        }
    }
    match told.and_then(|bytes| answer(&asked, (arrival, speech, &to.target), bytes)) {
        Ok(answer) => {
            ticket.facts.first_content = Some(Instant::now());
            relay::relay(arrival, &asked, ticket, answer).await
        }
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// A line whose answer cannot be given, though it is there and paid for: the guardrails that read the question again would
/// not, or could not.
fn unrestored(
    ticket: Ticket,
    told: &Result<Bytes, Failure>,
    (speech, failure): (&Speech, &Failure),
) -> Refusal {
    let answer = told.as_ref().ok();
    let answer = answer.and_then(|bytes| format::decode_response(speech.format, bytes).ok());
    let failure = failure.clone();
    let mut ending = ticket.refusal(&failure);
    if let Some(usage) = answer.and_then(|answer| answer.usage) {
        ending.usage = usage;
    }
    ticket.withhold(failure, &ending)
}

/// The request as it was prepared, as far as today's templates still say the same.
fn prepared_anew(arrival: &Arrival, mut asked: Asked) -> Asked {
    let prompt_tokens = asked.prompt_tokens;
    if prompt::prepare(&arrival.snapshot.prompts, &mut asked).is_err() {
        asked.prompt_tokens = prompt_tokens;
    }
    asked.request.stream.enabled = false;
    asked
}

/// A provider's answer, read.
fn answer(
    asked: &Asked,
    (arrival, speech, target): (&Arrival, &Speech, &Target),
    bytes: Bytes,
) -> Result<Answer, Failure> {
    let mut response = format::decode_response(speech.format, &bytes).map_err(|error| {
        let message = format!("the provider's answer makes no sense: {}", error.message);
        Failure::new(FailureKind::Provider, message)
    })?;
    if response.id.is_empty() {
        response.id = arrival.id.as_str().into();
    }
    if response.model.is_empty() {
        response.model = target.model.as_str().into();
    }
    let native = are_kin(speech.format, asked.format).then_some(bytes);
    Ok(Answer::Whole {
        response: Box::new(response),
        native,
    })
}

async fn whole(reply: crate::reply::Reply) -> (StatusCode, Bytes) {
    match line::answered(reply).await {
        Came::Answer { status, body } => (status, body),
        Came::Later(_) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    }
}
