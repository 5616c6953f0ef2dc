//! `prompts`: texts that stand in the file itself.

use super::{Files, Import};
use crate::source::Item;
use crate::yaml::Yaml;

/// Carries the prompts over.
pub(super) fn carry(import: &mut Import, files: &Files) {
    for item in files.list("prompts") {
        prompt(import, item);
    }
}

fn prompt(import: &mut Import, item: &Item) {
    let params = item.get("litellm_params");
    let content = params.and_then(|params| params.get("dotprompt_content"));
    let id = item
        .get("prompt_id")
        .or_else(|| params?.get("prompt_id"))
        .and_then(Item::peek);
    let (Some(content), Some(id)) = (content, id) else {
        import.draft.report.lost(
            item,
            "its text is not in this file",
            "put the text under prompts.templates",
        );
        return;
    };
    let text = content.peek().unwrap_or_default();
    let (head, body) = split(text);
    if !is_simple(body) {
        import.draft.report.lost(
            item,
            "its text holds more than variables ({{name}})",
            "write a simpler text under prompts.templates",
        );
        return;
    }
    for key in ["prompt_id", "prompt_integration"] {
        let places = [item.get(key), params.and_then(|params| params.get(key))];
        places.into_iter().flatten().for_each(Item::accept);
    }
    import.draft.block("prompts", |prompts| {
        prompts.update("templates", |templates| templates.set(id, Yaml::text(body)));
    });
    let head = if head.is_empty() {
        ""
    } else {
        ", and what its head says (model, parameters) is left out"
    };
    import.draft.report.nearest(
        content,
        format!("it is the text of one message{head}"),
        format!(
            "clients write {{template://{id}}} as the text of a message, and its variables as `properties`"
        ),
    );
}

/// The head between two lines of `---`, and the body.
fn split(text: &str) -> (&str, &str) {
    let inside = text.trim_start().strip_prefix("---\n");
    match inside.and_then(|inside| inside.split_once("\n---")) {
        Some((head, body)) => (head, body.trim_start_matches(['-', '\n'])),
        None => ("", text),
    }
}

/// Whether every `{{…}}` holds a name and nothing else.
fn is_simple(body: &str) -> bool {
    body.split("{{").skip(1).all(|rest| {
        rest.split_once("}}").is_some_and(|(name, _)| {
            let name = name.trim();
            !name.is_empty()
                && name
                    .bytes()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'-')
        })
    })
}
