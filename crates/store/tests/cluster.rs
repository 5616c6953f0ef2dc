//! Shared counters and sessions in a real cluster of two servers, each reached by the URL of either.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pointsman_store::sessions::{Append, Log, LogBounds};
use pointsman_store::{
    Ask, CounterKind, Patience, RedisCounters, RedisSessions, SharedCounters, SharedSessions, Verdict,
};
use pointsman_testbed::redis::RedisCluster;
use secrecy::SecretString;

const KEY: &str = "pointsman:{limits}:team/t:places";
const WITHIN: Duration = Duration::from_secs(2);

/// A replica that takes places one by one.
struct Replica {
    counters: RedisCounters,
    used: i64,
    ceiling: i64,
    version: u64,
}

impl Replica {
    fn new(url: &str, name: &str) -> Self {
        let patience = Patience {
            life: Duration::from_secs(30),
            grace: Duration::ZERO,
        };
        let url = SecretString::from(url.to_owned());
        Self {
            counters: RedisCounters::new(&url, name, [name, ""], patience).unwrap(),
            used: 0,
            ceiling: 0,
            version: 0,
        }
    }

    /// Takes one of `limit` places; nothing while nobody answers.
    async fn take(&mut self, limit: i64) -> Option<bool> {
        let wanted = self.used + 1;
        let ask = Ask {
            key: KEY.to_owned(),
            kind: CounterKind::Places,
            limit: Some(limit),
            used: self.used,
            acknowledged: self.used,
            recent: 0,
            hold: self.ceiling,
            need: wanted,
            asked: wanted,
            want: wanted,
            version: self.version,
            corrections: (0, Vec::new()),
            ledger: None,
            lifetime: Duration::from_secs(60),
        };
        let told = self.counters.exchange(&[ask], WITHIN).await.ok()?.told[0];
        self.version = told.version;
        self.ceiling = told.ceiling;
        let is_taken = told.verdict == Verdict::Granted && told.ceiling >= wanted;
        self.used += i64::from(is_taken);
        Some(is_taken)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_followed_to_whichever_server_has_the_counters_also_while_they_move() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = RedisCluster::start(folder.path(), 2) else {
        return;
    };
    let limit = 400;
    let mut replicas = [0, 1].map(|at| Replica::new(&cluster.servers[at].url(), &format!("replica{at}")));
    // Whoever asks of no counter is told the time where the counters are.
    for replica in &replicas {
        let now = replica.counters.exchange(&[], WITHIN).await.unwrap().now;
        assert!(now > 1_700_000_000_000, "{now}");
    }
    for at in 0..100 {
        assert_eq!(replicas[at % 2].take(limit).await, Some(true), "{at}");
    }
    let here = cluster.place_of(KEY).unwrap();
    let cluster = Arc::new(cluster);
    let is_moved = Arc::new(AtomicBool::new(false));
    let (moving, moved) = (Arc::clone(&cluster), Arc::clone(&is_moved));
    let task = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(100));
        moving.move_slot(KEY, here, 1 - here).unwrap();
        moved.store(true, Ordering::Release);
    });
    // They go on asking; whoever is not answered for a moment comes again.
    let until = Instant::now() + Duration::from_secs(20);
    let (mut at, mut after) = (0, 0);
    let mut refused = [false; 2];
    while refused != [true; 2] {
        assert!(Instant::now() < until, "{after} since the move");
        at += 1;
        let was_moved = is_moved.load(Ordering::Acquire);
        // There has to be something left for after the move.
        if !was_moved && replicas[0].used + replicas[1].used > limit / 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        match replicas[at % 2].take(limit).await {
            Some(true) => after += usize::from(was_moved),
            Some(false) => refused[at % 2] = true,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    task.await.unwrap();
    assert!(after > 50, "only {after} since the move");
    assert_eq!(replicas[0].used + replicas[1].used, limit);
    assert_eq!(cluster.place_of(KEY), Some(1 - here));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_lie_all_over_a_cluster_and_each_as_a_whole_on_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = RedisCluster::start(folder.path(), 2) else {
        return;
    };
    let url = |at: usize| SecretString::from(cluster.servers[at].url());
    let [one, two] = [0, 1].map(|at| RedisSessions::new(&url(at), &format!("process{at}")).unwrap());
    let life = Duration::from_secs(60);
    let mut places = [0, 0];
    for number in 0..16 {
        let session = format!("session-{number}");
        let fields = [("name".to_owned(), number.to_string())];
        one.create(&session, &fields, life).await.unwrap();
        let found = two.fields(&session, life).await.unwrap().unwrap();
        assert_eq!(found["name"], number.to_string());
        let event = Append {
            session: &session,
            log: "l",
            text: "hello",
            last: false,
            holder: None,
            marks: Vec::new(),
            bounds: LogBounds {
                events: 10,
                bytes: 1_000,
                life,
            },
        };
        one.append(event).await.unwrap().unwrap();
        let Log::Events(events) = two.events(&session, "l", 0).await.unwrap() else {
            panic!("the log is there");
        };
        assert_eq!(events.events, [(1, "hello".to_owned())]);
        places[cluster.place_of(&format!("pm:mcp:{{{session}}}")).unwrap()] += 1;
        two.remove(&session).await.unwrap();
        assert!(one.fields(&session, life).await.unwrap().is_none());
    }
    assert!(places.iter().all(|count| *count > 0), "{places:?}");
    // Letters go between processes wherever they wait.
    for (from, to) in [(&one, &two), (&two, &one)] {
        assert!(to.letters().await.unwrap().is_empty());
        assert!(from.is_alive(to.process()).await.unwrap());
        from.mail(to.process(), "come").await.unwrap();
        assert_eq!(to.letters().await.unwrap(), ["come"]);
    }
}
