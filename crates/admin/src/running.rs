//! What the gateway stands on, as it was configured and as it does now: models, providers and their servers, guardrails,
//! MCP servers, A2A agents.

use std::sync::Arc;
use std::time::Instant;

use pointsman_a2a::agent::{Agent, Instance};
use pointsman_gateway::snapshot::{Model, Provider, Target};
use pointsman_mcp::server::Server;
use pointsman_upstream::Endpoint;
use pointsman_upstream::balance::Candidate;
use pointsman_upstream::breaker::BreakerState;
use pointsman_wire::format::Format;
use serde_json::{Map, Value, json};

use crate::access::Needs;
use crate::call::{Answer, Call, Failed, Reply};
use crate::configuration;
use crate::routes::{Route, get};

/// Whoever runs the gateway sees how it stands; tenants see their models at the API.
pub fn routes() -> [Route; 11] {
    let operator = |path, summary, answer| get(path, Needs::Operator, summary, answer);
    [
        operator(
            "/admin/v1/config",
            "Shows the configuration in force, without secrets, and why a newer file was refused.",
            configuration::show,
        ),
        operator(
            "/admin/v1/models",
            "Lists the models that clients can ask for, with their targets and prices.",
            |call| all(call, models),
        ),
        operator("/admin/v1/models/{name}", "Shows a model.", |call| {
            one(call, "model", models)
        }),
        operator(
            "/admin/v1/providers",
            "Lists providers, and how their servers do.",
            |call| all(call, providers),
        ),
        operator(
            "/admin/v1/providers/{name}",
            "Shows a provider, and how its servers do.",
            |call| one(call, "provider", providers),
        ),
        operator(
            "/admin/v1/guardrails",
            "Lists guardrails in their order, and how the services do that they ask.",
            |call| all(call, guardrails),
        ),
        operator("/admin/v1/guardrails/{name}", "Shows a guardrail.", |call| {
            one(call, "guardrail", guardrails)
        }),
        operator(
            "/admin/v1/mcp/servers",
            "Lists MCP servers, and how they do.",
            |call| all(call, servers),
        ),
        operator(
            "/admin/v1/mcp/servers/{name}",
            "Shows an MCP server, and how it does.",
            |call| one(call, "MCP server", servers),
        ),
        operator(
            "/admin/v1/a2a/agents",
            "Lists A2A agents, and how they do.",
            |call| all(call, agents),
        ),
        operator(
            "/admin/v1/a2a/agents/{name}",
            "Shows an A2A agent, and how it does.",
            |call| one(call, "A2A agent", agents),
        ),
    ]
}

/// There are as many as somebody has written down: one page holds them.
fn all(call: &Call, every: fn(&Call) -> Vec<Value>) -> Answer {
    call.only(&[])?;
    let data = every(call);
    Ok(Reply::of(json!({ "total": data.len(), "data": data })))
}

fn one(call: &Call, what: &str, every: fn(&Call) -> Vec<Value>) -> Answer {
    call.only(&[])?;
    let name = call.segment(0);
    let found = every(call).into_iter().find(|one| one["name"] == name);
    let found = found.ok_or_else(|| Failed::absent(format!("there is no {what} {name:?}")))?;
    Ok(Reply::of(found))
}

fn models(call: &Call) -> Vec<Value> {
    let (snapshot, configuration) = (call.gateway.snapshot(), call.configuration.in_force());
    let mut models: Vec<&Model> = snapshot.models.values().map(AsRef::as_ref).collect();
    models.sort_by(|one, other| one.name.cmp(&other.name));
    let view = |model: &Model| {
        json!({
            "name": model.name,
            "configured": configuration.block(&["models"], &model.name),
            "targets": model.targets.iter().map(target).collect::<Vec<_>>(),
            "fallback": {
                "any": model.fallback.any,
                "context_window": model.fallback.context_window,
                "content_policy": model.fallback.content_policy,
            },
            "guardrails": model.guardrails,
        })
    };
    models.into_iter().map(view).collect()
}

