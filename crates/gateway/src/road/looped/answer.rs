//! What a loop ends with, and how it becomes the request's answer.

use std::sync::Arc;

use pointsman_routing::loops::{Contract, Said};
use pointsman_wire::form::{ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Text, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;
use serde::Serialize;

use super::super::arrive::{Asked, Beside};
use super::Ticket;
use super::guard;
use super::ring::{Heard, Last, Ring};
use super::send::Answer;
use super::settle::AskedOf;

/// What a loop ends with.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each loop, taken apart at once"
)]
pub enum Done {
    /// An answer, whole.
    Whole {
        /// What is said.
        response: Box<ChatResponse>,
        /// Who gave it.
        from: Option<AskedOf>,
        /// What is told beside it.
        beside: Beside,
    },
    /// An answer on its way, with the ticket of its call. What is told beside it was told its stream.
    Stream(Answer, Box<Ticket>),
}

/// Makes it the request's own.
pub fn given(done: Done, asked: &mut Asked, ticket: &mut Ticket) -> Answer {
    match done {
        Done::Whole {
            mut response,
            from,
            beside,
        } => {
            if from.is_some() {
                ticket.facts.asked = from;
            }
            if asked.request.sampling.logprobs != Some(true) {
                response
                    .choices
                    .iter_mut()
                    .for_each(|choice| choice.logprobs = None);
            }
            // What it used is charged to its call, and told with all the others.
            response.usage = Some(Usage::default());
            response.usage_native = None;
            asked.beside = Some(Arc::new(beside));
            Answer::Whole {
                response,
                native: None,
            }
        }
        Done::Stream(answer, mut call) => {
            ticket.facts.asked = call.facts.asked.take().map(|of| {
                call.facts.asked = Some(AskedOf {
                    provider: of.provider.clone(),
                    kind: of.kind.clone(),
                    model: of.model.clone(),
                    price: of.price.clone(),
                    ..of
                });
                of
            });
            ticket.facts.first_content = call.facts.first_content;
            ticket.facts.losses.append(&mut call.facts.losses);
            ticket.gives_on(*call);
            answer
        }
    }
}

impl From<Heard> for Done {
    fn from(heard: Heard) -> Self {
        Self::Whole {
            response: heard.response,
            from: Some(heard.from),
            beside: Beside::default(),
        }
    }
}

/// The last answer, made what the contract wants.
pub fn last(last: Last, contract: &Contract, (earlier, vote): (&[Said], bool), beside: Beside) -> Done {
    let heard = match last {
        Last::Stream(answer, ticket) => return Done::Stream(answer, ticket),
        Last::Heard(heard) => *heard,
    };
    let mut response = heard.response;
    let mut said = heard.said;
    let before = said.text.clone();
    // A call of tools is no answer yet.
    if !calls_tools(&response) {
        contract.apply(&mut said, earlier, vote);
    }
    if said.text != before
        && let Some(choice) = response.choices.first_mut()
    {
        choice.parts = vec![Part::text(said.text)];
    }
    Done::Whole {
        response,
        from: Some(heard.from),
        beside,
    }
}

/// An answer that stands for one that did not come.
pub fn instead(
    ring: &Ring<'_>,
    mut said: Said,
    contract: &Contract,
    earlier: &[Said],
    beside: Beside,
) -> Done {
    contract.apply(&mut said, earlier, true);
    let text = said.material().to_owned();
    Done::Whole {
        response: Box::new(written(ring.id(), &said.model, vec![text])),
        from: None,
        beside,
    }
}

/// An answer of texts, each a choice.
pub fn written(id: &str, model: &str, texts: Vec<String>) -> ChatResponse {
    let choice = |(index, text): (usize, String)| Choice {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        parts: vec![Part::text(text)],
        finish: Some(FinishReason::Stop),
        stop_sequence: None,
        logprobs: None,
        extra: Extra::default(),
        message_extra: Extra::default(),
    };
    ChatResponse {
        format: Format::OpenAiChat,
        id: Text::from(format!("chatcmpl-{id}")),
        model: model.into(),
        created: None,
        choices: texts.into_iter().enumerate().map(choice).collect(),
        usage: Some(Usage::default()),
        usage_native: None,
        service_tier: None,
        extra: Extra::default(),
    }
}

/// What is told beside the answer, for clients that speak OpenAI's chat completions.
pub fn beside<T: Serialize>(ring: &Ring<'_>, name: &'static str, trace: Option<T>) -> Beside {
    let trace = trace.filter(|_| ring.asked.format == Format::OpenAiChat);
    Beside {
        usage: ring.used(),
        field: trace
            .and_then(|trace| Json::of(&trace).ok())
            .map(|json| (name, json)),
    }
}

/// What was said, as the client may see it: with what guardrails have replaced in the question.
pub fn shown(ring: &Ring<'_>, said: &[Said]) -> Vec<Said> {
    let restored = |text: &str| guard::restored(&ring.asked.placeholders, text);
    let shown = said.iter().map(|said| Said {
        model: said.model.clone(),
        text: restored(&said.text),
        reasoning: restored(&said.reasoning),
    });
    shown.collect()
}

/// Whether an answer is a call of tools.
fn calls_tools(response: &ChatResponse) -> bool {
    let mut parts = response.choices.iter().flat_map(|choice| &choice.parts);
    parts.any(|part| matches!(part.kind, PartKind::ToolCall(_)))
}
