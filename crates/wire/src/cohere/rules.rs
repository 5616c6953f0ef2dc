//! What becomes of what Cohere's chat cannot express.

use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 32] = [
    &NAMES,
    &ARGUMENTS,
    &AUDIO,
    &VIDEO,
    &IMAGE_SOURCE,
    &DOCUMENT_SOURCE,
    &CITED_DOCUMENT,
    &RESULT_MEDIA,
    &IS_ERROR,
    &OPAQUE_PART,
    &MISPLACED,
    &OPAQUE_TOOL,
    &STRICT,
    &NAMED_TOOL,
    &OPAQUE_CHOICE,
    &PARALLEL,
    &SCHEMA_NOTE,
    &OPAQUE_FORMAT,
    &CHOICES,
    &LOGIT_BIAS,
    &TOP_LOGPROBS,
    &FREQUENCY,
    &PRESENCE,
    &TOP_P,
    &TOP_K,
    &SEED,
    &STOPS,
    &EFFORT,
    &BUDGET,
    &USER,
    &CACHE_CONTROL,
    &SERVICE_TIER,
];

pub(super) static NAMES: Rule =
    Rule::left_out("messages[].name", "Cohere's format has no names of participants");
pub(super) static ARGUMENTS: Rule = Rule::nearest(
    "tool_calls[].function.arguments",
    "not a JSON object: sent as {\"_raw\": …}",
);
pub(super) static AUDIO: Rule =
    Rule::refused("messages[].content[].input_audio", "Cohere's format has no audio");
pub(super) static VIDEO: Rule = Rule::refused("messages[].content[].video", "Cohere's format has no films");
pub(super) static IMAGE_SOURCE: Rule = Rule::refused(
    "messages[].content[].image",
    "Cohere takes images as URL or base64 only",
);
pub(super) static DOCUMENT_SOURCE: Rule = Rule::refused(
    "messages[].content[].document",
    "Cohere takes documents as text only",
);
pub(super) static CITED_DOCUMENT: Rule = Rule::nearest(
    "messages[].content[].document",
    "a document to be cited goes into `documents`, which belong to the whole request",
);
pub(super) static RESULT_MEDIA: Rule = Rule::nearest(
    "messages[].content[].tool_result.content",
    "results of tools are text: pictures are shown as the user's, after the results",
);
pub(super) static IS_ERROR: Rule = Rule::nearest(
    "messages[].content[].tool_result.is_error",
    "told as text in front of the result",
);
pub(super) static OPAQUE_PART: Rule = Rule::refused(
    "messages[].content[]",
    "a part that only its own format knows has no counterpart in Cohere's format",
);
pub(super) static MISPLACED: Rule = Rule::refused(
    "messages[].content[]",
    "Cohere's format has no such part in a message of this role",
);
pub(super) static OPAQUE_TOOL: Rule = Rule::refused(
    "tools[]",
    "a tool that only its own format knows has no counterpart in Cohere's format",
);
pub(super) static STRICT: Rule = Rule::nearest(
    "tools[].function.strict",
    "Cohere binds all tools to their schemas or none: all are bound",
);
pub(super) static NAMED_TOOL: Rule = Rule::nearest(
    "tool_choice",
    "Cohere cannot name the tool: only that one is offered, and one must be called",
);
pub(super) static OPAQUE_CHOICE: Rule = Rule::refused("tool_choice", "has no counterpart in Cohere's format");
pub(super) static PARALLEL: Rule = Rule::left_out(
    "parallel_tool_calls",
    "Cohere cannot be told to call one tool at a time",
);
pub(super) static SCHEMA_NOTE: Rule = Rule::left_out(
    "response_format.json_schema.description",
    "Cohere's format has the schema alone",
);
pub(super) static OPAQUE_FORMAT: Rule =
    Rule::refused("response_format", "has no counterpart in Cohere's format");
pub(super) static CHOICES: Rule = Rule::refused("n", "Cohere gives one answer at a time");
pub(super) static LOGIT_BIAS: Rule = Rule::refused("logit_bias", "Cohere has no logit bias");
pub(super) static TOP_LOGPROBS: Rule = Rule::left_out(
    "top_logprobs",
    "Cohere tells log probabilities of the tokens it chose, not of others",
);
pub(super) static FREQUENCY: Rule = Rule::nearest("frequency_penalty", "Cohere takes 0 to 1");
pub(super) static PRESENCE: Rule = Rule::nearest("presence_penalty", "Cohere takes 0 to 1");
pub(super) static TOP_P: Rule = Rule::nearest("top_p", "Cohere takes 0.01 to 0.99");
pub(super) static TOP_K: Rule = Rule::nearest("top_k", "Cohere takes at most 500");
pub(super) static SEED: Rule = Rule::nearest("seed", "Cohere takes no negative seed: sent without its sign");
pub(super) static STOPS: Rule = Rule::refused("stop", "Cohere takes at most five stop sequences");
pub(super) static EFFORT: Rule = Rule::nearest(
    "reasoning_effort",
    "an effort level was mapped to a budget of tokens",
);
pub(super) static BUDGET: Rule = Rule::nearest(
    "thinking.budget_tokens",
    "the budget was lowered, so that it leaves room for an answer",
);
pub(super) static USER: Rule = Rule::left_out("user", "Cohere is not told who the end user is");
pub(super) static CACHE_CONTROL: Rule = Rule::left_out("cache_control", "Cohere caches prompts by itself");
pub(super) static SERVICE_TIER: Rule =
    Rule::left_out("service_tier", "Cohere has no tiers; its default is used");
