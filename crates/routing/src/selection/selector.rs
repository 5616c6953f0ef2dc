//! What an algorithm is, and what is done around every one of them.

use std::fmt::Debug;

use super::adapted::Adapted;
use super::candidate::{CandidateFacts, SelectionRequest};
use super::prompt::Prompt;
use super::ranking::{Ranked, Ranking, Score, Scores, Unfit, order};
use super::session::{Protected, Session};
use super::target::Target;
use super::thompson::Thompson;
use super::weighted::Weighted;

/// An algorithm. Pure: the same request and candidates give the same scores.
pub trait Selector: Debug + Send + Sync {
    /// Its name, as the configuration has it.
    fn name(&self) -> &'static str;

    /// Why a candidate is not to be taken, where the algorithm has limits of its own.
    fn limit(
        &self,
        _request: &SelectionRequest<'_>,
        _candidate: &CandidateFacts<'_>,
    ) -> Option<&'static str> {
        None
    }

    /// What happens when its limits leave no candidate.
    fn when_none(&self) -> WhenNone {
        WhenNone::Fail
    }

    /// Whether its scores have a scale: whether a larger difference means more.
    fn comparable(&self) -> bool {
        true
    }

    /// Whether it goes by what the prompt means.
    fn reads_meaning(&self) -> bool {
        false
    }

    /// Whether it goes by how fast models are and how busy.
    fn reads_pace(&self) -> bool {
        false
    }

    /// Whether it goes by what was learned of models.
    fn reads_outcomes(&self) -> bool {
        false
    }

    /// Whether what it goes by is kept apart by domains.
    fn reads_domains(&self) -> bool {
        false
    }

    /// Whether it goes by how what the user said is worded.
    fn reads_words(&self) -> bool {
        false
    }

    /// Whether it goes by what the descriptions of models mean.
    fn reads_descriptions(&self) -> bool {
        false
    }

    /// The helper that picks, where one does.
    fn helper(&self) -> Option<&Prompt> {
        None
    }

    /// Scores candidates, all of which fit; one for each, in their order.
    fn score(&self, request: &SelectionRequest<'_>, candidates: &[&CandidateFacts<'_>]) -> Scores;
}

/// What happens when an algorithm's limits leave no candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenNone {
    /// The cheapest of those that limits stand against.
    Cheapest,
    /// The first of them.
    First,
    /// There is none.
    Fail,
}

/// A decision's algorithm, with its target and its care for sessions.
#[derive(Debug)]
pub struct Selection {
    pub(crate) algorithm: Box<dyn Selector>,
    pub(crate) target: Option<Target>,
    pub(crate) session: Option<Session>,
    pub(crate) needs: Needs,
}

/// What candidates must be able to do, whatever the algorithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// What a request brings must be on their cards.
    pub capabilities: bool,
    /// The request must fit their windows, as far as those are known. That is so wherever an algorithm ranks them.
    pub window: bool,
}

impl Selection {
    /// One without target or sessions.
    #[must_use]
    pub fn new(algorithm: Box<dyn Selector>) -> Self {
        Self {
            algorithm,
            target: None,
            session: None,
            needs: Needs::default(),
        }
    }

    /// What is done where no algorithm is named: each candidate its share.
    #[must_use]
    pub(crate) fn weighted() -> Self {
        Self::new(Box::new(Weighted))
    }

    /// With what is learned beside an algorithm that does not learn; only told where it does not act.
    pub(crate) fn adapted(self, acts: bool) -> Self {
        let adapted = Adapted {
            base: self.algorithm,
            learned: Thompson::default(),
            acts,
        };
        Self {
            algorithm: Box::new(adapted),
            ..self
        }
    }

    /// With what a decision says of its sessions.
    pub(crate) fn protected(self, by: Protected) -> Self {
        let session = self.session.unwrap_or_default();
        Self {
            session: Some(session.protected(by)),
            ..self
        }
    }

    /// Whether it goes by how fast models are and how busy. What a session would wait for again is a matter of that, too.
    #[must_use]
    pub fn reads_pace(&self) -> bool {
        self.algorithm.reads_pace() || self.session.is_some()
    }

