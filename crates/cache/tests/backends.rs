//! Every back end does the same, and a dead one costs a bounded wait: against a real folder, Redis (7 and 8) and PostgreSQL, and
//! against buckets and a Qdrant that are simulated from their published descriptions.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pointsman_cache::backend::{self, Backend, Heard, NewEntry};
use pointsman_cache::{
    BackendConfig, CacheKey, Came, Filter, KeyBuilder, Labels, Operation, QuestionNote, Remote,
};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::redis::{Finds, Keeps, RedisServer};
use pointsman_testbed::{
    KEPT_ACCESS_KEY, KEPT_BUCKET, KEPT_KEY, KEPT_REGION, KEPT_SECRET, KeptKind, KeptServer,
};
use pointsman_upstream::breaker::BreakerState;
use pointsman_upstream::{AuthConfig, HumanDuration};
use tokio::runtime::Handle;

const HOUR: Duration = Duration::from_secs(3_600);

fn config(url: &str, max_bytes: u64) -> BackendConfig {
    BackendConfig {
        url: url.into(),
        auth: AuthConfig::default(),
        search: false,
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

fn searching(url: &str) -> Arc<dyn Backend> {
    let config = BackendConfig {
        search: true,
        ..config(url, 1 << 30)
    };
    backend::at(&config, &Handle::current()).unwrap()
}

/// Redis 8 with the one or the other, from the first question to the flush.
async fn redis_finds_questions(finds: Finds) {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = RedisServer::start_finding(folder.path(), finds) else {
        return;
    };
    let url = server.url();
    let (one, two) = (searching(&url), searching(&url));
    behaves(&*one).await;
    finds_questions(&*one, &*two).await;
    passes_notes_on(&*one, &*two).await;
    // What is over is found no more, and nothing of it stays behind.
    let brief = Duration::from_secs(1);
    for number in 0..20_u8 {
        let vector = [1.0, f32::from(number) / 40.0, 0.0];
        let asked = question("brief", &format!("brief {number}"), &vector, brief);
        one.learn(&asked).await.unwrap();
    }
    assert_eq!(
        two.near(key("brief"), &[1.0, 0.0, 0.0], 3).await.unwrap().len(),
        3
    );
    tokio::time::sleep(brief + Duration::from_millis(100)).await;
    assert!(
        two.near(key("brief"), &[1.0, 0.0, 0.0], 3)
            .await
            .unwrap()
            .is_empty()
    );
    let left = server.ask(&["KEYS", "pointsman:cache-*"]).unwrap();
    let left: Vec<_> = left.iter().filter(|name| !name.contains("notes")).collect();
    assert!(left.is_empty(), "{left:?}");
    // An answer that is deleted takes its questions along, and a flush all of them.
    for text in ["one", "two"] {
        one.learn(&question("p", text, &[1.0, 0.0, 0.0], HOUR))
            .await
            .unwrap();
    }
    one.delete(&of(|filter| filter.entry = Some(key("one"))))
        .await
        .unwrap();
    let near = two.near(key("p"), &[1.0, 0.0, 0.0], 5).await.unwrap();
    assert_eq!(near.iter().map(|note| &*note.text).collect::<Vec<_>>(), ["two"]);
    one.delete(&Filter::default()).await.unwrap();
    assert!(two.near(key("p"), &[1.0, 0.0, 0.0], 5).await.unwrap().is_empty());
    // A vector without direction is near nothing, and none that is kept.
    one.learn(&question("p", "nowhere", &[0.0, 0.0, 0.0], HOUR))
        .await
        .unwrap();
    assert!(two.near(key("p"), &[1.0, 0.0, 0.0], 5).await.unwrap().is_empty());
}

#[tokio::test]
async fn redis_finds_questions_in_vector_sets() {
    redis_finds_questions(Finds::InSets).await;
}

#[tokio::test]
async fn redis_finds_questions_by_the_search_module() {
    redis_finds_questions(Finds::ByIndex).await;
}

#[tokio::test]
async fn elements_that_are_over_leave_a_vector_set_that_others_use() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = RedisServer::start_finding(folder.path(), Finds::InSets) else {
        return;
    };
    let back = searching(&server.url());
    let brief = Duration::from_millis(200);
    for number in 0..20_u8 {
        let vector = [1.0, f32::from(number), 0.0];
        let asked = question("p", &format!("brief {number}"), &vector, brief);
        back.learn(&asked).await.unwrap();
    }
    back.learn(&question("p", "long", &[1.0, 0.0, 0.0], HOUR))
        .await
        .unwrap();
    tokio::time::sleep(brief * 2).await;
    for text in ["longer", "longest"] {
        back.learn(&question("p", text, &[0.0, 1.0, 0.0], HOUR))
            .await
            .unwrap();
    }
    let sets = server.ask(&["KEYS", "pointsman:cache-near:*"]).unwrap();
    let [set] = sets.as_slice() else {
        panic!("{sets:?}")
    };
    assert_eq!(server.ask(&["VCARD", set]).unwrap(), ["3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_finds_nothing_is_told_and_questions_go_by_notes() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = RedisServer::start(folder.path(), Keeps::Nothing) else {
        return;
    };
    let back = searching(&server.url());
    assert!(back.finds(), "nobody knows yet");
    back.tend().await.unwrap();
    assert!(!back.finds(), "a server of version 7 does not");
    behaves(&*back).await;
    back.learn(&question("p", "east", &[1.0, 0.0, 0.0], HOUR))
        .await
        .unwrap();
    assert!(back.near(key("p"), &[1.0, 0.0, 0.0], 2).await.unwrap().is_empty());
    // A question that waits for a dead server waits as long as any other.
    server.kill();
    let remote = Remote::new(back, Duration::from_millis(50), &Handle::current()).unwrap();
    let begun = Instant::now();
    assert!(remote.near(key("p"), &[1.0, 0.0, 0.0], 2).await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
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

/// A simulated place, and the back end there.
async fn kept(kind: KeptKind, auth: serde_json::Value) -> (KeptServer, BackendConfig) {
    let server = KeptServer::local(kind).await.unwrap();
    let endpoint = format!("endpoint=http://{}", server.address());
    let url = match kind {
        KeptKind::S3 => format!("s3://{KEPT_BUCKET}/of/gateway?{endpoint}&region={KEPT_REGION}"),
        KeptKind::Google => format!("gs://{KEPT_BUCKET}?{endpoint}"),
        KeptKind::Azure => format!("az://account/{KEPT_BUCKET}/of-gateway?{endpoint}"),
        KeptKind::Qdrant => format!("qdrant://{}/cache", server.address()),
    };
    let config = BackendConfig {
        auth: serde_json::from_value(auth).unwrap(),
        ..config(&url, 1 << 30)
    };
    (server, config)
}

fn of_kind(kind: KeptKind) -> serde_json::Value {
    match kind {
        KeptKind::S3 => serde_json::json!({
            "aws": { "access_key_id": KEPT_ACCESS_KEY, "secret_access_key": KEPT_SECRET },
        }),
        _ => serde_json::json!({ "api_key": KEPT_KEY }),
    }
}

#[tokio::test]
async fn buckets_do_what_every_back_end_does() {
    for kind in [KeptKind::S3, KeptKind::Google, KeptKind::Azure] {
        let (server, config) = kept(kind, of_kind(kind)).await;
        let back = backend::at(&config, &Handle::current()).unwrap();
        behaves(&*back).await;
        assert!(!back.is_shared() && !back.finds());
        // Another process reads what this one has put, and deletes it by its labels; it is listed in pages.
        for number in 0..10 {
            let name = number.to_string();
            back.put(&entry(&name, if number < 7 { "red" } else { "blue" }, &[], HOUR))
                .await
                .unwrap();
        }
        let other = backend::at(&config, &Handle::current()).unwrap();
        assert!(other.get(key("3")).await.unwrap().is_some());
        assert_eq!(other.holds().await.unwrap().entries, 10);
        let red = of(|filter| filter.labels.team = Some("red".to_owned()));
        assert_eq!(other.delete(&red).await.unwrap(), 7);
        assert_eq!(back.get(key("3")).await.unwrap(), None);
        assert!(back.get(key("8")).await.unwrap().is_some());
        // What is refused is told by its code.
        server.fault(Some(503));
        assert!(back.get(key("8")).await.unwrap_err().to_string().contains("503"));
        assert!(back.put(&entry("x", "red", &[], HOUR)).await.is_err());
        assert!(back.delete(&Filter::default()).await.is_err());
        let stranger = BackendConfig {
            auth: serde_json::from_value(serde_json::json!({ "api_key": "another" })).unwrap(),
            ..config
        };
        server.fault(None);
        let stranger = backend::at(&stranger, &Handle::current()).unwrap();
        let refused = stranger.get(key("8")).await.unwrap_err().to_string();
        assert!(refused.starts_with("40"), "{kind:?}: {refused}");
    }
}

#[tokio::test]
async fn an_entry_that_was_put_anew_outlives_the_end_of_the_one_before() {
    let (_server, config) = kept(KeptKind::Google, of_kind(KeptKind::Google)).await;
    let one = backend::at(&config, &Handle::current()).unwrap();
    let other = backend::at(&config, &Handle::current()).unwrap();
    for name in ["own", "other's", "nobody's"] {
        one.put(&entry(name, "red", &[], Duration::from_millis(50)))
            .await
            .unwrap();
    }
    one.put(&entry("own", "red", &[], HOUR)).await.unwrap();
    other.put(&entry("other's", "red", &[], HOUR)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(80)).await;
    one.tend().await.unwrap();
    assert_eq!(one.holds().await.unwrap().entries, 2);
    assert!(one.get(key("own")).await.unwrap().is_some());
    assert!(one.get(key("other's")).await.unwrap().is_some());
}

fn question(partition: &str, text: &str, vector: &[f32], ttl: Duration) -> QuestionNote {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    QuestionNote {
        partition: key(partition),
        owner: key("owner"),
        text: text.to_owned(),
        vector: vector.to_vec(),
        entry: key(text),
        labels: entry(text, "red", &["faq"], HOUR).labels,
        at: u64::try_from(now.as_millis()).unwrap(),
        ttl: u64::try_from(ttl.as_millis()).unwrap(),
    }
}

/// What those do that find questions by nearness.
async fn finds_questions(back: &dyn Backend, other: &dyn Backend) {
    assert!(back.finds());
    let near = async |partition: &str, vector: &[f32]| -> Vec<String> {
        let found = other.near(key(partition), vector, 2).await.unwrap();
        found.into_iter().map(|note| note.text).collect()
    };
    assert!(
        near("p", &[1.0, 0.0, 0.0]).await.is_empty(),
        "there is nothing yet"
    );
    for (partition, text, vector) in [
        ("p", "east", [1.0, 0.0, 0.0]),
        ("p", "north east", [0.7, 0.7, 0.0]),
        ("p", "north", [0.0, 1.0, 0.0]),
        ("another", "east of others", [1.0, 0.01, 0.0]),
    ] {
        back.learn(&question(partition, text, &vector, HOUR))
            .await
            .unwrap();
    }
    let over = question("p", "over", &[1.0, 0.0, 0.0], Duration::ZERO);
    back.learn(&over).await.unwrap();
    assert_eq!(near("p", &[1.0, 0.1, 0.0]).await, ["east", "north east"]);
    assert_eq!(near("another", &[0.0, 1.0, 0.0]).await, ["east of others"]);
    // The same question again takes the place of the one before; vectors of another model are apart.
    back.learn(&question("p", "east", &[0.0, 0.0, 1.0], HOUR))
        .await
        .unwrap();
    back.learn(&question("p", "wide", &[1.0, 0.0], HOUR))
        .await
        .unwrap();
    assert_eq!(near("p", &[1.0, 0.0, 0.0]).await[0], "north east");
    assert_eq!(near("p", &[0.0, 0.0, 1.0]).await[0], "east");
    assert_eq!(near("p", &[1.0, 0.0]).await, ["wide"]);
    // Questions go with what they are known by.
    back.tend().await.unwrap();
    let faq = of(|filter| filter.labels.tags = vec!["faq".to_owned()]);
    back.delete(&faq).await.unwrap();
    assert!(near("p", &[0.0, 0.0, 1.0]).await.is_empty());
    assert!(near("p", &[1.0, 0.0]).await.is_empty());
}

#[tokio::test]
async fn qdrant_does_what_every_back_end_does_and_finds_questions() {
    let (server, config) = kept(KeptKind::Qdrant, of_kind(KeptKind::Qdrant)).await;
    let open = || backend::at(&config, &Handle::current()).unwrap();
    let (one, two) = (open(), open());
    behaves(&*one).await;
    passes_notes_on(&*one, &*two).await;
    // A flush leaves the notes that tell of it.
    one.delete(&Filter::default()).await.unwrap();
    assert_eq!(two.hear(Heard::Since(HOUR), 100).await.unwrap().0.len(), 6);
    finds_questions(&*one, &*two).await;
    let stranger = BackendConfig {
        auth: serde_json::from_value(serde_json::json!({ "api_key": "another" })).unwrap(),
        ..config.clone()
    };
    let stranger = backend::at(&stranger, &Handle::current()).unwrap();
    let refused = stranger.get(key("a")).await.unwrap_err().to_string();
    assert!(refused.starts_with("401"), "{refused}");
    server.fault(Some(500));
    assert!(one.near(key("p"), &[1.0, 0.0, 0.0], 2).await.is_err());
}

/// What pgvector has, by its description, made of what PostgreSQL has: a type that is written `[1,2,3]`, and the operator of
/// the cosine's distance.
const VECTORS: &str = r"
    CREATE DOMAIN vector AS text CHECK (VALUE ~ '^\[-?[0-9.e-]+(,-?[0-9.e-]+)*\]$');
    CREATE FUNCTION far(one text, other text) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
        SELECT 1 - sum(a * b) / sqrt(sum(a * a) * sum(b * b))
        FROM unnest(translate(one, '[]', '{}')::float8[], translate(other, '[]', '{}')::float8[]) AS pairs (a, b)
    $$;
    CREATE OPERATOR <=> (LEFTARG = text, RIGHTARG = text, FUNCTION = far)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_finds_questions_where_it_has_vectors_and_keeps_entries_where_it_has_none() {
    let server = PostgresServer::start().unwrap();
    let open = |url: &str| {
        let config = BackendConfig {
            search: true,
            ..config(url, 1 << 30)
        };
        backend::at(&config, &Handle::current()).unwrap()
    };
    let bare = open(&server.make("bare").unwrap());
    let has_none = server.query(
        "bare",
        "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'",
    );
    if has_none.unwrap() == "0" {
        behaves(&*bare).await;
        let asked = question("p", "east", &[1.0, 0.0, 0.0], HOUR);
        bare.learn(&asked).await.unwrap();
        assert!(bare.near(key("p"), &[1.0, 0.0, 0.0], 2).await.unwrap().is_empty());
    }
    let url = server.make("vectors").unwrap();
    server.query("vectors", VECTORS).unwrap();
    let (one, two) = (open(&url), open(&url));
    behaves(&*one).await;
    finds_questions(&*one, &*two).await;
    passes_notes_on(&*one, &*two).await;
}

#[tokio::test]
async fn what_makes_no_sense_of_a_place_is_told() {
    let wrong = |url: &str, auth: serde_json::Value| {
        let auth = serde_json::from_value(auth).unwrap();
        backend::check(url, &auth).unwrap_err().to_string()
    };
    let none = || serde_json::json!({});
    for (url, auth, part) in [
        ("s3://answers?region=x&colour=red", none(), "unknown setting"),
        ("s3://user:secret@answers?region=x", none(), "holds keys"),
        ("az://account", none(), "names no bucket"),
        ("gs://answers/a%20b", none(), "prefix"),
        ("qdrant://host/a/b", none(), "collection"),
        ("qdrant://host?key=secret", none(), "auth"),
        (
            "redis://127.0.0.1",
            serde_json::json!({ "api_key": "x" }),
            "leave `auth` out",
        ),
        ("ftp://answers", none(), "not supported"),
    ] {
        let told = wrong(url, auth);
        assert!(told.contains(part) && !told.contains("secret"), "{url}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_fails_costs_a_bounded_wait_and_comes_back() {
    let (server, config) = kept(KeptKind::S3, of_kind(KeptKind::S3)).await;
    let back = backend::at(&config, &Handle::current()).unwrap();
    let remote = Remote::new(back, Duration::from_millis(50), &Handle::current());
    let remote = Arc::new(remote.unwrap());
    survives(&remote, || server.fault(Some(500)), || server.fault(None)).await;
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
