//! Request parameters by the names that OpenAI's clients know them by, whatever the format they came in.

use pointsman_wire::form::{ChatRequest, Reasoning, Text, Tool, ToolKind};
use pointsman_wire::format::Format;
use pointsman_wire::openai::request::effort_of;
use serde_json::Value;

/// Removes the parameter that clients write as `name`; true when it was there.
pub fn remove(request: &mut ChatRequest, name: &str) -> bool {
    let sampling = &mut request.sampling;
    match name {
        "max_tokens" | "max_completion_tokens" => sampling.max_tokens.take().is_some(),
        "temperature" => sampling.temperature.take().is_some(),
        "top_p" => sampling.top_p.take().is_some(),
        "top_k" => sampling.top_k.take().is_some(),
        "frequency_penalty" => sampling.frequency_penalty.take().is_some(),
        "presence_penalty" => sampling.presence_penalty.take().is_some(),
        "seed" => sampling.seed.take().is_some(),
        "n" => sampling.n.take().is_some(),
        "logprobs" => sampling.logprobs.take().is_some(),
        "top_logprobs" => sampling.top_logprobs.take().is_some(),
        "logit_bias" => sampling.logit_bias.take().is_some(),
        "stop" | "stop_sequences" => !std::mem::take(&mut sampling.stop).is_empty(),
        "tools" => !std::mem::take(&mut request.tools).is_empty(),
        "tool_choice" => request.tool_choice.take().is_some(),
        "parallel_tool_calls" => request.parallel_tool_calls.take().is_some(),
        "reasoning_effort" | "thinking" => request.reasoning.take().is_some(),
        "response_format" => request.response_format.take().is_some(),
        "user" | "metadata" => request.user.take().is_some() | request.extra.remove(name).is_some(),
        "service_tier" => request.service_tier.take().is_some(),
        other => remove_tool(request, other) || request.extra.remove(other).is_some(),
    }
}

/// Takes away the fields of a request that its format (OpenAI's two, Anthropic's) does not publish; true when there were any.
pub fn strip_unknown(request: &mut ChatRequest) -> bool {
    let Some(published) = published(request.format) else {
        return false;
    };
    let before = request.extra.0.len();
    // What the form notes of how things were written is no field.
    request
        .extra
        .0
        .retain(|(name, _)| name.starts_with('?') || published.contains(&&**name));
    request.extra.0.len() != before
}

/// Fields of a request that a format publishes and that have no place of their own in the form; none where the form keeps
/// fields of a format by other names.
fn published(format: Format) -> Option<&'static [&'static str]> {
    Some(match format {
        Format::OpenAiChat => &[
            "audio",
            "function_call",
            "functions",
            "metadata",
            "modalities",
            "moderation",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "store",
            "stream_options",
            "verbosity",
            "web_search_options",
        ],
        Format::OpenAiResponses => &[
            "background",
            "context_management",
            "conversation",
            "include",
            "max_tool_calls",
            "metadata",
            "previous_response_id",
            "prompt",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "store",
            "stream_options",
            "text",
            "truncation",
        ],
        Format::AnthropicMessages => &[
            "container",
            "context_management",
            "inference_geo",
            "mcp_servers",
            "metadata",
            "output_config",
            "output_format",
            "speed",
        ],
        _ => return None,
    })
}

/// Removes a tool that only its own format knows, such as `tools[4].type web_search`.
fn remove_tool(request: &mut ChatRequest, place: &str) -> bool {
    let index = place
        .strip_prefix("tools[")
        .and_then(|rest| rest.split_once("].type "));
    let Some(index) = index.and_then(|(index, _)| index.parse::<usize>().ok()) else {
        return false;
    };
    let is_own = |tool: &Tool| matches!(tool.kind, ToolKind::Opaque { .. });
    let there = request.tools.get(index).is_some_and(is_own);
    if there {
        request.tools.remove(index);
    }
    there
}

