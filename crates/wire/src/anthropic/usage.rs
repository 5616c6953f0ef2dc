//! Anthropic's `usage`: `input_tokens` leave out what was read from or written to the cache.

use crate::form::{Text, Usage};
use crate::format::DecodeError;
use crate::json::fields::Value;
use crate::json::write::Object;

/// Reads `usage` over what an earlier one said: in a stream the last event repeats only some fields.
pub fn read_usage(value: &Value<'_>, before: Option<Usage>) -> Result<Usage, DecodeError> {
    let before = before.unwrap_or_default();
    let mut fields = value.fields()?;
    let count = |value: Value<'_>| value.count();
    let uncached = fields
        .take("input_tokens", count)?
        .unwrap_or_else(|| before.uncached_input());
    let cache_read = fields
        .take("cache_read_input_tokens", count)?
        .unwrap_or(before.cache_read);
    let written = fields.take("cache_creation_input_tokens", count)?;
    let mut cache_write = written.unwrap_or(before.cache_write + before.cache_write_1h);
    let mut cache_write_1h = if written.is_some() {
        0
    } else {
        before.cache_write_1h
    };
    fields.take("cache_creation", |details| {
        cache_write_1h = details
            .fields()?
            .take("ephemeral_1h_input_tokens", count)?
            .unwrap_or(0);
        Ok(())
    })?;
    cache_write_1h = cache_write_1h.min(cache_write);
    cache_write -= cache_write_1h;
    let mut reasoning = before.reasoning;
    fields.take("output_tokens_details", |details| {
        reasoning = details
            .fields()?
            .take("thinking_tokens", count)?
            .unwrap_or(reasoning);
        Ok(())
    })?;
    let mut searches = before.searches;
    fields.take("server_tool_use", |tools| {
        searches = tools
            .fields()?
            .take("web_search_requests", count)?
            .unwrap_or(searches);
        Ok(())
    })?;
    let usage = Usage {
        input: uncached + cache_read + cache_write + cache_write_1h,
        output: fields.take("output_tokens", count)?.unwrap_or(before.output),
        cache_read,
        cache_write,
        cache_write_1h,
        reasoning,
        searches,
        ..before
    };
    let compacted = fields.take("iterations", |passes| passes.list(read_compaction))?;
    Ok(compacted
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .fold(usage, with))
}

/// The service tier that was given, which `usage` tells, too.
pub fn read_tier(value: &Value<'_>) -> Result<Option<Text>, DecodeError> {
    value.fields()?.take("service_tier", |tier| tier.string())
}

/// What one pass used if it compacted the conversation: only that is left out of the totals. What other models said
/// on the way is charged at their own rates.
fn read_compaction(pass: Value<'_>) -> Result<Option<Usage>, DecodeError> {
    let kind = pass.fields()?.take("type", |kind| kind.string())?;
    match kind.as_deref() {
        Some("compaction") => read_usage(&pass, None).map(Some),
        _ => Ok(None),
    }
}

fn with(one: Usage, other: Usage) -> Usage {
    Usage {
        input: one.input.saturating_add(other.input),
        output: one.output.saturating_add(other.output),
        cache_read: one.cache_read.saturating_add(other.cache_read),
        cache_write: one.cache_write.saturating_add(other.cache_write),
        cache_write_1h: one.cache_write_1h.saturating_add(other.cache_write_1h),
        ..one
    }
}

/// Writes `usage`.
pub fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    object.count("input_tokens", usage.uncached_input());
    object.count(
        "cache_creation_input_tokens",
        usage.cache_write + usage.cache_write_1h,
    );
    object.count("cache_read_input_tokens", usage.cache_read);
    if usage.cache_write_1h > 0 {
        object.object("cache_creation", |details| {
            details.count("ephemeral_5m_input_tokens", usage.cache_write);
            details.count("ephemeral_1h_input_tokens", usage.cache_write_1h);
        });
    }
    object.count("output_tokens", usage.output);
    if usage.reasoning > 0 {
        object.object("output_tokens_details", |details| {
            details.count("thinking_tokens", usage.reasoning);
        });
    }
    if usage.searches > 0 {
        object.object("server_tool_use", |tools| {
            tools.count("web_search_requests", usage.searches);
        });
    }
}

/// Writes the service tier, if it is one that Anthropic names.
pub fn write_tier(object: &mut Object<'_>, tier: Option<&str>) {
    let known = |tier: &&str| matches!(*tier, "standard" | "priority" | "batch");
    object.maybe_string("service_tier", tier.filter(known));
}
