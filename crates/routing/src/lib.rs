//! Signals, projections, decisions: from a prompt to the model that serves it.
//!
//! The language is that of the vLLM Semantic Router, v0.3, accepted as published. A [`Router`] is compiled once from a
//! [`RoutingConfig`] and then judges [`Facts`] of a request, without a network, a format or a clock. It is lazy: a
//! signal is computed when a decision that can still win needs it, and the outcome is the same as if all had been.
//! Signals that a model answers are asked for by [`Deciding`], step by step, by the call that answers them.
//!
//! Recipes are routers of their own, entered by other names of models. [`conflicts`] reads a configuration and tells
//! what serves and yet can't be meant.
//!
//! A new signal is a file under `signal/`, an arm in `signal.rs`, and a line in `support.rs`, which
//! tells what the language has; what of it this version does not carry out is refused by name when the router is compiled.

pub mod config;
pub mod learning;
pub mod loops;
pub mod selection;

mod compile;
mod conflict;
mod decision;
mod declared;
mod evaluation;
mod explain;
mod extract;
mod facts;
mod fallback;
mod knowledge;
mod plugin;
mod projection;
mod reasoning;
mod recipes;
mod recorded;
mod replay;
mod router;
mod signal;
mod support;

pub use compile::CompileError;
pub use config::{FeedbackFrom, LearningConfig, RoutingConfig};
pub use conflict::{Conflict, ConflictKind, conflicts};
pub use evaluation::{Call, Deciding, Readings, Step, Want};
pub use explain::{DecisionTrace, Explanation, RuleTrace};
pub use extract::extract;
pub use facts::{CallerFacts, Facts, Meaning, Media, MessageFacts};
pub use fallback::Fallback;
pub use plugin::{
    AnswerAction, CacheControls, CacheScope, Caching, Compression, CompressionControls, FastResponse,
    Hallucination, ImageGen, ItemBounds, ListedTool, LlmJudge, Memory, OnFailure, Plugins, PromptCache, Rag,
    RagAccess, RagPlace, RagSource, Recovery, Replay, RequestParams, Rerank, ResponseCache,
    ResponseJailbreak, Retention, Shadow, SystemPrompt, ToolChoice, Tools, Warning, WeighedTool,
};
pub use reasoning::Reasoning;
pub use recorded::{Answered, Captured, Memories, Prints, Recorded, Said, Shape, Words};
pub use replay::{Again, Line, Replayed, Route, why};
pub use router::{Decided, Follow, Outcome, Router};
pub use selection::Selected;
pub use signal::{About, Answers, AskedSignal, Asks, Classifier, ClassifierBy, Need, Reading};
