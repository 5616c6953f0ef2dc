//! Through an HTTP proxy: tunnels for TLS, forwarding for plain HTTP.

use std::sync::Arc;

use pointsman_upstream::config::{HttpVersion, ProxyConfig, Secret};
use pointsman_upstream::{Client, EndpointConfig, SendErrorKind, UpstreamConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::server::{Server, ask, client_with, endpoint, read_request, send};
use crate::tls::{Authority, secure};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn via(proxy: &Server, user: &str, config: UpstreamConfig) -> Client {
    let url = Some(Secret::from(format!("http://{user}127.0.0.1:{}", proxy.port)));
    client_with(&UpstreamConfig {
        proxy: ProxyConfig {
            url,
            ..ProxyConfig::default()
        },
        ..config
    })
}

/// Reads a CONNECT request, one byte at a time so as to take nothing of the tunnel.
async fn read_connect(stream: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A proxy that opens tunnels to wherever it is asked, and says what it was asked.
async fn tunnelling() -> (Server, mpsc::Receiver<String>) {
    let (tell, heard) = mpsc::channel(8);
    let proxy = Server::start(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            let request = read_connect(&mut stream).await;
            let target = request.split(' ').nth(1).unwrap().to_owned();
            tell.send(request).await.unwrap();
            let mut onward = TcpStream::connect(target).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 Connection established\r\nx: ")
                .await
                .unwrap();
            tokio::task::yield_now().await;
            stream.write_all(b"y\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
        }
    })
    .await;
    (proxy, heard)
}

async fn secure_server(authority: &Authority) -> Server {
    let acceptor = authority.acceptor();
    Server::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            while let Some(request) = read_request(&mut stream).await {
                assert!(request.starts_with("POST /v1/chat?x=1 HTTP/1.1\r\n"), "{request}");
                assert!(
                    !request.to_ascii_lowercase().contains("proxy-authorization"),
                    "{request}"
                );
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let authority = Authority::offering(&[b"http/1.1"]);
    let server = secure_server(&authority).await;
    let (proxy, mut heard) = tunnelling().await;
    let client = via(&proxy, "me:p%20w@", authority.trusted());
    let endpoint = secure(&server, "localhost", HttpVersion::Auto);
    for _ in 0..3 {
        assert_eq!(ask(&client, &endpoint).await, "hello");
    }
    let request = heard.recv().await.unwrap();
    assert!(
        request.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port)),
        "{request}"
    );
    assert!(
        request.contains("Proxy-Authorization: Basic bWU6cCB3\r\n"),
        "{request}"
    );
    assert_eq!(
        (proxy.connections(), server.connections()),
        (1, 1),
        "the tunnel is kept alive"
    );
}

#[tokio::test]
async fn plain_http_is_forwarded() {
    let (tell, mut heard) = mpsc::channel(8);
    let proxy = Server::start(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                tell.send(request).await.unwrap();
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let client = via(&proxy, "me:pw@", UpstreamConfig::default());
    let target = endpoint(&EndpointConfig::new("http://model.invalid:8000/base"));
    for _ in 0..2 {
        assert_eq!(ask(&client, &target).await, "hello");
        let request = heard.recv().await.unwrap();
        assert!(
            request.starts_with("POST http://model.invalid:8000/base/v1/chat?x=1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("host: model.invalid:8000\r\n"), "{request}");
        assert!(
            request.contains("proxy-authorization: Basic bWU6cHc=\r\n"),
            "{request}"
        );
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_such() {
    for (answer, says) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
            "the proxy asks for other credentials (407)",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
            "the proxy refused with status 403",
        ),
        (b"what?\r\n\r\n", "the proxy's answer is not valid HTTP"),
        (
            b"HTTP/1.1 200",
            "the proxy closed the connection before it answered",
        ),
    ] {
        let proxy = Server::answering_once(answer).await;
        let client = via(&proxy, "me:hunter2@", UpstreamConfig::default());
        let target = endpoint(&EndpointConfig::new("https://api.invalid"));
        let error = send(&client, &target).await.unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Proxy);
        assert!(error.is_before_send());
        assert_eq!(
            error.to_string(),
            format!("the proxy on the way to api.invalid failed: {says}")
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_proxy_that_talks_without_end_is_given_up() {
    let proxy = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        while stream.write_all(&[b'a'; 1000]).await.is_ok() {}
    })
    .await;
    let client = via(&proxy, "", UpstreamConfig::default());
    let error = send(&client, &endpoint(&EndpointConfig::new("https://api.invalid")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Proxy);
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let proxy = Arc::new(Server::answering(OK).await);
    let url = Some(Secret::from("http://127.0.0.1:1"));
    let config = ProxyConfig {
        url,
        no_proxy: vec!["127.0.0.1".to_owned()],
        ..ProxyConfig::default()
    };
    let client = client_with(&UpstreamConfig {
        proxy: config,
        ..UpstreamConfig::default()
    });
    let error = send(&client, &endpoint(&EndpointConfig::new("http://api.invalid")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Proxy);
    assert_eq!(
        ask(&client, &proxy.endpoint()).await,
        "hello",
        "no_proxy goes there directly"
    );
}
