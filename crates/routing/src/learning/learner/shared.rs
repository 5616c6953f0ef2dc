//! Learners that share one store: what each has learned is added to what all share, and never written over.
//!
//! Sums add up in any order, so a replica needs no name that outlives it: it hands over what is new, and takes what all
//! share in its place. What was handed over counts here until it is known to be among that, so nothing is missed or
//! counted twice meanwhile.

use super::super::snapshot::{Contribution, Snapshot, SnapshotError};
use super::{Learner, LearnerConfig, Sums};
use std::collections::BTreeMap;

/// The name under which a learner holds what all share.
const ALL: &str = "all";

impl Learner {
    /// Hands out what was learned here since it was last [shared](Self::shared); none where that is nothing.
    pub fn unshared(&mut self) -> Option<Contribution> {
        let half_life = self.config.half_life_seconds;
        let own = std::mem::take(&mut self.own).contribution(0);
        self.flying.add(&own, half_life);
        let flying = self.flying.contribution(self.sequence);
        (!flying.arms.is_empty() || !flying.duels.is_empty()).then_some(flying)
    }

    /// Takes in what all share now, in which everything is that [`unshared`](Self::unshared) has handed out.
    pub fn shared(&mut self, all: Contribution) {
        self.flying = Sums::default();
        self.others.insert(ALL.to_owned(), all);
        self.sum_up();
    }

    /// Takes in what all share now, where nothing was handed out since the last time.
    pub fn refreshed(&mut self, all: Contribution) {
        self.others.insert(ALL.to_owned(), all);
        self.sum_up();
    }

    /// The same knowledge, going on under another configuration.
    #[must_use]
    pub fn under(mut self, config: LearnerConfig) -> Self {
        self.config = Self::new(config).config;
        self.sum_up();
        self
    }
}

impl Contribution {
    /// What all share, as it is stored.
    ///
    /// # Errors
    /// If it is none, or of another version.
    pub fn stored(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut snapshot = Snapshot::read(bytes)?;
        Ok(snapshot.replicas.remove(ALL).unwrap_or_default())
    }

    /// With what a replica has learned, and as it is to be stored. Of more than `most` models or pairs, those that were
    /// learned of last stay.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn with(
        &self,
        learned: &Self,
        half_life: Option<f64>,
        most: usize,
    ) -> Result<(Self, Vec<u8>), SnapshotError> {
        let mut sums = Sums::default();
        sums.add(self, half_life);
        sums.add(learned, half_life);
        let mut all = sums.contribution(self.sequence + 1);
        all.arms.sort_by_key(|entry| std::cmp::Reverse(entry.arm.as_of));
        all.arms.truncate(most);
        all.duels.sort_by_key(|entry| std::cmp::Reverse(entry.as_of));
        all.duels.truncate(most);
        let snapshot = Snapshot::new(half_life, BTreeMap::from([(ALL.to_owned(), all)]));
        let bytes = snapshot.write()?;
        let mut replicas = snapshot.replicas;
        Ok((replicas.remove(ALL).unwrap_or_default(), bytes))
    }
}
