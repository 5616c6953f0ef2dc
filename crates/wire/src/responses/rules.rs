//! What becomes of what OpenAI's responses cannot express.

use crate::rules::Rule;
use crate::schema::UNBOUND;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 24] = [
    &NAMES,
    &UNSIGNED,
    &VIDEO,
    &AUDIO_ID,
    &SOURCE,
    &IMAGE_SOURCE,
    &OPAQUE_PART,
    &MISPLACED,
    &IS_ERROR,
    &OPAQUE_TOOL,
    &OPAQUE_CHOICE,
    &OPAQUE_FORMAT,
    &STOPS,
    &CHOICES,
    &LOGIT_BIAS,
    &FREQUENCY,
    &PRESENCE,
    &SEED,
    &TOP_K,
    &FEW_TOKENS,
    &BUDGET,
    &CACHE_CONTROL,
    &SERVICE_TIER,
    &UNBOUND,
];

/// What a request of this format refers to, and no other format can: refused whatever the target's format is.
pub static REFERRING: [Rule; 3] = [
    Rule::refused(
        "previous_response_id",
        "the provider keeps no responses; send the conversation as `input`",
    ),
    Rule::refused(
        "conversation",
        "the provider keeps no conversations; send the conversation as `input`",
    ),
    Rule::refused(
        "background",
        "the provider answers in the foreground only; stream the response instead",
    ),
];

pub(super) static NAMES: Rule = Rule::left_out("messages[].name", "items have no names of participants");
pub(super) static UNSIGNED: Rule = Rule::left_out(
    "reasoning_content",
    "reasoning without its encrypted content cannot be replayed",
);
pub(super) static VIDEO: Rule =
    Rule::refused("messages[].content[].video", "OpenAI's responses have no films");
pub(super) static AUDIO_ID: Rule = Rule::refused(
    "messages[].audio.id",
    "an earlier answer in sound is kept by the provider that gave it",
);
pub(super) static SOURCE: Rule = Rule::refused(
    "messages[].content[].document",
    "a document made of parts has no counterpart in OpenAI's responses",
);
pub(super) static IMAGE_SOURCE: Rule = Rule::refused(
    "messages[].content[].image",
    "OpenAI's responses take images as URL, base64 or file id only",
);
pub(super) static OPAQUE_PART: Rule = Rule::refused(
    "messages[].content[]",
    "a part that only its own format knows has no counterpart in OpenAI's responses",
);
pub(super) static MISPLACED: Rule =
    Rule::refused("messages[].content[]", "this part cannot stand in content");
pub(super) static IS_ERROR: Rule = Rule::nearest(
    "messages[].content[].tool_result.is_error",
    "told as text in front of the result",
);
pub(super) static OPAQUE_TOOL: Rule = Rule::refused(
    "tools[]",
    "a tool that only its own format knows has no counterpart in OpenAI's responses",
);
pub(super) static OPAQUE_CHOICE: Rule =
    Rule::refused("tool_choice", "has no counterpart in OpenAI's responses");
pub(super) static OPAQUE_FORMAT: Rule =
    Rule::refused("response_format", "has no counterpart in OpenAI's responses");
pub(super) static STOPS: Rule = Rule::refused("stop", "OpenAI's responses have no stop sequences");
pub(super) static CHOICES: Rule = Rule::refused("n", "OpenAI's responses give one answer at a time");
pub(super) static LOGIT_BIAS: Rule = Rule::refused("logit_bias", "OpenAI's responses have no logit bias");
pub(super) static FREQUENCY: Rule = Rule::left_out(
    "frequency_penalty",
    "OpenAI's responses have no such parameter; the answer is sampled without it",
);
pub(super) static PRESENCE: Rule = Rule::left_out(
    "presence_penalty",
    "OpenAI's responses have no such parameter; the answer is sampled without it",
);
pub(super) static SEED: Rule = Rule::left_out(
    "seed",
    "OpenAI's responses have no such parameter; the answer is sampled without it",
);
pub(super) static TOP_K: Rule = Rule::left_out("top_k", "OpenAI's responses have no top_k");
pub(super) static FEW_TOKENS: Rule = Rule::nearest("max_tokens", "OpenAI's responses take 16 at least");
pub(super) static BUDGET: Rule =
    Rule::nearest("thinking", "a budget of tokens was mapped to an effort level");
pub(super) static CACHE_CONTROL: Rule = Rule::left_out("cache_control", "OpenAI caches prompts by itself");
pub(super) static SERVICE_TIER: Rule = Rule::left_out(
    "service_tier",
    "names of tiers differ; the provider's default is used",
);
