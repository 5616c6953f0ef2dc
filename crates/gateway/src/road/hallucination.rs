//! Answers held against what their model was given: the plugin and the signal `hallucination`, on the way back.
//!
//! What an answer may go by is read before it is asked for, so that judging it takes microseconds and waits for nobody. A
//! whole answer is judged before it goes out; a streamed one as it ends, when it can only be told what was found.

mod flow;
mod told;

use std::sync::Arc;

use pointsman_guard::Given;
use pointsman_routing::{Answered, Hallucination, Warning};
use pointsman_semantics::grounded::{Context, Detector, Judged, Point, Standing};
use pointsman_understanding::{Ask, Nobody};
use pointsman_wire::form::{ChatResponse, Failure, FailureKind, PartKind};

use super::arrive::Asked;
use super::{Arrival, Ticket, grounds};

pub use flow::Flow;
pub use told::{SPANS, WARNINGS};

/// Bytes of texts that are read at once; longer ones are read by a thread that may take its time.
const AT_ONCE: usize = 32 * 1024;
/// How sure it must be that facts are asked for.
const SURE: f32 = 0.6;
/// Parts of an answer that are recorded and told.
const MOST_SPANS: usize = 64;

/// How the answer to a request is looked at.
pub struct Check {
    settings: Hallucination,
    detector: Arc<Detector>,
    point: Point,
    given: What,
}

/// What an answer may go by.
enum What {
    /// This, and what was asked.
    Texts(Box<(Context, Context)>),
    /// Nothing, and facts are asked for.
    Unverified,
    /// Nothing, and none are.
    Nothing,
    /// More than can be read.
    TooMuch,
}

/// What was found in one choice of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which choice.
    pub choice: u32,
    /// Parts, in characters of the choice's text.
    pub spans: Vec<Span>,
}

/// A part of an answer that nothing supports.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// First character.
    pub start: usize,
    /// The one behind the last.
    pub end: usize,
    /// What stands there.
    pub text: String,
    /// How sure that is.
    pub confidence: f32,
    /// How it stands to the context.
    pub standing: Standing,
}

/// What a client is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Parts of the answer are not supported.
    Hallucination,
    /// Facts are asked for, and there is nothing to compare with.
    Unverified,
}

impl Code {
    /// As it is told, in the words of the semantic router.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hallucination => "hallucination",
            Self::Unverified => "unverified_factual",
        }
    }
}

/// Gets ready to look at the answer as the decision wants it.
///
/// # Errors
/// 403 when facts are asked for, there is nothing to compare with, and such answers are blocked.
pub async fn prepare(
    arrival: &Arrival,
    asked: &mut Asked,
    settings: &Hallucination,
    ticket: &mut Ticket,
) -> Result<(), Failure> {
    let detector = Detector::shipped()
        .map_err(|error| Failure::new(FailureKind::Internal, format!("the detector is damaged: {error}")))?;
    let given = given(arrival, asked, settings, &detector).await;
    if matches!(given, What::Unverified) {
        match settings.unverified {
            Warning::Block => {
                note(ticket, "unverified");
                let message =
                    "this asks for facts, and there is nothing that an answer could be compared with";
                return Err(blocked(message));
            }
            Warning::Header => ticket.facts.warnings.push(Code::Unverified.name()),
            Warning::Body | Warning::Silent => {}
        }
    }
    let named = settings.point.as_deref().and_then(Point::named);
    asked.check = Some(Arc::new(Check {
        settings: settings.clone(),
        detector,
        point: named.unwrap_or_default(),
        given,
    }));
    Ok(())
}

async fn given(arrival: &Arrival, asked: &Asked, settings: &Hallucination, detector: &Arc<Detector>) -> What {
    let grounds = grounds::of(&asked.request);
    let wanted = [Given::ToolResult, Given::Document];
    let texts: Vec<Arc<str>> = grounds.of(&wanted).map(Arc::clone).collect();
    let question = Arc::clone(&grounds.question);
    if texts.iter().all(|text| text.trim().is_empty()) {
        if settings.unverified != Warning::Silent && asks_for_facts(arrival, &question).await {
            return What::Unverified;
        }
        return What::Nothing;
    }
    let length = question.len() + texts.iter().map(|text| text.len()).sum::<usize>();
    let detector = Arc::clone(detector);
    let read = move || {
        let context = detector.read(texts.iter().map(|text| &**text));
        let question = detector.read([&*question]);
        (context, question)
    };
    let read = if length <= AT_ONCE {
        Some(read())
    } else {
        tokio::task::spawn_blocking(read).await.ok()
    };
    match read {
        Some(texts) if !texts.0.is_cut() => What::Texts(Box::new(texts)),
        _ => What::TooMuch,
    }
}

/// Whether a question asks for facts; not where nobody can say so.
async fn asks_for_facts(arrival: &Arrival, question: &Arc<str>) -> bool {
    let likely = wants_facts(arrival, question).await;
    likely.is_some_and(|likely| likely >= SURE)
}

