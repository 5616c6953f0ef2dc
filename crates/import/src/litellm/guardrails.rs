//! `guardrails`: the content filter's patterns and words; all others are services or models.

use pointsman_guard::{Action, GuardrailConfig, Guards, RegexConfig, Stage};

use super::{Files, Import};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Carries the guardrails over.
pub(super) fn carry(import: &mut Import, files: &Files) {
    for item in files.list("guardrails") {
        guardrail(import, item);
    }
}

fn guardrail(import: &mut Import, item: &Item) {
    let Some(params) = item.get("litellm_params") else {
        return;
    };
    let Some(sort) = params.get("guardrail") else {
        return;
    };
    if sort.peek() != Some("litellm_content_filter") {
        import.draft.report.lost(
            item,
            format!(
                "this version has no guardrail {:?}",
                sort.peek().unwrap_or_default()
            ),
            "what regular expressions can find, a guardrail of type regex can block or redact",
        );
        return;
    }
    if params.get("default_on").and_then(Item::flag) != Some(true) {
        import.draft.report.lost(
            item,
            "it acts only on requests and keys that name it, and a guardrail of this version acts on all",
            "add it under guardrails if it may act on all",
        );
        return;
    }
    sort.accept();
    let name = item
        .get("guardrail_name")
        .and_then(Item::text)
        .unwrap_or("content-filter");
    let stages = stages(import, params);
    if stages.is_empty() {
        return;
    }
    for pattern in params.get("patterns").map(Item::items).unwrap_or_default() {
        self::pattern(import, pattern, name, &stages);
    }
    for word in params.get("blocked_words").map(Item::items).unwrap_or_default() {
        if let Some(keyword) = word.get("keyword").and_then(Item::text) {
            let escaped: String = keyword.chars().flat_map(escape).collect();
            let tag = params.get("keyword_redaction_tag").and_then(Item::text);
            let tag = tag.unwrap_or("[KEYWORD_REDACTED]").to_owned();
            add(
                import,
                word,
                &format!("{name}-words"),
                &stages,
                format!("(?i){escaped}"),
                tag,
            );
        }
    }
}

/// A letter of a word as a pattern.
fn escape(letter: char) -> impl Iterator<Item = char> {
    let special = letter.is_ascii_punctuation() && letter != '_';
    special.then_some('\\').into_iter().chain([letter])
}

fn stages(import: &mut Import, params: &Item) -> Vec<Stage> {
    let mut stages = Vec::new();
    for mode in params.get("mode").map(Item::one_or_many).unwrap_or_default() {
        let stage = match mode.peek() {
            Some("pre_call" | "during_call") => Stage::Input,
            Some("post_call") => Stage::Output,
            _ => {
                import
                    .draft
                    .report
                    .lost(mode, "a guardrail sees input, tool results and output", "");
                continue;
            }
        };
        if mode.peek() == Some("during_call") {
            import.draft.report.nearest(
                mode,
                "the prompt is looked at before it is sent, not at the same time",
                "",
            );
        }
        mode.accept();
        if !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    stages
}

fn pattern(import: &mut Import, item: &Item, name: &str, stages: &[Stage]) {
    if item.get("pattern_type").and_then(Item::peek) != Some("regex") {
        import.draft.report.lost(
            item,
            "LiteLLM's own patterns are not part of this version",
            "write the pattern under deny of a guardrail of type regex",
        );
        return;
    }
    if let Some(sort) = item.get("pattern_type") {
        sort.accept();
    }
    let Some(pattern) = item.get("pattern").and_then(Item::text) else {
        return;
    };
    let own = item.get("name").and_then(Item::text).unwrap_or("pattern");
    let tag = format!("[{}_REDACTED]", own.to_uppercase());
    // Python's `re` finds a pattern anywhere, whatever the case, as LiteLLM uses it.
    add(
        import,
        item,
        &format!("{name}-{own}"),
        stages,
        format!("(?i){pattern}"),
        tag,
    );
}

/// Adds a pattern; patterns of one name that do the same go together.
fn add(import: &mut Import, item: &Item, name: &str, stages: &[Stage], deny: String, tag: String) {
    let action = item.get("action").and_then(Item::text).unwrap_or("BLOCK");
    let masks = action.eq_ignore_ascii_case("mask");
    let name = format!("{name}-{}", if masks { "mask" } else { "block" });
    let config = RegexConfig {
        name: name.clone(),
        on: stages.to_vec(),
        action: if masks { Action::Redact } else { Action::Block },
        deny: vec![deny.clone()],
        replacement: masks.then(|| tag.clone()),
        ..RegexConfig::default()
    };
    if let Err(errors) = Guards::compile(&[GuardrailConfig::Regex(config)]) {
        let why = errors
            .first()
            .map(|error| error.message.clone())
            .unwrap_or_default();
        import.draft.report.lost(
            item,
            format!("this version cannot use the pattern: {why}"),
            "write one without look-around and back-references",
        );
        return;
    }
    let known = match import.draft.blocks.get("guardrails") {
        Some(Yaml::Map(all)) => all.get(&name).cloned(),
        _ => None,
    };
    let mut map = match known {
        Some(Yaml::Map(map)) => map,
        _ => {
            let mut map = Map::default();
            map.set("name", Yaml::text(&name));
            map.set("type", Yaml::text("regex"));
            map.set("on", Yaml::texts(stages.iter().map(|stage| stage_name(*stage))));
            map.set("action", Yaml::text(if masks { "redact" } else { "block" }));
            map
        }
    };
    map.push("deny", Yaml::text(deny));
    if masks {
        map.set("replacement", Yaml::text(tag));
    }
    import
        .draft
        .block("guardrails", |all| all.set(&name, Yaml::Map(map)));
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Input => "input",
        Stage::ToolResult => "tool_result",
        Stage::Output => "output",
    }
}
