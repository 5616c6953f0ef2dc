//! What is fuzzed.

mod a2a;
mod endpoints;
mod identity;
mod mcp;
mod personal;
mod understanding;

use bytes::{Bytes, BytesMut};
use pointsman_wire::eventstream::{
    EventStreamDecoder, EventStreamError, HeaderValue, Message, write_message,
};
use pointsman_wire::form::MaxTokensName;
use pointsman_wire::form_data::{Form, FormData, Piece};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions, WatchOptions};
use pointsman_wire::realtime::{self, ClientEvent, ServerEvent};
use pointsman_wire::splice::Edits;
use pointsman_wire::sse::SseDecoder;
use pointsman_wire::{coding, failure, tokens};
use smallvec::SmallVec;

/// A decoder and what it is fed.
pub struct Target {
    pub name: &'static str,
    pub seeds: &'static [&'static str],
    pub run: fn(&[u8]),
}

const OPENAI_REQUEST: &[&str] = &[
    r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}],"thinking_blocks":[{"type":"thinking","thinking":"h","signature":"s"}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}],"tool_choice":"auto","stop":["x"],"stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":5,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"x":[1.0,{"y":null}]}"#,
];
const ANTHROPIC_REQUEST: &[&str] = &[
    r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"title":"t","citations":{"enabled":true}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"h","signature":"s"},{"type":"tool_use","id":"c","name":"f","input":{"a":[1]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"r","is_error":true}]}],"tools":[{"name":"f","input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"w"}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":1024},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{}}},"metadata":{"user_id":"u","more":1},"stop_sequences":["x"],"y":2}"#,
];
const OPENAI_RESPONSE: &[&str] = &[
    r#"{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"c","reasoning_content":"r","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}},"z":0}"#,
];
const ANTHROPIC_RESPONSE: &[&str] = &[
    r#"{"id":"i","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"h","signature":"s"},{"type":"text","text":"t"},{"type":"tool_use","id":"c","name":"f","input":{}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation":{"ephemeral_1h_input_tokens":3},"cache_creation_input_tokens":3,"output_tokens":4}}"#,
];
const OPENAI_STREAM: &[&str] = &[
    ": hi\n\ndata: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"reasoning_content\":\"r\"}}]}\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}},{\"index\":1,\"id\":\"d\",\"function\":{\"name\":\"g\",\"arguments\":\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    "data: {\"error\":{\"message\":\"m\"}}\n\n",
];
const ANTHROPIC_STREAM: &[&str] = &[
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];
const BEDROCK_REQUEST: &[&str] = &[
    r#"{"system":[{"text":"s"},{"cachePoint":{"type":"default","ttl":"1h"}}],"messages":[{"role":"user","content":[{"text":"t"},{"image":{"format":"png","source":{"bytes":"AAAA"}}},{"document":{"format":"pdf","name":"n","source":{"s3Location":{"uri":"s3://b/k"}},"citations":{"enabled":true}}},{"guardContent":{"text":{"text":"g","qualifiers":["query"]}}}]},{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"h","signature":"s"}}},{"toolUse":{"toolUseId":"c","name":"f","input":{"a":[1]}}},{"citationsContent":{"content":[{"text":"c"}],"citations":[{"location":{"documentChar":{"start":1}}}]}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c","content":[{"json":{"a":1}}],"status":"error"}}]}],"inferenceConfig":{"maxTokens":9,"stopSequences":["x"]},"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}}],"toolChoice":{"any":{}}},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1024},"top_k":3,"z":1},"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{}","name":"n"}}},"effort":"low"},"serviceTier":{"type":"flex"},"x":{}}"#,
];
const BEDROCK_RESPONSE: &[&str] = &[
    r#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"redactedContent":"AAAA"}},{"text":"t","x":1},{"toolUse":{"toolUseId":"c","name":"f","input":{}}}]}},"stopReason":"guardrail_intervened","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":9,"cacheReadInputTokens":3,"cacheWriteInputTokens":3,"cacheDetails":[{"ttl":"1h","inputTokens":2}]},"metrics":{"latencyMs":4},"serviceTier":{"type":"flex"},"trace":{}}"#,
];
/// One event a line: its name and its payload.
const BEDROCK_STREAM: &[&str] = &[
    "messageStart {\"role\":\"assistant\"}\ncontentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":{\"text\":\"h\"}}}\ncontentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":{\"signature\":\"s\"}}}\ncontentBlockStop {\"contentBlockIndex\":0}\ncontentBlockStart {\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"toolUseId\":\"c\",\"name\":\"f\"}}}\ncontentBlockDelta {\"contentBlockIndex\":1,\"delta\":{\"toolUse\":{\"input\":\"{}\"}}}\ncontentBlockStop {\"contentBlockIndex\":1}\nmessageStop {\"stopReason\":\"tool_use\"}\nmetadata {\"usage\":{\"inputTokens\":1,\"outputTokens\":2},\"metrics\":{\"latencyMs\":3}}",
    "chunk {\"bytes\":\"eyJ0eXBlIjoibWVzc2FnZV9zdGFydCIsIm1lc3NhZ2UiOnsiaWQiOiJpIn19\"}\nchunk {\"bytes\":\"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=\"}",
];
const COMPLETIONS: &[&str] = &[
    r#"{"model":"m","prompt":["a",[1,2]],"max_tokens":5,"logprobs":2,"stream":false}"#,
    "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    r#"{"id":"i","choices":[{"index":0,"text":"a","finish_reason":"length"}],"usage":{"prompt_tokens":1}}"#,
];

const REALTIME: &[&str] = &[
    r#"{"type":"session.update","event_id":"e","session":{"type":"realtime","model":"m","output_modalities":["text"],"max_output_tokens":"inf","audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":{"model":"w"}}}}}"#,
    r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"t"},{"type":"input_audio","audio":"AAAA"},{"type":"input_image","image_url":"u"}]}}"#,
    r#"{"type":"response.create","response":{"instructions":"i","max_output_tokens":9,"input":[{"type":"function_call_output","call_id":"c","output":"o"}]}}"#,
    r#"{"type":"input_audio_buffer.append","audio":"AAAA"}"#,
    r#"{"type":"response.done","response":{"id":"r","status":"completed","conversation_id":null,"usage":{"total_tokens":3,"input_tokens":1,"output_tokens":2,"input_token_details":{"text_tokens":1,"cached_tokens":1,"cached_tokens_details":{"audio_tokens":1}},"output_token_details":{"audio_tokens":1}}}}"#,
    r#"{"type":"response.output_audio.delta","response_id":"r","delta":"AAAA"}"#,
    r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","content_index":0,"usage":{"type":"duration","seconds":1.5}}"#,
];
const FORMS: &[&str] = &[
    "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\\\".jsonl\"\r\n\r\n{}\r\n-\r\n--b--\r\n",
];
const FAILURES: &[&str] = &[
    r#"{"error":{"message":"m","type":"invalid_request_error","param":"p","code":"context_length_exceeded"}}"#,
    r#"{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}"#,
    r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[{"@type":"t","retryDelay":"1.5s"}]}}"#,
    r#"{"message":"m","__type":"ThrottlingException"}"#,
    "<html>502</html>",
];
const GEMINI_REQUEST: &[&str] = &[
    r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"text":"t"},{"inlineData":{"mimeType":"audio/mpeg","data":"AAAA","x":1}},{"fileData":{"mimeType":"image/png","fileUri":"gs://b/i"}}]},{"role":"model","parts":[{"text":"h","thought":true,"thoughtSignature":"c2ln"},{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"s"},{"executableCode":{"code":"1"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"r"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}},{"functionResponse":{"id":"i","name":"g","response":{"error":"e"}}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","nullable":true,"minItems":"1"}}],"googleSearch":{}},{"codeExecution":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"generationConfig":{"maxOutputTokens":"5","topK":4.0,"stopSequences":["x"],"seed":-1,"responseMimeType":"application/json","responseSchema":{"type":"STRING"},"thinkingConfig":{"thinkingBudget":-1},"speechConfig":{}},"labels":{"a":"b"}}"#,
    r#"{"contents":{"parts":{"inline_data":{"mime_type":"image/png","data":"AA"}}},"generation_config":{"top_p":1,"thinking_config":{"thinking_level":"low"}},"tool_config":{"function_calling_config":{"mode":"VALIDATED"}}}"#,
];
const GEMINI_RESPONSE: &[&str] = &[
    r#"{"candidates":[{"content":{"parts":[{"text":"h","thought":true},{"text":"t","thoughtSignature":"s"},{"functionCall":{"name":"f","args":{}}}],"role":"model"},"finishReason":"STOP","index":0,"logprobsResult":{"chosenCandidates":[{"token":"t","logProbability":-1}]}},{"finishReason":"SPII","index":1}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"thoughtsTokenCount":3,"promptTokensDetails":[{"modality":"IMAGE","tokenCount":1}]},"modelVersion":"m","responseId":"i"}"#,
    r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
];
const GEMINI_STREAM: &[&str] = &[
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"h\",\"thought\":true},{\"text\":\"a\"}]},\"index\":0}],\"responseId\":\"i\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":[1]}},\"thoughtSignature\":\"s\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1}}\r\n\r\n",
    "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"}]\\\"\"}]},\"finishReason\":\"RECITATION\"}]},\n{\"promptFeedback\":{\"blockReason\":\"OTHER\"}}]",
    "data: {\"candidates\":[]}\n\n{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}\n",
];

