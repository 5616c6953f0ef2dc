//! Decoders of what there is beside chat.

use bytes::Bytes;
use pointsman_wire::metered::{self, EventWatcher, Medium};
use pointsman_wire::{embeddings, rerank};

pub const RANKINGS: &[&str] = &[
    r#"{"model":"m","query":"q","documents":["a",{"text":"b"},{"x":1}],"top_n":2,"return_documents":true}"#,
    r#"{"model":"m","query":"q","texts":["a"],"return_text":true,"results":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":3},"meta":{"billed_units":{"search_units":1.0}}}"#,
    r#"[{"index":1,"score":0.25}]"#,
];
pub const METERED: &[&str] = &[
    r#"{"data":[{}],"duration":1.5,"usage":{"input_tokens":3,"output_tokens":5,"input_tokens_details":{"image_tokens":2},"output_tokens_details":{"text_tokens":1}}}"#,
    "event: transcript.text.delta\ndata: {\"type\":\"transcript.text.delta\"}\n\ndata: {\"type\":\"x.done\",\"usage\":{\"seconds\":2}}\n\ndata: {\"error\":{}}\n\ndata: [DONE]\n\n",
    "RIFF\u{0}\u{0}\u{0}\u{0}WAVEfmt \u{10}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}\u{0}@\u{1f}\u{0}\u{0}@\u{1f}\u{0}\u{0}\u{1}\u{0}\u{8}\u{0}data\u{3}\u{0}\u{0}\u{0}abc",
    "ID3\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}x",
];

pub fn embed(input: &[u8]) {
    use embeddings::Shape::{
        BedrockCohere, Cohere, CohereOld, Gemini, GeminiBatch, OpenAi, Tei, Titan, Vertex,
    };
    let body = Bytes::copy_from_slice(input);
    if let Ok(request) = embeddings::decode_request(OpenAi, &body) {
        let batch = embeddings::Batch {
            request: &request,
            inputs: &request.inputs,
            model: &request.model,
            from: OpenAi,
        };
        let written = embeddings::encode_request(OpenAi, batch).unwrap();
        assert_eq!(embeddings::decode_request(OpenAi, &written), Ok(request));
    }
    let shapes = [
        OpenAi,
        Cohere,
        CohereOld,
        Gemini,
        GeminiBatch,
        Titan,
        BedrockCohere,
        Vertex,
        Tei,
    ];
    let requests: Vec<_> = shapes
        .iter()
        .filter_map(|shape| embeddings::decode_request(*shape, &body).ok())
        .collect();
    for shape in shapes {
        for request in &requests {
            let batch = embeddings::Batch {
                request,
                inputs: &request.inputs,
                model: "m",
                from: shape,
            };
            let _ = embeddings::encode_request(shape, batch);
            let _ = embeddings::losses(OpenAi, shape, request);
        }
        let Ok(response) = embeddings::decode_response(shape, &http::HeaderMap::new(), &body) else {
            continue;
        };
        for request in &requests {
            let _ = embeddings::encode_response(shape, request, &response, "m");
        }
    }
}

pub fn rank(input: &[u8]) {
    use rerank::Shape::{Bedrock, Cohere, CohereOld, Jina, Mixedbread, Tei, Voyage};
    let body = Bytes::copy_from_slice(input);
    let shapes = [Cohere, CohereOld, Jina, Voyage, Mixedbread, Tei, Bedrock];
    let request = rerank::decode_request(Jina, &body).map(|(_, request)| request);
    if let Ok(request) = &request
        && let Ok(written) = rerank::encode_request(Jina, request, &request.model)
    {
        assert!(rerank::decode_request(Jina, &written).is_ok());
    }
    for shape in shapes {
        if let Ok(request) = &request {
            let _ = rerank::encode_request(shape, request, "m");
        }
        if let (Ok(response), Ok(request)) = (
            rerank::decode_response(shape, &http::HeaderMap::new(), &body),
            &request,
        ) {
            let _ = rerank::encode_response(shape, request, &response, "m");
        }
    }
}

/// What is told does not depend on how a stream is cut; the head of a sound is read without harm.
pub fn meter(input: &[u8]) {
    for medium in [Medium::Image, Medium::Speech, Medium::Transcript, Medium::Text] {
        let watch = |pieces: &[&[u8]]| {
            let mut watcher = EventWatcher::new(medium);
            for piece in pieces {
                watcher.see(&Bytes::copy_from_slice(piece)).ok()?;
            }
            Some((watcher.usage, watcher.ended, watcher.failed))
        };
        let (before, behind) = input.split_at(input.len() / 2);
        assert_eq!(watch(&[input]), watch(&[before, behind]));
        let _ = metered::told(medium, input);
    }
    let _ = metered::milliseconds(input);
}
