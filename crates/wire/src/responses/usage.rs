//! The `usage` object of responses: totals include their details.

use crate::form::Usage;
use crate::format::DecodeError;
use crate::json::fields::Value;
use crate::json::write::Object;
use crate::openai::usage::read_input_details;

/// Reads `usage`.
///
/// # Errors
/// When a count is not a whole number.
pub fn read_usage(value: &Value<'_>) -> Result<Usage, DecodeError> {
    let mut fields = value.fields()?;
    let count = |value: Value<'_>| value.count();
    let mut usage = Usage {
        input: fields.take("input_tokens", count)?.unwrap_or(0),
        output: fields.take("output_tokens", count)?.unwrap_or(0),
        ..Usage::default()
    };
    fields.take("input_tokens_details", |details| {
        read_input_details(&details, &mut usage)
    })?;
    fields.take("output_tokens_details", |details| {
        let mut details = details.fields()?;
        usage.reasoning = details.take("reasoning_tokens", count)?.unwrap_or(0);
        usage.audio_output = details.take("audio_tokens", count)?.unwrap_or(0);
        usage.image_output = details.take("image_tokens", count)?.unwrap_or(0);
        Ok(())
    })?;
    Ok(usage)
}

/// Searches of the web that `output` tells of. Each is billed; a page that is opened, or searched for a word, is not.
#[must_use]
pub fn searches_in(output: &Value<'_>) -> u64 {
    let mut searches = 0;
    // What makes no sense here is told elsewhere.
    let _ = output.list(|item| {
        searches += u64::from(is_search(&item));
        Ok(())
    });
    searches
}

/// Whether an item is a search of the web that was done.
#[must_use]
pub fn is_search(item: &Value<'_>) -> bool {
    let done = || {
        let mut item = item.fields()?;
        if item.take("type", |kind| kind.string())?.as_deref() != Some("web_search_call") {
            return Ok(false);
        }
        let action = item.take("action", |action| {
            action.fields()?.take("type", |kind| kind.string())
        })?;
        Ok(action.flatten().is_none_or(|action| action == "search"))
    };
    let done: Result<bool, DecodeError> = done();
    done.unwrap_or(false)
}

/// Writes `usage`.
pub fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    object.count("input_tokens", usage.input);
    object.object("input_tokens_details", |details| {
        details.count("cached_tokens", usage.cache_read);
        details.count("cache_write_tokens", usage.cache_write + usage.cache_write_1h);
        if usage.audio_input > 0 {
            details.count("audio_tokens", usage.audio_input);
        }
        if usage.image_input > 0 {
            details.count("image_tokens", usage.image_input);
        }
    });
    object.count("output_tokens", usage.output);
    object.object("output_tokens_details", |details| {
        details.count("reasoning_tokens", usage.reasoning);
        if usage.audio_output > 0 {
            details.count("audio_tokens", usage.audio_output);
        }
        if usage.image_output > 0 {
            details.count("image_tokens", usage.image_output);
        }
    });
    object.count("total_tokens", usage.total());
}
