//! A message of Anthropic as named events.

use serde_json::{Value, json};

use super::reply::{begun, shown, stop_reason};
use crate::script::{Answer, Question, sign, stopped_by};
use crate::stream::Event;
use crate::tokens::{count, pieces};

/// What is said of an event before it is written: its data, tokens, and the usage it tells.
pub(crate) type Told = (Value, u64, Option<Value>);

/// The events of an answer, with their names.
pub(super) fn events(answer: &Answer, question: &Question, body: &Value, told: &Value) -> Vec<Event> {
    told_events(answer, question, body, told)
        .into_iter()
        .map(|(data, tokens, usage)| {
            let kind = data["type"].as_str().unwrap_or_default();
            let mut event = Event::new(format!("event: {kind}\ndata: {data}\n\n"), tokens);
            event.told = usage;
            event
        })
        .collect()
}

/// The data of the events of an answer.
pub(crate) fn told_events(answer: &Answer, question: &Question, body: &Value, told: &Value) -> Vec<Told> {
    let mut early = told.clone();
    early["output_tokens"] = json!(1);
    let start = json!({"type": "message_start", "message": begun(answer, question, &early)});
    let mut all = vec![(start, 0, Some(early)), (json!({"type": "ping"}), 0, None)];
    let mut index = 0;
    if let Some(thinking) = &answer.thinking {
        let shown = shown(thinking, body);
        let mut deltas: Vec<(Value, u64)> = pieces(shown)
            .into_iter()
            .map(|piece| (json!({"type": "thinking_delta", "thinking": piece}), 1))
            .collect();
        let hidden = count(thinking) - count(shown);
        deltas.push((
            json!({"type": "signature_delta", "signature": sign(thinking)}),
            hidden,
        ));
        let start = json!({"type": "thinking", "thinking": "", "signature": ""});
        block(&mut all, &mut index, start, deltas);
    }
    if !answer.text.is_empty() {
        let deltas = pieces(&answer.text)
            .into_iter()
            .map(|piece| (json!({"type": "text_delta", "text": piece}), 1))
            .collect();
        block(&mut all, &mut index, json!({"type": "text", "text": ""}), deltas);
    }
    for call in &answer.calls {
        let delta = |piece: &str| json!({"type": "input_json_delta", "partial_json": piece});
        let mut deltas = vec![(delta(""), count(&call.name))];
        deltas.extend(
            pieces(&call.arguments.to_string())
                .iter()
                .map(|piece| (delta(piece), 1)),
        );
        let start =
            json!({"type": "tool_use", "id": format!("toolu_{}", call.key), "name": call.name, "input": {}});
        block(&mut all, &mut index, start, deltas);
    }
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": stopped_by(answer, question)});
    all.push((
        json!({"type": "message_delta", "delta": delta, "usage": told}),
        0,
        Some(told.clone()),
    ));
    all.push((json!({"type": "message_stop"}), 0, None));
    all
}

fn block(all: &mut Vec<Told>, index: &mut usize, start: Value, deltas: Vec<(Value, u64)>) {
    all.push((
        json!({"type": "content_block_start", "index": index, "content_block": start}),
        0,
        None,
    ));
    for (delta, tokens) in deltas {
        all.push((
            json!({"type": "content_block_delta", "index": index, "delta": delta}),
            tokens,
            None,
        ));
    }
    all.push((json!({"type": "content_block_stop", "index": index}), 0, None));
    *index += 1;
}
