//! Rows of the ledger in a second: as fast as they go, in batches of two sizes; and as many as are asked for, through the
//! journal, as a replica writes them while it answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_store::{Journal, LedgerEntry, Outcome, Store};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_wire::form::Usage;

use super::{MONTH, took};

/// How long each sort of rows is written.
const WRITING: Duration = Duration::from_secs(10);
const DAY: i64 = 86_400_000;

/// A request of one of 5,000 keys in 500 teams, with one of five models; `is_named` bears an end customer, an agent and two
/// tags.
fn entry(begin: i64, number: u64, is_named: bool) -> LedgerEntry {
    let label = |kind: &str, count: u64| is_named.then(|| format!("{kind}_{}", number % count));
    LedgerEntry {
        id: format!("req_{begin}_{number}").as_str().into(),
        at: begin + i64::try_from(number).unwrap(),
        key: Some(format!("key_{}", number % 5_000).as_str().into()),
        team: Some(format!("team_{}", number % 500).as_str().into()),
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: "fast".to_owned(),
        provider: Some("openai".to_owned()),
        model: Some(format!("model-{}", number % 5)),
        decision: None,
        outcome: Outcome::Complete,
        usage: Usage {
            input: 300,
            output: 50,
            ..Usage::default()
        },
        usage_estimated: false,
        cost: Money::from_nanodollars(7_000 + i64::try_from(number % 13).unwrap()),
        attempts: 1,
        streamed: true,
        status: 200,
        latency_us: 1_000,
        ttft_us: Some(500),
        cache: "miss".to_owned(),
        organization: Some("o".into()),
        project: None,
        saved: Money::ZERO,
        customer: label("customer", 2_000),
        agent: label("agent", 20),
        tags: [label("tag", 25), label("other", 25)]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// As fast as they go: as many at once as wait in the journal of a replica that is not busy, and as many as it takes at once
/// where more do.
pub(crate) fn in_batches(url: &str) {
    let store = Store::open(url).unwrap();
    for (days, batch, is_named, what) in [
        (2, 1_000, false, "rows without names"),
        (4, 4_000, false, "rows without names"),
        (6, 4_000, true, "rows with end customer, agent and two tags"),
    ] {
        let (begin, mut number, mut spent) = (MONTH - days * DAY, 0, Duration::ZERO);
        while spent < WRITING {
            let entries: Vec<_> = (number..number + batch)
                .map(|number| entry(begin, number, is_named))
                .collect();
            spent += took(|| store.insert_ledger(&entries).unwrap()).1;
            number += batch;
        }
        let rate = number as f64 / spent.as_secs_f64();
        println!("ledger: {number} {what}, {batch} at once: {rate:.0} a second, sums included");
    }
}

/// So many rows a second for so many seconds; every fourth bears names.
pub(crate) fn through_the_journal(server: &PostgresServer, url: &str, (rate, seconds): (u64, u64)) {
    let begin = MONTH - 10 * DAY;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(url).unwrap());
    let journal = Journal::open(folder.path(), store).unwrap();
    let mut writer = journal.writer().unwrap();
    let (begun, mut number, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while number < rate * seconds {
        let due = (begun.elapsed().as_millis() as u64 * rate / 1_000).min(rate * seconds);
        for number in number..due {
            let entry = entry(begin, number, number % 4 == 0);
            slowest = slowest.max(took(|| writer.append(&entry).unwrap()).1);
        }
        number = due;
        std::thread::sleep(Duration::from_millis(5));
    }
    let took_all = begun.elapsed();
    let end = begin + i64::try_from(number).unwrap();
    let there = format!("SELECT COUNT(*), SUM(cost) FROM ledger WHERE at >= {begin} AND at < {end}");
    let count = |told: &str| told.split('|').next().unwrap().parse::<u64>().unwrap();
    let written = count(&server.query("scale", &there).unwrap());
    drop(writer);
    let (_, rest) = took(|| journal.close());
    let rows = server.query("scale", &there).unwrap();
    assert_eq!(count(&rows), number);
    let of_keys = format!(
        "SELECT SUM(requests), SUM(cost) FROM usage_by_key_day WHERE day = {}",
        begin / DAY
    );
    assert_eq!(
        server.query("scale", &of_keys).unwrap(),
        rows,
        "sums are those of the rows"
    );
    println!(
        "through the journal: {number} rows in {took_all:?}, the slowest written in {slowest:?}; {} were not in the database \
         then, and were {rest:?} later; the sums of the day are those of its rows, to the nano-dollar",
        number - written
    );
}
