//! What is looked after while the gateway runs: months and sums of the ledger, and the length of the audit log.

use std::sync::Arc;
use std::time::Duration;

use pointsman_store::{Actor, Store, StoreError};
use tokio::time::Instant;

/// Between two spells in which entries of the ledger are counted.
const PAUSE: Duration = Duration::from_secs(1);
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// What is looked after, and how.
pub(crate) struct Tended<K, N> {
    /// How often it is looked after.
    pub(crate) every: Duration,
    pub(crate) store: Arc<Store>,
    /// How many months of the ledger are kept.
    pub(crate) months: Option<u32>,
    /// How many days of the audit log are kept, as the configuration in force says.
    pub(crate) keep_days: K,
    /// The time, Unix milliseconds.
    pub(crate) now: N,
}

impl<K: Fn() -> Option<u32>, N: Fn() -> i64> Tended<K, N> {
    /// Looks after it for ever.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.audit().await {
                tracing::warn!(%error, "the audit log could not be shortened; it is tried again later");
            }
            let begun = Instant::now();
            loop {
                match self.ledger().await {
                    Ok(true) if begun.elapsed() < self.every => tokio::time::sleep(PAUSE).await,
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the ledger could not be looked after; it is tried again later");
                        break;
                    }
                }
            }
            tokio::time::sleep(self.every).await;
        }
    }

    /// Whether there is more to do at once.
    async fn ledger(&self) -> Result<bool, StoreError> {
        let (store, months) = (Arc::clone(&self.store), self.months);
        let done = tokio::task::spawn_blocking(move || store.tend(months)).await;
        // One that has not come to its end is over with the process.
        done.unwrap_or(Ok(false))
    }

    async fn audit(&self) -> Result<(), StoreError> {
        let Some(days) = (self.keep_days)() else {
            return Ok(());
        };
        let (store, now) = (Arc::clone(&self.store), (self.now)());
        let done = tokio::task::spawn_blocking(move || trim_audit(&store, days, now)).await;
        done.unwrap_or(Ok(()))
    }
}

/// Takes out of the audit log what is older than it is kept: a day's rows at once, because that it is done is a row, too.
fn trim_audit(store: &Store, days: u32, now: i64) -> Result<(), StoreError> {
    let keep = i64::from(days) * DAY;
    if !store.has_audit_before(now - keep - DAY)? {
        return Ok(());
    }
    let actor = Actor {
        name: "pointsman".to_owned(),
        source: "audit.keep_days".to_owned(),
    };
    if let Some(trimmed) = store.trim_audit(&actor, now - keep)? {
        tracing::info!(rows = trimmed.rows, head = %trimmed.head, "rows of the audit log have been taken out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use pointsman_store::NewKey;

    use super::*;

    /// A log with rows of today, which a task looks after that takes another day for today.
    struct Log {
        store: Arc<Store>,
        /// Days from now.
        day: Arc<AtomicI64>,
        keep: Arc<AtomicU32>,
        /// How often the task has asked for the time.
        asked: Arc<AtomicU32>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Log {
        fn start(keep: u32) -> Self {
            let store = Arc::new(Store::open("sqlite::memory:").unwrap());
            for _ in 0..5 {
                store.create_key(NewKey::default()).unwrap();
            }
            let (day, asked) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU32::new(0)));
            let keep = Arc::new(AtomicU32::new(keep));
            let (today, kept, asks) = (Arc::clone(&day), Arc::clone(&keep), Arc::clone(&asked));
            let tended = Tended {
                every: Duration::from_millis(5),
                store: Arc::clone(&store),
                months: None,
                keep_days: move || Some(kept.load(Ordering::SeqCst)).filter(|days| *days > 0),
                now: move || {
                    asks.fetch_add(1, Ordering::SeqCst);
                    jiff::Timestamp::now().as_millisecond() + today.load(Ordering::SeqCst) * DAY
                },
            };
            let task = tokio::spawn(tended.run());
            Self {
                store,
                day,
                keep,
                asked,
                task,
            }
        }

        /// The rows that are left after the task has come round twice, so many days from now.
        async fn rows_after(&self, days: i64) -> u64 {
            self.day.store(days, Ordering::SeqCst);
            let before = self.asked.load(Ordering::SeqCst);
            let until = Instant::now() + Duration::from_secs(10);
            // The third time it asks, it has done what it had to the second time.
            while self.asked.load(Ordering::SeqCst) < before + 3 {
                assert!(Instant::now() < until, "nobody looks after the log");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let verified = self.store.verify_audit().unwrap();
            assert_eq!(verified.broken, None);
            verified.rows
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    #[tokio::test]
    async fn every_day_what_is_older_than_it_is_kept_is_taken_out_of_the_audit_log() {
        let log = Log::start(30);
        assert_eq!(log.rows_after(0).await, 5);
        assert_eq!(log.rows_after(30).await, 5, "a day's rows are taken out at once");
        // All but the newest, and the row that says so.
        assert_eq!(log.rows_after(32).await, 2);
    }

    #[tokio::test]
    async fn how_long_the_audit_log_is_kept_may_change_while_it_runs() {
        let log = Log::start(0);
        log.day.store(4_000, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(
            log.store.verify_audit().unwrap().rows,
            5,
            "all of it is kept unless it says"
        );
        log.keep.store(400, Ordering::SeqCst);
        assert_eq!(log.rows_after(4_000).await, 2);
    }
}
