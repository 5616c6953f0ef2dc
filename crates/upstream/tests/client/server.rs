//! Servers to talk to, and the client's side of a test.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use pointsman_upstream::{
    BodyError, Client, ClientOptions, Endpoint, EndpointConfig, HealthConfig, SendError, Timeouts,
    UpstreamBody, UpstreamConfig,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that hands each connection, with its number, to a function.
pub(crate) struct Server {
    pub(crate) port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(usize, TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, stream));
            }
        });
        Self { port, accepted }
    }

    /// Answers every request on every connection with these bytes, as long as the client wants.
    pub(crate) async fn answering(bytes: &'static [u8]) -> Self {
        Self::start(move |_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                stream.write_all(bytes).await.unwrap();
            }
        })
        .await
    }

    /// Answers the first request with these bytes and closes the connection.
    pub(crate) async fn answering_once(bytes: &'static [u8]) -> Self {
        Self::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(bytes).await.unwrap();
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        endpoint(&EndpointConfig::new(self.url()))
    }
}

/// Reads a request's head and, by its length, body. `None` when the client is gone.
pub(crate) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut seen = Vec::new();
    loop {
        if let Some(head) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&seen[..head]).to_ascii_lowercase();
            let length = text.split("content-length: ").nth(1);
            let length: usize = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            if seen.len() >= head + 4 + length {
                return Some(String::from_utf8_lossy(&seen).into_owned());
            }
        }
        if stream.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    }
}

/// Waits until the other side has closed the connection.
pub(crate) async fn until_closed(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

pub(crate) fn endpoint(config: &EndpointConfig) -> Arc<Endpoint> {
    Endpoint::new(config, &HealthConfig::default()).unwrap()
}

/// A client that looks at no environment.
pub(crate) fn client_with(config: &UpstreamConfig) -> Client {
    Client::new(ClientOptions::compile_with(config, |_| None).unwrap())
}

pub(crate) fn client() -> Client {
    client_with(&UpstreamConfig::default())
}

pub(crate) fn post(endpoint: &Endpoint, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(endpoint.uri("/v1/chat?x=1").unwrap())
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// Sends a request with limits that a working test does not reach.
pub(crate) async fn send(
    client: &Client,
    endpoint: &Arc<Endpoint>,
) -> Result<Response<UpstreamBody>, SendError> {
    client.send(endpoint, post(endpoint, "{}"), &limits()).await
}

/// Sends a request and reads the answer.
pub(crate) async fn ask(client: &Client, endpoint: &Arc<Endpoint>) -> Bytes {
    read(send(client, endpoint).await.unwrap().into_body())
        .await
        .unwrap()
}

pub(crate) async fn read(body: UpstreamBody) -> Result<Bytes, BodyError> {
    body.collect().await.map(http_body_util::Collected::to_bytes)
}

/// Generous limits: a hang still ends the test.
pub(crate) fn limits() -> Timeouts {
    let long = Duration::from_secs(20);
    Timeouts {
        connect: long,
        first_byte: long,
        between_chunks: long,
        total: long,
    }
}
