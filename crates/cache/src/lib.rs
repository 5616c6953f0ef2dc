//! Answers worth giving again: to the same request ([`ExactCache`]), to several of them at once ([`Flights`]), and to one
//! that asks the same in other words ([`SemanticCache`]).
//!
//! Keys hold everything that changes an answer and the scope of those who may see it; values are bounded by bytes and
//! time. This crate knows neither formats nor requests: the caller says what makes two of them the same.

pub mod backend;

mod config;
mod control;
mod exact;
mod flight;
mod key;
mod labels;
mod note;
mod remote;
mod semantic;
mod words;

pub use config::{BackendConfig, CacheConfig, ExactConfig, OperatingPoint, Scope, SemanticConfig};
pub use control::{ControlError, Controls};
pub use exact::{Bounds, ExactCache, Stats};
pub use flight::{Flight, Flights, Joined, Waited, Waiting};
pub use key::{CacheKey, KeyBuilder};
pub use labels::{Filter, Labels, TagError, tags};
pub use note::{Note, NoteOf, QuestionNote};
pub use remote::{Came, Operation, Remote};
pub use semantic::{Found, Lookup, Question, SemanticCache};
pub use words::{Bound, bound};
