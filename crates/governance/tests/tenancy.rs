//! Holders of keys: every limit of every holder holds at once, whatever fails, whoever comes, and after a restart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Estimate, IdentifyError, KeyRing, LabelError, Labels, Limits, ModelLimits, Principal,
    Tokens, Wanted,
};
use pointsman_store::{
    Actor, Budget, BudgetWindow, Counted, HolderKind, HolderSpec, KeyId, LedgerEntry, Metadata, NewKey,
    Outcome, Quota, Store, StoreError, Terms,
};
use secrecy::ExposeSecret;

const fn nano(amount: i64) -> Money {
    Money::from_nanodollars(amount)
}

/// A store with its ring.
struct Site {
    store: Arc<Store>,
    ring: KeyRing,
}

impl Site {
    fn new() -> Self {
        Self::on(Arc::new(Store::open("sqlite::memory:").unwrap()))
    }

    fn on(store: Arc<Store>) -> Self {
        let ring = KeyRing::load(Arc::clone(&store), Limits::default()).unwrap();
        Self { store, ring }
    }

    fn holder(&self, kind: HolderKind, id: &str, spec: HolderSpec) {
        let made = self
            .store
            .create_holder(&Actor::local(), kind, Some(id.to_owned()), spec);
        made.unwrap();
    }

    fn key(&self, grant: NewKey) -> (KeyId, String) {
        let made = self
            .store
            .create_key_as(&Actor::local(), grant, Metadata::new(), None);
        let (record, secret) = made.unwrap();
        self.ring.refresh().unwrap();
        (record.id, secret.expose_secret().to_owned())
    }

    fn change(&self, kind: HolderKind, id: &str, change: impl FnOnce(&mut HolderSpec)) {
        let changed = self
            .store
            .update_holder(&Actor::local(), (kind, id), None, |spec| {
                change(spec);
                Ok::<_, StoreError>(())
            });
        changed.unwrap();
        self.ring.refresh().unwrap();
    }
}

fn terms(terms: Terms) -> HolderSpec {
    HolderSpec {
        terms,
        ..HolderSpec::default()
    }
}

fn budget(amount: i64) -> Terms {
    Terms {
        budgets: vec![Budget::of(nano(amount), BudgetWindow::Total)],
        ..Terms::default()
    }
}

fn team(id: &str) -> NewKey {
    NewKey {
        team: Some(id.into()),
        ..NewKey::default()
    }
}

fn ask(cost: i64) -> Estimate {
    Estimate {
        tokens: Tokens::prompt(cost.cast_unsigned()),
        cost: nano(cost),
    }
}

fn used(cost: i64) -> Actual {
    Actual {
        tokens: Tokens::prompt(cost.cast_unsigned()),
        cost: nano(cost),
    }
}

