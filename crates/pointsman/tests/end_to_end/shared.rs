//! Four gateways that count together on one Redis: no limit is ever passed, nothing is left behind, whoever dies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_store::{
    Actor, Budget, BudgetWindow, HolderKind, HolderSpec, LedgerEntry, LedgerFilter, Metadata, NewKey, Store,
    Terms,
};
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_testbed::{SimOptions, SimServer};
use rand::RngExt;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{House, get, post};

const REPLICAS: usize = 4;
const CLIENTS: usize = 512;

/// Four gateways, what they count on, and the keys of two teams: one that is bounded by money, one by tokens.
struct Site {
    redis: RedisServer,
    folder: TempDir,
    houses: Vec<Option<House>>,
    rich: String,
    hasty: String,
    _sim: SimServer,
}

fn dollars(amount: i64) -> Money {
    Money::from_nanodollars(amount * 1_000_000_000)
}

/// A budget in dollars, and tokens in any minute.
fn terms(amount: i64, tokens_per_minute: u64) -> Terms {
    Terms {
        budgets: vec![Budget::of(dollars(amount), BudgetWindow::Total)],
        tokens_per_minute: Some(tokens_per_minute),
        ..Terms::default()
    }
}

impl Site {
    /// `amount` dollars are the organization's; what is asked for costs a dollar for a thousand tokens.
    async fn open(amount: i64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let redis = RedisServer::start(folder.path(), Keeps::Everything)?;
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let store = Store::open(&url(folder.path())).unwrap();
        let actor = Actor::local();
        let spec = |organization: Option<&str>, terms| HolderSpec {
            organization: organization.map(Into::into),
            terms,
            ..HolderSpec::default()
        };
        for (kind, id, spec) in [
            (
                HolderKind::Organization,
                "o",
                spec(None, terms(amount, 10_000_000)),
            ),
            (
                HolderKind::Team,
                "rich",
                spec(Some("o"), terms(2 * amount, 10_000_000)),
            ),
            (HolderKind::Organization, "p", spec(None, terms(1_000_000, 9_000))),
            (
                HolderKind::Team,
                "hasty",
                spec(Some("p"), terms(1_000_000, 6_000)),
            ),
        ] {
            store
                .create_holder(&actor, kind, Some(id.to_owned()), spec)
                .unwrap();
        }
        let [rich, hasty] = ["rich", "hasty"].map(|team| {
            let grant = NewKey {
                team: Some(team.into()),
                tokens_per_minute: Some(10_000_000),
                budgets: vec![Budget::of(dollars(1_000_000), BudgetWindow::Day)],
                ..NewKey::default()
            };
            let made = store.create_key_as(&actor, grant, Metadata::new(), None).unwrap();
            made.1.expose_secret().to_owned()
        });
        let mut houses = Vec::new();
        for number in 0..REPLICAS {
            let own = folder.path().join(number.to_string());
            std::fs::create_dir_all(&own).unwrap();
            let text = configuration(folder.path(), &own, &redis, &sim);
            std::fs::write(own.join("pointsman.yaml"), text).unwrap();
            houses.push(Some(House::open(&own)));
        }
        Some(Self {
            redis,
            folder,
            houses,
            rich,
            hasty,
            _sim: sim,
        })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.houses.iter().flatten().map(|house| house.address).collect()
    }

    fn start(&mut self, number: usize) {
        self.houses[number] = Some(House::open(&self.folder.path().join(number.to_string())));
    }

    fn kill(&mut self, number: usize) {
        if let Some(mut house) = self.houses[number].take() {
            house.kill();
        }
    }

    /// Lets all of them finish.
    fn stop(&mut self) {
        for house in &mut self.houses {
            if let Some(house) = house.take() {
                house.stop();
            }
        }
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        let store = Store::open(&url(self.folder.path())).unwrap();
        let all = LedgerFilter {
            limit: 1_000_000,
            ..LedgerFilter::default()
        };
        store.ledger(&all).unwrap()
    }

    /// What the ledger says that an organization has spent.
    fn spent(&self, organization: &str) -> Money {
        let entries = self.ledger().into_iter();
        let of = entries.filter(|entry| {
            entry
                .organization
                .as_ref()
                .is_some_and(|id| id.as_str() == organization)
        });
        of.map(|entry| entry.cost).sum()
    }

