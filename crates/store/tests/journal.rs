//! The journal loses nothing and doubles nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::io::Write;
use std::sync::Arc;

use pointsman_catalog::Money;
use pointsman_store::{Journal, LedgerEntry, LedgerFilter, NewKey, Outcome, RequestId, Store, hash_key};
use pointsman_wire::form::Usage;
use secrecy::ExposeSecret;

fn entry(id: &str) -> LedgerEntry {
    LedgerEntry {
        id: RequestId::from(id),
        at: 1_000,
        key: Some("key_1".into()),
        team: None,
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: "fast".to_owned(),
        provider: Some("openai".to_owned()),
        model: Some("gpt-5-mini".to_owned()),
        decision: None,
        outcome: Outcome::Complete,
        usage: Usage {
            input: 3,
            output: 5,
            ..Usage::default()
        },
        usage_estimated: false,
        cost: Money::from_nanodollars(7),
        attempts: 1,
        streamed: true,
        status: 200,
        latency_us: 10,
        ttft_us: Some(5),
        cache: "miss".to_owned(),
        organization: Some("org_1".into()),
        project: None,
        saved: Money::from_nanodollars(11),
        customer: Some("alice".to_owned()),
        agent: None,
        tags: vec!["blue".to_owned(), "dark blue".to_owned()],
    }
}

fn all(store: &Store) -> Vec<LedgerEntry> {
    store
        .ledger(&LedgerFilter {
            limit: 100_000,
            ..LedgerFilter::default()
        })
        .unwrap()
}

#[test]
fn what_is_appended_is_in_the_ledger_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    let journal = Journal::open(folder.path(), Arc::clone(&store)).unwrap();
    let mut writers = [journal.writer().unwrap(), journal.writer().unwrap()];
    for number in 0..500 {
        writers[number % 2]
            .append(&entry(&format!("req_{number}")))
            .unwrap();
    }
    writers[0].append(&entry("req_0")).unwrap();
    drop(writers);
    journal.close();
    assert_eq!(all(&store).len(), 500);
    assert!(all(&store).contains(&entry("req_42")));
    assert_eq!(
        store.spent(&"key_1".into(), 0).unwrap(),
        Money::from_nanodollars(3_500)
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "imported segments are deleted"
    );
}

#[test]
fn what_a_dead_process_left_is_imported_and_a_torn_line_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = Arc::new(Store::open("sqlite::memory:").unwrap());
    let journal = Journal::open(folder.path(), Arc::clone(&first)).unwrap();
    let mut writer = journal.writer().unwrap();
    writer.append(&entry("req_1")).unwrap();
    writer.append(&entry("req_2")).unwrap();
    let segment = std::fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = std::fs::read(&segment).unwrap();
    drop(writer);
    journal.close();
    let mut left = std::fs::File::create(folder.path().join("dead-1.journal")).unwrap();
    left.write_all(&bytes).unwrap();
    left.write_all(&bytes[..bytes.len() / 2 - 10]).unwrap();
    drop(left);
    let second = Arc::new(Store::open("sqlite::memory:").unwrap());
    Journal::open(folder.path(), Arc::clone(&second)).unwrap().close();
    assert_eq!(all(&second).len(), 2);
}

#[test]
fn a_living_process_keeps_its_segments() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    let journal = Journal::open(folder.path(), Arc::clone(&store)).unwrap();
    let mut writer = journal.writer().unwrap();
    writer.append(&entry("req_1")).unwrap();
    let other = Arc::new(Store::open("sqlite::memory:").unwrap());
    Journal::open(folder.path(), Arc::clone(&other)).unwrap().close();
    assert_eq!(all(&other).len(), 0, "the segment belongs to a living writer");
    drop(writer);
    journal.close();
    assert_eq!(all(&store).len(), 1);
}

#[test]
fn keys_are_hashed_at_rest_and_live_their_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let store = Store::open(&format!("sqlite://{}", path.display())).unwrap();
    let (record, secret) = store
        .create_key(NewKey {
            name: "demo".to_owned(),
            ..NewKey::default()
        })
        .unwrap();
    assert_eq!(
        store.find_key("demo").unwrap().hash,
        hash_key(secret.expose_secret())
    );
    let rotated = store.rotate_key(&record.id).unwrap();
    assert_eq!(store.keys().unwrap()[0].hash, hash_key(rotated.expose_secret()));
    store.revoke_key(&record.id).unwrap();
    assert!(store.find_key("demo").is_err());
    assert!(store.revoke_key(&record.id).is_err());
    drop(store);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for plain in [secret.expose_secret(), rotated.expose_secret()] {
            assert!(
                !bytes.windows(20).any(|window| window == &plain.as_bytes()[3..23]),
                "the key is in the file"
            );
        }
    }
}

#[test]
fn other_engines_are_refused_by_name() {
    let error = Store::open("mysql://me:hunter22@x").err().unwrap().to_string();
    assert!(
        error.contains("mysql") && error.contains("not supported"),
        "{error}"
    );
    assert!(!error.contains("hunter22"), "{error}");
}
