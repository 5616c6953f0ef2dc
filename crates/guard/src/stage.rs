//! Guardrails in their order, over the texts of a stage.

use std::sync::Arc;

use crate::config::{Action, GuardrailConfig, Stage};
use crate::regex::{Flowing, RegexGuard};

/// All guardrails, by stage.
#[derive(Debug, Default)]
pub struct Guards {
    input: StageGuards,
    tool_result: StageGuards,
    output: StageGuards,
}

/// The guardrails of one stage, in the order of the configuration.
#[derive(Debug, Default)]
pub struct StageGuards {
    guards: Vec<Arc<RegexGuard>>,
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
            match config {
                GuardrailConfig::Regex(config) => match RegexGuard::compile(config) {
                    Ok(_) if config.on.is_empty() => {
                        let message = "say which texts it sees: [input], [output], [tool_result]".to_owned();
                        errors.push(CompileError {
                            index,
                            field: "on",
                            message,
                        });
                    }
                    Ok(guard) => {
                        let guard = Arc::new(guard);
                        for stage in &config.on {
                            guards.stage_mut(*stage).guards.push(Arc::clone(&guard));
                        }
                    }
                    Err((field, message)) => errors.push(CompileError {
                        index,
                        field,
                        message,
                    }),
                },
                GuardrailConfig::Pii(_) => errors.push(unsupported(index, "pii")),
                GuardrailConfig::Jailbreak(_) => errors.push(unsupported(index, "jailbreak")),
                GuardrailConfig::Presidio(_) => errors.push(unsupported(index, "presidio")),
            }
        }
        if errors.is_empty() {
            Ok(guards)
        } else {
            Err(errors)
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

fn unsupported(index: usize, kind: &str) -> CompileError {
    let message = format!("guardrails of type {kind:?} are not supported in this version; use type: regex");
    CompileError {
        index,
        field: "type",
        message,
    }
}

impl StageGuards {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Judges a whole text.
    #[must_use]
    pub fn inspect(&self, text: &str) -> Verdict {
        let mut verdict = Verdict::default();
        for guard in &self.guards {
            let found = guard.inspect(verdict.rewritten.as_deref().unwrap_or(text));
            if !found.matched {
                continue;
            }
            match guard.action {
                Action::Block => {
                    verdict.blocked = Some(matched(guard));
                    return verdict;
                }
                Action::Redact => verdict.rewritten = found.rewritten.or(verdict.rewritten),
                Action::Flag => verdict.flags.push(Flag {
                    guard: guard.name.clone(),
                }),
            }
        }
        verdict
    }

    /// Judges a text that comes in pieces.
    #[must_use]
    pub fn stream(&self) -> StreamGuard {
        StreamGuard {
            chain: self
                .guards
                .iter()
                .map(|guard| Flowing::new(Arc::clone(guard)))
                .collect(),
            over: false,
        }
    }
}

fn matched(guard: &RegexGuard) -> Block {
    Block {
        guard: guard.name.clone(),
        reason: "a denied pattern occurs".to_owned(),
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
                (Action::Block, Ok(())) if flowing.matched => Some(matched(guard)),
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
