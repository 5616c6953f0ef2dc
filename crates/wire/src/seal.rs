//! Whose proof it is: signatures and encrypted reasoning of one provider, carried by clients of any format.
//!
//! A provider takes back only what it signed itself. So a proof stands as it is only where the client's format is the
//! provider's own; for clients of every other format it is sealed: a mark says whose it is and what it proves. When
//! the client replays it, the provider gets its own back; no other gets to see it. A seal is standard base64 as a whole,
//! because some formats demand that, and is known again in the other alphabet, because some SDKs write that; its mark
//! is readable all the same. It hides nothing and vouches for nothing: the provider does.

mod answer;
mod opened;
mod stream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::form::{ChatRequest, Part, PartKind, Text};
use crate::format::Format;
use crate::rules::Rule;

pub use answer::answer;
pub use opened::{Opened, opened};
pub use stream::Sealer;

/// What every seal begins with.
pub const MARK: &str = "pointsman/v1/";
/// The same, written in the other alphabet.
const MARK_URL_SAFE: &str = "pointsman_v1_";

/// A proof of another provider, in a request.
pub static FOREIGN: Rule = Rule::left_out(
    "signatures of reasoning and of calls, encrypted reasoning",
    "what another provider signed is told to that provider only",
);

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
const NAMES: [(Format, &str); 8] = [
    (Format::OpenAiChat, "openai"),
    (Format::OpenAiCompletions, "completions"),
    (Format::OpenAiResponses, "responses"),
    (Format::AnthropicMessages, "anthropic"),
    (Format::GeminiGenerate, "gemini"),
    (Format::BedrockConverse, "bedrock"),
    (Format::BedrockInvoke, "invoke"),
    (Format::CohereChat, "cohere"),
];

/// Whether a text is sealed.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK) || text.starts_with(MARK_URL_SAFE)
}

/// Whether a request holds a seal, or an empty proof: then its body must not pass as it came even where client and
/// provider speak one format, but go through the form, where what is another's is left out.
#[must_use]
pub fn is_in(request: &ChatRequest) -> bool {
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| proof_of(part).is_some_and(|proof| is_sealed(proof) || proof.is_empty()))
}

/// The proof that a part holds, as it stands there.
fn proof_of(part: &Part) -> Option<&str> {
    match &part.kind {
        PartKind::Thinking(thinking) => thinking.signature.as_deref(),
        PartKind::RedactedThinking(data) => Some(data),
        PartKind::ToolCall(call) => call.signature.as_deref(),
        _ => None,
    }
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
    if sealed.starts_with(MARK_URL_SAFE) {
        return open(&sealed.replace('-', "+").replace('_', "/"));
    }
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

/// Whether providers of both formats are of one maker, who takes either's proofs.
pub(crate) fn same_maker(one: Format, other: Format) -> bool {
    one == other || (is_claude(one) && is_claude(other))
}

/// Whether what is signed in a format is Claude's, at Anthropic or at Bedrock.
pub(crate) fn is_claude(format: Format) -> bool {
    matches!(
        format,
        Format::AnthropicMessages | Format::BedrockConverse | Format::BedrockInvoke
    )
}

/// Where a client of a format keeps the proof of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallPlace {
    /// With the call.
    Within,
    /// In reasoning without a word, in front of the call.
    InFront,
    /// In reasoning without a word, behind the call.
    Behind,
}

/// The places of a client's format for proofs of other providers. None when it has none.
fn places(client: Format) -> Option<CallPlace> {
    match client {
        Format::OpenAiChat | Format::GeminiGenerate => Some(CallPlace::Within),
        Format::AnthropicMessages | Format::BedrockConverse | Format::BedrockInvoke => {
            Some(CallPlace::InFront)
        }
        Format::OpenAiResponses => Some(CallPlace::Behind),
        Format::OpenAiCompletions | Format::CohereChat => None,
    }
}

/// The places, when proofs of a provider of `from` are sealed for clients of `client`.
fn places_for(client: Format, from: Format) -> Option<CallPlace> {
    places(client).filter(|_| !same_maker(client, from))
}

/// Whether the format has reasoning that is encrypted as a whole, as a part of its own.
fn has_redacted(format: Format) -> bool {
    places(format).is_some() && !matches!(format, Format::OpenAiResponses | Format::GeminiGenerate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_can_be_opened(id in "[a-z/=+:é-]{0,9}", text in "[A-Za-z0-9+/=é_-]{0,40}", which in 0..8_usize, kind in 0..3) {
            let proof = match kind {
                0 => Proof::Thinking(text.into()),
                1 => Proof::Redacted(text.into()),
                _ => Proof::Call { id: id.into(), signature: text.into() },
            };
            let sealed = seal(NAMES[which].0, &proof);
            prop_assert!(is_sealed(&sealed));
            let bytes = STANDARD.decode(sealed.as_bytes());
            prop_assert!(bytes.is_ok(), "{sealed} is base64 as a whole");
            prop_assert_eq!(open(&sealed), Some((NAMES[which].0, proof.clone())));
            // An SDK that reads it as bytes and writes them in the other alphabet.
            let other = base64::engine::general_purpose::URL_SAFE.encode(bytes.unwrap());
            prop_assert!(is_sealed(&other));
            prop_assert_eq!(open(&other), Some((NAMES[which].0, proof)));
        }

        #[test]
        fn nonsense_is_not_opened(text in "pointsman[/_]v1[/_][a-z/=+é_-]{0,20}") {
            if let Some((format, proof)) = open(&text) {
                prop_assert_eq!(open(&seal(format, &proof)), Some((format, proof)));
            }
        }
    }
}
