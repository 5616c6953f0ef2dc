//! Stage *decide*: which models may answer, in which order, and with what changes to the request.

mod prices;
mod tools;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use pointsman_governance::Principal;
use pointsman_routing::learning::Learner;
use pointsman_routing::loops::Loop;
use pointsman_routing::{
    About, Caching, CallerFacts, Explanation, Facts, Fallback, ImageGen, LlmJudge, Media, MessageFacts,
    Outcome, Plugins, Reasoning, Recorded, Replay, RequestParams, Router, Selected, Shadow, Want,
};
use pointsman_understanding::Remotes;
use pointsman_wire::form::{
    ChatRequest, ChatResponse, Choice, Extra, Failure, FailureKind, FinishReason, Message, Part, PartKind,
    Role, Source, Text, Usage,
};
use pointsman_wire::{text, tokens};

use tokio::sync::Mutex;

use super::arrive::Asked;
use super::aside::Aside;
use super::enrich::{self, Fit};
use super::follow::Routed;
use super::hallucination;
use super::understand::Remote;
use super::{Arrival, Ticket, recall};
use crate::experience::{Turn, now, session_id};
use crate::signals::{self, Helper, Models, Shows};
use crate::snapshot::{Model, Target};
use crate::worker::Worker;

pub use prices::Prices;

/// By which servers of models are told that the beginning of a prompt is worth keeping.
const PREFER_PREFIX: HeaderName = HeaderName::from_static("x-vsr-retention-prefer-prefix");
const YES: HeaderValue = HeaderValue::from_static("true");

/// What was decided, and how answers to it are remembered.
pub struct Taken<'a> {
    /// What was decided.
    pub decided: Decided<'a>,
    /// How answers are remembered, where the decision says so.
    pub caching: Option<&'a Caching>,
    /// Where a copy of the request goes, where one is made.
    pub shadow: Option<&'a Shadow>,
    /// Who judges the answer, where it is judged.
    pub judge: Option<&'a LlmJudge>,
}

impl<'a> Taken<'a> {
    /// Whether a model that speaks, or several, are asked.
    pub fn is_asked(&self) -> bool {
        !matches!(self.decided, Decided::Answer(_) | Decided::Image(_))
    }

    fn of(decided: Decided<'a>) -> Self {
        Self {
            decided,
            caching: None,
            shadow: None,
            judge: None,
        }
    }
}

