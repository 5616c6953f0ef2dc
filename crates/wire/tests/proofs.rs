//! Proofs of one provider, carried by clients of another format: the provider gets its own back, no other sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::{Bytes, BytesMut};
use pointsman_wire::form::{ChatRequest, ChatResponse, MaxTokensName, PartKind, StreamEvent, Text};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use pointsman_wire::{replay, seal};
use serde_json::{Value, json};

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    default_max_tokens: 4_096,
    max_tokens_name: MaxTokensName::MaxCompletionTokens,
    developer_role: true,
    stream_usage: true,
};
const SIGNATURE: &str = "EqQBCgIYAhIM";
const REDACTED: &str = "EmwKAhgBEgy3";

fn claude() -> ChatResponse {
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "content": [{"type": "thinking", "thinking": "Hm.\n\nYes.", "signature": SIGNATURE}, {"type": "redacted_thinking", "data": REDACTED},
            {"type": "text", "text": "Looking."}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}],
        "usage": {"input_tokens": 1, "output_tokens": 2}});
    format::decode_response(Format::AnthropicMessages, &Bytes::from(body.to_string())).unwrap()
}

fn asked(format: Format) -> ChatRequest {
    let body = match format {
        Format::OpenAiResponses => json!({"model": "m", "input": "Go."}),
        Format::AnthropicMessages => {
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Go."}]})
        }
        _ => json!({"model": "m", "messages": [{"role": "user", "content": "Go."}]}),
    };
    format::decode_request(format, &Bytes::from(body.to_string())).unwrap()
}

/// The next request of a client that keeps the conversation itself: all items of the answer, and a result.
fn next(output: &Value, call: &str) -> Value {
    let mut input = vec![json!({"role": "user", "content": "Go."})];
    input.extend(output.as_array().unwrap().clone());
    input.push(json!({"type": "function_call_output", "call_id": call, "output": "ok"}));
    json!({"model": "m", "input": input, "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false}]})
}

fn told_whole(response: &ChatResponse) -> Value {
    let client = Format::OpenAiResponses;
    let body = format::encode_answer(client, response, &asked(client));
    serde_json::from_slice::<Value>(&body).unwrap()["output"].take()
}

/// The output as the last event of a stream tells it.
fn told_streamed(response: &ChatResponse) -> Value {
    let client = Format::OpenAiResponses;
    let options = StreamEncoderOptions {
        model: "m".into(),
        include_usage: true,
    };
    let mut encoder = format::stream_encoder(client, options).answering(&asked(client), response.format);
    let mut out = BytesMut::new();
    replay::events(response)
        .iter()
        .for_each(|event| encoder.encode(event, &mut out));
    let text = String::from_utf8(out.to_vec()).unwrap();
    let last = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back()
        .unwrap();
    let mut event: Value = serde_json::from_str(last).unwrap();
    assert_eq!(event["type"], "response.completed");
    event["response"]["output"].take()
}

fn sent(request: &Value, to: Format) -> (Value, Vec<String>) {
    let request = format::decode_request(Format::OpenAiResponses, &Bytes::from(request.to_string())).unwrap();
    let encoded = format::encode_request(to, &request, &TARGET).unwrap();
    let notes = encoded.losses.iter().map(|loss| loss.note.to_owned()).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), notes)
}

#[test]
fn claude_gets_its_reasoning_back_through_a_client_of_responses() {
    for output in [told_whole(&claude()), told_streamed(&claude())] {
        let (body, _) = sent(&next(&output, "toolu_1"), Format::AnthropicMessages);
        assert_eq!(
            body["messages"][1]["content"],
            json!([{"type": "thinking", "thinking": "Hm.\n\nYes.", "signature": SIGNATURE}, {"type": "redacted_thinking", "data": REDACTED},
                {"type": "text", "text": "Looking."}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}])
        );
        assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], "toolu_1");
    }
}

#[test]
fn whole_and_streamed_answers_have_the_same_items() {
    assert_eq!(told_whole(&claude()), told_streamed(&claude()));
}

#[test]
fn no_other_provider_sees_the_proof() {
    let request = next(&told_whole(&claude()), "toolu_1");
    for to in [Format::OpenAiChat, Format::CohereChat, Format::OpenAiResponses] {
        let (body, notes) = sent(&request, to);
        let body = body.to_string();
        for secret in [seal::MARK, SIGNATURE, REDACTED] {
            assert!(!body.contains(secret), "{to:?}: {body}");
        }
        assert!(body.contains("Looking."), "{to:?}: {body}");
        if to == Format::OpenAiResponses {
            assert!(
                notes.iter().any(|note| note.contains("another provider signed")),
                "{notes:?}"
            );
        }
    }
}

