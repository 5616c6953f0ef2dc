//! What only PostgreSQL has: a schema that goes both ways, roll-ups that agree with the ledger, months, many writers, and a
//! server that goes away.

use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_testbed::postgres::PostgresServer;
use pointsman_wire::form::Usage;

use super::*;
use crate::ledger::{LedgerEntry, Outcome};
use crate::store::{LedgerFilter, Store, UsageGroup, UsageRow, rollups};
use crate::{Actor, HolderKind, HolderSpec, NewKey};

const DAY: i64 = 86_400_000;

fn entry(id: &str, at: i64, cost: i64) -> LedgerEntry {
    LedgerEntry {
        id: id.into(),
        at,
        key: Some("key_1".into()),
        team: Some("t".into()),
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: "fast".to_owned(),
        provider: Some("openai".to_owned()),
        model: Some("m".to_owned()),
        decision: None,
        outcome: Outcome::Complete,
        usage: Usage {
            input: 3,
            output: 5,
            ..Usage::default()
        },
        usage_estimated: false,
        cost: Money::from_nanodollars(cost),
        attempts: 1,
        streamed: true,
        status: 200,
        latency_us: 10,
        ttft_us: Some(5),
        cache: "miss".to_owned(),
        organization: Some("o".into()),
        project: None,
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}

/// All usage, by these groups.
fn usage(store: &Store, filter: &LedgerFilter, groups: &[UsageGroup]) -> Vec<UsageRow> {
    let filter = LedgerFilter {
        limit: 10_000,
        ..filter.clone()
    };
    let mut rows = store.usage(&filter, groups).unwrap();
    rows.sort_by(|one, other| one.group.cmp(&other.group));
    rows
}

fn sum(store: &Store) -> (u64, i64) {
    let rows = usage(store, &LedgerFilter::default(), &[]);
    (rows[0].requests, rows[0].cost.nanodollars())
}

#[test]
fn the_schema_goes_both_ways() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("ways").unwrap();
    // As the first version left it, with a ledger.
    let pool = Pool::new(address::read(&url).unwrap()).unwrap();
    pool.with(PATIENCE, |connection| schema::migrate_to(connection, 1))
        .unwrap();
    server
        .query(
            "ways",
            "CREATE TABLE ledger_1970_01 (LIKE ledger INCLUDING ALL);
             ALTER TABLE ledger ATTACH PARTITION ledger_1970_01 FOR VALUES FROM (0) TO (2678400000);
             INSERT INTO ledger SELECT 'req_' || n, n * 86400000, 'key_1', 't', NULL, 's', 'm', 'p', 'm', NULL,
                CASE WHEN n < 3 THEN 'cached' ELSE 'complete' END, '{}', 1, 2, false, 7, 1, false, 200, 1, NULL, 'miss', 'o', NULL
             FROM generate_series(0, 9) n",
        )
        .unwrap();
    // Many replicas start at once: each step is taken once.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| Store::open(&url).unwrap());
        }
    });
    let store = Store::open(&url).unwrap();
    assert_eq!(store.schema_steps().unwrap(), (schema::KNOWN, schema::KNOWN));
    assert_eq!(sum(&store), (10, 70));
    let cached = |store: &Store| {
        let rows = usage(store, &LedgerFilter::default(), &[UsageGroup::Team]);
        (rows[0].cached, rows[0].cached_tokens)
    };
    assert_eq!(cached(&store), (3, 9));
    let dump = |what: &str| {
        let sql = "SELECT table_name, column_name, data_type FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name NOT LIKE 'ledger_1%' ORDER BY 1, 2";
        server.query(what, sql).unwrap()
    };
    let full = dump("ways");
    Store::revert_schema(&url, 1).unwrap();
    assert!(!dump("ways").contains("usage_by_key") && dump("ways").contains("ledger"));
    let error = Store::revert_schema(&url, 0).unwrap_err().to_string();
    assert!(error.contains("no way back"), "{error}");
    // And forward again: nothing is lost on the way.
    let store = Store::open(&url).unwrap();
    assert_eq!((dump("ways"), sum(&store)), (full.clone(), (10, 70)));
    assert_eq!(cached(&store), (3, 9));
    Store::open(&server.make("new").unwrap()).unwrap();
    assert_eq!(
        dump("new"),
        full,
        "a new database and a migrated one have the same schema"
    );
    server
        .query("ways", "INSERT INTO pointsman_schema VALUES (99, 0)")
        .unwrap();
    assert!(matches!(Store::open(&url), Err(StoreError::Newer)));
}

