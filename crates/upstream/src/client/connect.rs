//! From an origin to a transport: DNS, TCP, proxy, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls_pki_types::ServerName;
use smallvec::SmallVec;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;
use tokio_rustls::client::TlsStream;

use super::tls::{self, Tls};
use crate::config::HttpVersion;
use crate::endpoint::Origin;
use crate::error::{SendError, SendErrorKind};
use crate::proxy::{self, Proxy};

/// Head start of an address before the next one is tried as well (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses that are tried at most.
const MAX_ADDRESSES: usize = 8;
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes to and from a server, and what to speak on them.
pub(super) struct Transport {
    pub(super) stream: Stream,
    pub(super) http2: bool,
}

/// A connection, encrypted or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

type Addresses = SmallVec<[SocketAddr; MAX_ADDRESSES]>;

/// Connects to an origin, through a proxy where there is one. The limit on time is the caller's.
pub(super) async fn open(tls: &Tls, origin: &Origin, proxy: Option<&Proxy>) -> Result<Transport, SendError> {
    let tunnel = origin.is_tls() || origin.http() == HttpVersion::Http2;
    open_by(tls, origin, (proxy, tunnel)).await
}

/// As [`open`], with a tunnel through the proxy also where it could forward requests: for what is no request for long.
pub(super) async fn open_tunnelled(
    tls: &Tls,
    origin: &Origin,
    proxy: Option<&Proxy>,
) -> Result<Transport, SendError> {
    open_by(tls, origin, (proxy, true)).await
}

async fn open_by(
    tls: &Tls,
    origin: &Origin,
    (proxy, tunnel): (Option<&Proxy>, bool),
) -> Result<Transport, SendError> {
    let stream = match proxy {
        None => reach(origin).await?,
        Some(proxy) => through(proxy, origin, tunnel).await?,
    };
    secure(tls, origin, stream).await
}

/// As [`open`], but only to addresses that `may_connect`. A proxy resolves names itself: there, what we find of a name
/// is checked, and the proxy's own rules must do the rest.
pub(super) async fn open_checked(
    tls: &Tls,
    (origin, proxy): (&Origin, Option<&Proxy>),
    may_connect: impl Fn(IpAddr) -> bool,
) -> Result<Transport, SendError> {
    let failed = |kind| SendError::new(kind, origin.host());
    let resolved = resolve(origin.host(), origin.port()).await;
    if let Ok(addresses) = &resolved
        && !addresses.iter().all(|address| may_connect(address.ip()))
    {
        return Err(failed(SendErrorKind::Connect).detail("its address is not one of the public internet"));
    }
    let stream = match proxy {
        Some(proxy) => through(proxy, origin, true).await?,
        None => {
            let addresses = resolved.map_err(|error| failed(SendErrorKind::Dns).because(error))?;
            reach_any(origin, &addresses).await?
        }
    };
    secure(tls, origin, stream).await
}

/// Encrypts a stream where the origin wants it.
async fn secure(tls: &Tls, origin: &Origin, stream: TcpStream) -> Result<Transport, SendError> {
    let prior_knowledge = origin.http() == HttpVersion::Http2;
    if !origin.is_tls() {
        return Ok(Transport {
            stream: Stream::Plain(stream),
            http2: prior_knowledge,
        });
    }
    let failed = |kind| SendError::new(kind, origin.host());
    let name = ServerName::try_from(origin.host().to_owned())
        .map_err(|error| failed(SendErrorKind::Tls).because(error))?;
    let stream = tls
        .connector(origin)
        .connect(name, stream)
        .await
        .map_err(|error| {
            failed(SendErrorKind::Tls)
                .detail(tls_problem(&error))
                .because(error)
        })?;
    let http2 = tls::chose_http2(stream.get_ref().1.alpn_protocol());
    if prior_knowledge && !http2 {
        return Err(failed(SendErrorKind::Tls).detail("it does not speak HTTP/2"));
    }
    Ok(Transport {
        stream: Stream::Tls(Box::new(stream)),
        http2,
    })
}

/// What may be said to clients about a failed handshake.
fn tls_problem(error: &io::Error) -> &'static str {
    let tls = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => "its certificate is not valid or not trusted",
        Some(rustls::Error::NoApplicationProtocol) => "it speaks none of our HTTP versions",
        Some(_) => "the handshake failed",
        None => "the connection ended during the handshake",
    }
}

async fn reach(origin: &Origin) -> Result<TcpStream, SendError> {
    let failed = |kind| SendError::new(kind, origin.host());
    let addresses = resolve(origin.host(), origin.port())
        .await
        .map_err(|error| failed(SendErrorKind::Dns).because(error))?;
    // A name may lead anywhere, whoever has chosen it.
    if !addresses.iter().all(|address| origin.may_have(address.ip())) {
        let words =
            "it has an address of the link itself, as metadata services have, which `link_local` would allow";
        return Err(failed(SendErrorKind::Connect).detail(words));
    }
    reach_any(origin, &addresses).await
}

async fn reach_any(origin: &Origin, addresses: &[SocketAddr]) -> Result<TcpStream, SendError> {
    connect_any(addresses).await.map_err(|error| {
        let words = connect_problem(&error);
        SendError::new(SendErrorKind::Connect, origin.host())
            .detail(words)
            .because(error)
    })
}

fn connect_problem(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection was refused",
        io::ErrorKind::TimedOut => "it did not answer",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "it cannot be reached",
        _ => "the network failed",
    }
}

async fn through(proxy: &Proxy, origin: &Origin, tunnel: bool) -> Result<TcpStream, SendError> {
    let failed = || SendError::new(SendErrorKind::Proxy, origin.host());
    let addresses = resolve(proxy.host(), proxy.port())
        .await
        .map_err(|error| failed().detail("its name could not be resolved").because(error))?;
    let mut stream = connect_any(&addresses)
        .await
        .map_err(|error| failed().detail(connect_problem(&error)).because(error))?;
    if tunnel {
        proxy::open_tunnel(&mut stream, proxy, &origin.host_and_port())
            .await
            .map_err(|error| failed().detail(error.to_string()).because(error))?;
    }
    Ok(stream)
}

/// All addresses of a host, the families alternating, as the system ordered them. Asked anew for each connection:
/// the system's resolver caches, and an address that was moved must be found.
async fn resolve(host: &str, port: u16) -> io::Result<Addresses> {
    let all: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    if all.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(alternate(&all))
}

fn alternate(all: &[SocketAddr]) -> Addresses {
    let first_is_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let mut preferred = all.iter().filter(|address| address.is_ipv6() == first_is_v6);
    let mut other = all.iter().filter(|address| address.is_ipv6() != first_is_v6);
    let mut mixed = Addresses::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] || mixed.len() >= MAX_ADDRESSES {
            mixed.truncate(MAX_ADDRESSES);
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten().copied());
    }
}

/// The first address that answers. The next one is tried when one fails, or as well when one is slow.
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return connect_one(*only).await;
    }
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(connect_one(*address));
        } else if attempts.is_empty() {
            return Err(last_error);
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            },
            () = sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

async fn connect_one(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    // A connection without keep-alive probes still serves.
    if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "keep-alive could not be turned on");
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_the_first_stays_first() {
        let all = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(alternate(&all).to_vec(), expected);
        let many: Vec<SocketAddr> = (1..=30)
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect();
        assert_eq!(alternate(&many).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_from_the_living() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let living = listener.local_addr().unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
        let dead = closed.local_addr().unwrap();
        drop(closed);
        let stream = connect_any(&[dead, dead, living]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), living);
        let error = connect_any(&[dead, dead]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
