//! The matrix: one agent's conversation from each format to each, whole and streamed, against files of what exactly
//! comes out.
//!
//! `request`: instructions, a picture, signed reasoning, two calls at once, their results, an answer by a schema.
//! `demands`: what not every format can do, and what becomes of it. `calls`: the model's turn with reasoning and two
//! calls, whole (`.json`) and streamed (`.txt`). `structured`: its last one. A source is named for its format, an
//! expected file `FROM-to-TO`. With `UPDATE_GOLDEN=1` the expected files are written anew, to be read by a person.
//! Event streams of AWS are written as text, an event a line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use pointsman_wire::assemble::Assembler;
use pointsman_wire::eventstream::{EventStreamDecoder, HeaderValue, write_message};
use pointsman_wire::form::{ChatRequest, ChatResponse, MaxTokensName, Part, PartKind, StreamEvent};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use serde_json::{Value, json};

const FORMATS: [Format; 6] = [
    Format::OpenAiChat,
    Format::OpenAiResponses,
    Format::AnthropicMessages,
    Format::GeminiGenerate,
    Format::BedrockConverse,
    Format::CohereChat,
];

/// What went wrong in a cell.
type Faults = Vec<String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn source(kind: &str, format: Format, extension: &str) -> String {
    let file = folder().join(kind).join(format!("{}.{extension}", format.name()));
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn body(kind: &str, format: Format) -> Bytes {
    source(kind, format, "json").into()
}

fn request_of(format: Format) -> ChatRequest {
    format::decode_request(format, &body("request", format)).unwrap()
}

/// A cell of the matrix.
struct Cell {
    from: Format,
    to: Format,
    faults: Faults,
}

impl Cell {
    /// Compares with the file, or writes it.
    fn golden(&mut self, kind: &str, extension: &str, told: &str) {
        let name = format!("{}-to-{}.{extension}", self.from.name(), self.to.name());
        let file = folder().join(kind).join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, told).unwrap();
        }
        match std::fs::read_to_string(&file) {
            Ok(expected) if expected == told => {}
            Ok(_) => self
                .faults
                .push(format!("{kind}/{name} is not what came out:\n{told}")),
            Err(error) => self.faults.push(format!("{kind}/{name}: {error}")),
        }
    }

    fn check(&mut self, holds: bool, what: &str) {
        if !holds {
            self.faults
                .push(format!("{:?} to {:?}: {what}", self.from, self.to));
        }
    }

    fn request(&mut self, kind: &str) {
        let request = format::decode_request(self.from, &body(kind, self.from)).unwrap();
        let told = match format::encode_request(self.to, &request, &target(self.to)) {
            Ok(encoded) => {
                let losses: Vec<String> = encoded
                    .losses
                    .iter()
                    .map(|loss| format!("{}: {}", loss.field, loss.note))
                    .collect();
                let body: Value = serde_json::from_slice(&encoded.body).unwrap();
                let again = format::decode_request(self.to, &encoded.body);
                self.check(again.is_ok(), &format!("cannot be read again: {again:?}"));
                json!({"body": body, "losses": losses})
            }
            Err(error) => json!({"refused": {"field": error.field, "message": error.message}}),
        };
        if self.from == self.to {
            let mut source: Value = serde_json::from_slice(&body(kind, self.from)).unwrap();
            if source.get("model").is_some() {
                source["model"] = json!(target(self.to).model);
            }
            self.check(told["body"] == source, "the request is not as it came");
            self.check(told["losses"] == json!([]), "something is lost");
        }
        self.golden(kind, "json", &pretty(&told));
    }

    fn answer(&mut self, kind: &str) {
        let source = body(kind, self.from);
        let response = format::decode_response(self.from, &source).unwrap();
        let written = format::encode_answer(self.to, &response, &request_of(self.to));
        let told: Value = serde_json::from_slice(&written).unwrap();
        let again = format::decode_response(self.to, &written);
        self.check(again.is_ok(), &format!("cannot be read again: {again:?}"));
        if self.from == self.to {
            let source: Value = serde_json::from_slice(&source).unwrap();
            self.check(told == source, "the answer is not as it came");
        }
        self.golden(kind, "json", &pretty(&timeless(told)));
    }

    fn stream(&mut self) {
        let request = request_of(self.to);
        let options = StreamEncoderOptions {
            model: request.model.clone(),
            include_usage: true,
        };
        let mut encoder = format::stream_encoder(self.to, options).answering(&request, self.from);
        let mut out = BytesMut::new();
        let told = events(self.from, &framed(self.from, &source("calls", self.from, "txt")));
        for event in &told {
            encoder.encode(event, &mut out);
        }
        let out = out.freeze();
        self.golden("calls", "txt", &readable(self.to, &out));
        // Who streams and who waits is told the same.
        let streamed = assembled(self.to, &events(self.to, &out));
        let whole = format::decode_response(self.from, &body("calls", self.from)).unwrap();
        let whole = format::encode_answer(self.to, &whole, &request);
        let whole = format::decode_response(self.to, &whole).unwrap();
        let said = |response: &ChatResponse| {
            let kinds = |part: &Part| match &part.kind {
                // Some servers indent the arguments of a call.
                PartKind::ToolCall(call) => {
                    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
                    format!("{} {} {arguments} {:?}", call.id, call.name, call.signature)
                }
                kind => format!("{kind:?}"),
            };
            let choice = response.choices.first().unwrap();
            let mut kinds: Vec<String> = choice.parts.iter().map(kinds).collect();
            kinds.sort();
            (kinds, format!("{:?}", choice.finish))
        };
        if self.from != Format::GeminiGenerate {
            // Gemini's ids of calls are made of the answer so far.
            self.check(
                said(&streamed) == said(&whole),
                &format!("{:?}\nis streamed as\n{:?}", said(&whole), said(&streamed)),
            );
        }
    }
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

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Without times that the writer takes from the clock.
fn timeless(mut value: Value) -> Value {
    for name in ["created", "created_at"] {
        if value.get(name).is_some() {
            value[name] = json!(0);
        }
    }
    if let Some(response) = value.get_mut("response") {
        *response = timeless(response.take());
    }
    value
}

