//! Client certificates: sent where they are asked for, read anew when they change.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_upstream::config::{ClientCertificateConfig, PoolConfig, TlsConfig};
use pointsman_upstream::{
    AuthConfig, AuthStyle, Client, Credential, Endpoint, EndpointConfig, UpstreamConfig,
};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::server::{Server, ask, client_with, endpoint, read_request, send};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello!";

/// A server that lets in whom its authority vouches for, and what it takes to be let in.
struct Guarded {
    server: Server,
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    /// Certificates that were shown, one a connection.
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
}

fn named(name: &str, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    params
}

impl Guarded {
    async fn start() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = named("localhost", ExtendedKeyUsagePurpose::ServerAuth)
            .signed_by(&key, &authority)
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![own.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let shown: Arc<Mutex<Vec<CertificateDer<'static>>>> = Arc::default();
        let seen = Arc::clone(&shown);
        let server = Server::start(move |_, stream| {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let peer = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
                seen.lock().push(peer.into_owned());
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(OK).await.unwrap();
                }
            }
        })
        .await;
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Self {
            server,
            authority,
            folder,
            shown,
        }
    }

    /// Writes a new client certificate, and returns it.
    fn renew(&self, files: &ClientCertificateConfig) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let made = named("client", ExtendedKeyUsagePurpose::ClientAuth)
            .signed_by(&key, &self.authority)
            .unwrap();
        std::fs::write(&files.cert, made.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        made.der().clone()
    }

    fn files(&self) -> ClientCertificateConfig {
        let path = |name: &str| self.folder.path().join(name);
        ClientCertificateConfig {
            cert: path("client.pem"),
            key: path("client.key"),
        }
    }

    /// A client that trusts the authority and keeps no connection.
    fn client(&self) -> Client {
        client_with(&UpstreamConfig {
            tls: TlsConfig {
                ca_file: Some(self.folder.path().join("ca.pem")),
                ..TlsConfig::default()
            },
            pool: PoolConfig {
                max_idle: 0,
                ..PoolConfig::default()
            },
            ..UpstreamConfig::default()
        })
    }

    fn endpoint(&self, certificate: Option<ClientCertificateConfig>) -> Arc<Endpoint> {
        endpoint(&EndpointConfig {
            client_certificate: certificate,
            ..EndpointConfig::new(format!("https://localhost:{}", self.server.port))
        })
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_anew_when_it_changes() {
    let guarded = Guarded::start().await;
    let files = guarded.files();
    let (client, endpoint) = (guarded.client(), guarded.endpoint(Some(files.clone())));
    let first = guarded.renew(&files);
    assert_eq!(ask(&client, &endpoint).await, "hello!");
    // A file's time may be coarse.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = guarded.renew(&files);
    assert_eq!(ask(&client, &endpoint).await, "hello!");
    // Half a renewal is none: the key is not that of the certificate.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert_eq!(ask(&client, &endpoint).await, "hello!");
    std::fs::write(&files.key, key).unwrap();
    assert_eq!(ask(&client, &endpoint).await, "hello!");
    assert_eq!(
        *guarded.shown.lock(),
        [first, second.clone(), second.clone(), second]
    );
}

#[tokio::test]
async fn without_a_certificate_nobody_is_let_in() {
    let guarded = Guarded::start().await;
    let client = guarded.client();
    assert!(send(&client, &guarded.endpoint(None)).await.is_err());
    let files = guarded.files();
    assert!(
        send(&client, &guarded.endpoint(Some(files.clone())))
            .await
            .is_err(),
        "no files"
    );
    guarded.renew(&files);
    assert_eq!(ask(&client, &guarded.endpoint(Some(files))).await, "hello!");
    assert!(
        send(&client, &guarded.endpoint(None)).await.is_err(),
        "connections are not shared"
    );
}

#[tokio::test]
async fn files_that_do_not_belong_together_are_refused_with_the_configuration() {
    let guarded = Guarded::start().await;
    let files = guarded.files();
    let compile = |cert: &Path, key: &Path| {
        let config = AuthConfig {
            client_certificate: Some(ClientCertificateConfig {
                cert: cert.to_owned(),
                key: key.to_owned(),
            }),
            ..AuthConfig::default()
        };
        Credential::compile(&config, &AuthStyle::Bearer).map_err(|error| error.field)
    };
    let field = |name: &str| Some(format!("auth.client_certificate.{name}"));
    assert_eq!(compile(&files.cert, &files.key).err(), field("cert"));
    guarded.renew(&files);
    assert!(compile(&files.cert, &files.key).is_ok());
    assert_eq!(compile(&files.cert, &files.cert).err(), field("key"));
    assert_eq!(compile(&files.key, &files.key).err(), field("cert"));
    std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert_eq!(compile(&files.cert, &files.key).err(), field("key"));
}
