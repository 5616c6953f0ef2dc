//! `reliability` of a model: how its backends are picked, tried again and left alone.

use super::Import;
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Blocks of providers and models.
#[derive(Default)]
pub(super) struct Policy {
    pub(super) balance: Map,
    pub(super) retry: Map,
    pub(super) health: Map,
}

/// Envoy's conditions, and ours.
const CONDITIONS: [(&str, &str); 8] = [
    ("connect-failure", "connect"),
    ("refused-stream", "connect"),
    ("reset", "reset"),
    ("reset-before-request", "reset"),
    ("5xx", "5xx"),
    ("gateway-error", "5xx"),
    ("retriable-4xx", "429"),
    ("retriable-status-codes", "429"),
];

pub(super) fn carry(import: &mut Import, model: &Item) -> Policy {
    let mut policy = Policy::default();
    let Some(block) = model.get("reliability") else {
        return policy;
    };
    let text = |key: &str| block.get(key).and_then(Item::text);
    let balance = match text("lb_policy") {
        Some("round_robin") => Some("round_robin"),
        Some("least_request") => Some("least_busy"),
        _ => None,
    };
    policy.balance.put("policy", balance.map(Yaml::text));
    if let Some(count) = block.get("retry_count").and_then(Item::whole) {
        policy.retry.set("attempts", Yaml::plain(count + 1));
        let conditions = block.get("retry_on");
        let named = conditions
            .and_then(Item::text)
            .unwrap_or_default()
            .split(',')
            .map(str::trim);
        let mut on: Vec<&str> = Vec::new();
        for name in named.filter(|name| !name.is_empty()) {
            match CONDITIONS.iter().find(|(theirs, _)| *theirs == name) {
                Some((_, ours)) if !on.contains(ours) => on.push(ours),
                Some(_) => {}
                None => {
                    if let Some(item) = conditions {
                        import
                            .draft
                            .report
                            .nearest(item, format!("{name} is no condition here"), "");
                    }
                }
            }
        }
        if !on.is_empty() {
            policy.retry.set("on", Yaml::texts(on));
        }
    }
    let failures = block
        .get("consecutive_5xx")
        .and_then(Item::whole)
        .filter(|count| *count > 0);
    policy
        .health
        .put("consecutive_failures", failures.map(Yaml::plain));
    let rest = text("base_ejection_time").map(str::to_owned);
    policy.health.put("open_for", rest.map(Yaml::text));
    for key in [
        "health_check_path",
        "health_check_interval",
        "health_check_timeout",
    ] {
        if let Some(item) = block.get(key) {
            import.draft.report.nearest(
                item,
                "whether a server is well is seen by how it answers requests: it is not asked besides",
                "",
            );
        }
    }
    policy
}
