//! What a conversation tells of earlier calls at servers of the gateway, made calls of functions and their results: so every
//! provider understands it. What was to be approved meanwhile is found here, too.

use pointsman_wire::form::{
    ChatRequest, ContentShape, Extra, Message, Part, PartKind, Role, Text, Tool, ToolCall, ToolCallKind,
    ToolChoice, ToolKind, ToolResult,
};
use pointsman_wire::json::Json;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::told::MARK;

/// A call that was approved, and is to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Under which id it was asked for.
    pub request: String,
    /// Of which server.
    pub label: String,
    /// The tool.
    pub name: String,
    /// With what.
    pub arguments: String,
    /// Which message of the conversation is to tell the result.
    at: usize,
}

impl Due {
    /// Tells the conversation what came of it.
    pub fn answer(&self, messages: &mut [Message], text: &str, failed: bool) {
        let part = messages
            .get_mut(self.at)
            .and_then(|message| message.parts.first_mut());
        if let Some(PartKind::ToolResult(result)) = part.map(|part| &mut part.kind) {
            result.content = vec![Part::text(text.to_owned())];
            result.is_error = failed.then_some(true);
        }
    }
}

/// What was found in a conversation.
#[derive(Debug, Default)]
pub struct History {
    /// Calls that were approved.
    pub due: Vec<Due>,
    /// Servers whose tools were told before.
    pub listed: Vec<String>,
    /// Whether anything is told in another way now.
    pub edited: bool,
}

/// An item or a block of a call, as far as it is read here.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    server_label: Option<String>,
    #[serde(default)]
    server_name: Option<String>,
    #[serde(default)]
    name: Option<String>,
    /// A text at OpenAI.
    #[serde(default)]
    arguments: Option<String>,
    /// An object at Anthropic.
    #[serde(default)]
    input: Option<Box<RawValue>>,
    #[serde(default)]
    output: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    approval_request_id: Option<String>,
    #[serde(default)]
    approve: Option<bool>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    tool_use_id: Option<String>,
    #[serde(default)]
    is_error: Option<bool>,
    #[serde(default)]
    content: Option<Value>,
}

impl Told {
    fn label(&self) -> &str {
        let label = self.server_label.as_ref().or(self.server_name.as_ref());
        label.map_or("", String::as_str)
    }
}

/// What somebody has said to a call that waited.
struct Answer {
    approve: bool,
    reason: Option<String>,
}

/// Tells earlier calls anew. `is_own` says whether a server is the gateway's, by what the conversation calls it; `named`
/// how a model calls a tool of it.
pub fn told_anew(
    messages: &mut Vec<Message>,
    is_own: &dyn Fn(&str) -> bool,
    named: &dyn Fn(&str, &str) -> String,
) -> History {
    let has_any = messages
        .iter()
        .flat_map(|message| &message.parts)
        .any(|part| matches!(&part.kind, PartKind::Opaque { kind, .. } if kind.starts_with("mcp_")));
    if !has_any {
        return History::default();
    }
    let mut teller = Teller {
        answers: Vec::new(),
        done: Vec::new(),
        own_uses: Vec::new(),
        is_own,
        named,
        out: Vec::with_capacity(messages.len()),
        history: History::default(),
    };
    teller.look(messages);
    for message in std::mem::take(messages) {
        teller.message(message);
    }
    *messages = teller.out;
    teller.history
}

struct Teller<'a> {
    /// Answers to calls that waited, by the ids of these.
    answers: Vec<(String, Answer)>,
    /// Calls that waited and were made.
    done: Vec<String>,
    /// Blocks of calls that are the gateway's.
    own_uses: Vec<String>,
    is_own: &'a dyn Fn(&str) -> bool,
    named: &'a dyn Fn(&str, &str) -> String,
    out: Vec<Message>,
    history: History,
}

