//! A large body that stays within its format is copied at most once: counted by what is allocated on the way.
//!
//! The way is the road's: the body is read into the form, and passes with the few fields edited that the gateway owns.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by failing"
)]

use allocation_counter::measure;
use bytes::Bytes;
use pointsman_wire::form::{ChatRequest, MaxTokensName, Message, Role};
use pointsman_wire::format::{self, EncodeTarget, Format};
use pointsman_wire::splice::Edits;

/// More than a megabyte of text, in a few messages.
const MESSAGES: usize = 8;
const TEXT: usize = 136 * 1_024;
/// What everything else may take: two outlines, lists of messages, names.
const BESIDES: usize = 128 * 1_024;

const FORMATS: [Format; 6] = [
    Format::OpenAiChat,
    Format::OpenAiResponses,
    Format::AnthropicMessages,
    Format::GeminiGenerate,
    Format::BedrockConverse,
    Format::CohereChat,
];

/// A body of `format` that says `sentence` again and again.
fn body(format: Format, sentence: &str) -> Bytes {
    let asked =
        Bytes::from_static(br#"{"model":"fast","messages":[{"role":"user","content":"?"}],"max_tokens":9}"#);
    let mut request: ChatRequest = format::decode_request(Format::OpenAiChat, &asked).unwrap();
    let text = sentence.repeat(TEXT / sentence.len());
    let roles = [Role::User, Role::Assistant];
    request.messages = (0..MESSAGES)
        .map(|index| Message::text(roles[index % 2], text.clone()))
        .collect();
    let target = EncodeTarget {
        model: "fast",
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: true,
        stream_usage: true,
    };
    let body = format::encode_request(format, &request, &target).unwrap().body;
    assert!(body.len() > 1_000_000, "{}: {}", format.name(), body.len());
    body
}

/// The field that tells the model; where that stands in the path, another that a gateway might set.
fn edits(format: Format) -> Edits {
    let mut edits = Edits::new();
    match format {
        Format::GeminiGenerate => edits.set_string("serviceTier", "priority"),
        Format::BedrockConverse => edits.set_nested("performanceConfig", "latency", "\"optimized\""),
        _ => edits.set_string("model", "provider-model"),
    }
    edits
}

/// How many bytes `run` has allocated, those that were freed again included.
fn allocated(run: impl FnOnce()) -> usize {
    usize::try_from(measure(run).bytes_total).unwrap()
}

#[test]
fn a_body_is_read_and_passed_on_with_one_copy() {
    for format in FORMATS {
        let (body, edits) = (
            body(format, "All that is said in a long conversation. "),
            edits(format),
        );
        let read = allocated(|| drop(format::decode_request(format, &body).unwrap()));
        assert!(read < BESIDES, "{}: {read} bytes to read it", format.name());
        let passed = allocated(|| {
            let request = format::decode_request(format, &body).unwrap();
            let out = edits.apply(&body).unwrap();
            assert_ne!(out, body);
            drop((request, out));
        });
        let once = body.len() + BESIDES;
        assert!(
            passed < once,
            "{}: {passed} bytes to pass {}",
            format.name(),
            body.len()
        );
        assert!(passed >= body.len(), "{}: nothing was counted", format.name());
    }
}

#[test]
fn escapes_are_taken_off_once_and_the_body_is_copied_once_besides() {
    for format in FORMATS {
        let (body, edits) = (body(format, "\"So\" it is said,\nline by line. "), edits(format));
        let passed = allocated(|| drop(edits.apply(&body).unwrap()));
        let once = body.len() + BESIDES;
        assert!(
            passed < once,
            "{}: {passed} bytes to pass {}",
            format.name(),
            body.len()
        );
        // What guards and signals see of it has no escapes any more, and is text of its own.
        let read = allocated(|| drop(format::decode_request(format, &body).unwrap()));
        assert!(
            read < once,
            "{}: {read} bytes to read {}",
            format.name(),
            body.len()
        );
    }
}

#[test]
fn a_body_without_edits_is_not_copied() {
    for format in FORMATS {
        let body = body(format, "All that is said in a long conversation. ");
        let passed = allocated(|| drop(Edits::new().apply(&body).unwrap()));
        assert!(passed < BESIDES, "{}: {passed} bytes", format.name());
    }
}
