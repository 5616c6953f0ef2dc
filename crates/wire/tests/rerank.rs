//! Rankings: what each shape says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::Bytes;
use http::HeaderMap;
use pointsman_wire::rerank::{self, RerankRequest, Shape};
use serde_json::{Value, json};

fn read(shape: Shape, body: &Value) -> (Shape, RerankRequest) {
    rerank::decode_request(shape, &Bytes::from(body.to_string())).unwrap()
}

fn written(shape: Shape, request: &RerankRequest) -> Value {
    serde_json::from_slice(&rerank::encode_request(shape, request, "cohere.x").unwrap()).unwrap()
}

#[test]
fn a_question_says_the_same_in_every_shape() {
    let (_, request) = read(
        Shape::Jina,
        &json!({"model": "m", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": true}),
    );
    for (shape, expected) in [
        (
            Shape::Cohere,
            json!({"model": "cohere.x", "query": "q", "documents": ["a", "b"], "top_n": 1}),
        ),
        (
            Shape::Jina,
            json!({"model": "cohere.x", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}),
        ),
        (
            Shape::Voyage,
            json!({"model": "cohere.x", "query": "q", "documents": ["a", "b"], "top_k": 1}),
        ),
        (
            Shape::Mixedbread,
            json!({"model": "cohere.x", "query": "q", "input": ["a", "b"], "top_k": 1}),
        ),
        (Shape::Tei, json!({"query": "q", "texts": ["a", "b"]})),
        (
            Shape::Bedrock,
            json!({"query": "q", "documents": ["a", "b"], "top_n": 1, "api_version": 2}),
        ),
    ] {
        assert_eq!(written(shape, &request), expected, "{shape:?}");
    }
    let (_, opaque) = read(
        Shape::Jina,
        &json!({"model": "m", "query": "q", "documents": [{"title": "b"}]}),
    );
    let error = rerank::encode_request(Shape::Cohere, &opaque, "x").unwrap_err();
    assert_eq!(error.field, "documents[0]");
}

#[test]
fn an_answer_is_cut_sorted_and_shown_as_asked() {
    let (shape, request) = read(
        Shape::Jina,
        &json!({"model": "m", "query": "q", "texts": ["a", "b"], "top_n": 1, "return_text": true}),
    );
    assert_eq!(shape, Shape::Tei);
    for (from, body) in [
        (
            Shape::Cohere,
            json!({"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}),
        ),
        (
            Shape::Voyage,
            json!({"data": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}),
        ),
        (
            Shape::Mixedbread,
            json!({"data": [{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}]}),
        ),
        (
            Shape::Tei,
            json!([{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}]),
        ),
    ] {
        let response =
            rerank::decode_response(from, &HeaderMap::new(), &Bytes::from(body.to_string())).unwrap();
        let told: Value =
            serde_json::from_slice(&rerank::encode_response(shape, &request, &response, "m")).unwrap();
        assert_eq!(told, json!([{"index": 1, "score": 0.9, "text": "b"}]), "{from:?}");
    }
}

#[test]
fn searches_and_tokens_are_read() {
    for (body, tokens, queries) in [
        (
            json!({"results": [], "meta": {"billed_units": {"search_units": 2.0}}}),
            0,
            2,
        ),
        (json!({"results": [], "usage": {"total_tokens": 7}}), 7, 0),
        (
            json!({"results": [], "usage": {"prompt_tokens": 7}, "meta": {"billed_units": {"input_tokens": 3}}}),
            7,
            0,
        ),
    ] {
        let response =
            rerank::decode_response(Shape::Jina, &HeaderMap::new(), &Bytes::from(body.to_string())).unwrap();
        let usage = response.usage.unwrap();
        assert_eq!((usage.input, usage.units.queries), (tokens, queries));
    }
}

#[test]
fn fields_that_a_shape_does_not_know_are_told_as_lost() {
    let (_, request) = read(
        Shape::CohereOld,
        &json!({"model": "m", "query": "q", "documents": ["a"], "rank_fields": ["text"], "truncation": true}),
    );
    let lost = |shape| {
        let losses = rerank::losses(shape, &request);
        losses
            .into_iter()
            .map(|loss| loss.field.into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(lost(Shape::Cohere), ["rank_fields", "truncation"]);
    assert_eq!(lost(Shape::Voyage), ["rank_fields"]);
    assert!(lost(Shape::Jina).is_empty());
    assert_eq!(written(Shape::Voyage, &request)["truncation"], true);
    assert_eq!(written(Shape::Bedrock, &request).get("rank_fields"), None);
}
