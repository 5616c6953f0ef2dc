//! `listeners` and `global`.

use super::Import;
use crate::source::{Item, duration};
use crate::yaml::{Map, Yaml};

/// The first listener is the API's.
pub(super) fn listeners(import: &mut Import, root: &Item) {
    let all = root.get("listeners").map(Item::items).unwrap_or_default();
    for (number, listener) in all.iter().enumerate() {
        if number > 0 {
            import
                .draft
                .report
                .lost(listener, "there is one listener for the API", "");
            continue;
        }
        listener.get("name").iter().for_each(|name| name.accept());
        let address = listener.get("address").and_then(Item::text).unwrap_or("0.0.0.0");
        let Some(port) = listener.get("port").and_then(Item::whole) else {
            continue;
        };
        let address = if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        };
        if let Some(keys) = listener.get("api_keys") {
            import.draft.report.lost(
                keys,
                "keys are made, not written down",
                "pointsman key create --name NAME",
            );
        }
        import.draft.block("listeners", |block| {
            block.update("api", |api| api.set("address", Yaml::text(address)));
        });
    }
}

/// Carries `global` over.
pub(super) fn carry(import: &mut Import, root: &Item) {
    let Some(global) = root.get("global") else { return };
    cache(import, global);
    responses(import, global);
    tracing(import, global);
    switched_off(global);
    if let Some(learning) = global.at_path(&["router", "learning"])
        && learning.get("enabled").and_then(Item::flag) != Some(false)
    {
        import.draft.report.lost(
            learning,
            "what is learned has settings of its own here",
            "set routing.learning",
        );
    }
}

/// Blocks that are switched off do here what they do there: nothing.
fn switched_off(item: &Item) {
    for (_, inner) in item.entries() {
        if inner.get("enabled").and_then(Item::peek) == Some("false") {
            inner.accept();
        } else {
            switched_off(inner);
        }
    }
}

fn cache(import: &mut Import, global: &Item) {
    let stores = global.get("stores");
    let store = stores.and_then(|stores| stores.get("response_cache").or(stores.get("semantic_cache")));
    let Some(store) = store.filter(|store| store.get("enabled").and_then(Item::flag) == Some(true)) else {
        return;
    };
    let mut exact = Map::default();
    let ttl = store
        .get("ttl_seconds")
        .and_then(Item::whole)
        .filter(|seconds| *seconds > 0);
    exact.set(
        "ttl",
        Yaml::text(ttl.map_or("1h".to_owned(), |seconds| duration(seconds * 1_000))),
    );
    let backend = store.get("backend_type");
    if let Some(backend) = backend.filter(|backend| backend.text() != Some("memory")) {
        import.draft.report.nearest(
            backend,
            "answers are remembered in the memory of the process: they are not shared between processes and end with it",
            "",
        );
    }
    for key in ["similarity_threshold", "embedding_model"] {
        if let Some(item) = store.get(key) {
            import.draft.report.lost(
                item,
                "this version remembers answers to the same request only, not to similar ones",
                "",
            );
        }
    }
    import.draft.block("cache", |block| block.put_map("exact", exact));
}

fn responses(import: &mut Import, global: &Item) {
    let Some(api) = global.at_path(&["services", "response_api"]) else {
        return;
    };
    let mut block = Map::default();
    if api.get("enabled").and_then(Item::flag) == Some(false) {
        block.set("store", Yaml::plain(false));
    }
    if let Some(seconds) = api
        .get("ttl_seconds")
        .and_then(Item::whole)
        .filter(|seconds| *seconds > 0)
    {
        block.set("retention", Yaml::text(duration(seconds * 1_000)));
    }
    if let Some(backend) = api.get("store_backend")
        && backend.text() != Some("memory")
    {
        import
            .draft
            .report
            .nearest(backend, "responses are kept in stores.database", "");
    }
    import.draft.block("responses", |responses| *responses = block);
}

fn tracing(import: &mut Import, global: &Item) {
    let Some(observability) = global.at_path(&["services", "observability"]) else {
        return;
    };
    if let Some(metrics) = observability.at_path(&["metrics", "enabled"]) {
        // They are always there, on the admin listener.
        metrics.accept();
    }
    let Some(tracing) = observability.get("tracing") else {
        return;
    };
    if tracing.get("enabled").and_then(Item::flag) != Some(true) {
        return;
    }
    tracing
        .get("provider")
        .iter()
        .for_each(|provider| provider.accept());
    let Some(exporter) = tracing.get("exporter") else {
        return;
    };
    let kind = exporter.get("type");
    if let Some(kind) = kind.filter(|kind| kind.text() != Some("otlp")) {
        import.draft.report.lost(
            kind,
            "traces go to an OpenTelemetry collector",
            "set telemetry.otlp",
        );
        return;
    }
    let Some(endpoint) = exporter
        .get("endpoint")
        .and_then(Item::text)
        .filter(|text| !text.is_empty())
    else {
        return;
    };
    let plain = exporter.get("insecure").and_then(Item::flag) != Some(false);
    let url = match endpoint {
        url if url.contains("://") => url.to_owned(),
        host if plain => format!("http://{host}"),
        host => format!("https://{host}"),
    };
    import
        .draft
        .block("telemetry", |block| block.set("otlp", Yaml::text(url)));
}
