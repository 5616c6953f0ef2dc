//! Four gateways that count together on one Redis, on SQLite or on PostgreSQL, and the clients that come to them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman_catalog::Money;
use pointsman_store::{
    Actor, Budget, BudgetWindow, HolderKind, HolderSpec, LedgerEntry, LedgerFilter, Metadata, NewKey, Store,
    Terms,
};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_testbed::{SimOptions, SimServer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, post};

pub const REPLICAS: usize = 4;
pub const CLIENTS: usize = 512;
/// Dollars of the lean key.
pub const LEAN: i64 = 4;

/// What all replicas keep their keys and their ledger in.
pub enum Database {
    /// One file.
    Sqlite,
    Postgres(PostgresServer),
}

/// How much the organization may spend, and what requests take.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Dollars of the organization; what is asked for costs a dollar for a thousand tokens.
    pub amount: i64,
    /// How long the provider thinks.
    pub thinking: Duration,
}

/// Four gateways, what they count on, and the keys of three teams: one that is bounded by its organization's money, one by
/// its team's tokens, one by its own money.
pub struct Site {
    pub redis: RedisServer,
    pub database: Database,
    pub url: String,
    folder: TempDir,
    pub houses: Vec<Option<House>>,
    pub rich: String,
    pub hasty: String,
    pub lean: String,
    plan: Plan,
    _sim: SimServer,
}

