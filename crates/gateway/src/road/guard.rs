//! Stage *guard*: input guardrails over the one text view of the conversation, and what they replaced, put back into answers.

use std::time::Duration;

use pointsman_guard::{Block, Heard, Placeholders, Restorer, Stage, StageGuards, Texts, Verdict};
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind};
use pointsman_wire::text::{self, TextStage};
use serde_json::Value;

use super::arrive::Asked;
use super::{Arrival, Ticket};

/// When to come back where a text could not be judged.
const COME_BACK: Duration = Duration::from_secs(1);
/// Deepest nesting of a tool's arguments that is looked into; nothing that a tool understands is as deep.
const MAX_DEPTH: usize = 64;

/// What judges texts: guardrails, what models said, and the book of placeholders.
pub struct Judging<'a> {
    /// The guardrails of the texts' stage.
    pub guards: &'a StageGuards,
    /// What models said of them.
    pub heard: &'a Heard,
    /// What is replaced.
    pub placeholders: &'a Placeholders,
}

/// Shows every text of the request to the guardrails of its stage.
///
/// # Errors
/// 403 when one of them blocks, 503 when one could not judge and may not let that pass.
pub async fn input(arrival: &Arrival, asked: &mut Asked, ticket: &mut Ticket) -> Result<(), Failure> {
    let guards = &arrival.snapshot.guards;
    let (said, results) = (
        guards.for_stage(Stage::Input),
        guards.for_stage(Stage::ToolResult),
    );
    asked.placeholders = guards.placeholders();
    if said.is_empty() && results.is_empty() {
        return Ok(());
    }
    let (of_said, of_results) = hear(arrival, &mut asked.request).await;
    let judging = |stage| match stage {
        TextStage::ToolResult => Judging {
            guards: results,
            heard: &of_results,
            placeholders: &asked.placeholders,
        },
        _ => Judging {
            guards: said,
            heard: &of_said,
            placeholders: &asked.placeholders,
        },
    };
    if guards.restores() {
        text::rewrite(&mut asked.request, |_, text| {
            asked.placeholders.spare(text);
            None
        });
    }
    let mut blocked = None;
    let flags = &mut ticket.facts.flags;
    let edited = text::rewrite(&mut asked.request, |location, text| {
        if blocked.is_some() {
            return None;
        }
        let verdict = judging(location.stage).judge(location.stage, text);
        flags.extend(verdict.flags.into_iter().map(|flag| flag.guard));
        blocked = verdict.blocked;
        verdict.rewritten
    });
    asked.edited |= edited;
    match blocked {
        Some(block) => Err(refusal(&block)),
        None => Ok(()),
    }
}

/// Asks models about the texts of a request, each for its stage.
async fn hear(arrival: &Arrival, request: &mut ChatRequest) -> (Heard, Heard) {
    let guards = &arrival.snapshot.guards;
    let (said, results) = (
        guards.for_stage(Stage::Input),
        guards.for_stage(Stage::ToolResult),
    );
    if !said.asks() && !results.asks() {
        return (Heard::default(), Heard::default());
    }
    let (mut texts, mut of_tools) = (Texts::default(), Texts::default());
    // Nothing is rewritten: this way no text can be judged that was not asked about.
    text::rewrite(request, |location, text| {
        match location.stage {
            TextStage::ToolResult => of_tools.foreign.push(text.into()),
            TextStage::User => texts.foreign.push(text.into()),
            TextStage::ToolDefinition => {}
            TextStage::Instruction | TextStage::Assistant | TextStage::Thinking | TextStage::ToolCall => {
                texts.own.push(text.into());
            }
        }
        None
    });
    let understanding = &arrival.snapshot.understanding;
    tokio::join!(
        said.hear(understanding, texts),
        results.hear(understanding, of_tools)
    )
}

