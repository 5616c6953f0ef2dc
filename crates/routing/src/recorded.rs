//! A decision as it was taken: what it went by, so that it can be taken again by another configuration.
//!
//! What signals said is kept, and not what they looked at: no text of the prompt is in here unless it is to be captured.

mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
use crate::facts::{CallerFacts, Facts, MessageFacts};
use crate::plugin::Replay;
use crate::router::Decided;
use crate::signal::Reading;

pub use words::{Prints, Words};

/// Messages whose shape is kept, the latest.
const MAX_MESSAGES: usize = 512;
/// Groups and roles of a caller that are kept.
const MAX_GROUPS: usize = 64;

/// A decision as it was taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recorded {
    /// The name of the model that was asked for.
    pub entered: String,
    /// The decision; `default` where none matched and the default model answered.
    pub decision: String,
    /// How surely its rules held.
    pub confidence: f64,
    /// The model that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How it was chosen.
    pub method: String,
    /// The chance that was drawn, 0 to 1.
    pub roll: f64,
    /// A print of the decision's models and algorithm: the same configuration has the same.
    pub selection: u32,
    /// The shape of the request.
    pub shape: Shape,
    /// What signals said, by `type:name`.
    pub signals: BTreeMap<String, Said>,
    /// What was found in the answer, where that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// What was done about memories of the user, where the decision has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memories>,
    /// Which of the keywords that signals look for were there.
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub words: Words,
    /// The texts, where they are captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<Captured>,
}

/// The shape of a request, without its texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    /// About how many tokens the prompt had.
    pub prompt_tokens: u64,
    /// About how many tokens the answer was expected to have.
    pub completion_tokens: u64,
    /// How many tools were defined.
    pub tools: usize,
    /// Its messages, one word each: the role's first letter, `x` for text, `i` for images, `a` for sound, `v` for films,
    /// `r` for a tool's result, and how many tools it calls.
    pub messages: String,
    /// Whether there were more than these.
    #[serde(skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The user who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// What a signal said, and a print of its configuration: with its threshold, and without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Said(
    /// Whether it matched.
    pub bool,
    /// How surely.
    pub f64,
    /// The number behind it.
    pub f64,
    /// The print of its configuration.
    pub u32,
    /// The same without its threshold.
    pub u32,
);

/// What was done about memories of the user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memories {
    /// `read`; or why none were: `off` (the client's wish), `nobody` (a caller without a key), `no_prompt`, `refused` (the
    /// user has, or has not agreed yet), `unavailable`.
    pub state: String,
    /// How many were put into the request.
    pub put: usize,
    /// How many there were that are like enough, before guardrails.
    pub found: usize,
    /// Whether the turn is to be remembered if it ends well.
    pub stores: bool,
    /// Those that were put in, where texts are captured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
}

/// What was found in an answer that was held against what the model was given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answered {
    /// `supported`, `unsupported`, `unverified` (facts are asked for, and there is nothing to compare with), `unjudged`.
    pub verdict: String,
    /// Parts that nothing supports: choice, first character and the one behind the last, confidence, `contradiction` or
    /// `neutral`. The first 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<(u32, usize, usize, f32, String)>,
}

/// Texts of a request and of its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Captured {
    /// Role and text of each message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<(String, String)>,
    /// Whether something was left out.
    #[serde(skip_serializing_if = "is_false")]
    pub cut: bool,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl Recorded {
    /// What is known of a request that is being judged. Signals that only need the request are all read for it, unless only
    /// those are wanted that were needed.
    pub(crate) fn of(evaluation: &Evaluation<'_, '_>, replay: &Replay) -> Self {
        match replay.all_signals {
            true => Self::known(evaluation, replay),
            false => evaluation.quietly(|| Self::known(evaluation, replay)),
        }
    }

    fn known(evaluation: &Evaluation<'_, '_>, replay: &Replay) -> Self {
        let router = evaluation.router;
        let facts = &evaluation.facts;
        let mut signals = BTreeMap::new();
        for (index, signal) in router.signals.iter().enumerate() {
            let failed = evaluation.failed().contains(&index);
            if let Some(reading) = evaluation.own(index).filter(|_| !failed) {
                let Reading {
                    matched,
                    confidence,
                    value,
                } = reading;
                let said = Said(matched, confidence, value, signal.print.whole, signal.print.loose);
                signals.insert(format!("{}:{}", signal.kind, signal.name), said);
            }
        }
        Self {
            shape: Shape::of(facts),
            signals,
            words: Words::of(
                router
                    .signals
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| replay.all_signals || evaluation.own(*index).is_some())
                    .flat_map(|(_, signal)| signal.looked_for(facts.user_text)),
            ),
            captured: replay.request_bytes.map(|most| Captured::of(facts, most, replay)),
            ..Self::default()
        }
    }

    /// With what was decided.
    #[must_use]
    pub fn taken(mut self, entered: &str, decided: &Decided<'_>, roll: f64) -> Self {
        entered.clone_into(&mut self.entered);
        decided.decision.clone_into(&mut self.decision);
        self.confidence = decided.confidence;
        self.model = decided.selected.map(|selected| selected.model.clone());
        let method = decided
            .ranking
            .as_ref()
            .map_or("weighted", |ranking| ranking.method);
        method.clone_into(&mut self.method);
        self.roll = roll;
        self.selection = decided.print;
        self
    }
}

