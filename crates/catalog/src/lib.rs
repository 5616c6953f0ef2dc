//! Providers, models, capabilities and prices as data: looking up and pricing.
//!
//! The data are files under `data/` that a person can read and extend: `providers.json`, and one file of models for
//! each provider. Nothing here is I/O; the files are part of the binary, packed by the build script, and the models
//! of a provider are read when they are first asked for. After that, looking up allocates nothing.

mod catalog;
mod listing;
mod model;
mod money;
mod named;
mod names;
mod packed;
mod price;
mod provider;
mod rate;

pub use catalog::{Additions, Catalog};
pub use model::{Date, Effort, Endpoint, Feature, Kind, Modalities, Modality, Model, ModelFacts};
pub use money::{Money, MoneyError};
pub use named::{Named, Set};
pub use price::{Context, Entry, Price, SearchSize, ServiceTier};
pub use provider::{BatchFacts, BatchInterface, Provider, ProviderFacts, Quirk};
pub use rate::{Rate, RateKind};
