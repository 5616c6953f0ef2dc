//! Gateways on PostgreSQL: many of them, a database that goes away, `kill -9`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Method, Request, header};
use pointsman_store::{LedgerFilter, NewKey, Store};
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::{SimOptions, SimServer};
use rand::RngExt;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, ask, figure, post, send};

const TOKEN: &str = "an-admin-token-of-some-length";

/// A folder of a replica on this database.
fn replica(url: &str, sim: SocketAddr) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let text = format!(
        "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         stores: {{ database: \"{url}\", blobs: \"file://{root}\" }}\n\
         providers: {{ o: {{ kind: openai, base_url: \"http://{sim}/v1\", auth: {{ api_key: sk-sim }} }} }}\n"
    );
    std::fs::write(folder.path().join("pointsman.yaml"), text).unwrap();
    folder
}

fn open(folder: &Path) -> House {
    House::open_with(folder, &[("POINTSMAN_ADMIN_TOKEN", TOKEN)])
}

fn key(url: &str) -> String {
    let made = Store::open(url).unwrap().create_key(NewKey::default()).unwrap();
    made.1.expose_secret().to_owned()
}

/// Ids in the ledger, each as often as it is there.
fn ledger(url: &str) -> Vec<String> {
    let all = LedgerFilter {
        limit: 1_000_000,
        ..LedgerFilter::default()
    };
    let entries = Store::open(url).unwrap().ledger(&all).unwrap();
    entries.iter().map(|entry| entry.id.as_str().to_owned()).collect()
}

/// Waits until all of these are in the ledger, and asserts that nothing is there twice.
fn assert_complete(url: &str, finished: &HashSet<String>) {
    // What has waited long is much, and to look for all of it takes time from those who bring it.
    let many = Duration::from_millis(finished.len() as u64);
    let until = Instant::now() + Duration::from_secs(30) + 5 * many;
    loop {
        let ids = ledger(url);
        let known: HashSet<&String> = ids.iter().collect();
        assert_eq!(known.len(), ids.len(), "an entry is there twice");
        let missing = finished.iter().filter(|id| !known.contains(id)).count();
        if missing == 0 {
            return;
        }
        assert!(
            Instant::now() < until,
            "{missing} of {} finished answers are missing",
            finished.len()
        );
        std::thread::sleep(Duration::from_millis(100) + many);
    }
}

fn body(stream: bool) -> Value {
    json!({"model": "o/gpt-5-mini", "stream": stream, "messages": [{"role": "user", "content": "repeat 9 words"}]})
}

async fn chat(house: &House, key: &str) -> Answer {
    post(house.address, "/v1/chat/completions", key, &body(false))
        .await
        .unwrap()
}

