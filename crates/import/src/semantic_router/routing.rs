//! `routing`, `recipes` and `entrypoints`: the same language here and there.

use std::collections::BTreeMap;

use super::Import;
use super::walk::Walk;
use crate::source::Item;
use crate::yaml::{Map, Noted, Yaml};

/// Names that enter where nothing is said.
const NAMES: [&str; 3] = ["vllm-sr/auto", "auto", "MoM"];

/// Blocks of a routing that are taken over as they are, with their names in the schema.
const BLOCKS: [(&str, &str); 7] = [
    ("signals", "SignalsConfig"),
    ("projections", "ProjectionsConfig"),
    ("candidate_requirements", "Requirements"),
    ("data_policy", "DataPolicy"),
    ("model_bindings", ""),
    ("fallback", "FallbackPolicy"),
    ("strategy", "Strategy"),
];

/// Carries the routing over.
pub(super) fn carry(import: &mut Import, root: &Item, families: &BTreeMap<String, Map>) {
    let mut block = Map::default();
    names(import, root, &mut block);
    let default = ["default_model", "model"]
        .iter()
        .find_map(|key| root.at_path(&["providers", "defaults", *key]));
    block.put(
        "default_model",
        default
            .and_then(Item::text)
            .filter(|text| !text.is_empty())
            .map(Yaml::text),
    );
    let routing = root.get("routing");
    let strategy = root.at_path(&["global", "router", "strategy"]);
    if routing.is_none_or(|routing| routing.get("strategy").is_none()) {
        block.put("strategy", strategy.and_then(Item::text).map(Yaml::text));
    } else if let Some(strategy) = strategy {
        strategy.accept();
    }
    cards(import, root, families, &mut block);
    super::bases::carry(import, root, &mut block);
    if let Some(routing) = routing {
        body(import, routing, &mut block);
    }
    recipes(import, root, &mut block);
    thresholds(root, &mut block);
    let told = [
        "signals",
        "projections",
        "decisions",
        "recipes",
        "modelCards",
        "default_model",
    ];
    if told.iter().any(|key| block.get(key).is_some()) {
        import.draft.block("routing", |routing| *routing = block);
    }
}

/// What a routing says, here and in recipes.
fn body(import: &mut Import, routing: &Item, block: &mut Map) {
    let mut walk = import.walk();
    for (key, definition) in BLOCKS {
        if let Some(item) = routing.get(key) {
            block.put(
                key,
                walk.named(item, definition)
                    .filter(|value| *value != Yaml::Map(Map::default())),
            );
        }
    }
    let Some(decisions) = routing.get("decisions") else {
        return;
    };
    for decision in decisions.items() {
        if let Some(value) = walk.named(decision, "DecisionConfig") {
            let value = super::memory::added(&walk, decision, value);
            let value = awake(&mut walk, decision, value);
            block.push("decisions", Noted::from(value));
        }
    }
}

/// A decision without what learning would change of it where learning is switched off: here that acts by itself.
fn awake(walk: &mut Walk<'_>, decision: &Item, value: Yaml) -> Yaml {
    let Some(adaptations) = decision.get("adaptations").filter(|_| !walk.learns) else {
        return value;
    };
    let says = |path: &[&str]| adaptations.at_path(path).and_then(Item::peek);
    let bypasses = says(&["mode"]) == Some("bypass");
    let Yaml::Map(mut map) = value else { return value };
    if !bypasses {
        map.remove("adaptations");
        let why =
            "learning is switched off there (global.router.learning), and is switched on by this alone here";
        walk.draft
            .report
            .lost(adaptations, why, "set it where models shall be learned about");
    }
    Yaml::Map(map)
}

impl Import {
    pub(super) fn walk(&mut self) -> Walk<'_> {
        Walk {
            draft: &mut self.draft,
            schema: &self.schema,
            reasoning: self.reasoning.as_deref(),
            stores: &self.stores,
            memory: self.memory.as_ref(),
            externals: &self.externals,
            learns: self.learns,
        }
    }
}

/// Names of models that enter.
fn names(import: &mut Import, root: &Item, block: &mut Map) {
    let router = root.at_path(&["global", "router"]);
    let listed = router.and_then(|router| router.get("auto_model_names"));
    let one = router.and_then(|router| router.get("auto_model_name"));
    let texts: Vec<String> = match (listed, one.and_then(Item::text)) {
        (Some(listed), _) => listed
            .items()
            .iter()
            .filter_map(Item::text)
            .map(str::to_owned)
            .collect(),
        (None, Some(one)) => vec![NAMES[0].to_owned(), NAMES[1].to_owned(), one.to_owned()],
        (None, None) => NAMES.map(str::to_owned).to_vec(),
    };
    let looped = ["remom", "fusion", "flow"]
        .iter()
        .filter_map(|kind| root.at_path(&["global", "integrations", "looper", *kind, "model_names"]));
    for item in looped {
        import.draft.report.lost(
            item,
            "a name of a model cannot stand for an algorithm",
            "add an entrypoint to a recipe whose decision has the algorithm",
        );
    }
    if !texts.is_empty() {
        block.set("names", Yaml::texts(texts));
    }
}