pub fn dollars(amount: i64) -> Money {
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
    /// On one SQLite file; nothing where there is no Redis.
    pub async fn open(amount: i64) -> Option<Self> {
        let plan = Plan {
            amount,
            thinking: Duration::ZERO,
        };
        Self::open_on(Database::Sqlite, plan).await
    }

    /// Nothing where there is no Redis.
    #[expect(clippy::too_many_lines, reason = "a whole site, told in order")]
    pub async fn open_on(database: Database, plan: Plan) -> Option<Self> {
        let amount = plan.amount;
        let folder = tempfile::tempdir().unwrap();
        let redis = RedisServer::start(folder.path(), Keeps::Everything)?;
        let sim = SimServer::local(SimOptions {
            first_token: plan.thinking,
            ..SimOptions::default()
        });
        let sim = sim.await.unwrap();
        let url = match &database {
            Database::Sqlite => format!("sqlite://{}/p.db", folder.path().display()),
            Database::Postgres(server) => server.make("race").unwrap(),
        };
        let store = Store::open(&url).unwrap();
        let actor = Actor::local();
        let spec = |organization: Option<&str>, terms| HolderSpec {
            organization: organization.map(Into::into),
            terms,
            ..HolderSpec::default()
        };
        let organization = HolderKind::Organization;
        for (kind, id, spec) in [
            (organization, "o", spec(None, terms(amount, 10_000_000))),
            (
                HolderKind::Team,
                "rich",
                spec(Some("o"), terms(2 * amount, 10_000_000)),
            ),
            (organization, "p", spec(None, terms(1_000_000, 9_000))),
            (
                HolderKind::Team,
                "hasty",
                spec(Some("p"), terms(1_000_000, 6_000)),
            ),
            (organization, "q", spec(None, terms(1_000_000, 10_000_000))),
            (
                HolderKind::Team,
                "lean",
                spec(Some("q"), terms(1_000_000, 10_000_000)),
            ),
        ] {
            store
                .create_holder(&actor, kind, Some(id.to_owned()), spec)
                .unwrap();
        }
        let key = |team: &str, amount| {
            let terms = terms(amount, 10_000_000);
            let grant = NewKey {
                team: Some(team.into()),
                tokens_per_minute: terms.tokens_per_minute,
                budgets: terms.budgets,
                ..NewKey::default()
            };
            let made = store.create_key_as(&actor, grant, Metadata::new(), None).unwrap();
            made.1.expose_secret().to_owned()
        };
        let (rich, hasty, lean) = (key("rich", 1_000_000), key("hasty", 1_000_000), key("lean", LEAN));
        let mut houses = Vec::new();
        for number in 0..REPLICAS {
            let own = folder.path().join(number.to_string());
            std::fs::create_dir_all(&own).unwrap();
            let text = configuration(&url, &own, &redis, &sim);
            std::fs::write(own.join("pointsman.yaml"), text).unwrap();
            houses.push(Some(House::open(&own)));
        }
        Some(Self {
            redis,
            database,
            url,
            folder,
            houses,
            rich,
            hasty,
            lean,
            plan,
            _sim: sim,
        })
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.houses.iter().flatten().map(|house| house.address).collect()
    }

    pub fn start(&mut self, number: usize) {
        self.houses[number] = Some(House::open(&self.folder.path().join(number.to_string())));
    }

    pub fn kill(&mut self, number: usize) {
        if let Some(mut house) = self.houses[number].take() {
            house.kill();
        }
    }

    /// Lets all of them finish.
    pub fn stop(&mut self) {
        for house in &mut self.houses {
            if let Some(house) = house.take() {
                house.stop();
            }
        }
    }

    pub fn ledger(&self) -> Vec<LedgerEntry> {
        let store = Store::open(&self.url).unwrap();
        let all = LedgerFilter {
            limit: 1_000_000,
            ..LedgerFilter::default()
        };
        store.ledger(&all).unwrap()
    }

    /// What the ledger says that an organization has spent.
    pub fn spent(&self, organization: &str) -> Money {
        let entries = self.ledger().into_iter();
        let of = entries.filter(|entry| {
            entry
                .organization
                .as_ref()
                .is_some_and(|id| id.as_str() == organization)
        });
        of.map(|entry| entry.cost).sum()
    }

    /// What of the ledger is a team's.
    fn of_team(&self, team: &str) -> Vec<LedgerEntry> {
        let mut entries = self.ledger();
        entries.retain(|entry| entry.team.as_ref().is_some_and(|id| id.as_str() == team));
        entries
    }

    /// The most tokens that requests of a team, which came within any minute, have taken.
    pub fn most_in_a_minute(&self, team: &str) -> u64 {
        let mut came = BTreeMap::<i64, u64>::new();
        for entry in self.of_team(team) {
            let at = entry.at - i64::try_from(entry.latency_us / 1_000).unwrap();
            *came.entry(at).or_default() += entry.usage.total();
        }
        let within = |from: i64| came.range(from..from + 60_000).map(|(_, tokens)| tokens).sum();
        came.keys().map(|from| within(*from)).max().unwrap_or_default()
    }

    /// The budget of an organization, or of what is in it, was not passed, and nearly all of it could be used.
    pub fn assert_used(&self, organization: &str, budget: Money) {
        let spent = self.spent(organization);
        assert!(spent <= budget, "{spent} of {budget}");
        // What is left is less than the next request may cost.
        let usable = budget.nanodollars() * 98 / 100;
        assert!(
            spent.nanodollars() >= usable,
            "only {spent} of {budget} could be used"
        );
    }

    /// What is counted of every budget is what the ledger says, to the nano-dollar, and nothing is held any more.
    pub fn assert_counted(&self) {
        let counted = self.counted();
        for (organization, team) in [("o", "rich"), ("p", "hasty"), ("q", "lean")] {
            let spent = self.spent(organization);
            if spent == Money::ZERO {
                continue;
            }
            let key = self.of_team(team)[0].key.clone().unwrap();
            for holder in [
                format!("organization/{organization}"),
                format!("team/{team}"),
                format!("key/{}", key.as_str()),
            ] {
                let found = counted.get(&holder).copied();
                assert_eq!(found, Some((spent, Money::ZERO)), "{holder}: {counted:?}");
            }
        }
    }

    /// Everything whose end a client saw is in the ledger, and nothing twice.
    pub fn assert_complete(&self, finished: &HashSet<String>) {
        let entries = self.ledger();
        let ids: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids.len(), entries.len(), "an entry is there twice");
        let missing = finished.iter().filter(|id| !ids.contains(id.as_str())).count();
        assert_eq!(missing, 0, "of {} finished answers", finished.len());
    }

    /// What the server has of each budget of an organization's holders: used, and held beside.
    pub fn counted(&self) -> HashMap<String, (Money, Money)> {
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
            let holder = key.split(':').nth(2).unwrap().to_owned();
            all.insert(
                holder,
                (Money::from_nanodollars(used), Money::from_nanodollars(held)),
            );
        }
        all
    }
}