async fn admin(house: &House, method: Method, path: &str, body: &Value) -> Value {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(body.to_string())
        .unwrap();
    let answer = send(house.admin, request).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Waits until the replica answers the key with this status.
async fn until_status(house: &House, key: &str, status: u16) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = chat(house, key).await;
        if answer.status == status {
            return;
        }
        assert!(
            Instant::now() < until,
            "still {}: {}",
            answer.status,
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_at_one_replica_holds_at_the_other() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("replicas").unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folders = [replica(&url, sim.address()), replica(&url, sim.address())];
    let [one, other] = [open(folders[0].path()), open(folders[1].path())];
    admin(&one, Method::POST, "/admin/v1/teams", &json!({"id": "t"})).await;
    let made = admin(&one, Method::POST, "/admin/v1/keys", &json!({"team": "t"})).await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    // A key is good everywhere at once, because it is looked up where it is not known.
    assert_eq!(chat(&other, secret).await.status, 200);
    assert_eq!(chat(&one, secret).await.status, 200);
    // Nobody's key is looked up, and refused.
    let nobodys = chat(&other, "pm-nobodys0000000000000000000000000000000000000000").await;
    assert_eq!(nobodys.status, 401, "{}", nobodys.text());
    // What is taken from it is taken everywhere.
    let path = format!("/admin/v1/keys/{id}");
    admin(&one, Method::PATCH, &path, &json!({"models": ["claude-*"]})).await;
    until_status(&other, secret, 403).await;
    admin(&other, Method::PATCH, &path, &json!({"models": []})).await;
    until_status(&one, secret, 200).await;
    admin(
        &other,
        Method::PATCH,
        "/admin/v1/teams/t",
        &json!({"disabled": true}),
    )
    .await;
    until_status(&one, secret, 401).await;
    admin(
        &one,
        Method::PATCH,
        "/admin/v1/teams/t",
        &json!({"disabled": false}),
    )
    .await;
    until_status(&other, secret, 200).await;
    admin(&one, Method::DELETE, &path, &json!({})).await;
    until_status(&other, secret, 401).await;
    assert_eq!(chat(&one, secret).await.status, 401);
    // Both wrote the audit log, and the ledger.
    let verified = admin(&other, Method::GET, "/admin/v1/audit/verify", &json!({})).await;
    assert_eq!(verified["broken_at"], Value::Null);
    assert!(verified["rows"].as_u64().unwrap() >= 6, "{verified}");
    // A version that somebody else has changed is not written over, whichever replica did.
    let asked = ask(one.admin, Method::GET, "/admin/v1/teams/t", TOKEN)
        .await
        .unwrap();
    let tag = asked.header("etag").to_owned();
    admin(
        &other,
        Method::PATCH,
        "/admin/v1/teams/t",
        &json!({"name": "new"}),
    )
    .await;
    let stale = Request::patch("/admin/v1/teams/t")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::IF_MATCH, tag)
        .body(json!({"name": "old"}).to_string())
        .unwrap();
    assert_eq!(send(one.admin, stale).await.unwrap().status, 412);
}

/// How long PostgreSQL is away: `POINTSMAN_OUTAGE_SECONDS=300` has it stay away for five minutes.
fn outage() -> Duration {
    let seconds = std::env::var("POINTSMAN_OUTAGE_SECONDS");
    Duration::from_secs(seconds.map_or(2, |seconds| seconds.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn proxying_goes_on_while_postgres_is_down_and_the_ledger_is_complete() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.make("down").unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = replica(&url, sim.address());
    let house = open(folder.path());
    let key = Arc::new(key(&url));
    assert_eq!(chat(&house, &key).await.status, 200);
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let address = house.address;
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (key, stop, answered) = (Arc::clone(&key), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut finished = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = post(address, "/v1/chat/completions", &key, &body(number % 2 == 0)).await;
                    let answer = answer.unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    finished.push(answer.header("x-request-id").to_owned());
                    answered.fetch_add(1, Ordering::Relaxed);
                    // As fast as a few clients may be, not as fast as this machine can.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                finished
            })
        })
        .collect();
    let second = Duration::from_secs(1);
    let pace = async |time: Duration| {
        let (before, begun) = (answered.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(time).await;
        (answered.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64()
    };
    let usual = pace(2 * second).await;
    // It stands still, goes away, and comes again.
    server.freeze();
    let frozen = pace(second).await;
    server.thaw();
    server.halt().unwrap();
    let away = pace(outage()).await;
    figure(&format!(
        "{usual:.0} requests a second before, {frozen:.0} while it stood still, {away:.0} while it was away"
    ));
    for slow in [frozen, away] {
        assert!(slow > usual / 3.0, "{slow} requests a second, {usual} before");
    }
    let unknown = chat(&house, "pm-unknown0000000000000000000000000000000000000000").await;
    assert_eq!(
        unknown.status,
        503,
        "whether it is good cannot be known: {}",
        unknown.text()
    );
    server.begin().unwrap();
    tokio::time::sleep(second).await;
    stop.store(true, Ordering::Relaxed);
    let mut finished = HashSet::new();
    for client in clients {
        finished.extend(client.await.unwrap());
    }
    assert!(
        finished.len() > 50,
        "only {} answers: the test proves little",
        finished.len()
    );
    let begun = Instant::now();
    assert_complete(&url, &finished);
    figure(&format!(
        "{} answers are in the ledger {:?} after it came back",
        finished.len(),
        begun.elapsed() + second
    ));
    house.stop();
    let folder = folder.path().join("journal");
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "nothing waits in the journal"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_starts_later_is_waited_for() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.make("later").unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = replica(&url, sim.address());
    server.halt().unwrap();
    let begins = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        server.begin().unwrap();
        server
    });
    let house = open(folder.path());
    let said = house.said();
    assert!(said.contains("PostgreSQL does not answer"), "{said}");
    let _server = begins.join().unwrap();
    assert_eq!(chat(&house, &key(&url)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_on_postgres_lose_nothing_and_double_nothing() {
    const ROUNDS: usize = 12;
    let server = PostgresServer::start().unwrap();
    let url = server.make("deaths").unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = replica(&url, sim.address());
    let key = Arc::new(key(&url));
    let mut finished = HashSet::new();
    for _ in 0..ROUNDS {
        let mut house = open(folder.path());
        let address = house.address;
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let key = Arc::clone(&key);
                tokio::spawn(async move {
                    let mut finished = Vec::new();
                    let body = body(number % 2 == 0);
                    while let Some(answer) = post(address, "/v1/chat/completions", &key, &body).await {
                        let whole = number % 2 == 1 || answer.text().contains("[DONE]");
                        assert!(answer.status == 200 && whole, "{}", answer.text());
                        finished.push(answer.header("x-request-id").to_owned());
                    }
                    finished
                })
            })
            .collect();
        let life = rand::rng().random_range(20..400);
        tokio::time::sleep(Duration::from_millis(life)).await;
        house.kill();
        for client in clients {
            finished.extend(client.await.unwrap());
        }
    }
    // One more start imports what the dead left.
    open(folder.path()).stop();
    assert!(
        finished.len() > ROUNDS * 5,
        "only {} answers were finished: the test proves little",
        finished.len()
    );
    assert_complete(&url, &finished);
}