impl Judging<'_> {
    /// Judges a whole text.
    pub fn judge(&self, stage: TextStage, text: &str) -> Verdict {
        if stage == TextStage::ToolDefinition {
            // A schema is no sentence: models have nothing to say of it.
            return self.guards.inspect_part(text, self.placeholders);
        }
        let verdict = self.guards.inspect(text, self.heard, self.placeholders);
        if stage != TextStage::ToolCall || verdict.blocked.is_some() {
            return verdict;
        }
        self.judge_arguments(text, verdict)
    }

    /// Arguments of a tool are JSON: what is escaped in them is seen as it is meant, and they stay JSON.
    fn judge_arguments(&self, text: &str, mut verdict: Verdict) -> Verdict {
        let stays = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let broken = verdict
            .rewritten
            .as_deref()
            .is_some_and(|rewritten| !stays(rewritten));
        if !broken && !text.contains('\\') {
            return verdict;
        }
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return verdict;
        };
        if broken {
            verdict.rewritten = None;
        } else if let Some(Ok(rewritten)) = verdict.rewritten.as_deref().map(serde_json::from_str) {
            value = rewritten;
        }
        if self.each_value(&mut value, MAX_DEPTH, &mut verdict) {
            verdict.rewritten = Some(value.to_string());
        }
        verdict
    }

    /// Judges the strings and numbers of a value one by one, names of fields before them; true when one was changed.
    fn each_value(&self, value: &mut Value, depth: usize, verdict: &mut Verdict) -> bool {
        if depth == 0 || verdict.blocked.is_some() {
            return false;
        }
        match value {
            Value::Object(fields) => fields.iter_mut().fold(false, |changed, (name, value)| {
                let of = match value {
                    Value::String(_) | Value::Number(_) => self.one_value(name, value, verdict),
                    _ => self.each_value(value, depth - 1, verdict),
                };
                of | changed
            }),
            Value::Array(all) => all.iter_mut().fold(false, |changed, value| {
                self.each_value(value, depth - 1, verdict) | changed
            }),
            Value::String(_) | Value::Number(_) => self.one_value("", value, verdict),
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn one_value(&self, name: &str, value: &mut Value, verdict: &mut Verdict) -> bool {
        let text = match &*value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // The name tells what a number is.
        let front = if name.is_empty() {
            String::new()
        } else {
            format!("{name}: ")
        };
        let shown = format!("{front}{text}");
        // What models say was asked of the arguments as a whole.
        let judged = self.guards.inspect_part(&shown, self.placeholders);
        verdict.flags.extend(judged.flags);
        if judged.blocked.is_some() {
            verdict.blocked = judged.blocked;
            return false;
        }
        let Some(rewritten) = judged.rewritten else {
            return false;
        };
        let rewritten = rewritten.strip_prefix(&front).unwrap_or(&rewritten);
        if rewritten == text {
            return false;
        }
        *value = Value::String(rewritten.to_owned());
        true
    }
}

/// Puts back into an answer what was replaced in the question; true when there was something.
pub fn restore(placeholders: &Placeholders, response: &mut ChatResponse) -> bool {
    if !placeholders.is_restorable() {
        return false;
    }
    text::rewrite_response(response, |location, text| {
        let json = match location.stage {
            // Its provider vouches for it as it is.
            TextStage::Thinking => return None,
            stage => stage == TextStage::ToolCall,
        };
        let restored = Restorer::whole(placeholders, text, json);
        (restored != text).then_some(restored)
    })
}

/// The same of a text that is shown beside an answer.
pub fn restored(placeholders: &Placeholders, text: &str) -> String {
    if placeholders.is_restorable() {
        Restorer::whole(placeholders, text, false)
    } else {
        text.to_owned()
    }
}

/// A block, as a failure.
pub fn refusal(block: &Block) -> Failure {
    if block.unjudged {
        let message = format!(
            "guardrail {:?} could not judge this: {}",
            block.guard, block.reason
        );
        let mut failure = Failure::new(FailureKind::Unavailable, message).coded("guardrail_unavailable");
        failure.retry_after = Some(COME_BACK);
        return failure;
    }
    Failure::new(
        FailureKind::PermissionDenied,
        format!("guardrail {:?} blocked this: {}", block.guard, block.reason),
    )
    .coded("guardrail_blocked")
}