fn entry(id: String, who: &Principal, cost: i64) -> LedgerEntry {
    LedgerEntry {
        id: id.into(),
        at: i64::MAX / 2,
        key: who.key.clone(),
        team: who.team.clone(),
        user: who.user.clone(),
        surface: "/v1/chat/completions".to_owned(),
        model_requested: "m".to_owned(),
        provider: None,
        model: None,
        decision: None,
        outcome: Outcome::Complete,
        usage: pointsman_wire::form::Usage::default(),
        usage_estimated: false,
        cost: nano(cost),
        attempts: 1,
        streamed: false,
        status: 200,
        latency_us: 1,
        ttft_us: None,
        cache: "miss".to_owned(),
        organization: who.organization.clone(),
        project: who.project.clone(),
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}

/// An organization with two teams, each with two users, each with two keys; all with budgets, the higher the tighter
/// for what is below.
fn crowd() -> (Site, Vec<Arc<Principal>>) {
    let site = Site::new();
    site.holder(HolderKind::Organization, "o", terms(budget(90_000)));
    let mut keys = Vec::new();
    for at in 0..2 {
        let id = format!("t{at}");
        let of_o = |terms| HolderSpec {
            organization: Some("o".into()),
            terms,
            ..HolderSpec::default()
        };
        site.holder(HolderKind::Team, &id, of_o(budget(60_000)));
        for user in 0..2 {
            let user = format!("u{at}{user}");
            site.holder(HolderKind::User, &user, of_o(budget(35_000)));
            for _ in 0..2 {
                let grant = NewKey {
                    user: Some(user.as_str().into()),
                    budgets: vec![Budget::of(nano(30_000), BudgetWindow::Total)],
                    ..team(&id)
                };
                keys.push(site.key(grant).1);
            }
        }
    }
    let found = keys.iter().map(|key| site.ring.identify(key).unwrap()).collect();
    (site, found)
}

fn amount_of(kind: &str) -> i64 {
    match kind {
        "key" => 30_000,
        "user" => 35_000,
        "team" => 60_000,
        _ => 90_000,
    }
}

fn holders(who: &Principal) -> Vec<(&'static str, Option<HolderKind>, String)> {
    let text = |id: &dyn AsRef<str>| id.as_ref().to_owned();
    vec![
        ("key", None, text(who.key.as_ref().unwrap())),
        ("user", Some(HolderKind::User), text(who.user.as_ref().unwrap())),
        ("team", Some(HolderKind::Team), text(who.team.as_ref().unwrap())),
        (
            "organization",
            Some(HolderKind::Organization),
            text(who.organization.as_ref().unwrap()),
        ),
    ]
}

#[test]
fn two_hundred_and_fifty_six_threads_over_shared_holders_never_pass_any_limit_and_can_use_them_up() {
    let (site, keys) = crowd();
    let held: HashMap<_, _> = keys
        .iter()
        .flat_map(|who| holders(who))
        .map(|holder| (holder, AtomicI64::new(0)))
        .collect();
    let entries = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..256_usize {
            let (keys, held, entries) = (&keys, &held, &entries);
            scope.spawn(move || {
                for round in 0..60_usize {
                    let who = &keys[(thread + round) % keys.len()];
                    let Ok(reservation) = who.admit(ask(500), Instant::now()) else {
                        continue;
                    };
                    for holder in holders(who) {
                        let now = held[&holder].fetch_add(500, Ordering::SeqCst) + 500;
                        assert!(now <= amount_of(holder.0), "{holder:?} has {now}");
                    }
                    std::thread::yield_now();
                    let spent = [0, 90, 200][(thread + round) % 3];
                    for holder in holders(who) {
                        held[&holder].fetch_sub(500 - spent, Ordering::SeqCst);
                    }
                    if spent == 0 {
                        // Failed and cancelled requests give everything back.
                        drop(reservation);
                        continue;
                    }
                    reservation.settle(used(spent));
                    entries
                        .lock()
                        .push(entry(format!("req_{thread}_{round}"), who, spent));
                }
            });
        }
    });
    // What is left is usable until the organization has none, but for less than one request.
    let mut last = 0;
    for (at, who) in keys.iter().cycle().take(4_000).enumerate() {
        if let Ok(reservation) = who.admit(ask(100), Instant::now()) {
            reservation.settle(used(100));
            entries.lock().push(entry(format!("req_last_{at}"), who, 100));
            last = at;
        }
    }
    assert!(last < 3_900, "the organization's budget is used up before");
    let standing = &site.ring.standings(Some(HolderKind::Organization), "o")[0];
    assert!(standing.spent >= nano(90_000 * 98 / 100), "{standing:?}");
    assert!(standing.spent <= nano(90_000) && standing.reserved == Money::ZERO);
    counters_equal_the_ledger(&site, &keys, entries.into_inner());
}

fn counters_equal_the_ledger(site: &Site, keys: &[Arc<Principal>], entries: Vec<LedgerEntry>) {
    site.store.insert_ledger(&entries).unwrap();
    let restarted = Site::on(Arc::clone(&site.store));
    for (kind, holder, id) in keys.iter().flat_map(|who| holders(who)) {
        let counted = site.ring.standings(holder, &id);
        assert_eq!(counted[0].reserved, Money::ZERO, "{kind} {id}");
        let rebuilt = restarted.ring.standings(holder, &id);
        assert_eq!(counted, rebuilt, "{kind} {id}: what a restart rebuilds");
    }
}

