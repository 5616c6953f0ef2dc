//! Who reads what is sensitive is written down, once in a while for each who reads the same again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;

use crate::call::{Call, Failed};

/// Whoever reads the same within this time is not written down again: pages that are looked at ask every few seconds.
const ONCE_IN: Duration = Duration::from_secs(60);
/// So many readings are remembered.
const MOST: usize = 4_096;

/// Readings that were written down lately.
#[derive(Default)]
pub struct Seen(Mutex<HashMap<(String, String), Instant>>);

impl Seen {
    /// Writes a reading down, before anything is shown.
    pub fn note(&self, call: &Call, what: &str) -> Result<(), Failed> {
        if !call.gateway.snapshot().audit.reads || !self.is_new(&call.actor.name, what, Instant::now()) {
            return Ok(());
        }
        let path = what.split(' ').nth(1).unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let how = json!({ "query": query });
        Ok(call
            .store()
            .record_act(&call.actor, ("read", "path", path), &how)?)
    }

    fn is_new(&self, who: &str, what: &str, now: Instant) -> bool {
        let mut seen = self.0.lock();
        let key = (who.to_owned(), what.to_owned());
        if seen.get(&key).is_some_and(|at| now.duration_since(*at) < ONCE_IN) {
            return false;
        }
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reading_is_told_once_in_a_while() {
        let (seen, now) = (Seen::default(), Instant::now());
        assert!(seen.is_new("kim", "GET /a", now));
        assert!(!seen.is_new("kim", "GET /a", now + Duration::from_secs(59)));
        assert!(seen.is_new("lee", "GET /a", now) && seen.is_new("kim", "GET /b", now));
        assert!(seen.is_new("kim", "GET /a", now + ONCE_IN));
        for number in 0..2 * MOST {
            seen.is_new("kim", &number.to_string(), now);
        }
        assert!(seen.0.lock().len() <= MOST);
    }
}
