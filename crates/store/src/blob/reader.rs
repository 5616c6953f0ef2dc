//! A blob as it is read: piece by piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use pointsman_upstream::UpstreamBody;
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a piece of a file.
const PIECE: usize = 64 * 1024;

/// A blob that is being read.
pub struct BlobReader {
    source: Source,
    left: u64,
}

enum Source {
    File(File, BytesMut),
    Bucket(Box<UpstreamBody>),
}

impl BlobReader {
    pub(super) fn file(file: File, length: u64) -> Self {
        Self {
            source: Source::File(file, BytesMut::new()),
            left: length,
        }
    }

    pub(super) fn bucket(body: UpstreamBody, length: u64) -> Self {
        Self {
            source: Source::Bucket(Box::new(body)),
            left: length,
        }
    }

    /// Bytes that are left to be read.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When it breaks off before its end.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = match ready!(self.source.poll(context)) {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        if piece.is_empty() {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        if piece.len() as u64 > self.left {
            piece.truncate(self.left as usize);
        }
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(piece)))
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When it breaks off before its end.
    pub async fn piece(&mut self) -> Option<io::Result<Bytes>> {
        std::future::poll_fn(|context| self.poll_piece(context)).await
    }
}

impl Source {
    /// The next bytes; empty at the end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::File(file, buffer) => {
                buffer.resize(PIECE, 0);
                let mut read = ReadBuf::new(buffer);
                ready!(Pin::new(file).poll_read(context, &mut read))?;
                let length = read.filled().len();
                buffer.truncate(length);
                Poll::Ready(Ok(buffer.split().freeze()))
            }
            Self::Bucket(body) => loop {
                let frame = ready!(Pin::new(body.as_mut()).poll_frame(context));
                match frame.transpose().map_err(io::Error::other)? {
                    None => return Poll::Ready(Ok(Bytes::new())),
                    Some(frame) => {
                        if let Ok(data) = frame.into_data()
                            && !data.is_empty()
                        {
                            return Poll::Ready(Ok(data));
                        }
                    }
                }
            },
        }
    }
}
