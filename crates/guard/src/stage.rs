//! The guardrails of a stage in their order, over one text.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_understanding::Understanding;
use serde_json::Value;

use crate::arguments;
use crate::classifier::{ClassifierGuard, Judged};
use crate::config::{Action, OnError, Stage};
use crate::groundedness::{Ground, GroundednessGuard, Held};
use crate::heard::{Asking, Heard};
use crate::pii::{PiiFlow, PiiGuard};
use crate::placeholder::Placeholders;
use crate::regex::{Flowing, RegexGuard};
use crate::remote::{Finding, RemoteGuard, Unjudged};
use crate::stream::{Link, StreamGuard};
use crate::tally::{Done, Tally};
use crate::texts::Sort;
use crate::topics::{About, TopicsGuard};

/// The guardrails of one stage, in the order of the configuration.
#[derive(Debug, Default)]
pub struct StageGuards {
    pub(crate) guards: Vec<Guard>,
    /// What models are asked before.
    pub(crate) asking: Asking,
    /// Which of them judge without waiting in between: each leg begins with services that are asked together.
    pub(crate) legs: Vec<Range<usize>>,
    /// Its texts come in pieces, and a whole one is judged as if it did.
    pub(crate) flows: bool,
    /// Which one.
    pub(crate) stage: Option<Stage>,
}

/// A guardrail, and what it does when it acts.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) kind: Kind,
    pub(crate) manner: Arc<Manner>,
}

/// What a guardrail is called, and what it does when it acts.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) name: Arc<str>,
    pub(crate) action: Action,
    /// What is noted when it flags.
    pub(crate) flag: String,
    /// The model that answers instead.
    pub(crate) to: Option<String>,
    /// The share of requests that it sees, in percent.
    pub(crate) sample: u8,
    /// Whether it acts where nobody names it.
    pub(crate) default_on: bool,
    /// Which texts it sees.
    pub(crate) on: Vec<Stage>,
}

/// A guardrail of any kind.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Regex(Arc<RegexGuard>),
    Pii(Arc<PiiGuard>),
    Classifier(Arc<ClassifierGuard>),
    Remote(Arc<RemoteGuard>),
    Grounded(Arc<GroundednessGuard>),
    Topics(Arc<TopicsGuard>),
}

/// What is wrong: the field, and why.
pub(crate) type Wrong = (&'static str, String);

/// What the guardrails say of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It must not go on.
    pub blocked: Option<Block>,
    /// It must go on like this.
    pub rewritten: Option<String>,
    /// Another model has to answer.
    pub rerouted: Option<String>,
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

/// A text with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'c> {
    /// As the guardrails before have left it.
    pub(crate) text: &'c str,
    /// As it came, and as models were asked about it.
    pub(crate) came: &'c str,
    pub(crate) sort: Sort,
    pub(crate) stage: Stage,
    /// It is several texts read as one: there is nothing in it to be replaced.
    pub(crate) joined: bool,
    pub(crate) heard: &'c Heard,
    /// What services say of it, by their place among the guardrails.
    pub(crate) findings: &'c [(usize, Result<Finding, Unjudged>)],
    /// What an answer may go by, by the guardrails' places.
    pub(crate) grounds: &'c [(usize, Ground)],
}

/// What a text's replacements and notes go into.
pub(crate) struct Books<'b> {
    pub(crate) placeholders: &'b Placeholders,
    pub(crate) tally: &'b mut Tally,
}