/// What a command says, and whether it went well.
fn run(arguments: &[&str]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_on_postgres() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("commands").unwrap();
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let on = |arguments: &[&str]| {
        let (good, said) = run(&[arguments, &["--database", &url]].concat());
        assert!(good, "{arguments:?}: {said}");
        said
    };
    on(&["team", "create", "research"]);
    let secret = on(&["key", "create", "--team", "research", "--name", "a"]);
    let secret = secret
        .lines()
        .find(|line| line.starts_with("pm-"))
        .unwrap()
        .to_owned();
    let folder = replica(&url, sim.address());
    let house = open(folder.path());
    assert_eq!(chat(&house, &secret).await.status, 200);
    house.stop();
    let csv = on(&["usage", "export", "--by", "team", "--by", "model"]);
    assert!(csv.starts_with("team,model,requests,failed,"), "{csv}");
    assert!(csv.contains("\r\nresearch,gpt-5-mini,1,0,"), "{csv}");
    let json = on(&["usage", "export", "--format", "json", "--requests"]);
    let row: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["team"], &row["outcome"]),
        (&json!("research"), &json!("complete"))
    );
    assert!(row["cost_nanodollars"].as_i64().unwrap() > 0);
    let parquet = on(&["usage", "export", "--format", "parquet", "--requests"]);
    assert!(parquet.starts_with("PAR1") && parquet.ends_with("PAR1"));
    assert!(parquet.contains("cost_nanodollars") && parquet.contains("research"));
    assert!(on(&["audit", "verify"]).contains("2 rows"));
    assert!(on(&["database", "migrate"]).contains("11 of 11 steps"));
    on(&["database", "revert", "--to", "1"]);
    let (good, said) = run(&["database", "revert", "--to", "0", "--database", &url]);
    assert!(!good && said.contains("no way back"), "{said}");
    // Going forward again loses nothing.
    assert!(on(&["usage", "--by", "team"]).contains("research"));
    let (good, said) = run(&[
        "key",
        "list",
        "--database",
        "postgres://me:hunter22@127.0.0.1:1/none",
    ]);
    assert!(!good && !said.contains("hunter22"), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");
}
