//! What holders may use at some providers alone: set aside together with what the provider itself allows, all or none,
//! never passed by concurrency, given back on every way out, and found again in the ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Estimate, Gate, Gates, KeyRing, Limits, ModelLimits, Principal, ProviderLimits,
    Reservation, Sent, Tokens,
};
use pointsman_store::{
    Actor, Budget, BudgetWindow, Counted, HolderKind, HolderSpec, LedgerEntry, Metadata, NewKey, Outcome,
    Quota, Store, Terms,
};
use pointsman_wire::form::Usage;
use secrecy::ExposeSecret;

fn nano(amount: i64) -> Money {
    Money::from_nanodollars(amount)
}

fn budget(amount: i64, window: BudgetWindow, providers: &[&str]) -> Budget {
    Budget {
        providers: providers.iter().map(|name| (*name).to_owned()).collect(),
        ..Budget::of(nano(amount), window)
    }
}

fn quota(of: Counted, amount: u64, providers: &[&str]) -> Quota {
    Quota {
        providers: providers.iter().map(|name| (*name).to_owned()).collect(),
        ..Quota::of(of, amount, BudgetWindow::Sliding(3_600))
    }
}

/// A key of a team with these budgets, that has these quotas.
fn made(team: Vec<Budget>, quotas: Vec<Quota>) -> (Arc<Store>, String) {
    let store = Arc::new(Store::open("sqlite::memory:").unwrap());
    let actor = Actor::local();
    let spec = HolderSpec {
        terms: Terms {
            budgets: team,
            ..Terms::default()
        },
        ..HolderSpec::default()
    };
    store
        .create_holder(&actor, HolderKind::Team, Some("t".to_owned()), spec)
        .unwrap();
    let grant = NewKey {
        team: Some("t".into()),
        quotas,
        ..NewKey::default()
    };
    let made = store.create_key_as(&actor, grant, Metadata::new(), None).unwrap();
    (store, made.1.expose_secret().to_owned())
}

fn principal(store: &Arc<Store>, secret: &str) -> (KeyRing, Arc<Principal>) {
    let ring = KeyRing::load(Arc::clone(store), Limits::default()).unwrap();
    let principal = ring.identify(secret).unwrap();
    (ring, principal)
}

fn sent(cost: i64) -> Sent {
    Sent {
        cost: nano(cost),
        ..Sent::one(Tokens::prompt(cost.unsigned_abs()))
    }
}

fn used(cost: i64) -> Actual {
    Actual {
        tokens: Tokens::prompt(cost.unsigned_abs()),
        cost: nano(cost),
    }
}

async fn enter(
    gate: &Gate,
    (caller, provider): (&Principal, &str),
    cost: i64,
) -> Result<Option<Reservation>, (DenialKind, bool, String)> {
    let entered = gate.before(caller, provider).enter("m", sent(cost)).await;
    entered.map_err(|denied| (denied.kind, denied.is_of_provider, denied.message))
}

