//! `BackendTrafficPolicy`: retries, timeouts, balancing and limits.

use super::objects::{Object, Objects};
use super::{Import, references};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// What a policy says of models, and of which.
pub(super) struct Policy {
    /// Names of routes; of all when empty.
    routes: Vec<String>,
    namespace: String,
    retry: Map,
    timeouts: Map,
    balance: Option<&'static str>,
}

impl Policy {
    /// Whether it is for the models of a route.
    pub(super) fn is_for(&self, route: &Object) -> bool {
        self.routes.is_empty() || (self.namespace == route.namespace && self.routes.contains(&route.name))
    }

    /// Changes a model.
    pub(super) fn apply(&self, model: &mut Map) {
        model.put_map("retry", self.retry.clone());
        model.put_map("timeouts", self.timeouts.clone());
        if let Some(policy) = self.balance {
            model.update("balance", |balance| balance.set("policy", Yaml::text(policy)));
        }
    }
}

/// Reads all policies: those of gateways come first, so that those of routes win.
pub(super) fn read(import: &mut Import, objects: &Objects) -> Vec<Policy> {
    let costs = costs(import, objects);
    let mut policies = Vec::new();
    for object in objects.of("BackendTrafficPolicy") {
        let mut routes = Vec::new();
        let mut whole = false;
        for reference in references(object) {
            let field = |name: &str| reference.get(name).and_then(Item::text);
            field("group");
            match (field("kind"), field("name")) {
                (Some("Gateway"), Some(_)) => whole = true,
                (Some("HTTPRoute" | "AIGatewayRoute"), Some(name)) => routes.push(name.to_owned()),
                _ => import
                    .draft
                    .report
                    .lost(reference, "policies are for gateways and routes", ""),
            }
        }
        if !whole && routes.is_empty() {
            import.draft.report.lost(
                &object.root,
                "it is for nothing that was carried over",
                "set retry, timeouts and balance of the models by hand",
            );
            continue;
        }
        if whole {
            routes.clear();
        }
        policies.push(Policy {
            routes,
            namespace: object.namespace.clone(),
            retry: retry(import, object),
            timeouts: timeouts(import, object),
            balance: balance(import, object),
        });
        limits(import, object, &costs);
    }
    policies.sort_by_key(|policy| !policy.routes.is_empty());
    policies
}

/// A duration of the Gateway API: `1h`, `500ms`, `1m30s`.
pub(super) fn duration(item: &Item) -> Option<String> {
    let text = item.peek()?;
    text.parse::<pointsman_upstream::HumanDuration>().ok()?;
    item.accept();
    Some(text.to_owned())
}

fn retry(import: &mut Import, object: &Object) -> Map {
    let mut retry = Map::default();
    let spec = |path: &[&str]| {
        let mut whole = vec!["retry"];
        whole.extend(path);
        object.spec(&whole)
    };
    if let Some(retries) = spec(&["numRetries"]).and_then(Item::whole) {
        retry.set("attempts", Yaml::plain(retries.saturating_add(1).min(100)));
    }
    let mut on = retried(import, object);
    on.dedup();
    if !on.is_empty() {
        retry.set("on", Yaml::texts(on));
    }
    let mut backoff = Map::default();
    for (name, key) in [("base", "baseInterval"), ("max", "maxInterval")] {
        let time = spec(&["perRetry", "backOff", key]).and_then(duration);
        backoff.put(name, time.map(Yaml::text));
    }
    retry.put_map("backoff", backoff);
    if let Some(item) = spec(&["numAttemptsPerPriority"]) {
        import.draft.report.nearest(
            item,
            "the next priority is tried when all targets of one have been, or are unwell",
            "",
        );
    }
    retry
}

/// What is tried again.
fn retried(import: &mut Import, object: &Object) -> Vec<String> {
    let list = |name: &str| {
        let items = object.spec(&["retry", "retryOn", name]);
        items.map(Item::items).unwrap_or_default()
    };
    let mut on: Vec<String> = Vec::new();
    for trigger in list("triggers") {
        let tokens: &[&str] = match trigger.peek().unwrap_or_default() {
            "5xx" => &["5xx", "reset"],
            "gateway-error" => &["502", "503", "504"],
            "connect-failure" => &["connect"],
            "reset" | "reset-before-request" | "refused-stream" => &["reset"],
            "retriable-4xx" => &["409"],
            // Which ones is said beside it.
            "retriable-status-codes" => &[],
            _ => {
                import
                    .draft
                    .report
                    .lost(trigger, "there is no such reason to try again", "see retry.on");
                continue;
            }
        };
        trigger.accept();
        on.extend(tokens.iter().map(|token| (*token).to_owned()));
    }
    for code in list("httpStatusCodes") {
        match code.peek() {
            Some("400" | "401" | "403" | "404" | "413" | "422") => import.draft.report.lost(
                code,
                "such an answer would come again: it is never tried again at the same target",
                "",
            ),
            Some(status)
                if status
                    .parse::<u16>()
                    .is_ok_and(|status| (400..600).contains(&status)) =>
            {
                code.accept();
                on.push(status.to_owned());
            }
            _ => import.draft.report.lost(code, "it is no status of a failure", ""),
        }
    }
    on
}

