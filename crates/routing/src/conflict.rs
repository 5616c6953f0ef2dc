//! What serves and yet can't be meant: decisions that are never taken, signals that nothing looks at, bands that no
//! score reaches.
//!
//! What is told is certain. Signals are taken as free to say what they like, but for what binds them to one another
//! (`world`); whether a rule can hold at all is then a search with a bound (`solve`), and where the bound is reached
//! nothing is told.

mod bands;
mod matching;
mod solve;
mod unfitted;
mod unused;
mod world;

use crate::config::RoutingConfig;
use crate::recipes::parts;

/// Something that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What it is.
    pub kind: ConflictKind,
    /// Where, relative to `routing`, such as `decisions[0].rules`.
    pub path: String,
    /// What, and what to do about it.
    pub message: String,
}

/// Kinds of conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKind {
    /// A rule that never holds.
    NeverMatches,
    /// A decision that matches, but never when it would count.
    Shadowed,
    /// Something that nothing refers to.
    Unused,
    /// A candidate of which nothing is known.
    NoCard,
    /// An algorithm that has nothing to go by.
    Unfitted,
    /// Ranges that leave a gap, overlap or stand in the wrong order; partitions that share a member.
    Ranges,
}

/// Everything that can't be meant, those of recipes, too.
#[must_use]
pub fn conflicts(config: &RoutingConfig) -> Vec<Conflict> {
    let mut found = Vec::new();
    for part in parts(config) {
        let mut own = Vec::new();
        matching::check(&part.config, &mut own);
        unused::check(&part.config, &mut own);
        bands::check(&part.config, &mut own);
        unfitted::check(&part.config, &mut own);
        found.extend(own.into_iter().map(|conflict| Conflict {
            path: format!("{}{}", part.path, conflict.path),
            ..conflict
        }));
    }
    unused::recipes(config, &mut found);
    found
}

/// Adds a conflict.
fn tell(found: &mut Vec<Conflict>, kind: ConflictKind, path: impl Into<String>, message: String) {
    found.push(Conflict {
        kind,
        path: path.into(),
        message,
    });
}
