//! An older database, and one of a later version.

use std::path::Path;

use pointsman_catalog::Money;
use rusqlite::{Connection, params};

use super::schema::MIGRATIONS;
use crate::holder::{HolderKind, HolderSpec};
use crate::store::{LedgerFilter, Store, StoreError, UsageGroup, UsageRow};
use crate::terms::Budget;
use crate::window::BudgetWindow;

/// A database as the version before the ledger was put in order left it, with these rows.
fn older(path: &Path, rows: &[(&str, i64)]) {
    let connection = Connection::open(path).unwrap();
    for sql in &MIGRATIONS[..3] {
        connection.execute_batch(sql).unwrap();
    }
    connection.pragma_update(None, "user_version", 3).unwrap();
    for (id, at) in rows {
        connection
            .execute(
                "INSERT INTO ledger VALUES (?1, ?2, 'key_1', NULL, NULL, '/v1/embeddings', 'm', 'p', 'm', NULL,
                 'complete', '{\"input\":3}', 3, 0, 0, 7, 1, 0, 200, 10, NULL, 'miss')",
                params![id, at],
            )
            .unwrap();
    }
}

fn ids(store: &Store) -> Vec<String> {
    let all = LedgerFilter {
        limit: 100,
        ..LedgerFilter::default()
    };
    let entries = store.ledger(&all).unwrap();
    entries.iter().map(|entry| entry.id.as_str().to_owned()).collect()
}

fn usage(store: &Store, groups: &[UsageGroup]) -> Vec<UsageRow> {
    let all = LedgerFilter {
        limit: 100,
        ..LedgerFilter::default()
    };
    store.usage(&all, groups).unwrap()
}

#[test]
fn the_ledger_of_an_older_database_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let rows = [
        ("req_b", 2),
        ("batch_1-000002", 1),
        ("batch_10-000001", 1),
        ("req_a", 3),
    ];
    older(&path, &rows);
    let store = Store::open(&format!("sqlite://{}", path.display())).unwrap();
    assert_eq!(
        ids(&store),
        ["req_a", "req_b", "batch_1-000002", "batch_10-000001"]
    );
    assert_eq!(store.charged_lines(&"batch_1".into()).unwrap(), [2]);
    assert_eq!(
        store.spent(&"key_1".into(), 2).unwrap(),
        Money::from_nanodollars(14)
    );
    assert_eq!(usage(&store, &[UsageGroup::Key])[0].requests, 4);
}

#[test]
fn the_ledger_of_a_version_that_knew_no_savings_is_read_and_so_are_lines_of_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    older(&path, &[("req_a", 1)]);
    let store = Store::open(&format!("sqlite://{}", path.display())).unwrap();
    let old = r#"{"id":"req_b","at":2,"key":null,"team":null,"user":null,"surface":"s","model_requested":"m","provider":null,
        "model":null,"decision":null,"outcome":"cached","usage":{"input":3,"output":4},"usage_estimated":false,"cost":0,
        "attempts":0,"streamed":false,"status":200,"latency_us":1,"ttft_us":null,"cache":"exact","organization":null,
        "project":null"#;
    let lines = [
        format!("{old}}}"),
        format!("{},\"saved\":9}}", old.replace("req_b", "req_c")),
    ];
    assert_eq!(store.insert_lines(lines.iter().map(String::as_str)).unwrap(), 0);
    let row = &usage(&store, &[])[0];
    assert_eq!((row.requests, row.cached, row.cached_tokens), (3, 2, 14));
    assert_eq!(row.saved, Money::from_nanodollars(9));
}

#[test]
fn lines_of_a_batch_are_looked_up_in_an_index() {
    let store = Store::open("sqlite::memory:").unwrap();
    let plan: String = store
        .local()
        .query_row(
            &format!("EXPLAIN QUERY PLAN {}", crate::batch::CHARGED_LINES),
            ["a", "b"],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("ledger_of_batches (id>? AND id<?)"), "{plan}");
}

