//! A connection in the hands of one request.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{TrySendError, http2};

use super::Outgoing;
use super::exclusive::Exclusive;
use super::pool::{OriginPool, StreamSlot};
use crate::error::{SendError, SendErrorKind};

/// A connection in the hands of one request: a whole HTTP/1.1 connection, or one stream of an HTTP/2 connection.
/// Dropped before it is given back, it is closed.
pub(crate) enum Lease {
    /// A whole connection.
    Http1(Exclusive, Arc<OriginPool>),
    /// One stream.
    Http2(StreamSlot),
}

impl Lease {
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Sends the request and waits for the response head.
    pub(super) async fn send(
        &mut self,
        request: Outgoing,
    ) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        match self {
            Self::Http1(connection, _) => connection.send(request).await,
            Self::Http2(slot) => slot.sender.try_send_request(request).await,
        }
    }

    /// The next frame of the response's body.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self {
            Self::Http1(connection, _) => connection.poll_frame(incoming, context),
            Self::Http2(_) => Pin::new(incoming).poll_frame(context),
        }
    }

    /// The response was read to its end: the connection may serve another request.
    pub(crate) fn give_back(self) {
        if let Self::Http1(connection, pool) = self {
            pool.check_in(connection);
        }
    }
}

/// The sender of an HTTP/2 connection, shared by its requests.
pub(super) type Http2Sender = http2::SendRequest<Full<Bytes>>;

/// A request that got no response head, and the request itself if nothing of it was written.
pub(super) struct Unserved {
    pub(super) error: SendError,
    pub(super) unsent: Option<Outgoing>,
}

impl From<SendError> for Unserved {
    fn from(error: SendError) -> Self {
        Self { error, unsent: None }
    }
}

/// Translates what hyper says.
pub(super) fn unserved(mut failed: TrySendError<Outgoing>, reused: bool, host: &str) -> Unserved {
    let unsent = failed.take_message();
    let cause = failed.into_error();
    let is_unprocessed = unsent.is_some() || is_unprocessed(&cause);
    let error = SendError::new(classify(&cause, reused), host).because(cause);
    let error = if is_unprocessed { error.not_sent() } else { error };
    Unserved { error, unsent }
}

/// Whether an HTTP/2 server says that it did not look at the request (RFC 9113 section 8.7): it refused the stream,
/// or said goodbye before it. A goodbye is an error only to requests that it leaves out.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let http2 = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>());
    http2.is_some_and(|http2| {
        let refused = http2.is_reset() && http2.reason() == Some(h2::Reason::REFUSED_STREAM);
        let goodbye = http2.is_go_away() && http2.reason() == Some(h2::Reason::NO_ERROR);
        http2.is_remote() && (refused || goodbye)
    })
}

fn classify(error: &hyper::Error, reused: bool) -> SendErrorKind {
    if error.is_parse_too_large() {
        return SendErrorKind::TooLarge;
    }
    if error.is_user() && !error.is_canceled() {
        return SendErrorKind::InvalidRequest;
    }
    let invalid = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|io| io.kind() == io::ErrorKind::InvalidData);
    if error.is_parse() || invalid {
        return SendErrorKind::Protocol;
    }
    SendErrorKind::Reset { reused }
}
