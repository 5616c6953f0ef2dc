//! The built binary between real clients and simulated providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod a2a;
mod abuse;
mod admin;
mod alerts;
mod aliases;
mod at_providers;
mod batches;
mod batches_across_deaths;
mod batches_handed;
mod batches_handed_deaths;
mod batches_named;
mod betas;
mod cache;
mod credentials;
mod custom_units;
mod customers;
mod documents;
mod drain;
mod endpoints;
mod faults;
mod files;
mod grounded;
mod guards;
mod harness;
mod import;
mod kill;
mod learning;
mod limits;
mod listener;
mod litellm_admin;
mod loops;
mod matrix;
mod mcp;
mod mcp_api;
mod media;
mod models;
mod money_of_attempts;
mod narrowed;
mod plugins;
mod postgres;
mod priorities;
mod provider_limits;
mod realtime;
mod realtime_ends;
mod realtime_money;
mod refusals;
mod reload;
mod remembered;
mod replay;
mod roles;
mod routing;
mod scim;
mod secrets;
mod secrets_kept;
mod secrets_stored;
mod secrets_wrapped;
mod shape;
mod shared;
mod signed;
mod sliding;
mod socket;
mod state;
mod structured;
mod surfaces;
mod tenancy;
mod tls;

mod tokens;
mod told;
mod transformed;
mod understanding;
mod vouched;
