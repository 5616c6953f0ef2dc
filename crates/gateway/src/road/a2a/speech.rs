//! How a client is answered: over JSON-RPC, HTTP+JSON or gRPC, in its version.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Frame;
use pointsman_a2a::agent::Binding;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::json::{self, Raw};
use pointsman_a2a::operation::Operation;
use pointsman_a2a::proto::{self, schema};
use pointsman_a2a::version::Version;
use pointsman_a2a::{grpc, old, rpc};
use serde_json::value::RawValue;

use crate::reply::{self, Reply, ReplyBody};

/// The media type of HTTP+JSON.
pub const A2A_JSON: HeaderValue = HeaderValue::from_static("application/a2a+json");

/// How a client is answered.
#[derive(Debug, Clone)]
pub enum Speech {
    /// Over JSON-RPC, with its request's id.
    Rpc(Raw, Version),
    /// Over HTTP+JSON, which is 1.0.
    Rest,
    /// Over gRPC, which is 1.0; what is asked says what an answer is made of.
    Grpc(Operation),
    /// Over HTTP+JSON of 0.3.
    OldRest(Operation),
    /// Over gRPC of 0.3.
    OldGrpc(Operation),
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
            Self::Rest | Self::Grpc(_) => Version::V10,
            Self::OldRest(_) | Self::OldGrpc(_) => Version::V03,
        }
    }

    /// The binding.
    pub fn binding(&self) -> Binding {
        match self {
            Self::Rpc(..) => Binding::Rpc,
            Self::Rest | Self::OldRest(_) => Binding::Rest,
            Self::Grpc(_) | Self::OldGrpc(_) => Binding::Grpc,
        }
    }

    /// An answer as a whole.
    pub fn whole(&self, outcome: Result<&RawValue, &A2aError>) -> Reply {
        if self.is_called() {
            return self.called(outcome);
        }
        let (status, text) = match (self, outcome) {
            (Self::Rpc(..), outcome) => (StatusCode::OK, self.rpc_text(outcome)),
            (Self::OldRest(operation), Ok(result)) => (
                StatusCode::OK,
                old::result_down(*operation, result).get().to_owned(),
            ),
            (Self::OldRest(_), Err(error)) => (error.status(), error.rest_named().get().to_owned()),
            (_, Ok(result)) => (StatusCode::OK, result.get().to_owned()),
            (_, Err(error)) => (error.status(), error.rest().get().to_owned()),
        };
        let mut reply = reply::json_bytes(status, text.into());
        // Errors are what HTTP APIs tell otherwise, too: their type is the plain one.
        if matches!(self, Self::Rest) && outcome.is_ok() {
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

    /// An answer as an event of a stream. Over gRPC an error is its end.
    pub fn event(&self, outcome: Result<&RawValue, &A2aError>) -> Frame<Bytes> {
        match (self, outcome) {
            (Self::Rpc(..), outcome) => Frame::data(event("", &self.rpc_text(outcome))),
            (Self::Rest, Ok(result)) => Frame::data(event("", result.get())),
            (Self::Rest, Err(error)) => Frame::data(event("event: error\n", error.rest().get())),
            (Self::OldRest(operation), Ok(result)) => {
                Frame::data(event("", old::result_down(*operation, result).get()))
            }
            (Self::OldRest(_), Err(error)) => Frame::data(event("event: error\n", error.rest_named().get())),
            (Self::Grpc(_) | Self::OldGrpc(_), Ok(result)) => match self.packed(result) {
                Ok(frame) => Frame::data(frame),
                Err(error) => Frame::trailers(self.bad(&error)),
            },
            (Self::Grpc(_) | Self::OldGrpc(_), Err(error)) => Frame::trailers(self.bad(error)),
        }
    }

    fn is_called(&self) -> bool {
        matches!(self, Self::Grpc(_) | Self::OldGrpc(_))
    }

    /// An error as trailers.
    fn bad(&self, error: &A2aError) -> HeaderMap {
        match self {
            Self::OldGrpc(_) => grpc::bad(&error.named()),
            _ => grpc::bad(error),
        }
    }

    /// A result as a message of gRPC.
    fn packed(&self, result: &RawValue) -> Result<Bytes, A2aError> {
        match self {
            Self::Grpc(operation) => packed(schema::of(*operation).1, result),
            Self::OldGrpc(operation) => packed(old::schema::of(*operation).1, &old::told(*operation, result)),
            Self::Rpc(..) | Self::Rest | Self::OldRest(_) => Ok(Bytes::new()),
        }
    }

    /// The answer to a call of gRPC that has one.
    fn called(&self, outcome: Result<&RawValue, &A2aError>) -> Reply {
        let packed = outcome
            .map_err(Clone::clone)
            .and_then(|result| self.packed(result));
        let (body, headers) = match packed {
            Ok(frame) => {
                let frames = [Frame::data(frame), Frame::trailers(grpc::good())];
                (ReplyBody::Framed(stream::iter(frames).boxed()), HeaderMap::new())
            }
            Err(error) => (ReplyBody::Whole(None), self.bad(&error)),
        };
        let mut reply = Reply::new(body);
        *reply.headers_mut() = headers;
        reply
            .headers_mut()
            .insert(header::CONTENT_TYPE, grpc::CONTENT_TYPE);
        reply
    }

    /// What a stream ends with that went well.
    pub fn end(&self) -> Option<Frame<Bytes>> {
        self.is_called().then(|| Frame::trailers(grpc::good()))
    }

    /// What is said while there is nothing to say. HTTP/2 has pings of its own.
    pub fn silence(&self) -> Option<Frame<Bytes>> {
        (!self.is_called()).then(|| Frame::data(Bytes::from_static(b":\n\n")))
    }

    /// The type of a stream.
    pub fn stream_type(&self) -> HeaderValue {
        match self {
            Self::Grpc(_) | Self::OldGrpc(_) => grpc::CONTENT_TYPE,
            Self::Rpc(..) | Self::Rest | Self::OldRest(_) => HeaderValue::from_static("text/event-stream"),
        }
    }
}

fn packed(message: &schema::Message, result: &RawValue) -> Result<Bytes, A2aError> {
    let wrong = |why: String| A2aError::new(Kind::InvalidAgentResponse, format!("the agent's answer: {why}"));
    let value = serde_json::from_str(result.get()).map_err(|error| wrong(error.to_string()))?;
    let message = proto::encode(message, &value).map_err(|error| wrong(error.to_string()))?;
    Ok(grpc::frame(&message))
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

    fn data(frame: Frame<Bytes>) -> Bytes {
        frame.into_data().unwrap()
    }

    #[test]
    fn errors_are_told_as_each_binding_does() {
        let error = A2aError::no_task();
        let rest = Speech::Rest.whole(Err(&error));
        assert_eq!(rest.status(), 404);
        assert_eq!(rest.headers()[header::CONTENT_TYPE], "application/json");
        let rpc = Speech::rpc(Some(json::raw("x")), Version::V03);
        assert_eq!(rpc.whole(Err(&error)).status(), 200);
        assert_eq!(
            data(rpc.event(Err(&error))),
            "data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32001,\"message\":\"Task not found\"}}\n\n"
        );
        assert!(data(Speech::Rest.event(Err(&error))).starts_with(b"event: error\ndata: {\"error\":"));
        let call = Speech::Grpc(Operation::Get);
        let trailers = call.event(Err(&error)).into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "5");
        assert_eq!(call.whole(Err(&error)).headers()["grpc-status"], "5");
        let task = json::raw(&serde_json::json!({ "id": "t" }));
        assert_eq!(
            data(call.event(Ok(&task))),
            [0, 0, 0, 0, 3, 0x0a, 1, b't'].as_slice()
        );
    }

    #[test]
    fn a_text_is_one_event_whatever_its_lines() {
        assert_eq!(event("", "{\r\n}"), "data: {\ndata: \ndata: }\n\n");
    }
}
