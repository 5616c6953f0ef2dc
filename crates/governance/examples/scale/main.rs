//! Many keys and many rows: on PostgreSQL, how long a start takes, how much memory, what a key costs that is not in memory,
//! a page of the list, rows of the ledger in a second; and there and in SQLite, a month's reports.
//!
//! `cargo run --release -p pointsman-governance --example scale -- [KEYS] [TEAMS] [ROWS] [ROWS OF SQLITE] [ROWS A SECOND]
//! [SECONDS]` starts a PostgreSQL server of its own, without `fsync`. The rows of the month are made by the database itself;
//! rows in a second are measured of others, through the journal, as a replica writes them.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example tells what it found, and fails where it cannot"
)]

mod month;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_governance::{IdentifyError, KeyRing, Limits, Wanted};
use pointsman_store::{KeyFilter, Listing, Store};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::process::resident;

/// Lookups of keys that are not in memory.
const LOOKUPS: u64 = 500;
/// The beginning of the month of the report, Unix milliseconds: November 2026.
const MONTH: i64 = 1_793_491_200_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let mut next = |or: u64| arguments.next().unwrap_or(or);
    let (keys, teams, rows) = (next(1_000_000), next(10_000), next(2_000_000));
    let of_sqlite = next(rows);
    let server = PostgresServer::start().unwrap();
    let url = server.make("scale").unwrap();
    drop(Store::open(&url).unwrap());
    fill_keys(&server, keys, teams);
    start(&url, keys);
    writing::in_batches(&url);
    writing::through_the_journal(&server, &url, (next(5_000), next(60)));
    month::on_postgres(&server, &url, rows);
    drop(server);
    month::on_sqlite(of_sqlite);
}

fn took<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}

fn secret(number: u64) -> String {
    format!("pm-{number:043}")
}

fn fill_keys(server: &PostgresServer, keys: u64, teams: u64) {
    let sql = format!(
        "INSERT INTO holders (kind, id, name, organization, terms_json, metadata_json, created_at, updated_at, changed)
            VALUES ('organization', 'o', '', NULL, '{{}}', '{{}}', 1, 1, 2);
         INSERT INTO holders (kind, id, name, organization, terms_json, metadata_json, created_at, updated_at, changed)
            SELECT 'team', 'team_' || n, 'Team ' || n, 'o',
                '{{\"budgets\":[{{\"amount\":1000000000000,\"window\":\"month\"}}]}}', '{{}}', n, n, 3
            FROM generate_series(0, {teams} - 1) n;
         INSERT INTO keys (id, hash, hint, grant_json, created_at, changed, updated_at, metadata_json)
            SELECT 'key_' || n, sha256(('pm-' || lpad(n::text, 43, '0'))::bytea), 'pm-0000', json_build_object('name', 'key ' || n,
                'team', 'team_' || n % {teams}, 'models', json_build_array('gpt-*'))::text, n, 4, n, '{{}}'
            FROM generate_series(0, {keys} - 1) n;
         UPDATE sequence SET value = 4; ANALYZE; CHECKPOINT"
    );
    let (_, time) = took(|| server.query("scale", &sql).unwrap());
    println!("{keys} keys, {teams} teams made in {time:?}");
}

fn start(url: &str, keys: u64) {
    let before = resident(std::process::id());
    let ((store, ring), time) = took(|| {
        let store = Arc::new(Store::open(url).unwrap());
        let ring = KeyRing::load(Arc::clone(&store), Limits::default()).unwrap();
        (store, ring)
    });
    let memory = resident(std::process::id());
    println!(
        "start: {time:?}; {} MiB, of which keys and holders {} MiB",
        memory >> 20,
        memory.saturating_sub(before) >> 20
    );
    let mut times: Vec<_> = (0..LOOKUPS)
        .map(|at| {
            let secret = secret(at * 7_919 % keys);
            assert_eq!(ring.identify(&secret).unwrap_err(), IdentifyError::Unread);
            took(|| {
                ring.look_up(&Wanted::secret(&secret)).unwrap();
                ring.identify(&secret).unwrap()
            })
            .1
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("a key that is not in memory: p50 {:?}, p99 {:?}", at(50), at(99));
    let (_, time) = took(|| assert!(ring.identify(&secret(0)).is_ok()));
    println!("one that is: {time:?}");
    let page = |filter: KeyFilter, newest_first, after: Option<u64>| {
        let listing = Listing {
            limit: 50,
            newest_first,
            after: after.map(|number| format!("key_{number}")),
            ..Listing::default()
        };
        took(|| store.keys_page(&filter, &listing).unwrap()).1
    };
    let team = KeyFilter {
        team: Some("team_7".into()),
        ..KeyFilter::default()
    };
    page(KeyFilter::default(), false, None);
    println!(
        "a page of keys: the first {:?}, one in the middle {:?}, the newest {:?}, of a team {:?}",
        page(KeyFilter::default(), false, None),
        page(KeyFilter::default(), false, Some(keys / 2)),
        page(KeyFilter::default(), true, None),
        page(team, false, None)
    );
}
