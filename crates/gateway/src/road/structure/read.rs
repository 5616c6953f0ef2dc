//! Where an answer says what was asked for.

use pointsman_wire::form::{Choice, FinishReason, Part, PartKind, Text};

/// What a choice says; none where there is nothing to check: it calls tools of the client's, declines, or was cut off.
pub fn said(choice: &Choice, tool: Option<&Text>) -> Option<String> {
    let over = matches!(
        choice.finish,
        Some(
            FinishReason::Length
                | FinishReason::ContextWindow
                | FinishReason::ContentFilter
                | FinishReason::Refusal
                | FinishReason::PauseTurn
        )
    );
    let mut text = String::new();
    for part in &choice.parts {
        match &part.kind {
            PartKind::ToolCall(call) if tool == Some(&call.name) => {
                return Some(call.arguments.to_string()).filter(|_| !over);
            }
            PartKind::ToolCall(_) | PartKind::Refusal(_) => return None,
            PartKind::Text(said) => text.push_str(&said.text),
            _ => {}
        }
    }
    Some(text).filter(|_| !over)
}

/// Makes `document` what the choice says, behind its thoughts.
pub fn put(choice: &mut Choice, document: String) {
    choice.parts.retain(|part| {
        matches!(
            part.kind,
            PartKind::Thinking(_) | PartKind::RedactedThinking(_) | PartKind::Opaque { .. }
        )
    });
    choice.parts.push(Part::text(document));
    if choice.finish == Some(FinishReason::ToolCalls) {
        choice.finish = Some(FinishReason::Stop);
    }
    // They told of another text.
    choice.logprobs = None;
}
