//! Bodies as clients and providers send them, kept as files: each comes back through the form as it went, a stream cut
//! anywhere says the same, and what it used is known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{FinishReason, MaxTokensName, StreamEvent, Usage};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions, WatchOptions};
use pointsman_wire::rules;
use proptest::prelude::*;
use serde_json::Value;
use smallvec::SmallVec;

const FORMATS: [(Format, &str); 2] = [
    (Format::CohereChat, "cohere"),
    (Format::OpenAiResponses, "responses"),
];
/// Fewer bodies than these are no corpus.
const LEAST: usize = 60;

fn files(folder: &str, kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(folder)
        .join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn target(model: &str) -> EncodeTarget<'_> {
    EncodeTarget {
        model,
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: true,
        stream_usage: true,
    }
}

#[test]
fn there_are_enough() {
    for (format, folder) in FORMATS {
        let bodies: usize = ["request", "response", "stream"]
            .iter()
            .map(|kind| files(folder, kind).len())
            .sum();
        assert!(bodies >= LEAST, "{}: {bodies}", format.name());
    }
}

#[test]
fn a_request_comes_back_as_it_went() {
    for (format, folder) in FORMATS {
        for file in files(folder, "request") {
            let body = read(&file);
            let request = format::decode_request(format, &Bytes::from(body.clone()))
                .unwrap_or_else(|error| panic!("{}: {error} ({:?})", file.display(), error.param));
            let encoded = format::encode_request(format, &request, &target(&request.model)).unwrap();
            assert!(
                encoded.losses.is_empty(),
                "{}: {:?}",
                file.display(),
                encoded.losses
            );
            let expected: Value = serde_json::from_str(&body).unwrap();
            let again: Value = serde_json::from_slice(&encoded.body).unwrap();
            assert_eq!(again, expected, "{}", file.display());
        }
    }
}

#[test]
fn an_answer_comes_back_as_it_went() {
    for (format, folder) in FORMATS {
        for file in files(folder, "response") {
            let body = read(&file);
            let response = format::decode_response(format, &Bytes::from(body.clone()))
                .unwrap_or_else(|error| panic!("{}: {error} ({:?})", file.display(), error.param));
            let expected: Value = serde_json::from_str(&body).unwrap();
            let again: Value = serde_json::from_slice(&format::encode_response(format, &response)).unwrap();
            assert_eq!(again, expected, "{}", file.display());
        }
    }
}

#[test]
fn what_cannot_be_said_elsewhere_is_told_by_a_rule() {
    for (format, folder) in FORMATS {
        for file in files(folder, "request") {
            let request = format::decode_request(format, &Bytes::from(read(&file))).unwrap();
            for to in [
                Format::OpenAiChat,
                Format::AnthropicMessages,
                Format::OpenAiResponses,
                Format::CohereChat,
            ] {
                let known = |note: &str| {
                    rules::EVERYWHERE.iter().any(|rule| rule.note == note)
                        || rules::of(to).iter().any(|rule| rule.note == note)
                        || pointsman_wire::responses::rules::REFERRING
                            .iter()
                            .any(|rule| rule.note == note)
                };
                match format::encode_request(to, &request, &target("m")) {
                    Ok(encoded) => {
                        serde_json::from_slice::<Value>(&encoded.body)
                            .unwrap_or_else(|error| panic!("{} as {to:?}: {error}", file.display()));
                        for loss in encoded.losses {
                            assert!(known(loss.note), "{}: {loss:?}", file.display());
                        }
                    }
                    Err(error) => {
                        assert!(known(&error.message), "{}: {error}", file.display());
                        assert!(!error.field.is_empty());
                    }
                }
            }
        }
    }
}

#[test]
fn an_answer_can_be_told_in_every_format() {
    for (format, folder) in FORMATS {
        for file in files(folder, "response") {
            let response = format::decode_response(format, &Bytes::from(read(&file))).unwrap();
            for to in [
                Format::OpenAiChat,
                Format::AnthropicMessages,
                Format::OpenAiResponses,
                Format::CohereChat,
            ] {
                let written = format::encode_response(to, &response);
                let told: Value = serde_json::from_slice(&written)
                    .unwrap_or_else(|error| panic!("{} as {to:?}: {error}", file.display()));
                let again = format::decode_response(to, &written);
                // To Cohere's clients an answer that was held back has failed.
                let held_back = response.choices[0].finish == Some(FinishReason::ContentFilter);
                assert_eq!(
                    again.is_ok(),
                    !(held_back && to == Format::CohereChat),
                    "{} as {to:?}: {again:?}: {told}",
                    file.display()
                );
            }
        }
    }
}

fn decode(format: Format, pieces: &[&[u8]]) -> (Vec<StreamEvent>, bool) {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut events).unwrap();
    }
    let whole = decoder.finish(&mut events).is_ok();
    (events, whole)
}

fn encode(format: Format, events: &[StreamEvent]) -> BytesMut {
    let options = StreamEncoderOptions {
        model: "m".into(),
        include_usage: true,
    };
    let mut encoder = format::stream_encoder(format, options);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out
}

