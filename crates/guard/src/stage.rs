//! Guardrails in their order, over the texts of a stage.

use std::sync::Arc;

use pointsman_understanding::Understanding;

use crate::classifier::{ClassifierGuard, Judged};
use crate::config::{Action, ClassifierConfig, GuardrailConfig, OnError, PiiConfig, RegexConfig, Stage};
use crate::heard::{Asking, Heard, Texts};
use crate::pii::{PiiFlow, PiiGuard};
use crate::placeholder::Placeholders;
use crate::regex::{Flowing, RegexGuard};
use crate::stream::{Link, StreamGuard};

/// All guardrails, by stage.
#[derive(Debug, Default)]
pub struct Guards {
    input: StageGuards,
    tool_result: StageGuards,
    output: StageGuards,
    /// One of them puts placeholders into texts.
    replaces: bool,
    /// One of them wants them back.
    restores: bool,
}

/// The guardrails of one stage, in the order of the configuration.
#[derive(Debug, Default)]
pub struct StageGuards {
    guards: Vec<Guard>,
    /// What models are asked before.
    asking: Asking,
    /// Its texts come in pieces, and a whole one is judged as if it did.
    flows: bool,
}

/// A guardrail of any kind.
#[derive(Debug, Clone)]
enum Guard {
    Regex(Arc<RegexGuard>),
    Pii(Arc<PiiGuard>),
    Classifier(Arc<ClassifierGuard>),
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
    /// It could not be judged: it may pass another time.
    pub unjudged: bool,
}

/// Something noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The guardrail.
    pub guard: String,
}

impl Guards {
    /// Compiles the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(configs: &[GuardrailConfig]) -> Result<Self, Vec<CompileError>> {
        let mut guards = Self::default();
        guards.output.flows = true;
        let mut errors = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let added = match config {
                GuardrailConfig::Regex(config) => guards.add_regex(config),
                GuardrailConfig::Pii(config) => guards.add_pii(config),
                GuardrailConfig::Jailbreak(config) => guards.add_classifier("jailbreak", config),
                GuardrailConfig::Harmful(config) => guards.add_classifier("harmful", config),
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
        if config.restore && config.action != Action::Redact {
            let message = "there is nothing to put back: restore goes with action: redact";
            return Err(("restore", message.to_owned()));
        }
        if config.restore && !config.on.iter().any(|stage| *stage != Stage::Output) {
            let message = "only what was replaced on its way in is put back: restore goes with on: [input] or [tool_result]";
            return Err(("restore", message.to_owned()));
        }
        let guard = Guard::Pii(Arc::new(PiiGuard::compile(config)?));
        self.replaces |= config.action == Action::Redact;
        self.restores |= config.restore;
        self.add(&guard, &config.on)
    }

    fn add_classifier(&mut self, head: &'static str, config: &ClassifierConfig) -> Result<(), Wrong> {
        let guard = Guard::Classifier(Arc::new(ClassifierGuard::compile(head, config)?));
        self.add(&guard, &config.on)
    }

    fn add(&mut self, guard: &Guard, on: &[Stage]) -> Result<(), Wrong> {
        if on.is_empty() {
            let message = "say which texts it sees: [input], [output], [tool_result]";
            return Err(("on", message.to_owned()));
        }
        for stage in on {
            let of_stage = self.stage_mut(*stage);
            match guard {
                Guard::Pii(guard) if guard.asks(*stage) => of_stage.asking.add_entities(guard.patience),
                Guard::Classifier(guard) => of_stage.asking.add_head(guard.head, guard.patience),
                Guard::Pii(_) | Guard::Regex(_) => {}
            }
            of_stage.guards.push(guard.clone());
        }
        Ok(())
    }

    /// Whether something is put back into answers.
    #[must_use]
    pub fn restores(&self) -> bool {
        self.restores
    }

    /// The heads that models are asked for, and `pii` where they are asked for personal data.
    pub fn heads(&self) -> impl Iterator<Item = &str> {
        let stages = [&self.input, &self.tool_result].into_iter();
        stages.flat_map(|stage| {
            let pii = stage.asking.entities.then_some("pii");
            stage.asking.heads.iter().map(String::as_str).chain(pii)
        })
    }

    /// A book for the placeholders of one request.
    #[must_use]
    pub fn placeholders(&self) -> Placeholders {
        if self.replaces {
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
    let message = format!(
        "guardrails of type {kind:?} are not supported in this version; use type: regex, pii, jailbreak or harmful"
    );
    ("type", message)
}

impl StageGuards {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Whether models must be asked before.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.asking.is_empty()
    }

    /// Whether one of them puts something else into texts.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.guards.iter().any(|guard| guard.named().1 == Action::Redact)
    }

    /// Asks models about texts, before they are judged.
    pub async fn hear(&self, understanding: &Understanding, texts: Texts) -> Heard {
        Heard::ask(&self.asking, understanding, texts).await
    }

