//! Sound of OpenAI: what is spoken can be transcribed again.

use serde_json::{Value, json};

use super::error::{body as read_body, said};
use crate::exchange::{Bill, Refusal, Reply};
use crate::media::wav;
use crate::multipart::Form;
use crate::shape::{Kind, Shape, check, opt, req};
use crate::sim::Asked;
use crate::stream::Event;
use crate::tokens::{Usage, count, pieces};

static SPEECH: Kind = Kind::Object(&Shape(&[
    req("model", Kind::Text),
    req("input", Kind::Text),
    req("voice", Kind::TextOr(&Kind::Map)),
    opt("instructions", Kind::Text),
    opt(
        "response_format",
        Kind::OneOf(&["mp3", "opus", "aac", "flac", "wav", "pcm"]),
    ),
    opt("speed", Kind::Within(0.25, 4.0)),
    opt("stream_format", Kind::OneOf(&["sse", "audio"])),
]));
const FORM: &[&str] = &[
    "file",
    "model",
    "language",
    "prompt",
    "response_format",
    "temperature",
    "timestamp_granularities",
    "include",
    "chunking_strategy",
    "stream",
];
const FORMATS: &[&str] = &["json", "text", "srt", "verbose_json", "vtt", "diarized_json"];

/// Answers what is asked under `/audio`.
pub(super) fn answer(asked: &Asked, kind: &str) -> Result<(Bill, Reply), Refusal> {
    match kind {
        "speech" => speak(&read_body(asked)?),
        "transcriptions" => hear(&Form::read(asked, FORM)?, ""),
        "translations" => hear(&Form::read(asked, FORM)?, "In English: "),
        _ => Err(Refusal::new(404, "Invalid URL")),
    }
}

fn speak(body: &Value) -> Result<(Bill, Reply), Refusal> {
    check(body, &SPEECH).map_err(|problem| said(&problem, false))?;
    let text = body["input"].as_str().unwrap_or_default();
    if text.is_empty() || text.len() > 4096 {
        return Err(Refusal::bad("Invalid 'input': string must have 1 to 4096 characters.").at("input"));
    }
    let kind = match body["response_format"].as_str() {
        Some("opus") => "audio/opus",
        Some("aac") => "audio/aac",
        Some("flac") => "audio/flac",
        Some("wav") => "audio/wav",
        Some("pcm") => "audio/pcm",
        _ => "audio/mpeg",
    };
    let mut bill = Bill {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        ..Bill::default()
    };
    bill.usage.input = count(text);
    bill.usage.output = 10 * count(text);
    if body["stream_format"] != "sse" {
        return Ok((bill, Reply::Bytes(wav(text), kind)));
    }
    let told = json!({"input_tokens": bill.usage.input, "output_tokens": bill.usage.output,
                      "total_tokens": bill.usage.input + bill.usage.output});
    let event = |data: &Value| format!("data: {data}\n\n");
    let sound = json!({"type": "speech.audio.delta", "audio": crate::media::encode(&wav(text))});
    let done = json!({"type": "speech.audio.done", "usage": told});
    bill.told = Some(told.clone());
    let events = vec![
        Event::new(event(&sound), bill.usage.output),
        Event::new(event(&done), 0).telling(&told),
    ];
    Ok((bill, Reply::Stream(events)))
}

/// What is said in a wave of ours; of another, its size.
fn words(bytes: &[u8]) -> String {
    let samples = bytes.get(44..).unwrap_or_default();
    let text: Vec<u8> = samples.iter().copied().take_while(|byte| *byte != 128).collect();
    match String::from_utf8(text) {
        Ok(text) if bytes.starts_with(b"RIFF") && !text.is_empty() => text,
        _ => format!("a recording of {} bytes", bytes.len()),
    }
}

/// The format that is asked for, of those that the model and the file allow.
fn asked_format(form: &Form, model: &str, name: &str) -> Result<String, Refusal> {
    let known = [
        "flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm",
    ];
    if !known.contains(&name.rsplit('.').next().unwrap_or_default()) {
        return Err(Refusal::bad(format!("Invalid file format. Supported formats: {known:?}")).at("file"));
    }
    let format = form.text("response_format").unwrap_or_else(|| "json".to_owned());
    if !FORMATS.contains(&format.as_str()) {
        return Err(Refusal::bad(format!(
            "Invalid value: '{format}'. Supported values are: {FORMATS:?}."
        ))
        .at("response_format")
        .coded("invalid_value"));
    }
    if !model.starts_with("whisper") && !["json", "text"].contains(&format.as_str()) {
        return Err(Refusal::bad(format!(
            "response_format '{format}' is not compatible with model '{model}'. Use 'json' or 'text' instead."
        ))
        .at("response_format")
        .coded("unsupported_value"));
    }
    Ok(format)
}

fn hear(form: &Form, before: &str) -> Result<(Bill, Reply), Refusal> {
    let model = form.needed("model")?;
    let file = form.file("file")?;
    let format = asked_format(form, &model, file.filename.as_deref().unwrap_or_default())?;
    let whisper = model.starts_with("whisper");
    let text = format!("{before}{}", words(&file.data));
    let sound = 1 + file.data.len() as u64 / 100;
    let usage = Usage {
        input: sound,
        audio_input: sound,
        output: count(&text),
        ..Usage::default()
    };
    let told = if whisper {
        json!({"type": "duration", "seconds": 1})
    } else {
        json!({"type": "tokens", "input_tokens": sound, "output_tokens": usage.output, "total_tokens": sound + usage.output,
               "input_token_details": {"text_tokens": 0, "audio_tokens": sound}})
    };
    let streamed = form.text("stream").as_deref() == Some("true") && !whisper;
    let told_to = Some(told.clone()).filter(|_| streamed || format.ends_with("json"));
    let bill = Bill {
        model,
        usage,
        told: told_to,
    };
    if streamed {
        return Ok((bill, Reply::Stream(events(&text, &told))));
    }
    let reply = match format.as_str() {
        "text" => Reply::Bytes(format!("{text}\n").into_bytes(), "text/plain; charset=utf-8"),
        "srt" => Reply::Bytes(
            format!("1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n").into_bytes(),
            "text/plain; charset=utf-8",
        ),
        "vtt" => Reply::Bytes(
            format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n").into_bytes(),
            "text/vtt; charset=utf-8",
        ),
        "verbose_json" => Reply::Whole(
            json!({"task": "transcribe", "language": "english", "duration": 1.0, "text": text,
            "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": 1.0, "text": text, "tokens": [], "temperature": 0.0,
                          "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}], "usage": told}),
        ),
        _ => Reply::Whole(json!({"text": text, "usage": told})),
    };
    Ok((bill, reply))
}

fn events(text: &str, told: &Value) -> Vec<Event> {
    let event = |data: Value| format!("data: {data}\n\n");
    let mut events: Vec<Event> = pieces(text)
        .into_iter()
        .map(|piece| Event::new(event(json!({"type": "transcript.text.delta", "delta": piece})), 1))
        .collect();
    let done = json!({"type": "transcript.text.done", "text": text, "usage": told});
    events.push(Event::new(event(done), 0).telling(told));
    events
}
