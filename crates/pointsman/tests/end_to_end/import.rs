//! Configurations of other gateways, carried over and served.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use pointsman_store::NewKey;
use pointsman_testbed::postgres::PostgresServer;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::json;

use crate::harness::{House, folder, key, post, store, write};

fn data(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../import/tests/data")
        .join(kind)
}

fn pointsman(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Carries a file over into a folder, and puts the blocks there that every test needs.
fn import(kind: &str, source: &Path, folder: &Path) -> String {
    let output = pointsman(&["import", kind, source.to_str().unwrap()], &[]);
    assert!(output.status.success(), "{}", said(&output.stderr));
    let yaml = said(&output.stdout);
    write(folder, &yaml);
    said(&output.stderr)
}

#[tokio::test]
async fn a_file_of_litellm_serves() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("config.yaml");
    let text = "model_list:\n\
        - model_name: fast\n  litellm_params:\n    model: openai/gpt-5-mini\n    api_base: os.environ/SIM_API_BASE\n    api_key: os.environ/SIM_KEY\n    input_cost_per_token: 1e-06\n    output_cost_per_token: 2e-06\n\
        - model_name: deep\n  litellm_params:\n    model: anthropic/claude-haiku-4-5\n    api_base: os.environ/SIM_ANTHROPIC_API_BASE\n    api_key: sk-ant-clear\n\
        router_settings:\n  fallbacks: [{fast: [deep]}]\n  model_group_alias: {quick: fast}\n";
    std::fs::write(&source, text).unwrap();
    let told = import("litellm", &source, folder.path());
    assert!(
        told.contains("config.yaml:13: model_list[1].litellm_params.api_key: a secret, not copied"),
        "{told}"
    );
    assert!(!told.contains("sk-ant-clear"), "{told}");
    let key = key(folder.path(), NewKey::default());
    let base = format!("http://{}/v1", sim.address());
    let anthropic = format!("http://{}", sim.address());
    let environment = [
        ("SIM_API_BASE", base.as_str()),
        ("SIM_ANTHROPIC_API_BASE", anthropic.as_str()),
        ("SIM_KEY", "sk-sim"),
        ("ANTHROPIC_API_KEY", "sk-ant-sim"),
    ];
    let house = House::open_with(folder.path(), &environment);
    for (model, provider) in [
        ("fast", "openai-compatible"),
        ("quick", "openai-compatible"),
        ("deep", "anthropic"),
    ] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        assert_eq!(answer.header("x-pointsman-provider"), provider);
        assert!(answer.json()["choices"][0]["message"]["content"].is_string());
        if model == "fast" {
            let usage = &answer.json()["usage"];
            let count = |name: &str| usage[name].as_u64().unwrap();
            let nano = count("prompt_tokens") * 1_000 + count("completion_tokens") * 2_000;
            let cost: f64 = answer.header("x-pointsman-cost-usd").parse().unwrap();
            assert!((cost * 1e9 - nano as f64).abs() < 0.5, "{cost} {usage}");
        }
    }
}

#[tokio::test]
async fn resources_of_envoy_ai_gateway_serve() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("gateway.yaml");
    let port = sim.address().port();
    let text = format!(
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {{ name: r }}\nspec:\n  rules:\n    - matches: [{{ headers: [{{ name: x-ai-eg-model, value: fast }}] }}]\n      backendRefs: [{{ name: sim, modelNameOverride: gpt-5-mini }}]\n---\n\
         apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIServiceBackend\nmetadata: {{ name: sim }}\nspec: {{ schema: {{ name: OpenAI }}, backendRef: {{ name: sim, kind: Backend }} }}\n---\n\
         apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: BackendSecurityPolicy\nmetadata: {{ name: auth }}\nspec: {{ type: APIKey, targetRefs: [{{ kind: AIServiceBackend, name: sim }}], apiKey: {{ secretRef: {{ name: sim-key }} }} }}\n---\n\
         apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{ name: sim }}\nspec: {{ endpoints: [{{ ip: {{ address: 127.0.0.1, port: {port} }} }}] }}\n"
    );
    std::fs::write(&source, text).unwrap();
    import("envoy-ai-gateway", &source, folder.path());
    let key = key(folder.path(), NewKey::default());
    let house = House::open_with(folder.path(), &[("SIM_KEY", "sk-sim")]);
    let body = json!({"model": "fast", "messages": [{"role": "user", "content": "Hello"}]});
    let answer = post(house.address, "/v1/chat/completions", &key, &body)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-pointsman-provider"), "sim");
}

