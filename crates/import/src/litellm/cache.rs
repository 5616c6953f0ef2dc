//! `cache` and `cache_params`.

use super::Import;
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Carries the cache over.
pub(super) fn carry(import: &mut Import, library: &Item) {
    let Some(switch) = library.get("cache") else {
        return;
    };
    let on = switch.flag();
    let params = library.get("cache_params");
    if on != Some(true) {
        if let Some(params) = params {
            import.draft.report.lost(params, "the cache is off", "");
        }
        return;
    }
    let kind = params.and_then(|params| params.get("type"));
    let name = kind.and_then(Item::text).unwrap_or("local");
    if let Some(kind) = kind.filter(|_| name.contains("semantic")) {
        import.draft.report.lost(
            kind,
            "whether two questions are the same is judged otherwise here than by a threshold of similarity",
            "set cache.exact and cache.semantic",
        );
        return;
    }
    let mode = params.and_then(|params| params.get("mode"));
    if let Some(mode) = mode
        && mode.text() == Some("default_off")
    {
        import.draft.report.lost(
            mode,
            "the cache is for all requests or for none; single requests can only leave it out",
            "set cache.exact to switch it on",
        );
        return;
    }
    let calls = params.and_then(|params| params.get("supported_call_types"));
    for call in calls.map(Item::items).unwrap_or_default() {
        if matches!(
            call.peek(),
            Some("acompletion" | "completion" | "responses" | "anthropic_messages")
        ) {
            call.accept();
        }
    }
    if let Some(kind) = kind.filter(|_| name != "local") {
        import.draft.report.nearest(
            kind,
            "answers are remembered in the memory of the process: they are not shared between processes and end with it",
            "",
        );
    }
    let mut exact = Map::default();
    if let Some(ttl) = params
        .and_then(|params| params.get("ttl"))
        .and_then(Item::seconds)
    {
        exact.set("ttl", Yaml::text(ttl));
    }
    import.draft.report.nearest(
        switch,
        "an answer is given to the key that first got it, not to all",
        "set cache.scope to user, team or shared to share answers",
    );
    import
        .draft
        .block("cache", |cache| cache.set("exact", Yaml::Map(exact)));
}
