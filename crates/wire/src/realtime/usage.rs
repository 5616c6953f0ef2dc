//! What an answer and a transcription used, in the words of the Realtime API: totals include their details.

use crate::form::{Units, Usage};
use crate::format::DecodeError;
use crate::json::fields::Value;

/// Reads the `usage` of a response.
///
/// # Errors
/// When it names no tokens, or a count is not a whole number.
pub(super) fn read_usage(value: &Value<'_>) -> Result<Usage, DecodeError> {
    let mut fields = value.fields()?;
    let count = |value: Value<'_>| value.count();
    let mut usage = Usage {
        input: fields.need("input_tokens", count)?,
        output: fields.need("output_tokens", count)?,
        ..Usage::default()
    };
    fields.take("input_token_details", |details| {
        let mut details = details.fields()?;
        usage.cache_read = details.take("cached_tokens", count)?.unwrap_or(0);
        usage.audio_input = details.take("audio_tokens", count)?.unwrap_or(0);
        usage.image_input = details.take("image_tokens", count)?.unwrap_or(0);
        details.take("cached_tokens_details", |cached| {
            let mut cached = cached.fields()?;
            usage.units.cache_read_audio = cached.take("audio_tokens", count)?.unwrap_or(0);
            usage.units.cache_read_image = cached.take("image_tokens", count)?.unwrap_or(0);
            Ok(())
        })?;
        Ok(())
    })?;
    fields.take("output_token_details", |details| {
        let mut details = details.fields()?;
        usage.audio_output = details.take("audio_tokens", count)?.unwrap_or(0);
        usage.reasoning = details.take("reasoning_tokens", count)?.unwrap_or(0);
        Ok(())
    })?;
    Ok(usage)
}

/// Reads the `usage` of a transcription: tokens, or a time.
///
/// # Errors
/// When it is neither.
pub(super) fn read_transcription(value: &Value<'_>) -> Result<Usage, DecodeError> {
    let mut fields = value.fields()?;
    if !fields.has("seconds") {
        return read_usage(value);
    }
    let seconds = fields.need("seconds", |seconds| seconds.number())?;
    let seconds = seconds.as_f64().filter(|seconds| (0.0..1e9).contains(seconds));
    let Some(seconds) = seconds else {
        return Err(value.error("seconds is not a time"));
    };
    let units = Units {
        milliseconds_in: (seconds * 1_000.0).ceil() as u64,
        ..Units::default()
    };
    Ok(Usage {
        units,
        ..Usage::default()
    })
}
