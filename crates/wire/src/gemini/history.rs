//! Which result belongs to which call: other formats tie them by ids, this one by names where ids are missing.

use std::collections::HashMap;

use super::parts::NAME;
use crate::form::{Message, Part, PartKind, Text};
use crate::hash::fnv1a;
use crate::json::Json;
use crate::seal;

/// Gives ids to calls without, and the results the ids of their calls. The same history gets the same ids again.
pub(super) fn tie(contents: &mut [Message]) {
    let mut open: Vec<(Text, Text)> = Vec::new();
    for (turn, message) in contents.iter_mut().enumerate() {
        for (at, part) in message.parts.iter_mut().enumerate() {
            match &mut part.kind {
                PartKind::ToolCall(call) => {
                    if call.id.is_empty() {
                        call.id = format!("call_{turn}_{at}").into();
                    }
                    open.push((call.id.clone(), call.name.clone()));
                }
                PartKind::ToolResult(result) => {
                    let name = part.extra.get(NAME).and_then(Json::string).unwrap_or_default();
                    let belongs = |(id, called): &(Text, Text)| {
                        if result.call_id.is_empty() {
                            *called == *name
                        } else {
                            *id == result.call_id
                        }
                    };
                    let call = open.iter().position(belongs).map(|at| open.remove(at));
                    match call {
                        Some((id, called)) => {
                            result.call_id = id;
                            if called == *name {
                                part.extra.remove(NAME);
                            }
                        }
                        None if result.call_id.is_empty() => result.call_id = name.into_owned().into(),
                        None => {}
                    }
                }
                _ => {}
            }
        }
    }
}

/// Puts thoughts together that another provider signed: a client that was told them piece by piece keeps each piece as
/// a part of its own, and the signature with the last one.
pub(super) fn gather_thoughts(contents: &mut [Message]) {
    for message in contents {
        let mut parts: Vec<Part> = Vec::with_capacity(message.parts.len());
        let mut first = None;
        for mut part in message.parts.drain(..) {
            let PartKind::Thinking(thinking) = &mut part.kind else {
                first = None;
                parts.push(part);
                continue;
            };
            match &thinking.signature {
                None => first = first.or(Some(parts.len())),
                Some(signature) => {
                    let start = first.take().filter(|_| seal::is_sealed(signature));
                    let pieces = start.map(|start| parts.drain(start..)).into_iter().flatten();
                    let mut text = String::new();
                    for piece in pieces {
                        if let PartKind::Thinking(piece) = &piece.kind {
                            text.push_str(&piece.text);
                        }
                    }
                    if !text.is_empty() {
                        text.push_str(&thinking.text);
                        thinking.text = text.into();
                    }
                }
            }
            parts.push(part);
        }
        message.parts = parts;
    }
}

/// The names of the functions that were called, by id, as the conversation goes on.
#[derive(Debug, Default)]
pub(super) struct Called(HashMap<Text, Text>);

impl Called {
    /// A call was made.
    pub(super) fn add(&mut self, id: &Text, name: &Text) {
        self.0.insert(id.clone(), name.clone());
    }

    /// The name of the function of the latest call with this id.
    pub(super) fn name(&self, id: &Text) -> Option<&Text> {
        self.0.get(id)
    }
}

/// An id for a call that a provider made without one: the same answer always gives the same.
pub(super) fn call_id(answer: &str, choice: u32, ordinal: u32, name: &str, arguments: &str) -> Text {
    let texts = [answer, name, arguments];
    let hash = fnv1a(texts.iter().flat_map(|text| text.bytes().chain([0])));
    format!("call_{hash:016x}_{choice}_{ordinal}").into()
}
