//! An older database, lines that come twice, lines that are none.

use pointsman_catalog::Money;
use rusqlite::params;

use super::schema::MIGRATIONS;
use super::*;
use crate::holder::{HolderKind, HolderSpec};
use crate::key::NewKey;
use crate::terms::{Budget, BudgetWindow, Metadata, Terms};

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

fn usage(store: &Store, groups: &[UsageGroup]) -> Vec<UsageRow> {
    let all = LedgerFilter {
        limit: 100,
        ..LedgerFilter::default()
    };
    store.usage(&all, groups).unwrap()
}

fn ids(store: &Store) -> Vec<String> {
    let all = LedgerFilter {
        limit: 100,
        ..LedgerFilter::default()
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
    assert_eq!(usage(&store, &[UsageGroup::Key])[0].requests, 4);
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
    assert_eq!(
        schema(&migrated.connection.lock()),
        schema(&new.connection.lock())
    );
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&url).unwrap();
    store
        .connection
        .lock()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(store);
    assert!(matches!(Store::open(&url), Err(StoreError::Newer)));
}

fn spec(organization: Option<&str>, team: Option<&str>) -> HolderSpec {
    HolderSpec {
        organization: organization.map(Into::into),
        team: team.map(Into::into),
        ..HolderSpec::default()
    }
}

/// Two organizations, a team in one, a project of the team, a user of the other.
fn tree() -> Store {
    let store = Store::open("sqlite::memory:").unwrap();
    let made = |kind, id: &str, spec| {
        let actor = Actor::local();
        store
            .create_holder(&actor, kind, Some(id.to_owned()), spec)
            .unwrap()
    };
    made(HolderKind::Organization, "o1", spec(None, None));
    made(HolderKind::Organization, "o2", spec(None, None));
    made(HolderKind::Team, "t", spec(Some("o1"), None));
    made(HolderKind::Project, "p", spec(None, Some("t")));
    made(HolderKind::User, "u", spec(Some("o2"), None));
    store
}

fn grant(
    organization: Option<&str>,
    team: Option<&str>,
    project: Option<&str>,
    user: Option<&str>,
) -> NewKey {
    NewKey {
        organization: organization.map(Into::into),
        team: team.map(Into::into),
        project: project.map(Into::into),
        user: user.map(Into::into),
        ..NewKey::default()
    }
}

#[test]
fn a_keys_holders_must_be_there_and_belong_together() {
    let store = tree();
    let make = |grant| store.create_key_as(&Actor::local(), grant, Metadata::new(), None);
    for wrong in [
        grant(Some("o2"), Some("t"), None, None),
        grant(None, Some("t"), None, Some("u")),
        grant(None, None, Some("p"), Some("u")),
        grant(Some("none"), None, None, None),
        grant(None, Some("none"), None, None),
    ] {
        assert!(make(wrong.clone()).is_err(), "{wrong:?}");
    }
    make(grant(Some("o1"), Some("t"), Some("p"), None)).unwrap();
    make(grant(Some("o2"), None, None, Some("u"))).unwrap();
    let orphan = store.create_holder(
        &Actor::local(),
        HolderKind::Project,
        None,
        spec(Some("o2"), Some("t")),
    );
    assert!(orphan.is_err());
}

#[test]
fn what_was_deleted_is_never_made_again_and_what_was_changed_meanwhile_stays() {
    let store = tree();
    let actor = Actor::local();
    let team = (HolderKind::Team, "t");
    let seen = store.holder(team.0, team.1).unwrap().unwrap().version;
    let named = |name: &'static str| {
        move |spec: &mut HolderSpec| {
            name.clone_into(&mut spec.name);
            Ok(())
        }
    };
    let changed = store.update_holder(&actor, team, Some(seen), named("a")).unwrap();
    assert!(changed.version > seen);
    let stale = store.update_holder(&actor, team, Some(seen), named("b"));
    assert!(matches!(stale, Err(StoreError::Changed)));
    let stale = store.delete_holder(&actor, team, Some(seen));
    assert!(matches!(stale, Err(StoreError::Changed)));
    store.delete_holder(&actor, team, None).unwrap();
    let again = store.create_holder(&actor, team.0, Some("t".to_owned()), HolderSpec::default());
    assert!(matches!(again, Err(StoreError::Exists { .. })));
    assert!(store.create_key(grant(None, Some("t"), None, None)).is_err());
    // Whoever names a limit that is not there gets no key without it.
    let unlimited = NewKey {
        plan: Some("smal".into()),
        ..NewKey::default()
    };
    assert!(store.create_key(unlimited).is_err());
}

