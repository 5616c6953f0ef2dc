//! Bad bytes on every port: an error or a closed connection; never a crash, a hang or a growing process.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer, process};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{House, folder, get, key, post};

struct Stage {
    sim: SimServer,
    _folder: TempDir,
    key: String,
    house: House,
}

async fn stage() -> Stage {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "server: {{ header_timeout: 2s, request_timeout: 2s, request_limit: 100000, workers: 2 }}\n\
         providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n",
        sim.address()
    ));
    Stage {
        key: key(folder.path(), NewKey::default()),
        house: House::open(folder.path()),
        sim,
        _folder: folder,
    }
}

impl Stage {
    fn resident(&self) -> u64 {
        process::resident(self.house.pid())
    }

    /// It still does what it is for, on both ports.
    async fn still_serves(&mut self) {
        assert!(self.house.is_up(), "{}", self.house.said());
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "repeat 3 words"}]});
        let answer = post(self.house.address, "/v1/chat/completions", &self.key, &body).await;
        assert_eq!(answer.expect("the connection broke").status, 200);
        assert_eq!(get(self.house.admin, "/metrics").await.unwrap().status, 200);
        let said = self.house.said();
        assert!(!said.contains("panicked"), "{said}");
    }

    fn ports(&self) -> [SocketAddr; 2] {
        [self.house.address, self.house.admin]
    }
}