/// What was decided.
pub enum Decided<'a> {
    /// The configuration answers itself.
    Answer(Box<ChatResponse>),
    /// Somebody is asked.
    Send(Plan),
    /// Several are asked for one answer.
    Loop(&'a Loop),
    /// An image is the answer.
    Image(&'a ImageGen),
}

/// Models to ask, in order.
#[derive(Clone)]
pub struct Plan {
    /// The first is the choice; the others take over when it fails.
    pub steps: Vec<Step>,
    /// How far they do, where the recipe says so.
    pub policy: Option<Fallback>,
}

impl Plan {
    /// Whether an agent may answer.
    pub fn has_agent(&self) -> bool {
        self.steps.iter().any(|step| step.model.meets_agents)
    }

    /// The same, for another call of the same request.
    pub fn again(&self) -> Self {
        Self {
            steps: self.steps.clone(),
            policy: self.policy.clone(),
        }
    }
}

/// One model to ask.
#[derive(Clone)]
pub struct Step {
    /// The model.
    pub model: Arc<Model>,
    /// What the provider shall be asked for instead of the target's own name (a LoRA adapter).
    pub upstream_name: Option<String>,
    /// How reasoning is switched for it.
    pub reasoning: Option<Reasoning>,
}

impl Step {
    /// What `target` is asked for.
    pub fn name<'a>(&'a self, target: &'a Target) -> &'a str {
        self.upstream_name.as_deref().unwrap_or(&target.model)
    }

    /// A model as it was chosen.
    fn chosen(model: Arc<Model>, selected: &Selected) -> Self {
        Self {
            model,
            upstream_name: selected.lora_name.clone(),
            reasoning: selected.reasoning.clone(),
        }
    }

    /// A model as it is.
    pub fn plain(model: Arc<Model>) -> Self {
        Self {
            model,
            upstream_name: None,
            reasoning: None,
        }
    }
}

/// Decides. What is asked of models at providers is charged to the request.
///
/// # Errors
/// 404 when the name leads nowhere.
pub async fn decide<'a>(
    worker: &Arc<Worker>,
    arrival: &'a Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
) -> Result<Taken<'a>, Failure> {
    let snapshot = &arrival.snapshot;
    let Some(router) = snapshot
        .router
        .as_ref()
        .and_then(|router| router.entered(&asked.request.model))
    else {
        let model = snapshot.resolve(&asked.request.model)?;
        let plan = with_fallbacks(arrival, Step::plain(model));
        return Ok(Taken::of(Decided::Send(plan)));
    };
    let caller = ticket.shared_caller();
    let session = session(worker, arrival, router, ticket);
    let before = session.as_ref().and_then(|(_, turn)| turn.as_ref());
    let judged = Judged {
        request: &asked.request,
        known: Known {
            caller: &caller,
            prompt_tokens: asked.prompt_tokens,
        },
        prices: Prices(snapshot),
        learned: worker.shared.experience.learner(),
        before,
    };
    let aside = Aside::new(worker, arrival, asked, ticket);
    let (outcome, recorded) = {
        let lent = Mutex::new(&mut *ticket);
        let remote = Remote::new(worker, arrival, &lent);
        judged.outcome(router, &remote, &aside).await
    };
    aside.tell(ticket);
    let decided = match outcome {
        Outcome::Matched(decided) => decided,
        Outcome::NoMatch => {
            return Err(Failure::new(
                FailureKind::NotFound,
                "no routing decision matches this prompt, and routing.default_model is not set",
            )
            .at("model")
            .coded("no_route"));
        }
    };
    ticket.facts.decision = Some(decided.decision.to_owned());
    if let (Some(turn), Some(opinion)) = (before, decided.follow.opinion) {
        ticket.overheard(turn, opinion);
    }
    let shadow = decided.plugins.shadow.as_ref();
    let shadow = shadow.filter(|shadow| shadow.takes(rand::random()));
    let judge = decided.plugins.judge.as_ref();
    let judge = judge.filter(|judge| judge.sending.takes(rand::random()));
    let recorded = recorded.filter(|(_, replay)| !replay.of_shadows || shadow.is_some());
    asked.captures = recorded.as_ref().and_then(|(_, replay)| replay.response_bytes);
    ticket.facts.routed = Routed::of(&decided, session, recorded);
    recall::retain(asked, decided.plugins.retention);
    if let Some(answer) = apply(decided.plugins, asked) {
        return Ok(Taken::of(Decided::Answer(Box::new(answer))));
    }
    prepare(worker, arrival, asked, ticket, &decided).await?;
    Ok(Taken {
        caching: decided.plugins.caching.as_ref(),
        shadow,
        judge,
        decided: way(arrival, decided)?,
    })
}

/// What the decision wants done with the request before anybody is asked, and noted for the answer.
async fn prepare(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
    decided: &pointsman_routing::Decided<'_>,
) -> Result<(), Failure> {
    let plugins = decided.plugins;
    asked.decided_guards = decided.guardrails.to_vec();
    if let Some(settings) = &plugins.hallucination {
        Box::pin(hallucination::prepare(arrival, asked, settings, ticket)).await?;
    }
    if asked.edited {
        asked.prompt_tokens = tokens::estimate_request(&asked.request);
    }
    asked.suspicion = plugins.response_jailbreak;
    let enriches = plugins.memory.is_some() || plugins.rag.is_some() || plugins.compression.is_some();
    if plugins.tool_choices.is_empty() && !enriches {
        return Ok(());
    }
    let fit = Fit {
        window: window(arrival, decided),
        alone: decided.looped.is_none() && plugins.image_gen.is_none(),
    };
    Box::pin(enrich::enrich(worker, arrival, asked, ticket, (plugins, &fit))).await
}

/// Who is asked.
fn way<'a>(arrival: &Arrival, decided: pointsman_routing::Decided<'a>) -> Result<Decided<'a>, Failure> {
    if let Some(image) = &decided.plugins.image_gen {
        return Ok(Decided::Image(image));
    }
    if let Some(looped) = decided.looped {
        return Ok(Decided::Loop(looped));
    }
    let Some(selected) = decided.selected else {
        return Err(unfit(&decided));
    };
    let mut plan = with_fallbacks(arrival, choice(arrival, selected)?);
    for other in decided.fallbacks {
        plan.steps.push(choice(arrival, other)?);
    }
    plan.policy = decided.fallback.cloned();
    Ok(Decided::Send(plan))
}

