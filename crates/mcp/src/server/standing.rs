//! How a server does, as whoever runs the gateway wants to know it.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::Server;
use crate::catalog::{KINDS, Kind};

/// How a server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it speaks the protocol's newer era; nothing while it has not been spoken to.
    pub is_modern: Option<bool>,
    /// Why it is left alone for a while.
    pub resting: Option<String>,
    /// What it lists, and how many; nothing of what has not been listed yet.
    pub listed: Vec<(Kind, usize)>,
    /// Tools that are held back, because they are not as they were pinned.
    pub quarantined: Vec<String>,
    /// Tools that say what tools should not.
    pub suspects: Vec<String>,
}

impl Server {
    /// How it does, as far as is known: nothing is asked of it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let listed = |kind: &Kind| Some((*kind, self.known(*kind)?.0.len()));
        let judged = self.judged.lock();
        let sorted = |names: &HashSet<String>| {
            let mut names: Vec<_> = names.iter().cloned().collect();
            names.sort();
            names
        };
        Standing {
            is_modern: match self.era.load(Ordering::Relaxed) {
                1 => Some(true),
                2 => Some(false),
                _ => None,
            },
            resting: self.is_resting().map(|why| why.to_string()),
            listed: KINDS.iter().filter_map(listed).collect(),
            quarantined: sorted(&judged.quarantined),
            suspects: sorted(&judged.suspects),
        }
    }
}