const COHERE_REQUEST: &[&str] = &[
    r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]},{"role":"assistant","tool_plan":"p","content":[{"type":"thinking","thinking":"h"}],"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}],"citations":[{"start":0,"end":1}]},{"role":"tool","tool_call_id":"c","content":[{"type":"document","document":{"id":"d","data":{"k":1}}},{"type":"text","text":"r"}]}],"documents":["s",{"id":"i","data":{"t":"x"}}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"strict_tools":true,"tool_choice":"REQUIRED","k":3,"p":0.5,"seed":1,"stop_sequences":["x"],"thinking":{"type":"enabled","token_budget":9},"response_format":{"type":"json_object","json_schema":{}},"stream":true,"x":[1.0,{"y":null}]}"#,
];
const COHERE_RESPONSE: &[&str] = &[
    r#"{"id":"i","finish_reason":"TOOL_CALL","message":{"role":"assistant","content":[{"type":"thinking","thinking":"h"},{"type":"text","text":"t"}],"tool_plan":"p","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"citations":[{"start":0,"end":1,"text":"t","content_index":1,"sources":[{"type":"document","id":"d","document":{"url":"u","title":"T"}}]}]},"usage":{"billed_units":{"input_tokens":1.0,"output_tokens":2},"tokens":{"input_tokens":3},"cached_tokens":1},"logprobs":[{"text":"t","token_ids":[1],"logprobs":[-0.5]}],"z":0}"#,
];
const COHERE_STREAM: &[&str] = &[
    "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"i\",\"delta\":{\"message\":{\"role\":\"assistant\"}}}\n\nevent: tool-plan-delta\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"p\"}}}\n\nevent: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: content-delta\r\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"a\"}}},\"logprobs\":{\"text\":\"a\",\"token_ids\":[1],\"logprobs\":[-1]}}\r\n\r\nevent: citation-start\ndata: {\"type\":\"citation-start\",\"index\":0,\"delta\":{\"message\":{\"citations\":{\"start\":0,\"end\":1,\"text\":\"a\",\"sources\":[{\"type\":\"document\",\"id\":\"d\",\"document\":{\"url\":\"u\"}}]}}}}\n\nevent: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\nevent: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}}}}\n\nevent: tool-call-delta\ndata: {\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"{}\"}}}}}\n\nevent: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":0}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{\"billed_units\":{\"input_tokens\":1,\"output_tokens\":2}}}}\n\n",
    "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"m\"}}\n\n",
];
const RESPONSES_REQUEST: &[&str] = &[
    r#"{"model":"m","prompt":{"id":"p"},"instructions":"i","input":[{"role":"user","content":"s"},{"type":"message","role":"user","content":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"low"},{"type":"input_file","file_id":"f"}]},{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"h"}],"encrypted_content":"pointsman/v1/anthropic/thinking/cw=="},{"type":"reasoning","summary":[],"encrypted_content":"g"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}","id":"fc"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"r"}]},{"type":"custom_tool_call","call_id":"d","name":"g","input":"x"},{"type":"custom_tool_call_output","call_id":"d","output":"y"},{"type":"web_search_call","id":"w"},{"id":"ref"}],"tools":[{"type":"function","name":"f","parameters":null,"strict":null},{"type":"custom","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]},"reasoning":{"effort":"low","summary":"auto"},"text":{"format":{"type":"json_schema","name":"n","schema":{}},"verbosity":"low"},"max_output_tokens":20,"include":["message.output_text.logprobs"],"store":false,"stream":true,"x":1}"#,
    r#"{"model":"m","input":"s","previous_response_id":"r"}"#,
];
const RESPONSES_RESPONSE: &[&str] = &[
    r#"{"id":"r","object":"response","created_at":1.5,"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model":"m","output":[{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"h"}],"encrypted_content":"g"},{"type":"message","id":"m","status":"completed","role":"assistant","content":[{"type":"output_text","text":"t","annotations":[{"type":"url_citation","start_index":0,"end_index":1,"url":"u","title":"T"}],"logprobs":[{"token":"t","logprob":-1}]},{"type":"refusal","refusal":"n"},{"type":"x"}]},{"type":"message","content":[]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"web_search_call","id":"w"}],"usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":1},"output_tokens":2},"service_tier":null,"z":0}"#,
];
const RESPONSES_STREAM: &[&str] = &[
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m\",\"created_at\":1}}\n\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"reasoning\",\"id\":\"rs\"}}\n\ndata: {\"type\":\"response.reasoning_summary_text.delta\",\"output_index\":0,\"summary_index\":0,\"delta\":\"h\"}\r\n\r\ndata: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"reasoning\",\"encrypted_content\":\"g\"}}\n\ndata: {\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{\"type\":\"web_search_call\",\"id\":\"w\"}}\n\ndata: {\"type\":\"response.content_part.added\",\"output_index\":2,\"content_index\":0,\"part\":{\"type\":\"output_text\"}}\n\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":2,\"content_index\":0,\"delta\":\"a\",\"logprobs\":[{\"token\":\"a\",\"logprob\":-1}]}\n\ndata: {\"type\":\"response.output_item.added\",\"output_index\":3,\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\"}}\n\ndata: {\"type\":\"response.function_call_arguments.done\",\"output_index\":3,\"arguments\":\"{}\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n",
    "event: error\ndata: {\"type\":\"error\",\"message\":\"m\"}\n\n",
];

