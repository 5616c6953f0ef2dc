//! The many ways to write the name of a model, from the most to the least special. Nothing here allocates.

use crate::provider::Provider;

/// Prefixes of inference profiles: the same model, served from a part of the world.
const PROFILES: [&str; 9] = [
    "us.", "eu.", "apac.", "ap.", "global.", "us-gov.", "jp.", "au.", "ca.",
];

/// The name and what it may also be listed as, each simpler than the one before.
pub(crate) fn candidates<'a>(provider: &'a Provider, id: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::successors(Some(id), move |id| simpler(provider, id))
}

fn simpler<'a>(provider: &Provider, id: &'a str) -> Option<&'a str> {
    own_prefix(provider, id)
        .or_else(|| resource(id))
        .or_else(|| fine_tuned(id))
        .or_else(|| PROFILES.iter().find_map(|prefix| id.strip_prefix(prefix)))
        .or_else(|| Some(id.split_once('@')?.0))
        .or_else(|| undated(id))
        .filter(|simple| !simple.is_empty())
}

/// `openai/gpt-5` at OpenAI.
fn own_prefix<'a>(provider: &Provider, id: &'a str) -> Option<&'a str> {
    let (head, tail) = id.split_once('/')?;
    (head == provider.id || provider.aliases.iter().any(|alias| alias == head)).then_some(tail)
}

/// `models/gemini-…`, `publishers/google/models/gemini-…`, `arn:aws:bedrock:…:inference-profile/eu.anthropic.…`.
fn resource(id: &str) -> Option<&str> {
    if id.starts_with("arn:") {
        return Some(id.split_once('/')?.1);
    }
    if let Some(tail) = id.strip_prefix("models/") {
        return Some(tail);
    }
    let inside = id.starts_with("publishers/") || id.starts_with("projects/");
    inside.then(|| Some(id.rsplit_once("/models/")?.1)).flatten()
}

/// `ft:gpt-4o-mini:team:name:id` costs what `ft:gpt-4o-mini` costs.
fn fine_tuned(id: &str) -> Option<&str> {
    let base = id.strip_prefix("ft:")?;
    id.get(.."ft:".len() + base.find(':')?)
}

/// The id without the date it ends with: `-2025-08-07`, `-20250807`.
fn undated(id: &str) -> Option<&str> {
    let is_date = |tail: &str| {
        tail.bytes().filter(u8::is_ascii_digit).count() == 8
            && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    [9, 11].into_iter().find_map(|length| {
        let at = id.len().checked_sub(length)?;
        let (head, tail) = (id.get(..at)?, id.get(at..)?);
        tail.strip_prefix('-').is_some_and(is_date).then_some(head)
    })
}
