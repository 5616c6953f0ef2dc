//! Streams that pass in their own format: every byte untouched, and what they used is known.

use bytes::Bytes;
use pointsman_wire::form::{FailureKind, Usage};
use pointsman_wire::format::{Format, StreamWatcher, WatchOptions, stream_watcher};
use proptest::prelude::*;
use serde_json::json;
use smallvec::SmallVec;

use super::{files, frame, message, pieces};

struct Passed {
    bytes: Vec<u8>,
    content: bool,
    failure: Option<FailureKind>,
    watcher: StreamWatcher,
}

fn pass(format: Format, chunks: &[&[u8]]) -> Passed {
    let mut watcher = stream_watcher(format, WatchOptions { strip_usage: true });
    let (mut bytes, mut content, mut failure) = (Vec::new(), false, None);
    for chunk in chunks {
        let mut forward = SmallVec::new();
        let seen = watcher.push(Bytes::copy_from_slice(chunk), &mut forward);
        forward.iter().for_each(|piece| bytes.extend_from_slice(piece));
        content |= seen.content;
        failure = failure.or(seen.failure.map(|failure| failure.kind));
        if failure.is_some() {
            break;
        }
    }
    Passed {
        bytes,
        content,
        failure,
        watcher,
    }
}

#[test]
fn a_stream_passes_and_its_usage_is_known() {
    for (name, events) in files("stream") {
        let stream = frame(&events);
        let passed = pass(Format::BedrockConverse, &[&stream]);
        assert_eq!(passed.bytes, stream, "{name}");
        assert!(passed.watcher.is_complete() && passed.failure.is_none(), "{name}");
        let told = &events.as_array().unwrap().last().unwrap()["metadata"]["usage"];
        assert_eq!(
            passed.watcher.usage().unwrap().total(),
            told["totalTokens"].as_u64().unwrap(),
            "{name}"
        );
        let says = events.to_string().contains("contentBlock");
        assert_eq!(passed.content, says, "{name}");
    }
}

#[test]
fn cached_tokens_are_told_apart() {
    let stream = frame(&json!([
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 4, "outputTokens": 2, "totalTokens": 1542, "cacheReadInputTokens": 1024,
            "cacheWriteInputTokens": 512, "cacheDetails": [{"ttl": "1h", "inputTokens": 500}, {"ttl": "5m", "inputTokens": 12}]}, "metrics": {"latencyMs": 1}}},
    ]));
    let usage = Usage {
        input: 1_540,
        output: 2,
        cache_read: 1_024,
        cache_write: 12,
        cache_write_1h: 500,
        ..Usage::default()
    };
    assert_eq!(
        pass(Format::BedrockConverse, &[&stream]).watcher.usage(),
        Some(usage)
    );
}

#[test]
fn an_exception_ends_the_stream_and_is_not_forwarded() {
    let mut stream = bytes::BytesMut::new();
    message("event", "messageStart", br#"{"role":"assistant"}"#, &mut stream);
    let good = stream.len();
    message(
        "exception",
        "throttlingException",
        br#"{"message":"Too many tokens"}"#,
        &mut stream,
    );
    let passed = pass(Format::BedrockConverse, &[&stream]);
    assert_eq!(passed.failure, Some(FailureKind::RateLimited));
    assert_eq!(passed.bytes, stream[..good]);
}

#[test]
fn a_corrupt_message_is_not_forwarded() {
    let (_, events) = files("stream").remove(0);
    let mut stream = frame(&events);
    let at = stream.len() - 20;
    stream[at] ^= 1;
    let passed = pass(Format::BedrockConverse, &[&stream]);
    assert_eq!(passed.failure, Some(FailureKind::Provider));
    assert!(!passed.watcher.is_complete() && passed.bytes.len() < stream.len());
}

#[test]
fn what_is_not_json_is_not_forwarded() {
    let mut stream = bytes::BytesMut::new();
    message("event", "contentBlockDelta", b"<html>", &mut stream);
    let passed = pass(Format::BedrockConverse, &[&stream]);
    assert_eq!(
        (passed.failure, passed.bytes.len()),
        (Some(FailureKind::Provider), 0)
    );
}

#[test]
fn an_answer_is_whole_from_its_stop_on() {
    let (_, events) = files("stream").remove(0);
    let whole = frame(&events);
    let metadata = frame(&json!([events.as_array().unwrap().last().unwrap()])).len();
    let stop = whole.len() - metadata;
    for (keep, complete) in [(stop, true), (stop - 1, false), (stop + 5, false), (30, false)] {
        let mut passed = pass(Format::BedrockConverse, &[&whole[..keep]]);
        let mut forward = SmallVec::new();
        assert_eq!(
            passed.watcher.finish(&mut forward),
            complete,
            "{keep} of {}",
            whole.len()
        );
        assert!(forward.is_empty(), "nothing is put into a binary stream");
    }
}

proptest! {
    #[test]
    fn any_cutting_forwards_the_same_bytes(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let streams = files("stream");
        let stream = frame(&which.get(&streams).1);
        let passed = pass(Format::BedrockConverse, &pieces(&stream, &cuts));
        prop_assert_eq!(&passed.bytes, &stream);
        prop_assert!(passed.watcher.is_complete());
    }
}
