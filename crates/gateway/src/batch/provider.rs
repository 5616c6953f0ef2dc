//! A provider's own batches, over HTTP: lines handed over, a batch made, watched, cancelled, its results fetched.
//!
//! What the provider keeps is named by its ids; what may be asked twice is asked again. Making a batch is not: whoever
//! is not sure whether it was made looks for it first.

mod anthropic;
mod mistral;
mod openai;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use pointsman_catalog::BatchInterface;
use pointsman_store::{Batch, BatchStatus, Counts};
use pointsman_upstream::{Timeouts, UpstreamBody, parse_retry_after};
use pointsman_wire::coding;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::hand::{Handed, own_batches};
use crate::road::handed::{Destination, Told};
use crate::road::send::{Unsent, dispatch};
use crate::worker::Worker;

/// Most bytes of what a provider says of a batch, or of a page of them.
const ABOUT: usize = 16 * 1024 * 1024;
/// Most bytes of a file of results.
const RESULTS: u64 = 16 * 1024 * 1024 * 1024;
/// Pages of a list that are looked through.
const PAGES: u64 = 20;
/// How long the provider may take for a file on its way.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Why a provider did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// It may do it later, or may have done it.
    #[error("{0}")]
    Passing(String, Option<Duration>),
    /// It will not.
    #[error("{1}")]
    Refused(StatusCode, String),
}

/// How far a provider's batch is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Its last status; none while it is under way.
    pub(super) ended: Option<BatchStatus>,
    pub(super) counts: Counts,
    /// Where its results are, one after the other.
    pub(super) results: Vec<String>,
    /// Why it failed as a whole, JSON.
    pub(super) errors: Option<Value>,
}

/// What a line of a provider's results says.
pub(super) enum Line {
    /// Something came of it.
    Told(Told),
    /// It was not sent, because the batch was cancelled or its time was over.
    Unsent(BatchStatus),
}

/// What is found when a batch is looked for that may have been made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The batch.
    Batch(String),
    /// There is none.
    None,
    /// Batches that may be it, and do not say so yet.
    Perhaps,
}

/// A provider that is asked about one batch.
pub(super) struct Remote<'a> {
    worker: &'a Worker,
    to: &'a Destination,
    batch: &'a Batch,
}

impl<'a> Remote<'a> {
    pub(super) fn new(worker: &'a Worker, to: &'a Destination, batch: &'a Batch) -> Self {
        Self { worker, to, batch }
    }

    fn interface(&self) -> BatchInterface {
        own_batches(&self.to.target).map_or(BatchInterface::OpenAi, |batches| batches.facts.interface)
    }

    /// Whether its lines go in a file of their own.
    pub(super) fn takes_files(&self) -> bool {
        self.interface() != BatchInterface::Anthropic
    }

    fn path(&self, rest: &str) -> String {
        let batches = own_batches(&self.to.target);
        join(batches.map_or("", |batches| &batches.path), rest)
    }

    fn files(&self, rest: &str) -> String {
        let batches = own_batches(&self.to.target);
        join(batches.map_or("", |batches| &batches.files), rest)
    }

    /// The name of line `number`, counted from 1, at the provider.
    pub(super) fn line_name(&self, number: u64, custom_id: &str) -> String {
        match self.interface() {
            BatchInterface::OpenAi | BatchInterface::Mistral => custom_id.to_owned(),
            // Its batches bear no name of ours but in their results: there it must be one that nobody else gives.
            BatchInterface::Anthropic => self.batch.request_id(number).as_str().to_owned(),
        }
    }

    /// A line of this name, as the provider takes it.
    pub(super) fn line(&self, name: &str, body: &[u8]) -> Vec<u8> {
        match self.interface() {
            BatchInterface::OpenAi => openai::line(self.to, name, body),
            BatchInterface::Anthropic => anthropic::line(name, body),
            BatchInterface::Mistral => mistral::line(name, body),
        }
    }

    /// Hands the file of the lines over; gives its id.
    pub(super) async fn upload(&self, path: &Path) -> Result<String, Trouble> {
        openai::upload(self, path).await
    }

    /// The id of a file of the lines that was handed over before.
    pub(super) async fn uploaded(&self, bytes: u64) -> Result<Option<String>, Trouble> {
        openai::uploaded(self, bytes).await
    }

