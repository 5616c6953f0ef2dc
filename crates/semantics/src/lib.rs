//! Understanding text on this machine's CPU: tokens and language.

pub mod language;
pub mod tokens;
