//! Where a configuration is: in a file of its own, or in what Kubernetes and Helm wrap around it.

use std::path::Path;
use std::rc::Rc;

use pointsman_config::{Node, Place, Problem, Value, read_documents};

use crate::source::{self, Item};

/// Keys that only such a configuration, or a fragment of one, has.
const OWN: [&str; 3] = ["routing", "recipes", "entrypoints"];
/// Keys of blocks that others may have, too, with what is in them here.
const SHARED: [(&str, &[&str]); 2] = [
    ("providers", &["models", "defaults"]),
    (
        "global",
        &["router", "services", "stores", "integrations", "model_catalog"],
    ),
];
/// Keys of fragments that go into a decision.
const PARTS: [&str; 3] = ["algorithm", "plugin", "plugins"];

/// The configurations of a file.
pub(super) fn find(path: &Path, main: &Rc<str>) -> Result<Vec<Item>, Vec<Problem>> {
    let documents = source::read(path)?;
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let mut roots = Vec::new();
    let mut pool = None;
    for mut document in documents {
        let kind = text(&document, "kind").unwrap_or_default().to_owned();
        match kind.as_str() {
            "ConfigMap" => {
                if let Some(inner) = embedded(&document, main)? {
                    roots.push(Item::new(inner, main, "", ""));
                }
            }
            "IntelligentPool" => pool = field(&document, "spec").cloned(),
            "IntelligentRoute" => {
                let route = field(&document, "spec").cloned();
                roots.push(Item::new(resources(pool.take(), route), main, "", ""));
            }
            "" => {
                if let Some(inner) = field(&document, "config").filter(|inner| is_whole(inner)) {
                    document = inner.clone();
                }
                if is_own(&document, &PARTS) && !is_whole(&document) {
                    document = wrapped(document, &stem);
                }
                if is_whole(&document) {
                    roots.push(Item::new(document, main, "", ""));
                }
            }
            _ => {}
        }
    }
    if !roots.is_empty() {
        return Ok(roots);
    }
    Err(vec![Problem {
        file: main.to_string(),
        line: 1,
        column: 1,
        path: String::new(),
        message: "there is no configuration of the vLLM Semantic Router v0.3 in it: it has none of routing, recipes, providers and global"
            .to_owned(),
        suggestion: None,
    }])
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .find(|(key, ..)| key == name)
            .map(|(.., node)| node),
        _ => None,
    }
}

fn text<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    match &field(node, name)?.value {
        Value::Text { text, .. } => Some(text),
        _ => None,
    }
}

fn is_own(node: &Node, keys: &[&str]) -> bool {
    keys.iter().any(|key| field(node, key).is_some())
}

/// Whether it is a configuration, or a fragment that stands by itself.
fn is_whole(node: &Node) -> bool {
    let shared =
        |(block, keys): &(&str, &[&str])| field(node, block).is_some_and(|block| is_own(block, keys));
    is_own(node, &OWN) || SHARED.iter().any(shared)
}

/// The file `config.yaml` in a ConfigMap, with the lines that it has in the outer file.
fn embedded(document: &Node, main: &str) -> Result<Option<Node>, Vec<Problem>> {
    let Some(Value::Map(files)) = field(document, "data").map(|data| &data.value) else {
        return Ok(None);
    };
    for (name, place, file) in files {
        let Value::Text { text, .. } = &file.value else {
            continue;
        };
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        if !is_yaml {
            continue;
        }
        let mut inner = read_documents(text, main)?.into_iter();
        if let Some(mut inner) = inner
            .next()
            .filter(|inner| is_own(inner, &["routing", "recipes"]))
        {
            shift(&mut inner, place.line);
            return Ok(Some(inner));
        }
    }
    Ok(None)
}

fn shift(node: &mut Node, lines: usize) {
    node.place.line += lines;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| shift(item, lines)),
        Value::Map(entries) => {
            for (_, place, node) in entries {
                place.line += lines;
                shift(node, lines);
            }
        }
        _ => {}
    }
}

fn map(place: Place, entries: Vec<(&str, Node)>) -> Node {
    let entries = entries
        .into_iter()
        .map(|(key, node)| (key.to_owned(), node.place, node));
    Node {
        place,
        value: Value::Map(entries.collect()),
    }
}

