//! Replies for benchmarks: made once, written as they are.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame};

/// Chunks of a stream.
pub(crate) const CHUNKS: usize = 64;

/// A body that needs no task and no channel.
pub(crate) enum BenchBody {
    Whole(Option<Bytes>),
    /// Written one chunk a poll, so that each leaves alone.
    Stream {
        next: usize,
        yielded: bool,
    },
}

impl Body for BenchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream { next, yielded } => {
                if *next > CHUNKS + 2 {
                    return Poll::Ready(None);
                }
                // Pending once between chunks: what was written is flushed.
                if !std::mem::replace(yielded, !*yielded) && *next > 0 {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let chunk = chunk(*next);
                *next += 1;
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }
}

fn chunk(number: usize) -> Bytes {
    const CONTENT: &[u8] = b"data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    const FINISH: &[u8] = b"data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &[u8] = b"data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":64,\"total_tokens\":84}}\n\n";
    match number {
        0..CHUNKS => Bytes::from_static(CONTENT),
        CHUNKS => Bytes::from_static(FINISH),
        65 => Bytes::from_static(USAGE),
        _ => Bytes::from_static(b"data: [DONE]\n\n"),
    }
}

/// The reply to a request whose body is `body`.
pub(crate) fn reply(body: &[u8]) -> Response<BenchBody> {
    let stream = body.windows(13).any(|window| window == b"\"stream\":true");
    let (kind, body) = if stream {
        (
            "text/event-stream",
            BenchBody::Stream {
                next: 0,
                yielded: false,
            },
        )
    } else {
        (
            "application/json",
            BenchBody::Whole(Some(Bytes::from_static(WHOLE.as_bytes()))),
        )
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// About a kilobyte, as an ordinary answer is.
const WHOLE: &str = concat!(
    "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,",
    "\"message\":{\"role\":\"assistant\",\"content\":\"",
    "A pointsman reads the signals and sets the points, so that every train takes the right track. ",
    "A pointsman reads the signals and sets the points, so that every train takes the right track. ",
    "A pointsman reads the signals and sets the points, so that every train takes the right track. ",
    "A pointsman reads the signals and sets the points, so that every train takes the right track. ",
    "A pointsman reads the signals and sets the points, so that every train takes the right track. ",
    "A pointsman reads the signals and sets the points, so that every train takes the right track.",
    "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],",
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":120,\"total_tokens\":140,",
    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,",
    "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\"}"
);
