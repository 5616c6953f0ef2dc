//! `AIGatewayRoute`: rules by the name of the model, as models.

use super::backend::Provider;
use super::objects::{Object, Objects};
use super::traffic::Policy;
use super::{Import, mutation};
use crate::source::Item;
use crate::yaml::{Map, Noted, Yaml};

/// The header that holds the name of the model.
const MODEL: &str = "x-ai-eg-model";

/// Carries all routes over.
pub(super) fn carry(import: &mut Import, objects: &Objects, providers: &[Provider], policies: &[Policy]) {
    for route in objects.of("AIGatewayRoute") {
        for parent in route.spec(&["parentRefs"]).map(Item::items).unwrap_or_default() {
            for field in ["name", "namespace", "kind", "group"] {
                parent.get(field).map(Item::text);
            }
        }
        if let Some(target) = route.spec(&["targetRefs"]) {
            // What parentRefs were called before.
            target.accept();
        }
        if let Some(name) = route.spec(&["schema", "name"])
            && name.peek() == Some("OpenAI")
        {
            name.accept();
            route.spec(&["schema", "version"]).map(Item::text);
        }
        for rule in route.spec(&["rules"]).map(Item::items).unwrap_or_default() {
            self::rule(import, route, rule, providers, policies);
        }
    }
}

fn rule(import: &mut Import, route: &Object, rule: &Item, providers: &[Provider], policies: &[Policy]) {
    let names = names(import, rule);
    rule.get("name").map(Item::text);
    let backends = rule.get("backendRefs").map(Item::items).unwrap_or_default();
    let mut any = false;
    for (item, name) in names {
        let mut model = Map::default();
        for backend in backends {
            if let Some(target) = target(import, route, backend, providers, &name) {
                let line = format!("line {}", backend.line);
                model.push("targets", Noted::from(Yaml::Map(target)).note(line));
            }
        }
        if model.is_empty() {
            import
                .draft
                .report
                .lost(item, "none of its backends was carried over", "");
            continue;
        }
        any = true;
        for policy in policies.iter().filter(|policy| policy.is_for(route)) {
            policy.apply(&mut model);
        }
        timeouts(import, rule, &mut model);
        let known = match import.draft.blocks.get("models") {
            Some(Yaml::Map(models)) => models.get(&name).is_some(),
            _ => false,
        };
        if known {
            import.draft.report.lost(
                item,
                format!("an earlier rule is for the model {name:?}, too"),
                "put its backends among the targets of the model",
            );
            continue;
        }
        import
            .draft
            .block("models", |models| models.set(&name, Yaml::Map(model)));
    }
    if backends.is_empty() {
        import.draft.report.lost(rule, "it names no backend", "");
    } else if !any && let Some(backends) = rule.get("backendRefs") {
        import
            .draft
            .report
            .lost(backends, "nothing that its rule is for was carried over", "");
    }
}

/// The names of models that a rule is for, each with the item that says so; `*` when it is for all.
fn names<'a>(import: &mut Import, rule: &'a Item) -> Vec<(&'a Item, String)> {
    let matches = rule.get("matches").map(Item::items).unwrap_or_default();
    if matches.is_empty() {
        return vec![(rule, "*".to_owned())];
    }
    let mut names = Vec::new();
    for one in matches {
        let headers = one.get("headers").map(Item::items).unwrap_or_default();
        let model = headers.iter().find(|header| {
            let name = header.get("name").and_then(Item::peek);
            name.is_some_and(|name| name.eq_ignore_ascii_case(MODEL))
        });
        let (Some(model), 1) = (model, headers.len()) else {
            import.draft.report.lost(
                one,
                "models are told apart by their names, not by other headers",
                "write a decision with a signal of type metadata under routing, or give the rule a model of its own name",
            );
            continue;
        };
        let value = model.get("value").and_then(Item::text).unwrap_or_default();
        let kind = model.get("type");
        let name = match kind.and_then(Item::peek) {
            None | Some("Exact") => Some(value.to_owned()),
            Some("RegularExpression") => pattern(value),
            Some(_) => None,
        };
        match name.filter(|name| !name.is_empty()) {
            Some(name) => {
                model.get("name").map(Item::text);
                kind.map(Item::text);
                names.push((one, name));
            }
            None => import.draft.report.lost(
                one,
                "a name of a model may hold one `*` and no other pattern",
                "write the names out under models",
            ),
        }
    }
    names
}

