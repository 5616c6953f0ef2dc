//! What becomes of what Bedrock Converse cannot express.

use crate::anthropic::rules::{CLOSED, FORCED, SAMPLED, TOP_P, UNTHOUGHT};
use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 49] = [
    &FIRST_TURN,
    &INSTRUCTIONS_LATER,
    &NAMES,
    &BLANK_TEXT,
    &CALL_IDS,
    &ARGUMENTS,
    &UNSIGNED,
    &REDACTED,
    &CITATIONS,
    &IMAGE_FORMAT,
    &IMAGE_SOURCE,
    &DETAIL,
    &DOCUMENT_NAME,
    &DOCUMENT_FORMAT,
    &DOCUMENT_SOURCE,
    &VIDEO_SOURCE,
    &AUDIO,
    &INSTRUCTION_PARTS,
    &RESULT_PARTS,
    &OPAQUE_PART,
    &CACHE_POINTS,
    &CACHE_INSIDE,
    &CACHE_WHOLE,
    &TOOL_NAME,
    &TOOLS_USED,
    &STRICT,
    &OPAQUE_TOOL,
    &CHOICE_NONE,
    &OPAQUE_CHOICE,
    &PARALLEL,
    &SAMPLED_WITHOUT,
    &TEMPERATURE,
    &TOP_P,
    &TOP_K,
    &BLANK_STOPS,
    &EFFORT,
    &NO_ROOM,
    &FORCED,
    &UNTHOUGHT,
    &SAMPLED,
    &NO_REASONING,
    &SERVICE_TIER,
    &USER,
    &CHOICES,
    &LOGPROBS,
    &LOGIT_BIAS,
    &JSON_OBJECT,
    &CLOSED,
    &OPAQUE_FORMAT,
];

pub(super) static FIRST_TURN: Rule = Rule::nearest(
    "messages",
    "Bedrock's conversations begin with the user: a turn of the user's is put in front",
);
pub(super) static INSTRUCTIONS_LATER: Rule = Rule::nearest(
    "messages",
    "instructions in the middle of a conversation are told as the user's",
);
pub(super) static NAMES: Rule =
    Rule::left_out("messages[].name", "Bedrock's format has no names of participants");
pub(super) static BLANK_TEXT: Rule = Rule::left_out(
    "messages[].content",
    "Bedrock refuses texts of nothing but white space",
);
pub(super) static CALL_IDS: Rule = Rule::nearest(
    "tool_calls[].id",
    "Bedrock takes letters, digits, _ and - only, at most 64: written as an id that stays the same",
);
pub(super) static ARGUMENTS: Rule = Rule::nearest(
    "tool_calls[].function.arguments",
    "not a JSON object: sent as {\"_raw\": …}",
);
pub(super) static UNSIGNED: Rule = Rule::left_out(
    "reasoning_content",
    "reasoning without a signature cannot be replayed",
);
pub(super) static REDACTED: Rule = Rule::left_out(
    "redacted_thinking",
    "encrypted reasoning that is not base64 is not Bedrock's and cannot be replayed",
);
pub(super) static CITATIONS: Rule = Rule::left_out(
    "messages[].content[].citations",
    "Bedrock knows citations in the model's turns only, of documents, search results and web pages",
);
pub(super) static IMAGE_FORMAT: Rule = Rule::refused(
    "messages[].content[].image_url",
    "Bedrock takes images as png, jpeg, gif or webp",
);
pub(super) static IMAGE_SOURCE: Rule = Rule::refused(
    "messages[].content[].image_url",
    "Bedrock takes images as base64 or from S3 (s3://…), from no other URL; the gateway fetches images unless server.media says otherwise",
);
pub(super) static DETAIL: Rule = Rule::left_out(
    "messages[].content[].image_url.detail",
    "Bedrock has no hint at the resolution",
);
pub(super) static DOCUMENT_NAME: Rule = Rule::nearest(
    "messages[].content[].file.filename",
    "Bedrock limits the letters of a document's name, and wants each name once",
);
pub(super) static DOCUMENT_FORMAT: Rule = Rule::refused(
    "messages[].content[].file",
    "Bedrock takes documents as pdf, csv, doc, docx, xls, xlsx, html, txt or md",
);
pub(super) static DOCUMENT_SOURCE: Rule = Rule::refused(
    "messages[].content[].file",
    "Bedrock takes documents as base64, text, pieces of text or from S3 (s3://…) only",
);
pub(super) static VIDEO_SOURCE: Rule = Rule::refused(
    "messages[].content[].video",
    "Bedrock takes films as base64 or from S3 (s3://…), as mp4, mov, mkv, webm, flv, mpeg, mpg, wmv or 3gp",
);
pub(super) static AUDIO: Rule = Rule::refused(
    "messages[].content[].input_audio",
    "Bedrock takes sound as base64, in a format it knows",
);
pub(super) static INSTRUCTION_PARTS: Rule =
    Rule::refused("messages[].content[]", "Bedrock takes instructions as text only");
