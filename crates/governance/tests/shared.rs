//! Limits and budgets that replicas count together on a real Redis: never passed in sum, given back, found again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "shared/sliding.rs"]
mod sliding;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_governance::{
    Actual, DenialKind, Estimate, KeyRing, Limits, ModelLimits, Principal, Reservation, Sharing, Tokens,
    WhenDown,
};
use pointsman_store::{
    Actor, Budget, BudgetWindow, Counted, HolderKind, HolderSpec, LedgerEntry, Metadata, NewKey, Outcome,
    Patience, Quota, RedisCounters, Store, Terms,
};
use pointsman_testbed::redis::{Keeps, RedisServer};
use pointsman_wire::form::Usage;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the tests' replicas are taken for alive; short, so that they can die.
const LIFE: Duration = Duration::from_millis(2_500);
const GRACE: Duration = Duration::from_secs(1);

/// A server, a database, and a key of a team of an organization.
struct Site {
    redis: RedisServer,
    store: Arc<Store>,
    key: String,
    /// The last process of each replica.
    last: Mutex<HashMap<String, String>>,
    _folder: TempDir,
}

/// One replica.
struct Replica {
    sharing: Arc<Sharing>,
    who: Arc<Principal>,
    ring: KeyRing,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    charged: AtomicU64,
}

fn budget(nanodollars: i64) -> Terms {
    Terms {
        budgets: vec![Budget::of(
            Money::from_nanodollars(nanodollars),
            BudgetWindow::Day,
        )],
        ..Terms::default()
    }
}

impl Site {
    async fn open(keeps: Keeps, organization: Terms, team: Terms) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let redis = RedisServer::start(folder.path(), keeps)?;
        Some(Self::open_on((redis, folder), organization, team).await)
    }

    async fn open_on((redis, folder): (RedisServer, TempDir), organization: Terms, team: Terms) -> Self {
        let store = Arc::new(Store::open("sqlite::memory:").unwrap());
        let actor = Actor::local();
        let spec = |organization: Option<&str>, terms| HolderSpec {
            organization: organization.map(Into::into),
            terms,
            ..HolderSpec::default()
        };
        for (kind, id, spec) in [
            (HolderKind::Organization, "o", spec(None, organization)),
            (HolderKind::Team, "t", spec(Some("o"), team)),
        ] {
            store
                .create_holder(&actor, kind, Some(id.to_owned()), spec)
                .unwrap();
        }
        let grant = NewKey {
            team: Some("t".into()),
            ..NewKey::default()
        };
        // A server that has just begun gives nothing of what it does not know.
        tokio::time::sleep(GRACE + Duration::from_millis(1_100)).await;
        let made = store.create_key_as(&actor, grant, Metadata::new(), None).unwrap();
        let key = made.1.expose_secret().to_owned();
        Self {
            redis,
            store,
            key,
            last: Mutex::default(),
            _folder: folder,
        }
    }

    fn replica(&self, name: &str, when_down: WhenDown) -> Replica {
        let url = SecretString::from(self.redis.url());
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let process = format!("{name}-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let previous = self.last.lock().unwrap().insert(name.to_owned(), process.clone());
        let patience = Patience {
            life: LIFE,
            grace: GRACE,
        };
        let counters = Arc::new(
            RedisCounters::new(&url, name, [&process, &previous.unwrap_or_default()], patience).unwrap(),
        );
        let sharing = Sharing::new(counters, Arc::clone(&self.store), name, (when_down, LIFE));
        let ring = KeyRing::load_shared(
            Arc::clone(&self.store),
            Limits::default(),
            Some(Arc::clone(&sharing)),
        )
        .unwrap();
        let (stop, stopped) = watch::channel(false);
        let running = Arc::clone(&sharing);
        Replica {
            who: ring.identify(&self.key).unwrap(),
            sharing,
            ring,
            stop,
            task: tokio::spawn(async move { running.run(stopped).await }),
            charged: AtomicU64::new(0),
        }
    }

    fn closed(&self, name: &str) -> Replica {
        self.replica(name, WhenDown::Closed)
    }

    /// What the server has of a counter: the sum of what was used, and of what may still be.
    fn counter(&self, part: &str) -> (i64, i64) {
        let keys = self.redis.ask(&["KEYS", &format!("pointsman:*{part}*")]).unwrap();
        assert!(keys.len() <= 1, "{keys:?}");
        let mut sums = (0, 0);
        for (field, value) in keys
            .first()
            .map(|key| self.redis.hash(key).unwrap())
            .unwrap_or_default()
        {
            if field.starts_with("r:") {
                let numbers: Vec<i64> = value
                    .split(':')
                    .take(2)
                    .map(|number| number.parse().unwrap())
                    .collect();
                sums.0 += numbers[0];
                sums.1 += (numbers[1] - numbers[0]).max(0);
            }
        }
        sums
    }
}