/// Tokens that the chosen model takes: as its card says, or the catalog.
fn window(arrival: &Arrival, decided: &pointsman_routing::Decided<'_>) -> Option<u64> {
    let known = || {
        let model = arrival.snapshot.resolve(&decided.selected?.model).ok()?;
        let target = model.targets.first()?;
        target
            .provider
            .facts(&arrival.snapshot.catalog, &target.model)?
            .context_window
    };
    decided.window.or_else(known)
}

/// The session that a request belongs to and its turn before, where the router follows any.
fn session(
    worker: &Worker,
    arrival: &Arrival,
    router: &Router,
    ticket: &Ticket,
) -> Option<(String, Option<Turn>)> {
    if !router.follows_sessions() {
        return None;
    }
    let id = session_id(router.learning(), &arrival.headers, &ticket.tenant())?;
    let before = worker.shared.experience.sessions.find(&id);
    Some((id, before))
}

/// A request, as a router judges it.
pub struct Judged<'a> {
    /// The request.
    pub request: &'a ChatRequest,
    /// What is known beyond it.
    pub known: Known<'a>,
    /// What models cost.
    pub prices: Prices<'a>,
    /// What was learned of them.
    pub learned: Arc<Learner>,
    /// The session's turn before.
    pub before: Option<&'a Turn>,
}

impl Shows for Judged<'_> {
    fn show<T>(&self, judge: impl FnOnce(Facts<'_>) -> T) -> T {
        with_facts(self.request, &self.known, |facts| judge(self.weighed(facts)))
    }
}

impl Judged<'_> {
    /// Facts with what selection weighs: prices, how long an answer may become, what was learned, the turn before.
    fn weighed<'f>(&'f self, facts: Facts<'f>) -> Facts<'f> {
        let usual = self.prices.0.default_completion;
        let in_tool_loop = facts
            .messages
            .last()
            .is_some_and(|message| message.is_tool_result);
        Facts {
            completion_tokens: self.request.sampling.max_tokens.unwrap_or(usual),
            models: Some(&self.prices),
            learned: Some(&self.learned),
            previous: self.before.map(|turn| turn.previous(now(), in_tool_loop)),
            ..facts
        }
    }

    fn models<'m>(&'m self, remotes: &'m dyn Remotes, helper: Option<&'m dyn Helper>) -> Models<'m> {
        let snapshot = self.prices.0;
        Models {
            understanding: &snapshot.understanding,
            remotes,
            examples: &snapshot.examples,
            helper,
        }
    }

    /// What a router decides, asking whom it needs; and what it went by, where that is to be recorded.
    pub async fn outcome<'r>(
        &self,
        router: &'r Router,
        remotes: &dyn Remotes,
        helper: &dyn Helper,
    ) -> (Outcome<'r>, Option<(Recorded, Replay)>) {
        let wanted = (router, Want::Decision);
        let roll = rand::random();
        let entered = &self.request.model;
        let models = self.models(remotes, Some(helper));
        let outcome = signals::decide(wanted, &models, self, |deciding| {
            let outcome = deciding.outcome(roll);
            let recorded = match &outcome {
                Some(Outcome::Matched(decided)) => decided
                    .plugins
                    .replay
                    .map(|replay| (deciding.recorded(&replay).taken(entered, decided, roll), replay)),
                _ => None,
            };
            (outcome, recorded)
        });
        let (outcome, recorded) = outcome.await;
        (outcome.unwrap_or(Outcome::NoMatch), recorded)
    }

    /// Everything that a router weighs, asking for all of it.
    pub async fn explained(&self, router: &Router, remotes: &dyn Remotes) -> Explanation {
        signals::decide(
            (router, Want::Everything),
            &self.models(remotes, None),
            self,
            |deciding| deciding.explain(rand::random()),
        )
        .await
    }
}

/// No model of the decision can answer.
fn unfit(decided: &pointsman_routing::Decided<'_>) -> Failure {
    let unfit = decided.ranking.iter().flat_map(|ranking| &ranking.unfit);
    let reasons: Vec<String> = unfit
        .map(|unfit| format!("{}: {}", unfit.model, unfit.reason))
        .collect();
    let message = format!(
        "no model of the decision {:?} can answer this request ({})",
        decided.decision,
        reasons.join("; ")
    );
    Failure::new(FailureKind::InvalidRequest, message)
        .at("model")
        .coded("no_candidate")
}

