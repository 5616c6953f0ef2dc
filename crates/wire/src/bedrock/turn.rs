//! Turns as Bedrock wants them: the user begins, roles alternate, results come first in theirs, nothing is blank.

use super::rules;
use super::write::is_blank;
use crate::form::{Message, Part, PartKind, Role, turns};
use crate::rules::Losses;

/// What stands for the user where the conversation does not begin with them.
const BEGIN: &str = "(begin)";

/// The instructions in front, and the turns that follow.
#[must_use]
pub fn arrange(messages: &[Message], losses: &mut Losses) -> (Option<Message>, Vec<Message>) {
    let leading = messages
        .iter()
        .take_while(|message| is_instruction(message.role))
        .count();
    let (instructions, rest) = messages.split_at(leading);
    let instructions = turns::join(told(instructions, losses), |_| Some(Role::System), losses);
    if rest.iter().any(|message| is_instruction(message.role)) {
        losses.by(&rules::INSTRUCTIONS_LATER);
    }
    let mut turns = turns::join(
        told(rest, losses),
        |role| match role {
            Role::Assistant => Some(Role::Assistant),
            _ => Some(Role::User),
        },
        losses,
    );
    for turn in &mut turns {
        // A call's result must be the first thing that follows it.
        turn.parts
            .sort_by_key(|part| !matches!(part.kind, PartKind::ToolResult(_)));
    }
    if turns.first().is_none_or(|turn| turn.role != Role::User) {
        losses.by(&rules::FIRST_TURN);
        turns.insert(0, Message::text(Role::User, BEGIN));
    }
    if let Some(last) = turns.last_mut().filter(|last| last.role == Role::Assistant) {
        trim_end(last);
    }
    (instructions.into_iter().next(), turns)
}

fn is_instruction(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

/// What can be told at all; messages of which nothing is left go.
fn told(messages: &[Message], losses: &mut Losses) -> Vec<Message> {
    let mut all = Vec::with_capacity(messages.len());
    for message in messages {
        if message.name.is_some() {
            losses.by(&rules::NAMES);
        }
        let mut message = message.clone();
        message.name = None;
        if message.role == Role::Assistant {
            message.parts = turns::gather_texts(message.parts);
        }
        message.parts.retain(|part| is_told(part, losses));
        if !message.parts.is_empty() {
            all.push(message);
        }
    }
    all
}

fn is_told(part: &Part, losses: &mut Losses) -> bool {
    match &part.kind {
        // Models demand their own signature.
        PartKind::Thinking(thinking) if thinking.signature.is_none() => {
            losses.by(&rules::UNSIGNED);
            false
        }
        PartKind::Text(text) if is_blank(part) => {
            if !text.text.is_empty() {
                losses.by(&rules::BLANK_TEXT);
            }
            false
        }
        _ => !is_blank(part),
    }
}

/// An answer to be continued must not end in white space.
fn trim_end(turn: &mut Message) {
    if let Some(Part {
        kind: PartKind::Text(text),
        ..
    }) = turn.parts.last_mut()
    {
        text.text = text.text.slice_ref(text.text.trim_end());
    }
}
