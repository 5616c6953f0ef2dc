//! The listener's bounds: many streams on one connection, heads and bodies that are too large, too slow or damaged.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer, process};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, House, exchange, folder, get, key, read};

/// The surfaces and where their errors say what they are.
const SURFACES: [(&str, &str); 2] = [
    ("/v1/chat/completions", "/error/code"),
    ("/v1/messages", "/error/type"),
];
const LIMIT: usize = 100_000;

struct Stage {
    _sim: SimServer,
    _folder: TempDir,
    key: String,
    house: House,
}

/// A gateway whose bounds a test can reach.
async fn stage(options: SimOptions) -> Stage {
    let sim = SimServer::local(options).await.unwrap();
    let folder = folder(&format!(
        "server: {{ request_limit: {LIMIT}, header_timeout: 1s, request_timeout: 1s, workers: 2 }}\n\
         providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n",
        sim.address()
    ));
    Stage {
        key: key(folder.path(), NewKey::default()),
        house: House::open(folder.path()),
        _sim: sim,
        _folder: folder,
    }
}

impl Stage {
    fn headers(&self, coding: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("Bearer {}", self.key).parse().unwrap(),
        );
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
        }
        headers
    }

    async fn ask(&self, path: &str, coding: Option<&str>, body: impl Into<Bytes>) -> Answer {
        exchange(
            self.house.address,
            Method::POST,
            path,
            self.headers(coding),
            body.into(),
        )
        .await
        .expect("the connection broke")
    }
}

