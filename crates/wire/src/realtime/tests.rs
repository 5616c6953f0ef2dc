//! Events as clients and providers send them, of both versions, and what is no event.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::form::{FailureKind, Text, Units, Usage};
use crate::text::TextStage;

fn text(event: &Value) -> Text {
    event.to_string().into()
}

fn client(event: Value) -> ClientEvent {
    ClientEvent::read(&text(&event)).unwrap()
}

fn server(event: Value) -> ServerEvent {
    ServerEvent::read(&text(&event)).unwrap()
}

#[test]
fn a_clients_events_say_what_they_ask_for() {
    let asks = |event: Value| client(event).asks;
    assert_eq!(
        asks(json!({"type": "input_audio_buffer.commit"})),
        ClientAsks::Listen
    );
    assert_eq!(
        asks(json!({"type": "input_audio_buffer.clear"})),
        ClientAsks::Other
    );
    assert_eq!(
        asks(json!({"type": "response.cancel", "response_id": "r"})),
        ClientAsks::Other
    );
    assert_eq!(asks(json!({"type": "made.up", "x": [1]})), ClientAsks::Other);
    let asked = Output {
        ceiling: Some(Ceiling::Tokens(9)),
        audio: Some(false),
    };
    for response in [
        json!({"max_output_tokens": 9, "output_modalities": ["text"]}),
        json!({"max_response_output_tokens": 9, "modalities": ["text"]}),
    ] {
        let event = json!({"type": "response.create", "response": response});
        assert_eq!(asks(event), ClientAsks::Response(asked));
    }
    assert_eq!(
        asks(json!({"type": "response.create"})),
        ClientAsks::Response(Output::default())
    );
    let event = client(json!({"type": "input_audio_buffer.append", "event_id": "e", "audio": "AAAAAAAA"}));
    assert_eq!(event.id.as_deref(), Some("e"));
    assert_eq!(event.said, Said { tokens: 0, audio: 6 });
}

#[test]
fn what_is_said_is_measured_by_its_kind() {
    let said = |content: Value| {
        client(json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})).said
    };
    let words = said(json!([{"type": "input_text", "text": "one two three four"}]));
    assert!((4..60).contains(&words.tokens) && words.audio == 0, "{words:?}");
    let sound = said(json!([{"type": "input_audio", "audio": "A".repeat(4_000)}]));
    assert_eq!(sound.audio, 3_000);
    assert!(sound.tokens < 20, "{sound:?}");
    let picture = said(json!([{"type": "input_image", "image_url": "A".repeat(400_000)}]));
    assert!((1_000..2_000).contains(&picture.tokens), "{picture:?}");
}

