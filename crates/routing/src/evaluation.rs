//! What is known of one request on its way through signals, projections and rules. Each signal is read at most once.
//!
//! A signal that only needs the request is read when it is looked at; of others it is known or not. What follows from
//! what is known is worked out in three values: a rule holds, does not, or is open.

mod settle;
mod steps;
mod truth;

use std::cell::Cell;
use std::time::{Duration, Instant};

pub(crate) use settle::Settled;
pub use steps::{Call, Deciding, Step, Want};
pub(crate) use truth::Truth;

use crate::facts::Facts;
use crate::router::Router;
use crate::signal::Reading;

/// What is known so far, to be kept while answers are waited for.
#[derive(Debug, Clone)]
pub struct Readings {
    known: Vec<Cell<Option<Reading>>>,
    /// Microseconds that each took, where that was measured.
    took: Vec<Cell<f64>>,
    /// Signals that nobody could answer: they count as not matching.
    failed: Vec<usize>,
}

impl Readings {
    fn none(signals: usize) -> Self {
        Self {
            known: vec![Cell::new(None); signals],
            took: vec![Cell::new(0.0); signals],
            failed: Vec::new(),
        }
    }
}

/// A request that is being judged.
pub(crate) struct Evaluation<'r, 'f> {
    pub(crate) router: &'r Router,
    pub(crate) facts: Facts<'f>,
    readings: Readings,
    /// Bounds of scores that are known exactly.
    scores: Vec<Cell<Option<f64>>>,
    /// Which decision wins, if any does, once that is settled: no answer that comes later can change it.
    won: Cell<Option<Option<usize>>>,
    /// Whether a signal that only needs the request is read when it is looked at.
    reads: Cell<bool>,
    timed: bool,
}

impl<'r, 'f> Evaluation<'r, 'f> {
    pub(crate) fn new(router: &'r Router, facts: Facts<'f>, timed: bool) -> Self {
        let readings = Readings::none(router.signals.len());
        Self::resumed(router, facts, timed, readings)
    }

    /// Goes on with what is known; readings of another router are none of this one.
    fn resumed(router: &'r Router, facts: Facts<'f>, timed: bool, readings: Readings) -> Self {
        let readings = match readings.known.len() == router.signals.len() {
            true => readings,
            false => Readings::none(router.signals.len()),
        };
        Self {
            router,
            facts,
            readings,
            scores: vec![Cell::new(None); router.scores.len()],
            won: Cell::new(None),
            reads: Cell::new(true),
            timed,
        }
    }

    /// One that goes by these readings alone.
    pub(crate) fn recalled(router: &'r Router, facts: Facts<'f>, known: Vec<Option<Reading>>) -> Self {
        let mut readings = Readings::none(router.signals.len());
        for (slot, reading) in readings.known.iter_mut().zip(known) {
            slot.set(reading.map(Reading::within_bounds));
        }
        let evaluation = Self::resumed(router, facts, false, readings);
        evaluation.reads.set(false);
        evaluation
    }

    /// What signal number `index` says by itself, whatever its partition makes of it; none where that is not known.
    pub(crate) fn own(&self, index: usize) -> Option<Reading> {
        let known = self.readings.known.get(index)?;
        if known.get().is_some() || !self.reads.get() {
            return known.get();
        }
        let started = self.timed.then(Instant::now);
        let reading = self.router.signals[index].read(&self.facts)?.within_bounds();
        known.set(Some(reading));
        if let Some(started) = started {
            self.readings.took[index].set(micros(started.elapsed()));
        }
        Some(reading)
    }

    /// What signal number `index` says, as rules and scores see it; none where that is not known.
    pub(crate) fn reading(&self, index: usize) -> Option<Reading> {
        match self.router.partition_of(index) {
            None => self.own(index),
            Some(partition) => partition.reading(index, |member| self.own(member)),
        }
    }

    /// Takes an answer. The first stands; who can be read without asking is not to be answered.
    fn answer(&mut self, index: usize, reading: Reading, took: Duration) -> bool {
        let asked = self
            .router
            .signals
            .get(index)
            .is_some_and(|signal| signal.need().is_asked());
        let fresh = asked && self.readings.known[index].get().is_none();
        if fresh {
            self.readings.known[index].set(Some(reading.within_bounds()));
            self.readings.took[index].set(micros(took));
        }
        fresh
    }

    /// Nobody can answer.
    fn fail(&mut self, index: usize) {
        if self.answer(index, Reading::default(), Duration::ZERO) {
            self.readings.failed.push(index);
        }
    }

    /// What is judged.
    pub(crate) fn text(&self) -> &'f str {
        self.facts.user_text
    }

    /// Signals that nobody could answer.
    pub(crate) fn failed(&self) -> &[usize] {
        &self.readings.failed
    }

    /// How long signal number `index` took, in microseconds.
    pub(crate) fn time(&self, index: usize) -> f64 {
        self.readings.took.get(index).map_or(0.0, Cell::get)
    }

    /// Does something without reading any signal on the way.
    pub(crate) fn quietly<T>(&self, what: impl FnOnce() -> T) -> T {
        let before = self.reads.replace(false);
        let result = what();
        self.reads.set(before);
        result
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}
