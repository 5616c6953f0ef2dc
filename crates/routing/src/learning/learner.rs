//! Takes outcomes in, and tells what is known.

mod shared;

use std::collections::{BTreeMap, BTreeSet};

use super::arm::{Arm, faded};
use super::rating::ratings;
use super::snapshot::{ArmEntry, Contribution, DuelEntry, Snapshot, SnapshotError};

/// Replicas that a learner keeps apart.
const MAX_REPLICAS: usize = 64;

/// The longest name, in bytes.
const MAX_NAME: usize = 256;

/// How a learner learns.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnerConfig {
    /// Who learns: no two replicas share a name.
    pub replica: String,
    /// Seconds after which what was learned counts half, for models that change; never when absent.
    pub half_life_seconds: Option<f64>,
    /// Most models in scopes and domains, and most pairs of compared models, each.
    pub most: usize,
    /// Nothing is learned, and nothing is tried for the sake of learning.
    pub frozen: bool,
}

impl Default for LearnerConfig {
    fn default() -> Self {
        Self {
            replica: "one".to_owned(),
            half_life_seconds: None,
            most: 4_096,
            frozen: false,
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome<'a> {
    /// The decision that selected.
    pub scope: &'a str,
    /// The model that was asked.
    pub model: &'a str,
    /// The domain of the question.
    pub domain: Option<&'a str>,
    /// How good the answer was, 0 to 1, where somebody has said so.
    pub reward: Option<f64>,
    /// What it cost, in nano-dollars.
    pub cost: Option<u64>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Whether there was no answer at all.
    pub failed: bool,
    /// When, in seconds of a clock that all replicas share.
    pub at: u64,
}

impl Outcome<'_> {
    /// The worth of the answer: none for one that nobody judged, 0 for one that never came.
    pub(crate) fn judged(&self) -> Option<f64> {
        if self.failed {
            return Some(0.0);
        }
        self.reward
            .filter(|reward| reward.is_finite())
            .map(|reward| reward.clamp(0.0, 1.0))
    }
}

/// One answer was preferred to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison<'a> {
    /// The decision that selected.
    pub scope: &'a str,
    /// The domain of the question.
    pub domain: Option<&'a str>,
    /// Whose answer was preferred.
    pub winner: &'a str,
    /// Whose was not.
    pub loser: &'a str,
    /// When, in seconds.
    pub at: u64,
}

/// How a model stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The model.
    pub model: String,
    /// Its rating, on Elo's scale.
    pub rating: f64,
    /// Comparisons that it is of, as far as they still count.
    pub games: f64,
    /// What it did.
    pub arm: Arm,
}

/// Why something was not learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnerError {
    /// The learner is frozen.
    Frozen,
    /// It knows as many models, domains or scopes as it may.
    Full,
    /// A name is empty or longer than 256 bytes.
    Name,
}

impl std::fmt::Display for LearnerError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Frozen => "nothing is learned: the learner is frozen",
            Self::Full => "nothing is learned: as many models, domains and scopes are known as may be",
            Self::Name => "nothing is learned: names of scopes, domains and models have 1 to 256 bytes",
        })
    }
}

impl std::error::Error for LearnerError {}

/// By scope, domain (empty for all together) and model.
type Arms = BTreeMap<String, BTreeMap<String, BTreeMap<String, Arm>>>;
/// By scope and domain: who won against whom, how often, as of when.
type Duels = BTreeMap<String, BTreeMap<String, BTreeMap<String, BTreeMap<String, (f64, u64)>>>>;

#[derive(Debug, Clone, Default)]
struct Sums {
    arms: Arms,
    duels: Duels,
    arm_count: usize,
    /// The latest moment that an outcome told.
    newest: u64,
    duel_count: usize,
}

/// What is known of models by what they did.
#[derive(Debug, Clone)]
pub struct Learner {
    config: LearnerConfig,
    sequence: u64,
    own: Sums,
    /// What is on its way to what all share; it counts here until that is told.
    flying: Sums,
    others: BTreeMap<String, Contribution>,
    /// Its own and the others' together.
    total: Sums,
}

