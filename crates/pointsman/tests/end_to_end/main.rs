//! The built binary between real clients and simulated providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod credentials;
mod faults;
mod harness;
mod kill;
mod limits;
mod matrix;
mod models;
mod reload;
mod routing;
mod shape;
mod signed;
mod surfaces;
