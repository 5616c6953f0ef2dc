//! What becomes of what Gemini's format cannot express.

use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 39] = [
    &INSTRUCTIONS_LATER,
    &ONLY_INSTRUCTIONS,
    &NAMES,
    &ARGUMENTS,
    &CUSTOM,
    &UNSIGNED,
    &SKIPPED_SIGNATURE,
    &UNKNOWN_CALL,
    &TOOL_MEDIA,
    &IS_ERROR,
    &CITED,
    &DETAIL,
    &AUDIO_ID,
    &FILE_ID,
    &PLAIN_DOCUMENT,
    &DOCUMENT_TITLE,
    &DOCUMENT_CITATIONS,
    &OPAQUE_PART,
    &MISPLACED,
    &OPAQUE_TOOL,
    &STRICT,
    &OPAQUE_CHOICE,
    &PARALLEL,
    &OPAQUE_FORMAT,
    &SCHEMA_DESCRIPTION,
    &FORMAT_AND_TOOLS,
    &STOPS,
    &CHOICES,
    &LOGIT_BIAS,
    &SEED,
    &EFFORT,
    &LEVEL,
    &BUDGET,
    &BOUNDS,
    &ALWAYS_THINKS,
    &NO_THINKING,
    &USER,
    &CACHE_CONTROL,
    &SERVICE_TIER,
];

pub(super) static INSTRUCTIONS_LATER: Rule = Rule::nearest(
    "messages",
    "instructions in the middle of a conversation are told as the user's",
);
pub(super) static ONLY_INSTRUCTIONS: Rule = Rule::nearest(
    "messages",
    "Gemini answers contents: instructions alone are told as the user's",
);
pub(super) static NAMES: Rule =
    Rule::left_out("messages[].name", "Gemini's format has no names of participants");
pub(super) static ARGUMENTS: Rule = Rule::nearest(
    "tool_calls[].function.arguments",
    "not a JSON object: sent as {\"_raw\": …}",
);
pub(super) static CUSTOM: Rule = Rule::nearest(
    "tool_calls[].custom",
    "a call with free text is sent as a function call with the text as its input",
);
pub(super) static UNSIGNED: Rule = Rule::left_out(
    "reasoning_content",
    "reasoning without a signature cannot be replayed",
);
pub(super) static SKIPPED_SIGNATURE: Rule = Rule::nearest(
    "tool_calls[]",
    "Gemini 3 and later demand a signature with the first call of a step; the history has none, and Google's value for skipping the check is sent",
);
pub(super) static UNKNOWN_CALL: Rule = Rule::nearest(
    "messages[].tool_call_id",
    "a result needs the name of its function; its call is not in the conversation, and its id is sent for a name",
);
pub(super) static TOOL_MEDIA: Rule = Rule::nearest(
    "messages[].content[].tool_result.content",
    "before Gemini 3 results of functions hold no media: shown beside the result",
);
pub(super) static IS_ERROR: Rule = Rule::nearest(
    "messages[].content[].tool_result.is_error",
    "sent as {\"error\": …}",
);
pub(super) static CITED: Rule = Rule::left_out(
    "messages[].content[].citations",
    "Gemini's format has no citations in what is sent",
);
pub(super) static DETAIL: Rule = Rule::left_out(
    "messages[].content[].image_url.detail",
    "Gemini's resolution is a setting of the whole request",
);
pub(super) static AUDIO_ID: Rule = Rule::refused(
    "messages[].audio.id",
    "an earlier answer in sound is kept by the provider that gave it",
);
pub(super) static FILE_ID: Rule = Rule::refused(
    "messages[].content[].file_id",
    "a file that was uploaded to another provider cannot be read by Gemini; give its data or a URL",
);
pub(super) static PLAIN_DOCUMENT: Rule = Rule::nearest(
    "messages[].content[].document",
    "a document in plain text is sent as text, below its title",
);
pub(super) static DOCUMENT_TITLE: Rule = Rule::left_out(
    "messages[].content[].file.filename",
    "files have no names and no context in Gemini's format",
);
pub(super) static DOCUMENT_CITATIONS: Rule = Rule::left_out(
    "messages[].content[].document.citations",
    "Gemini cannot be asked to cite a document",
);
pub(super) static OPAQUE_PART: Rule = Rule::refused(
    "messages[].content[]",
    "a part that only its own format knows has no counterpart in Gemini's format",
);
pub(super) static MISPLACED: Rule =
    Rule::refused("messages[].content[]", "this part cannot stand in a result");