/// How likely it is that a question asks for facts; none where nobody can say so.
pub async fn wants_facts(arrival: &Arrival, question: &Arc<str>) -> Option<f32> {
    let ask = Ask::head("fact_check");
    let read = arrival.snapshot.understanding.read(question, &ask, &Nobody).await;
    let read = match read {
        Ok(read) => read,
        Err(failed) => {
            tracing::warn!(%failed, "nobody could say whether facts are asked for");
            return None;
        }
    };
    Some(read.heads.first()?.of("fact_check_needed"))
}

impl Check {
    /// Whether an answer must be there as a whole before any of it goes out.
    pub fn waits(&self) -> bool {
        self.settings.found == Warning::Block && matches!(self.given, What::Texts(..))
    }

    /// What is found in the text of a choice; none where all of it is supported, or nothing can be said.
    fn look_at(&self, choice: u32, text: &str) -> Option<Finding> {
        let What::Texts(texts) = &self.given else {
            return None;
        };
        let (context, question) = &**texts;
        let judged = self.detector.judge(context, question, text, self.point);
        (!judged.is_grounded()).then(|| Finding {
            choice,
            spans: spans(text, &judged),
        })
    }

    /// What is recorded of an answer in which this was found.
    fn verdict(&self, found: &[Finding]) -> &'static str {
        match self.given {
            What::Texts(..) if found.is_empty() => "supported",
            What::Texts(..) => "unsupported",
            What::Unverified => "unverified",
            What::Nothing => "nothing_given",
            What::TooMuch => "unjudged",
        }
    }

    /// Notes what was found: in the log, the metrics, and with the recorded decision.
    fn noted(&self, found: &[Finding], ticket: &mut Ticket) {
        let verdict = self.verdict(found);
        note(ticket, verdict);
        if verdict == "nothing_given" {
            return;
        }
        let each = found.iter().flat_map(|finding| {
            let spans = finding.spans.iter();
            spans.map(|span| {
                let standing = self.standing(span).to_owned();
                (finding.choice, span.start, span.end, span.confidence, standing)
            })
        });
        ticket.answered(Answered {
            verdict: verdict.to_owned(),
            spans: each.take(MOST_SPANS).collect(),
        });
    }

    /// How a part stands to the context, as far as that is wanted.
    fn standing(&self, span: &Span) -> &'static str {
        if self.settings.contradictions {
            span.standing.name()
        } else {
            Standing::NotFound.name()
        }
    }

    /// Looks at a whole answer, and warns of what is found; true when that changed the answer.
    ///
    /// # Errors
    /// 403 when something was found, and such answers are blocked.
    pub fn whole(&self, response: &mut ChatResponse, ticket: &mut Ticket) -> Result<bool, Failure> {
        let mut found = Vec::new();
        for choice in &response.choices {
            let text = choice.parts.iter().filter_map(|part| match &part.kind {
                PartKind::Text(text) => Some(&*text.text),
                _ => None,
            });
            let text: String = text.collect();
            found.extend(self.look_at(choice.index, &text));
        }
        self.noted(&found, ticket);
        if !found.is_empty() {
            match self.settings.found {
                Warning::Block => {
                    return Err(blocked(
                        "parts of the answer are not supported by what the model was given",
                    ));
                }
                Warning::Header => self.head(&found, ticket),
                Warning::Body | Warning::Silent => {}
            }
        }
        Ok(self.put_before(&found, response))
    }

    /// Whether an answer may be remembered: one that needs a warning is not given to others without it.
    pub fn may_keep(ticket: &Ticket) -> bool {
        let bad = |flag: &String| {
            [Code::Hallucination, Code::Unverified]
                .iter()
                .any(|code| flag == code.name())
        };
        !ticket.facts.flags.iter().any(bad)
    }
}

/// What a judgement found, in characters.
fn spans(text: &str, judged: &Judged) -> Vec<Span> {
    let characters = |end: usize| text.get(..end).map_or(0, |front| front.chars().count());
    let each = judged.spans.iter().take(MOST_SPANS);
    each.map(|span| Span {
        start: characters(span.at.start),
        end: characters(span.at.end),
        text: text.get(span.at.clone()).unwrap_or_default().to_owned(),
        confidence: span.confidence,
        standing: span.standing,
    })
    .collect()
}

/// Notes a verdict in the metrics and, where there is something to say, in the log.
fn note(ticket: &mut Ticket, verdict: &'static str) {
    ticket.worker().shared.telemetry.metrics().checked(verdict);
    let flag = match verdict {
        "unsupported" => Code::Hallucination.name(),
        "unverified" => Code::Unverified.name(),
        "unjudged" => "hallucination:unjudged",
        _ => return,
    };
    ticket.facts.flags.push(flag.to_owned());
}

fn blocked(message: &str) -> Failure {
    Failure::new(FailureKind::PermissionDenied, message).coded("hallucination_blocked")
}
