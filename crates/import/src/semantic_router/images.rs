//! `image_gen` whose service has an address of its own: that becomes a provider, and its model one of the gateway's.

use super::walk::{Walk, expanded};
use crate::source::Item;
use crate::yaml::{Map, Noted, Yaml};

/// The plugin as it was taken over, with the name of a model in the place of an address.
pub(super) fn settled(walk: &mut Walk<'_>, plugin: &Item, mut map: Map) -> Map {
    let is_image = plugin.get("type").and_then(Item::peek) == Some("image_gen");
    let backend = plugin.at_path(&["configuration", "backend_config"]);
    let Some(backend) = backend.filter(|_| is_image) else {
        return map;
    };
    let address = backend.get("base_url").and_then(Item::peek);
    let key = backend.get("api_key").is_some();
    let Some(model) = backend.get("model").and_then(Item::peek).map(str::to_owned) else {
        return map;
    };
    if address.is_none() && !key {
        return map;
    }
    let mut provider = Map::default();
    let kind = if address.is_some() {
        "openai-compatible"
    } else {
        "openai"
    };
    provider.set("kind", Yaml::text(kind));
    if let Some(address) = address {
        let url = address.trim_end_matches('/');
        let bare = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        let url = if bare { format!("{url}/v1") } else { url.to_owned() };
        provider.set("base_url", expanded(walk.draft, &url));
    }
    if let Some(secret) = at(&map, "api_key") {
        let mut auth = Map::default();
        auth.set("api_key", secret);
        provider.set("auth", Yaml::Map(auth));
    }
    let provider = walk
        .draft
        .provider("images", provider, format!("line {}", plugin.line));
    let mut target = Map::default();
    target.set("provider", Yaml::text(provider));
    target.set("model", Yaml::text(&*model));
    let mut entry = Map::default();
    entry.set("targets", Yaml::list([Yaml::Map(target)]));
    let entry = Yaml::Map(entry);
    let name = free(walk, &model, &entry);
    walk.draft.block("models", |models| {
        if models.get(&name).is_none() {
            models.noted(&name, Noted::from(entry).note(format!("line {}", plugin.line)));
        }
    });
    map.update("configuration", |settings| {
        settings.update("backend_config", |backend| {
            backend.remove("base_url");
            backend.remove("api_key");
            backend.set("model", Yaml::text(&*name));
        });
    });
    map
}

/// What was taken over of a field of the backend.
fn at(plugin: &Map, field: &str) -> Option<Yaml> {
    let inside = |map: &Map, key: &str| match map.get(key) {
        Some(Yaml::Map(inner)) => Some(inner.clone()),
        _ => None,
    };
    let backend = inside(&inside(plugin, "configuration")?, "backend_config")?;
    backend.get(field).cloned()
}

/// The model's own name, or another where a model of that name is something else.
fn free(walk: &Walk<'_>, model: &str, entry: &Yaml) -> String {
    let Some(Yaml::Map(models)) = walk.draft.blocks.get("models") else {
        return model.to_owned();
    };
    let mut name = model.to_owned();
    while models.get(&name).is_some_and(|known| known != entry) {
        name.push_str("-images");
    }
    name
}