/// What Gemini signs is a call.
fn gemini() -> ChatResponse {
    let mut response = claude();
    response.format = Format::GeminiGenerate;
    response.choices[0].parts.drain(..2);
    if let PartKind::ToolCall(call) = &mut response.choices[0].parts[1].kind {
        call.signature = Some(Text::from_static("AVSoXO+/=="));
    }
    response
}

#[test]
fn gemini_gets_its_calls_back_signed() {
    for output in [told_whole(&gemini()), told_streamed(&gemini())] {
        let body = Bytes::from(next(&output, "toolu_1").to_string());
        let request = format::decode_request(Format::OpenAiResponses, &body).unwrap();
        let opened = seal::opened(&request, Format::GeminiGenerate);
        let parts = || opened.request.messages.iter().flat_map(|message| &message.parts);
        let signed = parts().find_map(|part| match &part.kind {
            PartKind::ToolCall(call) => call.signature.clone(),
            _ => None,
        });
        assert_eq!(signed.as_deref(), Some("AVSoXO+/=="));
        assert!(
            !parts().any(|part| matches!(part.kind, PartKind::Thinking(_))),
            "the proof is no reasoning"
        );
        // The others get the call alone.
        let (body, _) = sent(&next(&output, "toolu_1"), Format::AnthropicMessages);
        assert_eq!(
            body["messages"][1]["content"].as_array().unwrap().len(),
            2,
            "{body}"
        );
        assert!(!body.to_string().contains("AVSoXO"));
    }
}

#[test]
fn openai_gets_its_reasoning_back_through_other_clients() {
    let body = json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt", "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAAA"},
        {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Yes.", "annotations": []}]}]});
    let response = format::decode_response(Format::OpenAiResponses, &Bytes::from(body.to_string())).unwrap();
    for client in [Format::AnthropicMessages, Format::OpenAiChat] {
        let answer = format::encode_answer(client, &response, &asked(client));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let mut request: Value = match client {
            Format::AnthropicMessages => {
                json!({"model": "m", "max_tokens": 2000, "messages": [{"role": "assistant", "content": answer["content"]}]})
            }
            _ => json!({"model": "m", "messages": [answer["choices"][0]["message"]]}),
        };
        request["messages"]
            .as_array_mut()
            .unwrap()
            .push(json!({"role": "user", "content": "More."}));
        let request = format::decode_request(client, &Bytes::from(request.to_string())).unwrap();
        let back = format::encode_request(Format::OpenAiResponses, &request, &TARGET).unwrap();
        let back: Value = serde_json::from_slice(&back.body).unwrap();
        assert_eq!(
            back["input"][0],
            json!({"type": "reasoning", "id": "rs_9e317097648fe179", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAAA"}),
            "{client:?}"
        );
        let to_cohere = format::encode_request(Format::CohereChat, &request, &TARGET).unwrap();
        assert!(!String::from_utf8_lossy(&to_cohere.body).contains("gAAAAA"));
    }
}

#[test]
fn a_provider_of_the_client_s_own_format_sees_no_other_s_proof() {
    let sealed = seal::seal(Format::OpenAiResponses, &seal::Proof::Thinking("gAAAAA".into()));
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": &*sealed});
    let anthropic = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Go."},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Yes."}]}, {"role": "user", "content": "More."}]});
    let chat = json!({"model": "m", "messages": [{"role": "assistant", "content": "Yes.", "thinking_blocks": [thinking]}]});
    for (format, body) in [(Format::AnthropicMessages, anthropic), (Format::OpenAiChat, chat)] {
        let body = body.to_string();
        let request = format::decode_request(format, &Bytes::from(body)).unwrap();
        assert!(seal::is_in(&request), "the gateway is to see it");
        let sent = format::encode_request(format, &request, &TARGET).unwrap().body;
        assert!(!String::from_utf8_lossy(&sent).contains(seal::MARK), "{format:?}");
        assert!(String::from_utf8_lossy(&sent).contains("Yes."));
        // Of Claude reasoning is demanded signed, or not at all.
        assert_eq!(
            String::from_utf8_lossy(&sent).contains("Hm."),
            format == Format::OpenAiChat
        );
    }
}

#[test]
fn a_stream_tells_openai_s_proof_sealed() {
    let events = [
        StreamEvent::Start {
            id: "r".into(),
            model: "gpt".into(),
            created: Some(1),
        },
        StreamEvent::PartStart {
            choice: 0,
            part: 0,
            start: pointsman_wire::form::PartStart::Thinking,
        },
        StreamEvent::Signature {
            choice: 0,
            part: 0,
            signature: "gAAAAA".into(),
        },
        StreamEvent::PartEnd { choice: 0, part: 0 },
        StreamEvent::End,
    ];
    for client in [Format::AnthropicMessages, Format::OpenAiChat] {
        let options = StreamEncoderOptions {
            model: "m".into(),
            include_usage: false,
        };
        let mut encoder =
            format::stream_encoder(client, options).answering(&asked(client), Format::OpenAiResponses);
        let mut out = BytesMut::new();
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert!(
            text.contains("pointsman/v1/responses/thinking/") && !text.contains("gAAAAA"),
            "{text}"
        );
    }
}

