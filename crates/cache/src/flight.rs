//! Requests under way that are the same: one is sent, the others wait for its answer.
//!
//! Whoever waits is never worse off than alone, but for a bounded wait: a leader that fails, goes away or gets an answer
//! that is not to be shared is noticed at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::key::CacheKey;

/// Locks are held for one look at a map.
const SHARDS: usize = 32;

/// What a leader has told.
enum Told<V> {
    Nothing,
    Answer(V),
    /// Its answer is not for others.
    Unfit,
}

type Shard<V> = Mutex<HashMap<CacheKey, watch::Receiver<Told<V>>, foldhash::fast::RandomState>>;

/// Requests under way, by what they ask.
pub struct Flights<V> {
    shards: Box<[Shard<V>]>,
}

/// What a request is among those that ask the same.
pub enum Joined<V> {
    /// The first.
    Leads(Flight<V>),
    /// Another is under way.
    Follows(Waiting<V>),
}

/// The request that is sent. Dropped without an answer, it lets another lead.
pub struct Flight<V> {
    flights: Arc<Flights<V>>,
    key: CacheKey,
    tell: watch::Sender<Told<V>>,
}

/// A request that waits.
pub struct Waiting<V>(watch::Receiver<Told<V>>);

/// What came of waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited<V> {
    /// The answer.
    Answer(V),
    /// The leader's answer is not for others: this request is on its own.
    Unfit,
    /// The leader is gone: somebody else may lead.
    Lost,
    /// It took too long.
    Late,
}

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl<V> Flights<V> {
    /// Joins those that ask the same.
    pub fn join(self: &Arc<Self>, key: CacheKey) -> Joined<V> {
        let mut shard = self.shard(&key).lock();
        if let Some(told) = shard.get(&key) {
            return Joined::Follows(Waiting(told.clone()));
        }
        let (tell, told) = watch::channel(Told::Nothing);
        shard.insert(key, told);
        Joined::Leads(Flight {
            flights: Arc::clone(self),
            key,
            tell,
        })
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &CacheKey) -> &Shard<V> {
        &self.shards[usize::from(key.0[0]) % SHARDS]
    }
}

impl<V> Flight<V> {
    /// Gives the answer to those who wait.
    pub fn land(&self, answer: V) {
        self.tell.send_replace(Told::Answer(answer));
    }

    /// Tells those who wait that the answer is not for them.
    pub fn part(&self) {
        self.tell.send_replace(Told::Unfit);
    }
}

impl<V> Drop for Flight<V> {
    fn drop(&mut self) {
        self.flights.shard(&self.key).lock().remove(&self.key);
    }
}

impl<V: Clone> Waiting<V> {
    /// Waits for the leader, no longer than `limit`.
    pub async fn wait(mut self, limit: Duration) -> Waited<V> {
        let told = self.0.wait_for(|told| !matches!(told, Told::Nothing));
        match tokio::time::timeout(limit, told).await {
            Err(_) => Waited::Late,
            Ok(Err(_)) => Waited::Lost,
            Ok(Ok(told)) => match &*told {
                Told::Answer(answer) => Waited::Answer(answer.clone()),
                Told::Unfit | Told::Nothing => Waited::Unfit,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn lead(flights: &Arc<Flights<u8>>) -> Flight<u8> {
        match flights.join(CacheKey([7; 32])) {
            Joined::Leads(flight) => flight,
            Joined::Follows(_) => panic!("somebody leads already"),
        }
    }

    fn follow(flights: &Arc<Flights<u8>>) -> Waiting<u8> {
        match flights.join(CacheKey([7; 32])) {
            Joined::Leads(_) => panic!("nobody leads"),
            Joined::Follows(waiting) => waiting,
        }
    }

    #[tokio::test]
    async fn those_who_wait_get_the_leaders_answer() {
        let flights = Arc::default();
        let leader = lead(&flights);
        let waiting: Vec<_> = (0..9)
            .map(|_| tokio::spawn(follow(&flights).wait(LONG)))
            .collect();
        tokio::task::yield_now().await;
        leader.land(3);
        drop(leader);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Waited::Answer(3));
        }
        assert!(flights.is_empty());
        drop(lead(&flights));
    }

    #[tokio::test]
    async fn a_leader_that_is_gone_holds_nobody_up() {
        let flights = Arc::default();
        let leader = lead(&flights);
        let waiting = tokio::spawn(follow(&flights).wait(LONG));
        tokio::task::yield_now().await;
        drop(leader);
        assert_eq!(waiting.await.unwrap(), Waited::Lost);
        let leader = lead(&flights);
        let waiting = follow(&flights);
        leader.part();
        assert_eq!(waiting.wait(LONG).await, Waited::Unfit);
        assert_eq!(follow(&flights).wait(Duration::ZERO).await, Waited::Unfit);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_told() {
        let flights = Arc::default();
        let leader = lead(&flights);
        let began = std::time::Instant::now();
        assert_eq!(
            follow(&flights).wait(Duration::from_millis(40)).await,
            Waited::Late
        );
        assert!(began.elapsed() >= Duration::from_millis(40) && began.elapsed() < LONG);
        drop(leader);
    }
}
