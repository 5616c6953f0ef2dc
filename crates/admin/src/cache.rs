//! Remembered answers: how many there are, what is known of one, and having them forgotten. No word of an answer is
//! shown.

use http::StatusCode;
use pointsman_cache::backend::BackendError;
use pointsman_cache::{CacheKey, Filter, Labels, Stats};
use pointsman_catalog::Money;
use pointsman_gateway::remembered::{BackendView, EntryView};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::call::{Answer, Call, Failed, Reply, value};
use crate::running::breaker;

/// By what answers can be deleted.
const FILTERS: [&str; 6] = ["tag", "model", "key", "user", "team", "organization"];

/// How the caches do.
pub fn stats(call: &Call) -> Answer {
    call.only(&[])?;
    let seen = Handle::current().block_on(call.gateway.cache());
    Ok(Reply::of(json!({
        "exact": counts(&seen.exact),
        "semantic": counts(&seen.semantic),
        "backend": seen.backend.as_ref().map(beside),
    })))
}

/// What is known of one.
pub fn get(call: &Call) -> Answer {
    call.only(&[])?;
    let key = entry(call)?;
    let seen = Handle::current().block_on(call.gateway.cache_entry(key));
    let seen = seen.map_err(|error| silent(&error))?;
    let seen = seen.ok_or_else(|| Failed::absent("no such answer is remembered"))?;
    Ok(Reply::of(view(key, &seen)?))
}

/// Deletes one.
pub fn delete(call: &Call) -> Answer {
    call.only(&[])?;
    let filter = Filter {
        entry: Some(entry(call)?),
        ..Filter::default()
    };
    forget(call, "delete", &filter)
}

/// Deletes those of a tag, a model, a key, a user, a team or an organization.
pub fn delete_some(call: &Call) -> Answer {
    call.only(&FILTERS)?;
    let own = |name: &str| call.parameter(name).map(str::to_owned);
    let filter = Filter {
        entry: None,
        labels: Labels {
            key: own("key"),
            user: own("user"),
            team: own("team"),
            organization: own("organization"),
            models: own("model").into_iter().collect(),
            tags: own("tag").into_iter().collect(),
        },
    };
    if filter.is_everything() {
        return Err(Failed::wrong(format!(
            "say which: by {}; POST /admin/v1/cache/flush deletes all",
            FILTERS.join(", ")
        )));
    }
    forget(call, "delete", &filter)
}

/// Deletes all.
pub fn flush(call: &Call) -> Answer {
    call.only(&[])?;
    if !call.object()?.is_empty() {
        return Err(Failed::wrong(
            "a flush takes no fields; DELETE /admin/v1/cache/entries deletes some",
        ));
    }
    forget(call, "flush", &Filter::default())
}

/// The key in the path.
fn entry(call: &Call) -> Result<CacheKey, Failed> {
    CacheKey::from_hex(call.segment(0)).ok_or_else(|| {
        Failed::wrong("an answer is named by the 64 hexadecimal digits of its `x-pointsman-cache-key`")
    })
}

/// Written down first: nothing is deleted that nobody has asked for.
fn forget(call: &Call, action: &'static str, filter: &Filter) -> Answer {
    call.store()
        .record_act(&call.actor, (action, "cache", "answers"), &value(filter)?)?;
    let done = Handle::current().block_on(call.gateway.forget_cached(filter));
    let done = done.map_err(|error| silent(&error))?;
    Ok(Reply::of(json!({ "deleted": {
        "exact": done.exact,
        "semantic": done.semantic,
        "backend": done.backend,
    } })))
}

/// The back end does not do it.
fn silent(error: &BackendError) -> Failed {
    tracing::warn!(%error, "the admin API could not ask the cache's back end");
    Failed::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the cache's back end cannot be reached now; what it holds is as it was, so try again",
    )
}

fn counts(stats: &Stats) -> Value {
    json!({
        "entries": stats.entries,
        "bytes": stats.bytes,
        "hits": stats.hits,
        "misses": stats.misses,
        "evictions": stats.evictions,
    })
}

fn beside(seen: &BackendView) -> Value {
    let holds = seen.holds.as_ref().ok();
    json!({
        "kind": seen.kind,
        "breaker": breaker(seen.breaker),
        "queued_bytes": seen.queued,
        "entries": holds.map(|holds| holds.entries),
        "bytes": holds.and_then(|holds| holds.bytes),
    })
}

fn view(key: CacheKey, seen: &EntryView) -> Result<Value, Failed> {
    let memory = seen.memory.as_ref();
    Ok(json!({
        "key": key.hex(),
        "labels": value(&seen.labels)?,
        "expires_in_seconds": seen.left.as_secs(),
        "memory": memory.map(|given| json!({
            "provider": given.provider,
            "model": given.model,
            "cost_usd": Money::from_nanodollars(given.cost_nanodollars).usd_decimal(),
            "age_seconds": given.age.as_secs(),
        })),
        "backend_bytes": seen.backend_bytes,
    }))
}
