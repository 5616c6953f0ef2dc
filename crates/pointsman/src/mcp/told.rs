//! Tools, listed and called.

use std::process::ExitCode;
use std::sync::Arc;

use pointsman_mcp::Hub;
use pointsman_mcp::call::Asker;
use pointsman_mcp::catalog::Kind;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::link::{Sink, Told};
use pointsman_mcp::message::{Id, Object, Raw, Request};
use pointsman_upstream::Client;
use serde_json::Value;
use tokio::sync::mpsc;

use super::reach::Whom;
use crate::console;

/// Most pages of a list.
const MAX_PAGES: usize = 1_000;

/// Asks something.
async fn ask(hub: &Arc<Hub>, client: &Client, method: &str, params: Object) -> Result<Raw, String> {
    let view = hub.view(None).ok_or("there are no servers")?;
    let asker = Asker {
        hub: Arc::clone(hub),
        view,
        session: None,
        client: client.clone(),
        caller: Arc::default(),
        judge: None,
        trail: None,
        owner: "anonymous".to_owned(),
        base: None,
        agents: None,
    };
    let request = Request {
        id: Id::Number(1),
        method: method.to_owned(),
        params,
    };
    let (sink, told) = mpsc::channel(64);
    let declining = tokio::spawn(decline(client.clone(), told));
    let answered = answer(&asker, &request, sink).await;
    declining.abort();
    answered
}

async fn answer(asker: &Asker, request: &Request, sink: Sink) -> Result<Raw, String> {
    let answered = asker.answer(request, &sink).await;
    answered.outcome.map_err(|refused| {
        let error = Object::parse(refused.raw().get()).unwrap_or_default();
        error
            .text("message")
            .unwrap_or_else(|| "it refused without a word".to_owned())
    })
}

/// There is nobody at this end whom a server could ask.
async fn decline(client: Client, mut told: mpsc::Receiver<Told>) {
    while let Some(told) = told.recv().await {
        if let Told::Question { link, request } = told {
            let error = RpcError::method(&request.method).raw();
            let _ = link.answer(&client, &request.id, Err(&error)).await;
        }
    }
}

pub(super) async fn list(whom: &Whom, json: bool) -> Result<ExitCode, String> {
    let (hub, client) = whom.hub()?;
    let mut tools: Vec<Value> = Vec::new();
    let mut params = Object::default();
    for _ in 0..MAX_PAGES {
        let page = ask(&hub, &client, "tools/list", params.clone()).await?;
        let page: Value = serde_json::from_str(page.get()).map_err(|error| error.to_string())?;
        tools.extend(page["tools"].as_array().cloned().unwrap_or_default());
        match page.get("nextCursor") {
            Some(cursor) if cursor.is_string() => params.set("cursor", cursor),
            _ => break,
        }
    }
    if json {
        let text = serde_json::to_string_pretty(&tools).map_err(|error| error.to_string())?;
        console::say(text);
    } else {
        for tool in &tools {
            let described = tool["description"].as_str().unwrap_or_default();
            let first = described.lines().next().unwrap_or_default();
            console::say(format!("{}\t{first}", tool["name"].as_str().unwrap_or_default()));
        }
    }
    let mut code = ExitCode::SUCCESS;
    for server in hub.view(None).iter().flat_map(|view| view.servers()) {
        if server.known(Kind::Tools).is_none() {
            console::complain(format!("{}: gave no list", server.name));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

pub(super) async fn call(whom: &Whom, tool: String, arguments: &str) -> Result<ExitCode, String> {
    let arguments = Object::parse(arguments).map_err(|_| "the arguments must be a JSON object".to_owned())?;
    let (hub, client) = whom.hub()?;
    let mut params = Object::default();
    params.set("name", &tool);
    params.set("arguments", &arguments);
    let result = ask(&hub, &client, "tools/call", params).await?;
    let result: Value = serde_json::from_str(result.get()).map_err(|error| error.to_string())?;
    for content in result["content"].as_array().into_iter().flatten() {
        match content["text"].as_str() {
            Some(text) => console::say(text),
            None => console::say(content.to_string()),
        }
    }
    if result["resultType"] == "input_required" {
        return Err("the tool wants input of a user, whom it cannot have here".to_owned());
    }
    Ok(if result["isError"] == true {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
