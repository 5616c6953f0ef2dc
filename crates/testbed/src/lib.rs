//! Simulated providers that a real SDK cannot tell from the originals, faults on demand, and a load generator.
//!
//! This crate writes its own JSON and shares no code with the gateway: it is the independent witness of what the
//! gateway says. A reply is determined by its request (`script.rs`), so that tests can say what they want
//! to hear. A new format is a folder like `openai` and `anthropic`.

pub mod load;
pub mod process;

mod anthropic;
mod bench;
mod fault;
mod openai;
mod script;
mod served;
mod sim;
mod stream;

pub use fault::{Fault, Schedule};
pub use served::{Served, ServedOutcome};
pub use sim::{Chunking, Coding, SimOptions, SimServer};