fn list(place: Place, items: Vec<Node>) -> Node {
    Node {
        place,
        value: Value::List(items),
    }
}

fn word(place: Place, text: &str) -> Node {
    Node {
        place,
        value: Value::Text {
            text: text.to_owned(),
            plain: false,
        },
    }
}

/// A fragment that goes into a decision, as a decision named after its file, of a model that is still to be named.
fn wrapped(document: Node, stem: &str) -> Node {
    let place = document.place;
    let mut decision = vec![("name", word(place, stem))];
    let named = |name: &str| field(&document, name).cloned();
    if let Some(algorithm) = named("algorithm") {
        decision.push(("algorithm", algorithm));
    }
    if let Some(plugins) = named("plugins") {
        decision.push(("plugins", plugins));
    }
    if let Some(plugin) = named("plugin") {
        let one = list(plugin.place, vec![plugin]);
        decision.push(("plugins", one));
    }
    let model = map(place, vec![("model", word(place, "model"))]);
    decision.push(("modelRefs", list(place, vec![model])));
    let decisions = list(place, vec![map(place, decision)]);
    map(
        place,
        vec![("routing", map(place, vec![("decisions", decisions)]))],
    )
}

/// The resources IntelligentPool and IntelligentRoute as a configuration.
fn resources(pool: Option<Node>, route: Option<Node>) -> Node {
    let place = route
        .as_ref()
        .map_or(Place { line: 1, column: 1 }, |route| route.place);
    let mut routing = Vec::new();
    let mut whole = Vec::new();
    if let Some(pool) = pool {
        let mut providers = Vec::new();
        if let Some(models) = field(&pool, "models") {
            let (cards, priced) = split(snake(models.clone()));
            routing.push(("modelCards", cards));
            providers.push(("models", priced));
        }
        if let Some(default) = field(&pool, "defaultModel") {
            let defaults = map(default.place, vec![("default_model", default.clone())]);
            providers.push(("defaults", defaults));
        }
        whole.push(("providers", map(pool.place, providers)));
    }
    let mut rest = Vec::new();
    if let Some(Node {
        value: Value::Map(entries),
        ..
    }) = route
    {
        for (key, _, node) in entries {
            match key.as_str() {
                "decisions" => routing.push(("decisions", ruled(snake(node)))),
                "signals" => routing.push(("signals", snake(node))),
                "projections" => routing.push(("projections", snake(node))),
                _ => rest.push((key, node.place, node)),
            }
        }
    }
    let mut routing = map(place, routing);
    if let Value::Map(entries) = &mut routing.value {
        entries.extend(rest);
    }
    whole.push(("routing", routing));
    map(place, whole)
}

/// What a pool knows of its models, and what they cost.
fn split(models: Node) -> (Node, Node) {
    let place = models.place;
    let (mut cards, mut priced) = (Vec::new(), Vec::new());
    let Value::List(items) = models.value else {
        return (list(place, cards), list(place, priced));
    };
    for item in items {
        let here = item.place;
        let Value::Map(entries) = item.value else { continue };
        let (prices, card): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, ..)| key == "pricing");
        if !prices.is_empty() {
            let name = card.iter().filter(|(key, ..)| key == "name").cloned();
            priced.push(Node {
                place: here,
                value: Value::Map(name.chain(prices).collect()),
            });
        }
        cards.push(Node {
            place: here,
            value: Value::Map(card),
        });
    }
    (list(place, cards), list(place, priced))
}

/// Keys of resources are written another way: `maxTokens` is `max_tokens`.
fn snake(mut node: Node) -> Node {
    node.value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(snake).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, place, node)| {
                    // What a plugin is given has no such keys.
                    let node = if key == "configuration" { node } else { snake(node) };
                    (snake_case(&key), place, node)
                })
                .collect(),
        ),
        other => other,
    };
    node
}

fn snake_case(key: &str) -> String {
    if ["modelRefs", "modelCards", "candidateIterations"].contains(&key) {
        return key.to_owned();
    }
    let mut out = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The rules of a decision are called its signals in resources.
fn ruled(mut decisions: Node) -> Node {
    if let Value::List(items) = &mut decisions.value {
        for item in items {
            if let Value::Map(entries) = &mut item.value {
                for (key, ..) in entries {
                    if key == "signals" {
                        "rules".clone_into(key);
                    }
                }
            }
        }
    }
    decisions
}
