//! What is looked up for the prompt (`rag`): in a collection that is kept here, at a provider, or by a tool of an MCP server;
//! shown to the guardrails that see what tools bring, put in order where that is wanted, and put into the request.

mod there;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use pointsman_catalog::Money;
use pointsman_guard::{Shown, Sort, Stage};
use pointsman_routing::{ItemBounds, OnFailure, Rag, RagPlace, RagSource, Rerank, extract};
use pointsman_semantics::lookup::By;
use pointsman_wire::form::{
    ContentShape, Extra, Failure, FailureKind, Message, Part, PartKind, Role, Tool, ToolCall, ToolCallKind,
    ToolChoice, ToolKind, ToolResult, Usage,
};
use pointsman_wire::json::Json;
use pointsman_wire::{text, tokens};
use serde_json::{Map, Value, json};

use super::super::arrive::Asked;
use super::super::{Arrival, Ticket, collections, guard, hallucination, mcp, rerank};
use crate::collections::{is_for_all, may_read};
use crate::kept::refused;
use crate::worker::Worker;

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The tool that findings are told as the answer of.
const TOOL: &str = "look_up";
/// The id of its call.
const CALL: &str = "call_look_up";

/// Something that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    text: String,
    score: Option<f64>,
}

/// Looks up what the user says, and puts what is found into the request.
///
/// # Errors
/// Where nothing can be looked up and the decision does not let the request go on.
pub async fn look_up(
    at: (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    ticket: &mut Ticket,
    (rag, bounds): (&Rag, Option<ItemBounds>),
) -> Result<(), Failure> {
    let said = text::user_text(&asked.request).into_owned();
    if said.trim().is_empty() {
        return Ok(());
    }
    if let Some(least) = rag.least_sure {
        let likely = hallucination::wants_facts(at.1, &Arc::from(said.as_str())).await;
        // Where nobody can say, what is looked up for nothing does less harm than what is not.
        if likely.is_some_and(|likely| f64::from(likely) < least) {
            return Ok(());
        }
    }
    let found = match tokio::time::timeout(PATIENCE, found(at, asked, ticket, (rag, &said))).await {
        Ok(found) => found,
        Err(_) => Err(Failure::new(FailureKind::ProviderTimeout, "it took too long")),
    };
    let texts = match found {
        Ok(found) => {
            asked.personal |= found.is_personal;
            found.texts
        }
        Err(failure) if rag.on_failure == OnFailure::Block => {
            let message = format!("rag could not look anything up: {}", failure.message);
            return Err(Failure::new(FailureKind::Unavailable, message).coded("rag_unavailable"));
        }
        Err(failure) => {
            // What comes without it is nobody's to remember for others.
            asked.personal |= !rag.access.is_open() || rag.provider.is_none();
            if rag.on_failure == OnFailure::Warn {
                tracing::warn!(error = %failure.message, asked = rag.name(), "rag could not look anything up");
            }
            return Ok(());
        }
    };
    let together = joined(&texts, rag.longest);
    if together.is_empty() {
        return Ok(());
    }
    let together = match bounds.filter(|bounds| tokens::estimate(&together) >= bounds.least) {
        Some(bounds) => extract(&together, &said, bounds.target, &tokens::estimate).unwrap_or(together),
        None => together,
    };
    put(asked, rag.place, &said, together);
    asked.edited = true;
    Ok(())
}

/// What is found, put in order, as the guardrails leave it.
async fn found(
    at: (&Arc<Worker>, &Arrival),
    asked: &Asked,
    ticket: &mut Ticket,
    (rag, said): (&Rag, &str),
) -> Result<Found, Failure> {
    let (mut findings, is_personal) = match &rag.source {
        RagSource::Here { store, files, words } => {
            here(at, ticket, (rag, said), (store, files, *words)).await?
        }
        RagSource::Mcp { .. } => (called(at, ticket, (rag, said)).await?, true),
        _ => (there::ask(at, ticket, (rag, said)).await?, !rag.access.is_open()),
    };
    findings.retain(|finding| {
        finding
            .score
            .is_none_or(|score| rag.least.is_none_or(|least| score >= least))
    });
    findings.truncate(rag.wanted());
    let mut texts = reviewed(at, asked, ticket, findings).await?;
    if let Some(rerank) = rag.rerank.as_ref().filter(|_| texts.len() > 1) {
        texts = ordered(at, ticket, (rerank, said), texts).await;
    }
    texts.truncate(rag.most);
    Ok(Found { texts, is_personal })
}

/// What was found, and whether others might find something else.
struct Found {
    texts: Vec<String>,
    is_personal: bool,
}

/// What a collection that is kept here says; nothing where the caller may not read it.
async fn here(
    at: (&Arc<Worker>, &Arrival),
    ticket: &Ticket,
    (rag, said): (&Rag, &str),
    (store, files, words): (&str, &Option<Vec<String>>, Option<f32>),
) -> Result<(Vec<Finding>, bool), Failure> {
    let wanted = store.to_owned();
    let collection = at.0.shared.kept.ask(move |store| store.collection(&wanted)).await;
    let Some(collection) = collection.map_err(refused)? else {
        let message = format!("there is no vector store {store:?}");
        return Err(Failure::new(FailureKind::Unavailable, message));
    };
    let is_personal = !is_for_all(&collection);
    if !may_read(&collection, ticket.caller()) {
        return Ok((Vec::new(), is_personal));
    }
    let by = By::Both(words.unwrap_or(collections::WORDS));
    let found = collections::look_up(at, &collection, (said, (by, rag.wanted())), files.clone()).await?;
    let findings = found.into_iter().map(|one| Finding {
        text: one.text,
        score: Some(f64::from(one.score)),
    });
    Ok((findings.collect(), is_personal))
}

/// What a tool says.
async fn called(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    ticket: &mut Ticket,
    (rag, said): (&Rag, &str),
) -> Result<Vec<Finding>, Failure> {
    let RagSource::Mcp {
        server,
        tool,
        arguments,
    } = &rag.source
    else {
        return Ok(Vec::new());
    };
    let decision = ticket.facts.decision.clone().unwrap_or_default();
    let arguments = filled(arguments, said, &decision);
    let calling = mcp::call_aside(
        worker,
        arrival,
        ticket.shared_caller(),
        (server, tool, &arguments),
    );
    // Erased: what a tool may lead to is deep.
    let calling: BoxFuture<'_, _> = Box::pin(calling);
    let (texts, fee) = calling.await?;
    if fee != Money::ZERO {
        ticket.answered_by(server, tool, fee);
        ticket.spend_beside(&Usage::default(), false);
    }
    Ok(texts
        .into_iter()
        .map(|text| Finding { text, score: None })
        .collect())
}

/// Arguments of a tool, with what is known in the place of its names: only once, so that nothing that a user says can
/// stand for anything.
fn filled(arguments: &Map<String, Value>, said: &str, decision: &str) -> Map<String, Value> {
    if arguments.is_empty() {
        return Map::from_iter([("query".to_owned(), said.into())]);
    }
    let known = [("${user_content}", said), ("${decision_name}", decision)];
    let fill = |text: &str| {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((at, (name, value))) = known
            .iter()
            .filter_map(|known| Some((rest.find(known.0)?, known)))
            .min_by_key(|(at, _)| *at)
        {
            out.push_str(&rest[..at]);
            out.push_str(value);
            rest = &rest[at + name.len()..];
        }
        out + rest
    };
    let filled = arguments.iter().map(|(name, value)| match value {
        Value::String(text) => (name.clone(), fill(text).into()),
        other => (name.clone(), other.clone()),
    });
    filled.collect()
}

/// What the guardrails leave of it that see what tools bring.
async fn reviewed(
    at: (&Arc<Worker>, &Arrival),
    asked: &Asked,
    ticket: &mut Ticket,
    findings: Vec<Finding>,
) -> Result<Vec<String>, Failure> {
    let shown = findings.iter().map(|finding| Shown {
        text: finding.text.as_str().into(),
        sort: Sort::Foreign,
        stage: Stage::ToolResult,
    });
    let reviewed = guard::review(at, &asked.guards, shown.collect(), &asked.placeholders).await;
    ticket.judged(&reviewed);
    let rewritten = guard::fixed(reviewed)?;
    let texts = findings.into_iter().zip(rewritten);
    Ok(texts
        .map(|(finding, rewritten)| rewritten.unwrap_or(finding.text))
        .collect())
}

/// Findings as a model puts them in order; as they were found where it does not answer.
async fn ordered(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    ticket: &mut Ticket,
    (rerank, said): (&Rerank, &str),
    texts: Vec<String>,
) -> Vec<String> {
    let documents = texts.iter().map(String::as_str).collect();
    let ranking: BoxFuture<'_, _> = Box::pin(rerank::order(
        worker,
        arrival,
        ticket,
        (&rerank.model, said, documents),
    ));
    let mut ranked = match ranking.await {
        Ok(ranked) => ranked,
        // A model that is not there costs order alone.
        Err(failure) => {
            tracing::warn!(error = %failure.message, model = rerank.model, "findings could not be put in order");
            return texts;
        }
    };
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
    let mut texts: Vec<Option<String>> = texts.into_iter().map(Some).collect();
    let mut ordered: Vec<String> = ranked
        .into_iter()
        .filter_map(|(index, _)| texts[index].take())
        .collect();
    ordered.extend(texts.into_iter().flatten());
    ordered
}

