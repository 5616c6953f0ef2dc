//! What goes wrong, told to people: once, and once more when it is over.
//!
//! Whoever watches says what holds now ([`Condition`]); the [`Desk`] remembers what was told, and says what is new
//! ([`Alert`]); the [`Post`] carries it to whoever is named in the configuration. Nothing here knows what is watched, and
//! nothing that is told holds a prompt or a secret.

mod alert;
mod config;
mod desk;
mod mail;
mod post;
mod rate;

pub use alert::{Alert, Condition, Kind, State};
pub use config::{
    AlertsConfig, BudgetForecastConfig, EmailConfig, ErrorRateConfig, KeyExpiryConfig, LatencyConfig,
    ProviderDownConfig, ReceiverConfig, SlackConfig, SoftBudgetConfig, WebhookConfig,
};
pub use desk::Desk;
pub use post::{Post, PostError};
pub use rate::{Paces, Rates, Slower, Totals};
