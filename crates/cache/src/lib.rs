//! Answers worth giving again: the exact cache.
//!
//! Keys hold everything that changes an answer and the scope of those who may see it; values are bounded by bytes and
//! time. This crate knows neither formats nor requests: the caller says what makes two of them the same.

mod config;
mod control;
mod exact;
mod key;

pub use config::{CacheConfig, ExactConfig, Scope};
pub use control::{ControlError, Controls};
pub use exact::{Bounds, ExactCache, Stats};
pub use key::{CacheKey, KeyBuilder};