/// Every target.
pub const ALL: &[Target] = &[
    Target {
        name: "sse",
        seeds: OPENAI_STREAM,
        run: sse,
    },
    Target {
        name: "form_data",
        seeds: FORMS,
        run: form_data,
    },
    Target {
        name: "splice",
        seeds: OPENAI_REQUEST,
        run: splice,
    },
    Target {
        name: "coding",
        seeds: &["\u{1f}\u{8b}\u{8}", "(\u{b5}/\u{fd}", "x\u{9c}", "\u{1b}"],
        run: decompress,
    },
    Target {
        name: "openai_request",
        seeds: OPENAI_REQUEST,
        run: |input| request(Format::OpenAiChat, input),
    },
    Target {
        name: "anthropic_request",
        seeds: ANTHROPIC_REQUEST,
        run: |input| request(Format::AnthropicMessages, input),
    },
    Target {
        name: "openai_response",
        seeds: OPENAI_RESPONSE,
        run: |input| response(Format::OpenAiChat, input),
    },
    Target {
        name: "anthropic_response",
        seeds: ANTHROPIC_RESPONSE,
        run: |input| response(Format::AnthropicMessages, input),
    },
    Target {
        name: "openai_stream",
        seeds: OPENAI_STREAM,
        run: |input| stream(Format::OpenAiChat, input),
    },
    Target {
        name: "anthropic_stream",
        seeds: ANTHROPIC_STREAM,
        run: |input| stream(Format::AnthropicMessages, input),
    },
    Target {
        name: "gemini_request",
        seeds: GEMINI_REQUEST,
        run: |input| request(Format::GeminiGenerate, input),
    },
    Target {
        name: "gemini_response",
        seeds: GEMINI_RESPONSE,
        run: |input| response(Format::GeminiGenerate, input),
    },
    Target {
        name: "gemini_stream",
        seeds: GEMINI_STREAM,
        run: |input| stream(Format::GeminiGenerate, input),
    },
    Target {
        name: "eventstream",
        seeds: BEDROCK_STREAM,
        run: event_stream,
    },
    Target {
        name: "bedrock_request",
        seeds: BEDROCK_REQUEST,
        run: |input| request(Format::BedrockConverse, input),
    },
    Target {
        name: "bedrock_response",
        seeds: BEDROCK_RESPONSE,
        run: |input| response(Format::BedrockConverse, input),
    },
    Target {
        name: "bedrock_stream",
        seeds: BEDROCK_STREAM,
        run: bedrock_stream,
    },
    Target {
        name: "cohere_request",
        seeds: COHERE_REQUEST,
        run: |input| request(Format::CohereChat, input),
    },
    Target {
        name: "cohere_response",
        seeds: COHERE_RESPONSE,
        run: |input| response(Format::CohereChat, input),
    },
    Target {
        name: "cohere_stream",
        seeds: COHERE_STREAM,
        run: |input| stream(Format::CohereChat, input),
    },
    Target {
        name: "responses_request",
        seeds: RESPONSES_REQUEST,
        run: |input| request(Format::OpenAiResponses, input),
    },
    Target {
        name: "responses_response",
        seeds: RESPONSES_RESPONSE,
        run: |input| response(Format::OpenAiResponses, input),
    },
    Target {
        name: "responses_stream",
        seeds: RESPONSES_STREAM,
        run: |input| stream(Format::OpenAiResponses, input),
    },
    Target {
        name: "completions",
        seeds: COMPLETIONS,
        run: completions,
    },
    Target {
        name: "count_tokens",
        seeds: ANTHROPIC_REQUEST,
        run: count,
    },
    Target {
        name: "realtime",
        seeds: REALTIME,
        run: realtime_events,
    },
    Target {
        name: "mcp",
        seeds: mcp::MESSAGES,
        run: mcp::messages,
    },
    Target {
        name: "token",
        seeds: identity::TOKENS,
        run: identity::token,
    },
    Target {
        name: "key_set",
        seeds: identity::TOKENS,
        run: identity::keys,
    },
    Target {
        name: "a2a-requests",
        seeds: a2a::MESSAGES,
        run: a2a::requests,
    },
    Target {
        name: "a2a-told",
        seeds: a2a::TOLD,
        run: a2a::told,
    },
    Target {
        name: "a2a-calls",
        seeds: a2a::CALLS,
        run: a2a::calls,
    },
    Target {
        name: "a2a-cards",
        seeds: a2a::CARDS,
        run: a2a::cards,
    },
    Target {
        name: "openapi",
        seeds: mcp::DOCUMENTS,
        run: mcp::documents,
    },
    Target {
        name: "failures",
        seeds: FAILURES,
        run: failures,
    },
    Target {
        name: "embeddings",
        seeds: &[
            r#"{"model":"m","input":["a","b"],"dimensions":8}"#,
            r#"{"input":[[1],[2]],"model":"m"}"#,
        ],
        run: endpoints::embed,
    },
    Target {
        name: "rankings",
        seeds: endpoints::RANKINGS,
        run: endpoints::rank,
    },
    Target {
        name: "metered",
        seeds: endpoints::METERED,
        run: endpoints::meter,
    },
    Target {
        name: "wordpiece",
        seeds: understanding::TEXTS,
        run: understanding::wordpiece,
    },
    Target {
        name: "published",
        seeds: understanding::TEXTS,
        run: understanding::published,
    },
    Target {
        name: "tokenizer_json",
        seeds: understanding::TOKENIZERS,
        run: understanding::tokenizer_json,
    },
    Target {
        name: "container",
        seeds: understanding::EDITS,
        run: understanding::container,
    },
    Target {
        name: "engine_settings",
        seeds: understanding::SETTINGS,
        run: understanding::engine_settings,
    },
    Target {
        name: "engine_reading",
        seeds: understanding::TEXTS,
        run: understanding::engine_reading,
    },
    Target {
        name: "ngrams",
        seeds: understanding::TEXTS,
        run: understanding::ngrams,
    },
    Target {
        name: "spans",
        seeds: understanding::TEXTS,
        run: understanding::spans,
    },
    Target {
        name: "recognise",
        seeds: personal::TEXTS,
        run: personal::recognise,
    },
    Target {
        name: "disguised",
        seeds: personal::TEXTS,
        run: personal::disguised,
    },
    Target {
        name: "vectors",
        seeds: understanding::EDITS,
        run: understanding::vectors,
    },
    Target {
        name: "config_json",
        seeds: understanding::CONFIGS,
        run: understanding::config_json,
    },
    Target {
        name: "safetensors",
        seeds: understanding::EDITS,
        run: understanding::safetensors,
    },
    Target {
        name: "adapter",
        seeds: understanding::ADAPTERS,
        run: understanding::adapter,
    },
];

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    default_max_tokens: 10,
    max_tokens_name: MaxTokensName::MaxTokens,
    developer_role: false,
    stream_usage: true,
};

