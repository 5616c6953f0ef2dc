//! Keys of the vLLM Semantic Router that have no counterpart.

use crate::hints::Hints;

const OWN: &str = "signals are computed by the models that come with Pointsman";
const KEYS: &str = "callers are known by their keys, not by headers that a proxy sets";
const MEMORY: &str = "each decision says what it remembers of users";
const LOOPS: &str = "loops call models inside the process";

/// Why, and what instead.
pub(super) const HINTS: Hints = Hints {
    known: &[
        ("global.model_catalog", OWN, ""),
        (
            "providers.models[].external_model_ids",
            "no backend goes by this name",
            "",
        ),
        (
            "evaluation",
            "benchmarks of models are not part of a configuration",
            "",
        ),
        ("global.router.config_source", "the configuration is a file", ""),
        (
            "global.router.include_config_models_in_list",
            "GET /v1/models lists what there is",
            "",
        ),
        (
            "global.router.clear_route_cache",
            "there is no proxy in between whose routes could be cached",
            "",
        ),
        (
            "global.router.streamed_body",
            "bodies are read as they come",
            "server.request_limit bounds them",
        ),
        (
            "global.router.skip_processing",
            "no header leads past the router",
            "",
        ),
        (
            "global.router.model_selection",
            "each decision says how one of its models is picked",
            "set algorithm of the decisions",
        ),
        (
            "global.router.learning",
            "what is learned has settings of its own here",
            "set routing.learning",
        ),
        (
            "global.router.fallback",
            "models say what is done when they fail",
            "set retry and fallback of the models",
        ),
        (
            "global.services.api",
            "batches of texts are classified as they come",
            "",
        ),
        (
            "global.services.observability.tracing.sampling",
            "every request is traced",
            "",
        ),
        (
            "global.services.observability.tracing.resource",
            "OTEL_RESOURCE_ATTRIBUTES says who traces",
            "",
        ),
        (
            "global.services.observability.metrics",
            "metrics are on the admin listener, /metrics",
            "",
        ),
        ("global.services.authz", KEYS, "pointsman key create --user NAME"),
        (
            "global.services.ratelimit",
            "limits belong to keys",
            "set limits.default, or limits of a key: pointsman key create",
        ),
        (
            "global.services.management_api",
            "the admin listener has its own address and token",
            "set listeners.admin",
        ),
        (
            "global.services.router_replay",
            "each decision says whether it is recorded",
            "set the plugin router_replay of the decisions",
        ),
        (
            "global.services.startup_status",
            "/health/ready says when all is ready",
            "",
        ),
        (
            "global.services.response_api",
            "responses are kept in stores.database",
            "",
        ),
        (
            "global.stores.response_cache",
            "answers are remembered in the memory of the process",
            "set cache.exact",
        ),
        (
            "global.stores.semantic_cache",
            "answers are remembered in the memory of the process",
            "set cache.exact",
        ),
        (
            "global.stores.memory",
            MEMORY,
            "set the plugin memory of the decisions",
        ),
        (
            "global.stores.vector_store",
            "this version keeps no documents to look up",
            "",
        ),
        (
            "global.integrations.tools",
            "each decision says which tools its model sees",
            "set the plugin tool_selection of the decisions",
        ),
        ("global.integrations.looper", LOOPS, ""),
        ("global.model_catalog.embeddings", OWN, ""),
        ("global.model_catalog.system", OWN, ""),
        (
            "global.model_catalog.external",
            "signals are not computed by models elsewhere",
            "",
        ),
        ("global.model_catalog.bindings", OWN, ""),
        ("global.model_catalog.deployments", OWN, ""),
        ("global.model_catalog.admission", OWN, ""),
        (
            "global.model_catalog.modules",
            OWN,
            "set thresholds at the signals",
        ),
        (
            "global.model_catalog.modules.prompt_compression",
            "signals read the whole prompt",
            "",
        ),
        (
            "providers.models[].backend_refs[].chat_path",
            "the path is the format's own",
            "put what comes before /chat/completions into base_url",
        ),
        (
            "providers.models[].backend_refs[].api_version",
            "this provider has no versions",
            "",
        ),
        (
            "providers.models[].reliability.max_ejection_percent",
            "when all servers fail, they are tried all the same",
            "",
        ),
        (
            "providers.models[].reliability.retry_on",
            "nothing is tried again",
            "",
        ),
        (
            "providers.models[].reasoning_family",
            "no family of this name says how reasoning is switched",
            "set reasoning_family of the model card",
        ),
        (
            "providers.models[].reasoning",
            "the model card says how reasoning is switched",
            "",
        ),
        (
            "providers.models[].catalog",
            "the catalog knows models by their names",
            "",
        ),
        (
            "providers.models[].access_key",
            "a backend says how it lets us in",
            "set auth of the provider",
        ),
        (
            "listeners[].timeout",
            "there is no provider whose time it could bound",
            "",
        ),
        ("routing.global", "this is no part of a routing", ""),
    ],
    unknown: ("nothing is known of it", ""),
};
