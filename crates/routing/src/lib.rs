//! Signals, projections, decisions: from a prompt to the model that serves it.
//!
//! The language is that of the vLLM Semantic Router, v0.3, accepted as published. A [`Router`] is compiled once from a
//! [`RoutingConfig`] and then judges [`Facts`] of a request, without a network, a format or a clock. It is lazy: a
//! signal is computed when a decision that can still win needs it, and the outcome is the same as if all had been.
//! Signals that a model answers are asked for by [`Deciding`], step by step, by the call that answers them.
//!
//! A new signal is a file under `signal/`, an arm in `signal.rs`, and a collection in `config/signals.rs`.
//! What the language knows and this version does not is refused by name when the router is compiled.

pub mod config;

mod compile;
mod decision;
mod evaluation;
mod explain;
mod facts;
mod plugin;
mod projection;
mod reasoning;
mod router;
mod selection;
mod signal;

pub use compile::CompileError;
pub use config::RoutingConfig;
pub use evaluation::{Call, Deciding, Readings, Step, Want};
pub use explain::Explanation;
pub use facts::{CallerFacts, Facts, MessageFacts};
pub use plugin::{FastResponse, Plugins, RequestParams, SystemPrompt};
pub use reasoning::Reasoning;
pub use router::{Decided, Outcome, Router};
pub use selection::Selected;
pub use signal::{About, AskedSignal, Need, Reading};