#[test]
fn sums_of_months_are_made_of_what_is_there_and_go_back() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("sums").unwrap();
    let store = Store::open(&url).unwrap();
    let labels = |store: &Store| {
        let by = |group| usage(store, &LedgerFilter::default(), &[group]);
        [
            UsageGroup::Customer,
            UsageGroup::Agent,
            UsageGroup::Tag,
            UsageGroup::Team,
        ]
        .map(by)
    };
    store.insert_ledger(&[entry("req_unnamed", 1, 7)]).unwrap();
    let unnamed = labels(&store);
    let named = LedgerEntry {
        customer: Some("c".to_owned()),
        agent: Some("a".to_owned()),
        tags: vec!["one".to_owned(), "two".to_owned()],
        outcome: Outcome::Cached,
        saved: Money::from_nanodollars(5),
        ..entry("req_named", 40 * DAY, 0)
    };
    store.insert_ledger(&[named]).unwrap();
    let told = labels(&store);
    assert_eq!(told.each_ref().map(Vec::len), [2, 2, 3, 1]);
    let again = || {
        Store::revert_schema(&url, 9).unwrap();
        Store::open(&url).unwrap()
    };
    assert_eq!(labels(&again()), told, "the ledger still knows");
    Store::revert_schema(&url, 10).unwrap();
    let of_customers = "SELECT customer, SUM(requests) FROM usage_by_customer_month GROUP BY 1 ORDER BY 1";
    assert_eq!(
        server.query("sums", of_customers).unwrap(),
        "|1\nc|1",
        "as it was before"
    );
    assert_eq!(labels(&Store::open(&url).unwrap()), told);
    let forget = "DELETE FROM ledger WHERE id = 'req_named'";
    server.query("sums", forget).unwrap();
    assert_eq!(labels(&store), told, "sums are read, and no entries");
    let days = "DELETE FROM usage_by_key_day WHERE day = 40; DELETE FROM usage_by_team_day WHERE day = 40";
    server.query("sums", days).unwrap();
    assert_eq!(labels(&again()), unnamed);
}

#[test]
fn what_comes_twice_is_counted_once_whoever_brings_it() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("twice").unwrap();
    let entries: Vec<_> = (0..2_000)
        .map(|n| entry(&format!("req_{n}"), DAY * (n % 40) + n, n))
        .collect();
    let lines: Vec<_> = (0..200)
        .map(|n| entry(&format!("batch_1-{n:06}"), n, 1))
        .collect();
    std::thread::scope(|scope| {
        for replica in 0..4_i64 {
            let (url, entries, lines) = (&url, &entries, &lines);
            scope.spawn(move || {
                let store = Store::open(url).unwrap();
                for part in entries.chunks(300) {
                    store.insert_ledger(part).unwrap();
                }
                // A line of a batch that is sent again is settled at another time.
                let later = lines.iter().map(|line| LedgerEntry {
                    at: line.at + replica,
                    ..line.clone()
                });
                store.insert_ledger(&later.collect::<Vec<_>>()).unwrap();
            });
        }
    });
    let store = Store::open(&url).unwrap();
    let expected: i64 = (0..2_000).sum();
    assert_eq!(sum(&store), (2_200, expected + 200));
    let rows = server
        .query("twice", "SELECT COUNT(*), SUM(cost) FROM ledger")
        .unwrap();
    assert_eq!(rows, format!("2200|{}", expected + 200));
    assert_eq!(store.charged_lines(&"batch_1".into()).unwrap().len(), 200);
    assert_eq!(store.charged_lines(&"batch".into()).unwrap(), [0; 0]);
}

#[test]
fn reports_are_what_the_ledger_says() {
    let server = PostgresServer::start().unwrap();
    let store = Store::open(&server.make("reports").unwrap()).unwrap();
    // Nothing is counted there that nobody has looked after.
    let reference = Store::open("sqlite::memory:").unwrap();
    for store in [&store, &reference] {
        store.insert_ledger(&rollups::tests::entries()).unwrap();
        rollups::tests::make_labels(store);
    }
    rollups::tests::reports_are_the_same(&store, &reference);
}

