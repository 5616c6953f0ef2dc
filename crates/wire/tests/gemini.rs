//! Gemini's format against a corpus of bodies: a round trip loses nothing, and a stream says the same however it comes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{Failure, FailureKind, FinishReason, MaxTokensName, PartKind, StreamEvent, Usage};
use pointsman_wire::format::{
    self, EncodeTarget, Format, StreamEncoder, StreamEncoderOptions, StreamError, WatchOptions,
};
use pointsman_wire::{failure, gemini, replay};
use proptest::prelude::*;
use serde_json::{Value, json};

const GEMINI: Format = Format::GeminiGenerate;
const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "gemini-2.5-flash",
    default_max_tokens: 10,
    max_tokens_name: MaxTokensName::MaxTokens,
    developer_role: true,
    stream_usage: true,
};

/// The bodies of one sort, by name.
fn corpus(sort: &str) -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/gemini")
        .join(sort);
    let mut all: Vec<(String, Value)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let body = serde_json::from_slice(&fs::read(&path).unwrap())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, body)
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn again(body: &Value) -> Value {
    let decoded = format::decode_request(GEMINI, &bytes(body)).unwrap();
    let encoded = format::encode_request(GEMINI, &decoded, &TARGET).unwrap();
    assert!(encoded.losses.is_empty(), "{:?}", encoded.losses);
    serde_json::from_slice(&encoded.body).unwrap()
}

fn sse(chunks: &Value) -> Vec<u8> {
    let events = chunks
        .as_array()
        .unwrap()
        .iter()
        .map(|chunk| format!("data: {chunk}\r\n\r\n"));
    events.collect::<String>().into_bytes()
}

fn decode(pieces: &[&[u8]]) -> Vec<StreamEvent> {
    let mut decoder = format::stream_decoder(GEMINI);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut events).unwrap();
    }
    decoder.finish(&mut events).unwrap();
    events
}

fn options() -> StreamEncoderOptions {
    StreamEncoderOptions {
        model: "m".into(),
        include_usage: true,
    }
}

fn encode(mut encoder: StreamEncoder, events: &[StreamEvent]) -> BytesMut {
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out
}

/// Without the counts on the way: only the last ones are written.
fn without_interim_usage(mut events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let last = events
        .iter()
        .rposition(|event| matches!(event, StreamEvent::Usage(_)));
    let mut at = 0;
    events.retain(|event| {
        at += 1;
        !matches!(event, StreamEvent::Usage(_)) || Some(at - 1) == last
    });
    events
}

#[test]
fn requests_survive_a_round_trip() {
    let all = corpus("request");
    assert!(all.len() >= 40);
    for (name, body) in all {
        assert_eq!(again(&body), body, "{name}");
    }
}

#[test]
fn answers_survive_a_round_trip() {
    let all = corpus("response");
    assert!(all.len() >= 24);
    for (name, body) in all {
        let decoded = format::decode_response(GEMINI, &bytes(&body)).unwrap();
        let written: Value = serde_json::from_slice(&format::encode_response(GEMINI, &decoded)).unwrap();
        assert_eq!(written, body, "{name}");
    }
}

#[test]
fn streams_survive_a_round_trip_in_both_shapes() {
    let all = corpus("stream");
    assert!(all.len() >= 18);
    for (name, chunks) in all {
        let events = decode(&[&sse(&chunks)]);
        // The same pieces as one list, as they come without `alt=sse`.
        assert_eq!(decode(&[chunks.to_string().as_bytes()]), events, "{name}");
        let expected = without_interim_usage(events.clone());
        let written = encode(format::stream_encoder(GEMINI, options()), &events);
        assert_eq!(without_interim_usage(decode(&[&written])), expected, "{name}");
        let list = StreamEncoder::from(gemini::stream::Encoder::list(options()));
        let written = encode(list, &events);
        let parsed: Vec<Value> = serde_json::from_slice(&written).unwrap();
        assert!(!parsed.is_empty(), "{name}");
        assert_eq!(without_interim_usage(decode(&[&written])), expected, "{name}");
    }
}