/// However a form is cut, it is the same form, and nothing of it is lost or made up.
fn form_data(input: &[u8]) {
    let read = |size: usize| {
        let mut form = FormData::new("multipart/form-data; boundary=b").ok()?;
        let (mut parts, mut chunks) = (Vec::new(), input.chunks(size));
        loop {
            match form.next_piece().ok()? {
                Piece::Part(head) => parts.push((head, Vec::new())),
                Piece::Data(data) => parts.last_mut().map(|part| part.1.extend_from_slice(&data))?,
                Piece::End => return Some(parts),
                Piece::More => form.push(chunks.next()?),
            }
        }
    };
    let parts = read(1);
    assert_eq!(parts, read(input.len().max(1)));
    // Held as a whole it says the same, but for what it does not take.
    if let Ok(form) = Form::read("multipart/form-data; boundary=b", &Bytes::copy_from_slice(input)) {
        let whole = form.parts().map(|(head, data)| (head.clone(), data.to_vec()));
        assert_eq!(parts, Some(whole.collect()));
        let changed = Form::read("multipart/form-data; boundary=b", &form.with("model", "m")).unwrap();
        assert_eq!(changed.text("model"), Some("m"));
    }
}

fn sse(input: &[u8]) {
    let whole = decode_sse(&[input]);
    let middle = input.len() / 2;
    assert_eq!(whole, decode_sse(&[&input[..middle], &input[middle..]]));
}

