//! `providers`: models with their backends become providers and models.

use std::collections::BTreeMap;

use super::Import;
use super::reliability;
use super::walk::expanded;
use crate::decimal::Decimal;
use crate::source::Item;
use crate::variables::{is_secret_name, is_secret_url, variable_name};
use crate::yaml::{Map, Noted, Yaml};

/// Kinds of backends by other names than the catalog's.
const KINDS: [(&str, &str); 6] = [
    ("azure", "azure-openai"),
    ("azure_openai", "azure-openai"),
    ("bedrock", "aws-bedrock"),
    ("aws_bedrock", "aws-bedrock"),
    ("vertex", "gcp-vertex"),
    ("vllm_omni", "vllm"),
];

/// How the reasoning of each model is switched, as its card says it.
pub(super) fn families(import: &mut Import, root: &Item) -> BTreeMap<String, Map> {
    let defaults = root.at_path(&["providers", "defaults"]);
    let effort = ["default_reasoning_effort", "reasoning_effort"];
    let effort = effort.iter().find_map(|key| defaults?.get(key));
    import.reasoning = effort.and_then(Item::text).map(str::to_owned);
    let known = defaults.and_then(|defaults| defaults.get("reasoning_families"));
    let mut families = BTreeMap::new();
    for model in models(root) {
        let Some(name) = model.get("name").and_then(Item::peek) else {
            continue;
        };
        let named = model
            .get("reasoning_family")
            .and_then(|family| known?.get(family.text()?));
        if let Some(family) = named.or(model.get("reasoning")) {
            families.insert(name.to_owned(), switch(import, family));
        }
    }
    let named = |family: &str| {
        let mut named = models(root)
            .iter()
            .filter_map(|model| model.get("reasoning_family"));
        named.any(|name| name.peek() == Some(family))
    };
    for (name, family) in known.map(Item::entries).unwrap_or_default() {
        if !named(name) {
            let report = &mut import.draft.report;
            report.lost(family, "no model is of this family", "");
        }
    }
    families.retain(|_, family| !family.is_empty());
    families
}

fn switch(import: &mut Import, family: &Item) -> Map {
    let mut map = Map::default();
    let kind = family
        .get("type")
        .and_then(Item::text)
        .unwrap_or_default()
        .to_owned();
    let parameter = family.get("parameter");
    if ![
        "chat_template_kwargs",
        "reasoning_effort",
        "top_level_reasoning_effort",
    ]
    .contains(&kind.as_str())
    {
        if !kind.is_empty() {
            import.draft.report.lost(
                family,
                "reasoning is not switched this way",
                "set the card's reasoning_family",
            );
        }
        return map;
    }
    let text = parameter.and_then(Item::text).unwrap_or("reasoning_effort");
    // An effort inside another object is set at the top: what providers of this format understand.
    let parameter = if kind == "chat_template_kwargs" || !text.contains('.') {
        text
    } else {
        "reasoning_effort"
    };
    map.set("type", Yaml::text(kind));
    map.set("parameter", Yaml::text(parameter));
    map
}

fn models(root: &Item) -> &[Item] {
    root.at_path(&["providers", "models"])
        .map(Item::items)
        .unwrap_or_default()
}

/// Carries providers and models over.
pub(super) fn carry(import: &mut Import, root: &Item) {
    let timeout = root.get("listeners").map(Item::items).unwrap_or_default();
    let timeout = timeout
        .first()
        .and_then(|listener| listener.get("timeout"))
        .and_then(Item::text)
        .map(str::to_owned);
    for model in models(root) {
        let Some(name) = model.get("name").and_then(Item::text).map(str::to_owned) else {
            import.draft.report.lost(model, "it has no name", "");
            continue;
        };
        one(import, model, &name, timeout.as_deref());
    }
}