#[test]
fn keys_of_an_older_database_keep_budget_and_team() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let connection = Connection::open(&path).unwrap();
    for sql in &MIGRATIONS[..4] {
        connection.execute_batch(sql).unwrap();
    }
    connection.pragma_update(None, "user_version", 4).unwrap();
    let grants = [
        r#"{"name":"a","team":"research","user":"kim","models":["m"],"budget":{"amount":7,"window":"day"},"roles":[]}"#,
        r#"{"name":"b","team":"research","user":null,"budget":null}"#,
        r#"{"name":"c"}"#,
    ];
    for (at, grant) in grants.iter().enumerate() {
        connection
            .execute(
                "INSERT INTO keys (id, hash, hint, grant_json, created_at) VALUES (?1, ?2, 'pm-x', ?3, ?4)",
                params![format!("key_{at}"), [at as u8; 32], grant, at as i64 + 1],
            )
            .unwrap();
    }
    drop(connection);
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&url).unwrap();
    let keys = store.keys().unwrap();
    let budget = Budget::of(Money::from_nanodollars(7), BudgetWindow::Day);
    assert_eq!(keys[0].grant.budgets, [budget]);
    assert_eq!((keys[0].grant.models.len(), keys[1].grant.budgets.len()), (1, 0));
    // What was only named is a holder now, without limits.
    let team = store.holder(HolderKind::Team, "research").unwrap().unwrap();
    assert_eq!((team.spec, team.created_at), (HolderSpec::default(), 1));
    assert!(store.holder(HolderKind::User, "kim").unwrap().is_some());
    // Old and new rows are changed alike, and a second start changes nothing.
    store.rotate_key(&keys[2].id).unwrap();
    drop(store);
    assert_eq!(Store::open(&url).unwrap().keys().unwrap().len(), 3);
}

#[test]
fn sums_by_names_of_an_older_database_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let connection = Connection::open(&path).unwrap();
    for sql in &MIGRATIONS[..13] {
        connection.execute_batch(sql).unwrap();
    }
    connection.pragma_update(None, "user_version", 13).unwrap();
    // Five requests, of which three name a customer and all an agent, and none a tag.
    let sums = "INSERT INTO usage_by_team_month VALUES (0, 't', 'o', 'p', 'm', 5, 1, 15, 10, 35, 0, 0, 2);
        INSERT INTO usage_by_customer_month VALUES (0, '', 't', 'o', 'p', 'm', 2, 0, 6, 4, 14, 0, 0, 0),
            (0, 'c', 't', 'o', 'p', 'm', 3, 1, 9, 6, 21, 0, 0, 2);
        INSERT INTO usage_by_agent_month VALUES (0, 'a', 't', 'o', 'p', 'm', 5, 1, 15, 10, 35, 0, 0, 2);
        INSERT INTO usage_by_tag_month VALUES (0, '', 't', 'o', 'p', 'm', 5, 1, 15, 10, 35, 0, 0, 2);
        UPDATE usage_counted SET until = 86400000";
    connection.execute_batch(sums).unwrap();
    drop(connection);
    let store = Store::open(&format!("sqlite://{}", path.display())).unwrap();
    let told = |group| {
        let rows = usage(&store, &[group]).into_iter();
        let told = rows.map(|row| {
            (
                row.group[0].clone(),
                row.requests,
                row.cost.nanodollars(),
                row.input,
            )
        });
        told.collect::<Vec<_>>()
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        told(UsageGroup::Customer),
        [(named("c"), 3, 21, 9), (None, 2, 14, 6)]
    );
    assert_eq!(told(UsageGroup::Agent), [(named("a"), 5, 35, 15)]);
    assert_eq!(told(UsageGroup::Tag), [(None, 5, 35, 15)]);
}

#[test]
fn a_new_database_and_a_migrated_one_have_the_same_schema() {
    let schema = |connection: &Connection| {
        let mut query = connection
            .prepare("SELECT name || ': ' || COALESCE(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    older(&path, &[("req_1", 1)]);
    let migrated = Store::open(&format!("sqlite://{}", path.display())).unwrap();
    let new = Store::open("sqlite::memory:").unwrap();
    assert_eq!(schema(&migrated.local()), schema(&new.local()));
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&url).unwrap();
    store.local().pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    assert!(matches!(Store::open(&url), Err(StoreError::Newer)));
}
