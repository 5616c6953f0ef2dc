//! What a report reads, and that it says what the ledger does, in either engine.

use pointsman_catalog::Money;
use pointsman_wire::form::Usage;

use super::*;
use crate::ledger::{LedgerEntry, Outcome};
use crate::sqlite;
use crate::store::{Store, UsageFilter, UsageRow};
use crate::{Actor, HolderKind, HolderSpec};

/// Milliseconds at which a day of 2026 begins.
fn at(month: i8, day: i8) -> i64 {
    begin_of(jiff::civil::date(2026, month, day))
}

/// The tables that a report reads, in the order of time; with a minus those whose rows are taken away.
fn tables(since: i64, until: Option<i64>, counted: i64, groups: &[UsageGroup]) -> String {
    let filter = LedgerFilter {
        since,
        of: UsageFilter {
            until,
            ..UsageFilter::default()
        },
        ..LedgerFilter::default()
    };
    let found = report(
        &filter,
        groups,
        counted,
        &sqlite::DIALECT,
        &mut Conditions::default(),
    );
    let table = |part: &str| {
        let mut froms = part.split(" FROM ").skip(1);
        let from = froms.find(|from| !from.starts_with('(')).unwrap();
        let sign = if part.contains("-requests AS") { "-" } else { "" };
        format!("{sign}{}", from.split([' ', ')']).next().unwrap())
    };
    let tables: Vec<_> = found.table.split(" UNION ALL ").map(table).collect();
    assert!(found.takes_away || !tables.iter().any(|table| table.starts_with('-')));
    tables.join(" ").replace("usage_by_", "").replace("usage_of_", "")
}

#[test]
fn a_report_reads_the_fewest_rows_that_know_what_is_asked() {
    use UsageGroup::{Customer, Day, Key, Model, Provider, Tag, Team, User};
    let october = |groups: &[UsageGroup]| tables(at(10, 1), Some(at(11, 1)), i64::MAX, groups);
    assert_eq!(october(&[Team, Model]), "team_month");
    assert_eq!(october(&[Provider]), "team_month");
    assert_eq!(october(&[User]), "key_month");
    assert_eq!(october(&[Key]), "key_month");
    assert_eq!(october(&[Customer]), "customer_month team_month");
    assert_eq!(october(&[Tag, Model]), "tag_month team_month");
    assert_eq!(october(&[Tag, User]), "ledger");
    assert_eq!(october(&[Day]), "team_day");
    assert_eq!(october(&[Day, Key]), "key_day");
    assert_eq!(tables(0, None, i64::MAX, &[]), "team_month");
}

#[test]
fn what_is_left_at_the_ends_is_read_from_shorter_stretches() {
    use UsageGroup::{Customer, Key};
    let (noon, all) = (DAY / 2, i64::MAX);
    let long = (at(9, 20) + noon, Some(at(11, 5) + noon));
    let ends = "ledger key_day key_month key_day ledger";
    assert_eq!(tables(long.0, long.1, all, &[Key]), ends);
    assert_eq!(
        tables(long.0, long.1, all, &[Customer]),
        "ledger customer_month team_month ledger"
    );
    assert_eq!(tables(at(9, 20), None, all, &[Key]), "key_day key_month");
    assert_eq!(tables(at(9, 20), Some(at(9, 22)), all, &[Key]), "key_day");
    assert_eq!(tables(at(9, 20), Some(at(9, 20) + noon), all, &[Key]), "ledger");
    assert_eq!(
        tables(5, Some(5), all, &[Key]),
        "ledger",
        "nothing is still a question"
    );
    assert_eq!(
        tables(-5, Some(i64::MAX - 1), all, &[]),
        "ledger team_month ledger"
    );
}

#[test]
fn most_of_a_month_is_the_month_without_the_rest() {
    use UsageGroup::{Customer, Day, Key};
    let (noon, all) = (DAY / 2, i64::MAX);
    let october = |from: i64, until: i64, groups: &[UsageGroup]| tables(from, Some(until), all, groups);
    let within = "key_month -ledger -ledger";
    assert_eq!(october(at(10, 1) + noon, at(10, 31) + noon, &[Key]), within);
    assert_eq!(october(at(10, 3), at(11, 1), &[Key]), "key_month -key_day");
    assert_eq!(october(at(10, 1), at(10, 30), &[Key]), "key_month -key_day");
    assert_eq!(october(at(10, 10), at(10, 20), &[Key]), "key_day");
    assert_eq!(
        october(at(9, 5), at(11, 28) - noon, &[Key]),
        "key_month -key_day -ledger -key_day"
    );
    assert_eq!(tables(at(10, 3), None, all, &[Key]), "key_month -key_day");
    // Of a month that is not over, as far as it is counted.
    let counted = |from, until| tables(from, until, at(10, 9) + noon, &[Key]);
    assert_eq!(counted(at(10, 2), None), "key_month ledger -key_day");
    assert_eq!(counted(at(9, 2), Some(at(10, 8))), "key_month -key_day -key_day");
    // Nothing else knows what was dropped from the ledger.
    let inner = (at(10, 1) + noon, at(11, 1));
    assert_eq!(october(inner.0, inner.1, &[Customer]), "ledger");
    assert_eq!(october(inner.0, inner.1, &[Day, Key]), "ledger key_day");
}