#[test]
fn every_file_that_is_carried_over_is_good() {
    let mut count = 0;
    for (kind, folder) in [("litellm", "litellm"), ("envoy-ai-gateway", "envoy")] {
        for entry in std::fs::read_dir(data(folder)).unwrap() {
            let source = entry.unwrap().path();
            let name = source.to_string_lossy().into_owned();
            if !name.ends_with(".yaml") || name.ends_with(".out.yaml") {
                continue;
            }
            let to = tempfile::tempdir().unwrap();
            let yaml = to.path().join("pointsman.yaml");
            let report = to.path().join("report.json");
            let (yaml, report) = (yaml.to_str().unwrap(), report.to_str().unwrap());
            let arguments = ["import", kind, &name, "-o", yaml, "--report", report];
            let output = pointsman(&arguments, &[]);
            assert!(output.status.success(), "{name}: {}", said(&output.stderr));
            // What is there already stays as it is.
            assert!(!pointsman(&arguments, &[]).status.success());
            let report: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
            let account =
                r#"{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}"#;
            let variables: Vec<(&str, &str)> = report["variables"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| match name.as_str().unwrap() {
                    name if name.contains("API_BASE") => (name, "https://somewhere.invalid"),
                    name if name.contains("CREDENTIALS") || name.contains("SERVICE_ACCOUNT") => {
                        (name, account)
                    }
                    name => (name, "something"),
                })
                .collect();
            let output = pointsman(&["check", yaml], &variables);
            assert!(output.status.success(), "{name}: {}", said(&output.stderr));
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_litellms_database_go_on_working() {
    let server = PostgresServer::start().unwrap();
    let url = server.make("litellm").unwrap();
    for sql in [
        include_str!("../../../import/tests/litellm_db/schema.sql"),
        include_str!("../../../import/tests/litellm_db/rows.sql"),
    ] {
        server.query("litellm", sql).unwrap();
    }
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n",
        sim.address()
    ));
    let config = folder.path().join("pointsman.yaml");
    let report = folder.path().join("report.md");
    let arguments = |more: &[&str]| {
        let all = [
            "import",
            "litellm-db",
            "${LITELLM}",
            "-c",
            config.to_str().unwrap(),
            "--report",
            report.to_str().unwrap(),
        ];
        let output = pointsman(&[&all, more].concat(), &[("LITELLM", &url)]);
        let told = format!("{}{}", said(&output.stdout), said(&output.stderr));
        assert!(output.status.success(), "{told}");
        told
    };
    let told = arguments(&[]);
    assert!(told.contains("run it again with --apply"), "{told}");
    assert_eq!(store(folder.path()).keys().unwrap(), []);
    let house = House::open(folder.path());
    let ask = |key: &'static str| {
        let address = house.address;
        let body = json!({"model": "o/gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]});
        async move { post(address, "/v1/chat/completions", key, &body).await.unwrap() }
    };
    assert_eq!(ask("sk-first-0000000000").await.status, 401);
    // A gateway that runs takes it over.
    let told = arguments(&["--apply"]);
    assert!(told.contains("3 key(s)"), "{told}");
    let until = Instant::now() + Duration::from_secs(10);
    while ask("sk-first-0000000000").await.status != 200 {
        assert!(Instant::now() < until, "the key does not work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask("sk-before-000000000").await.status, 200);
    assert_eq!(ask("sk-clear-0000000000").await.status, 200);
    let blocked = ask("sk-second-000000000").await;
    assert_eq!(blocked.status, 401, "{}", blocked.text());
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("| `LiteLLM_TeamMembership` |"), "{report}");
}
