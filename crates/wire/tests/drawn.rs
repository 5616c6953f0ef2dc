//! Two hundred bodies of each format, drawn from fragments as SDKs and providers write them, always the same: requests
//! and answers come back as they went, unknown fields with them; streams say the same however they are cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::{Bytes, BytesMut};
use pointsman_wire::form::{ChatRequest, MaxTokensName, StreamEvent};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use pointsman_wire::replay;
use serde_json::{Map, Value, json};

use Format::{AnthropicMessages, BedrockConverse, CohereChat, GeminiGenerate, OpenAiChat, OpenAiResponses};

const FORMATS: [Format; 6] = [
    OpenAiChat,
    OpenAiResponses,
    AnthropicMessages,
    GeminiGenerate,
    BedrockConverse,
    CohereChat,
];
const REQUESTS: usize = 120;
const ANSWERS: usize = 40;
const STREAMS: usize = 40;

/// Draws the same in each run (SplitMix64).
struct Draw(u64);

impl Draw {
    fn of(format: Format, kind: u64, number: usize) -> Self {
        let name = format
            .name()
            .bytes()
            .fold(7, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
        Self(name ^ (kind << 40) ^ ((number as u64) << 8))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn one(&mut self, all: &Value) -> Value {
        let all = all.as_array().unwrap();
        all[self.below(all.len())].clone()
    }

    fn text(&mut self) -> Value {
        self.one(&json!([
            "Hello.",
            "Grüezi mitenand 👋",
            "line one\nline \"two\"\ttabbed \\ slash",
            "日本語のテキスト",
            "{\"not\": \"parsed\"}",
            "a",
            "<script>&amp;</script>",
            "\u{0}\u{7f}\u{2028}",
            " leading and trailing "
        ]))
    }

    /// Adds some of the fields, each one of its values.
    fn some(&mut self, object: &mut Map<String, Value>, fields: &Value) {
        for (name, values) in fields.as_object().unwrap() {
            if self.coin() {
                object.insert(name.clone(), self.one(values));
            }
        }
    }

    /// Adds what no version of the format knows yet.
    fn unknown(&mut self, object: &mut Map<String, Value>) {
        if self.coin() {
            let value = self.one(&json!([null, true, 1.50, "x", [1, {"y": []}], {"deep": {"er": [null]}}]));
            object.insert("x_of_tomorrow".to_owned(), value);
        }
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"place": {"type": "string"}, "n": {"type": "integer", "minimum": 0}}, "required": ["place"]})
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

/// Exchanges to begin with, exchanges that follow, fields beside them.
type Fragments = (Value, Value, Value);

/// The smallest picture.
const PNG: &str = "iVBORw0KGgo=";

/// The fragments of a format.
fn fragments(format: Format, say: &Value, id: &str) -> Fragments {
    match format {
        OpenAiChat => chat(say, id),
        OpenAiResponses => responses(say, id),
        AnthropicMessages => anthropic(say, id),
        GeminiGenerate => gemini(say, id),
        BedrockConverse => bedrock(say, id),
        _ => cohere(say, id),
    }
}

fn chat(say: &Value, id: &str) -> Fragments {
    (
        json!([[{"role": "user", "content": say}], [{"role": "system", "content": say}, {"role": "user", "content": [{"type": "text", "text": say}]}],
                [{"role": "developer", "content": [{"type": "text", "text": say}]}, {"role": "user", "name": "ada", "content": say}],
                [{"role": "user", "content": [{"type": "text", "text": say}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}}]}],
                [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}],
                [{"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}, {"type": "text", "text": say}]}]]),
        json!([[{"role": "assistant", "content": say}, {"role": "user", "content": say}],
                [{"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"place\": \"Bern\"}"}}]}, {"role": "tool", "tool_call_id": id, "content": say}],
                [{"role": "assistant", "content": say, "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}, {"id": "other", "type": "custom", "custom": {"name": "g", "input": "free text"}}]},
                    {"role": "tool", "tool_call_id": id, "content": [{"type": "text", "text": say}]}, {"role": "tool", "tool_call_id": "other", "content": ""}],
                [{"role": "assistant", "refusal": say, "content": null}, {"role": "user", "content": say}]]),
        json!({"tools": [[{"type": "function", "function": {"name": "f", "description": say, "parameters": schema(), "strict": true}}], [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]],
                "tool_choice": ["auto", "none", "required", {"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": [true, false], "temperature": [0, 0.7, 2], "top_p": [0.1, 1],
                "max_completion_tokens": [1, 4096], "n": [1, 3], "stop": ["END", ["a", "b"]], "seed": [7, -1], "frequency_penalty": [-1.5, 0.5], "presence_penalty": [1], "logprobs": [true], "top_logprobs": [3],
                "logit_bias": [{"50256": -100}], "user": ["u-1"], "reasoning_effort": ["low", "high"], "response_format": [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "n", "schema": schema(), "strict": true}}],
                "stream": [true, false], "service_tier": ["auto", "flex"], "metadata": [{"a": "b"}], "store": [true], "prediction": [{"type": "content", "content": say}]}),
    )
}

