//! The listener's TLS: HTTP/2 by ALPN, client certificates, and certificates that change while it runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey};
use pointsman_testbed::{SimOptions, SimServer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{Answer, House, entry, folder, key, read, store};

/// What a client offers that speaks the older version alone.
const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Signed {
            certificate: params.signed_by(&key, &self.issuer).unwrap(),
            key,
        }
    }
}

impl Signed {
    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("cert.pem"), self.certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), self.key.serialize_pem()).unwrap();
    }
}

/// A client that trusts `authority`, offers `protocols` and shows `shown`.
async fn dial(
    address: SocketAddr,
    authority: &Authority,
    shown: Option<&Signed>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(signed) => {
            let key = PrivateKeyDer::try_from(signed.key.serialize_der()).unwrap();
            let chain = vec![signed.certificate.der().clone()];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn health() -> Request<Full<Bytes>> {
    Request::get("https://localhost/health")
        .header("host", "localhost")
        .body(Full::default())
        .unwrap()
}

async fn over_http1(stream: TlsStream<TcpStream>) -> Option<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    read(sender.send_request(health()).await.ok()?).await
}

async fn over_http2(stream: TlsStream<TcpStream>) -> Option<Answer> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .ok()?;
    tokio::spawn(connection);
    let response = sender.send_request(health()).await.ok()?;
    assert_eq!(response.version(), Version::HTTP_2);
    read(response).await
}