#[test]
fn what_is_not_counted_yet_is_read_from_the_ledger() {
    let (key, noon) = (&[UsageGroup::Key], DAY / 2);
    // The month that has begun, as far as it is counted.
    assert_eq!(tables(at(10, 1), None, at(10, 9) + noon, key), "key_month ledger");
    assert_eq!(
        tables(at(10, 8), Some(at(10, 10)), at(10, 9) + noon, key),
        "key_day ledger"
    );
    assert_eq!(
        tables(at(10, 8), Some(at(10, 9)), at(10, 9) + noon, key),
        "key_day"
    );
    assert_eq!(tables(at(10, 1), Some(at(11, 1)), at(10, 1), key), "ledger");
    assert_eq!(tables(0, None, 0, key), "ledger");
}

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

/// Entries of two months and a little, at any time of the day, of everybody and nobody.
pub(crate) fn entries() -> Vec<LedgerEntry> {
    let name = |kind: &str, number: i64| (number % 3 != 0).then(|| format!("{kind}{}", number % 3));
    let entry = |n: i64| LedgerEntry {
        key: name("k", n).map(Into::into),
        user: name("u", n / 3).map(Into::into),
        project: name("p", n / 5).map(Into::into),
        team: name("t", n / 7).map(Into::into),
        organization: name("o", n / 11).map(Into::into),
        model: name("m", n / 2),
        provider: name("v", n / 13),
        customer: name("c", n / 17),
        agent: name("a", n / 19),
        tags: [name("one", n), name("it's \"two\"", n / 2)]
            .into_iter()
            .flatten()
            .collect(),
        outcome: match n % 4 {
            0 => Outcome::Refused,
            1 => Outcome::Cached,
            _ => Outcome::Complete,
        },
        saved: Money::from_nanodollars(if n % 4 == 1 { 3 * n } else { 0 }),
        ..entry(&format!("req_{n}"), n * 5_700_000 + 7, n)
    };
    (0..1_000).map(entry).collect()
}

const LABELS: [(HolderKind, &str, &str, Option<&str>); 4] = [
    (HolderKind::Customer, "all", "c1", None),
    (HolderKind::Customer, "own", "c1", Some("o1")),
    (HolderKind::Agent, "agent", "a2", Some("o2")),
    (HolderKind::Tag, "tag", "it's \"two\"2", None),
];

/// Makes the holders that are named by what the entries bear.
pub(crate) fn make_labels(store: &Store) {
    let make = |kind, id: &str, spec| {
        let made = store.create_holder(&Actor::local(), kind, Some(id.to_owned()), spec);
        made.unwrap();
    };
    for organization in ["o1", "o2"] {
        make(HolderKind::Organization, organization, HolderSpec::default());
    }
    for (kind, id, name, organization) in LABELS {
        let spec = HolderSpec {
            name: name.to_owned(),
            organization: organization.map(Into::into),
            ..HolderSpec::default()
        };
        make(kind, id, spec);
    }
}