/// A stream as it comes over the network.
fn framed(format: Format, text: &str) -> Bytes {
    if format != Format::BedrockConverse {
        return text.to_owned().into();
    }
    let mut out = BytesMut::new();
    for line in text.lines() {
        let (name, payload) = line.split_once(' ').unwrap();
        let string = |text: &str| HeaderValue::String(text.into());
        let headers = [
            (":event-type", string(name)),
            (":content-type", string("application/json")),
            (":message-type", string("event")),
        ];
        write_message(&headers, payload.as_bytes(), &mut out).unwrap();
    }
    out.freeze()
}

/// A stream as a person can read it.
fn readable(format: Format, stream: &Bytes) -> String {
    if format == Format::BedrockConverse {
        let mut messages = Vec::new();
        EventStreamDecoder::default().push(stream, &mut messages).unwrap();
        return messages.iter().fold(String::new(), |mut text, message| {
            let name = message.header(":event-type").unwrap();
            let _ = writeln!(text, "{name} {}", String::from_utf8_lossy(&message.payload));
            text
        });
    }
    let lines: Vec<String> = String::from_utf8(stream.to_vec())
        .unwrap()
        .lines()
        .map(|line| match line.strip_prefix("data: ") {
            Some(data) if data != "[DONE]" => {
                format!("data: {}", timeless(serde_json::from_str(data).unwrap()))
            }
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\n") + "\n"
}

fn events(format: Format, stream: &Bytes) -> Vec<StreamEvent> {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    decoder.push(stream, &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    events
}

fn assembled(format: Format, events: &[StreamEvent]) -> ChatResponse {
    let mut assembler = Assembler::new(format);
    events.iter().for_each(|event| assembler.push(event));
    assembler.finish().unwrap()
}

#[test]
fn a_conversation_goes_from_each_format_to_each() {
    let mut table = format!("{:36} whole streamed\n", "from to");
    let mut faults = Faults::new();
    for (from, to) in FORMATS.into_iter().flat_map(|from| FORMATS.map(|to| (from, to))) {
        let cell = || Cell {
            from,
            to,
            faults: Faults::new(),
        };
        let (mut whole, mut streamed) = (cell(), cell());
        whole.request("request");
        whole.request("demands");
        whole.answer("calls");
        whole.answer("structured");
        streamed.stream();
        let mark = |cell: &Cell| if cell.faults.is_empty() { "ok" } else { "FAULT" };
        let pair = format!("{} {}", from.name(), to.name());
        let _ = writeln!(table, "{pair:36} {:5} {}", mark(&whole), mark(&streamed));
        faults.extend(whole.faults);
        faults.extend(streamed.faults);
    }
    println!("{table}");
    assert!(faults.is_empty(), "{table}\n{}", faults.join("\n\n"));
}

#[test]
fn there_is_a_file_for_each_pair_and_none_besides() {
    for (kind, extensions) in [
        ("request", &["json"][..]),
        ("demands", &["json"]),
        ("calls", &["json", "txt"]),
        ("structured", &["json"]),
    ] {
        let mut expected = BTreeSet::new();
        for extension in extensions {
            for from in FORMATS {
                expected.insert(format!("{}.{extension}", from.name()));
                expected.extend(FORMATS.map(|to| format!("{}-to-{}.{extension}", from.name(), to.name())));
            }
        }
        let found: BTreeSet<String> = std::fs::read_dir(folder().join(kind))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(found, expected, "{kind}");
    }
}
