//! Four gateways that count together on one Redis: no limit is ever passed, nothing is left behind, whoever dies.

mod postgres;
mod site;
mod storm;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::harness::{get, post};
use site::{CLIENTS, Crowd, LEAN, Site, all, body, dollars};
use storm::{Fault, Storm};

/// All clients at once on three keys, until each has run into its limit; then the books are looked at.
async fn race(mut site: Site, amount: i64) {
    let crowds = [(&site.rich, CLIENTS - 128), (&site.hasty, 64), (&site.lean, 64)]
        .map(|(key, clients)| (Crowd::new(&site, key, 3), clients));
    let mut clients = Vec::new();
    for (crowd, number) in &crowds {
        clients.extend(crowd.gather(*number));
    }
    all(clients).await;
    // What was held for those under way was refused to the others: one alone takes what is left.
    all(crowds.iter().flat_map(|(crowd, _)| crowd.gather(1)).collect()).await;
    for (crowd, _) in &crowds {
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
    site.assert_used("o", dollars(amount));
    site.assert_used("q", dollars(LEAN));
    let tokens = site.most_in_a_minute("hasty");
    assert!((3_000..=6_000).contains(&tokens), "{tokens} tokens in a minute");
    site.assert_counted();
    for (crowd, _) in &crowds {
        site.assert_complete(&crowd.finished.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_replicas_and_512_clients_never_pass_a_limit_and_can_use_it_up() {
    let amount = 8;
    if let Some(site) = Site::open(amount).await {
        race(site, amount).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_of_replicas_and_of_redis_never_pass_a_limit_and_are_recovered_from() {
    let amount = 12;
    if let Some(site) = Site::open(amount).await {
        let storm = Storm {
            lasts: Duration::from_secs(9),
            clients: 64,
            faults: &[Fault::Death, Fault::Death, Fault::Redis],
        };
        storm.over(site, amount).await;
    }
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