impl StageGuards {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Whether one of them puts something else into texts.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.guards
            .iter()
            .any(|guard| guard.manner.action == Action::Redact)
    }

    /// Whether a whole text must be there before it can be judged: somebody is asked about it, or it is held against others.
    #[must_use]
    pub fn waits(&self) -> bool {
        let waits =
            |guard: &Guard| matches!(guard.kind, Kind::Remote(_) | Kind::Grounded(_) | Kind::Topics(_));
        self.guards.iter().any(waits)
    }

    /// Whether one of them holds answers against what they may go by.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.grounded().next().is_some()
    }

    /// Those that hold answers against what they may go by, with their places.
    pub(crate) fn grounded(&self) -> impl Iterator<Item = (usize, &Arc<GroundednessGuard>)> {
        self.guards
            .iter()
            .enumerate()
            .filter_map(|(at, guard)| match &guard.kind {
                Kind::Grounded(grounded) => Some((at, grounded)),
                _ => None,
            })
    }

    /// Has those who compare with examples read them.
    pub(crate) async fn prepare(&self, understanding: &Understanding) {
        for guard in &self.guards {
            if let Kind::Topics(topics) = &guard.kind {
                topics.prepare(understanding).await;
            }
        }
    }

    /// Judges a whole text, of which models said what was `heard`. What is replaced by placeholders is noted in the book.
    #[must_use]
    pub fn inspect(&self, text: &str, heard: &Heard, placeholders: &Placeholders) -> Verdict {
        let case = Case {
            text,
            came: text,
            sort: Sort::Foreign,
            stage: self.stage.unwrap_or(Stage::Input),
            joined: false,
            heard,
            findings: &[],
            grounds: &[],
        };
        let mut tally = Tally::default();
        let mut books = Books {
            placeholders,
            tally: &mut tally,
        };
        self.judge(0..self.guards.len(), &case, &mut books)
    }

    /// Judges a whole text of a stream about which nobody has to be asked.
    #[must_use]
    pub fn inspect_sort(
        &self,
        text: &str,
        sort: Sort,
        placeholders: &Placeholders,
        tally: &mut Tally,
    ) -> Verdict {
        let case = Case {
            text,
            came: text,
            sort,
            stage: self.stage.unwrap_or(Stage::Output),
            joined: false,
            heard: &Heard::default(),
            findings: &[],
            grounds: &[],
        };
        self.judge(0..self.guards.len(), &case, &mut Books { placeholders, tally })
    }

    /// Judges a text by some of the guardrails.
    pub(crate) fn judge(&self, which: Range<usize>, case: &Case<'_>, books: &mut Books<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        // Arguments as services leave them are JSON: what other guardrails break is mended from there.
        let mut intact: Option<String> = None;
        for at in which.clone() {
            let Some(guard) = self.guards.get(at).filter(|guard| guard.judges(case)) else {
                continue;
            };
            let begun = Instant::now();
            let seen = verdict.rewritten.as_deref().unwrap_or(case.text);
            let opinion = self.opinion(at, guard, seen, case, books);
            let (over, done) = verdict.take(guard, opinion);
            self.note(guard, done, begun.elapsed(), books);
            if over {
                return verdict;
            }
            if matches!(guard.kind, Kind::Remote(_)) {
                intact.clone_from(&verdict.rewritten);
            }
        }
        if case.sort == Sort::Arguments {
            let text = intact.as_deref().unwrap_or(case.text);
            self.judge_arguments(which, text, &mut verdict, books);
        }
        verdict
    }

    fn opinion(
        &self,
        at: usize,
        guard: &Guard,
        seen: &str,
        case: &Case<'_>,
        books: &mut Books<'_>,
    ) -> Opinion {
        match &guard.kind {
            Kind::Regex(guard) => Opinion::of_pattern(guard.inspect(seen)),
            Kind::Pii(guard) if self.flows => Opinion::of_data(whole(guard, seen, books.placeholders)),
            Kind::Pii(guard) if case.sort == Sort::Definition => {
                Opinion::of_data(guard.inspect_part(seen, books.placeholders))
            }
            Kind::Pii(guard) => {
                Opinion::of_data(guard.inspect(seen, (case.came, case.heard), books.placeholders))
            }
            Kind::Classifier(guard) => match guard.judge(case.came, case.heard) {
                Judged::Clean => Opinion::default(),
                Judged::Acts(reason) => Opinion::because(reason),
                Judged::Unheard => Opinion::unheard(MODEL_UNHEARD),
            },
            Kind::Topics(guard) => match guard.judge(case.came, case.heard) {
                About::OnTopic => Opinion::default(),
                About::OffTopic(reason) => Opinion::because(reason.to_owned()),
                About::Unheard => Opinion::unheard(MODEL_UNHEARD),
            },
            Kind::Grounded(guard) => {
                let ground = case.grounds.iter().find(|(of, _)| *of == at);
                let ground = ground.map_or(&Ground::Nothing, |(_, ground)| ground);
                match guard.judge(seen, ground) {
                    Held::Supported => Opinion::default(),
                    Held::Unjudged => Opinion::unheard(CONTEXT_UNREAD),
                    Held::Acts(reason, rewritten) => Opinion {
                        on_whole: rewritten.is_none(),
                        rewritten,
                        ..Opinion::because(reason)
                    },
                }
            }
            Kind::Remote(remote) => {
                let finding = case.findings.iter().find(|(of, _)| *of == at);
                match finding {
                    Some((_, Ok(finding))) => {
                        Opinion::of_service(remote, seen, case.sort, finding, books.placeholders)
                    }
                    // Nobody was asked about it, or there was no answer.
                    Some((_, Err(why))) => {
                        books
                            .tally
                            .failed(&guard.manner.name, self.stage.unwrap_or(Stage::Input), *why);
                        Opinion::unheard(SERVICE_UNHEARD)
                    }
                    None => Opinion::unheard(SERVICE_UNHEARD),
                }
            }
        }
    }

    fn note(&self, guard: &Guard, done: Done, time: Duration, books: &mut Books<'_>) {
        if let Some(stage) = self.stage {
            books.tally.note(&guard.manner.name, stage, done, time);
        }
    }

    /// Arguments of a tool are JSON: what is escaped in them is seen as it is meant, and they stay JSON.
    fn judge_arguments(&self, which: Range<usize>, text: &str, verdict: &mut Verdict, books: &mut Books<'_>) {
        let rewritten = verdict.rewritten.as_deref();
        let broken = rewritten.is_some_and(|rewritten| !arguments::is_json(rewritten));
        if verdict.blocked.is_some() || (!broken && !text.contains('\\')) {
            return;
        }
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return;
        };
        if broken {
            verdict.rewritten = None;
        } else if let Some(Ok(rewritten)) = verdict.rewritten.as_deref().map(serde_json::from_str) {
            value = rewritten;
        }
        let changed = arguments::each_value(&mut value, &mut |name, text| {
            if verdict.blocked.is_some() {
                return None;
            }
            // The name tells what a number is.
            let front = if name.is_empty() {
                String::new()
            } else {
                format!("{name}: ")
            };
            let shown = format!("{front}{text}");
            let judged = self.judge_value(which.clone(), &shown, books);
            verdict.flags.extend(judged.flags);
            verdict.rerouted = judged.rerouted.or(verdict.rerouted.take());
            if judged.blocked.is_some() {
                verdict.blocked = judged.blocked;
                return None;
            }
            let rewritten = judged.rewritten?;
            Some(rewritten.strip_prefix(&front).unwrap_or(&rewritten).to_owned())
        });
        if changed {
            verdict.rewritten = Some(value.to_string());
        }
    }

    /// Judges a value by those who ask nobody: models and services were asked about the arguments as a whole.
    fn judge_value(&self, which: Range<usize>, text: &str, books: &mut Books<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for guard in self.guards.get(which).unwrap_or_default() {
            let seen = verdict.rewritten.as_deref().unwrap_or(text);
            let opinion = match &guard.kind {
                Kind::Regex(guard) => Opinion::of_pattern(guard.inspect(seen)),
                Kind::Pii(guard) if self.flows => Opinion::of_data(whole(guard, seen, books.placeholders)),
                Kind::Pii(guard) => Opinion::of_data(guard.inspect_part(seen, books.placeholders)),
                Kind::Classifier(_) | Kind::Remote(_) | Kind::Grounded(_) | Kind::Topics(_) => continue,
            };
            let (over, done) = verdict.take(guard, opinion);
            self.note(guard, done, Duration::ZERO, books);
            if over {
                break;
            }
        }
        verdict
    }

    /// Judges a text that comes in pieces.
    #[must_use]
    pub fn stream(&self, placeholders: &Placeholders) -> StreamGuard {
        let each = self.guards.iter();
        StreamGuard::new(each.filter_map(|guard| guard.flowing(placeholders)).collect())
    }
}

