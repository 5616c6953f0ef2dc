//! What is wrong with a configuration is told with its place, all at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_config::{Config, Environment, parse};
use proptest::prelude::*;

fn problems(text: &str) -> Vec<String> {
    let found = parse(
        text,
        "p.yaml",
        &Environment::of(&[("OPENAI_API_KEY", "sk-secret")]),
    )
    .err()
    .unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

fn config(text: &str) -> Config {
    parse(
        text,
        "p.yaml",
        &Environment::of(&[("OPENAI_API_KEY", "sk-secret"), ("RPM", "600")]),
    )
    .unwrap()
    .config
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table: one row for each mistake")]
fn each_mistake_is_named_with_its_place() {
    for (text, expected) in [
        (
            "listenrs: {}",
            vec![r#"p.yaml:1:1: listenrs: unknown key; did you mean "listeners"?"#],
        ),
        (
            "server:\n  request_limit: lots",
            vec!["p.yaml:2:18: server.request_limit: expected a whole number, found a text"],
        ),
        (
            "providers:\n  opnai: {}",
            vec![r#"p.yaml:2:3: providers.opnai: there is no provider kind "opnai"; did you mean "openai"?"#],
        ),
        (
            "providers:\n  openai: { auth: { api_key: \"${OPENAI_API_KY}\" } }",
            vec![
                r#"p.yaml:2:30: providers.openai.auth.api_key: the environment variable OPENAI_API_KY is not set; did you mean "OPENAI_API_KEY"?"#,
            ],
        ),
        (
            "models: {}\nserver: {}\nmodels: {}",
            vec!["p.yaml:3:1: the key \"models\" stands here a second time; the first is on line 1"],
        ),
        (
            "providers: { openai: {} }\nmodels:\n  fast: { targets: [ { provider: opena, model: m } ] }",
            vec![
                r#"p.yaml:3:24: models.fast.targets[0].provider: there is no provider "opena"; did you mean "openai"?"#,
            ],
        ),
        (
            "providers: { openai: { auth: { api_key: \"${vualt:secret/openai#key}\" } } }",
            vec![
                r#"p.yaml:1:41: providers.openai.auth.api_key: there are no secrets of "vualt"; there are file and vault, aws, gcp, azure, kubernetes, store; did you mean "vault"?"#,
            ],
        ),
        (
            "secrets: { vault: { address: \"${vault:secret/address}\" } }",
            vec![
                "p.yaml:1:30: secrets.vault.address: secrets of managers cannot be named within the block secrets, nor while that makes no sense",
            ],
        ),
        (
            "secrets: { store: { keys: [abc] } }",
            vec![
                "p.yaml:1:12: secrets.store: master key 0 is none: it must be 32 bytes in hexadecimal or base64, as `pointsman secret key` makes them",
            ],
        ),
        (
            "secrets: { refresh: 10ms }",
            vec!["p.yaml:1:12: secrets.refresh: is at least 1s"],
        ),
        (
            "identity: { anonymous: alow }",
            vec![r#"p.yaml:1:24: identity.anonymous: expected one of deny, allow; did you mean "allow"?"#],
        ),
        (
            "cache: { semantic: { ttl: 0s, deadline: 0s } }",
            vec![
                "p.yaml:1:10: cache.semantic: is looked at only where `exact` has no answer: add `exact: { ttl: 1h }` beside it",
                "p.yaml:1:22: cache.semantic.ttl: remembers nothing; leave `semantic` out to switch it off",
                "p.yaml:1:31: cache.semantic.deadline: leaves no time to understand a question; write it like 100ms",
            ],
        ),
        (
            "cache: { exact: { ttl: 0s }, semantic: { operating_point: precize } }",
            vec![
                r#"p.yaml:1:59: cache.semantic.operating_point: expected one of precise, balanced; did you mean "precise"?"#,
            ],
        ),
        (
            "mcp: { servers: { pets: { openapi: p.yaml, base_url: p } } }",
            vec!["p.yaml:1:44: mcp.servers.pets.base_url: is no http or https URL"],
        ),
        (
            "stores: { database: mysql://u:pw@h/d, ledger_months: 3 }",
            vec![
                r#"p.yaml:1:11: stores.database: "mysql" is not supported in this version; use sqlite://… or postgres://…"#,
            ],
        ),
        (
            "stores: { ledger_months: 3 }",
            vec![
                "p.yaml:1:11: stores.ledger_months: only PostgreSQL keeps the ledger by months; SQLite keeps all of it",
            ],
        ),
        (
            "limits:\n  models: { gpt-*: {} }\n  shares: { interactive: 60, batch: 50 }",
            vec![
                "p.yaml:2:13: limits.models.gpt-*: limits nothing: give it requests_per_minute, tokens_per_minute or concurrency",
                "p.yaml:3:3: limits.shares: reserves 110 hundredths in all, and there are 100",
            ],
        ),
        (
            "identity:\n  aliases: { a: b, b: c }",
            vec![
                r#"p.yaml:2:3: identity.aliases: has "a" stand for "b", which is an alias itself: name the model"#,
            ],
        ),
        (
            "limits:\n  shares: { interactive: 60 }",
            vec![
                "p.yaml:2:3: limits.shares: reserves shares of nothing: they are of the limits under limits.models; holders say theirs in the admin API",
            ],
        ),
        (
            "providers:\n  openai:\n    auth: { api_key: k }\n    limits: { concurrency: 4, models: { gpt-*: {} } }",
            vec![
                "p.yaml:4:41: providers.openai.limits.models.gpt-*: limits nothing: give it requests_per_minute, tokens_per_minute or concurrency",
            ],
        ),
        (
            "providers:\n  openai:\n    auth: { api_key: k }\n    limits: { budgets: [ { amount_usd: 5, window: fortnight } ] }",
            vec![
                r#"p.yaml:4:26: providers.openai.limits.budgets[0]: the window "fortnight" is none: it is total, day, week, month, seconds such as 3600s, or a sliding one such as sliding 5h"#,
            ],
        ),
        (
            "providers:\n  openai:\n    auth: { api_key: k }\n    limits: { concurency: 4 }",
            vec![
                r#"p.yaml:4:15: providers.openai.limits.concurency: unknown key; did you mean "concurrency"?"#,
            ],
        ),
        (
            "limits:\n  models: { m: { requests_per_minit: 60 } }",
            vec![
                r#"p.yaml:2:18: limits.models.m.requests_per_minit: unknown key; did you mean "requests_per_minute"?"#,
            ],
        ),
        (
            "guardrails:\n  - { name: a, type: regex, on: [input], deny: [x] }\n  - { name: a, type: regex, on: [input], deny: ['('] }",
            vec![r#"p.yaml:3:7: guardrails[1].name: there is another guardrail named "a""#],
        ),
        (
            "routing:\n  decisions:\n    - { name: d, modelRefs: [ { model: m } ], rules: { type: keyword, name: nope } }",
            vec![r#"p.yaml:3:71: routing.decisions[0].rules.name: there is no keyword signal "nope""#],
        ),
        (
            "routing:\n  decisions:\n    - name: d\n      modelRefs: [ { model: m } ]\n      plugins: [ { type: system_prompt, configuration: { sytem_prompt: x } } ]",
            vec![
                r#"p.yaml:5:58: routing.decisions[0].plugins[0].configuration.sytem_prompt: unknown key; did you mean "system_prompt"?"#,
            ],
        ),
        (
            "routing:\n  signals:\n    complexity: [ { name: c, treshold: 1 } ]",
            vec![
                r#"p.yaml:3:30: routing.signals.complexity[0].treshold: unknown key; did you mean "threshold"?"#,
            ],
        ),
        (
            "routing:\n  signals:\n    classifiers: [ { name: law } ]",
            vec![r#"p.yaml:3:20: routing.signals.classifiers[0].labels: at least two labels are wanted"#],
        ),
    ] {
        let found = problems(text);
        for expected in expected {
            assert!(
                found.iter().any(|problem| problem == expected),
                "{expected}\nnot in {found:#?}"
            );
        }
    }
}

#[test]
fn what_files_and_batches_cannot_do_is_named_and_no_key_is_told() {
    for (text, expected) in [
        (
            "stores: { blobs: gs://b }",
            vec![
                r#"p.yaml:1:11: stores.blobs: "gs" is not supported in this version; use file://… or s3://…"#,
            ],
        ),
        (
            "stores: { blobs: 's3://key:secret@b?region=r' }",
            vec![
                "p.yaml:1:11: stores.blobs: holds keys; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile or role",
            ],
        ),
        (
            "batches: { mode: provider }",
            vec!["p.yaml:1:18: batches.mode: expected one of own, auto"],
        ),
    ] {
        let found = problems(text);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn mistakes_in_credentials_are_named_with_their_place() {
    for (text, expected) in [
        (
            "providers:\n  openai:\n    auth:\n      entra: { tenant: t, client: c, secrt: s }",
            vec![r#"p.yaml:4:38: providers.openai.auth.entra.secrt: unknown key; did you mean "secret"?"#],
        ),
        (
            "providers:\n  openai:\n    auth:\n      oauth2: { token_url: 'https://a/t', grant: jwt_bearr }",
            vec![
                r#"p.yaml:4:50: providers.openai.auth.oauth2.grant: expected one of client_credentials, token_exchange, jwt_bearer; did you mean "jwt_bearer"?"#,
            ],
        ),
        (
            "providers:\n  openai:\n    auth:\n      aws: { access_key_id: AKID }",
            vec![
                "p.yaml:4:7: providers.openai.auth.aws.secret_access_key: is missing beside `access_key_id`",
            ],
        ),
        (
            "providers:\n  openai:\n    auth: { api_key: k, gcp: {} }",
            vec![
                "p.yaml:3:25: providers.openai.auth.gcp: cannot be combined with `api_key`: a request carries one credential",
            ],
        ),
    ] {
        let found = problems(text);
        assert_eq!(found, expected);
    }
}

#[test]
fn all_problems_are_told_at_once_and_no_secret_is() {
    let found =
        problems("a: 1\nb: 2\nlimits: { default: { concurrency: many } }\nidentity: \"${OPENAI_API_KEY}\"");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(!found.join("\n").contains("sk-secret"));
}

#[test]
fn broken_yaml_is_located() {
    for text in ["a: [1", "a: \"x", "\ta: 1", "a: b: c", "--- a\n--- b", "&a [*a]"] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert!(found[0].starts_with("p.yaml:"), "{found:?}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![format!("*a{before}"); 10].join(", ")
        ));
    }
    assert!(problems(&text)[0].contains("too large"), "{:?}", problems(&text));
}

#[test]
fn variables_anchors_and_numbers_are_understood() {
    let config = config(
        "limits: { default: { requests_per_minute: \"${RPM}\", concurrency: \"${NONE:-7}\" } }\n\
         providers:\n  openai: &p { auth: { api_key: \"${OPENAI_API_KEY}\" } }\n  groq: { <<: *p, headers: { x-a: \"$$1\" } }\n\
         models: { m: { targets: [ { provider: openai, model: gpt-5 } ], price: { input: 0.25 } } }",
    );
    assert_eq!(config.limits.default.requests_per_minute, Some(600));
    assert_eq!(config.limits.default.concurrency, Some(7));
    assert_eq!(config.providers["groq"].headers["x-a"], "$1");
    assert_eq!(config.providers["groq"].auth, config.providers["openai"].auth);
    assert_eq!(
        serde_json::to_value(&config.models["m"].price).unwrap(),
        serde_json::json!({ "input": "0.25" })
    );
}

#[test]
fn what_the_contract_prints_is_accepted_as_far_as_it_is_supported() {
    let config = config(
        r#"
listeners:
  api:     { address: 127.0.0.1:8080 }
  admin:   { address: 127.0.0.1:9090 }
stores:
  database: sqlite://pointsman.db
  shared:   memory
  vectors:  memory
  blobs:    file://./data
providers:
  openai:    { auth: { api_key: "${OPENAI_API_KEY}" } }
  claude:    { kind: anthropic, auth: { api_key: "${OPENAI_API_KEY}" } }
  fleet:
    kind: vllm
    endpoints: [ { url: http://10.0.0.1:8000 }, { url: http://10.0.0.2:8000, weight: 2 } ]
models:
  slow: { targets: [ { provider: openai, model: gpt-5 } ] }
  long: { targets: [ { provider: openai, model: gpt-5 } ] }
  fast:
    targets:
      - { provider: openai, model: gpt-5-mini, weight: 80 }
      - { provider: claude, model: claude-haiku-4-5, weight: 20 }
    balance: { policy: lowest_latency }
    retry: { attempts: 3, on: [connect, timeout, "429", "5xx"] }
    fallback: { any: [slow], context_window: [long], content_policy: [slow] }
    price: { input: 0.25, output: 2.00, cache_read: 0.025 }
routing:
  modelCards: [ { name: qwen3-8b, modality: text, capabilities: [chat, reasoning], loras: [ { name: math-adapter, description: … } ] } ]
  signals:    { keywords: [ { name: math_terms, operator: OR, keywords: [algebra, calculus] } ] }
  decisions:
    - name: math_route
      description: Route math requests
      priority: 100
      rules: { operator: AND, conditions: [ { type: keyword, name: math_terms } ] }
      modelRefs: [ { model: qwen3-8b, use_reasoning: true, lora_name: math-adapter } ]
guardrails:
  - { name: words, type: regex, on: [output], action: block, deny: ["(?i)project falcon"] }
cache:   { exact: { ttl: 1h }, semantic: { ttl: 1h, operating_point: precise }, scope: user }
limits:  { default: { requests_per_minute: 600, tokens_per_minute: 200000, concurrency: 64 } }
identity: { anonymous: deny }
telemetry: { otlp: http://127.0.0.1:4317, access_log: json, capture_content: false }
"#,
    );
    assert_eq!(config.models["fast"].targets.len(), 2);
    assert_eq!(config.providers["fleet"].endpoints[1].weight, 2);
    assert!(config.routing.is_some());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:\\[\\]{}&*!|>'\"%@`#,\\- \n\t0-9$]{0,80}") {
        let _ = parse(&text, "p.yaml", &Environment::of(&[]));
    }
}

#[test]
fn a_catalog_of_ones_own_is_checked_and_used() {
    let text = "catalog:\n  providers:\n    acme: { base_url: \"https://llm.acme.example/v1\", env: [ACME_API_KEY] }\n\
                \x20 models:\n    openai:\n      gpt-5-mini: { price: { input: 0.1, output: 1, above: { 200000: { input: 0.2 } } } }\n\
                \x20   acme:\n      acme-1: { context_window: 8192, features: [vision], deprecated: 2031-01-31 }\n\
                providers: { acme: { auth: { api_key: k } } }\n\
                models: { m: { targets: [ { provider: acme, model: acme-1 } ] } }";
    let loaded = parse(text, "p.yaml", &Environment::of(&[])).unwrap();
    let catalog = loaded.config.catalog.build();
    assert_eq!(
        catalog.model("acme", "acme-1").unwrap().context_window,
        Some(8192)
    );
    let price = catalog
        .model("openai", "gpt-5-mini")
        .unwrap()
        .price
        .clone()
        .unwrap();
    assert_eq!(
        serde_json::to_value(&price).unwrap(),
        serde_json::json!({ "input": "0.1", "output": "1", "above": { "200000": { "input": "0.2" } } })
    );
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [r#"p.yaml:10:45: models.m.targets[0].model: the model "acme-1" goes away on 2031-01-31"#]
    );
}

#[test]
fn mistakes_in_a_catalog_are_told() {
    for (text, expected) in [
        (
            "catalog: { providers: { acme: { formats: { openai-chta: /chat } } } }",
            "did you mean \"openai-chat\"?",
        ),
        (
            "catalog: { providers: { acme: { formats: { openai-chat: chat } } } }",
            "starts with a slash",
        ),
        (
            "catalog: { providers: { acme: { base_url: acme.example } } }",
            "must be an http or https URL",
        ),
        (
            "catalog: { providers: { acme: { aliases: [bedrock] } } }",
            "is a name of \"aws-bedrock\" already",
        ),
        (
            "catalog: { models: { opnai: { m: {} } } }",
            "did you mean \"openai\"?",
        ),
        (
            "catalog: { models: { openai: { m: { price: { inptu: 1 } } } } }",
            "did you mean \"input\"?",
        ),
        (
            "catalog: { models: { openai: { m: { price: { input: -1 } } } } }",
            "must be at least 0",
        ),
        (
            "catalog: { models: { openai: { m: { features: [visoin] } } } }",
            "did you mean \"vision\"?",
        ),
        (
            "catalog: { models: { openai: { m: { deprecated: soon } } } }",
            "is no day",
        ),
        ("catalog: { files: [ nowhere.yaml ] }", "cannot be read"),
        ("providers: { tavily: {} }", "known for its prices only"),
        (
            "providers: { cloudflare: {} }",
            "needs a base_url: https://api.cloudflare.com",
        ),
        (
            "providers: { openai: {} }\nmodels: { m: { targets: [ { provider: openai, model: x } ], price: { in: 1 } } }",
            "unknown key",
        ),
    ] {
        let found = problems(text);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{text}\n{found:?}"
        );
    }
}

#[test]
fn a_catalog_may_stand_in_files_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "one.yaml",
        "models: { openai: { a: { max_output: 1 }, b: { max_output: 1 }, c: { max_output: 1 } } }",
    );
    write(
        "two.yaml",
        "models: { openai: { b: { max_output: 2 }, c: { max_output: 2 } } }",
    );
    write(
        "p.yaml",
        "catalog: { files: [one.yaml, two.yaml], models: { openai: { c: { max_output: 3 } } } }",
    );
    let loaded = pointsman_config::load(&folder.path().join("p.yaml"), &Environment::of(&[])).unwrap();
    let catalog = loaded.config.catalog.build();
    for (model, most) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(
            catalog.model("openai", model).unwrap().max_output,
            Some(most),
            "{model}"
        );
    }
    // Changes of the files are seen, too.
    assert_eq!(loaded.files.len(), 3);
    write("two.yaml", "files: [one.yaml]\nmodls: {}");
    let found = pointsman_config::load(&folder.path().join("p.yaml"), &Environment::of(&[])).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|problem| problem.contains("two.yaml:")),
        "{found:?}"
    );
}

#[test]
fn the_understanding_block_is_checked_with_its_places() {
    assert_eq!(
        problems("understanding:\n  modle: shipped\n"),
        [r#"p.yaml:2:3: understanding.modle: unknown key; did you mean "model"?"#]
    );
    for (text, expected) in [
        (
            "understanding:\n  models:\n    a: { role: texts }\n",
            "p.yaml:3:5: understanding.models.a: say where it is",
        ),
        (
            "providers: { openai: {} }\nunderstanding:\n  models:\n    a: { role: embedding, provider: opena, model: m }\n",
            r#"there is no provider "opena"; did you mean "openai"?"#,
        ),
        (
            "understanding: { model: /nowhere/at/all }\n",
            "understanding.model: \"/nowhere/at/all\" is neither `shipped` nor a file or folder that is there",
        ),
        (
            "understanding: { queue: 0 }\n",
            "understanding.queue: must be at least 1",
        ),
    ] {
        let found = problems(text);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn an_unknown_plugin_is_told_where_its_type_stands() {
    let text = "routing:\n  decisions:\n    - name: d\n      modelRefs: [ { model: m } ]\n      plugins: [ { type: sytem_prompt } ]";
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:?}");
    let (start, end) = (
        "p.yaml:5:20: routing.decisions[0].plugins[0].type: expected one of fast_response, ",
        "; did you mean \"system_prompt\"?",
    );
    assert!(
        found[0].starts_with(start) && found[0].ends_with(end),
        "{found:?}"
    );
}

#[test]
fn what_cannot_be_meant_is_warned_of_where_it_stands() {
    let text = "routing:\n  signals:\n    context: [ { name: short, max_tokens: 10 }, { name: long, min_tokens: 11 } ]\n    keywords:\n      - { name: unused, keywords: [a] }\n  decisions:\n    - name: d\n      rules: { operator: AND, conditions: [ { type: context, name: short }, { type: context, name: long } ] }\n      modelRefs: [ { model: m } ]\n";
    let loaded = parse(text, "p.yaml", &Environment::of(&[])).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "p.yaml:5:9: routing.signals.keywords[0]: no rule and no score looks at the keyword signal \"unused\"; use it, or take it out",
            "p.yaml:8:7: routing.decisions[0].rules: \"d\" can never match: context:short and context:long exclude each other; change its rules, or take it out",
        ]
    );
}

#[test]
fn what_is_shown_of_a_file_has_no_secret_in_it() {
    let text = r#"
stores: { database: "postgres://app:sk-own@db/x" }
providers:
  a: { kind: openai, auth: { api_key: sk-own } }
  b: { kind: openai, auth: { api_key: "${OPENAI_API_KEY}" }, headers: { x-one: sk-own } }
  c: { kind: openai, auth: { api_key: "${MISSING:-sk-own}" } }
mcp:
  servers:
    files: { command: [npx, --token, sk-own], env: { TOKEN: sk-own, OTHER: "${OPENAI_API_KEY}" } }
    web: { url: "https://a.example/mcp?key=sk-own" }
limits: { default: { requests_per_minute: "${RPM}" } }
"#;
    let environment = Environment::of(&[("OPENAI_API_KEY", "sk-own"), ("RPM", "600")]);
    let shown = parse(text, "p.yaml", &environment).unwrap().shown;
    assert!(!shown.to_string().contains("sk-own"), "{shown}");
    let at = |pointer: &str| shown.pointer(pointer).and_then(|value| value.as_str()).unwrap();
    assert_eq!(at("/stores/database"), "postgres://[hidden]@db/x");
    assert_eq!(at("/providers/a/kind"), "openai");
    assert_eq!(at("/providers/a/auth/api_key"), "[hidden]");
    assert_eq!(at("/providers/b/auth/api_key"), "${OPENAI_API_KEY}");
    assert_eq!(at("/mcp/servers/files/command/0"), "npx");
    assert_eq!(at("/mcp/servers/files/env/OTHER"), "${OPENAI_API_KEY}");
    assert_eq!(at("/limits/default/requests_per_minute"), "${RPM}");
}

/// A secret that is not typed as one would be shown.
#[test]
fn every_field_that_is_called_a_secret_is_one() {
    const NAMES: [&str; 9] = [
        "api_key",
        "password",
        "secret",
        "token",
        "client_secret",
        "secret_key",
        "access_token",
        "secret_access_key",
        "session_token",
    ];
    fn is_hidden(root: &serde_json::Value, schema: &serde_json::Value) -> bool {
        let reference = schema["$ref"]
            .as_str()
            .and_then(|name| root.pointer(name.strip_prefix('#')?));
        if let Some(schema) = reference {
            return is_hidden(root, schema);
        }
        let all = ["anyOf", "oneOf", "allOf"]
            .into_iter()
            .filter_map(|name| schema[name].as_array())
            .flatten();
        let is_text = schema["type"].to_string().contains("string");
        (!is_text || schema["writeOnly"] == true) && all.into_iter().all(|one| is_hidden(root, one))
    }
    fn walk(root: &serde_json::Value, at: &str, schema: &serde_json::Value, bare: &mut Vec<String>) {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            if NAMES.contains(&name.as_str()) && !is_hidden(root, inner) {
                bare.push(format!("{at}.{name}"));
            }
        }
        let children = schema.as_object().into_iter().flatten().map(|(_, child)| child);
        for child in children.chain(schema.as_array().into_iter().flatten()) {
            walk(root, at, child, bare);
        }
    }
    let (schema, mut bare) = (pointsman_config::schema(), Vec::new());
    for (name, inner) in schema["$defs"].as_object().unwrap() {
        walk(&schema, name, inner, &mut bare);
    }
    assert!(bare.is_empty(), "{bare:?}");
}
