//! Remembering as a decision says: whether, for whom, for how long, and what clients may wish for (`response_cache`).
//!
//! Where any decision of a router says so, its requests are looked up once they are decided, and not before: only then is
//! it known which answers may be given. What was put into a request by then (instructions, findings, memories) is a part
//! of what is asked.

use std::time::Duration;

use pointsman_cache::{Controls, Scope};
use pointsman_routing::{CacheControls, CacheScope, Caching, ResponseCache};
use pointsman_wire::form::{Failure, FailureKind};

use super::super::arrive::Asked;
use super::super::{Arrival, Ticket};
use crate::snapshot::CachePolicy;

/// Whether a request is looked up once it is decided.
pub fn is_decided(arrival: &Arrival, model: &str) -> bool {
    let router = arrival.snapshot.router.as_ref();
    router
        .and_then(|router| router.entered(model))
        .is_some_and(pointsman_routing::Router::caches_by_decision)
}

/// How answers to a request are remembered by what was decided; none where they are not.
///
/// # Errors
/// 400 when what the client wishes for makes no sense.
pub fn policy(
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &Ticket,
    caching: Option<&Caching>,
) -> Result<Option<CachePolicy>, Failure> {
    let snapshot = &arrival.snapshot;
    let decision = ticket.facts.decision.clone();
    match caching {
        Some(Caching::Off) => Ok(None),
        // Nothing is said: as for all requests.
        None if asked.personal => Ok(None),
        None => Ok(snapshot.cache.clone().map(|policy| CachePolicy {
            apart: decision.into_iter().collect(),
            ..policy
        })),
        Some(Caching::On(cache)) => {
            if asked.personal && !cache.personalized {
                return Ok(None);
            }
            if let Some(controls) = &cache.controls {
                wish(arrival, &mut asked.controls, controls)?;
            }
            let policy = snapshot.cache_of_decisions.as_ref();
            Ok(policy.map(|policy| adapted(policy.clone(), cache, decision, asked.personal)))
        }
    }
}

/// The policy of all, with what the decision says in its place.
fn adapted(
    mut policy: CachePolicy,
    cache: &ResponseCache,
    decision: Option<String>,
    is_personal: bool,
) -> CachePolicy {
    if let Some(scope) = cache.scope {
        policy.scope = match scope {
            CacheScope::Key => Scope::Key,
            CacheScope::User => Scope::User,
            CacheScope::Team => Scope::Team,
            CacheScope::Organization => Scope::Organization,
            CacheScope::Shared => Scope::Shared,
        };
    }
    if is_personal && policy.scope.is_of_many() {
        policy.scope = Scope::User;
    }
    if let Some(ttl) = cache.ttl {
        policy.ttl = ttl;
    }
    let semantic = policy.semantic.take().filter(|_| cache.semantic && !is_personal);
    policy.semantic = semantic.map(|mut semantic| {
        semantic.ttl = cache.ttl.unwrap_or(semantic.ttl);
        semantic.least = cache.least;
        semantic
    });
    policy.apart = decision
        .into_iter()
        .chain(cache.revision.iter().cloned())
        .collect();
    policy
}

/// Adds what the client wishes for by the decision's own header.
fn wish(arrival: &Arrival, controls: &mut Controls, allowed: &CacheControls) -> Result<(), Failure> {
    let values = arrival.headers.get_all(allowed.header.as_str());
    let values = values.iter().filter_map(|value| value.to_str().ok());
    let wishes: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let may = |wish: &&&str| {
        let name = wish
            .split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        allowed.allowed.contains(&name)
    };
    let said = wishes
        .iter()
        .filter(may)
        .flat_map(|wish| match wish.eq_ignore_ascii_case("bypass") {
            true => ["no-cache", "no-store"],
            false => [*wish, ""],
        });
    let wished = Controls::parse(said).map_err(|wrong| {
        let message = format!("{}: {:?} is not understood", allowed.header, wrong.0);
        Failure::new(FailureKind::InvalidRequest, message).at(&allowed.header)
    })?;
    let least = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
    controls.no_cache |= wished.no_cache;
    controls.no_store |= wished.no_store;
    controls.only_if_cached |= wished.only_if_cached;
    controls.max_age = least(controls.max_age, wished.max_age);
    controls.ttl = least(
        controls.ttl,
        least(wished.ttl, allowed.most.filter(|_| wished.ttl.is_some())),
    );
    Ok(())
}