/// Every sum there is, against the entries themselves, to the nano-dollar.
fn sums_are_those_of_the_rows(server: &PostgresServer, database: &str) {
    let measures = "COUNT(*) AS requests, SUM((outcome IN ('blocked', 'refused', 'provider_failed'))::integer), SUM(input),
        SUM(output), SUM(cost), SUM((outcome = 'cached')::integer),
        SUM(CASE WHEN outcome = 'cached' THEN input + output ELSE 0 END), SUM(saved)";
    let sums = "requests, failed, input, output, cost, cached, cached_tokens, saved";
    let day = "at / 86400000";
    let month = DIALECT.month;
    let tags = "ledger CROSS JOIN LATERAL jsonb_array_elements_text(tags::jsonb) AS one (tag)";
    let team = ["team", "organization", "provider", "model"];
    let key = [&["key", "\"user\"", "project"][..], &team].concat();
    for (table, period, named, from) in [
        ("usage_by_team_day", day, &team[..], "ledger"),
        ("usage_by_key_day", day, &key, "ledger"),
        ("usage_by_team_month", month, &team, "ledger"),
        ("usage_by_key_month", month, &key, "ledger"),
        (
            "usage_of_customer_month",
            month,
            &[&["customer"][..], &team].concat(),
            "ledger",
        ),
        (
            "usage_of_agent_month",
            month,
            &[&["agent"][..], &team].concat(),
            "ledger",
        ),
        ("usage_of_tag_month", month, &[&["tag"][..], &team].concat(), tags),
    ] {
        let (first, names) = (named[0], named.join(", "));
        let named: Vec<_> = named.iter().map(|name| format!("COALESCE({name}, '')")).collect();
        // What bears no name is in none of the sums by names.
        let only = if table.starts_with("usage_of") {
            format!("WHERE {first} <> ''")
        } else {
            String::new()
        };
        let counted = format!("SELECT day, {names}, {sums} FROM {table} {only}");
        let rows = format!(
            "SELECT {period}, {}, {measures} FROM {from} {only} GROUP BY {period}, {}",
            named.join(", "),
            named.join(", ")
        );
        let differ = format!(
            "SELECT (SELECT COUNT(*) FROM ({counted}) AS sums), (SELECT COUNT(*) FROM ({counted} EXCEPT ({rows})) AS more),
                (SELECT COUNT(*) FROM ({rows} EXCEPT ({counted})) AS less)"
        );
        let told = server.query(database, &differ).unwrap();
        let (count, differ) = told.split_once('|').unwrap();
        assert_ne!(count, "0", "{table}");
        assert_eq!(differ, "0|0", "{table}");
    }
}

#[test]
fn sums_are_those_of_the_rows_whoever_brings_them_however_often_and_late() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("many").unwrap();
    let (entries, replicas) = (rollups::tests::entries(), 3);
    std::thread::scope(|scope| {
        for replica in 0..replicas {
            let (url, entries) = (&url, &entries);
            scope.spawn(move || {
                let store = Store::open(url).unwrap();
                // Each brings two thirds, some of which are late, some others have brought.
                let mine = entries
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| at % replicas != replica);
                let mut mine: Vec<_> = mine.map(|(_, entry)| entry.clone()).collect();
                mine.rotate_left(replica * 100);
                for part in mine.chunks(150) {
                    store.insert_ledger(part).unwrap();
                }
                // The journal is read again from somewhere before.
                store.insert_ledger(&mine[300..]).unwrap();
            });
        }
    });
    let count = server.query("many", "SELECT COUNT(*) FROM ledger").unwrap();
    assert_eq!(count, entries.len().to_string());
    sums_are_those_of_the_rows(&server, "many");
}

#[test]
fn what_the_database_cannot_hold_stands_in_nobodys_way() {
    let server = PostgresServer::start().unwrap();
    let store = Store::open(&server.make("data").unwrap()).unwrap();
    let mut entries: Vec<_> = (0..50).map(|n| entry(&format!("req_{n}"), n, 1)).collect();
    entries[7].model_requested = "a\0b".to_owned();
    // More than can be counted, together.
    entries[20].cost = Money::from_nanodollars(i64::MAX);
    entries[21].usage.input = u64::MAX;
    entries[22].at = -1;
    entries[23].at = i64::MAX;
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| serde_json::to_string(entry).unwrap())
        .collect();
    let strange = store.insert_lines(lines.iter().map(String::as_str)).unwrap();
    let kept = server
        .query("data", "SELECT COUNT(*), MAX(model_requested) FROM ledger")
        .unwrap();
    let (count, text) = kept.split_once('|').unwrap();
    assert_eq!(count.parse::<usize>().unwrap() + strange, 50);
    assert!((2..=4).contains(&strange), "{strange} entries are left out");
    assert_eq!(text, "fast");
    let page = LedgerFilter {
        limit: 60,
        ..LedgerFilter::default()
    };
    let read = store.ledger(&page).unwrap();
    assert!(read.iter().any(|entry| entry.model_requested == "a\u{fffd}b"));
}

