//! Files from places that clients name.

use std::time::Duration;

use pointsman_upstream::{Client, ClientOptions, FetchBounds, FetchError, Fetched, UpstreamConfig};
use tokio::io::AsyncWriteExt;

use crate::server::{Server, read_request};

fn bounds(hosts: &[&str]) -> FetchBounds {
    FetchBounds {
        max_bytes: 64,
        timeout: Duration::from_secs(5),
        plain_http: true,
        private_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    }
}

async fn fetch(url: &str, bounds: &FetchBounds) -> Result<Fetched, FetchError> {
    let options = ClientOptions::compile_with(&UpstreamConfig::default(), |_| None).unwrap();
    Client::new(options).fetch(url, bounds).await
}

async fn refused(url: &str, bounds: &FetchBounds, why: &str) {
    let error = fetch(url, bounds).await.unwrap_err().to_string();
    assert!(error.contains(why), "{url}: {error}");
}

const PICTURE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 4\r\n\r\n\x89PNG";

#[tokio::test]
async fn a_file_is_fetched_where_that_is_allowed() {
    let server = Server::answering(PICTURE).await;
    let allowed = bounds(&["127.0.0.1"]);
    let fetched = fetch(
        &format!("http://127.0.0.1:{}/a%20b.png?c=d", server.port),
        &allowed,
    )
    .await
    .unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("image/png"));
    assert_eq!(&fetched.bytes[..], b"\x89PNG");
}

#[tokio::test]
async fn nothing_is_fetched_from_addresses_that_are_not_public() {
    let server = Server::answering(PICTURE).await;
    let why = "not one of the public internet";
    for host in [
        "127.0.0.1",
        "localhost",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "127.1",
    ] {
        refused(&format!("http://{host}:{}/", server.port), &bounds(&[]), why).await;
    }
    refused(
        "http://169.254.169.254/latest/meta-data/",
        &bounds(&["127.0.0.1"]),
        why,
    )
    .await;
    assert_eq!(server.connections(), 0, "nobody was connected to");
}

#[tokio::test]
async fn a_redirect_is_looked_at_like_the_first_url() {
    let inner = Server::answering(PICTURE).await;
    let port = inner.port;
    let moved = move |to: String| {
        Server::start(move |_, mut stream| {
            let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(head.as_bytes()).await;
            }
        })
    };
    // The name that is allowed leads to an address that is not.
    let server = moved(format!("http://127.0.0.1:{port}/")).await;
    let url = format!("http://localhost:{}/", server.port);
    refused(&url, &bounds(&["localhost"]), "not one of the public internet").await;
    assert_eq!(inner.connections(), 0);
    let both = bounds(&["localhost", "127.0.0.1"]);
    assert_eq!(&fetch(&url, &both).await.unwrap().bytes[..], b"\x89PNG");
    let server = moved("file:///etc/passwd".to_owned()).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    refused(&url, &both, "no other scheme").await;
    let server = moved("/again".to_owned()).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    refused(&url, &both, "redirects too often").await;
}

#[tokio::test]
async fn size_time_scheme_and_status_are_bounded() {
    let allowed = bounds(&["127.0.0.1"]);
    let at = |server: &Server| format!("http://127.0.0.1:{}/", server.port);
    let server = Server::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n").await;
    refused(&at(&server), &allowed, "larger than 64 bytes").await;
    let server = Server::answering_once(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n41\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n0\r\n\r\n",
    )
    .await;
    refused(&at(&server), &allowed, "larger than 64 bytes").await;
    let server = Server::answering(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    refused(&at(&server), &allowed, "answered 404").await;
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let hasty = FetchBounds {
        timeout: Duration::from_millis(100),
        ..allowed.clone()
    };
    refused(&at(&server), &hasty, "in time").await;
    let strict = FetchBounds {
        plain_http: false,
        ..allowed.clone()
    };
    refused(&at(&server), &strict, "only https").await;
    for (url, why) in [
        ("gopher://127.0.0.1/", "no other scheme"),
        ("no url", "not a valid URL"),
        ("http://user:secret@127.0.0.1/", "cannot be fetched"),
    ] {
        let error = fetch(url, &allowed).await.unwrap_err().to_string();
        assert!(
            error.contains(why) || error.contains("can be fetched"),
            "{url}: {error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
}