fn one(import: &mut Import, model: &Item, name: &str, timeout: Option<&str>) {
    let policy = reliability::carry(import, model);
    let mut targets: Vec<Noted> = Vec::new();
    let references = model.get("backend_refs").map(Item::items).unwrap_or_default();
    let (own, others): (Vec<&Item>, Vec<&Item>) =
        references.iter().partition(|one| one.get("base_url").is_none());
    let mut add = |import: &mut Import, backend: Backend, line: usize| {
        let mut target = Map::default();
        let mut block = backend.block;
        block.put_map("health", policy.health.clone());
        if backend.endpoints > 1 {
            block.put_map("balance", policy.balance.clone());
        }
        if let Some(timeout) = timeout {
            let mut times = Map::default();
            times.set("total", Yaml::text(timeout));
            block.put_map("timeouts", times);
        }
        let provider = import
            .draft
            .provider(&backend.wish, block, format!("line {line}"));
        target.set("provider", Yaml::text(provider));
        target.set("model", Yaml::text(physical(model, &backend.kind, name)));
        if backend.weight != 1 {
            target.set("weight", Yaml::plain(backend.weight));
        }
        targets.push(Noted::from(Yaml::Map(target)));
    };
    for servers in by_credential(&own) {
        if let Some(backend) = served(import, model, &servers, name) {
            add(import, backend, servers[0].line);
        }
    }
    for reference in others {
        if let Some(backend) = remote(import, model, reference, name) {
            add(import, backend, reference.line);
        }
    }
    let several = targets.len() > 1;
    model
        .get("provider_model_id")
        .iter()
        .for_each(|item| item.accept());
    model.get("api_format").iter().for_each(|item| item.accept());
    let price = price(import, model);
    if targets.is_empty() {
        let report = &mut import.draft.report;
        return report.lost(model, "no backend serves it", "add it under models, with targets");
    }
    let mut block = Map::default();
    for target in targets {
        block.push("targets", target);
    }
    if several {
        block.put_map("balance", policy.balance);
    }
    block.put_map("retry", policy.retry);
    block.put_map("price", price);
    import
        .draft
        .block("models", |models| models.set(name, Yaml::Map(block)));
}

/// A provider in the making.
struct Backend {
    wish: String,
    /// As backends are told apart there.
    kind: String,
    block: Map,
    endpoints: usize,
    weight: u64,
}

