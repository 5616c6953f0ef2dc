//! Providers, models, capabilities and prices as data: looking up and pricing.
//!
//! The data are files under `data/` that a person can read and extend: `providers.json`, and one file of models for
//! each provider. Nothing here is I/O; the files are part of the binary.

mod load;
mod model;
mod money;
mod price;
mod provider;

pub use load::Catalog;
pub use model::Model;
pub use money::{Money, MoneyError};
pub use price::{Price, Rate};
pub use provider::Provider;
