//! What is asked of prompts, and who answers: the model that ships, a file of weights, a folder as published, the hub's cache,
//! or somebody at a provider.
//!
//! Nothing is loaded before it is first asked. This crate knows models by name; it must not know callers, requests or
//! formats.

pub mod answer;
pub mod ask;
pub mod config;
pub mod engine;
pub mod failed;
pub mod lazy;
pub mod model;
pub mod personal;
pub mod published;

pub use answer::{Entity, HeadAnswer, Point, Source, Understood};
pub use ask::{Ask, Wanted};
pub use config::{Medium, Origin, Role, UnderstandingConfig, UnderstandingModelConfig, WeightsKept};
pub use engine::{Nobody, Understanding};
pub use failed::Failed;
pub use model::{Classes, Model, Remotes, Spans, Vectors};
pub use pointsman_models::UNDERSTAND as SHIPPED;
