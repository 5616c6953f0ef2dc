//! Marks for providers' own caches (`prompt_cache`), as the target that is asked takes them.
//!
//! Anthropic's models take them from Anthropic, on Bedrock, at Vertex AI and through OpenRouter, Nova on Bedrock. OpenAI
//! caches by itself; a key has requests that begin alike sent to where they are cached. Of others nothing is known.

use pointsman_routing::PromptCache;
use pointsman_wire::bedrock::Family;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind};
use pointsman_wire::format::Format;
use pointsman_wire::marks::{self, Takes, Wish};
use pointsman_wire::splice::Edits;

use crate::snapshot::Target;

/// The field by which OpenAI finds what is cached.
const KEY: &str = "prompt_cache_key";
/// Providers that know it.
const KEYED: [&str; 2] = ["openai", "azure-openai"];

/// The least tokens that Claude caches, by what its models' names hold; the first that fits counts.
const CLAUDE: [(&str, u64); 8] = [
    ("opus-4-1", 1_024),
    ("opus-4.1", 1_024),
    ("opus-4-0", 1_024),
    ("opus-4-2025", 1_024),
    ("opus-4-", 4_096),
    ("opus-4.", 4_096),
    ("haiku-4", 4_096),
    ("haiku", 2_048),
];
/// The same of all others, and of Nova.
const LEAST: u64 = 1_024;

/// The request with marks, where `target` takes any and the client has set none.
///
/// # Errors
/// 400 where it takes none and the decision does not want it asked then.
pub fn marked(
    settings: PromptCache,
    request: &ChatRequest,
    (name, target, to): (&str, &Target, Format),
) -> Result<Option<ChatRequest>, Failure> {
    let kind = target.provider.kind.as_str();
    let Some(takes) = takes((kind, name), to) else {
        let message = format!(
            "{name:?} at {:?} takes no marks for its cache",
            target.provider.name
        );
        return match settings.reject && !is_keyed(target, to) {
            true => Err(Failure::new(FailureKind::InvalidRequest, message)
                .at("model")
                .coded("unsupported_parameter")),
            false => Ok(None),
        };
    };
    let wish = Wish {
        tools: settings.tools,
        instructions: settings.instructions,
        history: settings.history,
        ttl: settings.hour.then_some("1h"),
    };
    let mut request = request.clone();
    let set = marks::mark(&mut request, &wish, takes);
    Ok((set > 0).then_some(request))
}

/// Gives the key to a provider that goes by one, unless the client has.
pub fn key(edits: &mut Edits, request: &ChatRequest, (target, to): (&Target, Format)) {
    if !is_keyed(target, to) || request.extra.get(KEY).is_some() {
        return;
    }
    if let Some(key) = marks::key(request) {
        edits.set_string(KEY, &format!("{key:016x}"));
    }
}

fn is_keyed(target: &Target, to: Format) -> bool {
    KEYED.contains(&target.provider.kind.as_str())
        && matches!(to, Format::OpenAiChat | Format::OpenAiResponses)
}

/// What a model takes of marks; none where it takes none.
fn takes((kind, model): (&str, &str), to: Format) -> Option<Takes> {
    match to {
        Format::AnthropicMessages | Format::BedrockInvoke => Some(claude(model)),
        Format::BedrockConverse => match Family::of(model) {
            Family::Claude => Some(claude(model)),
            Family::Nova => Some(Takes {
                least: LEAST,
                tools: false,
                parts: true,
            }),
            Family::GptOss | Family::Other => None,
        },
        Format::OpenAiChat if kind == "openrouter" && model.starts_with("anthropic/") => Some(Takes {
            tools: false,
            parts: false,
            ..claude(model)
        }),
        _ => None,
    }
}

fn claude(model: &str) -> Takes {
    let known = CLAUDE.iter().find(|(part, _)| model.contains(part));
    Takes {
        least: known.map_or(LEAST, |(_, least)| *least),
        tools: true,
        parts: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_take_marks_where_their_makers_say_so() {
        let least = |kind, model, to| takes((kind, model), to).map(|takes| (takes.least, takes.tools));
        for (kind, model, to, expected) in [
            (
                "anthropic",
                "claude-sonnet-4-5-20250929",
                Format::AnthropicMessages,
                Some((1_024, true)),
            ),
            (
                "anthropic",
                "claude-opus-4-1-20250805",
                Format::AnthropicMessages,
                Some((1_024, true)),
            ),
            (
                "anthropic",
                "claude-opus-4-20250514",
                Format::AnthropicMessages,
                Some((1_024, true)),
            ),
            (
                "anthropic",
                "claude-opus-4-5-20251101",
                Format::AnthropicMessages,
                Some((4_096, true)),
            ),
            (
                "anthropic",
                "claude-3-5-haiku-20241022",
                Format::AnthropicMessages,
                Some((2_048, true)),
            ),
            (
                "aws-bedrock",
                "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
                Format::BedrockConverse,
                Some((4_096, true)),
            ),
            (
                "aws-bedrock",
                "amazon.nova-pro-v1:0",
                Format::BedrockConverse,
                Some((1_024, false)),
            ),
            ("aws-bedrock", "meta.llama3-70b", Format::BedrockConverse, None),
            (
                "openrouter",
                "anthropic/claude-haiku-4.5",
                Format::OpenAiChat,
                Some((4_096, false)),
            ),
            ("openrouter", "qwen/qwen3", Format::OpenAiChat, None),
            ("openai", "gpt-5", Format::OpenAiChat, None),
        ] {
            assert_eq!(least(kind, model, to), expected, "{model}");
        }
    }
}