fn responses(say: &Value, id: &str) -> Fragments {
    (
        json!([[{"role": "user", "content": say}], [{"type": "message", "role": "developer", "content": say}, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": say}]}],
                [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"}, {"type": "input_text", "text": say}]}],
                [{"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}]}]]),
        json!([[{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": say, "annotations": []}]}, {"role": "user", "content": say}],
                [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": say}], "encrypted_content": "gAAAAA=="}, {"type": "function_call", "id": "fc_1", "call_id": id, "name": "f", "arguments": "{}", "status": "completed"}, {"type": "function_call_output", "call_id": id, "output": say}],
                [{"type": "custom_tool_call", "call_id": id, "name": "g", "input": say}, {"type": "custom_tool_call_output", "call_id": id, "output": say}],
                [{"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": say}}, {"role": "user", "content": say}]]),
        json!({"instructions": [say], "tools": [[{"type": "function", "name": "f", "description": say, "parameters": schema(), "strict": true}], [{"type": "web_search"}, {"type": "custom", "name": "g"}]],
                "tool_choice": ["auto", "required", {"type": "function", "name": "f"}], "parallel_tool_calls": [true, false], "temperature": [0, 0.7], "top_p": [0.5], "max_output_tokens": [16, 4096],
                "reasoning": [{"effort": "low", "summary": "auto"}, {"effort": "high"}], "text": [{"format": {"type": "json_schema", "name": "n", "schema": schema(), "strict": true}}, {"verbosity": "low"}],
                "store": [false], "stream": [true, false], "metadata": [{"a": "b"}], "truncation": ["auto"], "include": [["reasoning.encrypted_content"]], "user": ["u-1"], "prompt_cache_key": ["k"], "service_tier": ["flex"]}),
    )
}

fn anthropic(say: &Value, id: &str) -> Fragments {
    (
        json!([[{"role": "user", "content": say}], [{"role": "user", "content": [{"type": "text", "text": say, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}],
                [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}, {"type": "text", "text": say}]}],
                [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}, "title": "A", "citations": {"enabled": true}}, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": say}}]}]]),
        json!([[{"role": "assistant", "content": say}, {"role": "user", "content": say}],
                [{"role": "assistant", "content": [{"type": "thinking", "thinking": say, "signature": "ErUB"}, {"type": "redacted_thinking", "data": "EmwK"}, {"type": "tool_use", "id": id, "name": "f", "input": {"place": "Bern"}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": say}]}],
                [{"role": "assistant", "content": [{"type": "text", "text": say}, {"type": "tool_use", "id": id, "name": "f", "input": {}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "is_error": true, "content": [{"type": "text", "text": say}]}, {"type": "text", "text": say}]}],
                [{"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": say}}, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}]}, {"role": "user", "content": say}]]),
        json!({"system": [say, [{"type": "text", "text": say, "cache_control": {"type": "ephemeral"}}]], "tools": [[{"name": "f", "description": say, "input_schema": schema()}], [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]],
                "tool_choice": [{"type": "auto"}, {"type": "any", "disable_parallel_tool_use": true}, {"type": "tool", "name": "f"}, {"type": "none"}], "temperature": [0, 1], "top_p": [0.9], "top_k": [5], "stop_sequences": [["END"]],
                "stream": [true, false], "metadata": [{"user_id": "u-1"}], "thinking": [{"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}, {"type": "adaptive"}], "service_tier": ["auto", "standard_only"], "container": ["c"]}),
    )
}

fn gemini(say: &Value, id: &str) -> Fragments {
    (
        json!([[{"role": "user", "parts": [{"text": say}]}], [{"parts": [{"text": say}]}], [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}, {"text": say}]}],
                [{"role": "user", "parts": [{"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.org/a.mp4"}, "videoMetadata": {"fps": 2}}]}]]),
        json!([[{"role": "model", "parts": [{"text": say}]}, {"role": "user", "parts": [{"text": say}]}],
                [{"role": "model", "parts": [{"text": say, "thought": true, "thoughtSignature": "CiQB"}, {"functionCall": {"name": "f", "args": {"place": "Bern"}}, "thoughtSignature": "CpcB"}]}, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": say}}}]}],
                [{"role": "model", "parts": [{"functionCall": {"id": id, "name": "f", "args": {}}}]}, {"role": "user", "parts": [{"functionResponse": {"id": id, "name": "f", "response": {"error": say}}}]}],
                [{"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}]}, {"role": "user", "parts": [{"text": say}]}]]),
        json!({"systemInstruction": [{"parts": [{"text": say}]}, {"role": "system", "parts": [{"text": say}]}], "tools": [[{"functionDeclarations": [{"name": "f", "description": say, "parameters": {"type": "OBJECT", "properties": {"place": {"type": "STRING"}}}}]}], [{"googleSearch": {}}, {"codeExecution": {}}]],
                "toolConfig": [{"functionCallingConfig": {"mode": "AUTO"}}, {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}],
                "generationConfig": [{"temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 100, "stopSequences": ["END"]}, {"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}}, {"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": true}, "seed": 7}, {"candidateCount": 2, "responseLogprobs": true, "logprobs": 2}],
                "safetySettings": [[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]], "cachedContent": ["cachedContents/1"], "labels": [{"a": "b"}]}),
    )
}

fn bedrock(say: &Value, id: &str) -> Fragments {
    (
        json!([[{"role": "user", "content": [{"text": say}]}], [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": PNG}}}, {"text": say}]}],
                [{"role": "user", "content": [{"document": {"format": "pdf", "name": "places", "source": {"bytes": "JVBERi0="}}}, {"text": say}, {"cachePoint": {"type": "default"}}]}],
                [{"role": "user", "content": [{"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/a.mp4"}}}}, {"text": say}]}]]),
        json!([[{"role": "assistant", "content": [{"text": say}]}, {"role": "user", "content": [{"text": say}]}],
                [{"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": say, "signature": "c2ln"}}}, {"toolUse": {"toolUseId": id, "name": "f", "input": {"place": "Bern"}}}]}, {"role": "user", "content": [{"toolResult": {"toolUseId": id, "content": [{"json": {"celsius": 1}}], "status": "success"}}]}],
                [{"role": "assistant", "content": [{"reasoningContent": {"redactedContent": "EmwK"}}, {"toolUse": {"toolUseId": id, "name": "f", "input": {}}}]}, {"role": "user", "content": [{"toolResult": {"toolUseId": id, "content": [{"text": say}], "status": "error"}}, {"text": say}]}]]),
        json!({"system": [[{"text": say}], [{"text": say}, {"cachePoint": {"type": "default"}}]], "inferenceConfig": [{"maxTokens": 100}, {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]}],
                "toolConfig": [{"tools": [{"toolSpec": {"name": "f", "description": say, "inputSchema": {"json": schema()}}}]}, {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": schema()}}}], "toolChoice": {"any": {}}}],
                "additionalModelRequestFields": [{"top_k": 5}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}], "guardrailConfig": [{"guardrailIdentifier": "g", "guardrailVersion": "1"}], "requestMetadata": [{"a": "b"}], "serviceTier": [{"type": "flex"}], "performanceConfig": [{"latency": "optimized"}]}),
    )
}

fn cohere(say: &Value, id: &str) -> Fragments {
    (
        json!([[{"role": "user", "content": say}], [{"role": "system", "content": say}, {"role": "user", "content": [{"type": "text", "text": say}]}],
                [{"role": "user", "content": [{"type": "text", "text": say}, {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "detail": "low"}}]}]]),
        json!([[{"role": "assistant", "content": say}, {"role": "user", "content": say}],
                [{"role": "assistant", "tool_plan": say, "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"place\":\"Bern\"}"}}]}, {"role": "tool", "tool_call_id": id, "content": say}],
                [{"role": "assistant", "content": [{"type": "thinking", "thinking": say}], "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": id, "content": [{"type": "document", "document": {"id": "1", "data": {"celsius": 21}}}]}]]),
        json!({"tools": [[{"type": "function", "function": {"name": "f", "description": say, "parameters": schema()}}]], "tool_choice": ["REQUIRED", "NONE"], "strict_tools": [true], "documents": [[{"id": "a", "data": {"text": say}}], ["plain"]],
                "max_tokens": [1, 4096], "temperature": [0, 0.7], "p": [0.5], "k": [0, 40], "seed": [7], "stop_sequences": [["END"]], "frequency_penalty": [0.5], "presence_penalty": [1], "logprobs": [true],
                "thinking": [{"type": "enabled", "token_budget": 100}, {"type": "disabled"}], "response_format": [{"type": "json_object"}, {"type": "json_object", "json_schema": schema()}], "safety_mode": ["STRICT", "OFF"], "stream": [true, false], "citation_options": [{"mode": "FAST"}]}),
    )
}

fn request(format: Format, number: usize) -> Value {
    let mut draw = Draw::of(format, 0, number);
    let mut messages = Vec::new();
    let turns = draw.below(4);
    let (begin, _, _) = fragments(format, &draw.text(), "");
    messages.extend(draw.one(&begin).as_array().unwrap().clone());
    for turn in 0..turns {
        let (_, more, _) = fragments(format, &draw.text(), &format!("call_{turn}"));
        messages.extend(draw.one(&more).as_array().unwrap().clone());
    }
    if let Some(message) = messages.first_mut() {
        draw.unknown(object(message));
    }
    let list = match format {
        OpenAiResponses => "input",
        GeminiGenerate => "contents",
        _ => "messages",
    };
    let mut body = json!({ list: messages });
    if !matches!(format, GeminiGenerate | BedrockConverse) {
        body["model"] = json!("m");
    }
    if format == AnthropicMessages {
        body["max_tokens"] = draw.one(&json!([1, 1024, 64000]));
    }
    let (_, _, fields) = fragments(format, &draw.text(), "");
    draw.some(object(&mut body), &fields);
    draw.unknown(object(&mut body));
    body
}

/// What an answer says.
struct Said {
    say: Value,
    thought: bool,
    calls: bool,
    input: usize,
    output: usize,
}

impl Said {
    /// The parts that are there: a thought, the text, a call.
    fn parts(&self, thought: Value, text: Value, call: Value) -> Vec<Value> {
        let mut parts = vec![text];
        if self.thought {
            parts.insert(0, thought);
        }
        if self.calls {
            parts.push(call);
        }
        parts
    }
}

fn answer(format: Format, number: usize) -> Value {
    let mut draw = Draw::of(format, 1, number);
    let said = Said {
        say: draw.text(),
        thought: draw.coin(),
        calls: draw.coin(),
        input: draw.below(10_000),
        output: draw.below(5_000),
    };
    let mut body = match format {
        OpenAiChat => chat_answer(&said),
        OpenAiResponses => responses_answer(&said),
        AnthropicMessages => anthropic_answer(&said),
        GeminiGenerate => gemini_answer(&said),
        BedrockConverse => bedrock_answer(&said),
        _ => cohere_answer(&said),
    };
    draw.unknown(object(&mut body));
    body
}

fn chat_answer(said: &Said) -> Value {
    let Said {
        say,
        thought,
        calls,
        input,
        output,
    } = said;
    let mut message = json!({"role": "assistant", "content": say, "refusal": null});
    if *thought {
        message["reasoning_content"] = json!("Hm.");
    }
    if *calls {
        message["tool_calls"] = json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]);
    }
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt", "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": if *calls { "tool_calls" } else { "stop" }}],
                "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}})
}

