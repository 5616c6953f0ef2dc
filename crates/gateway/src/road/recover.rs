//! What was left out of a long request (`context_compression` with `recoverable` targets), read again where the model asks
//! for it: between *send* and *relay*.
//!
//! The model gets one tool more. Where it calls it, it is answered from what the request itself holds, and asked again, so
//! many times; nobody else ever sees the tool, its calls or its results. Each answer that the client does not get is
//! charged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pointsman_catalog::ServiceTier;
use pointsman_guard::{Shown, Sort, Stage};
use pointsman_routing::{Recovery, extract};
use pointsman_wire::form::{
    ChatRequest, ChatResponse, ContentShape, Extra, Failure, FailureKind, FinishReason, Message, Part,
    PartKind, Role, Text, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};
use pointsman_wire::json::Json;
use pointsman_wire::{seal, tokens};
use serde::Deserialize;
use serde_json::json;

use super::arrive::Asked;
use super::decide::Plan;
use super::send::{self, Answer};
use super::{Arrival, Ticket, admit, guard, relay};
use crate::worker::Worker;

/// The tool.
const TOOL: &str = "pointsman_read_whole";
/// Tokens of what is read at once, at most.
const AT_ONCE: u64 = 4_000;
/// Letters of a page, where nothing is said about what is wanted.
const PAGE: usize = 12_000;
/// Letters of what a text is called.
const NAME: usize = 80;

/// What was left out of a request, as long as the request lives.
pub struct Omitted {
    texts: Vec<(String, String)>,
    bytes: usize,
    settings: Recovery,
    /// Of all requests.
    held: Arc<AtomicUsize>,
}

impl Drop for Omitted {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Omitted {
    /// Room for what will be left out of a request; none where it cannot be read again: the client forbids or demands
    /// calls of tools, demands several answers, or has a tool of this name.
    pub fn of(request: &ChatRequest, settings: Recovery, held: &Arc<AtomicUsize>) -> Option<Self> {
        let named = |tool: &Tool| matches!(&tool.kind, ToolKind::Function { name, .. } if **name == *TOOL);
        let free = matches!(request.tool_choice, None | Some(ToolChoice::Auto));
        let several = request.sampling.n.is_some_and(|count| count > 1);
        (free && !several && !request.tools.iter().any(named)).then(|| Self {
            texts: Vec::new(),
            bytes: 0,
            settings,
            held: Arc::clone(held),
        })
    }

    /// Keeps a text that is about to be made shorter; false where there is no room, and it must stay as it is.
    pub fn keep(&mut self, name: &str, text: &str) -> bool {
        if self.bytes + text.len() > self.settings.most_bytes {
            return false;
        }
        let before = self.held.fetch_add(text.len(), Ordering::Relaxed);
        if before + text.len() > self.settings.most_of_all {
            self.held.fetch_sub(text.len(), Ordering::Relaxed);
            return false;
        }
        self.bytes += text.len();
        let name: String = name.chars().take(NAME).collect();
        self.texts.push((name.replace('\n', " "), text.to_owned()));
        true
    }

    /// Forgets what was kept last.
    pub fn forget(&mut self) {
        if let Some((_, text)) = self.texts.pop() {
            self.bytes -= text.len();
            self.held.fetch_sub(text.len(), Ordering::Relaxed);
        }
    }

