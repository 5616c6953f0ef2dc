//! Long requests made shorter (`context_compression`): results of tools, each by itself, and earlier turns where all
//! together is too long. Instructions, what the user says now, the latest answer and calls of tools stay as they are.

use std::sync::Arc;

use pointsman_routing::{Compression, CompressionControls, ItemBounds, extract};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Message, Part, PartKind, Role, Text};
use pointsman_wire::{text, tokens};

use super::super::Arrival;
use super::super::arrive::Asked;
use super::super::recover::Omitted;
use super::Fit;
use crate::worker::Worker;

/// Kept free for the answer, where neither client nor configuration says how long it may be.
const ANSWER: u64 = 4_096;

/// Makes the request shorter.
///
/// # Errors
/// 413 where it stays too long and the decision does not let it go on.
pub fn compress(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    compression: &Compression,
    fit: &Fit,
) -> Result<(), Failure> {
    let wish = compression
        .controls
        .as_ref()
        .map(|controls| Wish::of(arrival, controls))
        .unwrap_or_default();
    if wish.bypass {
        return Ok(());
    }
    let said = text::user_text(&asked.request).into_owned();
    let mut edited = false;
    let recovery = compression.recovery.filter(|_| fit.alone);
    let held = &worker.shared.omitted;
    let mut omitted = recovery.and_then(|recovery| Omitted::of(&asked.request, recovery, held));
    if let Some(bounds) = compression.tool_outputs {
        let target = wish.target.unwrap_or(bounds.target);
        let bounds = ItemBounds {
            least: bounds.least.max(target),
            target,
            ..bounds
        };
        edited |= tool_outputs(&mut asked.request, bounds, &said, &mut omitted);
    }
    let reserve = compression
        .reserve
        .or(asked.request.sampling.max_tokens)
        .unwrap_or(ANSWER);
    let trigger = compression
        .trigger
        .or_else(|| fit.window.map(|window| window.saturating_sub(reserve)));
    let target = compression.target.or(trigger);
    let mut total = tokens::estimate_request(&asked.request);
    let too_long = trigger.is_some_and(|trigger| total > trigger);
    if let (Some(bounds), Some(target)) = (compression.history, target)
        && (too_long || compression.always)
        && total > target
    {
        edited |= history(&mut asked.request, bounds, (&said, total - target), &mut omitted);
        total = tokens::estimate_request(&asked.request);
    }
    asked.omitted = omitted.and_then(|omitted| omitted.offer(&mut asked.request));
    asked.edited |= edited;
    if compression.strict && trigger.is_some_and(|trigger| total > trigger) {
        let message = format!(
            "context_compression could not bring the request to {} tokens; it has about {total}",
            trigger.unwrap_or_default()
        );
        return Err(Failure::new(FailureKind::TooLarge, message).coded("context_length_exceeded"));
    }
    Ok(())
}

/// What the client wishes for.
#[derive(Debug, Default)]
struct Wish {
    bypass: bool,
    target: Option<u64>,
}

impl Wish {
    fn of(arrival: &Arrival, controls: &CompressionControls) -> Self {
        let values = arrival.headers.get_all(controls.header.as_str());
        let words = values.iter().filter_map(|value| value.to_str().ok());
        let mut wish = Self::default();
        for word in words.flat_map(|value| value.split(',')).map(str::trim) {
            match word.split_once('=') {
                None => wish.bypass |= controls.bypass && word.eq_ignore_ascii_case("bypass"),
                Some((name, tokens)) if controls.target && name.trim().eq_ignore_ascii_case("target") => {
                    let tokens: Option<u64> = tokens.trim().parse().ok().filter(|tokens| *tokens > 0);
                    wish.target = tokens.map(|tokens| tokens.min(controls.most.unwrap_or(u64::MAX)));
                }
                Some(_) => {}
            }
        }
        wish
    }
}

/// Shortens results of tools, each by what its call and the user ask.
fn tool_outputs(
    request: &mut ChatRequest,
    bounds: ItemBounds,
    said: &str,
    omitted: &mut Option<Omitted>,
) -> bool {
    let calls: Vec<(Text, String)> = calls(request);
    let mut edited = false;
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        let PartKind::ToolResult(result) = &mut part.kind else {
            continue;
        };
        let called = calls.iter().find(|(id, _)| *id == result.call_id);
        let question = match called {
            Some((_, call)) => format!("{call} {said}"),
            None => said.to_owned(),
        };
        let whole: u64 = result.content.iter().map(text_tokens).sum();
        if whole < bounds.least {
            continue;
        }
        let name = called.map_or("a tool", |(_, call)| call.as_str());
        let name = format!("the result of {name}");
        if !kept(omitted, bounds, &name, &result.content) {
            continue;
        }
        let mut shorter = false;
        for part in &mut result.content {
            let share = text_tokens(part) * bounds.target / whole.max(1);
            shorter |= shorten(part, &question, share);
        }
        edited |= shorter;
        if !shorter {
            forget(omitted, bounds);
        }
    }
    edited
}

/// Id, and name with arguments, of each call.
fn calls(request: &ChatRequest) -> Vec<(Text, String)> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match &part.kind {
            PartKind::ToolCall(call) => Some((call.id.clone(), format!("{} {}", call.name, call.arguments))),
            _ => None,
        })
        .collect()
}