/// The models to ask where this one is meant: it, and those that take over when it fails.
///
/// # Errors
/// 404 when its name leads nowhere.
pub fn plan(arrival: &Arrival, selected: &Selected) -> Result<Plan, Failure> {
    Ok(with_fallbacks(arrival, step(arrival, selected)?))
}

/// Who is asked beside others, or for somebody else, is no agent: configurations in which one would be are refused.
fn step(arrival: &Arrival, selected: &Selected) -> Result<Step, Failure> {
    let model = arrival.snapshot.resolve(&selected.model)?;
    if model.meets_agents {
        let message = format!(
            "an agent may answer for {:?}, and agents answer alone",
            model.name
        );
        return Err(Failure::new(FailureKind::InvalidRequest, message).at("model"));
    }
    Ok(Step::chosen(model, selected))
}

/// Whoever answers alone may be an agent, too.
fn choice(arrival: &Arrival, selected: &Selected) -> Result<Step, Failure> {
    Ok(Step::chosen(arrival.snapshot.choice(&selected.model)?, selected))
}

/// The step, and the models that take over when all its targets fail.
fn with_fallbacks(arrival: &Arrival, first: Step) -> Plan {
    let names = first.model.fallback.any.clone();
    let mut steps = vec![first];
    // Names were checked when the configuration was compiled.
    steps.extend(
        names
            .iter()
            .filter_map(|name| arrival.snapshot.resolve(name).ok())
            .map(Step::plain),
    );
    Plan { steps, policy: None }
}

/// What is known of a request beyond its body.
pub struct Known<'a> {
    /// Who asks.
    pub caller: &'a Principal,
    /// About how many tokens the prompt has.
    pub prompt_tokens: u64,
}

/// Shows the router what it may judge by.
fn with_facts<T>(request: &ChatRequest, known: &Known<'_>, judge: impl FnOnce(Facts<'_>) -> T) -> T {
    let texts: Vec<(Role, std::borrow::Cow<'_, str>, &Message)> = request
        .messages
        .iter()
        .map(|message| (message.role, text::message_text(message), message))
        .collect();
    let messages: Vec<MessageFacts<'_>> = texts
        .iter()
        .map(|(role, text, message)| MessageFacts {
            role: role_name(*role, message),
            text,
            has_image: holds(message, |kind| matches!(kind, PartKind::Image(_))),
            has_audio: holds(message, |kind| matches!(kind, PartKind::Audio(_))),
            has_video: holds(message, |kind| matches!(kind, PartKind::Video(_))),
            tool_calls: message
                .parts
                .iter()
                .filter(|part| matches!(part.kind, PartKind::ToolCall(_)))
                .count(),
            is_tool_result: holds(message, |kind| matches!(kind, PartKind::ToolResult(_))),
        })
        .collect();
    let user_text = text::user_text(request);
    let metadata = read_metadata(request);
    let seen = Seen(request);
    let facts = Facts {
        user_text: &user_text,
        messages: &messages,
        estimated_tokens: known.prompt_tokens,
        tools_defined: request.tools.len(),
        metadata: &metadata,
        caller: caller_facts(known.caller),
        media: Some(&seen),
        ..Facts::default()
    };
    judge(facts)
}

/// A request, as signals see what is no text in it.
#[derive(Clone, Copy)]
struct Seen<'a>(&'a ChatRequest);

impl std::fmt::Debug for Seen<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Seen")
    }
}

impl Media for Seen<'_> {
    fn shown(&self, about: About) -> Vec<Arc<str>> {
        let mut turns = self.0.messages.iter().rev();
        let Some(last) = turns.find(|message| message.role == Role::User) else {
            return Vec::new();
        };
        let address = |part: &Part| match (&part.kind, about) {
            (PartKind::Image(image), About::Image) => match &image.source {
                Source::Base64 { media_type, data } => {
                    Some(format!("data:{media_type};base64,{data}").into())
                }
                Source::Url(url) => Some(Arc::from(&**url)),
                _ => None,
            },
            (PartKind::Audio(audio), About::Audio) if !audio.data.is_empty() => {
                Some(format!("data:audio/{};base64,{}", audio.format, audio.data).into())
            }
            _ => None,
        };
        last.parts.iter().filter_map(address).collect()
    }
}

/// Whether any part is of a kind.
fn holds(message: &Message, is: impl Fn(&PartKind) -> bool) -> bool {
    message.parts.iter().any(|part| is(&part.kind))
}