    /// Makes the batch; gives its id.
    pub(super) async fn create(&self, handed: &Handed, path: &Path) -> Result<String, Trouble> {
        match self.interface() {
            BatchInterface::OpenAi => openai::create(self, handed).await,
            BatchInterface::Anthropic => anthropic::create(self, path).await,
            BatchInterface::Mistral => mistral::create(self, handed).await,
        }
    }

    /// Looks for a batch that may have been made. `taken` are ids of other batches of ours.
    pub(super) async fn look_for(&self, handed: &Handed, taken: &[String]) -> Result<Found, Trouble> {
        match self.interface() {
            BatchInterface::OpenAi => openai::look_for(self, handed).await,
            BatchInterface::Anthropic => anthropic::look_for(self, handed, taken).await,
            BatchInterface::Mistral => mistral::look_for(self, handed).await,
        }
    }

    /// How far it is.
    pub(super) async fn about(&self, id: &str) -> Result<About, Trouble> {
        let told = self
            .json(Method::GET, &self.path(&format!("/{}", encoded(id))), None)
            .await?;
        match self.interface() {
            BatchInterface::OpenAi => openai::about(self, &told),
            BatchInterface::Anthropic => anthropic::about(self, id, &told),
            BatchInterface::Mistral => mistral::about(self, &told),
        }
    }

