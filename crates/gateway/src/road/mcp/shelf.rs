//! Tools of servers for a model that is asked here: listed and called as its caller would at `/mcp`, with the same rules,
//! guardrails, prices and ledger.
//!
//! Whatever a server wants to ask its client meanwhile is declined: there is a model at the other end, and nobody else.

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_governance::{Estimate, Principal};
use pointsman_mcp::Hub;
use pointsman_mcp::call::{Answered, Asker, Refused};
use pointsman_mcp::message::{Id, Object, Raw, Request};
use pointsman_mcp::meta;
use pointsman_mcp::shorten::shortened;
use pointsman_mcp::virtuals::unwrapped;
use pointsman_wire::form::{Failure, FailureKind};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::judge::{Guardrails, judging};
use super::{Desk, consent, door, nothing, oauth, stateless, work};
use crate::road::{Arrival, Ticket, admit};
use crate::worker::Worker;

/// What metrics and ledger call the surface of such a call: it is one.
const SURFACE: &str = "/mcp";

/// What of the gateway a request names: a server, a virtual one, or all of them.
pub struct Shelf<'a> {
    desk: Desk<'a>,
    asker: Asker,
    guardrails: Option<Arc<Guardrails>>,
}

/// A tool as its server tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    /// What it is called.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: Option<String>,
    /// What it takes.
    #[serde(rename = "inputSchema")]
    pub schema: Raw,
    /// What it says of itself.
    #[serde(default)]
    pub annotations: Option<Raw>,
}

impl Listed {
    /// Whether it says that it changes nothing.
    pub fn is_read_only(&self) -> bool {
        #[derive(Deserialize)]
        struct Said {
            #[serde(rename = "readOnlyHint", default)]
            reads: bool,
        }
        let said = self.annotations.as_ref();
        said.and_then(|said| serde_json::from_str::<Said>(said.get()).ok())
            .is_some_and(|said| said.reads)
    }
}

/// What a call has come to.
pub struct Called {
    /// What the tool says, or why it does not.
    pub outcome: Result<String, String>,
    /// What it has cost.
    pub cost: Money,
}

impl Called {
    /// A call that was not made.
    pub fn refused(why: impl Into<String>) -> Self {
        Self {
            outcome: Err(why.into()),
            cost: Money::ZERO,
        }
    }
}

/// Whether the caller may reach any servers by this request at all: pages and rebound names are kept out here, too, and
/// tokens must be for servers.
///
/// # Errors
/// 401 and 403 as at `/mcp`.
pub fn may_reach(arrival: &Arrival) -> Result<Option<Vec<String>>, Failure> {
    let authority = arrival.uri.authority();
    door::check(&arrival.headers, authority, &arrival.snapshot.mcp)
        .map_err(|error| Failure::new(FailureKind::PermissionDenied, error.message))?;
    let scopes = oauth::scopes(arrival).map_err(|refusal| refusal.failure)?;
    let lacking = scopes
        .as_ref()
        .and_then(|has| oauth::lacking_always(arrival, has));
    match lacking {
        Some(refusal) => Err(refusal.failure),
        None => Ok(scopes),
    }
}

impl<'a> Shelf<'a> {
    /// What stands at `/mcp/{scope}`, or at `/mcp`.
    ///
    /// # Errors
    /// 404 where there is no such server, and as [`may_reach`].
    pub fn of(
        (worker, arrival): (&'a Arc<Worker>, &'a Arrival),
        caller: Arc<Principal>,
        scope: Option<&str>,
    ) -> Result<Self, Failure> {
        let scopes = may_reach(arrival)?;
        let hub = Arc::clone(&arrival.snapshot.mcp.hub);
        let view = hub
            .view_of(scope, &consent::owner(&caller))
            .filter(|view| !view.servers().is_empty());
        let Some(view) = view else {
            return Err(nothing(&hub, scope));
        };
        let desk = Desk {
            worker,
            arrival,
            caller,
            scopes,
            hub,
            view,
        };
        let guardrails = Guardrails::of(&desk)?;
        let asker = desk.asker(judging(guardrails.as_ref()));
        Ok(Self {
            desk,
            asker,
            guardrails,
        })
    }