fn role_name(role: Role, message: &Message) -> &'static str {
    let carries_result = holds(message, |kind| matches!(kind, PartKind::ToolResult(_)));
    match role {
        Role::System | Role::Developer => "system",
        Role::User if carries_result => "tool",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Applies a decision's plugins; an answer, when one of them answers itself.
fn apply(plugins: &Plugins, asked: &mut Asked) -> Option<ChatResponse> {
    if let Some(fast) = &plugins.fast_response {
        return Some(spoken(&asked.request, &fast.message));
    }
    if let Some(system) = &plugins.system_prompt {
        put_system_prompt(&mut asked.request, &system.text, system.replace);
        asked.edited = true;
    }
    if let Some(params) = &plugins.request_params {
        asked.edited |= cap(&mut asked.request, params);
    }
    if let Some(shown) = &plugins.tools {
        asked.edited |= tools::take_away(&mut asked.request, shown);
        asked.shown_tools = Some(shown.clone());
    }
    asked.marks = plugins.marks;
    if plugins.retention.prefer_prefix {
        asked.header_edits.push((PREFER_PREFIX, Some(YES)));
    }
    for (name, value) in &plugins.headers {
        // Names and values were checked when the configuration was compiled.
        if let Ok(name) = HeaderName::try_from(name.as_str()) {
            let value = value
                .as_deref()
                .and_then(|value| HeaderValue::from_str(value).ok());
            asked.header_edits.push((name, value));
        }
    }
    None
}

fn put_system_prompt(request: &mut ChatRequest, text: &str, replace: bool) {
    if replace {
        request
            .messages
            .retain(|message| !matches!(message.role, Role::System | Role::Developer));
    }
    request
        .messages
        .insert(0, Message::text(Role::System, text.to_owned()));
}

fn cap(request: &mut ChatRequest, params: &RequestParams) -> bool {
    let mut edited = false;
    let sampling = &mut request.sampling;
    if let Some(usual) = params.default_max_tokens
        && sampling.max_tokens.is_none()
    {
        sampling.max_tokens = Some(params.max_tokens.map_or(usual, |most| usual.min(most)));
        edited = true;
    }
    if let Some(most) = params.max_tokens
        && sampling.max_tokens.is_none_or(|asked| asked > most)
    {
        sampling.max_tokens = Some(most);
        edited = true;
    }
    if let Some(most) = params.max_n
        && sampling.n.is_some_and(|asked| asked > most)
    {
        sampling.n = Some(most);
        edited = true;
    }
    for blocked in &params.blocked {
        edited |= crate::parameters::remove(request, blocked);
    }
    if params.strip_unknown {
        edited |= crate::parameters::strip_unknown(request);
    }
    edited
}

/// An answer that says `message`.
pub fn spoken(request: &ChatRequest, message: &str) -> ChatResponse {
    ChatResponse {
        format: request.format,
        id: Text::from_static("fast-response"),
        model: request.model.clone(),
        created: None,
        choices: vec![Choice {
            index: 0,
            parts: vec![Part::text(message.to_owned())],
            finish: Some(FinishReason::Stop),
            stop_sequence: None,
            logprobs: None,
            extra: Extra::default(),
            message_extra: Extra::default(),
        }],
        usage: Some(Usage::default()),
        usage_native: None,
        service_tier: None,
        extra: Extra::default(),
    }
}

/// The request's metadata: an object of texts (OpenAI), numbers and booleans told as text. Bounded as the language
/// has it: 32 entries, keys of 128 and values of 1,024 bytes.
fn read_metadata(request: &ChatRequest) -> Vec<(String, String)> {
    let mut metadata = Vec::new();
    let json = request.extra.get("metadata");
    let Some(Ok(entries)) = json.map(|json| json.read::<serde_json::Map<String, serde_json::Value>>()) else {
        return metadata;
    };
    for (key, value) in entries.into_iter().take(32) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if key.len() <= 128 && value.len() <= 1_024 {
            metadata.push((key, value));
        }
    }
    metadata
}

fn caller_facts(caller: &Principal) -> CallerFacts<'_> {
    CallerFacts {
        user: caller.user.as_ref().map(|user| user.as_str()),
        team: caller.team.as_ref().map(|team| team.as_str()),
        groups: &caller.groups,
        roles: &caller.roles,
    }
}
