//! A month of requests, made by the database itself, and what reports of it take.
//!
//! 200,000 keys of 20,000 users in 10,000 teams, each with one of twelve models at one of three providers; 50,000 end
//! customers, 20 agents, 50 tags, of which every request bears two. However many requests there are, a month sums up to
//! 200,000 rows by key, 30,000 by team and model, 150,000 by end customer and 780,000 by tag; its days to thirty times as
//! many.

use std::time::Duration;

use pointsman_store::{LedgerFilter, Store, UsageFilter, UsageGroup};
use pointsman_testbed::postgres::PostgresServer;
use rusqlite::Connection;

use super::{MONTH, took};

/// Milliseconds of a month.
const LENGTH: u64 = 30 * 86_400_000;
/// The last step of the schema that knows no sums by months.
const BEFORE_MONTHS: u32 = 9;
/// Who and what a request `n` is of, as both engines understand it.
const NAMES: &str =
    "'key_' || (n % 200000), 'team_' || (n % 10000), 'user_' || (n % 20000), '/v1/chat/completions', 'm',
    'provider-' || (n % 200000 % 3), 'model-' || (n % 200000 % 12), NULL, 'complete', '{}', 300, 50";
const LABELS: &str = "'o', NULL, 0, 'customer_' || (n % 50000), 'agent_' || (n % 20),
    '[\"tag_' || (n % 25) || '\",\"tag_' || (25 + n / 7 % 25) || '\"]'";

pub(crate) fn on_postgres(server: &PostgresServer, url: &str, rows: u64) {
    let ask = |sql: &str| server.query("scale", sql).unwrap();
    let next = MONTH + LENGTH.cast_signed();
    let spread = LENGTH / rows.max(1);
    let filled = format!(
        "CREATE TABLE IF NOT EXISTS ledger_2026_11 (LIKE ledger);
         INSERT INTO ledger_2026_11 SELECT 'req_m' || n, {MONTH} + n * {spread}, {NAMES}, false, 7000, 1, true, 200, 1000, 500,
            'miss', {LABELS} FROM generate_series(0::bigint, {rows} - 1) n;
         ALTER TABLE ledger ATTACH PARTITION ledger_2026_11 FOR VALUES FROM ({MONTH}) TO ({next});
         INSERT INTO usage_by_key_day SELECT at / 86400000, key, \"user\", '', team, 'o', provider, model, COUNT(*), 0,
            SUM(300), SUM(50), SUM(7000) FROM ledger_2026_11 GROUP BY 1, 2, 3, 5, 7, 8;
         INSERT INTO usage_by_team_day SELECT day, team, 'o', provider, model, SUM(requests), 0, SUM(input), SUM(output),
            SUM(cost) FROM usage_by_key_day WHERE day >= {MONTH} / 86400000 GROUP BY 1, 2, 4, 5",
    );
    let (_, time) = took(|| ask(&filled));
    println!("{rows} rows of a month made in {time:?}");
    Store::revert_schema(url, BEFORE_MONTHS).unwrap();
    let (_, time) = took(|| Store::open(url).unwrap());
    println!("their sums by months, as steps of the schema make them: {time:?}");
    ask("VACUUM ANALYZE");
    for table in [
        "by_key_day",
        "by_team_day",
        "by_key_month",
        "by_team_month",
        "of_customer_month",
        "of_tag_month",
    ] {
        let count = ask(&format!("SELECT COUNT(*) FROM usage_{table}"));
        println!("rows of usage_{table}: {count}");
    }
    reports(&Store::open(url).unwrap(), rows);
}

pub(crate) fn on_sqlite(rows: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scale.db");
    let store = Store::open(&format!("sqlite://{}", path.display())).unwrap();
    let spread = LENGTH / rows.max(1);
    let filled = format!(
        "PRAGMA synchronous = OFF;
         INSERT INTO ledger WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1)
            SELECT 'req_m' || n, {MONTH} + n * {spread}, {NAMES}, 0, 7000, 1, 1, 200, 1000, 500, 'miss', {LABELS} FROM numbers"
    );
    let connection = Connection::open(&path).unwrap();
    let (_, time) = took(|| connection.execute_batch(&filled).unwrap());
    println!("SQLite: {rows} rows of a month made in {time:?}");
    let (_, time) = took(|| while store.tend(None).unwrap() {});
    println!("SQLite: counted in {time:?}, half of which it left to others");
    reports(&store, rows);
}

/// What is asked: its name, from how much later to how much sooner than the month, of whom, by what.
type Question = (&'static str, i64, UsageFilter, &'static [UsageGroup]);

fn questions() -> Vec<Question> {
    use UsageGroup::{Agent, Customer, Day, Key, Model, Provider, Tag, Team, User};
    let all = UsageFilter::default;
    let team = || UsageFilter {
        team: Some("team_7".to_owned()),
        ..all()
    };
    let customer = || UsageFilter {
        customer: Some("customer_7".to_owned()),
        ..all()
    };
    const NOON: i64 = 43_200_000;
    vec![
        ("by team and model", 0, all(), &[Team, Model]),
        ("by provider", 0, all(), &[Provider]),
        ("by user", 0, all(), &[User]),
        ("by key", 0, all(), &[Key]),
        ("by end customer", 0, all(), &[Customer]),
        ("by agent", 0, all(), &[Agent]),
        ("by tag and model", 0, all(), &[Tag, Model]),
        ("by day", 0, all(), &[Day]),
        ("of a team by key", 0, team(), &[Key]),
        ("of a team by day", 0, team(), &[Day]),
        ("of an end customer by model", 0, customer(), &[Model]),
        ("by provider, from noon to noon", NOON, all(), &[Provider]),
        ("by key, from noon to noon", NOON, all(), &[Key]),
    ]
}

fn reports(store: &Store, rows: u64) {
    for (what, later, of, groups) in questions() {
        // Pages are as long as the admin API's longest.
        let filter = LedgerFilter {
            since: MONTH + later,
            of: UsageFilter {
                until: Some(MONTH + LENGTH.cast_signed() - later),
                ..of
            },
            limit: 1_000,
            ..LedgerFilter::default()
        };
        let mut times = [Duration::ZERO; 3];
        let mut found = Vec::new();
        for time in &mut times {
            (found, *time) = took(|| store.usage(&filter, groups).unwrap());
        }
        println!(
            "a month of {rows} rows, {what}: {:?}, again {:?} and {:?} ({} rows)",
            times[0],
            times[1],
            times[2],
            found.len()
        );
    }
}
