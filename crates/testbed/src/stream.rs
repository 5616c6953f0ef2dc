//! Bodies in pieces: paced, cut up, compressed, and broken on purpose.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::fault::Fault;
use crate::served::ServedOutcome;
use crate::sim::{Chunking, Coding, SimOptions};

/// Stalls end after this, so that no test hangs for ever.
pub(crate) const STALL: Duration = Duration::from_secs(60);

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// An event, and how many tokens of the answer it carries.
pub(crate) struct Event {
    pub(crate) bytes: Vec<u8>,
    pub(crate) tokens: u64,
    /// The usage that it tells.
    pub(crate) told: Option<Value>,
}

impl Event {
    /// An event that tells no usage.
    pub(crate) fn new(bytes: impl Into<Vec<u8>>, tokens: u64) -> Self {
        Self {
            bytes: bytes.into(),
            tokens,
            told: None,
        }
    }

    /// It tells this usage.
    pub(crate) fn telling(mut self, usage: &Value) -> Self {
        self.told = Some(usage.clone());
        self
    }
}

/// How a stream ended.
pub(crate) struct Ended {
    pub(crate) outcome: ServedOutcome,
    /// Tokens that were written.
    pub(crate) tokens: u64,
    /// The usage that was told last.
    pub(crate) told: Option<Value>,
}

/// A whole body.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

struct Channel(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// What a stream needs to be told.
pub(crate) struct Telling {
    pub(crate) events: Vec<Event>,
    pub(crate) fault: Option<Fault>,
    pub(crate) error_event: Vec<u8>,
    pub(crate) malformed: Vec<u8>,
    /// Whether line ends mean nothing but the end of a line.
    pub(crate) lines: bool,
    pub(crate) options: SimOptions,
    /// Set to have the connection reset instead of closed.
    pub(crate) reset: Arc<AtomicBool>,
    pub(crate) done: Box<dyn FnOnce(Ended) + Send>,
}

/// A body that tells events one after another.
pub(crate) fn tell(telling: Telling) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let done = telling.done;
        let mut teller = Teller {
            sender,
            options: telling.options,
            reset: telling.reset,
            crlf: false,
            written: 0,
            told: None,
            coder: None,
        };
        teller.crlf = teller.options.crlf && telling.lines;
        let outcome = teller
            .run(
                telling.events,
                telling.fault,
                (&telling.error_event, &telling.malformed),
            )
            .await;
        done(Ended {
            outcome,
            tokens: teller.written,
            told: teller.told,
        });
    });
    Channel(receiver).boxed()
}

struct Teller {
    sender: mpsc::Sender<Result<Bytes, std::io::Error>>,
    options: SimOptions,
    reset: Arc<AtomicBool>,
    crlf: bool,
    written: u64,
    told: Option<Value>,
    coder: Option<Coder>,
}

impl Teller {
    async fn run(
        &mut self,
        events: Vec<Event>,
        fault: Option<Fault>,
        broken: (&[u8], &[u8]),
    ) -> ServedOutcome {
        self.coder = Coder::new(self.options.coding);
        let first = match fault {
            Some(Fault::SlowFirstToken(ms)) => Duration::from_millis(ms),
            _ => self.options.first_token,
        };
        if fault == Some(Fault::StallAfterHead) {
            return self.stall().await;
        }
        if !first.is_zero() {
            tokio::time::sleep(first).await;
        }
        let middle = events.len() / 2;
        for (index, event) in events.into_iter().enumerate() {
            if index == middle
                && let Some(outcome) = self.strike(fault, broken).await
            {
                return outcome;
            }
            if index > 0 && !self.options.token_delay.is_zero() {
                tokio::time::sleep(self.options.token_delay).await;
            }
            if !self.send(&event.bytes, false).await {
                return ServedOutcome::ClientGone;
            }
            self.written += event.tokens;
            self.told = event.told.or(self.told.take());
        }
        if self.send(b"", true).await {
            ServedOutcome::Complete
        } else {
            ServedOutcome::ClientGone
        }
    }

    /// What happens in the middle; none when the stream goes on.
    async fn strike(
        &mut self,
        fault: Option<Fault>,
        (error_event, malformed): (&[u8], &[u8]),
    ) -> Option<ServedOutcome> {
        match fault? {
            Fault::StallMidStream => return Some(self.stall().await),
            Fault::CutClean => {
                self.send(b"", true).await;
            }
            Fault::CutAbort => self.abort().await,
            Fault::ResetMidStream => {
                self.reset.store(true, Ordering::SeqCst);
                self.abort().await;
            }
            Fault::MalformedEvent => {
                self.send(malformed, false).await;
                return None;
            }
            Fault::ErrorEvent => {
                self.send(error_event, true).await;
            }
            _ => return None,
        }
        Some(ServedOutcome::Faulted)
    }

    async fn stall(&mut self) -> ServedOutcome {
        tokio::select! {
            () = self.sender.closed() => ServedOutcome::Faulted,
            () = tokio::time::sleep(STALL) => ServedOutcome::Faulted,
        }
    }

    async fn abort(&mut self) {
        // What was sent must be on its way before the connection goes.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = self
            .sender
            .send(Err(std::io::Error::other("cut on purpose")))
            .await;
    }

    async fn send(&mut self, bytes: &[u8], last: bool) -> bool {
        let ended;
        let bytes = if self.crlf {
            ended = String::from_utf8_lossy(bytes).replace('\n', "\r\n").into_bytes();
            &ended
        } else {
            bytes
        };
        let bytes = match &mut self.coder {
            None => bytes.to_vec(),
            Some(coder) => coder.push(bytes, last),
        };
        let size = match self.options.chunking {
            Chunking::Events => bytes.len().max(1),
            Chunking::Bytes(size) => size.max(1),
        };
        for piece in bytes.chunks(size) {
            if self.sender.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Compresses as it goes.
enum Coder {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Coder {
    fn new(coding: Coding) -> Option<Self> {
        let level = flate2::Compression::fast();
        Some(match coding {
            Coding::None => return None,
            Coding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), level)),
            Coding::Deflate => Self::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), level)),
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), 4096, 3, 18))),
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1).ok()?),
        })
    }

    fn push(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        // Writing to a vector cannot fail.
        match self {
            Self::Gzip(coder) => {
                let _ = coder
                    .write_all(bytes)
                    .and_then(|()| if last { coder.try_finish() } else { coder.flush() });
                std::mem::take(coder.get_mut())
            }
            Self::Deflate(coder) => {
                let _ = coder
                    .write_all(bytes)
                    .and_then(|()| if last { coder.try_finish() } else { coder.flush() });
                std::mem::take(coder.get_mut())
            }
            Self::Brotli(coder) => {
                let _ = coder.write_all(bytes).and_then(|()| coder.flush());
                std::mem::take(coder.get_mut())
            }
            Self::Zstd(coder) => {
                let _ = coder
                    .write_all(bytes)
                    .and_then(|()| if last { coder.do_finish() } else { coder.flush() });
                std::mem::take(coder.get_mut())
            }
        }
    }
}

/// Compresses a whole body.
pub(crate) fn coded(coding: Coding, bytes: Vec<u8>) -> Vec<u8> {
    match Coder::new(coding) {
        None => bytes,
        Some(mut coder) => {
            let mut out = coder.push(&bytes, true);
            if let Coder::Brotli(coder) = coder {
                out.extend(coder.into_inner());
            }
            out
        }
    }
}