impl Teller<'_> {
    fn look(&mut self, messages: &[Message]) {
        for part in messages.iter().flat_map(|message| &message.parts) {
            let Some((kind, told)) = read(part) else { continue };
            match (kind, told.approval_request_id) {
                ("mcp_approval_response", Some(id)) => {
                    let answer = Answer {
                        approve: told.approve == Some(true),
                        reason: told.reason,
                    };
                    self.answers.push((id, answer));
                }
                ("mcp_call", Some(id)) => self.done.push(id),
                _ => {}
            }
        }
    }

    fn owns(&self, told: &Told) -> bool {
        let marked = |id: &Option<String>| id.as_ref().is_some_and(|id| id.contains(MARK));
        marked(&told.id) || (!told.label().is_empty() && (self.is_own)(told.label()))
    }

    /// Tells a message anew: what stands before a call and behind it are messages of their own.
    fn message(&mut self, message: Message) {
        if !message.parts.iter().any(|part| self.is_own_part(part)) {
            self.out.push(message);
            return;
        }
        self.history.edited = true;
        let mut rest = Vec::new();
        for part in message.parts {
            let own = match read(&part) {
                Some((kind, told)) if self.is_own_told(kind, &told) => Some((kind.to_owned(), told)),
                _ => None,
            };
            match own {
                None => rest.push(part),
                Some((kind, told)) => {
                    let before = std::mem::take(&mut rest);
                    self.flush(message.role, before);
                    self.tell(&kind, told);
                }
            }
        }
        self.flush(message.role, rest);
    }

    fn is_own_part(&self, part: &Part) -> bool {
        read(part).is_some_and(|(kind, told)| self.is_own_told(kind, &told))
    }

    fn is_own_told(&self, kind: &str, told: &Told) -> bool {
        match kind {
            "mcp_approval_response" => told
                .approval_request_id
                .as_ref()
                .is_some_and(|id| id.contains(MARK)),
            "mcp_tool_result" => told
                .tool_use_id
                .as_ref()
                .is_some_and(|id| id.contains(MARK) || self.own_uses.contains(id)),
            "mcp_list_tools" | "mcp_call" | "mcp_approval_request" | "mcp_tool_use" => self.owns(told),
            _ => false,
        }
    }

    fn flush(&mut self, role: Role, parts: Vec<Part>) {
        if parts.is_empty() {
            return;
        }
        self.out.push(Message {
            role,
            parts,
            shape: ContentShape::Parts,
            name: None,
            extra: Extra::default(),
        });
    }

    fn tell(&mut self, kind: &str, told: Told) {
        match kind {
            "mcp_list_tools" => self.history.listed.push(told.label().to_owned()),
            "mcp_call" => {
                let id = self.call(&told);
                let failed = told.error.as_ref().is_some_and(|error| !error.is_null());
                let said = if failed { &told.error } else { &told.output };
                self.result(id, &text_of(said.as_ref()), failed);
            }
            "mcp_approval_request" => self.asked(&told),
            "mcp_tool_use" => {
                let id = self.call(&told);
                self.own_uses.push(id);
            }
            "mcp_tool_result" => {
                let id = told.tool_use_id.unwrap_or_default();
                self.result(id, &text_of(told.content.as_ref()), told.is_error == Some(true));
            }
            // What was answered is told with what was asked.
            _ => {}
        }
    }

    /// A call that waited for approval.
    fn asked(&mut self, told: &Told) {
        let request = told.id.clone().unwrap_or_default();
        if self.done.contains(&request) {
            return;
        }
        let answer = self
            .answers
            .iter()
            .find(|(id, _)| *id == request)
            .map(|(_, answer)| answer);
        let (approved, said) = match answer {
            Some(Answer { approve: true, .. }) => (true, "This call has not been made.".to_owned()),
            Some(Answer {
                reason: Some(reason), ..
            }) => (false, format!("The user does not approve this call: {reason}")),
            Some(_) => (false, "The user does not approve this call.".to_owned()),
            None => (false, "The user has not approved this call.".to_owned()),
        };
        let id = self.call(told);
        self.result(id, &said, true);
        if approved {
            self.history.due.push(Due {
                request,
                label: told.label().to_owned(),
                name: told.name.clone().unwrap_or_default(),
                arguments: told.arguments.clone().unwrap_or_default(),
                at: self.out.len() - 1,
            });
        }
    }

    fn call(&mut self, told: &Told) -> String {
        let id = told.id.clone().filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("mcp_{}", self.out.len()));
        let name = told.name.clone().unwrap_or_default();
        let arguments = match (&told.arguments, &told.input) {
            (Some(arguments), _) => arguments.clone(),
            (None, Some(input)) => input.get().to_owned(),
            (None, None) => "{}".to_owned(),
        };
        let call = ToolCall {
            id: id.as_str().into(),
            name: (self.named)(told.label(), &name).into(),
            arguments: arguments.into(),
            kind: ToolCallKind::Function,
            signature: None,
            extra: Extra::default(),
        };
        self.out.push(item(Role::Assistant, PartKind::ToolCall(call)));
        id
    }

    fn result(&mut self, id: String, text: &str, failed: bool) {
        self.out.push(result(id, text, failed));
    }
}

/// The result of a call, as a message.
pub fn result(id: String, text: &str, failed: bool) -> Message {
    let result = ToolResult {
        call_id: id.into(),
        content: vec![Part::text(text.to_owned())],
        shape: ContentShape::Text,
        is_error: failed.then_some(true),
    };
    item(Role::Tool, PartKind::ToolResult(result))
}

/// A message that is nothing but one part.
pub fn item(role: Role, kind: PartKind) -> Message {
    Message {
        role,
        parts: vec![Part::new(kind)],
        // So it is an item of its own where there are items.
        shape: ContentShape::Null,
        name: None,
        extra: Extra::default(),
    }
}

/// Some providers want to know what was called: where a conversation tells of calls and there are no tools, those that were
/// called are there, and none may be called.
pub fn define(request: &mut ChatRequest) {
    if !request.tools.is_empty() {
        return;
    }
    let mut names: Vec<Text> = Vec::new();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        if let PartKind::ToolCall(call) = &part.kind
            && !names.contains(&call.name)
        {
            names.push(call.name.clone());
        }
    }
    if names.is_empty() {
        return;
    }
    let tools = names.into_iter().map(|name| Tool {
        kind: ToolKind::Function {
            name,
            description: None,
            parameters: Json::parse(r#"{"type":"object","properties":{}}"#).ok(),
            strict: None,
            extra: Extra::default(),
        },
        cache_control: None,
        extra: Extra::default(),
    });
    request.tools.extend(tools);
    request.tool_choice = Some(ToolChoice::None);
}

fn read(part: &Part) -> Option<(&str, Told)> {
    let PartKind::Opaque { kind, json, .. } = &part.kind else {
        return None;
    };
    kind.starts_with("mcp_").then_some(())?;
    Some((&**kind, of(json)?))
}

fn of(json: &Json) -> Option<Told> {
    json.read().ok()
}

/// What was said: a text, blocks of text, or whatever it is.
fn text_of(said: Option<&Value>) -> String {
    match said {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        Some(other) => other.to_string(),
    }
}
