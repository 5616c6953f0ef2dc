//! The built binary between real clients and simulated providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod abuse;
mod credentials;
mod documents;
mod drain;
mod endpoints;
mod faults;
mod harness;
mod kill;
mod limits;
mod listener;
mod matrix;
mod models;
mod refusals;
mod reload;
mod routing;
mod secrets;
mod signed;
mod surfaces;
mod tls;