/// Whether the client has given the parameter.
pub fn has(request: &ChatRequest, name: &str) -> bool {
    let sampling = &request.sampling;
    match name {
        "max_tokens" => sampling.max_tokens.is_some(),
        "temperature" => sampling.temperature.is_some(),
        "top_p" => sampling.top_p.is_some(),
        "top_k" => sampling.top_k.is_some(),
        "frequency_penalty" => sampling.frequency_penalty.is_some(),
        "presence_penalty" => sampling.presence_penalty.is_some(),
        "seed" => sampling.seed.is_some(),
        "n" => sampling.n.is_some(),
        "stop" => !sampling.stop.is_empty(),
        "parallel_tool_calls" => request.parallel_tool_calls.is_some(),
        "reasoning_effort" => request.reasoning.is_some(),
        "user" => request.user.is_some(),
        "service_tier" => request.service_tier.is_some(),
        _ => false,
    }
}

/// Gives a parameter a value.
///
/// # Errors
/// When it is not known, or takes no such value.
pub fn set(request: &mut ChatRequest, name: &str, value: &Value) -> Result<(), &'static str> {
    let sampling = &mut request.sampling;
    let number = || value.as_number().cloned().ok_or("takes a number");
    let count = || value.as_u64().ok_or("takes a whole number");
    let text = || value.as_str().map(Text::from).ok_or("takes a text");
    match name {
        "max_tokens" => sampling.max_tokens = Some(count()?),
        "temperature" => sampling.temperature = Some(number()?),
        "top_p" => sampling.top_p = Some(number()?),
        "top_k" => sampling.top_k = Some(count()?),
        "frequency_penalty" => sampling.frequency_penalty = Some(number()?),
        "presence_penalty" => sampling.presence_penalty = Some(number()?),
        "seed" => sampling.seed = Some(value.as_i64().ok_or("takes a whole number")?),
        "n" => sampling.n = Some(count()?),
        "stop" => {
            let one = || Some(vec![Text::from(value.as_str()?)]);
            let many = || {
                let list = value.as_array()?.iter();
                list.map(|stop| stop.as_str().map(Text::from)).collect()
            };
            sampling.stop = one().or_else(many).ok_or("takes a text or a list of texts")?;
            sampling.stop_is_string = value.is_string();
        }
        "parallel_tool_calls" => {
            request.parallel_tool_calls = Some(value.as_bool().ok_or("takes true or false")?);
        }
        "reasoning_effort" => {
            let effort = value
                .as_str()
                .and_then(effort_of)
                .ok_or("takes an effort such as low")?;
            request.reasoning = Some(Reasoning {
                enabled: None,
                budget_tokens: None,
                effort: Some(effort),
                native: None,
            });
        }
        "user" => request.user = Some(text()?),
        "service_tier" => request.service_tier = Some(text()?),
        _ => {
            return Err(
                "is not a parameter that can be set in every format; use body.set with a JSON pointer",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pointsman_wire::format::decode_request;

    use super::*;

    #[test]
    fn fields_that_no_format_publishes_go() {
        let body = r#"{"model": "m", "messages": [], "metadata": {"a": "b"}, "store": true, "my_field": 1, "top_k": 3}"#;
        let mut request = decode_request(Format::OpenAiChat, &body.into()).unwrap();
        assert!(strip_unknown(&mut request));
        assert!(request.extra.get("metadata").is_some() && request.extra.get("my_field").is_none());
        assert!(!strip_unknown(&mut request));
    }

    #[test]
    fn tools_of_a_format_alone_can_go_and_no_others() {
        let body = r#"{"model": "m", "input": "x", "tools": [
            {"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}, {"type": "namespace", "name": "n", "tools": []}]}"#;
        let mut request = decode_request(Format::OpenAiResponses, &body.into()).unwrap();
        assert!(!remove(&mut request, "tools[0].type function"));
        assert!(!remove(&mut request, "tools[7].type web_search"));
        assert!(remove(&mut request, "tools[1].type web_search"));
        assert!(remove(&mut request, "tools[1].type namespace"));
        assert_eq!(request.tools.len(), 1);
    }
}
