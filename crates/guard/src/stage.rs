//! Guardrails in their order, over the texts of a stage.

use std::sync::Arc;

use crate::config::{Action, GuardrailConfig, PiiConfig, RegexConfig, Stage};
use crate::pii::PiiGuard;
use crate::placeholder::Placeholders;
use crate::regex::{Flowing, RegexGuard};

/// All guardrails, by stage.
#[derive(Debug, Default)]
pub struct Guards {
    input: StageGuards,
    tool_result: StageGuards,
    output: StageGuards,
    /// One of them wants placeholders back.
    restores: bool,
}

/// The guardrails of one stage, in the order of the configuration.
#[derive(Debug, Default)]
pub struct StageGuards {
    guards: Vec<Guard>,
}

/// A guardrail of any kind.
#[derive(Debug, Clone)]
enum Guard {
    Regex(Arc<RegexGuard>),
    Pii(Arc<PiiGuard>),
}

/// What is wrong with a guardrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Which one.
    pub index: usize,
    /// Which of its fields.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
}

/// What the guardrails say of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It must not go on.
    pub blocked: Option<Block>,
    /// It must go on like this.
    pub rewritten: Option<String>,
    /// What was noted.
    pub flags: Vec<Flag>,
}

/// Why a text must not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The guardrail.
    pub guard: String,
    /// Why.
    pub reason: String,
}

/// Something noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The guardrail.
    pub guard: String,
}

/// What may go on of a text that comes in pieces.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The text that may.
    pub release: String,
    /// Nothing more may.
    pub blocked: Option<Block>,
    /// What was noted.
    pub flags: Vec<Flag>,
}

impl Guards {
    /// Compiles the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(configs: &[GuardrailConfig]) -> Result<Self, Vec<CompileError>> {
        let mut guards = Self::default();
        let mut errors = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let added = match config {
                GuardrailConfig::Regex(config) => guards.add_regex(config),
                GuardrailConfig::Pii(config) => guards.add_pii(config),
                GuardrailConfig::Jailbreak(_) => Err(unsupported("jailbreak")),
                GuardrailConfig::Presidio(_) => Err(unsupported("presidio")),
            };
            if let Err((field, message)) = added {
                errors.push(CompileError {
                    index,
                    field,
                    message,
                });
            }
        }
        if errors.is_empty() {
            Ok(guards)
        } else {
            Err(errors)
        }
    }

    fn add_regex(&mut self, config: &RegexConfig) -> Result<(), Wrong> {
        let guard = Guard::Regex(Arc::new(RegexGuard::compile(config)?));
        self.add(&guard, &config.on)
    }

    fn add_pii(&mut self, config: &PiiConfig) -> Result<(), Wrong> {
        if config.on.contains(&Stage::Output) {
            let message = "guardrails of type \"pii\" do not see answers in this version; use on: [input, tool_result], or type: regex for answers";
            return Err(("on", message.to_owned()));
        }
        if config.restore && config.action != Action::Redact {
            let message = "there is nothing to put back: restore goes with action: redact";
            return Err(("restore", message.to_owned()));
        }
        let guard = Guard::Pii(Arc::new(PiiGuard::compile(config)?));
        self.restores |= config.restore;
        self.add(&guard, &config.on)
    }

    fn add(&mut self, guard: &Guard, on: &[Stage]) -> Result<(), Wrong> {
        if on.is_empty() {
            let message = "say which texts it sees: [input], [output], [tool_result]";
            return Err(("on", message.to_owned()));
        }
        for stage in on {
            self.stage_mut(*stage).guards.push(guard.clone());
        }
        Ok(())
    }

    /// A book for the placeholders of one request.
    #[must_use]
    pub fn placeholders(&self) -> Placeholders {
        if self.restores {
            Placeholders::new()
        } else {
            Placeholders::default()
        }
    }

    /// The guardrails of a stage.
    #[must_use]
    pub fn for_stage(&self, stage: Stage) -> &StageGuards {
        match stage {
            Stage::Input => &self.input,
            Stage::ToolResult => &self.tool_result,
            Stage::Output => &self.output,
        }
    }

    fn stage_mut(&mut self, stage: Stage) -> &mut StageGuards {
        match stage {
            Stage::Input => &mut self.input,
            Stage::ToolResult => &mut self.tool_result,
            Stage::Output => &mut self.output,
        }
    }
}

