//! The fields of OpenAI responses.

use crate::shape::{Field, Kind, Shape, opt, req};

const EFFORTS: Kind = Kind::OneOf(&["none", "minimal", "low", "medium", "high", "xhigh", "max"]);
const STATUS: Kind = Kind::OneOf(&["in_progress", "completed", "incomplete"]);

static SUMMARY: Shape = Shape(&[req("text", Kind::Text)]);
static ANNOTATED: Shape = Shape(&[
    req("text", Kind::Text),
    opt("annotations", Kind::List(&Kind::Map)),
    opt("logprobs", Kind::List(&Kind::Map)),
]);
static REFUSED: Shape = Shape(&[req("refusal", Kind::Text)]);
static BREAKPOINT: Shape = Shape(&[
    req("mode", Kind::OneOf(&["explicit"])),
    opt("ttl", Kind::OneOf(&["30m", "12h"])),
]);
static TEXT: Shape = Shape(&[
    req("text", Kind::Text),
    opt("prompt_cache_breakpoint", Kind::Object(&BREAKPOINT)),
]);
static IMAGE: Shape = Shape(&[
    opt("image_url", Kind::Text),
    opt("file_id", Kind::Text),
    opt("detail", Kind::OneOf(&["low", "high", "auto", "original"])),
    opt("prompt_cache_breakpoint", Kind::Object(&BREAKPOINT)),
]);
static FILE: Shape = Shape(&[
    opt("file_id", Kind::Text),
    opt("filename", Kind::Text),
    opt("file_data", Kind::Text),
    opt("file_url", Kind::Text),
    opt("detail", Kind::OneOf(&["auto", "low", "high"])),
    opt("prompt_cache_breakpoint", Kind::Object(&BREAKPOINT)),
]);
static SOUND: Shape = Shape(&[
    req("data", Kind::Base64),
    req("format", Kind::OneOf(&["mp3", "wav"])),
]);
static AUDIO: Shape = Shape(&[req("input_audio", Kind::Object(&SOUND))]);
static CONTENT: Kind = Kind::TextOr(&Kind::List(&Kind::Tagged(
    "type",
    &[
        ("input_text", &TEXT),
        ("input_image", &IMAGE),
        ("input_file", &FILE),
        ("input_audio", &AUDIO),
        ("output_text", &ANNOTATED),
        ("refusal", &REFUSED),
    ],
)));

static MESSAGE: Shape = Shape(&[
    req("role", Kind::OneOf(&["user", "assistant", "system", "developer"])),
    req("content", Kind::TextOr(&Kind::Any)),
    opt("id", Kind::Text),
    opt("type", Kind::OneOf(&["message"])),
    opt("status", STATUS),
    opt("phase", Kind::OneOf(&["commentary", "final_answer"])),
]);
static CALL: Shape = Shape(&[
    req("call_id", Kind::Text),
    req("name", Kind::Text),
    req("arguments", Kind::Text),
    opt("id", Kind::Text),
    opt("status", STATUS),
    opt("namespace", Kind::Text),
    opt("caller", Kind::Map),
    opt("async", Kind::Bool),
]);
static CALL_OUTPUT: Shape = Shape(&[
    req("call_id", Kind::Text),
    req(
        "output",
        Kind::TextOr(&Kind::List(&Kind::Tagged(
            "type",
            &[
                ("input_text", &TEXT),
                ("input_image", &IMAGE),
                ("input_file", &FILE),
            ],
        ))),
    ),
    opt("id", Kind::Text),
    opt("status", STATUS),
    opt("name", Kind::Text),
    opt("namespace", Kind::Text),
    opt("caller", Kind::Map),
]);
static CUSTOM_CALL: Shape = Shape(&[
    req("call_id", Kind::Text),
    req("name", Kind::Text),
    req("input", Kind::Text),
    opt("id", Kind::Text),
    opt("status", STATUS),
    opt("namespace", Kind::Text),
    opt("caller", Kind::Map),
]);
static REASONING: Shape = Shape(&[
    req(
        "summary",
        Kind::List(&Kind::Tagged("type", &[("summary_text", &SUMMARY)])),
    ),
    req("id", Kind::Text),
    opt("encrypted_content", Kind::Text),
    opt(
        "content",
        Kind::List(&Kind::Tagged("type", &[("reasoning_text", &SUMMARY)])),
    ),
    opt("status", STATUS),
]);
static REFERENCE: Shape = Shape(&[req("id", Kind::Text)]);
static COMPACTION: Shape = Shape(&[opt("id", Kind::Text), req("encrypted_content", Kind::Text)]);

/// What is compacted.
pub(super) static COMPACT: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    opt("input", Kind::Any),
    opt("instructions", Kind::Text),
    opt("previous_response_id", Kind::Text),
    opt("prompt_cache_key", Kind::Text),
]));

/// Input items by their type.
pub(super) static ITEM: Kind = Kind::Tagged(
    "type",
    &[
        ("message", &MESSAGE),
        ("function_call", &CALL),
        ("function_call_output", &CALL_OUTPUT),
        ("custom_tool_call", &CUSTOM_CALL),
        ("custom_tool_call_output", &CALL_OUTPUT),
        ("reasoning", &REASONING),
        ("item_reference", &REFERENCE),
        ("compaction", &COMPACTION),
    ],
);
/// What a message says.
pub(super) static MESSAGE_CONTENT: &Kind = &CONTENT;

