//! What goes back to the client: a response whose body is either whole or relayed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use pointsman_store::blob::BlobReader;
use serde::Serialize;

use crate::road::errand::Passed;
use crate::road::relay::Relay;

/// A response on its way to the client.
pub type Reply = Response<ReplyBody>;

/// The body of a [`Reply`]. It cannot fail: what goes wrong while relaying is told in the client's format.
pub enum ReplyBody {
    /// All of it, or nothing any more.
    Whole(Option<Bytes>),
    /// Relayed from the provider as it comes.
    Relayed(Box<Relay>),
    /// Events that pass as they come.
    Passed(Box<Passed>),
    /// Told as it comes about.
    Told(BoxStream<'static, Bytes>),
    /// Told as it comes about, with trailers.
    Framed(BoxStream<'static, Frame<Bytes>>),
    /// A file, read as it is sent. One that breaks off is shorter than was said: the connection is closed.
    Kept(Box<BlobReader>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(relay) => relay
                .poll_chunk(context)
                .map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passed(passed) => passed
                .poll_chunk(context)
                .map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Told(stream) => stream
                .as_mut()
                .poll_next(context)
                .map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Framed(stream) => stream.as_mut().poll_next(context).map(|frame| frame.map(Ok)),
            Self::Kept(reader) => reader.poll_piece(context).map(|piece| match piece? {
                Ok(bytes) => Some(Ok(Frame::data(bytes))),
                Err(error) => {
                    tracing::error!(%error, "a file broke off while it was sent");
                    None
                }
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Relayed(_) | Self::Passed(_) | Self::Told(_) | Self::Framed(_) => false,
            Self::Kept(reader) => reader.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Relayed(_) | Self::Passed(_) | Self::Told(_) | Self::Framed(_) => SizeHint::default(),
            Self::Kept(reader) => SizeHint::with_exact(reader.left()),
        }
    }
}

/// A JSON reply of bytes that are JSON already.
pub fn json_bytes(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole((!body.is_empty()).then_some(body)));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// A JSON reply.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => json_bytes(status, body.into()),
        Err(error) => {
            tracing::error!(%error, "a reply could not be written as JSON");
            json_bytes(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new())
        }
    }
}

/// A file as it is kept.
pub fn kept(reader: BlobReader, content_type: &'static str) -> Reply {
    let mut reply = Response::new(ReplyBody::Kept(Box::new(reader)));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
