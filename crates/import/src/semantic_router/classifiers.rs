//! Classifiers of one's own: the models elsewhere that they ask become models of the gateway, folders of weights models of
//! `understanding`.

use std::collections::BTreeMap;

use super::Import;
use super::walk::{Walk, expanded};
use crate::source::Item;
use crate::variables::variable_name;
use crate::yaml::{Map, Noted, Yaml};

/// Models elsewhere that classifiers ask, each with how long it may take.
pub(super) fn externals(import: &mut Import, root: &Item) -> BTreeMap<String, Option<u64>> {
    let mut asked = Vec::new();
    of_routing(root.get("routing"), &mut asked);
    for recipe in root.get("recipes").map(Item::items).unwrap_or_default() {
        of_routing(recipe.get("routing"), &mut asked);
    }
    let mut found = BTreeMap::new();
    let listed = root.at_path(&["global", "model_catalog", "external"]);
    for external in listed.map(Item::items).unwrap_or_default() {
        let name = external.get("name").and_then(Item::peek).unwrap_or_default();
        if asked.iter().any(|wanted| wanted == name) {
            let seconds = external.get("llm_timeout_seconds").and_then(Item::whole);
            if external_model(import, external, name).is_some() {
                found.insert(name.to_owned(), seconds);
            }
        }
    }
    found
}

/// Models that the classifiers of a routing name.
fn of_routing(routing: Option<&Item>, asked: &mut Vec<String>) {
    let listed = routing.and_then(|routing| routing.at_path(&["signals", "classifiers"]));
    let names = listed.map(Item::items).unwrap_or_default().iter();
    let names = names.filter_map(|classifier| classifier.get("model").and_then(Item::peek));
    asked.extend(names.map(str::to_owned));
}

/// A provider and a model of the gateway.
fn external_model(import: &mut Import, external: &Item, name: &str) -> Option<()> {
    let endpoint = external.get("llm_endpoint")?;
    let address = endpoint.get("address").and_then(Item::text)?;
    let model = external.get("llm_model_name").and_then(Item::text)?;
    let secure = endpoint.get("protocol").and_then(Item::text) == Some("https");
    let scheme = if secure { "https" } else { "http" };
    let port = endpoint
        .get("port")
        .and_then(Item::whole)
        .filter(|port| *port != if secure { 443 } else { 80 });
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let mut provider = Map::default();
    provider.set("kind", Yaml::text("openai-compatible"));
    let url = format!("{scheme}://{address}{port}/v1");
    provider.set("base_url", expanded(&mut import.draft, &url));
    if let Some(key) = external.get("access_key").filter(|key| !key.is_nothing()) {
        let wish = variable_name(&format!("{name}_access_key"));
        let draft = &mut import.draft;
        let mut auth = Map::default();
        auth.set(
            "api_key",
            draft.variables.in_place_of(key, &wish, &mut draft.report),
        );
        provider.set("auth", Yaml::Map(auth));
    }
    for key in [
        "name",
        "llm_provider",
        "model_role",
        "parser_type",
        "temperature",
        "max_tokens",
    ] {
        external.get(key).iter().for_each(|item| item.accept());
    }
    for key in ["name", "use_chat_template", "prompt_template"] {
        endpoint.get(key).iter().for_each(|item| item.accept());
    }
    let note = format!("line {}", external.line);
    let provider = import.draft.provider(name, provider, note.clone());
    let mut target = Map::default();
    target.set("provider", Yaml::text(provider));
    target.set("model", Yaml::text(model));
    let mut entry = Map::default();
    entry.set("targets", Yaml::list([Yaml::Map(target)]));
    import.draft.block("models", |models| {
        if models.get(name).is_none() {
            models.noted(name, Noted::from(Yaml::Map(entry)).note(note));
        }
    });
    Some(())
}

/// A classifier as it was taken over, with the name of a model in the place of a folder.
pub(super) fn settled(walk: &mut Walk<'_>, classifier: &Item, mut map: Map) -> Map {
    let said = |key: &str| classifier.get(key).and_then(Item::peek).map(str::to_owned);
    if let Some(seconds) = said("model").and_then(|model| walk.externals.get(&model).copied().flatten()) {
        map.set("timeout_seconds", Yaml::plain(seconds));
    }
    let (Some(folder), Some(name)) = (said("model_path"), said("name")) else {
        return map;
    };
    let mut model = Map::default();
    model.set("role", Yaml::text("texts"));
    model.set("path", expanded(walk.draft, &folder));
    walk.draft.block("understanding", |block| {
        block.update("models", |models| models.put_map(&name, model));
    });
    map.remove("model_path");
    map.set("model", Yaml::text(name));
    map
}