fn timeouts(import: &mut Import, object: &Object) -> Map {
    let mut timeouts = Map::default();
    let connect = object
        .spec(&["timeout", "tcp", "connectTimeout"])
        .and_then(duration);
    timeouts.put("connect", connect.map(Yaml::text));
    let attempt = object.spec(&["retry", "perRetry", "timeout"]);
    if let (Some(item), Some(time)) = (attempt, attempt.and_then(duration)) {
        timeouts.set("first_byte", Yaml::text(time));
        import
            .draft
            .report
            .nearest(item, "it is how long an attempt may take to its first byte", "");
    }
    let total = object
        .spec(&["timeout", "http", "requestTimeout"])
        .and_then(duration);
    timeouts.put("total", total.map(Yaml::text));
    let idle = object.spec(&["timeout", "http", "connectionIdleTimeout"]);
    if let (Some(item), Some(time)) = (idle, idle.and_then(duration)) {
        import.draft.block("upstream", |upstream| {
            upstream.update("pool", |pool| pool.set("idle_timeout", Yaml::text(time)));
        });
        import
            .draft
            .report
            .nearest(item, "it is for connections to all providers", "");
    }
    timeouts
}

fn balance(import: &mut Import, object: &Object) -> Option<&'static str> {
    let item = object.spec(&["loadBalancer", "type"])?;
    let policy = match item.peek()? {
        "RoundRobin" => "round_robin",
        "LeastRequest" => "least_busy",
        "Random" => "weighted",
        _ => {
            import.draft.report.lost(
                item,
                "there is no such policy; targets are picked by weight",
                "set models.NAME.balance.policy",
            );
            return None;
        }
    };
    item.accept();
    Some(policy)
}

/// What counts are called: `metadataKey` and type.
fn costs(import: &mut Import, objects: &Objects) -> Vec<(String, String)> {
    let routes = objects
        .of("AIGatewayRoute")
        .filter_map(|route| route.spec(&["llmRequestCosts"]));
    let global = objects
        .of("GatewayConfig")
        .filter_map(|config| config.spec(&["globalLLMRequestCosts"]));
    let mut costs = Vec::new();
    for item in routes.chain(global).flat_map(Item::items) {
        let field = |name: &str| item.get(name).and_then(Item::text).unwrap_or_default().to_owned();
        costs.push((field("metadataKey"), field("type")));
        import.draft.report.lost(
            item,
            "tokens of every sort and their price are counted for every request, without being asked",
            "see the metrics, and the ledger",
        );
    }
    costs
}

/// Limits by the minute for each caller become limits of keys.
fn limits(import: &mut Import, object: &Object, costs: &[(String, String)]) {
    object.spec(&["rateLimit", "type"]).map(Item::text);
    let rules = object
        .spec(&["rateLimit", "global", "rules"])
        .map(Item::items)
        .unwrap_or_default();
    for rule in rules {
        match limit(rule, costs) {
            Some((name, number)) => {
                import.draft.block("limits", |limits| {
                    limits.update("default", |default| default.set(name, Yaml::plain(number)));
                });
                import.draft.report.nearest(
                    rule,
                    "it is a limit of every key that has none of its own: a caller is known by the key, not by a header",
                    "",
                );
            }
            None => import.draft.report.lost(
                rule,
                "limits are those of keys: requests and tokens (prompt and answer together) in a minute",
                "pointsman key create --rpm, --tpm or --budget, or limits.default",
            ),
        }
    }
}

/// A limit of each caller in a minute.
fn limit(rule: &Item, costs: &[(String, String)]) -> Option<(&'static str, u64)> {
    let selectors = rule.get("clientSelectors")?.items();
    let [selector] = selectors else { return None };
    let [header] = selector.get("headers")?.items() else {
        return None;
    };
    if header.get("type").and_then(Item::peek) != Some("Distinct") {
        return None;
    }
    let unit = rule.at_path(&["limit", "unit"]).and_then(Item::peek)?;
    let number = rule.at_path(&["limit", "requests"])?.whole()?;
    if unit != "Minute" || number == 0 {
        return None;
    }
    let Some(cost) = rule.get("cost") else {
        return Some(("requests_per_minute", number));
    };
    let key = cost
        .at_path(&["response", "metadata", "key"])
        .and_then(Item::peek)?;
    let (_, kind) = costs.iter().find(|(known, _)| known == key)?;
    (kind == "TotalToken").then_some(("tokens_per_minute", number))
}
