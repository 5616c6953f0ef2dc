//! HTTP/2: one connection for many requests, and what happens to them when it goes.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pointsman_upstream::config::HttpVersion;
use pointsman_upstream::{BodyError, Endpoint, EndpointConfig, Failure, SendErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use crate::server::{Server, ask, client, endpoint, limits, post, read, send, until_closed};
use crate::tls::{Authority, secure};

type Answer = Response<Full<Bytes>>;

/// Says what it saw: version, authority and path, and the body.
async fn echo(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let seen = format!(
        "{:?} {} {:?} {}",
        parts.version,
        parts.uri,
        parts.headers.get("host"),
        String::from_utf8_lossy(&body)
    );
    Ok(Response::new(Full::new(seen.into())))
}

async fn serve_echo(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, streams: u32) {
    let _ = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(stream), service_fn(echo))
        .await;
}

async fn secure_echo(authority: &Authority) -> Server {
    let acceptor = authority.acceptor();
    Server::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move { serve_echo(acceptor.accept(stream).await.unwrap(), 200).await }
    })
    .await
}

/// Plain TCP, HTTP/2 by prior knowledge.
fn plain(server: &Server) -> Arc<Endpoint> {
    endpoint(&EndpointConfig {
        http: HttpVersion::Http2,
        ..EndpointConfig::new(server.url())
    })
}

#[tokio::test]
async fn is_preferred_over_tls_and_shared_by_all() {
    let authority = Authority::offering(&[b"h2", b"http/1.1"]);
    let server = secure_echo(&authority).await;
    let (client, endpoint) = (
        authority.client(),
        secure(&server, "localhost", HttpVersion::Auto),
    );
    let all = futures_util::future::join_all((0..50).map(|_| ask(&client, &endpoint))).await;
    let expected = format!("HTTP/2.0 https://localhost:{}/v1/chat?x=1 None {{}}", server.port);
    assert!(all.iter().all(|body| *body == expected), "{all:?}");
    assert_eq!(
        server.connections(),
        1,
        "requests that come together share the first connection"
    );
    let response = send(&client, &endpoint).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert!(response.body().is_delimited());
}

