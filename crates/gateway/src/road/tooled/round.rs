//! Rounds: the model is asked, what it calls is called, and it is asked again with what came of it.

use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use pointsman_catalog::Money;
use pointsman_wire::form::{
    ChatRequest, ChatResponse, ContentShape, Extra, Failure, FinishReason, Message, Part, PartKind, Role,
    Text, ToolCall, ToolChoice,
};
use pointsman_wire::format::Format;

use super::super::arrive::Asked;
use super::super::decide::Plan;
use super::super::guard;
use super::super::looped::ring::Ring;
use super::super::mcp::Called;
use super::super::settle::AskedOf;
use super::history::{item, result};
use super::is_call;
use super::told::{Made, Teller};
use super::tools::{Meant, Toolbox};

/// Calls of one round that are under way at the same time.
const TOGETHER: usize = 8;

/// The rounds of one request.
pub struct Rounds<'r, 'a> {
    ring: &'r Ring<'a>,
    asked: &'a Asked,
    toolbox: Toolbox<'a>,
    until: Instant,
    /// What the client is told so far.
    told: Vec<Part>,
    /// Calls that were made.
    made: u32,
    /// Calls that wait for approval.
    waiting: u32,
    /// Most calls.
    most: u32,
}

/// A call, and the tool that it means.
struct Wanted<'c, 't> {
    call: &'c ToolCall,
    /// With what, as the client wrote it: what guardrails have replaced for the model is put back.
    arguments: Text,
    meant: Meant<'t>,
}

impl<'r, 'a> Rounds<'r, 'a> {
    /// Before the first.
    pub fn new(ring: &'r Ring<'a>, asked: &'a Asked, mut toolbox: Toolbox<'a>, until: Instant) -> Self {
        let most = toolbox.bounds().max_calls;
        let said = asked.request.extra.get("max_tool_calls");
        let said = said.and_then(|said| said.read::<u32>().ok());
        let most = said.map_or(most, |said| said.min(most));
        let told = std::mem::take(&mut toolbox.told);
        Self {
            ring,
            asked,
            toolbox,
            until,
            told,
            made: 0,
            waiting: 0,
            most,
        }
    }

    /// Goes on until there is an answer; `fees` is what the calls have cost.
    ///
    /// # Errors
    /// When the model cannot be asked.
    pub async fn go(
        mut self,
        plan: &Plan,
        fees: &mut Money,
    ) -> Result<(Box<ChatResponse>, AskedOf), Failure> {
        let mut request = self.toolbox.shown(&self.asked.request);
        request.stream.enabled = false;
        self.approved(&mut request, fees).await;
        let model = plan
            .steps
            .first()
            .map(|step| step.model.name.clone())
            .unwrap_or_default();
        let last = self.toolbox.bounds().max_rounds;
        for round in 1..=last {
            if round == last || self.made >= self.most {
                forbid_calls(&mut request);
            }
            let (mut response, from) = self
                .ring
                .read(plan.again(), &model, request.clone(), None)
                .await?;
            let is_over = self.take(&mut response, &mut request, fees).await;
            if is_over || round == last {
                return Ok((self.whole(response), from));
            }
            // Who was made to call something has called it.
            if matches!(
                request.tool_choice,
                Some(ToolChoice::Required | ToolChoice::Function(_))
            ) {
                request.tool_choice = Some(ToolChoice::Auto);
            }
        }
        Err(Failure::new(
            pointsman_wire::form::FailureKind::Internal,
            "a model was asked no question",
        ))
    }

    /// Calls that were approved meanwhile are made before the model is asked.
    async fn approved(&mut self, request: &mut ChatRequest, fees: &mut Money) {
        for due in std::mem::take(&mut self.toolbox.due) {
            let called = match self.toolbox.tool(&due.label, &due.name) {
                Some(meant) if self.made < self.most => {
                    let id = self.id(self.made + 1);
                    self.in_time(self.toolbox.call(id, meant, &due.arguments)).await
                }
                Some(_) => Called::refused("no more calls may be made for this request"),
                None => Called::refused("there is no such tool any more"),
            };
            *fees += called.cost;
            self.made += 1;
            let text = called.outcome.as_ref().unwrap_or_else(|error| error);
            due.answer(&mut request.messages, text, called.outcome.is_err());
            let made = self.teller().made(&Made {
                number: self.made,
                label: &due.label,
                name: &due.name,
                arguments: &due.arguments,
                outcome: &called.outcome,
                approved: Some(&due.request),
            });
            self.told.extend(made);
        }
    }

    /// Takes an answer: what it calls is called and told, and put into the next question. True when nothing more is to be
    /// asked: it calls nothing of the gateway's, or the client has to do something first.
    async fn take(
        &mut self,
        response: &mut ChatResponse,
        request: &mut ChatRequest,
        fees: &mut Money,
    ) -> bool {
        let format = response.format;
        let Some(choice) = response.choices.first_mut() else {
            return true;
        };
        let parts = std::mem::take(&mut choice.parts);
        let calls: Vec<(usize, Wanted<'_, '_>)> = parts
            .iter()
            .enumerate()
            .filter_map(|(at, part)| Some((at, self.wanted(part)?)))
            .collect();
        if calls.is_empty() {
            self.told.extend(parts);
            return true;
        }
        // The client's own calls are the client's to make.
        let mut is_over = parts.iter().filter(|part| is_call(&part.kind)).count() > calls.len();
        let outcomes = self.outcomes(&calls).await;
        let mut results = Vec::new();
        let mut told: Vec<(usize, Vec<Part>)> = Vec::new();
        let (mut made, mut waiting) = (self.made, self.waiting);
        for ((at, wanted), called) in calls.iter().zip(outcomes) {
            let Some(called) = called else {
                waiting += 1;
                is_over = true;
                let said = (wanted.meant.label, wanted.meant.name, &*wanted.arguments);
                told.push((*at, vec![self.teller().waits(waiting, said)]));
                continue;
            };
            made += 1;
            *fees += called.cost;
            told.push((
                *at,
                self.teller().made(&Made {
                    number: made,
                    label: wanted.meant.label,
                    name: wanted.meant.name,
                    arguments: &wanted.arguments,
                    outcome: &called.outcome,
                    approved: None,
                }),
            ));
            let text = called.outcome.as_ref().unwrap_or_else(|error| error);
            results.push(result(wanted.call.id.to_string(), text, called.outcome.is_err()));
        }
        if !is_over {
            follow(request, (&parts, format), results);
        }
        (self.made, self.waiting) = (made, waiting);
        let mut told = told.into_iter().peekable();
        for (at, part) in parts.into_iter().enumerate() {
            match told.next_if(|(place, _)| *place == at) {
                Some((_, parts)) => self.told.extend(parts),
                None => self.told.push(part),
            }
        }
        is_over
    }

