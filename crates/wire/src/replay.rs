//! From a whole answer to the events of a stream that says the same.

use crate::form::{ChatResponse, Choice, FinishReason, Part, PartKind, PartStart, StreamEvent, Text};

/// About how many bytes of text one event carries: the size of a few tokens, as providers send them.
const DELTA_BYTES: usize = 24;

/// The events of `response`, told as a provider would.
#[must_use]
pub fn events(response: &ChatResponse) -> Vec<StreamEvent> {
    let mut events = vec![StreamEvent::Start {
        id: response.id.clone(),
        model: response.model.clone(),
        created: response.created,
    }];
    for choice in &response.choices {
        for (index, part) in choice.parts.iter().enumerate() {
            tell_part(choice, index as u32, part, &mut events);
        }
    }
    for choice in &response.choices {
        events.push(StreamEvent::Finish {
            choice: choice.index,
            reason: choice.finish.clone().unwrap_or(FinishReason::Stop),
            stop_sequence: choice.stop_sequence.clone(),
        });
    }
    if let Some(tier) = &response.service_tier {
        events.push(StreamEvent::Tier(tier.clone()));
    }
    if let Some(usage) = response.usage {
        events.push(StreamEvent::Usage(usage));
    }
    events.push(StreamEvent::End);
    events
}

fn tell_part(choice: &Choice, part: u32, said: &Part, events: &mut Vec<StreamEvent>) {
    let choice_index = choice.index;
    let (start, text) = match &said.kind {
        PartKind::Text(text) => (PartStart::Text, text.text.clone()),
        PartKind::Thinking(thinking) => (PartStart::Thinking, thinking.text.clone()),
        PartKind::RedactedThinking(data) => (PartStart::RedactedThinking(data.clone()), Text::new()),
        PartKind::Refusal(text) => (PartStart::Refusal, text.clone()),
        PartKind::ToolCall(call) => {
            let start = PartStart::ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
                kind: call.kind,
            };
            (start, call.arguments.clone())
        }
        PartKind::Opaque { format, json, .. } => (
            PartStart::Opaque {
                format: *format,
                json: json.clone(),
            },
            Text::new(),
        ),
        // What a model cannot say is not part of an answer.
        PartKind::Image(_)
        | PartKind::Document(_)
        | PartKind::Audio(_)
        | PartKind::Video(_)
        | PartKind::ToolResult(_) => return,
    };
    events.push(StreamEvent::PartStart {
        choice: choice_index,
        part,
        start,
    });
    for piece in pieces(&text) {
        events.push(StreamEvent::Delta {
            choice: choice_index,
            part,
            text: piece,
        });
    }
    let signature = match &said.kind {
        PartKind::Thinking(thinking) => thinking.signature.as_ref(),
        PartKind::ToolCall(call) => call.signature.as_ref(),
        _ => None,
    };
    if let Some(signature) = signature {
        events.push(StreamEvent::Signature {
            choice: choice_index,
            part,
            signature: signature.clone(),
        });
    }
    events.push(StreamEvent::PartEnd {
        choice: choice_index,
        part,
    });
}

/// Cuts text where words end, at about [`DELTA_BYTES`].
fn pieces(text: &Text) -> Vec<Text> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < text.len() {
        let mut to = (from + DELTA_BYTES).min(text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        if let Some(space) = text[to..].find(' ').filter(|at| *at < DELTA_BYTES) {
            to += space;
        }
        pieces.push(text.slice_ref(&text[from..to]));
        from = to;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use crate::assemble::Assembler;
    use crate::form::{Extra, Thinking, ToolCall, ToolCallKind, Usage};
    use crate::format::Format;

    use super::*;

    #[test]
    fn what_is_replayed_assembles_to_what_it_was() {
        let call = ToolCall {
            id: "call_1".into(),
            name: "weather".into(),
            arguments: r#"{"city":"Zürich"}"#.into(),
            signature: None,
            kind: ToolCallKind::Function,
            extra: Extra::default(),
        };
        let thinking = Thinking {
            text: "hm ".repeat(40).into(),
            signature: Some("s1g".into()),
        };
        let said = "Grüezi mitenand, wie goht's? ".repeat(9);
        let response = ChatResponse {
            format: Format::AnthropicMessages,
            id: "msg_1".into(),
            model: "m".into(),
            created: Some(7),
            choices: vec![Choice {
                index: 0,
                parts: vec![
                    Part::new(PartKind::Thinking(thinking)),
                    Part::text(said),
                    Part::new(PartKind::ToolCall(call)),
                ],
                finish: Some(FinishReason::ToolCalls),
                stop_sequence: None,
                logprobs: None,
                extra: Extra::default(),
                message_extra: Extra::default(),
            }],
            usage: Some(Usage {
                input: 3,
                output: 5,
                ..Usage::default()
            }),
            usage_native: None,
            service_tier: Some("flex".into()),
            extra: Extra::default(),
        };
        let events = events(&response);
        assert!(events.len() > 20, "text comes in pieces");
        let mut assembler = Assembler::new(Format::AnthropicMessages);
        events.iter().for_each(|event| assembler.push(event));
        assert_eq!(assembler.finish(), Some(response));
    }

    #[test]
    fn a_stream_without_end_is_no_answer() {
        let mut assembler = Assembler::new(Format::OpenAiChat);
        assembler.push(&StreamEvent::Start {
            id: "1".into(),
            model: "m".into(),
            created: None,
        });
        assert_eq!(assembler.finish(), None);
    }
}
