//! Faults at random while clients come: replicas are killed, Redis begins again, PostgreSQL stands still.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::site::{Crowd, Database, REPLICAS, Site, all, dollars};
use crate::harness::{figure, post};

/// How long PostgreSQL stands still.
const STALL: Duration = Duration::from_millis(200);
/// Answers that must have come meanwhile, for it to have struck anything.
const ENOUGH: u64 = 20;
/// All is well again within this time.
const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A replica is killed, and starts again.
    Death,
    /// Redis is killed, and starts again with what it has kept.
    Redis,
    /// PostgreSQL stands still.
    Stall,
}

#[derive(Debug, Clone, Copy)]
pub struct Storm {
    pub lasts: Duration,
    pub clients: usize,
    /// In turn.
    pub faults: &'static [Fault],
}

impl Storm {
    /// Has the storm pass over a site, waits until it has recovered and all of its budget is used, and looks at the books.
    pub async fn over(self, mut site: Site, amount: i64) {
        let crowd = Crowd::new(&site, &site.rich, usize::MAX);
        let clients = crowd.gather(self.clients);
        // It strikes who is at work.
        wait(&crowd, 1).await;
        let begun = Instant::now();
        for fault in self.faults.iter().cycle() {
            // On a slow machine it goes on until it has struck something.
            let has_struck = crowd.answered.load(Ordering::Relaxed) >= ENOUGH;
            if begun.elapsed() >= self.lasts && (has_struck || begun.elapsed() >= 6 * self.lasts) {
                break;
            }
            let pause = Duration::from_millis(rand::rng().random_range(200..700));
            tokio::time::sleep(pause).await;
            strike(&mut site, &crowd, *fault, pause).await;
        }
        let before = crowd.answered.load(Ordering::Relaxed);
        assert!(before >= ENOUGH, "only {before} answers came in the storm");
        let begun = Instant::now();
        for address in site.addresses() {
            // Whether it answers or says that the limit is reached: it counts.
            while begun.elapsed() < RECOVERY
                && !post(address, "/v1/chat/completions", &site.rich, &crowd.body)
                    .await
                    .is_some_and(|answer| matches!(answer.status.as_u16(), 200 | 429))
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let recovered = begun.elapsed();
        assert!(recovered < RECOVERY, "it was recovered from after {recovered:?}");
        used_up(&crowd).await;
        crowd.leave.store(true, Ordering::Relaxed);
        all(clients).await;
        assert!(crowd.strange.lock().unwrap().is_empty(), "{:?}", crowd.strange);
        site.stop();
        let finished = crowd.finished.lock().unwrap();
        figure(&format!(
            "{} answers, {before} of them in the storm; recovered after {recovered:?}; {} spent of {amount}",
            finished.len(),
            site.spent("o")
        ));
        site.assert_used("o", dollars(amount));
        site.assert_counted();
        site.assert_complete(&finished);
    }
}

/// Waits for so many answers.
async fn wait(crowd: &Crowd, answers: u64) {
    let until = Instant::now() + 2 * RECOVERY;
    while crowd.answered.load(Ordering::Relaxed) < answers {
        assert!(Instant::now() < until, "nobody is answered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn strike(site: &mut Site, crowd: &Crowd, fault: Fault, pause: Duration) {
    match fault {
        Fault::Redis => {
            site.redis.kill();
            tokio::time::sleep(pause).await;
            site.redis.begin_again();
        }
        Fault::Death => {
            let number = rand::rng().random_range(0..REPLICAS);
            site.kill(number);
            *crowd.addresses.lock().unwrap() = site.addresses();
            tokio::time::sleep(pause).await;
            site.start(number);
            *crowd.addresses.lock().unwrap() = site.addresses();
        }
        Fault::Stall => {
            if let Database::Postgres(server) = &site.database {
                server.freeze();
                tokio::time::sleep(STALL).await;
                server.thaw();
            }
        }
    }
}

/// Waits until all that is left is used, whoever asks.
async fn used_up(crowd: &Crowd) {
    let until = Instant::now() + 4 * RECOVERY;
    let mut denied = crowd.denied.load(Ordering::Relaxed);
    let mut quiet = 0;
    while quiet < 4 {
        assert!(Instant::now() < until, "it cannot be used up");
        let answered = crowd.answered.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(750)).await;
        let now = crowd.denied.load(Ordering::Relaxed);
        // Everybody is refused, and nobody answered any more: it is used up.
        let is_over = now > denied && crowd.answered.load(Ordering::Relaxed) == answered;
        quiet = if is_over { quiet + 1 } else { 0 };
        denied = now;
    }
}