#[test]
fn every_answer_can_be_told_as_a_stream() {
    for (name, body) in corpus("response") {
        let decoded = format::decode_response(GEMINI, &bytes(&body)).unwrap();
        let written = encode(
            format::stream_encoder(GEMINI, options()),
            &replay::events(&decoded),
        );
        if decoded.choices.is_empty() {
            continue;
        }
        let mut assembler = Assembler::new(GEMINI);
        decode(&[&written]).iter().for_each(|event| assembler.push(event));
        let told = assembler.finish().unwrap();
        let texts = |response: &pointsman_wire::form::ChatResponse| -> String {
            let parts = response.choices.iter().flat_map(|choice| &choice.parts);
            parts
                .filter_map(|part| match &part.kind {
                    PartKind::Text(text) => Some(text.text.to_string()),
                    PartKind::ToolCall(call) => Some(format!("{}{}", call.name, call.arguments)),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(texts(&told), texts(&decoded), "{name}");
        assert_eq!(told.usage, decoded.usage, "{name}");
    }
}

#[test]
fn both_spellings_say_the_same() {
    let snake = json!({
        "system_instruction": {"parts": {"text": "s"}},
        "contents": {"parts": [{"inline_data": {"mime_type": "image/png", "data": "AA=="}}, {"file_data": {"mime_type": "video/mp4", "file_uri": "gs://b/v.mp4"}, "video_metadata": {"fps": 1}}]},
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}, {"google_search": {}}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "safety_settings": [{"category": "c"}],
        "generation_config": {"max_output_tokens": "100", "top_k": 40.0, "top_p": 0.5, "stop_sequences": "x", "candidate_count": 1, "response_mime_type": "application/json", "response_schema": {"type": "STRING"}, "thinking_config": {"thinking_budget": 7}, "response_modalities": ["TEXT"]},
        "cached_content": "c",
    });
    let camel = json!({
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}, "videoMetadata": {"fps": 1}}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "safetySettings": [{"category": "c"}],
        "generationConfig": {"maxOutputTokens": 100, "topK": 40, "topP": 0.5, "stopSequences": ["x"], "candidateCount": 1, "responseMimeType": "application/json", "responseSchema": {"type": "STRING"}, "thinkingConfig": {"thinking_budget": 7}, "responseModalities": ["TEXT"]},
        "cachedContent": "c",
    });
    assert_eq!(again(&snake), camel);
}

#[test]
fn errors_name_the_field() {
    for (body, param) in [
        (json!({}), "contents"),
        (
            json!({"contents": [{"role": "assistant", "parts": []}]}),
            "contents[0]",
        ),
        (
            json!({"contents": [{"parts": [{"text": 7}]}]}),
            "contents[0].parts[0].text",
        ),
        (
            json!({"contents": [], "generationConfig": {"maxOutputTokens": "many"}}),
            "generationConfig.maxOutputTokens",
        ),
        (
            json!({"contents": [], "tools": [{"functionDeclarations": [{}]}]}),
            "tools[0].functionDeclarations[0].name",
        ),
    ] {
        let error = format::decode_request(GEMINI, &bytes(&body)).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
    }
}

#[test]
fn a_result_edited_on_the_way_is_sent_as_edited() {
    let body = json!({"contents": [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"card": "4111 1111 1111 1111"}}}, {"functionResponse": {"name": "g", "response": {"result": "4111 1111 1111 1111"}}}]},
    ]});
    let mut request = format::decode_request(GEMINI, &bytes(&body)).unwrap();
    let mut seen = 0;
    pointsman_wire::text::rewrite(&mut request, |_, text| {
        seen += usize::from(text.contains("4111"));
        text.contains("4111")
            .then(|| text.replace("4111 1111 1111 1111", "[CARD]"))
    });
    assert_eq!(seen, 2);
    let encoded = format::encode_request(GEMINI, &request, &TARGET).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(
        body["contents"][1]["parts"][0]["functionResponse"]["response"],
        json!({"card": "[CARD]"})
    );
    assert_eq!(
        body["contents"][1]["parts"][1]["functionResponse"]["response"],
        json!({"result": "[CARD]"})
    );
}

