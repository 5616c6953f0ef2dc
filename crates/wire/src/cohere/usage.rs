//! Cohere's `usage`: `billed_units` are what is paid for, `tokens` what the model saw and wrote.
//!
//! The form's counts are those that are billed, because prices, budgets and the ledger mean them; the tokens that
//! Cohere adds for itself (its own preamble, the tools' wording) are in `tokens` only. Where a server tells no billed
//! units, its tokens are taken. Within the format the object is kept whole.

use crate::form::Usage;
use crate::format::DecodeError;
use crate::json::fields::Value;
use crate::json::write::Object;

/// Reads `usage`.
///
/// # Errors
/// When a count is not a number.
pub fn read_usage(value: &Value<'_>) -> Result<Usage, DecodeError> {
    let mut fields = value.fields()?;
    let billed = fields.take("billed_units", |units| read_units(&units))?;
    let tokens = fields.take("tokens", |units| read_units(&units))?;
    let cached = fields.take("cached_tokens", |value| read_count(&value))?;
    let either = |pick: fn(&Units) -> Option<u64>| {
        let billed = billed.as_ref().and_then(pick);
        billed.or_else(|| tokens.as_ref().and_then(pick)).unwrap_or(0)
    };
    let input = either(|units| units.input);
    Ok(Usage {
        input,
        output: either(|units| units.output),
        // What was cached is part of the prompt as the model saw it, which may be more than is billed.
        cache_read: cached.unwrap_or(0).min(input),
        searches: billed.and_then(|units| units.searches).unwrap_or(0),
        ..Usage::default()
    })
}

struct Units {
    input: Option<u64>,
    output: Option<u64>,
    searches: Option<u64>,
}

fn read_units(value: &Value<'_>) -> Result<Units, DecodeError> {
    let mut fields = value.fields()?;
    Ok(Units {
        input: fields.take("input_tokens", |value| read_count(&value))?,
        output: fields.take("output_tokens", |value| read_count(&value))?,
        searches: fields.take("search_units", |value| read_count(&value))?,
    })
}

/// A count; Cohere writes `18.0` as well as `18`.
fn read_count(value: &Value<'_>) -> Result<u64, DecodeError> {
    let number = value.number()?;
    let whole = number.as_u64().or_else(|| {
        number
            .as_f64()
            .filter(|count| *count >= 0.0)
            .map(|count| count.round() as u64)
    });
    whole.ok_or_else(|| value.error("a count is negative"))
}

/// Writes `usage` of an answer from another format: there what is billed is what was used.
pub fn write_usage(object: &mut Object<'_>, usage: &Usage) {
    object.object("billed_units", |units| {
        units.count("input_tokens", usage.input);
        units.count("output_tokens", usage.output);
        if usage.searches > 0 {
            units.count("search_units", usage.searches);
        }
    });
    object.object("tokens", |tokens| {
        tokens.count("input_tokens", usage.input);
        tokens.count("output_tokens", usage.output);
    });
    object.count("cached_tokens", usage.cache_read);
}
