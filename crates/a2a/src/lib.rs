//! The Agent2Agent protocol: both versions that are in use, over JSON-RPC, HTTP+JSON and gRPC, in any combination.
//!
//! `operation`, `version`, `call`, `event`, `rpc`, `rest`, `grpc` and `error` are the protocol, `translate` leads from one version to the
//! other, `old` from the messages of 0.3 to its JSON-RPC; they are functions over data. An [`Agent`](agent::Agent) has instances with a card each and is asked over a
//! [`link`]; `book` knows whose tasks are whose, and `seal` keeps where clients want to be told.
//!
//! This crate must not know keys, limits, ledgers or how a client's connection is served. What passes keeps every field:
//! documents are taken apart as far as the gateway must look (`docs/decisions/0010-mcp-as-it-came.md`).

pub mod agent;
pub mod book;
pub mod call;
pub mod card;
pub mod chat;
pub mod config;
pub mod error;
pub mod event;
pub mod grpc;
pub mod hub;
pub mod json;
pub mod link;
pub mod old;
pub mod operation;
pub mod proto;
pub mod rest;
pub mod rpc;
pub mod seal;
pub mod signed;
pub mod spelling;
pub mod spoken;
pub mod tool;
pub mod translate;
pub mod version;

pub use config::A2aConfig;
pub use hub::Hub;
