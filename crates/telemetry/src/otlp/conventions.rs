//! Names, attributes and bounds of the OpenTelemetry GenAI semantic conventions, v1.41.

use opentelemetry::{KeyValue, StringValue};

use crate::metrics::{DURATION_US, OVERHEAD_US, TOKENS};
use crate::record::OwnedRecord;

/// What is asked of a model on a surface; none where no model is asked.
pub(super) fn operation(surface: &str) -> Option<&'static str> {
    let last = surface.rsplit(['/', ':']).next().unwrap_or_default();
    Some(match last {
        "embeddings" | "embed" | "embedContent" | "batchEmbedContents" => "embeddings",
        // The conventions have no name for these: they go by those of their endpoints.
        "rerank" => "rerank",
        "score" => "score",
        "pooling" => "pooling",
        "moderations" => "moderation",
        "tokenize" => "tokenize",
        "detokenize" => "detokenize",
        "count_tokens" | "countTokens" | "count-tokens" => "count_tokens",
        "generateContent" | "streamGenerateContent" => "generate_content",
        _ if output_type(surface).is_some() => "generate_content",
        "completions" if !surface.ends_with("chat/completions") => "text_completion",
        "completions"
        | "messages"
        | "responses"
        | "chat"
        | "converse"
        | "converse-stream"
        | "invoke"
        | "invoke-with-response-stream" => "chat",
        _ => return None,
    })
}

/// What is made on a surface that makes one thing only, other than a conversation.
fn output_type(surface: &str) -> Option<&'static str> {
    Some(match surface {
        "/v1/images/generations" | "/v1/images/edits" | "/v1/images/variations" => "image",
        "/v1/audio/speech" => "speech",
        "/v1/audio/transcriptions" | "/v1/audio/translations" => "text",
        _ => return None,
    })
}

/// The provider's name in the conventions, where they have one; else ours.
fn provider(record: &OwnedRecord) -> StringValue {
    let name = record.provider_kind.as_deref().or(record.provider.as_deref());
    let name = match name.unwrap_or("pointsman") {
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        "aws-bedrock" => "aws.bedrock",
        "azure-openai" => "azure.ai.openai",
        "gemini" | "google" => "gcp.gemini",
        "gcp-vertex" => "gcp.vertex_ai",
        other => other,
    };
    text(name)
}

/// The few attributes that measurements carry.
pub(super) fn labels(record: &OwnedRecord, operation: &'static str) -> Vec<KeyValue> {
    let mut labels = vec![
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.provider.name", provider(record)),
    ];
    // What a refused client wrote is no model: only one that was asked makes a series.
    if let Some(model) = &record.model {
        labels.push(KeyValue::new("gen_ai.request.model", text(model)));
    }
    labels
}

/// What went wrong, if anything did.
pub(super) fn error(record: &OwnedRecord) -> Option<KeyValue> {
    let failed = record
        .error
        .or((record.outcome == "cancelled").then_some("cancelled"))?;
    Some(KeyValue::new("error.type", failed))
}

/// `{operation} {model}`.
pub(super) fn span_name(record: &OwnedRecord, operation: &'static str) -> String {
    format!("{operation} {}", record.model_requested)
        .trim_end()
        .to_owned()
}