impl Replica {
    /// What is said where the server is there: a machine that has no time at all for it is asked again.
    async fn ask(&self, tokens: u64, cost: i64) -> Result<Reservation, DenialKind> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match self.ask_once(tokens, cost).await {
                Err(DenialKind::Unreachable) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                said => return said,
            }
        }
    }

    async fn ask_once(&self, tokens: u64, cost: i64) -> Result<Reservation, DenialKind> {
        let estimate = Estimate {
            tokens: Tokens::prompt(tokens),
            cost: Money::from_nanodollars(cost),
        };
        let asked = self.who.admit_shared(estimate, Instant::now());
        asked.await.map_err(|denied| denied.kind)
    }

    /// Settles as a request does that is recorded: under an id of this replica.
    fn settle(&self, site: &Site, reservation: Reservation, cost: i64) {
        let number = self.charged.fetch_add(1, Ordering::Relaxed);
        let id = format!("req_{}{:026x}", self.sharing.replica(), number);
        site.store.insert_ledger(&[entry(&id, cost)]).unwrap();
        reservation.settle(Actual {
            tokens: Tokens::prompt(0),
            cost: Money::from_nanodollars(cost),
        });
    }

    async fn stops(self) {
        let _ = self.stop.send(true);
        self.task.await.unwrap();
    }

    /// Without a word.
    fn dies(self) {
        self.task.abort();
    }

    fn spent(&self) -> i64 {
        let standing = self.ring.standings(Some(HolderKind::Organization), "o");
        standing[0].spent.nanodollars()
    }
}