/// The configuration of the gateway whose own folder is `own`.
fn configuration(url: &str, own: &Path, redis: &RedisServer, sim: &SimServer) -> String {
    format!(
        "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         stores: {{ database: \"{url}\", local: \"{own}\", shared: \"{}\", blobs: \"file://{own}\" }}\n\
         server: {{ workers: 2 }}\n\
         providers: {{ one: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: one, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }} }}\n",
        redis.url(),
        sim.address(),
        own = own.display(),
    )
}

pub fn body() -> Value {
    // More tokens are reserved than the answer takes: what a provider counts beyond that is charged all the same.
    json!({"model": "m", "max_tokens": 30, "messages": [{"role": "user", "content": "repeat 10 words"}]})
}

/// The same as a stream, which a provider that thinks takes its time for.
fn stream() -> Value {
    let mut body = body();
    body["stream"] = true.into();
    body
}

/// Where clients ask, as replicas come and go, and what came of it.
pub struct Crowd {
    pub addresses: Mutex<Vec<SocketAddr>>,
    key: String,
    pub body: Value,
    /// A client that was refused so often in a row leaves.
    patience: usize,
    pub leave: AtomicBool,
    pub answered: AtomicU64,
    pub denied: AtomicU64,
    /// Ids of answers whose end a client saw.
    pub finished: Mutex<HashSet<String>>,
    pub strange: Mutex<Vec<String>>,
}

impl Crowd {
    pub fn new(site: &Site, key: &str, patience: usize) -> Arc<Self> {
        Arc::new(Self {
            addresses: Mutex::new(site.addresses()),
            key: key.to_owned(),
            body: if site.plan.thinking.is_zero() {
                body()
            } else {
                stream()
            },
            patience,
            leave: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            finished: Mutex::default(),
            strange: Mutex::default(),
        })
    }

    pub fn gather(self: &Arc<Self>, clients: usize) -> Vec<tokio::task::JoinHandle<()>> {
        let of = |number| {
            let crowd = Arc::clone(self);
            tokio::spawn(async move { crowd.client(number).await })
        };
        (0..clients).map(of).collect()
    }

    /// Whether the end of an answer was seen.
    fn is_whole(&self, answer: Option<&Answer>) -> bool {
        let streams = self.body["stream"] == true;
        answer.is_some_and(|answer| !streams || answer.text().contains("[DONE]"))
    }

    async fn client(&self, number: usize) {
        let mut refused = 0;
        let mut round = number;
        while refused < self.patience && !self.leave.load(Ordering::Relaxed) {
            round += 1;
            let address = {
                let addresses = self.addresses.lock().unwrap();
                addresses.get(round % addresses.len().max(1)).copied()
            };
            let answer = match address {
                Some(address) => post(address, "/v1/chat/completions", &self.key, &self.body).await,
                None => None,
            };
            let pause = match answer.as_ref().map(|answer| answer.status.as_u16()) {
                Some(200) if self.is_whole(answer.as_ref()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    let id = answer
                        .as_ref()
                        .map(|answer| answer.header("x-request-id").to_owned());
                    self.finished.lock().unwrap().extend(id);
                    refused = 0;
                    0
                }
                Some(429) => {
                    self.denied.fetch_add(1, Ordering::Relaxed);
                    refused += 1;
                    500 + (number % 16) as u64 * 20
                }
                // The shared counters are away, or settle: it says to come again in a second.
                Some(503) => 1_000 + (number % 16) as u64 * 20,
                // The gateway is away.
                None => 200,
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

pub async fn all(clients: Vec<tokio::task::JoinHandle<()>>) {
    for client in clients {
        client.await.unwrap();
    }
}
