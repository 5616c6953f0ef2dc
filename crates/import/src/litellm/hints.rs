//! LiteLLM's keys that have no counterpart.

use crate::hints::Hints;

const KEYS: &str = "make keys with `pointsman key create`";
const METRICS: &str = "let Prometheus raise alerts from /metrics of the admin listener";
const REDIS: &str = "each process counts and remembers on its own in this version";
const CATALOG: &str = "say it under catalog.models.PROVIDER.MODEL";

/// Why, and what instead.
pub(super) const HINTS: Hints = Hints {
    known: &[
        ("mcp_servers", "MCP servers are not part of this version", ""),
        ("mcp_tools", "MCP servers are not part of this version", ""),
        ("agents", "agents are not part of this version", ""),
        ("agent_list", "agents are not part of this version", ""),
        ("search_tools", "searching is not part of this version", ""),
        (
            "vector_store_registry",
            "vector stores are not part of this version",
            "",
        ),
        (
            "policies",
            "guardrails act on all requests",
            "add regex guardrails under guardrails",
        ),
        (
            "policy_attachments",
            "guardrails act on all requests",
            "add regex guardrails under guardrails",
        ),
        ("credential_list", "no deployment names it", ""),
        (
            "callback_settings",
            "this version sends OpenTelemetry and Prometheus only",
            "set telemetry.otlp",
        ),
        ("worker_registry", "every process serves by itself", ""),
        (
            "model_list[].litellm_params.mock_response",
            "there are no made-up answers",
            "run `pointsman sim` and name it as a provider",
        ),
        (
            "model_list[].litellm_params.mock_*",
            "there are no made-up answers",
            "run `pointsman sim` and name it as a provider",
        ),
        (
            "model_list[].litellm_params.rpm",
            "this target's traffic is shared out by something else",
            "auth.api_key of the provider takes requests_per_minute",
        ),
        (
            "model_list[].litellm_params.tpm",
            "this target's traffic is shared out by something else",
            "auth.api_key of the provider takes tokens_per_minute",
        ),
        (
            "model_list[].litellm_params.weight",
            "LiteLLM looks at the first target of a name, which has none",
            "",
        ),
        (
            "model_list[].litellm_params.rpd",
            "limits are for a minute",
            "auth.api_key of the provider takes requests_per_minute",
        ),
        (
            "model_list[].litellm_params.tpd",
            "limits are for a minute",
            "auth.api_key of the provider takes tokens_per_minute",
        ),
        (
            "model_list[].litellm_params.itpm",
            "input and output have one limit",
            "auth.api_key of the provider takes tokens_per_minute",
        ),
        (
            "model_list[].litellm_params.otpm",
            "input and output have one limit",
            "auth.api_key of the provider takes tokens_per_minute",
        ),
        (
            "model_list[].litellm_params.tags",
            "targets are not picked by tags",
            "make a model of its own name for each tag, and let keys use it: pointsman key create --model",
        ),
        (
            "model_list[].litellm_params.tag_regex",
            "targets are not picked by tags",
            "make a model of its own name for each tag",
        ),
        (
            "model_list[].litellm_params.max_parallel_requests",
            "targets have no limit of their own",
            "limit keys: limits.default.concurrency",
        ),
        (
            "model_list[].litellm_params.max_budget",
            "budgets are those of keys",
            "pointsman key create --budget",
        ),
        (
            "model_list[].litellm_params.budget_duration",
            "budgets are those of keys",
            "pointsman key create --budget-window",
        ),
        (
            "model_list[].litellm_params.cooldown_time",
            "health is the provider's",
            "set health.open_for of the provider",
        ),
        (
            "model_list[].litellm_params.api_version",
            "only Azure OpenAI has versions",
            "",
        ),
        (
            "model_list[].litellm_params.aws_web_identity_token",
            "where the token comes from is not said in a way this version knows",
            "write auth.aws.web_identity of the provider, with token_file or oidc",
        ),
        (
            "model_list[].litellm_params.aws_*",
            "with a web identity token, or unknown",
            "write auth.aws of the provider",
        ),
        (
            "model_list[].litellm_params.azure_username",
            "Entra ID is not asked with names and passwords",
            "write auth.entra of the provider with a secret, certificate or workload identity",
        ),
        (
            "model_list[].litellm_params.azure_password",
            "Entra ID is not asked with names and passwords",
            "write auth.entra of the provider with a secret, certificate or workload identity",
        ),
        (
            "model_list[].litellm_params.auto_router_*",
            "a router of LiteLLM's own",
            "write the block routing",
        ),
        (
            "model_list[].litellm_params.complexity_router_*",
            "a router of LiteLLM's own",
            "write the block routing",
        ),
        (
            "model_list[].litellm_params.cache_control_injection_points",
            "cache marks are not put in",
            "clients may set cache_control themselves",
        ),
        (
            "model_list[].litellm_params.merge_reasoning_content_in_choices",
            "reasoning stays in its own field",
            "",
        ),
        (
            "model_list[].litellm_params.use_in_pass_through",
            "there are no pass-through paths",
            "",
        ),
        (
            "model_list[].litellm_params.use_chat_completions_api",
            "the format is chosen by what client and provider speak",
            "set format of the target",
        ),
        (
            "model_list[].litellm_params.allowed_openai_params",
            "what a provider's format knows goes through; the rest is told in x-pointsman-losses",
            "set request.body of the target",
        ),
        (
            "model_list[].litellm_params.extra_headers",
            "a header's value is a text",
            "",
        ),
        (
            "model_list[].litellm_params.tiered_pricing",
            "bands of prompt sizes are written otherwise",
            "write models.NAME.price.above",
        ),
        (
            "model_list[].litellm_params.input_cost_*",
            "the catalog has no such rate",
            "write models.NAME.price by hand",
        ),
        (
            "model_list[].litellm_params.output_cost_*",
            "the catalog has no such rate",
            "write models.NAME.price by hand",
        ),
        (
            "model_list[].litellm_params",
            "it is not known; LiteLLM sends keys it does not know to the provider as they are",
            "if the provider wants it, set it under request.body.default of the target",
        ),
        ("model_list[].model_info.id", "targets have no ids", ""),
        (
            "model_list[].model_info.access_groups",
            "keys name models themselves",
            "pointsman key create --model NAME, which may hold a `*`",
        ),
        (
            "model_list[].model_info.team_id",
            "keys name models themselves",
            "pointsman key create --team TEAM --model NAME",
        ),
        (
            "model_list[].model_info.supports_*",
            "the catalog's features have names of their own",
            CATALOG,
        ),
        (
            "model_list[].model_info.health_check_*",
            "servers are judged by the traffic itself",
            "see health of the provider",
        ),
        (
            "model_list[].model_info.disable_background_health_check",
            "servers are judged by the traffic itself",
            "see health of the provider",
        ),
        (
            "model_list[].model_info.allowed_fails",
            "health is the provider's",
            "set health.consecutive_failures of the provider",
        ),
        (
            "model_list[].model_info.allowed_fails_policy",
            "health is the provider's",
            "set health of the provider",
        ),
        (
            "model_list[].model_info.mode",
            "the catalog has no such kind of model",
            CATALOG,
        ),
        (
            "model_list[].model_info.max_tokens",
            "prompt and answer have limits of their own",
            CATALOG,
        ),
        ("model_list[].model_info", "nothing goes by it", ""),
        ("model_list[]", "nothing goes by it", ""),
        ("router_settings.redis_*", REDIS, ""),
        (
            "router_settings.cache_*",
            "the router has no cache of its own",
            "see cache",
        ),
        (
            "router_settings.caching_groups",
            "models have no common cache",
            "",
        ),
        (
            "router_settings.routing_strategy_args",
            "policies have no arguments",
            "",
        ),
        (
            "router_settings.routing_groups",
            "policies are set for each model",
            "set models.NAME.balance.policy",
        ),
        (
            "router_settings.allowed_fails_policy",
            "all failures count alike",
            "set health of the provider",
        ),
        (
            "router_settings.provider_budget_config",
            "budgets are those of keys",
            "pointsman key create --budget",
        ),
        (
            "router_settings.enable_tag_filtering",
            "targets are not picked by tags",
            "make a model of its own name for each tag",
        ),
        (
            "router_settings.tag_*",
            "targets are not picked by tags",
            "make a model of its own name for each tag",
        ),
        (
            "router_settings.optional_pre_call_checks",
            "there is no such check",
            "",
        ),
        (
            "router_settings.alerting_config",
            "alerts are not part of this version",
            METRICS,
        ),
        (
            "router_settings.default_litellm_params",
            "parameters are set for each provider, model or target",
            "set request.parameters.default",
        ),
        (
            "router_settings.max_fallbacks",
            "all models of fallback are tried in their order",
            "",
        ),
        (
            "router_settings.default_max_parallel_requests",
            "targets have no limit of their own",
            "limit keys: limits.default.concurrency",
        ),
        (
            "router_settings.retry_policy",
            "there is no such sort of error",
            "see retry.on",
        ),
        (
            "router_settings.model_group_retry_policy",
            "there is no such sort of error",
            "see retry.on",
        ),
        (
            "router_settings.set_verbose",
            "how much is logged is up to the variable RUST_LOG",
            "",
        ),
        (
            "router_settings.debug_level",
            "how much is logged is up to the variable RUST_LOG",
            "",
        ),
        ("router_settings", "it is not known", "see docs/import.md"),
        ("litellm_settings.redis_*", REDIS, ""),
        ("litellm_settings.cache_params.host", REDIS, ""),
        ("litellm_settings.cache_params.port", REDIS, ""),
        ("litellm_settings.cache_params.password", REDIS, ""),
        ("litellm_settings.cache_params.url", REDIS, ""),
        ("litellm_settings.cache_params.redis_*", REDIS, ""),
        ("litellm_settings.cache_params.ssl", REDIS, ""),
        (
            "litellm_settings.cache_params.supported_call_types",
            "only conversations are remembered",
            "",
        ),
        (
            "litellm_settings.cache_params.namespace",
            "a cache is one process's own",
            "see cache.scope",
        ),
        (
            "litellm_settings.cache_params",
            "the cache has no such setting",
            "see cache.exact",
        ),
        (
            "litellm_settings.request_timeout",
            "router_settings.timeout says it, too, and wins",
            "",
        ),
        ("credential_list[].credential_info", "nothing goes by it", ""),
        (
            "litellm_settings.max_budget",
            "budgets are those of keys",
            "pointsman key create --budget",
        ),
        (
            "litellm_settings.budget_duration",
            "budgets are those of keys",
            "pointsman key create --budget-window",
        ),
        (
            "litellm_settings.default_internal_user_params",
            "users are those that keys name",
            KEYS,
        ),
        (
            "litellm_settings.max_internal_user_budget",
            "budgets are those of keys",
            KEYS,
        ),
        (
            "litellm_settings.max_end_user_budget",
            "budgets are those of keys",
            KEYS,
        ),
        (
            "litellm_settings.default_team_settings",
            "teams are those that keys name",
            KEYS,
        ),
        (
            "litellm_settings.default_key_generate_params",
            "keys are made with all that holds for them",
            KEYS,
        ),
        (
            "litellm_settings.upperbound_key_generate_params",
            "keys are made by operators",
            KEYS,
        ),
        (
            "litellm_settings.priority_reservation",
            "keys and their holders have priorities, and shares of limits are reserved for them",
            "set limits.models and limits.shares, and a priority for keys: pointsman key create --priority",
        ),
        (
            "litellm_settings.ssl_verify",
            "certificates are always verified",
            "set upstream.tls.ca_file to trust more",
        ),
        (
            "litellm_settings.ssl_certificate",
            "client certificates are the provider's",
            "set auth.client_certificate of the provider",
        ),
        (
            "litellm_settings.modify_params",
            "requests are changed only where a format needs it; what is lost is told in x-pointsman-losses",
            "",
        ),
        (
            "litellm_settings.model_alias_map",
            "the model it names is not there",
            "add the model under models",
        ),
        ("litellm_settings.cost_*", "costs are what providers bill", ""),
        ("litellm_settings", "it is not known", "see docs/import.md"),
        (
            "general_settings.master_key",
            "there is no key that may do everything",
            "make keys with `pointsman key create`; the admin listener is on loopback",
        ),
        (
            "general_settings.database_*",
            "keys and the ledger are kept in tables of another shape",
            "set stores.database to sqlite://FILE, or to a postgres:// database of their own; keys of the old database are not carried over",
        ),
        (
            "general_settings.store_model_in_db",
            "models are those of the file; it is read anew when it changes",
            "",
        ),
        (
            "general_settings.alert*",
            "alerts are not part of this version",
            METRICS,
        ),
        (
            "general_settings.max_parallel_requests",
            "targets have no limit of their own",
            "limit keys: limits.default.concurrency",
        ),
        (
            "general_settings.global_max_parallel_requests",
            "there is no limit of all requests together",
            "limit keys: limits.default.concurrency",
        ),
        (
            "general_settings.allowed_ips",
            "addresses of callers are not looked at",
            "let a firewall do it, or give listeners.api.tls a client_ca",
        ),
        (
            "general_settings.custom_auth",
            "code of one's own cannot be carried over",
            KEYS,
        ),
        (
            "general_settings.enable_jwt_auth",
            "tokens of others do not let in, in this version",
            KEYS,
        ),
        (
            "general_settings.litellm_jwtauth",
            "tokens of others do not let in, in this version",
            KEYS,
        ),
        (
            "general_settings.enable_oauth2_*",
            "tokens of others do not let in, in this version",
            KEYS,
        ),
        (
            "general_settings.litellm_key_header_name",
            "keys come in authorization, x-api-key, x-goog-api-key or api-key",
            "",
        ),
        (
            "general_settings.pass_through_endpoints",
            "there are no pass-through paths",
            "name the server as a provider",
        ),
        (
            "general_settings.key_management_*",
            "secrets come from variables and files",
            "write ${NAME} or ${file:PATH}",
        ),
        (
            "general_settings.background_health_checks",
            "servers are judged by the traffic itself",
            "see health of the provider",
        ),
        (
            "general_settings.health_check_*",
            "servers are judged by the traffic itself",
            "see health of the provider",
        ),
        (
            "general_settings.forward_client_headers_to_llm_api",
            "headers of callers are not passed on",
            "set request.headers of the provider",
        ),
        (
            "general_settings.completion_model",
            "every request names its model",
            "add a model named `*`",
        ),
        (
            "general_settings.infer_model_from_keys",
            "providers are those of the file",
            "add them under providers",
        ),
        (
            "general_settings.store_prompts_in_spend_logs",
            "the ledger has no prompts",
            "",
        ),
        (
            "general_settings.proxy_batch_write_at",
            "usage is written as it happens",
            "",
        ),
        ("general_settings.coordination_redis", REDIS, ""),
        ("general_settings.use_redis_*", REDIS, ""),
        (
            "general_settings.ui_*",
            "there is no user interface in this version",
            "",
        ),
        ("general_settings", "it is not known", "see docs/import.md"),
        ("guardrails[].guardrail_info", "nothing goes by it", ""),
        (
            "guardrails[].litellm_params.categories",
            "judging what a text is about is not part of this version",
            "write patterns under deny of a regex guardrail",
        ),
        (
            "guardrails[].litellm_params.blocked_words_file",
            "words are those of the file itself",
            "write them under deny of a regex guardrail",
        ),
        (
            "guardrails[].litellm_params.pattern_redaction_format",
            "each pattern has its own replacement",
            "set replacement of the guardrail",
        ),
        (
            "guardrails[].litellm_params.blocked_words[].description",
            "nothing goes by it",
            "",
        ),
        ("guardrails[]", "a guardrail has no such setting", ""),
        ("prompts[]", "a template is a text and no more", ""),
        ("include", "it names no file", ""),
    ],
    unknown: ("it is not known", "see docs/import.md"),
};
