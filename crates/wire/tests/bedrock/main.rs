//! Bedrock: round trips over a corpus, golden files across formats, rules, failures, passing streams.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod corpus;
mod failures;
mod golden;
mod invoke;
mod passing;
mod ruled;

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use pointsman_wire::eventstream::{EventStreamDecoder, HeaderValue, write_message};
use pointsman_wire::form::{MaxTokensName, StreamEvent};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions, StreamError};
use serde_json::Value;

const CLAUDE: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn target(model: &str) -> EncodeTarget<'_> {
    EncodeTarget {
        model,
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: true,
        stream_usage: true,
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of a folder of the corpus, by name.
fn files(name: &str) -> Vec<(String, Value)> {
    let folder = folder("corpus/bedrock").join(name);
    let mut files: Vec<(String, Value)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, read(&path))
        })
        .collect();
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files
}

fn message(kind: &str, name: &str, payload: &[u8], out: &mut BytesMut) {
    let string = |text: &str| HeaderValue::String(text.into());
    let named = format!(":{kind}-type");
    let headers = [
        (named.as_str(), string(name)),
        (":content-type", string("application/json")),
        (":message-type", string(kind)),
    ];
    write_message(&headers, payload, out).unwrap();
}

/// Events, each an object of one field that names it, as the bytes of a stream.
fn frame(events: &Value) -> Vec<u8> {
    let mut out = BytesMut::new();
    for event in events.as_array().unwrap() {
        let (name, payload) = event.as_object().unwrap().iter().next().unwrap();
        message("event", name, payload.to_string().as_bytes(), &mut out);
    }
    out.to_vec()
}

/// The events of a stream, as [`frame`] takes them.
fn unframe(bytes: &[u8]) -> Value {
    let mut messages = Vec::new();
    EventStreamDecoder::default()
        .push(&Bytes::copy_from_slice(bytes), &mut messages)
        .unwrap();
    messages
        .iter()
        .map(|message| {
            let name = message
                .header(":event-type")
                .or(message.header(":exception-type"))
                .unwrap();
            assert_eq!(message.header(":content-type"), Some("application/json"));
            let payload: Value = serde_json::from_slice(&message.payload).unwrap();
            serde_json::json!({ name: payload })
        })
        .collect()
}

fn decode(format: Format, pieces: &[&[u8]]) -> Result<Vec<StreamEvent>, StreamError> {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

fn encode(format: Format, events: &[StreamEvent]) -> Vec<u8> {
    let options = StreamEncoderOptions {
        model: "m".into(),
        include_usage: true,
    };
    let mut encoder = format::stream_encoder(format, options);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out.to_vec()
}

/// `bytes` cut at `cuts`.
fn pieces<'b>(bytes: &'b [u8], cuts: &[proptest::sample::Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
