//! Guardrails that are heads of a model: jailbreaks and prompt injections, harmful content.

use std::time::Duration;

use crate::config::{Action, ClassifierConfig, OnError, Stage};
use crate::heard::{Heard, PATIENCE};

/// The threshold, when the configuration does not name one.
const POINT: &str = "fpr_1pct";
/// Names of thresholds.
const POINTS: [&str; 4] = ["fpr_0.1pct", POINT, "fpr_3pct", "balanced"];

/// A compiled guardrail.
#[derive(Debug)]
pub(crate) struct ClassifierGuard {
    pub(crate) head: &'static str,
    pub(crate) on_error: OnError,
    pub(crate) patience: Duration,
    point: String,
}

/// What a guardrail makes of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Nothing.
    Clean,
    /// It acts, and why.
    Acts(String),
    /// The model was not heard.
    Unheard,
}

impl ClassifierGuard {
    pub(crate) fn compile(
        head: &'static str,
        config: &ClassifierConfig,
    ) -> Result<Self, (&'static str, String)> {
        if config.on.contains(&Stage::Output) {
            let message = format!(
                "guardrails of type {head:?} judge whole texts and do not see answers, which come in pieces; use on: [input, tool_result]"
            );
            return Err(("on", message));
        }
        if config.action == Action::Redact {
            let message = format!(
                "guardrails of type {head:?} judge a text as a whole; use action: block, flag or route"
            );
            return Err(("action", message));
        }
        let point = config.operating_point.as_deref().unwrap_or(POINT);
        if !POINTS.contains(&point) {
            let message = format!(
                "there is no operating point {point:?}; there are {}",
                POINTS.join(", ")
            );
            return Err(("operating_point", message));
        }
        Ok(Self {
            head,
            on_error: config.on_error,
            patience: config.timeout.map_or(PATIENCE, |timeout| timeout.get()),
            point: point.to_owned(),
        })
    }

    /// Judges a text by what was heard of it, and of every way in which it can be read.
    pub(crate) fn judge(&self, text: &str, heard: &Heard) -> Judged {
        let Some(said) = heard.of(text) else {
            return Judged::Unheard;
        };
        let answers = said.answers.iter().filter(|answer| answer.head == self.head);
        let worst = answers
            .filter_map(|answer| answer.point(&self.point))
            .find(|point| point.holds);
        match worst {
            Some(point) => Judged::Acts(format!("{} by {} at {}", point.label, self.head, point.name)),
            None => Judged::Clean,
        }
    }
}