impl Learner {
    /// One that knows nothing. A half-life that is no time is none.
    #[must_use]
    pub fn new(mut config: LearnerConfig) -> Self {
        config.half_life_seconds = config
            .half_life_seconds
            .filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        Self {
            config,
            sequence: 0,
            own: Sums::default(),
            flying: Sums::default(),
            others: BTreeMap::new(),
            total: Sums::default(),
        }
    }

    /// How it learns.
    #[must_use]
    pub fn config(&self) -> &LearnerConfig {
        &self.config
    }

    /// Whether it no longer learns.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.config.frozen
    }

    /// Stops learning, or goes on.
    pub fn freeze(&mut self, frozen: bool) {
        self.config.frozen = frozen;
    }

    /// Learns from an outcome.
    ///
    /// # Errors
    /// If it is frozen or full, or a name can't be.
    pub fn record(&mut self, outcome: &Outcome<'_>) -> Result<(), LearnerError> {
        self.may(&[outcome.scope, outcome.model, outcome.domain.unwrap_or("all")])?;
        let half_life = self.config.half_life_seconds;
        let domains = std::iter::once("").chain(outcome.domain);
        let added = domains
            .clone()
            .filter(|domain| self.total.arm(outcome.scope, domain, outcome.model).is_none());
        if self.total.arm_count + added.count() > self.config.most {
            return Err(LearnerError::Full);
        }
        for domain in domains {
            for sums in [&mut self.own, &mut self.total] {
                sums.newest = sums.newest.max(outcome.at);
                sums.arm_mut(outcome.scope, domain, outcome.model)
                    .record(outcome, half_life);
            }
        }
        self.sequence += 1;
        Ok(())
    }

    /// Learns from a comparison.
    ///
    /// # Errors
    /// If it is frozen or full, or a name can't be.
    pub fn compare(&mut self, comparison: &Comparison<'_>) -> Result<(), LearnerError> {
        self.prefer(comparison, 1.0)
    }

    /// Learns from a comparison that counts for so many; what is no number above 0 counts for none.
    ///
    /// # Errors
    /// If it is frozen or full, or a name can't be.
    pub fn prefer(&mut self, comparison: &Comparison<'_>, times: f64) -> Result<(), LearnerError> {
        let Comparison {
            scope,
            domain,
            winner,
            loser,
            at,
        } = *comparison;
        self.may(&[scope, winner, loser, domain.unwrap_or("all")])?;
        if !(times.is_finite() && times > 0.0) {
            return Ok(());
        }
        let domains = std::iter::once("").chain(domain);
        // Both ways of a pair in each domain are counted at most.
        if self.total.duel_count + domains.clone().count() > self.config.most
            && domains
                .clone()
                .any(|domain| !self.total.has_duel(scope, domain, winner, loser))
        {
            return Err(LearnerError::Full);
        }
        for domain in domains {
            for sums in [&mut self.own, &mut self.total] {
                let half_life = self.config.half_life_seconds;
                sums.duel(scope, domain, (winner, loser), (times, at), half_life);
            }
        }
        self.sequence += 1;
        Ok(())
    }

    fn may(&self, names: &[&str]) -> Result<(), LearnerError> {
        if self.config.frozen {
            return Err(LearnerError::Frozen);
        }
        let fine = |name: &&str| !name.is_empty() && name.len() <= MAX_NAME;
        names.iter().all(fine).then_some(()).ok_or(LearnerError::Name)
    }

    /// What a model did in a scope, in a domain or (`None`) in all together, faded to the latest outcome of any: one that
    /// is no longer asked is known less and less, so that it gets tried again.
    #[must_use]
    pub fn arm(&self, scope: &str, domain: Option<&str>, model: &str) -> Option<Arm> {
        let mut now = self.nothing();
        now.add(
            self.total.arm(scope, domain.unwrap_or(""), model)?,
            self.config.half_life_seconds,
        );
        Some(now)
    }

    fn nothing(&self) -> Arm {
        Arm {
            as_of: self.total.newest,
            ..Arm::default()
        }
    }

    /// What all models did in a scope together.
    #[must_use]
    pub fn together(&self, scope: &str) -> Arm {
        let mut sum = self.nothing();
        let models = self.total.arms.get(scope).and_then(|domains| domains.get(""));
        for arm in models.into_iter().flat_map(BTreeMap::values) {
            sum.add(arm, self.config.half_life_seconds);
        }
        sum
    }

    /// Ratings of the models compared in a scope, on Elo's scale, and how many comparisons each has.
    #[must_use]
    pub fn rated(&self, scope: &str, domain: Option<&str>, initial: f64) -> BTreeMap<String, (f64, f64)> {
        let Some(duels) = self
            .total
            .duels
            .get(scope)
            .and_then(|domains| domains.get(domain.unwrap_or("")))
        else {
            return BTreeMap::new();
        };
        let newest = duels.values().flat_map(BTreeMap::values).map(|(_, at)| *at).max();
        let now = newest.unwrap_or(0);
        let half_life = self.config.half_life_seconds;
        let mut games: BTreeMap<String, f64> = BTreeMap::new();
        let mut wins: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for (winner, losers) in duels {
            for (loser, (times, at)) in losers {
                let times = times * faded(now.saturating_sub(*at), half_life);
                *games.entry(winner.clone()).or_default() += times;
                *games.entry(loser.clone()).or_default() += times;
                wins.entry(winner.clone())
                    .or_default()
                    .insert(loser.clone(), times);
            }
        }
        let rated = ratings(&wins, initial, 2.0).into_iter();
        rated
            .map(|(model, rating)| {
                let games = games.get(&model).copied().unwrap_or(0.0);
                (model, (rating, games))
            })
            .collect()
    }

    /// How every model stands that is known of in a scope, by name.
    #[must_use]
    pub fn standings(&self, scope: &str, domain: Option<&str>, initial: f64) -> Vec<Standing> {
        let rated = self.rated(scope, domain, initial);
        let arms = self.total.arms.get(scope);
        let arms = arms.and_then(|domains| domains.get(domain.unwrap_or("")));
        let known = arms.into_iter().flat_map(BTreeMap::keys);
        let all: BTreeSet<&String> = known.chain(rated.keys()).collect();
        let standing = |model: &String| {
            let (rating, games) = rated.get(model).copied().unwrap_or((initial, 0.0));
            Standing {
                model: model.clone(),
                rating,
                games,
                arm: self.arm(scope, domain, model).unwrap_or_default(),
            }
        };
        all.into_iter().map(standing).collect()
    }

    /// All it knows: its own, and the latest that it has of others.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut replicas = self.others.clone();
        let own = self.local().contribution(self.sequence);
        replicas.insert(self.config.replica.clone(), own);
        Snapshot::new(self.config.half_life_seconds, replicas)
    }

    /// Takes a snapshot in: of each replica, what is newer than what is known. Its own part counts as its own past, which
    /// it takes up where it knows less: so it goes on after a restart. A frozen learner takes in, too: what it must not
    /// do is learn by itself.
    ///
    /// # Errors
    /// If it fades in another time, or holds more than this learner may; nothing is taken in then.
    pub fn merge(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        if snapshot.half_life_seconds != self.config.half_life_seconds {
            return Err(SnapshotError::HalfLife(format!(
                "the snapshot's half_life_seconds is {:?}, this learner's {:?}: sums of different times can't be added",
                snapshot.half_life_seconds, self.config.half_life_seconds
            )));
        }
        let mut merged = self.clone();
        for (replica, theirs) in &snapshot.replicas {
            if *replica == merged.config.replica {
                if theirs.sequence > merged.sequence {
                    merged.sequence = theirs.sequence;
                    merged.own = Sums::default();
                    merged.flying = Sums::default();
                    merged.own.add(theirs, merged.config.half_life_seconds);
                }
                continue;
            }
            let known = merged.others.get(replica).map_or(0, |known| known.sequence);
            if theirs.sequence > known {
                merged.others.insert(replica.clone(), theirs.clone());
            }
        }
        merged.sum_up();
        let most = merged.config.most;
        if merged.others.len() >= MAX_REPLICAS
            || merged.total.arm_count > most
            || merged.total.duel_count > most
        {
            return Err(SnapshotError::Full(format!(
                "the snapshot holds more than may be learned: {} replicas (at most {MAX_REPLICAS}), {} models in scopes \
                 and domains and {} compared pairs (at most {most})",
                merged.others.len() + 1,
                merged.total.arm_count,
                merged.total.duel_count
            )));
        }
        *self = merged;
        Ok(())
    }

    /// What was learned here, wherever it stands.
    fn local(&self) -> Sums {
        let mut local = self.own.clone();
        local.add(&self.flying.contribution(0), self.config.half_life_seconds);
        local
    }

    fn sum_up(&mut self) {
        self.total = self.local();
        for other in self.others.values() {
            self.total.add(other, self.config.half_life_seconds);
        }
    }
}

