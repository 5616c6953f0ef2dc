//! A gateway process in front of simulated providers.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use pointsman_store::{LedgerEntry, LedgerFilter, NewKey, Store};
use pointsman_testbed::load;
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;

/// A running gateway; killed when dropped.
pub struct House {
    child: Child,
    said: Arc<Mutex<String>>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

impl House {
    /// Starts a gateway on the configuration in `folder`.
    pub fn open(folder: &Path) -> Self {
        Self::open_with(folder, &[])
    }

    /// Starts one with these environment variables.
    pub fn open_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("serve")
            .arg("-c")
            .arg(folder.join("pointsman.yaml"))
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::default();
        listen(child.stdout.take().unwrap(), Arc::clone(&said));
        listen(child.stderr.take().unwrap(), Arc::clone(&said));
        let mut house = Self {
            child,
            said,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            admin: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let told = house.hears("/metrics\n");
        let told = |before: &str| {
            let rest = &told[told.find(before).unwrap() + before.len()..];
            rest.split(['/', '\n']).next().unwrap().parse().unwrap()
        };
        house.address = told("listening on ");
        house.admin = told("metrics on http://");
        house
    }

    /// All it said so far, on both outputs.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said `text`, and gives all it said.
    pub fn hears(&self, text: &str) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let said = self.said();
            if said.contains(text) {
                return said;
            }
            assert!(Instant::now() < until, "{text:?} was never said: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert!(self.ended(Duration::from_secs(20)).success());
    }

    /// Whether it still runs.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < until,
                "the gateway does not stop: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn listen(output: impl std::io::Read + Send + 'static, said: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// Runs the program to its end; what it says, and whether it is content.
pub fn run(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> (String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (
        String::from_utf8_lossy(&said).trim().to_owned(),
        output.status.success(),
    )
}

/// Says a figure that a test found, for whoever runs it by hand.
#[expect(clippy::print_stdout, reason = "figures are there to be read")]
pub fn figure(text: &str) {
    println!("{text}");
}

/// A folder with a configuration: the blocks every test needs, and `rest`.
pub fn folder(rest: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), rest);
    folder
}

/// Writes the configuration anew.
pub fn write(folder: &Path, rest: &str) {
    let root = folder.display();
    let text = format!(
        "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         stores: {{ database: \"sqlite://{root}/p.db\", blobs: \"file://{root}\" }}\n{rest}"
    );
    std::fs::write(folder.join("pointsman.yaml"), text).unwrap();
}

/// The database of a folder.
pub fn store(folder: &Path) -> Store {
    Store::open(&format!("sqlite://{}/p.db", folder.display())).unwrap()
}

/// A new key.
pub fn key(folder: &Path, grant: NewKey) -> String {
    store(folder)
        .create_key(grant)
        .unwrap()
        .1
        .expose_secret()
        .to_owned()
}

/// The ledger.
pub fn ledger(folder: &Path) -> Vec<LedgerEntry> {
    store(folder)
        .ledger(&LedgerFilter {
            limit: 1_000_000,
            ..LedgerFilter::default()
        })
        .unwrap()
}

/// The entry of a request, once it has arrived in the database.
pub fn entry(folder: &Path, id: &str) -> LedgerEntry {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(entry) = ledger(folder).into_iter().find(|entry| entry.id.as_str() == id) {
            return entry;
        }
        assert!(Instant::now() < until, "{id} is not in the ledger");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An answer, read to its end; none of it when the connection broke.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Posts JSON.
pub async fn post(address: SocketAddr, path: &str, key: &str, body: &Value) -> Option<Answer> {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header("anthropic-version", "2023-06-01")
        .body(body.to_string())
        .unwrap();
    send(address, request).await
}

/// Sends any request; JSON, unless it says what it is.
pub async fn send(address: SocketAddr, request: Request<String>) -> Option<Answer> {
    let (mut parts, body) = request.into_parts();
    let kind = parts.headers.entry(header::CONTENT_TYPE);
    kind.or_insert("application/json".parse().unwrap());
    let path = parts.uri.to_string();
    exchange(address, parts.method, &path, parts.headers, body.into()).await
}

/// Gets a path without a key.
pub async fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    exchange(address, Method::GET, path, HeaderMap::new(), Bytes::new()).await
}

/// Sends a request on a connection of its own; nothing when the connection broke.
pub async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Option<Answer> {
    let mut sender = load::connect(address).await.ok()?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    *request.headers_mut() = headers;
    let host = address.to_string().parse().unwrap();
    request.headers_mut().entry(header::HOST).or_insert(host);
    read(sender.send_request(request).await.ok()?).await
}

/// Reads an answer to its end; nothing when it broke off.
pub async fn read(response: http::Response<hyper::body::Incoming>) -> Option<Answer> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}

/// Asks without a body.
pub async fn ask(address: SocketAddr, method: Method, path: &str, key: &str) -> Option<Answer> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
    headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
    exchange(address, method, path, headers, Bytes::new()).await
}

/// Uploads a file as SDKs do.
pub async fn upload(address: SocketAddr, key: &str, fields: &[(&str, &str)], file: &[u8]) -> Option<Answer> {
    let mut form = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(part.as_bytes());
    }
    form.extend_from_slice(b"--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n");
    form.extend_from_slice(file);
    form.extend_from_slice(b"\r\n--b0undary--\r\n");
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
    let kind = "multipart/form-data; boundary=b0undary".parse().unwrap();
    headers.insert(header::CONTENT_TYPE, kind);
    exchange(address, Method::POST, "/v1/files", headers, form.into()).await
}
