//! A bucket that checks every signature by its own means, and what is asked of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pointsman_upstream::{ClientOptions, UpstreamConfig};
use ring::{digest, hmac};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::blob;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Default)]
struct Kept {
    blobs: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<usize, Vec<u8>>,
    seen: Vec<String>,
    /// Answered with 503 first.
    busy: usize,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// What the signature of a request should be.
fn signature(method: &str, target: &str, headers: &HashMap<String, String>, body: &[u8]) -> Option<bool> {
    let said = headers.get("authorization")?;
    let field = |name: &str| {
        let rest = said.split_once(&format!("{name}="))?.1;
        Some(rest.split(',').next()?.to_owned())
    };
    let (credential, names, given) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let scope = credential.split_once('/')?.1.to_owned();
    let declared = headers.get("x-amz-content-sha256")?;
    if *declared != sha256(body) || !credential.starts_with("AKID/") {
        return Some(false);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let mut canonical = format!("{method}\n{path}\n{}\n", pairs.join("&"));
    for name in names.split(';') {
        let _ = writeln!(canonical, "{name}:{}", headers.get(name)?);
    }
    let _ = write!(canonical, "\n{names}\n{declared}");
    let date = headers.get("x-amz-date")?;
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        sha256(canonical.as_bytes())
    );
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        let signing = hmac::Key::new(hmac::HMAC_SHA256, &key);
        key = hmac::sign(&signing, part.as_bytes()).as_ref().to_vec();
    }
    let signing = hmac::Key::new(hmac::HMAC_SHA256, &key);
    Some(hex(hmac::sign(&signing, text.as_bytes()).as_ref()) == given)
}

/// Answers one request: status, headers, body.
fn answer(kept: &mut Kept, method: &str, target: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let settings: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    kept.seen.push(format!("{method} {target}"));
    if kept.busy > 0 {
        kept.busy -= 1;
        return (
            503,
            String::new(),
            b"<Error><Code>SlowDown</Code></Error>".to_vec(),
        );
    }
    match (method, settings.get("uploadId"), settings.get("partNumber")) {
        ("POST", None, _) if settings.contains_key("uploads") => {
            (200, String::new(), b"<R><UploadId>up/1</UploadId></R>".to_vec())
        }
        ("PUT", Some(_), Some(number)) => {
            kept.parts.insert(number.parse().unwrap(), body.to_vec());
            (200, format!("etag: \"tag-{number}\"\r\n"), Vec::new())
        }
        ("POST", Some(&"up%2F1"), _) => {
            let whole: Vec<u8> = kept.parts.values().flatten().copied().collect();
            let said = String::from_utf8_lossy(body).matches("\"tag-").count();
            assert_eq!(said, kept.parts.len());
            kept.blobs.insert(path.to_owned(), whole);
            (200, String::new(), b"<Done/>".to_vec())
        }
        ("PUT", None, None) => {
            kept.blobs.insert(path.to_owned(), body.to_vec());
            (200, String::new(), Vec::new())
        }
        ("GET", ..) => match kept.blobs.get(path) {
            Some(blob) => (200, String::new(), blob.clone()),
            None => (
                404,
                String::new(),
                b"<Error><Code>NoSuchKey</Code></Error>".to_vec(),
            ),
        },
        ("DELETE", ..) => {
            kept.blobs.remove(path);
            (204, String::new(), Vec::new())
        }
        _ => (400, String::new(), Vec::new()),
    }
}

async fn serve(mut stream: TcpStream, kept: Arc<Mutex<Kept>>) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        bytes.drain(..end + 4);
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?, first.next()?);
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while bytes.len() < length {
            stream.read_buf(&mut bytes).await.ok()?;
        }
        let body: Vec<u8> = bytes.drain(..length).collect();
        let (status, extra, said) = if signature(method, target, &headers, &body) == Some(true) {
            answer(&mut kept.lock().unwrap(), method, target, &body)
        } else {
            let error = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>";
            (403, String::new(), error.to_vec())
        };
        let length = if status == 204 {
            String::new()
        } else {
            format!("content-length: {}\r\n", said.len())
        };
        let head = format!("HTTP/1.1 {status} X\r\n{extra}{length}\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&said).await.ok()?;
    }
}