    /// Gives the request the tool by which what was left out is read; nothing where nothing was.
    pub fn offer(self, request: &mut ChatRequest) -> Option<Arc<Self>> {
        if self.texts.is_empty() {
            return None;
        }
        let ids: Vec<usize> = (1..=self.texts.len()).collect();
        let named = self.texts.iter().zip(&ids);
        let list: Vec<String> = named.map(|((name, _), id)| format!("{id}: {name}")).collect();
        let description = format!(
            "Parts of this conversation were shortened, and this reads what was left out. Call it only where what is left \
             does not suffice. Shortened were {}.",
            list.join("; ")
        );
        let schema = json!({
            "type": "object",
            "properties": {
                "id": {"type": "integer", "enum": ids, "description": "Which of them."},
                "about": {"type": "string", "description": "What is wanted of it; its pages one by one where absent."},
                "page": {"type": "integer", "minimum": 1, "description": "Which page; the first where absent."},
            },
            "required": ["id"],
        });
        request.tools.push(Tool {
            kind: ToolKind::Function {
                name: Text::from_static(TOOL),
                description: Some(description.into()),
                parameters: Json::of(&schema).ok(),
                strict: None,
                extra: Extra::default(),
            },
            cache_control: None,
            extra: Extra::default(),
        });
        Some(Arc::new(self))
    }