/// What one guardrail makes of a text.
#[derive(Debug, Default)]
struct Opinion {
    /// It acts, and why.
    reason: Option<String>,
    rewritten: Option<String>,
    /// It acts on the text as a whole, of which no part can be replaced.
    on_whole: bool,
    /// Somebody was to be asked, and was not heard: why it cannot be judged.
    unheard: Option<&'static str>,
}

impl Opinion {
    fn because(reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..Self::default()
        }
    }

    fn unheard(why: &'static str) -> Self {
        Self {
            unheard: Some(why),
            ..Self::default()
        }
    }

    fn of_pattern(found: crate::regex::Found) -> Self {
        Self {
            reason: found.matched.then(|| PATTERN.to_owned()),
            rewritten: found.rewritten,
            ..Self::default()
        }
    }

    fn of_data(found: crate::pii::Found) -> Self {
        Self {
            reason: found.reason(),
            unheard: found.unheard.then_some(MODEL_UNHEARD),
            rewritten: found.rewritten,
            on_whole: false,
        }
    }

    fn of_service(
        guard: &RemoteGuard,
        seen: &str,
        sort: Sort,
        finding: &Finding,
        placeholders: &Placeholders,
    ) -> Self {
        let Some(reason) = finding.reason() else {
            return Self::default();
        };
        let mut opinion = Self::because(reason);
        if guard.action != Action::Redact {
            return opinion;
        }
        opinion.on_whole = finding.whole.is_some();
        if !opinion.on_whole {
            let spoken = (sort == Sort::Arguments)
                .then(|| arguments::spoken(seen))
                .flatten();
            opinion.rewritten = match spoken {
                Some(spoken) => arguments::redacted(guard, (seen, &spoken), finding, placeholders),
                None => guard.redacted(seen, finding, placeholders),
            };
            opinion.on_whole = opinion.rewritten.is_none();
        }
        opinion
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
    /// Takes what a guardrail says: whether nothing more counts, and what it did.
    fn take(&mut self, guard: &Guard, opinion: Opinion) -> (bool, Done) {
        let manner = &guard.manner;
        let mut done = Done::Passed;
        if let Some(why) = opinion.unheard {
            if guard.on_error() == OnError::Block && manner.action != Action::Flag {
                self.blocked = Some(manner.block(why.to_owned(), true));
                return (true, Done::Blocked);
            }
            done = Done::Unjudged;
            self.flags.push(Flag {
                guard: format!("{}:unjudged", manner.name),
            });
        }
        let Some(reason) = opinion.reason else {
            return (false, done);
        };
        let does = match manner.action {
            Action::Redact if opinion.on_whole => Action::Block,
            action => action,
        };
        match does {
            Action::Block => {
                self.blocked = Some(manner.block(reason, false));
                (true, Done::Blocked)
            }
            Action::Redact => {
                self.rewritten = opinion.rewritten.or(self.rewritten.take());
                (false, done.max(Done::Redacted))
            }
            Action::Flag => {
                self.flags.push(manner.flagged());
                (false, done.max(Done::Flagged))
            }
            Action::Route => {
                self.flags.push(manner.flagged());
                // The first one who wants another model has it.
                self.rerouted = self.rerouted.take().or_else(|| manner.to.clone());
                (false, done.max(Done::Routed))
            }
        }
    }
}

