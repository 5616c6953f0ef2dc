//! OpenAI's `usage` object: totals include their details.

use crate::form::Usage;
use crate::format::DecodeError;
use crate::json::fields::Value;
use crate::json::write::Object;

/// Reads `usage`.
///
/// # Errors
/// When a count is not a whole number.
pub fn read_usage(value: &Value<'_>) -> Result<Usage, DecodeError> {
    let mut fields = value.fields()?;
    let count = |value: Value<'_>| value.count();
    let mut usage = Usage {
        input: fields.take("prompt_tokens", count)?.unwrap_or(0),
        output: fields.take("completion_tokens", count)?.unwrap_or(0),
        ..Usage::default()
    };
    fields.take("prompt_tokens_details", |details| {
        read_input_details(&details, &mut usage)
    })?;
    fields.take("completion_tokens_details", |details| {
        let mut details = details.fields()?;
        usage.reasoning = details.take("reasoning_tokens", count)?.unwrap_or(0);
        usage.audio_output = details.take("audio_tokens", count)?.unwrap_or(0);
        usage.accepted_prediction = details.take("accepted_prediction_tokens", count)?.unwrap_or(0);
        usage.rejected_prediction = details.take("rejected_prediction_tokens", count)?.unwrap_or(0);
        Ok(())
    })?;
    // DeepSeek tells cache hits beside the totals.
    if usage.cache_read == 0 {
        usage.cache_read = fields.take("prompt_cache_hit_tokens", count)?.unwrap_or(0);
    }
    Ok(usage)
}

/// Reads of what the prompt's tokens were, which chat completions and responses tell alike.
///
/// # Errors
/// When a count is not a whole number.
pub fn read_input_details(details: &Value<'_>, usage: &mut Usage) -> Result<(), DecodeError> {
    let mut details = details.fields()?;
    let mut count = |name: &str| Ok(details.take(name, |value| value.count())?.unwrap_or(0));
    usage.cache_read = count("cached_tokens")?;
    usage.cache_write = count("cache_write_tokens")?;
    usage.audio_input = count("audio_tokens")?;
    usage.image_input = count("image_tokens")?;
    Ok(())
}

/// Writes `usage`.
pub fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    object.count("prompt_tokens", usage.input);
    object.count("completion_tokens", usage.output);
    object.count("total_tokens", usage.total());
    object.object("prompt_tokens_details", |details| {
        details.count("cached_tokens", usage.cache_read);
        let written = usage.cache_write + usage.cache_write_1h;
        if written > 0 {
            details.count("cache_write_tokens", written);
        }
        details.count("audio_tokens", usage.audio_input);
        if usage.image_input > 0 {
            details.count("image_tokens", usage.image_input);
        }
    });
    object.object("completion_tokens_details", |details| {
        details.count("reasoning_tokens", usage.reasoning);
        details.count("audio_tokens", usage.audio_output);
        details.count("accepted_prediction_tokens", usage.accepted_prediction);
        details.count("rejected_prediction_tokens", usage.rejected_prediction);
    });
}
