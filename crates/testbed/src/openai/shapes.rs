//! The fields of chat completions, completions and embeddings.

use crate::shape::{Kind, Shape, opt, req};

static TEXT: Shape = Shape(&[req("text", Kind::Text), opt("prompt_cache_breakpoint", Kind::Map)]);
static REFUSED: Shape = Shape(&[req("refusal", Kind::Text)]);
static URL: Shape = Shape(&[
    req("url", Kind::Text),
    opt("detail", Kind::OneOf(&["auto", "low", "high", "original"])),
]);
static IMAGE: Shape = Shape(&[
    req("image_url", Kind::Object(&URL)),
    opt("prompt_cache_breakpoint", Kind::Map),
]);
static SOUND: Shape = Shape(&[
    req("data", Kind::Base64),
    req("format", Kind::OneOf(&["wav", "mp3"])),
]);
static AUDIO: Shape = Shape(&[
    req("input_audio", Kind::Object(&SOUND)),
    opt("prompt_cache_breakpoint", Kind::Map),
]);
static FILE_SOURCE: Shape = Shape(&[
    opt("filename", Kind::Text),
    opt("file_data", Kind::Text),
    opt("file_id", Kind::Text),
]);
static FILE: Shape = Shape(&[
    req("file", Kind::Object(&FILE_SOURCE)),
    opt("prompt_cache_breakpoint", Kind::Map),
]);

static SAID: Kind = Kind::TextOr(&Kind::List(&Kind::Tagged("type", &[("text", &TEXT)])));
static ASKED: Kind = Kind::TextOr(&Kind::List(&Kind::Tagged(
    "type",
    &[
        ("text", &TEXT),
        ("image_url", &IMAGE),
        ("input_audio", &AUDIO),
        ("file", &FILE),
    ],
)));
static ANSWERED: Kind = Kind::TextOr(&Kind::List(&Kind::Tagged(
    "type",
    &[("text", &TEXT), ("refusal", &REFUSED)],
)));
static FUNCTION_CALL: Shape = Shape(&[req("name", Kind::Text), req("arguments", Kind::Text)]);
static CUSTOM_CALL: Shape = Shape(&[req("name", Kind::Text), req("input", Kind::Text)]);
static CALLED: Shape = Shape(&[
    req("id", Kind::Text),
    req("function", Kind::Object(&FUNCTION_CALL)),
]);
static CALLED_CUSTOM: Shape = Shape(&[req("id", Kind::Text), req("custom", Kind::Object(&CUSTOM_CALL))]);
static AUDIO_ID: Shape = Shape(&[req("id", Kind::Text)]);

static SYSTEM: Shape = Shape(&[req("content", Kind::TextOr(&SAID_LIST)), opt("name", Kind::Text)]);
static SAID_LIST: Kind = Kind::List(&Kind::Tagged("type", &[("text", &TEXT)]));
static USER: Shape = Shape(&[req("content", Kind::TextOr(&ASKED)), opt("name", Kind::Text)]);
static ASSISTANT: Shape = Shape(&[
    opt("content", Kind::TextOr(&ANSWERED)),
    opt("refusal", Kind::Text),
    opt("name", Kind::Text),
    opt("audio", Kind::Object(&AUDIO_ID)),
    opt(
        "tool_calls",
        Kind::List(&Kind::Tagged(
            "type",
            &[("function", &CALLED), ("custom", &CALLED_CUSTOM)],
        )),
    ),
    opt("function_call", Kind::Object(&FUNCTION_CALL)),
    // Servers that show their reasoning take it back.
    opt("reasoning_content", Kind::Text),
    opt("reasoning", Kind::Text),
    opt("annotations", Kind::List(&Kind::Map)),
]);
static TOOL_MESSAGE: Shape = Shape(&[
    req("content", Kind::TextOr(&SAID)),
    req("tool_call_id", Kind::Text),
]);
static MESSAGE: Kind = Kind::Tagged(
    "role",
    &[
        ("system", &SYSTEM),
        ("assistant", &ASSISTANT),
        ("user", &USER),
        ("tool", &TOOL_MESSAGE),
        ("developer", &SYSTEM),
    ],
);

static FUNCTION: Shape = Shape(&[
    req("name", Kind::Text),
    opt("description", Kind::Text),
    opt("parameters", Kind::Map),
    opt("strict", Kind::Bool),
]);
static FUNCTION_TOOL: Shape = Shape(&[req("function", Kind::Object(&FUNCTION))]);
static CUSTOM: Shape = Shape(&[
    req("name", Kind::Text),
    opt("description", Kind::Text),
    opt("format", Kind::Map),
]);
static CUSTOM_TOOL: Shape = Shape(&[req("custom", Kind::Object(&CUSTOM))]);
static NAMED: Shape = Shape(&[req("name", Kind::Text)]);
static CHOSEN: Shape = Shape(&[req("function", Kind::Object(&NAMED))]);
static CHOSEN_CUSTOM: Shape = Shape(&[req("custom", Kind::Object(&NAMED))]);
static ALLOWED: Shape = Shape(&[
    req("mode", Kind::OneOf(&["auto", "required"])),
    req("tools", Kind::List(&Kind::Map)),
]);
static ALLOWED_TOOLS: Shape = Shape(&[req("allowed_tools", Kind::Object(&ALLOWED))]);

