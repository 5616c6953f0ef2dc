//! Answers beside the process, on a real Redis, a real PostgreSQL and a simulated Qdrant: shared by replicas, kept over
//! restarts, forgotten everywhere, and never in the way when the server dies.

use std::path::Path;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, header};
use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::redis::{Finds, Keeps, RedisServer};
use pointsman_testbed::{KEPT_KEY, KeptKind, KeptServer, SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATH, config, hit, say};
use crate::harness::{Answer, House, exchange, folder, get, key, post, send, store};

const TOKEN: &str = "an-admin-token-of-some-length";

/// One of several gateways of the same configuration.
struct Replica {
    house: House,
    folder: TempDir,
    key: String,
}

/// Answers of all teams `red` are shared by all of them.
fn block(url: &str, semantic: &str) -> String {
    format!(
        "cache: {{ exact: {{ ttl: 1h }}, {semantic} scope: team, backend: {{ url: \"{url}\", timeout: 2s }} }}"
    )
}

/// The same on Qdrant, which wants a key.
fn on_qdrant(server: &KeptServer, semantic: &str) -> String {
    let url = format!("qdrant://{}/answers", server.address());
    let auth = format!("auth: {{ api_key: {KEPT_KEY} }}, timeout: 2s");
    block(&url, semantic).replace("timeout: 2s", &auth)
}

/// The same, of which a request waits for a tenth of a second.
fn impatient(url: &str) -> String {
    block(url, "").replace("timeout: 2s", "timeout: 100ms")
}

fn open(folder: &Path) -> House {
    House::open_with(folder, &[("POINTSMAN_ADMIN_TOKEN", TOKEN)])
}

impl Replica {
    fn of(sim: &SimServer, block: &str) -> Self {
        let folder = folder(&config(sim, block));
        let store = store(folder.path());
        for team in ["red", "blue"] {
            let made = store.create_holder(
                &Actor::local(),
                HolderKind::Team,
                Some(team.to_owned()),
                HolderSpec::default(),
            );
            made.unwrap();
        }
        drop(store);
        let key = of_team(folder.path(), "red");
        Self {
            house: open(folder.path()),
            folder,
            key,
        }
    }

    async fn ask(&self, body: &Value) -> Answer {
        post(self.house.address, PATH, &self.key, body).await.unwrap()
    }

    async fn admin(&self, method: Method, path: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        exchange(self.house.admin, method, path, headers, "".into())
            .await
            .unwrap()
    }

    async fn metrics(&self) -> String {
        get(self.house.admin, "/metrics").await.unwrap().text().to_owned()
    }

    async fn wish(&self, wish: &str, body: &Value) -> Answer {
        let request = http::Request::post(PATH)
            .header("authorization", format!("Bearer {}", self.key))
            .header("x-pointsman-cache-control", wish)
            .body(body.to_string())
            .unwrap();
        send(self.house.address, request).await.unwrap()
    }

