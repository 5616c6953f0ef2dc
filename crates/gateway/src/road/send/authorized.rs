//! A request on its last yard: its credential is put on, and put on anew when the provider refuses it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use pointsman_upstream::{
    Client, CredentialError, CredentialErrorKind, Endpoint, Failure as Fault, SendError, Timeouts,
    UpstreamBody,
};
use pointsman_wire::form::{Failure, FailureKind};

use super::Failed;
use crate::snapshot::Provider;
use crate::worker::Worker;

/// Times that a request is sent with another key or token, at most.
const MAX_RENEWALS: usize = 4;

/// Why there is no response head.
pub enum Unsent {
    /// No credential.
    Credential(Failed),
    /// The network, or whoever is at its other end.
    Network(SendError),
}

/// Sends the request with its credential. One that was refused because of it (an ended token, a limited key) is sent
/// again with the next, as long as there is one; the last answer counts. `prompt` is about how many tokens it has.
pub async fn send(
    worker: &Worker,
    provider: &Provider,
    endpoint: &Arc<Endpoint>,
    request: Request<Bytes>,
    size: (u64, Timeouts),
) -> Result<Response<UpstreamBody>, Unsent> {
    send_by(&Exchange, worker, (provider, endpoint), request, size).await
}

/// How a request is sent once it has its credential.
pub trait Way: Sync {
    /// What comes of it.
    type Answer: Send;

    /// Sends it.
    fn send(
        &self,
        client: &Client,
        endpoint: &Arc<Endpoint>,
        request: Request<Bytes>,
        timeouts: &Timeouts,
    ) -> impl Future<Output = Result<Self::Answer, SendError>> + Send;

    /// Status and headers of the answer.
    fn head(answer: &Self::Answer) -> (StatusCode, &HeaderMap);
}

/// A request and its response.
struct Exchange;

impl Way for Exchange {
    type Answer = Response<UpstreamBody>;

    async fn send(
        &self,
        client: &Client,
        endpoint: &Arc<Endpoint>,
        request: Request<Bytes>,
        timeouts: &Timeouts,
    ) -> Result<Response<UpstreamBody>, SendError> {
        client.send(endpoint, request, timeouts).await
    }

    fn head(answer: &Response<UpstreamBody>) -> (StatusCode, &HeaderMap) {
        (answer.status(), answer.headers())
    }
}

/// As [`send`], by any way.
pub async fn send_by<W: Way>(
    way: &W,
    worker: &Worker,
    (provider, endpoint): (&Provider, &Arc<Endpoint>),
    mut request: Request<Bytes>,
    (prompt, timeouts): (u64, Timeouts),
) -> Result<W::Answer, Unsent> {
    let credential = &provider.credential;
    let mut renewals = credential.count().min(MAX_RENEWALS);
    loop {
        let with = credential
            .authorize(&worker.client, endpoint, &mut request, prompt)
            .await
            .map_err(|error| Unsent::Credential(unauthorized(&provider.name, &error)))?;
        let spare = (renewals > 0 && credential.is_renewable()).then(|| copy(&request));
        let response = way
            .send(&worker.client, endpoint, request, &timeouts)
            .await
            .map_err(Unsent::Network)?;
        let (status, headers) = W::head(&response);
        let again = credential.answered(with, status, headers);
        match spare {
            Some(spare) if again => {
                renewals -= 1;
                request = spare;
            }
            _ => return Ok(response),
        }
    }
}

/// The same request; its body is shared.
fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A missing credential as a failure: it speaks against this target, not against the server that was not asked.
fn unauthorized(provider: &str, error: &CredentialError) -> Failed {
    tracing::warn!(provider, %error, told = error.detail(), "a request could not be given its credential");
    let (kind, code, status) = match error.kind() {
        CredentialErrorKind::Resting => (
            FailureKind::RateLimited,
            "provider_keys_resting",
            StatusCode::TOO_MANY_REQUESTS,
        ),
        CredentialErrorKind::Caller => (
            FailureKind::Authentication,
            "missing_provider_credential",
            StatusCode::UNAUTHORIZED,
        ),
        _ => (
            FailureKind::Provider,
            "provider_authentication",
            StatusCode::UNAUTHORIZED,
        ),
    };
    let message = format!("the gateway has no credential for {provider}: {error}");
    let mut failure = Failure::new(kind, message).coded(code);
    failure.retry_after = error.retry_after();
    Failed {
        retry_after: failure.retry_after,
        ..Failed::broken(failure, Fault::Status(status))
    }
}
