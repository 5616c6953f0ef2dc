//! Embeddings: what each format says, and what it becomes in another.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::Bytes;
use http::HeaderMap;
use pointsman_wire::embeddings::{self, Batch, Shape};
use pointsman_wire::form::EmbeddingRequest;
use serde_json::{Value, json};

fn read(shape: Shape, body: &Value) -> EmbeddingRequest {
    embeddings::decode_request(shape, &Bytes::from(body.to_string())).unwrap()
}

fn written(shape: Shape, request: &EmbeddingRequest, model: &str) -> Result<Value, String> {
    let batch = Batch {
        request,
        inputs: &request.inputs,
        model,
        // What only OpenAI's clients say is told to OpenAI-compatible servers.
        from: shape,
    };
    embeddings::encode_request(shape, batch)
        .map(|body| serde_json::from_slice(&body).unwrap())
        .map_err(|error| error.field)
}

fn answer(from: Shape, body: &Value, to: Shape, request: &EmbeddingRequest) -> Value {
    let response =
        embeddings::decode_response(from, &HeaderMap::new(), &Bytes::from(body.to_string())).unwrap();
    serde_json::from_slice(&embeddings::encode_response(to, request, &response, "m").unwrap()).unwrap()
}

#[test]
fn a_request_says_the_same_in_every_format() {
    let request = read(
        Shape::Cohere,
        &json!({"model": "m", "texts": ["a", "b"], "input_type": "search_query",
        "output_dimension": 256, "truncate": "END"}),
    );
    for (shape, model, expected) in [
        (
            Shape::OpenAi,
            "x",
            json!({"model": "x", "input": ["a", "b"], "dimensions": 256}),
        ),
        (
            Shape::Cohere,
            "x",
            json!({"model": "x", "texts": ["a", "b"], "input_type": "search_query", "output_dimension": 256, "embedding_types": ["float"], "truncate": "END"}),
        ),
        (
            Shape::BedrockCohere,
            "cohere.embed-v4:0",
            json!({"texts": ["a", "b"], "input_type": "search_query", "output_dimension": 256, "embedding_types": ["float"], "truncate": "END"}),
        ),
        (
            Shape::GeminiBatch,
            "x",
            json!({"requests": [
            {"model": "models/x", "content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256},
            {"model": "models/x", "content": {"parts": [{"text": "b"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256}]}),
        ),
        (
            Shape::Vertex,
            "x",
            json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}, {"content": "b", "task_type": "RETRIEVAL_QUERY"}],
            "parameters": {"autoTruncate": true, "outputDimensionality": 256}}),
        ),
        (
            Shape::Tei,
            "x",
            json!({"inputs": ["a", "b"], "truncate": true, "truncation_direction": "Right", "dimensions": 256}),
        ),
    ] {
        assert_eq!(written(shape, &request, model), Ok(expected), "{shape:?}");
    }
    assert_eq!(written(Shape::CohereOld, &request, "x"), Err("dimensions".into()));
    assert_eq!(
        written(Shape::BedrockCohere, &request, "cohere.embed-english-v3"),
        Err("dimensions".into())
    );
    let one = read(
        Shape::OpenAi,
        &json!({"model": "m", "input": "a", "dimensions": 256}),
    );
    assert_eq!(
        written(Shape::Titan, &one, "amazon.titan-embed-text-v2:0"),
        Ok(json!({"inputText": "a", "dimensions": 256}))
    );
    assert_eq!(
        written(Shape::Titan, &one, "amazon.titan-embed-text-v1"),
        Err("dimensions".into())
    );
}

