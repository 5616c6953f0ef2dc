//! Pains with streams: lost text, late text, wrong endings, errors that look like an end.

use super::usage::{PROVIDERS, stream};
use super::*;
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{ChatResponse, Failure};
use pointsman_wire::form::{FailureKind, PartKind};

fn counts(format: Format) -> Value {
    match format {
        CHAT => json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
        MESSAGES => json!({"input_tokens": 1, "output_tokens": 1}),
        GEMINI => json!({"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}),
        CONVERSE => json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}),
        _ => json!({"tokens": {"input_tokens": 1, "output_tokens": 1}}),
    }
}

fn assembled(format: Format, bytes: &[u8]) -> ChatResponse {
    let mut assembler = Assembler::new(format);
    decoded(format, bytes)
        .unwrap()
        .iter()
        .for_each(|event| assembler.push(event));
    assembler.finish().unwrap()
}

fn text(response: &ChatResponse) -> String {
    let parts = response.choices[0].parts.iter();
    let texts = parts.filter_map(|part| match &part.kind {
        PartKind::Text(text) => Some(text.text.to_string()),
        _ => None,
    });
    texts.collect()
}

/// Pieces that a careless reader loses: blank ones, line ends, half a word, letters of four bytes.
const PIECES: [&str; 7] = ["\n", " ", "Gr", "üße", " 🦀\r\n", "data: [DONE]", "\u{2028}"];