/// Findings in one text, at most so many letters of them.
fn joined(texts: &[String], longest: usize) -> String {
    let mut all = String::new();
    let mut left = longest;
    for text in texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
    {
        if left == 0 {
            break;
        }
        let cut: String = text.chars().take(left).collect();
        left -= cut.chars().count();
        if !all.is_empty() {
            all.push_str("\n\n");
        }
        all.push_str(&cut);
    }
    all
}

/// Puts findings into the request.
fn put(asked: &mut Asked, place: RagPlace, said: &str, found: String) {
    let request = &mut asked.request;
    match place {
        RagPlace::System => {
            let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
            let behind = request
                .messages
                .iter()
                .take_while(|message| is_instruction(message))
                .count();
            let text =
                format!("What was looked up for the user's question; use it where it helps:\n\n{found}");
            request.messages.insert(behind, Message::text(Role::System, text));
        }
        RagPlace::Tool => {
            let call = PartKind::ToolCall(ToolCall {
                id: CALL.into(),
                name: TOOL.into(),
                arguments: json!({ "query": said }).to_string().into(),
                kind: ToolCallKind::Function,
                signature: None,
                extra: Extra::default(),
            });
            let result = PartKind::ToolResult(ToolResult {
                call_id: CALL.into(),
                content: vec![Part::text(found)],
                shape: ContentShape::Text,
                is_error: None,
            });
            let told = |role, kind, shape| Message {
                role,
                parts: vec![Part::new(kind)],
                shape,
                name: None,
                extra: Extra::default(),
            };
            request
                .messages
                .push(told(Role::Assistant, call, ContentShape::Null));
            request
                .messages
                .push(told(Role::Tool, result, ContentShape::Text));
            // Some providers want to know what was called.
            if request.tools.is_empty() {
                request.tools.push(tool());
                request.tool_choice = Some(ToolChoice::None);
            }
        }
    }
}

fn tool() -> Tool {
    let schema =
        json!({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]});
    Tool {
        kind: ToolKind::Function {
            name: TOOL.into(),
            description: Some("Looks up what is known about a question.".into()),
            parameters: Json::of(&schema).ok(),
            strict: None,
            extra: Extra::default(),
        },
        cache_control: None,
        extra: Extra::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_says_stands_for_nothing() {
        let arguments = json!({"q": "${decision_name}: ${user_content}!", "limit": 3});
        let filled = filled(
            arguments.as_object().unwrap(),
            "what is ${decision_name}?",
            "docs",
        );
        assert_eq!(filled["q"], "docs: what is ${decision_name}?!");
        assert_eq!(filled["limit"], 3);
        assert_eq!(super::filled(&Map::new(), "hi", "docs")["query"], "hi");
    }

    #[test]
    fn findings_are_bounded() {
        let texts = ["äbc".to_owned(), "  ".to_owned(), "defg".to_owned()];
        assert_eq!(joined(&texts, 5), "äbc\n\nde");
        assert_eq!(joined(&texts, 100), "äbc\n\ndefg");
    }
}
