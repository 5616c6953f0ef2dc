//! Taking request parameters away by name, for the `request_params` plugin.

use pointsman_wire::form::ChatRequest;

/// Removes the parameter that clients write as `name`; true when it was there.
pub fn field(request: &mut ChatRequest, name: &str) -> bool {
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
        other => request.extra.remove(other).is_some(),
    }
}
