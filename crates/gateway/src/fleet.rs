//! What servers of one's own say that they serve: adapters come and go there while they run, so they are asked, now and
//! then, once a decision wants an adapter.
//!
//! vLLM lists its adapters beside its models. A list in which the model itself is missing is of something else, and a
//! server that says nothing may serve whatever it is said to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use pointsman_upstream::{Endpoint, Timeouts};
use serde::Deserialize;

use crate::road::send::dispatch;
use crate::snapshot::{Model, Provider};
use crate::worker::Worker;

/// The provider whose servers list adapters.
const KIND: &str = "vllm";
/// How long a list is good for.
const FRESH: Duration = Duration::from_secs(30);
/// How long the first list of a server is waited for.
const FIRST: Duration = Duration::from_secs(1);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most bytes of a list.
const LONGEST: usize = 4 << 20;
/// Servers that are known at most; beyond, all are asked anew.
const MOST: usize = 4_096;

/// Lists of servers.
#[derive(Default)]
pub struct Fleet {
    lists: Mutex<HashMap<(String, String), List>>,
}

/// What a server said last.
struct List {
    at: Instant,
    names: Option<Arc<HashSet<String>>>,
    asking: bool,
}

/// Who does not serve an adapter.
pub enum Lacking {
    /// Nobody of whom that is known.
    Nobody,
    /// These, by the number of their target.
    Some(Vec<(usize, Arc<Endpoint>)>),
    /// Every server of every target.
    All,
}

/// Which servers of a model say that they do not serve an adapter.
pub async fn lacking(worker: &Arc<Worker>, model: &Model, adapter: &str) -> Lacking {
    let mut without = Vec::new();
    let mut all = true;
    for (index, target) in model.targets.iter().enumerate() {
        if target.provider.kind != KIND {
            all = false;
            continue;
        }
        let asking = target
            .provider
            .endpoints
            .iter()
            .map(|endpoint| list(worker, &target.provider, endpoint));
        let lists = futures_util::future::join_all(asking).await;
        for (endpoint, names) in target.provider.endpoints.iter().zip(lists) {
            let lacks = names.is_some_and(|names| names.contains(&target.model) && !names.contains(adapter));
            if lacks {
                without.push((index, Arc::clone(endpoint)));
            } else {
                all = false;
            }
        }
    }
    match (without.is_empty(), all) {
        (true, _) => Lacking::Nobody,
        (false, true) => Lacking::All,
        (false, false) => Lacking::Some(without),
    }
}

/// What a server serves, as far as it says.
async fn list(
    worker: &Arc<Worker>,
    provider: &Arc<Provider>,
    endpoint: &Arc<Endpoint>,
) -> Option<Arc<HashSet<String>>> {
    let key = (provider.name.clone(), endpoint.url().to_owned());
    let is_first = {
        let mut lists = worker.shared.fleet.lists.lock();
        if lists.len() > MOST {
            lists.clear();
        }
        match lists.get_mut(&key) {
            Some(known) if known.asking || known.at.elapsed() < FRESH => return known.names.clone(),
            Some(known) => {
                known.asking = true;
                false
            }
            None => {
                let begun = List {
                    at: Instant::now(),
                    names: None,
                    asking: true,
                };
                lists.insert(key.clone(), begun);
                true
            }
        }
    };
    let asking = tokio::spawn(refresh(
        Arc::clone(worker),
        Arc::clone(provider),
        Arc::clone(endpoint),
    ));
    if is_first {
        // It goes on by itself where it takes longer.
        let _ = tokio::time::timeout(FIRST, asking).await;
    }
    let lists = worker.shared.fleet.lists.lock();
    lists.get(&key)?.names.clone()
}

async fn refresh(worker: Arc<Worker>, provider: Arc<Provider>, endpoint: Arc<Endpoint>) {
    let told = tokio::time::timeout(PATIENCE, ask(&worker, &provider, &endpoint)).await;
    let names = told.ok().flatten();
    if names.is_none() {
        tracing::debug!(provider = provider.name, server = %endpoint.authority(), "a server does not say what it serves");
    }
    let key = (provider.name.clone(), endpoint.url().to_owned());
    let told = List {
        at: Instant::now(),
        names: names.map(Arc::new),
        asking: false,
    };
    worker.shared.fleet.lists.lock().insert(key, told);
}

async fn ask(worker: &Worker, provider: &Provider, endpoint: &Arc<Endpoint>) -> Option<HashSet<String>> {
    #[derive(Deserialize)]
    struct Listing {
        data: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        id: String,
    }
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = endpoint.uri("/models").ok()?;
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &provider.headers {
        headers.insert(name, value.clone());
    }
    let timeouts = Timeouts {
        first_byte: PATIENCE,
        total: PATIENCE,
        ..provider.timeouts.exchange
    };
    let response = dispatch(worker, provider, endpoint, request, (0, timeouts))
        .await
        .ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await.ok()?;
    let listing: Listing = serde_json::from_slice(&body.to_bytes()).ok()?;
    Some(listing.data.into_iter().map(|one| one.id).collect())
}