#[test]
fn usage_is_what_the_last_piece_says_and_no_sum() {
    let (_, chunks) = corpus("stream")
        .into_iter()
        .find(|(name, _)| name == "thinking_then_text")
        .unwrap();
    let events = decode(&[&sse(&chunks)]);
    let last = events.iter().rev().find_map(|event| match event {
        StreamEvent::Usage(usage) => Some(*usage),
        _ => None,
    });
    let expected = Usage {
        input: 20,
        output: 96,
        reasoning: 92,
        ..Usage::default()
    };
    assert_eq!(last, Some(expected));
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let (_, chunks) = corpus("stream")
        .into_iter()
        .find(|(name, _)| name == "blocked")
        .unwrap();
    let finish = decode(&[&sse(&chunks)])
        .into_iter()
        .find_map(|event| match event {
            StreamEvent::Finish { reason, .. } => Some(reason),
            _ => None,
        });
    assert_eq!(finish, Some(FinishReason::ContentFilter));
    let (_, body) = corpus("response")
        .into_iter()
        .find(|(name, _)| name == "blocked_prompt")
        .unwrap();
    let decoded = format::decode_response(GEMINI, &bytes(&body)).unwrap();
    let openai: Value =
        serde_json::from_slice(&format::encode_response(Format::OpenAiChat, &decoded)).unwrap();
    assert_eq!(openai["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn finish_reasons_both_ways() {
    for (name, reason, back) in [
        ("STOP", FinishReason::Stop, "STOP"),
        ("MAX_TOKENS", FinishReason::Length, "MAX_TOKENS"),
        ("SAFETY", FinishReason::ContentFilter, "SAFETY"),
        ("RECITATION", FinishReason::ContentFilter, "SAFETY"),
        ("BLOCKLIST", FinishReason::ContentFilter, "SAFETY"),
        ("PROHIBITED_CONTENT", FinishReason::ContentFilter, "SAFETY"),
        ("SPII", FinishReason::ContentFilter, "SAFETY"),
        ("LANGUAGE", FinishReason::ContentFilter, "SAFETY"),
        ("IMAGE_SAFETY", FinishReason::ContentFilter, "SAFETY"),
        ("IMAGE_PROHIBITED_CONTENT", FinishReason::ContentFilter, "SAFETY"),
        ("IMAGE_RECITATION", FinishReason::ContentFilter, "SAFETY"),
        ("MODEL_ARMOR", FinishReason::ContentFilter, "SAFETY"),
        ("OTHER", FinishReason::Other("OTHER".into()), "OTHER"),
        (
            "MALFORMED_FUNCTION_CALL",
            FinishReason::Other("MALFORMED_FUNCTION_CALL".into()),
            "MALFORMED_FUNCTION_CALL",
        ),
    ] {
        let read = gemini::response::read_finish(&name.to_owned().into(), false);
        assert_eq!(read, reason, "{name}");
        assert_eq!(gemini::response::finish_name(&read), back, "{name}");
    }
    assert_eq!(
        gemini::response::read_finish(&"STOP".into(), true),
        FinishReason::ToolCalls
    );
    assert_eq!(
        gemini::response::finish_name(&FinishReason::Other("eos".into())),
        "OTHER"
    );
}

#[test]
fn an_end_without_reasons_is_a_cut() {
    let two = json!([
        {"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": [{"text": "b"}]}, "index": 1}]},
    ]);
    let list = two.to_string();
    for stream in [
        sse(&two),
        list.into_bytes(),
        Vec::new(),
        b"data: {\"candidates\":[]}\n\n".to_vec(),
    ] {
        let mut decoder = format::stream_decoder(GEMINI);
        let mut events = Vec::new();
        decoder.push(&Bytes::from(stream), &mut events).unwrap();
        assert_eq!(decoder.finish(&mut events), Err(StreamError::Cut));
        assert!(!events.contains(&StreamEvent::End));
    }
    // A list that was not closed is cut, too.
    let one = json!([{"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}])
        .to_string();
    let mut decoder = format::stream_decoder(GEMINI);
    let mut events = Vec::new();
    decoder
        .push(&Bytes::from(one[..one.len() - 1].to_owned()), &mut events)
        .unwrap();
    assert_eq!(decoder.finish(&mut events), Err(StreamError::Cut));
}

#[test]
fn arguments_that_come_in_pieces_become_one_call() {
    let call = |call: Value, finish: bool| {
        let mut candidate =
            json!({"content": {"parts": [{"functionCall": call}], "role": "model"}, "index": 0});
        if finish {
            candidate["finishReason"] = json!("STOP");
        }
        json!({"candidates": [candidate], "responseId": "r"})
    };
    let chunks = json!([
        call(json!({"id": "c1", "name": "book", "willContinue": true}), false),
        call(
            json!({"partialArgs": [{"jsonPath": "$.city", "stringValue": "Zer", "willContinue": true}], "willContinue": true}),
            false
        ),
        call(
            json!({"partialArgs": [{"jsonPath": "$.city", "stringValue": "matt"}, {"jsonPath": "$.nights", "numberValue": 2}], "willContinue": true}),
            false
        ),
        call(
            json!({"partialArgs": [{"jsonPath": "$.guests[0].adult", "boolValue": true}, {"jsonPath": "$.note", "nullValue": "NULL_VALUE"}], "willContinue": true}),
            false
        ),
        call(json!({}), true),
    ]);
    let mut assembler = Assembler::new(GEMINI);
    decode(&[&sse(&chunks)])
        .iter()
        .for_each(|event| assembler.push(event));
    let answer = assembler.finish().unwrap();
    let [part] = answer.choices[0].parts.as_slice() else {
        panic!("{answer:?}")
    };
    let PartKind::ToolCall(call) = &part.kind else {
        panic!("{part:?}")
    };
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
    assert_eq!(
        arguments,
        json!({"city": "Zermatt", "nights": 2, "guests": [{"adult": true}], "note": null})
    );
    assert_eq!(
        (call.id.as_ref() as &str, call.name.as_ref() as &str),
        ("c1", "book")
    );
    let mut decoder = format::stream_decoder(GEMINI);
    let mut events = Vec::new();
    let cut = json!([chunks[0], {"candidates": [{"finishReason": "STOP"}]}]);
    decoder.push(&Bytes::from(sse(&cut)), &mut events).unwrap();
    assert_eq!(decoder.finish(&mut events), Err(StreamError::Cut));
}

#[test]
fn an_error_in_the_middle_is_a_failure_in_all_its_shapes() {
    let error = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    let first = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0}]}"#;
    for stream in [
        format!("data: {first}\r\n\r\ndata: {error}\r\n\r\n"),
        format!("data: {first}\r\n\r\n{error}\n"),
        format!("[{first},\n{error}]"),
        error.to_owned(),
    ] {
        let mut decoder = format::stream_decoder(GEMINI);
        let mut events = Vec::new();
        decoder.push(&Bytes::from(stream), &mut events).unwrap();
        decoder.finish(&mut events).unwrap();
        let Some(StreamEvent::Error(failure)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(failure.kind, FailureKind::Overloaded);
    }
}