/// The attributes of a span.
pub(super) fn attributes(record: &OwnedRecord, operation: &'static str) -> Vec<KeyValue> {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.provider.name", provider(record)),
        KeyValue::new("gen_ai.request.model", text(&record.model_requested)),
        KeyValue::new("gen_ai.request.stream", record.streamed),
        KeyValue::new("gen_ai.usage.input_tokens", count(record.input_tokens)),
        KeyValue::new("gen_ai.usage.output_tokens", count(record.output_tokens)),
        KeyValue::new(
            "gen_ai.usage.cache_read.input_tokens",
            count(record.cache_read_tokens),
        ),
        KeyValue::new(
            "gen_ai.usage.reasoning.output_tokens",
            count(record.reasoning_tokens),
        ),
        KeyValue::new("pointsman.usage.estimated", record.usage_estimated),
        KeyValue::new("http.response.status_code", i64::from(record.status)),
        KeyValue::new("pointsman.request.id", text(&record.id)),
        KeyValue::new("pointsman.key", text(&record.key)),
        KeyValue::new("pointsman.cache", record.cache),
        KeyValue::new("pointsman.outcome", record.outcome),
        KeyValue::new("pointsman.attempts", i64::from(record.attempts)),
        KeyValue::new("pointsman.cost.nanodollars", record.cost_nanodollars),
        KeyValue::new("pointsman.saved.nanodollars", record.saved_nanodollars),
        KeyValue::new("pointsman.overhead_us", count(record.overhead_us)),
    ];
    let optional = [
        ("gen_ai.response.model", &record.model),
        ("pointsman.provider", &record.provider),
        ("pointsman.decision", &record.decision),
        ("pointsman.team", &record.team),
        ("pointsman.error.code", &record.code),
    ];
    let known =
        |(name, value): (&'static str, &Option<String>)| Some(KeyValue::new(name, text(value.as_ref()?)));
    attributes.extend(optional.into_iter().filter_map(known));
    if let Some(first) = record.ttft_us.filter(|_| record.streamed) {
        let name = "gen_ai.response.time_to_first_chunk";
        attributes.push(KeyValue::new(name, super::seconds(first)));
    }
    if let Some(made) = output_type(&record.surface) {
        attributes.push(KeyValue::new("gen_ai.output.type", made));
    }
    attributes.extend(error(record));
    attributes
}

fn text(value: &str) -> StringValue {
    StringValue::from(value.to_owned())
}

/// Bounds of durations, in seconds.
pub(super) fn durations() -> Vec<f64> {
    DURATION_US.iter().map(|bound| super::seconds(*bound)).collect()
}

/// Bounds of the gateway's own time, in seconds.
pub(super) fn overheads() -> Vec<f64> {
    OVERHEAD_US.iter().map(|bound| super::seconds(*bound)).collect()
}

/// Bounds of tokens.
pub(super) fn tokens() -> Vec<f64> {
    TOKENS.iter().map(|bound| *bound as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asks_a_model_is_an_operation() {
        for (surface, name) in [
            ("/v1/chat/completions", Some("chat")),
            ("/v1/messages", Some("chat")),
            ("/v1/completions", Some("text_completion")),
            ("/v1/embeddings", Some("embeddings")),
            ("/v2/embed", Some("embeddings")),
            ("/v1beta/models/{model}:batchEmbedContents", Some("embeddings")),
            ("/v1/rerank", Some("rerank")),
            ("/v1/score", Some("score")),
            ("/pooling", Some("pooling")),
            ("/v1/moderations", Some("moderation")),
            ("/v1/images/edits", Some("generate_content")),
            ("/v1/audio/speech", Some("generate_content")),
            ("/v1/audio/translations", Some("generate_content")),
            ("/tokenize", Some("tokenize")),
            ("/detokenize", Some("detokenize")),
            ("/v1/messages/count_tokens", Some("count_tokens")),
            ("/v1/responses", Some("chat")),
            ("/v2/chat", Some("chat")),
            (
                "/v1/models/{model}:streamGenerateContent",
                Some("generate_content"),
            ),
            ("/v1beta/models/{model}:countTokens", Some("count_tokens")),
            ("/model/{model}/count-tokens", Some("count_tokens")),
            ("/model/{model}/converse-stream", Some("chat")),
            ("/model/{model}/invoke", Some("chat")),
            ("/v1beta/models", None),
            ("/v1/models/{model}", None),
            ("/health", None),
            ("/api/v1/eval", None),
            ("unknown", None),
        ] {
            assert_eq!(operation(surface), name, "{surface}");
        }
    }

    #[test]
    fn what_is_made_is_told_where_it_is_one_thing() {
        for (surface, made) in [
            ("/v1/images/variations", Some("image")),
            ("/v1/audio/speech", Some("speech")),
            ("/v1/audio/transcriptions", Some("text")),
            ("/v1/chat/completions", None),
            ("/v1/embeddings", None),
        ] {
            assert_eq!(output_type(surface), made, "{surface}");
        }
    }

    #[test]
    fn bounds_are_those_of_the_conventions() {
        let durations = durations();
        assert_eq!((durations[0], durations[1], durations[13]), (0.01, 0.02, 81.92));
        assert_eq!(tokens()[..4], [1.0, 4.0, 16.0, 64.0]);
        assert_eq!(tokens()[13], 67_108_864.0);
    }
}
