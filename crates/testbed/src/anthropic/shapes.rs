//! The fields of Anthropic messages.

use crate::shape::{Kind, Shape, opt, req};

static CACHE: Shape = Shape(&[
    req("type", Kind::OneOf(&["ephemeral"])),
    opt("ttl", Kind::OneOf(&["5m", "1h"])),
]);
const CACHED: Kind = Kind::Object(&CACHE);

static TEXT: Shape = Shape(&[
    req("text", Kind::Text),
    opt("cache_control", CACHED),
    opt("citations", Kind::List(&Kind::Map)),
]);
static BASE64_IMAGE: Shape = Shape(&[
    req(
        "media_type",
        Kind::OneOf(&["image/jpeg", "image/png", "image/gif", "image/webp"]),
    ),
    req("data", Kind::Text),
]);
static URL: Shape = Shape(&[req("url", Kind::Text)]);
static FILE: Shape = Shape(&[req("file_id", Kind::Text)]);
static IMAGE: Shape = Shape(&[
    req(
        "source",
        Kind::Tagged(
            "type",
            &[("base64", &BASE64_IMAGE), ("url", &URL), ("file", &FILE)],
        ),
    ),
    opt("cache_control", CACHED),
    opt("transformations", Kind::Map),
]);
static BASE64_PDF: Shape = Shape(&[
    req("media_type", Kind::OneOf(&["application/pdf"])),
    req("data", Kind::Base64),
]);
static PLAIN_TEXT: Shape = Shape(&[
    req("media_type", Kind::OneOf(&["text/plain"])),
    req("data", Kind::Text),
]);
static CONTENT_SOURCE: Shape = Shape(&[req("content", Kind::TextOr(&Kind::List(&Kind::Map)))]);
static CITATIONS: Shape = Shape(&[opt("enabled", Kind::Bool)]);
static DOCUMENT: Shape = Shape(&[
    req(
        "source",
        Kind::Tagged(
            "type",
            &[
                ("base64", &BASE64_PDF),
                ("text", &PLAIN_TEXT),
                ("content", &CONTENT_SOURCE),
                ("url", &URL),
                ("file", &FILE),
            ],
        ),
    ),
    opt("title", Kind::Text),
    opt("context", Kind::Text),
    opt("citations", Kind::Object(&CITATIONS)),
    opt("cache_control", CACHED),
]);
static SEARCH_RESULT: Shape = Shape(&[
    req("source", Kind::Text),
    req("title", Kind::Text),
    req("content", Kind::List(&Kind::Tagged("type", &[("text", &TEXT)]))),
    opt("citations", Kind::Object(&CITATIONS)),
    opt("cache_control", CACHED),
]);
static TOOL_USE: Shape = Shape(&[
    req("id", Kind::Text),
    req("name", Kind::Text),
    req("input", Kind::Map),
    opt("cache_control", CACHED),
    opt("caller", Kind::Map),
    opt("toolset_name", Kind::Text),
]);
static TOOL_RESULT: Shape = Shape(&[
    req("tool_use_id", Kind::Text),
    opt(
        "content",
        Kind::TextOr(&Kind::List(&Kind::Tagged(
            "type",
            &[
                ("text", &TEXT),
                ("image", &IMAGE),
                ("document", &DOCUMENT),
                ("search_result", &SEARCH_RESULT),
            ],
        ))),
    ),
    opt("is_error", Kind::Bool),
    opt("cache_control", CACHED),
    opt("toolset_name", Kind::Text),
]);
static THINKING: Shape = Shape(&[req("thinking", Kind::Text), req("signature", Kind::Text)]);
static REDACTED: Shape = Shape(&[req("data", Kind::Text)]);

static CONTENT: Kind = Kind::TextOr(&Kind::List(&Kind::Tagged(
    "type",
    &[
        ("text", &TEXT),
        ("image", &IMAGE),
        ("document", &DOCUMENT),
        ("search_result", &SEARCH_RESULT),
        ("tool_use", &TOOL_USE),
        ("tool_result", &TOOL_RESULT),
        ("thinking", &THINKING),
        ("redacted_thinking", &REDACTED),
    ],
)));
static MESSAGE: Kind = Kind::Object(&Shape(&[
    req("role", Kind::OneOf(&["user", "assistant"])),
    req("content", Kind::TextOr(&CONTENT)),
]));
static LATER_MESSAGE: Kind = Kind::Object(&Shape(&[
    req("role", Kind::OneOf(&["user", "assistant", "system"])),
    req("content", Kind::TextOr(&CONTENT)),
]));