#[test]
fn a_session_is_told_in_the_words_of_both_versions() {
    let present = json!({"type": "session.created", "session": {"type": "realtime", "model": "gpt-realtime", "output_modalities": ["audio"], "max_output_tokens": "inf", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": {"model": "whisper-1"}}}}});
    let beta = json!({"type": "session.created", "session": {"model": "gpt-realtime", "modalities": ["text", "audio"], "max_response_output_tokens": "inf", "input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}});
    for event in [present, beta] {
        let ServerEvent::Session(session) = server(event) else {
            panic!()
        };
        assert_eq!(session.model.as_deref(), Some("gpt-realtime"));
        assert_eq!(session.transcriber.unwrap().0, "whisper-1");
        assert_eq!(session.output.ceiling, Some(Ceiling::Model));
        assert_eq!(session.output.audio, Some(true));
        assert_eq!(session.bytes_per_second, Some(48_000));
    }
    let telephone = json!({"type": "session.updated", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}});
    let ServerEvent::Session(telephone) = server(telephone) else {
        panic!()
    };
    assert_eq!(telephone.bytes_per_second, Some(8_000));
    let mut session = Session {
        model: Some("m".into()),
        ..Session::default()
    };
    session.update(*telephone);
    assert_eq!(
        (session.model.as_deref(), session.bytes_per_second),
        (Some("m"), Some(8_000))
    );
}

#[test]
fn the_usage_of_an_answer_is_read_to_the_last_detail() {
    let event = json!({"type": "response.done", "response": {"id": "resp_1", "status": "completed", "conversation_id": "c", "usage": {
        "total_tokens": 300, "input_tokens": 200, "output_tokens": 100,
        "input_token_details": {"text_tokens": 60, "audio_tokens": 130, "image_tokens": 10, "cached_tokens": 64, "cached_tokens_details": {"text_tokens": 14, "audio_tokens": 48, "image_tokens": 2}},
        "output_token_details": {"text_tokens": 20, "audio_tokens": 80}}}});
    let usage = Usage {
        input: 200,
        output: 100,
        cache_read: 64,
        audio_input: 130,
        image_input: 10,
        audio_output: 80,
        units: Units {
            cache_read_audio: 48,
            cache_read_image: 2,
            ..Units::default()
        },
        ..Usage::default()
    };
    assert_eq!(
        server(event),
        ServerEvent::ResponseDone {
            id: "resp_1".into(),
            status: Some("completed".into()),
            usage: Some(usage),
            kept: true
        }
    );
}

#[test]
fn an_answer_without_usage_or_outside_the_conversation_says_so() {
    let done = |response: Value| server(json!({"type": "response.done", "response": response}));
    for (response, told, inside) in [
        (json!({"id": "r"}), false, true),
        (
            json!({"id": "r", "usage": null, "conversation_id": null}),
            false,
            false,
        ),
        (
            json!({"id": "r", "usage": {"input_tokens": -1, "output_tokens": 1}}),
            false,
            true,
        ),
        (
            json!({"id": "r", "usage": {"input_tokens": 1, "output_tokens": 1}}),
            true,
            true,
        ),
    ] {
        let ServerEvent::ResponseDone { usage, kept, .. } = done(response.clone()) else {
            panic!()
        };
        assert_eq!((usage.is_some(), kept), (told, inside), "{response}");
    }
    let nameless = json!({"type": "response.done", "response": {}});
    assert!(ServerEvent::read(&text(&nameless)).is_err());
}

#[test]
fn transcriptions_are_billed_by_tokens_or_by_time() {
    let usage = |usage: Value| {
        let event = json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "content_index": 0, "transcript": "t", "usage": usage});
        let ServerEvent::Transcribed { item, usage } = server(event) else {
            panic!()
        };
        assert_eq!(item, ("i".into(), 0));
        usage
    };
    let tokens = usage(json!({"type": "tokens", "total_tokens": 30, "input_tokens": 20, "output_tokens": 10, "input_token_details": {"audio_tokens": 18, "text_tokens": 2}})).unwrap();
    assert_eq!((tokens.input, tokens.output, tokens.audio_input), (20, 10, 18));
    let time = usage(json!({"type": "duration", "seconds": 1.5})).unwrap();
    assert_eq!(time.units.milliseconds_in, 1_500);
    assert_eq!(usage(json!({"type": "duration", "seconds": -1})), None);
}

#[test]
fn pieces_of_answers_are_told_by_kind() {
    let spoken = |kind: &str, delta: &str| {
        let event = json!({"type": kind, "response_id": "r", "delta": delta});
        let ServerEvent::Delta { spoken, .. } = server(event) else {
            panic!("{kind}")
        };
        spoken
    };
    for kind in ["response.output_audio.delta", "response.audio.delta"] {
        assert_eq!(spoken(kind, "AAAAAAAA"), Spoken { tokens: 0, audio: 6 });
    }
    for kind in [
        "response.output_text.delta",
        "response.text.delta",
        "response.output_audio_transcript.delta",
        "response.function_call_arguments.delta",
    ] {
        assert!(spoken(kind, "words").tokens > 0, "{kind}");
    }
}

#[test]
fn a_name_deep_in_an_event_is_put_without_touching_the_rest() {
    let event = Bytes::from_static(
        b"{ \"type\":\"session.created\" , \"session\": {\"a\": 1.0, \"model\" :\"theirs\", \"z\":[ ]} }",
    );
    let put = put(&event, SESSION_MODEL, "ours").unwrap();
    assert_eq!(
        &put[..],
        b"{ \"type\":\"session.created\" , \"session\": {\"a\": 1.0, \"model\" :\"ours\", \"z\":[ ]} }"
    );
    let without = Bytes::from_static(b"{\"type\":\"error\"}");
    assert_eq!(super::put(&without, SESSION_MODEL, "ours").unwrap(), without);
}

#[test]
fn an_error_event_is_what_sdks_expect() {
    let failure = Failure::new(FailureKind::QuotaExceeded, "spent").coded("insufficient_quota");
    let event: Value = serde_json::from_str(&error_event(&failure, Some("mine"), "event_1")).unwrap();
    assert_eq!(
        event,
        json!({"type": "error", "event_id": "event_1", "error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "spent", "param": null, "event_id": "mine"}})
    );
    // And a provider's error is read as one.
    assert_eq!(server(event), ServerEvent::Error);
}

#[test]
fn guardrails_see_every_text_that_a_model_reads() {
    let seen = |mut event: Value| {
        let mut seen = Vec::new();
        rewrite_texts(&mut event, &mut |stage, text| {
            seen.push((stage, text.to_owned()));
            None
        })
        .unwrap();
        seen
    };
    let user = |text: &str| (TextStage::User, text.to_owned());
    assert_eq!(
        seen(
            json!({"type": "conversation.item.create", "item": {"id": "i", "type": "message", "content": [{"type": "input_text", "text": "a"}, {"type": "input_audio", "transcript": "b", "audio": "AAAA"}]}})
        ),
        [user("a"), user("b")]
    );
    assert_eq!(
        seen(
            json!({"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "o"}})
        ),
        [(TextStage::ToolResult, "o".to_owned())]
    );
    assert_eq!(
        seen(
            json!({"type": "session.update", "session": {"instructions": "i", "voice": "v", "prompt": {"id": "p", "variables": {"x": "y"}}}})
        ),
        [user("i"), user("y")]
    );
    assert_eq!(
        seen(
            json!({"type": "response.create", "response": {"instructions": "i", "input": [{"type": "function_call_output", "output": "o"}, {"type": "message", "content": [{"type": "input_text", "text": "t"}]}]}})
        ),
        [user("i"), (TextStage::ToolResult, "o".to_owned()), user("t")]
    );
    let mut deep = json!({"text": "x"});
    for _ in 0..40 {
        deep = json!({"x": deep});
    }
    assert_eq!(rewrite_texts(&mut deep, &mut |_, _| None), None);
}

#[test]
fn what_is_no_event_is_refused() {
    for text in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"session.update""#,
    ] {
        assert!(ClientEvent::read(&text.into()).is_err(), "{text}");
        assert!(ServerEvent::read(&text.into()).is_err(), "{text}");
    }
}

proptest! {
    /// Whatever stands in an event of a kind that nobody knows, it is read, and read as nothing.
    #[test]
    fn unknown_events_are_nothing(kind in "[a-z]{1,8}(\\.[a-z_]{1,8}){0,2}", value in "[ -~]{0,40}") {
        prop_assume!(!kind.starts_with("response.") && !kind.starts_with("session") && kind != "error");
        let event = json!({"type": kind, "event_id": value, "value": {"text": value}});
        prop_assert_eq!(server(event.clone()), ServerEvent::Other);
        let read = client(event);
        prop_assert_eq!(read.asks, ClientAsks::Other);
        prop_assert_eq!(read.id.as_deref(), Some(value.as_str()));
    }

    /// An event that is cut anywhere is refused, never half read.
    #[test]
    fn a_cut_event_is_refused(at in 1_usize..150) {
        let whole = json!({"type": "response.done", "response": {"id": "r", "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}}, "event_id": "Grüße"}).to_string();
        let cut: String = whole.chars().take(at.min(whole.chars().count() - 1)).collect();
        prop_assert!(ServerEvent::read(&cut.clone().into()).is_err(), "{cut}");
        prop_assert!(ClientEvent::read(&cut.into()).is_err());
    }

    /// A name that is put in is read back, whatever it is.
    #[test]
    fn names_survive(name in ".{0,30}") {
        let event = Bytes::from_static(br#"{"type":"session.created","session":{"model":"m"}}"#);
        let event = put(&event, SESSION_MODEL, &name).unwrap();
        let ServerEvent::Session(session) = ServerEvent::read(&event.try_into().unwrap()).unwrap() else { panic!() };
        prop_assert_eq!(session.model.as_deref(), Some(name.as_str()));
    }
}
