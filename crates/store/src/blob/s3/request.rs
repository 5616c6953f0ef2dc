//! One request to a bucket: signed, sent, tried again where that can help.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HeaderName;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use pointsman_upstream::{Client, Timeouts, UpstreamBody};

use super::super::BlobError;
use super::{Bucket, between};

/// Times that a request is sent.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(60),
    between_chunks: Duration::from_secs(60),
    total: Duration::from_secs(4 * 3600),
};
/// Most that is read of an answer that is told or understood.
const TEXT_LIMIT: usize = 64 * 1024;
/// Most of it that is put into an error.
const TOLD_LIMIT: usize = 300;

/// A bucket's answer to what succeeded.
pub(super) struct Answer(Response<UpstreamBody>);

impl Answer {
    pub(super) fn header(&self, name: &HeaderName) -> Option<String> {
        let value = self.0.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    }

    pub(super) async fn text(self) -> Result<String, BlobError> {
        text(self.0.into_body()).await
    }

    pub(super) fn into_body(self) -> UpstreamBody {
        self.0.into_body()
    }
}

impl Bucket {
    /// Asks something of the blob `name`.
    pub(super) async fn ask(
        &self,
        client: &Client,
        method: Method,
        (name, query): (&str, &str),
        body: Bytes,
    ) -> Result<Answer, BlobError> {
        let path = format!("{}{name}{query}", self.prefix);
        let uri = self
            .endpoint
            .uri(&path)
            .map_err(|error| BlobError::Bucket(error.to_string()))?;
        let mut pause = FIRST_PAUSE;
        let mut tried = 0;
        loop {
            tried += 1;
            let mut request = Request::new(body.clone());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            let with = self
                .credential
                .authorize(client, &self.endpoint, &mut request, 0)
                .await
                .map_err(|error| BlobError::Bucket(format!("no credential: {error}")))?;
            let problem = match client.send(&self.endpoint, request, &PATIENCE).await {
                Ok(response) if response.status().is_success() => return Ok(Answer(response)),
                Ok(response) if response.status() == StatusCode::NOT_FOUND => return Err(BlobError::Missing),
                Ok(response) => {
                    let status = response.status();
                    let again = self.credential.answered(with, status, response.headers())
                        || status.is_server_error()
                        || status == StatusCode::TOO_MANY_REQUESTS;
                    let problem = told(status, &text(response.into_body()).await.unwrap_or_default());
                    if !again {
                        return Err(BlobError::Bucket(problem));
                    }
                    problem
                }
                Err(error) => error.to_string(),
            };
            if tried == TRIES {
                return Err(BlobError::Bucket(format!("{problem} ({tried} times)")));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// What a bucket says of its refusal.
pub(super) fn told(status: StatusCode, text: &str) -> String {
    let code = between(text, "<Code>", "</Code>").unwrap_or_default();
    let message = between(text, "<Message>", "</Message>").unwrap_or_default();
    let said = format!("{code} {message}");
    let said: String = said.trim().chars().take(TOLD_LIMIT).collect();
    format!("{} {said}", status.as_u16()).trim().to_owned()
}

async fn text(mut body: UpstreamBody) -> Result<String, BlobError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BlobError::Bucket(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > TEXT_LIMIT {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
