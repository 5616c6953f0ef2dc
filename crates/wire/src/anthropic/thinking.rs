//! What Claude does not take while it thinks, at Anthropic and at Bedrock: a request of another format is made to fit.

use std::borrow::Cow;

use super::request::thinking_budget;
use super::rules;
use crate::form::{ChatRequest, Message, PartKind, Role, ToolChoice};
use crate::rules::Losses;

/// The least `top_p` that goes with thinking.
const LEAST_TOP_P: f64 = 0.95;

/// The request as Claude takes it, whose answer has at most `max` tokens.
///
/// A tool that must be called was demanded by name, and a turn that goes on cannot be given the reasoning it began
/// without: both weigh more than a wish for thinking. How the answer is sampled weighs less.
#[must_use]
pub fn fitted<'r>(request: &'r ChatRequest, max: Option<u64>, losses: &mut Losses) -> Cow<'r, ChatRequest> {
    let budget = request
        .reasoning
        .as_ref()
        .and_then(|reasoning| thinking_budget(reasoning, max));
    if !matches!(budget, Some(Some(_))) {
        return Cow::Borrowed(request);
    }
    let forced = matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Function(_))
    );
    if forced || goes_on_without_thought(&request.messages) {
        losses.by(if forced { &rules::FORCED } else { &rules::UNTHOUGHT });
        return Cow::Owned(ChatRequest {
            reasoning: None,
            ..request.clone()
        });
    }
    let sampling = &request.sampling;
    let number = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    let cold = number(&sampling.temperature).is_some_and(|temperature| temperature < 1.0);
    let narrow = number(&sampling.top_p).is_some_and(|top_p| top_p < LEAST_TOP_P);
    if !cold && !narrow && sampling.top_k.is_none() {
        return Cow::Borrowed(request);
    }
    losses.by(&rules::SAMPLED);
    let mut request = request.clone();
    let sampling = &mut request.sampling;
    sampling.temperature.take_if(|_| cold);
    sampling.top_p.take_if(|_| narrow);
    sampling.top_k = None;
    Cow::Owned(request)
}

/// Whether the model is in the middle of a turn that did not begin with reasoning: asked to think, it refuses that.
#[must_use]
pub fn goes_on_without_thought(messages: &[Message]) -> bool {
    let mut said = messages
        .iter()
        .rev()
        .skip_while(|message| message.role != Role::Assistant)
        .take_while(|message| message.role == Role::Assistant)
        .flat_map(|message| &message.parts)
        .peekable();
    said.peek().is_some()
        && said
            .clone()
            .any(|part| matches!(part.kind, PartKind::ToolCall(_)))
        && !said.any(|part| match &part.kind {
            PartKind::Thinking(thinking) => thinking.signature.is_some(),
            PartKind::RedactedThinking(_) => true,
            _ => false,
        })
}