fn filters() -> Vec<LedgerFilter> {
    let narrowed: [fn(&mut UsageFilter); 13] = [
        |_| {},
        |of| of.team = Some("t1".to_owned()),
        |of| of.organization = Some("o2".to_owned()),
        |of| of.user = Some("u1".to_owned()),
        |of| of.project = Some("p2".to_owned()),
        |of| (of.model, of.provider) = (Some("m1".to_owned()), Some("v2".to_owned())),
        |of| of.outcome = Some(Outcome::Refused),
        |of| of.customer = Some("c1".to_owned()),
        |of| of.agent = Some("a2".to_owned()),
        |of| of.tag = Some("it's \"two\"1".to_owned()),
        |of| (of.customer, of.team) = (Some("c2".to_owned()), Some("t2".to_owned())),
        |of| (of.customer, of.tag) = (Some("c1".to_owned()), Some("one1".to_owned())),
        |of| of.request = Some("req_234".to_owned()),
    ];
    let mut all: Vec<_> = narrowed
        .iter()
        .map(|narrow| {
            let mut filter = LedgerFilter::default();
            narrow(&mut filter.of);
            filter
        })
        .collect();
    all.push(LedgerFilter {
        key: Some("k1".into()),
        ..LedgerFilter::default()
    });
    all
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

/// Both must have [`entries`] and [`make_labels`]; the other one reads all from its ledger.
pub(crate) fn reports_are_the_same(store: &Store, reference: &Store) {
    use UsageGroup::{Agent, Customer, Day, Key, Model, Provider, Tag, Team};
    for (kind, id, ..) in LABELS {
        assert!(
            store.spent_by(kind, id, 0).unwrap() > Money::ZERO,
            "{kind:?} {id}"
        );
    }
    let (february, march) = (31 * DAY, 59 * DAY);
    let several: [&[UsageGroup]; 7] = [
        &[],
        &[Team, Model],
        &[Day, Key],
        &[Tag, Model, Provider],
        &[Customer, Team],
        &[Customer, Agent],
        &UsageGroup::ALL,
    ];
    for filter in filters() {
        for (since, until) in [
            (0, None),
            (DAY / 2 + 3, None),
            (DAY / 2 + 3, Some(61 * DAY + 12_345)),
            (3 * DAY, Some(5 * DAY)),
            (2 * DAY + 1, Some(29 * DAY + 7)),
            (9 * DAY + 1, Some(march + 25 * DAY)),
            (february, Some(march)),
            (5, Some(9)),
        ] {
            let mut filter = filter.clone();
            (filter.since, filter.of.until) = (since, until);
            for groups in UsageGroup::ALL.iter().map(std::slice::from_ref).chain(several) {
                assert_eq!(
                    usage(store, &filter, groups),
                    usage(reference, &filter, groups),
                    "{filter:?} by {groups:?}"
                );
            }
        }
    }
    for since in [0, 1, DAY - 1, DAY, DAY + 1, february, march - 1, 60 * DAY + 77] {
        for (kind, id) in [
            (HolderKind::Team, "t1"),
            (HolderKind::Organization, "o1"),
            (HolderKind::User, "u2"),
            (HolderKind::Project, "p1"),
            (HolderKind::Customer, "all"),
            (HolderKind::Customer, "own"),
            (HolderKind::Agent, "agent"),
            (HolderKind::Tag, "tag"),
        ] {
            let spent = |store: &Store| store.spent_by(kind, id, since).unwrap();
            assert_eq!(spent(store), spent(reference), "{kind:?} since {since}");
        }
        let spent = |store: &Store| store.spent(&"k2".into(), since).unwrap();
        assert_eq!(spent(store), spent(reference));
    }
}

fn is_counted(store: &Store) -> i64 {
    store.read(sqlite::counted).unwrap()
}

#[test]
fn reports_of_sqlite_are_what_its_ledger_says_however_much_is_counted() {
    let open = || Store::open("sqlite::memory:").unwrap();
    let (store, reference, entries) = (open(), open(), entries());
    reference.insert_ledger(&entries).unwrap();
    make_labels(&reference);
    make_labels(&store);
    // A third that is counted when it comes, because its time has been counted; and all of it comes twice.
    let (soon, late): (Vec<_>, Vec<_>) = entries
        .iter()
        .cloned()
        .enumerate()
        .partition(|(at, _)| at % 3 != 1);
    let all = |them: Vec<(usize, LedgerEntry)>| them.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>();
    store.insert_ledger(&all(soon)).unwrap();
    // In the midst of a day and a month.
    while store.local.count_until(entries[667].at + 600_000).unwrap() {}
    assert_eq!(is_counted(&store), entries[667].at);
    store.insert_ledger(&all(late)).unwrap();
    store.insert_ledger(&entries).unwrap();
    reports_are_the_same(&store, &reference);
    while store.tend(None).unwrap() {}
    assert!(is_counted(&store) > entries[999].at);
    reports_are_the_same(&store, &reference);
    // It reads the sums, indeed.
    let none = "DELETE FROM ledger";
    store.read(|session| session.execute(none, &[])).unwrap();
    let whole = |store: &Store| usage(store, &LedgerFilter::default(), &[UsageGroup::Customer]);
    assert_eq!(whole(&store), whole(&reference));
}

#[test]
fn what_cannot_be_summed_up_keeps_nothing_out_of_the_ledger() {
    let store = Store::open("sqlite::memory:").unwrap();
    store.insert_ledger(&[entry("req_1", 1, i64::MAX)]).unwrap();
    assert!(!store.tend(None).unwrap());
    let before = is_counted(&store);
    assert!(before > 1);
    store.insert_ledger(&[entry("req_2", 2, i64::MAX)]).unwrap();
    assert_eq!(is_counted(&store), 0, "all is counted anew");
    let page = LedgerFilter {
        limit: 9,
        ..LedgerFilter::default()
    };
    assert_eq!(store.ledger(&page).unwrap().len(), 2);
}
