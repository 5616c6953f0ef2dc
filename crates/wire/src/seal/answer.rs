//! A whole answer for a client: the provider's proofs sealed, where the client's format has a place for them.

use std::borrow::Cow;

use super::{CallPlace, Proof, has_redacted, places_for, proof_of, seal};
use crate::form::{ChatResponse, Part, PartKind, Text, Thinking};
use crate::format::Format;

/// The answer with every proof sealed that is not told in its provider's own format.
#[must_use]
pub fn answer(response: &ChatResponse, client: Format) -> Cow<'_, ChatResponse> {
    let from = response.format;
    let mut parts = response.choices.iter().flat_map(|choice| &choice.parts);
    let Some(place) = places_for(client, from) else {
        return Cow::Borrowed(response);
    };
    if !parts.any(|part| proof_of(part).is_some()) {
        return Cow::Borrowed(response);
    }
    let mut response = response.clone();
    for choice in &mut response.choices {
        let mut sealed = Vec::with_capacity(choice.parts.len() + 1);
        for mut part in std::mem::take(&mut choice.parts) {
            let apart = close(&mut part, (client, from), place).map(|proof| Part::new(bare(proof)));
            let (in_front, behind) = match place {
                CallPlace::InFront => (apart, None),
                _ => (None, apart),
            };
            sealed.extend(in_front);
            sealed.push(part);
            sealed.extend(behind);
        }
        choice.parts = sealed;
    }
    Cow::Owned(response)
}

/// Seals the proof of a part; gives that of a call back where it stands apart from it.
fn close(part: &mut Part, (client, from): (Format, Format), place: CallPlace) -> Option<Text> {
    match &mut part.kind {
        PartKind::Thinking(thinking) => {
            let signature = thinking.signature.take();
            thinking.signature = signature.map(|signature| seal(from, &Proof::Thinking(signature)));
        }
        PartKind::RedactedThinking(data) => {
            let sealed = seal(from, &Proof::Redacted(data.clone()));
            part.kind = if has_redacted(client) {
                PartKind::RedactedThinking(sealed)
            } else {
                bare(sealed)
            };
        }
        PartKind::ToolCall(call) => {
            let signature = call.signature.take()?;
            let id = call.id.clone();
            let sealed = seal(from, &Proof::Call { id, signature });
            if place != CallPlace::Within {
                return Some(sealed);
            }
            call.signature = Some(sealed);
        }
        _ => {}
    }
    None
}

/// A proof without a word.
fn bare(sealed: Text) -> PartKind {
    PartKind::Thinking(Thinking {
        text: Text::new(),
        signature: Some(sealed),
    })
}
