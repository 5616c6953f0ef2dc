//! A link to an API that an OpenAPI document describes: tools are listed from the document, calls are its requests.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request as HttpRequest, Response as HttpResponse, header};
use http_body_util::BodyExt;
use pointsman_upstream::{AuthConfig, Client, SendErrorKind, Timeouts, UpstreamBody};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use url::Url;

use super::{Ask, Failed, Greeting};
use crate::error::RpcError;
use crate::message::{Object, Raw, Response};
use crate::openapi::{Answer, Document, Operation, Scheme, operations};
use crate::server::{Server, Web};

/// How long a document may take.
const FETCH_TIME: Duration = Duration::from_secs(30);
/// Most bytes of a document.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// An API.
#[derive(Debug)]
pub struct Api {
    web: Web,
    operations: Vec<Operation>,
    by_name: HashMap<String, usize>,
    about: Option<String>,
}

impl Api {
    /// The API of a document, at `web`.
    #[must_use]
    pub fn new(server: &str, document: &Document, web: Web) -> Self {
        let (operations, wrong) = operations(document);
        for why in wrong {
            tracing::warn!(server, why, "an operation is left out");
        }
        let names = operations.iter().enumerate();
        Self {
            web,
            by_name: names.map(|(at, one)| (one.name.clone(), at)).collect(),
            about: document.about(),
            operations,
        }
    }