/// Why a denied pattern is a reason.
pub(crate) const PATTERN: &str = "a denied pattern occurs";
/// Why a text goes nowhere that nobody could judge.
const MODEL_UNHEARD: &str = "its model could not be asked, or did not answer in time";
const CONTEXT_UNREAD: &str = "what it goes by is longer than what is read, or was not read in time";
const SERVICE_UNHEARD: &str = "its service could not be asked, or did not answer in time";

impl Manner {
    pub(crate) fn block(&self, reason: String, unjudged: bool) -> Block {
        Block {
            guard: self.name.to_string(),
            reason,
            unjudged,
        }
    }

    pub(crate) fn flagged(&self) -> Flag {
        Flag {
            guard: self.flag.clone(),
        }
    }
}

impl Guard {
    /// Whether it has something to say of such a text.
    fn judges(&self, case: &Case<'_>) -> bool {
        match &self.kind {
            Kind::Classifier(_) => case.sort != Sort::Definition,
            Kind::Remote(guard) => !case.joined && guard.judges(case.sort),
            Kind::Regex(_) | Kind::Pii(_) => !case.joined,
            Kind::Grounded(_) => !case.joined && case.sort == Sort::Foreign,
            // What the model said before is judged no more; what an agent says has come just now.
            Kind::Topics(_) => {
                let says =
                    case.sort == Sort::Foreign || (case.stage == Stage::Output && case.sort == Sort::Model);
                !case.joined && says
            }
        }
    }

    fn on_error(&self) -> OnError {
        match &self.kind {
            Kind::Regex(_) => OnError::Block,
            Kind::Pii(guard) => guard.on_error,
            Kind::Classifier(guard) => guard.on_error,
            Kind::Remote(guard) => guard.on_error,
            Kind::Grounded(guard) => guard.on_error,
            Kind::Topics(guard) => guard.on_error,
        }
    }

    /// Its way with a text in pieces; those that have none are refused for answers, or wait for the whole of them.
    fn flowing(&self, placeholders: &Placeholders) -> Option<Link> {
        let manner = Arc::clone(&self.manner);
        match &self.kind {
            Kind::Regex(guard) => Some(Link::Regex(Box::new(Flowing::new(Arc::clone(guard))), manner)),
            Kind::Pii(guard) => {
                PiiFlow::new(Arc::clone(guard), placeholders).map(|flow| Link::Pii(Box::new(flow), manner))
            }
            Kind::Classifier(_) | Kind::Remote(_) | Kind::Grounded(_) | Kind::Topics(_) => None,
        }
    }
}