static PLAIN: Shape = Shape(&[]);
static SCHEMA: Shape = Shape(&[
    req("name", Kind::Text),
    opt("schema", Kind::Map),
    opt("description", Kind::Text),
    opt("strict", Kind::Bool),
]);
static JSON_SCHEMA: Shape = Shape(&[req("json_schema", Kind::Object(&SCHEMA))]);
static STREAM_OPTIONS: Shape = Shape(&[
    opt("include_usage", Kind::Bool),
    opt("include_obfuscation", Kind::Bool),
]);
static VOICE: Shape = Shape(&[
    req("voice", Kind::TextOr(&Kind::Map)),
    req(
        "format",
        Kind::OneOf(&["wav", "aac", "mp3", "flac", "opus", "pcm16"]),
    ),
]);
const STOP: Kind = Kind::TextOr(&Kind::List(&Kind::Text));
const TIER: Kind = Kind::OneOf(&["auto", "default", "flex", "scale", "priority", "fast"]);

/// A chat completion.
pub(super) static CHAT: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req("messages", Kind::List(&MESSAGE)),
    opt(
        "tools",
        Kind::List(&Kind::Tagged(
            "type",
            &[("function", &FUNCTION_TOOL), ("custom", &CUSTOM_TOOL)],
        )),
    ),
    opt(
        "tool_choice",
        Kind::TextOr(&Kind::Tagged(
            "type",
            &[
                ("function", &CHOSEN),
                ("custom", &CHOSEN_CUSTOM),
                ("allowed_tools", &ALLOWED_TOOLS),
            ],
        )),
    ),
    opt("parallel_tool_calls", Kind::Bool),
    opt("functions", Kind::List(&Kind::Object(&FUNCTION))),
    opt("function_call", Kind::TextOr(&Kind::Object(&NAMED))),
    opt("max_tokens", Kind::AtLeast(1)),
    opt("max_completion_tokens", Kind::AtLeast(1)),
    opt("temperature", Kind::Within(0.0, 2.0)),
    opt("top_p", Kind::Within(0.0, 1.0)),
    opt("frequency_penalty", Kind::Within(-2.0, 2.0)),
    opt("presence_penalty", Kind::Within(-2.0, 2.0)),
    opt("seed", Kind::Int),
    opt("stop", STOP),
    opt("n", Kind::Within(1.0, 128.0)),
    opt("logprobs", Kind::Bool),
    opt("top_logprobs", Kind::Within(0.0, 20.0)),
    opt("logit_bias", Kind::Each(&Kind::Within(-100.0, 100.0))),
    opt(
        "response_format",
        Kind::Tagged(
            "type",
            &[
                ("text", &PLAIN),
                ("json_object", &PLAIN),
                ("json_schema", &JSON_SCHEMA),
            ],
        ),
    ),
    opt("stream", Kind::Bool),
    opt("stream_options", Kind::Object(&STREAM_OPTIONS)),
    opt("user", Kind::Text),
    opt("metadata", Kind::Each(&Kind::Text)),
    opt("service_tier", TIER),
    opt("store", Kind::Bool),
    opt(
        "reasoning_effort",
        Kind::OneOf(&["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    ),
    opt("verbosity", Kind::OneOf(&["low", "medium", "high"])),
    opt("modalities", Kind::List(&Kind::OneOf(&["text", "audio"]))),
    opt("audio", Kind::Object(&VOICE)),
    opt("prediction", Kind::Map),
    opt("safety_identifier", Kind::Text),
    opt("prompt_cache_key", Kind::Text),
    opt("prompt_cache_options", Kind::Map),
    opt(
        "prompt_cache_retention",
        Kind::OneOf(&["in_memory", "in-memory", "24h"]),
    ),
    opt("moderation", Kind::Map),
    opt("web_search_options", Kind::Map),
]));

/// A completion of a text.
pub(super) static COMPLETION: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req("prompt", Kind::TextOr(&Kind::List(&Kind::Any))),
    opt("max_tokens", Kind::AtLeast(0)),
    opt("temperature", Kind::Within(0.0, 2.0)),
    opt("top_p", Kind::Within(0.0, 1.0)),
    opt("frequency_penalty", Kind::Within(-2.0, 2.0)),
    opt("presence_penalty", Kind::Within(-2.0, 2.0)),
    opt("seed", Kind::Int),
    opt("stop", STOP),
    opt("n", Kind::Within(1.0, 128.0)),
    opt("best_of", Kind::Within(1.0, 20.0)),
    opt("logprobs", Kind::Within(0.0, 5.0)),
    opt("logit_bias", Kind::Each(&Kind::Within(-100.0, 100.0))),
    opt("echo", Kind::Bool),
    opt("suffix", Kind::Text),
    opt("stream", Kind::Bool),
    opt("stream_options", Kind::Object(&STREAM_OPTIONS)),
    opt("user", Kind::Text),
]));

/// Embeddings.
pub(super) static EMBEDDINGS: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req("input", Kind::TextOr(&Kind::List(&Kind::Any))),
    opt("encoding_format", Kind::OneOf(&["float", "base64"])),
    opt("dimensions", Kind::AtLeast(1)),
    opt("user", Kind::Text),
]));

/// Fields of servers that speak OpenAI's format and have more of their own.
pub(super) const OF_SERVERS: &[&str] = &[
    "chat_template_kwargs",
    "top_k",
    "min_p",
    "repetition_penalty",
    "guided_json",
    "best_of",
    "ignore_eos",
    "echo",
    "truncate_prompt_tokens",
];
