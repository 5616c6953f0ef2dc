//! `kill -9` in each phase of a batch that a provider runs: one batch there, each line answered and paid for once.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use http::Method;
use pointsman_catalog::Money;
use pointsman_store::{LedgerEntry, NewKey, Outcome, Store};
use pointsman_testbed::{BatchOptions, Fault, Schedule, SimOptions};
use serde_json::{Value, json};

use crate::batches::{Site, line, parsed};
use crate::batches_handed::{at_provider, entries};
use crate::harness::{House, ask, store};

const LINES: usize = 400;

async fn site() -> Site {
    let options = SimOptions {
        batches: BatchOptions {
            pace: Duration::from_millis(2),
            // Long enough to die between what was done and the word of it.
            told_after: Duration::from_millis(800),
            ..BatchOptions::default()
        },
        ..SimOptions::default()
    };
    Site::open(options, NewKey::default(), "batches: { mode: auto }\n").await
}

/// What is written down of the one batch.
fn handed(store: &Store) -> Value {
    let open = store.open_batches(9).unwrap();
    let text = open.first().and_then(|batch| batch.handed.as_deref());
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// Whether the results of the one batch are on their way home.
fn comes_home(folder: &Path) -> bool {
    let Ok(mut batches) = std::fs::read_dir(folder.join("batches")) else {
        return false;
    };
    batches.any(|batch| batch.unwrap().path().join("home-0.jsonl").exists())
}

/// Kills the gateway in this phase, and starts another.
async fn die_in(site: &mut Site, phase: &str, after: Duration) {
    let store = store(site.folder.path());
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let found = if phase == "home" {
            comes_home(site.folder.path())
        } else {
            handed(&store)["stage"] == phase
        };
        if found {
            break;
        }
        assert!(
            Instant::now() < until && !store.open_batches(9).unwrap().is_empty(),
            "it never came to {phase}: {}\n{}",
            handed(&store),
            site.house.said()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(after).await;
    site.house.kill();
    site.house = House::open(site.folder.path());
}

fn once_each(entries: &[LedgerEntry], id: &str, rates: (i64, i64)) {
    let expected: HashSet<String> = (1..=LINES).map(|line| format!("{id}-{line:06}")).collect();
    let found: HashSet<String> = entries.iter().map(|entry| entry.id.as_str().to_owned()).collect();
    assert_eq!((entries.len(), &found), (LINES, &expected));
    for entry in entries {
        let cost = entry.usage.input as i64 * rates.0 + entry.usage.output as i64 * rates.1;
        assert_eq!(
            (entry.outcome, entry.cost),
            (Outcome::Complete, Money::from_nanodollars(cost))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_in_each_phase_of_openais_leaves_one_batch_and_each_line_once() {
    let mut site = site().await;
    let lines: Vec<_> = (0..LINES)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
    let batch = site.create(&lines).await;
    let quiet = Duration::ZERO;
    let amid = Duration::from_millis(300);
    for (phase, after) in [
        ("preparing", quiet),
        ("uploading", amid),
        ("creating", amid),
        ("running", quiet),
        ("home", quiet),
    ] {
        die_in(&mut site, phase, after).await;
    }
    let done = site.ended(&batch).await;
    assert_eq!(done["status"], "completed", "{}", site.house.said());
    assert_eq!(
        done["request_counts"],
        json!({"total": LINES, "completed": LINES, "failed": 0})
    );
    let output = site.lines(&done, "output_file_id").await;
    let names: Vec<_> = output
        .iter()
        .map(|line| line["custom_id"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<_> = (0..LINES).map(|at| format!("l{at}")).collect();
    assert!(
        names == expected,
        "each line is in the output once, in its place: {}",
        names.len()
    );
    assert_eq!(at_provider(&site).await.len(), 1);
    let served = site.sim.served();
    let posted = |path: &str| {
        served
            .iter()
            .filter(|one| one.method == "POST" && one.path == path)
            .count()
    };
    assert_eq!((posted("/v1/files"), posted("/v1/batches")), (1, 1));
    let folder = site
        .folder
        .path()
        .join("batches")
        .join(batch["id"].as_str().unwrap());
    once_each(
        &entries(&site, LINES).await,
        batch["id"].as_str().unwrap(),
        (125, 1_000),
    );
    assert!(!folder.exists(), "an ended batch leaves no folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_in_each_phase_of_anthropics_leaves_one_batch_and_each_line_once() {
    let mut site = site().await;
    let ids: Vec<String> = (0..LINES).map(|at| format!("l{at}")).collect();
    let all: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "a/claude-haiku-4-5")).collect();
    let batch = crate::batches_handed::requests(&site, &all).await;
    let id = batch["id"].as_str().unwrap();
    die_in(&mut site, "preparing", Duration::ZERO).await;
    // Made, but its name was never heard: it is found again by the names of its lines.
    die_in(&mut site, "creating", Duration::from_millis(300)).await;
    die_in(&mut site, "running", Duration::ZERO).await;
    die_in(&mut site, "home", Duration::ZERO).await;
    let path = format!("/v1/messages/batches/{id}");
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(
        done["request_counts"]["succeeded"],
        LINES,
        "{}",
        site.house.said()
    );
    let results = ask(site.at(), Method::GET, &format!("{path}/results"), &site.key)
        .await
        .unwrap();
    let names: Vec<_> = parsed(results.text())
        .iter()
        .map(|line| line["custom_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        names == ids,
        "each line is in the results once, in its place: {}",
        names.len()
    );
    assert_eq!(at_provider(&site).await.len(), 1);
    once_each(&entries(&site, LINES).await, id, (500, 2_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_never_made_is_made_once() {
    let mut site = site().await;
    let all: Vec<(&str, &str)> = vec![("one", "a/claude-haiku-4-5")];
    // Another one of as many requests is there, and is not it.
    crate::batches_handed::requests(&site, &all).await;
    die_in(&mut site, "running", Duration::ZERO).await;
    let until = Instant::now() + Duration::from_secs(20);
    while !store(site.folder.path()).open_batches(9).unwrap().is_empty() {
        assert!(Instant::now() < until, "{}", site.house.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The provider is not to be reached when the batch is to be made, nor when it is looked for.
    site.sim
        .set_faults(vec![(Schedule::Always, Fault::ResetBeforeHead)]);
    let batch = crate::batches_handed::requests(&site, &all).await;
    die_in(&mut site, "creating", Duration::from_millis(500)).await;
    assert_eq!(handed(&store(site.folder.path()))["batch"], Value::Null);
    site.sim.set_faults(Vec::new());
    assert_eq!(at_provider(&site).await.len(), 1);
    let path = format!("/v1/messages/batches/{}", batch["id"].as_str().unwrap());
    let done = site
        .until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(done["request_counts"]["succeeded"], 1, "{}", site.house.said());
    assert_eq!(at_provider(&site).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_folder_hand_a_batch_on_once() {
    let site = site().await;
    let other = House::open(site.folder.path());
    let lines: Vec<_> = (0..LINES)
        .map(|at| line(&format!("l{at}"), "o/gpt-5-mini"))
        .collect();
    let batch = site.create(&lines).await;
    let to_anthropic = crate::batches_handed::requests(&site, &[("one", "a/claude-haiku-4-5")]).await;
    let done = site.ended(&batch).await;
    assert_eq!(
        done["request_counts"],
        json!({"total": LINES, "completed": LINES, "failed": 0})
    );
    let path = format!("/v1/messages/batches/{}", to_anthropic["id"].as_str().unwrap());
    site.until(&path, |batch| batch["processing_status"] == "ended")
        .await;
    assert_eq!(at_provider(&site).await.len(), 2);
    let entries = entries(&site, LINES + 1).await;
    let id = batch["id"].as_str().unwrap();
    let own: Vec<_> = entries
        .iter()
        .filter(|entry| entry.id.as_str().starts_with(id))
        .cloned()
        .collect();
    once_each(&own, id, (125, 1_000));
    drop(other);
}
