//! A gateway process in front of simulated providers.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use pointsman_store::{LedgerEntry, LedgerFilter, NewKey, Store};
use pointsman_testbed::load;
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;

/// A running gateway; killed when dropped.
pub struct House {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

impl House {
    /// Starts a gateway on the configuration in `folder`.
    pub fn open(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("serve")
            .arg("-c")
            .arg(folder.join("pointsman.yaml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
            .expect("the gateway did not start");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.parse().unwrap(),
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the gateway does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
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
            key: None,
            since: 0,
            limit: 1_000_000,
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

/// Sends any request.
pub async fn send(address: SocketAddr, request: Request<String>) -> Option<Answer> {
    let mut sender = load::connect(address).await.ok()?;
    let mut request = request.map(|body| Full::new(Bytes::from(body)));
    let headers = request.headers_mut();
    headers
        .entry(header::HOST)
        .or_insert(address.to_string().parse().unwrap());
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert("application/json".parse().unwrap());
    let response = sender.send_request(request).await.ok()?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}