#[test]
fn what_cannot_be_said_is_refused_by_name() {
    let tokens = read(Shape::OpenAi, &json!({"model": "m", "input": [[1, 2], [3]]}));
    assert_eq!(
        written(Shape::OpenAi, &tokens, "x").unwrap()["input"],
        json!([[1, 2], [3]])
    );
    assert_eq!(
        written(Shape::Tei, &tokens, "x").unwrap()["inputs"],
        json!([[1, 2], [3]])
    );
    for shape in [Shape::Cohere, Shape::GeminiBatch, Shape::Vertex] {
        assert_eq!(written(shape, &tokens, "x"), Err("input".into()), "{shape:?}");
    }
    let bits = read(
        Shape::Cohere,
        &json!({"model": "m", "texts": ["a"], "embedding_types": ["ubinary"]}),
    );
    for shape in [
        Shape::OpenAi,
        Shape::Gemini,
        Shape::Titan,
        Shape::Vertex,
        Shape::Tei,
    ] {
        assert_eq!(
            written(shape, &bits, "x"),
            Err("embedding_types".into()),
            "{shape:?}"
        );
    }
    let image = read(
        Shape::Cohere,
        &json!({"model": "m", "images": ["data:image/png;base64,AA=="]}),
    );
    assert_eq!(
        written(Shape::Cohere, &image, "x").unwrap()["images"],
        json!(["data:image/png;base64,AA=="])
    );
    assert_eq!(written(Shape::OpenAi, &image, "x"), Err("images".into()));
    for wrong in [
        json!({"model": "m", "input": []}),
        json!({"model": "m", "input": ["a", 1]}),
        json!({"input": "a"}),
    ] {
        assert!(
            embeddings::decode_request(Shape::OpenAi, &Bytes::from(wrong.to_string())).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn numbers_become_base64_and_base64_numbers() {
    let base64 = read(
        Shape::OpenAi,
        &json!({"model": "m", "input": "a", "encoding_format": "base64"}),
    );
    let floats = read(Shape::Cohere, &json!({"model": "m", "texts": ["a"]}));
    let told = answer(
        Shape::Gemini,
        &json!({"embedding": {"values": [1.0, -0.5]}}),
        Shape::OpenAi,
        &base64,
    );
    assert_eq!(told["data"][0]["embedding"], "AACAPwAAAL8=");
    let told = answer(
        Shape::OpenAi,
        &json!({"data": [{"index": 0, "embedding": "AACAPwAAAL8="}]}),
        Shape::Cohere,
        &floats,
    );
    assert_eq!(told["embeddings"]["float"], json!([[1.0, -0.5]]));
}

#[test]
fn what_was_used_is_told_in_each_formats_words() {
    let request = read(Shape::OpenAi, &json!({"model": "m", "input": ["a", "b"]}));
    for (shape, body) in [
        (
            Shape::OpenAi,
            json!({"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 7}}),
        ),
        (
            Shape::Cohere,
            json!({"embeddings": {"float": [[1], [2]]}, "meta": {"billed_units": {"input_tokens": 7.0}}}),
        ),
        (
            Shape::CohereOld,
            json!({"embeddings": [[1], [2]], "meta": {"billed_units": {"input_tokens": 7}}}),
        ),
        (
            Shape::GeminiBatch,
            json!({"embeddings": [{"values": [1]}, {"values": [2]}], "usageMetadata": {"promptTokenCount": 7}}),
        ),
        (
            Shape::Vertex,
            json!({"predictions": [{"embeddings": {"values": [1], "statistics": {"token_count": 3.0}}}, {"embeddings": {"values": [2], "statistics": {"token_count": 4}}}]}),
        ),
    ] {
        let told = answer(shape, &body, Shape::OpenAi, &request);
        assert_eq!(
            (&told["data"][1]["embedding"], &told["usage"]["prompt_tokens"]),
            (&json!([2]), &json!(7)),
            "{shape:?}"
        );
    }
    // Where the body says nothing the head may.
    for name in ["x-amzn-bedrock-input-token-count", "x-compute-tokens"] {
        let mut headers = HeaderMap::new();
        headers.insert(name, "9".parse().unwrap());
        let body = Bytes::from_static(b"[[1],[2]]");
        let response = embeddings::decode_response(Shape::Tei, &headers, &body).unwrap();
        assert_eq!(response.usage.unwrap().input, 9);
        let silent = embeddings::decode_response(Shape::Tei, &HeaderMap::new(), &body).unwrap();
        assert_eq!(silent.usage, None);
        assert_eq!(embeddings::join(vec![response, silent]).usage, None);
    }
}

#[test]
fn a_gemini_batch_is_one_question() {
    let part = |text: &str, task: &str| json!({"model": "models/m", "content": {"parts": [{"text": text}]}, "task_type": task});
    let same = read(
        Shape::GeminiBatch,
        &json!({"requests": [part("a", "CLUSTERING"), part("b", "CLUSTERING")]}),
    );
    assert_eq!(
        written(Shape::Cohere, &same, "x").unwrap()["input_type"],
        "clustering"
    );
    let mixed = json!({"requests": [part("a", "CLUSTERING"), part("b", "CLASSIFICATION")]});
    let error = embeddings::decode_request(Shape::GeminiBatch, &Bytes::from(mixed.to_string())).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("requests[1]"));
}

#[test]
fn what_another_format_has_no_words_for_is_told_as_lost_and_sent_to_nobody() {
    let lost = |from, to, body: &Value| {
        let losses = embeddings::losses(from, to, &read(from, body));
        losses
            .into_iter()
            .map(|loss| loss.field.into_owned())
            .collect::<Vec<_>>()
    };
    let cohere = json!({"model": "m", "texts": ["a"], "input_type": "search_query", "truncate": "END", "max_tokens": 9, "priority": 1});
    assert_eq!(
        lost(Shape::Cohere, Shape::OpenAi, &cohere),
        ["input_type", "truncate", "max_tokens", "priority"]
    );
    assert_eq!(
        lost(Shape::Cohere, Shape::Gemini, &cohere),
        ["truncate", "max_tokens", "priority"]
    );
    assert_eq!(lost(Shape::Cohere, Shape::BedrockCohere, &cohere), ["priority"]);
    let gemini = json!({"content": {"parts": [{"text": "a"}]}, "taskType": "CLUSTERING", "title": "t"});
    assert_eq!(lost(Shape::Gemini, Shape::Tei, &gemini), ["taskType", "title"]);
    assert!(lost(Shape::Gemini, Shape::Vertex, &gemini).is_empty());
    let openai = json!({"model": "m", "input": "a", "user": "u", "input_type": "query"});
    assert_eq!(lost(Shape::OpenAi, Shape::Cohere, &openai), ["user"]);

    let request = read(Shape::Cohere, &cohere);
    let batch = Batch {
        request: &request,
        inputs: &request.inputs,
        model: "m",
        from: Shape::Cohere,
    };
    let body = embeddings::encode_request(Shape::OpenAi, batch).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({"model": "m", "input": ["a"]}));
}