static CUSTOM: Shape = Shape(&[
    req("name", Kind::Text),
    opt("input_schema", Kind::Map),
    opt("type", Kind::OneOf(&["custom", "web_search_20250305"])),
    opt("max_uses", Kind::AtLeast(1)),
    opt("allowed_domains", Kind::List(&Kind::Text)),
    opt("blocked_domains", Kind::List(&Kind::Text)),
    opt("user_location", Kind::Map),
    opt("description", Kind::Text),
    opt("cache_control", CACHED),
    opt("strict", Kind::Bool),
    opt("defer_loading", Kind::Bool),
    opt("eager_input_streaming", Kind::Bool),
    opt("input_examples", Kind::List(&Kind::Map)),
    opt("allowed_callers", Kind::List(&Kind::Text)),
]);
static CHOICE: Shape = Shape(&[opt("disable_parallel_tool_use", Kind::Bool)]);
static NO_CHOICE: Shape = Shape(&[]);
static NAMED_CHOICE: Shape = Shape(&[
    req("name", Kind::Text),
    opt("disable_parallel_tool_use", Kind::Bool),
]);
const TOOL_CHOICE: Kind = Kind::Tagged(
    "type",
    &[
        ("auto", &CHOICE),
        ("any", &CHOICE),
        ("tool", &NAMED_CHOICE),
        ("none", &NO_CHOICE),
    ],
);
const DISPLAY: Kind = Kind::OneOf(&["summarized", "omitted"]);
static ENABLED: Shape = Shape(&[req("budget_tokens", Kind::AtLeast(1024)), opt("display", DISPLAY)]);
static ADAPTIVE: Shape = Shape(&[opt("display", DISPLAY)]);
static DISABLED: Shape = Shape(&[]);
const THOUGHT: Kind = Kind::Tagged(
    "type",
    &[
        ("enabled", &ENABLED),
        ("disabled", &DISABLED),
        ("adaptive", &ADAPTIVE),
        ("between_tools", &ADAPTIVE),
    ],
);
static FORMAT: Shape = Shape(&[
    req("type", Kind::OneOf(&["json_schema"])),
    req("schema", Kind::Map),
]);
static OUTPUT: Shape = Shape(&[
    opt("effort", Kind::OneOf(&["low", "medium", "high", "xhigh", "max"])),
    opt("format", Kind::Object(&FORMAT)),
]);
static METADATA: Shape = Shape(&[opt("user_id", Kind::Text)]);

macro_rules! request {
    ($message:ident, $max_tokens:expr, $($more:expr),*) => {
        Kind::Object(&Shape(&[
            req("model", Kind::Text),
            req("messages", Kind::List(&$message)),
            $max_tokens,
            opt("system", Kind::TextOr(&Kind::List(&Kind::Tagged("type", &[("text", &TEXT)])))),
            opt("tools", Kind::List(&Kind::Object(&CUSTOM))),
            opt("tool_choice", TOOL_CHOICE),
            opt("stop_sequences", Kind::List(&Kind::Text)),
            opt("stream", Kind::Bool),
            opt("metadata", Kind::Object(&METADATA)),
            opt("thinking", THOUGHT),
            opt("output_config", Kind::Object(&OUTPUT)),
            opt("service_tier", Kind::OneOf(&["auto", "standard_only"])),
            opt("container", Kind::Any),
            opt("context_management", Kind::Map),
            opt("cache_control", CACHED),
            opt("mcp_servers", Kind::List(&Kind::Map)),
            opt("inference_geo", Kind::Text),
            opt("speed", Kind::OneOf(&["standard", "fast"])),
            $($more),*
        ]))
    };
}

/// A request of the version 2023-06-01.
pub(super) static REQUEST: Kind = request!(
    MESSAGE,
    req("max_tokens", Kind::AtLeast(1)),
    opt("temperature", Kind::Within(0.0, 1.0)),
    opt("top_p", Kind::Within(0.0, 1.0)),
    opt("top_k", Kind::AtLeast(0))
);
/// A request of the version 2026-10-21: models choose how they sample.
pub(super) static LATER_REQUEST: Kind = request!(
    LATER_MESSAGE,
    req("max_tokens", Kind::AtLeast(1)),
    opt("user_profile_id", Kind::Text),
    opt("workspace_id", Kind::Text),
    opt("diagnostics", Kind::Map)
);
/// A request to count tokens: of both versions, without what concerns the answer.
pub(super) static COUNT: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req("messages", Kind::List(&LATER_MESSAGE)),
    opt(
        "system",
        Kind::TextOr(&Kind::List(&Kind::Tagged("type", &[("text", &TEXT)]))),
    ),
    opt("tools", Kind::List(&Kind::Object(&CUSTOM))),
    opt("tool_choice", TOOL_CHOICE),
    opt("thinking", THOUGHT),
    opt("output_config", Kind::Object(&OUTPUT)),
    opt("cache_control", CACHED),
    opt("context_management", Kind::Map),
    opt("mcp_servers", Kind::List(&Kind::Map)),
    opt("speed", Kind::OneOf(&["standard", "fast"])),
    opt("user_profile_id", Kind::Text),
    opt("workspace_id", Kind::Text),
]));
