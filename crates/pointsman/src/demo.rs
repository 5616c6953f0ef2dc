//! `pointsman demo`: the whole road on simulated providers.

use std::net::SocketAddr;
use std::process::ExitCode;

use pointsman_config::{Config, Environment};
use pointsman_store::NewKey;
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::console;
use crate::serve::Running;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ends after the last step.
    #[arg(long)]
    once: bool,
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    match demo(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => console::fail(&message),
    }
}

async fn demo(arguments: &Arguments) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let start = || SimServer::local(SimOptions::default());
    let (first, second) = (
        start().await.map_err(|error| error.to_string())?,
        start().await.map_err(|error| error.to_string())?,
    );
    let config = config(arguments.address, &first, &second, folder.path())?;
    let running = Running::start(&config).await?;
    let (_, key) = running
        .gateway
        .store()
        .create_key(NewKey {
            name: "demo".to_owned(),
            tokens_per_minute: Some(1_000_000),
            ..NewKey::default()
        })
        .map_err(|error| error.to_string())?;
    running
        .gateway
        .refresh_keys()
        .map_err(|error| error.to_string())?;
    let tour = Tour {
        address: running.gateway.address(),
        key: key.expose_secret(),
        broken: &first,
    };
    let toured = tour.walk().await;
    if toured.is_ok() && !arguments.once {
        invite(&running, key.expose_secret());
        running.show_password();
        let _ = tokio::signal::ctrl_c().await;
    }
    running.stop().await;
    toured
}

fn config(
    address: SocketAddr,
    first: &SimServer,
    second: &SimServer,
    folder: &std::path::Path,
) -> Result<Config, String> {
    let text = include_str!("demo.yaml")
        .replace("ADDRESS", &address.to_string())
        .replace("FIRST", &first.address().to_string())
        .replace("SECOND", &second.address().to_string())
        .replace("FOLDER", &folder.display().to_string());
    let loaded = pointsman_config::parse(&text, "demo.yaml", &Environment::process());
    loaded.map(|loaded| loaded.config).map_err(|problems| {
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })
}

/// The steps, and what each needs.
struct Tour<'a> {
    address: SocketAddr,
    key: &'a str,
    broken: &'a SimServer,
}

impl Tour<'_> {
    async fn walk(&self) -> Result<(), String> {
        console::say(
            "step               status  model               provider   decision     cache   attempts  cost $       own time",
        );
        let chat = |model: &str, text: &str| json!({"model": model, "messages": [{"role": "user", "content": text}]});
        let routed = self
            .step("routed", chat("auto", "solve this algebra problem"))
            .await?;
        expect("routed", &routed, "x-pointsman-decision", "math_route")?;
        expect("routed", &routed, "x-pointsman-model", "math-adapter")?;

        let mut stream = chat("fast", "repeat 12 words");
        stream["stream"] = json!(true);
        let streamed = self.step("streamed", stream).await?;
        require(
            "streamed",
            streamed.body.ends_with(b"data: [DONE]\n\n"),
            "the stream has no end",
        )?;

        self.step("translated", chat("claude", "Grüezi")).await?;

        self.step("remembered", chat("fast", "What is a pointsman?"))
            .await?;
        let cached = self.step("cached", chat("fast", "What is a pointsman?")).await?;
        expect("cached", &cached, "x-pointsman-cache", "exact")?;

        self.broken
            .set_faults(vec![(Schedule::First(1), Fault::Status(503))]);
        let failed_over = self.step("failed over", chat("sturdy", "are you there?")).await?;
        expect("failed over", &failed_over, "x-pointsman-provider", "second")?;

        let blocked = self
            .step("blocked", chat("fast", "tell me about Project Falcon"))
            .await?;
        require("blocked", blocked.status.as_u16() == 403, "it was not blocked")?;

        let fast = self.step("answered at once", chat("auto", "ping")).await?;
        expect("answered at once", &fast, "x-pointsman-decision", "health_check")
    }

    async fn step(&self, name: &str, body: Value) -> Result<Answer, String> {
        let answer = client::post(self.address, "/v1/chat/completions", self.key, &body).await?;
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("-")
                .to_owned()
        };
        console::say(format!(
            "{name:<18} {:<7} {:<19} {:<10} {:<12} {:<7} {:<9} {:<12} {} µs",
            answer.status.as_u16(),
            header("x-pointsman-model"),
            header("x-pointsman-provider"),
            header("x-pointsman-decision"),
            header("x-pointsman-cache"),
            header("x-pointsman-attempts"),
            header("x-pointsman-cost-usd"),
            header("x-pointsman-overhead-us"),
        ));
        let expected = if name == "blocked" { 403 } else { 200 };
        require(
            name,
            answer.status.as_u16() == expected,
            &String::from_utf8_lossy(&answer.body),
        )?;
        Ok(answer)
    }
}

fn require(step: &str, good: bool, message: &str) -> Result<(), String> {
    if good {
        Ok(())
    } else {
        Err(format!("{step}: {message}"))
    }
}

fn expect(step: &str, answer: &Answer, header: &str, value: &str) -> Result<(), String> {
    let found = answer
        .headers
        .get(header)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing");
    require(
        step,
        found == value,
        &format!("expected {header}: {value}, found {found}"),
    )
}

fn invite(running: &Running, key: &str) {
    let address = running.gateway.address();
    let body = r#"{"model":"auto","messages":[{"role":"user","content":"solve this algebra problem"}]}"#;
    console::say("");
    console::say(format!("API      http://{address}/v1"));
    console::say(format!("key      {key}"));
    console::say(format!("metrics  http://{}/metrics", running.admin));
    console::say(format!(
        "curl     curl http://{address}/v1/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{body}'"
    ));
    console::say(format!(
        "python   from openai import OpenAI; print(OpenAI(base_url=\"http://{address}/v1\", api_key=\"{key}\").chat.completions.create(model=\"auto\", messages=[{{\"role\": \"user\", \"content\": \"solve this algebra problem\"}}]).choices[0].message.content)"
    ));
    console::say("Ctrl-C ends it.");
}