    /// Judges a whole text, of which models said what was `heard`. What is replaced by placeholders is noted in the book.
    #[must_use]
    pub fn inspect(&self, text: &str, heard: &Heard, placeholders: &Placeholders) -> Verdict {
        let mut verdict = Verdict::default();
        for guard in &self.guards {
            let seen = verdict.rewritten.as_deref().unwrap_or(text);
            let opinion = match guard {
                Guard::Regex(guard) => Opinion::of_pattern(guard.inspect(seen)),
                Guard::Pii(guard) if self.flows => Opinion::of_data(whole(guard, seen, placeholders)),
                Guard::Pii(guard) => Opinion::of_data(guard.inspect(seen, (text, heard), placeholders)),
                Guard::Classifier(guard) => match guard.judge(text, heard) {
                    Judged::Clean => Opinion::default(),
                    Judged::Acts(reason) => Opinion::because(reason),
                    Judged::Unheard => Opinion {
                        unheard: true,
                        ..Opinion::default()
                    },
                },
            };
            if verdict.take(guard, opinion) {
                return verdict;
            }
        }
        verdict
    }

    /// Judges a part of a text about which models were asked as a whole: only by those that need none.
    #[must_use]
    pub fn inspect_part(&self, part: &str, placeholders: &Placeholders) -> Verdict {
        let mut verdict = Verdict::default();
        for guard in &self.guards {
            let seen = verdict.rewritten.as_deref().unwrap_or(part);
            let opinion = match guard {
                Guard::Regex(guard) => Opinion::of_pattern(guard.inspect(seen)),
                Guard::Pii(guard) if self.flows => Opinion::of_data(whole(guard, seen, placeholders)),
                Guard::Pii(guard) => Opinion::of_data(guard.inspect_part(seen, placeholders)),
                Guard::Classifier(_) => continue,
            };
            if verdict.take(guard, opinion) {
                break;
            }
        }
        verdict
    }

    /// Judges a text that comes in pieces.
    #[must_use]
    pub fn stream(&self, placeholders: &Placeholders) -> StreamGuard {
        StreamGuard::new(
            self.guards
                .iter()
                .filter_map(|guard| guard.flowing(placeholders))
                .collect(),
        )
    }
}

/// What one guardrail makes of a text.
#[derive(Debug, Default)]
struct Opinion {
    /// It acts, and why.
    reason: Option<String>,
    rewritten: Option<String>,
    /// A model was to be asked, and was not heard.
    unheard: bool,
}

impl Opinion {
    fn because(reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..Self::default()
        }
    }

    fn of_pattern(found: crate::regex::Found) -> Self {
        Self {
            reason: found.matched.then(|| PATTERN.to_owned()),
            rewritten: found.rewritten,
            unheard: false,
        }
    }

    fn of_data(found: crate::pii::Found) -> Self {
        Self {
            reason: found.reason(),
            unheard: found.unheard,
            rewritten: found.rewritten,
        }
    }
}

/// A whole text as if it came in pieces, so that both ways agree.
fn whole(guard: &Arc<PiiGuard>, text: &str, placeholders: &Placeholders) -> crate::pii::Found {
    let Some(mut flow) = PiiFlow::new(Arc::clone(guard), placeholders) else {
        return guard.inspect_part(text, placeholders);
    };
    let mut out = String::with_capacity(text.len());
    flow.push(text, true, &mut out);
    let mut found = flow.found();
    found.rewritten = (guard.action == Action::Redact && !found.entities.is_empty()).then_some(out);
    found
}

impl Verdict {
    /// Takes what a guardrail says; true when nothing more counts.
    fn take(&mut self, guard: &Guard, opinion: Opinion) -> bool {
        let (name, action) = guard.named();
        if opinion.unheard {
            if guard.on_error() == OnError::Block && action != Action::Flag {
                self.blocked = Some(Block {
                    guard: name.to_owned(),
                    reason: UNHEARD.to_owned(),
                    unjudged: true,
                });
                return true;
            }
            self.flags.push(Flag {
                guard: format!("{name}:unjudged"),
            });
        }
        let Some(reason) = opinion.reason else {
            return false;
        };
        match action {
            Action::Block => {
                self.blocked = Some(Block {
                    guard: name.to_owned(),
                    reason,
                    unjudged: false,
                });
                return true;
            }
            Action::Redact => self.rewritten = opinion.rewritten.or(self.rewritten.take()),
            Action::Flag => self.flags.push(Flag {
                guard: name.to_owned(),
            }),
        }
        false
    }
}

/// Why a denied pattern is a reason.
pub(crate) const PATTERN: &str = "a denied pattern occurs";
/// Why a text goes nowhere that nobody could judge.
const UNHEARD: &str = "its model could not be asked, or did not answer in time";

impl Guard {
    fn named(&self) -> (&str, Action) {
        match self {
            Self::Regex(guard) => (&guard.name, guard.action),
            Self::Pii(guard) => (&guard.name, guard.action),
            Self::Classifier(guard) => (&guard.name, guard.action),
        }
    }

    fn on_error(&self) -> OnError {
        match self {
            Self::Regex(_) => OnError::Block,
            Self::Pii(guard) => guard.on_error,
            Self::Classifier(guard) => guard.on_error,
        }
    }

    /// Its way with a text in pieces; those that have none are refused for answers.
    fn flowing(&self, placeholders: &Placeholders) -> Option<Link> {
        match self {
            Self::Regex(guard) => Some(Link::Regex(Box::new(Flowing::new(Arc::clone(guard))))),
            Self::Pii(guard) => {
                PiiFlow::new(Arc::clone(guard), placeholders).map(|flow| Link::Pii(Box::new(flow)))
            }
            Self::Classifier(_) => None,
        }
    }
}
