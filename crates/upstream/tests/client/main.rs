//! The client against real servers on loopback.

#![cfg(test)]

mod bodies;
mod fetching;
mod http1;
mod http2;
mod identity;
mod server;
mod size;
mod through_proxy;
mod time;
mod tls;
mod upgrade;
