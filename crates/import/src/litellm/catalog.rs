//! `model_info`: what is known of a model, as the block `catalog`.

use super::Import;
use super::deployment::Deployment;
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// LiteLLM's modes and the catalog's kinds.
const MODES: [(&str, &str); 13] = [
    ("chat", "chat"),
    ("responses", "chat"),
    ("completion", "completion"),
    ("embedding", "embedding"),
    ("rerank", "rerank"),
    ("image_generation", "image"),
    ("image_edit", "image"),
    ("video_generation", "video"),
    ("audio_speech", "speech"),
    ("audio_transcription", "transcription"),
    ("realtime", "realtime"),
    ("moderation", "moderation"),
    ("ocr", "ocr"),
];

/// Adds what `model_info` says of `model` at the provider `kind`, and its price where that is not its name's.
pub(super) fn add(
    import: &mut Import,
    deployment: &Deployment<'_>,
    kind: &str,
    model: &str,
    price: Option<Map>,
) {
    let mut facts = Map::default();
    if let Some(info) = deployment.info
        && !model.contains('*')
    {
        if let Some(base) = info.get("base_model") {
            base_model(import, base, kind, model, &mut facts);
        }
        let known = import.draft.catalog.model(kind, model);
        let mode = info.get("mode").and_then(|item| {
            let mode = item.peek()?;
            let (_, mode) = MODES.iter().find(|(name, _)| *name == mode)?;
            item.accept();
            Some(*mode)
        });
        let chat_by_default = known.map_or("chat", |known| known.kind.name());
        if let Some(mode) = mode.filter(|mode| *mode != chat_by_default) {
            facts.set("kind", Yaml::text(mode));
        }
        let sizes = [
            (
                "context_window",
                "max_input_tokens",
                known.and_then(|known| known.context_window),
            ),
            (
                "max_output",
                "max_output_tokens",
                known.and_then(|known| known.max_output),
            ),
        ];
        for (name, key, known) in sizes {
            let value = info.get(key).and_then(Item::whole);
            if let Some(value) = value.filter(|value| Some(*value) != known) {
                facts.set(name, Yaml::plain(value));
            }
        }
        if let Some(length) = info.get("output_vector_size").and_then(Item::whole) {
            facts.set("dimensions", Yaml::plain(length));
        }
    }
    if let Some(price) = price {
        facts.set("price", Yaml::Map(price));
    }
    if facts.is_empty() {
        return;
    }
    let known = match import.draft.blocks.get("catalog") {
        Some(Yaml::Map(block)) => at(block, &["models", kind, model]).cloned(),
        _ => None,
    };
    match known {
        Some(known) if known != Yaml::Map(facts.clone()) => import.draft.report.lost(
            deployment.info.unwrap_or(deployment.item),
            format!("another deployment of {model:?} at the same provider has other facts or another price"),
            "give the two providers kinds of their own under catalog.providers",
        ),
        Some(_) => {}
        None => write(import, kind, model, |block| *block = facts),
    }
}

fn at<'m>(block: &'m Map, keys: &[&str]) -> Option<&'m Yaml> {
    let (last, before) = keys.split_last()?;
    let map = before.iter().try_fold(block, |map, key| match map.get(key) {
        Some(Yaml::Map(inner)) => Some(inner),
        _ => None,
    })?;
    map.get(last)
}

fn write(import: &mut Import, kind: &str, model: &str, change: impl FnOnce(&mut Map)) {
    import.draft.block("catalog", |catalog| {
        catalog.update("models", |all| all.update(kind, |own| own.update(model, change)));
    });
}

/// The model that a deployment stands for: a further name of it, where the provider has it; else its price.
fn base_model(import: &mut Import, item: &Item, kind: &str, model: &str, facts: &mut Map) {
    let Some(name) = item.text() else { return };
    let catalog = import.draft.catalog;
    let bare = name.split_once('/').map_or(name, |(_, bare)| bare);
    let same = [name, bare]
        .into_iter()
        .find_map(|name| catalog.model(kind, name));
    if let Some(base) = same {
        let id = base.id.to_string();
        if catalog.model(kind, model).is_none_or(|known| known.id != base.id) {
            write(import, kind, &id, |block| {
                let there = match block.get("aliases") {
                    Some(Yaml::List(names)) => names.contains(&Yaml::text(model).into()),
                    _ => false,
                };
                if !there {
                    block.push("aliases", Yaml::text(model));
                }
            });
        }
        return;
    }
    match catalog.find(name).or_else(|| catalog.find(bare)) {
        Some((provider, base)) => {
            if let Some(price) = base
                .price
                .as_ref()
                .and_then(|price| serde_json::to_value(price).ok())
            {
                facts.set("price", Yaml::json(&price));
            }
            import.draft.report.nearest(
                item,
                format!("the price of {:?} is that of today at {}", base.id, provider.name),
                "",
            );
        }
        None => import.draft.report.lost(
            item,
            "the catalog has no such model",
            "write the price under models.NAME.price",
        ),
    }
}
