//! Token counts as Converse tells them: `inputTokens` leave out what was read from or written to the cache.

use crate::form::{Text, Usage};
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
    let uncached = fields.take("inputTokens", count)?.unwrap_or(0);
    let cache_read = fields.take("cacheReadInputTokens", count)?.unwrap_or(0);
    let written = fields.take("cacheWriteInputTokens", count)?;
    let mut short = 0;
    let mut long = 0;
    fields.take("cacheDetails", |details| {
        details.list(|detail| {
            let mut detail = detail.fields()?;
            let ttl = detail.take("ttl", |ttl| ttl.string())?;
            let tokens = detail.take("inputTokens", count)?.unwrap_or(0);
            let sum = if ttl.as_deref() == Some("1h") {
                &mut long
            } else {
                &mut short
            };
            *sum = tokens.saturating_add(*sum);
            Ok(())
        })
    })?;
    let written = written.unwrap_or_else(|| short.saturating_add(long));
    let cache_write_1h = long.min(written);
    Ok(Usage {
        input: uncached.saturating_add(cache_read).saturating_add(written),
        output: fields.take("outputTokens", count)?.unwrap_or(0),
        cache_read,
        cache_write: written - cache_write_1h,
        cache_write_1h,
        ..Usage::default()
    })
}

/// Writes `usage`.
pub fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    object.count("inputTokens", usage.uncached_input());
    object.count("outputTokens", usage.output);
    object.count("totalTokens", usage.total());
    let written = usage.cache_write.saturating_add(usage.cache_write_1h);
    if usage.cache_read == 0 && written == 0 {
        return;
    }
    object.count("cacheReadInputTokens", usage.cache_read);
    object.count("cacheWriteInputTokens", written);
    if usage.cache_write_1h > 0 {
        object.list("cacheDetails", |list| {
            for (ttl, tokens) in [("1h", usage.cache_write_1h), ("5m", usage.cache_write)] {
                if tokens > 0 {
                    list.object(|detail| {
                        detail.string("ttl", ttl);
                        detail.count("inputTokens", tokens);
                    });
                }
            }
        });
    }
}

/// The service tier that was given.
pub(super) fn read_tier(value: &Value<'_>) -> Result<Option<Text>, DecodeError> {
    value.fields()?.take("type", |kind| kind.string())
}