    /// Has it cancelled. One that has ended meanwhile is left as it is.
    pub(super) async fn cancel(&self, id: &str) -> Result<(), Trouble> {
        let path = self.path(&format!("/{}/cancel", encoded(id)));
        match self
            .json(Method::POST, &path, Some(Bytes::from_static(b"{}")))
            .await
        {
            Ok(_) | Err(Trouble::Refused(..)) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// What a line of the results says, and of which line.
    pub(super) fn told(&self, line: &[u8]) -> Option<(String, Line)> {
        match self.interface() {
            BatchInterface::OpenAi | BatchInterface::Mistral => openai::told(line),
            BatchInterface::Anthropic => anthropic::told(line),
        }
    }

    /// Has the provider forget the files of a batch that has ended here. What it does not forget costs it room only.
    pub(super) async fn forget(&self, handed: &Handed, about: &About) {
        if !self.takes_files() {
            return;
        }
        let input = handed
            .file
            .iter()
            .map(|id| self.files(&format!("/{}", encoded(id))));
        let results = about.results.iter().map(|path| path.replacen("/content", "", 1));
        for path in input.chain(results) {
            if let Err(error) = self.json(Method::DELETE, &path, None).await {
                tracing::debug!(%error, "a provider's file of an ended batch is still there");
            }
        }
    }

    /// Fetches a file of results to `place`.
    pub(super) async fn fetch(&self, from: &str, place: &Path) -> Result<(), FetchError> {
        let response = self.send(Method::GET, from, None).await?;
        let coding = response.headers().get(header::CONTENT_ENCODING);
        let coding = coding
            .and_then(|coding| coding.to_str().ok())
            .unwrap_or("identity");
        let mut decoder = coding::Decoder::new(coding, usize::MAX).map_err(|error| passing(&error))?;
        let part = PathBuf::from(format!("{}.part", place.display()));
        let mut file = tokio::fs::File::create(&part).await?;
        let (mut body, mut bytes) = (response.into_body(), 0_u64);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| passing(&error))?.into_data() else {
                continue;
            };
            let data = decoder.push(&data).map_err(|error| passing(&error))?;
            bytes += data.len() as u64;
            if bytes > RESULTS {
                let message = format!("results of more than {RESULTS} bytes");
                return Err(Trouble::Refused(StatusCode::PAYLOAD_TOO_LARGE, message).into());
            }
            file.write_all(&data).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        tokio::fs::rename(part, place).await?;
        Ok(())
    }

    /// Asks, and reads JSON.
    async fn json(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Value, Trouble> {
        let kind = HeaderValue::from_static("application/json");
        let response = self.send(method, path, body.map(|body| (kind, body))).await?;
        serde_json::from_slice(&read(response, ABOUT).await?).map_err(|error| passing(&error))
    }

    /// Asks; gives the response of a success.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, Bytes)>,
    ) -> Result<Response<UpstreamBody>, Trouble> {
        let provider = &self.to.target.provider;
        let Some(endpoint) = provider.endpoints.first() else {
            return Err(Trouble::Passing("it has no endpoint".to_owned(), None));
        };
        let (kind, body) = body.unzip();
        let mut request = Request::new(body.unwrap_or_default());
        *request.method_mut() = method;
        *request.uri_mut() = endpoint.uri(path).map_err(|error| passing(&error))?;
        self.headers(request.headers_mut(), kind);
        let usual = self.to.target.patience().exchange;
        let timeouts = Timeouts {
            first_byte: PATIENCE,
            total: PATIENCE * 4,
            ..usual
        };
        let sent = dispatch(self.worker, provider, endpoint, request, (0, timeouts)).await;
        let response = sent.map_err(|error| match error {
            Unsent::Credential(failed) => Trouble::Passing(failed.failure.message, failed.retry_after),
            Unsent::Network(error) => passing(&error),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = parse_retry_after(response.headers(), SystemTime::now());
        let told = read(response, ABOUT).await.unwrap_or_default();
        let message = format!("{} answered {status}: {}", provider.name, said(&told));
        match status.as_u16() {
            // These are not about the batch: a key that is renewed, a limit that passes, a server that comes back.
            401 | 403 | 408 | 425 | 429 | 500.. => Err(Trouble::Passing(message, wait)),
            _ => Err(Trouble::Refused(status, message)),
        }
    }

    fn headers(&self, headers: &mut HeaderMap, kind: Option<HeaderValue>) {
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        if self.interface() == BatchInterface::Anthropic {
            headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"));
        }
        for (name, value) in &self.to.target.provider.headers {
            headers.insert(name, value.clone());
        }
        self.to.target.shape.headers(headers);
    }
}

/// How the pages of a list are turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turning {
    /// By the last thing of the page before.
    After,
    /// By their numbers, so many things each.
    Number(u64),
}

impl Turning {
    /// What asks for the page behind page `number`, counted from 0; none when that was the last.
    fn next(self, number: u64, list: &Value) -> Option<String> {
        match self {
            Self::After => {
                let last = list["data"].as_array()?.last()?["id"].as_str()?;
                (list["has_more"] == true).then(|| format!("&after={}", encoded(last)))
            }
            Self::Number(size) => {
                let all = list["total"].as_u64()?;
                ((number + 1) * size < all).then(|| format!("&page={}", number + 1))
            }
        }
    }
}

/// Why results could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error(transparent)]
    Io(#[from] io::Error),
}

async fn read(response: Response<UpstreamBody>, most: usize) -> Result<Bytes, Trouble> {
    let coding = response.headers().get(header::CONTENT_ENCODING).cloned();
    let body = Limited::new(response.into_body(), most).collect().await;
    let body = body.map_err(|error| passing(&error))?.to_bytes();
    let Some(coding) = coding else { return Ok(body) };
    let coding = coding.to_str().unwrap_or("?");
    coding::decode_all(&body, coding, most).map_err(|error| passing(&error))
}

fn passing(error: &dyn std::fmt::Display) -> Trouble {
    Trouble::Passing(error.to_string(), None)
}

/// What an error says, in a few words.
fn said(body: &[u8]) -> String {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = told["error"]["message"]
        .as_str()
        .or_else(|| told["message"].as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.chars().take(500).collect()
}

/// A path with `rest` behind it, but before its query.
fn join(path: &str, rest: &str) -> String {
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    match (query, rest.contains('?')) {
        (None, _) => format!("{path}{rest}"),
        (Some(query), false) => format!("{path}{rest}?{query}"),
        (Some(query), true) => format!("{path}{rest}&{query}"),
    }
}

/// An id of a provider's, as it may stand in a path.
fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%5F", "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_turned_until_the_last() {
        let list = |more: bool| serde_json::json!({"data": [{"id": "a/b"}], "has_more": more, "total": 201});
        assert_eq!(Turning::After.next(0, &list(true)).unwrap(), "&after=a%2Fb");
        assert_eq!(Turning::After.next(0, &list(false)), None);
        assert_eq!(Turning::Number(100).next(1, &list(false)).unwrap(), "&page=2");
        assert_eq!(Turning::Number(100).next(2, &list(false)), None);
    }

    #[test]
    fn paths_keep_their_query_behind() {
        for (path, rest, expected) in [
            ("/batches", "/a", "/batches/a"),
            ("/batches", "?limit=1", "/batches?limit=1"),
            (
                "/batches?api-version=1",
                "/a/cancel",
                "/batches/a/cancel?api-version=1",
            ),
            (
                "/batches?api-version=1",
                "?limit=1",
                "/batches?limit=1&api-version=1",
            ),
        ] {
            assert_eq!(join(path, rest), expected);
        }
        assert_eq!(encoded("../x?y_z-1"), "%2E%2E%2Fx%3Fy_z-1");
    }
}
