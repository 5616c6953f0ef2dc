//! Asking an identity provider: one small request, one small answer, over the worker's own client.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::Credential;
use super::error::{CredentialError, CredentialErrorKind};
use crate::client::Client;
use crate::config::{EndpointConfig, HealthConfig};
use crate::endpoint::Endpoint;
use crate::error::SendErrorKind;
use crate::timeouts::Timeouts;

/// Most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// Tries of a request that fails for no reason of its own.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Most characters of what a server says that are put into a log.
const TOLD_LIMIT: usize = 300;

/// A small document that anybody may read, such as the public keys of an issuer; redirects are not followed.
///
/// # Errors
/// When it cannot be had, or is larger than a mebibyte.
pub async fn fetch_document(client: &Client, who: &str, url: &str) -> Result<Bytes, CredentialError> {
    let reply = Ask::get(who, url)
        .plain(ACCEPT, "application/json")
        .send(client)
        .await?;
    if reply.status.is_success() {
        Ok(reply.body)
    } else {
        Err(reply.refusal())
    }
}

/// A request to whoever issues credentials.
#[derive(Clone)]
pub(crate) struct Ask {
    /// What the errors call it.
    who: String,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    /// What was sent and must not come back in an error.
    secrets: Vec<String>,
    patience: Timeouts,
    tries: u32,
    /// Whether it may be a service of this link, such as a cloud's metadata service.
    link_local: bool,
}

/// An answer of any status.
pub(crate) struct Reply {
    who: String,
    secrets: Vec<String>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Fields of a form; some are secret.
#[derive(Default)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl Form {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn set_secret(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        self.secrets.push(value.clone());
        self.set(name, value)
    }

    pub(crate) fn set_some(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }
}

impl Ask {
    fn new(who: &str, method: Method, url: impl Into<String>) -> Self {
        Self {
            who: who.to_owned(),
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            secrets: Vec::new(),
            patience: patience(Duration::from_secs(5), Duration::from_secs(10)),
            tries: TRIES,
            link_local: false,
        }
    }

    pub(crate) fn get(who: &str, url: impl Into<String>) -> Self {
        Self::new(who, Method::GET, url)
    }

    pub(crate) fn put(who: &str, url: impl Into<String>) -> Self {
        Self::new(who, Method::PUT, url)
    }

    pub(crate) fn form(who: &str, url: impl Into<String>, form: Form) -> Self {
        let mut ask = Self::new(who, Method::POST, url);
        let written = Serializer::new(String::new()).extend_pairs(form.fields).finish();
        ask.body = written.into();
        ask.secrets = form.secrets;
        ask.plain(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .plain(ACCEPT, "application/json")
    }

    pub(crate) fn json(who: &str, url: impl Into<String>, body: &serde_json::Value) -> Self {
        let mut ask = Self::new(who, Method::POST, url);
        ask.body = body.to_string().into();
        ask.plain(CONTENT_TYPE, "application/json")
    }

    pub(crate) fn plain(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// A header whose value must not be shown.
    pub(crate) fn secret(mut self, name: HeaderName, value: &str) -> Result<Self, CredentialError> {
        let mut header = HeaderValue::from_str(value).map_err(|_| {
            CredentialError::invalid(format!(
                "what {} is sent holds characters no header can",
                self.who
            ))
        })?;
        header.set_sensitive(true);
        self.headers.insert(name, header);
        self.keep_secret(value);
        Ok(self)
    }

    /// Something that was sent and must not come back in an error.
    pub(crate) fn keep_secret(&mut self, text: &str) {
        // Nothing is in every text.
        if !text.is_empty() {
            self.secrets.push(text.to_owned());
        }
    }

    /// For services of the same machine: they answer at once, or are not there.
    pub(crate) fn nearby(mut self) -> Self {
        self.patience = patience(Duration::from_secs(1), Duration::from_secs(5));
        self.at_any_address()
    }

    /// For what the operator's own credentials lead to, which may be a service of this link.
    pub(crate) fn at_any_address(mut self) -> Self {
        self.link_local = true;
        self
    }

    /// For finding out whether a service of the same machine is there at all.
    pub(crate) fn probing(mut self) -> Self {
        self = self.nearby();
        self.tries = 1;
        self
    }

    /// The request itself, for whoever has to sign it, and the host it goes to.
    pub(crate) fn request(&self) -> Result<(Request<Bytes>, String), CredentialError> {
        let place = self.place()?;
        Ok((self.fresh(&place), place.endpoint.authority().to_string()))
    }

    /// Takes the headers of a signed request over.
    pub(crate) fn with_headers_of(mut self, request: &Request<Bytes>) -> Self {
        self.headers = request.headers().clone();
        let sensitive = self.headers.values().filter(|value| value.is_sensitive());
        self.secrets
            .extend(sensitive.filter_map(|value| value.to_str().ok().map(str::to_owned)));
        self
    }

    /// Sends it; a server that cannot answer just now is asked again.
    pub(crate) async fn send(self, client: &Client) -> Result<Reply, CredentialError> {
        let place = self.place()?;
        let mut pause = FIRST_PAUSE;
        let mut tried = 1;
        loop {
            let outcome = self.send_once(client, &place).await;
            let again = match &outcome {
                Ok(reply) => reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS,
                Err(error) => error.kind() == CredentialErrorKind::Unreachable,
            };
            if !again || tried >= self.tries {
                return outcome;
            }
            tried += 1;
            tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
            pause *= 3;
        }
    }

    /// Sends it with a credential on it; once more where that is refused and another may do.
    pub(crate) async fn send_with(
        self,
        client: &Client,
        credential: &Credential,
    ) -> Result<Reply, CredentialError> {
        let place = self.place()?;
        let mut is_first = true;
        loop {
            let mut request = self.fresh(&place);
            let with = credential
                .authorize(client, &place.endpoint, &mut request, 0)
                .await?;
            let reply = self.clone().with_headers_of(&request).send(client).await?;
            if !(is_first && credential.answered(with, reply.status, &reply.headers)) {
                return Ok(reply);
            }
            is_first = false;
        }
    }

    async fn send_once(&self, client: &Client, place: &Place) -> Result<Reply, CredentialError> {
        let unreachable = |message: String| CredentialError::new(CredentialErrorKind::Unreachable, message);
        let sent = client
            .send(&place.endpoint, self.fresh(place), &self.patience)
            .await;
        let response = sent.map_err(|error| {
            let invalid = error.kind() == SendErrorKind::InvalidRequest;
            let kind = if invalid {
                CredentialErrorKind::Invalid
            } else {
                CredentialErrorKind::Unreachable
            };
            CredentialError::new(kind, format!("{} could not be asked: {error}", self.who))
        })?;
        let (parts, mut body) = response.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(format!("{}: {error}", self.who)))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > ANSWER_LIMIT {
                return Err(CredentialError::invalid(format!("{} answers too much", self.who)));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Reply {
            who: self.who.clone(),
            secrets: self.secrets.clone(),
            status: parts.status,
            headers: parts.headers,
            body: bytes.freeze(),
        })
    }

    fn fresh(&self, place: &Place) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = place.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Where it goes. The URL is not repeated in errors: its query may hold something secret.
    fn place(&self) -> Result<Place, CredentialError> {
        let wrong = || CredentialError::invalid(format!("the URL of {} is not valid", self.who));
        let url = Url::parse(&self.url).map_err(|_| wrong())?;
        let origin = url[..url::Position::BeforePath].to_owned();
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let config = EndpointConfig {
            link_local: self.link_local,
            ..EndpointConfig::new(origin)
        };
        let endpoint = Endpoint::new(&config, &HealthConfig::default()).map_err(|_| wrong())?;
        let path = endpoint.uri(path).map_err(|_| wrong())?;
        Ok(Place { endpoint, path })
    }
}

struct Place {
    endpoint: std::sync::Arc<Endpoint>,
    path: Uri,
}

fn patience(connect: Duration, total: Duration) -> Timeouts {
    Timeouts {
        connect,
        first_byte: total,
        between_chunks: total,
        total,
    }
}

impl Reply {
    /// The answer of a success as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CredentialError> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        // What serde says may quote what it read: it is left out.
        serde_json::from_slice(&self.body)
            .map_err(|_| CredentialError::invalid(format!("the answer of {} makes no sense", self.who)))
    }

