//! A service that is asked over HTTP: with its credential, within a time, and for an answer of bounded size.
//!
//! Connections belong to one runtime, whoever asks; whoever gives up waiting leaves the connection to the next.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use pointsman_upstream::{
    AuthConfig, AuthStyle, Client, ClientOptions, Credential, Endpoint, EndpointConfig, Environment,
    HealthConfig, Timeouts, UpstreamBody, UpstreamConfig,
};
use tokio::runtime::Handle;

use super::{BackendConfigError, BackendError};

/// How long a question may take, whoever waits for it.
const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(10),
    between_chunks: Duration::from_secs(10),
    total: Duration::from_secs(20),
};
/// Most bytes of an answer that has no value in it.
pub const SHORT: usize = 4 * 1024 * 1024;

/// Where a service is, and with what it is asked.
#[derive(Clone)]
pub struct Address(Arc<Inner>);

struct Inner {
    endpoint: Arc<Endpoint>,
    credential: Credential,
    options: ClientOptions,
}

/// A service.
pub struct Service {
    address: Address,
    client: Arc<Client>,
    runtime: Handle,
}

/// What is asked.
pub struct Question {
    pub method: Method,
    /// With its query; encoded.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Most bytes of the answer.
    pub most: usize,
}

/// What is answered.
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Address {
    /// The service at `url`, asked with `auth`.
    pub fn of(url: &str, auth: &AuthConfig, style: &AuthStyle) -> Result<Self, BackendConfigError> {
        let wrong = |error: pointsman_upstream::ConfigError| BackendConfigError(error.to_string());
        let mut config = EndpointConfig::new(url);
        config.client_certificate.clone_from(&auth.client_certificate);
        Ok(Self(Arc::new(Inner {
            endpoint: Endpoint::new(&config, &HealthConfig::default()).map_err(wrong)?,
            credential: Credential::compile_with(auth, style, &Environment::process()).map_err(wrong)?,
            options: ClientOptions::compile(&UpstreamConfig::default()).map_err(wrong)?,
        })))
    }
}

impl Service {
    /// Not connected yet.
    pub fn new(address: Address, runtime: Handle) -> Self {
        Self {
            client: Arc::new(Client::new(address.0.options.clone())),
            address,
            runtime,
        }
    }

    /// Asks, once more where another credential may help.
    pub async fn ask(&self, question: Question) -> Result<Answer, BackendError> {
        let (address, client) = (self.address.clone(), Arc::clone(&self.client));
        let asking = self
            .runtime
            .spawn(async move { address.0.ask(&client, question).await });
        asking
            .await
            .unwrap_or_else(|_| Err(BackendError("the gateway is stopping".to_owned())))
    }
}

impl Inner {
    async fn ask(&self, client: &Client, question: Question) -> Result<Answer, BackendError> {
        let uri = self.endpoint.uri(&question.path);
        let uri = uri.map_err(|error| BackendError(error.to_string()))?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = Request::new(question.body.clone());
            *request.method_mut() = question.method.clone();
            *request.uri_mut() = uri.clone();
            request.headers_mut().clone_from(&question.headers);
            let with = self
                .credential
                .authorize(client, &self.endpoint, &mut request, 0)
                .await
                .map_err(|error| BackendError(format!("no credential: {error}")))?;
            let sent = client.send(&self.endpoint, request, &PATIENCE).await;
            let response = sent.map_err(|error| BackendError(error.to_string()))?;
            let again = self
                .credential
                .answered(with, response.status(), response.headers());
            if !again || tries == 2 {
                return read(response, question.most).await;
            }
        }
    }
}

async fn read(response: Response<UpstreamBody>, most: usize) -> Result<Answer, BackendError> {
    let (head, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BackendError(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > most {
                return Err(BackendError(format!("an answer is larger than {most} bytes")));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Answer {
        status: head.status,
        body: bytes.freeze(),
    })
}