    /// What it says of itself.
    #[must_use]
    pub fn greeting(&self) -> Greeting {
        let mut capabilities = Object::default();
        capabilities.set("tools", &json!({}));
        Greeting {
            capabilities,
            info: None,
            instructions: self.about.clone(),
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// When the API cannot be reached, or its answer is too large.
    pub async fn ask(&self, server: &Server, client: &Client, ask: &Ask) -> Result<Response, Failed> {
        let outcome = match ask.method.as_str() {
            "tools/list" => {
                let tools = self.operations.iter().map(|one| &one.definition);
                Ok(raw(&json!({ "tools": tools.collect::<Vec<_>>() })))
            }
            "tools/call" => self.call(server, client, ask).await?,
            method => Err(RpcError::method(method).raw()),
        };
        Ok(Response { id: None, outcome })
    }

    async fn call(&self, server: &Server, client: &Client, ask: &Ask) -> Result<Result<Raw, Raw>, Failed> {
        let name = ask.params.text("name").unwrap_or_default();
        let Some(operation) = self.by_name.get(&name).map(|at| &self.operations[*at]) else {
            return Ok(Err(RpcError::params(format!("Unknown tool: {name}")).raw()));
        };
        let arguments = match ask.params.get("arguments") {
            None => Some(Map::new()),
            Some(said) => serde_json::from_str::<Map<String, Value>>(said.get()).ok(),
        };
        let asked = match arguments {
            Some(arguments) => operation.ask(&arguments),
            None => Err("the arguments must be an object".to_owned()),
        };
        let asked = match asked {
            Ok(asked) => asked,
            // The model may do better next time: it is told as tools tell their errors.
            Err(why) => return Ok(Ok(raw(&failed(&why)))),
        };
        let path = format!("{}{}", self.web.path.trim_end_matches('/'), asked.path);
        let Ok(uri) = self.web.endpoint.uri(&path) else {
            return Ok(Ok(raw(&failed(
                "the arguments make no path that can be asked for",
            ))));
        };
        let mut request = HttpRequest::new(asked.body);
        *request.uri_mut() = uri;
        *request.method_mut() = asked.method;
        let headers = request.headers_mut();
        *headers = asked.headers;
        headers.extend(self.web.headers.clone());
        let accept = HeaderValue::from_static("application/json, */*;q=0.5");
        headers.entry(header::ACCEPT).or_insert(accept);
        let response = send(&self.web, client, request, ask.timeout).await?;
        answered(operation, response, server.limit).await.map(Ok)
    }
}

fn raw(value: &Value) -> Raw {
    to_raw_value(value).unwrap_or_default()
}

fn failed(why: &str) -> Value {
    json!({ "isError": true, "content": [{ "type": "text", "text": why }] })
}

/// Sends a request with the gateway's credential. Redirections are not followed.
async fn send(
    web: &Web,
    client: &Client,
    mut request: HttpRequest<Bytes>,
    patience: Duration,
) -> Result<HttpResponse<UpstreamBody>, Failed> {
    let timeouts = Timeouts {
        first_byte: patience,
        between_chunks: patience,
        total: patience,
        ..Timeouts::default()
    };
    web.credential
        .authorize(client, &web.endpoint, &mut request, 0)
        .await
        .map_err(|error| Failed::Unreachable(format!("there is no credential for the API: {error}")))?;
    let sent = Box::pin(client.send(&web.endpoint, request, &timeouts)).await;
    sent.map_err(|error| match error.kind() {
        SendErrorKind::Timeout(_) => Failed::Late,
        _ => Failed::Unreachable(error.to_string()),
    })
}

async fn answered(
    operation: &Operation,
    response: HttpResponse<UpstreamBody>,
    limit: usize,
) -> Result<Raw, Failed> {
    let (parts, body) = response.into_parts();
    let said = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let body = collected(body, limit).await?;
    let answer = Answer {
        status: parts.status,
        kind: said(header::CONTENT_TYPE).unwrap_or_default(),
        next: said(header::LINK).and_then(next_page),
        body: &body,
    };
    Ok(raw(&operation.result(&answer)))
}

async fn collected(mut body: UpstreamBody, limit: usize) -> Result<Bytes, Failed> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Failed::Broken(format!("its answer is larger than {limit} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// The address of the next page, as the header `Link` says it (RFC 8288).
fn next_page(links: &str) -> Option<&str> {
    links.split(',').find_map(|link| {
        let (target, rest) = link.split_once('>')?;
        let is_next = rest
            .split(';')
            .any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| target.trim().trim_start_matches('<'))
    })
}

/// Fetches a document. Nothing of the gateway goes with the request, and redirections are not followed.
///
/// # Errors
/// When it is not there, or is none.
pub async fn fetched(web: &Web, client: &Client) -> Result<Document, Failed> {
    let mut request = HttpRequest::new(Bytes::new());
    *request.uri_mut() = web
        .endpoint
        .uri(&web.path)
        .map_err(|error| Failed::Unreachable(error.to_string()))?;
    let accept = HeaderValue::from_static("application/json, application/yaml, */*;q=0.5");
    request.headers_mut().insert(header::ACCEPT, accept);
    let response = send(web, client, request, FETCH_TIME).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(Failed::Unreachable(format!(
            "its document was answered with {status}"
        )));
    }
    let bytes = collected(response.into_body(), MAX_DOCUMENT).await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Failed::Broken("its document is not UTF-8".to_owned()))?;
    Document::read(text).map_err(|why| Failed::Broken(format!("its document cannot be used: {why}")))
}

/// Where a fetched document says that its API is, if that is where the document itself is: a document cannot send the
/// gateway elsewhere.
///
/// # Errors
/// Why it cannot be said.
pub fn own_base(document: &Document, at: &str) -> Result<String, String> {
    let at = Url::parse(at).map_err(|error| error.to_string())?;
    let said = document.server().unwrap_or_else(|| "/".to_owned());
    let base = at.join(&said).map_err(|error| error.to_string())?;
    if base.origin() == at.origin() {
        return Ok(base.into());
    }
    Err(format!(
        "its document says that the API is at {said:?}, which is another host; say where it is in `base_url`"
    ))
}

/// The credential as the document wants it brought, where the configuration says only the key.
#[must_use]
pub fn brought(auth: &AuthConfig, document: &Document) -> AuthConfig {
    let mut auth = auth.clone();
    if auth.api_key.is_none() || auth.header.is_some() || auth.query.is_some() {
        return auth;
    }
    match document.schemes().into_iter().next() {
        Some(Scheme::Header(name)) => auth.header = Some(name),
        Some(Scheme::Query(name)) => auth.query = Some(name),
        Some(Scheme::Cookie(name)) => {
            auth.header = Some("cookie".to_owned());
            auth.prefix = Some(format!("{name}="));
        }
        Some(Scheme::Basic) => {
            auth.header = Some("authorization".to_owned());
            auth.prefix = Some("Basic ".to_owned());
        }
        Some(Scheme::Bearer) | None => {}
    }
    auth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_cannot_send_the_gateway_elsewhere() {
        let at = "https://api.example.com/openapi.json";
        for (server, expected) in [
            ("/v1", Some("https://api.example.com/v1")),
            ("https://api.example.com/v2", Some("https://api.example.com/v2")),
            ("https://other.example.com/v1", None),
            ("http://169.254.169.254/latest", None),
            ("http://api.example.com/v1", None),
            ("//other.example.com/", None),
        ] {
            let text = format!("openapi: 3.0.0\npaths: {{}}\nservers: [{{url: '{server}'}}]");
            let document = Document::read(&text).unwrap();
            assert_eq!(own_base(&document, at).ok().as_deref(), expected, "{server}");
        }
    }

    #[test]
    fn the_next_page_is_read_from_its_header() {
        let links = "<https://a/x?page=1>; rel=\"prev\", <https://a/x?page=3>; rel=\"next\"";
        assert_eq!(next_page(links), Some("https://a/x?page=3"));
        assert_eq!(next_page("<https://a>; rel=last"), None);
    }
}
