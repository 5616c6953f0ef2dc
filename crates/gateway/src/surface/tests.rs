//! Every path of the table, with and without prefix, and what is not in it.

use http::HeaderValue;

use super::*;

fn look(method: Method, path: &str) -> Result<Surface, (Failure, Format)> {
    find(&method, &path.parse().unwrap(), &HeaderMap::new())
}

fn asks(method: Method, path: &str) -> Result<Asks, FailureKind> {
    look(method, path)
        .map(|surface| surface.asks)
        .map_err(|(failure, _)| failure.kind)
}

#[test]
fn paths_are_found_with_and_without_prefix() {
    let chat = Asks::Chat(OpenAi, Delivery::AsAsked);
    assert_eq!(asks(Method::POST, "/v1/chat/completions"), Ok(chat));
    assert_eq!(asks(Method::POST, "/openai/v1/chat/completions"), Ok(chat));
    assert_eq!(asks(Method::POST, "/v1/chat/completions/"), Ok(chat));
    assert_eq!(
        asks(Method::POST, "/anthropic/v1/messages"),
        Ok(Asks::Chat(Anthropic, Delivery::AsAsked))
    );
    assert_eq!(
        asks(Method::POST, "/cohere/v2/chat"),
        Ok(Asks::Chat(Cohere, Delivery::AsAsked))
    );
    assert_eq!(asks(Method::GET, "/v1/models/openai/gpt-5"), Ok(Asks::Models));
    assert_eq!(asks(Method::HEAD, "/health"), Ok(Asks::Live));
}

#[test]
fn a_line_is_not_hidden_by_the_lines_before_it() {
    for known in PATHS {
        let path = known.pattern.replace("{model}", "a%2Fb/c");
        let path = path.replace("{id}", "a%2Fb").replace("{agent}", "a%2Fb");
        let surface = look(known.method.clone(), &path).unwrap();
        assert_eq!((surface.path, surface.asks), (known.pattern, known.asks));
        let named = match known.pattern {
            pattern if pattern.contains("{model}") => Some("a/b/c"),
            pattern => ["{id}", "{agent}"]
                .iter()
                .any(|named| pattern.contains(named))
                .then_some("a/b"),
        };
        assert_eq!(surface.model.as_deref(), named);
    }
}

#[test]
fn the_model_and_the_stream_stand_in_the_path() {
    let whole = Asks::Chat(Gemini, Delivery::Whole);
    let streamed = Asks::Chat(Gemini, Delivery::Streamed);
    for (path, expected, model) in [
        (
            "/v1beta/models/gemini-2.5-flash:generateContent",
            whole,
            "gemini-2.5-flash",
        ),
        (
            "/v1/models/gemini-2.5-flash%3AgenerateContent?key=k",
            whole,
            "gemini-2.5-flash",
        ),
        (
            "/genai/v1beta/models/a/b:streamGenerateContent?alt=sse",
            streamed,
            "a/b",
        ),
        (
            "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            streamed,
            "gemini-2.5-pro",
        ),
        (
            "/v1/publishers/google/models/gemini-2.5-pro:generateContent",
            whole,
            "gemini-2.5-pro",
        ),
        (
            "/bedrock/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
            Asks::Chat(Bedrock, Delivery::Whole),
            "anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
        (
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.amazon.nova-lite-v1%3A0/converse-stream",
            Asks::Chat(Bedrock, Delivery::Streamed),
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0",
        ),
    ] {
        let surface = look(Method::POST, path).unwrap();
        assert_eq!(
            (surface.asks, surface.model.as_deref()),
            (expected, Some(model)),
            "{path}"
        );
    }
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    for (method, path, kind) in [
        (Method::GET, "/v1/chat/completions", FailureKind::MethodNotAllowed),
        (Method::TRACE, "/v1/models", FailureKind::MethodNotAllowed),
        (Method::POST, "/v2/nothing", FailureKind::NotFound),
        (Method::POST, "/openaix/v1/messages", FailureKind::NotFound),
        (Method::POST, "/v1beta/models/m:unheardOf", FailureKind::NotFound),
        (Method::POST, "/model/m/unheard-of", FailureKind::NotFound),
    ] {
        assert_eq!(asks(method, path), Err(kind), "{path}");
    }
}

#[test]
fn the_dialect_is_the_clients() {
    let dialect = |path: &str, header: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(name) = header {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        match find(&Method::GET, &path.parse().unwrap(), &headers) {
            Ok(surface) => surface.dialect,
            Err((_, dialect)) => dialect,
        }
    };
    assert_eq!(dialect("/v1/models", None), OpenAi);
    assert_eq!(dialect("/v1/models", Some("anthropic-version")), Anthropic);
    assert_eq!(dialect("/v1/models", Some("x-goog-api-key")), Gemini);
    assert_eq!(dialect("/v1/models/x?key=y", None), Gemini);
    assert_eq!(dialect("/anthropic/v1/models", None), Anthropic);
    assert_eq!(dialect("/v1beta/models", Some("anthropic-version")), Gemini);
    assert_eq!(dialect("/nowhere", Some("anthropic-version")), Anthropic);
    assert_eq!(dialect("/v2/nowhere", None), Cohere);
    assert_eq!(dialect("/model/x/nowhere", None), Bedrock);
    assert_eq!(dialect("/genai/nowhere", None), Gemini);
}
