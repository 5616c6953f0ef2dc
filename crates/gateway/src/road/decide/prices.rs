//! What models cost, how fast they are and how busy, told to decisions.

use std::fmt;
use std::time::Instant;

use pointsman_catalog::ServiceTier;
use pointsman_routing::selection::{KnownModels, Latency, Price};
use pointsman_wire::form::Usage;

use crate::snapshot::Snapshot;

/// Tokens that prices are read off at: few enough to be below every step of a price that rises with the prompt.
const SAMPLE: u64 = 1_000;

/// A snapshot's models: the prices are those of the target that is asked first.
pub struct Prices<'a>(pub &'a Snapshot);

impl fmt::Debug for Prices<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Prices")
    }
}

impl KnownModels for Prices<'_> {
    fn price(&self, model: &str) -> Option<Price> {
        let model = self.0.resolve(model).ok()?;
        let first = model.targets.iter().min_by_key(|target| target.priority)?;
        let price = first.price.as_ref()?;
        let a_million = |usage: Usage| {
            let sample = price.cost(&usage, ServiceTier::Standard).nanodollars();
            u64::try_from(sample)
                .unwrap_or(0)
                .saturating_mul(1_000_000 / SAMPLE)
        };
        Some(Price {
            input: a_million(Usage {
                input: SAMPLE,
                ..Usage::default()
            }),
            cached_input: a_million(Usage {
                input: SAMPLE,
                cache_read: SAMPLE,
                ..Usage::default()
            }),
            output: a_million(Usage {
                output: SAMPLE,
                ..Usage::default()
            }),
        })
    }

    fn latency(&self, model: &str) -> Option<Latency> {
        Some(self.0.paces.get(model)?.latency(Instant::now()))
    }

    fn in_flight(&self, model: &str) -> Option<u32> {
        Some(self.0.paces.get(model)?.in_flight())
    }
}
