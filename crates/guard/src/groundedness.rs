//! Answers held against what they may go by: which parts nothing supports.

use std::sync::Arc;
use std::time::Duration;

use pointsman_semantics::grounded::{Context, Detector, Point};
use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Action, OnError, Stage};
use crate::grounds::{Given, Grounds};
use crate::heard::PATIENCE;
use crate::stage::{StageGuards, Wrong};

/// Bytes of texts that are read at once; longer ones are read by a thread that may take its time.
const AT_ONCE: usize = 32 * 1024;

/// Answers that say more than the texts they go by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroundednessConfig {
    /// Its name, told when it acts.
    pub name: String,
    /// Which texts it sees: `output`.
    pub on: Vec<Stage>,
    /// What it does: `block`, `redact` or `flag`.
    pub action: Action,
    /// It goes with `action: route`, which this guardrail has not.
    pub to: Option<String>,
    /// Whether it acts on all requests (when absent), or only where a model, a decision, a team or a key names it.
    pub default_on: Option<bool>,
    /// It judges and changes nothing: what it would have done is noted.
    pub dry_run: bool,
    /// The share of requests that it sees, in percent; all when absent.
    #[schemars(range(min = 1, max = 100))]
    pub sample: Option<u8>,
    /// What answers may go by; results of tools and documents when empty.
    pub context: Vec<Given>,
    /// How sure a find must be, by the share of grounded answers in which something is found all the same: `fpr_1pct`,
    /// `fpr_3pct` (when absent), `fpr_10pct`.
    pub operating_point: Option<String>,
    /// What happens to an answer where there is nothing that it may go by.
    pub without_context: WithoutContext,
    /// With `redact`: what stands in the place of a part that nothing supports; `[unsupported]` when absent.
    pub replacement: Option<String>,
    /// What happens to an answer that could not be judged: its context is longer than what is read, or was not read in time.
    pub on_error: OnError,
    /// How long reading the context may take; 2 s when absent.
    pub timeout: Option<HumanDuration>,
}

/// What happens to an answer where there is nothing that it may go by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WithoutContext {
    /// It goes on.
    #[default]
    Pass,
    /// The guardrail acts on all of it.
    Act,
}

/// A compiled guardrail.
#[derive(Debug)]
pub(crate) struct GroundednessGuard {
    pub(crate) on_error: OnError,
    detector: Arc<Detector>,
    context: Vec<Given>,
    point: Point,
    without: WithoutContext,
    replacement: String,
    redacts: bool,
    patience: Duration,
}

/// What there is to go by, read for one guardrail.
#[derive(Debug, Clone)]
pub(crate) enum Ground {
    /// This.
    Read(Arc<Context>, Arc<Context>),
    /// Nothing.
    Nothing,
    /// It could not be read.
    Unread,
}

/// What the guardrail makes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// All of it is supported.
    Supported,
    /// It acts: why, and the answer without the parts.
    Acts(String, Option<String>),
    /// It could not be judged.
    Unjudged,
}

impl GroundednessGuard {
    pub(crate) fn compile(config: &GroundednessConfig, action: Action) -> Result<Self, Wrong> {
        if config.on != [Stage::Output] {
            let message = "guardrails of type \"groundedness\" judge answers; use on: [output]";
            return Err(("on", message.to_owned()));
        }
        let named = config.operating_point.as_deref().map(|name| {
            Point::named(name).ok_or_else(|| {
                let known = Point::ALL.map(Point::name).join(", ");
                let message = format!("there is no operating point {name:?}; there are {known}");
                ("operating_point", message)
            })
        });
        let point = named.transpose()?.unwrap_or_default();
        let detector = Detector::shipped().map_err(|error| ("type", error.to_string()))?;
        let context = if config.context.is_empty() {
            vec![Given::ToolResult, Given::Document]
        } else {
            config.context.clone()
        };
        if config.replacement.is_some() && config.action != Action::Redact {
            return Err(("replacement", "it goes with action: redact".to_owned()));
        }
        Ok(Self {
            on_error: config.on_error,
            detector,
            context,
            point,
            without: config.without_context,
            replacement: config
                .replacement
                .clone()
                .unwrap_or_else(|| "[unsupported]".to_owned()),
            redacts: action == Action::Redact,
            patience: config.timeout.map_or(PATIENCE, |timeout| timeout.get()),
        })
    }

    /// Reads what there is to go by.
    pub(crate) async fn read(&self, grounds: Option<&Grounds>) -> Ground {
        let Some(grounds) = grounds else {
            return Ground::Nothing;
        };
        let texts: Vec<Arc<str>> = grounds.of(&self.context).map(Arc::clone).collect();
        if texts.iter().all(|text| text.trim().is_empty()) {
            return Ground::Nothing;
        }
        let question = Arc::clone(&grounds.question);
        let detector = Arc::clone(&self.detector);
        let length: usize = texts.iter().map(|text| text.len()).sum();
        let read = move || {
            let context = detector.read(texts.iter().map(|text| &**text));
            let question = detector.read([&*question]);
            (Arc::new(context), Arc::new(question))
        };
        let read = if length + grounds.question.len() <= AT_ONCE {
            Some(read())
        } else {
            let reading = tokio::task::spawn_blocking(read);
            let read = tokio::time::timeout(self.patience, reading).await;
            read.ok().and_then(Result::ok)
        };
        match read {
            Some((context, question)) if !context.is_cut() => Ground::Read(context, question),
            _ => Ground::Unread,
        }
    }