/// Shortens earlier turns of user and model, the oldest first, until so many tokens are gone.
fn history(
    request: &mut ChatRequest,
    bounds: ItemBounds,
    (said, mut excess): (&str, u64),
    omitted: &mut Option<Omitted>,
) -> bool {
    let last = |role: Role| request.messages.iter().rposition(|message| message.role == role);
    let (user, assistant) = (last(Role::User), last(Role::Assistant));
    let mut edited = false;
    for (index, message) in request.messages.iter_mut().enumerate() {
        let spoken = matches!(message.role, Role::User | Role::Assistant);
        if excess == 0 || Some(index) == user || Some(index) == assistant || !spoken || uses_tools(message) {
            continue;
        }
        let who = if message.role == Role::User {
            "user"
        } else {
            "assistant"
        };
        for part in &mut message.parts {
            let size = text_tokens(part);
            if size < bounds.least {
                continue;
            }
            let name = format!("message {} of the {who}", index + 1);
            if !kept(omitted, bounds, &name, std::slice::from_ref(part)) {
                continue;
            }
            let target = bounds.target.max(size.saturating_sub(excess));
            if shorten(part, said, target) {
                edited = true;
                excess = excess.saturating_sub(size.saturating_sub(text_tokens(part)));
            } else {
                forget(omitted, bounds);
            }
        }
    }
    edited
}

/// Whether it may be made shorter: what is to be read again only where that is kept.
fn kept(omitted: &mut Option<Omitted>, bounds: ItemBounds, name: &str, parts: &[Part]) -> bool {
    if !bounds.recoverable {
        return true;
    }
    let Some(omitted) = omitted else { return false };
    let texts = parts.iter().filter_map(|part| match &part.kind {
        PartKind::Text(text) => Some(&*text.text),
        _ => None,
    });
    omitted.keep(name, &texts.collect::<Vec<_>>().join("\n"))
}

/// What was kept last was not made shorter after all.
fn forget(omitted: &mut Option<Omitted>, bounds: ItemBounds) {
    if let Some(omitted) = omitted.as_mut().filter(|_| bounds.recoverable) {
        omitted.forget();
    }
}

fn uses_tools(message: &Message) -> bool {
    let of_tool = |part: &Part| matches!(part.kind, PartKind::ToolCall(_) | PartKind::ToolResult(_));
    message.parts.iter().any(of_tool)
}

fn text_tokens(part: &Part) -> u64 {
    match &part.kind {
        PartKind::Text(text) => tokens::estimate(&text.text),
        _ => 0,
    }
}

fn shorten(part: &mut Part, question: &str, target: u64) -> bool {
    let PartKind::Text(text) = &mut part.kind else {
        return false;
    };
    // A citation points into a text as it was.
    if text.citations.is_some() {
        return false;
    }
    match extract(&text.text, question, target.max(1), &tokens::estimate) {
        Some(shorter) => {
            text.text = shorter.into();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_wire::format::{self, Format};
    use serde_json::json;

    use super::*;

    fn request(messages: serde_json::Value) -> ChatRequest {
        let body = json!({"model": "m", "messages": messages});
        format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_string())).unwrap()
    }

    fn log() -> String {
        (0..400)
            .map(|line| format!("line {line}: nothing of note happened here today\n"))
            .collect::<String>()
            + "line 400: disk sda failed with code 17\n"
    }

    #[test]
    fn a_long_result_becomes_what_its_call_asks() {
        let mut asked = request(json!([
            {"role": "user", "content": "Which disk failed?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read_log", "arguments": "{\"about\": \"disk failed\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": log()}
        ]));
        let before = tokens::estimate_request(&asked);
        let bounds = ItemBounds {
            least: 2_000,
            target: 500,
            recoverable: false,
        };
        assert!(tool_outputs(&mut asked, bounds, "Which disk failed?", &mut None));
        let text = serde_json::to_string(&text::message_text(&asked.messages[2])).unwrap();
        assert!(text.contains("disk sda failed with code 17"));
        assert!(tokens::estimate_request(&asked) < before / 4);
        assert!(!tool_outputs(&mut asked, bounds, "Which disk failed?", &mut None));
    }

    #[test]
    fn of_history_only_what_may_is_shortened() {
        let mut asked = request(json!([
            {"role": "system", "content": log()},
            {"role": "user", "content": log()},
            {"role": "assistant", "content": log()},
            {"role": "user", "content": "Which disk failed?"}
        ]));
        let whole = text::message_text(&asked.messages[0]).len();
        let bounds = ItemBounds {
            least: 200,
            target: 100,
            recoverable: false,
        };
        assert!(history(
            &mut asked,
            bounds,
            ("Which disk failed?", u64::MAX),
            &mut None
        ));
        let lengths: Vec<usize> = asked
            .messages
            .iter()
            .map(|message| text::message_text(message).len())
            .collect();
        assert_eq!((lengths[0], lengths[2]), (whole, whole));
        assert!(lengths[1] < whole / 10, "{lengths:?}");
        assert!(text::message_text(&asked.messages[1]).contains("disk sda failed"));
    }
}