impl Sums {
    fn arm(&self, scope: &str, domain: &str, model: &str) -> Option<&Arm> {
        self.arms.get(scope)?.get(domain)?.get(model)
    }

    fn arm_mut(&mut self, scope: &str, domain: &str, model: &str) -> &mut Arm {
        let models = self
            .arms
            .entry(scope.to_owned())
            .or_default()
            .entry(domain.to_owned())
            .or_default();
        if !models.contains_key(model) {
            self.arm_count += 1;
        }
        models.entry(model.to_owned()).or_default()
    }

    fn has_duel(&self, scope: &str, domain: &str, winner: &str, loser: &str) -> bool {
        let losers = self
            .duels
            .get(scope)
            .and_then(|domains| domains.get(domain))
            .and_then(|winners| winners.get(winner));
        losers.is_some_and(|losers| losers.contains_key(loser))
    }

    fn duel(
        &mut self,
        scope: &str,
        domain: &str,
        (winner, loser): (&str, &str),
        (times, at): (f64, u64),
        half_life: Option<f64>,
    ) {
        if !self.has_duel(scope, domain, winner, loser) {
            self.duel_count += 1;
        }
        let known = self
            .duels
            .entry(scope.to_owned())
            .or_default()
            .entry(domain.to_owned())
            .or_default()
            .entry(winner.to_owned())
            .or_default()
            .entry(loser.to_owned())
            .or_default();
        let now = known.1.max(at);
        known.0 = known.0 * faded(now - known.1, half_life) + times * faded(now - at, half_life);
        known.1 = now;
    }

