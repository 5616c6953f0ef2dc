//! What really happened, kept so that selection learns from it: bounded, shared, and open to inspection.
//!
//! All that is kept are sums that fade with time, so that the order of outcomes does not matter and replicas add up. A
//! [`Learner`] holds its own sums and the latest of each other replica. A [`Snapshot`] carries all of them; taking one in
//! keeps the newer part of each replica, so that it may come twice, late or by detours and counts once.

mod arm;
mod learner;
mod rating;
mod snapshot;

pub use arm::Arm;
pub use learner::{Comparison, Learner, LearnerConfig, LearnerError, Outcome, Standing};
pub(crate) use rating::expected;
pub use rating::ratings;
pub use snapshot::{ArmEntry, Contribution, DuelEntry, Snapshot, SnapshotError};
