//! Surfaces: which path speaks which format, and in which format its errors are told.

mod asks;
mod path;
mod table;

use Format::{
    AnthropicMessages as Anthropic, BedrockConverse as Bedrock, CohereChat as Cohere,
    GeminiGenerate as Gemini, OpenAiChat as OpenAi,
};
use http::{HeaderMap, Method, Uri};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

pub use asks::{
    Asks, BatchCall, CollectionCall, Delivery, Endpoint, FileCall, Judge, Kept, MemoryCall, Understand,
};
pub use path::query_value;
use table::PATHS;

/// A path that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// What is asked for.
    pub asks: Asks,
    /// The format its errors are told in.
    pub dialect: Format,
    /// The path as the table has it: what the ledger, the log and the metrics call the surface, so that no name a
    /// client makes up becomes a label.
    pub path: &'static str,
    /// The model, file or batch that the path names.
    pub model: Option<String>,
}

/// The surface of what no path of the table knows.
pub const UNKNOWN: &str = "unknown";

/// Every path of the API listener with its method; what stands in braces may be anything.
pub fn paths() -> impl Iterator<Item = (&'static Method, &'static str)> {
    PATHS.iter().map(|path| (&path.method, path.pattern))
}

/// Prefixes that name a format, so that an SDK's base URL can.
const PREFIXES: [(&str, Format); 5] = [
    ("/openai", OpenAi),
    ("/anthropic", Anthropic),
    ("/genai", Gemini),
    ("/cohere", Cohere),
    ("/bedrock", Bedrock),
];

/// Finds the surface of a path.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one asked with another method, each with the dialect to tell it in.
pub fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Surface, (Failure, Format)> {
    let full = uri.path();
    let (rest, prefixed) = strip_prefix(full);
    let path = path::normalize(rest);
    let said = prefixed.or_else(|| said_by(uri, headers));
    let mut other_method = None;
    for known in PATHS {
        let Some(model) = path::matches(known.pattern, &path) else {
            continue;
        };
        // Shared paths are told apart by what the client says.
        let shared = known.asks == Asks::Models && known.dialect == OpenAi;
        let dialect = said.filter(|_| shared).unwrap_or(known.dialect);
        if known.method == *method || (*method == Method::HEAD && known.method == Method::GET) {
            return Ok(Surface {
                asks: known.asks,
                dialect,
                path: known.pattern,
                model: model.map(path::decode),
            });
        }
        // `model:method` is a method that is not there, not a model asked for in a wrong way.
        if !model.is_some_and(|model| model.contains(':')) {
            other_method = other_method.or(Some((known, dialect)));
        }
    }
    Err(match other_method {
        Some((known, dialect)) => {
            let message = format!("{method} is not allowed on {full}; use {}", known.method);
            (Failure::new(FailureKind::MethodNotAllowed, message), dialect)
        }
        None => {
            let message = format!("there is nothing at {method} {full}");
            let dialect = said.unwrap_or_else(|| dialect_of(&path));
            (Failure::new(FailureKind::NotFound, message), dialect)
        }
    })
}

/// The format that a client speaks, as far as its headers and query tell.
fn said_by(uri: &Uri, headers: &HeaderMap) -> Option<Format> {
    if headers.contains_key("anthropic-version") {
        return Some(Anthropic);
    }
    let gemini = headers.contains_key("x-goog-api-key") || uri.query().is_some_and(path::has_key);
    gemini.then_some(Gemini)
}

/// The format that a path without a surface looks like.
fn dialect_of(path: &str) -> Format {
    [("/v1beta/", Gemini), ("/v2/", Cohere), ("/model/", Bedrock)]
        .into_iter()
        .find(|(start, _)| path.starts_with(start))
        .map_or(OpenAi, |(_, dialect)| dialect)
}

fn strip_prefix(path: &str) -> (&str, Option<Format>) {
    for (prefix, format) in PREFIXES {
        if let Some(rest) = path.strip_prefix(prefix)
            && rest.starts_with('/')
        {
            return (rest, Some(format));
        }
    }
    (path, None)
}

#[cfg(test)]
mod tests;
