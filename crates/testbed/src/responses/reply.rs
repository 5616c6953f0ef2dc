//! A response of OpenAI as a whole.

use serde_json::{Value, json};

use crate::script::{Answer, End, Question, sign};
use crate::tokens::Usage;

/// The usage, in the format's own words.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

/// The items of an answer, in order.
pub(super) fn output(answer: &Answer, body: &Value) -> Vec<Value> {
    let seed = &answer.seed;
    let mut all = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let summary = if body["reasoning"]["summary"].is_string() {
            json!([{"type": "summary_text", "text": thinking}])
        } else {
            json!([])
        };
        let mut item = json!({"id": format!("rs_{seed}"), "type": "reasoning", "summary": summary});
        let sealed = body["include"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "reasoning.encrypted_content"));
        if sealed {
            item["encrypted_content"] = json!(sign(thinking));
        }
        all.push(item);
    }
    let status = if answer.end == End::Length {
        "incomplete"
    } else {
        "completed"
    };
    if answer.calls.is_empty() {
        let part = if answer.refusal {
            json!({"type": "refusal", "refusal": answer.text})
        } else {
            json!({"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text})
        };
        all.push(
            json!({"id": format!("msg_{seed}"), "type": "message", "status": status, "role": "assistant",
                        "content": [part]}),
        );
    }
    for call in &answer.calls {
        all.push(
            json!({"id": format!("fc_{}", call.key), "type": "function_call", "status": "completed",
                        "arguments": call.arguments.to_string(), "call_id": format!("call_{}", call.key),
                        "name": call.name}),
        );
    }
    all
}

/// The response, finished.
pub(super) fn whole(answer: &Answer, question: &Question, body: &Value, told: &Value) -> Value {
    let mut response = started(answer, question, body);
    let short = answer.end == End::Length;
    response["status"] = json!(if short { "incomplete" } else { "completed" });
    if short {
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    } else {
        response["completed_at"] = json!(1_700_000_001);
    }
    response["output"] = json!(output(answer, body));
    response["usage"] = told.clone();
    response
}

/// The response, begun.
pub(super) fn started(answer: &Answer, question: &Question, body: &Value) -> Value {
    let or = |name: &str, usual: Value| match &body[name] {
        Value::Null => usual,
        said => said.clone(),
    };
    let text = match &body["text"]["format"] {
        Value::Null => json!({"type": "text"}),
        format => format.clone(),
    };
    json!({
        "id": format!("resp_{}", answer.seed),
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "in_progress",
        "background": or("background", json!(false)),
        "completed_at": null,
        "error": null,
        "incomplete_details": null,
        "instructions": body["instructions"],
        "max_output_tokens": body["max_output_tokens"],
        "max_tool_calls": null,
        "model": crate::routes::plain_model(&question.model),
        "output": [],
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": body["previous_response_id"],
        "prompt_cache_key": body["prompt_cache_key"],
        "reasoning": {"effort": body["reasoning"]["effort"], "summary": body["reasoning"]["summary"]},
        "safety_identifier": body["safety_identifier"],
        "service_tier": "default",
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": {"format": text, "verbosity": "medium"},
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_logprobs": 0,
        "top_p": or("top_p", json!(1.0)),
        "truncation": or("truncation", json!("disabled")),
        "usage": null,
        "user": body["user"],
        "metadata": or("metadata", json!({})),
    })
}
