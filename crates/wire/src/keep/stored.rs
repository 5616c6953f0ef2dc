//! Answers as they are put away outside of this process: JSON in a form of its own, which older and newer processes
//! either understand whole or do not read at all.

use serde::{Deserialize, Serialize};

use crate::form::{
    ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Text, TextPart, Thinking, ToolCall,
    ToolCallKind, Usage,
};
use crate::format::Format;
use crate::json::Json;

/// An answer that was put away and cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no answer that this version has put away")]
pub struct Unreadable;

/// Fields in their order; a map would lose it, and fields of the same name.
type Fields = Vec<(Text, Json)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    id: Text,
    model: Text,
    created: Option<u64>,
    choices: Vec<StoredChoice>,
    usage: Option<Usage>,
    usage_native: Option<Json>,
    service_tier: Option<Text>,
    extra: Fields,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredChoice {
    index: u32,
    parts: Vec<StoredPart>,
    finish: Option<Finish>,
    stop_sequence: Option<Text>,
    logprobs: Option<Json>,
    extra: Fields,
    message_extra: Fields,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPart {
    kind: Kind,
    extra: Fields,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Finish {
    Stop,
    StopSequence,
    ToolCalls,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text {
        text: Text,
        citations: Option<Json>,
    },
    Thinking {
        text: Text,
        signature: Option<Text>,
    },
    RedactedThinking(Text),
    Call {
        id: Text,
        name: Text,
        arguments: Text,
        custom: bool,
        signature: Option<Text>,
        extra: Fields,
    },
    Opaque {
        format: String,
        kind: Text,
        json: Json,
    },
}

/// An answer as JSON; nothing where it is none that is [whole](super::is_whole).
#[must_use]
pub fn pack(response: &ChatResponse) -> Option<Vec<u8>> {
    let stored = Stored {
        format: response.format.name().to_owned(),
        id: response.id.clone(),
        model: response.model.clone(),
        created: response.created,
        choices: response.choices.iter().map(pack_choice).collect::<Option<_>>()?,
        usage: response.usage,
        usage_native: response.usage_native.clone(),
        service_tier: response.service_tier.clone(),
        extra: response.extra.0.clone(),
    };
    serde_json::to_vec(&stored).ok()
}

fn pack_choice(choice: &Choice) -> Option<StoredChoice> {
    let finish = match &choice.finish {
        None => None,
        Some(FinishReason::Stop) => Some(Finish::Stop),
        Some(FinishReason::StopSequence) => Some(Finish::StopSequence),
        Some(FinishReason::ToolCalls) => Some(Finish::ToolCalls),
        Some(_) => return None,
    };
    Some(StoredChoice {
        index: choice.index,
        parts: choice.parts.iter().map(pack_part).collect::<Option<_>>()?,
        finish,
        stop_sequence: choice.stop_sequence.clone(),
        logprobs: choice.logprobs.clone(),
        extra: choice.extra.0.clone(),
        message_extra: choice.message_extra.0.clone(),
    })
}

fn pack_part(part: &Part) -> Option<StoredPart> {
    let kind = match &part.kind {
        PartKind::Text(text) => Kind::Text {
            text: text.text.clone(),
            citations: text.citations.clone(),
        },
        PartKind::Thinking(thinking) => Kind::Thinking {
            text: thinking.text.clone(),
            signature: thinking.signature.clone(),
        },
        PartKind::RedactedThinking(data) => Kind::RedactedThinking(data.clone()),
        PartKind::ToolCall(call) => Kind::Call {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            custom: call.kind == ToolCallKind::Custom,
            signature: call.signature.clone(),
            extra: call.extra.0.clone(),
        },
        PartKind::Opaque { format, kind, json } => Kind::Opaque {
            format: format.name().to_owned(),
            kind: kind.clone(),
            json: json.clone(),
        },
        _ => return None,
    };
    part.cache_control.is_none().then(|| StoredPart {
        kind,
        extra: part.extra.0.clone(),
    })
}

/// The answer that was put away.
///
/// # Errors
/// When another version has written it, or it is damaged.
pub fn unpack(bytes: &[u8]) -> Result<ChatResponse, Unreadable> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|_| Unreadable)?;
    Ok(ChatResponse {
        format: Format::from_name(&stored.format).ok_or(Unreadable)?,
        id: stored.id,
        model: stored.model,
        created: stored.created,
        choices: stored
            .choices
            .into_iter()
            .map(unpack_choice)
            .collect::<Result<_, _>>()?,
        usage: stored.usage,
        usage_native: stored.usage_native,
        service_tier: stored.service_tier,
        extra: Extra(stored.extra),
    })
}

