//! A round trip through the form loses nothing; a stream cut anywhere says the same.

use std::sync::LazyLock;

use bytes::Bytes;
use pointsman_wire::format::{self, Format, StreamError};
use proptest::prelude::*;
use serde_json::Value;

use super::{CLAUDE, decode, encode, files, frame, pieces, target, unframe};

const FORMAT: Format = Format::BedrockConverse;

static STREAMS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    files("stream")
        .into_iter()
        .map(|(name, events)| (name, frame(&events)))
        .collect()
});

fn bytes(body: &Value) -> Bytes {
    body.to_string().into()
}

#[test]
fn the_corpus_is_broad() {
    assert!(files("request").len() >= 30);
    assert!(files("response").len() >= 20);
    assert!(files("stream").len() >= 15);
}

#[test]
fn every_request_comes_back_as_it_went() {
    for (name, body) in files("request") {
        let request =
            format::decode_request(FORMAT, &bytes(&body)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let encoded = format::encode_request(FORMAT, &request, &target(CLAUDE)).unwrap();
        assert_eq!(encoded.losses, [], "{name}");
        assert_eq!(
            serde_json::from_slice::<Value>(&encoded.body).unwrap(),
            body,
            "{name}"
        );
    }
}

#[test]
fn every_answer_comes_back_as_it_went() {
    for (name, body) in files("response") {
        let answer =
            format::decode_response(FORMAT, &bytes(&body)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let encoded = format::encode_response(FORMAT, &answer);
        assert_eq!(serde_json::from_slice::<Value>(&encoded).unwrap(), body, "{name}");
    }
}

#[test]
fn every_stream_comes_back_as_it_went() {
    for (name, events) in files("stream") {
        let read = decode(FORMAT, &[&frame(&events)]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(unframe(&encode(FORMAT, &read)), events, "{name}");
    }
}

/// Schemas and arguments go into prompts: their bytes decide whether a provider's cache is hit.
#[test]
fn schemas_and_arguments_keep_their_bytes() {
    let body = r#"{"messages":[{"role":"assistant","content":[{"toolUse":{"toolUseId":"a","name":"f","input":{"b" : 1.10, "a":[ ]}}}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type": "object","z":1e3,"a":"\u00e9"}}}}]}}"#;
    let request = format::decode_request(FORMAT, &Bytes::from_static(body.as_bytes())).unwrap();
    let encoded = format::encode_request(FORMAT, &request, &target(CLAUDE)).unwrap();
    assert_eq!(encoded.body, body);
}

#[test]
fn a_stream_that_ends_before_its_answer_is_cut() {
    for (name, stream) in STREAMS.iter() {
        let stop = memchr::memmem::find(stream, b"messageStop").unwrap();
        let metadata = memchr::memmem::rfind(stream, b"metadata").unwrap();
        for keep in [0, 40, stop, metadata] {
            assert_eq!(
                decode(FORMAT, &[&stream[..keep]]),
                Err(StreamError::Cut),
                "{name} {keep}"
            );
        }
    }
}

#[test]
fn what_was_used_may_stay_untold() {
    let events = serde_json::json!([
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]);
    let read = decode(FORMAT, &[&frame(&events)]).unwrap();
    assert_eq!(read.last(), Some(&pointsman_wire::form::StreamEvent::End));
}

proptest! {
    #[test]
    fn any_cutting_decodes_to_the_same_events(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (_, stream) = which.get(&STREAMS);
        prop_assert_eq!(decode(FORMAT, &pieces(stream, &cuts)), decode(FORMAT, &[stream]));
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_an_answer(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let (_, stream) = which.get(&STREAMS);
        let mut broken = stream.clone();
        broken[at.index(stream.len())] ^= 1_u8 << bit;
        prop_assert!(decode(FORMAT, &[&broken]).is_err());
    }
}