#[test]
fn no_piece_of_text_is_lost_between_any_two_formats() {
    for from in PROVIDERS {
        let events = decoded(from, &bytes(from, &stream(from, &PIECES, counts(from)))).unwrap();
        for to in FORMATS {
            let told = assembled(to, &encoded(from, to, &events));
            assert_eq!(text(&told), PIECES.concat(), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn every_piece_is_passed_on_as_soon_as_it_comes() {
    for from in PROVIDERS {
        for to in FORMATS {
            let mut decoder = format::stream_decoder(from);
            let options = StreamEncoderOptions {
                model: "m".into(),
                include_usage: true,
            };
            let mut encoder = format::stream_encoder(to, options);
            let mut told = 0;
            for event in stream(from, &["one", "two", "three"], counts(from)) {
                let (mut events, mut out) = (Vec::new(), BytesMut::new());
                let piece = match from {
                    CONVERSE => frames(std::slice::from_ref(&event)).concat(),
                    _ => sse(from, std::slice::from_ref(&event))
                        .replace("data: [DONE]\n\n", "")
                        .into_bytes(),
                };
                decoder.push(&Bytes::from(piece), &mut events).unwrap();
                events.iter().for_each(|event| encoder.encode(event, &mut out));
                for word in ["one", "two", "three"] {
                    if event.to_string().contains(&format!("\"{word}\"")) {
                        assert!(
                            String::from_utf8_lossy(&out).contains(word),
                            "{from:?} to {to:?} keeps {word} back"
                        );
                        told += 1;
                    }
                }
            }
            assert_eq!(told, 3);
        }
    }
}

#[test]
fn events_end_in_blank_lines_and_nothing_follows_the_terminator() {
    for to in [CHAT, RESPONSES, MESSAGES, GEMINI, COHERE] {
        let events = decoded(CHAT, &bytes(CHAT, &stream(CHAT, &["Hi."], counts(CHAT)))).unwrap();
        let told = String::from_utf8(encoded(CHAT, to, &events)).unwrap();
        // Google ends its lines in two bytes, the others in one; nobody mixes them.
        let line = if to == GEMINI { "\r\n" } else { "\n" };
        let blank = line.repeat(2);
        assert!(told.ends_with(&blank), "{to:?}: {told:?}");
        assert_eq!(told.contains('\r'), to == GEMINI, "{to:?}: {told:?}");
        for event in told.split_terminator(&blank) {
            let named = event.starts_with("event: ");
            assert_eq!(
                named,
                matches!(to, RESPONSES | MESSAGES | COHERE),
                "{to:?}: {event}"
            );
            assert_eq!(
                event.lines().count(),
                if named { 2 } else { 1 },
                "{to:?}: {event}"
            );
        }
        assert_eq!(told.ends_with("data: [DONE]\n\n"), to == CHAT, "{to:?}");
        assert_eq!(told.matches("[DONE]").count(), usize::from(to == CHAT), "{to:?}");
    }
}

#[test]
fn what_stands_behind_the_terminator_is_not_passed_on() {
    let mut whole = bytes(CHAT, &stream(CHAT, &["Hi."], counts(CHAT)));
    let length = whole.len();
    whole.extend_from_slice(b"\n\n\0trailing");
    let mut watcher = format::stream_watcher(CHAT, WatchOptions::default());
    let mut forward = SmallVec::new();
    assert!(watcher.push(whole.into(), &mut forward).ended);
    assert_eq!(forward.iter().map(Bytes::len).sum::<usize>(), length);
}

#[test]
fn a_stream_cut_off_is_never_a_clean_end() {
    for from in PROVIDERS {
        let mut events = stream(from, &["Hi", "."], counts(from));
        // The provider goes away after the first words.
        events.truncate(3);
        if from == GEMINI {
            events.truncate(1);
        }
        let piece = match from {
            CONVERSE => frames(&events).concat(),
            _ => sse(from, &events).replace("data: [DONE]\n\n", "").into_bytes(),
        };
        assert!(matches!(decoded(from, &piece), Err(StreamError::Cut)), "{from:?}");
        let mut watcher = format::stream_watcher(from, WatchOptions::default());
        watcher.push(piece.into(), &mut SmallVec::new());
        assert!(!watcher.finish(&mut SmallVec::new()), "{from:?}");
    }
}

#[test]
fn an_error_in_a_stream_is_an_error_for_every_client() {
    let message = "too busy right now";
    let failures = [
        (
            CHAT,
            json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}}),
        ),
        (
            MESSAGES,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": message}}),
        ),
        (
            GEMINI,
            json!({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}),
        ),
    ];
    for (from, failure) in failures {
        let mut events = stream(from, &["Hi"], counts(from));
        events.truncate(if from == GEMINI { 1 } else { 3 });
        events.push(failure);
        let piece = sse(from, &events).replace("data: [DONE]\n\n", "");
        let mut read = Vec::new();
        format::stream_decoder(from)
            .push(&Bytes::from(piece.clone()), &mut read)
            .unwrap();
        assert!(matches!(read.last(), Some(StreamEvent::Error(_))), "{from:?}");
        for to in [CHAT, RESPONSES, MESSAGES, GEMINI, COHERE] {
            let told = String::from_utf8(encoded(from, to, &read)).unwrap();
            assert!(told.contains(message), "{from:?} to {to:?}: {told}");
            for end in [
                "[DONE]",
                "message_stop",
                "response.completed",
                "\"STOP\"",
                "COMPLETE",
            ] {
                assert!(!told.contains(end), "{from:?} to {to:?}: {told}");
            }
        }
        let mut watcher = format::stream_watcher(from, WatchOptions::default());
        let mut forward = SmallVec::new();
        let seen = watcher.push(piece.into(), &mut forward);
        assert!(
            seen.failure.is_some(),
            "a passing stream is watched for it: {from:?}"
        );
    }
}

#[test]
fn an_error_before_the_first_words_is_told_from_content() {
    // Only so can another provider be asked instead.
    for (from, failure) in [
        (CHAT, json!({"error": {"message": "x", "type": "server_error"}})),
        (
            MESSAGES,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
        ),
        (
            GEMINI,
            json!({"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}),
        ),
    ] {
        let mut events = stream(from, &["Hi"], counts(from));
        events.truncate(if from == GEMINI { 0 } else { 1 });
        events.push(failure);
        let mut watcher = format::stream_watcher(from, WatchOptions::default());
        let seen = watcher.push(sse(from, &events).into(), &mut SmallVec::new());
        assert!(seen.failure.is_some() && !seen.content, "{from:?}: {seen:?}");
    }
}

#[test]
fn null_choices_are_no_choices() {
    let mut events = stream(CHAT, &["Hi."], counts(CHAT));
    let last = events.len() - 1;
    events[last]["choices"] = Value::Null;
    events.insert(
        0,
        json!({"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": null}),
    );
    assert_eq!(metered(CHAT, &events).input, 1);
    let told = assembled(CHAT, &bytes(CHAT, &events));
    assert_eq!(text(&told), "Hi.");
}

#[test]
fn the_model_is_named_even_if_the_first_chunk_does_not() {
    // Azure begins with a chunk of filter results that names neither model nor id.
    let mut events = stream(CHAT, &["Hi."], counts(CHAT));
    events.insert(0, json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}));
    let messages = streamed(CHAT, MESSAGES, &events);
    let start = &messages[0]["message"];
    assert!(
        !start["model"].as_str().unwrap().is_empty() && !start["id"].as_str().unwrap().is_empty(),
        "{start}"
    );
    for chunk in streamed(CHAT, CHAT, &events) {
        assert!(!chunk["model"].as_str().unwrap().is_empty(), "{chunk}");
    }
}

#[test]
fn every_chunk_has_id_created_and_model() {
    for from in PROVIDERS {
        let chunks = streamed(from, CHAT, &stream(from, &["Hi", "."], counts(from)));
        for chunk in &chunks {
            assert_eq!(
                (&chunk["id"], &chunk["created"], &chunk["model"]),
                (&chunks[0]["id"], &chunks[0]["created"], &chunks[0]["model"])
            );
            assert_eq!(chunk["object"], "chat.completion.chunk");
            assert!(
                chunk["created"].is_u64()
                    && chunk["model"].as_str() != Some("")
                    && chunk["id"].as_str() != Some(""),
                "{from:?}: {chunk}"
            );
        }
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant", "{from:?}");
    }
}

#[test]
fn pings_and_comments_are_no_content() {
    let mut watcher = format::stream_watcher(MESSAGES, WatchOptions::default());
    let seen = watcher.push(
        Bytes::from_static(b": keep-alive\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n"),
        &mut SmallVec::new(),
    );
    assert!(!seen.content && seen.failure.is_none());
    let mut events = stream(MESSAGES, &["Hi."], counts(MESSAGES));
    events.insert(3, json!({"type": "ping"}));
    for to in FORMATS {
        let read = decoded(MESSAGES, &bytes(MESSAGES, &events)).unwrap();
        assert_eq!(
            text(&assembled(to, &encoded(MESSAGES, to, &read))),
            "Hi.",
            "{to:?}"
        );
    }
}

#[test]
fn a_failure_of_the_gateway_ends_each_stream_in_its_own_words() {
    let failure = StreamEvent::Error(Failure::new(FailureKind::Overloaded, "gone"));
    for to in [CHAT, RESPONSES, MESSAGES, GEMINI, COHERE] {
        let told = data(&encoded(CHAT, to, std::slice::from_ref(&failure)));
        let last = told.last().unwrap();
        let at = match to {
            CHAT | GEMINI | MESSAGES => "/error/message",
            RESPONSES => "/message",
            _ => "/delta/error",
        };
        let there = last
            .pointer(at)
            .or_else(|| last.pointer("/response/error/message"));
        assert!(
            there.is_some_and(|told| told.to_string().contains("gone")),
            "{to:?}: {last}"
        );
    }
}

#[test]
fn an_error_goes_on_with_the_numbers_of_its_stream() {
    let failure = Failure::new(FailureKind::Provider, "gone");
    let number_of_error = |number: u64| {
        let mut out = BytesMut::new();
        pointsman_wire::failure::render_event_at(RESPONSES, &failure, ("req", number), &mut out);
        data(&out)[0]["sequence_number"].clone()
    };
    // Passing: the provider's numbers go on, and an event that fails is not counted, because it is not passed on.
    let events = [
        json!({"type": "response.created", "sequence_number": 0, "response": {"id": "r", "model": "gpt"}}),
        json!({"sequence_number": 7, "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "Hi"}),
        json!({"type": "error", "sequence_number": 8, "code": "server_error", "message": "gone", "param": null}),
    ];
    let mut watcher = format::stream_watcher(RESPONSES, WatchOptions::default());
    let seen = watcher.push(bytes(RESPONSES, &events).into(), &mut SmallVec::new());
    assert!(seen.failure.is_some());
    assert_eq!(number_of_error(watcher.next_number()), 8);
    // Translated: our own go on.
    let options = StreamEncoderOptions {
        model: "asked".into(),
        include_usage: true,
    };
    let mut encoder = format::stream_encoder(RESPONSES, options);
    let mut out = BytesMut::new();
    for event in decoded(CHAT, &bytes(CHAT, &stream(CHAT, &["Hi", " you"], Value::Null)))
        .unwrap()
        .iter()
        .take(4)
    {
        encoder.encode(event, &mut out);
    }
    let last = data(&out).last().unwrap()["sequence_number"].as_u64().unwrap();
    assert!(last > 1);
    assert_eq!(number_of_error(encoder.next_number()), last + 1);
}
