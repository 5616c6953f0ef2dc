//! The HTTP client of one worker: sends a request to an endpoint over a connection that is at hand, or a new one.
//!
//! It sits directly on hyper's connections: no service stack, no boxing but for dialing, nothing shared with other
//! workers.

mod connect;
mod exclusive;
mod fetch;
mod handshake;
mod identity;
mod lease;
mod pool;
mod tls;
mod upgrade;

pub use fetch::{FetchBounds, FetchError, Fetched, is_public};

pub(crate) use identity::ClientIdentity;
pub(crate) use lease::Lease;
pub use upgrade::Upgrade;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::body::UpstreamBody;
use crate::config::{ConfigError, PoolConfig, UpstreamConfig};
use crate::endpoint::{Endpoint, Origin};
use crate::error::{Phase, SendError, SendErrorKind};
use crate::proxy::Proxies;
use crate::timeouts::Timeouts;
use lease::Unserved;
use pool::OriginPool;

/// What the clients of all workers have in common; cheap to clone. Reads certificates, so compile it once.
#[derive(Clone)]
pub struct ClientOptions(Arc<Options>);

struct Options {
    tls: tls::Tls,
    proxies: Proxies,
    pool: PoolConfig,
}

impl ClientOptions {
    /// Compiles the configuration; proxies of the environment are taken from this process's.
    ///
    /// # Errors
    ///
    /// When certificates cannot be read or a proxy's URL makes no sense.
    pub fn compile(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        Self::compile_with(config, |name| std::env::var(name).ok())
    }

    /// As [`compile`](Self::compile), with the environment to look up proxies in.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn compile_with(
        config: &UpstreamConfig,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Options {
            tls: tls::Tls::compile(&config.tls)?,
            proxies: Proxies::compile(&config.proxy, environment)?,
            pool: config.pool.clone(),
        })))
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("proxies", &self.0.proxies)
            .field("pool", &self.0.pool)
            .finish_non_exhaustive()
    }
}

/// The HTTP client of one worker. Cloning it gives another handle to the same connections; they belong to the
/// runtime on which they were made, so each worker makes its own with [`Client::new`].
#[derive(Clone)]
pub struct Client {
    options: Arc<Options>,
    origins: Arc<Mutex<HashMap<Origin, Arc<OriginPool>>>>,
}

/// The request as hyper's connections take it.
pub(crate) type Outgoing = Request<Full<Bytes>>;

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options: options.0,
            origins: Arc::default(),
        }
    }

    /// Sends a request and waits for the response head. The request's target is in origin form, from
    /// [`Endpoint::uri`]; `Host` and `Content-Length` are set here. Dropping the future gives the request up and
    /// closes its connection (HTTP/2: its stream).
    ///
    /// # Errors
    ///
    /// When there is no response head; [`SendError::is_before_send`] says whether the provider can have seen the
    /// request. A response of any status is not an error.
    pub async fn send(
        &self,
        endpoint: &Arc<Endpoint>,
        request: Request<Bytes>,
        timeouts: &Timeouts,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let started = Instant::now();
        let mut request = outgoing(endpoint, request)?;
        let pool = self.pool(endpoint.origin());
        // A connection at hand may have been closed a moment ago. If nothing of the request was written to it, the
        // request comes back and gets a connection that was not at hand.
        if let Some(lease) = pool.check_out() {
            match exchange(endpoint, (lease, true), request, (timeouts, started)).await {
                Err(Unserved {
                    unsent: Some(unsent), ..
                }) => request = unsent,
                Err(Unserved { error, .. }) => return Err(error),
                Ok(response) => return Ok(response),
            }
        }
        let lease = self.dial(endpoint, &pool, (timeouts, started)).await?;
        exchange(endpoint, (lease, false), request, (timeouts, started))
            .await
            .map_err(|unserved| unserved.error)
    }

    /// Sends a request that asks for another protocol (RFC 9110 section 7.8), over an HTTP/1.1 connection of its own.
    /// What asks for it (`Upgrade`, `Connection`) stands in the request's headers.
    ///
    /// # Errors
    ///
    /// When there is no response head, or what was agreed on does not come about. A refusal is an answer.
    pub async fn upgrade(
        &self,
        endpoint: &Arc<Endpoint>,
        request: Request<Bytes>,
        timeouts: &Timeouts,
    ) -> Result<Upgrade, SendError> {
        let mut request = outgoing(endpoint, request)?;
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().insert(HOST, endpoint.host_header().clone());
        set_relative(endpoint, &mut request)?;
        let proxy = self.options.proxies.for_origin(endpoint.origin());
        // Boxed: rare, and long beside what a request holds.
        Box::pin(upgrade::ask(
            &self.options.tls,
            endpoint,
            (request, proxy),
            timeouts,
        ))
        .await
    }

    /// A new connection, or one that another request made in the meantime.
    async fn dial(
        &self,
        endpoint: &Arc<Endpoint>,
        pool: &Arc<OriginPool>,
        (timeouts, started): (&Timeouts, Instant),
    ) -> Result<Lease, SendError> {
        let total = started + timeouts.total;
        let connect = Instant::now() + timeouts.connect;
        // Boxed: dialing is rare, and the future of a TLS handshake would make every request's future large.
        let dialing = Box::pin(pool.dial(&self.options.tls, endpoint.origin()));
        match timeout_at(connect.min(total), dialing).await {
            Ok(lease) => lease,
            Err(_) => Err(SendError::new(
                SendErrorKind::Timeout(Phase::Connect),
                endpoint.origin().host(),
            )),
        }
    }

    fn pool(&self, origin: &Origin) -> Arc<OriginPool> {
        let mut origins = self.origins.lock();
        if let Some(pool) = origins.get(origin) {
            return Arc::clone(pool);
        }
        let proxy = self.options.proxies.for_origin(origin).cloned();
        let pool = Arc::new(OriginPool::new(origin, &self.options.pool, proxy));
        origins.insert(origin.clone(), Arc::clone(&pool));
        pool
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("origins", &self.origins.lock().len())
            .finish_non_exhaustive()
    }
}