/// A regular expression that is a name, or a name with one `.*` in it.
fn pattern(regex: &str) -> Option<String> {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    let starred = regex.replace(".*", "*").replace(".+", "*").replace("\\.", ".");
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_/:@*.".contains(letter);
    // A bare dot is any letter; it is rarely meant so, and names of versions hold dots.
    (starred.chars().all(plain) && starred.matches('*').count() <= 1).then_some(starred)
}

fn target(
    import: &mut Import,
    route: &Object,
    backend: &Item,
    providers: &[Provider],
    name: &str,
) -> Option<Map> {
    let field = |name: &str| backend.get(name).and_then(Item::text);
    if backend.get("kind").and_then(Item::peek) == Some("InferencePool") {
        import.draft.report.lost(
            backend,
            "pools of Kubernetes are not looked up in this version",
            "name the servers as endpoints of a provider of kind vllm or sglang",
        );
        return None;
    }
    let namespace = field("namespace").unwrap_or(&route.namespace);
    let wanted = field("name")?;
    let found = providers
        .iter()
        .find(|provider| provider.backend == wanted && provider.namespace == namespace);
    let Some(provider) = found else {
        import.draft.report.lost(
            backend,
            "its AIServiceBackend is not in the file, or was not carried over",
            "add it as a provider and a target",
        );
        return None;
    };
    for known in ["kind", "group"] {
        field(known);
    }
    let mut target = Map::default();
    target.set("provider", Yaml::text(&provider.name));
    let model = field("modelNameOverride").filter(|model| !model.is_empty());
    let model = model.unwrap_or(if name.contains('*') { "*" } else { name });
    // What the `*` of a name stands for is only a part of it.
    let model = if model == "*" && name != "*" { name } else { model };
    target.set("model", Yaml::text(model));
    for (key, usual) in [("weight", 1), ("priority", 0)] {
        let value = backend
            .get(key)
            .and_then(Item::whole)
            .filter(|value| *value != usual);
        target.put(key, value.map(Yaml::plain));
    }
    target.put_map("request", mutation::request(import, backend));
    Some(target)
}

/// The timeouts of a rule go before those of policies.
fn timeouts(import: &mut Import, rule: &Item, model: &mut Map) {
    let mut timeouts = match model.get("timeouts") {
        Some(Yaml::Map(map)) => map.clone(),
        _ => Map::default(),
    };
    let duration = |item: Option<&Item>| item.and_then(super::traffic::duration);
    if let Some(total) = duration(rule.at_path(&["timeouts", "request"])) {
        timeouts.set("total", Yaml::text(total));
    }
    let backend = rule.at_path(&["timeouts", "backendRequest"]);
    if let (Some(item), Some(attempt)) = (backend, duration(backend)) {
        timeouts.set("first_byte", Yaml::text(attempt));
        import
            .draft
            .report
            .nearest(item, "it is how long an attempt may take to its first byte", "");
    }
    let idle = rule.get("streamIdleTimeout");
    if let (Some(item), Some(time)) = (idle, duration(idle)) {
        if backend.is_none() {
            timeouts.set("first_byte", Yaml::text(&time));
        }
        timeouts.set("between_chunks", Yaml::text(&time));
        item.accept();
    }
    model.put_map("timeouts", timeouts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_patterns_are_names() {
        for (regex, name) in [
            ("gpt-4o", Some("gpt-4o")),
            ("^gpt-.*$", Some("gpt-*")),
            (".*", Some("*")),
            ("claude-3\\.5-.+", Some("claude-3.5-*")),
            ("a.*b.*", None),
            ("(gpt|o)-.*", None),
            ("gpt-[0-9]", None),
        ] {
            assert_eq!(pattern(regex).as_deref(), name, "{regex}");
        }
    }
}
