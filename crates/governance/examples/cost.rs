//! What governance costs a request: found by its key, admitted and settled at all its holders.
//!
//! `cargo run --release -p pointsman-governance --example cost [-- redis://HOST:PORT]`; with a URL, counted together with
//! other replicas on that server, too.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, Estimate, KeyRing, Labels, Limits, Principal, Sharing, Tokens, Wanted, WhenDown,
};
use pointsman_store::{
    Actor, Budget, BudgetWindow, HolderKind, HolderSpec, Metadata, NewKey, Patience, RedisCounters, Store,
    Terms,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Store::open("sqlite::memory:")?);
    let keys = keys(&store)?;
    let ring = KeyRing::load(Arc::clone(&store), Limits::default())?;
    ring.look_up(&Wanted::Label(HolderKind::Customer, "c".to_owned()))?;
    let mut out = std::io::stdout().lock();
    let nobody = Labels::default();
    let customer = Labels {
        customer: Some("customer".into()),
        ..Labels::default()
    };
    for (name, key, labels) in [
        ("a key alone, two limits", &keys[0], &nobody),
        ("five holders, twelve limits", &keys[1], &nobody),
        (
            "and a sixth that the request names, fourteen limits",
            &keys[1],
            &customer,
        ),
    ] {
        let [find, charge] = measure(&ring, (key, labels))?;
        writeln!(
            out,
            "{name}: found in {find} ns, admitted and settled in {charge} ns"
        )?;
    }
    let (threads, each) = crowd(&ring, &keys[1])?;
    writeln!(
        out,
        "{threads} threads on the same five holders: {each} ns a request in all"
    )?;
    if let Some(url) = std::env::args().nth(1) {
        writeln!(out, "{}", together(&store, url, &keys[1])?)?;
    }
    Ok(())
}

/// A key alone, and one with four holders, all with limits, and a customer beside them that requests may name.
fn keys(store: &Store) -> Result<Vec<String>, Box<dyn Error>> {
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
        (
            HolderKind::Customer,
            "c",
            HolderSpec {
                name: "customer".to_owned(),
                organization: Some("o".into()),
                terms: Terms {
                    models: Vec::new(),
                    ..limited.clone()
                },
                ..HolderSpec::default()
            },
        ),
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
    Ok(keys)
}

/// How many threads, and the nanoseconds of a request in all when they use the same holders.
fn crowd(ring: &KeyRing, key: &str) -> Result<(usize, u128), Box<dyn Error>> {
    let threads = std::thread::available_parallelism()?.get();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| measure(ring, (key, &Labels::default())).map_err(|error| error.to_string()));
        }
    });
    let each = begun.elapsed().as_nanos() / u128::from(ROUNDS) / threads as u128;
    Ok((threads, each))
}

fn together(store: &Arc<Store>, url: String, key: &str) -> Result<String, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(shared(store, SecretString::from(url), key))
}

/// What it costs to be counted together with others, far from all limits.
async fn shared(store: &Arc<Store>, url: SecretString, key: &str) -> Result<String, Box<dyn Error>> {
    let life = Duration::from_secs(10);
    let patience = Patience {
        life,
        grace: Duration::from_secs(3),
    };
    let process = std::process::id().to_string();
    let counters = RedisCounters::new(&url, "c05700e5", [&process, ""], patience)?;
    let sharing = Sharing::new(
        Arc::new(counters),
        Arc::clone(store),
        "c05700e5",
        (WhenDown::Closed, life),
    );
    let ring = KeyRing::load_shared(Arc::clone(store), Limits::default(), Some(Arc::clone(&sharing)))?;
    let (stop, stopped) = watch::channel(false);
    let running = Arc::clone(&sharing);
    let task = tokio::spawn(async move { running.run(stopped).await });
    let who = ring.identify(key)?;
    let (tokens, cost) = (Tokens::prompt(100), Money::from_nanodollars(100));
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        let reservation = who.admit_shared(Estimate { tokens, cost }, Instant::now()).await;
        let reservation = reservation.map_err(|denied| denied.message)?;
        black_box(reservation).settle(Actual { tokens, cost });
    }
    let each = begun.elapsed().as_nanos() / u128::from(ROUNDS);
    let counts = sharing.counts();
    stop.send(true)?;
    task.await?;
    let trips = (counts.asked + counts.told) as f64 * 100.0 / f64::from(ROUNDS);
    Ok(format!(
        "five holders, twelve limits, on Redis: admitted and settled in {each} ns; {} requests waited, {} rounds: {trips:.3} round trips for 100 requests",
        counts.asked, counts.told
    ))
}

/// Whoever has the key, with the counters of what the request names.
fn asking(ring: &KeyRing, (key, labels): (&str, &Labels)) -> Result<Arc<Principal>, Box<dyn Error>> {
    let who = ring.identify(black_box(key))?;
    match labels.is_empty() {
        true => Ok(who),
        false => Ok(Arc::new(ring.naming(&who, labels.clone())?)),
    }
}

/// Nanoseconds until a principal is found and may use a model, and until a request is admitted and settled.
fn measure(ring: &KeyRing, request: (&str, &Labels)) -> Result<[u128; 2], Box<dyn Error>> {
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(asking(ring, request)?.allows_model("gpt-5"));
    }
    let find = begun.elapsed().as_nanos() / u128::from(ROUNDS);
    let who = asking(ring, request)?;
    let (tokens, cost) = (Tokens::prompt(100), Money::from_nanodollars(100));
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        let reservation = who.admit(Estimate { tokens, cost }, Instant::now());
        let reservation = reservation.map_err(|denied| denied.message)?;
        black_box(reservation).settle(Actual { tokens, cost });
    }
    Ok([find, begun.elapsed().as_nanos() / u128::from(ROUNDS)])
}