#[test]
fn errors_are_written_in_both_shapes_of_a_stream() {
    let failure = Failure::new(FailureKind::Provider, "the provider hung up");
    let start = StreamEvent::Start {
        id: "r".into(),
        model: "m".into(),
        created: None,
    };
    let events = [
        start,
        StreamEvent::PartStart {
            choice: 0,
            part: 0,
            start: pointsman_wire::form::PartStart::Text,
        },
        StreamEvent::Delta {
            choice: 0,
            part: 0,
            text: "a".into(),
        },
        StreamEvent::Error(failure.clone()),
    ];
    let list = StreamEncoder::from(gemini::stream::Encoder::list(options()));
    let parsed: Vec<Value> = serde_json::from_slice(&encode(list, &events)).unwrap();
    assert_eq!(parsed[1]["error"]["code"], 502);
    let mut event = BytesMut::new();
    failure::render_event(GEMINI, &failure, "", &mut event);
    let written = encode(format::stream_encoder(GEMINI, options()), &events);
    assert!(written.ends_with(&event));
}

#[test]
fn a_passing_stream_is_watched() {
    for (name, chunks) in corpus("stream") {
        let stream = sse(&chunks);
        let mut watcher = format::stream_watcher(GEMINI, WatchOptions::default());
        let mut forward = smallvec::SmallVec::new();
        let mut content = false;
        for piece in stream.chunks(37) {
            let seen = watcher.push(Bytes::copy_from_slice(piece), &mut forward);
            assert!(seen.failure.is_none(), "{name}");
            content |= seen.content;
        }
        assert!(watcher.finish(&mut forward), "{name}");
        // Nothing was added: there is no terminator.
        assert_eq!(forward.concat(), stream, "{name}");
        let usage = decode(&[&stream])
            .into_iter()
            .rev()
            .find_map(|event| match event {
                StreamEvent::Usage(usage) => Some(usage),
                _ => None,
            });
        assert_eq!(watcher.usage(), usage, "{name}");
        assert_eq!(content, name != "blocked", "{name}");
    }
    let mut cut = format::stream_watcher(GEMINI, WatchOptions::default());
    let mut forward = smallvec::SmallVec::new();
    let _ = cut.push(
        Bytes::from_static(b"data: {\"candidates\":[{\"finishReason\":\"STOP\"},{\"index\":1,\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\n"),
        &mut forward,
    );
    assert!(!cut.finish(&mut forward));
}