fn decode_sse(pieces: &[&[u8]]) -> Result<Vec<pointsman_wire::sse::SseEvent>, pointsman_wire::sse::SseError> {
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut events)?;
    }
    Ok(events)
}

/// Bytes as they are, and as the headers and the payload of a message whose checksums are right: a mutation that the
/// checksums catch says nothing about what lies behind them.
fn event_stream(input: &[u8]) {
    let _ = decode_messages(&[input]);
    let (headers, payload) = input.split_at(input.len() / 2);
    let whole = framed(headers, payload);
    let middle = whole.len() / 3;
    let read = decode_messages(&[&whole]);
    assert_eq!(read, decode_messages(&[&whole[..middle], &whole[middle..]]));
    for message in read.unwrap_or_default() {
        let headers: Vec<_> = message
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.clone()))
            .collect();
        let mut written = BytesMut::new();
        // Longer texts are read than written.
        if write_message(&headers, &message.payload, &mut written).is_ok() {
            assert_eq!(written, whole[..]);
        }
    }
}

fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((headers.len() as u32 + payload.len() as u32 + 16).to_be_bytes());
    out.extend((headers.len() as u32).to_be_bytes());
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out.extend([headers, payload].concat());
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

fn decode_messages(pieces: &[&[u8]]) -> Result<Vec<Message>, EventStreamError> {
    let mut decoder = EventStreamDecoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut messages)?;
    }
    Ok(messages)
}