/// Servers that let us in the same way.
fn by_credential<'a>(references: &[&'a Item]) -> Vec<Vec<&'a Item>> {
    let mut groups: Vec<(Vec<Option<&str>>, Vec<&'a Item>)> = Vec::new();
    for reference in references {
        let key = ["api_key", "api_key_env", "auth_header", "auth_prefix", "provider"];
        let key: Vec<Option<&str>> = key
            .iter()
            .map(|key| reference.get(key).and_then(Item::peek))
            .collect();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(*reference),
            None => groups.push((key, vec![*reference])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Model servers of one's own.
fn served(import: &mut Import, model: &Item, servers: &[&Item], name: &str) -> Option<Backend> {
    let mut block = Map::default();
    let format = model.get("api_format").and_then(Item::peek);
    block.set(
        "kind",
        Yaml::text(if format == Some("anthropic") {
            "anthropic"
        } else {
            "vllm"
        }),
    );
    let mut weight = 0;
    let mut endpoints = Vec::new();
    for server in servers {
        let Some(endpoint) = server.get("endpoint") else {
            import
                .draft
                .report
                .lost(server, "it has no address", "add a provider by hand");
            continue;
        };
        let share = server
            .get("weight")
            .and_then(Item::whole)
            .filter(|weight| *weight > 0)
            .unwrap_or(1);
        weight += share;
        let mut map = Map::default();
        let url = address(
            import,
            endpoint,
            server.get("protocol"),
            format == Some("anthropic"),
        );
        map.set("url", url);
        if share != 1 && servers.len() > 1 {
            map.set("weight", Yaml::plain(share));
        }
        endpoints.push(Yaml::Map(map));
    }
    let first = servers.first()?;
    auth(import, first, name, &mut block);
    for server in servers {
        plain(server);
    }
    let count = endpoints.len();
    let only = match endpoints.as_slice() {
        [] => return None,
        [Yaml::Map(only)] => only.get("url").cloned(),
        _ => None,
    };
    match only {
        Some(url) => block.set("base_url", url),
        None => block.set("endpoints", Yaml::list(endpoints)),
    }
    Some(Backend {
        wish: name.replace(['/', ':'], "-"),
        kind: kind_of(first),
        block,
        endpoints: count,
        weight: weight.max(1),
    })
}

/// Its id in the catalog, and whether it is where the catalog says.
fn catalogued(import: &Import, model: &Item, reference: &Item, url: &str) -> (String, bool) {
    let wish = reference
        .get("provider")
        .and_then(Item::text)
        .map(str::to_ascii_lowercase);
    let anthropic = model.get("api_format").and_then(Item::peek) == Some("anthropic");
    let named = wish.unwrap_or_else(|| {
        if anthropic {
            "anthropic".into()
        } else {
            "openai".into()
        }
    });
    let named = KINDS
        .iter()
        .find(|(other, _)| *other == named)
        .map_or(named.as_str(), |(_, kind)| *kind);
    let catalog = import.draft.catalog;
    let facts = catalog.provider(named).filter(|facts| facts.is_spoken());
    let at_home = facts.is_some_and(|facts| facts.base_url.as_deref() == Some(url));
    let kind = match facts.map(|facts| facts.id.as_str()) {
        _ if anthropic => "anthropic",
        Some("openai") if !at_home => "openai-compatible",
        Some(id) => id,
        None => "openai-compatible",
    };
    (kind.to_owned(), at_home)
}

/// A provider elsewhere.
fn remote(import: &mut Import, model: &Item, reference: &Item, name: &str) -> Option<Backend> {
    let url = reference.get("base_url")?;
    let text = url.peek().unwrap_or_default().trim_end_matches('/').to_owned();
    let (kind, at_home) = catalogued(import, model, reference, &text);
    let mut block = Map::default();
    block.set("kind", Yaml::text(&kind));
    if at_home {
        url.accept();
    } else if is_secret_url(&text) && !text.starts_with('$') {
        let wish = variable_name(&format!("{name}_url"));
        block.set(
            "base_url",
            import
                .draft
                .variables
                .in_place_of(url, &wish, &mut import.draft.report),
        );
    } else {
        url.accept();
        block.set("base_url", expanded(&mut import.draft, &text));
    }
    auth(import, reference, name, &mut block);
    plain(reference);
    if kind == "azure-openai" {
        let version = reference.get("api_version").and_then(Item::text).map(Yaml::text);
        block.put("api_version", version);
    }
    let usual = |path: &&Item| {
        let path = path.peek().unwrap_or_default();
        path.trim_start_matches("/v1") == "/chat/completions"
    };
    if let Some(path) = reference.get("chat_path").filter(usual) {
        path.accept();
    }
    let title = reference
        .get("name")
        .and_then(Item::text)
        .unwrap_or(&kind)
        .to_owned();
    Some(Backend {
        wish: title,
        kind: kind_of(reference),
        block,
        endpoints: 1,
        weight: reference
            .get("weight")
            .and_then(Item::whole)
            .filter(|weight| *weight > 0)
            .unwrap_or(1),
    })
}

/// What says nothing that is not said elsewhere.
fn plain(reference: &Item) {
    for key in ["name", "type", "protocol", "weight"] {
        reference.get(key).iter().for_each(|item| item.accept());
    }
}

fn kind_of(reference: &Item) -> String {
    let kind = ["type", "provider"]
        .iter()
        .find_map(|key| reference.get(key)?.text());
    kind.unwrap_or("vllm").to_owned()
}

/// The model's name there.
fn physical(model: &Item, kind: &str, name: &str) -> String {
    let external = model
        .get("external_model_ids")
        .and_then(|ids| ids.get(kind))
        .and_then(Item::text);
    let own = model.get("provider_model_id").and_then(Item::text);
    external
        .or(own)
        .filter(|text| !text.is_empty())
        .unwrap_or(name)
        .to_owned()
}

/// `host:port`, with what the protocol says.
fn address(import: &mut Import, endpoint: &Item, protocol: Option<&Item>, bare: bool) -> Yaml {
    let text = endpoint
        .text()
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned();
    let scheme = protocol
        .and_then(Item::text)
        .unwrap_or("http")
        .to_ascii_lowercase();
    let url = if text.contains("://") {
        text
    } else {
        format!("{scheme}://{text}")
    };
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let url = if rest.contains('/') || bare {
        url
    } else {
        format!("{url}/v1")
    };
    expanded(&mut import.draft, &url)
}

/// How a backend lets us in, and headers.
fn auth(import: &mut Import, reference: &Item, name: &str, block: &mut Map) {
    let mut auth = Map::default();
    let key = reference
        .get("api_key")
        .filter(|key| key.peek().is_some_and(|key| !key.is_empty()));
    let variable = reference
        .get("api_key_env")
        .and_then(Item::text)
        .filter(|name| !name.is_empty());
    let secret = match (key, variable) {
        (Some(key), _) if key.peek().is_some_and(|key| key.starts_with('$')) => {
            let text = key.text().unwrap_or_default().to_owned();
            Some(expanded(&mut import.draft, &text))
        }
        (Some(key), _) => {
            let wish = variable_name(&format!("{name}_API_KEY"));
            let draft = &mut import.draft;
            Some(draft.variables.in_place_of(key, &wish, &mut draft.report))
        }
        (None, Some(variable)) => Some(import.draft.variables.known(variable)),
        (None, None) => None,
    };
    reference.get("api_key").iter().for_each(|item| item.accept());
    let header = reference
        .get("auth_header")
        .and_then(Item::text)
        .filter(|header| !header.is_empty());
    let prefix = reference.get("auth_prefix").and_then(Item::text);
    if let Some(secret) = secret {
        auth.set("api_key", secret);
        let usual = header.is_none_or(|header| header.eq_ignore_ascii_case("authorization"))
            && prefix.is_none_or(|prefix| prefix.trim() == "Bearer");
        if let Some(header) = header.filter(|_| !usual) {
            auth.set("header", Yaml::text(header));
            let prefix = prefix.filter(|prefix| !prefix.is_empty());
            auth.put(
                "prefix",
                prefix.map(|prefix| Yaml::text(format!("{} ", prefix.trim()))),
            );
        }
    }
    block.put_map("auth", auth);
    let mut headers = Map::default();
    for (header, value) in reference
        .get("extra_headers")
        .map(Item::entries)
        .unwrap_or_default()
    {
        let text = value.peek().unwrap_or_default().to_owned();
        let value = if is_secret_name(header) && !text.starts_with('$') {
            let draft = &mut import.draft;
            let wish = variable_name(&format!("{name}_{header}"));
            draft.variables.in_place_of(value, &wish, &mut draft.report)
        } else {
            value.accept();
            expanded(&mut import.draft, &text)
        };
        headers.set(header, value);
    }
    block.put_map("headers", headers);
}

/// Prices for a million tokens, here and there.
fn price(import: &mut Import, model: &Item) -> Map {
    let mut map = Map::default();
    let Some(pricing) = model.get("pricing") else {
        return map;
    };
    let currency = pricing.get("currency").and_then(Item::text).unwrap_or("USD");
    if !currency.eq_ignore_ascii_case("usd") {
        let why = format!("prices are in dollars, not in {currency}");
        import.draft.report.lost(pricing, why, "set price of the model");
        return map;
    }
    for (theirs, ours) in [
        ("prompt_per_1m", "input"),
        ("completion_per_1m", "output"),
        ("cached_input_per_1m", "cache_read"),
        ("cache_write_per_1m", "cache_write"),
    ] {
        map.put(
            ours,
            pricing
                .get(theirs)
                .and_then(Item::decimal)
                .map(Decimal::text)
                .map(Yaml::plain),
        );
    }
    for (theirs, ours) in [("input_token_price", "input"), ("output_token_price", "output")] {
        let price = pricing.get(theirs).and_then(Item::decimal);
        map.put(ours, price.map(|price| price.shifted(6).text()).map(Yaml::plain));
    }
    map
}