#[tokio::test]
async fn works_by_prior_knowledge_without_tls() {
    let server = Server::start(|_, stream| serve_echo(stream, 200)).await;
    let (client, endpoint) = (client(), plain(&server));
    for _ in 0..5 {
        let seen = ask(&client, &endpoint).await;
        assert_eq!(
            seen,
            format!("HTTP/2.0 http://127.0.0.1:{}/v1/chat?x=1 None {{}}", server.port)
        );
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn large_bodies_both_ways() {
    let server = Server::start(|_, stream| serve_echo(stream, 200)).await;
    let endpoint = plain(&server);
    let request = post(&endpoint, vec![b'z'; 8 << 20]);
    let response = client().send(&endpoint, request, &limits()).await.unwrap();
    assert!(read(response.into_body()).await.unwrap().len() > 8 << 20);
}

#[tokio::test]
async fn another_connection_is_opened_when_all_streams_are_taken() {
    let release = Arc::new(Notify::new());
    let waiting = Arc::clone(&release);
    let server = Server::start(move |_, stream| {
        let waiting = Arc::clone(&waiting);
        async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let waiting = Arc::clone(&waiting);
                async move {
                    waiting.notified().await;
                    Ok::<Answer, Infallible>(Response::default())
                }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let builder = builder.max_concurrent_streams(2);
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    let (client, endpoint) = (client(), plain(&server));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (client, endpoint) = (client.clone(), endpoint.clone());
        tasks.spawn(async move { send(&client, &endpoint).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(server.connections(), 3, "two streams each");
    for _ in 0..5 {
        release.notify_one();
        tasks.join_next().await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_said_goodbye_is_replaced() {
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    let server = Server::start(move |_, stream| {
        let counter = Arc::clone(&counter);
        async move {
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            let mut connection = std::pin::pin!(connection);
            let goodbye = tokio::time::sleep(Duration::from_millis(20));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = goodbye => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let (client, endpoint) = (client(), plain(&server));
    for round in 1..=3 {
        ask(&client, &endpoint).await;
        assert_eq!(server.connections(), round);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(served.load(Ordering::SeqCst), 3);
}

type Chunks = mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>;

fn chunks(
    receiver: Chunks,
) -> StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>>> {
    StreamBody::new(futures_util::stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) },
    ))
}

#[tokio::test]
async fn a_stream_that_is_reset_or_cut_off_is_a_cut() {
    for reset in [true, false] {
        let server = Server::start(move |_, stream| async move {
            let service = service_fn(move |_| async move {
                let (tell, heard) = mpsc::channel(4);
                tell.send(Ok(Frame::data(Bytes::from_static(b"hello"))))
                    .await
                    .unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    if reset {
                        let _ = tell.send(Err(std::io::Error::other("no more"))).await;
                    }
                    // Otherwise the body stays open until the connection goes.
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    drop(tell);
                });
                Ok::<_, Infallible>(Response::new(chunks(heard)))
            });
            let connection =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            let life = Duration::from_millis(if reset { 20_000 } else { 60 });
            let _ = tokio::time::timeout(life, connection).await;
        })
        .await;
        let mut body = send(&client(), &plain(&server)).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        assert_eq!(
            body.frame().await.unwrap().unwrap_err(),
            BodyError::Cut,
            "reset: {reset}"
        );
        assert!(!body.is_complete());
    }
}

/// A frame: its type, flags, stream and payload (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [
        &[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream],
        payload,
    ]
    .concat()
}

/// Speaks HTTP/2 by hand: waits for the first request, then writes these frames and keeps the connection open.
async fn scripted(frames: Vec<u8>) -> Server {
    Server::start(move |_, mut stream| {
        let frames = frames.clone();
        async move {
            let settings = frame(4, 0, 0, &[]);
            stream.write_all(&settings).await.unwrap();
            let mut seen = Vec::new();
            while !seen.windows(2).any(|window| window == b"{}") {
                assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
            }
            stream.write_all(&frames).await.unwrap();
            until_closed(&mut stream).await;
        }
    })
    .await
}

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;
/// `:status: 200` in the static table.
const STATUS_200: &[u8] = &[0x88];

#[tokio::test]
async fn a_stream_abandoned_without_error_is_no_end() {
    let head = frame(HEADERS, 4, 1, STATUS_200);
    let data = frame(DATA, 0, 1, b"hello");
    for (last, expected) in [
        (frame(RESET, 0, 1, &[0; 4]), Err(BodyError::Cut)),
        (frame(DATA, 1, 1, b"!"), Ok(Bytes::from("hello!"))),
    ] {
        let server = scripted([head.clone(), data.clone(), last].concat()).await;
        let body = send(&client(), &plain(&server)).await.unwrap().into_body();
        assert_eq!(read(body).await, expected);
    }
}

#[tokio::test]
async fn a_request_that_the_server_did_not_look_at_may_be_sent_again() {
    let refused = frame(RESET, 0, 1, &[0, 0, 0, 7]);
    let goodbye = frame(GOAWAY, 0, 0, &[0; 8]);
    let failed = frame(RESET, 0, 1, &[0, 0, 0, 2]);
    for (frames, unprocessed) in [(refused, true), (goodbye, true), (failed, false)] {
        let server = scripted(frames).await;
        let error = send(&client(), &plain(&server)).await.unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Reset { reused: false }, "{error:?}");
        assert_eq!(error.is_before_send(), unprocessed, "{error:?}");
        let failure = if unprocessed {
            Failure::Connect
        } else {
            Failure::Reset
        };
        assert_eq!(error.failure(), failure);
    }
}

#[tokio::test]
async fn dropping_a_body_stops_the_stream_and_keeps_the_connection() {
    let (tell, mut heard) = mpsc::channel(1);
    let server = Server::start(move |_, stream| {
        let tell = tell.clone();
        async move {
            let service = service_fn(move |_| {
                let tell = tell.clone();
                async move {
                    let (chunk, receiver) = mpsc::channel(1);
                    tokio::spawn(async move {
                        while chunk
                            .send(Ok(Frame::data(Bytes::from_static(b"x"))))
                            .await
                            .is_ok()
                        {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                        let _ = tell.send(()).await;
                    });
                    Ok::<_, Infallible>(Response::new(chunks(receiver)))
                }
            });
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
    let (client, endpoint) = (client(), plain(&server));
    for _ in 0..3 {
        let mut body = send(&client, &endpoint).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        heard.recv().await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}
