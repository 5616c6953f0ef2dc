//! What a careless gateway would send, and what the originals say to it.

use http::Method;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::client::{FORMATS, Format, ask, header_of};

/// A format by name.
fn format(name: &str) -> Format {
    FORMATS.into_iter().find(|format| format.name == name).unwrap()
}

/// Changes a good body at a place, and says what is answered.
async fn said(sim: &SimServer, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let format = format(name);
    let mut body = format.body("hello", false);
    change(&mut body);
    let heard = format.ask(sim.address(), "", false, &body).await.unwrap();
    assert_eq!(heard.status, 400, "{name}: {}", heard.text());
    format.error(&heard)
}

#[tokio::test]
async fn unknown_fields_are_refused_in_each_ones_words() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    for (name, expected) in [
        ("responses", "Unknown parameter: 'x'."),
        ("anthropic", "x: Extra inputs are not permitted"),
        (
            "gemini",
            "Invalid JSON payload received. Unknown name \"x\": Cannot find field.",
        ),
        (
            "bedrock",
            "Malformed input request: #/: extraneous key [x] is not permitted, please reformat your input and try again.",
        ),
        ("bedrock invoke", "x: Extra inputs are not permitted"),
        ("cohere", "unknown field: parameter 'x' is not a valid field"),
        ("openai", "Unrecognized request argument supplied: x"),
    ] {
        assert_eq!(said(&sim, name, |body| body["x"] = json!(1)).await, expected);
    }
    let inner = said(&sim, "gemini", |body| {
        body["contents"][0]["parts"][0]["x"] = json!(1);
    })
    .await;
    assert_eq!(
        inner,
        "Invalid JSON payload received. Unknown name \"x\" at 'contents[0].parts[0]': Cannot find field."
    );
}

#[tokio::test]
async fn google_reads_both_spellings() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let gemini = format("gemini");
    for name in ["max_output_tokens", "maxOutputTokens"] {
        let mut body = gemini.body("repeat 9 words", false);
        body["generationConfig"] = json!({name: 3});
        let heard = gemini.ask(sim.address(), "", false, &body).await.unwrap();
        assert_eq!(
            heard.json()["candidates"][0]["finishReason"],
            "MAX_TOKENS",
            "{name}"
        );
    }
    let wrong = said(&sim, "gemini", |body| {
        body["generationConfig"] = json!({"topK": "x"});
    })
    .await;
    assert_eq!(
        wrong,
        "Invalid value at 'generation_config.top_k' (TYPE_INT32), \"x\""
    );
    let schema = json!([{"functionDeclarations": [{"name": "f", "parameters": {"type": "thing"}}]}]);
    let wrong = said(&sim, "gemini", |body| body["tools"] = schema).await;
    assert!(wrong.starts_with("Invalid value at 'tools[0].function_declarations[0].parameters.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type)"));
}

#[tokio::test]
async fn a_stream_of_google_without_events_is_an_array() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let array = format("gemini array");
    let heard = array
        .ask(sim.address(), "", true, &array.body("repeat 6 words", true))
        .await
        .unwrap();
    let all = heard.json();
    let parts = all.as_array().unwrap().iter();
    let text: String = parts
        .map(|one| {
            one["candidates"][0]["content"]["parts"][0]["text"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(text, "word word word word word word");
}

#[tokio::test]
async fn errors_of_amazon_name_their_type() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let bedrock = format("bedrock");
    let heard = bedrock
        .ask(sim.address(), "", false, &json!({"messages": []}))
        .await
        .unwrap();
    assert!(header_of(&heard, "x-amzn-errortype").starts_with("ValidationException"));
    let mut body = bedrock.body("x", false);
    body["inferenceConfig"] = json!({"maxTokens": 0});
    assert_eq!(
        said(&sim, "bedrock", |old| *old = body).await,
        "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1"
    );
}

#[tokio::test]
async fn a_broken_frame_has_a_checksum_that_says_so() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let bedrock = format("bedrock");
    for (fault, bad) in [("", 0), ("malformed-event", 1)] {
        let heard = bedrock
            .ask(sim.address(), fault, true, &bedrock.body("repeat 6 words", true))
            .await
            .unwrap();
        let bytes = heard.body.unwrap();
        let mut rest = &bytes[..];
        let mut broken = 0;
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (frame, after) = rest.split_at(length);
            let sum = u32::from_be_bytes(frame[length - 4..].try_into().unwrap());
            broken += usize::from(crc(&frame[..length - 4]) != sum);
            assert_eq!(
                crc(&frame[..8]),
                u32::from_be_bytes(frame[8..12].try_into().unwrap())
            );
            rest = after;
        }
        assert_eq!(broken, bad, "{fault}");
    }
}

/// The checksum by its definition: the remainder of a division of polynomials.
fn crc(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |at| u32::from(byte >> at & 1)))
    {
        let carry = (rest ^ bit) & 1;
        rest = (rest >> 1) ^ (carry * 0xEDB8_8320);
    }
    !rest
}

#[tokio::test]
async fn unknown_places_and_methods_are_refused() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let heard = ask(sim.address(), Method::POST, "/v1/nothing", "", b"{}".to_vec())
        .await
        .unwrap();
    assert_eq!(heard.status, 404);
    let heard = ask(sim.address(), Method::GET, "/v1/chat/completions", "", Vec::new())
        .await
        .unwrap();
    assert_eq!(heard.status, 405);
}
