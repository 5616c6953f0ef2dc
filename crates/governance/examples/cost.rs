//! What governance costs a request: found by its key, admitted and settled at all its holders.
//!
//! `cargo run --release -p pointsman-governance --example cost`

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_governance::{Actual, Estimate, KeyRing, Limits};
use pointsman_store::{Actor, Budget, BudgetWindow, HolderKind, HolderSpec, Metadata, NewKey, Store, Terms};
use secrecy::ExposeSecret;

const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Store::open("sqlite::memory:")?);
    let actor = Actor::local();
    let month = Budget::of(Money::MAX, BudgetWindow::Month);
    let limited = Terms {
        tokens_per_minute: Some(u64::MAX / 2),
        budgets: vec![month.clone()],
        models: vec!["gpt-*".to_owned()],
        ..Terms::default()
    };
    let spec = |organization: Option<&str>, team: Option<&str>| HolderSpec {
        organization: organization.map(Into::into),
        team: team.map(Into::into),
        terms: limited.clone(),
        ..HolderSpec::default()
    };
    for (kind, id, spec) in [
        (HolderKind::Organization, "o", spec(None, None)),
        (HolderKind::Team, "t", spec(Some("o"), None)),
        (HolderKind::Project, "p", spec(Some("o"), Some("t"))),
        (HolderKind::User, "u", spec(Some("o"), None)),
    ] {
        store.create_holder(&actor, kind, Some(id.to_owned()), spec)?;
    }
    let alone = NewKey {
        tokens_per_minute: Some(u64::MAX / 2),
        budgets: vec![month],
        ..NewKey::default()
    };
    let held = NewKey {
        project: Some("p".into()),
        user: Some("u".into()),
        requests_per_minute: Some(u64::MAX / 2),
        concurrency: Some(1_000_000),
        ..alone.clone()
    };
    let mut keys = Vec::new();
    for grant in [alone, held] {
        let made = store.create_key_as(&actor, grant, Metadata::new(), None)?;
        keys.push(made.1.expose_secret().to_owned());
    }
    let ring = KeyRing::load(store, Limits::default())?;
    let mut out = std::io::stdout().lock();
    for (name, key) in ["a key alone, two limits", "five holders, twelve limits"]
        .iter()
        .zip(&keys)
    {
        let [find, charge] = measure(&ring, key)?;
        writeln!(
            out,
            "{name}: found in {find} ns, admitted and settled in {charge} ns"
        )?;
    }
    let threads = std::thread::available_parallelism()?.get();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| measure(&ring, &keys[1]).map_err(|error| error.to_string()));
        }
    });
    let each = begun.elapsed().as_nanos() / u128::from(ROUNDS) / threads as u128;
    writeln!(
        out,
        "{threads} threads on the same five holders: {each} ns a request in all"
    )?;
    Ok(())
}

/// Nanoseconds until a principal is found and may use a model, and until a request is admitted and settled.
fn measure(ring: &KeyRing, key: &str) -> Result<[u128; 2], Box<dyn Error>> {
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        let who = ring.identify(black_box(key))?;
        black_box(who.allows_model("gpt-5"));
    }
    let find = begun.elapsed().as_nanos() / u128::from(ROUNDS);
    let who = ring.identify(key)?;
    let (tokens, cost) = (100, Money::from_nanodollars(100));
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        let reservation = who.admit(Estimate { tokens, cost }, Instant::now());
        let reservation = reservation.map_err(|denied| denied.message)?;
        black_box(reservation).settle(Actual { tokens, cost });
    }
    Ok([find, begun.elapsed().as_nanos() / u128::from(ROUNDS)])
}