/// What a stream says, without how it is cut into events.
fn said(format: Format, events: &[StreamEvent]) -> String {
    let mut assembler = Assembler::new(format);
    events.iter().for_each(|event| assembler.push(event));
    let answer = assembler.finish().expect("the stream ends");
    format!("{:?} {:?}", answer.choices, answer.usage)
}

fn used(events: &[StreamEvent]) -> Option<Usage> {
    events.iter().rev().find_map(|event| match event {
        StreamEvent::Usage(usage) => Some(*usage),
        _ => None,
    })
}

/// What only the format knows, in order.
fn asides(events: &[StreamEvent]) -> Vec<Value> {
    let json = |event: &StreamEvent| match event {
        StreamEvent::Opaque { json, .. } => {
            let mut told: Value = json.read().unwrap();
            if let Some(fields) = told.as_object_mut() {
                fields.shift_remove("sequence_number");
                fields.shift_remove("output_index");
            }
            Some(told)
        }
        _ => None,
    };
    events.iter().filter_map(json).collect()
}

#[test]
fn what_a_stream_says_survives_its_own_format() {
    for (format, folder) in FORMATS {
        for file in files(folder, "stream") {
            let (events, whole) = decode(format, &[read(&file).as_bytes()]);
            assert!(whole, "{}", file.display());
            let (again, _) = decode(format, &[&encode(format, &events)]);
            assert_eq!(said(format, &again), said(format, &events), "{}", file.display());
            assert_eq!(used(&again), used(&events), "{}", file.display());
            assert_eq!(asides(&again), asides(&events), "{}", file.display());
        }
    }
}

#[test]
fn a_stream_can_be_told_in_every_format() {
    for (format, folder) in FORMATS {
        for file in files(folder, "stream") {
            let (events, _) = decode(format, &[read(&file).as_bytes()]);
            for to in [
                Format::OpenAiChat,
                Format::AnthropicMessages,
                Format::OpenAiResponses,
                Format::CohereChat,
            ] {
                let (_, whole) = decode(to, &[&encode(to, &events)]);
                assert!(whole, "{} as {to:?}", file.display());
            }
        }
    }
}

fn watch(format: Format, pieces: &[&[u8]]) -> (Vec<u8>, Option<Usage>, bool, bool) {
    let mut watcher = format::stream_watcher(format, WatchOptions::default());
    let (mut out, mut content) = (Vec::new(), false);
    for piece in pieces {
        let mut forward = SmallVec::new();
        let seen = watcher.push(Bytes::copy_from_slice(piece), &mut forward);
        assert_eq!(seen.failure, None);
        content |= seen.content;
        forward.iter().for_each(|piece| out.extend_from_slice(piece));
    }
    let whole = watcher.finish(&mut SmallVec::new());
    (out, watcher.usage(), content, whole)
}

#[test]
fn a_stream_that_passes_is_metered() {
    for (format, folder) in FORMATS {
        for file in files(folder, "stream") {
            let stream = read(&file);
            let (events, _) = decode(format, &[stream.as_bytes()]);
            let (out, usage, content, whole) = watch(format, &[stream.as_bytes()]);
            assert!(whole, "{}", file.display());
            assert_eq!(usage, used(&events), "{}", file.display());
            let says = |event: &StreamEvent| matches!(event, StreamEvent::Delta { .. });
            // Of a call without arguments the name is content; of what only the format knows, its beginning.
            assert!(content || !events.iter().any(says), "{}", file.display());
            // What stands behind the end is not forwarded.
            assert!(stream.as_bytes().starts_with(&out), "{}", file.display());
            assert!(
                stream.len() - out.len() <= "data: [DONE]\n\n".len(),
                "{}",
                file.display()
            );
        }
    }
}

#[test]
fn a_stream_without_its_end_is_cut() {
    for (format, folder) in FORMATS {
        for file in files(folder, "stream") {
            let stream = read(&file);
            let last = ["message-end", "response.completed", "response.incomplete"]
                .iter()
                .filter_map(|end| stream.rfind(&format!("{{\"type\":\"{end}\"")))
                .max()
                .unwrap_or_else(|| panic!("{}", file.display()));
            let event = ["\n\n", "\r\n\r\n"]
                .iter()
                .filter_map(|end| Some(stream[..last].rfind(end)? + end.len()));
            let cut = &stream.as_bytes()[..event.max().unwrap()];
            let (events, whole) = decode(format, &[cut]);
            assert!(
                !whole && !events.contains(&StreamEvent::End),
                "{}",
                file.display()
            );
            let (.., whole) = watch(format, &[cut]);
            assert!(!whole, "{}", file.display());
            // Another format's terminator does not make it whole.
            let done = [cut, b"data: [DONE]\n\n"].concat();
            let mut watcher = format::stream_watcher(format, WatchOptions::default());
            watcher.push(Bytes::from(done), &mut SmallVec::new());
            assert!(!watcher.finish(&mut SmallVec::new()), "{}", file.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_cutting_says_the_same(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        of in 0..FORMATS.len(),
    ) {
        let (format, folder) = FORMATS[of];
        let all = files(folder, "stream");
        let stream = read(&all[which.index(all.len())]);
        let bytes = stream.as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(decode(format, &pieces), decode(format, &[bytes]));
        prop_assert_eq!(watch(format, &pieces), watch(format, &[bytes]));
    }
}
