//! `global.stores.memory`: what all decisions remember of users that say nothing themselves.

use super::Import;
use super::walk::Walk;
use crate::source::Item;
use crate::yaml::{Map, Noted, Yaml};

/// Settings of the block, and what they are called at a decision.
const SETTINGS: [(&str, &str); 5] = [
    ("default_retrieval_limit", "retrieval_limit"),
    ("default_similarity_threshold", "similarity_threshold"),
    ("auto_store", "auto_store"),
    ("hybrid_search", "hybrid_search"),
    ("hybrid_mode", "hybrid_mode"),
];
/// What says where memories are kept, or how they are read: here that is the database, and the model that ships.
const PLACES: [&str; 7] = [
    "backend",
    "milvus",
    "valkey",
    "qdrant",
    "redis_cache",
    "embedding_model",
    "extraction_batch_size",
];

/// What decisions remember where they say nothing; none where that is nothing.
pub(super) fn usual(import: &mut Import, root: &Item) -> Option<Map> {
    let block = root.at_path(&["global", "stores", "memory"])?;
    let mut settings = Map::default();
    for (key, own) in SETTINGS {
        let value = block
            .get(key)
            .and_then(Item::text)
            .filter(|text| !text.is_empty());
        settings.put(own, value.map(Yaml::plain));
    }
    let most = block.at_path(&["quality_scoring", "max_memories_per_user"]);
    settings.put(
        "max_memories",
        most.and_then(Item::text)
            .filter(|text| *text != "0")
            .map(Yaml::plain),
    );
    if let Some(reflection) = block.get("reflection") {
        let taken = import.walk().named(reflection, "MemoryReflection");
        settings.put("reflection", taken);
    }
    for key in PLACES {
        if let Some(item) = block.get(key) {
            import.draft.report.nearest(
                item,
                "memories are kept in stores.database and read by the model that ships",
                "",
            );
        }
    }
    let enabled = block.get("enabled").and_then(Item::flag) == Some(true);
    settings.set("enabled", Yaml::plain(enabled));
    Some(settings)
}

/// The plugin as it was taken over, with what the block says where it says nothing.
pub(super) fn settled(walk: &mut Walk<'_>, plugin: &Item, mut map: Map) -> Map {
    let Some(usual) = walk
        .memory
        .filter(|_| plugin.get("type").and_then(Item::peek) == Some("memory"))
    else {
        return map;
    };
    map.update("configuration", |settings| {
        let missing = usual
            .keys()
            .filter(|key| settings.get(key).is_none() && *key != "enabled");
        for key in missing.map(str::to_owned).collect::<Vec<_>>() {
            settings.put(&key, usual.get(&key).cloned());
        }
    });
    map
}

/// A decision, with the plugin where the block is switched on and the decision has none.
pub(super) fn added(walk: &Walk<'_>, decision: &Item, value: Yaml) -> Yaml {
    let on = |usual: &&Map| usual.get("enabled") == Some(&Yaml::plain(true));
    let Some(usual) = walk.memory.filter(on) else {
        return value;
    };
    let plugins = decision.get("plugins").map(Item::items).unwrap_or_default();
    let named = |plugin: &Item, kind: &str| plugin.get("type").and_then(Item::peek) == Some(kind);
    // Who answers at once, or with an image, goes by nothing that is remembered.
    let none = ["memory", "fast_response", "image_gen"];
    if plugins
        .iter()
        .any(|plugin| none.iter().any(|kind| named(plugin, kind)))
    {
        return value;
    }
    let Yaml::Map(mut map) = value else {
        return value;
    };
    let mut plugin = Map::default();
    plugin.set("type", Yaml::text("memory"));
    plugin.put_map("configuration", usual.clone());
    map.push("plugins", Noted::from(Yaml::Map(plugin)));
    Yaml::Map(map)
}
