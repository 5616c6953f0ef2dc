//! TLS: certificates, the choice of HTTP version, and ends of connections that are no ends of messages.

use std::io::Write;
use std::sync::Arc;

use pointsman_upstream::config::{HttpVersion, TlsConfig};
use pointsman_upstream::{
    BodyError, Client, ClientOptions, Endpoint, EndpointConfig, SendErrorKind, UpstreamConfig,
};
use rustls_pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{Server, ask, client, client_with, endpoint, read, read_request, send, until_closed};

/// A certificate for loopback and who trusts it.
pub(crate) struct Authority {
    acceptor: TlsAcceptor,
    file: NamedTempFile,
}

impl Authority {
    /// For a server that offers these protocols.
    pub(crate) fn offering(protocols: &[&[u8]]) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(made.cert.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            file,
        }
    }

    pub(crate) fn trusted(&self) -> UpstreamConfig {
        let tls = TlsConfig {
            ca_file: Some(self.file.path().to_owned()),
            ..TlsConfig::default()
        };
        UpstreamConfig {
            tls,
            ..UpstreamConfig::default()
        }
    }

    pub(crate) fn client(&self) -> Client {
        client_with(&self.trusted())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    async fn answering(&self, answer: &'static [u8], close_properly: bool) -> Server {
        let acceptor = self.acceptor();
        Server::start(move |_, stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                serve(&mut stream, answer, close_properly).await;
            }
        })
        .await
    }
}

async fn serve(stream: &mut TlsStream<TcpStream>, answer: &[u8], close_properly: bool) {
    while read_request(stream).await.is_some() {
        stream.write_all(answer).await.unwrap();
        stream.flush().await.unwrap();
        if !answer.ends_with(b"hello") {
            continue;
        }
        if close_properly {
            stream.shutdown().await.unwrap();
        }
        return;
    }
}

pub(crate) fn secure(server: &Server, host: &str, http: HttpVersion) -> Arc<Endpoint> {
    let url = format!("https://{host}:{}", server.port);
    endpoint(&EndpointConfig {
        http,
        ..EndpointConfig::new(url)
    })
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello!";

#[tokio::test]
async fn http1_over_tls_is_kept_alive() {
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let authority = Authority::offering(protocols);
        let server = authority.answering(OK, true).await;
        let client = authority.client();
        for host in ["127.0.0.1", "localhost"] {
            let endpoint = secure(&server, host, HttpVersion::Auto);
            for _ in 0..5 {
                assert_eq!(ask(&client, &endpoint).await, "hello!");
            }
        }
        assert_eq!(server.connections(), 2, "one for each name");
    }
}

#[tokio::test]
async fn requests_that_come_together_find_out_once_and_then_dial_freely() {
    let authority = Authority::offering(&[b"http/1.1"]);
    let acceptor = authority.acceptor();
    // Connections after the first are only served once there are three of them.
    let barrier = Arc::new(Barrier::new(3));
    let server = Server::start(move |number, stream| {
        let (acceptor, barrier) = (acceptor.clone(), Arc::clone(&barrier));
        async move {
            if number > 0 {
                barrier.wait().await;
            }
            let mut stream = acceptor.accept(stream).await.unwrap();
            serve(&mut stream, OK, true).await;
        }
    })
    .await;
    let (client, endpoint) = (
        authority.client(),
        secure(&server, "localhost", HttpVersion::Auto),
    );
    let all = futures_util::future::join_all((0..4).map(|_| ask(&client, &endpoint))).await;
    assert!(all.iter().all(|body| body == "hello!"));
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let authority = Authority::offering(&[]);
    let server = authority.answering(OK, true).await;
    let error = send(&client(), &secure(&server, "localhost", HttpVersion::Auto))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Tls);
    assert!(error.is_before_send());
    assert_eq!(
        error.to_string(),
        "no secure connection to localhost could be made: its certificate is not valid or not trusted"
    );
    let other = Authority::offering(&[]);
    let error = send(&other.client(), &secure(&server, "localhost", HttpVersion::Auto))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Tls);
}

#[tokio::test]
async fn a_server_without_tls_is_no_secure_server() {
    let server = Server::start(|_, mut stream| async move {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        until_closed(&mut stream).await;
    })
    .await;
    let error = send(&client(), &secure(&server, "localhost", HttpVersion::Auto))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Tls);
}

#[tokio::test]
async fn http2_only_does_not_settle_for_less() {
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let authority = Authority::offering(protocols);
        let server = authority.answering(OK, true).await;
        let endpoint = secure(&server, "localhost", HttpVersion::Http2);
        assert_eq!(
            send(&authority.client(), &endpoint).await.unwrap_err().kind(),
            SendErrorKind::Tls
        );
    }
}

#[tokio::test]
async fn an_end_of_tls_that_was_not_announced_is_a_cut() {
    const UNTIL_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";
    let authority = Authority::offering(&[]);
    for (close_properly, expected) in [(true, Ok("hello".into())), (false, Err(BodyError::Cut))] {
        let server = authority.answering(UNTIL_CLOSE, close_properly).await;
        let response = send(
            &authority.client(),
            &secure(&server, "localhost", HttpVersion::Auto),
        )
        .await;
        assert_eq!(read(response.unwrap().into_body()).await, expected);
    }
}

#[test]
fn bad_certificate_files_are_refused() {
    let compile = |path: &std::path::Path| {
        let tls = TlsConfig {
            ca_file: Some(path.to_owned()),
            ..TlsConfig::default()
        };
        ClientOptions::compile_with(
            &UpstreamConfig {
                tls,
                ..UpstreamConfig::default()
            },
            |_| None,
        )
        .unwrap_err()
    };
    assert_eq!(
        compile("/does/not/exist.pem".as_ref()).field,
        "upstream.tls.ca_file"
    );
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"not a certificate\n").unwrap();
    let error = compile(file.path());
    assert!(error.problem.contains("holds no certificate"), "{error}");
}