#[expect(clippy::too_many_lines, reason = "a list of every filter")]
#[test]
fn sql_injection_finds_and_breaks_nothing() {
    let store = tree();
    store.create_key(grant(None, Some("t"), None, None)).unwrap();
    for evil in [
        "' OR 1=1 --",
        "\" OR \"\"=\"",
        "t'; DROP TABLE keys; --",
        "%",
        "\0",
        "t' UNION SELECT 1 --",
    ] {
        let page = Listing {
            limit: 10,
            ..Listing::default()
        };
        let keys = |filter: KeyFilter| store.keys_page(&filter, &page).unwrap().1;
        assert_eq!(
            keys(KeyFilter {
                team: Some(evil.into()),
                ..KeyFilter::default()
            }),
            0
        );
        assert_eq!(
            keys(KeyFilter {
                organization: Some(evil.into()),
                ..KeyFilter::default()
            }),
            0
        );
        assert_eq!(
            keys(KeyFilter {
                project: Some(evil.into()),
                ..KeyFilter::default()
            }),
            0
        );
        assert_eq!(
            keys(KeyFilter {
                user: Some(evil.into()),
                ..KeyFilter::default()
            }),
            0
        );
        assert_eq!(
            keys(KeyFilter {
                plan: Some(evil.into()),
                ..KeyFilter::default()
            }),
            0
        );
        assert_eq!(
            keys(KeyFilter {
                name: Some(evil.to_owned()),
                ..KeyFilter::default()
            }),
            0
        );
        let after = Listing {
            after: Some(evil.to_owned()),
            ..page.clone()
        };
        assert_eq!(
            store
                .keys_page(&KeyFilter::default(), &after)
                .unwrap()
                .0
                .items
                .len(),
            0
        );
        let holders = HolderFilter {
            name: Some(evil.to_owned()),
            ..HolderFilter::default()
        };
        assert_eq!(
            store.holders_page(HolderKind::Team, &holders, &page).unwrap().1,
            0
        );
        assert_eq!(store.holder(HolderKind::Team, evil).unwrap(), None);
        assert!(store.find_key(evil).is_err());
        let of = |of: UsageFilter| LedgerFilter {
            of,
            limit: 5,
            ..LedgerFilter::default()
        };
        let text = || Some(evil.to_owned());
        for filter in [
            of(UsageFilter {
                organization: text(),
                ..UsageFilter::default()
            }),
            of(UsageFilter {
                team: text(),
                ..UsageFilter::default()
            }),
            of(UsageFilter {
                project: text(),
                ..UsageFilter::default()
            }),
            of(UsageFilter {
                user: text(),
                ..UsageFilter::default()
            }),
            of(UsageFilter {
                model: text(),
                ..UsageFilter::default()
            }),
            of(UsageFilter {
                provider: text(),
                ..UsageFilter::default()
            }),
            of(UsageFilter {
                request: text(),
                ..UsageFilter::default()
            }),
            LedgerFilter {
                before: Some((0, evil.to_owned())),
                ..of(UsageFilter::default())
            },
            LedgerFilter {
                key: Some(evil.into()),
                ..of(UsageFilter::default())
            },
        ] {
            assert_eq!(store.ledger(&filter).unwrap(), []);
            assert_eq!(store.usage(&filter, &[UsageGroup::Model]).unwrap(), []);
        }
    }
    assert_eq!(store.keys().unwrap().len(), 1);
}

#[test]
fn the_audit_log_shows_every_change_and_every_tampering() {
    let store = tree();
    let (key, _) = store.create_key(grant(None, Some("t"), None, None)).unwrap();
    store.rotate_key(&key.id).unwrap();
    store.revoke_key(&key.id).unwrap();
    let rows = store.audit(0, 100).unwrap();
    let actions: Vec<_> = rows
        .iter()
        .map(|row| (row.action.as_str(), row.kind.as_str()))
        .collect();
    assert_eq!(
        actions[5..],
        [("create", "key"), ("rotate", "key"), ("delete", "key")]
    );
    let told = serde_json::to_string(&rows).unwrap();
    assert!(!told.contains("hash_") && rows[6].before.is_some() && rows[6].after.is_some());
    let verified = store.verify_audit().unwrap();
    assert_eq!((verified.rows, verified.broken), (8, None));
    for (tamper, broken) in [
        ("UPDATE audit SET actor = 'someone' WHERE number = 3", 3),
        ("UPDATE audit SET after_json = NULL WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 4", 5),
        ("UPDATE audit SET number = 9 WHERE number = 8", 9),
    ] {
        let connection = store.connection.lock();
        connection
            .execute_batch(&format!("SAVEPOINT s; {tamper}"))
            .unwrap();
        drop(connection);
        assert_eq!(store.verify_audit().unwrap().broken, Some(broken), "{tamper}");
        store
            .connection
            .lock()
            .execute_batch("ROLLBACK TO s; RELEASE s")
            .unwrap();
    }
    assert_eq!(store.verify_audit().unwrap(), verified);
}

