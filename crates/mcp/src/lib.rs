//! The Model Context Protocol: messages, sessions, and many servers as one.
//!
//! `message`, `meta`, `version` and `error` are the protocol; `catalog`, `access` and `pin` say what of a server there is
//! for clients, and are functions over data. A [`Server`](server::Server) is reached over a [`Link`](link::Link), in
//! whichever era it speaks; a [`View`](view::View) shows several as one; a [`Session`](session::Session) is a client of
//! the era that has sessions, and an [`Asker`](call::Asker) has its requests answered. `oauth` is how servers let the gateway
//! in, and `task` how calls are named that outlast their requests.
//!
//! This crate must not know keys, limits, ledgers or how a client's connection is served. The official SDK is not used:
//! its types keep the fields that they know, and what passes through here must keep all of them
//! (`docs/decisions/0010-mcp-as-it-came.md`).

pub mod access;
pub mod agents;
pub mod board;
pub mod call;
pub mod catalog;
pub mod check;
pub mod config;
pub mod error;
pub mod flows;
pub mod hub;
pub mod judge;
pub mod link;
pub mod message;
pub mod meta;
pub mod model_tools;
pub mod oauth;
pub mod openapi;
pub mod parked;
pub mod pin;
pub mod replay;
pub mod run;
pub mod scope;
pub mod search;
pub mod server;
pub mod session;
pub mod shorten;
pub mod suspect;
pub mod task;
pub mod texts;
pub mod trail;
pub mod version;
pub mod view;
pub mod virtuals;
pub mod when;

pub use config::McpConfig;
pub use hub::Hub;
