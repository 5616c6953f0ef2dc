//! Who may do what, and what it costs: identity, limits, budgets, reservations, settlement.
//!
//! A key becomes a [`Principal`]; a principal admits a request by *reserving* its estimate, all or nothing, before
//! anything is sent, and *settles* it with what was really used. Reservations give back what was not used, also when
//! they are dropped, so that a limit is never exceeded by concurrency and never stuck.

mod budget;
mod config;
mod identity;
mod limits;
mod principal;
mod window;

pub use config::{Anonymous, IdentityConfig, Limits, LimitsConfig};
pub use identity::{IdentifyError, KeyRing};
pub use limits::{Actual, Denial, DenialKind, Estimate, RateStatus, RateValue, Reservation, SetAside};
pub use principal::Principal;