#[tokio::test]
async fn only_what_is_asked_at_these_providers_counts_and_none_of_it_before() {
    let (store, secret) = made(
        vec![
            budget(100, BudgetWindow::Month, &["open*"]),
            budget(1_000, BudgetWindow::Total, &[]),
        ],
        vec![quota(Counted::Requests, 2, &["azure"])],
    );
    let (ring, caller) = principal(&store, &secret);
    let gate = Gate::default();
    assert!(gate.before(&caller, "anthropic").is_open());
    assert!(!gate.before(&caller, "openai").is_open());
    // A request itself is within what counts anywhere.
    let estimate = Estimate {
        cost: nano(900),
        ..Estimate::default()
    };
    let held = caller.admit(estimate, Instant::now()).unwrap();
    let first = enter(&gate, (&caller, "openai"), 60).await.unwrap().unwrap();
    let (kind, is_of_provider, said) = enter(&gate, (&caller, "openai-eu"), 41).await.unwrap_err();
    assert_eq!((kind, is_of_provider), (DenialKind::Budget, false));
    assert!(
        said.contains(r#"the budget of team "t" at the providers open* is"#),
        "{said}"
    );
    assert!(
        enter(&gate, (&caller, "anthropic"), 1_000)
            .await
            .unwrap()
            .is_none()
    );
    // An attempt that failed gives everything back, one that was answered what it did not take.
    drop(first);
    let second = enter(&gate, (&caller, "openai"), 100).await.unwrap().unwrap();
    second.settle(used(30));
    assert!(enter(&gate, (&caller, "openai"), 71).await.is_err());
    drop(enter(&gate, (&caller, "openai"), 70).await.unwrap().unwrap());
    held.settle(used(30));
    for _ in 0..2 {
        drop(enter(&gate, (&caller, "azure"), 5).await.unwrap().unwrap());
    }
    let (kind, is_of_provider, said) = enter(&gate, (&caller, "azure"), 5).await.unwrap_err();
    assert_eq!((kind, is_of_provider), (DenialKind::Quota, false));
    assert!(
        said.contains("this key at the providers azure may use 2 requests in any 1h"),
        "{said}"
    );
    let stood = ring.standings(Some(HolderKind::Team), "t");
    let spent: Vec<_> = stood
        .iter()
        .map(|one| (one.budget.providers.len(), one.spent))
        .collect();
    assert_eq!(spent, [(0, nano(30)), (1, nano(30))]);
}

#[tokio::test]
async fn the_holder_and_the_provider_have_room_both_or_neither_is_asked() {
    let (store, secret) = made(vec![], vec![quota(Counted::Requests, 3, &["p"])]);
    let (_ring, caller) = principal(&store, &secret);
    let mut gates = Gates::default();
    gates.begin();
    let limits = ProviderLimits {
        tokens_per_minute: Some(100),
        ..ProviderLimits::default()
    };
    let gate = gates.of("p", &limits, None);
    gates.read(&store, None).unwrap();
    let held = enter(&gate, (&caller, "p"), 60).await.unwrap().unwrap();
    // The provider has no room: at the holder nothing is counted.
    for _ in 0..5 {
        let (kind, is_of_provider, _) = enter(&gate, (&caller, "p"), 60).await.unwrap_err();
        assert_eq!((kind, is_of_provider), (DenialKind::TokensPerMinute, true));
    }
    held.settle(used(10));
    for _ in 0..2 {
        drop(enter(&gate, (&caller, "p"), 60).await.unwrap().unwrap());
    }
    // The holder has none: at the provider nothing is.
    let (kind, is_of_provider, _) = enter(&gate, (&caller, "p"), 60).await.unwrap_err();
    assert_eq!((kind, is_of_provider), (DenialKind::Quota, false));
    assert!(gate.enter("m", sent(90)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_never_passes_what_may_be_used_at_a_provider_and_can_use_all_of_it() {
    let amount = 50_000;
    let (store, secret) = made(vec![budget(amount, BudgetWindow::Sliding(3_600), &["p"])], vec![]);
    let (_ring, caller) = principal(&store, &secret);
    let spent = Arc::new(AtomicI64::new(0));
    let mut tasks = Vec::new();
    for task in 0..64_i64 {
        let (caller, spent) = (Arc::clone(&caller), Arc::clone(&spent));
        tasks.push(tokio::spawn(async move {
            let gate = Gate::default();
            for turn in 0..60_i64 {
                let cost = 10 + (task * 7 + turn * 13) % 90;
                let Ok(Some(held)) = enter(&gate, (&caller, "p"), cost).await else {
                    continue;
                };
                tokio::task::yield_now().await;
                if turn % 3 == 0 {
                    drop(held);
                } else {
                    spent.fetch_add(cost, Ordering::SeqCst);
                    held.settle(used(cost));
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let spent = spent.load(Ordering::SeqCst);
    assert!(spent <= amount && spent > amount - 100, "{spent} of {amount}");
    assert!(
        enter(&Gate::default(), (&caller, "p"), amount - spent + 1)
            .await
            .is_err()
    );
    assert!(
        enter(&Gate::default(), (&caller, "p"), amount - spent)
            .await
            .is_ok()
    );
}

fn entry(number: u32, provider: Option<&str>, outcome: Outcome, cost: i64) -> LedgerEntry {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    LedgerEntry {
        id: format!("req_{number}").into(),
        at: i64::try_from(now.as_millis()).unwrap(),
        key: None,
        team: Some("t".into()),
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: if number.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        provider: provider.map(str::to_owned),
        model: None,
        decision: None,
        outcome,
        usage: Usage::default(),
        usage_estimated: false,
        cost: nano(cost),
        attempts: 1,
        streamed: false,
        status: 200,
        latency_us: 1,
        ttft_us: None,
        cache: "bypass".to_owned(),
        organization: None,
        project: None,
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}

#[tokio::test]
async fn what_was_used_at_a_provider_is_found_in_the_ledger() {
    let of_model = Budget {
        models: vec!["even".to_owned()],
        ..budget(1_000, BudgetWindow::Month, &["openai"])
    };
    let (store, secret) = made(
        vec![
            budget(1_000, BudgetWindow::Month, &["open*"]),
            budget(1_000, BudgetWindow::Sliding(7_200), &["open*"]),
            of_model,
            budget(1_000, BudgetWindow::Day, &[]),
        ],
        vec![],
    );
    let complete = Outcome::Complete;
    let rows = [
        entry(1, Some("openai"), complete, 100),
        entry(2, Some("openai"), complete, 20),
        entry(3, Some("anthropic"), complete, 300),
        entry(4, None, Outcome::Refused, 0),
        entry(5, Some("openrouter"), Outcome::Cancelled, 4),
    ];
    store.insert_ledger(&rows).unwrap();
    let (ring, caller) = principal(&store, &secret);
    let mut spent: Vec<_> = ring
        .standings(Some(HolderKind::Team), "t")
        .iter()
        .map(|one| {
            (
                one.budget.window.to_string(),
                one.budget.models.len(),
                one.spent.nanodollars(),
            )
        })
        .collect();
    spent.sort();
    let told = [
        ("day", 0, 424),
        ("month", 0, 124),
        ("month", 1, 20),
        ("sliding 2h", 0, 124),
    ];
    assert_eq!(
        spent,
        told.map(|(window, models, spent)| (window.to_owned(), models, spent))
    );
    let gate = Gate::default();
    assert!(enter(&gate, (&caller, "openrouter"), 877).await.is_err());
    drop(enter(&gate, (&caller, "openrouter"), 876).await.unwrap().unwrap());
    let even = caller.asking("even", &ModelLimits::default()).unwrap();
    assert!(enter(&gate, (&even, "openai"), 876).await.is_ok());
}

#[tokio::test]
async fn what_was_asked_of_no_provider_counts_at_none_of_them() {
    let everywhere = budget(1_000, BudgetWindow::Month, &["*"]);
    let (store, secret) = made(
        vec![everywhere, budget(1_000, BudgetWindow::Sliding(3_600), &["*"])],
        vec![],
    );
    let complete = Outcome::Complete;
    let of_tools = LedgerEntry {
        surface: "/mcp/{id}".to_owned(),
        ..entry(4, Some("files"), complete, 300)
    };
    let rows = [
        entry(1, Some("openai"), complete, 100),
        entry(2, None, complete, 20),
        entry(3, Some("openai"), Outcome::Cached, 7),
        of_tools,
    ];
    store.insert_ledger(&rows).unwrap();
    let (ring, _caller) = principal(&store, &secret);
    let stood = ring.standings(Some(HolderKind::Team), "t");
    let spent: Vec<_> = stood.iter().map(|one| one.spent).collect();
    assert_eq!(spent, [nano(100), nano(100)]);
}

#[tokio::test]
async fn changed_settings_keep_what_was_used() {
    let (store, secret) = made(vec![budget(100, BudgetWindow::Total, &["p"])], vec![]);
    let (ring, caller) = principal(&store, &secret);
    let gate = Gate::default();
    enter(&gate, (&caller, "p"), 80)
        .await
        .unwrap()
        .unwrap()
        .settle(used(80));
    let change = |budgets: Vec<Budget>| {
        let actor = Actor::local();
        let terms = Terms {
            budgets,
            ..Terms::default()
        };
        let change = |spec: &mut HolderSpec| {
            spec.terms = terms.clone();
            Ok(())
        };
        store
            .update_holder(&actor, (HolderKind::Team, "t"), None, change)
            .unwrap();
        ring.refresh().unwrap();
        ring.identify(&secret).unwrap()
    };
    let caller = change(vec![budget(120, BudgetWindow::Total, &["p"])]);
    assert!(enter(&gate, (&caller, "p"), 41).await.is_err());
    drop(enter(&gate, (&caller, "p"), 40).await.unwrap().unwrap());
    let caller = change(vec![]);
    assert!(gate.before(&caller, "p").is_open());
}