    /// What a call reads.
    fn read(&self, call: &ToolCall) -> String {
        let wanted: Wanted = match serde_json::from_str(&call.arguments) {
            Ok(wanted) => wanted,
            Err(error) => return format!("These arguments make no sense: {error}"),
        };
        let found = usize::try_from(wanted.id).ok().and_then(|id| id.checked_sub(1));
        let Some((_, text)) = found.and_then(|at| self.texts.get(at)) else {
            return format!("There is no {}; there are 1 to {}.", wanted.id, self.texts.len());
        };
        let about = wanted.about.as_deref().unwrap_or_default().trim();
        if !about.is_empty() {
            let shorter = extract(text, about, AT_ONCE, &tokens::estimate);
            return shorter.unwrap_or_else(|| text.clone());
        }
        let letters: Vec<char> = text.chars().collect();
        let pages = letters.chunks(PAGE).count().max(1);
        let number = wanted.page.unwrap_or(1).max(1);
        let page = usize::try_from(number)
            .ok()
            .and_then(|number| letters.chunks(PAGE).nth(number - 1));
        match page {
            Some(page) if pages == 1 => page.iter().collect(),
            Some(page) => {
                let page: String = page.iter().collect();
                format!("{page}\n[page {number} of {pages}]")
            }
            None => format!("There is no page {number}; there are {pages}."),
        }
    }
}

/// What a call wants.
#[derive(Deserialize)]
struct Wanted {
    id: u64,
    about: Option<String>,
    page: Option<u64>,
}

/// Takes the tool out of a request for somebody whose calls nobody answers.
pub fn withdraw(request: &mut ChatRequest) {
    let other = |tool: &Tool| !matches!(&tool.kind, ToolKind::Function { name, .. } if **name == *TOOL);
    request.tools.retain(other);
}

/// Sends the request along the plan, and answers the model where it asks for what was left out.
///
/// # Errors
/// As [`send::read`]; 429 where the caller's limits have no room for another answer; 403 where a guardrail blocks what was
/// left out.
pub async fn send(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &Asked,
    plan: Plan,
    ticket: &mut Ticket,
) -> Result<Answer, Failure> {
    let Some(omitted) = asked.omitted.clone() else {
        return send::send(worker, arrival, asked, plan, ticket).await;
    };
    let mut now = asked.instead(asked.request.clone());
    let mut left = omitted.settings.most_reads;
    loop {
        let response = Box::pin(send::read(worker, arrival, &now, plan.clone(), ticket)).await?;
        let (own, others) = calls(&response);
        if own.is_empty() || others {
            return Ok(given(response, !own.is_empty()));
        }
        if left == 0 {
            return last_word(response);
        }
        if let Some(tier) = &response.service_tier {
            ticket.facts.tier = ServiceTier::said(Some(tier));
        }
        let usage = response.usage.unwrap_or_else(|| relay::count(&now, &response));
        ticket.spend(&usage, response.usage.is_none());
        let mut results = Vec::new();
        for call in &own {
            let read = match left.checked_sub(1) {
                Some(fewer) => {
                    left = fewer;
                    omitted.read(call)
                }
                None => "Nothing more can be read.".to_owned(),
            };
            results.push((call.id.clone(), read));
        }
        let results = reviewed((worker, arrival), &now, ticket, results).await?;
        let mut request = now.request.clone();
        go_on(&mut request, &response, results);
        if left == 0 {
            // The tool stays, because providers want to know of tools that were called; nothing more is read by it.
            request.tool_choice = Some(ToolChoice::None);
        }
        now = now.instead(request);
        let estimate = admit::planned(&arrival.snapshot, &now, &plan);
        ticket.reserve(estimate).await.map_err(admit::denied)?;
    }
}

/// What the model calls of what was left out, and whether it calls anything else.
fn calls(response: &ChatResponse) -> (Vec<ToolCall>, bool) {
    let parts = response.choices.iter().flat_map(|choice| &choice.parts);
    let all: Vec<&ToolCall> = parts
        .filter_map(|part| match &part.kind {
            PartKind::ToolCall(call) => Some(call),
            _ => None,
        })
        .collect();
    let own: Vec<ToolCall> = all
        .iter()
        .filter(|call| *call.name == *TOOL)
        .map(|call| (*call).clone())
        .collect();
    let others = own.len() < all.len();
    (own, others)
}

/// The answer for the client, who knows nothing of the tool.
fn given(mut response: Box<ChatResponse>, calls_it: bool) -> Answer {
    if calls_it {
        for choice in &mut response.choices {
            let own = |part: &Part| matches!(&part.kind, PartKind::ToolCall(call) if *call.name == *TOOL);
            choice.parts.retain(|part| !own(part));
            let calls = choice
                .parts
                .iter()
                .any(|part| matches!(part.kind, PartKind::ToolCall(_)));
            if !calls {
                choice.finish = Some(FinishReason::Stop);
            }
        }
    }
    Answer::Whole {
        response,
        native: None,
    }
}

/// The answer of a model that calls the tool though there is nothing left to read: what it says beside, if anything.
fn last_word(response: Box<ChatResponse>) -> Result<Answer, Failure> {
    let says = |part: &Part| matches!(&part.kind, PartKind::Text(text) if !text.text.trim().is_empty());
    let mut parts = response.choices.iter().flat_map(|choice| &choice.parts);
    if parts.any(says) {
        return Ok(given(response, true));
    }
    let message =
        "the model reads what context_compression has left out, again and again, and answers nothing";
    Err(Failure::new(FailureKind::Provider, message).coded("no_answer"))
}

/// What was read, as the guardrails leave it that see what tools bring: those of the decision have not seen it yet.
async fn reviewed(
    at: (&Arc<Worker>, &Arrival),
    asked: &Asked,
    ticket: &mut Ticket,
    results: Vec<(Text, String)>,
) -> Result<Vec<(Text, String)>, Failure> {
    let shown = results.iter().map(|(_, text)| Shown {
        text: text.as_str().into(),
        sort: Sort::Foreign,
        stage: Stage::ToolResult,
    });
    let reviewed = guard::review(at, &asked.guards, shown.collect(), &asked.placeholders).await;
    ticket.judged(&reviewed);
    let rewritten = guard::fixed(reviewed)?;
    let texts = results.into_iter().zip(rewritten);
    Ok(texts
        .map(|((id, text), rewritten)| (id, rewritten.unwrap_or(text)))
        .collect())
}

/// The conversation with the model's calls and what they have read. What its provider has signed is sealed as it would be
/// for the client, and so finds its way back to that provider alone.
fn go_on(request: &mut ChatRequest, response: &ChatResponse, results: Vec<(Text, String)>) {
    let own = response.format == request.format;
    let sealed = seal::answer(response, request.format);
    let said = sealed.choices.first().map(|choice| choice.parts.clone());
    let mut parts = said.unwrap_or_default();
    if !own {
        parts.retain(|part| !matches!(part.kind, PartKind::Opaque { .. }));
        parts.iter_mut().for_each(|part| part.extra = Extra::default());
    }
    let told = |role, parts| Message {
        role,
        parts,
        shape: ContentShape::Parts,
        name: None,
        extra: Extra::default(),
    };
    request.messages.push(told(Role::Assistant, parts));
    for (call_id, text) in results {
        let result = PartKind::ToolResult(ToolResult {
            call_id,
            content: vec![Part::text(text)],
            shape: ContentShape::Text,
            is_error: None,
        });
        request.messages.push(told(Role::Tool, vec![Part::new(result)]));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pointsman_wire::format::{self, Format};
    use serde_json::Value;

    use super::*;

    fn settings() -> Recovery {
        Recovery {
            most_reads: 2,
            most_bytes: 40_000,
            most_of_all: 60_000,
        }
    }

    fn request(more: &Value) -> ChatRequest {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        format::decode_request(Format::OpenAiChat, &Bytes::from(body.to_string())).unwrap()
    }

    fn call(arguments: &str) -> ToolCall {
        ToolCall {
            id: "c".into(),
            name: TOOL.into(),
            arguments: arguments.to_owned().into(),
            kind: pointsman_wire::form::ToolCallKind::Function,
            signature: None,
            extra: Extra::default(),
        }
    }

    #[test]
    fn what_was_left_out_is_read_whole_by_pages_and_by_what_is_wanted() {
        let held = Arc::default();
        let mut omitted = Omitted::of(&request(&json!({})), settings(), &held).unwrap();
        let long = "nothing of note happened here today.\n".repeat(700) + "disk sda failed with code 17\n";
        assert!(omitted.keep("the log", &long) && omitted.keep("a word", "yes"));
        assert_eq!(omitted.read(&call(r#"{"id": 2}"#)), "yes");
        let page = omitted.read(&call(r#"{"id": 1}"#));
        assert!(
            page.ends_with("[page 1 of 3]") && !page.contains("code 17"),
            "{page}"
        );
        assert!(omitted.read(&call(r#"{"id": 1, "page": 3}"#)).contains("code 17"));
        assert!(
            omitted
                .read(&call(r#"{"id": 1, "page": 4}"#))
                .contains("there are 3")
        );
        let about = omitted.read(&call(r#"{"id": 1, "about": "which disk failed"}"#));
        assert!(
            about.contains("code 17") && tokens::estimate(&about) <= AT_ONCE + 100,
            "{about}"
        );
        assert!(omitted.read(&call(r#"{"id": 3}"#)).contains("there are 1 to 2"));
        assert!(omitted.read(&call("{")).contains("no sense"));
        // Bounds of a request, and of all of them, given back with it.
        assert!(!omitted.keep("too much", &long));
        let mut second = Omitted::of(&request(&json!({})), settings(), &held).unwrap();
        assert!(second.keep("the log", &long) && !second.keep("again", &long[..10_000]));
        drop((omitted, second));
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn where_it_cannot_be_read_again_nothing_is_offered() {
        let held = Arc::default();
        let tool = json!({"type": "function", "function": {"name": TOOL, "parameters": {}}});
        for more in [
            json!({"tool_choice": "none"}),
            json!({"tool_choice": "required"}),
            json!({"n": 2}),
            json!({"tools": [tool]}),
        ] {
            assert!(
                Omitted::of(&request(&more), settings(), &held).is_none(),
                "{more}"
            );
        }
        let mut plain = request(&json!({"tool_choice": "auto"}));
        let omitted = Omitted::of(&plain, settings(), &held).unwrap();
        assert!(omitted.offer(&mut plain).is_none() && plain.tools.is_empty());
        let mut omitted = Omitted::of(&plain, settings(), &held).unwrap();
        assert!(omitted.keep("a", "b"));
        assert!(omitted.offer(&mut plain).is_some());
        assert_eq!(plain.tools.len(), 1);
        withdraw(&mut plain);
        assert!(plain.tools.is_empty());
    }
}