fn responses_answer(said: &Said) -> Value {
    let Said {
        say, input, output, ..
    } = said;
    let items: Vec<Value> = said.parts( json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}), json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": say, "annotations": []}]}),  json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"}));
    json!({"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "error": null, "incomplete_details": null, "model": "gpt", "output": items,
                "usage": {"input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output}})
}

fn anthropic_answer(said: &Said) -> Value {
    let Said {
        say,
        calls,
        input,
        output,
        ..
    } = said;
    let blocks: Vec<Value> = said.parts(
        json!({"type": "thinking", "thinking": "Hm.", "signature": "ErUB"}),
        json!({"type": "text", "text": say}),
        json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}),
    );
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": blocks, "stop_reason": if *calls { "tool_use" } else { "end_turn" }, "stop_sequence": null, "usage": {"input_tokens": input, "output_tokens": output}})
}

fn gemini_answer(said: &Said) -> Value {
    let Said {
        say, input, output, ..
    } = said;
    let parts: Vec<Value> = said.parts(
        json!({"text": "Hm.", "thought": true}),
        json!({"text": say}),
        json!({"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "CpcB"}),
    );
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0, "safetyRatings": []}], "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output}, "modelVersion": "gemini", "responseId": "r"})
}

fn bedrock_answer(said: &Said) -> Value {
    let Said {
        say,
        calls,
        input,
        output,
        ..
    } = said;
    let blocks: Vec<Value> = said.parts(
        json!({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}),
        json!({"text": say}),
        json!({"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}),
    );
    json!({"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": if *calls { "tool_use" } else { "end_turn" }, "usage": {"inputTokens": input, "outputTokens": output, "totalTokens": input + output}, "metrics": {"latencyMs": 5}})
}

fn cohere_answer(said: &Said) -> Value {
    let Said {
        say,
        thought,
        calls,
        input,
        output,
    } = said;
    let mut message = json!({"role": "assistant", "content": [{"type": "text", "text": say}]});
    if *thought {
        message["content"] = json!([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": say}]);
    }
    if *calls {
        message = json!({"role": "assistant", "tool_plan": say, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    }
    json!({"id": "c", "finish_reason": if *calls { "TOOL_CALL" } else { "COMPLETE" }, "message": message, "usage": {"billed_units": {"input_tokens": input, "output_tokens": output}, "tokens": {"input_tokens": input, "output_tokens": output}}})
}

fn encode(format: Format, request: &ChatRequest) -> format::Encoded {
    let target = EncodeTarget {
        model: "m",
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxCompletionTokens,
        developer_role: true,
        stream_usage: true,
    };
    format::encode_request(format, request, &target).unwrap_or_else(|error| panic!("{format:?}: {error}"))
}

fn bytes(value: &Value) -> Bytes {
    value.to_string().into()
}

#[test]
fn drawn_requests_come_back_as_they_went() {
    for format in FORMATS {
        for number in 0..REQUESTS {
            let body = request(format, number);
            let read = format::decode_request(format, &bytes(&body))
                .unwrap_or_else(|error| panic!("{format:?} {number}: {error}: {body:#}"));
            let encoded = encode(format, &read);
            let again: Value = serde_json::from_slice(&encoded.body).unwrap();
            assert_eq!(again, body, "{format:?} {number}");
            assert!(
                encoded.losses.is_empty(),
                "{format:?} {number}: {:?}",
                encoded.losses
            );
        }
    }
}

#[test]
fn drawn_requests_are_told_or_refused_everywhere() {
    let target = |to: Format| EncodeTarget {
        model: match to {
            GeminiGenerate => "gemini-2.5-flash",
            BedrockConverse => "anthropic.claude-sonnet-4-5",
            _ => "m",
        },
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: false,
        stream_usage: true,
    };
    let mut told = 0;
    for (format, to) in FORMATS
        .into_iter()
        .flat_map(|format| FORMATS.map(|to| (format, to)))
    {
        for number in 0..REQUESTS {
            let read = format::decode_request(format, &bytes(&request(format, number))).unwrap();
            match format::encode_request(to, &read, &target(to)) {
                Ok(encoded) => {
                    told += 1;
                    let again = format::decode_request(to, &encoded.body);
                    assert!(again.is_ok(), "{format:?} {number} as {to:?}: {again:?}");
                }
                Err(error) => assert!(!error.field.is_empty() && !error.message.is_empty()),
            }
        }
    }
    assert!(told > 2_000, "{told}");
}

#[test]
fn drawn_answers_come_back_as_they_went() {
    for format in FORMATS {
        for number in 0..ANSWERS {
            let body = answer(format, number);
            let read = format::decode_response(format, &bytes(&body))
                .unwrap_or_else(|error| panic!("{format:?} {number}: {error}: {body:#}"));
            let again: Value = serde_json::from_slice(&format::encode_response(format, &read)).unwrap();
            assert_eq!(again, body, "{format:?} {number}");
        }
    }
}

fn decode(format: Format, pieces: &[Bytes]) -> Vec<StreamEvent> {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events).unwrap();
    }
    decoder.finish(&mut events).unwrap();
    events
}

/// A stream of the format, in the words of its own writer, with what no version knows yet in its events.
fn stream(format: Format, number: usize) -> Bytes {
    let told = format::decode_response(format, &bytes(&answer(format, number))).unwrap();
    let options = StreamEncoderOptions {
        model: "m".into(),
        include_usage: true,
    };
    let mut encoder = format::stream_encoder(format, options);
    let mut out = BytesMut::new();
    replay::events(&told)
        .iter()
        .for_each(|event| encoder.encode(event, &mut out));
    if format == BedrockConverse || number.is_multiple_of(2) {
        return out.freeze();
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    text.replace("data: {", "data: {\"x_of_tomorrow\":[1,{\"y\":null}],")
        .into()
}

#[test]
fn drawn_streams_say_the_same_however_they_are_cut() {
    for format in FORMATS {
        for number in 0..STREAMS {
            let stream = stream(format, number);
            let whole = decode(format, std::slice::from_ref(&stream));
            assert_eq!(whole.last(), Some(&StreamEvent::End), "{format:?} {number}");
            let mut draw = Draw::of(format, 2, number);
            for most in [1, 7, 64, 500] {
                let mut rest = stream.clone();
                let mut pieces = Vec::new();
                while !rest.is_empty() {
                    let size = (1 + draw.below(most)).min(rest.len());
                    pieces.push(rest.split_to(size));
                }
                assert_eq!(decode(format, &pieces), whole, "{format:?} {number} by {most}");
            }
        }
    }
}
