//! The plugin `memory`: what is remembered of a user, and what of it is put into their requests.

use regex::RegexSet;

use crate::config::plugins::{MemoryReflection, MemorySettings};

/// What is remembered of a user.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Most memories in a request.
    pub most: usize,
    /// The least likeness of one to what the user says.
    pub least: f64,
    /// Whether what is said now is remembered.
    pub stores: bool,
    /// Whether shared words count beside likeness.
    pub words: bool,
    /// Nothing is remembered of users who have not agreed.
    pub needs_consent: bool,
    /// After how many days one is gone.
    pub days: Option<u32>,
    /// Most memories of a user.
    pub kept: u32,
    /// Most tokens of all in a request.
    pub tokens: u64,
    /// After how many days one counts half.
    pub half_life_days: Option<f64>,
    /// Those at least as alike as this are one.
    pub alike: f64,
    blocked: Option<RegexSet>,
}

impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        let patterns = |memory: &Self| memory.blocked.as_ref().map(|blocked| blocked.patterns().to_vec());
        let numbers = |memory: &Self| (memory.least, memory.half_life_days, memory.alike);
        let counts = |memory: &Self| (memory.most, memory.days, memory.kept, memory.tokens);
        let flags = |memory: &Self| (memory.stores, memory.words, memory.needs_consent);
        numbers(self) == numbers(other)
            && counts(self) == counts(other)
            && flags(self) == flags(other)
            && patterns(self) == patterns(other)
    }
}

/// Memories in a request, where nothing is said.
const MOST: u64 = 5;
/// The least likeness, where nothing is said.
const LEAST: f64 = 0.7;
/// Memories of a user, where nothing is said.
const KEPT: u64 = 200;
/// Memories of a user that may be kept.
const MOST_KEPT: u64 = 2_000;
/// Tokens of them, where nothing is said.
const TOKENS: u64 = 2_048;
/// Days after which one counts half, where nothing is said.
const HALF_LIFE: u64 = 30;
/// How alike those are that are one, where nothing is said.
const ALIKE: f64 = 0.9;

/// Words and likeness are weighed together: there is no other way.
fn weighted(mode: Option<&str>) -> Result<(), String> {
    match mode {
        None | Some("" | "rerank" | "weighted") => Ok(()),
        Some(_) => {
            Err("memory.hybrid_mode: use rerank (weighted): words and likeness make one score".to_owned())
        }
    }
}

/// Whether nothing is remembered before its user says so.
fn needs_consent(of: Option<&str>) -> Result<bool, String> {
    match of {
        None | Some("operator") => Ok(false),
        Some("user") => Ok(true),
        Some(other) => Err(format!(
            "memory.consent: unknown value {other:?}; use user or operator"
        )),
    }
}

