//! Three replicas behind a proxy that takes turns, killed at random: no session is lost, no message is heard twice, and
//! none is missing. `MCP_SESSIONS` and `MCP_SECONDS` make it larger.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pointsman_testbed::redis::{Keeps, RedisServer};
use rand::RngExt;
use tokio::net::{TcpListener, TcpStream};

use super::resume::{Heard, Piece, counting, headers, hear, numbers};
use super::*;

const REPLICAS: usize = 3;

struct Site {
    folder: TempDir,
    houses: Mutex<Vec<Option<House>>>,
    key: String,
    server: McpServer,
    addresses: Arc<Mutex<Vec<Option<SocketAddr>>>>,
    _redis: RedisServer,
}

impl Site {
    async fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let redis = RedisServer::start(folder.path(), Keeps::Nothing)?;
        let server = McpServer::local(McpEra::Legacy).await.unwrap();
        let database = folder.path().join("shared.db");
        let store = pointsman_store::Store::open(&format!("sqlite://{}", database.display())).unwrap();
        let made = store.create_key(named("agent")).unwrap();
        let key = secrecy::ExposeSecret::expose_secret(&made.1).to_owned();
        let mut houses = Vec::new();
        for number in 0..REPLICAS {
            let own = folder.path().join(number.to_string());
            std::fs::create_dir_all(&own).unwrap();
            let text = format!(
                "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
                 stores: {{ database: \"sqlite://{}\", blobs: \"file://{}\", shared: \"{}\" }}\n\
                 mcp: {{ servers: {{ a: {{ {} }} }} }}\n",
                database.display(),
                own.display(),
                redis.url(),
                at(&server)
            );
            std::fs::write(own.join("pointsman.yaml"), text).unwrap();
            houses.push(Some(House::open(&own)));
        }
        let addresses = houses
            .iter()
            .map(|house| house.as_ref().map(|house| house.address))
            .collect();
        Some(Self {
            folder,
            houses: Mutex::new(houses),
            key,
            server,
            addresses: Arc::new(Mutex::new(addresses)),
            _redis: redis,
        })
    }

    fn kill(&self, number: usize) {
        locked(&self.addresses)[number] = None;
        if let Some(mut house) = locked(&self.houses)[number].take() {
            house.kill();
        }
    }

    fn start(&self, number: usize) {
        let house = House::open(&self.folder.path().join(number.to_string()));
        locked(&self.addresses)[number] = Some(house.address);
        locked(&self.houses)[number] = Some(house);
    }

    /// A proxy that takes turns.
    async fn proxy(&self) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (addresses, turn) = (Arc::clone(&self.addresses), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (addresses, turn) = (Arc::clone(&addresses), Arc::clone(&turn));
                tokio::spawn(async move {
                    let next = turn.fetch_add(1, Ordering::Relaxed);
                    let to = {
                        let addresses = locked(&addresses);
                        let there: Vec<SocketAddr> = addresses.iter().flatten().copied().collect();
                        there.get(next % there.len().max(1)).copied()
                    };
                    let Some(to) = to else { return };
                    if let Ok(mut server) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        address
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one call came to.
#[derive(Default)]
struct Call {
    heard: Vec<Heard>,
    resumed: usize,
}

/// Calls, and goes on wherever the connection breaks.
async fn call(proxy: SocketAddr, (key, session): (&str, &str), body: String) -> Call {
    let mut call = Call::default();
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        assert!(
            Instant::now() < until,
            "a call never came to its end: {:?}",
            call.heard.last()
        );
        let last = call
            .heard
            .iter()
            .rev()
            .find(|one| !one.id.is_empty())
            .map(|one| one.id.clone());
        let asked = match last {
            None => (Method::POST, headers(key, Some(session), &[]), body.clone()),
            Some(id) => (
                Method::GET,
                headers(key, Some(session), &[("last-event-id", id)]),
                String::new(),
            ),
        };
        let piece: Piece = hear(proxy, asked, usize::MAX).await;
        // A replica that ends has no answer, or one that it is ending.
        let refused = piece
            .status
            .filter(|status| !matches!(status, 200 | 202 | 502 | 503));
        assert_eq!(
            refused, None,
            "the session or its stream is lost: {:?}",
            piece.heard
        );
        let answered = piece.is_answered();
        call.heard.extend(piece.heard);
        if answered {
            return call;
        }
        call.resumed += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn begin(proxy: SocketAddr, key: &str) -> String {
    for _ in 0..100 {
        let begun = hear(
            proxy,
            (Method::POST, headers(key, None, &[]), initialize("2025-11-25")),
            9,
        )
        .await;
        if let Some(session) = begun.session {
            return session;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no session could be begun")
}

fn size(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|size| size.parse().ok())
        .unwrap_or(otherwise)
}

/// What came of the calls of a client.
#[derive(Default)]
struct Came {
    calls: u64,
    resumed: usize,
    /// Calls of which nobody can say whether they were done.
    unsure: u64,
}

/// A client that counts, again and again, until it is over.
async fn client(site: Arc<Site>, proxy: SocketAddr, number: u64, over: Arc<AtomicBool>) -> Came {
    let session = begin(proxy, &site.key).await;
    let mut came = Came::default();
    while !over.load(Ordering::Relaxed) {
        came.calls += 1;
        let name = format!("{number}-{}", came.calls);
        let call = call(
            proxy,
            (&site.key, &session),
            counting(came.calls, (30, 50), &name),
        )
        .await;
        let mut answers = call
            .heard
            .iter()
            .map(|one| &one.message)
            .filter(|one| one.get("id").is_some());
        let answer = answers.next().unwrap();
        assert!(answers.next().is_none(), "{name} was answered twice");
        came.resumed += call.resumed;
        if answer["error"]["message"]
            .as_str()
            .is_some_and(|why| why.contains("nobody can say"))
        {
            // The replica died between its server's taking the call and the first event: that is told.
            came.unsure += 1;
            continue;
        }
        assert_eq!(
            answer["result"]["content"][0]["text"], "counted to 30",
            "{name}: {answer}"
        );
        assert_eq!(numbers(&call.heard), (1..=30).collect::<Vec<_>>(), "{name}");
    }
    came
}

/// Kills replicas at random, and starts them again; says how many.
async fn kill_for(site: &Arc<Site>, time: Duration) -> u32 {
    let until = Instant::now() + time;
    let mut kills = 0;
    while Instant::now() < until {
        let (victim, wait) = {
            let mut chance = rand::rng();
            (chance.random_range(0..REPLICAS), chance.random_range(500..2_500))
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        site.kill(victim);
        kills += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let site = Arc::clone(site);
        tokio::task::spawn_blocking(move || site.start(victim))
            .await
            .unwrap();
    }
    kills
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_die_and_no_message_is_lost_or_heard_twice() {
    let Some(site) = Site::new().await else { return };
    let site = Arc::new(site);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let proxy = site.proxy().await;
    let (sessions, seconds) = (size("MCP_SESSIONS", 12), size("MCP_SECONDS", 20));
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..sessions)
        .map(|number| tokio::spawn(client(Arc::clone(&site), proxy, number, Arc::clone(&over))))
        .collect();
    let kills = kill_for(&site, Duration::from_secs(seconds)).await;
    over.store(true, Ordering::Relaxed);
    let mut all = Came::default();
    for client in clients {
        let came = client.await.unwrap();
        all.calls += came.calls;
        all.resumed += came.resumed;
        all.unsure += came.unsure;
    }
    let Came {
        calls,
        resumed,
        unsure,
    } = all;
    println!(
        "{sessions} sessions, {calls} calls, {kills} kills, {resumed} times gone on with, {unsure} unsure"
    );
    assert!(kills > 0 && resumed > 0);
    assert!(unsure * 20 <= calls, "{unsure} of {calls} calls came to nothing");
    // Nothing was done twice.
    let mut done: Vec<String> = site
        .server
        .served()
        .into_iter()
        .filter(|served| served.body["method"] == "tools/call")
        .map(|served| {
            served.body["params"]["arguments"]["key"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let all = done.len();
    done.sort_unstable();
    done.dedup();
    assert_eq!(done.len(), all);
    // Of calls that nobody can say anything of, some were done.
    let all = all as u64;
    assert!(
        (calls - unsure..=calls).contains(&all),
        "{all} of {calls} were done"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_at_any_replica() {
    let Some(site) = Site::new().await else { return };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [one, two, three] = [0, 1, 2].map(|at| locked(&site.addresses)[at].unwrap());
    let key = site.key.as_str();
    let begun = hear(
        one,
        (Method::POST, headers(key, None, &[]), initialize("2025-11-25")),
        9,
    )
    .await;
    let session = begun.session.unwrap();
    let asked = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call",
        "params": { "name": "a_test_elicitation", "arguments": { "message": "who?" } } });
    let asked = (Method::POST, headers(key, Some(&session), &[]), asked.to_string());
    let first = hear(one, asked, 1).await;
    let question = first
        .heard
        .iter()
        .find(|one| one.message["method"] == "elicitation/create")
        .unwrap();
    let answer = json!({ "jsonrpc": "2.0", "id": question.message["id"], "result": { "action": "accept", "content": { "username": "u" } } });
    let told = (
        Method::POST,
        headers(key, Some(&session), &[]),
        answer.to_string(),
    );
    assert_eq!(hear(two, told, 1).await.status, Some(202));
    // And the rest is heard at the third, where the first goes on.
    let more = [("last-event-id", question.id.clone())];
    let rest = hear(
        three,
        (Method::GET, headers(key, Some(&session), &more), String::new()),
        1_000,
    )
    .await;
    let said = &rest.heard.last().unwrap().message["result"]["content"][0]["text"];
    assert!(said.as_str().unwrap().contains("action=accept"), "{said}");
}

/// Whoever copies a stream is a little behind who writes it: that is no reason to know nothing of what comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_less_of_it_is_known_than_its_client_has_heard() {
    let Some(site) = Site::new().await else { return };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [one, two] = [0, 1].map(|at| locked(&site.addresses)[at].unwrap());
    let key = site.key.as_str();
    let begun = (Method::POST, headers(key, None, &[]), initialize("2025-11-25"));
    let session = hear(one, begun, 9).await.session.unwrap();
    let asked = (
        Method::POST,
        headers(key, Some(&session), &[]),
        counting(1, (30, 40), "behind"),
    );
    let mut heard = hear(one, asked, 3).await.heard;
    let is_answered = |heard: &[Heard]| heard.iter().any(|one| one.message.get("result").is_some());
    for turn in 0.. {
        assert!(turn < 200, "it never comes to its end");
        let last = heard.iter().rev().find(|one| !one.id.is_empty()).unwrap();
        let more = [("last-event-id", last.id.clone())];
        let asked = (Method::GET, headers(key, Some(&session), &more), String::new());
        // From the one that writes to the one that copies, and back, two events at a time: the first only names the place.
        let piece = hear([two, one][turn % 2], asked, 2).await;
        assert_eq!(piece.status, Some(200), "{turn}: {:?}", piece.heard);
        heard.extend(piece.heard);
        if is_answered(&heard) {
            break;
        }
    }
    assert_eq!(numbers(&heard), (1..=30).collect::<Vec<_>>());
}

/// Of what a dead replica has left, there may be nothing to come but the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_alone_comes_at_another_replica() {
    let Some(site) = Site::new().await else { return };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [one, two] = [0, 1].map(|at| locked(&site.addresses)[at].unwrap());
    let key = site.key.as_str();
    let begun = (Method::POST, headers(key, None, &[]), initialize("2025-11-25"));
    let session = hear(one, begun, 9).await.session.unwrap();
    let body = counting(1, (3, 20), "alone").replace("\"pause_ms\"", "\"rest_ms\":2000,\"pause_ms\"");
    let asked = (Method::POST, headers(key, Some(&session), &[]), body);
    let mut heard = hear(one, asked, 3).await.heard;
    site.kill(0);
    for _ in 0..40 {
        let last = heard.iter().rev().find(|one| !one.id.is_empty()).unwrap();
        let more = [("last-event-id", last.id.clone())];
        let asked = (Method::GET, headers(key, Some(&session), &more), String::new());
        let piece = hear(two, asked, usize::MAX).await;
        assert_eq!(piece.status, Some(200), "{:?}", piece.heard);
        let is_answered = piece.is_answered();
        heard.extend(piece.heard);
        if is_answered {
            assert_eq!(numbers(&heard), [1, 2, 3]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no answer ever comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_is_heard_at_any_replica_and_a_session_ends_at_all() {
    let Some(site) = Site::new().await else { return };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [one, two, three] = [0, 1, 2].map(|at| locked(&site.addresses)[at].unwrap());
    let key = site.key.as_str();
    let begun = (Method::POST, headers(key, None, &[]), initialize("2025-11-25"));
    let session = hear(one, begun, 9).await.session.unwrap();
    let watched = json!({ "jsonrpc": "2.0", "id": 6, "method": "resources/subscribe", "params": { "uri": "a+test://watched-resource" } });
    let subscribed = hear(
        two,
        (
            Method::POST,
            headers(key, Some(&session), &[]),
            watched.to_string(),
        ),
        1,
    )
    .await;
    assert!(subscribed.heard[0].message["result"].is_object());
    let listening = hear(
        three,
        (Method::GET, headers(key, Some(&session), &[]), String::new()),
        1,
    );
    let (heard, ()) = tokio::join!(listening, async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        site.server.update("test://watched-resource");
    });
    let news = heard.heard.iter().find(|one| !one.message.is_null()).unwrap();
    assert_eq!(news.message["params"]["uri"], "a+test://watched-resource");

    // Nobody else has it, and ended at one replica it is ended at all.
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }).to_string();
    let ended = hear(
        two,
        (Method::DELETE, headers(key, Some(&session), &[]), String::new()),
        1,
    )
    .await;
    assert_eq!(ended.status, Some(204));
    for address in [one, two, three] {
        let asked = (Method::POST, headers(key, Some(&session), &[]), list.clone());
        assert_eq!(hear(address, asked, 1).await.status, Some(404));
    }
}