fn bedrock_stream(input: &[u8]) {
    let mut out = BytesMut::new();
    for line in input.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b' ');
        let name = String::from_utf8_lossy(halves.next().unwrap_or_default()).into_owned();
        let string = |text: &str| HeaderValue::String(text.into());
        let (kind, field) = if name.ends_with("Exception") {
            ("exception", ":exception-type")
        } else {
            ("event", ":event-type")
        };
        let headers = [(field, string(&name)), (":message-type", string(kind))];
        let _ = write_message(&headers, halves.next().unwrap_or_default(), &mut out);
    }
    stream(Format::BedrockConverse, &out);
    stream(Format::BedrockInvoke, &out);
}

fn splice(input: &[u8]) {
    let mut edits = Edits::new();
    edits.set_string("model", "n");
    edits.set_nested("stream_options", "include_usage", "true");
    if let Ok(edited) = edits.apply(&Bytes::copy_from_slice(input)) {
        assert!(
            edits.apply(&edited).is_ok_and(|again| again == edited),
            "an edit made twice is made once"
        );
    }
}

fn decompress(input: &[u8]) {
    for name in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
        let _ = coding::decode_all(&Bytes::copy_from_slice(input), name, 1 << 16);
    }
}

fn request(format: Format, input: &[u8]) {
    let Ok(request) = format::decode_request(format, &Bytes::copy_from_slice(input)) else {
        return;
    };
    let _ = tokens::estimate_request(&request);
    for to in Format::ALL {
        let Ok(encoded) = format::encode_request(to, &request, &TARGET) else {
            continue;
        };
        if to == format {
            let again = format::decode_request(format, &encoded.body).expect("what was written can be read");
            let twice = format::encode_request(to, &again, &TARGET).expect("and written again");
            // Of fields that stand twice the order is nobody's: then what is said must be the same.
            let said = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).ok();
            assert!(
                encoded.body == twice.body || said(&encoded.body) == said(&twice.body),
                "{:?}\n{:?}",
                encoded.body,
                twice.body
            );
        }
    }
}

