//! Whether it is settled which decision wins, and if not, which signals could settle it.
//!
//! Decisions stand in the order of their rank. Those of one rank compete by confidence, and a lower rank is looked at only
//! when none of a higher one holds: signals of ranks that may never be reached are not looked at.

use std::ops::Range;

use super::truth::{Bounds, Truth};
use super::{Evaluation, Want};
use crate::decision::Rule;
use crate::projection::Summand;

/// How far it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// This decision wins.
    Winner(usize),
    /// None holds.
    Nobody,
    /// It depends on these signals, some of which may be there twice; and decisions from this one on may still win.
    Open(Vec<usize>, usize),
}

/// A decision that may win.
struct Contender {
    decision: usize,
    truth: Truth,
    sureness: Bounds,
}

impl Evaluation<'_, '_> {
    /// Which decision wins.
    pub(crate) fn settle(&self, want: Want) -> Settled {
        if let (Want::Decision, Some(won)) = (want, self.won.get()) {
            return won.map_or(Settled::Nobody, Settled::Winner);
        }
        let settled = self.settle_ranks(want);
        match settled {
            Settled::Winner(decision) => self.won.set(Some(Some(decision))),
            Settled::Nobody => self.won.set(Some(None)),
            Settled::Open(..) => {}
        }
        settled
    }

    fn settle_ranks(&self, want: Want) -> Settled {
        let decisions = self.router.decisions.len();
        let mut from = 0;
        while from < decisions {
            let to = self.router.rank_end(from);
            match self.settle_rank(from..to, want) {
                Settled::Nobody => from = to,
                settled => return settled,
            }
        }
        Settled::Nobody
    }

    fn rule(&self, decision: usize) -> &Rule {
        &self.router.decisions[decision].rule
    }

    fn settle_rank(&self, rank: Range<usize>, want: Want) -> Settled {
        let from = rank.start;
        let mut first: Option<(usize, Truth)> = None;
        let mut contenders: Vec<Contender> = Vec::new();
        for decision in rank {
            let truth = self.truth(self.rule(decision));
            if truth == Truth::No {
                continue;
            }
            // One alone need not be compared.
            match first {
                None => first = Some((decision, truth)),
                Some(alone) => {
                    if contenders.is_empty() {
                        contenders.push(self.contender(alone));
                    }
                    contenders.push(self.contender((decision, truth)));
                }
            }
        }
        let Some((decision, truth)) = first else {
            return Settled::Nobody;
        };
        if contenders.is_empty() {
            contenders.push(Contender {
                decision,
                truth,
                sureness: Bounds::exactly(0.0),
            });
        }
        retain_undefeated(&mut contenders);
        let mut wanted = Vec::new();
        if let [only] = contenders.as_slice() {
            let rule = self.rule(only.decision);
            if only.truth == Truth::Open {
                self.gather_truth(rule, &mut wanted);
                return Settled::Open(wanted, from);
            }
            if want != Want::Decision && !self.sureness(rule).is_exact() {
                self.gather_sureness(rule, &mut wanted);
                return Settled::Open(wanted, only.decision);
            }
            return Settled::Winner(only.decision);
        }
        for contender in &contenders {
            let rule = self.rule(contender.decision);
            if contender.truth == Truth::Open {
                self.gather_truth(rule, &mut wanted);
            }
            if !contender.sureness.is_exact() {
                self.gather_sureness(rule, &mut wanted);
            }
        }
        Settled::Open(wanted, from)
    }

    fn contender(&self, (decision, truth): (usize, Truth)) -> Contender {
        Contender {
            decision,
            truth,
            sureness: self.sureness(self.rule(decision)),
        }
    }

    /// Signals that are not known and could tell whether the rule holds.
    pub(crate) fn gather_truth(&self, rule: &Rule, wanted: &mut Vec<usize>) {
        match rule {
            Rule::Always => {}
            Rule::Signal(index) => self.gather_signal(*index, wanted),
            Rule::Projection(index) => {
                let output = &self.router.outputs[*index];
                if self.within(output) == Truth::Open {
                    self.gather_score(output.score, wanted);
                }
            }
            Rule::Not(rule) => self.gather_truth(rule, wanted),
            Rule::All(joined) | Rule::Any(joined) => {
                if self.truth(rule) == Truth::Open {
                    joined
                        .rules
                        .iter()
                        .for_each(|rule| self.gather_truth(rule, wanted));
                }
            }
        }
    }

    /// Signals that are not known and could tell how surely a rule holds that holds.
    pub(crate) fn gather_sureness(&self, rule: &Rule, wanted: &mut Vec<usize>) {
        match rule {
            Rule::Always | Rule::Not(_) => {}
            Rule::Signal(index) => self.gather_signal(*index, wanted),
            Rule::Projection(index) => self.gather_score(self.router.outputs[*index].score, wanted),
            Rule::All(joined) => joined
                .rules
                .iter()
                .for_each(|rule| self.gather_sureness(rule, wanted)),
            Rule::Any(joined) => {
                let sureness = self.sureness(rule);
                if sureness.is_exact() {
                    return;
                }
                for rule in &joined.rules {
                    let truth = self.truth(rule);
                    // One that is surely less sure than another does not count.
                    if truth == Truth::No || self.sureness(rule).high <= sureness.low {
                        continue;
                    }
                    if truth == Truth::Open {
                        self.gather_truth(rule, wanted);
                    }
                    self.gather_sureness(rule, wanted);
                }
            }
        }
    }

    fn gather_score(&self, score: usize, wanted: &mut Vec<usize>) {
        for input in &self.router.scores[score].inputs {
            match input.of {
                Summand::Signal(signal) if self.input(input, signal).is_none() => {
                    self.gather_signal(signal, wanted);
                    if let Some(gate) = &input.gate {
                        self.gather_truth(gate, wanted);
                    }
                }
                Summand::Score(other) if !self.is_known(other) => self.gather_score(other, wanted),
                Summand::Range(range) if !self.lies(range).1 => {
                    self.gather_score(self.router.outputs[range].score, wanted);
                }
                Summand::Signal(_) | Summand::Score(_) | Summand::Range(_) => {}
            }
        }
    }

    /// The signal if it is not known, and those that its partition compares it with.
    pub(crate) fn gather_signal(&self, index: usize, wanted: &mut Vec<usize>) {
        if self.reading(index).is_some() {
            return;
        }
        match self.router.partition_of(index) {
            None => wanted.push(index),
            Some(partition) => {
                let members = partition.members.iter().copied();
                wanted.extend(members.filter(|member| self.own(*member).is_none()));
            }
        }
    }
}

/// Leaves out who is surely beaten by one that holds: of equals, the first wins.
fn retain_undefeated(contenders: &mut Vec<Contender>) {
    let holding = contenders
        .iter()
        .filter(|contender| contender.truth == Truth::Yes);
    let best = holding.map(|contender| (contender.sureness.low, contender.decision));
    let Some((low, decision)) = best.reduce(|best, next| if next.0 > best.0 { next } else { best }) else {
        return;
    };
    contenders.retain(|contender| {
        let high = contender.sureness.high;
        !(low > high || (low == high && decision < contender.decision))
    });
}
