//! Every back end does the same, and a dead one costs a bounded wait: against a real folder, Redis and PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pointsman_cache::backend::{self, Backend, Heard, NewEntry};
use pointsman_cache::{BackendConfig, CacheKey, Came, Filter, KeyBuilder, Labels, Operation, Remote};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_upstream::HumanDuration;
use pointsman_upstream::breaker::BreakerState;
use tokio::runtime::Handle;

const HOUR: Duration = Duration::from_secs(3_600);

fn config(url: &str, max_bytes: u64) -> BackendConfig {
    BackendConfig {
        url: url.into(),
        timeout: HumanDuration::from_millis(50),
        max_bytes,
    }
}

fn open(url: &str) -> Arc<dyn Backend> {
    backend::at(&config(url, 1 << 30), &Handle::current()).unwrap()
}

fn key(name: &str) -> CacheKey {
    let mut key = KeyBuilder::new();
    key.field("name", name.as_bytes());
    key.finish()
}

fn entry(name: &str, team: &str, tags: &[&str], ttl: Duration) -> NewEntry {
    NewEntry {
        key: key(name),
        value: Bytes::from(format!("\0{{answer to {name}}}\n")),
        labels: Labels {
            team: Some(team.to_owned()),
            models: vec!["fast".to_owned(), format!("{team}-model")],
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Labels::default()
        },
        ttl,
    }
}

