//! Whose proof it is: signatures and encrypted reasoning of one provider, carried by clients of another format.
//!
//! A provider takes back only what it signed itself. Where the client's format has a place for such a proof, but the
//! provider's format is another, the proof is sealed: a mark says whose it is and what it proves. When the client replays
//! it, the provider gets its own back; no other gets to see it. A seal is standard base64 as a whole, because some
//! formats demand that; its mark is readable all the same. It hides nothing and vouches for nothing: the provider does.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::form::{ChatRequest, ChatResponse, Part, PartKind, StreamEvent, Text, Thinking};
use crate::format::Format;

/// What every seal begins with.
pub const MARK: &str = "pointsman/v1/";

/// What a provider signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The signature of reasoning that is told beside it.
    Thinking(Text),
    /// Reasoning that the provider encrypted as a whole.
    Redacted(Text),
    /// The signature of a tool call.
    Call {
        /// The call's id.
        id: Text,
        /// Its signature.
        signature: Text,
    },
}

/// Formats by names that are base64, too.
const NAMES: [(Format, &str); 7] = [
    (Format::OpenAiChat, "openai"),
    (Format::OpenAiCompletions, "completions"),
    (Format::OpenAiResponses, "responses"),
    (Format::AnthropicMessages, "anthropic"),
    (Format::GeminiGenerate, "gemini"),
    (Format::BedrockConverse, "bedrock"),
    (Format::CohereChat, "cohere"),
];

/// Whether a text is sealed.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK)
}

/// Whether a body holds a seal: then it must not pass as it came even where client and provider speak one format, but
/// go through the form, where what is another's is left out.
#[must_use]
pub fn is_in(body: &[u8]) -> bool {
    memchr::memmem::find(body, MARK.as_bytes()).is_some()
}

/// Seals what a provider that speaks `from` signed.
#[must_use]
pub fn seal(from: Format, proof: &Proof) -> Text {
    let (kind, payload) = match proof {
        Proof::Thinking(signature) => ("thinking", signature.to_string()),
        Proof::Redacted(data) => ("redacted", data.to_string()),
        Proof::Call { id, signature } => ("call", format!("{}\n{signature}", id.replace('\n', " "))),
    };
    let name = NAMES.iter().find(|(format, _)| *format == from);
    let mut sealed = format!("{MARK}{}/{kind}/", name.map_or("", |(_, name)| name));
    // So that what follows is base64 of its own.
    while !sealed.len().is_multiple_of(4) {
        sealed.push('/');
    }
    STANDARD.encode_string(payload, &mut sealed);
    sealed.into()
}

/// Opens a seal: whose it is, and what it proves.
#[must_use]
pub fn open(sealed: &str) -> Option<(Format, Proof)> {
    let mut pieces = sealed.strip_prefix(MARK)?.splitn(3, '/');
    let (name, kind, rest) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let format = NAMES.iter().find(|(_, known)| *known == name)?.0;
    let padding = (sealed.len() - rest.len()).next_multiple_of(4) - (sealed.len() - rest.len());
    let payload = STANDARD.decode(rest.get(padding..)?).ok()?;
    let payload = Text::try_from(payload).ok()?;
    let proof = match kind {
        "thinking" => Proof::Thinking(payload),
        "redacted" => Proof::Redacted(payload),
        "call" => {
            let (id, signature) = payload.split_once('\n')?;
            Proof::Call {
                id: payload.slice_ref(id),
                signature: payload.slice_ref(signature),
            }
        }
        _ => return None,
    };
    Some((format, proof))
}

/// Whether providers of both formats are of one maker, who takes either's proofs (Claude at Anthropic and at Bedrock).
fn same_maker(one: Format, other: Format) -> bool {
    let claude = |format| matches!(format, Format::AnthropicMessages | Format::BedrockConverse);
    one == other || (claude(one) && claude(other))
}

/// The request with every proof opened that a provider of `target` may see, and without those that it may not.
#[must_use]
pub fn opened(request: &ChatRequest, target: Format) -> Cow<'_, ChatRequest> {
    // The writer of responses leaves out what is another's itself, and says so.
    let own_writer = request.format == Format::OpenAiResponses && target == Format::OpenAiResponses;
    let touched = |part: &Part| {
        matches!(&part.kind, PartKind::Thinking(thinking) if thinking.signature.as_deref().is_some_and(|signature| {
            is_sealed(signature) || is_foreign(request.format, target)
        }))
    };
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    if own_writer || !parts().any(touched) {
        return Cow::Borrowed(request);
    }
    let mut request = request.clone();
    let format = request.format;
    let mut signed: Vec<(Text, Text)> = Vec::new();
    request.messages.retain_mut(|message| {
        let had = !message.parts.is_empty();
        message
            .parts
            .retain_mut(|part| open_part(part, format, target, &mut signed));
        !had || !message.parts.is_empty()
    });
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let PartKind::ToolCall(call) = &mut part.kind
            && let Some((_, signature)) = signed.iter().find(|(id, _)| *id == call.id)
        {
            call.signature = Some(signature.clone());
        }
    }
    Cow::Owned(request)
}

