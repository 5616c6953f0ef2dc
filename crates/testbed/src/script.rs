//! What is answered: determined by the request, and steered by words in its last text.
//!
//! - `repeat N words`: exactly that many words.
//! - `call tools` with tools given, or a forced choice: every tool is called, in parallel, with arguments made from its
//!   schema; streams of OpenAI tell such calls in turns.
//! - cities, with tools given: for each of them the tool whose name ends with the topic before it (`the weather in Paris`
//!   calls `get_weather`); without a topic the tools take turns.
//! - an agent's task, `Create the file PATH with the content "TEXT".`: a call of the tool that can do it.
//! - tool results: an answer that quotes them.
//! - a JSON schema for the answer: a document that is valid for it.
//! - images, sound, documents: an answer that tells their number and sizes.
//! - `refuse`: a refusal.
//! - `say as MODEL: A ;;`: exactly A, when that model is asked.
//! - models whose name holds `declines` decline; log probabilities of models whose name holds `unsure` are low.
//! - `say in turn: A || B`: exactly A; B when the conversation has gone on by an answer and a question. A tool that must be
//!   called gets them as its arguments.

use serde_json::Value;

use crate::media::{Kind, Media};
use crate::sample::sample;
use crate::task;
use crate::tokens::{Caching, count, pieces};

const CITIES: &[&str] = &[
    "Zürich", "Paris", "Tokyo", "Berlin", "London", "Oslo", "Lima", "Rome", "Madrid", "Cairo", "Boston",
    "Bern",
];

/// What was asked, in no particular format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    /// The format it was asked in.
    pub(crate) format: &'static str,
    pub(crate) model: String,
    /// Texts of all messages.
    pub(crate) texts: Vec<String>,
    pub(crate) last_text: String,
    pub(crate) tools: Tools,
    pub(crate) tool_results: Vec<String>,
    /// What the prompt has besides texts.
    pub(crate) media: Vec<Media>,
    /// Where those of the last message begin.
    pub(crate) last_media: usize,
    pub(crate) schema: Option<Value>,
    pub(crate) thinking: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stops: Vec<String>,
    pub(crate) choices: u64,
    /// How many likeliest tokens are told at each place; none when no probabilities are.
    pub(crate) logprobs: Option<u64>,
    pub(crate) stream: bool,
    pub(crate) caching: Caching,
}

/// Tools that are offered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools {
    /// Names and schemas.
    pub(crate) offered: Vec<(String, Value)>,
    pub(crate) choice: Choice,
    /// At most one call.
    pub(crate) single: bool,
}

/// Which tools are to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Any,
    /// One or more of these.
    Of(Vec<String>),
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) thinking: Option<String>,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) refusal: bool,
    pub(crate) end: End,
    pub(crate) output: u64,
    /// Letters and digits that belong to this answer alone.
    pub(crate) seed: String,
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Letters and digits; formats put their own mark before it.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
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

/// A number that depends on a text alone.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(14_695_981_039_346_656_037_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
    })
}

/// The answer to a question.
pub(crate) fn answer(question: &Question) -> Answer {
    let seed = format!(
        "{:016x}",
        hash(&format!(
            "{}{}{}",
            question.model,
            question.texts.join("\n"),
            question.media.len()
        ))
    );
    let mut answer = Answer {
        thinking: question.thinking.then(|| "Let me think about this.".to_owned()),
        seed,
        ..Answer::default()
    };
    let calls = calls(question);
    if calls.is_empty() {
        (answer.text, answer.refusal) = said(question);
        answer.end = if answer.refusal { End::Refusal } else { End::Stop };
        stop(&mut answer, question);
        answer.output = count(&answer.text);
    } else {
        let one = usize::from(question.tools.single);
        let most = if one == 1 { 1 } else { calls.len() };
        for (at, (name, arguments)) in calls.into_iter().take(most).enumerate() {
            answer.output += count(&name) + count(&arguments.to_string());
            let key = format!("{}{at:08}", answer.seed);
            answer.calls.push(Call { key, name, arguments });
        }
        answer.end = End::Tools;
    }
    answer.output += answer.thinking.as_deref().map_or(0, count);
    answer
}

/// The calls that are asked for, if any.
fn calls(question: &Question) -> Vec<(String, Value)> {
    let chosen: Vec<&(String, Value)> = question
        .tools
        .offered
        .iter()
        .filter(|(name, _)| match &question.tools.choice {
            Choice::Of(names) => names.contains(name),
            Choice::None => false,
            Choice::Auto | Choice::Any => true,
        })
        .collect();
    let forced = matches!(question.tools.choice, Choice::Any | Choice::Of(_));
    if chosen.is_empty() || (!forced && !question.tool_results.is_empty()) {
        return Vec::new();
    }
    if let Some(call) = task::call(&question.last_text, &chosen) {
        return vec![call];
    }
    if let Some(arguments) = in_turn(question) {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let called = chosen.iter().filter(|_| forced);
        return called
            .map(|(name, _)| (name.clone(), arguments.clone()))
            .collect();
    }
    let named = of_cities(question, &chosen);
    if !named.is_empty() {
        return named;
    }
    if forced || question.last_text.contains("call tools") {
        return chosen
            .iter()
            .map(|(name, schema)| (name.clone(), sample(schema, "Zürich")))
            .collect();
    }
    Vec::new()
}