#[test]
fn tokens_are_counted_of_a_request_or_one_inside() {
    let plain = json!({"contents": [{"parts": [{"text": "count me"}]}]});
    let inside = json!({"generateContentRequest": {"model": "models/gemini-2.5-flash", "contents": [{"parts": [{"text": "count me"}]}]}});
    let plain = gemini::count::decode_request(&bytes(&plain)).unwrap();
    let inside = gemini::count::decode_request(&bytes(&inside)).unwrap();
    assert_eq!(plain.messages, inside.messages);
    assert_eq!(inside.model, "gemini-2.5-flash");
    assert_eq!(gemini::count::encode_response(31), r#"{"totalTokens":31}"#);
}

proptest! {
    #[test]
    fn any_cutting_decodes_to_the_same_events(
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        which in any::<prop::sample::Index>(),
        list in any::<bool>(),
    ) {
        let all = corpus("stream");
        let (_, chunks) = which.get(&all);
        let stream = if list { chunks.to_string().into_bytes() } else { sse(chunks) };
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(decode(&pieces), decode(&[&stream]));
    }

    #[test]
    fn fields_nobody_knows_survive_anywhere(
        which in any::<prop::sample::Index>(),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        value in prop_oneof![Just(json!(1.5)), Just(json!({"a": [null, "é\n"]})), Just(json!("x"))],
    ) {
        let all = corpus("request");
        let (_, body) = which.get(&all);
        let mut body = body.clone();
        for place in places {
            let paths = objects(&body);
            if let Some(object) = body.pointer_mut(place.get(paths.as_slice()).as_str()).and_then(Value::as_object_mut) {
                object.insert("xUnknown".to_owned(), value.clone());
            }
        }
        prop_assert_eq!(again(&body), body);
    }
}

/// Where the objects of a request are whose fields this format reads.
fn objects(body: &Value) -> Vec<String> {
    let mut paths = vec![String::new()];
    for path in ["/generationConfig", "/systemInstruction", "/toolConfig"] {
        if body.pointer(path).is_some() {
            paths.push(path.to_owned());
        }
    }
    for (at, content) in body["contents"].as_array().unwrap().iter().enumerate() {
        paths.push(format!("/contents/{at}"));
        for (part, value) in content["parts"].as_array().into_iter().flatten().enumerate() {
            let path = format!("/contents/{at}/parts/{part}");
            for inside in ["inlineData", "fileData", "functionCall", "functionResponse"] {
                if value.get(inside).is_some() {
                    paths.push(format!("{path}/{inside}"));
                }
            }
            paths.push(path);
        }
    }
    for (at, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        for (function, _) in tool["functionDeclarations"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            paths.push(format!("/tools/{at}/functionDeclarations/{function}"));
        }
    }
    paths
}
