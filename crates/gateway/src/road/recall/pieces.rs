//! Errands at the cache: vectors one by one, rankings as a whole. Looked up in the memory of this process, behind limits
//! and guardrails, as conversations are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_cache::{CacheKey, Controls, KeyBuilder};
use pointsman_catalog::Money;
use pointsman_wire::form::{Failure, FailureKind};

use super::super::{Arrival, Ticket, arrive, guard};
use super::kept::{Kept, Piece, Said};
use super::{key, labels};
use crate::worker::Worker;

/// An errand at the cache.
pub struct Pieces {
    worker: Arc<Worker>,
    base: KeyBuilder,
    controls: Controls,
    ttl: Duration,
    now: Instant,
}

/// What is remembered is given back.
pub enum Found<T> {
    /// All of it.
    All(T),
    /// Not all: the rest is asked for.
    Rest,
}

impl Pieces {
    /// The errand of this caller for `model`, on behalf of the end user that it names. None where nothing is remembered.
    ///
    /// # Errors
    /// When what the client wants of the cache makes no sense.
    pub fn of(
        worker: &Arc<Worker>,
        arrival: &Arrival,
        ticket: &mut Ticket,
        (model, user): (&str, Option<&str>),
    ) -> Result<Option<Self>, Failure> {
        let Some(policy) = &arrival.snapshot.cache else {
            return Ok(None);
        };
        let controls = arrive::controls(arrival)?;
        let guards = guard::of(arrival, ticket.caller(), model)?;
        let mut base = key::of_errand(policy, arrival, ticket.caller(), user);
        base.field("model asked for", model.as_bytes());
        for name in guards.apart() {
            base.field("guardrail", name.as_bytes());
        }
        ticket.facts.cache = if controls.no_cache { "bypass" } else { "miss" };
        let caches = worker.shared.telemetry.metrics().caches();
        if controls.no_cache {
            caches.bypassed("no_cache");
        }
        if controls.no_store {
            caches.bypassed("no_store");
        }
        Ok(Some(Self {
            worker: Arc::clone(worker),
            base,
            ttl: policy.ttl.min(controls.ttl.unwrap_or(Duration::MAX)),
            controls,
            now: Instant::now(),
        }))
    }

    /// A key, to be told what is asked.
    pub fn key(&self, kind: &str) -> KeyBuilder {
        let mut key = self.base.clone();
        key.field("errand", kind.as_bytes());
        key
    }

    /// What lies under a key; nothing where the client does not want it.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<Kept>> {
        if self.controls.no_cache {
            return None;
        }
        let kept = self.worker.shared.cache.exact.get(key, self.now)?;
        let piece = kept.piece()?;
        self.controls.allow(piece.stored.elapsed()).then_some(kept)
    }

    /// Notes what came of looking.
    ///
    /// # Errors
    /// 504 when the client wants only what is remembered, and that is not all.
    pub fn looked<T>(&self, found: Option<T>, ticket: &mut Ticket) -> Result<Found<T>, Failure> {
        let caches = self.worker.shared.telemetry.metrics().caches();
        if let Some(found) = found {
            ticket.facts.cache = "exact";
            caches.found("exact");
            return Ok(Found::All(found));
        }
        if !self.controls.no_cache {
            caches.found("miss");
        }
        if self.controls.only_if_cached {
            return Err(Failure::new(
                FailureKind::ProviderTimeout,
                "only a cached answer was asked for, and there is none",
            ));
        }
        Ok(Found::Rest)
    }

    /// Remembers what the target that `ticket` asked last has given, of which each costs its share.
    pub fn put(&self, ticket: &Ticket, said: Vec<(CacheKey, Said, Money)>) {
        if self.controls.no_store {
            return;
        }
        let Some(asked) = &ticket.facts.asked else { return };
        let labels = Arc::new(labels(ticket, &self.controls.tags));
        let now = Instant::now();
        for (key, said, cost) in said {
            let bytes = said.bytes() + labels.bytes();
            let piece = Piece {
                said,
                provider: asked.provider.clone(),
                model: asked.model.clone(),
                cost,
                labels: Arc::clone(&labels),
                stored: now,
            };
            let kept = Arc::new(Kept::Piece(Box::new(piece)));
            self.worker
                .shared
                .cache
                .exact
                .put(key, kept, bytes, self.ttl, now);
        }
    }
}