/// Asks a model over this connection, with these headers beside.
async fn chat(stream: TlsStream<TcpStream>, more: &[(&str, &str)]) -> Answer {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/v1/chat/completions")
        .header("host", "localhost")
        .header("content-type", "application/json");
    let request = more
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    let body = r#"{"model": "o/gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}"#;
    let request = request
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    read(sender.send_request(request).await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_says_who_comes_where_no_key_does() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let authority = Authority::new("ca");
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         identity: {{ certificate: {{ user: dns, user_prefix: \"mtls:\" }} }}\n",
        sim.address()
    ));
    authority.sign("localhost").write(folder.path());
    std::fs::write(folder.path().join("ca.pem"), authority.certificate.pem()).unwrap();
    secure(folder.path(), true);
    let who = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let (app, other) = (
        authority.sign("app.example.org"),
        Authority::new("other").sign("app.example.org"),
    );
    let dial = |shown| dial(house.address, &authority, shown, HTTP1);
    let answer = chat(dial(Some(&app)).await.unwrap(), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!(row.user.unwrap().as_str(), "mtls:app.example.org");
    // Whoever brings a credential is who it says.
    let bearer = format!("Bearer {who}");
    let answer = chat(dial(Some(&app)).await.unwrap(), &[("authorization", &bearer)]).await;
    assert_eq!(entry(folder.path(), answer.header("x-request-id")).user, None);
    let wrong = chat(
        dial(Some(&app)).await.unwrap(),
        &[("authorization", "Bearer pm-nobodys")],
    )
    .await;
    assert_eq!(wrong.status, 401);
    // A user who is disabled stays out, however good the certificate is.
    let disable = |spec: &mut HolderSpec| {
        spec.disabled = true;
        Ok(())
    };
    store(folder.path())
        .update_holder(
            &Actor::local(),
            (HolderKind::User, "mtls:app.example.org"),
            None,
            disable,
        )
        .unwrap();
    // What a store says is known a while later.
    let mut status = StatusCode::OK;
    for _ in 0..100 {
        status = chat(dial(Some(&app)).await.unwrap(), &[]).await.status;
        if status == StatusCode::UNAUTHORIZED {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 401);
    // Of another authority, or without one, nobody gets as far as a request.
    for shown in [Some(&other), None] {
        let asking = async {
            match dial(shown).await {
                Ok(stream) => over_http1(stream).await.is_some(),
                Err(_) => false,
            }
        };
        // Who is shut out may hear nothing at all.
        let is_in = tokio::time::timeout(Duration::from_secs(10), asking).await;
        assert!(!is_in.unwrap_or(false));
    }
}

/// The configuration of a listener with TLS.
fn secure(folder: &Path, client_ca: bool) {
    let root = folder.display();
    let ca = if client_ca {
        format!(", client_ca: {root}/ca.pem")
    } else {
        String::new()
    };
    let file = folder.join("pointsman.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace(
        "api: { ",
        &format!("api: {{ tls: {{ cert: {root}/cert.pem, key: {root}/key.pem{ca} }}, "),
    );
    std::fs::write(file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_spoken_as_agreed() {
    let authority = Authority::new("ca");
    let folder = folder("");
    authority.sign("localhost").write(folder.path());
    secure(folder.path(), false);
    let house = House::open(folder.path());
    for (offered, agreed) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice())),
        (&[b"http/1.1".as_slice()], Some(b"http/1.1".as_slice())),
        (&[], None),
    ] {
        let stream = dial(house.address, &authority, None, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        let answer = if agreed == Some(b"h2") {
            over_http2(stream).await
        } else {
            over_http1(stream).await
        };
        let answer = answer.expect("the connection broke");
        assert_eq!(answer.status, 200);
        assert!(answer.header("x-request-id").starts_with("req_"));
    }
    // HTTP/2 without a word of it in the handshake.
    let stream = dial(house.address, &authority, None, &[]).await.unwrap();
    assert_eq!(over_http2(stream).await.unwrap().status, 200);
    // Who speaks plainly to it is not understood.
    assert!(crate::harness::get(house.address, "/health").await.is_none());
    let stranger = Authority::new("stranger");
    assert!(dial(house.address, &stranger, None, &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_client_certificate_of_ours_nobody_comes_in() {
    let authority = Authority::new("ca");
    let clients = Authority::new("clients");
    let folder = folder("");
    authority.sign("localhost").write(folder.path());
    std::fs::write(folder.path().join("ca.pem"), clients.certificate.pem()).unwrap();
    secure(folder.path(), true);
    let house = House::open(folder.path());
    let known = clients.sign("client");
    let unknown = Authority::new("others").sign("client");
    for protocols in [&[b"h2".as_slice()][..], &[b"http/1.1"]] {
        for (shown, served) in [(Some(&known), true), (Some(&unknown), false), (None, false)] {
            // With TLS 1.3 a client learns of the refusal with its first read.
            let answer = match dial(house.address, &authority, shown, protocols).await {
                Err(_) => None,
                Ok(stream) if protocols[0] == b"h2" => over_http2(stream).await,
                Ok(stream) => over_http1(stream).await,
            };
            assert_eq!(answer.is_some(), served);
        }
    }
}

/// The certificate that a new connection sees.
async fn seen(address: SocketAddr, authority: &Authority) -> CertificateDer<'static> {
    let stream = dial(address, authority, None, &[b"http/1.1"]).await.unwrap();
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

async fn until_seen(address: SocketAddr, authority: &Authority, signed: &Signed) {
    for _ in 0..100 {
        if seen(address, authority).await == *signed.certificate.der() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the new certificate was never shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_taken_over_and_a_broken_one_is_not() {
    let authority = Authority::new("ca");
    let folder = folder("");
    let first = authority.sign("localhost");
    first.write(folder.path());
    secure(folder.path(), false);
    let house = House::open(folder.path());
    assert_eq!(seen(house.address, &authority).await, *first.certificate.der());
    // An open connection goes on with what it has.
    let open = dial(house.address, &authority, None, &[b"http/1.1"])
        .await
        .unwrap();

    // By itself, when the files change.
    let second = authority.sign("localhost");
    second.write(folder.path());
    until_seen(house.address, &authority, &second).await;

    // A certificate without its key is refused, and told.
    let third = authority.sign("localhost");
    std::fs::write(folder.path().join("cert.pem"), third.certificate.pem()).unwrap();
    let said = house.hears("the old one stays");
    assert!(said.contains("cert.pem cannot be used"), "{said}");
    assert_eq!(seen(house.address, &authority).await, *second.certificate.der());
    third.write(folder.path());
    until_seen(house.address, &authority, &third).await;

    // On a hangup.
    let fourth = authority.sign("localhost");
    fourth.write(folder.path());
    house.signal("HUP");
    until_seen(house.address, &authority, &fourth).await;
    assert_eq!(over_http1(open).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_goes_over_tls_and_not_over_http2() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let authority = Authority::new("ca");
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    authority.sign("localhost").write(folder.path());
    secure(folder.path(), false);
    let house = House::open(folder.path());
    let stream = dial(house.address, &authority, None, &[b"http/1.1"])
        .await
        .unwrap();
    let mut request = "ws://localhost/v1/realtime?model=o/gpt-realtime"
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let first = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(first.contains("\"session.created\""), "{first}");
    drop(socket);
    let stream = dial(house.address, &authority, None, &[b"h2"]).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/v1/realtime?model=o/gpt-realtime")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::<Bytes>::default());
    let answer = read(sender.send_request(request.unwrap()).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"]["code"].as_str()),
        (400, Some("websocket_required"))
    );
}