/// What is wrong: the field, and why.
type Wrong = (&'static str, String);

fn unsupported(kind: &str) -> Wrong {
    let message =
        format!("guardrails of type {kind:?} are not supported in this version; use type: regex or pii");
    ("type", message)
}

impl StageGuards {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Judges a whole text. What is replaced by placeholders is noted in the book.
    #[must_use]
    pub fn inspect(&self, text: &str, placeholders: &Placeholders) -> Verdict {
        let mut verdict = Verdict::default();
        for guard in &self.guards {
            let seen = verdict.rewritten.as_deref().unwrap_or(text);
            let (reason, rewritten) = match guard {
                Guard::Regex(guard) => {
                    let found = guard.inspect(seen);
                    (found.matched.then(|| PATTERN.to_owned()), found.rewritten)
                }
                Guard::Pii(guard) => {
                    let found = guard.inspect(seen, placeholders);
                    (found.reason(), found.rewritten)
                }
            };
            let Some(reason) = reason else {
                continue;
            };
            let (name, action) = guard.named();
            match action {
                Action::Block => {
                    verdict.blocked = Some(Block {
                        guard: name.to_owned(),
                        reason,
                    });
                    return verdict;
                }
                Action::Redact => verdict.rewritten = rewritten.or(verdict.rewritten),
                Action::Flag => verdict.flags.push(Flag {
                    guard: name.to_owned(),
                }),
            }
        }
        verdict
    }

    /// Judges a text that comes in pieces.
    #[must_use]
    pub fn stream(&self) -> StreamGuard {
        StreamGuard {
            chain: self.guards.iter().filter_map(Guard::flowing).collect(),
            over: false,
        }
    }
}

/// Why a denied pattern is a reason.
const PATTERN: &str = "a denied pattern occurs";

impl Guard {
    fn named(&self) -> (&str, Action) {
        match self {
            Self::Regex(guard) => (&guard.name, guard.action),
            Self::Pii(guard) => (&guard.name, guard.action),
        }
    }

    /// Its way with a text in pieces; those that have none are refused for answers.
    fn flowing(&self) -> Option<Flowing> {
        match self {
            Self::Regex(guard) => Some(Flowing::new(Arc::clone(guard))),
            Self::Pii(_) => None,
        }
    }
}

/// A text that comes in pieces, on its way through all guardrails of a stage.
#[derive(Debug)]
pub struct StreamGuard {
    chain: Vec<Flowing>,
    over: bool,
}

impl StreamGuard {
    /// Takes a piece in and says what may go on.
    pub fn push(&mut self, piece: &str) -> Step {
        self.flow(piece.to_owned(), false)
    }

    /// The text has ended: the rest may go on, or nothing more.
    pub fn finish(&mut self) -> Step {
        self.flow(String::new(), true)
    }

    fn flow(&mut self, piece: String, ended: bool) -> Step {
        let mut step = Step {
            release: piece,
            ..Step::default()
        };
        if self.over {
            step.release.clear();
            return step;
        }
        for flowing in &mut self.chain {
            let seen = flowing.matched;
            let mut out = String::new();
            let pushed = flowing.push(&step.release, &mut out);
            if ended && pushed.is_ok() {
                flowing.finish(&mut out);
            }
            step.release = out;
            let guard = flowing.guard();
            let blocked = match (guard.action, pushed) {
                (Action::Block, Ok(())) if flowing.matched => Some(Block {
                    guard: guard.name.clone(),
                    reason: PATTERN.to_owned(),
                }),
                (Action::Block | Action::Redact, Err(_)) => Some(Block {
                    guard: guard.name.clone(),
                    reason: "more text had to be held back than max_hold_bytes allows".to_owned(),
                }),
                _ => None,
            };
            if let Some(block) = blocked {
                self.over = true;
                step.release.clear();
                step.blocked = Some(block);
                return step;
            }
            if guard.action == Action::Flag && flowing.matched && !seen {
                step.flags.push(Flag {
                    guard: guard.name.clone(),
                });
            }
        }
        step
    }
}
