//! What becomes of what Anthropic's messages format cannot express.

use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 28] = [
    &INSTRUCTIONS_LATER,
    &NAMES,
    &ARGUMENTS,
    &UNSIGNED,
    &AUDIO,
    &VIDEO,
    &OPAQUE_PART,
    &OPAQUE_TOOL,
    &OPAQUE_CHOICE,
    &OPAQUE_FORMAT,
    &JSON_OBJECT,
    &CLOSED,
    &CHOICES,
    &LOGPROBS,
    &LOGIT_BIAS,
    &FREQUENCY,
    &PRESENCE,
    &SEED,
    &TEMPERATURE,
    &TOP_P,
    &BLANK_STOPS,
    &EFFORT,
    &NO_ROOM,
    &FORCED,
    &UNTHOUGHT,
    &SAMPLED,
    &SERVICE_TIER,
    &BETA,
];

pub(super) static INSTRUCTIONS_LATER: Rule = Rule::nearest(
    "messages",
    "instructions in the middle of a conversation are told as the user's",
);
pub(super) static NAMES: Rule = Rule::left_out(
    "messages[].name",
    "Anthropic's format has no names of participants",
);
pub(super) static ARGUMENTS: Rule = Rule::nearest(
    "tool_calls[].function.arguments",
    "not a JSON object: sent as {\"_raw\": …}",
);
pub(super) static UNSIGNED: Rule = Rule::left_out(
    "reasoning_content",
    "reasoning without a signature cannot be replayed",
);
pub(super) static AUDIO: Rule = Rule::refused(
    "messages[].content[].input_audio",
    "Anthropic's format has no audio",
);
pub(super) static VIDEO: Rule =
    Rule::refused("messages[].content[].video", "Anthropic's format has no films");
pub(super) static OPAQUE_PART: Rule = Rule::refused(
    "messages[].content[]",
    "a part that only its own format knows has no counterpart in Anthropic's format",
);
pub(super) static OPAQUE_TOOL: Rule = Rule::refused(
    "tools[]",
    "a tool that only its own format knows has no counterpart in Anthropic's format",
);
pub(super) static OPAQUE_CHOICE: Rule =
    Rule::refused("tool_choice", "has no counterpart in Anthropic's format");
pub(super) static OPAQUE_FORMAT: Rule =
    Rule::refused("response_format", "has no counterpart in Anthropic's format");
/// Also Bedrock's, for Claude.
pub static TOP_P: Rule = Rule::left_out(
    "top_p",
    "newer models of Claude take a temperature or top_p, not both: the temperature is sent",
);

/// Also Bedrock's, for Claude.
pub static CLOSED: Rule = Rule::nearest(
    "response_format",
    "Claude takes schemas of closed objects only: those that do not say whether they are open are closed",
);
pub(super) static JSON_OBJECT: Rule = Rule::refused(
    "response_format",
    "Anthropic has no json_object mode; give a json_schema",
);
pub(super) static CHOICES: Rule = Rule::refused("n", "Anthropic gives one answer at a time");
pub(super) static LOGPROBS: Rule = Rule::refused("logprobs", "Anthropic has no log probabilities");
pub(super) static LOGIT_BIAS: Rule = Rule::refused("logit_bias", "Anthropic has no logit bias");
pub(super) static FREQUENCY: Rule = Rule::left_out(
    "frequency_penalty",
    "Anthropic has no such parameter; the answer is sampled without it",
);
pub(super) static PRESENCE: Rule = Rule::left_out(
    "presence_penalty",
    "Anthropic has no such parameter; the answer is sampled without it",
);
pub(super) static SEED: Rule = Rule::left_out(
    "seed",
    "Anthropic has no such parameter; the answer is sampled without it",
);
pub(super) static TEMPERATURE: Rule = Rule::nearest("temperature", "Anthropic takes at most 1");
pub(super) static BLANK_STOPS: Rule = Rule::left_out(
    "stop",
    "Anthropic refuses stop sequences of nothing but white space",
);
pub(super) static EFFORT: Rule = Rule::nearest(
    "reasoning_effort",
    "an effort level was mapped to a budget of tokens",
);
pub(super) static NO_ROOM: Rule = Rule::left_out(
    "reasoning_effort",
    "the limit of tokens leaves no room for thinking",
);
pub(super) static SERVICE_TIER: Rule = Rule::left_out(
    "service_tier",
    "names of tiers differ; the provider's default is used",
);
pub(super) static BETA: Rule = Rule::left_out(
    "anthropic_beta",
    "outside of Bedrock features under test are named in the header anthropic-beta",
);
pub(crate) static FORCED: Rule = Rule::left_out(
    "reasoning_effort",
    "Claude does not think when it must call a tool",
);
pub(crate) static UNTHOUGHT: Rule = Rule::left_out(
    "reasoning_effort",
    "Claude goes on thinking only in a turn that began with its own signed reasoning",
);
pub(crate) static SAMPLED: Rule = Rule::left_out(
    "temperature, top_p, top_k",
    "Claude cannot be told how to sample while it thinks",
);
