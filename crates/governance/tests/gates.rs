//! What all callers together may send to a provider: never passed by concurrency, given back on every way out, and kept
//! over a reload.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Gate, Gates, Limits, ProviderBudget, ProviderLimits, Reservation, Sent, Tokens,
};
use pointsman_store::Store;

/// What may cost so much.
fn costs(dollars: &str) -> Sent {
    Sent {
        cost: Money::parse(dollars).unwrap(),
        ..Sent::one(Tokens::default())
    }
}

fn gate(config: &ProviderLimits) -> Gate {
    taken_over(
        &mut Gates::default(),
        config,
        &Store::open("sqlite::memory:").unwrap(),
    )
}

fn free() -> ProviderLimits {
    ProviderLimits {
        concurrency: Some(9),
        ..ProviderLimits::default()
    }
}

/// One dollar a month.
fn bounded() -> ProviderLimits {
    let bounded = ProviderLimits {
        budgets: vec![ProviderBudget {
            amount_usd: "1".parse().unwrap(),
            window: "month".to_owned(),
            time_zone: None,
        }],
        ..free()
    };
    assert_eq!(bounded.problems(), []);
    bounded
}

/// The gate of a provider in a configuration that holds from now on.
fn taken_over(gates: &mut Gates, config: &ProviderLimits, store: &Store) -> Gate {
    gates.begin();
    let gate = gates.of("p", config, None);
    gates.read(store, None).unwrap();
    gate
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, output }
}

fn used(tokens: Tokens) -> Actual {
    Actual {
        tokens,
        cost: Money::ZERO,
    }
}

