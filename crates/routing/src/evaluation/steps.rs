//! Deciding step by step: what has to be asked next, answers as they come, until it is settled. Nothing here waits, and
//! nothing asks by itself.

use std::time::Duration;

use super::{Evaluation, Readings, Settled};
use crate::decision::Decision;
use crate::explain::Explanation;
use crate::facts::Facts;
use crate::plugin::Replay;
use crate::recorded::Recorded;
use crate::router::{Outcome, Router};
use crate::selection::HelperQuestion;
use crate::signal::{self, About, Answers, Asks, Need, Reading, Signal};

/// How much is to be known before it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Want {
    /// Which decision wins.
    Decision,
    /// And how surely.
    #[default]
    Confidence,
    /// Everything, needed or not.
    Everything,
}

/// One question to whoever answers signals: one pass of the engine over one text, one embedding, one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is asked, and of which text.
    pub need: Need,
    /// Numbers of the signals that are wanted of it, going up.
    pub signals: Vec<usize>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is settled.
    Settled,
    /// These are to be asked; they may be asked at once. Each signal is to be answered, or told to have failed.
    Ask(Vec<Call>),
}

/// A request on its way to its decision.
pub struct Deciding<'r, 'f> {
    evaluation: Evaluation<'r, 'f>,
    want: Want,
}

impl Router {
    /// Begins to decide.
    #[must_use]
    pub fn deciding<'r, 'f>(&'r self, facts: Facts<'f>, want: Want) -> Deciding<'r, 'f> {
        Deciding {
            evaluation: Evaluation::new(self, facts, want == Want::Everything),
            want,
        }
    }

    /// Goes on with what is known of this request already, from [`Deciding::pause`].
    #[must_use]
    pub fn resume<'r, 'f>(&'r self, facts: Facts<'f>, want: Want, readings: Readings) -> Deciding<'r, 'f> {
        Deciding {
            evaluation: Evaluation::resumed(self, facts, want == Want::Everything, readings),
            want,
        }
    }