#[test]
fn a_denial_names_the_holder_what_is_left_and_when_it_begins_anew() {
    let site = Site::new();
    let day = Budget::of(nano(1_000_000_000), BudgetWindow::Day);
    let spec = Terms {
        budgets: vec![day],
        tokens_per_minute: Some(2_000_000_000),
        ..Terms::default()
    };
    site.holder(HolderKind::Team, "research", terms(spec));
    let (_, key) = site.key(team("research"));
    let who = site.ring.identify(&key).unwrap();
    who.admit(ask(750_000_000), Instant::now())
        .unwrap()
        .settle(used(750_000_000));
    let denied = who.admit(ask(500_000_000), Instant::now()).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Budget);
    for part in [
        "team \"research\" is $1",
        "$0.75 is spent",
        "$0.25 is left",
        "begins anew at 2",
    ] {
        assert!(denied.message.contains(part), "{part}: {}", denied.message);
    }
    assert!(denied.retry_after.unwrap() <= Duration::from_secs(24 * 3_600));
    let tokens = Estimate {
        tokens: Tokens::prompt(1_500_000_000),
        cost: Money::ZERO,
    };
    let denied = who.admit(tokens, Instant::now()).unwrap_err();
    assert_eq!(denied.kind, DenialKind::TokensPerMinute);
    assert!(
        denied.message.contains("1250000000 are left"),
        "{}",
        denied.message
    );
}

#[test]
fn what_one_holder_denies_is_reserved_at_no_other() {
    let site = Site::new();
    let one = Terms {
        concurrency: Some(1),
        ..Terms::default()
    };
    site.holder(HolderKind::Organization, "o", terms(one));
    let grant = || NewKey {
        organization: Some("o".into()),
        budgets: vec![Budget::of(nano(100), BudgetWindow::Total)],
        tokens_per_minute: Some(1_000),
        ..NewKey::default()
    };
    let (first, second) = (site.key(grant()), site.key(grant()));
    let [a, b] = [&first.1, &second.1].map(|key| site.ring.identify(key).unwrap());
    let held = a.admit(ask(60), Instant::now()).unwrap();
    for _ in 0..50 {
        let denied = b.admit(ask(60), Instant::now()).unwrap_err();
        assert_eq!(denied.kind, DenialKind::Concurrency);
        assert!(
            denied.message.contains("organization \"o\""),
            "{}",
            denied.message
        );
    }
    // False exceedance from leaked reservations: there is none to leak.
    assert_eq!(
        site.ring.standings(None, second.0.as_str())[0].reserved,
        Money::ZERO
    );
    drop(held);
    b.admit(ask(100), Instant::now()).unwrap().settle(used(100));
}

#[test]
fn allow_lists_only_ever_narrow() {
    let site = Site::new();
    let list = |models: &[&str], providers: &[&str]| Terms {
        models: models.iter().map(|&model| model.to_owned()).collect(),
        providers: providers.iter().map(|&provider| provider.to_owned()).collect(),
        ..Terms::default()
    };
    site.holder(
        HolderKind::Organization,
        "o",
        terms(list(&["gpt-*", "claude-*"], &["openai", "azure"])),
    );
    let of_o = HolderSpec {
        organization: Some("o".into()),
        ..terms(list(&["gpt-*", "gemini-*"], &[]))
    };
    site.holder(HolderKind::Team, "t", of_o);
    let (_, key) = site.key(NewKey {
        models: vec!["*".to_owned()],
        providers: vec!["openai".to_owned(), "anthropic".to_owned()],
        ..team("t")
    });
    let who = site.ring.identify(&key).unwrap();
    assert_eq!(who.organization, Some("o".into()), "the team's");
    for (model, allowed) in [
        ("gpt-5", true),
        ("claude-5", false),
        ("gemini-3", false),
        ("other", false),
    ] {
        assert_eq!(who.allows_model(model), allowed, "{model}");
    }
    for (provider, allowed) in [("openai", true), ("azure", false), ("anthropic", false)] {
        assert_eq!(who.allows_provider(provider), allowed, "{provider}");
    }
    // What is taken from the organization is taken from the key.
    site.change(HolderKind::Organization, "o", |spec| {
        spec.terms.models = vec!["claude-*".to_owned()];
    });
    assert!(!site.ring.identify(&key).unwrap().allows_model("gpt-5"));
}

