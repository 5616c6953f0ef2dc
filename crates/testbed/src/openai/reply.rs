//! A chat completion or a completion as a whole.

use serde_json::{Value, json};

use crate::script::{Answer, End, Question};
use crate::tokens::Usage;

/// The usage, in the format's own words.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write,
            "audio_tokens": usage.audio_input, "image_tokens": usage.image_input,
            "text_tokens": usage.input - usage.audio_input - usage.image_input},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    })
}

/// The name of a reason to end.
pub(super) fn finish(answer: &Answer) -> &'static str {
    match answer.end {
        End::Length => "length",
        End::Tools => "tool_calls",
        End::Stop | End::StopSequence | End::Refusal => "stop",
    }
}

/// The calls of tools.
pub(super) fn calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.calls.iter().map(|call| {
        json!({"id": format!("call_{}", call.key), "type": "function",
               "function": {"name": call.name, "arguments": call.arguments.to_string()}})
    });
    calls.collect()
}

/// The whole answer.
pub(super) fn whole(answer: &Answer, question: &Question, told: &Value, text: bool) -> Value {
    let choice = |index: u64| {
        let logprobs = question.logprobs.map(|top| logprobs(answer, question, top));
        let mut choice = json!({"index": index, "logprobs": logprobs, "finish_reason": finish(answer)});
        if text {
            choice["text"] = json!(answer.text);
        } else {
            choice["message"] = message(answer);
        }
        choice
    };
    let choices: Vec<Value> = (0..question.choices).map(choice).collect();
    let (mark, kind) = if text {
        ("cmpl", "text_completion")
    } else {
        ("chatcmpl", "chat.completion")
    };
    json!({"id": format!("{mark}-{}", answer.seed), "object": kind, "created": 1_700_000_000,
           "model": crate::routes::plain_model(&question.model), "choices": choices, "usage": told,
           "service_tier": "default", "system_fingerprint": "fp_sim"})
}

/// How likely each token was: as good as certain, unless the model is one that is unsure.
fn logprobs(answer: &Answer, question: &Question, top: u64) -> Value {
    let (likely, behind) = if question.model.contains("unsure") {
        (-2.5, 0.1)
    } else {
        (-0.02, 8.0)
    };
    let pieces = crate::tokens::pieces(&answer.text);
    let token = |piece: &str| {
        let others = (0..top).map(|at| {
            let text = if at == 0 {
                piece.to_owned()
            } else {
                format!("?{at}")
            };
            #[allow(clippy::cast_precision_loss, reason = "twenty at most")]
            let logprob = likely - behind * at as f64;
            json!({"token": text, "logprob": logprob, "bytes": null})
        });
        json!({"token": piece, "logprob": likely, "bytes": null, "top_logprobs": others.collect::<Vec<_>>()})
    };
    let content: Vec<Value> = pieces.iter().map(|piece| token(piece)).collect();
    json!({"content": content, "refusal": null})
}

fn message(answer: &Answer) -> Value {
    let spoken = !answer.refusal && answer.calls.is_empty();
    let content = spoken.then_some(&answer.text);
    let refusal = answer.refusal.then_some(&answer.text);
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal, "annotations": []});
    if !answer.calls.is_empty() {
        message["tool_calls"] = json!(calls(answer));
    }
    if let Some(thinking) = &answer.thinking {
        message["reasoning_content"] = json!(thinking);
    }
    message
}