#[test]
fn usage_is_summed_up_by_whatever_is_asked() {
    let store = Store::open("sqlite::memory:").unwrap();
    let line = |id: &str, at: i64, team: &str, model: &str, cost: i64| {
        format!(
            r#"{{"id":"{id}","at":{at},"key":"k","team":"{team}","surface":"s","model_requested":"m","provider":"p","model":"{model}",
            "outcome":"complete","usage":{{"input":1}},"usage_estimated":false,"cost":{cost},"attempts":1,"streamed":false,
            "status":200,"latency_us":1,"cache":"miss","organization":"o","project":null}}"#
        )
    };
    let day = 86_400_000;
    let lines = [
        line("req_1", 1, "a", "x", 1),
        line("req_2", day, "a", "y", 2),
        line("req_3", day + 1, "b", "x", 4),
    ];
    assert_eq!(store.insert_lines(lines.iter().map(String::as_str)).unwrap(), 0);
    let costs = |groups: &[UsageGroup]| {
        let rows = usage(&store, groups).into_iter();
        let text = |row: &UsageRow| row.group.iter().flatten().cloned().collect::<Vec<_>>().join("/");
        rows.map(|row| (text(&row), row.cost.nanodollars()))
            .collect::<Vec<_>>()
    };
    let told = |rows: &[(&str, i64)]| -> Vec<_> {
        rows.iter()
            .map(|(group, cost)| ((*group).to_owned(), *cost))
            .collect()
    };
    assert_eq!(costs(&[]), told(&[("", 7)]));
    assert_eq!(costs(&[UsageGroup::Team]), told(&[("b", 4), ("a", 3)]));
    assert_eq!(
        costs(&[UsageGroup::Day]),
        told(&[("1970-01-01", 1), ("1970-01-02", 6)])
    );
    assert_eq!(
        costs(&[UsageGroup::Organization, UsageGroup::Model]),
        told(&[("o/x", 5), ("o/y", 2)])
    );
    for group in UsageGroup::ALL {
        assert!(!usage(&store, &[group]).is_empty(), "{group:?}");
    }
    assert_eq!(
        store.spent_by(HolderKind::Organization, "o", day).unwrap(),
        Money::from_nanodollars(6)
    );
    let first = LedgerFilter {
        limit: 2,
        ..LedgerFilter::default()
    };
    let page = store.ledger_page(&first).unwrap();
    assert!(page.more);
    let last = page.items.last().unwrap();
    let rest = LedgerFilter {
        before: Some((last.at, last.id.as_str().to_owned())),
        ..first
    };
    let rest = store.ledger_page(&rest).unwrap();
    assert_eq!((rest.items.len(), rest.more), (1, false));
}

#[test]
fn a_rotated_key_keeps_its_former_secret_for_a_while() {
    let store = tree();
    let (key, _) = store.create_key(NewKey::default()).unwrap();
    let actor = Actor::local();
    let (rotated, _) = store.rotate_key_as(&actor, &key.id, None, 60_000).unwrap();
    assert_eq!(rotated.former.unwrap().0, key.hash);
    assert_eq!(store.key(&key.id).unwrap(), rotated);
    assert!(store.rotate_key_as(&actor, &key.id, None, -1).is_err());
    store.revoke_key(&key.id).unwrap();
    assert_eq!(store.key(&key.id).unwrap().former, None);
}

#[test]
fn terms_come_back_as_they_were_given() {
    let store = tree();
    let terms = Terms {
        models: vec!["gpt-*".to_owned()],
        providers: vec!["openai".to_owned()],
        requests_per_minute: Some(1),
        budgets: vec![Budget {
            soft: Some(Money::from_nanodollars(3)),
            zone: Some("America/New_York".to_owned()),
            ..Budget::of(Money::from_nanodollars(5), BudgetWindow::Seconds(60))
        }],
        ..Terms::default()
    };
    let actor = Actor::local();
    let given = HolderSpec {
        terms,
        ..HolderSpec::default()
    };
    let made = store
        .create_holder(&actor, HolderKind::User, None, given.clone())
        .unwrap();
    assert!(made.id.starts_with("user_"));
    let kept = store.holder(HolderKind::User, &made.id).unwrap().unwrap();
    assert_eq!((&kept, kept.spec.clone()), (&made, given));
    assert_eq!(store.holders_since(made.version - 1).unwrap(), [made]);
}
