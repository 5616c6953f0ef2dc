//! Which HTTP a client speaks: told by ALPN, else by the first bytes of its connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What was agreed on in the TLS handshake, if anything was.
pub fn by_alpn(agreed: Option<&[u8]>) -> Option<Protocol> {
    match agreed? {
        b"h2" => Some(Protocol::Http2),
        b"http/1.1" => Some(Protocol::Http1),
        _ => None,
    }
}

/// Reads until the client has said the preface of HTTP/2, or something else.
///
/// # Errors
/// When the connection breaks, or ends before anything was said.
pub async fn by_first_bytes<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Protocol, Rewound<S>)> {
    let mut said = [0; PREFACE.len()];
    let mut length = 0;
    let protocol = loop {
        let read = stream.read(&mut said[length..]).await?;
        if read == 0 && length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += read;
        if read == 0 || said[..length] != PREFACE[..length] {
            break Protocol::Http1;
        }
        if length == PREFACE.len() {
            break Protocol::Http2;
        }
    };
    Ok((
        protocol,
        Rewound {
            stream,
            said,
            at: 0,
            length,
        },
    ))
}

/// A connection whose first bytes are read again.
pub struct Rewound<S> {
    stream: S,
    said: [u8; PREFACE.len()],
    at: usize,
    length: usize,
}

impl<S> Rewound<S> {
    /// A connection of which nothing has been read.
    pub fn untouched(stream: S) -> Self {
        Self {
            stream,
            said: [0; PREFACE.len()],
            at: 0,
            length: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at < self.length {
            let end = self.length.min(self.at + into.remaining());
            into.put_slice(&self.said[self.at..end]);
            self.at = end;
            // What came behind them goes into the same buffer: read alone they would make the reader grow it for the
            // rest. A connection that has broken meanwhile says so when it is read next.
            if into.remaining() > 0 {
                let _ = Pin::new(&mut self.stream).poll_read(context, into);
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// The pieces are written one after another; what is told, and what can be read in all.
    async fn told(pieces: &[&[u8]]) -> io::Result<(Protocol, Vec<u8>)> {
        let (mut client, server) = tokio::io::duplex(64);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let writing = tokio::spawn(async move {
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (protocol, mut rewound) = by_first_bytes(server).await?;
        let mut all = Vec::new();
        rewound.read_to_end(&mut all).await.unwrap();
        writing.await.unwrap();
        Ok((protocol, all))
    }

    #[tokio::test]
    async fn first_bytes_tell_the_protocol_and_are_read_again() {
        let http2: &[&[u8]] = &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"more"];
        let dribbled: &[&[u8]] = &[b"P", b"RI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\nmo", b"re"];
        for pieces in [http2, dribbled] {
            assert_eq!(told(pieces).await.unwrap(), (Protocol::Http2, pieces.concat()));
        }
        let request: &[&[u8]] = &[b"GET / HTTP/1.1\r\n\r\n"];
        let close: &[&[u8]] = &[b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"];
        let short: &[&[u8]] = &[b"PRI * HT"];
        let post: &[&[u8]] = &[b"P", b"OST / HTTP/1.1\r\n\r\n"];
        for pieces in [request, close, short, post] {
            assert_eq!(told(pieces).await.unwrap(), (Protocol::Http1, pieces.concat()));
        }
    }

    #[tokio::test]
    async fn what_came_with_the_first_bytes_is_read_with_them() {
        let (mut client, server) = tokio::io::duplex(64);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: example\r\n\r\n")
            .await
            .unwrap();
        let (_, mut rewound) = by_first_bytes(server).await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(rewound.read(&mut buffer).await.unwrap(), 33);
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_an_error() {
        assert!(told(&[]).await.is_err());
    }
}
