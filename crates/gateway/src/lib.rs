//! The road: listeners, surfaces, the pipeline.
//!
//! A request arrives at a `listener`, is answered by a `worker`, and travels the `road`: one short file
//! that reads like the list of its stages. What the configuration says is compiled beforehand into an immutable
//! [`snapshot`], which a reload swaps as a whole.
//!
//! This crate owns the order of things. It must not know how a format is written (`wire`), how a provider is reached
//! (`upstream`), what a limit is (`governance`) or how a decision is made (`routing`).

pub mod again;
pub mod experience;
mod fleet;
mod granted;
pub mod remembered;
pub mod server;
pub mod signals;
pub mod snapshot;

mod batch;
mod certificate;
mod collections;
mod counting;
mod incoming;
mod kept;
mod listener;
mod pace;
mod parameters;
mod protocol;
mod reply;
mod road;
mod state;
mod surface;
mod tls;
mod tokens;
mod vouched;
mod worker;

pub use road::Prices;
pub use server::{Gateway, GatewayOptions, StartError};
pub use surface::paths;