    /// What the server has of each budget of an organization's holders: used, and held beside.
    fn counted(&self) -> HashMap<String, (Money, Money)> {
        let mut all = HashMap::new();
        for key in self.redis.ask(&["KEYS", "pointsman:*budget*"]).unwrap() {
            let (mut used, mut held) = (0, 0);
            for (field, value) in self.redis.hash(&key).unwrap() {
                if field.starts_with("r:") {
                    let numbers: Vec<i64> = value
                        .split(':')
                        .take(2)
                        .map(|part| part.parse().unwrap())
                        .collect();
                    used += numbers[0];
                    held += (numbers[1] - numbers[0]).max(0);
                }
            }
            let holder = key.split(['{', '}']).nth(1).unwrap().to_owned();
            all.insert(
                holder,
                (Money::from_nanodollars(used), Money::from_nanodollars(held)),
            );
        }
        all
    }
}

/// The configuration of the gateway whose own folder is `own`.
fn configuration(folder: &Path, own: &Path, redis: &RedisServer, sim: &SimServer) -> String {
    format!(
        "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         stores: {{ database: \"{}\", shared: \"{}\", blobs: \"file://{}\" }}\n\
         server: {{ workers: 2 }}\n\
         providers: {{ one: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: one, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }} }}\n",
        url(folder),
        redis.url(),
        own.display(),
        sim.address()
    )
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}/p.db", folder.display())
}

fn body() -> Value {
    // More tokens are reserved than the answer takes: what a provider counts beyond that is charged all the same.
    json!({"model": "m", "max_tokens": 30, "messages": [{"role": "user", "content": "repeat 10 words"}]})
}

/// Where clients ask, as replicas come and go, and what came of it.
struct Crowd {
    addresses: Mutex<Vec<SocketAddr>>,
    key: String,
    /// A client that was refused so often in a row leaves.
    patience: usize,
    leave: AtomicBool,
    answered: AtomicU64,
    denied: AtomicU64,
    strange: Mutex<Vec<String>>,
}

impl Crowd {
    fn new(site: &Site, key: &str, patience: usize) -> Arc<Self> {
        Arc::new(Self {
            addresses: Mutex::new(site.addresses()),
            key: key.to_owned(),
            patience,
            leave: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            strange: Mutex::default(),
        })
    }

    fn gather(self: &Arc<Self>, clients: usize) -> Vec<tokio::task::JoinHandle<()>> {
        let of = |number| {
            let crowd = Arc::clone(self);
            tokio::spawn(async move { crowd.client(number).await })
        };
        (0..clients).map(of).collect()
    }

