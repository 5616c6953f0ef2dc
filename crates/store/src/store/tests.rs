//! What every engine must do alike: each case is run in SQLite, and in a database of its own of a real PostgreSQL.

use pointsman_catalog::Money;
use pointsman_testbed::postgres::PostgresServer;

use super::audit::unhex;
use super::*;
use crate::holder::{HolderKind, HolderSpec};
use crate::key::NewKey;
use crate::terms::{Budget, Metadata, Terms};
use crate::window::BudgetWindow;

type Case = fn(&Store);

const CASES: [(&str, Case); 14] = [
    (
        "a_line_of_a_batch_is_written_once_whenever_it_comes",
        a_line_of_a_batch_is_written_once_whenever_it_comes,
    ),
    (
        "a_keys_holders_must_be_there_and_belong_together",
        a_keys_holders_must_be_there_and_belong_together,
    ),
    (
        "what_was_deleted_is_never_made_again_and_what_was_changed_meanwhile_stays",
        what_was_deleted_is_never_made_again_and_what_was_changed_meanwhile_stays,
    ),
    (
        "sql_injection_finds_and_breaks_nothing",
        sql_injection_finds_and_breaks_nothing,
    ),
    (
        "the_beginning_of_the_audit_log_is_taken_out_and_says_so",
        the_beginning_of_the_audit_log_is_taken_out_and_says_so,
    ),
    (
        "the_audit_log_shows_every_change_and_every_tampering",
        the_audit_log_shows_every_change_and_every_tampering,
    ),
    (
        "usage_is_summed_up_by_whatever_is_asked",
        usage_is_summed_up_by_whatever_is_asked,
    ),
    (
        "a_rotated_key_keeps_its_former_secret_for_a_while",
        a_rotated_key_keeps_its_former_secret_for_a_while,
    ),
    (
        "terms_come_back_as_they_were_given",
        terms_come_back_as_they_were_given,
    ),
    (
        "keys_are_listed_and_told_by_their_state",
        keys_are_listed_and_told_by_their_state,
    ),
    ("a_password_is_made_once_or_anew", a_password_is_made_once_or_anew),
    (
        "every_change_is_seen_by_whoever_asks_since_the_last",
        every_change_is_seen_by_whoever_asks_since_the_last,
    ),
    (
        "memories_are_their_owners_and_end_when_they_say",
        memories_are_their_owners_and_end_when_they_say,
    ),
    (
        "collections_are_changed_by_their_owners_alone",
        collections_are_changed_by_their_owners_alone,
    ),
];

#[test]
fn sqlite_does_it_all() {
    for (_, case) in CASES {
        case(&Store::open("sqlite::memory:").unwrap());
    }
}

