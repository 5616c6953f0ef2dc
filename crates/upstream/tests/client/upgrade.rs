//! Connections that leave HTTP: over TCP and TLS, agreed on, refused, too slow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use pointsman_upstream::config::HttpVersion;
use pointsman_upstream::{Endpoint, Phase, SendErrorKind, Timeouts, Upgrade};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::server::{Server, client, limits, read_request};
use crate::tls::{Authority, secure};

const AGREED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-said: yes\r\n\r\nfirst";

fn request(endpoint: &Endpoint) -> Request<Bytes> {
    Request::get(endpoint.uri("/v1/realtime?model=m").unwrap())
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .body(Bytes::new())
        .unwrap()
}

/// Agrees, and then says everything again.
async fn agree(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let head = read_request(&mut stream).await.unwrap();
    assert!(
        head.starts_with("GET /v1/realtime?model=m HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(!head.to_ascii_lowercase().contains("content-length"), "{head}");
    stream.write_all(AGREED).await.unwrap();
    let mut said = [0; 4];
    stream.read_exact(&mut said).await.unwrap();
    stream.write_all(&said).await.unwrap();
    stream.flush().await.unwrap();
}

async fn talk(upgrade: Upgrade) {
    let Upgrade::Agreed(head, mut io) = upgrade else {
        panic!("{upgrade:?}")
    };
    assert_eq!(head.headers()["x-said"], "yes");
    io.write_all(b"ping").await.unwrap();
    io.flush().await.unwrap();
    let mut heard = [0; 9];
    io.read_exact(&mut heard).await.unwrap();
    // What came with the head is not lost.
    assert_eq!(&heard, b"firstping");
}

#[tokio::test]
async fn what_follows_the_agreement_belongs_to_the_other_protocol() {
    let server = Server::start(|_, stream| agree(stream)).await;
    let endpoint = server.endpoint();
    talk(
        client()
            .upgrade(&endpoint, request(&endpoint), &limits())
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test]
async fn over_tls_http1_alone_is_offered() {
    // A server that would rather speak HTTP/2.
    let authority = Authority::offering(&[b"h2", b"http/1.1"]);
    let acceptor = authority.acceptor();
    let server = Server::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            agree(stream).await;
        }
    })
    .await;
    let endpoint = secure(&server, "localhost", HttpVersion::Auto);
    let client = authority.client();
    talk(
        client
            .upgrade(&endpoint, request(&endpoint), &limits())
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_refusal_is_an_answer_with_its_body() {
    for (answer, status, body) in [
        (
            &b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nnope"[..],
            401,
            "nope",
        ),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", 200, "hello"),
    ] {
        let server = Server::answering_once(answer).await;
        let endpoint = server.endpoint();
        let answered = client()
            .upgrade(&endpoint, request(&endpoint), &limits())
            .await
            .unwrap();
        let Upgrade::Refused(response) = answered else {
            panic!("{answered:?}")
        };
        assert_eq!(
            (response.status().as_u16(), &response.body()[..]),
            (status, body.as_bytes())
        );
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(stream);
    })
    .await;
    let endpoint: Arc<Endpoint> = server.endpoint();
    let timeouts = Timeouts {
        first_byte: Duration::from_millis(100),
        ..limits()
    };
    let failed = client()
        .upgrade(&endpoint, request(&endpoint), &timeouts)
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), SendErrorKind::Timeout(Phase::FirstByte));
}
