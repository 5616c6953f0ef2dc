//! `pointsman models pull` against a simulated hub on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const PARITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../semantics/tests/parity/bert");
const TOKEN: &str = "hf_secretsecret";

/// What the hub was asked, and how it behaves.
#[derive(Default)]
struct Hub {
    /// Path, range and authorization of each request.
    asked: Vec<(String, Option<String>, Option<String>)>,
    /// Whole answers of weights that break off in the middle.
    breaks: usize,
    /// Weights are given with a byte that is another.
    lies: bool,
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{PARITY}/{name}")).unwrap()
}

/// What git calls a file.
fn git_hash(bytes: &[u8]) -> String {
    let mut all = format!("blob {}\0", bytes.len()).into_bytes();
    all.extend_from_slice(bytes);
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &all);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn listing() -> String {
    let small = |name: &str| {
        let bytes = file(name);
        format!(
            "{{\"rfilename\":\"{name}\",\"size\":{},\"blobId\":\"{}\"}}",
            bytes.len(),
            git_hash(&bytes)
        )
    };
    let weights = file("model.safetensors");
    format!(
        "{{\"sha\":\"{COMMIT}\",\"siblings\":[{},{},{{\"rfilename\":\"README.md\",\"size\":1,\"blobId\":\"{}\"}},\
         {{\"rfilename\":\"model.safetensors\",\"size\":{size},\"blobId\":\"{}\",\"lfs\":{{\"sha256\":\"{}\",\"size\":{size}}}}}]}}",
        small("config.json"),
        small("tokenizer.json"),
        "0".repeat(40),
        "1".repeat(40),
        sha256(&weights),
        size = weights.len(),
    )
}

fn start(hub: &Arc<Mutex<Hub>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Arc::clone(hub);
    // Ends with the test's process; each connection serves once.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = serve(stream, &hub, address);
        }
    });
    address
}

fn serve(mut stream: TcpStream, hub: &Mutex<Hub>, address: SocketAddr) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let header = |name: &str| {
        let line = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let (range, token) = (header("range"), header("authorization"));
    let mut hub = hub.lock().unwrap();
    hub.asked.push((path.clone(), range.clone(), token));
    if path == "/api/models/owner/small/revision/main?blobs=true" {
        return whole(&mut stream, "200 OK", listing().as_bytes());
    }
    let resolved = format!("/owner/small/resolve/{COMMIT}/");
    if let Some(name) = path
        .strip_prefix(&resolved)
        .filter(|name| *name != "model.safetensors")
    {
        return whole(&mut stream, "200 OK", &file(name));
    }
    if path.starts_with(&resolved) {
        // Large files are elsewhere: another host, as far as a client can tell.
        let place = format!("http://localhost:{}/elsewhere", address.port());
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    if path == "/elsewhere" {
        let mut bytes = file("model.safetensors");
        if hub.lies {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let from = range.and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
        let (status, rest) = match from {
            Some(from) => ("206 Partial Content", &bytes[from..]),
            None => ("200 OK", &bytes[..]),
        };
        if hub.breaks > 0 {
            hub.breaks -= 1;
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
                rest.len()
            )?;
            return stream.write_all(&rest[..rest.len() / 2]);
        }
        return whole(&mut stream, status, rest);
    }
    whole(&mut stream, "404 Not Found", b"{}")
}

fn whole(stream: &mut TcpStream, status: &str, body: &[u8]) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

fn pointsman(home: &Path, hub: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", format!("http://{hub}"))
        .env("HF_TOKEN", TOKEN)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]]
        .concat()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

#[test]
fn a_model_is_fetched_gone_on_with_and_found() {
    let hub = Arc::new(Mutex::new(Hub {
        breaks: 1,
        ..Hub::default()
    }));
    let address = start(&hub);
    let home = tempfile::tempdir().unwrap();
    let pulled = pointsman(home.path(), address, &["models", "pull", "owner/small"]);
    assert!(pulled.status.success(), "{}", told(&pulled));
    let folder = home
        .path()
        .join(format!("hub/models--owner--small/snapshots/{COMMIT}"));
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), file(name), "{name}");
        assert!(std::fs::symlink_metadata(folder.join(name)).unwrap().is_symlink());
    }
    assert!(!folder.join("README.md").exists());
    {
        let asked = &hub.lock().unwrap().asked;
        // The second transfer began where the first broke off, and the token went to the hub alone.
        let elsewhere: Vec<_> = asked.iter().filter(|(path, ..)| path == "/elsewhere").collect();
        assert!(elsewhere.len() == 2 && elsewhere[1].1.is_some(), "{asked:?}");
        assert!(elsewhere.iter().all(|(_, _, token)| token.is_none()), "{asked:?}");
        let first = asked.first().unwrap();
        assert_eq!(first.2.as_deref(), Some(format!("Bearer {TOKEN}").as_str()));
    }
    // What is there is not fetched again, and what was fetched can be loaded by its name.
    let count = hub.lock().unwrap().asked.len();
    let again = pointsman(home.path(), address, &["models", "pull", "owner/small"]);
    assert!(
        again.status.success() && told(&again).contains("is there"),
        "{}",
        told(&again)
    );
    assert_eq!(hub.lock().unwrap().asked.len(), count + 1);
    let verified = pointsman(home.path(), address, &["models", "verify", "owner/small"]);
    assert!(
        verified.status.success() && told(&verified).contains("class-1"),
        "{}",
        told(&verified)
    );
}

#[test]
fn what_has_another_hash_is_thrown_away() {
    let hub = Arc::new(Mutex::new(Hub {
        lies: true,
        ..Hub::default()
    }));
    let address = start(&hub);
    let home = tempfile::tempdir().unwrap();
    let pulled = pointsman(home.path(), address, &["models", "pull", "owner/small"]);
    let said = told(&pulled);
    assert!(
        !pulled.status.success() && said.contains("another hash"),
        "{said}"
    );
    assert!(!said.contains(TOKEN), "{said}");
    let model = home.path().join("hub/models--owner--small");
    assert!(!model.join("refs/main").exists());
    let left = std::fs::read_dir(model.join("blobs")).unwrap().count();
    assert_eq!(left, 2, "the two small files, and nothing of the large one");
    let missing = pointsman(home.path(), address, &["models", "pull", "owner/nothing"]);
    assert!(
        !missing.status.success() && told(&missing).contains("no such model"),
        "{}",
        told(&missing)
    );
    let wrong = pointsman(home.path(), address, &["models", "pull", "../owner"]);
    assert!(
        !wrong.status.success() && told(&wrong).contains("owner/name"),
        "{}",
        told(&wrong)
    );
}
