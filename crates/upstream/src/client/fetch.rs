//! Fetching from, and telling to, a place that a client named: nobody the operator knows.
//!
//! What a client names may point anywhere, also into the operator's own network. So the addresses that a name has are
//! looked at before one is connected to, and exactly those are connected to; a redirect is a new name. Everything is
//! bounded, nothing of ours goes along, and a connection serves once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use url::Url;

use super::handshake::{self, Fresh};
use super::{Client, connect};
use crate::config::{EndpointConfig, HealthConfig, HttpVersion};
use crate::endpoint::Endpoint;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// How far a fetch may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchBounds {
    /// Most bytes of the file.
    pub max_bytes: usize,
    /// Longest time for all of it, redirects included.
    pub timeout: Duration,
    /// Whether it may come unencrypted.
    pub plain_http: bool,
    /// Hosts, as URLs name them, that may have addresses which are not public.
    pub private_hosts: Vec<String>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What its server says it is.
    pub content_type: Option<String>,
    /// The file.
    pub bytes: Bytes,
}

/// Why there is no file, in words that are fit for whoever named it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(String);

impl FetchError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Client {
    /// Fetches the file at `url`.
    ///
    /// # Errors
    ///
    /// When the URL or where it leads is not allowed, the file is too large or takes too long, or its server does not
    /// give it.
    pub async fn fetch(&self, url: &str, bounds: &FetchBounds) -> Result<Fetched, FetchError> {
        let fetching = self.follow(url, bounds);
        tokio::time::timeout(bounds.timeout, fetching)
            .await
            .unwrap_or_else(|_| Err(FetchError::new("it did not come in time")))
    }

    /// Posts `body` to `url`; the answer's status. Redirects are not followed.
    ///
    /// # Errors
    ///
    /// When the URL or where it leads is not allowed, or there is no answer in time.
    pub async fn deliver(
        &self,
        url: &str,
        (headers, body): (HeaderMap, Bytes),
        bounds: &FetchBounds,
    ) -> Result<StatusCode, FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::new("this is not a valid URL"))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        let answered = tokio::time::timeout(bounds.timeout, self.ask(&url, request, bounds)).await;
        let answered = answered.unwrap_or_else(|_| Err(FetchError::new("it did not answer in time")));
        answered.map(|response| response.status())
    }

    /// Whether `url` may be fetched from or told to, as far as its scheme and the addresses of its host tell now.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub async fn vet(&self, url: &str, bounds: &FetchBounds) -> Result<(), FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::new("this is not a valid URL"))?;
        is_spoken(&url, bounds)?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(FetchError::new("this is not a valid URL"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::new("a URL may not hold a password"));
        }
        if is_private_by_name(host, bounds) {
            return Ok(());
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let resolving = tokio::time::timeout(bounds.timeout, tokio::net::lookup_host((bare, port)));
        let Ok(Ok(addresses)) = resolving.await else {
            return Err(FetchError::new("its host has no address"));
        };
        if addresses.into_iter().all(|address| is_public(address.ip())) {
            return Ok(());
        }
        Err(FetchError::new("its host has an address that is not public"))
    }

    async fn follow(&self, url: &str, bounds: &FetchBounds) -> Result<Fetched, FetchError> {
        let mut url = Url::parse(url).map_err(|_| FetchError::new("this is not a valid URL"))?;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(Full::new(Bytes::new()));
            request
                .headers_mut()
                .insert(ACCEPT, HeaderValue::from_static("*/*"));
            let response = self.ask(&url, request, bounds).await?;
            let status = response.status();
            if status.is_redirection()
                && let Some(next) = response.headers().get(LOCATION)
            {
                let next = next.to_str().ok().and_then(|next| url.join(next).ok());
                url = next.ok_or_else(|| FetchError::new("its server redirects to nowhere"))?;
                continue;
            }
            if !status.is_success() {
                return Err(FetchError::new(format!(
                    "its server answered {}",
                    status.as_u16()
                )));
            }
            return read(response, bounds.max_bytes).await;
        }
        Err(FetchError::new("its server redirects too often"))
    }

    /// Asks once, over a connection of its own.
    async fn ask(
        &self,
        url: &Url,
        mut request: Request<Full<Bytes>>,
        bounds: &FetchBounds,
    ) -> Result<Response<Incoming>, FetchError> {
        is_spoken(url, bounds)?;
        let wrong = || FetchError::new("this is not a URL that can be fetched");
        let mut config = EndpointConfig::new(&url[..url::Position::BeforePath]);
        // What its addresses may be is looked at before one is connected to, and is less than this.
        config.link_local = true;
        config.http = HttpVersion::Http1;
        let endpoint = Endpoint::new(&config, &HealthConfig::default()).map_err(|_| wrong())?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let target = endpoint.uri(path).map_err(|_| wrong())?;
        let origin = endpoint.origin();
        let allowed = url
            .host_str()
            .is_some_and(|host| is_private_by_name(host, bounds));
        let may_connect = |address: IpAddr| allowed || is_public(address);
        let proxy = self.options.proxies.for_origin(origin);
        let transport = connect::open_checked(&self.options.tls, (origin, proxy), may_connect)
            .await
            .map_err(|error| FetchError::new(error.to_string()))?;
        let fresh = handshake::shake(transport, origin)
            .await
            .map_err(|error| FetchError::new(error.to_string()))?;
        let Fresh::Http1(connection) = fresh else {
            return Err(wrong());
        };
        let mut sender = connection.released();
        *request.uri_mut() = target;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(endpoint.authority().as_str()).map_err(|_| wrong())?;
        headers.insert(HOST, host);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(USER_AGENT, HeaderValue::from_static("pointsman"));
        let failed = |error: hyper::Error| {
            tracing::debug!(%error, host = origin.host(), "a file could not be fetched");
            FetchError::new("its server did not answer as HTTP servers do")
        };
        sender.send_request(request).await.map_err(failed)
    }
}

/// Whether the scheme is one that is spoken here.
fn is_spoken(url: &Url, bounds: &FetchBounds) -> Result<(), FetchError> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if bounds.plain_http => Ok(()),
        "http" => Err(FetchError::new("only https is fetched")),
        _ => Err(FetchError::new("only https is fetched, no other scheme")),
    }
}

fn is_private_by_name(host: &str, bounds: &FetchBounds) -> bool {
    let mut known = bounds.private_hosts.iter();
    known.any(|known| known.eq_ignore_ascii_case(host))
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Fetched, FetchError> {
    let too_large = || FetchError::new(format!("it is larger than {limit} bytes"));
    let header = |name| {
        let value: Option<&HeaderValue> = response.headers().get(name);
        value.and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let content_type = header(CONTENT_TYPE);
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| FetchError::new("its server broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Fetched {
        content_type,
        bytes: bytes.freeze(),
    })
}

/// Whether an address is one of the public internet. Of what carries another address within itself, that one counts.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        // Shared by providers (RFC 6598), protocol assignments, 6to4 relays, benchmarks, reserved.
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let part = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match part {
        // Mapped IPv4, and IPv4 behind NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        // 6to4.
        [0x2002, high, low, ..] => inner(high, low),
        // Protocol assignments (Teredo among them), documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Everything else that is public is global unicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }
}
