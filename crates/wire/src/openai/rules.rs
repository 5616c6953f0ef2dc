//! What becomes of what OpenAI's chat completions cannot express.

use crate::rules::Rule;
use crate::schema::UNBOUND;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 15] = [
    &IS_ERROR,
    &VIDEO,
    &OPAQUE_PART,
    &MISPLACED,
    &IMAGE_SOURCE,
    &DOCUMENT_SOURCE,
    &OPAQUE_TOOL,
    &OPAQUE_CHOICE,
    &OPAQUE_FORMAT,
    &STOPS,
    &TOP_K,
    &BUDGET,
    &CACHE_CONTROL,
    &SERVICE_TIER,
    &UNBOUND,
];

pub(super) static IS_ERROR: Rule = Rule::nearest(
    "messages[].content[].tool_result.is_error",
    "told as text in front of the result",
);
pub(super) static VIDEO: Rule =
    Rule::refused("messages[].content[].video", "OpenAI's chat format has no films");
pub(super) static OPAQUE_PART: Rule = Rule::refused(
    "messages[].content[]",
    "a part that only its own format knows has no counterpart in OpenAI's format",
);
pub(super) static MISPLACED: Rule =
    Rule::refused("messages[].content[]", "this part cannot stand in content");
pub(super) static IMAGE_SOURCE: Rule = Rule::refused(
    "messages[].content[].image",
    "OpenAI's format takes images as URL or base64 only",
);
pub(super) static DOCUMENT_SOURCE: Rule = Rule::refused(
    "messages[].content[].document",
    "OpenAI's format takes documents as base64, file id or text only",
);
pub(super) static OPAQUE_TOOL: Rule = Rule::refused(
    "tools[]",
    "a tool that only its own format knows has no counterpart in OpenAI's format",
);
pub(super) static OPAQUE_CHOICE: Rule = Rule::refused("tool_choice", "has no counterpart in OpenAI's format");
pub(super) static OPAQUE_FORMAT: Rule =
    Rule::refused("output_config.format", "has no counterpart in OpenAI's format");
pub(super) static STOPS: Rule = Rule::refused(
    "stop_sequences",
    "OpenAI's format takes at most four stop sequences",
);
pub(super) static TOP_K: Rule = Rule::left_out("top_k", "OpenAI's format has no top_k");
pub(super) static BUDGET: Rule =
    Rule::nearest("thinking", "a budget of tokens was mapped to an effort level");
pub(super) static CACHE_CONTROL: Rule =
    Rule::left_out("cache_control", "OpenAI-compatible providers cache by themselves");
pub(super) static SERVICE_TIER: Rule = Rule::left_out(
    "service_tier",
    "names of tiers differ; the provider's default is used",
);