#[test]
fn keys_of_a_disabled_or_deleted_holder_are_closed() {
    let site = Site::new();
    site.holder(HolderKind::Organization, "o", HolderSpec::default());
    let of_o = || HolderSpec {
        organization: Some("o".into()),
        ..HolderSpec::default()
    };
    site.holder(HolderKind::Team, "t", of_o());
    site.holder(
        HolderKind::Project,
        "p",
        HolderSpec {
            team: Some("t".into()),
            ..of_o()
        },
    );
    site.holder(HolderKind::User, "u", of_o());
    let (_, key) = site.key(NewKey {
        project: Some("p".into()),
        user: Some("u".into()),
        ..NewKey::default()
    });
    let (_, other) = site.key(NewKey::default());
    for (kind, id) in [
        (HolderKind::User, "u"),
        (HolderKind::Project, "p"),
        (HolderKind::Team, "t"),
        (HolderKind::Organization, "o"),
    ] {
        site.change(kind, id, |spec| spec.disabled = true);
        assert_eq!(site.ring.identify(&key).unwrap_err(), IdentifyError::Closed(kind));
        site.change(kind, id, |spec| spec.disabled = false);
        site.ring.identify(&key).unwrap();
    }
    site.store
        .delete_holder(&Actor::local(), (HolderKind::Team, "t"), None)
        .unwrap();
    site.ring.refresh().unwrap();
    let closed = IdentifyError::Closed(HolderKind::Team);
    assert_eq!(
        site.ring.identify(&key).unwrap_err(),
        closed,
        "a deleted team's keys"
    );
    site.ring.identify(&other).unwrap();
    // Also after a restart.
    let again = Site::on(Arc::clone(&site.store));
    assert_eq!(again.ring.identify(&key).unwrap_err(), closed);
}

#[test]
fn a_rotated_key_is_good_for_its_grace_and_not_longer() {
    let site = Site::new();
    let (id, old) = site.key(NewKey::default());
    let rotate = |grace| {
        let rotated = site
            .store
            .rotate_key_as(&Actor::local(), &id, None, grace)
            .unwrap();
        site.ring.refresh().unwrap();
        rotated.1.expose_secret().to_owned()
    };
    let new = rotate(300);
    let [first, second] = [&old, &new].map(|key| site.ring.identify(key).unwrap());
    assert_eq!(first.key, second.key);
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(site.ring.identify(&old).unwrap_err(), IdentifyError::Unknown);
    let newest = rotate(0);
    assert_eq!(site.ring.identify(&new).unwrap_err(), IdentifyError::Unknown);
    site.ring.identify(&newest).unwrap();
}

#[test]
fn a_key_is_disabled_and_enabled_again() {
    let site = Site::new();
    let (id, key) = site.key(NewKey::default());
    for (at, expected) in [(Some(1), Some(IdentifyError::Disabled)), (None, None)] {
        let changed = site.store.update_key(&Actor::local(), &id, None, |key| {
            key.disabled_at = at;
            Ok(())
        });
        changed.unwrap();
        site.ring.refresh().unwrap();
        assert_eq!(site.ring.identify(&key).err(), expected);
    }
}

#[test]
fn a_key_that_expires_within_a_long_stream_is_charged_for_it() {
    let site = Site::new();
    site.holder(HolderKind::User, "u", terms(budget(1_000)));
    let soon = pointsman_store_now() + 200;
    let (_, key) = site.key(NewKey {
        user: Some("u".into()),
        expires_at: Some(soon),
        ..NewKey::default()
    });
    let stream = site
        .ring
        .identify(&key)
        .unwrap()
        .admit(ask(100), Instant::now())
        .unwrap();
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(site.ring.identify(&key).unwrap_err(), IdentifyError::Expired);
    stream.settle(used(70));
    let standing = &site.ring.standings(Some(HolderKind::User), "u")[0];
    assert_eq!((standing.spent, standing.reserved), (nano(70), Money::ZERO));
}

fn pointsman_store_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis() as i64
}

#[test]
fn a_plan_holds_for_each_of_its_keys_alone() {
    let site = Site::new();
    site.holder(HolderKind::Plan, "small", terms(budget(100)));
    let grant = || NewKey {
        plan: Some("small".into()),
        ..NewKey::default()
    };
    let keys = [site.key(grant()).1, site.key(grant()).1];
    for key in &keys {
        let who = site.ring.identify(key).unwrap();
        who.admit(ask(100), Instant::now()).unwrap().settle(used(100));
        assert!(who.admit(ask(1), Instant::now()).is_err());
    }
    // A plan that grows lets its keys go on, and what they spent stays spent.
    site.change(HolderKind::Plan, "small", |spec| spec.terms = budget(150));
    let who = site.ring.identify(&keys[0]).unwrap();
    assert!(who.admit(ask(51), Instant::now()).is_err());
    who.admit(ask(50), Instant::now()).unwrap();
    let gone = site
        .store
        .delete_holder(&Actor::local(), (HolderKind::Plan, "small"), None);
    assert!(matches!(gone, Err(StoreError::InUse(_))));
}

