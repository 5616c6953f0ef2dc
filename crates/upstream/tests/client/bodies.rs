//! Bodies: whole ones arrive whole, cut ones are never taken for whole.

use futures_util::FutureExt;
use http_body_util::BodyExt;
use pointsman_upstream::BodyError;
use tokio::io::AsyncWriteExt;

use crate::server::{Server, client, read, read_request, send};

/// What reading the body of this answer gives, after which the server closes.
async fn outcome(answer: &'static [u8]) -> Result<bytes::Bytes, BodyError> {
    let server = Server::answering_once(answer).await;
    read(send(&client(), &server.endpoint()).await.unwrap().into_body()).await
}

#[tokio::test]
async fn cut_bodies_are_errors() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        assert_eq!(
            outcome(answer).await,
            Err(BodyError::Cut),
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[tokio::test]
async fn nonsense_between_chunks_is_a_protocol_error() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    ] {
        assert_eq!(
            outcome(answer).await,
            Err(BodyError::Protocol),
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[tokio::test]
async fn a_connection_reset_in_the_body_is_a_cut() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        // Closing at once, with no wait for what was written: the client sees a reset instead of an end.
        socket2::SockRef::from(&stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    })
    .await;
    let body = send(&client(), &server.endpoint()).await.unwrap().into_body();
    assert_eq!(read(body).await, Err(BodyError::Cut));
}

#[tokio::test]
async fn an_error_is_repeated_and_never_followed_by_an_end() {
    let server =
        Server::answering_once(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let mut body = send(&client(), &server.endpoint()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    for _ in 0..3 {
        assert_eq!(body.frame().await.unwrap().unwrap_err(), BodyError::Cut);
        assert!(!body.is_complete() && !http_body::Body::is_end_stream(&body));
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_says_that_it_has_no_mark() {
    let server = Server::answering_once(b"HTTP/1.0 200 OK\r\n\r\nhello").await;
    let body = send(&client(), &server.endpoint()).await.unwrap().into_body();
    assert!(!body.is_delimited());
    assert_eq!(read(body).await.unwrap(), "hello");
    for marked in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let server = Server::answering_once(marked).await;
        assert!(
            send(&client(), &server.endpoint())
                .await
                .unwrap()
                .into_body()
                .is_delimited()
        );
    }
}

#[tokio::test]
async fn trailers_arrive() {
    let server = Server::answering(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nhi\r\n0\r\nx-end: yes\r\n\r\n",
    )
    .await;
    let body = send(&client(), &server.endpoint()).await.unwrap().into_body();
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-end"], "yes");
}

#[tokio::test]
async fn large_bodies_both_ways() {
    const SIZE: usize = 32 << 20;
    let server = Server::start(|_, mut stream| async move {
        let request = read_request(&mut stream).await.unwrap();
        assert!(request.len() > SIZE / 2);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'y'; SIZE]).await.unwrap();
    })
    .await;
    let endpoint = server.endpoint();
    let request = crate::server::post(&endpoint, vec![b'x'; SIZE / 2]);
    let response = client()
        .send(&endpoint, request, &crate::server::limits())
        .await
        .unwrap();
    let body = read(response.into_body()).await.unwrap();
    assert!(body.len() == SIZE && body.iter().all(|byte| *byte == b'y'));
}

#[tokio::test]
async fn very_many_small_chunks_on_one_connection() {
    const CHUNKS: usize = 20_000;
    let server = Server::start(|_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for number in 0..CHUNKS {
                answer.extend_from_slice(format!("6\r\n{number:06}\r\n").as_bytes());
                if number % 97 == 0 {
                    stream.write_all(&std::mem::take(&mut answer)).await.unwrap();
                }
            }
            answer.extend_from_slice(b"0\r\n\r\n");
            stream.write_all(&answer).await.unwrap();
        }
    })
    .await;
    let (client, endpoint) = (client(), server.endpoint());
    for _ in 0..2 {
        let body = read(send(&client, &endpoint).await.unwrap().into_body())
            .await
            .unwrap();
        let expected: String = (0..CHUNKS).map(|number| format!("{number:06}")).collect();
        assert_eq!(body, expected);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn pieces_that_came_together_are_taken_without_waiting() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let pieces = "2\r\nhi\r\n".repeat(20);
        stream
            .write_all(format!("{head}{pieces}").as_bytes())
            .await
            .unwrap();
        crate::server::until_closed(&mut stream).await;
    })
    .await;
    let mut body = send(&client(), &server.endpoint()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    for _ in 0..19 {
        let piece = body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), "hi");
    }
    assert!(body.frame().now_or_never().is_none());
}