fn target(target: &Target) -> Value {
    json!({
        "provider": target.provider.name,
        "model": target.model,
        "format": target.format.map(Format::name),
        "weight": target.weight,
        "priority": target.priority,
        "price": target.price,
        "max_output_tokens": target.max_output,
        "available": target.available(Instant::now()),
        "in_flight": target.in_flight(),
    })
}

fn providers(call: &Call) -> Vec<Value> {
    let (snapshot, configuration) = (call.gateway.snapshot(), call.configuration.in_force());
    let mut providers: Vec<&Provider> = snapshot.providers.values().map(AsRef::as_ref).collect();
    providers.sort_by(|one, other| one.name.cmp(&other.name));
    let view = |provider: &Provider| {
        let formats = provider.speaks.formats.iter().map(|speech| speech.format.name());
        json!({
            "name": provider.name,
            "kind": provider.kind,
            "region": provider.region,
            "configured": configuration.block(&["providers"], &provider.name),
            "formats": formats.collect::<Vec<_>>(),
            "endpoints": provider.endpoints.iter().map(|endpoint| server(endpoint)).collect::<Vec<_>>(),
        })
    };
    providers.into_iter().map(view).collect()
}

/// A server of a provider. Its address holds no credential: such addresses are refused.
fn server(endpoint: &Endpoint) -> Value {
    let now = Instant::now();
    let state = endpoint.state();
    json!({
        "url": endpoint.url(),
        "breaker": breaker(endpoint.breaker_state(now)),
        "cooling_down": state.is_cooling_down(now),
        "consecutive_failures": state.consecutive_failures(),
        "in_flight": state.in_flight(),
    })
}

/// What a breaker does, as metrics and these answers call it.
pub fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half_open",
        BreakerState::Open => "open",
    }
}

/// In the order of the file, which is that in which they act.
fn guardrails(call: &Call) -> Vec<Value> {
    let (snapshot, configuration) = (call.gateway.snapshot(), call.configuration.in_force());
    let service = |name: &str| {
        let mut breakers = snapshot.guards.breakers();
        breakers
            .find(|(of, _)| *of == name)
            .map(|(_, state)| breaker(state))
    };
    let view = |block: &Value| {
        let name = block.get("name")?.as_str()?;
        Some(json!({ "name": name, "configured": block, "breaker": service(name) }))
    };
    let blocks = configuration.shown.get("guardrails").and_then(Value::as_array);
    blocks.into_iter().flatten().filter_map(view).collect()
}

fn servers(call: &Call) -> Vec<Value> {
    let (snapshot, configuration) = (call.gateway.snapshot(), call.configuration.in_force());
    let mut servers: Vec<_> = snapshot.mcp.hub.servers().collect();
    servers.sort_by(|one, other| one.name.cmp(&other.name));
    let view = |server: &Arc<Server>| {
        let standing = server.standing();
        let listed = standing
            .listed
            .iter()
            .map(|(kind, many)| (kind.field().to_owned(), json!(many)));
        json!({
            "name": server.name,
            "configured": configuration.block(&["mcp", "servers"], &server.name),
            "era": standing.is_modern.map(|is_modern| if is_modern { "modern" } else { "legacy" }),
            "resting": standing.resting,
            "listed": listed.collect::<Map<_, _>>(),
            "quarantined": standing.quarantined,
            "suspects": standing.suspects,
        })
    };
    servers.into_iter().map(view).collect()
}

fn agents(call: &Call) -> Vec<Value> {
    let (snapshot, configuration) = (call.gateway.snapshot(), call.configuration.in_force());
    let mut agents: Vec<_> = snapshot.a2a.hub.agents().collect();
    agents.sort_by(|one, other| one.name.cmp(&other.name));
    let view = |agent: &Arc<Agent>| {
        let instance = |instance: &Arc<Instance>| {
            let known = instance.last_known();
            json!({
                "resting": instance.is_resting().map(|why| why.to_string()),
                "card": known.map(|known| {
                    let (name, description) = known.card.title();
                    json!({ "name": name, "description": description })
                }),
            })
        };
        json!({
            "name": agent.name,
            "configured": configuration.block(&["a2a", "agents"], &agent.name),
            "instances": agent.instances.iter().map(instance).collect::<Vec<_>>(),
        })
    };
    agents.into_iter().map(view).collect()
}