    /// The answer of a success as text.
    pub(crate) fn text(&self) -> Result<String, CredentialError> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        String::from_utf8(self.body.to_vec())
            .map_err(|_| CredentialError::invalid(format!("the answer of {} makes no sense", self.who)))
    }

    /// What an answer that is no success says: OAuth's `error`, AWS's `Code`, Google's `error.status`.
    pub(crate) fn refusal(&self) -> CredentialError {
        let kind = if self.status.is_server_error() {
            CredentialErrorKind::Unreachable
        } else {
            CredentialErrorKind::Refused
        };
        let (code, told) = told(&self.body);
        let code = code
            .filter(|code| is_code(code) && !self.holds_secret(code))
            .map(|code| format!(", {code}"));
        let message = format!(
            "{} refused ({}{})",
            self.who,
            self.status.as_u16(),
            code.unwrap_or_default()
        );
        let error = CredentialError::new(kind, message);
        match told {
            Some(told) => error.because(self.scrub(&told)),
            None => error,
        }
    }

    fn holds_secret(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// What the server says without what we said.
    fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            let encoded: String = byte_serialize(secret.as_bytes()).collect();
            text = text
                .replace(secret.as_str(), "[secret]")
                .replace(&encoded, "[secret]");
        }
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(TOLD_LIMIT)
            .collect()
    }
}

/// A word that names an error, and no more than that.
fn is_code(code: &str) -> bool {
    code.len() <= 64
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The code and the sentence of an error, in any of the forms that are in use; Vault's is a list of sentences.
fn told(body: &[u8]) -> (Option<String>, Option<String>) {
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let first = |names: &[&str], from: &serde_json::Value| {
            names.iter().find_map(|name| from.get(*name).and_then(text))
        };
        let nested = json.get("error").filter(|error| error.is_object());
        let from = nested.unwrap_or(&json);
        let code = first(&["error", "status", "code", "Code", "__type"], from);
        let listed = json.get("errors").and_then(|errors| errors.get(0)).and_then(text);
        let sentence = first(&["error_description", "message", "Message"], from).or(listed);
        return (code, sentence);
    }
    let text = String::from_utf8_lossy(body);
    (xml(&text, "Code"), xml(&text, "Message"))
}

/// The text of the first element of this name.
pub(crate) fn xml(text: &str, name: &str) -> Option<String> {
    let after = text.split_once(&format!("<{name}>"))?.1;
    let inner = after.split_once(&format!("</{name}>"))?.0;
    let plain = inner
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    Some(plain.trim().to_owned())
}
