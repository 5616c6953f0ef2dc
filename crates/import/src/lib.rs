//! Configurations of other gateways, carried over to pointsman.yaml; and LiteLLM's database, to Pointsman's own
//! (`litellm_db`).
//!
//! The source is read into a tree that knows what was read of it (`source`); each importer takes what it understands
//! into a draft (`draft`), and tells what has no counterpart or only a near one (`report`). Whatever nobody took is told
//! at the end: nothing is dropped in silence. Secrets in clear text are never copied; variables take their place
//! (`variables`).

mod decimal;
mod draft;
mod envoy;
mod hints;
mod litellm;
mod litellm_db;
mod mcp;
mod openapi;
mod report;
mod semantic_router;
mod source;
mod variables;
mod yaml;

pub use draft::Imported;
pub use envoy::envoy_ai_gateway;
pub use litellm::litellm;
pub use litellm_db::{Applied, Migration, Told, litellm_db};
pub use mcp::mcp_servers;
pub use openapi::openapi;
pub use report::{Fate, Line, Report};
pub use semantic_router::semantic_router;
