//! When requests of paced connections are sent.
//!
//! Tokio's timers wake whatever lies within a millisecond at once, and equal pauses keep together who once fell together: what
//! was meant as single requests comes as crowds. Here pauses are drawn, as of clients that know nothing of each other, and a
//! thread that does nothing else wakes each connection when its time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;

/// No pause is longer than so many mean ones.
const LONGEST: f64 = 5.0;

/// Wakes connections. Its thread ends with the last of its clones.
#[derive(Debug, Clone)]
pub(super) struct Pacer(Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    until: Instant,
    wake: oneshot::Sender<()>,
}

impl Pacer {
    pub(super) fn start() -> Self {
        let (sender, waiting) = mpsc::channel();
        std::thread::spawn(move || {
            let mut asleep: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
            loop {
                let now = Instant::now();
                while asleep.peek().is_some_and(|first| first.0.until <= now) {
                    if let Some(Reverse(first)) = asleep.pop() {
                        // Who no longer waits need not be woken.
                        let _ = first.wake.send(());
                    }
                }
                let next = match asleep.peek() {
                    Some(first) => waiting.recv_timeout(first.0.until - now),
                    None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                match next {
                    Ok(another) => asleep.push(Reverse(another)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self(sender)
    }

    /// Waits that long, to within what the system's timers are late.
    pub(super) async fn pause(&self, length: Duration) {
        let (wake, woken) = oneshot::channel();
        let until = Instant::now() + length;
        if self.0.send(Waiting { until, wake }).is_ok() {
            let _ = woken.await;
        }
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.until.cmp(&other.until)
    }
}

/// The pauses of one connection: exponential about their mean, the same ones for the same number.
#[derive(Debug)]
pub(super) struct Pauses {
    mean: Duration,
    chance: SmallRng,
}

impl Pauses {
    pub(super) fn new(mean: Duration, number: usize) -> Self {
        Self {
            mean,
            chance: SmallRng::seed_from_u64(number as u64),
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let share: f64 = self.chance.random();
        self.mean.mul_f64((-(1.0 - share).ln()).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_are_what_was_asked_for_on_the_whole() {
        let mean = Duration::from_millis(10);
        let of = |number| {
            let mut pauses = Pauses::new(mean, number);
            (0..4_000).map(|_| pauses.next()).collect::<Vec<_>>()
        };
        let (one, other) = (of(1), of(2));
        assert_ne!(one, other);
        assert_eq!(one, of(1));
        let seen = one.iter().sum::<Duration>().as_secs_f64() / 4_000.0 / mean.as_secs_f64();
        assert!((0.95..1.05).contains(&seen), "{seen}");
        assert!(one.iter().all(|pause| *pause <= mean.mul_f64(LONGEST)));
    }

    #[tokio::test]
    async fn nobody_is_woken_early_and_the_soonest_comes_first() {
        let pacer = Pacer::start();
        let woken = std::sync::Mutex::new(Vec::new());
        let wait = async |millis| {
            let (length, begun) = (Duration::from_millis(millis), Instant::now());
            pacer.pause(length).await;
            assert!(begun.elapsed() >= length);
            woken.lock().unwrap().push(millis);
        };
        tokio::join!(wait(200), wait(1), wait(100));
        assert_eq!(*woken.lock().unwrap(), [1, 100, 200]);
    }
}
