//! `rag` whose service has an address of its own, or uses the cache's: that becomes a provider.

use std::collections::BTreeMap;

use super::walk::{Walk, expanded};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Where a store of vectors is, where nothing is said.
const USUAL: [(&str, &str); 2] = [
    ("qdrant", "http://localhost:6333"),
    ("milvus", "http://localhost:19530"),
];
/// Settings of a service's address, and what stands beside it.
const OF_ADDRESS: [&str; 9] = [
    "endpoint",
    "base_url",
    "url",
    "api_key",
    "auth_header",
    "reuse_cache_connection",
    "metadata_field",
    "workflow_mode",
    "timeout_seconds",
];

/// Addresses of the stores of vectors that the cache has.
pub(super) fn stores(root: &Item) -> BTreeMap<&'static str, String> {
    let mut found = BTreeMap::new();
    for cache in ["response_cache", "semantic_cache"] {
        for (kind, _) in USUAL {
            let store = root.at_path(&["global", "stores", cache, kind]);
            let host = store.and_then(|store| store.at_path(&["connection", "host"]).or(store.get("host")));
            let port = store.and_then(|store| store.at_path(&["connection", "port"]).or(store.get("port")));
            let Some(host) = host.and_then(Item::peek) else {
                continue;
            };
            // Qdrant's other protocol has the port beside.
            let port = match (kind, port.and_then(Item::peek)) {
                ("qdrant", None | Some("6334")) => "6333",
                (_, None) => "19530",
                (_, Some(port)) => port,
            };
            found.insert(kind, format!("http://{host}:{port}"));
        }
    }
    found
}

/// The plugin as it was taken over, with the name of a provider in the place of an address.
pub(super) fn settled(walk: &mut Walk<'_>, plugin: &Item, mut map: Map) -> Map {
    if plugin.get("type").and_then(Item::peek) != Some("rag") {
        return map;
    }
    let settings = plugin.get("configuration");
    let named = settings
        .and_then(|settings| settings.get("backend"))
        .and_then(Item::peek);
    let Some((backend, config)) = named.zip(settings.and_then(|settings| settings.get("backend_config")))
    else {
        return map;
    };
    let said = |key: &str| config.get(key).and_then(Item::peek).map(str::to_owned);
    let usual = USUAL.iter().find(|(kind, _)| *kind == backend);
    let address = match (said("endpoint").or(said("base_url")).or(said("url")), usual) {
        (Some(own), _) => own,
        (None, Some((kind, usual))) => walk
            .stores
            .get(kind)
            .cloned()
            .unwrap_or_else(|| (*usual).to_owned()),
        (None, None) if backend == "openai" => "https://api.openai.com/v1".to_owned(),
        (None, None) => return map,
    };
    if said("provider").is_some() {
        return map;
    }
    let (base, path) = parted(backend, &address);
    let mut provider = Map::default();
    provider.set("kind", Yaml::text("openai-compatible"));
    provider.set("base_url", expanded(walk.draft, &base));
    if let Some(secret) = inside(&map, &["configuration", "backend_config", "api_key"]) {
        let mut auth = Map::default();
        auth.set("api_key", secret);
        if let Some(header) = said("auth_header").or((backend == "qdrant").then(|| "api-key".to_owned())) {
            auth.set("header", Yaml::text(header));
        }
        provider.set("auth", Yaml::Map(auth));
    }
    let name = walk
        .draft
        .provider(backend, provider, format!("line {}", plugin.line));
    map.update("configuration", |settings| {
        settings.update("backend_config", |config| {
            for field in OF_ADDRESS {
                config.remove(field);
            }
            config.set("provider", Yaml::text(name));
            if let Some(path) = path {
                config.set("path", Yaml::text(path));
            }
        });
    });
    map
}

/// The address of a provider, and of a service of one's own the path below it.
fn parted(backend: &str, address: &str) -> (String, Option<String>) {
    let address = address.trim_end_matches('/');
    let start = address.find("://").map_or(0, |at| at + 3);
    let path = address[start..].find('/').map(|at| start + at);
    match (backend, path) {
        ("external_api", Some(path)) => (address[..path].to_owned(), Some(address[path..].to_owned())),
        ("openai", None) => (format!("{address}/v1"), None),
        _ => (address.to_owned(), None),
    }
}

/// What was taken over, behind these keys.
fn inside(map: &Map, keys: &[&str]) -> Option<Yaml> {
    let (first, rest) = keys.split_first()?;
    match (map.get(first)?, rest) {
        (value, []) => Some(value.clone()),
        (Yaml::Map(inner), rest) => inside(inner, rest),
        _ => None,
    }
}
