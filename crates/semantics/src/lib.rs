//! Understanding text on this machine's CPU: tokens, language, encoders and what stands on them.

pub mod encoder;
pub mod error;
pub mod kernels;
pub mod language;
pub mod linear;
pub mod load;
pub mod tokenize;
pub mod tokens;