/// The formats whose providers sign, and all clients.
const ALL: [Format; 6] = [
    Format::OpenAiChat,
    Format::OpenAiResponses,
    Format::AnthropicMessages,
    Format::GeminiGenerate,
    Format::BedrockConverse,
    Format::CohereChat,
];

/// The next request of a client: what it asked, the answer as it got it, the results of its calls, more.
fn replayed(client: Format, told: &Value) -> Value {
    let call = "toolu_1";
    match client {
        Format::OpenAiChat => {
            json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Go."},
            told["choices"][0]["message"], {"role": "tool", "tool_call_id": call, "content": "ok"}]})
        }
        Format::AnthropicMessages => {
            json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Go."},
            {"role": "assistant", "content": told["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": "ok"}]}],
            "thinking": {"type": "enabled", "budget_tokens": 2000}})
        }
        Format::GeminiGenerate => {
            json!({"contents": [{"role": "user", "parts": [{"text": "Go."}]}, {"role": "model", "parts": told["candidates"][0]["content"]["parts"]},
            {"role": "user", "parts": [{"functionResponse": {"id": call, "name": "f", "response": {"result": "ok"}}}]}]})
        }
        Format::BedrockConverse => {
            json!({"messages": [{"role": "user", "content": [{"text": "Go."}]}, told["output"]["message"],
            {"role": "user", "content": [{"toolResult": {"toolUseId": call, "content": [{"text": "ok"}]}}]}]})
        }
        Format::CohereChat => {
            json!({"model": "m", "messages": [{"role": "user", "content": "Go."}, told["message"],
            {"role": "tool", "tool_call_id": call, "content": "ok"}]})
        }
        _ => next(&told["output"], call),
    }
}

/// An answer by each provider, told by each client to each other provider: its own maker gets all proofs back, nobody
/// else one, and a seal goes to nobody.
#[test]
fn every_way_leads_a_proof_home_or_nowhere() {
    let family = |format: Format| match format {
        Format::BedrockConverse => Format::AnthropicMessages,
        other => other,
    };
    for from in [
        Format::AnthropicMessages,
        Format::GeminiGenerate,
        Format::OpenAiResponses,
    ] {
        let (answer, proofs): (ChatResponse, &[&str]) = match from {
            Format::AnthropicMessages => (claude(), &[SIGNATURE, REDACTED]),
            Format::GeminiGenerate => (gemini(), &["AVSoXO+/=="]),
            _ => {
                let body = json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt", "output": [
                    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": SIGNATURE},
                    {"type": "function_call", "id": "fc_1", "call_id": "toolu_1", "name": "f", "arguments": "{\"a\":1}"}]});
                let answer = format::decode_response(from, &Bytes::from(body.to_string())).unwrap();
                (answer, &[SIGNATURE])
            }
        };
        for client in ALL {
            let asking = match client {
                Format::GeminiGenerate => json!({"contents": [{"parts": [{"text": "Go."}]}]}),
                Format::BedrockConverse => {
                    json!({"messages": [{"role": "user", "content": [{"text": "Go."}]}]})
                }
                _ => Value::Null,
            };
            let asking = if asking.is_null() {
                asked(client)
            } else {
                format::decode_request(client, &Bytes::from(asking.to_string())).unwrap()
            };
            let told: Value =
                serde_json::from_slice(&format::encode_answer(client, &answer, &asking)).unwrap();
            let body = Bytes::from(replayed(client, &told).to_string());
            let request = format::decode_request(client, &body).unwrap();
            let keeps = client != Format::CohereChat;
            assert_eq!(
                seal::is_in(&request),
                keeps && family(client) != from,
                "{from:?} by {client:?}"
            );
            for to in ALL {
                let way = format!("{from:?} by {client:?} to {to:?}");
                // Where both sides speak one format and nothing is sealed, the body passes as it came.
                let encoded = format::encode_request(to, &request, &TARGET)
                    .unwrap_or_else(|error| panic!("{way}: {error}"));
                let sent = String::from_utf8(encoded.body.to_vec()).unwrap();
                assert!(!sent.contains("pointsman"), "{way}: {sent}");
                for proof in proofs {
                    assert_eq!(sent.contains(proof), keeps && family(to) == from, "{way}: {sent}");
                }
                let lost = encoded.losses.iter().any(|loss| loss.note == seal::FOREIGN.note);
                assert_eq!(lost, keeps && family(to) != from, "{way}: {:?}", encoded.losses);
                // Claude asked to think in a turn that began without its reasoning refuses.
                let thinks = sent.contains("budget_tokens");
                assert!(
                    !(thinks && family(to) == Format::AnthropicMessages && from != family(to)),
                    "{way}: {sent}"
                );
            }
        }
    }
}