#[test]
fn postgres_does_it_all() {
    let server = PostgresServer::start().unwrap();
    for (name, case) in CASES {
        let url = server.make(name.get(..60).unwrap_or(name)).unwrap();
        case(&Store::open(&url).unwrap());
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

fn a_line_of_a_batch_is_written_once_whenever_it_comes(store: &Store) {
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
    assert_eq!(ids(store), ["batch_1-000001", "req_1"]);
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

fn spec(organization: Option<&str>, team: Option<&str>) -> HolderSpec {
    HolderSpec {
        organization: organization.map(Into::into),
        team: team.map(Into::into),
        ..HolderSpec::default()
    }
}

/// Two organizations, a team in one, a project of the team, a user of the other.
fn tree(store: &Store) {
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

fn a_keys_holders_must_be_there_and_belong_together(store: &Store) {
    tree(store);
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

fn what_was_deleted_is_never_made_again_and_what_was_changed_meanwhile_stays(store: &Store) {
    tree(store);
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
fn sql_injection_finds_and_breaks_nothing(store: &Store) {
    tree(store);
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

fn the_beginning_of_the_audit_log_is_taken_out_and_says_so(store: &Store) {
    let actor = Actor::local();
    assert_eq!(
        store.trim_audit(&actor, i64::MAX).unwrap(),
        None,
        "there is nothing"
    );
    tree(store);
    let rows = store.audit(0, 100).unwrap();
    assert_eq!(
        store.trim_audit(&actor, rows[0].at).unwrap(),
        None,
        "all is newer"
    );
    // Rows in the order of their numbers, whatever their times: what is kept is kept from the first newer one on.
    let age = "UPDATE audit SET at = 1 WHERE number <= 3";
    store.read(|session| session.execute(age, &[])).unwrap();
    let trimmed = store.trim_audit(&actor, 2).unwrap().unwrap();
    assert_eq!((trimmed.rows, &trimmed.head), (3, &rows[2].hash));
    let verified = store.verify_audit().unwrap();
    assert_eq!(
        (verified.rows, verified.trimmed, verified.broken),
        (rows.len() as u64 - 2, 3, None)
    );
    let kept = store.audit(0, 100).unwrap();
    assert_eq!(kept[0], rows[3]);
    assert_eq!(
        kept.last().map(|row| (row.action.as_str(), row.object.as_str())),
        Some(("trim", "3"))
    );
    // Taking more out by hand is found, also where the beginning is moved along.
    let run = |sql: &str, values: &[Value]| {
        let changed = store.read(|session| session.execute(sql, values));
        assert_eq!(changed.unwrap(), 1, "{sql}");
    };
    let begin = |row: &Audited| {
        let kept = [&row.number.to_be_bytes()[..], &unhex(&row.hash).unwrap()].concat();
        let sql = "UPDATE settings SET value = ?1 WHERE name = 'audit_begins'";
        run(sql, &[Value::Blob(kept)]);
    };
    for is_moved in [false, true] {
        run("UPDATE audit SET number = -4 WHERE number = 4", &[]);
        if is_moved {
            begin(&rows[3]);
        }
        assert!(store.verify_audit().unwrap().broken.is_some(), "{is_moved}");
        run("UPDATE audit SET number = 4 WHERE number = -4", &[]);
        begin(&rows[2]);
        assert_eq!(store.verify_audit().unwrap(), verified);
    }
    // Again, and down to the newest row.
    let trimmed = store.trim_audit(&actor, i64::MAX).unwrap().unwrap();
    assert_eq!(trimmed.rows, verified.rows - 1);
    let verified = store.verify_audit().unwrap();
    assert_eq!((verified.rows, verified.broken), (2, None));
}

fn the_audit_log_shows_every_change_and_every_tampering(store: &Store) {
    tree(store);
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
    let longer = "UPDATE audit SET after_json = after_json || ' ' WHERE number = 2";
    let as_before =
        "UPDATE audit SET after_json = substr(after_json, 1, length(after_json) - 1) WHERE number = 2";
    for (tamper, broken, undo) in [
        (
            "UPDATE audit SET actor = 'someone' WHERE number = 3",
            3,
            "UPDATE audit SET actor = 'local' WHERE number = 3",
        ),
        (longer, 2, as_before),
        (
            "UPDATE audit SET number = -4 WHERE number = 4",
            5,
            "UPDATE audit SET number = 4 WHERE number = -4",
        ),
        (
            "UPDATE audit SET number = 9 WHERE number = 8",
            9,
            "UPDATE audit SET number = 8 WHERE number = 9",
        ),
    ] {
        let tampered = store.read(|session| session.execute(tamper, &[])).unwrap();
        assert_eq!(tampered, 1, "{tamper}");
        assert_eq!(store.verify_audit().unwrap().broken, Some(broken), "{tamper}");
        store.read(|session| session.execute(undo, &[])).unwrap();
    }
    assert!(store.has_audited(&verified.head.to_uppercase()).unwrap());
    for none in ["", "zz", "a", "00", "' OR 1=1 --"] {
        assert!(!store.has_audited(none).unwrap(), "{none}");
    }
    assert_eq!(store.verify_audit().unwrap(), verified);
}

fn usage_is_summed_up_by_whatever_is_asked(store: &Store) {
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
        let rows = usage(store, groups).into_iter();
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
        assert!(!usage(store, &[group]).is_empty(), "{group:?}");
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

fn a_rotated_key_keeps_its_former_secret_for_a_while(store: &Store) {
    tree(store);
    let (key, _) = store.create_key(NewKey::default()).unwrap();
    let actor = Actor::local();
    let (rotated, _) = store.rotate_key_as(&actor, &key.id, None, 60_000).unwrap();
    assert_eq!(rotated.former.unwrap().0, key.hash);
    assert_eq!(store.key(&key.id).unwrap(), rotated);
    assert!(store.rotate_key_as(&actor, &key.id, None, -1).is_err());
    for hash in [key.hash, rotated.hash] {
        assert_eq!(store.key_by_hash(hash).unwrap().unwrap(), rotated);
    }
    store.revoke_key(&key.id).unwrap();
    assert_eq!(store.key(&key.id).unwrap().former, None);
    assert_eq!(store.key_by_hash(key.hash).unwrap(), None);
}

fn terms_come_back_as_they_were_given(store: &Store) {
    tree(store);
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

fn keys_are_listed_and_told_by_their_state(store: &Store) {
    let actor = Actor::local();
    let mut ids = Vec::new();
    for number in 0..6 {
        let grant = NewKey {
            name: format!("key {number}"),
            expires_at: (number == 1).then_some(1),
            ..NewKey::default()
        };
        ids.push(store.create_key(grant).unwrap().0.id);
    }
    store
        .update_key(&actor, &ids[2], None, |key| {
            key.disabled_at = Some(1);
            Ok(())
        })
        .unwrap();
    store.revoke_key(&ids[3]).unwrap();
    let page = |filter: KeyFilter, listing: Listing| {
        let (page, total) = store.keys_page(&filter, &listing).unwrap();
        let at = |key: &crate::KeyRecord| ids.iter().position(|id| *id == key.id).unwrap();
        (page.items.iter().map(at).collect::<Vec<_>>(), page.more, total)
    };
    let all = || Listing {
        limit: 10,
        ..Listing::default()
    };
    for (status, expected) in [
        (KeyStatus::Active, vec![0, 4, 5]),
        (KeyStatus::Expired, vec![1]),
        (KeyStatus::Disabled, vec![2]),
        (KeyStatus::Revoked, vec![3]),
    ] {
        let filter = KeyFilter {
            status: Some(status),
            ..KeyFilter::default()
        };
        let count = expected.len() as u64;
        assert_eq!(page(filter, all()), (expected, false, count), "{status:?}");
    }
    let listing = |after: Option<usize>, skip, newest_first| Listing {
        after: after.map(|at| ids[at].as_str().to_owned()),
        skip,
        limit: 2,
        newest_first,
    };
    let every = KeyFilter::default;
    assert_eq!(page(every(), listing(None, 0, false)), (vec![0, 1], true, 6));
    assert_eq!(page(every(), listing(Some(3), 0, false)), (vec![4, 5], false, 6));
    assert_eq!(page(every(), listing(Some(3), 1, true)), (vec![1, 0], false, 6));
    let named = KeyFilter {
        name: Some("key 4".to_owned()),
        ..KeyFilter::default()
    };
    assert_eq!(page(named, all()), (vec![4], false, 1));
    assert!(store.has_more_keys_than(5).unwrap() && !store.has_more_keys_than(6).unwrap());
}

fn a_password_is_made_once_or_anew(store: &Store) {
    use secrecy::ExposeSecret;

    let actor = Actor::local();
    assert_eq!(store.admin_password().unwrap(), None);
    store.make_admin_password(&actor, true).unwrap();
    let again = store.make_admin_password(&actor, true);
    assert!(matches!(again, Err(StoreError::Exists { .. })));
    let password = store.make_admin_password(&actor, false).unwrap();
    let hash = crate::hash_key(password.expose_secret());
    assert_eq!(store.admin_password().unwrap(), Some(hash));
}

fn every_change_is_seen_by_whoever_asks_since_the_last(store: &Store) {
    tree(store);
    let since = |change: i64| {
        let mut keys = Vec::new();
        store
            .each_key_since(change, |key| keys.push(key.id.as_str().to_owned()))
            .unwrap();
        (keys, store.holders_since(change).unwrap().len())
    };
    let seen = store.changes().unwrap();
    assert_eq!(since(seen), (vec![], 0));
    let (key, _) = store.create_key(grant(None, Some("t"), None, None)).unwrap();
    assert_eq!(since(seen), (vec![key.id.as_str().to_owned()], 0));
    let seen = store.changes().unwrap();
    store.revoke_key(&key.id).unwrap();
    store
        .delete_holder(&Actor::local(), (HolderKind::Team, "t"), None)
        .unwrap();
    assert_eq!(since(seen), (vec![key.id.as_str().to_owned()], 1));
    assert!(store.changes().unwrap() >= seen + 2);
}

fn memories_are_their_owners_and_end_when_they_say(store: &Store) {
    let memory = |owner: &str, text: &str, at: i64| crate::NewMemory {
        id: format!("mem_{owner}_{text}"),
        owner: owner.to_owned(),
        text: text.to_owned(),
        at,
        expires_at: (text == "short").then_some(at + 10),
        needs_consent: owner == "user:asked",
        most: 3,
    };
    let texts = |owner: &str, now: i64| {
        let (_, all) = store.memories(owner, now, 10).unwrap();
        all.into_iter().map(|memory| memory.text).collect::<Vec<_>>()
    };
    for (text, at) in [("a", 1), ("b", 2), ("short", 3), ("a", 4)] {
        assert!(store.remember(&memory("user:ann", text, at)).unwrap());
    }
    // What is said again is said now, nobody else sees it, and what is over is not shown.
    assert_eq!(texts("user:ann", 5), ["a", "short", "b"]);
    assert_eq!(texts("user:ann", 13), ["a", "b"]);
    assert!(texts("user:bob", 5).is_empty());
    // The oldest goes where there are too many.
    assert!(store.remember(&memory("user:ann", "c", 6)).unwrap());
    assert_eq!(texts("user:ann", 7), ["c", "a", "short"]);
    let vectors = [("mem_user:ann_c".to_owned(), vec![0.5_f32, -1.0])];
    store.note_vectors("user:bob", "m", &vectors).unwrap();
    assert_eq!(store.memories("user:ann", 7, 1).unwrap().1[0].vector, None);
    store.note_vectors("user:ann", "m", &vectors).unwrap();
    let kept = store.memories("user:ann", 7, 1).unwrap().1.remove(0);
    assert_eq!(kept.vector, Some(("m".to_owned(), vec![0.5, -1.0])));
    assert_eq!(store.sweep_memories(13).unwrap(), 1);
    assert!(!store.forget_memory("user:bob", "mem_user:ann_c").unwrap());
    assert!(store.forget_memory("user:ann", "mem_user:ann_c").unwrap());
    assert_eq!(texts("user:ann", 7), ["a"]);
    // Who is to be asked is remembered once they agree, and forgotten when they do not any more.
    assert!(!store.remember(&memory("user:asked", "a", 1)).unwrap());
    store.agree_to_memory("user:asked", true, 1).unwrap();
    assert!(store.remember(&memory("user:asked", "a", 1)).unwrap());
    assert_eq!(store.memories("user:asked", 2, 10).unwrap().0, Some(true));
    assert_eq!(store.agree_to_memory("user:asked", false, 2).unwrap(), 1);
    assert!(!store.remember(&memory("user:asked", "b", 3)).unwrap());
    // Deleted, a user is forgotten.
    let actor = Actor::local();
    let spec = HolderSpec::default();
    store
        .create_holder(&actor, HolderKind::User, Some("ann".to_owned()), spec)
        .unwrap();
    store
        .delete_holder(&actor, (HolderKind::User, "ann"), None)
        .unwrap();
    assert!(texts("user:ann", 7).is_empty());
    assert_eq!(store.forget_memories("user:ann").unwrap(), 0);
}

fn collections_are_changed_by_their_owners_alone(store: &Store) {
    let named = |id: &str, owner: &str| crate::Collection {
        id: id.to_owned(),
        owner: owner.to_owned(),
        at: 5,
        version: 0,
        name: format!("the {id}"),
        metadata: "{}".to_owned(),
        readers: "{}".to_owned(),
        files: 0,
        bytes: 0,
        passages: 0,
    };
    let file = |id: &str| crate::CollectionFile {
        id: id.to_owned(),
        at: 6,
        name: format!("{id}.md"),
        bytes: 10,
        passages: 0,
        attributes: "{}".to_owned(),
    };
    let passages = |file: &str, count: usize| -> Vec<crate::Passage> {
        let passage = |number: usize| crate::Passage {
            file: file.to_owned(),
            text: format!("{file} says {number}"),
            model: "m".to_owned(),
            vector: vec![0.5, number as f32],
        };
        (0..count).map(passage).collect()
    };
    assert!(store.make_collection(&named("a", "team:x"), 1).unwrap());
    assert!(!store.make_collection(&named("b", "team:x"), 1).unwrap());
    assert!(store.make_collection(&named("b", "team:y"), 1).unwrap());
    let put = |owner: &str, id: &str, count: usize| {
        store.put_passages((owner, "a"), &file(id), &passages(id, count), 100)
    };
    assert!(!put("team:y", "f", 2).unwrap());
    assert!(put("team:x", "f", 90).unwrap());
    // What does not fit changes nothing; what a file said before makes room for what it says now.
    assert!(matches!(put("team:x", "g", 11), Err(StoreError::Full(101))));
    assert!(put("team:x", "f", 3).unwrap() && put("team:x", "g", 97).unwrap());
    let found = store.collection("a").unwrap().unwrap();
    assert_eq!(
        (found.version, found.files, found.bytes, found.passages),
        (3, 2, 20, 100)
    );
    let all = store.passages("a").unwrap();
    assert_eq!((all.len(), &all[2]), (100, &passages("f", 3)[2]));
    assert_eq!(all[3 + 41], passages("g", 42)[41]);
    assert_eq!(store.collection_files("a").unwrap().len(), 2);
    assert!(!store.take_out("team:y", "a", "g").unwrap());
    assert!(store.take_out("team:x", "a", "g").unwrap() && !store.take_out("team:x", "a", "g").unwrap());
    let mut changed = named("a", "team:y");
    changed.readers = r#"{"everyone":true}"#.to_owned();
    assert!(!store.change_collection(&changed).unwrap());
    changed.owner = "team:x".to_owned();
    assert!(store.change_collection(&changed).unwrap());
    assert_eq!(store.collections("team:x").unwrap()[0].readers, changed.readers);
    assert!(!store.delete_collection("team:y", "a").unwrap());
    assert!(store.delete_collection("team:x", "a").unwrap());
    assert!(store.collection("a").unwrap().is_none() && store.passages("a").unwrap().is_empty());
}
