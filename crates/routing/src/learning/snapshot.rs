//! What a learner knows, as a value that is saved, shared and looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arm::Arm;

/// The version of the form below.
const VERSION: u32 = 1;

/// The longest snapshot that is read, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// Why a snapshot can't be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// It is longer than 16 MiB.
    Long(usize),
    /// It is no snapshot.
    Form(String),
    /// It was written by another version.
    Version(u32),
    /// A number in it can't be.
    Number(String),
    /// It fades in another time than this learner's.
    HalfLife(String),
    /// It holds more than a learner may.
    Full(String),
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Long(bytes) => write!(out, "a snapshot of {bytes} bytes: at most {MAX_BYTES} are read"),
            Self::Form(problem) => write!(out, "no snapshot of what was learned: {problem}"),
            Self::Version(version) => {
                write!(
                    out,
                    "a snapshot of version {version}; version {VERSION} can be read"
                )
            }
            Self::Number(place) => write!(out, "the snapshot has an impossible number: {place}"),
            Self::HalfLife(problem) | Self::Full(problem) => out.write_str(problem),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// Everything that is known, by who has seen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The version of its form.
    pub version: u32,
    /// Seconds after which what was learned counts half; never when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub half_life_seconds: Option<f64>,
    /// What each replica has seen.
    pub replicas: BTreeMap<String, Contribution>,
}

/// What one replica has seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contribution {
    /// How often it has learned: of two, the one with more is the newer.
    pub sequence: u64,
    /// Models in scopes.
    pub arms: Vec<ArmEntry>,
    /// Comparisons.
    pub duels: Vec<DuelEntry>,
}

/// A model in a scope, in a domain or (empty) in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmEntry {
    /// The decision.
    pub scope: String,
    /// The domain; empty for all together.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub domain: String,
    /// The model.
    pub model: String,
    /// Its sums.
    #[serde(flatten)]
    pub arm: Arm,
}

/// How often a model was preferred to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DuelEntry {
    /// The decision.
    pub scope: String,
    /// The domain; empty for all together.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub domain: String,
    /// The one that was preferred.
    pub winner: String,
    /// The other.
    pub loser: String,
    /// How often, faded to `as_of`.
    pub times: f64,
    /// The moment the number is worth what it says, in seconds.
    pub as_of: u64,
}

impl Snapshot {
    pub(crate) fn new(half_life_seconds: Option<f64>, replicas: BTreeMap<String, Contribution>) -> Self {
        Self {
            version: VERSION,
            half_life_seconds,
            replicas,
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none, is of another version, or holds numbers that can't be.
    pub fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() > MAX_BYTES {
            return Err(SnapshotError::Long(bytes.len()));
        }
        let form = |error: serde_json::Error| SnapshotError::Form(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(form)?;
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        match version {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(SnapshotError::Version(u32::try_from(version).unwrap_or(u32::MAX))),
            None => return Err(SnapshotError::Form("it has no version".to_owned())),
        }
        let snapshot = Self::deserialize(value).map_err(form)?;
        snapshot.check()?;
        Ok(snapshot)
    }

    fn check(&self) -> Result<(), SnapshotError> {
        let wrong = |place: String| Err(SnapshotError::Number(place));
        if self
            .half_life_seconds
            .is_some_and(|seconds| !(seconds.is_finite() && seconds > 0.0))
        {
            return wrong("half_life_seconds".to_owned());
        }
        for (replica, contribution) in &self.replicas {
            if let Some(entry) = contribution.arms.iter().find(|entry| !entry.arm.is_sound()) {
                return wrong(format!("{replica}: arm {} {}", entry.scope, entry.model));
            }
            let duels = &contribution.duels;
            if let Some(entry) = duels
                .iter()
                .find(|entry| !(entry.times.is_finite() && entry.times >= 0.0))
            {
                return wrong(format!("{replica}: duel {} {}", entry.scope, entry.winner));
            }
        }
        Ok(())
    }

    /// As bytes: compact JSON, the same for the same knowledge.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self).map_err(|error| SnapshotError::Form(error.to_string()))
    }

    /// Both together: of each replica, what is newer. In which order, and how often, does not matter.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        for (replica, theirs) in other.replicas {
            match self.replicas.get(&replica) {
                Some(ours) if ours.sequence >= theirs.sequence => {}
                _ => drop(self.replicas.insert(replica, theirs)),
            }
        }
        self
    }
}
