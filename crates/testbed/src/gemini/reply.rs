//! Gemini's answers: whole, in pieces, and embedded.

use serde_json::{Value, json};

use super::contents::of_call;
use super::shapes;
use crate::exchange::{Bill, Refusal, Reply};
use crate::openai::vector;
use crate::script::{Answer, End, Question, sign};
use crate::stream::Event;
use crate::tokens::{Usage, count, pieces};

/// The usage, in the format's own words.
pub(super) fn usage(usage: &Usage) -> Value {
    let text = usage.input - usage.image_input - usage.audio_input;
    let details: Vec<Value> = [
        ("TEXT", text),
        ("IMAGE", usage.image_input),
        ("AUDIO", usage.audio_input),
    ]
    .into_iter()
    .filter(|(_, tokens)| *tokens > 0)
    .map(|(modality, tokens)| json!({"modality": modality, "tokenCount": tokens}))
    .collect();
    let mut told = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": details,
    });
    if usage.reasoning > 0 {
        told["thoughtsTokenCount"] = json!(usage.reasoning);
    }
    if usage.cache_read > 0 {
        told["cachedContentTokenCount"] = json!(usage.cache_read);
        told["cacheTokensDetails"] = json!([{"modality": "TEXT", "tokenCount": usage.cache_read}]);
    }
    told
}

fn finish(answer: &Answer) -> &'static str {
    match answer.end {
        End::Length => "MAX_TOKENS",
        End::Refusal => "SAFETY",
        End::Stop | End::StopSequence | End::Tools => "STOP",
    }
}

/// A part and its tokens.
type Part = (Value, u64);

/// The parts of an answer, in as many pieces as it is told in.
fn parts(answer: &Answer, body: &Value, streamed: bool) -> Vec<Part> {
    let cut = |text: &str| {
        if streamed {
            pieces(text)
        } else {
            vec![text.to_owned()]
        }
    };
    let mut all: Vec<Part> = Vec::new();
    let thinking = answer.thinking.as_deref().unwrap_or_default();
    let shown = body["generationConfig"]["thinkingConfig"]["includeThoughts"] == true;
    if !thinking.is_empty() && shown {
        let thoughts = cut(thinking).into_iter();
        all.extend(thoughts.map(|text| (json!({"text": text, "thought": true}), count(&text))));
    }
    let hidden = if shown { 0 } else { count(thinking) };
    let signed = !thinking.is_empty();
    if !answer.text.is_empty() {
        let texts = cut(&answer.text);
        let last = texts.len() - 1;
        for (at, text) in texts.into_iter().enumerate() {
            let mut part = json!({"text": text});
            if signed && at == last {
                part["thoughtSignature"] = json!(sign(thinking));
            }
            all.push((part, count(&text)));
        }
    }
    for (at, call) in answer.calls.iter().enumerate() {
        let mut part = json!({"functionCall": {"id": format!("fc-{}", call.key), "name": call.name, "args": call.arguments}});
        if signed && at == 0 {
            part["thoughtSignature"] = json!(of_call(&call.name, &call.arguments));
        }
        all.push((part, count(&call.name) + count(&call.arguments.to_string())));
    }
    if let Some(first) = all.first_mut() {
        first.1 += hidden;
    }
    all
}

fn response(answer: &Answer, question: &Question, candidates: Vec<Value>, told: &Value) -> Value {
    json!({"candidates": candidates, "usageMetadata": told,
           "modelVersion": crate::routes::plain_model(&question.model), "responseId": answer.seed})
}

/// The whole answer.
pub(super) fn whole(answer: &Answer, question: &Question, body: &Value, told: &Value) -> Value {
    let parts: Vec<Value> = parts(answer, body, false)
        .into_iter()
        .map(|(part, _)| part)
        .collect();
    let candidates = (0..question.choices)
        .map(|index| {
            json!({"content": {"parts": parts, "role": "model"}, "finishReason": finish(answer), "index": index})
        })
        .collect();
    response(answer, question, candidates, told)
}

/// The pieces of an answer; `array` says that they are elements of one.
pub(super) fn events(
    answer: &Answer,
    question: &Question,
    body: &Value,
    told: &Value,
    array: bool,
) -> Vec<Event> {
    let mut running = told.clone();
    running["candidatesTokenCount"] = json!(0);
    running["totalTokenCount"] = told["promptTokenCount"].clone();
    let parts = parts(answer, body, true);
    let mut chunks: Vec<(Value, u64, Option<Value>)> = Vec::new();
    for (part, tokens) in parts {
        let candidates = (0..question.choices)
            .map(|index| json!({"content": {"parts": [part], "role": "model"}, "index": index}))
            .collect();
        chunks.push((
            response(answer, question, candidates, &running),
            tokens * question.choices,
            Some(running.clone()),
        ));
    }
    let last = (0..question.choices)
        .map(|index| {
            json!({"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": finish(answer), "index": index})
        })
        .collect();
    chunks.push((response(answer, question, last, told), 0, Some(told.clone())));
    let count = chunks.len();
    let written = |at: usize, chunk: &Value| match (array, at) {
        (false, _) => format!("data: {chunk}\n\n"),
        (true, 0) => format!("[{chunk}"),
        (true, _) => format!(",\r\n{chunk}"),
    };
    let mut events: Vec<Event> = chunks
        .into_iter()
        .enumerate()
        .map(|(at, (chunk, tokens, usage))| Event {
            bytes: written(at, &chunk).into_bytes(),
            tokens,
            told: usage,
        })
        .collect();
    if array && count > 0 {
        events.push(Event::new("\n]\n", 0));
    }
    events
}

/// An embedding of one content, or of many.
pub(super) fn embed(bytes: &[u8], model: &str, batch: bool) -> Result<(Bill, Reply), Refusal> {
    let kind = if batch {
        &shapes::EMBED_BATCH
    } else {
        &shapes::EMBED
    };
    let body = super::check::body(bytes, kind)?;
    let requests: Vec<&Value> = if batch {
        body["requests"].as_array().into_iter().flatten().collect()
    } else {
        vec![&body]
    };
    let mut tokens = 0;
    let mut all = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let named = request["model"].as_str();
        if batch && named.is_none_or(|named| named.trim_start_matches("models/") != model) {
            return Err(Refusal::bad(format!(
                "* BatchEmbedContentsRequest.requests[{at}].model: model does not match the model of the batch"
            )));
        }
        let parts = request["content"]["parts"].as_array().into_iter().flatten();
        let text: String = parts.filter_map(|part| part["text"].as_str()).collect();
        tokens += count(&text);
        let asked = &request["outputDimensionality"];
        let asked = asked
            .as_u64()
            .or(request["embedContentConfig"]["outputDimensionality"].as_u64());
        let dimensions = asked.and_then(|count| usize::try_from(count).ok()).unwrap_or(8);
        all.push(json!({"values": vector(&text, dimensions.min(4096))}));
    }
    let told = json!({"promptTokenCount": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]});
    let bill = Bill {
        model: model.to_owned(),
        usage: Usage {
            input: tokens,
            ..Usage::default()
        },
        told: Some(told.clone()),
    };
    let reply = if batch {
        json!({"embeddings": all, "usageMetadata": told})
    } else {
        json!({"embedding": all.first(), "usageMetadata": told})
    };
    Ok((bill, Reply::Whole(reply)))
}
