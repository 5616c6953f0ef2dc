//! Surfaces: which path speaks which format, and in which format its errors are told.

use http::{HeaderMap, Method};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

/// What a path of the API listener asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The next turn of a conversation, in this format.
    Chat(Format),
    /// Vectors (OpenAI's shape).
    Embeddings,
    /// How many tokens a request has (Anthropic's shape).
    CountTokens,
    /// The models there are.
    Models,
    /// How a prompt would be routed.
    Explain,
    /// Whether the process is alive.
    Live,
    /// Whether it can serve.
    Ready,
}

/// A path that was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surface {
    /// What is asked for.
    pub asks: Asks,
    /// The format its errors are told in.
    pub dialect: Format,
    /// Its path as written here, whatever the client wrote: one of a few, so that it may label metrics.
    pub path: &'static str,
}

/// The path of what no surface knows, for metrics and log: a client may write anything.
pub const UNKNOWN: &str = "unknown";

struct Path {
    path: &'static str,
    method: Method,
    asks: Asks,
    dialect: Format,
}

const fn path(method: Method, path: &'static str, asks: Asks, dialect: Format) -> Path {
    Path {
        path,
        method,
        asks,
        dialect,
    }
}

/// Every path, once. A new surface adds its lines here.
static PATHS: [Path; 11] = [
    path(
        Method::POST,
        "/v1/chat/completions",
        Asks::Chat(Format::OpenAiChat),
        Format::OpenAiChat,
    ),
    path(
        Method::POST,
        "/v1/messages",
        Asks::Chat(Format::AnthropicMessages),
        Format::AnthropicMessages,
    ),
    path(
        Method::POST,
        "/v1/completions",
        Asks::Chat(Format::OpenAiCompletions),
        Format::OpenAiChat,
    ),
    path(
        Method::POST,
        "/v1/embeddings",
        Asks::Embeddings,
        Format::OpenAiChat,
    ),
    path(
        Method::POST,
        "/v1/messages/count_tokens",
        Asks::CountTokens,
        Format::AnthropicMessages,
    ),
    path(Method::GET, "/v1/models", Asks::Models, Format::OpenAiChat),
    path(Method::POST, "/api/v1/eval", Asks::Explain, Format::OpenAiChat),
    path(Method::GET, "/health", Asks::Live, Format::OpenAiChat),
    path(Method::GET, "/health/live", Asks::Live, Format::OpenAiChat),
    path(Method::GET, "/health/ready", Asks::Ready, Format::OpenAiChat),
    path(Method::GET, "/v1/models/{id}", Asks::Models, Format::OpenAiChat),
];

/// Prefixes that name a format, so that an SDK's base URL can.
const PREFIXES: [(&str, Format); 2] = [
    ("/openai", Format::OpenAiChat),
    ("/anthropic", Format::AnthropicMessages),
];

/// Finds the surface of a path.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one asked with another method, each with the dialect to tell it in.
pub fn find(method: &Method, full: &str, headers: &HeaderMap) -> Result<Surface, (Failure, Format)> {
    let (path, prefixed) = strip_prefix(full);
    let path = if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    };
    let speaks_anthropic =
        prefixed == Some(Format::AnthropicMessages) || headers.contains_key("anthropic-version");
    let mut other_method = None;
    for known in &PATHS {
        let matches = known.path == path
            || (known.path == "/v1/models/{id}"
                && path.strip_prefix("/v1/models/").is_some_and(|id| !id.is_empty()));
        if !matches {
            continue;
        }
        // Shared paths are told apart by what the client says.
        let shared = known.asks == Asks::Models;
        let dialect = if shared && speaks_anthropic {
            Format::AnthropicMessages
        } else {
            known.dialect
        };
        if known.method == *method || (*method == Method::HEAD && known.method == Method::GET) {
            return Ok(Surface {
                asks: known.asks,
                dialect,
                path: known.path,
            });
        }
        other_method = Some((known, dialect));
    }
    let dialect = if speaks_anthropic {
        Format::AnthropicMessages
    } else {
        Format::OpenAiChat
    };
    Err(match other_method {
        Some((known, dialect)) => (
            Failure::new(
                FailureKind::MethodNotAllowed,
                format!("{method} is not allowed on {full}; use {}", known.method),
            ),
            dialect,
        ),
        None => (
            Failure::new(
                FailureKind::NotFound,
                format!("there is nothing at {method} {full}"),
            ),
            dialect,
        ),
    })
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

/// The model id at the end of `/v1/models/{id}`, percent-decoded; none for the list.
pub fn model_id(full: &str) -> Option<String> {
    let (path, _) = strip_prefix(full);
    let id = path.strip_prefix("/v1/models/")?;
    (!id.is_empty()).then(|| {
        percent_encoding::percent_decode_str(id)
            .decode_utf8_lossy()
            .into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(method: Method, path: &str) -> Result<Asks, FailureKind> {
        find(&method, path, &HeaderMap::new())
            .map(|surface| surface.asks)
            .map_err(|(failure, _)| failure.kind)
    }

    #[test]
    fn paths_are_found_with_and_without_prefix() {
        let chat = Asks::Chat(Format::OpenAiChat);
        assert_eq!(asks(Method::POST, "/v1/chat/completions"), Ok(chat));
        assert_eq!(asks(Method::POST, "/openai/v1/chat/completions"), Ok(chat));
        assert_eq!(asks(Method::POST, "/v1/chat/completions/"), Ok(chat));
        assert_eq!(
            asks(Method::POST, "/anthropic/v1/messages"),
            Ok(Asks::Chat(Format::AnthropicMessages))
        );
        assert_eq!(asks(Method::GET, "/v1/models/openai/gpt-5"), Ok(Asks::Models));
        assert_eq!(asks(Method::HEAD, "/health"), Ok(Asks::Live));
    }

    #[test]
    fn unknown_paths_and_methods_are_told_apart() {
        assert_eq!(
            asks(Method::GET, "/v1/chat/completions"),
            Err(FailureKind::MethodNotAllowed)
        );
        assert_eq!(
            asks(Method::TRACE, "/v1/models"),
            Err(FailureKind::MethodNotAllowed)
        );
        assert_eq!(asks(Method::POST, "/v2/nothing"), Err(FailureKind::NotFound));
        assert_eq!(
            asks(Method::POST, "/openaix/v1/messages"),
            Err(FailureKind::NotFound)
        );
    }

    #[test]
    fn the_dialect_of_a_shared_path_is_the_clients() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            find(&Method::GET, "/v1/models", &headers).unwrap().dialect,
            Format::OpenAiChat
        );
        headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
        assert_eq!(
            find(&Method::GET, "/v1/models", &headers).unwrap().dialect,
            Format::AnthropicMessages
        );
        assert_eq!(
            find(&Method::GET, "/nowhere", &headers).unwrap_err().1,
            Format::AnthropicMessages
        );
    }

    #[test]
    fn a_model_id_may_hold_slashes_and_escapes() {
        assert_eq!(
            model_id("/v1/models/openai/gpt-5").as_deref(),
            Some("openai/gpt-5")
        );
        assert_eq!(model_id("/openai/v1/models/a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(model_id("/v1/models"), None);
    }
}