fn of(change: impl Fn(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

/// What every back end must do.
async fn behaves(back: &dyn Backend) {
    assert_eq!(back.get(key("a")).await.unwrap(), None);
    fill(back).await;
    tells_what_it_has(back).await;
    lets_go_in_time(back).await;
    deletes_what_is_meant(back).await;
}

/// Five entries.
async fn fill(back: &dyn Backend) {
    for (name, team, tags) in [
        ("a", "red", &["faq", "x"][..]),
        ("b", "red", &["faq"]),
        ("c", "blue", &[]),
        ("d", "blue", &["x"]),
        ("e", "blue", &["x"]),
    ] {
        back.put(&entry(name, team, tags, HOUR)).await.unwrap();
    }
    assert_eq!(
        back.get(key("a")).await.unwrap().unwrap(),
        entry("a", "", &[], HOUR).value
    );
}

async fn tells_what_it_has(back: &dyn Backend) {
    // In place of an earlier one.
    let mut again = entry("a", "red", &["faq"], HOUR);
    again.value = Bytes::from_static(b"new");
    back.put(&again).await.unwrap();
    assert_eq!(back.get(key("a")).await.unwrap().unwrap(), "new");
    let known = back.describe(key("a")).await.unwrap().unwrap();
    assert_eq!((known.labels, known.bytes), (again.labels, 3));
    assert!(
        known.left <= HOUR && known.left > HOUR - Duration::from_secs(60),
        "{:?}",
        known.left
    );
    assert_eq!(back.describe(key("nobody's")).await.unwrap(), None);
    assert_eq!(back.holds().await.unwrap().entries, 5);
}

/// Each entry has a time of its own.
async fn lets_go_in_time(back: &dyn Backend) {
    back.put(&entry("short", "red", &[], Duration::from_millis(120)))
        .await
        .unwrap();
    assert!(back.get(key("short")).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(back.get(key("short")).await.unwrap(), None);
    assert_eq!(back.describe(key("short")).await.unwrap(), None);
    back.tend().await.unwrap();
    assert_eq!(back.holds().await.unwrap().entries, 5);
}

/// What fits in every respect.
async fn deletes_what_is_meant(back: &dyn Backend) {
    for (filter, gone) in [
        (of(|filter| filter.labels.team = Some("green".to_owned())), 0),
        (
            of(|filter| {
                filter.entry = Some(key("e"));
                filter.labels.team = Some("red".to_owned());
            }),
            0,
        ),
        (of(|filter| filter.entry = Some(key("e"))), 1),
        (
            of(|filter| {
                filter.labels.tags = vec!["x".to_owned()];
                filter.labels.team = Some("blue".to_owned());
            }),
            1,
        ),
        (
            of(|filter| filter.labels.models = vec!["red-model".to_owned()]),
            2,
        ),
        (Filter::default(), 1),
        (Filter::default(), 0),
    ] {
        assert_eq!(back.delete(&filter).await.unwrap(), gone, "{filter:?}");
    }
    assert_eq!(back.holds().await.unwrap().entries, 0);
}

/// What those do that replicas share.
async fn passes_notes_on(back: &dyn Backend, other: &dyn Backend) {
    assert!(back.is_shared());
    let (none, begun) = other.hear(Heard::Since(HOUR), 10).await.unwrap();
    assert!(none.is_empty());
    // Where there is nothing yet, too, it is known from where to go on: what is noted later is missed at no time.
    assert!(matches!(begun, Heard::UpTo(_)), "{begun:?}");
    for number in 0..5_u8 {
        back.tell(Bytes::from(vec![number, 0, 255])).await.unwrap();
    }
    let (first, upto) = other.hear(begun, 3).await.unwrap();
    let numbers: Vec<u8> = first.iter().map(|note| note[0]).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let (rest, upto) = other.hear(upto, 3).await.unwrap();
    assert_eq!(rest.iter().map(|note| note[0]).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(rest[0], &[3, 0, 255][..]);
    let (none, same) = other.hear(upto.clone(), 3).await.unwrap();
    assert!(none.is_empty() && same == upto);
    other.tell(Bytes::from_static(b"more")).await.unwrap();
    assert_eq!(other.hear(upto, 3).await.unwrap().0, ["more"]);
    // Whoever comes later hears what is young enough.
    assert_eq!(back.hear(Heard::Since(HOUR), 100).await.unwrap().0.len(), 6);
}

#[tokio::test]
async fn a_folder_keeps_entries_over_restarts_within_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/cache", folder.path().display());
    behaves(&*open(&url)).await;
    let back = open(&url);
    assert!(!back.is_shared());
    back.put(&entry("kept", "red", &[], HOUR)).await.unwrap();
    let again = open(&url);
    assert!(again.get(key("kept")).await.unwrap().is_some());
    assert_eq!(again.holds().await.unwrap().entries, 1);
    // Damaged files are not read.
    let name = key("kept").hex();
    let path = folder
        .path()
        .join("cache")
        .join(&name[..2])
        .join(format!("{name}.entry"));
    let whole = std::fs::read(&path).unwrap();
    for damaged in [
        whole[..whole.len() - 1].to_vec(),
        [&whole[..whole.len() - 1], b"?"].concat(),
        [&whole[..], b"more"].concat(),
        whole[1..].to_vec(),
        Vec::new(),
    ] {
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(
            again.get(key("kept")).await.unwrap(),
            None,
            "{}",
            String::from_utf8_lossy(&damaged)
        );
    }
    // The oldest go.
    let small = backend::at(&config(&url, 4_096), &Handle::current()).unwrap();
    for number in 0..64 {
        small
            .put(&entry(&number.to_string(), "red", &[], HOUR))
            .await
            .unwrap();
        assert!(small.holds().await.unwrap().bytes.unwrap() <= 4_096);
    }
    assert_eq!(small.get(key("0")).await.unwrap(), None);
    assert!(small.get(key("63")).await.unwrap().is_some());
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        mode(path.parent().unwrap().parent().unwrap()),
        0o700,
        "answers are nobody else's"
    );
}

#[tokio::test]
async fn redis_does_what_every_back_end_does() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = RedisServer::start(folder.path(), Keeps::Nothing) else {
        return;
    };
    server.ask(&["SET", "somebody:else", "1"]).unwrap();
    behaves(&*open(&server.url())).await;
    assert_eq!(
        server.ask(&["GET", "somebody:else"]).unwrap(),
        ["1"],
        "a flush is of the cache alone"
    );
    passes_notes_on(&*open(&server.url()), &*open(&server.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_does_what_every_back_end_does() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("cache").unwrap();
    behaves(&*open(&url)).await;
    // Two make the tables at once.
    let other = server.make("other").unwrap();
    let (one, two) = (open(&other), open(&other));
    let (first, second) = tokio::join!(one.get(key("a")), two.get(key("a")));
    assert_eq!((first.unwrap(), second.unwrap()), (None, None));
    passes_notes_on(&*one, &*two).await;
    // What has no room goes, the oldest first.
    let small = backend::at(&config(&other, 200), &Handle::current()).unwrap();
    for number in 0..20 {
        small
            .put(&entry(&number.to_string(), "red", &[], HOUR))
            .await
            .unwrap();
    }
    small.tend().await.unwrap();
    let holds = small.holds().await.unwrap();
    assert!(holds.bytes.unwrap() <= 200 && holds.entries > 5, "{holds:?}");
    assert!(small.get(key("19")).await.unwrap().is_some());
    assert_eq!(small.get(key("0")).await.unwrap(), None);
}

/// How often an operation came to something.
fn counted(remote: &Remote, operation: Operation, came: Came) -> u64 {
    let mut counts = remote.counts();
    counts
        .find(|(of, to, _)| (*of, *to) == (operation, came))
        .unwrap()
        .2
}

/// Waits until an entry can be read.
async fn until_kept(remote: &Remote, name: &str) {
    for _ in 0..400 {
        remote.put(entry(name, "red", &[], HOUR));
        tokio::time::sleep(Duration::from_millis(25)).await;
        if remote.get(key(name)).await.is_some() {
            return;
        }
    }
    panic!("{name} is never kept: {:?}", remote.breaker());
}

/// Many ask while the server dies or stands still: each waits at most the time-out, soon nobody waits, and when the
/// server is there again it is used again.
async fn survives(remote: &Arc<Remote>, die: impl FnOnce(), rise: impl FnOnce()) {
    const TIMEOUT: Duration = Duration::from_millis(50);
    until_kept(remote, "before").await;
    die();
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(2) {
        let asked = (0..16).map(|_| async {
            let begun = Instant::now();
            let found = remote.get(key("nobody's")).await;
            assert!(found.is_none());
            begun.elapsed()
        });
        let waits = futures_util::future::join_all(asked).await;
        longest = longest.max(waits.into_iter().max().unwrap());
        remote.put(entry("meanwhile", "red", &[], HOUR));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Beside the time-out itself, the machine may be busy.
    assert!(longest < TIMEOUT + Duration::from_millis(500), "{longest:?}");
    assert_ne!(remote.breaker(), BreakerState::Closed);
    let open = counted(remote, Operation::Get, Came::Open);
    let tried = counted(remote, Operation::Get, Came::Failed) + counted(remote, Operation::Get, Came::Late);
    assert!(
        open > 20 * tried.max(1),
        "{open} were not asked, {tried} were: most must not wait"
    );
    rise();
    until_kept(remote, "after").await;
    assert_eq!(remote.breaker(), BreakerState::Closed);
}

fn remote(url: &str) -> Arc<Remote> {
    let remote = Remote::new(open(url), Duration::from_millis(50), &Handle::current());
    Arc::new(remote.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_costs_a_bounded_wait_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = RedisServer::start(folder.path(), Keeps::Nothing) else {
        return;
    };
    let remote = remote(&server.url());
    let server = std::cell::RefCell::new(&mut server);
    survives(
        &remote,
        || server.borrow_mut().kill(),
        || server.borrow_mut().begin_again(),
    )
    .await;
    // What waits is kept before it ends.
    remote.put(entry("last", "red", &[], HOUR));
    remote.stop().await;
    assert!(remote.get(key("last")).await.is_some());
    assert!(remote.delete(Filter::default()).await.is_err(), "it has stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_stands_still_or_ends_costs_a_bounded_wait_and_comes_back() {
    let mut server = PostgresServer::start().unwrap();
    let remote = remote(&server.make("cache").unwrap());
    survives(&remote, || server.freeze(), || server.thaw()).await;
    let server = std::cell::RefCell::new(&mut server);
    survives(
        &remote,
        || server.borrow_mut().halt().unwrap(),
        || server.borrow_mut().begin().unwrap(),
    )
    .await;
}

#[tokio::test]
async fn what_waits_is_bounded_and_a_deletion_comes_after_what_was_put_before() {
    let folder = tempfile::tempdir().unwrap();
    let remote = remote(&format!("file://{}", folder.path().display()));
    for number in 0..500 {
        remote.put(entry(&number.to_string(), "red", &[], HOUR));
    }
    assert_eq!(remote.delete(Filter::default()).await.unwrap(), 500);
    assert_eq!(remote.holds().await.unwrap().entries, 0);
    assert_eq!(remote.queued(), 0);
    // On this one thread nothing is carried until it waits: 32 MiB have room, and no byte more.
    for number in 0..40 {
        let mut large = entry(&number.to_string(), "red", &[], HOUR);
        large.value = Bytes::from(vec![0; 1024 * 1024]);
        remote.put(large);
    }
    assert!(remote.queued() <= 32 * 1024 * 1024);
    let full = counted(&remote, Operation::Put, Came::Full);
    assert!((8..16).contains(&full), "{full}");
}