impl Shape {
    fn of(facts: &Facts<'_>) -> Self {
        let skipped = facts.messages.len().saturating_sub(MAX_MESSAGES);
        let mut messages = String::new();
        for message in &facts.messages[skipped..] {
            let gap = if messages.is_empty() { "" } else { " " };
            let role = message.role.chars().next().unwrap_or('?');
            let _ = write!(messages, "{gap}{role}");
            let marks = [
                (!message.text.trim().is_empty(), 'x'),
                (message.has_image, 'i'),
                (message.has_audio, 'a'),
                (message.has_video, 'v'),
                (message.is_tool_result, 'r'),
            ];
            messages.extend(marks.iter().filter(|(there, _)| *there).map(|(_, mark)| mark));
            if message.tool_calls > 0 {
                let _ = write!(messages, "{}", message.tool_calls);
            }
        }
        let some = |names: &[String]| names.iter().take(MAX_GROUPS).cloned().collect();
        Self {
            prompt_tokens: facts.estimated_tokens,
            completion_tokens: facts.completion_tokens,
            tools: facts.tools_defined,
            messages,
            cut: skipped > 0,
            user: facts.caller.user.map(str::to_owned),
            team: facts.caller.team.map(str::to_owned),
            groups: some(facts.caller.groups),
            roles: some(facts.caller.roles),
        }
    }

    /// Messages of this shape; their texts stand for some, where there was any.
    pub(crate) fn messages(&self) -> Vec<MessageFacts<'static>> {
        self.messages.split_whitespace().map(message).collect()
    }

    /// Who asked.
    pub(crate) fn caller(&self) -> CallerFacts<'_> {
        CallerFacts {
            user: self.user.as_deref(),
            team: self.team.as_deref(),
            groups: &self.groups,
            roles: &self.roles,
        }
    }
}

fn message(word: &str) -> MessageFacts<'static> {
    let (role, marks) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
    let calls = marks.trim_start_matches(|mark: char| !mark.is_ascii_digit());
    MessageFacts {
        role: match role {
            "s" => "system",
            "d" => "developer",
            "u" => "user",
            "a" => "assistant",
            "t" => "tool",
            _ => "",
        },
        text: if marks.contains('x') { "…" } else { "" },
        has_image: marks.contains('i'),
        has_audio: marks.contains('a'),
        has_video: marks.contains('v'),
        tool_calls: calls.parse().unwrap_or(0),
        is_tool_result: marks.contains('r'),
    }
}

impl Captured {
    /// The texts, at most so many bytes of them: the latest stay.
    fn of(facts: &Facts<'_>, most: usize, replay: &Replay) -> Self {
        let mut captured = Self::default();
        let mut left = most;
        let mut steps = 0;
        for message in facts.messages.iter().rev() {
            let mut text = Cow::Borrowed(message.text);
            if message.is_tool_result {
                steps += 1;
                if replay.tool_steps.is_some_and(|most| steps > most) {
                    text = Cow::Borrowed("");
                    captured.cut |= !message.text.is_empty();
                }
                if let Some(most) = replay.tool_bytes.filter(|most| text.len() > *most) {
                    captured.cut = true;
                    text = Cow::Owned(cut(&text, most).to_owned());
                }
            }
            let is_last = text.len() >= left;
            if text.len() > left {
                captured.cut = true;
                text = Cow::Owned(cut(&text, left).to_owned());
            }
            left = left.saturating_sub(text.len());
            captured
                .messages
                .push((message.role.to_owned(), text.into_owned()));
            if is_last {
                captured.cut |= captured.messages.len() < facts.messages.len();
                break;
            }
        }
        captured.messages.reverse();
        captured
    }
}

/// The beginning of a text, at most so many bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_come_back_as_they_went_in() {
        let calls = MessageFacts {
            role: "assistant",
            tool_calls: 12,
            ..MessageFacts::default()
        };
        let result = MessageFacts {
            role: "tool",
            text: "…",
            is_tool_result: true,
            has_image: true,
            ..MessageFacts::default()
        };
        let facts = Facts {
            messages: &[calls, result],
            ..Facts::default()
        };
        let shape = Shape::of(&facts);
        assert_eq!(shape.messages, "a12 txir");
        let back = shape.messages();
        assert_eq!(
            (back[0].role, back[0].tool_calls, back[0].text),
            ("assistant", 12, "")
        );
        assert!(back[1].is_tool_result && back[1].has_image && !back[1].has_audio);
    }

    #[test]
    fn of_texts_the_latest_are_captured() {
        let said = |role, text| MessageFacts {
            role,
            text,
            ..MessageFacts::default()
        };
        let facts = Facts {
            messages: &[
                said("user", "first"),
                said("assistant", "sécond"),
                said("user", "third"),
            ],
            ..Facts::default()
        };
        let captured = Captured::of(&facts, 7, &Replay::default());
        let owned = |role: &str, text: &str| (role.to_owned(), text.to_owned());
        assert_eq!(
            captured.messages,
            [owned("assistant", "s"), owned("user", "third")]
        );
        assert!(captured.cut);
        let whole = Captured::of(&facts, 100, &Replay::default());
        assert!(!whole.cut && whole.messages.len() == 3);
    }
}
