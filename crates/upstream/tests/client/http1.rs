//! HTTP/1.1: what is sent, how connections are used again, and what happens when they break.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use pointsman_upstream::config::PoolConfig;
use pointsman_upstream::{EndpointConfig, HumanDuration, SendErrorKind, UpstreamConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::server::{
    Server, ask, client, client_with, endpoint, limits, post, read, read_request, send, until_closed,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn sends_what_it_is_given() {
    let (tell, mut heard) = mpsc::channel(4);
    let server = Server::start(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                tell.send(request).await.unwrap();
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let client = client();
    let endpoint = endpoint(&EndpointConfig::new(format!("{}/base/", server.url())));
    let mut request = post(&endpoint, "{\"a\":1}");
    // What would contradict the body's real length must not get through.
    request
        .headers_mut()
        .insert("content-length", "3".parse().unwrap());
    request
        .headers_mut()
        .insert("transfer-encoding", "chunked".parse().unwrap());
    request
        .headers_mut()
        .insert("host", "elsewhere.example".parse().unwrap());
    let response = client.send(&endpoint, request, &limits()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(read(response.into_body()).await.unwrap(), "hello");
    let seen = heard.recv().await.unwrap();
    assert!(seen.starts_with("POST /base/v1/chat?x=1 HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)),
        "{seen}"
    );
    assert!(seen.contains("content-length: 7\r\n"), "{seen}");
    assert!(
        !seen.contains("transfer-encoding") && !seen.contains("elsewhere"),
        "{seen}"
    );
    assert!(seen.ends_with("\r\n\r\n{\"a\":1}"), "{seen}");

    client
        .send(&endpoint, post(&endpoint, ""), &limits())
        .await
        .unwrap();
    assert!(heard.recv().await.unwrap().contains("content-length: 0\r\n"));
    let get = Request::get(endpoint.uri("/v1/models").unwrap())
        .body(Bytes::new())
        .unwrap();
    client.send(&endpoint, get, &limits()).await.unwrap();
    let seen = heard.recv().await.unwrap();
    assert!(
        seen.starts_with("GET /base/v1/models HTTP/1.1\r\n") && !seen.contains("content-length"),
        "{seen}"
    );
}

#[tokio::test]
async fn uses_a_connection_again_whatever_the_framing() {
    for answer in [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
    ] {
        let server = Server::answering(answer).await;
        let (client, endpoint) = (client(), server.endpoint());
        for _ in 0..20 {
            ask(&client, &endpoint).await;
        }
        assert_eq!(server.connections(), 1, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn gives_back_a_body_whose_end_nobody_polls_for() {
    let server = Server::answering(OK).await;
    let (client, endpoint) = (client(), server.endpoint());
    for _ in 0..5 {
        let mut body = send(&client, &endpoint).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        assert!(body.is_complete());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn endpoints_of_the_same_origin_share_connections() {
    let server = Server::answering(OK).await;
    let client = client();
    for path in ["/a", "/b"] {
        ask(
            &client,
            &endpoint(&EndpointConfig::new(format!("{}{path}", server.url()))),
        )
        .await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn honours_connection_close() {
    let server =
        Server::answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello").await;
    let (client, endpoint) = (client(), server.endpoint());
    ask(&client, &endpoint).await;
    ask(&client, &endpoint).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn keeps_no_more_than_it_may_and_the_last_used_first() {
    let server = Server::answering(OK).await;
    let pool = PoolConfig {
        max_idle: 2,
        ..PoolConfig::default()
    };
    let client = client_with(&UpstreamConfig {
        pool,
        ..UpstreamConfig::default()
    });
    let endpoint = server.endpoint();
    let together = |count: usize| {
        let (client, endpoint) = (client.clone(), endpoint.clone());
        async move {
            let all = (0..count).map(|_| send(&client, &endpoint));
            for response in futures_util::future::join_all(all).await {
                read(response.unwrap().into_body()).await.unwrap();
            }
        }
    };
    together(4).await;
    assert_eq!(server.connections(), 4);
    together(4).await;
    assert_eq!(server.connections(), 6, "two of four had been kept");
}

#[tokio::test]
async fn closes_what_is_idle_for_too_long() {
    let (tell, mut heard) = mpsc::channel(1);
    let server = Server::start(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            until_closed(&mut stream).await;
            tell.send(()).await.unwrap();
        }
    })
    .await;
    let pool = PoolConfig {
        idle_timeout: HumanDuration::from_millis(30),
        ..PoolConfig::default()
    };
    let client = client_with(&UpstreamConfig {
        pool,
        ..UpstreamConfig::default()
    });
    ask(&client, &server.endpoint()).await;
    heard.recv().await.unwrap();
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_unseen() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let (client, endpoint) = (client(), server.endpoint());
    for round in 1..=20 {
        // The server closes right after its answer; whether the client has noticed when it sends again is chance.
        ask(&client, &endpoint).await;
        assert_eq!(server.connections(), round);
        if round % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn a_reused_connection_that_dies_with_the_request_is_a_reset() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        // The second request is read, so it may have been processed: it must not be sent again.
        read_request(&mut stream).await;
    })
    .await;
    let (client, endpoint) = (client(), server.endpoint());
    ask(&client, &endpoint).await;
    let error = send(&client, &endpoint).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Reset { reused: true });
    assert!(!error.is_before_send());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_new_connection_that_dies_is_a_reset_too() {
    let server = Server::answering_once(b"").await;
    let error = send(&client(), &server.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Reset { reused: false });
    assert_eq!(
        error.to_string(),
        "127.0.0.1 closed the connection before answering"
    );
    let half = Server::answering_once(b"HTTP/1.1 200 OK\r\ncontent-le").await;
    let error = send(&client(), &half.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Reset { reused: false });
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    for nonsense in [
        &b"SSH-2.0-OpenSSH_9.6\r\n\r\n"[..],
        b"HTTP/1.1 banana OK\r\n\r\n",
        b"\0\x01\x02\x03\r\n\r\n",
    ] {
        let server = Server::answering_once(nonsense).await;
        let error = send(&client(), &server.endpoint()).await.unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Protocol, "{error:?}");
    }
}

#[tokio::test]
async fn too_many_headers_are_too_large() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        for number in 0..5_000 {
            head.extend_from_slice(format!("x-{number}: {}\r\n", "v".repeat(200)).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let _ = stream.write_all(&head).await;
    })
    .await;
    let error = send(&client(), &server.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::TooLarge, "{error:?}");
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_before_sending() {
    let refused = endpoint(&EndpointConfig::new("http://127.0.0.1:1"));
    let error = send(&client(), &refused).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Connect);
    assert!(error.is_before_send());
    assert_eq!(
        error.to_string(),
        "no connection to 127.0.0.1 could be made: the connection was refused"
    );
    let unknown = endpoint(&EndpointConfig::new("http://nowhere.invalid"));
    let error = send(&client(), &unknown).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Dns, "{error:?}");
    assert_eq!(
        error.to_string(),
        "the name nowhere.invalid could not be resolved"
    );
}

#[tokio::test]
async fn informational_responses_are_passed_over() {
    let server = Server::answering(
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    assert_eq!(ask(&client(), &server.endpoint()).await, "hello");
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_arrives() {
    let server = Server::start(|_, mut stream| async move {
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        until_closed(&mut stream).await;
    })
    .await;
    let endpoint = server.endpoint();
    let body = Bytes::from(vec![b'x'; 8 << 20]);
    let response = client()
        .send(&endpoint, post(&endpoint, body), &limits())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn giving_up_closes_the_connection() {
    let (tell, mut heard) = mpsc::channel(1);
    let server = Server::start(move |number, mut stream| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await;
            if number == 0 {
                // A stream without end: the client drops the body.
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head).await.unwrap();
                stream.write_all(b"2\r\nhi\r\n").await.unwrap();
            }
            // The second never answers: the client drops the call.
            until_closed(&mut stream).await;
            tell.send(number).await.unwrap();
        }
    })
    .await;
    let (client, endpoint) = (client(), server.endpoint());
    let mut body = send(&client, &endpoint).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(heard.recv().await, Some(0));
    let call = tokio::time::timeout(Duration::from_millis(50), send(&client, &endpoint));
    assert!(call.await.is_err());
    assert_eq!(heard.recv().await, Some(1));
}

#[tokio::test]
async fn dropping_the_client_closes_its_connections() {
    let (tell, mut heard) = mpsc::channel(1);
    let server = Server::start(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            until_closed(&mut stream).await;
            tell.send(()).await.unwrap();
        }
    })
    .await;
    let client = client();
    ask(&client, &server.endpoint()).await;
    drop(client);
    heard.recv().await.unwrap();
}

#[tokio::test]
async fn many_at_once_each_get_their_own_answer() {
    let server = Server::start(|_, mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            let body = request.split("\r\n\r\n").nth(1).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    })
    .await;
    let (client, endpoint) = (Arc::new(client()), server.endpoint());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (client, endpoint) = (Arc::clone(&client), endpoint.clone());
        tasks.spawn(async move {
            for round in 0..5 {
                let body = format!("request {number} round {round}");
                let request = post(&endpoint, body.clone());
                let response = client.send(&endpoint, request, &limits()).await.unwrap();
                assert_eq!(read(response.into_body()).await.unwrap(), body);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(server.connections() <= 200, "{}", server.connections());
}
