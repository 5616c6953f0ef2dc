//! What users of other gateways complain about their bills, one test a pain: from what a provider tells to the amount.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::Bytes;
use pointsman_catalog::{Context, Price, SearchSize, ServiceTier};
use pointsman_wire::form::{ChatResponse, Usage};
use pointsman_wire::format::{self, Format};
use serde_json::{Value, json};

const STANDARD: Context = Context {
    tier: ServiceTier::Standard,
    search: SearchSize::Medium,
};

/// Dollars a million tokens, so nano-dollars a token are a thousand times as many.
fn price(rates: Value) -> Price {
    serde_json::from_value(rates).unwrap()
}

fn nano(rates: Value, usage: &Usage) -> i64 {
    price(rates).cost(usage, STANDARD).nanodollars()
}

/// What an answer used, and at which tier, as its provider tells it.
fn served(format: Format, usage: &Value) -> (Usage, ServiceTier) {
    let response = answer(format, usage);
    let tier = ServiceTier::said(response.service_tier.as_deref());
    (response.usage.unwrap(), tier)
}

/// What an answer used, as its provider tells it.
fn used(format: Format, usage: &Value) -> Usage {
    answer(format, usage).usage.unwrap()
}

fn answer(format: Format, usage: &Value) -> ChatResponse {
    let body = match format {
        Format::OpenAiChat => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]})
        }
        Format::OpenAiResponses => {
            json!({"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m",
            "output": [], "usage": usage})
        }
        Format::AnthropicMessages => {
            json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage})
        }
        Format::GeminiGenerate => {
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"text": "Hi."}]}}],
            "usageMetadata": usage, "modelVersion": "m", "responseId": "r"})
        }
        _ => {
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hi."}]}}, "stopReason": "end_turn", "usage": usage,
            "metrics": {"latencyMs": 1}})
        }
    };
    format::decode_response(format, &Bytes::from(body.to_string())).unwrap()
}

