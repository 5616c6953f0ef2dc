//! What is answered: determined by the request, and steered by words in its last text.
//!
//! - `repeat N words`: exactly that many words.
//! - `call tools` with tools given, or a forced choice: every tool is called, in parallel, with arguments made from its
//!   schema.
//! - tool results: an answer that quotes them.
//! - a JSON schema for the answer: a document that is valid for it.
//! - images: an answer that tells their number and sizes.
//! - `refuse`: a refusal.
//!
//! A token is a piece of up to four letters of a word, with the space before it.

use serde_json::{Value, json};

/// What was asked, in no particular format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) model: String,
    /// Texts of all messages.
    pub(crate) texts: Vec<String>,
    pub(crate) last_text: String,
    pub(crate) tools: Vec<(String, Value)>,
    pub(crate) forced_tool: Option<Option<String>>,
    pub(crate) tool_results: Vec<String>,
    /// Media type and size of each image of the last message.
    pub(crate) images: Vec<(String, usize)>,
    pub(crate) schema: Option<Value>,
    pub(crate) thinking: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stops: Vec<String>,
    pub(crate) choices: u64,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) cache_marker: bool,
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) thinking: Option<String>,
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, String, Value)>,
    pub(crate) refusal: bool,
    pub(crate) end: End,
    pub(crate) output: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Stop,
    StopSequence,
    Length,
    Tools,
    Refusal,
}

/// Tokens of a text.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for word in text.split_inclusive(' ') {
        let letters: Vec<char> = word.chars().collect();
        pieces.extend(letters.chunks(4).map(|piece| piece.iter().collect::<String>()));
    }
    pieces
}

/// How many tokens a text has.
pub(crate) fn count(text: &str) -> u64 {
    pieces(text).len() as u64
}

/// How many tokens a prompt has.
pub(crate) fn prompt_tokens(question: &Question) -> u64 {
    question.texts.iter().map(|text| count(text) + 3).sum::<u64>() + 3 + 5 * question.tools.len() as u64
}

/// The answer to a question.
pub(crate) fn answer(question: &Question) -> Answer {
    let mut answer = Answer {
        thinking: question.thinking.then(|| "Let me think about this.".to_owned()),
        ..Answer::default()
    };
    let wants_tools = question.forced_tool.is_some()
        || (question.tool_results.is_empty() && question.last_text.contains("call tools"));
    if wants_tools && !question.tools.is_empty() {
        let chosen = question.forced_tool.clone().flatten();
        let tools = question
            .tools
            .iter()
            .filter(|(name, _)| chosen.as_ref().is_none_or(|chosen| chosen == name));
        answer.calls = tools
            .enumerate()
            .map(|(at, (name, schema))| (format!("call_{at:024}"), name.clone(), sample(schema)))
            .collect();
        answer.end = End::Tools;
        answer.output = answer
            .calls
            .iter()
            .map(|(_, name, arguments)| count(name) + count(&arguments.to_string()))
            .sum();
    } else {
        (answer.text, answer.refusal) = said(question);
        answer.end = if answer.refusal { End::Refusal } else { End::Stop };
        stop(&mut answer, question);
        answer.output = count(&answer.text);
    }
    answer.output += answer.thinking.as_deref().map_or(0, count);
    answer
}

fn said(question: &Question) -> (String, bool) {
    let text = &question.last_text;
    if let Some(schema) = &question.schema {
        return (sample(schema).to_string(), false);
    }
    if text.contains("refuse") {
        return ("I cannot help with that.".to_owned(), true);
    }
    if !question.tool_results.is_empty() {
        return (
            format!("The tools say: {}", question.tool_results.join("; ")),
            false,
        );
    }
    if !question.images.is_empty() {
        let each: Vec<String> = question
            .images
            .iter()
            .map(|(kind, size)| format!("{kind} of {size} bytes"))
            .collect();
        return (
            format!("I see {} image(s): {}", each.len(), each.join(", ")),
            false,
        );
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let asked = words
        .windows(3)
        .find(|window| window[0] == "repeat" && window[2].starts_with("word"));
    if let Some(count) = asked.and_then(|window| window[1].parse::<usize>().ok()) {
        return (vec!["word"; count.min(200_000)].join(" "), false);
    }
    (format!("You said: {text}"), false)
}

fn stop(answer: &mut Answer, question: &Question) {
    if let Some(at) = question
        .stops
        .iter()
        .filter_map(|stop| answer.text.find(stop.as_str()))
        .min()
    {
        answer.text.truncate(at);
        answer.end = End::StopSequence;
    }
    let all = pieces(&answer.text);
    if let Some(most) = question.max_tokens.filter(|most| (all.len() as u64) > *most) {
        answer.text = all[..usize::try_from(most).unwrap_or(usize::MAX)].concat();
        answer.end = End::Length;
    }
}

/// A value that is valid for a JSON schema.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
        return first.clone();
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if let Some(first) = ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(*key)?.get(0))
    {
        return sample(first);
    }
    let kind = schema
        .get("type")
        .and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("object") => {
            let fields = schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            fields
                .map(|(name, schema)| (name.clone(), sample(schema)))
                .collect()
        }
        Some("array") => json!([schema.get("items").map_or(Value::Null, sample)]),
        Some("integer") => json!(schema.get("minimum").and_then(Value::as_i64).unwrap_or(7)),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("string") => json!("Zürich"),
        _ => json!({}),
    }
}