    async fn client(&self, number: usize) {
        let body = body();
        let mut refused = 0;
        let mut round = number;
        while refused < self.patience && !self.leave.load(Ordering::Relaxed) {
            round += 1;
            let address = {
                let addresses = self.addresses.lock().unwrap();
                addresses.get(round % addresses.len().max(1)).copied()
            };
            let answer = match address {
                Some(address) => post(address, "/v1/chat/completions", &self.key, &body).await,
                None => None,
            };
            let pause = match answer.as_ref().map(|answer| answer.status.as_u16()) {
                Some(200) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    refused = 0;
                    0
                }
                Some(429) => {
                    self.denied.fetch_add(1, Ordering::Relaxed);
                    refused += 1;
                    500 + (number % 16) as u64 * 20
                }
                // The shared counters are away, or settle; or the gateway is.
                Some(503) | None => 100,
                Some(_) => {
                    let said = answer.map(|answer| answer.text().to_owned()).unwrap_or_default();
                    self.strange.lock().unwrap().push(said);
                    100
                }
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

async fn all(clients: Vec<tokio::task::JoinHandle<()>>) {
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_replicas_and_512_clients_never_pass_a_limit_and_can_use_it_up() {
    let amount = 8;
    let Some(mut site) = Site::open(amount).await else {
        return;
    };
    let rich = Crowd::new(&site, &site.rich, 3);
    let hasty = Crowd::new(&site, &site.hasty, 3);
    let mut clients = rich.gather(CLIENTS - 64);
    clients.extend(hasty.gather(64));
    all(clients).await;
    for crowd in [&rich, &hasty] {
        assert!(crowd.strange.lock().unwrap().is_empty(), "{:?}", crowd.strange);
        assert!(crowd.denied.load(Ordering::Relaxed) > 0, "the limit was reached");
    }
    let metrics = get(site.houses[0].as_ref().unwrap().admin, "/metrics")
        .await
        .unwrap();
    assert!(
        metrics.text().contains("pointsman_shared_up 1\n"),
        "{}",
        metrics.text()
    );
    site.stop();
    let spent = site.spent("o");
    assert!(spent <= dollars(amount), "{spent} of {amount}");
    // What is left is less than the next request may cost.
    let usable = dollars(amount).nanodollars() * 98 / 100;
    assert!(
        spent.nanodollars() >= usable,
        "only {spent} of {amount} could be used"
    );
    let tokens: u64 = site
        .ledger()
        .iter()
        .filter(|entry| entry.team.as_ref().is_some_and(|team| team.as_str() == "hasty"))
        .map(|entry| entry.usage.total())
        .sum();
    // All of it was within one minute, or little more than one.
    assert!((3_000..=6_000).contains(&tokens), "{tokens} tokens in a minute");
    let counted = site.counted();
    for (holder, organization) in [
        ("organization/o", "o"),
        ("team/rich", "o"),
        ("organization/p", "p"),
        ("team/hasty", "p"),
    ] {
        assert_eq!(
            counted[holder],
            (site.spent(organization), Money::ZERO),
            "{holder}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_of_replicas_and_of_redis_never_pass_a_limit_and_are_recovered_from() {
    let amount = 12;
    let Some(mut site) = Site::open(amount).await else {
        return;
    };
    let crowd = Crowd::new(&site, &site.rich, usize::MAX);
    let clients = crowd.gather(64);
    let end = Instant::now() + Duration::from_secs(9);
    let mut round = 0;
    while Instant::now() < end {
        let pause = rand::rng().random_range(200..700);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        round += 1;
        if round % 3 == 0 {
            site.redis.kill();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            site.redis.begin_again();
        } else {
            let number = rand::rng().random_range(0..REPLICAS);
            site.kill(number);
            *crowd.addresses.lock().unwrap() = site.addresses();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            site.start(number);
            *crowd.addresses.lock().unwrap() = site.addresses();
        }
    }
    // Recovered: all that is left can be used, whoever asks, within half a minute.
    let begun = Instant::now();
    let mut denied = crowd.denied.load(Ordering::Relaxed);
    let mut quiet = 0;
    while quiet < 4 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it is not recovered from"
        );
        let answered = crowd.answered.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(750)).await;
        let now = crowd.denied.load(Ordering::Relaxed);
        // Everybody is refused, and nobody answered any more: it is used up.
        let is_over = now > denied && crowd.answered.load(Ordering::Relaxed) == answered;
        quiet = if is_over { quiet + 1 } else { 0 };
        denied = now;
    }
    crowd.leave.store(true, Ordering::Relaxed);
    all(clients).await;
    assert!(crowd.strange.lock().unwrap().is_empty(), "{:?}", crowd.strange);
    site.stop();
    let spent = site.spent("o");
    assert!(spent <= dollars(amount), "{spent} of {amount}");
    let usable = dollars(amount).nanodollars() * 98 / 100;
    assert!(
        spent.nanodollars() >= usable,
        "only {spent} of {amount} could be used"
    );
    assert_eq!(site.counted()["organization/o"], (spent, Money::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_redis_is_away_says_so_and_comes_back_by_itself() {
    let Some(mut site) = Site::open(100).await else {
        return;
    };
    let address = site.houses[0].as_ref().unwrap().address;
    let ask = |key: String| async move {
        post(address, "/v1/chat/completions", &key, &body())
            .await
            .unwrap()
    };
    let until = Instant::now() + Duration::from_secs(20);
    // A server that has just begun gives nothing of what it does not know.
    while ask(site.rich.clone()).await.status != 200 {
        assert!(Instant::now() < until, "it does not begin");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.redis.kill();
    let away = loop {
        // What is held in advance may still be used.
        let answer = ask(site.hasty.clone()).await;
        if answer.status == 503 {
            break answer;
        }
        assert!(
            answer.status == 200 && Instant::now() < until,
            "{}",
            answer.text()
        );
    };
    assert_eq!(away.json()["error"]["code"], "limits_unavailable");
    assert_eq!(away.header("retry-after"), "1");
    site.redis.begin_again();
    while ask(site.hasty.clone()).await.status != 200 {
        assert!(Instant::now() < until, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said = site.houses[0].as_ref().unwrap().said();
    assert!(said.contains("the shared counters do not answer"), "{said}");
    site.stop();
}