    /// What a metric says, its labels included in `name`.
    async fn metric(&self, name: &str) -> u64 {
        let metrics = self.metrics().await;
        let line = metrics.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no metric {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until questions are understood.
    async fn understands(&self) {
        for number in 0..400 {
            let body = say(&format!("Is it ready, question {number}?"));
            hit(&self.wish("no-store", &body).await);
            let name = "pointsman_cache_bypassed_total{reason=\"loading\"}";
            if self.metric(name).await <= number {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("questions are never understood");
    }

    /// Waits until the back end holds so many answers.
    async fn until_holds(&self, entries: u64) {
        for _ in 0..200 {
            let seen = self.admin(Method::GET, "/admin/v1/cache").await.json();
            if seen["backend"]["entries"].as_u64() == Some(entries) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it never holds {entries}");
    }
}

fn of_team(folder: &Path, team: &str) -> String {
    key(
        folder,
        NewKey {
            team: Some(team.into()),
            ..NewKey::default()
        },
    )
}

/// Asks until the answer is a hit of this kind, or fails.
async fn until_hit(replica: &Replica, body: &Value, wanted: &str) -> Answer {
    for _ in 0..600 {
        // Nothing is sent, so that only a remembered answer can come.
        let answer = replica.wish("only-if-cached, no-store", body).await;
        if answer.status == 200 {
            assert_eq!(hit(&answer), wanted, "{}", answer.text());
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{body} is never answered");
}

/// What replicas share, on any server.
async fn is_shared(block: &str) {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let mut first = Replica::of(&sim, block);
    let second = Replica::of(&sim, block);
    let body = say("What is a pointsman?");
    another_replica_has_it(&first, &second, &body).await;
    nobody_of_another_team_has_it(&second, &body).await;
    assert_eq!(sim.served().len(), 2);
    // A process that begins anew has it.
    first.house.kill();
    first.house = open(first.folder.path());
    until_hit(&first, &body, "exact").await;
    assert_eq!(sim.served().len(), 2);
    what_one_forgets_all_forget(&first, &second).await;
    assert_eq!(hit(&second.ask(&body).await), "exact", "what does not fit stays");
}

/// With its price and its every word.
async fn another_replica_has_it(first: &Replica, second: &Replica, body: &Value) {
    let given = first.ask(body).await;
    assert_eq!(hit(&given), "miss");
    first.until_holds(1).await;
    let again = second.ask(body).await;
    assert_eq!(hit(&again), "exact");
    assert_eq!(again.json()["choices"], given.json()["choices"]);
    assert_eq!(
        again.header("x-pointsman-saved-usd"),
        given.header("x-pointsman-cost-usd")
    );
    assert_eq!(
        again.header("x-pointsman-cache-key"),
        given.header("x-pointsman-cache-key")
    );
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    assert_eq!(hit(&second.ask(&streamed).await), "exact");
}

async fn nobody_of_another_team_has_it(second: &Replica, body: &Value) {
    let stranger = of_team(second.folder.path(), "blue");
    let mut known = None;
    for _ in 0..200 {
        let answer = post(second.house.address, PATH, &stranger, body).await.unwrap();
        if answer.status == 200 {
            known = Some(answer);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(hit(&known.unwrap()), "miss");
}

async fn what_one_forgets_all_forget(first: &Replica, second: &Replica) {
    let tagged = http::Request::post(PATH)
        .header("authorization", format!("Bearer {}", first.key))
        .header("x-pointsman-cache-tags", "faq, other")
        .body(say("And tagged?").to_string())
        .unwrap();
    assert_eq!(hit(&send(first.house.address, tagged).await.unwrap()), "miss");
    first.until_holds(3).await;
    assert_eq!(hit(&second.ask(&say("And tagged?")).await), "exact");
    let gone = first
        .admin(Method::DELETE, "/admin/v1/cache/entries?tag=faq&team=red")
        .await;
    assert_eq!(gone.json()["deleted"]["backend"], 1, "{}", gone.text());
    assert_eq!(gone.json()["deleted"]["exact"], 1);
    let until = Instant::now() + Duration::from_secs(10);
    while hit(&second.ask(&say("And tagged?")).await) == "exact" {
        assert!(Instant::now() < until, "it is never forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_answers_on_redis() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = RedisServer::start(folder.path(), Keeps::Nothing) else {
        return;
    };
    is_shared(&block(&server.url(), "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_answers_on_postgres() {
    let server = PostgresServer::start().unwrap();
    is_shared(&block(&server.make("cache").unwrap(), "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_answers_on_qdrant() {
    let server = KeptServer::local(KeptKind::Qdrant).await.unwrap();
    is_shared(&on_qdrant(&server, "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_answers_over_restarts() {
    let kept = tempfile::tempdir().unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let url = format!("file://{}/answers", kept.path().display());
    let mut replica = Replica::of(&sim, &block(&url, ""));
    let body = say("What is a pointsman?");
    assert_eq!(hit(&replica.ask(&body).await), "miss");
    replica.until_holds(1).await;
    replica.house.kill();
    replica.house = open(replica.folder.path());
    assert_eq!(hit(&replica.ask(&body).await), "exact");
    assert_eq!(sim.served().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_in_other_words_is_answered_by_another_replica_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = RedisServer::start(folder.path(), Keeps::Nothing) else {
        return;
    };
    is_understood_by_all(&block(&server.url(), SEMANTIC)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_in_other_words_is_found_on_qdrant_by_another_replica_and_after_a_restart() {
    let server = KeptServer::local(KeptKind::Qdrant).await.unwrap();
    is_understood_by_all(&on_qdrant(&server, SEMANTIC)).await;
    let asked = server.served();
    assert!(asked.iter().any(|line| line.contains("/points/query")));
}

const SEMANTIC: &str = "semantic: { ttl: 1h, deadline: 5s },";

async fn is_understood_by_all(block: &str) {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let first = Replica::of(&sim, block);
    let mut second = Replica::of(&sim, block);
    first.understands().await;
    let alike = say("What's the capital of Australia, please?");
    assert_eq!(
        hit(&first.ask(&say("What is the capital of Australia?")).await),
        "miss"
    );
    let found = until_hit(&second, &alike, "semantic").await;
    assert!(!found.header("x-pointsman-cache-similarity").is_empty());
    assert_eq!(
        hit(&second.ask(&say("What is the capital of Austria?")).await),
        "miss"
    );
    second.house.kill();
    second.house = open(second.folder.path());
    until_hit(&second, &alike, "semantic").await;
    // What is forgotten at one is forgotten at the other, the question included.
    let gone = first.admin(Method::POST, "/admin/v1/cache/flush").await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        if second.wish("only-if-cached", &alike).await.status == 504 {
            return;
        }
        assert!(Instant::now() < until, "it is never forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The longest that any of many requests takes, for so long.
async fn longest(replica: &Replica, time: Duration) -> Duration {
    let begun = Instant::now();
    let (mut rounds, mut longest) = (0_u32, Duration::ZERO);
    while begun.elapsed() < time {
        let asking = (0..8).map(|number| {
            let body = say(&format!("{rounds} {number} {begun:?}"));
            async move {
                let begun = Instant::now();
                let answer = replica.ask(&body).await;
                assert_eq!(hit(&answer), "miss");
                begun.elapsed()
            }
        });
        let waits = futures_util::future::join_all(asking).await;
        longest = longest.max(waits.into_iter().max().unwrap());
        rounds += 1;
    }
    assert!(rounds > 1, "{rounds} rounds of requests");
    longest
}

/// Requests go on while the server is gone, each at most the time-out later, and the breaker is seen to open and close.
async fn goes_on(replica: &Replica, die: impl FnOnce(), rise: impl FnOnce()) {
    let breaker = async |state: u8| {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            drop(replica.ask(&say(&format!("Breaker {:?}", Instant::now()))).await);
            let said = replica.metric("pointsman_cache_backend_breaker{").await;
            if said == u64::from(state) {
                return;
            }
            assert!(Instant::now() < until, "it is {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    drop(replica.ask(&say("before")).await);
    breaker(0).await;
    // What the machine takes by itself.
    let usual = longest(replica, Duration::from_secs(2)).await;
    die();
    let longest = longest(replica, Duration::from_secs(4)).await;
    // The time-out is 100 ms; the rest is a busy machine.
    assert!(
        longest < usual + Duration::from_millis(600),
        "{longest:?} instead of {usual:?}"
    );
    // What is here is given as ever.
    assert_eq!(hit(&replica.ask(&say("before")).await), "exact");
    breaker(2).await;
    let told = replica.admin(Method::POST, "/admin/v1/cache/flush").await;
    assert!(told.status == 503 || told.status == 200, "{}", told.text());
    rise();
    breaker(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_in_other_words_is_found_on_redis_by_another_replica_and_after_a_restart() {
    for (finds, command) in [
        (Finds::InSets, "cmdstat_VSIM"),
        (Finds::ByIndex, "cmdstat_FT.SEARCH"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some(server) = RedisServer::start_finding(folder.path(), finds) else {
            return;
        };
        let block = block(&server.url(), SEMANTIC);
        is_understood_by_all(&block.replace("timeout: 2s", "search: true, timeout: 2s")).await;
        let counted = server.ask(&["INFO", "commandstats"]).unwrap().concat();
        assert!(counted.contains(command), "{counted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_killed_under_load_is_a_miss_and_comes_back() {
    let kept = tempfile::tempdir().unwrap();
    let Some(mut server) = RedisServer::start(kept.path(), Keeps::Nothing) else {
        return;
    };
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let replica = Replica::of(&sim, &impatient(&server.url()));
    let server = std::cell::RefCell::new(&mut server);
    goes_on(
        &replica,
        || server.borrow_mut().kill(),
        || server.borrow_mut().begin_again(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_killed_under_load_is_a_miss_and_comes_back() {
    let mut server = PostgresServer::start().unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let replica = Replica::of(&sim, &impatient(&server.make("cache").unwrap()));
    let server = std::cell::RefCell::new(&mut server);
    goes_on(
        &replica,
        || server.borrow_mut().halt().unwrap(),
        || server.borrow_mut().begin().unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_starts_without_its_back_end() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    // Nobody listens there.
    let replica = Replica::of(&sim, &block("redis://127.0.0.1:1", ""));
    assert_eq!(hit(&replica.ask(&say("Anybody?")).await), "miss");
    assert_eq!(hit(&replica.ask(&say("Anybody?")).await), "exact");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_forget_answers_and_it_is_written_down() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let replica = Replica::of(&sim, "cache: { exact: { ttl: 1h }, scope: key }");
    let given = replica.ask(&say("What is a pointsman?")).await;
    let entry = given.header("x-pointsman-cache-key").to_owned();
    assert_eq!(entry.len(), 64);
    is_seen(&replica, &entry, &given).await;
    makes_sense(&replica).await;
    is_forgotten(&replica, &entry).await;
    is_written_down(&replica, &entry).await;
}

/// What is known of an answer, and no word of it.
async fn is_seen(replica: &Replica, entry: &str, given: &Answer) {
    let path = format!("/admin/v1/cache/entries/{entry}");
    let seen = replica.admin(Method::GET, &path).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let seen = seen.json();
    assert_eq!(seen["labels"]["team"], "red");
    assert_eq!(seen["labels"]["models"], json!(["fast", "gpt-5-mini"]));
    assert_eq!(
        seen["memory"]["cost_usd"].as_str().unwrap(),
        given.header("x-pointsman-cost-usd")
    );
    assert!(seen["expires_in_seconds"].as_u64().unwrap() > 3_500);
    let said = given.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!seen.to_string().contains(&said), "no word of an answer is shown");
    let stats = replica.admin(Method::GET, "/admin/v1/cache").await.json();
    assert_eq!(
        (&stats["exact"]["entries"], &stats["backend"]),
        (&json!(1), &Value::Null)
    );
}

async fn makes_sense(replica: &Replica) {
    for (method, path, status) in [
        (Method::GET, "/admin/v1/cache/entries/00", 400),
        (
            Method::GET,
            &*format!("/admin/v1/cache/entries/{}", "0".repeat(64)),
            404,
        ),
        (Method::DELETE, "/admin/v1/cache/entries", 400),
        (Method::DELETE, "/admin/v1/cache/entries?colour=red", 400),
        (Method::GET, "/admin/v1/cache/flush", 405),
    ] {
        let answer = replica.admin(method, path).await;
        assert_eq!(answer.status, status, "{path} {}", answer.text());
    }
}

async fn is_forgotten(replica: &Replica, entry: &str) {
    for (which, deleted, hits) in [
        ("entries?team=blue", 0, "exact"),
        ("entries?model=gpt-5-mini&user=nobody", 0, "exact"),
        ("entries?model=gpt-5-mini", 1, "miss"),
        (&*format!("entries/{entry}"), 1, "miss"),
    ] {
        let gone = replica
            .admin(Method::DELETE, &format!("/admin/v1/cache/{which}"))
            .await;
        assert_eq!(
            gone.json()["deleted"]["exact"],
            deleted,
            "{which} {}",
            gone.text()
        );
        assert_eq!(
            hit(&replica.ask(&say("What is a pointsman?")).await),
            hits,
            "{which}"
        );
    }
    let gone = replica.admin(Method::POST, "/admin/v1/cache/flush").await;
    assert_eq!(gone.json()["deleted"]["exact"], 1);
}

/// Who has had what forgotten; and whoever has the token of a client has nothing forgotten.
async fn is_written_down(replica: &Replica, entry: &str) {
    let audit = replica
        .admin(Method::GET, "/admin/v1/audit?limit=100")
        .await
        .json();
    let rows: Vec<_> = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["kind"] == "cache")
        .collect();
    let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["delete", "delete", "delete", "delete", "flush"]);
    assert_eq!(rows[0]["after"]["labels"]["team"], "blue");
    assert_eq!(rows[3]["after"]["entry"], entry);
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        format!("Bearer {}", replica.key).parse().unwrap(),
    );
    let barred = exchange(
        replica.house.admin,
        Method::POST,
        "/admin/v1/cache/flush",
        headers,
        "".into(),
    );
    assert_eq!(barred.await.unwrap().status, 401);
}
