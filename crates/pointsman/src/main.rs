//! The one binary: command line and wiring.
fn main() {}