fn unpack_choice(choice: StoredChoice) -> Result<Choice, Unreadable> {
    Ok(Choice {
        index: choice.index,
        parts: choice
            .parts
            .into_iter()
            .map(unpack_part)
            .collect::<Result<_, _>>()?,
        finish: choice.finish.map(|finish| match finish {
            Finish::Stop => FinishReason::Stop,
            Finish::StopSequence => FinishReason::StopSequence,
            Finish::ToolCalls => FinishReason::ToolCalls,
        }),
        stop_sequence: choice.stop_sequence,
        logprobs: choice.logprobs,
        extra: Extra(choice.extra),
        message_extra: Extra(choice.message_extra),
    })
}

fn unpack_part(part: StoredPart) -> Result<Part, Unreadable> {
    let kind = match part.kind {
        Kind::Text { text, citations } => PartKind::Text(TextPart { text, citations }),
        Kind::Thinking { text, signature } => PartKind::Thinking(Thinking { text, signature }),
        Kind::RedactedThinking(data) => PartKind::RedactedThinking(data),
        Kind::Call {
            id,
            name,
            arguments,
            custom,
            signature,
            extra,
        } => PartKind::ToolCall(ToolCall {
            id,
            name,
            arguments,
            kind: if custom {
                ToolCallKind::Custom
            } else {
                ToolCallKind::Function
            },
            signature,
            extra: Extra(extra),
        }),
        Kind::Opaque { format, kind, json } => PartKind::Opaque {
            format: Format::from_name(&format).ok_or(Unreadable)?,
            kind,
            json,
        },
    };
    Ok(Part {
        kind,
        cache_control: None,
        extra: Extra(part.extra),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::format::decode_response;

    fn decoded(format: Format, body: &str) -> ChatResponse {
        decode_response(format, &Bytes::from(body.to_owned())).unwrap()
    }

    const CHAT: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","service_tier":"default","strange":{"z":1.50,"a":[]},"choices":[{"index":0,"message":{"role":"assistant","content":"Hello \u00e9\n","annotations":[],"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},"logprobs":{"content":[]},"finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}"#;
    const MESSAGES: &str = r#"{"id":"m1","type":"message","role":"assistant","model":"claude","content":[{"type":"thinking","thinking":"well","signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ=="},{"type":"text","text":"So.","citations":[{"type":"char_location"}]},{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}"#;

    #[test]
    fn what_is_put_away_comes_back_as_it_was() {
        for response in [
            decoded(Format::OpenAiChat, CHAT),
            decoded(Format::AnthropicMessages, MESSAGES),
        ] {
            let packed = pack(&response).unwrap();
            assert_eq!(unpack(&packed).unwrap(), response);
            for format in [response.format, Format::OpenAiChat] {
                assert_eq!(
                    crate::format::encode_response(format, &unpack(&packed).unwrap()),
                    crate::format::encode_response(format, &response)
                );
            }
        }
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_not_read() {
        let packed = pack(&decoded(Format::OpenAiChat, CHAT)).unwrap();
        let text = String::from_utf8(packed).unwrap();
        for other in [
            text[..text.len() - 9].to_owned(),
            text.replace("\"openai-chat\"", "\"openai-next\""),
            text.replacen("\"id\"", "\"identity\"", 1),
            text.replacen("{\"format\"", "{\"next\":1,\"format\"", 1),
            String::new(),
        ] {
            assert_eq!(unpack(other.as_bytes()), Err(Unreadable), "{other}");
        }
        // An answer that was cut is not put away.
        let cut = CHAT.replace("\"stop\"", "\"length\"");
        assert_eq!(pack(&decoded(Format::OpenAiChat, &cut)), None);
    }
}
