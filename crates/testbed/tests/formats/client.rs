//! A client of every format that knows nothing but HTTP and JSON.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use pointsman_testbed::load;
use serde_json::{Value, json};

/// An answer; the body is none when the connection broke in the middle of it.
pub struct Heard {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Option<Bytes>,
}

impl Heard {
    pub fn json(&self) -> Value {
        let body = self.body.as_ref().expect("the body broke");
        serde_json::from_slice(body).unwrap_or_else(|_| panic!("not JSON: {body:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().expect("the body broke")).into_owned()
    }
}

/// Asks with headers of every provider's kind; none when there was no answer in time.
pub async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    fault: &str,
    body: Vec<u8>,
) -> Option<Heard> {
    let mut sender = load::connect(address).await.ok()?;
    let day = today();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    let headers = request.headers_mut();
    let mut set = |name: &'static str, value: &str| headers.insert(name, value.parse().unwrap());
    set("host", &address.to_string());
    set("content-type", "application/json");
    if path.contains("/model/") {
        let scope = format!("AKIASIM/{}/eu-west-1/bedrock/aws4_request", &day[..8]);
        set("x-amz-date", &day);
        set(
            "authorization",
            &format!(
                "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={}",
                "0".repeat(64)
            ),
        );
    } else if path.contains("beta") {
        set("x-goog-api-key", "sk-sim");
    } else if path.contains("/messages") {
        set("x-api-key", "sk-sim");
        set("anthropic-version", "2023-06-01");
    } else {
        set("authorization", "Bearer sk-sim");
    }
    if !fault.is_empty() {
        set("x-sim-fault", fault);
    }
    let sent = tokio::time::timeout(Duration::from_millis(500), sender.send_request(request)).await;
    let (parts, body) = sent.ok()?.ok()?.into_parts();
    let read = tokio::time::timeout(Duration::from_millis(500), body.collect()).await;
    Some(Heard {
        status: parts.status,
        headers: parts.headers,
        body: read.ok().and_then(Result::ok).map(|body| body.to_bytes()),
    })
}

/// Now, as AWS writes it.
fn today() -> String {
    let said = std::process::Command::new("date")
        .args(["-u", "+%Y%m%dT%H%M%SZ"])
        .output()
        .unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// A format: where it is asked, how, and where the text of its answer stands.
#[derive(Clone, Copy)]
pub struct Format {
    pub name: &'static str,
    path: &'static str,
    streamed: &'static str,
    pub end: &'static str,
    answer: &'static str,
    error: &'static str,
}

pub const FORMATS: [Format; 8] = [
    Format {
        name: "openai",
        path: "/v1/chat/completions",
        streamed: "/v1/chat/completions",
        end: "[DONE]",
        answer: "/choices/0/message/content",
        error: "/error/message",
    },
    Format {
        name: "responses",
        path: "/v1/responses",
        streamed: "/v1/responses",
        end: "response.completed",
        answer: "/output/0/content/0/text",
        error: "/error/message",
    },
    Format {
        name: "anthropic",
        path: "/v1/messages",
        streamed: "/v1/messages",
        end: "message_stop",
        answer: "/content/0/text",
        error: "/error/message",
    },
    Format {
        name: "gemini",
        path: "/v1beta/models/gemini-2.5-flash:generateContent",
        streamed: "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        end: "\"finishReason\"",
        answer: "/candidates/0/content/parts/0/text",
        error: "/error/message",
    },
    Format {
        name: "gemini array",
        path: "/v1beta/models/gemini-2.5-flash:generateContent",
        streamed: "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        end: "\"finishReason\"",
        answer: "/candidates/0/content/parts/0/text",
        error: "/error/message",
    },
    Format {
        name: "bedrock",
        path: "/model/anthropic.claude-sim-v1%3A0/converse",
        streamed: "/model/anthropic.claude-sim-v1%3A0/converse-stream",
        end: "messageStop",
        answer: "/output/message/content/0/text",
        error: "/message",
    },
    Format {
        name: "bedrock invoke",
        path: "/model/anthropic.claude-sim-v1%3A0/invoke",
        streamed: "/model/anthropic.claude-sim-v1%3A0/invoke-with-response-stream",
        end: "eyJ0eXBlIjoibWVzc2FnZV9zdG9wI",
        answer: "/content/0/text",
        error: "/message",
    },
    Format {
        name: "cohere",
        path: "/v2/chat",
        streamed: "/v2/chat",
        end: "\"finish_reason\":\"COMPLETE\"",
        answer: "/message/content/0/text",
        error: "/message",
    },
];

impl Format {
    /// A question of one user's message.
    pub fn body(self, text: &str, stream: bool) -> Value {
        let say = json!([{"role": "user", "content": text}]);
        match self.name {
            "responses" => json!({"model": "gpt-5-mini", "input": text, "stream": stream}),
            "anthropic" => {
                json!({"model": "claude-sim", "messages": say, "max_tokens": 500, "stream": stream})
            }
            "gemini" | "gemini array" => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
            "bedrock" => json!({"messages": [{"role": "user", "content": [{"text": text}]}]}),
            "bedrock invoke" => {
                json!({"anthropic_version": "bedrock-2023-05-31", "messages": say, "max_tokens": 500})
            }
            _ => json!({"model": "m", "messages": say, "stream": stream}),
        }
    }

    pub async fn ask(self, address: SocketAddr, fault: &str, stream: bool, body: &Value) -> Option<Heard> {
        let path = if stream { self.streamed } else { self.path };
        ask(address, Method::POST, path, fault, body.to_string().into_bytes()).await
    }

    /// The text of a whole answer.
    pub fn answer(self, heard: &Heard) -> String {
        let body = heard.json();
        let text = body.pointer(self.answer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{}: {body}", self.name)).to_owned()
    }

    /// The message of an error.
    pub fn error(self, heard: &Heard) -> String {
        let body = heard.json();
        // An array streams its errors as one.
        let body = body.get(0).unwrap_or(&body);
        let text = body.pointer(self.error).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{}: {body}", self.name)).to_owned()
    }
}

/// The value of a header.
pub fn header_of<'a>(heard: &'a Heard, name: &str) -> &'a str {
    let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
    heard
        .headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}
