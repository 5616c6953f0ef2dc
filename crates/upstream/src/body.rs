//! A response body on its way from a provider: frames as they come, limits on time, and a clear end or none.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::client::Lease;
use crate::timeouts::Timeouts;

/// A response body. Its end is only reported when the provider said that it was the end: anything else is an error,
/// and the error is repeated for whoever asks again.
///
/// Dropping it before its end closes the connection (HTTP/2: the stream), which tells the provider to stop. After
/// its end the connection serves the next request.
pub struct UpstreamBody {
    incoming: Incoming,
    /// What to give back at the end; `None` afterwards.
    lease: Option<Lease>,
    state: State,
    clock: Clock,
    delimited: bool,
    http2: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Streaming,
    Complete,
    Failed(BodyError),
}

/// Why a body has no proper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for too long.
    #[error("the provider paused for more than {after:?} in its answer")]
    IdleTimeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The exchange as a whole took too long.
    #[error("the provider did not finish its answer within {after:?}")]
    TotalTimeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The connection ended before the body was complete.
    #[error("the provider's answer was cut short")]
    Cut,
    /// The framing of the body makes no sense.
    #[error("the provider's answer is not valid HTTP")]
    Protocol,
}

/// Frames of a body that never pauses between two looks at the clock.
const FRAMES_BY_CLOCK: u64 = 32;

/// The two limits on time with one timer. The timer is not moved with each frame: it is looked at when it fires, and
/// set again for what is left.
struct Clock {
    between_chunks: Duration,
    total: Duration,
    deadline: Instant,
    /// Since when there has been nothing to read. The time that the reader takes does not count.
    waiting_since: Option<Instant>,
    /// Made at the first wait: many bodies arrive together with their head.
    timer: Option<Pin<Box<Sleep>>>,
    /// Frames so far.
    frames: u64,
}

impl Clock {
    fn new(timeouts: &Timeouts, started: Instant) -> Self {
        Self {
            between_chunks: timeouts.between_chunks,
            total: timeouts.total,
            deadline: started + timeouts.total,
            waiting_since: None,
            timer: None,
            frames: 0,
        }
    }

    /// Called while there is nothing to read.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = (since + self.between_chunks).min(self.deadline);
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(BodyError::TotalTimeout { after: self.total });
            }
            if now >= due {
                return Poll::Ready(BodyError::IdleTimeout {
                    after: self.between_chunks,
                });
            }
            timer.as_mut().reset(due);
        }
    }

    /// Notes a frame. A body that never pauses must end as well; one that does is watched by the timer.
    fn frame(&mut self) -> Result<(), BodyError> {
        self.waiting_since = None;
        self.frames += 1;
        if self.frames.is_multiple_of(FRAMES_BY_CLOCK) && Instant::now() >= self.deadline {
            return Err(BodyError::TotalTimeout { after: self.total });
        }
        Ok(())
    }
}

impl UpstreamBody {
    pub(crate) fn new(
        (incoming, delimited): (Incoming, bool),
        lease: Lease,
        timeouts: &Timeouts,
        started: Instant,
    ) -> Self {
        let http2 = matches!(lease, Lease::Http2(_));
        let clock = Clock::new(timeouts, started);
        let mut body = Self {
            incoming,
            lease: Some(lease),
            state: State::Streaming,
            clock,
            delimited,
            http2,
        };
        if body.incoming.is_end_stream() {
            body.complete();
        }
        body
    }

    /// Whether the end was reached and was the end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the body marks its own end (by length, chunks or HTTP/2 frames). One that does not (HTTP/1.0 style)
    /// ends with its connection, and then only its content can tell whether it is whole.
    #[must_use]
    pub fn is_delimited(&self) -> bool {
        self.delimited
    }

    fn complete(&mut self) {
        self.state = State::Complete;
        self.clock.timer = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.state = State::Failed(error);
        self.clock.timer = None;
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // A server may abandon an HTTP/2 stream "without error", which hyper takes for its end. It is one only if
        // the server had marked it.
        if self.http2 && !self.incoming.is_end_stream() {
            return self.fail(BodyError::Cut);
        }
        self.complete();
        Poll::Ready(None)
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match this.state {
            State::Streaming => {}
            State::Complete => return Poll::Ready(None),
            State::Failed(error) => return Poll::Ready(Some(Err(error))),
        }
        let polled = match &mut this.lease {
            Some(lease) => lease.poll_frame(&mut this.incoming, cx),
            None => Pin::new(&mut this.incoming).poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Err(error) = this.clock.frame() {
                    return this.fail(error);
                }
                if this.incoming.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, source = error_source(&error), "response body failed");
                this.fail(classify(&error))
            }
            Poll::Ready(None) => this.end(),
            Poll::Pending => match this.clock.poll_expired(cx) {
                Poll::Ready(error) => this.fail(error),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Complete
    }

    fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Complete => SizeHint::with_exact(0),
            State::Streaming | State::Failed(_) => self.incoming.size_hint(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("state", &self.state)
            .field("delimited", &self.delimited)
            .finish_non_exhaustive()
    }
}

/// Malformed chunks are reported as invalid data; all else is a connection that ended too early.
fn classify(error: &hyper::Error) -> BodyError {
    use std::io::ErrorKind;
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput)
        {
            return BodyError::Protocol;
        }
        source = cause.source();
    }
    BodyError::Cut
}

fn error_source(error: &hyper::Error) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}
