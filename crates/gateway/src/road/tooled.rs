//! Servers of the gateway as tools of a model: a request names them, and the gateway calls them until the model has its
//! answer, for providers that would not, or could not reach them.
//!
//! The model is shown functions. What it calls is called as the request's caller, by the rules of `/mcp` ([`Shelf`]); every
//! question to the model is admitted and settled by itself, as those of loops are ([`Ring`]). The client is told in the words
//! of its own API what was called, and may have to approve it first. Servers at addresses that are not the gateway's are
//! left to the provider; nothing is asked at one from here.

mod history;
mod named;
mod round;
mod told;
mod tools;

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::Money;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, PartKind, ToolKind, Usage};
use pointsman_wire::format::Format;

use super::arrive::{Asked, Beside};
use super::decide::Plan;
use super::looped::answer::{self, Done};
use super::looped::ring::{Bounds, Ring};
use super::send::Answer;
use super::{Arrival, Ticket, mcp};
use crate::worker::Worker;
use history::Due;
use named::{Named, Names};
use round::Rounds;
use tools::Toolbox;

/// What the answer's headers call it.
const KIND: &str = "tools";

/// What a request wants to be called for it.
pub struct Tooled {
    named: Vec<Named>,
    /// Calls that were approved meanwhile.
    due: Vec<Due>,
    /// Servers whose tools the conversation tells already.
    listed: Vec<String>,
}

/// Finds the servers of the gateway that a request names, and tells anew what the conversation says of earlier calls.
///
/// # Errors
/// 400 for what cannot be read, 401 and 403 where the caller may not reach servers by this request.
pub fn open(arrival: &Arrival, asked: &mut Asked) -> Result<Option<Tooled>, Failure> {
    let request = &mut asked.request;
    if !matches!(
        request.format,
        Format::OpenAiResponses | Format::AnthropicMessages
    ) {
        return Ok(None);
    }
    let before = request.tools.len();
    let Names { own, foreign } = named::find(arrival, request)?;
    // Of Anthropic's, what names servers of the gateway is not told on.
    asked.edited |= before != request.tools.len() || !own.is_empty();
    let hub = &arrival.snapshot.mcp.hub;
    let is_own = |label: &str| {
        own.iter().any(|named| named.label == label)
            || (!foreign.iter().any(|other| other == label) && mcp::is_known(hub, label))
    };
    let history = history::told_anew(&mut request.messages, &is_own, &tools::called);
    asked.edited |= history.edited;
    if own.is_empty() {
        if history.edited {
            history::define(request);
        }
        return Ok(None);
    }
    mcp::may_reach(arrival)?;
    Ok(Some(Tooled {
        named: own,
        due: history.due,
        listed: history.listed,
    }))
}

/// Refuses what a provider of another format would have to reach: what is not the gateway's is not asked from here.
///
/// # Errors
/// 400 for a server that only the client's own API could reach.
pub fn check_foreign(request: &ChatRequest, to: Format) -> Result<(), Failure> {
    if to == request.format {
        return Ok(());
    }
    let is_server = |kind: &str| kind == "mcp" || kind == "mcp_toolset";
    let tool = request
        .tools
        .iter()
        .position(|tool| matches!(&tool.kind, ToolKind::Opaque { kind, .. } if is_server(kind)));
    let at = match tool {
        Some(at) => format!("tools[{at}]"),
        None if request.extra.get("mcp_servers").is_some() => "mcp_servers".to_owned(),
        None => return Ok(()),
    };
    let message = format!(
        "{at} names an MCP server that is none of this gateway's, and the provider that answers reaches none itself; name one of the gateway by its own name, or by its address here (/mcp/…)"
    );
    Err(Failure::new(FailureKind::InvalidRequest, message)
        .at(at)
        .coded("mcp_server_unreachable"))
}

/// Asks the model, and calls what it calls, until there is an answer.
///
/// # Errors
/// What a model that cannot be asked leaves, and 400 for more tools than may be shown.
pub async fn run(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    tooled: Tooled,
    plan: Plan,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    let begun = Instant::now();
    ticket.keep_place();
    let bounds = &arrival.snapshot.mcp.hub.config.model_tools;
    let within = Bounds {
        calls: bounds.max_rounds,
        calls_key: "mcp.model_tools.max_rounds",
        call_time: bounds.timeout.get(),
        whole_time: bounds.timeout.get(),
        is_checked: true,
    };
    let caller = ticket.shared_caller();
    let (done, tally, fees) = {
        let asked = &*asked;
        let ring = Ring::within((worker, arrival), asked, within, ticket);
        let mut fees = Money::ZERO;
        let done = async {
            let toolbox = Toolbox::open((worker, arrival), caller, asked, tooled).await?;
            let rounds = Rounds::new(&ring, asked, toolbox, begun + bounds.timeout.get());
            Box::pin(rounds.go(&plan, &mut fees)).await
        };
        let done = Box::pin(done).await;
        (done, ring.tally(), fees)
    };
    ticket.waited(begun.elapsed());
    let used = tally.used();
    tally.tell(KIND, ticket);
    ticket.charged_apart(&Usage::default(), fees);
    done.map(|(response, from)| {
        let done = Done::Whole {
            response,
            from: Some(from),
            beside: Beside {
                usage: used,
                field: None,
            },
        };
        answer::given(done, asked, ticket)
    })
}

/// Whether a part is a call of a function.
fn is_call(kind: &PartKind) -> bool {
    matches!(kind, PartKind::ToolCall(_))
}
