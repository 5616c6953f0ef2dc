//! Models as a table, as JSON, as numbers.

use pointsman_catalog::{Catalog, Model, Provider, RateKind};
use serde_json::{Map, Value, json};

use super::List;
use super::own::Own;
use crate::console;

/// The rates that have a column of their own.
const COLUMNS: [RateKind; 3] = [RateKind::Input, RateKind::Output, RateKind::CacheRead];

/// A table with prices.
pub(super) fn table(rows: &[(&Provider, &Model)]) {
    let head = [
        "PROVIDER",
        "MODEL",
        "KIND",
        "CONTEXT",
        "OUTPUT",
        "$/M IN",
        "$/M OUT",
        "$/M CACHED",
        "OTHER",
    ];
    let mut lines: Vec<[String; 9]> = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|(provider, model)| line(provider, model)));
    let mut widths = [0; 9];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            // Names to the left, numbers to the right.
            .map(|(at, (cell, width))| {
                if (3..8).contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        console::say(cells.join("  ").trim_end());
    }
    console::say(format!("{} models", rows.len()));
}

fn line(provider: &Provider, model: &Model) -> [String; 9] {
    let number = |number: Option<u64>| number.map(tokens).unwrap_or_default();
    let rate = |kind: RateKind| {
        let rate = model.price.as_ref().and_then(|price| price.listed(kind));
        rate.map(|rate| rate.per_million().usd_decimal())
            .unwrap_or_default()
    };
    let [input, output, cached] = COLUMNS.map(rate);
    [
        provider.id.clone(),
        model.id.to_string(),
        model.kind.to_string(),
        number(model.context_window),
        number(model.max_output),
        input,
        output,
        cached,
        other(model),
    ]
}

/// Rates without a column, and when the model goes away.
fn other(model: &Model) -> String {
    let mut notes = Vec::new();
    if let Some(price) = &model.price {
        for kind in RateKind::ALL.iter().filter(|kind| kind.is_each()) {
            if let Some(rate) = price.listed(*kind) {
                notes.push(format!(
                    "{} {}",
                    kind.name().trim_start_matches("per_"),
                    rate.each_decimal()
                ));
            }
        }
        if price.entries().iter().any(|entry| entry.above > 0) {
            notes.push("dearer when long".to_owned());
        }
    }
    if let Some(day) = model.deprecated {
        notes.push(format!("until {day}"));
    }
    notes.join(", ")
}

/// 400000 as 400K, 1048576 as 1M.
fn tokens(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}K", count / 1_000),
        _ if count % 1_000_000 / 100_000 == 0 => format!("{}M", count / 1_000_000),
        _ => format!("{}.{}M", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// One JSON list.
pub(super) fn json(rows: &[(&Provider, &Model)], own: &[Own]) {
    let listed = rows.iter().map(|(provider, model)| facts(&provider.id, model));
    let all: Vec<Value> = listed.chain(own.iter().map(|own| json!(own))).collect();
    console::say(serde_json::to_string_pretty(&all).unwrap_or_default());
}

/// What is known of a model; what is not is absent.
pub(super) fn facts(provider: &str, model: &Model) -> Value {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            facts.insert(name.to_owned(), value);
        }
    };
    put("provider", json!(provider));
    put("id", json!(model.id));
    put("kind", json!(model.kind));
    if model.variant {
        put("variant", json!(true));
    }
    put("context_window", json!(model.context_window));
    put("max_output", json!(model.max_output));
    put("price", json!(model.price));
    put("features", json!(model.features));
    put("input", json!(model.modalities.input));
    put("output", json!(model.modalities.output));
    put("efforts", json!(model.efforts));
    put("endpoints", json!(model.endpoints));
    put("cache_minimum", json!(model.cache_minimum));
    put("dimensions", json!(model.dimensions));
    put("deprecated", json!(model.deprecated));
    put("successor", json!(model.successor));
    Value::Object(facts)
}

/// How many there are.
pub(super) fn counts(list: &List, catalog: &Catalog, rows: &[(&Provider, &Model)]) {
    let config = pointsman_config::Config::default();
    let wanted = || {
        catalog
            .providers()
            .filter(|provider| list.of_provider(catalog, &config, &provider.id))
    };
    let by_key = wanted().filter(|provider| provider.needs_only_a_key()).count();
    let priced = rows.iter().filter(|(_, model)| model.is_priced()).count();
    console::say(format!("providers: {}", wanted().count()));
    console::say(format!("providers reachable with an API key alone: {by_key}"));
    console::say(format!("models: {}", rows.len()));
    console::say(format!("priced models: {priced}"));
}
