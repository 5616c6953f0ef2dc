//! A tunnel through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Proxy;

/// The longest response head that is read.
const MAX_HEAD: usize = 8 * 1024;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    #[error("the connection to the proxy broke")]
    Io(#[from] std::io::Error),
    #[error("the proxy closed the connection before it answered")]
    Closed,
    #[error("the proxy's answer is not valid HTTP")]
    Malformed,
    #[error("the proxy asks for other credentials (407)")]
    Unauthorized,
    #[error("the proxy refused with status {0}")]
    Refused(u16),
}

/// Asks the proxy at the other end of `stream` for a tunnel to `authority` (host and port). Reads nothing beyond the
/// proxy's answer.
pub(crate) async fn open(stream: &mut TcpStream, proxy: &Proxy, authority: &str) -> Result<(), TunnelError> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(value) = proxy.authorization() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    let head = read_head(stream).await?;
    match parse_status(&head) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(TunnelError::Unauthorized),
        Some(status) => Err(TunnelError::Refused(status)),
        None => Err(TunnelError::Malformed),
    }
}

/// Reads up to the empty line and not a byte further: what follows belongs to the tunnel. So it looks before it
/// takes.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, TunnelError> {
    let mut head = Vec::with_capacity(512);
    let mut seen = [0; 1024];
    while head.len() < MAX_HEAD {
        let available = stream.peek(&mut seen).await?;
        if available == 0 {
            return Err(TunnelError::Closed);
        }
        let before = head.len();
        head.extend_from_slice(&seen[..available]);
        let search_from = before.saturating_sub(3);
        let end = head[search_from..]
            .windows(4)
            .position(|window| window == b"\r\n\r\n");
        let take = end.map_or(available, |at| search_from + at + 4 - before);
        stream.read_exact(&mut seen[..take]).await?;
        head.truncate(before + take);
        if end.is_some() {
            return Ok(head);
        }
    }
    Err(TunnelError::Malformed)
}

fn parse_status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let digits = rest.get(..3)?;
    version
        .starts_with("HTTP/1.")
        .then(|| digits.parse().ok())
        .flatten()
}