/// Writes the pieces, then reads to the end; what was answered.
async fn tell(address: SocketAddr, pieces: &[&[u8]], finish: bool) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let talk = async {
        for piece in pieces {
            // Closed already: that is an answer, too.
            if client.write_all(piece).await.is_err() {
                break;
            }
        }
        if finish {
            let _ = client.shutdown().await;
        }
        let _ = client.read_to_end(&mut answer).await;
    };
    tokio::time::timeout(Duration::from_secs(15), talk)
        .await
        .unwrap_or_else(|_| {
            panic!(
                "held open: {:?}",
                pieces
                    .first()
                    .map(|piece| String::from_utf8_lossy(piece).into_owned())
            )
        });
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<&str> {
    let found = answer.match_indices("HTTP/1.1 ");
    found.map(|(at, _)| &answer[at + 9..at + 12]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_http_is_refused_or_closed() {
    let mut stage = stage().await;
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut noise = StdRng::seed_from_u64(7);
    let mut garbage: Vec<Vec<u8>> = vec![
        tls_hello.to_vec(),
        b"\0".repeat(10_000),
        b"\n".repeat(10_000),
        b"\r\n\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\n\r\n".to_vec(),
        b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n".to_vec(),
        "GET /\u{fffd}\u{202e} HTTP/1.1\r\nhost: x\r\n\r\n"
            .as_bytes()
            .to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
    ];
    garbage.extend((0..100).map(|_| {
        let length = noise.random_range(1..5_000);
        (0..length).map(|_| noise.random::<u8>()).collect()
    }));
    for address in stage.ports() {
        let told: Vec<_> = garbage
            .iter()
            .flat_map(|bytes| [(bytes.clone(), false), (bytes.clone(), true)])
            .map(|(bytes, finish)| tokio::spawn(async move { tell(address, &[&bytes], finish).await }))
            .collect();
        for told in told {
            told.await.unwrap();
        }
    }
    stage.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_requests_reach_no_provider() {
    let mut stage = stage().await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let whole = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        stage.key,
        body.len()
    );
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        stage.key,
        body.len()
    );
    let address = stage.house.address;
    let mut told = Vec::new();
    for request in [whole, chunked] {
        let length = request.len();
        for cut in (1..length - 1).step_by(7) {
            for finish in [false, true] {
                let half = request.as_bytes()[..cut].to_vec();
                told.push(tokio::spawn(async move { tell(address, &[&half], finish).await }));
            }
        }
    }
    for told in told {
        let answer = told.await.unwrap();
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    }
    assert!(stage.sim.served().is_empty(), "half a request was sent on");
    stage.still_serves().await;
}

/// Shapes that two servers in a row may read as different requests. Each hides a second request that must not be
/// answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smuggled_requests_are_not_answered() {
    let mut stage = stage().await;
    let hidden = "GET /health HTTP/1.1\r\nhost: smuggled\r\n\r\n";
    let post = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
    let length = hidden.len();
    let shapes = [
        format!("{post}content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        format!("{post}content-length: {length}\r\ncontent-length: 0\r\n\r\n{hidden}"),
        format!("{post}content-length: 0, {length}\r\n\r\n{hidden}"),
        format!("{post}content-length: +0\r\n\r\n{hidden}"),
        format!("{post}content-length: -1\r\n\r\n{hidden}"),
        format!("{post}content-length: 0x0\r\n\r\n{hidden}"),
        format!("{post}content-length: 18446744073709551616\r\n\r\n{hidden}"),
        format!("{post}content-length : 0\r\n\r\n{hidden}"),
        format!("{post}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}x-a: b\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{post}x: a\rcontent-length: 0\r\n\r\n{hidden}"),
        format!("{post}x: a\0b\r\ncontent-length: 0\r\n\r\n{hidden}"),
        "POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned()
            + hidden,
        format!("{post}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}"),
        format!("{post}transfer-encoding: chunked\r\n\r\n-1\r\n{hidden}"),
        format!("{post}transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n{hidden}"),
        format!("{post}transfer-encoding: chunked\r\n\r\n1;a=\"\r\n\"\r\nx\r\n{hidden}"),
    ];
    for port in stage.ports() {
        for shape in &shapes {
            let answer = tell(port, &[shape.as_bytes()], true).await;
            let answered = statuses(&answer);
            assert!(answered.len() <= 1, "{shape:?} was answered twice: {answer}");
            assert!(
                answered.iter().all(|status| status.starts_with('4')),
                "{shape:?}: {answer}"
            );
        }
    }
    stage.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_heads_and_bodies_do_not_grow_the_process() {
    let mut stage = stage().await;
    stage.still_serves().await;
    let before = stage.resident();
    let post = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
        stage.key
    );
    let megabyte = "x".repeat(1 << 20);
    let fields = "x-y: zzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n".repeat(30_000);
    let chunks = "10\r\n0123456789abcdef\r\n".repeat(50_000);
    let tiny = "1\r\nx\r\n".repeat(150_000);
    let trailers = "x-y: z\r\n".repeat(100_000);
    let extension = format!("1;{megabyte}");
    let endless: Vec<(String, &str)> = vec![
        ("GET /".to_owned(), &megabyte),
        (megabyte.clone(), &megabyte),
        ("GET /health HTTP/1.1\r\nhost: ".to_owned(), &megabyte),
        ("GET /health HTTP/1.1\r\nhost: x\r\n".to_owned(), &fields),
        (format!("{post}transfer-encoding: chunked\r\n\r\n"), &chunks),
        (format!("{post}transfer-encoding: chunked\r\n\r\n"), &tiny),
        (format!("{post}transfer-encoding: chunked\r\n\r\n"), &extension),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n0\r\n"),
            &trailers,
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n7fffffffffffffff\r\n"),
            &megabyte,
        ),
        (
            format!("{post}content-length: 9223372036854775807\r\n\r\n"),
            &megabyte,
        ),
    ];
    for port in stage.ports() {
        for (beginning, more) in &endless {
            let more = more.as_bytes();
            let pieces = [&[beginning.as_bytes()][..], &[more; 8]].concat();
            let answer = tell(port, &pieces, true).await;
            assert!(
                statuses(&answer).iter().all(|status| status.starts_with('4')),
                "{}: {answer}",
                &beginning[..beginning.len().min(200)]
            );
        }
    }
    stage.still_serves().await;
    let grown = stage.resident().saturating_sub(before);
    assert!(grown < 48 * 1024 * 1024, "grown by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_cost_little_and_end() {
    let mut stage = stage().await;
    stage.still_serves().await;
    let before = stage.resident();
    let mut idle = Vec::new();
    for number in 0..1_000 {
        let mut client = TcpStream::connect(stage.house.address).await.unwrap();
        let beginning: &[u8] = match number % 4 {
            0 => b"",
            1 => b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n",
            2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _ => b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
        };
        client.write_all(beginning).await.unwrap();
        idle.push((number % 4, client));
    }
    stage.still_serves().await;
    let grown = stage.resident().saturating_sub(before);
    assert!(grown < 100 * 1024 * 1024, "grown by {grown} bytes");
    // Those of HTTP/1 are closed after the header timeout, kept-alive ones included.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (kind, client) in idle.iter_mut().filter(|(kind, _)| *kind != 2) {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_millis(500), client.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "kind {kind} is held open");
    }
    stage.still_serves().await;
    // The admin listener takes few at a time, and gives their places back.
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(stage.house.admin).await.unwrap());
    }
    drop(idle);
    tokio::time::timeout(Duration::from_secs(5), stage.still_serves())
        .await
        .expect("the admin listener hangs");
}
