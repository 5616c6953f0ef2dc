//! Which provider answers a path.

use http::{Method, Response};
use percent::decode;

use crate::exchange::{Refusal, refuse, struck};
use crate::sim::Asked;
use crate::stream::Body;
use crate::{anthropic, bedrock, cohere, gemini, openai, responses};

/// Where model servers live. Their paths are OpenAI's, Cohere's and Jina's, so that only the place tells who is asked.
const FLEET: &str = "/fleet/";

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    let path = asked.path.trim_end_matches('/').to_owned();
    if path.starts_with(FLEET) {
        return openai::answer(asked);
    }
    let ends = |suffix: &str| path.ends_with(suffix);
    if bedrock::route(&path).is_some() {
        return bedrock::answer(asked);
    }
    if gemini::route(&path).is_some()
        || path.contains("/v1beta/models")
        || (path.contains("/models") && asked.headers.contains_key("x-goog-api-key"))
    {
        return gemini::answer(asked);
    }
    if ends("/v2/chat") || ends("/v2/embed") || ends("/v2/rerank") || ends("/v1/rerank") {
        return cohere::answer(asked);
    }
    let anthropic = asked.headers.contains_key("anthropic-version");
    if ends("/messages") || path.contains("/messages/") || (anthropic && path.contains("/models")) {
        return anthropic::answer(asked);
    }
    if ends("/responses") || path.contains("/responses/") {
        return responses::answer(asked);
    }
    openai::answer(asked)
}

/// Refuses a method that a path does not know.
pub(crate) fn wrong_method<T: crate::exchange::Tongue>(asked: &Asked) -> Option<Response<Body>> {
    if asked.method == Method::POST {
        return struck::<T>(asked);
    }
    Some(refuse::<T>(
        asked,
        &Refusal::new(405, "Not allowed to use this method"),
    ))
}

/// The model that a path names, with what stands behind it.
pub(crate) fn model_of(path: &str) -> Option<String> {
    bedrock::route(path)
        .map(|(model, _)| model)
        .or_else(|| gemini::route(path).map(|(model, _)| model))
}

/// A model's name without the fault it asks for.
pub(crate) fn plain_model(model: &str) -> String {
    model.split("+fault=").next().unwrap_or_default().to_owned()
}

/// A value of a query.
pub(crate) fn query(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decode(value))
}

/// Percent-encoding.
pub(crate) mod percent {
    /// A text without percent-encoding.
    pub(crate) fn decode(text: &str) -> String {
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let digits = bytes
                .get(at + 1..at + 3)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            let coded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            match coded {
                Some(coded) if *byte == b'%' => {
                    out.push(coded);
                    at += 3;
                }
                _ => {
                    out.push(*byte);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