fn response(format: Format, input: &[u8]) {
    let Ok(response) = format::decode_response(format, &Bytes::copy_from_slice(input)) else {
        return;
    };
    for to in Format::ALL {
        let _ = format::encode_response(to, &response);
    }
    let _ = pointsman_wire::replay::events(&response);
}

fn stream(format: Format, input: &[u8]) {
    let middle = input.len() / 3;
    let whole = decode_stream(format, &[input]);
    assert_eq!(
        whole,
        decode_stream(format, &[&input[..middle], &input[middle..]])
    );
    let watched = |pieces: &[&[u8]]| {
        let mut watcher = format::stream_watcher(format, WatchOptions { strip_usage: true });
        let mut out = Vec::new();
        for piece in pieces {
            let mut forward = SmallVec::new();
            let seen = watcher.push(Bytes::copy_from_slice(piece), &mut forward);
            forward.iter().for_each(|piece| out.extend_from_slice(piece));
            if seen.ended || seen.failure.is_some() {
                break;
            }
        }
        out
    };
    assert_eq!(watched(&[input]), watched(&[&input[..middle], &input[middle..]]));
    for to in Format::ALL {
        let options = StreamEncoderOptions {
            model: "m".into(),
            include_usage: true,
        };
        let mut encoder = format::stream_encoder(to, options);
        let mut out = BytesMut::new();
        whole.0.iter().for_each(|event| encoder.encode(event, &mut out));
    }
}

fn decode_stream(format: Format, pieces: &[&[u8]]) -> (Vec<pointsman_wire::form::StreamEvent>, bool) {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    let pushed = pieces
        .iter()
        .try_for_each(|piece| decoder.push(&Bytes::copy_from_slice(piece), &mut events));
    let good = pushed.is_ok() && decoder.finish(&mut events).is_ok();
    (events, good)
}

fn completions(input: &[u8]) {
    request(Format::OpenAiCompletions, input);
    response(Format::OpenAiCompletions, input);
    stream(Format::OpenAiCompletions, input);
}

fn count(input: &[u8]) {
    if let Ok(request) = pointsman_wire::anthropic::count::decode_request(&Bytes::copy_from_slice(input)) {
        let _ = tokens::estimate_request(&request);
    }
}

fn realtime_events(input: &[u8]) {
    let Ok(text) = pointsman_wire::form::Text::try_from(Bytes::copy_from_slice(input)) else {
        return;
    };
    let _ = ServerEvent::read(&text);
    if ClientEvent::read(&text).is_err() {
        return;
    }
    // What can be read can be changed, and what was changed can be read.
    let body = text.clone().into_bytes();
    let put = realtime::put(&body, realtime::SESSION_MODEL, "n").expect("an event is an object");
    let again = realtime::put(&put, realtime::SESSION_MODEL, "n").expect("and stays one");
    assert_eq!(put, again, "a name put twice is put once");
    if let Ok(mut event) = serde_json::from_slice(&body) {
        let _ = realtime::rewrite_texts(&mut event, &mut |_, text| Some(text.to_owned()));
    }
}

fn failures(input: &[u8]) {
    for from in Format::ALL {
        for status in [400, 401, 404, 413, 429, 500, 503, 529] {
            let Ok(status) = http::StatusCode::from_u16(status) else {
                continue;
            };
            let failure = failure::decode(from, status, None, input);
            let _ = failure::classify(&failure);
            for to in Format::ALL {
                let _ = failure::render(to, &failure, "req_1");
                failure::render_event(to, &failure, "req_1", &mut BytesMut::new());
            }
        }
    }
}
