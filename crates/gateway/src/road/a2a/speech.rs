//! How a client is answered: over JSON-RPC in its version, or over HTTP+JSON.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pointsman_a2a::error::A2aError;
use pointsman_a2a::json::{self, Raw};
use pointsman_a2a::rpc;
use pointsman_a2a::version::Version;
use serde_json::value::RawValue;

use crate::reply::{self, Reply};

/// The media type of HTTP+JSON.
pub const A2A_JSON: HeaderValue = HeaderValue::from_static("application/a2a+json");

/// How a client is answered.
#[derive(Debug, Clone)]
pub enum Speech {
    /// Over JSON-RPC, with its request's id.
    Rpc(Raw, Version),
    /// Over HTTP+JSON, which is 1.0.
    Rest,
}

impl Speech {
    /// Over JSON-RPC; without an id where none could be read.
    pub fn rpc(id: Option<Raw>, version: Version) -> Self {
        Self::Rpc(id.unwrap_or_else(|| json::raw(&())), version)
    }

    /// The version that the client reads.
    pub fn version(&self) -> Version {
        match self {
            Self::Rpc(_, version) => *version,
            Self::Rest => Version::V10,
        }
    }

    /// Whether it is JSON-RPC.
    pub fn is_rpc(&self) -> bool {
        matches!(self, Self::Rpc(..))
    }

    /// An answer as a whole.
    pub fn whole(&self, outcome: Result<&RawValue, &A2aError>) -> Reply {
        let (status, text) = match (self, outcome) {
            (Self::Rpc(..), outcome) => (StatusCode::OK, self.rpc_text(outcome)),
            (Self::Rest, Ok(result)) => (StatusCode::OK, result.get().to_owned()),
            (Self::Rest, Err(error)) => (error.status(), error.rest().get().to_owned()),
        };
        let mut reply = reply::json_bytes(status, text.into());
        if matches!(self, Self::Rest) {
            reply.headers_mut().insert(header::CONTENT_TYPE, A2A_JSON);
        }
        reply
    }

    fn rpc_text(&self, outcome: Result<&RawValue, &A2aError>) -> String {
        let Self::Rpc(id, version) = self else {
            return String::new();
        };
        match outcome {
            Ok(result) => rpc::response(id, Ok(result)),
            Err(error) => rpc::response(id, Err(&error.rpc(*version))),
        }
    }

    /// An answer as an event of a stream.
    pub fn event(&self, outcome: Result<&RawValue, &A2aError>) -> Bytes {
        match (self, outcome) {
            (Self::Rpc(..), outcome) => event("", &self.rpc_text(outcome)),
            (Self::Rest, Ok(result)) => event("", result.get()),
            (Self::Rest, Err(error)) => event("event: error\n", error.rest().get()),
        }
    }
}

/// A text as an event, whatever its lines.
fn event(before: &str, text: &str) -> Bytes {
    let mut event = String::with_capacity(before.len() + text.len() + 16);
    event.push_str(before);
    for line in text.split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_as_each_binding_does() {
        let error = A2aError::no_task();
        let rest = Speech::Rest.whole(Err(&error));
        assert_eq!(rest.status(), 404);
        assert_eq!(rest.headers()[header::CONTENT_TYPE], "application/a2a+json");
        let rpc = Speech::rpc(Some(json::raw("x")), Version::V03);
        assert_eq!(rpc.whole(Err(&error)).status(), 200);
        assert_eq!(
            rpc.event(Err(&error)),
            "data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32001,\"message\":\"Task not found\"}}\n\n"
        );
        assert!(
            Speech::Rest
                .event(Err(&error))
                .starts_with(b"event: error\ndata: {\"error\":")
        );
    }

    #[test]
    fn a_text_is_one_event_whatever_its_lines() {
        assert_eq!(event("", "{\r\n}"), "data: {\ndata: \ndata: }\n\n");
    }
}
