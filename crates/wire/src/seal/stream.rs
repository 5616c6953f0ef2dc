//! A streamed answer for a client: the provider's proofs sealed, where the client's format has a place for them.

use std::collections::BTreeMap;

use super::{CallPlace, Proof, has_redacted, places_for, seal};
use crate::form::{PartStart, StreamEvent, Text};
use crate::format::Format;

/// Seals the proofs in a stream. A proof may come in pieces, and is sealed when it is whole: at the end of its part.
///
/// Proofs of calls stand in parts of their own where the client's format has no place for them in the call, so parts
/// are numbered anew.
#[derive(Debug)]
pub struct Sealer {
    client: Format,
    from: Format,
    /// None when the stream passes as it is.
    place: Option<CallPlace>,
    parts: BTreeMap<(u32, u32), Open>,
    /// The number of the next part, by choice.
    next: BTreeMap<u32, u32>,
    /// A call that has begun, until it is known whether something stands in front of it.
    held: Option<StreamEvent>,
}

/// A part that has begun.
#[derive(Debug)]
struct Open {
    /// Its number for the client.
    number: u32,
    /// The call's id, if it is one.
    call: Option<Text>,
    /// Whether it is reasoning.
    thinking: bool,
    /// The proof, as far as it has come.
    proof: String,
}

impl Sealer {
    /// For an answer in the format `from` to a client of `client`.
    #[must_use]
    pub fn new(client: Format, from: Format) -> Self {
        Self {
            client,
            from,
            place: places_for(client, from),
            parts: BTreeMap::new(),
            next: BTreeMap::new(),
            held: None,
        }
    }

    /// Takes an event, and gives `write` what the client may see.
    pub fn take(&mut self, event: &StreamEvent, write: &mut dyn FnMut(&StreamEvent)) {
        let Some(place) = self.place else {
            return write(event);
        };
        if let Some(held) = self.held.take() {
            self.let_go(&held, event, write);
            if matches!(event, StreamEvent::Signature { .. }) && part_of(event) == part_of(&held) {
                return;
            }
        }
        match event {
            StreamEvent::PartStart { start, .. } => {
                if place == CallPlace::InFront && matches!(start, PartStart::ToolCall { .. }) {
                    self.held = Some(event.clone());
                } else {
                    self.begin(event, write);
                }
            }
            StreamEvent::Signature { signature, .. } => {
                if let Some(open) = part_of(event).and_then(|at| self.parts.get_mut(&at)) {
                    open.proof.push_str(signature);
                }
            }
            StreamEvent::PartEnd { .. } => self.end(event, place, write),
            _ => self.renumbered(event, write),
        }
    }

    /// A call that was held begins, behind the proof that came with it.
    fn let_go(&mut self, held: &StreamEvent, event: &StreamEvent, write: &mut dyn FnMut(&StreamEvent)) {
        let (Some((choice, _)), StreamEvent::PartStart { start, .. }) = (part_of(held), held) else {
            return;
        };
        if let StreamEvent::Signature { signature, .. } = event
            && let PartStart::ToolCall { id, .. } = start
            && part_of(event) == part_of(held)
        {
            self.bare(choice, id.clone(), signature.clone(), write);
        }
        self.begin(held, write);
    }

    fn begin(&mut self, event: &StreamEvent, write: &mut dyn FnMut(&StreamEvent)) {
        let StreamEvent::PartStart { choice, part, start } = event else {
            return;
        };
        let number = self.number(*choice);
        let open = Open {
            number,
            call: match start {
                PartStart::ToolCall { id, .. } => Some(id.clone()),
                _ => None,
            },
            thinking: *start == PartStart::Thinking,
            proof: String::new(),
        };
        self.parts.insert((*choice, *part), open);
        let mut told = |start| {
            write(&StreamEvent::PartStart {
                choice: *choice,
                part: number,
                start,
            });
        };
        let PartStart::RedactedThinking(data) = start else {
            return told(start.clone());
        };
        let sealed = seal(self.from, &Proof::Redacted(data.clone()));
        if has_redacted(self.client) {
            return told(PartStart::RedactedThinking(sealed));
        }
        told(PartStart::Thinking);
        write(&signed(*choice, number, sealed));
    }

    fn end(&mut self, event: &StreamEvent, place: CallPlace, write: &mut dyn FnMut(&StreamEvent)) {
        let Some(at) = part_of(event) else { return };
        let Some(open) = self.parts.remove(&at) else {
            return;
        };
        let (choice, number) = (at.0, open.number);
        let signature = Some(Text::from(open.proof)).filter(|proof| !proof.is_empty());
        let mut behind = None;
        match (signature, open.call) {
            (Some(signature), Some(id)) if place == CallPlace::Within => {
                let sealed = seal(self.from, &Proof::Call { id, signature });
                write(&signed(choice, number, sealed));
            }
            (Some(signature), Some(id)) => behind = Some((id, signature)),
            (Some(signature), None) if open.thinking => {
                let sealed = seal(self.from, &Proof::Thinking(signature));
                write(&signed(choice, number, sealed));
            }
            _ => {}
        }
        write(&StreamEvent::PartEnd { choice, part: number });
        if let Some((id, signature)) = behind {
            self.bare(choice, id, signature, write);
        }
    }

    /// The proof of a call in a part of its own.
    fn bare(&mut self, choice: u32, id: Text, signature: Text, write: &mut dyn FnMut(&StreamEvent)) {
        let part = self.number(choice);
        write(&StreamEvent::PartStart {
            choice,
            part,
            start: PartStart::Thinking,
        });
        let sealed = seal(self.from, &Proof::Call { id, signature });
        write(&signed(choice, part, sealed));
        write(&StreamEvent::PartEnd { choice, part });
    }

    fn number(&mut self, choice: u32) -> u32 {
        let next = self.next.entry(choice).or_default();
        *next += 1;
        *next - 1
    }

    /// An event with the number that its part has for the client.
    fn renumbered(&self, event: &StreamEvent, write: &mut dyn FnMut(&StreamEvent)) {
        let Some(at) = part_of(event) else {
            return write(event);
        };
        let Some(open) = self.parts.get(&at) else { return };
        if open.number == at.1 {
            return write(event);
        }
        let mut event = event.clone();
        if let StreamEvent::Delta { part, .. } | StreamEvent::Citation { part, .. } = &mut event {
            *part = open.number;
        }
        write(&event);
    }
}

fn signed(choice: u32, part: u32, signature: Text) -> StreamEvent {
    StreamEvent::Signature {
        choice,
        part,
        signature,
    }
}

/// The choice and the part that an event is about.
fn part_of(event: &StreamEvent) -> Option<(u32, u32)> {
    match event {
        StreamEvent::PartStart { choice, part, .. }
        | StreamEvent::Delta { choice, part, .. }
        | StreamEvent::Signature { choice, part, .. }
        | StreamEvent::Citation { choice, part, .. }
        | StreamEvent::PartEnd { choice, part } => Some((*choice, *part)),
        _ => None,
    }
}
