//! Limits on time. What is awaited is only that they pass, and with what error, never when.

use std::time::Duration;

use http_body_util::BodyExt;
use pointsman_upstream::{BodyError, EndpointConfig, Failure, Phase, SendErrorKind, Timeouts};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::server::{Server, client, endpoint, limits, post, read, read_request, until_closed};

const SHORT: Duration = Duration::from_millis(60);
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server that reads the request, writes this, and says no more.
async fn silent_after(bytes: &'static [u8]) -> Server {
    Server::start(move |_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
        until_closed(&mut stream).await;
    })
    .await
}

async fn kind(server: &Server, timeouts: Timeouts) -> SendErrorKind {
    let endpoint = server.endpoint();
    let error = client()
        .send(&endpoint, post(&endpoint, "{}"), &timeouts)
        .await
        .unwrap_err();
    assert!(!error.is_before_send());
    error.kind()
}

#[tokio::test]
async fn a_head_that_does_not_come() {
    for start in [&b""[..], b"HTTP/1.1 200 OK\r\n"] {
        let server = silent_after(start).await;
        let first_byte = kind(
            &server,
            Timeouts {
                first_byte: SHORT,
                ..limits()
            },
        )
        .await;
        assert_eq!(first_byte, SendErrorKind::Timeout(Phase::FirstByte));
        let total = kind(
            &server,
            Timeouts {
                total: SHORT,
                ..limits()
            },
        )
        .await;
        assert_eq!(total, SendErrorKind::Timeout(Phase::Total));
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come() {
    // TLS to a server that never answers the handshake.
    let server = Server::start(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let silent = endpoint(&EndpointConfig::new(format!("https://127.0.0.1:{}", server.port)));
    let timeouts = Timeouts {
        connect: SHORT,
        ..limits()
    };
    let error = client()
        .send(&silent, post(&silent, "{}"), &timeouts)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Timeout(Phase::Connect));
    assert!(error.is_before_send());
    assert_eq!(error.failure(), Failure::Timeout(Phase::Connect));
    assert_eq!(error.to_string(), "connecting to 127.0.0.1 took too long");
}

async fn body_error(server: &Server, timeouts: Timeouts) -> BodyError {
    let endpoint = server.endpoint();
    let response = client()
        .send(&endpoint, post(&endpoint, "{}"), &timeouts)
        .await
        .unwrap();
    read(response.into_body()).await.unwrap_err()
}

#[tokio::test]
async fn a_body_that_stops() {
    let server = silent_after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    let idle = body_error(
        &server,
        Timeouts {
            between_chunks: SHORT,
            ..limits()
        },
    )
    .await;
    assert_eq!(idle, BodyError::IdleTimeout { after: SHORT });
    let total = body_error(
        &server,
        Timeouts {
            total: SHORT,
            ..limits()
        },
    )
    .await;
    assert_eq!(total, BodyError::TotalTimeout { after: SHORT });
}

#[tokio::test]
async fn a_body_that_drips_for_ever_meets_the_total() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(CHUNKED).await.unwrap();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let timeouts = Timeouts {
        total: Duration::from_millis(150),
        ..limits()
    };
    assert_eq!(
        body_error(&server, timeouts).await,
        BodyError::TotalTimeout {
            after: timeouts.total
        }
    );
}

#[tokio::test]
async fn a_body_without_any_pause_meets_the_total_as_well() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(CHUNKED).await.unwrap();
        let block = [&b"4000\r\n"[..], &[b'x'; 0x4000], b"\r\n"].concat();
        while stream.write_all(&block).await.is_ok() {}
    })
    .await;
    let endpoint = server.endpoint();
    let timeouts = Timeouts {
        total: Duration::from_millis(150),
        ..limits()
    };
    let response = client()
        .send(&endpoint, post(&endpoint, "{}"), &timeouts)
        .await
        .unwrap();
    let mut body = response.into_body();
    let error = loop {
        if let Err(error) = body.frame().await.unwrap() {
            break error;
        }
    };
    assert_eq!(
        error,
        BodyError::TotalTimeout {
            after: timeouts.total
        }
    );
}

#[tokio::test]
async fn pauses_within_the_limit_are_fine_however_many() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(CHUNKED).await.unwrap();
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            stream.write_all(b"1\r\nx\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        until_closed(&mut stream).await;
    })
    .await;
    let endpoint = server.endpoint();
    // The pauses together are longer than the limit on each.
    let timeouts = Timeouts {
        between_chunks: Duration::from_millis(600),
        ..limits()
    };
    let response = client()
        .send(&endpoint, post(&endpoint, "{}"), &timeouts)
        .await
        .unwrap();
    assert_eq!(read(response.into_body()).await.unwrap(), "xxxxxxxxxxxx");
}

#[tokio::test]
async fn the_readers_own_pauses_do_not_count_against_the_provider() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(CHUNKED).await.unwrap();
        stream.write_all(b"1\r\na\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        stream.write_all(b"1\r\nb\r\n0\r\n\r\n").await.unwrap();
        until_closed(&mut stream).await;
    })
    .await;
    let endpoint = server.endpoint();
    let timeouts = Timeouts {
        between_chunks: Duration::from_millis(400),
        ..limits()
    };
    let mut body = client()
        .send(&endpoint, post(&endpoint, "{}"), &timeouts)
        .await
        .unwrap()
        .into_body();
    body.frame().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
}

#[tokio::test]
async fn a_timeout_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let endpoint = endpoint(&EndpointConfig::new(url));
    let timeouts = Timeouts {
        first_byte: SHORT,
        ..limits()
    };
    let (client, request) = (client(), post(&endpoint, "{}"));
    let (sent, ()) = tokio::join!(client.send(&endpoint, request, &timeouts), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        until_closed(&mut stream).await;
    });
    assert!(sent.is_err());
}