impl Memory {
    /// Of its settings; none where they say that nothing is remembered.
    pub(super) fn of(form: MemorySettings) -> Result<Option<Self>, String> {
        if !form.enabled {
            return Ok(None);
        }
        let within = |name: &str, value: u64, most: u64| match (1..=most).contains(&value) {
            true => Ok(value),
            false => Err(format!("memory.{name} is a number from 1 to {most}")),
        };
        let share = |name: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(value),
            false => Err(format!("memory.{name} is a number from 0 to 1")),
        };
        let reflection = form.reflection.unwrap_or_default();
        let reflects = reflection.enabled.unwrap_or(true);
        known(&reflection)?;
        let words = form.hybrid_search;
        weighted(form.hybrid_mode.as_deref())?;
        let needs_consent = needs_consent(form.consent.as_deref())?;
        let days = form
            .ttl_days
            .map(|days| within("ttl_days", days, 36_500))
            .transpose()?;
        let half_life = reflection.recency_decay_days.filter(|days| *days > 0);
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Some(Self {
            most: small(within(
                "retrieval_limit",
                form.retrieval_limit.unwrap_or(MOST),
                100,
            )?) as usize,
            least: share("similarity_threshold", form.similarity_threshold.unwrap_or(LEAST))?,
            stores: form.auto_store.unwrap_or(true),
            words,
            needs_consent,
            days: days.map(small),
            kept: small(within(
                "max_memories",
                form.max_memories.unwrap_or(KEPT),
                MOST_KEPT,
            )?),
            tokens: reflection
                .max_inject_tokens
                .filter(|tokens| *tokens > 0)
                .unwrap_or(TOKENS),
            half_life_days: reflects.then_some(half_life.unwrap_or(HALF_LIFE) as f64),
            alike: match reflects {
                true => share(
                    "reflection.dedup_threshold",
                    reflection
                        .dedup_threshold
                        .filter(|alike| *alike > 0.0)
                        .unwrap_or(ALIKE),
                )?,
                // Word for word the same is kept once.
                false => 1.1,
            },
            blocked: blocked(&reflection.block_patterns)?.filter(|_| reflects),
        }))
    }

    /// Whether a memory must not be put into a request.
    #[must_use]
    pub fn blocks(&self, text: &str) -> bool {
        self.blocked
            .as_ref()
            .is_some_and(|blocked| blocked.is_match(text))
    }

    /// What a likeness counts of something said so many days ago.
    #[must_use]
    pub fn faded(&self, likeness: f64, days: f64) -> f64 {
        match self.half_life_days {
            Some(half_life) => likeness * (-days.max(0.0) / half_life * std::f64::consts::LN_2).exp(),
            None => likeness,
        }
    }
}

/// Whether the way memories are let through is known.
fn known(reflection: &MemoryReflection) -> Result<(), String> {
    match reflection.algorithm.as_deref() {
        None | Some("" | "heuristic" | "recency_semantic") => Ok(()),
        Some(other) => Err(format!(
            "memory.reflection.algorithm: unknown way {other:?}; use heuristic"
        )),
    }
}

fn blocked(patterns: &[String]) -> Result<Option<RegexSet>, String> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let folded = patterns.iter().map(|pattern| format!("(?i){pattern}"));
    let set = regex::RegexSetBuilder::new(folded).size_limit(1 << 20).build();
    set.map(Some)
        .map_err(|error| format!("memory.reflection.block_patterns: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: serde_json::Value) -> Result<Option<Memory>, String> {
        Memory::of(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn settings_are_read_and_what_makes_no_sense_is_told() {
        let published = of(json!({
            "enabled": true, "retrieval_limit": 6, "similarity_threshold": 0.72, "auto_store": true, "hybrid_search": true,
            "hybrid_mode": "rerank", "reflection": {"enabled": true, "algorithm": "recency_semantic", "max_inject_tokens": 384,
            "recency_decay_days": 14, "dedup_threshold": 0.9, "block_patterns": ["api key", "password"]}
        }))
        .unwrap()
        .unwrap();
        assert_eq!(
            (
                published.most,
                published.tokens,
                published.words,
                published.stores
            ),
            (6, 384, true, true)
        );
        assert!(published.blocks("my PASSWORD is x") && !published.blocks("my name is x"));
        // After its half-life one counts half.
        assert!((published.faded(0.8, 14.0) - 0.4).abs() < 1e-9);
        assert!((published.faded(0.8, 0.0) - 0.8).abs() < 1e-9);
        assert_eq!(of(json!({"enabled": false, "retrieval_limit": 0})), Ok(None));
        let plain = of(json!({"enabled": true, "reflection": {"enabled": false, "block_patterns": ["x"]}}));
        let plain = plain.unwrap().unwrap();
        assert!(!plain.blocks("x") && (plain.faded(0.8, 900.0) - 0.8).abs() < 1e-9);
        for wrong in [
            json!({"enabled": true, "retrieval_limit": 0}),
            json!({"enabled": true, "similarity_threshold": 1.5}),
            json!({"enabled": true, "consent": "perhaps"}),
            json!({"enabled": true, "ttl_days": 0}),
            json!({"enabled": true, "hybrid_mode": "rrf"}),
            json!({"enabled": true, "max_memories": 3_000}),
            json!({"enabled": true, "reflection": {"block_patterns": ["("]}}),
            json!({"enabled": true, "reflection": {"algorithm": "magic"}}),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
