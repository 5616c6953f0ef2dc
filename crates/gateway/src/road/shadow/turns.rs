//! Whose turn it is: how many copies of a decision are under way and wait, on all workers together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pointsman_routing::Shadow;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lanes beyond which those that nobody is in are forgotten.
const MOST: usize = 256;

/// The copies of all decisions. Outlives a configuration, so that a reload does not let twice as many go.
#[derive(Default)]
pub struct Lanes(Mutex<HashMap<(String, usize, usize), Arc<Lane>>>);

/// The copies of one decision.
struct Lane {
    turns: Arc<Semaphore>,
    /// Under way, and waiting.
    inside: AtomicUsize,
}

/// A place among the copies of a decision; free again however it ends.
pub struct Place(Arc<Lane>);

impl Lanes {
    /// A place, if there is one.
    pub fn enter(&self, decision: &str, shadow: &Shadow) -> Option<Place> {
        let lane = self.lane(decision, shadow);
        let taken = lane.inside.fetch_add(1, Ordering::Relaxed);
        let place = Place(lane);
        (taken < shadow.at_once + shadow.waiting).then_some(place)
    }

    fn lane(&self, decision: &str, shadow: &Shadow) -> Arc<Lane> {
        let mut lanes = self.0.lock();
        if lanes.len() >= MOST {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let named = (decision.to_owned(), shadow.at_once, shadow.waiting);
        let lane = lanes.entry(named).or_insert_with(|| {
            Arc::new(Lane {
                turns: Arc::new(Semaphore::new(shadow.at_once)),
                inside: AtomicUsize::new(0),
            })
        });
        Arc::clone(lane)
    }
}

impl Place {
    /// Waits until it is its turn.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.turns).acquire_owned().await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(at_once: usize, waiting: usize) -> Shadow {
        Shadow {
            model: "m".to_owned(),
            share: 1.0,
            at_once,
            waiting,
            seconds: 1,
            longest: 1,
            retries: 0,
            captured: None,
            headers: Vec::new(),
            payer: None,
        }
    }

    #[tokio::test]
    async fn no_more_than_have_room_are_let_in_and_no_more_than_may_have_their_turn() {
        let lanes = Lanes::default();
        let shadow = shadow(1, 1);
        let first = lanes.enter("d", &shadow).unwrap();
        let second = lanes.enter("d", &shadow).unwrap();
        assert!(lanes.enter("d", &shadow).is_none());
        assert!(lanes.enter("other", &shadow).is_some());
        let turn = first.turn().await.unwrap();
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), second.turn());
        assert!(waits.await.is_err());
        drop((turn, first));
        assert!(second.turn().await.is_some());
        // Whoever found no room has taken none.
        assert!(lanes.enter("d", &shadow).is_some());
    }
}
