//! A request for a provider: its own proofs opened, all others left out.

use std::borrow::Cow;

use super::{Proof, is_sealed, open, proof_of, same_maker};
use crate::form::{ChatRequest, Part, PartKind, Text};
use crate::format::Format;
use crate::openai::parts::EXTRA_CONTENT;

/// A request as a provider may see it.
#[derive(Debug)]
pub struct Opened<'r> {
    /// The request.
    pub request: Cow<'r, ChatRequest>,
    /// Whether proofs of another provider were left out.
    pub lost: bool,
}

/// The request with every proof opened that a provider of `target` may see, and without those that it may not.
#[must_use]
pub fn opened(request: &ChatRequest, target: Format) -> Opened<'_> {
    let mut door = Door {
        format: request.format,
        target,
        signed: Vec::new(),
        lost: false,
    };
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    if !parts.any(|part| door.changes(part)) {
        return Opened {
            request: Cow::Borrowed(request),
            lost: false,
        };
    }
    let mut request = request.clone();
    request.messages.retain_mut(|message| {
        let had = !message.parts.is_empty();
        message.parts.retain_mut(|part| door.pass(part));
        !had || !message.parts.is_empty()
    });
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let PartKind::ToolCall(call) = &mut part.kind
            && let Some((_, signature)) = door.signed.iter().find(|(id, _)| *id == call.id)
        {
            call.signature = Some(signature.clone());
        }
    }
    Opened {
        request: Cow::Owned(request),
        lost: door.lost,
    }
}

/// The way from a client to a provider.
struct Door {
    format: Format,
    target: Format,
    /// Proofs of calls that stood apart from them, by the calls' ids.
    signed: Vec<(Text, Text)>,
    lost: bool,
}

impl Door {
    fn changes(&self, part: &Part) -> bool {
        proof_of(part).is_some_and(|proof| is_sealed(proof) || proof.is_empty() || self.is_foreign(part))
    }

    /// Whether an unsealed proof is another provider's: by the client's format, the place says whose it is.
    fn is_foreign(&self, part: &Part) -> bool {
        let whose = match (&part.kind, self.format) {
            (PartKind::ToolCall(_), _) => Format::GeminiGenerate,
            (_, Format::OpenAiResponses | Format::GeminiGenerate | Format::CohereChat) => self.format,
            // `thinking_blocks` of chat completions are Claude's.
            _ => Format::AnthropicMessages,
        };
        self.format != self.target && !same_maker(whose, self.target)
    }

    /// Opens the proof of a part; false when there is nothing else to the part.
    fn pass(&mut self, part: &mut Part) -> bool {
        let Some(proof) = proof_of(part) else {
            return true;
        };
        if proof.is_empty() {
            // Said of reasoning that nobody signed, where clients demand the field.
            return self.strip(part);
        }
        if !is_sealed(proof) {
            return !self.is_foreign(part) || self.strip(part);
        }
        match open(proof).filter(|(from, _)| same_maker(*from, self.target)) {
            Some((_, proof)) => self.put_back(part, proof),
            None => self.strip(part),
        }
    }

    fn put_back(&mut self, part: &mut Part, proof: Proof) -> bool {
        match (proof, &mut part.kind) {
            (Proof::Call { signature, .. }, PartKind::ToolCall(call)) => {
                part.extra.remove(EXTRA_CONTENT);
                call.signature = Some(signature);
            }
            (Proof::Call { id, signature }, _) => {
                self.signed.push((id, signature));
                return false;
            }
            (Proof::Thinking(signature), PartKind::Thinking(thinking)) => {
                thinking.signature = Some(signature);
            }
            (Proof::Redacted(data), PartKind::Thinking(_) | PartKind::RedactedThinking(_)) => {
                part.kind = PartKind::RedactedThinking(data);
            }
            // A client has mixed them up.
            (Proof::Thinking(_) | Proof::Redacted(_), _) => return self.strip(part),
        }
        true
    }

    /// Takes a proof away. Where reasoning cannot stand without one, or says nothing, nothing is left of it.
    fn strip(&mut self, part: &mut Part) -> bool {
        self.lost = true;
        match &mut part.kind {
            PartKind::ToolCall(call) => {
                if call
                    .signature
                    .take()
                    .is_some_and(|signature| is_sealed(&signature))
                {
                    part.extra.remove(EXTRA_CONTENT);
                }
                true
            }
            PartKind::Thinking(thinking) => {
                thinking.signature = None;
                let unsigned = matches!(
                    self.target,
                    Format::OpenAiChat | Format::OpenAiCompletions | Format::CohereChat
                );
                unsigned && !thinking.text.is_empty()
            }
            _ => false,
        }
    }
}