async fn bucket() -> (SocketAddr, Arc<Mutex<Kept>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Arc::<Mutex<Kept>>::default();
    let all = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&all)));
        }
    });
    (address, kept)
}

fn keys(secret: &str) -> Environment {
    Environment::of([("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", secret)])
}

fn client() -> Client {
    Client::new(ClientOptions::compile_with(&UpstreamConfig::default(), |_| None).unwrap())
}

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("staged");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

async fn read(store: &dyn BlobStore, client: &Client, name: &str) -> Result<Vec<u8>, BlobError> {
    let mut reader = store.open(client, name).await?;
    let mut all = Vec::new();
    while let Some(piece) = reader.piece().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

#[tokio::test]
async fn a_blob_goes_to_the_bucket_and_comes_back_signed_each_time() {
    let (address, kept) = bucket().await;
    let url = format!("s3://files/some/prefix?endpoint=http://{address}&region=eu-west-1");
    let (store, client) = (blob::at(&url, &keys(SECRET)).unwrap(), client());
    let (_folder, path) = file(b"hello");
    store.put(&client, "file-1", &path).await.unwrap();
    assert!(!path.exists(), "the staged file is gone");
    assert_eq!(read(&*store, &client, "file-1").await.unwrap(), b"hello");
    assert_eq!(
        kept.lock().unwrap().blobs.keys().collect::<Vec<_>>(),
        ["/files/some/prefix/file-1"]
    );
    store.delete(&client, "file-1").await.unwrap();
    store.delete(&client, "file-1").await.unwrap();
    assert!(matches!(
        read(&*store, &client, "file-1").await,
        Err(BlobError::Missing)
    ));
}

#[tokio::test]
async fn a_large_blob_goes_up_in_parts_and_a_busy_bucket_is_asked_again() {
    let (address, kept) = bucket().await;
    kept.lock().unwrap().busy = 2;
    let url = format!("s3://files?endpoint=http://{address}&region=eu-west-1");
    let (store, client) = (blob::at(&url, &keys(SECRET)).unwrap(), client());
    let large: Vec<u8> = (0..PART as usize * 2 + 7).map(|at| (at % 251) as u8).collect();
    let (_folder, path) = file(&large);
    store.put(&client, "file-2", &path).await.unwrap();
    assert_eq!(kept.lock().unwrap().parts.len(), 3);
    assert!(read(&*store, &client, "file-2").await.unwrap() == large);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_told_without_it() {
    let (address, _) = bucket().await;
    let url = format!("s3://files?endpoint=http://{address}&region=eu-west-1");
    let (store, client) = (blob::at(&url, &keys("wrong-secret")).unwrap(), client());
    let (_folder, path) = file(b"hello");
    let error = store.put(&client, "file-3", &path).await.unwrap_err().to_string();
    assert!(error.contains("403 SignatureDoesNotMatch"), "{error}");
    assert!(!error.contains("wrong-secret"), "{error}");
    assert!(path.exists(), "what was not put is not lost");
}

#[test]
fn urls_are_checked() {
    for (url, problem) in [
        ("s3://b", "names no region"),
        ("s3://b?region=r&acl=x", "unknown setting \"acl\""),
        ("s3://key:secret@b?region=r", "holds keys"),
        ("s3://b/a%20b?region=r", "prefix"),
        ("s3://?region=r", "bucket"),
        ("file://", "names no folder"),
        ("gs://b", "\"gs\" is not supported"),
    ] {
        let error = blob::at(url, &Environment::of::<&str, &str>([]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(problem), "{url}: {error}");
        assert!(!error.contains("secret"), "{url}: {error}");
    }
    let there = blob::at("s3://b/p?region=eu-west-1", &keys(SECRET)).unwrap();
    assert!(format!("{there:?}").contains("b.s3.eu-west-1.amazonaws.com"));
}