    /// Examples whose vectors signals want, and descriptions of models that selections go by; of recipes, too, each once.
    #[must_use]
    pub fn examples(&self) -> Vec<&str> {
        let signals = self.all().flat_map(|router| &router.signals);
        let decisions = self.all().flat_map(|router| &router.decisions);
        let mut all: Vec<&str> = signals.flat_map(Signal::examples).collect();
        all.extend(decisions.flat_map(Decision::descriptions));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Examples that signals compare with images, or with sound; of recipes, too, each once.
    #[must_use]
    pub fn media_examples(&self, about: About) -> Vec<&str> {
        let signals = self.all().flat_map(|router| &router.signals);
        let mut all: Vec<&str> = signals.flat_map(|signal| signal.media_examples(about)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Type and name of signal number `index`.
    #[must_use]
    pub fn signal(&self, index: usize) -> Option<(&str, &str)> {
        let signal = self.signals.get(index)?;
        Some((signal.kind, signal.name.as_str()))
    }
}

impl<'r> Deciding<'r, '_> {
    /// What is to be asked next. Signals that only need the request are read here, what is cheap first; of the others the
    /// cheapest that could settle it are asked, and with them whatever else may come to be needed and costs no other call.
    #[must_use]
    pub fn step(&self) -> Step {
        let (mut wanted, from) = match self.open() {
            None => return Step::Settled,
            Some(open) => open,
        };
        let signals = &self.evaluation.router.signals;
        let cost = |index: &usize| signals[*index].need().cost();
        if self.want != Want::Everything {
            let least = wanted.iter().map(cost).min();
            wanted.retain(|index| Some(cost(index)) == least);
            self.widen(&mut wanted, from);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let mut calls: Vec<Call> = Vec::new();
        for index in wanted {
            let need = signals[index].need();
            match calls.iter_mut().find(|call| call.need == *need) {
                Some(call) => call.signals.push(index),
                None => calls.push(Call {
                    need: need.clone(),
                    signals: vec![index],
                }),
            }
        }
        match calls.is_empty() {
            true => Step::Settled,
            false => Step::Ask(calls),
        }
    }

    /// Signals that could settle it, and the first decision that may win.
    fn open(&self) -> Option<(Vec<usize>, usize)> {
        let evaluation = &self.evaluation;
        if self.want == Want::Everything {
            let all = 0..evaluation.router.signals.len();
            let open: Vec<usize> = all.filter(|index| evaluation.own(*index).is_none()).collect();
            return (!open.is_empty()).then_some((open, 0));
        }
        match evaluation.settle(self.want) {
            Settled::Open(wanted, from) => Some((wanted, from)),
            Settled::Winner(_) | Settled::Nobody => None,
        }
    }

    /// Adds signals that answer along with those that are wanted and that some decision may still need.
    fn widen(&self, wanted: &mut Vec<usize>, from: usize) {
        let evaluation = &self.evaluation;
        let router = evaluation.router;
        let mut others = Vec::new();
        // Nothing is read for that: it may turn out not to be needed.
        evaluation.quietly(|| {
            for decision in &router.decisions[from..] {
                evaluation.gather_truth(&decision.rule, &mut others);
            }
        });
        let same_call = |other: &usize| {
            let need = router.signals[*other].need();
            need.is_asked() && wanted.iter().any(|index| router.signals[*index].need() == need)
        };
        others.retain(same_call);
        wanted.extend(others);
    }

    /// What is to be asked of whoever reads texts, for this call.
    #[must_use]
    pub fn asks(&self, call: &Call) -> Asks {
        let mut asks = Asks {
            texts: signal::texts(&self.evaluation.facts, &call.need),
            ..Asks::default()
        };
        for index in &call.signals {
            if let Some(signal) = self.evaluation.router.signals.get(*index) {
                signal.ask(&mut asks);
            }
        }
        asks
    }

    /// Takes the answers to a call. Signals that they say nothing of have failed.
    pub fn answered(&mut self, call: &Call, answers: &dyn Answers, took: Duration) {
        for index in &call.signals {
            let signal = self.evaluation.router.signals.get(*index);
            let reading = signal.and_then(|signal| signal.judge(&self.evaluation.facts, answers));
            match reading {
                Some(reading) => self.answer(*index, reading, took),
                None => self.fail(*index),
            }
        }
    }

    /// Takes an answer. The first answer to a signal stands; others are ignored.
    pub fn answer(&mut self, signal: usize, reading: Reading, took: Duration) {
        self.evaluation.answer(signal, reading, took);
    }

    /// Nobody can answer this signal: it counts as not matching.
    pub fn fail(&mut self, signal: usize) {
        self.evaluation.fail(signal);
    }

    /// Counts as failed whatever would have to be asked, until it is settled.
    pub fn fail_all(&mut self) {
        while let Step::Ask(calls) = self.step() {
            for signal in calls.into_iter().flat_map(|call| call.signals) {
                self.fail(signal);
            }
        }
    }

    /// What is known, to go on with later.
    #[must_use]
    pub fn pause(self) -> Readings {
        self.evaluation.readings
    }

    /// What the selection of the decision that won goes by: texts whose vectors, and what they are about, are to be known
    /// as [facts](Facts::meaning) before the outcome is asked for. Nothing, for most.
    #[must_use]
    pub fn meaning(&self) -> Asks {
        let router = self.evaluation.router;
        let reads = |decision: &Decision| decision.reads_meaning() || decision.by_domain;
        if !router.decisions.iter().any(reads) {
            return Asks::default();
        }
        let Settled::Winner(winner) = self.evaluation.settle(Want::Decision) else {
            return Asks::default();
        };
        let winner = &router.decisions[winner];
        match reads(winner) {
            true => Asks {
                texts: vec![self.evaluation.facts.user_text.into()],
                heads: winner.by_domain.then_some(signal::DOMAIN).into_iter().collect(),
                vectors: winner.reads_meaning(),
                ..Asks::default()
            },
            false => Asks::default(),
        }
    }

    /// What a helper is asked that picks among the models of the decision that won; nothing, for most. Its answer is to be
    /// known as a [fact](Facts::helper) before the outcome is asked for.
    #[must_use]
    pub fn helper(&self) -> Option<HelperQuestion> {
        let router = self.evaluation.router;
        if !router
            .decisions
            .iter()
            .any(|decision| decision.helper().is_some())
        {
            return None;
        }
        let Settled::Winner(winner) = self.evaluation.settle(Want::Decision) else {
            return None;
        };
        let winner = &router.decisions[winner];
        let models: Vec<(&str, Option<&str>)> = winner
            .candidates
            .iter()
            .map(|candidate| {
                (
                    candidate.selected.model.as_str(),
                    candidate.card.description.as_deref(),
                )
            })
            .collect();
        Some(winner.helper()?.asks(self.evaluation.text(), &models))
    }

    /// What was decided; none as long as it is not settled. `roll`, from 0 to 1, draws among a decision's models.
    #[must_use]
    pub fn outcome(&self, roll: f64) -> Option<Outcome<'r>> {
        self.evaluation.router.outcome(&self.evaluation, roll)
    }

    /// What the decision goes by, to be taken again later.
    #[must_use]
    pub fn recorded(&self, replay: &Replay) -> Recorded {
        Recorded::of(&self.evaluation, replay)
    }

    /// Everything that is known, and what was not needed.
    #[must_use]
    pub fn explain(&self, roll: f64) -> Explanation {
        Explanation::of(&self.evaluation, roll)
    }
}
