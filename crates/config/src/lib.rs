//! pointsman.yaml: reading, locating, validating.
//!
//! A text becomes a located tree (`document`), variables are put in (`interpolate`), the tree is checked against
//! the schema of the types (`check`), and only then becomes a [`Config`]; last come the checks that need to see
//! several blocks at once (`cross`). Every step tells all it finds, each with file, line and column.
//!
//! Configuration types are not run-time types: what a configuration means is compiled elsewhere.

mod catalog;
mod check;
mod cross;
mod document;
mod interpolate;
mod kept;
mod load;
mod mask;
mod media;
mod node;
mod problem;
mod prompts;
mod realtime;
mod responses;
mod shape;
mod shown;
mod transformers;
mod types;

pub use catalog::CatalogConfig;
pub use document::read_documents;
pub use interpolate::Environment;
pub use kept::{BatchMode, BatchesConfig, FilesConfig};
pub use load::{Loaded, load, parse, schema};
pub use mask::Mask;
pub use media::MediaConfig;
pub use node::{Node, Place, Value};
pub use problem::Problem;
pub use prompts::{DecoratorConfig, DecoratorMessage, DecoratorRole, PromptsConfig};
pub use realtime::RealtimeConfig;
pub use responses::{ResponsesConfig, StateKeeper};
pub use shape::{BodyEdits, HeaderEdits, ParameterEdits, RequestConfig, StructuredOutput, Unsupported};
pub use transformers::{OnTransformError, TransformOn, TransformerConfig};
pub use types::{
    ApiListener, AuditConfig, Config, FallbackConfig, ListenersConfig, ModelConfig, PlainListener,
    ProviderConfig, ServerConfig, SharedDown, StoresConfig, TargetConfig, TlsListenerConfig,
};