fn question(padding: usize) -> String {
    let content = format!("repeat 3 words {}", "x".repeat(padding));
    json!({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": content}]}).to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn br(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 3, 20);
    encoder.write_all(bytes).unwrap();
    drop(encoder);
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

type Code = fn(&[u8]) -> Vec<u8>;
const CODINGS: [(&str, Code); 5] = [
    ("gzip", gzip),
    ("deflate", zlib),
    ("deflate", deflate),
    ("br", br),
    ("zstd", zstd),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_requests_are_understood_and_damaged_ones_refused() {
    let stage = stage(SimOptions::default()).await;
    let plain = question(1_000);
    for (name, code) in CODINGS {
        let coded = code(plain.as_bytes());
        let answer = stage.ask(SURFACES[0].0, Some(name), coded.clone()).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            "word word word",
            "{name}"
        );
        for (path, _) in SURFACES {
            for damaged in [&coded[..coded.len() / 2], b"not that coding"] {
                let answer = stage.ask(path, Some(name), damaged.to_vec()).await;
                assert_eq!(answer.status, 400, "{name}: {}", answer.text());
                assert!(answer.json()["error"]["message"].is_string());
            }
        }
    }
    let stacked = br(&gzip(plain.as_bytes()));
    let answer = stage.ask(SURFACES[0].0, Some("gzip, br"), stacked.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The same list in two lines.
    let mut headers = stage.headers(Some("gzip"));
    headers.append(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    let answer = exchange(
        stage.house.address,
        Method::POST,
        SURFACES[0].0,
        headers,
        stacked.into(),
    )
    .await;
    assert_eq!(answer.unwrap().status, 200);
    for unknown in ["compress", "gzip, gzip, gzip, gzip, gzip"] {
        let answer = stage.ask(SURFACES[0].0, Some(unknown), plain.clone()).await;
        assert_eq!(answer.status, 415, "{unknown}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused_without_being_unpacked() {
    let stage = stage(SimOptions::default()).await;
    stage.ask(SURFACES[0].0, None, question(0)).await;
    let before = process::resident(stage.house.pid());
    let zeros = vec![b' '; 40 * 1024 * 1024];
    for (name, code) in CODINGS {
        let bomb = Bytes::from(code(&zeros));
        // Brotli and zstd make it small enough to be let in; the others are packed once more.
        let (name, bomb) = if bomb.len() > LIMIT {
            (format!("{name}, gzip"), Bytes::from(gzip(&bomb)))
        } else {
            (name.to_owned(), bomb)
        };
        assert!(bomb.len() < LIMIT, "{name}: {}", bomb.len());
        for (path, _) in SURFACES {
            let answer = stage.ask(path, Some(&name), bomb.clone()).await;
            assert_eq!(answer.status, 413, "{name}: {}", answer.text());
        }
    }
    let grown = process::resident(stage.house.pid()).saturating_sub(before);
    assert!(grown < 24 * 1024 * 1024, "grown by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_past_the_limit_are_refused_in_the_clients_format() {
    let stage = stage(SimOptions::default()).await;
    for (path, place) in SURFACES {
        let fits = stage.ask(path, None, question(LIMIT - 500)).await;
        assert_eq!(fits.status, 200, "{}", fits.text());
        // Far more than the sockets hold: a client that writes all of it before it reads must still get its answer.
        for size in [LIMIT, 30 * 1024 * 1024] {
            let answer = stage.ask(path, None, question(size)).await;
            assert_eq!(answer.status, 413, "{}", answer.text());
            assert_eq!(
                answer.json().pointer(place).unwrap(),
                "request_too_large",
                "{}",
                answer.text()
            );
            assert!(
                answer.text().contains("server.request_limit"),
                "{}",
                answer.text()
            );
        }
        let chunked = in_chunks(&stage, path, 4 * 1024 * 1024).await;
        assert!(
            chunked.starts_with("HTTP/1.1 413 ") && chunked.contains("request_too_large"),
            "{chunked}"
        );
    }
    // Somebody without a key is not read to the end either, and told all the same.
    let answer = exchange(
        stage.house.address,
        Method::POST,
        SURFACES[0].0,
        HeaderMap::new(),
        question(30 * 1024 * 1024).into(),
    )
    .await
    .expect("the connection broke");
    assert_eq!(answer.status, 401);
}

/// Writes a body of unknown length to its end, and only then reads.
async fn in_chunks(stage: &Stage, path: &str, size: usize) -> String {
    let mut client = TcpStream::connect(stage.house.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        stage.key
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..size / 0x10000 {
        client.write_all(chunk.as_bytes()).await.unwrap();
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_expects_to_be_told_to_continue_is_told_or_refused_at_once() {
    let stage = stage(SimOptions::default()).await;
    let body = question(0);
    for (length, told) in [(body.len(), "HTTP/1.1 100 "), (LIMIT + 1, "HTTP/1.1 413 ")] {
        let mut client = TcpStream::connect(stage.house.address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n",
            stage.key
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 13];
        client.read_exact(&mut first).await.unwrap();
        assert_eq!(std::str::from_utf8(&first).unwrap(), told);
        if length == body.len() {
            client.write_all(body.as_bytes()).await.unwrap();
            let mut rest = String::new();
            while !rest.contains("HTTP/1.1 200 ") {
                let mut piece = [0; 1024];
                let read = client.read(&mut piece).await.unwrap();
                assert!(read > 0, "{rest}");
                rest.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_dribbles_is_timed_out_in_the_clients_format() {
    let stage = stage(SimOptions::default()).await;
    for (path, _) in SURFACES {
        let begun = Instant::now();
        let mut client = TcpStream::connect(stage.house.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
            stage.key
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = client.split();
        let mut answer = vec![0; 4096];
        let read = tokio::select! {
            read = reading.read(&mut answer) => read.unwrap(),
            () = async { loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = writing.write_all(b" ").await;
            } } => 0,
        };
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("timeout"),
            "{answer}"
        );
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(900) && took < Duration::from_secs(4),
            "{took:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_dribble_or_never_come_are_closed() {
    let stage = stage(SimOptions::default()).await;
    let beginnings: [&[u8]; 6] = [
        b"",
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"GET /health HTTP/1.1\r\nhost: x\r\nx: ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        b"POST ",
    ];
    for beginning in beginnings {
        let begun = Instant::now();
        let mut client = TcpStream::connect(stage.house.address).await.unwrap();
        client.write_all(beginning).await.unwrap();
        let (mut reading, mut writing) = client.split();
        let dribble = beginning.ends_with(b"x: ");
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), async {
            tokio::select! {
                _ = reading.read_to_end(&mut answer) => {},
                () = async { loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if dribble && writing.write_all(b"y").await.is_err() {
                        return;
                    }
                } } => {},
            }
        });
        closed
            .await
            .unwrap_or_else(|_| panic!("{beginning:?} is held open"));
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(900) && took < Duration::from_secs(4),
            "{took:?}"
        );
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(get(stage.house.address, "/health").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_past_the_limit_are_refused() {
    let stage = stage(SimOptions::default()).await;
    let mut headers = HeaderMap::new();
    headers.insert("x-long", "y".repeat(30_000).parse().unwrap());
    let ask = |headers| exchange(stage.house.address, Method::GET, "/health", headers, Bytes::new());
    assert_eq!(ask(headers.clone()).await.unwrap().status, 200);
    // The limit is the reader's buffer: what the last block read holds beyond it may still pass.
    headers.insert("x-long", "y".repeat(140_000).parse().unwrap());
    // Refused or closed: who still writes when the connection is closed may not get to read why.
    assert!(ask(headers).await.is_none_or(|answer| answer.status == 431));
    let mut many = HeaderMap::new();
    for number in 0..1_000 {
        let name = header::HeaderName::try_from(format!("x-{number}")).unwrap();
        many.insert(name, HeaderValue::from_static("y"));
    }
    assert_eq!(ask(many).await.unwrap().status, 431);

    let mut sender = plain_http2(&stage).await;
    let request = |size: usize| {
        let request = Request::get("http://x/health").header("x-long", "y".repeat(size));
        request.body(Full::<Bytes>::default()).unwrap()
    };
    assert_eq!(sender.send_request(request(30_000)).await.unwrap().status(), 200);
    let refused = sender.send_request(request(70_000)).await;
    assert!(refused.is_err() || refused.unwrap().status() == 431);
    assert_eq!(get(stage.house.address, "/health").await.unwrap().status, 200);
}

/// Reads until `end` has come.
async fn until(client: &mut TcpStream, end: &str) -> String {
    let mut said = String::new();
    let reading = async {
        while !said.contains(end) {
            let mut piece = [0; 4096];
            let read = client.read(&mut piece).await.unwrap();
            assert!(read > 0, "closed after {said:?}");
            said.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    };
    let read = tokio::time::timeout(Duration::from_millis(900), reading).await;
    read.unwrap_or_else(|_| panic!("{end:?} does not come"));
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_a_row_are_answered_in_their_order_and_at_once() {
    let stage = stage(SimOptions::default()).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut client = TcpStream::connect(stage.house.address).await.unwrap();
    let row = [get("/health"), get("/nowhere"), get("/health")].concat();
    client.write_all(row.as_bytes()).await.unwrap();
    let mut said = String::new();
    while said.matches("\"version\"").count() < 2 {
        said += &until(&mut client, "\n").await;
    }
    let statuses: Vec<_> = said
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &said[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "404", "200"]);
    // The beginning of another request does not hold the answer back, nor does a line end too many after a body.
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "repeat 3 words"}]})
            .to_string();
    let post = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        stage.key,
        body.len()
    );
    for (request, rest) in [
        (get("/health"), "GET /hea"),
        (post.clone(), "\r\n"),
        (post, "POST /v"),
    ] {
        let mut client = TcpStream::connect(stage.house.address).await.unwrap();
        client.write_all((request + rest).as_bytes()).await.unwrap();
        until(
            &mut client,
            if rest.starts_with("GET") {
                "version"
            } else {
                "[DONE]"
            },
        )
        .await;
    }
}

/// HTTP/2 in clear, by prior knowledge.
async fn plain_http2(stage: &Stage) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(stage.house.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_one_connection() {
    let stage = stage(SimOptions {
        token_delay: Duration::from_millis(20),
        ..SimOptions::default()
    })
    .await;
    let sender = plain_http2(&stage).await;
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "repeat 60 words"}]})
            .to_string();
    let begun = Instant::now();
    // More than go at once: the last ones wait for their turn, and get it.
    let streams: Vec<_> = (0..300)
        .map(|_| {
            let mut sender = sender.clone();
            let mut request = Request::new(Full::new(Bytes::from(body.clone())));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = "http://x/v1/chat/completions".parse().unwrap();
            *request.headers_mut() = stage.headers(None);
            tokio::spawn(async move {
                sender.ready().await.unwrap();
                read(sender.send_request(request).await.unwrap()).await
            })
        })
        .collect();
    let mut most = 0;
    while most < 200 && begun.elapsed() < Duration::from_secs(10) {
        let metrics = get(stage.house.admin, "/metrics").await.unwrap();
        let line = metrics
            .text()
            .lines()
            .find(|line| line.starts_with("pointsman_requests_in_flight "));
        most = most.max(line.unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(most >= 200, "only {most} at once");
    for stream in streams {
        let answer = stream.await.unwrap().expect("a stream was dropped");
        assert_eq!(answer.status, 200);
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    // What a client gives up does not take the others along.
    let mut given_up = sender.clone();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "http://x/v1/chat/completions".parse().unwrap();
    *request.headers_mut() = stage.headers(None);
    drop(given_up.send_request(request).await.unwrap());
    let request = Request::get("http://x/health").body(Full::default()).unwrap();
    assert_eq!(sender.clone().send_request(request).await.unwrap().status(), 200);
}