pub(super) static RESULT_PARTS: Rule = Rule::refused(
    "messages[].content[]",
    "Bedrock takes text, images, documents and films as the result of a tool",
);
pub(super) static OPAQUE_PART: Rule = Rule::refused(
    "messages[].content[]",
    "a part that only its own format knows has no counterpart in Bedrock's format",
);
pub(super) static CACHE_POINTS: Rule = Rule::left_out(
    "cache_control",
    "of the models on Bedrock only Claude and Nova take cache points",
);
pub(super) static CACHE_INSIDE: Rule = Rule::nearest(
    "messages[].content[].tool_result.content[].cache_control",
    "Bedrock has no cache points inside results: it stands behind the result",
);
pub(super) static CACHE_WHOLE: Rule = Rule::nearest(
    "cache_control",
    "Bedrock has no cache point for the whole request: it stands behind the last message",
);
pub(super) static TOOL_NAME: Rule = Rule::refused(
    "tools[].function.name",
    "Bedrock takes letters, digits, _ and - only in a tool's name, at most 64",
);
pub(super) static TOOLS_USED: Rule = Rule::nearest(
    "tools",
    "Bedrock demands declarations of tools that the conversation has used: made from their names",
);
pub(super) static STRICT: Rule = Rule::left_out(
    "tools[].function.strict",
    "of the models on Bedrock only Claude takes strict schemas",
);
pub(super) static OPAQUE_TOOL: Rule = Rule::refused(
    "tools[]",
    "a tool that only its own format knows has no counterpart in Bedrock's format",
);
pub(super) static CHOICE_NONE: Rule = Rule::nearest(
    "tool_choice",
    "Bedrock cannot forbid tools: they are not declared, unless the conversation has used some",
);
pub(super) static OPAQUE_CHOICE: Rule =
    Rule::refused("tool_choice", "has no counterpart in Bedrock's format");
pub(super) static PARALLEL: Rule =
    Rule::left_out("parallel_tool_calls", "Bedrock cannot forbid parallel calls");
pub(super) static SAMPLED_WITHOUT: Rule = Rule::left_out(
    "frequency_penalty, presence_penalty, seed",
    "Bedrock has no such parameter; the answer is sampled without it",
);
pub(super) static TEMPERATURE: Rule = Rule::nearest("temperature", "Bedrock takes at most 1");
pub(super) static TOP_K: Rule = Rule::left_out(
    "top_k",
    "of the models on Bedrock only Claude and Nova are known to take it",
);
pub(super) static BLANK_STOPS: Rule = Rule::left_out(
    "stop",
    "Bedrock refuses stop sequences of nothing but white space",
);
pub(super) static EFFORT: Rule = Rule::nearest(
    "reasoning_effort",
    "written as the nearest thing that the model's family knows: a budget of tokens, or one of three levels",
);
pub(super) static NO_ROOM: Rule = Rule::left_out(
    "reasoning_effort",
    "the limit of tokens leaves no room for thinking",
);
pub(super) static NO_REASONING: Rule = Rule::left_out(
    "reasoning_effort",
    "the model's family is not known to take a level of thinking",
);
pub(super) static SERVICE_TIER: Rule =
    Rule::left_out("service_tier", "not one of Bedrock's tiers; the default is used");
pub(super) static USER: Rule = Rule::left_out("user", "Bedrock's format has no end user");
pub(super) static CHOICES: Rule = Rule::refused("n", "Bedrock gives one answer at a time");
pub(super) static LOGPROBS: Rule = Rule::refused("logprobs", "Bedrock has no log probabilities");
pub(super) static LOGIT_BIAS: Rule = Rule::refused("logit_bias", "Bedrock has no logit bias");
pub(super) static JSON_OBJECT: Rule = Rule::refused(
    "response_format",
    "Bedrock has no json_object mode; give a json_schema",
);
pub(super) static OPAQUE_FORMAT: Rule =
    Rule::refused("response_format", "has no counterpart in Bedrock's format");
