//! Knowledge bases: those of the file, and the two that the router brings, where signals or scores name them.

use serde_json::{Value, json};

use super::Import;
use super::walk::beside;
use crate::source::Item;
use crate::yaml::{Map, Noted, Yaml};

/// Carries knowledge bases over.
pub(super) fn carry(import: &mut Import, root: &Item, block: &mut Map) {
    let mut known = Vec::new();
    let listed = root.at_path(&["global", "model_catalog", "kbs"]);
    for base in listed.map(Item::items).unwrap_or_default() {
        known.extend(base.get("name").and_then(Item::peek).map(str::to_owned));
        if let Some(value) = import.walk().named(base, "KnowledgeBase") {
            block.push("knowledge_bases", Noted::from(value));
        }
    }
    let mut named = Vec::new();
    of_routing(root.get("routing"), &mut named);
    for recipe in root.get("recipes").map(Item::items).unwrap_or_default() {
        of_routing(recipe.get("routing"), &mut named);
    }
    for (name, base) in brought() {
        let wanted = named.iter().any(|wanted| wanted == name);
        if wanted && !known.iter().any(|known| known == name) {
            let mut base = base;
            if let Some(path) = base.pointer_mut("/source/path")
                && let Some(own) = path.as_str()
            {
                *path = beside(&root.file, own).into();
            }
            let noted = Noted::from(Yaml::json(&base)).note("the router brings it");
            block.push("knowledge_bases", noted);
        }
    }
}

/// Knowledge bases that signals and scores of a routing name.
fn of_routing(routing: Option<&Item>, named: &mut Vec<String>) {
    let Some(routing) = routing else { return };
    let mut add = |item: &Item| named.extend(item.get("kb").and_then(Item::peek).map(str::to_owned));
    let signals = routing.at_path(&["signals", "kb"]);
    signals
        .map(Item::items)
        .unwrap_or_default()
        .iter()
        .for_each(&mut add);
    let scores = routing.at_path(&["projections", "scores"]);
    for score in scores.map(Item::items).unwrap_or_default() {
        let inputs = score.get("inputs").map(Item::items).unwrap_or_default();
        inputs.iter().for_each(&mut add);
    }
}

/// What the router brings, as its defaults have it.
fn brought() -> [(&'static str, Value); 2] {
    let guarded = [
        "prompt_injection",
        "credential_exfiltration",
        "jailbreak_role",
        "system_prompt_extraction",
    ];
    let policy = [
        "proprietary_code",
        "internal_document",
        "pii",
        "business_strategy",
        "trade_secret_ip",
        "operational_infrastructure",
        "locality_directive",
        "customer_data",
    ];
    let frontier = [
        "architecture_analysis",
        "root_cause_analysis",
        "multi_step_tradeoffs",
    ];
    let local = ["generic_coding", "simple_task", "general_knowledge"];
    let both = |one: &[&str], other: &[&str]| -> Vec<String> {
        one.iter().chain(other).map(|label| (*label).to_owned()).collect()
    };
    let privacy = json!({
        "name": "privacy_kb",
        "source": { "path": "knowledge_bases/privacy/", "manifest": "labels.json" },
        "threshold": 0.55,
        "label_thresholds": { "prompt_injection": 0.7 },
        "groups": {
            "security_containment": guarded, "privacy_policy": policy, "frontier_reasoning": frontier,
            "local_standard": local, "private": both(&guarded, &policy), "public": both(&frontier, &local),
        },
        "metrics": [ {
            "name": "private_vs_public", "type": "group_margin", "positive_group": "private", "negative_group": "public"
        } ],
    });
    let mmlu = json!({
        "name": "mmlu_kb",
        "source": { "path": "knowledge_bases/mmlu/", "manifest": "labels.json" },
        "threshold": 0.25,
        "groups": {
            "escalate": [
                "biology", "business", "computer science", "economics", "history", "math", "other", "philosophy", "psychology"
            ],
            "keep": ["chemistry", "engineering", "health", "law", "physics"],
        },
        "metrics": [ {
            "name": "escalate_vs_keep", "type": "group_margin", "positive_group": "escalate", "negative_group": "keep"
        } ],
    });
    [("privacy_kb", privacy), ("mmlu_kb", mmlu)]
}