/// Whether an unsealed proof in a request of `format` cannot be of a provider of `target`: what is OpenAI's own is
/// unsealed in its responses alone.
fn is_foreign(format: Format, target: Format) -> bool {
    (format == Format::OpenAiResponses) != (target == Format::OpenAiResponses)
}

/// Opens the proof of a part; false when there is nothing else to the part.
fn open_part(part: &mut Part, format: Format, target: Format, signed: &mut Vec<(Text, Text)>) -> bool {
    let PartKind::Thinking(thinking) = &mut part.kind else {
        return true;
    };
    let Some(signature) = &thinking.signature else {
        return true;
    };
    if !is_sealed(signature) {
        if is_foreign(format, target) {
            thinking.signature = None;
        }
        return true;
    }
    match open(signature) {
        Some((from, proof)) if same_maker(from, target) => match proof {
            Proof::Thinking(signature) => thinking.signature = Some(signature),
            Proof::Redacted(data) => part.kind = PartKind::RedactedThinking(data),
            Proof::Call { id, signature } => {
                signed.push((id, signature));
                return false;
            }
        },
        Some((_, Proof::Redacted(_) | Proof::Call { .. })) => return false,
        // Claude takes no reasoning without its own signature; of other formats the writer leaves it out and says so.
        Some(_) if format == target && target == Format::AnthropicMessages => return false,
        Some((_, Proof::Thinking(_))) | None => thinking.signature = None,
    }
    true
}

/// The answer with every proof sealed that a client of `client` could otherwise take for another provider's.
#[must_use]
pub fn answer(response: &ChatResponse, client: Format) -> Cow<'_, ChatResponse> {
    let from = response.format;
    let proven = |part: &Part| match &part.kind {
        PartKind::Thinking(thinking) => thinking.signature.is_some(),
        PartKind::RedactedThinking(_) => true,
        PartKind::ToolCall(call) => call.signature.is_some(),
        _ => false,
    };
    let mut parts = response.choices.iter().flat_map(|choice| &choice.parts);
    if !is_sealed_for(client, from) || !parts.any(proven) {
        return Cow::Borrowed(response);
    }
    let mut response = response.clone();
    for choice in &mut response.choices {
        let mut sealed = Vec::with_capacity(choice.parts.len());
        for mut part in std::mem::take(&mut choice.parts) {
            let mut behind = None;
            match &mut part.kind {
                PartKind::Thinking(thinking) => {
                    let signature = thinking.signature.take();
                    thinking.signature = signature.map(|signature| seal(from, &Proof::Thinking(signature)));
                }
                PartKind::RedactedThinking(data) => {
                    part.kind = bare(seal(from, &Proof::Redacted(data.clone())));
                }
                PartKind::ToolCall(call) => {
                    behind = call.signature.take().map(|signature| Proof::Call {
                        id: call.id.clone(),
                        signature,
                    });
                }
                _ => {}
            }
            sealed.push(part);
            sealed.extend(behind.map(|proof| Part::new(bare(seal(from, &proof)))));
        }
        choice.parts = sealed;
    }
    Cow::Owned(response)
}

/// A proof without a word.
fn bare(sealed: Text) -> PartKind {
    PartKind::Thinking(Thinking {
        text: Text::new(),
        signature: Some(sealed),
    })
}

/// Whether proofs of a provider of `from` are sealed for clients of `client`. Where they are not, a convention of the
/// format says whose they are: `thinking_blocks` and Anthropic's own blocks are Claude's, for one.
fn is_sealed_for(client: Format, from: Format) -> bool {
    match client {
        Format::OpenAiResponses => from != client,
        Format::OpenAiChat | Format::AnthropicMessages => from == Format::OpenAiResponses,
        _ => false,
    }
}

/// The event of a stream with its proof sealed. Formats whose writers gather a proof first seal it themselves.
#[must_use]
pub fn event(event: &StreamEvent, client: Format, from: Format) -> Cow<'_, StreamEvent> {
    match event {
        StreamEvent::Signature {
            choice,
            part,
            signature,
        } if client != Format::OpenAiResponses && is_sealed_for(client, from) => {
            // OpenAI tells its encrypted reasoning in one piece.
            Cow::Owned(StreamEvent::Signature {
                choice: *choice,
                part: *part,
                signature: seal(from, &Proof::Thinking(signature.clone())),
            })
        }
        _ => Cow::Borrowed(event),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_can_be_opened(id in "[a-z/=+:é-]{0,9}", text in "[A-Za-z0-9+/=é]{0,40}", which in 0..7_usize, kind in 0..3) {
            let proof = match kind {
                0 => Proof::Thinking(text.into()),
                1 => Proof::Redacted(text.into()),
                _ => Proof::Call { id: id.into(), signature: text.into() },
            };
            let sealed = seal(NAMES[which].0, &proof);
            prop_assert!(is_sealed(&sealed));
            prop_assert!(STANDARD.decode(sealed.as_bytes()).is_ok(), "{sealed} is base64 as a whole");
            prop_assert_eq!(open(&sealed), Some((NAMES[which].0, proof)));
        }

        #[test]
        fn nonsense_is_not_opened(text in "pointsman/v1/[a-z/=+é]{0,20}") {
            if let Some((format, proof)) = open(&text) {
                prop_assert_eq!(open(&seal(format, &proof)), Some((format, proof)));
            }
        }
    }
}