    /// The tools that the caller may use; nothing more is read where there are more than `most`.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub async fn list(&self, most: usize) -> Result<Vec<Listed>, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            tools: Vec<Listed>,
            #[serde(default)]
            next_cursor: Option<String>,
        }
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let mut params = own_params();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor);
            }
            let request = request("tools/list", params);
            // Lists are put together here: nothing is said meanwhile.
            let (sink, _told) = mpsc::channel(1);
            let answered = Box::pin(self.asker.answer(&request, &sink)).await;
            let page = answered.outcome.map_err(|refused| said_of(&refused))?;
            let page: Page = serde_json::from_str(page.get()).map_err(|error| error.to_string())?;
            all.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || all.len() > most {
                return Ok(all);
            }
        }
    }

    /// Calls a tool for a request: admitted, judged, charged and in the ledger under `id`. At most `most` bytes are told.
    pub async fn call(&self, id: String, (name, arguments): (&str, &RawValue), most: usize) -> Called {
        let mut params = own_params();
        params.set("name", name);
        params.set("arguments", arguments);
        let request = match unwrapped(&self.desk.view, request("tools/call", params)) {
            Ok(request) => request,
            Err(error) => return Called::refused(error.message),
        };
        let ticket = match self.admit(id, &request).await {
            Ok(ticket) => ticket,
            Err(failure) => return Called::refused(failure.message),
        };
        let answered = Box::pin(stateless::alone(&self.asker, &request)).await;
        let (answered, cost) = self.settle(ticket, answered);
        Called {
            outcome: read(answered, most),
            cost,
        }
    }

    async fn admit(&self, id: String, request: &Request) -> Result<Ticket, Failure> {
        let desk = &self.desk;
        let name = request.params.text("name").unwrap_or_default();
        let counted = work::counted_as(desk, request, &name).await;
        let estimate = Estimate {
            cost: desk.view.price(&name),
            ..Estimate::default()
        };
        let caller = admit::asking(&desk.arrival.snapshot, Arc::clone(&desk.caller), &counted);
        caller.prepare_part(estimate).await;
        let reservation = caller
            .admit_part(estimate, Instant::now())
            .map_err(admit::denied)?;
        let mut ticket = Ticket::new(desk.worker, desk.arrival, caller, reservation);
        let facts = &mut ticket.facts;
        facts.id = id;
        facts.started = Instant::now();
        facts.surface = SURFACE;
        facts.model_requested = counted;
        Ok(ticket)
    }

    fn settle(&self, mut ticket: Ticket, answered: Answered) -> (Answered, Money) {
        if let Some(guardrails) = &self.guardrails {
            ticket.facts.flags.append(&mut guardrails.flags());
        }
        work::settle(ticket, answered)
    }
}

/// Whether there is a server, or a virtual one, of this name.
pub fn is_known(hub: &Hub, name: &str) -> bool {
    hub.view(Some(name))
        .is_some_and(|view| !view.servers().is_empty())
}

fn request(method: &str, params: Object) -> Request {
    Request {
        id: Id::Number(1),
        method: method.to_owned(),
        params,
    }
}

/// Parameters of a client that can be asked nothing.
fn own_params() -> Object {
    let mut own = Object::default();
    own.set(
        meta::CLIENT_INFO,
        &json!({ "name": "pointsman", "version": env!("CARGO_PKG_VERSION") }),
    );
    own.set(meta::CLIENT_CAPABILITIES, &json!({}));
    let mut params = Object::default();
    params.set("_meta", &own);
    params
}

fn said_of(refused: &Refused) -> String {
    match refused {
        Refused::Here(error) => error.message.clone(),
        Refused::There(raw) => {
            let message = Object::parse(raw.get())
                .ok()
                .and_then(|error| error.text("message"));
            message.unwrap_or_else(|| "the server refuses and says nothing".to_owned())
        }
    }
}

/// What a model is shown of an answer: texts, and of everything else that it was there.
fn read(answered: Answered, most: usize) -> Result<String, String> {
    let result = answered.outcome.map_err(|refused| said_of(&refused))?;
    let result = shortened(result, most);
    let Ok(result) = Object::parse(result.get()) else {
        return Err("the server's answer is no result".to_owned());
    };
    if result.text("resultType").is_some_and(|kind| kind != "complete") {
        return Err(
            "the tool wants something from a person, or takes its time, and nobody waits here".to_owned(),
        );
    }
    let said = words(&result);
    let failed = result.get("isError").is_some_and(|failed| failed.get() == "true");
    if failed { Err(said) } else { Ok(said) }
}

fn words(result: &Object) -> String {
    let mut said: Vec<String> = Vec::new();
    for block in result.list("content").unwrap_or_default() {
        let block: serde_json::Value = serde_json::from_str(block.get()).unwrap_or_default();
        let text = block["text"].as_str().or(block["resource"]["text"].as_str());
        said.push(match (text, block["uri"].as_str()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(uri)) => format!("[{}: {uri}]", block["name"].as_str().unwrap_or("resource")),
            (None, None) => {
                let kind = block["mimeType"]
                    .as_str()
                    .or(block["resource"]["mimeType"].as_str());
                format!("[{}, which cannot be shown here]", kind.unwrap_or("something"))
            }
        });
    }
    match result.get("structuredContent") {
        Some(data) if said.is_empty() => data.get().to_owned(),
        _ => said.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: &serde_json::Value) -> Result<String, String> {
        let raw = serde_json::value::to_raw_value(result).unwrap();
        let answered = Answered {
            outcome: Ok(raw),
            server: None,
            name: None,
            cost: Money::ZERO,
        };
        read(answered, 1_000)
    }

    #[test]
    fn results_are_read_as_texts() {
        let both = json!({ "content": [
            { "type": "text", "text": "one" },
            { "type": "resource", "resource": { "uri": "a://b", "text": "two" } },
            { "type": "resource_link", "uri": "a://c", "name": "three" },
            { "type": "image", "mimeType": "image/png", "data": "AAAA" },
        ], "structuredContent": { "a": 1 } });
        let said = told(&both).unwrap();
        assert_eq!(
            said,
            "one\ntwo\n[three: a://c]\n[image/png, which cannot be shown here]"
        );
        assert_eq!(
            told(&json!({ "content": [], "structuredContent": { "a": 1 } })),
            Ok("{\"a\":1}".to_owned())
        );
        let failed = json!({ "content": [{ "type": "text", "text": "no" }], "isError": true });
        assert_eq!(told(&failed), Err("no".to_owned()));
        let asks = json!({ "resultType": "input_required", "inputRequests": {} });
        assert!(told(&asks).is_err());
        let long = json!({ "content": [{ "type": "text", "text": "x".repeat(5_000) }] });
        assert!(told(&long).unwrap().len() < 1_200);
    }
}
