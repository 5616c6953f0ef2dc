//! `pointsman bench`: what the gateway adds, next to a direct call and nginx as a plain proxy, in interleaved rounds.
//!
//! The provider, an MCP server, nginx and the gateway are processes of their own; the gateway has keys, limits, budget, ledger,
//! metrics and a keyword routing decision on. CPU is read from the kernel's accounting of each process, once it is at
//! rest; it is the figure to trust on a machine that does other things, too.

mod fleet;
mod memory;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pointsman_testbed::load::{self, LoadPlan, quantile};
use pointsman_testbed::process;
use serde_json::{Value, json};

use crate::console;

use fleet::{Fleet, Route};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; the median of them counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Requests of a round at 16 and 64 connections; a quarter of them at 1.
    #[arg(long, default_value_t = 8_000)]
    requests: usize,
    /// Only loads whose name begins so, such as `c=16`.
    #[arg(long)]
    only: Option<String>,
    /// Writes the figures as JSON to this file, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// Prints the table in Markdown.
    #[arg(long)]
    markdown: bool,
}

/// Who has done nothing for so long has nothing left to do: longer than the journal waits.
const REST: Duration = Duration::from_millis(250);

/// After this long a gateway that nobody asks has nothing left of its start.
const STARTED: Duration = Duration::from_secs(5);

/// What is measured of one route under one load.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
    cpu_us: f64,
    first_us: f64,
    bad: usize,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// An answer of a model, whole.
    Chat,
    /// The same as a stream.
    Stream,
    /// A tool of an MCP server.
    Tool,
}

/// A load: its name, connections, requests, what is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    name: &'static str,
    connections: usize,
    share: usize,
    asks: Asks,
    /// Pause of each connection between its requests, on the average: without one the machine is full, and every route
    /// queues.
    pause: Duration,
}

const LOADS: [Load; 6] = [
    Load {
        name: "c=1",
        connections: 1,
        share: 4,
        asks: Asks::Chat,
        pause: Duration::ZERO,
    },
    Load {
        name: "c=16",
        connections: 16,
        share: 1,
        asks: Asks::Chat,
        pause: Duration::ZERO,
    },
    Load {
        name: "c=64",
        connections: 64,
        share: 1,
        asks: Asks::Chat,
        pause: Duration::ZERO,
    },
    Load {
        name: "c=16, 10 ms apart",
        connections: 16,
        share: 2,
        asks: Asks::Chat,
        pause: Duration::from_millis(10),
    },
    Load {
        name: "64-chunk streams, c=16",
        connections: 16,
        share: 8,
        asks: Asks::Stream,
        pause: Duration::ZERO,
    },
    Load {
        name: "tool calls, c=16",
        connections: 16,
        share: 1,
        asks: Asks::Tool,
        pause: Duration::ZERO,
    },
];

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    match measure(&arguments).await {
        Ok(figures) => {
            console::say(table::render(&figures, arguments.markdown));
            if let Some(path) = &arguments.json
                && let Err(error) = std::fs::write(path, format!("{figures:#}\n"))
            {
                return console::fail(&format!("{}: {error}", path.display()));
            }
            ExitCode::SUCCESS
        }
        Err(message) => console::fail(&message),
    }
}

async fn measure(arguments: &Arguments) -> Result<Value, String> {
    let fleet = Fleet::start().await?;
    tokio::time::sleep(STARTED).await;
    let idle = process::resident(fleet.gateway_pid());
    let mut figures = json!({"idle_bytes": idle, "loads": {}});
    let only = arguments.only.as_deref().unwrap_or_default();
    for wanted in LOADS.into_iter().filter(|load| load.name.starts_with(only)) {
        let requests = (arguments.requests / wanted.share).max(wanted.connections);
        let mut samples: Vec<(Route, Vec<Sample>)> = fleet
            .routes()
            .into_iter()
            .map(|route| (route, Vec::new()))
            .collect();
        // One round more than asked for: the first warms everything up.
        for round in 0..=arguments.rounds {
            for (route, all) in &mut samples {
                let sample = once(
                    &fleet,
                    *route,
                    wanted,
                    if round == 0 { requests / 4 + 1 } else { requests },
                )
                .await?;
                if round > 0 {
                    all.push(sample);
                }
            }
        }
        let mut per_route = serde_json::Map::new();
        for (route, all) in samples {
            per_route.insert(route.name().to_owned(), figures_of(&all));
        }
        figures["loads"][wanted.name] = Value::Object(per_route);
    }
    figures["open_streams"] = memory::open_streams(&fleet).await?;
    Ok(figures)
}