    fn wanted<'c>(&self, part: &'c Part) -> Option<Wanted<'c, '_>> {
        let PartKind::ToolCall(call) = &part.kind else {
            return None;
        };
        let meant = self.toolbox.meant(&call.name)?;
        let arguments = guard::restored_arguments(&self.asked.placeholders, &call.arguments);
        Some(Wanted {
            call,
            arguments: arguments.into(),
            meant,
        })
    }

    /// Makes calls, some side by side; none of what waits for approval.
    async fn outcomes(&self, calls: &[(usize, Wanted<'_, '_>)]) -> Vec<Option<Called>> {
        let mut number = self.made;
        let calls: Vec<_> = calls
            .iter()
            .map(|(_, wanted)| {
                if !wanted.meant.waits {
                    number += 1;
                }
                (number, wanted)
            })
            .collect();
        let calling = calls.into_iter().map(|(number, wanted)| async move {
            if wanted.meant.waits {
                return None;
            }
            if number > self.most {
                return Some(Called::refused("no more calls may be made for this request"));
            }
            let call = self
                .toolbox
                .call(self.id(number), wanted.meant, &wanted.arguments);
            Some(self.in_time(call).await)
        });
        let calling: Vec<_> = calling.collect();
        stream::iter(calling).buffered(TOGETHER).collect().await
    }

    async fn in_time(&self, call: impl Future<Output = Called>) -> Called {
        let called = tokio::time::timeout_at(self.until.into(), call).await;
        called.unwrap_or_else(|_| Called::refused("there was no time left to wait for the tool"))
    }

    fn id(&self, number: u32) -> String {
        format!("{}.tool{number}", self.ring.id())
    }

    fn teller(&self) -> Teller<'_> {
        Teller {
            format: self.asked.request.format,
            id: self.ring.id(),
        }
    }

    /// The last answer, with all that was done before it.
    fn whole(self, mut response: Box<ChatResponse>) -> Box<ChatResponse> {
        // It is written anew, from parts of several answers.
        response.format = Format::OpenAiChat;
        response.extra = Extra::default();
        response.usage_native = None;
        response.choices.truncate(1);
        let told = self.told;
        if let Some(choice) = response.choices.first_mut() {
            let calls = told.iter().any(|part| is_call(&part.kind));
            // Calls that were made here are not the client's to make.
            if matches!(choice.finish, Some(FinishReason::ToolCalls)) && !calls {
                choice.finish = Some(FinishReason::Stop);
            }
            choice.parts = told;
            choice.logprobs = None;
            choice.extra = Extra::default();
            choice.message_extra = Extra::default();
            for part in &mut choice.parts {
                part.extra = Extra::default();
            }
        }
        response
    }
}

/// Whoever may call nothing any more answers with what there is.
fn forbid_calls(request: &mut ChatRequest) {
    if !request.tools.is_empty() {
        request.tool_choice = Some(ToolChoice::None);
    }
}

/// The conversation goes on by what the model said, and what its calls have come to.
fn follow(request: &mut ChatRequest, (parts, format): (&[Part], Format), results: Vec<Message>) {
    let is_same = format == request.format;
    let said = parts.iter().filter_map(|part| {
        // Nobody could check reasoning that has no proof, and its maker looks for it in vain.
        if let PartKind::Thinking(thinking) = &part.kind
            && thinking.signature.is_none()
            && format == Format::OpenAiResponses
        {
            return None;
        }
        let mut part = part.clone();
        if !is_same {
            part.extra = Extra::default();
        } else if is_call(&part.kind) && format == Format::OpenAiResponses {
            // What has an id is looked up there, with the reasoning that led to it.
            part.extra.remove("id");
        }
        Some(part)
    });
    if request.format == Format::OpenAiResponses {
        let said: Vec<Part> = said.collect();
        for part in said {
            request.messages.push(match part.kind {
                PartKind::Text(_) | PartKind::Refusal(_) => Message {
                    role: Role::Assistant,
                    parts: vec![Part::new(part.kind)],
                    shape: ContentShape::Parts,
                    name: None,
                    extra: Extra::default(),
                },
                kind => Message {
                    parts: vec![Part { kind, ..part }],
                    ..item(Role::Assistant, PartKind::RedactedThinking(Text::new()))
                },
            });
        }
        request.messages.extend(results);
        return;
    }
    request.messages.push(Message {
        role: Role::Assistant,
        parts: said.collect(),
        shape: ContentShape::Parts,
        name: None,
        extra: Extra::default(),
    });
    request.messages.push(Message {
        role: Role::User,
        parts: results.into_iter().flat_map(|message| message.parts).collect(),
        shape: ContentShape::Parts,
        name: None,
        extra: Extra::default(),
    });
}
