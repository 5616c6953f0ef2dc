//! What it costs to translate: a request of 10 KB with tools from each format to each other, an event of a stream, and a
//! body of 1 MB that passes within its format.
//!
//! `cargo bench -p pointsman-wire`. The time of `event` is for [`EVENTS`] of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark says what it expects by failing"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use pointsman_wire::form::{ChatRequest, MaxTokensName, PartStart, StreamEvent};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use pointsman_wire::splice::Edits;
use serde_json::{Value, json};

const FORMATS: [Format; 6] = [
    Format::OpenAiChat,
    Format::OpenAiResponses,
    Format::AnthropicMessages,
    Format::GeminiGenerate,
    Format::BedrockConverse,
    Format::CohereChat,
];

/// How many events are read and written at a time.
const EVENTS: usize = 100;
/// A request has at least as many bytes in whatever format it is written, and hardly more.
const BYTES: usize = 10_000;
/// What the tools answer, again and again.
const SENTENCE: &str = "The \"old\" bridge was built in 1743.\nIt stands on seven arches of sandstone. ";

fn main() {
    divan::main();
}

fn target(to: Format) -> EncodeTarget<'static> {
    EncodeTarget {
        model: match to {
            Format::GeminiGenerate => "gemini-3-pro-preview",
            Format::BedrockConverse => "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            _ => "provider-model",
        },
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxCompletionTokens,
        developer_role: true,
        stream_usage: true,
    }
}

/// An agent's request: eight tools, of which it has called one six times. The results have so many sentences together.
fn request(sentences: usize) -> ChatRequest {
    let tools: Vec<Value> = (0..8)
        .map(|number| {
            json!({"type": "function", "function": {"name": format!("tool_{number}"),
                "description": "Looks a thing up in the archive, and tells where it was found and what is known of it.",
                "parameters": {"type": "object", "properties": {
                    "query": {"type": "string", "description": "What to look for, in the words of the archive."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 50},
                    "place": {"type": "string", "enum": ["north", "south", "east", "west"]}}, "required": ["query"]}}})
        })
        .collect();
    let mut messages = vec![
        json!({"role": "system", "content": "You keep an archive. Say what you know, and where you have it from."}),
        json!({"role": "user", "content": "What do we have on bridges?"}),
    ];
    for turn in 0..6_usize {
        let id = format!("call_{turn}");
        messages.push(json!({"role": "assistant", "content": "I look it up.", "tool_calls": [{"id": id, "type": "function",
            "function": {"name": "tool_1", "arguments": "{\"query\":\"bridges over the river\",\"limit\":10}"}}]}));
        let content = SENTENCE.repeat((sentences + turn) / 6);
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
    }
    messages.push(json!({"role": "user", "content": "Thank you. Which is the oldest?"}));
    let body = json!({"model": "fast", "messages": messages, "tools": tools, "temperature": 0.2, "max_completion_tokens": 900});
    format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_string())).unwrap()
}

/// The request in `format`, with so many sentences that it has [`BYTES`].
fn body(format: Format) -> Bytes {
    let written = |sentences| {
        let encoded = format::encode_request(format, &request(sentences), &target(format));
        encoded.unwrap().body
    };
    let long_enough = |body: &Bytes| body.len() >= BYTES;
    let body = (0..).map(written).find(long_enough).unwrap();
    assert!(
        body.len() < BYTES + BYTES / 20,
        "{} has {}",
        format.name(),
        body.len()
    );
    body
}

fn pairs() -> Vec<String> {
    let pair = |from: Format| FORMATS.map(|to| format!("{} {}", from.name(), to.name()));
    FORMATS.into_iter().flat_map(pair).collect()
}

fn formats(pair: &str) -> (Format, Format) {
    let (from, to) = pair.split_once(' ').unwrap();
    (Format::from_name(from).unwrap(), Format::from_name(to).unwrap())
}

/// A request is read and written.
#[divan::bench(args = pairs())]
fn request_across(bencher: Bencher<'_, '_>, pair: &str) {
    let (from, to) = formats(pair);
    let body = body(from);
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let request = format::decode_request(from, black_box(&body)).unwrap();
        format::encode_request(to, &request, &target(to)).unwrap()
    });
}

/// The chunks of a stream of `format`: its beginning, and [`EVENTS`] with a word each.
fn stream(format: Format) -> (Bytes, Vec<Bytes>) {
    let mut encoder = encoder(format);
    let mut out = BytesMut::new();
    let start = [
        StreamEvent::Start {
            id: "id-1".into(),
            model: "model".into(),
            created: Some(1),
        },
        StreamEvent::PartStart {
            choice: 0,
            part: 0,
            start: PartStart::Text,
        },
    ];
    start.iter().for_each(|event| encoder.encode(event, &mut out));
    let start = out.split().freeze();
    let words = (0..EVENTS)
        .map(|number| {
            let text = format!(" word{number}").into();
            encoder.encode(
                &StreamEvent::Delta {
                    choice: 0,
                    part: 0,
                    text,
                },
                &mut out,
            );
            out.split().freeze()
        })
        .collect();
    (start, words)
}

fn encoder(format: Format) -> format::StreamEncoder {
    let options = StreamEncoderOptions {
        model: "model".into(),
        include_usage: true,
    };
    format::stream_encoder(format, options)
}

/// Events are read and written.
#[divan::bench(args = pairs())]
fn event(bencher: Bencher<'_, '_>, pair: &str) {
    let (from, to) = formats(pair);
    let (start, words) = stream(from);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| {
            let mut decoder = format::stream_decoder(from);
            let mut encoder = encoder(to).answering(&request(1), from);
            let (mut events, mut out) = (Vec::new(), BytesMut::with_capacity(64 * 1_024));
            decoder.push(&start, &mut events).unwrap();
            events
                .drain(..)
                .for_each(|event| encoder.encode(&event, &mut out));
            (decoder, encoder, events, out)
        })
        .bench_local_values(|(mut decoder, mut encoder, mut events, mut out)| {
            for word in &words {
                decoder.push(black_box(word), &mut events).unwrap();
                events
                    .drain(..)
                    .for_each(|event| encoder.encode(&event, &mut out));
            }
            (decoder, encoder, events, out)
        });
}

/// A body passes within its format, with another model's name.
#[divan::bench]
fn pass_1_mb(bencher: Bencher<'_, '_>) {
    let text = "All that is said in a long conversation. ".repeat(25_000);
    let body = json!({"messages": [{"role": "user", "content": text}], "model": "fast"}).to_string();
    let body = Bytes::from(body);
    let mut edits = Edits::new();
    edits.set_string("model", "provider-model");
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| edits.apply(black_box(&body)).unwrap());
}

/// The same, read into the form besides, as the road does.
#[divan::bench]
fn read_and_pass_1_mb(bencher: Bencher<'_, '_>) {
    let text = "All that is said in a long conversation. ".repeat(25_000);
    let body =
        Bytes::from(json!({"messages": [{"role": "user", "content": text}], "model": "fast"}).to_string());
    let mut edits = Edits::new();
    edits.set_string("model", "provider-model");
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let request = format::decode_request(Format::OpenAiChat, black_box(&body)).unwrap();
        (request, edits.apply(&body).unwrap())
    });
}