async fn once(fleet: &Fleet, route: Route, wanted: Load, requests: usize) -> Result<Sample, String> {
    let pids = fleet.pids(route);
    let before = cpu_time(&pids);
    let report = load::run(plan(fleet, route, wanted, requests)).await;
    let after = at_rest(&pids).await;
    if report.bad * 100 > requests {
        return Err(format!(
            "{}: {} of {requests} requests failed",
            route.name(),
            report.bad
        ));
    }
    Ok(Sample {
        p50_us: micros(quantile(&report.latency, 0.5)),
        p99_us: micros(quantile(&report.latency, 0.99)),
        per_second: report.good as f64 / report.elapsed.as_secs_f64(),
        cpu_us: micros(after.saturating_sub(before)) / report.good.max(1) as f64,
        first_us: micros(quantile(&report.first_piece, 0.5)),
        bad: report.bad,
    })
}

fn cpu_time(pids: &[u32]) -> Duration {
    pids.iter().map(|pid| process::cpu_time(*pid)).sum()
}

/// CPU time once everything is done that the requests have left to be done, such as writing the ledger.
async fn at_rest(pids: &[u32]) -> Duration {
    let mut before = cpu_time(pids);
    for _ in 0..40 {
        tokio::time::sleep(REST).await;
        let after = cpu_time(pids);
        if after.saturating_sub(before) < Duration::from_millis(1) {
            return after;
        }
        before = after;
    }
    before
}

pub(crate) fn plan(fleet: &Fleet, route: Route, wanted: Load, requests: usize) -> LoadPlan {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {}", fleet.key(route))) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let tool = wanted.asks == Asks::Tool;
    if tool {
        for (name, value) in TOOL_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    LoadPlan {
        address: if tool {
            fleet.tools(route)
        } else {
            fleet.address(route)
        },
        path: if tool {
            "/mcp/tools"
        } else {
            "/v1/chat/completions"
        }
        .to_owned(),
        headers,
        body: body(wanted.asks),
        connections: wanted.connections,
        requests,
        pause: wanted.pause,
    }
}

/// What a call of a tool says in headers, too (MCP 2026-07-28, "Streamable HTTP").
const TOOL_HEADERS: [(HeaderName, &str); 4] = [
    (header::ACCEPT, "application/json, text/event-stream"),
    (HeaderName::from_static("mcp-protocol-version"), "2026-07-28"),
    (HeaderName::from_static("mcp-method"), "tools/call"),
    (HeaderName::from_static("mcp-name"), "test_simple_text"),
];

/// A call of that tool.
const TOOL_CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"test_simple_text","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// Of a model about a kilobyte, as an ordinary request is.
fn body(asks: Asks) -> Bytes {
    let options = match asks {
        Asks::Tool => return Bytes::from_static(TOOL_CALL.as_bytes()),
        Asks::Stream => r#","stream":true,"stream_options":{"include_usage":true}"#,
        Asks::Chat => "",
    };
    let text = "Please help me with this algebra problem: a train leaves the station at noon. ".repeat(9);
    let messages = format!(
        r#"[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{text}"}}]"#
    );
    format!(r#"{{"model":"auto","messages":{messages},"max_tokens":256{options}}}"#).into()
}

fn figures_of(samples: &[Sample]) -> Value {
    let median = |of: fn(&Sample) -> f64| {
        let mut all: Vec<f64> = samples.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(0.0)
    };
    json!({
        "p50_us": median(|sample| sample.p50_us),
        "p99_us": median(|sample| sample.p99_us),
        "requests_per_second": median(|sample| sample.per_second),
        "cpu_us_per_request": median(|sample| sample.cpu_us),
        "first_piece_p50_us": median(|sample| sample.first_us),
        "failed": samples.iter().map(|sample| sample.bad).sum::<usize>(),
    })
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1_000.0
}