    /// Judges an answer, or a part of one.
    pub(crate) fn judge(&self, answer: &str, ground: &Ground) -> Held {
        let (context, question) = match ground {
            Ground::Read(context, question) => (context, question),
            Ground::Unread => return Held::Unjudged,
            Ground::Nothing => {
                return match self.without {
                    WithoutContext::Pass => Held::Supported,
                    WithoutContext::Act if answer.trim().is_empty() => Held::Supported,
                    WithoutContext::Act => Held::Acts(NOTHING.to_owned(), None),
                };
            }
        };
        let judged = self.detector.judge(context, question, answer, self.point);
        if judged.is_grounded() {
            return if judged.cut {
                Held::Unjudged
            } else {
                Held::Supported
            };
        }
        let reason = match judged.spans.len() {
            1 => "a part of the answer that its context does not support".to_owned(),
            count => format!("{count} parts of the answer that its context does not support"),
        };
        let rewritten = self.redacts.then(|| {
            let mut rewritten = String::with_capacity(answer.len());
            let mut at = 0;
            for span in &judged.spans {
                rewritten.push_str(answer.get(at..span.at.start).unwrap_or_default());
                rewritten.push_str(&self.replacement);
                at = span.at.end;
            }
            rewritten.push_str(answer.get(at..).unwrap_or_default());
            rewritten
        });
        Held::Acts(reason, rewritten)
    }
}

/// Why it acts where there is nothing to go by.
const NOTHING: &str = "there is nothing in the request that supports the answer";

impl StageGuards {
    /// Reads what answers may go by, for each guardrail that holds them against it.
    pub(crate) async fn grounds(&self, grounds: Option<&Grounds>) -> Vec<(usize, Ground)> {
        let mut read = Vec::new();
        for (at, guard) in self.grounded() {
            read.push((at, guard.read(grounds).await));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grounds(text: &str) -> Grounds {
        Grounds {
            texts: vec![(Given::ToolResult, text.into())],
            question: "When does it open?".into(),
        }
    }

    fn guard(
        change: impl FnOnce(&mut GroundednessConfig),
        action: Action,
    ) -> Result<GroundednessGuard, Wrong> {
        let mut config = GroundednessConfig {
            name: "grounded".into(),
            on: vec![Stage::Output],
            action,
            ..GroundednessConfig::default()
        };
        change(&mut config);
        GroundednessGuard::compile(&config, action)
    }

    const TEXT: &str = "The museum in Bern opens at 10:00 and closes at 18:00. Tickets cost 14 francs; children under \
                        six are free. Guided tours start at noon on Sundays.";

    #[tokio::test]
    async fn parts_that_nothing_supports_are_replaced() {
        let guard = guard(|_| {}, Action::Redact).unwrap();
        let ground = guard.read(Some(&grounds(TEXT))).await;
        let held = guard.judge(
            "The museum in Bern opens at 10:00. Tickets cost 25 francs.",
            &ground,
        );
        let Held::Acts(reason, Some(rewritten)) = held else {
            panic!("{held:?}")
        };
        assert_eq!(reason, "a part of the answer that its context does not support");
        assert!(
            rewritten.contains("[unsupported]") && !rewritten.contains("25"),
            "{rewritten}"
        );
        assert!(rewritten.starts_with("The museum in Bern opens at 10:00. "));
        let held = guard.judge(
            "The museum in Bern opens at 10:00, and tickets cost 14 francs.",
            &ground,
        );
        assert_eq!(held, Held::Supported);
    }

    #[tokio::test]
    async fn without_anything_to_go_by_it_passes_unless_it_shall_act() {
        let user = Grounds {
            texts: vec![(Given::User, TEXT.into())],
            question: "".into(),
        };
        let passes = guard(|_| {}, Action::Block).unwrap();
        let ground = passes.read(Some(&user)).await;
        assert_eq!(passes.judge("It opens at noon.", &ground), Held::Supported);
        let acts = guard(
            |config| config.without_context = WithoutContext::Act,
            Action::Block,
        )
        .unwrap();
        let ground = acts.read(None).await;
        assert!(matches!(acts.judge("It opens at noon.", &ground), Held::Acts(..)));
        let reads = guard(|config| config.context = vec![Given::User], Action::Block).unwrap();
        let ground = reads.read(Some(&user)).await;
        assert!(matches!(
            reads.judge("Tickets cost 25 francs.", &ground),
            Held::Acts(..)
        ));
    }

    #[tokio::test]
    async fn a_context_that_is_too_long_leaves_the_answer_unjudged() {
        let guard = guard(|_| {}, Action::Block).unwrap();
        let long = "word ".repeat(70_000);
        let ground = guard.read(Some(&grounds(&long))).await;
        assert_eq!(guard.judge("word", &ground), Held::Unjudged);
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        let on = guard(|config| config.on = vec![Stage::Input], Action::Block);
        assert_eq!(on.unwrap_err().0, "on");
        let point = guard(
            |config| config.operating_point = Some("balanced".into()),
            Action::Block,
        );
        assert_eq!(point.unwrap_err().0, "operating_point");
        let put = guard(|config| config.replacement = Some("?".into()), Action::Block);
        assert_eq!(put.unwrap_err().0, "replacement");
    }
}