/// A call for each city, of the tools that are its topic.
fn of_cities(question: &Question, chosen: &[&(String, Value)]) -> Vec<(String, Value)> {
    let mut topics: Vec<&(String, Value)> = Vec::new();
    let mut fresh = false;
    let mut calls: Vec<(String, Value)> = Vec::new();
    for word in question.last_text.split(|letter: char| !letter.is_alphanumeric()) {
        if CITIES.contains(&word) {
            fresh = true;
            let tools = if topics.is_empty() {
                vec![chosen[calls.len() % chosen.len()]]
            } else {
                topics.clone()
            };
            calls.extend(
                tools
                    .into_iter()
                    .map(|(name, schema)| (name.clone(), sample(schema, word))),
            );
        }
        let is_topic = |name: &str| name.rsplit('_').next() == Some(word.to_lowercase().as_str());
        if let Some(tool) = chosen.iter().find(|(name, _)| is_topic(name)) {
            if std::mem::take(&mut fresh) {
                topics.clear();
            }
            topics.push(tool);
        }
    }
    calls
}

fn said(question: &Question) -> (String, bool) {
    let text = &question.last_text;
    if question.model.contains("declines") {
        return ("I cannot help with that.".to_owned(), true);
    }
    if let Some(exactly) = as_named(question) {
        return (exactly.to_owned(), false);
    }
    if let Some(exactly) = in_turn(question) {
        return (exactly.to_owned(), false);
    }
    if let Some(schema) = &question.schema {
        return (sample(schema, "Zürich").to_string(), false);
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
    let seen = seen(question.media.get(question.last_media..).unwrap_or_default());
    if !seen.is_empty() {
        return (seen, false);
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

/// What is to be said by this model, where somebody has said so.
fn as_named(question: &Question) -> Option<&str> {
    let mark = format!("say as {}:", crate::routes::plain_model(&question.model));
    let told = question.texts.iter().find_map(|text| text.split_once(&mark));
    let (_, said) = told?;
    Some(said.split(";;").next().unwrap_or(said).trim())
}

/// What is to be said in this turn, where somebody has said so.
fn in_turn(question: &Question) -> Option<&str> {
    let at = question
        .texts
        .iter()
        .position(|text| text.contains("say in turn:"))?;
    let (_, turns) = question.texts[at].split_once("say in turn:")?;
    let turns: Vec<&str> = turns.split("||").map(str::trim).collect();
    let turn = (question.texts.len() - 1 - at) / 2;
    turns.get(turn).or(turns.last()).copied()
}

/// What is there besides text.
fn seen(media: &[Media]) -> String {
    let kinds = [
        (Kind::Image, "I see", "image"),
        (Kind::Audio, "I hear", "recording"),
        (Kind::Document, "I read", "document"),
    ];
    let told = kinds.iter().filter_map(|(kind, verb, noun)| {
        let each: Vec<String> = media
            .iter()
            .filter(|media| media.kind == *kind)
            .map(|media| format!("{} of {} bytes", media.mime, media.size))
            .collect();
        (!each.is_empty()).then(|| format!("{verb} {} {noun}(s): {}", each.len(), each.join(", ")))
    });
    told.collect::<Vec<_>>().join("; ")
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

/// The stop sequence that ended an answer.
pub(crate) fn stopped_by(answer: &Answer, question: &Question) -> Option<String> {
    (answer.end == End::StopSequence)
        .then(|| question.stops.first().cloned())
        .flatten()
}

/// A signature of something: it tells whether it was changed, and holds what was signed.
pub(crate) fn sign(text: &str) -> String {
    let mut bytes = hash(&format!("testbed:{text}")).to_be_bytes().to_vec();
    bytes.extend(text.bytes());
    crate::media::encode(&bytes)
}

/// What was signed, when the signature is one of ours.
pub(crate) fn signed(signature: &str) -> Option<String> {
    let bytes = crate::media::decode(signature)?;
    let text = String::from_utf8(bytes.get(8..)?.to_vec()).ok()?;
    (hash(&format!("testbed:{text}")).to_be_bytes() == bytes[..8]).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(text: &str) -> Vec<(String, Value)> {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let question = Question {
            last_text: text.to_owned(),
            tools: Tools {
                offered: vec![
                    ("get_weather".to_owned(), schema.clone()),
                    ("get_time".to_owned(), schema),
                ],
                ..Tools::default()
            },
            ..Question::default()
        };
        let calls = answer(&question).calls;
        calls
            .into_iter()
            .map(|call| (call.name, call.arguments["city"].clone()))
            .collect()
    }

    #[test]
    fn cities_call_the_tools_of_their_topic() {
        let call = |tool: &str, city: &str| (format!("get_{tool}"), json!(city));
        let both = [call("weather", "Paris"), call("time", "Tokyo")];
        assert_eq!(ask("What is the weather in Paris and the time in Tokyo?"), both);
        assert_eq!(ask("Tell me of Paris and Tokyo."), both);
        assert_eq!(
            ask("The weather in Oslo, Lima!"),
            [call("weather", "Oslo"), call("weather", "Lima")]
        );
        assert_eq!(ask("What is the weather like?"), []);
    }

    #[test]
    fn turns_are_taken_as_told() {
        let first = "say in turn: one || two".to_owned();
        let said = |texts: Vec<String>| {
            answer(&Question {
                texts,
                ..Question::default()
            })
            .text
        };
        assert_eq!(said(vec!["system".to_owned(), first.clone()]), "one");
        let later = ["one", "again"].map(str::to_owned);
        assert_eq!(said([vec![first], later.to_vec()].concat()), "two");
    }

    #[test]
    fn signatures_know_what_they_signed() {
        assert_eq!(signed(&sign("a thought")).as_deref(), Some("a thought"));
        assert_eq!(signed("c2ln"), None);
    }
}