#[test]
fn changes_by_another_process_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/p.db", folder.path().display());
    let site = Site::on(Arc::new(Store::open(&url).unwrap()));
    let other = Store::open(&url).unwrap();
    let (record, secret) = other.create_key(team("t")).unwrap();
    let secret = secret.expose_secret();
    assert!(site.ring.identify(secret).is_err());
    site.ring.refresh().unwrap();
    let who = site.ring.identify(secret).unwrap();
    let held = who.admit(ask(5), Instant::now()).unwrap();
    // A budget that comes while a request is under way counts what that will have cost.
    let changed = other.update_holder(&Actor::local(), (HolderKind::Team, "t"), None, |spec| {
        spec.terms = budget(10);
        Ok(())
    });
    changed.unwrap();
    site.ring.refresh().unwrap();
    let who = site.ring.identify(secret).unwrap();
    let beside = who.admit(ask(10), Instant::now()).unwrap();
    held.settle(used(3));
    assert_eq!(
        who.admit(ask(1), Instant::now()).unwrap_err().kind,
        DenialKind::Budget
    );
    drop(beside);
    who.admit(ask(7), Instant::now()).unwrap();
    assert!(who.admit(ask(8), Instant::now()).is_err());
    other.revoke_key(&record.id).unwrap();
    site.ring.refresh().unwrap();
    assert_eq!(site.ring.identify(secret).unwrap_err(), IdentifyError::Revoked);
}

#[test]
fn several_budgets_hold_at_once_and_soft_ones_only_tell() {
    let site = Site::new();
    let soft = Budget {
        amount: None,
        soft: Some(nano(10)),
        ..Budget::of(nano(0), BudgetWindow::Week)
    };
    let (id, key) = site.key(NewKey {
        budgets: vec![
            Budget::of(nano(100), BudgetWindow::Total),
            Budget::of(nano(40), BudgetWindow::Month),
            soft,
        ],
        ..NewKey::default()
    });
    let who = site.ring.identify(&key).unwrap();
    assert_eq!(site.ring.past_soft()[0], ("key", 0));
    who.admit(ask(30), Instant::now()).unwrap().settle(used(30));
    assert_eq!(site.ring.past_soft()[0], ("key", 1));
    assert!(who.admit(ask(11), Instant::now()).is_err());
    let standings = site.ring.standings(None, id.as_str());
    assert!(standings.iter().all(|standing| standing.spent == nano(30)));
    assert_eq!(
        standings
            .iter()
            .filter(|standing| standing.ends.is_none())
            .count(),
        1
    );
}

/// How long a comparison takes would tell how much of a key is right, if keys were compared. They are not: of a key there
/// is its digest alone, and keys that are nearly right have others.
#[test]
fn timing_of_key_comparison_keys_are_compared_by_their_digests_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pointsman.db");
    let site = Site::on(Arc::new(
        Store::open(&format!("sqlite://{}", file.display())).unwrap(),
    ));
    let (_, secret) = site.key(NewKey::default());
    assert!(site.ring.identify(&secret).is_ok());
    for length in 0..secret.len() {
        let part = &secret[..length];
        assert!(
            site.ring.identify(part).is_err(),
            "{length} letters of it are right"
        );
        let mut near = secret.clone().into_bytes();
        near[length] ^= 1;
        let near = String::from_utf8(near).unwrap();
        assert!(
            site.ring.identify(&near).is_err(),
            "all of it but letter {length} are right"
        );
    }
    // Nothing that could be compared letter by letter lies anywhere.
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(kept.len() > 1_000);
    let body = secret.trim_start_matches("pm-").as_bytes();
    for part in body.windows(12) {
        assert!(!kept.windows(part.len()).any(|known| known == part));
    }
    let digest = pointsman_store::hash_key(&secret);
    assert!(
        kept.windows(digest.len()).any(|known| known == digest),
        "its digest is what is kept"
    );
}

fn named(name: &str, organization: Option<&str>, amount: i64) -> HolderSpec {
    HolderSpec {
        name: name.to_owned(),
        organization: organization.map(Into::into),
        ..terms(budget(amount))
    }
}

fn labels(customer: &str, tags: &[&str]) -> Labels {
    Labels {
        customer: Some(customer.into()),
        agent: None,
        tags: tags.iter().map(|tag| Box::from(*tag)).collect(),
    }
}

