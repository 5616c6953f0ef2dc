//! Understanding text on this machine's CPU: tokens, language, encoders and what stands on them.

pub mod classify;
pub mod container;
pub mod encoder;
pub mod engine;
pub mod error;
pub mod grounded;
pub mod kernels;
pub mod language;
pub mod linear;
pub mod load;
pub mod lookup;
pub mod names;
pub mod passage;
pub mod recognise;
pub mod service;
pub mod similar;
pub mod tokenize;
pub mod tokens;
pub mod vectors;
pub mod views;

mod apart;
mod work;
