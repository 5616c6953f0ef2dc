//! Windows that slide, counted by several replicas together: never passed wherever they begin, free again as they slide,
//! found again after a replica has died and after the server has lost them.

use pointsman_governance::{Gate, Sent};
use pointsman_store::{Ask, CounterKind, SharedCounters, Verdict};

use super::*;

fn slides(seconds: u64, nanodollars: i64) -> Terms {
    Terms {
        budgets: vec![Budget::of(
            Money::from_nanodollars(nanodollars),
            BudgetWindow::Sliding(seconds),
        )],
        ..Terms::default()
    }
}

/// The most that was used in any window of a length, by the times at which it was settled.
fn most_in_any(used: &mut [(Instant, i64)], length: Duration) -> i64 {
    used.sort_unstable();
    let sums = used.iter().map(|(begin, _)| {
        let window = used.iter().filter(|(at, _)| at >= begin && *at - *begin < length);
        window.map(|(_, amount)| amount).sum()
    });
    sums.max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_never_pass_a_window_that_slides_and_what_leaves_it_is_free_again() {
    let (amount, seconds) = (100_000, 4);
    let Some(site) = Site::open(Keeps::Nothing, slides(seconds, amount), Terms::default()).await else {
        return;
    };
    let site = Arc::new(site);
    let replicas: Vec<_> = ["aaaaaaaa", "bbbbbbbb", "cccccccc"]
        .map(|name| Arc::new(site.closed(name)))
        .into();
    let used = Arc::new(Mutex::new(Vec::new()));
    let end = Instant::now() + Duration::from_secs(10);
    let mut clients = Vec::new();
    for client in 0..12_usize {
        let (site, replica) = (Arc::clone(&site), Arc::clone(&replicas[client % 3]));
        let used = Arc::clone(&used);
        clients.push(tokio::spawn(async move {
            while Instant::now() < end {
                match replica.ask(0, 1_000).await {
                    Ok(held) => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        replica.settle(&site, held, 900);
                        used.lock().unwrap().push((Instant::now(), 900));
                    }
                    Err(kind) => {
                        assert_eq!(kind, DenialKind::Budget);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    for replica in replicas {
        Arc::into_inner(replica).unwrap().stops().await;
    }
    let mut used = used.lock().unwrap();
    // Times are taken here, a little after what they are of.
    let most = most_in_any(&mut used, Duration::from_millis(3_900));
    assert!(most <= amount, "{most} in one window");
    assert!(most > amount * 9 / 10, "only {most} of {amount} could be used");
    let all: i64 = used.iter().map(|(_, amount)| amount).sum();
    assert!(
        all > amount * 18 / 10,
        "{all} in ten seconds: nothing came free again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_held_when_it_died_is_known_from_the_ledger_when_it_is_back() {
    let Some(site) = Site::open(Keeps::Nothing, slides(3_600, 100_000), Terms::default()).await else {
        return;
    };
    let one = site.closed("aaaaaaaa");
    let held = one.ask(0, 10_000).await.unwrap();
    one.settle(&site, held, 10_000);
    let held = one.ask(0, 50_000).await.unwrap();
    // Charged, and not told any more.
    one.task.abort();
    one.settle(&site, held, 5_000);
    one.dies();
    tokio::time::sleep(LIFE).await;
    let two = site.closed("bbbbbbbb");
    assert_eq!(
        two.ask(0, 60_000).await.unwrap_err(),
        DenialKind::Budget,
        "what the dead one held it may have used"
    );
    // The next process of the same replica says what was used of it.
    let one = site.closed("aaaaaaaa");
    one.ask(0, 1).await.unwrap().settle(Actual::default());
    until("what was not used", async || match two.ask(0, 75_000).await {
        Ok(held) => {
            held.settle(Actual::default());
            true
        }
        Err(_) => false,
    })
    .await;
    assert_eq!(two.ask(0, 85_001).await.unwrap_err(), DenialKind::Budget);
    one.stops().await;
    two.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_used_after_it_had_used_up_what_it_held_is_found_when_it_is_back() {
    let Some(site) = Site::open(Keeps::Nothing, slides(3_600, 100_000), Terms::default()).await else {
        return;
    };
    let one = site.closed("aaaaaaaa");
    let held = one.ask(0, 100_000).await.unwrap();
    one.settle(&site, held, 40_000);
    until("it has told", async || {
        site.counter("organization/o:budget").1 == 0
    })
    .await;
    one.task.abort();
    // More than it held of it, as where nobody can be asked, and not told any more.
    let id = format!("req_{}{:026x}", one.sharing.replica(), 99);
    site.store.insert_ledger(&[entry(&id, 30_000)]).unwrap();
    one.dies();
    tokio::time::sleep(LIFE).await;
    // Another looks at the counter meanwhile, and leaves what the dead one told.
    let two = site.closed("bbbbbbbb");
    drop(two.ask(0, 1_000).await.unwrap());
    let one = site.closed("aaaaaaaa");
    drop(one.ask(0, 1_000).await.unwrap());
    assert_eq!(one.ask(0, 30_001).await.unwrap_err(), DenialKind::Budget);
    one.stops().await;
    two.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_has_lost_is_found_in_the_ledger() {
    let Some(site) = Site::open(Keeps::Nothing, slides(3_600, 100_000), Terms::default()).await else {
        return;
    };
    let one = site.closed("aaaaaaaa");
    for _ in 0..4 {
        let held = one.ask(0, 20_000).await.unwrap();
        one.settle(&site, held, 20_000);
    }
    one.stops().await;
    site.redis.ask(&["FLUSHALL"]).unwrap();
    let two = site.closed("bbbbbbbb");
    assert_eq!(two.spent(), 80_000);
    assert_eq!(two.ask(0, 20_001).await.unwrap_err(), DenialKind::Budget);
    let held = two.ask(0, 20_000).await.unwrap();
    two.settle(&site, held, 20_000);
    let estimate = Estimate {
        tokens: Tokens::prompt(0),
        cost: Money::from_nanodollars(1),
    };
    let denied = two.who.admit_shared(estimate, Instant::now()).await.unwrap_err();
    assert!(
        denied.message.contains(" in any 1h, of which"),
        "{}",
        denied.message
    );
    assert!(
        denied.message.contains("enough is free again at"),
        "{}",
        denied.message
    );
    let wait = denied.retry_after.unwrap().as_secs();
    assert!((3_500..=3_637).contains(&wait), "{wait}");
    two.stops().await;
    // Those that come after count what is on the server, and nothing twice.
    let three = site.closed("cccccccc");
    assert_eq!(three.spent(), 100_000);
    three.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_used_at_a_provider_is_counted_together() {
    let quota = Quota {
        providers: vec!["p*".to_owned()],
        ..Quota::of(Counted::Requests, 40, BudgetWindow::Sliding(3_600))
    };
    let organization = Terms {
        quotas: vec![quota],
        ..Terms::default()
    };
    let Some(site) = Site::open(Keeps::Nothing, organization, Terms::default()).await else {
        return;
    };
    let replicas = ["aaaaaaaa", "bbbbbbbb"].map(|name| site.closed(name));
    let gate = Gate::default();
    let enter = async |at: usize| {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let entrance = gate.before(&replicas[at % 2].who, "p1");
            match entrance.enter("m", Sent::one(Tokens::prompt(1))).await {
                Err(denied) if denied.kind == DenialKind::Unreachable && Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                said => return said.map_err(|denied| denied.kind),
            }
        }
    };
    let mut admitted = 0;
    let end = Instant::now() + Duration::from_secs(20);
    let mut denied = 0;
    for at in 0.. {
        assert!(Instant::now() < end, "it does not end");
        match enter(at).await {
            Ok(held) => {
                (admitted, denied) = (admitted + 1, 0);
                drop(held.unwrap());
            }
            Err(kind) => {
                assert_eq!(kind, DenialKind::Quota);
                denied += 1;
                // What one holds in advance comes to the other.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        if denied == 6 {
            break;
        }
    }
    assert_eq!(admitted, 40, "all that there is, and not one more");
    assert!(gate.before(&replicas[0].who, "q").is_open());
    for replica in replicas {
        replica.stops().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_back_again_because_the_answer_was_lost_counts_once() {
    let Some(site) = Site::open(Keeps::Nothing, Terms::default(), Terms::default()).await else {
        return;
    };
    let url = SecretString::from(site.redis.url());
    let patience = Patience {
        life: LIFE,
        grace: GRACE,
    };
    let counters = RedisCounters::new(&url, "aaaaaaaa", ["one", "none"], patience).unwrap();
    let exchange = async |ask: &Ask| {
        let asks = std::slice::from_ref(ask);
        let answers = counters.exchange(asks, Duration::from_secs(10)).await.unwrap();
        answers.told[0]
    };
    let sliding = CounterKind::Sliding {
        length: 3_600_000,
        width: 36_000,
    };
    for (key, kind) in [("slides", sliding), ("minute", CounterKind::Minute)] {
        let mut ask = Ask {
            key: format!("pointsman:{{limits}}:{key}"),
            kind,
            limit: Some(100),
            used: 0,
            acknowledged: 0,
            recent: 0,
            hold: 0,
            need: 10,
            asked: 10,
            want: 10,
            version: 0,
            corrections: (0, Vec::new()),
            ledger: Some(Vec::new()),
            lifetime: Duration::from_secs(600),
        };
        let mut version = 0;
        until("it is given something", async || {
            let told = exchange(&ask).await;
            version = told.version;
            told.verdict == Verdict::Granted
        })
        .await;
        ask.version = version;
        (ask.used, ask.hold, ask.need, ask.asked, ask.want) = (7, 7, 7, 7, 6);
        for _ in 0..3 {
            assert_eq!(exchange(&ask).await.total, 7, "{key}");
        }
        // Who ends is forgotten, not what it used.
        ask.want = Ask::ENDS;
        assert_eq!(exchange(&ask).await.total, 7, "{key}");
        (ask.acknowledged, ask.want) = (7, 6);
        assert_eq!(exchange(&ask).await.total, 7, "{key}");
    }
}
