//! A message of Anthropic as a whole.

use serde_json::{Value, json};

use crate::script::{Answer, End, Question, sign, stopped_by};
use crate::tokens::Usage;

/// The usage, in the format's own words.
pub(crate) fn usage(usage: &Usage, body: &Value) -> Value {
    let hour = body.to_string().contains("\"ttl\":\"1h\"");
    let (five, hour) = if hour {
        (0, usage.cache_write)
    } else {
        (usage.cache_write, 0)
    };
    json!({
        "input_tokens": usage.fresh(),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "service_tier": "standard",
    })
}

/// The name of a reason to stop.
pub(crate) fn stop_reason(answer: &Answer) -> &'static str {
    match answer.end {
        End::Stop => "end_turn",
        End::StopSequence => "stop_sequence",
        End::Length => "max_tokens",
        End::Tools => "tool_use",
        End::Refusal => "refusal",
    }
}

/// A thought as it is shown.
pub(crate) fn shown<'a>(thinking: &'a str, body: &Value) -> &'a str {
    if body["thinking"]["display"] == "omitted" {
        ""
    } else {
        thinking
    }
}

/// The whole answer.
pub(crate) fn whole(answer: &Answer, question: &Question, body: &Value, told: &Value) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(
            json!({"type": "thinking", "thinking": shown(thinking, body), "signature": sign(thinking)}),
        );
    }
    if !answer.text.is_empty() {
        content.push(json!({"type": "text", "text": answer.text}));
    }
    for call in &answer.calls {
        content.push(
            json!({"type": "tool_use", "id": format!("toolu_{}", call.key), "name": call.name, "input": call.arguments}),
        );
    }
    let mut message = begun(answer, question, told);
    message["content"] = json!(content);
    message["stop_reason"] = json!(stop_reason(answer));
    message["stop_sequence"] = json!(stopped_by(answer, question));
    message
}

/// A message of which nothing was said yet.
pub(super) fn begun(answer: &Answer, question: &Question, told: &Value) -> Value {
    json!({"id": format!("msg_{}", answer.seed), "type": "message", "role": "assistant",
           "model": crate::routes::plain_model(&question.model), "content": [], "stop_reason": null,
           "stop_sequence": null, "usage": told})
}
