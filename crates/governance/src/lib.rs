//! Who may do what, and what it costs: identity, limits, budgets, reservations, settlement.
//!
//! A key becomes a [`Principal`], with the user, project, team and organization that hold it; a principal admits a
//! request by *reserving* its estimate at all of them, all or nothing, before anything is sent, and *settles* it with
//! what was really used. Reservations give back what was not used, also when they are dropped, so that a limit is never
//! exceeded by concurrency and never stuck.

pub mod introspection;
pub mod jwt;
pub mod oidc;

mod account;
mod aside;
mod budget;
mod config;
mod denial;
mod directory;
mod expression;
mod gate;
mod identity;
mod labels;
mod lanes;
mod ledger;
mod model_limits;
mod pattern;
mod principal;
mod rate;
mod reservation;
mod share;
mod sharing;
mod sliding;
mod unit;
mod wanted;
mod window;

pub use aside::SetAside;
pub use config::{Anonymous, IdentityConfig, Limits, LimitsConfig, ProviderBudget, ProviderLimits};
pub use denial::{Denial, DenialKind};
pub use directory::{BeyondSoft, Outlook, Standing, Stood};
pub use expression::Expression;
pub use gate::{Entrance, Gate, Gates, Sent};
pub use identity::{IdentifyError, KeyRing, Wanted};
pub use labels::{LabelError, Labels, MAX_TAGS, is_label};
pub use model_limits::ModelLimits;
pub use pattern::fits;
pub use principal::{Known, Principal};
pub use rate::{RateStatus, RateValue};
pub use reservation::{Actual, Estimate, Reservation};
pub use sharing::{Sharing, SharingCounts, WhenDown};
pub use unit::{Details, check_unit};
pub use wanted::Tokens;
