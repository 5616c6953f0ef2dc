//! Sessions stay with their model unless leaving it is worth what the new one has to read again.

use super::candidate::{CandidateFacts, Previous, SelectionRequest};
use super::ranking::Ranked;

/// When a session changes its model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Session {
    /// After so many seconds of silence a session is as good as new.
    pub(crate) idle_seconds: u64,
    /// Turns that a model has at least.
    pub(crate) min_turns: u32,
    /// What another model must score more, whatever is warm.
    pub(crate) margin: f64,
    /// Never between a call of a tool and its result.
    pub(crate) tool_loop_lock: bool,
    /// What is asked for each share of the turn's cost that is paid again.
    pub(crate) cache_weight: f64,
    /// The most that is asked for it, in turns' costs.
    pub(crate) max_cache_multiple: f64,
    /// What is asked for each second that is waited again.
    pub(crate) second_weight: f64,
    /// Whether sessions stay; otherwise it is only told that they would.
    pub(crate) acts: bool,
}

/// What is told of a session that would stay.
const OBSERVED: &str = "the session would stay with its model; it is only observed";

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_seconds: 300,
            min_turns: 1,
            margin: 0.05,
            tool_loop_lock: true,
            cache_weight: 0.2,
            max_cache_multiple: 1.0,
            second_weight: 0.05,
            acts: true,
        }
    }
}

/// What a decision says of its sessions beside its algorithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Protected {
    /// How much what is warm counts, in times of what it usually does.
    pub(crate) weight: Option<f64>,
    /// What another model must score more.
    pub(crate) margin: Option<f64>,
    /// Whether sessions stay.
    pub(crate) acts: bool,
}

/// What leaving a model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SwitchCost {
    /// Nano-dollars for tokens that would have been read from the cache.
    pub(crate) nano_dollars: u64,
    /// Milliseconds for reading them.
    pub(crate) milliseconds: f64,
}

impl Session {
    /// With what a decision says beside.
    pub(crate) fn protected(self, by: Protected) -> Self {
        let weight = by.weight.unwrap_or(1.0);
        Self {
            margin: by.margin.unwrap_or(self.margin),
            cache_weight: self.cache_weight * weight,
            second_weight: self.second_weight * weight,
            acts: by.acts,
            ..self
        }
    }

    /// Puts the session's model first, where it stays; says why.
    pub(crate) fn hold(
        &self,
        request: &SelectionRequest<'_>,
        candidates: &[CandidateFacts<'_>],
        ranked: &mut [Ranked],
        comparable: bool,
    ) -> Option<&'static str> {
        let previous = request
            .previous
            .filter(|previous| previous.idle_seconds <= self.idle_seconds)?;
        let at = ranked.iter().position(|ranked| ranked.model == previous.model)?;
        if at == 0 {
            return None;
        }
        let note = self.reason(request, candidates, (at, ranked), &previous, comparable)?;
        if !self.acts {
            return Some(OBSERVED);
        }
        ranked[..=at].rotate_right(1);
        Some(note)
    }

    fn reason(
        &self,
        request: &SelectionRequest<'_>,
        candidates: &[CandidateFacts<'_>],
        (at, ranked): (usize, &mut [Ranked]),
        previous: &Previous<'_>,
        comparable: bool,
    ) -> Option<&'static str> {
        if self.tool_loop_lock && previous.in_tool_loop {
            return Some("the session stays: its model waits for results of tools");
        }
        if previous.turns < self.min_turns {
            return Some("the session stays: its model has had too few turns");
        }
        let (best, current) = (&ranked[0], &ranked[at]);
        let advantage = match (best.score, current.score) {
            (Some(best), Some(current)) if comparable => best - current,
            // The other would be chosen for a reason that this one lacks altogether.
            (Some(_), None) if comparable => return None,
            _ => return Some("the session stays: nothing tells candidates apart"),
        };
        let (new, old) = (&candidates[best.index], &candidates[current.index]);
        let lost = switch_cost(request, new, old);
        let turn = current.cost.unwrap_or(0).max(1);
        let money = (lost.nano_dollars as f64 / turn as f64).min(self.max_cache_multiple);
        let asked =
            self.margin + self.cache_weight * money + self.second_weight * lost.milliseconds / 1_000.0;
        let parts = ranked[at].parts;
        ranked[at].parts = parts
            .with("switch_asks", asked)
            .with("switch_nano_dollars", lost.nano_dollars as f64)
            .with("switch_ms", lost.milliseconds);
        (advantage <= asked).then_some("the session stays: another model is not worth what is warm")
    }
}

/// What the new model has to read again that the old one holds, in money and in time.
pub(crate) fn switch_cost(
    request: &SelectionRequest<'_>,
    new: &CandidateFacts<'_>,
    old: &CandidateFacts<'_>,
) -> SwitchCost {
    let warm = request.warm_tokens(old.model);
    let nano_dollars = new.price.zip(old.price).map_or(0, |(new, old)| {
        let more = u128::from(new.input.saturating_sub(old.cached_input));
        u64::try_from(u128::from(warm) * more / 1_000_000).unwrap_or(u64::MAX)
    });
    let first_token = new
        .latency
        .and_then(|latency| latency.ttft_ms.at(50))
        .unwrap_or(0.0);
    let share = warm as f64 / request.prompt_tokens.max(1) as f64;
    SwitchCost {
        nano_dollars,
        milliseconds: first_token * share,
    }
}
