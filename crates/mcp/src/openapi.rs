//! OpenAPI documents as servers: operations are tools, calls are requests. Functions over data; who sends is the link.

mod body;
mod document;
mod operation;
mod response;
mod schema;
mod style;
mod swagger;
mod text;

pub use document::{Document, Scheme};
pub use operation::{Asked, Operation, operations};
pub use response::Answer;
