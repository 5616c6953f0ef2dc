//! The admin listener: metrics, health, and the admin API.
//!
//! Metrics, health and the description of the API are open; everything else is for whoever has the operator's token, or a
//! role that allows it.
//! Whether a request may go on is decided by its path as it was sent, before anything of its body is read.

mod access;
mod cache;
mod call;
mod configuration;
mod decisions;
mod grants;
mod holders;
mod keys;
mod litellm;
mod members;
mod openapi;
mod people;
mod reports;
mod roles;
mod routes;
mod running;
mod scim;
mod shapes;
mod sign_in;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pointsman_gateway::Gateway;
use pointsman_store::Actor;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use access::Access;
pub use configuration::{Configuration, InForce, Refused};

use crate::access::{Barred, Caller, Needs};
use crate::call::{Call, Failed};
use crate::routes::Route;
use crate::sign_in::Descriptions;

/// Connections at once: scrapers and people, not traffic.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a body.
const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Binds the listener.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// What every connection needs.
struct House {
    gateway: Arc<Gateway>,
    access: Access,
    configuration: Arc<Configuration>,
    routes: Vec<Route>,
    descriptions: Arc<Descriptions>,
}

/// Serves until the task is aborted.
pub async fn serve(
    listener: TcpListener,
    (gateway, configuration): (Arc<Gateway>, Arc<Configuration>),
    access: Access,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let house = Arc::new(House {
        gateway,
        access,
        configuration,
        routes: routes::all(),
        descriptions: Arc::default(),
    });
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept for the moment");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let house = Arc::clone(&house);
                async move { Ok::<_, Infallible>(answer(house, peer, request).await) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10));
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "an admin connection ended");
            }
            drop(place);
        });
    }
}

async fn answer(house: Arc<House>, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if let Some(reply) = open(&house.gateway, request.method(), request.uri().path()) {
        return reply;
    }
    let is_scim = request.uri().path().starts_with("/scim/");
    match called(house, peer, request).await {
        Ok(reply) => reply,
        Err(failed) if is_scim => failed.into_scim(),
        Err(failed) => failed.reply(),
    }
}

/// What anybody may ask.
fn open(gateway: &Gateway, method: &Method, path: &str) -> Option<Response<Full<Bytes>>> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let json = "application/json";
    let told = match path {
        "/metrics" => reply(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            gateway.metrics(),
        ),
        "/health/ready" | "/health/readiness" if gateway.is_stopping() => reply(
            StatusCode::SERVICE_UNAVAILABLE,
            json,
            "{\"status\":\"stopping\"}".to_owned(),
        ),
        "/health" | "/health/live" | "/health/ready" => {
            reply(StatusCode::OK, json, "{\"status\":\"ok\"}".to_owned())
        }
        // As scripts for LiteLLM look for it.
        "/health/readiness" => reply(StatusCode::OK, json, "{\"status\":\"healthy\"}".to_owned()),
        "/health/liveliness" | "/health/liveness" => reply(StatusCode::OK, json, "\"I'm alive!\"".to_owned()),
        openapi::PATH => reply(
            StatusCode::OK,
            json,
            openapi::document(&routes::all()).to_string(),
        ),
        _ => return None,
    };
    Some(told)
}

/// Whatever needs somebody who is known.
async fn called(
    house: Arc<House>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Failed> {
    let (head, body) = request.into_parts();
    let (asker, headers, method) = (Arc::clone(&house), head.headers.clone(), head.method.clone());
    let found = routes::find(&house.routes, &head.method, head.uri.path());
    let is_open = matches!(&found, Ok((route, _)) if route.needs == Needs::Nothing);
    let caller = if is_open {
        Caller::Nobody
    } else {
        // Whether a path is there is not told to strangers either.
        let known = blocking(move || known(&asker, &method, &headers)).await??;
        known.map_err(Failed::from)?
    };
    let (route, segments) = found.map_err(|methods| elsewhere(&methods))?;
    let (needs, answer) = (route.needs, route.answer);
    let (gateway, named) = (
        Arc::clone(&house.gateway),
        segments.first().cloned().unwrap_or_default(),
    );
    let admitted = move || {
        access::admit(&caller, gateway.store(), needs, &named)?;
        Ok::<_, Failed>(caller)
    };
    let caller = blocking(admitted).await??;
    let body = read(&head.headers, body).await?;
    let client = house.gateway.snapshot().proxies.client(peer.ip(), &head.headers);
    let call = Call {
        gateway: Arc::clone(&house.gateway),
        actor: Actor {
            name: caller.name(),
            source: client.to_string(),
        },
        caller,
        configuration: Arc::clone(&house.configuration),
        descriptions: Arc::clone(&house.descriptions),
        segments,
        query: call::query(head.uri.query().unwrap_or_default())?,
        headers: head.headers,
        body,
    };
    let answered = blocking(move || answer(&call)).await?;
    answered.map(call::Reply::reply)
}

/// Who it is; or why their request goes no further.
fn known(house: &House, method: &Method, headers: &HeaderMap) -> Result<Result<Caller, Barred>, Failed> {
    let Some(caller) = house.access.who(headers)? else {
        return Ok(Err(Barred::Token));
    };
    if !house.access.admits_origin(headers) {
        return Ok(Err(Barred::Origin));
    }
    let is_safe = *method == Method::GET || *method == Method::HEAD;
    if caller.session().is_some() && !is_safe && !access::is_ours_by_csrf(headers) {
        return Ok(Err(Barred::Forged));
    }
    Ok(Ok(caller))
}

impl From<Barred> for Failed {
    fn from(barred: Barred) -> Self {
        let (status, message) = match barred {
            Barred::Token => (
                StatusCode::UNAUTHORIZED,
                "send the admin token as `Authorization: Bearer …`: POINTSMAN_ADMIN_TOKEN, or the password of the first start (`pointsman admin password` makes another), or a token of a user",
            ),
            Barred::Origin => (
                StatusCode::FORBIDDEN,
                "pages of another origin may not use the admin API; POINTSMAN_ADMIN_HOSTS names the hosts of this one",
            ),
            Barred::Forged => (
                StatusCode::FORBIDDEN,
                "what changes something needs the header x-pointsman-csrf beside a session; GET /admin/v1/me tells its value",
            ),
        };
        Self::new(status, message)
    }
}

fn elsewhere(methods: &[Method]) -> Failed {
    if methods.is_empty() {
        return Failed::absent(format!("there is no such path; {} has them all", openapi::PATH));
    }
    let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
    Failed::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("use {} here", methods.join(" or ")),
    )
}

/// Reads a body: JSON, of a bounded length, within a bounded time.
async fn read(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Failed> {
    let limited = Limited::new(body, MAX_BODY);
    let too_large = |_| {
        Failed::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body could not be read; {MAX_BODY} bytes are the most"),
        )
    };
    let late = |_| Failed::new(StatusCode::REQUEST_TIMEOUT, "the body takes too long");
    let read = tokio::time::timeout(BODY_TIME, limited.collect()).await;
    let body = read.map_err(late)?.map_err(too_large)?.to_bytes();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
            || kind.eq_ignore_ascii_case("application/merge-patch+json")
            || kind.eq_ignore_ascii_case(scim::MEDIA_TYPE)
    });
    if !body.is_empty() && !is_json {
        return Err(Failed::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON, with `Content-Type: application/json`",
        ));
    }
    Ok(body)
}

/// Runs what waits for the database where it may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failed::new(StatusCode::INTERNAL_SERVER_ERROR, "this could not be carried out"))
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
