//! The built binary between real clients and simulated providers.

mod faults;
mod harness;
mod kill;
mod limits;
mod reload;
mod routing;
