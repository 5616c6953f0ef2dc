//! An older database, lines that come twice, lines that are none.

use super::*;

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
        key: None,
        since: 0,
        limit: 100,
    };
    let entries = store.ledger(&all).unwrap();
    entries.iter().map(|entry| entry.id.as_str().to_owned()).collect()
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
    assert_eq!(store.usage(1).unwrap()[0].requests, 4);
}

#[test]
fn a_line_of_a_batch_is_written_once_whenever_it_comes() {
    let store = Store::open("sqlite::memory:").unwrap();
    let line = |id: &str, at: i64| {
        format!(
            r#"{{"at":{at},"id":"{id}","surface":"s","model_requested":"m\n","outcome":"complete","usage":{{}},"new":[1],
            "usage_estimated":true,"cost":1,"attempts":1,"streamed":false,"status":200,"latency_us":18446744073709551615,"cache":"miss"}}"#
        )
    };
    let lines = [
        line("batch_1-000001", 1),
        line("batch_1-000001", 2),
        line("req_1", 1),
        line("req_1", 1),
        line("req_2", 1).replace(r#""cost":1"#, r#""cost":"1""#),
        line("req_3", 1).replace(r#""usage":{}"#, r#""usage":{"input":-1}"#),
        line("req_4", 1).replace(r#""status":200,"#, ""),
        "[]".to_owned(),
        "{".to_owned(),
    ];
    let strange = store.insert_lines(lines.iter().map(String::as_str)).unwrap();
    assert_eq!(ids(&store), ["batch_1-000001", "req_1"]);
    assert_eq!(strange, 5);
    let read = store
        .ledger(&LedgerFilter {
            limit: 9,
            ..LedgerFilter::default()
        })
        .unwrap();
    assert_eq!(
        (read[0].model_requested.as_str(), read[0].usage_estimated),
        ("m\n", true)
    );
}

#[test]
fn lines_of_a_batch_are_looked_up_in_an_index() {
    let store = Store::open("sqlite::memory:").unwrap();
    let plan: String = store
        .connection
        .lock()
        .query_row(
            &format!("EXPLAIN QUERY PLAN {}", crate::batch::CHARGED_LINES),
            ["a", "b"],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("ledger_of_batches (id>? AND id<?)"), "{plan}");
}