/// Whoever asks, naming something; what it has spent is looked up where it has to be.
fn naming(ring: &KeyRing, who: &Principal, labels: &Labels) -> Principal {
    for _ in 0..8 {
        match ring.naming(who, labels.clone()) {
            Ok(named) => return named,
            Err(LabelError::Unread { kind, id }) => ring.look_up(&Wanted::Label(kind, id)).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it is looked up again and again");
}

#[test]
fn what_a_request_names_is_charged_with_its_key_or_nobody_is() {
    let site = Site::new();
    site.holder(HolderKind::Organization, "acme", terms(budget(1_000)));
    site.holder(HolderKind::Organization, "other", HolderSpec::default());
    // Of one name: of this organization, of another, and of nobody.
    site.holder(HolderKind::Customer, "own", named("alice", Some("acme"), 100));
    site.holder(HolderKind::Customer, "theirs", named("alice", Some("other"), 1));
    site.holder(HolderKind::Customer, "all", named("alice", None, 150));
    site.holder(HolderKind::Tag, "blue", named("blue", None, 60));
    let (_, secret) = site.key(NewKey {
        organization: Some("acme".into()),
        ..NewKey::default()
    });
    let who = site.ring.identify(&secret).unwrap();
    let alice = naming(&site.ring, &who, &labels("alice", &["blue", "unknown"]));
    let now = Instant::now();
    // By headers first and then by the body: counted once, or it would wait for itself.
    let twice = naming(&site.ring, &alice, &labels("alice", &["blue"]));
    drop(twice.admit(ask(60), now).unwrap());
    alice.admit(ask(60), now).unwrap().settle(used(50));
    // The tag has no room for as much again: so nothing is taken from the customer either.
    let denied = alice.admit(ask(11), now).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Budget);
    assert!(denied.message.contains("tag \"blue\""), "{}", denied.message);
    let untagged = naming(&site.ring, &who, &labels("alice", &[]));
    untagged.admit(ask(50), now).unwrap().settle(used(50));
    let denied = untagged.admit(ask(1), now).unwrap_err();
    assert!(
        denied.message.contains("customer \"alice\""),
        "{}",
        denied.message
    );
    // Another customer, and none, go on.
    for other in [&naming(&site.ring, &who, &labels("bob", &[])), &*who] {
        other.admit(ask(10), now).unwrap().settle(used(10));
    }
    let spent = |kind, id: &str| site.ring.standings(Some(kind), id)[0].spent;
    for (kind, id, expected) in [
        (HolderKind::Customer, "own", 100),
        (HolderKind::Customer, "theirs", 0),
        (HolderKind::Customer, "all", 100),
        (HolderKind::Tag, "blue", 50),
        (HolderKind::Organization, "acme", 120),
    ] {
        assert_eq!(spent(kind, id), nano(expected), "{kind:?} {id}");
    }
    site.change(HolderKind::Customer, "own", |spec| spec.disabled = true);
    let refused = site.ring.naming(&who, labels("alice", &[])).unwrap_err();
    assert!(matches!(refused, LabelError::Closed { .. }), "{refused}");
    site.store
        .delete_holder(&Actor::local(), (HolderKind::Customer, "own"), None)
        .unwrap();
    site.ring.refresh().unwrap();
    site.ring.naming(&who, labels("alice", &[])).unwrap();
}

#[test]
fn what_was_spent_on_what_is_named_is_known_after_a_restart_and_its_name_stays() {
    let site = Site::new();
    let (_, secret) = site.key(NewKey::default());
    site.holder(HolderKind::Customer, "c", named("alice", None, 100));
    site.holder(HolderKind::Tag, "t", named("blue", None, 70));
    let who = site.ring.identify(&secret).unwrap();
    let entries =
        [(40, vec!["blue"]), (25, vec!["red", "blue"]), (9, vec!["bluer"])].map(|(cost, tags)| LedgerEntry {
            customer: Some("alice".to_owned()),
            tags: tags.into_iter().map(str::to_owned).collect(),
            ..entry(format!("req_{cost}"), &who, cost)
        });
    site.store.insert_ledger(&entries).unwrap();
    let site = Site::on(site.store);
    let who = site.ring.identify(&secret).unwrap();
    // Nobody is let through before it is known what was spent.
    let unread = site.ring.naming(&who, labels("alice", &[])).unwrap_err();
    assert!(matches!(unread, LabelError::Unread { .. }), "{unread}");
    let alice = naming(&site.ring, &who, &labels("alice", &["blue"]));
    let now = Instant::now();
    assert!(alice.admit(ask(6), now).is_err());
    drop(alice.admit(ask(5), now).unwrap());
    let renamed = site
        .store
        .update_holder(&Actor::local(), (HolderKind::Tag, "t"), None, |spec| {
            spec.name = "red".to_owned();
            Ok::<_, StoreError>(())
        });
    assert!(matches!(renamed, Err(StoreError::Invalid(_))));
    let again = site
        .store
        .create_holder(&Actor::local(), HolderKind::Tag, None, named("blue", None, 1));
    assert!(matches!(again, Err(StoreError::Exists { .. })));
}

#[test]
fn crowds_that_name_the_same_in_any_order_never_wait_for_each_other() {
    let site = Site::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        site.holder(HolderKind::Tag, name, named(name, None, 2_000));
    }
    let keys: Vec<_> = (0..4).map(|_| site.key(NewKey::default()).1).collect();
    std::thread::scope(|scope| {
        for (at, secret) in keys.iter().enumerate() {
            let ring = &site.ring;
            scope.spawn(move || {
                let who = ring.identify(secret).unwrap();
                for round in 0..500 {
                    let mut tags: Vec<_> = names.to_vec();
                    tags.rotate_left((at + round) % 4);
                    // What is named twice counts once.
                    tags.push(tags[0]);
                    let who = naming(ring, &who, &labels("nobody", &tags));
                    who.admit(ask(1), Instant::now()).unwrap().settle(used(1));
                }
            });
        }
    });
    for name in names {
        let spent = site.ring.standings(Some(HolderKind::Tag), name)[0].spent;
        assert_eq!(spent, nano(2_000));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
fn what_the_ledger_knows_of_models_and_tokens_is_known_after_a_restart() {
    let site = Site::new();
    let models = vec!["gpt-*".to_owned()];
    let spec = terms(Terms {
        budgets: vec![Budget {
            models: models.clone(),
            ..Budget::of(nano(100), BudgetWindow::Total)
        }],
        quotas: vec![
            Quota {
                of: Counted::OutputTokens,
                amount: 50,
                window: BudgetWindow::Total,
                zone: None,
                models: Vec::new(),
                providers: Vec::new(),
                cel: None,
                unit: None,
            },
            Quota {
                of: Counted::Requests,
                amount: 3,
                window: BudgetWindow::Total,
                zone: None,
                models,
                providers: Vec::new(),
                cel: None,
                unit: None,
            },
        ],
        ..Terms::default()
    });
    site.holder(HolderKind::Team, "t", spec);
    let (_, secret) = site.key(team("t"));
    let who = site.ring.identify(&secret).unwrap();
    let entries = [
        ("gpt-5", 40, Outcome::Complete),
        ("claude", 500, Outcome::Complete),
        ("gpt-6", 0, Outcome::Cached),
    ];
    let entries = entries.map(|(model, cost, outcome)| LedgerEntry {
        model_requested: model.to_owned(),
        outcome,
        usage: pointsman_wire::form::Usage {
            input: 7,
            output: 20,
            ..Default::default()
        },
        ..entry(format!("req_{model}"), &who, cost)
    });
    site.store.insert_ledger(&entries).unwrap();
    let site = Site::on(site.store);
    let who = site.ring.identify(&secret).unwrap();
    let asks = |model: &str, output: u64, cost: i64| {
        let who = who.asking(model, &ModelLimits::default()).unwrap();
        let estimate = Estimate {
            tokens: Tokens { input: 0, output },
            cost: nano(cost),
        };
        who.admit(estimate, Instant::now())
    };
    assert!(
        asks("gpt-5", 0, 61).is_err(),
        "40 of 100 are spent, and what was asked of another model is no matter"
    );
    assert!(
        asks("claude", 11, 0).is_err(),
        "40 of 50: a remembered answer has used none"
    );
    drop(asks("claude", 10, 700).unwrap());
    drop(asks("gpt-5", 10, 60).unwrap());
    // Two requests stood in the ledger, and one came.
    let denied = asks("gpt-5", 0, 0).unwrap_err();
    assert_eq!(denied.kind, DenialKind::Quota);
    let stood = site.ring.stood(Some(HolderKind::Team), "t");
    assert_eq!(stood.iter().map(|stood| stood.used).collect::<Vec<_>>(), [40, 3]);
}