/// Takes framing into our hands: what the headers say of the body's length must be what is sent.
fn outgoing(endpoint: &Endpoint, request: Request<Bytes>) -> Result<Outgoing, SendError> {
    if !request.uri().path().starts_with('/') {
        return Err(
            SendError::new(SendErrorKind::InvalidRequest, endpoint.origin().host())
                .detail("its target is not a path"),
        );
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(TRANSFER_ENCODING);
    let expects_body = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if body.is_empty() && expects_body {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else {
        parts.headers.remove(CONTENT_LENGTH);
    }
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// One request on one connection, up to the response head.
async fn exchange(
    endpoint: &Endpoint,
    (mut lease, reused): (Lease, bool),
    mut request: Outgoing,
    (timeouts, started): (&Timeouts, Instant),
) -> Result<Response<UpstreamBody>, Unserved> {
    let host = endpoint.origin().host();
    address(endpoint, &lease, &mut request)?;
    let total = started + timeouts.total;
    let first_byte = Instant::now() + timeouts.first_byte;
    match timeout_at(first_byte.min(total), lease.send(request)).await {
        Ok(Ok(response)) => Ok(receive(response, lease, (timeouts, started))),
        Ok(Err(error)) => Err(lease::unserved(error, reused, host)),
        Err(_) => {
            let phase = if total < first_byte {
                Phase::Total
            } else {
                Phase::FirstByte
            };
            Err(SendError::new(SendErrorKind::Timeout(phase), host).into())
        }
    }
}

/// Says where the request goes in the way of the connection: `Host` and a path in HTTP/1.1, the whole URI in
/// HTTP/2 and to a proxy that forwards plain HTTP.
fn address(endpoint: &Endpoint, lease: &Lease, request: &mut Outgoing) -> Result<(), SendError> {
    match lease {
        Lease::Http2(_) => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(HOST);
            set_absolute(endpoint, request)
        }
        Lease::Http1(_, pool) => {
            *request.version_mut() = Version::HTTP_11;
            request.headers_mut().insert(HOST, endpoint.host_header().clone());
            let Some(proxy) = pool.forwarder() else {
                return set_relative(endpoint, request);
            };
            if let Some(authorization) = proxy.authorization() {
                request
                    .headers_mut()
                    .insert(PROXY_AUTHORIZATION, authorization.clone());
            }
            set_absolute(endpoint, request)
        }
    }
}

fn set_relative(endpoint: &Endpoint, request: &mut Outgoing) -> Result<(), SendError> {
    if request.uri().authority().is_none() {
        return Ok(());
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = None;
    parts.authority = None;
    set_uri(endpoint, request, parts)
}

fn set_absolute(endpoint: &Endpoint, request: &mut Outgoing) -> Result<(), SendError> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(endpoint.scheme());
    parts.authority = Some(endpoint.authority().clone());
    set_uri(endpoint, request, parts)
}

fn set_uri(endpoint: &Endpoint, request: &mut Outgoing, parts: http::uri::Parts) -> Result<(), SendError> {
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| {
        SendError::new(SendErrorKind::InvalidRequest, endpoint.origin().host()).because(error)
    })?;
    Ok(())
}

fn receive(
    response: Response<Incoming>,
    lease: Lease,
    (timeouts, started): (&Timeouts, Instant),
) -> Response<UpstreamBody> {
    let delimited = lease.is_http2()
        || response.body().size_hint().exact().is_some()
        || response.headers().contains_key(TRANSFER_ENCODING);
    response.map(|incoming| UpstreamBody::new((incoming, delimited), lease, timeouts, started))
}