static FUNCTION: Shape = Shape(&[
    req("name", Kind::Text),
    opt("parameters", Kind::Map),
    opt("strict", Kind::Bool),
    opt("description", Kind::Text),
    opt("defer_loading", Kind::Bool),
    opt("output_schema", Kind::Map),
    opt("allowed_callers", Kind::List(&Kind::Text)),
]);
static CUSTOM: Shape = Shape(&[
    req("name", Kind::Text),
    opt("description", Kind::Text),
    opt("format", Kind::Map),
]);
static SEARCH: Shape = Shape(&[
    opt("filters", Kind::Map),
    opt("search_context_size", Kind::OneOf(&["low", "medium", "high"])),
    opt("user_location", Kind::Map),
]);
static TOOL: Kind = Kind::Tagged(
    "type",
    &[
        ("function", &FUNCTION),
        ("custom", &CUSTOM),
        ("web_search", &SEARCH),
    ],
);
static CHOSEN: Shape = Shape(&[req("name", Kind::Text)]);
static ALLOWED: Shape = Shape(&[
    req("mode", Kind::OneOf(&["auto", "required"])),
    req("tools", Kind::List(&Kind::Map)),
]);
/// A choice of tools that is no word.
pub(super) static CHOICE: Kind = Kind::Tagged(
    "type",
    &[
        ("function", &CHOSEN),
        ("custom", &CHOSEN),
        ("allowed_tools", &ALLOWED),
    ],
);

static PLAIN: Shape = Shape(&[]);
static JSON_SCHEMA: Shape = Shape(&[
    req("name", Kind::Text),
    req("schema", Kind::Map),
    opt("description", Kind::Text),
    opt("strict", Kind::Bool),
]);
static TEXT_CONFIG: Shape = Shape(&[
    opt(
        "format",
        Kind::Tagged(
            "type",
            &[
                ("text", &PLAIN),
                ("json_object", &PLAIN),
                ("json_schema", &JSON_SCHEMA),
            ],
        ),
    ),
    opt("verbosity", Kind::OneOf(&["low", "medium", "high"])),
]);
static EFFORT: Shape = Shape(&[
    opt("effort", EFFORTS),
    opt("summary", Kind::OneOf(&["auto", "concise", "detailed"])),
    opt("generate_summary", Kind::OneOf(&["auto", "concise", "detailed"])),
    opt("context", Kind::OneOf(&["auto", "current_turn", "all_turns"])),
    opt("mode", Kind::Text),
]);
static STREAM_OPTIONS: Shape = Shape(&[opt("include_obfuscation", Kind::Bool)]);
const INCLUDE: Kind = Kind::List(&Kind::OneOf(&[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]));

const MODEL: Field = req("model", Kind::Text);
const INPUT: Field = opt("input", Kind::TextOr(&Kind::List(&Kind::Any)));

/// A request.
pub(super) static REQUEST: Kind = Kind::Object(&Shape(&[
    MODEL,
    INPUT,
    opt("instructions", Kind::Text),
    opt("tools", Kind::List(&TOOL)),
    opt("tool_choice", Kind::TextOr(&CHOICE)),
    opt("parallel_tool_calls", Kind::Bool),
    opt("max_output_tokens", Kind::AtLeast(16)),
    opt("max_tool_calls", Kind::AtLeast(1)),
    opt("temperature", Kind::Within(0.0, 2.0)),
    opt("top_p", Kind::Within(0.0, 1.0)),
    opt("top_logprobs", Kind::Within(0.0, 20.0)),
    opt("text", Kind::Object(&TEXT_CONFIG)),
    opt("reasoning", Kind::Object(&EFFORT)),
    opt("include", INCLUDE),
    opt("previous_response_id", Kind::Text),
    opt("conversation", Kind::Any),
    opt("prompt", Kind::Map),
    opt("store", Kind::Bool),
    opt("background", Kind::Bool),
    opt("stream", Kind::Bool),
    opt("stream_options", Kind::Object(&STREAM_OPTIONS)),
    opt("metadata", Kind::Each(&Kind::Text)),
    opt("truncation", Kind::OneOf(&["auto", "disabled"])),
    opt("user", Kind::Text),
    opt("safety_identifier", Kind::Text),
    opt("prompt_cache_key", Kind::Text),
    opt("prompt_cache_options", Kind::Map),
    opt(
        "prompt_cache_retention",
        Kind::OneOf(&["in_memory", "in-memory", "24h"]),
    ),
    opt(
        "service_tier",
        Kind::OneOf(&["auto", "default", "flex", "scale", "priority", "fast"]),
    ),
    opt("context_management", Kind::List(&Kind::Map)),
    opt("moderation", Kind::Map),
]));

/// A request to count the tokens of the input.
pub(super) static COUNT: Kind = Kind::Object(&Shape(&[
    opt("model", Kind::Text),
    INPUT,
    opt("instructions", Kind::Text),
    opt("tools", Kind::List(&TOOL)),
    opt("tool_choice", Kind::TextOr(&CHOICE)),
    opt("parallel_tool_calls", Kind::Bool),
    opt("text", Kind::Object(&TEXT_CONFIG)),
    opt("reasoning", Kind::Object(&EFFORT)),
    opt("previous_response_id", Kind::Text),
    opt("conversation", Kind::Any),
    opt("personality", Kind::Text),
    opt("truncation", Kind::OneOf(&["auto", "disabled"])),
]));
