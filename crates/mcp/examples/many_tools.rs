//! What large catalogs and many sessions cost: `cargo run --release -p pointsman-mcp --example many_tools`.
//!
//! 2,000 tools over 50 servers (APIs described by files, so that nothing but the gateway's own work is measured), listed
//! when everything is known; then 5,000 sessions that nobody uses.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "an example that stops where something is wrong"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_mcp::call::Asker;
use pointsman_mcp::config::ServerConfig;
use pointsman_mcp::message::{Id, Object, Request};
use pointsman_mcp::session::Session;
use pointsman_mcp::version::Version;
use pointsman_mcp::{Hub, McpConfig};
use pointsman_upstream::{Client, ClientOptions, UpstreamConfig};
use serde_json::json;
use tokio::sync::mpsc;

const SERVERS: usize = 50;
const TOOLS: usize = 40;
const LISTS: usize = 500;
const SESSIONS: usize = 5_000;

/// A document with operations of a usual size.
fn document(server: usize) -> String {
    let mut paths = serde_json::Map::new();
    for tool in 0..TOOLS {
        let operation = json!({
            "operationId": format!("find_things_{tool}"),
            "summary": format!("Finds things of sort {tool} that server {server} keeps."),
            "description": "Looks through everything that is kept and gives what fits, the newest first.",
            "parameters": [
                { "name": "query", "in": "query", "required": true, "description": "What to look for", "schema": { "type": "string" } },
                { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 100 } },
                { "name": "kinds", "in": "query", "schema": { "type": "array", "items": { "type": "string", "enum": ["a", "b", "c"] } } },
            ],
            "responses": { "200": { "description": "ok", "content": { "application/json": { "schema": { "type": "array", "items": { "type": "string" } } } } } },
        });
        paths.insert(format!("/things/{tool}"), json!({ "get": operation }));
    }
    json!({ "openapi": "3.1.0", "info": { "title": "Things" }, "paths": paths }).to_string()
}

/// Resident memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn hub() -> Arc<Hub> {
    let folder = std::env::temp_dir().join(format!("many-tools-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut config = McpConfig {
        page_size: SERVERS * TOOLS,
        ..McpConfig::default()
    };
    for server in 0..SERVERS {
        let file = folder.join(format!("{server}.json"));
        std::fs::write(&file, document(server)).unwrap();
        let said = ServerConfig {
            openapi: Some(file.display().to_string()),
            base_url: Some("http://127.0.0.1:9".to_owned()),
            ..ServerConfig::default()
        };
        config.servers.insert(format!("server-{server}"), said);
    }
    let hub = Hub::following(&config, &Arc::default(), None).map_err(|problems| format!("{problems:?}"));
    std::fs::remove_dir_all(&folder).unwrap();
    Arc::new(hub.unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let hub = hub();
    let view = hub.view(None).unwrap();
    let options = ClientOptions::compile(&UpstreamConfig::default()).unwrap();
    let asker = Asker {
        hub: Arc::clone(&hub),
        view: Arc::clone(&view),
        session: None,
        client: Client::new(options),
        caller: Arc::default(),
        judge: None,
        trail: None,
        owner: "anonymous".to_owned(),
        base: None,
        agents: None,
    };
    let request = Request {
        id: Id::Number(1),
        method: "tools/list".to_owned(),
        params: Object::default(),
    };
    let (sink, _told) = mpsc::channel(1);
    let began = Instant::now();
    let first = asker.answer(&request, &sink).await.outcome.unwrap();
    println!(
        "first list: {:.1} ms, {} bytes",
        millis(began.elapsed()),
        first.get().len()
    );
    let mut times = Vec::with_capacity(LISTS);
    for _ in 0..LISTS {
        let began = Instant::now();
        let listed = asker.answer(&request, &sink).await.outcome.unwrap();
        times.push(began.elapsed());
        assert_eq!(listed.get().len(), first.get().len());
    }
    times.sort_unstable();
    println!(
        "{} tools over {SERVERS} servers, {LISTS} lists when known: median {:.2} ms, 99 % {:.2} ms",
        SERVERS * TOOLS,
        millis(times[LISTS / 2]),
        millis(times[LISTS * 99 / 100]),
    );
    let before = resident();
    let greeting = Object::parse(
        r#"{"capabilities":{"sampling":{},"elicitation":{}},"clientInfo":{"name":"desktop","version":"1.0.0"}}"#,
    );
    let greeting = greeting.unwrap();
    for number in 0..SESSIONS {
        let seen = (Arc::clone(&view), None);
        let session = Session::begin(
            format!("key:{number}"),
            (Version::V2025November, &greeting),
            seen,
            None,
        );
        let kept = hub
            .board
            .keep(session.unwrap(), SESSIONS, Duration::from_secs(3_600));
        assert!(kept.is_ok_and(|gone| gone.is_empty()));
    }
    println!(
        "{SESSIONS} idle sessions: {} KiB more resident",
        resident().saturating_sub(before)
    );
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