    /// Whether it goes by what was learned of models.
    #[must_use]
    pub fn reads_outcomes(&self) -> bool {
        self.algorithm.reads_outcomes() || self.target.is_some()
    }

    /// Whether sessions stay with their model.
    #[must_use]
    pub fn holds_sessions(&self) -> bool {
        self.session.is_some()
    }

    /// Whether the prompt itself is looked at, and not just what is known of it.
    #[must_use]
    pub fn reads_prompt(&self) -> bool {
        self.algorithm.reads_words() || self.algorithm.reads_meaning() || self.algorithm.reads_domains()
    }

    /// The algorithm's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.algorithm.name()
    }

    /// Ranks candidates. Never takes one that is excluded or whose context window the request does not fit; takes one
    /// over a limit of the algorithm only where all are and the configuration says so.
    #[must_use]
    pub fn rank(&self, request: &SelectionRequest<'_>, candidates: &[CandidateFacts<'_>]) -> Ranking {
        let mut ranking = Ranking {
            method: self.algorithm.name(),
            ..Ranking::default()
        };
        let mut fit = Vec::with_capacity(candidates.len());
        let mut limited = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let never = candidate.excluded.or_else(|| too_long(request, candidate));
            let reason = never.or_else(|| self.algorithm.limit(request, candidate));
            match reason {
                None => fit.push(index),
                Some(reason) => {
                    if never.is_none() {
                        limited.push(index);
                    }
                    let model = candidate.model.to_owned();
                    ranking.unfit.push(Unfit { index, model, reason });
                }
            }
        }
        if fit.is_empty() {
            self.rescue(request, candidates, &limited, &mut ranking);
            return ranking;
        }
        let chosen: Vec<&CandidateFacts<'_>> = fit.iter().map(|index| &candidates[*index]).collect();
        let scores = self.algorithm.score(request, &chosen);
        ranking.notes.extend(scores.note);
        let each = scores.each.iter().chain(std::iter::repeat(&UNKNOWN));
        ranking.ranked = fit
            .iter()
            .zip(each)
            .map(|(index, score)| ranked(*index, &candidates[*index], request, score))
            .collect();
        if let Some(target) = &self.target {
            ranking.notes.extend(target.steer(request, &mut ranking.ranked));
        }
        ranking.ranked.sort_by(order);
        if let Some(session) = &self.session {
            ranking.notes.extend(session.hold(
                request,
                candidates,
                &mut ranking.ranked,
                self.algorithm.comparable(),
            ));
        }
        ranking
    }

    fn rescue(
        &self,
        request: &SelectionRequest<'_>,
        candidates: &[CandidateFacts<'_>],
        limited: &[usize],
        ranking: &mut Ranking,
    ) {
        let cost = |index: &usize| candidates[*index].cost(request).unwrap_or(u64::MAX);
        let (rescued, note) = match self.algorithm.when_none() {
            WhenNone::Cheapest => (
                limited.iter().min_by_key(|index| cost(index)),
                "every candidate is over a limit: the cheapest",
            ),
            WhenNone::First => (limited.first(), "every candidate is over a limit: the first"),
            WhenNone::Fail => (None, "no candidate fits"),
        };
        ranking.notes.push(if rescued.is_none() {
            "no candidate fits"
        } else {
            note
        });
        let rescued = rescued.map(|index| ranked(*index, &candidates[*index], request, &UNKNOWN));
        ranking.ranked.extend(rescued);
    }
}

const UNKNOWN: Score = Score {
    value: None,
    quality: None,
    parts: super::ranking::NO_PARTS,
};

fn too_long(request: &SelectionRequest<'_>, candidate: &CandidateFacts<'_>) -> Option<&'static str> {
    let needed = request.prompt_tokens.saturating_add(request.completion_tokens);
    let window = candidate.context_window?;
    (needed > window).then_some("the request is longer than its context window")
}

fn ranked(
    index: usize,
    candidate: &CandidateFacts<'_>,
    request: &SelectionRequest<'_>,
    score: &Score,
) -> Ranked {
    Ranked {
        index,
        model: candidate.model.to_owned(),
        score: score.value.filter(|value| value.is_finite()),
        quality: score.quality.filter(|quality| quality.is_finite()),
        cost: candidate.cost(request),
        parts: score.parts,
    }
}
