//! Simulated providers that a real SDK cannot tell from the originals, faults on demand, and a load generator.
//!
//! This crate writes its own JSON and shares no code with the gateway: it is the independent witness of what the
//! gateway says. A reply is determined by its request (`script.rs`), so that tests can say what they want
//! to hear. A format is a folder: `shapes` and `check` say what its provider refuses, `reply` and `stream` what it
//! answers; `exchange.rs` is what they share.

pub mod a2a;
pub mod load;
pub mod mcp;
pub mod postgres;
pub mod process;
pub mod redis;

mod anthropic;
mod bedrock;
mod bench;
mod cohere;
mod exchange;
mod fault;
mod fleet;
mod gemini;
mod guards;
mod kept;
mod media;
mod multipart;
mod openai;
mod realtime;
mod responses;
mod routes;
mod sample;
mod script;
mod served;
mod shape;
mod sim;
mod store;
mod stream;
mod task;
mod tokens;

pub use fault::{Fault, Schedule};
pub use guards::{GUARD_KEY, GuardFault, GuardServed, GuardServer};
pub use kept::{KEPT_ACCESS_KEY, KEPT_BUCKET, KEPT_KEY, KEPT_REGION, KEPT_SECRET, KeptKind, KeptServer};
pub use served::{Served, ServedDetails, ServedOutcome};
pub use sim::{AwsAccount, BatchOptions, Chunking, Coding, SimOptions, SimServer};