/// Model cards, each with how its reasoning is switched.
fn cards(import: &mut Import, root: &Item, families: &BTreeMap<String, Map>, block: &mut Map) {
    let mut told = Vec::new();
    let listed = root.at_path(&["routing", "modelCards"]);
    for card in listed.map(Item::items).unwrap_or_default() {
        let name = card
            .get("name")
            .and_then(Item::peek)
            .unwrap_or_default()
            .to_owned();
        let family = card
            .get("reasoning_family")
            .and_then(Item::peek)
            .map(str::to_owned);
        if family.is_some() {
            // Of a resource: it names a family, whose switch models of this name have by themselves.
            card.get("reasoning_family").iter().for_each(|item| item.accept());
        }
        let mut walk = import.walk();
        let Some(Yaml::Map(mut map)) = walk.named(card, "ModelCard") else {
            continue;
        };
        if family.is_some() {
            map.remove("reasoning_family");
        }
        if let Some(family) = families.get(&name) {
            map.put_map("reasoning_family", family.clone());
        }
        told.push(name);
        block.push("modelCards", Noted::from(Yaml::Map(map)));
    }
    for (name, family) in families.iter().filter(|(name, _)| !told.contains(name)) {
        let mut map = Map::default();
        map.set("name", Yaml::text(name));
        map.put_map("reasoning_family", family.clone());
        block.push("modelCards", Noted::from(Yaml::Map(map)));
    }
}

fn recipes(import: &mut Import, root: &Item, block: &mut Map) {
    for recipe in root.get("recipes").map(Item::items).unwrap_or_default() {
        let mut map = Map::default();
        for key in ["name", "description"] {
            let text = recipe.get(key).and_then(Item::text).map(str::to_owned);
            map.put(key, text.map(Yaml::text));
        }
        if let Some(routing) = recipe.get("routing") {
            let mut inner = Map::default();
            body(import, routing, &mut inner);
            map.put_map("routing", inner);
        }
        block.push("recipes", Noted::from(Yaml::Map(map)));
    }
    for entry in root.get("entrypoints").map(Item::items).unwrap_or_default() {
        if let Some(value) = import.walk().named(entry, "Entrypoint") {
            block.push("entrypoints", Noted::from(value));
        }
    }
}

/// Modules whose threshold holds for all signals of a type that say none of their own.
const MODULES: [(&[&str], &str); 4] = [
    (&["classifier", "domain"], "domains"),
    (&["hallucination_mitigation", "fact_check"], "fact_check"),
    (&["feedback_detector"], "user_feedbacks"),
    (&["classifier", "pii"], "pii"),
];

/// Thresholds of models, at the signals that they compute.
fn thresholds(root: &Item, block: &mut Map) {
    for (module, collection) in MODULES {
        let path: Vec<&str> = ["global", "model_catalog", "modules"]
            .iter()
            .chain(module)
            .copied()
            .chain(["threshold"])
            .collect();
        let Some(threshold) = root.at_path(&path).and_then(Item::text).map(str::to_owned) else {
            continue;
        };
        set_threshold(block, collection, &threshold);
        let Some(Yaml::List(recipes)) = block.get("recipes").cloned() else {
            continue;
        };
        let recipes = recipes.into_iter().map(|recipe| {
            recipe.changed(|recipe| {
                if let Yaml::Map(map) = recipe
                    && map.get("routing").is_some()
                {
                    map.update("routing", |routing| {
                        set_threshold(routing, collection, &threshold);
                    });
                }
            })
        });
        block.set("recipes", Yaml::List(recipes.collect()));
    }
}

fn set_threshold(block: &mut Map, collection: &str, threshold: &str) {
    let Some(Yaml::Map(signals)) = block.get("signals") else {
        return;
    };
    let Some(Yaml::List(list)) = signals.get(collection) else {
        return;
    };
    let list: Vec<Noted> = list
        .iter()
        .map(|signal| {
            signal.clone().changed(|signal| {
                if let Yaml::Map(map) = signal
                    && map.get("threshold").is_none()
                {
                    map.set("threshold", Yaml::plain(threshold));
                }
            })
        })
        .collect();
    block.update("signals", |signals| signals.set(collection, Yaml::List(list)));
}