pub(super) static OPAQUE_TOOL: Rule = Rule::refused(
    "tools[]",
    "a tool that only its own format knows has no counterpart in Gemini's format",
);
pub(super) static STRICT: Rule = Rule::left_out(
    "tools[].function.strict",
    "Gemini has no strict functions; the schema is told, not enforced",
);
pub(super) static OPAQUE_CHOICE: Rule = Rule::refused("tool_choice", "has no counterpart in Gemini's format");
pub(super) static PARALLEL: Rule = Rule::left_out(
    "parallel_tool_calls",
    "Gemini cannot be kept from calling several functions at once",
);
pub(super) static OPAQUE_FORMAT: Rule =
    Rule::refused("response_format", "has no counterpart in Gemini's format");
pub(super) static SCHEMA_DESCRIPTION: Rule = Rule::left_out(
    "response_format.json_schema.description",
    "schemas of answers have no description of their own in Gemini's format",
);
pub(super) static FORMAT_AND_TOOLS: Rule = Rule::refused(
    "response_format",
    "before Gemini 3 models give structured answers or call functions, not both",
);
pub(super) static STOPS: Rule = Rule::refused("stop", "Gemini takes at most 5 stop sequences");
pub(super) static CHOICES: Rule = Rule::refused("n", "Gemini gives at most 8 answers at a time");
pub(super) static LOGIT_BIAS: Rule = Rule::refused("logit_bias", "Gemini has no logit bias");
pub(super) static SEED: Rule = Rule::nearest("seed", "Gemini's seeds have 32 bits: the lower ones are sent");
pub(super) static EFFORT: Rule = Rule::nearest(
    "reasoning_effort",
    "Gemini 2.5 has no effort levels: mapped to a budget of tokens",
);
pub(super) static LEVEL: Rule = Rule::nearest(
    "reasoning_effort",
    "the model does not have this level: the nearest one is sent",
);
pub(super) static BUDGET: Rule = Rule::nearest(
    "thinking.budget_tokens",
    "Gemini 3 and later have no budgets: mapped to a level",
);
pub(super) static BOUNDS: Rule = Rule::nearest(
    "thinking.budget_tokens",
    "outside of what the model takes: the nearest budget is sent",
);
pub(super) static ALWAYS_THINKS: Rule = Rule::nearest(
    "reasoning_effort",
    "the model cannot be kept from thinking: told to think as little as it can",
);
pub(super) static NO_THINKING: Rule = Rule::left_out("reasoning_effort", "the model does not think");
pub(super) static USER: Rule = Rule::left_out("user", "Gemini's format has no field for the end user");
pub(super) static CACHE_CONTROL: Rule = Rule::left_out(
    "cache_control",
    "Gemini caches prompts by itself, or as objects that are made beforehand",
);
pub(super) static SERVICE_TIER: Rule = Rule::left_out(
    "service_tier",
    "names of tiers differ; the provider's default is used",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_listed() {
        let written = include_str!("rules.rs").matches(": Rule =").count();
        // The line above is one more.
        assert_eq!(ALL.len(), written - 1);
        for (index, rule) in ALL.iter().enumerate() {
            assert!(!ALL[..index].contains(rule), "{rule:?} is listed twice");
        }
    }
}