#[test]
fn months_are_made_when_they_come_and_dropped_when_they_are_over() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("months").unwrap();
    let store = Store::open(&url).unwrap();
    let entries: Vec<_> = (0..20)
        .map(|n| entry(&format!("req_{n}"), n * 31 * DAY, 1))
        .collect();
    store.insert_ledger(&entries).unwrap();
    store.insert_ledger(&[entry("batch_1-000001", 0, 1)]).unwrap();
    let now = crate::store::now();
    store.insert_ledger(&[entry("req_now", now, 1)]).unwrap();
    let sql = "SELECT COUNT(*) FROM pg_inherits WHERE inhparent = 'ledger'::regclass";
    let months = || server.query("months", sql).unwrap().parse::<u32>().unwrap();
    assert_eq!(months(), 21);
    let other = Store::open(&url).unwrap();
    other.tend(None).unwrap();
    assert_eq!(months(), 22, "the next month is there before it begins");
    other.tend(Some(1)).unwrap();
    assert_eq!(months(), 2);
    assert_eq!(sum(&store), (22, 22), "what the months summed up to is kept");
    let spent = store.spent(&"key_1".into(), 0).unwrap();
    assert_eq!(spent, Money::from_nanodollars(22), "and counts for budgets");
    assert_eq!(
        server
            .query("months", "SELECT COUNT(*) FROM ledger_lines")
            .unwrap(),
        "0"
    );
}

#[test]
fn roles_credentials_and_what_is_seen_are_as_in_sqlite() {
    let server = PostgresServer::start().unwrap();
    let open = |name: &str| Store::open(&server.make(name).unwrap()).unwrap();
    crate::store::places::tests::check(&open("places"));
    crate::store::members::tests::check(&open("members"));
    crate::store::credentials::tests::check(&open("credentials"));
    crate::store::directory::tests::check(&open("directory"));
}

#[test]
fn the_audit_log_verifies_with_many_writers() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("writers").unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let url = &url;
            scope.spawn(move || {
                let store = Store::open(url).unwrap();
                let actor = Actor::local();
                for number in 0..25 {
                    let id = format!("team_{writer}_{number}");
                    store
                        .create_holder(&actor, HolderKind::Team, Some(id), HolderSpec::default())
                        .unwrap();
                    store.create_key(NewKey::default()).unwrap();
                }
            });
        }
    });
    let store = Store::open(&url).unwrap();
    let verified = store.verify_audit().unwrap();
    assert_eq!((verified.rows, verified.broken), (200, None));
    assert_eq!(
        store.changes().unwrap(),
        201,
        "no two changes have the same number"
    );
}

#[test]
fn a_server_that_stalls_or_goes_away_is_waited_for_only_so_long() {
    let mut server = PostgresServer::start().unwrap();
    let url = format!("{}?connections=2", server.make("away").unwrap());
    let pool = Pool::new(address::read(&url).unwrap()).unwrap();
    let short = Duration::from_secs(2);
    let ask = || pool.with(short, |connection| connection.batch("SELECT 1"));
    ask().unwrap();
    // What takes too long is given up here, and cancelled there.
    let slept = pool.with(short, |connection| connection.batch("SELECT pg_sleep(300)"));
    assert!(matches!(slept, Err(StoreError::Unreachable(_))), "{slept:?}");
    let running =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND state = 'active'
        AND pid <> pg_backend_pid()";
    let until = Instant::now() + Duration::from_secs(20);
    while server.query("away", running).unwrap() != "0" {
        assert!(
            Instant::now() < until,
            "the server goes on with what nobody waits for"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // No more connections than it may have: who comes third waits, and gives up.
    pool.with(PATIENCE, |_| {
        pool.with(PATIENCE, |_| {
            let error = ask().unwrap_err().to_string();
            assert!(error.contains("all 2 connections"), "{error}");
            Ok(())
        })
    })
    .unwrap();
    ask().unwrap();
    server.freeze();
    let frozen = ask();
    assert!(matches!(frozen, Err(StoreError::Unreachable(_))), "{frozen:?}");
    server.thaw();
    server.halt().unwrap();
    let gone = ask();
    assert!(matches!(gone, Err(StoreError::Unreachable(_))), "{gone:?}");
    server.begin().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while ask().is_err() {
        assert!(Instant::now() < until, "it is not found again");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_transaction_that_fails_leaves_nothing_behind() {
    let server = PostgresServer::start().unwrap();
    let url = format!("{}?connections=2", server.make("fails").unwrap());
    let store = Store::open(&url).unwrap();
    let seen = store.changes().unwrap();
    for _ in 0..5 {
        let none = NewKey {
            organization: Some("none".into()),
            ..NewKey::default()
        };
        assert!(store.create_key(none).is_err());
    }
    assert_eq!(store.changes().unwrap(), seen);
    assert_eq!(store.verify_audit().unwrap().rows, 0);
    store.create_key(NewKey::default()).unwrap();
}

#[test]
fn secrets_and_repeated_requests_are_as_in_sqlite() {
    let server = PostgresServer::start().unwrap();
    crate::store::secrets_checked(&Store::open(&server.make("secrets").unwrap()).unwrap());
}