async fn entered(gate: &Gate, model: &str, sent: Tokens) -> Option<Reservation> {
    gate.enter(model, Sent::one(sent)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gate_is_never_passed_by_256_clients_at_once() {
    let gate = Arc::new(gate(&ProviderLimits {
        tokens_per_minute: Some(50_000),
        concurrency: Some(7),
        ..ProviderLimits::default()
    }));
    let (inside, most, sent) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let counts = Arc::new((inside, most, sent));
    let clients: Vec<_> = (0..256_u64)
        .map(|client| {
            let (gate, counts) = (Arc::clone(&gate), Arc::clone(&counts));
            tokio::spawn(async move {
                for turn in 0..40 {
                    let Ok(Some(held)) = gate.enter("m", Sent::one(tokens(60, 40))).await else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    let now = counts.0.fetch_add(1, Ordering::SeqCst) + 1;
                    counts.1.fetch_max(now, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    counts.0.fetch_sub(1, Ordering::SeqCst);
                    // Answered, failed, or dropped by whoever goes away.
                    match (client + turn) % 3 {
                        0 => drop(held),
                        1 => held.settle(used(tokens(0, 0))),
                        _ => {
                            counts.2.fetch_add(100, Ordering::SeqCst);
                            held.settle(used(tokens(60, 40)));
                        }
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let most = counts.1.load(Ordering::SeqCst);
    assert!((1..=7).contains(&most), "{most} at once");
    let spent = counts.2.load(Ordering::SeqCst);
    assert!(spent <= 50_000, "{spent} tokens");
    // Every place is free again, and exactly what was used is gone.
    let mut left = Vec::new();
    for _ in 0..7 {
        left.push(entered(&gate, "m", tokens(0, 0)).await.unwrap());
    }
    drop(left);
    let rest = 50_000 - spent;
    assert!(gate.enter("m", Sent::one(tokens(rest + 1, 0))).await.is_err());
    assert!(gate.enter("m", Sent::one(tokens(rest, 0))).await.is_ok());
}

#[tokio::test]
async fn what_was_not_used_comes_back_and_what_was_used_stays() {
    let gate = gate(&ProviderLimits {
        tokens_per_minute: Some(100),
        output_tokens_per_minute: Some(60),
        concurrency: Some(1),
        ..ProviderLimits::default()
    });
    let held = entered(&gate, "m", tokens(40, 60)).await.unwrap();
    let denial = gate.enter("m", Sent::one(tokens(0, 0))).await.unwrap_err();
    assert_eq!(denial.kind, DenialKind::Concurrency);
    assert!(
        denial.message.contains("whoever asks the provider \"p\""),
        "{}",
        denial.message
    );
    held.settle(used(tokens(40, 10)));
    let denial = gate.enter("m", Sent::one(tokens(0, 51))).await.unwrap_err();
    assert_eq!(denial.kind, DenialKind::TokensPerMinute, "{}", denial.message);
    drop(entered(&gate, "m", tokens(0, 50)).await.unwrap());
    entered(&gate, "m", tokens(0, 50))
        .await
        .unwrap()
        .settle(used(tokens(0, 50)));
    assert!(gate.enter("m", Sent::one(tokens(1, 0))).await.is_err());
    // What a provider does by itself is counted, and never refused.
    gate.owe("m").unwrap().settle(used(tokens(5, 0)));
}

#[tokio::test]
async fn several_requests_for_one_are_all_counted_or_none() {
    let gate = gate(&ProviderLimits {
        requests_per_minute: Some(10),
        concurrency: Some(4),
        ..ProviderLimits::default()
    });
    let several = |requests, places| Sent {
        requests,
        places,
        ..Sent::one(Tokens::default())
    };
    let held = gate.enter("m", several(6, 4)).await.unwrap();
    assert!(
        gate.enter("m", several(1, 1)).await.is_err(),
        "four are under way"
    );
    drop(held);
    let denial = gate.enter("m", several(5, 4)).await.unwrap_err();
    assert_eq!(denial.kind, DenialKind::RequestsPerMinute);
    assert!(denial.retry_after.is_some());
    drop(gate.enter("m", several(4, 4)).await.unwrap());
    let denial = gate.enter("m", several(11, 4)).await.unwrap_err();
    assert_eq!(denial.retry_after, None, "so many never fit");
}

#[tokio::test]
async fn models_of_a_provider_have_limits_beside_it_and_a_reload_keeps_what_was_counted() {
    let store = Store::open("sqlite::memory:").unwrap();
    let mut gates = Gates::default();
    let of = |requests: u64, of_model: u64| ProviderLimits {
        requests_per_minute: Some(requests),
        models: BTreeMap::from([(
            "gpt-5*".to_owned(),
            Limits {
                requests_per_minute: Some(of_model),
                ..Limits::default()
            },
        )]),
        ..ProviderLimits::default()
    };
    let gate = taken_over(&mut gates, &of(4, 2), &store);
    for _ in 0..2 {
        drop(entered(&gate, "gpt-5-mini", tokens(0, 0)).await);
    }
    let denial = gate
        .enter("gpt-5", Sent::one(Tokens::default()))
        .await
        .unwrap_err();
    assert!(denial.message.contains("for \"gpt-5*\""), "{}", denial.message);
    drop(entered(&gate, "o1", tokens(0, 0)).await);
    let gate = taken_over(&mut gates, &of(5, 3), &store);
    drop(entered(&gate, "gpt-5", tokens(0, 0)).await);
    assert!(gate.enter("gpt-5", Sent::one(Tokens::default())).await.is_err());
    drop(entered(&gate, "o1", tokens(0, 0)).await);
    assert!(gate.enter("o1", Sent::one(Tokens::default())).await.is_err());
    gates.begin();
    let other = gates.of("q", &of(5, 3), None);
    gates.read(&store, None).unwrap();
    drop(entered(&other, "o1", tokens(0, 0)).await.unwrap());
    let open = taken_over(&mut gates, &ProviderLimits::default(), &store);
    assert!(
        entered(&open, "o1", tokens(0, 0)).await.is_none(),
        "nothing is limited"
    );
}

#[tokio::test]
async fn money_is_set_aside_try_by_try_and_what_was_spent_is_known_after_a_reload() {
    let store = Store::open("sqlite::memory:").unwrap();
    let mut gates = Gates::default();
    let gate = taken_over(&mut gates, &bounded(), &store);
    let held = gate.enter("m", costs("0.6")).await.unwrap().unwrap();
    let denial = gate.enter("m", costs("0.6")).await.unwrap_err();
    assert_eq!(denial.kind, DenialKind::Budget, "{}", denial.message);
    held.settle(Actual {
        cost: Money::parse("0.3").unwrap(),
        ..Actual::default()
    });
    assert!(gate.enter("m", costs("0.71")).await.is_err());
    // A reload that says the same knows what was spent.
    let gate = taken_over(&mut gates, &bounded(), &store);
    assert!(gate.enter("m", costs("0.71")).await.is_err());
    assert!(gate.enter("m", costs("0.7")).await.is_ok());
    // While there was no limit at all nobody counted: the ledger says what was spent, and here it says nothing.
    let open = taken_over(&mut gates, &ProviderLimits::default(), &store);
    assert!(open.is_open());
    let gate = taken_over(&mut gates, &bounded(), &store);
    assert!(gate.enter("m", costs("1")).await.is_ok());
}

#[tokio::test]
async fn a_configuration_that_was_refused_changes_no_limit() {
    let store = Store::open("sqlite::memory:").unwrap();
    let mut gates = Gates::default();
    // A budget of one that was refused does not come with the next.
    gates.begin();
    gates.of("p", &bounded(), None);
    let gate = taken_over(&mut gates, &free(), &store);
    assert!(gate.enter("m", costs("5")).await.is_ok());
    let gate = taken_over(&mut gates, &bounded(), &store);
    gate.enter("m", costs("0.6"))
        .await
        .unwrap()
        .unwrap()
        .settle(Actual {
            cost: Money::parse("0.6").unwrap(),
            ..Actual::default()
        });
    // Nor is one lifted, or forgotten, that is in force.
    for refused in [free(), ProviderLimits::default()] {
        gates.begin();
        let never = gates.of("p", &refused, None);
        for gate in [&gate, &never].into_iter().filter(|gate| !gate.is_open()) {
            let denial = gate.enter("m", costs("0.41")).await.unwrap_err();
            assert_eq!(denial.kind, DenialKind::Budget, "{}", denial.message);
        }
    }
    let gate = taken_over(&mut gates, &bounded(), &store);
    assert!(gate.enter("m", costs("0.41")).await.is_err());
    assert!(gate.enter("m", costs("0.4")).await.is_ok());
}