    fn add(&mut self, contribution: &Contribution, half_life: Option<f64>) {
        for entry in &contribution.arms {
            self.newest = self.newest.max(entry.arm.as_of);
            self.arm_mut(&entry.scope, &entry.domain, &entry.model)
                .add(&entry.arm, half_life);
        }
        for entry in &contribution.duels {
            let pair = (entry.winner.as_str(), entry.loser.as_str());
            self.duel(
                &entry.scope,
                &entry.domain,
                pair,
                (entry.times, entry.as_of),
                half_life,
            );
        }
    }

    fn contribution(&self, sequence: u64) -> Contribution {
        let mut contribution = Contribution {
            sequence,
            ..Contribution::default()
        };
        for (scope, domains) in &self.arms {
            for (domain, models) in domains {
                contribution
                    .arms
                    .extend(models.iter().map(|(model, arm)| ArmEntry {
                        scope: scope.clone(),
                        domain: domain.clone(),
                        model: model.clone(),
                        arm: *arm,
                    }));
            }
        }
        for (scope, domains) in &self.duels {
            for (domain, winners) in domains {
                for (winner, losers) in winners {
                    contribution
                        .duels
                        .extend(losers.iter().map(|(loser, (times, as_of))| DuelEntry {
                            scope: scope.clone(),
                            domain: domain.clone(),
                            winner: winner.clone(),
                            loser: loser.clone(),
                            times: *times,
                            as_of: *as_of,
                        }));
                }
            }
        }
        contribution
    }
}
