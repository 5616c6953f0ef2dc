//! `litellm_settings` and `general_settings`: telemetry, sizes, limits.

use super::{Files, Import, cache};
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Lists of callbacks.
const CALLBACKS: [&str; 5] = [
    "callbacks",
    "success_callback",
    "failure_callback",
    "service_callback",
    "audit_log_callbacks",
];

/// Limits of keys, by LiteLLM's names and ours.
const LIMITS: [(&str, &str); 3] = [
    ("rpm_limit", "requests_per_minute"),
    ("tpm_limit", "tokens_per_minute"),
    ("max_parallel_requests", "concurrency"),
];

/// Carries both blocks over.
pub(super) fn carry(import: &mut Import, files: &Files) {
    if let Some(library) = files.map("litellm_settings") {
        for list in CALLBACKS {
            for callback in library.get(list).map(Item::one_or_many).unwrap_or_default() {
                self::callback(import, callback);
            }
        }
        telemetry(import, library);
        cache::carry(import, library);
        for block in ["default_key_generate_params", "upperbound_key_generate_params"] {
            if let Some(item) = library.get(block) {
                limits(import, item);
            }
        }
    }
    if let Some(general) = files.map("general_settings") {
        sizes(import, general);
    }
    if let Some(variables) = files.map("environment_variables") {
        for (name, item) in variables.entries() {
            import.draft.report.lost(
                item,
                "a configuration sets no variables",
                format!("set {name} in the environment"),
            );
        }
    }
    let mut identity = Map::default();
    identity.set("anonymous", Yaml::text("deny"));
    import.draft.block("identity", |block| *block = identity);
}

fn callback(import: &mut Import, item: &Item) {
    match item.peek() {
        // Always there: /metrics of the admin listener.
        Some("prometheus") => item.accept(),
        Some("otel" | "opentelemetry") => {
            let endpoint = "${OTEL_EXPORTER_OTLP_ENDPOINT:-http://127.0.0.1:4317}";
            import.draft.block("telemetry", |block| {
                block.set("otlp", Yaml::Variable(endpoint.to_owned()));
            });
            import.draft.report.nearest(
                item,
                "traces and metrics go to an OpenTelemetry collector by gRPC",
                "set OTEL_EXPORTER_OTLP_ENDPOINT to its gRPC address, unless that is http://127.0.0.1:4317",
            );
        }
        _ => import.draft.report.lost(
            item,
            "this version sends OpenTelemetry and Prometheus only",
            "set telemetry.otlp, and let an OpenTelemetry collector pass it on; code of one's own cannot be carried over",
        ),
    }
}

fn telemetry(import: &mut Import, library: &Item) {
    if let Some(item) = library.get("json_logs")
        && item.flag() == Some(true)
    {
        import
            .draft
            .block("telemetry", |block| block.set("access_log", Yaml::text("json")));
        import
            .draft
            .report
            .nearest(item, "one JSON line for each request on standard output", "");
    }
    if let Some(item) = library.get("turn_off_message_logging")
        && item.flag() == Some(false)
    {
        import.draft.report.lost(
            item,
            "prompts and answers are never part of logs and traces in this version",
            "",
        );
    }
    for key in ["set_verbose", "redact_user_api_key_info"] {
        // Secrets never reach a log; how much is logged is up to RUST_LOG.
        if let Some(item) = library.get(key) {
            item.flag();
        }
    }
}

fn limits(import: &mut Import, block: &Item) {
    for (key, name) in LIMITS {
        let Some(item) = block.get(key) else { continue };
        let Some(limit) = item.whole() else { continue };
        import.draft.block("limits", |limits| {
            limits.update("default", |default| default.set(name, Yaml::plain(limit)));
        });
        import
            .draft
            .report
            .nearest(item, "it is a limit of every key that has none of its own", "");
    }
}

fn sizes(import: &mut Import, general: &Item) {
    let sizes = [
        ("max_request_size_mb", "request_limit"),
        ("max_response_size_mb", "response_limit"),
    ];
    for (key, name) in sizes {
        let megabytes = general.get(key).and_then(Item::whole);
        if let Some(bytes) = megabytes.and_then(|size| size.checked_mul(1024 * 1024)) {
            import
                .draft
                .block("server", |server| server.set(name, Yaml::plain(bytes)));
        }
    }
}