fn entry(id: &str, cost: i64) -> LedgerEntry {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    LedgerEntry {
        id: id.into(),
        at: i64::try_from(now.as_millis()).unwrap(),
        key: None,
        team: Some("t".into()),
        user: None,
        surface: "/v1/chat/completions".to_owned(),
        model_requested: "m".to_owned(),
        provider: None,
        model: None,
        decision: None,
        outcome: Outcome::Complete,
        usage: Usage::default(),
        usage_estimated: false,
        cost: Money::from_nanodollars(cost),
        attempts: 1,
        streamed: false,
        status: 200,
        latency_us: 1,
        ttft_us: None,
        cache: "bypass".to_owned(),
        organization: Some("o".into()),
        project: None,
        saved: Money::ZERO,
        customer: None,
        agent: None,
        tags: Vec::new(),
    }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_never_spend_more_than_there_is_and_can_spend_it_all() {
    let amount = 1_000_000;
    let Some(site) = Site::open(Keeps::Nothing, budget(amount), budget(2 * amount)).await else {
        return;
    };
    let site = Arc::new(site);
    let replicas: Vec<_> = ["aaaaaaaa", "bbbbbbbb", "cccccccc"]
        .map(|name| Arc::new(site.closed(name)))
        .into();
    let spent = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for client in 0..24_usize {
        let (site, replica) = (Arc::clone(&site), Arc::clone(&replicas[client % 3]));
        let spent = Arc::clone(&spent);
        clients.push(tokio::spawn(async move {
            let mut denied = 0;
            while denied < 4 {
                match replica.ask(0, 1_000).await {
                    Ok(held) => {
                        denied = 0;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        // Less than was set aside: the rest comes back, also to the others.
                        replica.settle(&site, held, 900);
                        spent.fetch_add(900, Ordering::Relaxed);
                    }
                    Err(kind) => {
                        assert_eq!(kind, DenialKind::Budget);
                        denied += 1;
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let spent = i64::try_from(spent.load(Ordering::Relaxed)).unwrap();
    assert!(spent <= amount, "{spent}");
    assert!(
        spent > amount * 98 / 100,
        "only {spent} of {amount} could be used"
    );
    for replica in replicas {
        let replica = Arc::into_inner(replica).unwrap();
        replica.stops().await;
    }
    assert_eq!(site.counter("organization/o:budget"), (spent, 0));
    assert_eq!(site.counter("team/t:budget"), (spent, 0));
    let ledger = site.store.spent_by(HolderKind::Organization, "o", 0).unwrap();
    assert_eq!(ledger.nanodollars(), spent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_not_multiplied_by_replicas() {
    let organization = Terms {
        requests_per_minute: Some(100),
        tokens_per_minute: Some(5_000),
        concurrency: Some(10),
        ..Terms::default()
    };
    let Some(site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let replicas = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"].map(|name| site.closed(name));
    let mut held = Vec::new();
    for round in 0..16 {
        match replicas[round % 4].ask(1, 0).await {
            Ok(reservation) => held.push(reservation),
            Err(kind) => assert_eq!(kind, DenialKind::Concurrency),
        }
    }
    assert_eq!(held.len(), 10, "at once");
    drop(held);
    // What is free again is free for the others, too.
    until("a place of another replica", async || {
        replicas[3].ask(1, 0).await.is_ok()
    })
    .await;
    let mut admitted = 11;
    let mut last = None;
    for round in 0..200 {
        match replicas[round % 4].ask(1, 0).await {
            Ok(_) => admitted += 1,
            Err(DenialKind::Concurrency) => tokio::time::sleep(Duration::from_millis(250)).await,
            Err(kind) => last = Some(kind),
        }
        if last.is_some() && round > 120 {
            break;
        }
    }
    assert_eq!(last, Some(DenialKind::RequestsPerMinute));
    assert!(admitted <= 100, "{admitted} in a minute");
    for replica in replicas {
        replica.stops().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_one_script_share_a_slot_of_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    // A cluster of one, which refuses a script whose keys are in several slots as a large one does.
    let options = ["--cluster-enabled", "yes", "--appendonly", "no", "--save", ""];
    let Some(redis) = RedisServer::start_with(folder.path(), &options) else {
        return;
    };
    redis.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).unwrap();
    until("the cluster is there", async || {
        redis
            .ask(&["CLUSTER", "INFO"])
            .unwrap()
            .concat()
            .contains("cluster_state:ok")
    })
    .await;
    let apart = redis
        .ask(&["MGET", "pointsman:{a}:x", "pointsman:{b}:x"])
        .unwrap();
    assert!(apart.concat().starts_with("CROSSSLOT"), "{apart:?}");
    let limited = |amount| Terms {
        requests_per_minute: Some(100),
        tokens_per_minute: Some(5_000),
        concurrency: Some(10),
        ..budget(amount)
    };
    let site = Site::open_on((redis, folder), limited(10_000), limited(10_000)).await;
    let replicas = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    let mut admitted = 0;
    for round in 0..12 {
        if let Ok(reservation) = replicas[round % 2].ask(1, 1_000).await {
            replicas[round % 2].settle(&site, reservation, 1_000);
            admitted += 1;
        }
    }
    // What one holds in advance another may miss for a moment.
    assert!((8..=10).contains(&admitted), "{admitted}");
    let keys = site.redis.ask(&["KEYS", "pointsman:*"]).unwrap();
    assert!(keys.len() >= 8, "{keys:?}");
    let slots = keys
        .iter()
        .map(|key| site.redis.ask(&["CLUSTER", "KEYSLOT", key]).unwrap());
    let slots: std::collections::HashSet<Vec<String>> = slots.collect();
    assert_eq!(slots.len(), 1, "{keys:?}");
    for replica in replicas {
        replica.stops().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_were_not_used_come_back_to_all_replicas() {
    let organization = Terms {
        tokens_per_minute: Some(10_000),
        ..Terms::default()
    };
    let Some(site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let [one, two] = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    let held = one.ask(9_000, 0).await.unwrap();
    assert_eq!(two.ask(5_000, 0).await.unwrap_err(), DenialKind::TokensPerMinute);
    assert_eq!(two.ask(10_001, 0).await.unwrap_err(), DenialKind::TooLarge);
    held.settle(Actual {
        tokens: Tokens::prompt(1_000),
        cost: Money::ZERO,
    });
    until("what was not used", async || two.ask(5_000, 0).await.is_ok()).await;
    for replica in [one, two] {
        replica.stops().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn far_from_limits_hardly_any_request_asks() {
    let organization = Terms {
        requests_per_minute: Some(10_000_000),
        tokens_per_minute: Some(1_000_000_000),
        concurrency: Some(100_000),
        ..budget(1_000_000_000_000)
    };
    let Some(site) = Site::open(Keeps::Nothing, organization.clone(), organization).await else {
        return;
    };
    let replica = site.closed("aaaaaaaa");
    let requests = 20_000;
    for _ in 0..requests {
        let held = replica.ask(100, 1_000).await.unwrap();
        held.settle(Actual {
            tokens: Tokens::prompt(50),
            cost: Money::from_nanodollars(900),
        });
    }
    let counts = replica.sharing.counts();
    assert!(
        counts.asked + counts.told <= requests / 100,
        "{counts:?} for {requests} requests"
    );
    replica.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_dies_frees_its_places_and_its_minute_and_never_its_money() {
    let organization = Terms {
        concurrency: Some(4),
        ..budget(10_000)
    };
    let Some(site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let dying = site.closed("aaaaaaaa");
    let survivor = site.closed("bbbbbbbb");
    let settled = dying.ask(0, 2_000).await.unwrap();
    dying.settle(&site, settled, 2_000);
    let held = dying.ask(0, 6_000).await.unwrap();
    assert_eq!(survivor.ask(0, 5_000).await.unwrap_err(), DenialKind::Budget);
    std::mem::forget(held);
    dying.dies();
    // What it held may have been used: nobody else may use it until it says so.
    tokio::time::sleep(LIFE * 2).await;
    assert_eq!(survivor.ask(0, 5_000).await.unwrap_err(), DenialKind::Budget);
    let mut places = Vec::new();
    until("its places", async || {
        places.extend(survivor.ask(0, 0).await);
        places.len() == 4
    })
    .await;
    places.clear();
    // The next process of the same replica knows from the ledger what was used.
    let again = site.closed("aaaaaaaa");
    until("what it held comes back", async || {
        let _ = again.ask(0, 0).await;
        survivor
            .ask(0, 8_000)
            .await
            .map(|held| held.settle(Actual::default()))
            .is_ok()
    })
    .await;
    assert_eq!(
        survivor.ask(0, 8_001).await.unwrap_err(),
        DenialKind::Budget,
        "2,000 are spent"
    );
    assert_eq!(again.spent(), 2_000);
    again.stops().await;
    survivor.stops().await;
    assert_eq!(site.counter("organization/o:budget"), (2_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_lost_everything_is_told_again_and_nothing_counts_twice() {
    let Some(mut site) = Site::open(Keeps::Nothing, budget(10_000), Terms::default()).await else {
        return;
    };
    let [one, two] = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    for replica in [&one, &two] {
        let held = replica.ask(0, 1_500).await.unwrap();
        replica.settle(&site, held, 1_500);
    }
    let held = two.ask(0, 4_000).await.unwrap();
    site.redis.begin_again();
    assert_eq!(site.counter("organization/o:budget"), (0, 0));
    // What two holds counts, though the server does not know it.
    until("it goes on", async || {
        let asked = one.ask(0, 2_900).await;
        asked.map(|held| held.settle(Actual::default())).is_ok()
    })
    .await;
    assert_eq!(one.ask(0, 3_001).await.unwrap_err(), DenialKind::Budget);
    two.settle(&site, held, 4_000);
    one.stops().await;
    two.stops().await;
    assert_eq!(site.counter("organization/o:budget"), (7_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_lost_everything_is_told_the_last_minute_by_each_replica() {
    let organization = Terms {
        requests_per_minute: Some(10),
        ..Terms::default()
    };
    let Some(mut site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let [one, two] = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    for replica in [&one, &two] {
        for _ in 0..4 {
            replica.ask(0, 0).await.unwrap().settle(Actual::default());
        }
    }
    // Both have told it, so that nothing of it is owed any more.
    tokio::time::sleep(LIFE).await;
    site.redis.begin_again();
    let mut admitted = 8;
    for replica in [&one, &two] {
        until("it goes on", async || match replica.ask(0, 0).await {
            Ok(held) => {
                held.settle(Actual::default());
                admitted += 1;
                true
            }
            Err(kind) => kind != DenialKind::Unreachable,
        })
        .await;
    }
    for replica in [&one, &two] {
        while let Ok(held) = replica.ask(0, 0).await {
            held.settle(Actual::default());
            admitted += 1;
        }
    }
    assert_eq!(admitted, 10);
    one.stops().await;
    two.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_live_under_one_name_are_not_taken_for_one() {
    let Some(site) = Site::open(Keeps::Nothing, budget(10_000), Terms::default()).await else {
        return;
    };
    let first = site.closed("aaaaaaaa");
    let held = first.ask(0, 6_000).await.unwrap();
    // Its folder was copied to another machine: nobody knows of each other.
    site.last.lock().unwrap().clear();
    let twin = site.closed("aaaaaaaa");
    assert_eq!(
        twin.ask_once(0, 6_000).await.unwrap_err(),
        DenialKind::Unreachable
    );
    tokio::time::sleep(LIFE * 2).await;
    assert_eq!(
        twin.ask_once(0, 1_000).await.unwrap_err(),
        DenialKind::Unreachable
    );
    first.settle(&site, held, 6_000);
    first.stops().await;
    until("the name is free", async || twin.ask(0, 4_000).await.is_ok()).await;
    assert_eq!(twin.ask(0, 4_001).await.unwrap_err(), DenialKind::Budget);
    twin.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_can_be_asked_what_is_held_is_used_and_nothing_more() {
    let organization = Terms {
        requests_per_minute: Some(1_000),
        ..budget(100_000)
    };
    let Some(mut site) = Site::open(Keeps::Everything, organization, Terms::default()).await else {
        return;
    };
    let replica = site.closed("aaaaaaaa");
    let held = replica.ask(0, 1_000).await.unwrap();
    replica.settle(&site, held, 1_000);
    site.redis.kill();
    until("it is noticed", async || {
        let _ = replica.ask_once(0, 50_000).await;
        !replica.sharing.counts().is_up
    })
    .await;
    assert_eq!(
        replica.ask_once(0, 90_000).await.unwrap_err(),
        DenialKind::Unreachable
    );
    site.redis.begin_again();
    until("it is up again", async || replica.ask(0, 50_000).await.is_ok()).await;
    replica.stops().await;
    assert_eq!(site.counter("organization/o:budget"), (1_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_can_be_asked_a_share_may_be_used_where_that_is_configured_and_is_counted_once() {
    let organization = Terms {
        requests_per_minute: Some(100),
        ..budget(100_000)
    };
    let Some(mut site) = Site::open(Keeps::Everything, organization, Terms::default()).await else {
        return;
    };
    let replica = site.replica("aaaaaaaa", WhenDown::Local { percent: 10 });
    let held = replica.ask(0, 10_000).await.unwrap();
    replica.settle(&site, held, 10_000);
    // Nothing is held in advance any more, so that the share is all there is.
    tokio::time::sleep(Duration::from_millis(500)).await;
    site.redis.kill();
    until("it is noticed", async || {
        let _ = replica.ask_once(0, 99_000).await;
        !replica.sharing.counts().is_up
    })
    .await;
    let mut admitted = 0;
    let mut denied = None;
    while denied.is_none() {
        match replica.ask_once(0, 100).await {
            Ok(held) => {
                replica.settle(&site, held, 100);
                admitted += 1;
            }
            Err(kind) => denied = Some(kind),
        }
        assert!(admitted <= 100, "more than all");
    }
    assert!(admitted > 0);
    assert_eq!(denied, Some(DenialKind::RequestsPerMinute));
    site.redis.begin_again();
    until("it is up again", async || replica.sharing.counts().is_up).await;
    let spent = 10_000 + 100 * admitted;
    assert_eq!(replica.spent(), spent);
    replica.stops().await;
    assert_eq!(site.counter("organization/o:budget"), (spent, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_go_by_the_clock_of_the_server_and_begin_anew_for_all_replicas_at_once() {
    let organization = Terms {
        budgets: vec![Budget::of(
            Money::from_nanodollars(1_000),
            BudgetWindow::Seconds(3),
        )],
        ..Terms::default()
    };
    let Some(site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let [one, two] = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    let mut windows = std::collections::BTreeMap::<u64, u64>::new();
    let end = Instant::now() + Duration::from_secs(7);
    let mut turn = 0;
    while Instant::now() < end {
        let replica = [&one, &two][turn % 2];
        turn += 1;
        if let Ok(held) = replica.ask(0, 100).await {
            let time = site.redis.ask(&["TIME"]).unwrap();
            *windows.entry(time[0].parse::<u64>().unwrap() / 3).or_default() += 100;
            held.settle(Actual {
                tokens: Tokens::prompt(0),
                cost: Money::from_nanodollars(100),
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A request that was admitted at the very end of a window may be seen in the next: one of each replica.
    assert!(windows.values().all(|spent| *spent <= 1_200), "{windows:?}");
    assert!(
        windows.len() >= 3 && windows.values().any(|spent| *spent >= 900),
        "{windows:?}"
    );
    one.stops().await;
    two.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn quotas_of_models_and_of_either_side_are_counted_together() {
    let quota = |of, amount, models: &[&str]| Quota {
        of,
        amount,
        window: BudgetWindow::Day,
        zone: None,
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        providers: Vec::new(),
        cel: None,
        unit: None,
    };
    let organization = Terms {
        quotas: vec![
            quota(Counted::Requests, 40, &["m*"]),
            quota(Counted::OutputTokens, 10_000, &[]),
        ],
        input_tokens_per_minute: Some(1_000),
        ..Terms::default()
    };
    let Some(site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let replicas = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    let ask = async |at: usize, model: &str, tokens: Tokens| {
        let end = Instant::now() + Duration::from_secs(20);
        let who = replicas[at % 2]
            .who
            .asking(model, &ModelLimits::default())
            .unwrap();
        let estimate = Estimate {
            tokens,
            cost: Money::ZERO,
        };
        loop {
            match who
                .admit_shared(estimate, Instant::now())
                .await
                .map_err(|denied| denied.kind)
            {
                Err(DenialKind::Unreachable) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                said => return said,
            }
        }
    };
    let one = |input, output| Tokens { input, output };
    let mut admitted = 0;
    for at in 0..60 {
        match ask(at, "mini", one(1, 1)).await {
            Ok(held) => {
                admitted += 1;
                held.settle(Actual {
                    tokens: one(1, 1),
                    cost: Money::ZERO,
                });
            }
            Err(kind) => assert_eq!(kind, DenialKind::Quota),
        }
    }
    assert_eq!(admitted, 40, "all that there is, and not one more");
    // Of another model there are as many as one likes; the other limits hold for it, too.
    let held = ask(0, "other", one(0, 9_000)).await.unwrap();
    assert_eq!(
        ask(1, "other", one(0, 2_000)).await.unwrap_err(),
        DenialKind::Quota
    );
    held.settle(Actual::default());
    until("what was not used", async || {
        ask(1, "other", one(0, 2_000)).await.is_ok()
    })
    .await;
    assert_eq!(
        ask(0, "other", one(990, 0)).await.unwrap_err(),
        DenialKind::TokensPerMinute
    );
    until("what the other holds in advance", async || {
        ask(1, "other", one(900, 0)).await.is_ok()
    })
    .await;
    for replica in replicas {
        replica.stops().await;
    }
}

#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_stay_reserved_across_replicas() {
    let team = Terms {
        tokens_per_minute: Some(1_000),
        shares: [("interactive".to_owned(), 40)].into(),
        ..Terms::default()
    };
    let Some(site) = Site::open(Keeps::Nothing, Terms::default(), team).await else {
        return;
    };
    let grant = NewKey {
        team: Some("t".into()),
        priority: Some("interactive".to_owned()),
        ..NewKey::default()
    };
    let made = site
        .store
        .create_key_as(&Actor::local(), grant, Metadata::new(), None)
        .unwrap();
    let first = made.1.expose_secret();
    let replicas = ["aaaaaaaa", "bbbbbbbb"].map(|name| Arc::new(site.closed(name)));
    let used = |tokens| Actual {
        tokens: Tokens::prompt(tokens),
        cost: Money::ZERO,
    };
    // Everybody else, at both replicas at once, until nothing is left for them.
    let taken = Arc::new(AtomicU64::new(0));
    let mut crowd = Vec::new();
    for client in 0..16_usize {
        let (replica, taken) = (Arc::clone(&replicas[client % 2]), Arc::clone(&taken));
        crowd.push(tokio::spawn(async move {
            let mut denied = 0;
            while denied < 4 {
                match replica.ask(7, 0).await {
                    Ok(held) => {
                        taken.fetch_add(7, Ordering::Relaxed);
                        held.settle(used(7));
                    }
                    Err(kind) => {
                        assert_eq!(kind, DenialKind::TokensPerMinute);
                        denied += 1;
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                }
            }
        }));
    }
    for client in crowd {
        client.await.unwrap();
    }
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken <= 600, "{taken} of 600");
    assert!(taken > 600 * 95 / 100, "only {taken} of 600 could be used");
    // What is reserved is there, to the last token, wherever it is asked for.
    let ask = async |replica: usize, tokens: u64| {
        let estimate = Estimate {
            tokens: Tokens::prompt(tokens),
            cost: Money::ZERO,
        };
        let who = replicas[replica].ring.identify(first).unwrap();
        let mut said = Err(DenialKind::TokensPerMinute);
        for _ in 0..8 {
            // What the other replica holds in advance comes back with its next rounds.
            said = who
                .admit_shared(estimate, Instant::now())
                .await
                .map_err(|denied| denied.kind);
            if said.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        said
    };
    let left = 1_000 - taken;
    ask(1, left - 100).await.unwrap().settle(used(left - 100));
    assert_eq!(ask(0, 101).await.err(), Some(DenialKind::TokensPerMinute));
    ask(0, 100).await.unwrap().settle(used(100));
    for replica in replicas {
        Arc::into_inner(replica).unwrap().stops().await;
    }
}