#[test]
fn cache_tokens_are_not_charged_twice() {
    let rates = json!({"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75});
    // 200 as usual, 700 read and 100 written, 50 said.
    let expected = 200 * 3_000 + 700 * 300 + 100 * 3_750 + 50 * 15_000;
    for (format, usage) in [
        (
            Format::OpenAiChat,
            json!({"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 100}}),
        ),
        (
            Format::OpenAiResponses,
            json!({"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050, "input_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 100}}),
        ),
        (
            Format::AnthropicMessages,
            json!({"input_tokens": 200, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 100, "output_tokens": 50}),
        ),
        (
            Format::BedrockConverse,
            json!({"inputTokens": 200, "cacheReadInputTokens": 700, "cacheWriteInputTokens": 100, "outputTokens": 50, "totalTokens": 1050}),
        ),
    ] {
        assert_eq!(nano(rates.clone(), &used(format, &usage)), expected, "{format:?}");
    }
}

#[test]
fn thoughts_are_charged_once_as_output() {
    let rates = json!({"input": 1, "output": 10});
    let gemini = json!({"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 150});
    let openai = json!({"prompt_tokens": 100, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 30}});
    for (format, usage) in [(Format::GeminiGenerate, gemini), (Format::OpenAiChat, openai)] {
        let cost = nano(rates.clone(), &used(format, &usage));
        assert_eq!(cost, 100 * 1_000 + 50 * 10_000, "{format:?}");
    }
}

#[test]
fn tool_results_of_the_provider_are_charged_as_prompt() {
    let usage = json!({"promptTokenCount": 100, "toolUsePromptTokenCount": 40, "candidatesTokenCount": 10, "totalTokenCount": 150});
    let cost = nano(
        json!({"input": 1, "output": 10}),
        &used(Format::GeminiGenerate, &usage),
    );
    assert_eq!(cost, 140 * 1_000 + 10 * 10_000);
}

#[test]
fn an_hour_in_the_cache_costs_its_own_rate() {
    let usage = json!({"input_tokens": 0, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 0, "output_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60}});
    let rates = json!({"input": 3, "output": 15, "cache_write": 3.75, "cache_write_1h": 6});
    assert_eq!(
        nano(rates, &used(Format::AnthropicMessages, &usage)),
        40 * 3_750 + 60 * 6_000
    );
}

#[test]
fn compaction_is_charged() {
    let usage = json!({"input_tokens": 20, "output_tokens": 5, "iterations": [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 300},
        {"type": "message", "input_tokens": 20, "output_tokens": 5}]});
    let cost = nano(
        json!({"input": 3, "output": 15}),
        &used(Format::AnthropicMessages, &usage),
    );
    assert_eq!(cost, 1_020 * 3_000 + 305 * 15_000);
}

#[test]
fn cached_tokens_count_for_the_size_of_the_prompt() {
    let rates = json!({"input": 3, "output": 15, "cache_read": 0.3, "above": {"200000": {"input": 6, "output": 22.5, "cache_read": 0.6}}});
    let usage = json!({"input_tokens": 1, "cache_read_input_tokens": 200_000, "cache_creation_input_tokens": 0, "output_tokens": 2});
    let cost = nano(rates, &used(Format::AnthropicMessages, &usage));
    assert_eq!(
        cost,
        6_000 + 200_000 * 600 + 2 * 22_500,
        "the whole request at the rate of its size"
    );
}

#[test]
fn what_a_batch_says_is_charged_at_the_rate_of_batches() {
    let batch = price(json!({"input": 3, "output": 15, "batch": {"input": 1.5, "output": 7.5}}));
    let usage = used(
        Format::AnthropicMessages,
        &json!({"input_tokens": 10, "output_tokens": 10}),
    );
    let context = Context {
        tier: ServiceTier::Batch,
        ..STANDARD
    };
    assert_eq!(batch.cost(&usage, context).nanodollars(), 10 * 1_500 + 10 * 7_500);
}

#[test]
fn a_batch_costs_half_where_the_model_has_no_rates_for_it() {
    let usage = Usage {
        input: 300,
        output: 7,
        cache_read: 100,
        searches: 2,
        ..Usage::default()
    };
    for (rates, expected) in [
        // 200 at 0.625, 100 at 0.0625, 7 at 5, and searches cost what they cost.
        (
            json!({"input": 1.25, "output": 10, "cache_read": 0.125, "per_search": 0.01}),
            200 * 625 + 100 * 62 + 50 + 7 * 5_000 + 20_000_000,
        ),
        // The model's own rates, whatever half would be; what is dearer when long is so only where the batch says so.
        (
            json!({"input": 1, "output": 1, "above": {"200": {"input": 9}}, "batch": {"input": 0.3, "output": 0.7}}),
            200 * 300 + 100 * 300 + 7 * 700,
        ),
        (
            json!({"input": 1, "output": 1, "above": {"200": {"input": 9}}}),
            300 * 4_500 + 7 * 500,
        ),
    ] {
        let cost = price(rates.clone()).in_batches(50);
        assert_eq!(cost.cost(&usage, STANDARD).nanodollars(), expected, "{rates}");
        // A tier that the answer names changes nothing.
        assert_eq!(cost.cost(&usage, ServiceTier::Priority).nanodollars(), expected);
    }
}

#[test]
fn a_million_small_answers_cost_a_million_times_as_much() {
    // Sums in floats drift.
    let usage = Usage {
        input: 1,
        output: 1,
        ..Usage::default()
    };
    let one = nano(json!({"input": 0.1, "output": 0.2}), &usage);
    let sum: i64 = (0..1_000_000).map(|_| one).sum();
    let many = Usage {
        input: 1_000_000,
        output: 1_000_000,
        ..Usage::default()
    };
    assert_eq!(sum, nano(json!({"input": 0.1, "output": 0.2}), &many));
}

#[test]
fn the_tier_that_was_served_is_the_one_that_is_paid_for() {
    let rates = price(json!({"input": 3, "output": 15, "priority": {"input": 6, "output": 30}}));
    // Whoever may be served first says `auto`, and is told what became of it.
    for (told, input, output) in [("priority", 6_000, 30_000), ("standard", 3_000, 15_000)] {
        let usage = json!({"input_tokens": 10, "output_tokens": 10, "service_tier": told});
        let (usage, tier) = served(Format::AnthropicMessages, &usage);
        let context = Context { tier, ..STANDARD };
        assert_eq!(
            rates.cost(&usage, context).nanodollars(),
            10 * input + 10 * output,
            "{told}"
        );
    }
}

#[test]
fn searches_are_charged_by_the_piece() {
    let rates = json!({"input": 3, "output": 15, "per_search": 0.01});
    let usage =
        json!({"input_tokens": 100, "output_tokens": 10, "server_tool_use": {"web_search_requests": 2}});
    assert_eq!(
        nano(rates, &used(Format::AnthropicMessages, &usage)),
        100 * 3_000 + 10 * 15_000 + 2 * 10_000_000
    );
}

#[test]
fn thoughts_of_a_batch_are_charged_at_the_rate_of_batches() {
    let rates = price(
        json!({"input": 0.3, "output": 2.5, "reasoning": 2.5, "batch": {"input": 0.15, "output": 1.25}}),
    );
    let usage = json!({"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 150});
    let context = Context {
        tier: ServiceTier::Batch,
        ..STANDARD
    };
    let cost = rates.cost(&used(Format::GeminiGenerate, &usage), context);
    assert_eq!(cost.nanodollars(), 100 * 150 + 50 * 1_250);
}
