//! Marks on what of a request stays the same from turn to turn, for providers that cache the beginning of a prompt where they
//! are told to.
//!
//! A provider caches everything in front of a mark: tools come first, then instructions, then messages. It takes four marks,
//! and ignores one with too little in front of it.

use crate::form::{CacheControl, ChatRequest, Extra, Message, Part, PartKind, Role, Text, Tool, ToolKind};
use crate::{hash, text, tokens};

/// Marks of a request, at most.
pub const MOST: usize = 4;

/// The least tokens that anybody caches.
const LEAST: u64 = 1_024;

/// What is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Tools.
    pub tools: bool,
    /// Instructions.
    pub instructions: bool,
    /// What was said before the user's last turn.
    pub history: bool,
    /// How long it is kept; as long as is usual when absent.
    pub ttl: Option<&'a str>,
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// The least tokens in front of a mark.
    pub least: u64,
    /// Whether tools can be marked.
    pub tools: bool,
    /// Whether anything but texts can be.
    pub parts: bool,
}

/// Marks a request, unless its client has marked anything of it. Says how many marks were set.
pub fn mark(request: &mut ChatRequest, wish: &Wish<'_>, takes: Takes) -> usize {
    if is_marked(request) {
        return 0;
    }
    let control = CacheControl {
        kind: Text::from_static("ephemeral"),
        ttl: wish.ttl.map(|ttl| Text::from(ttl.to_owned())),
        extra: Extra::default(),
    };
    let mut set = 0;
    let mut before = tools_of(request);
    if wish.tools && takes.tools && before >= takes.least {
        let mut functions = request.tools.iter_mut().rev();
        let last = functions.find(|tool| matches!(tool.kind, ToolKind::Function { .. }));
        if let Some(tool) = last {
            tool.cache_control = Some(control.clone());
            set += 1;
        }
    }
    let leading = request.messages.iter().take_while(|message| instructs(message));
    let leading = leading.count();
    before += request.messages[..leading].iter().map(size).sum::<u64>();
    if wish.instructions
        && before >= takes.least
        && put(&mut request.messages[..leading], takes, &control).is_some()
    {
        set += 1;
    }
    if wish.history {
        set += mark_history(request, leading, takes, &control);
    }
    debug_assert!(set <= MOST);
    set
}

/// Marks the end of what was said before the user's last turn, and, where the provider was told the same then, the end of
/// what was said before the turn in front of it: that is where it has cached the last time.
fn mark_history(request: &mut ChatRequest, leading: usize, takes: Takes, control: &CacheControl) -> usize {
    let said = &mut request.messages[leading..];
    let answers: Vec<usize> = (0..said.len())
        .filter(|at| said[*at].role == Role::Assistant)
        .filter(|at| *at + 1 < said.len())
        .collect();
    let mut set = 0;
    for end in answers.into_iter().rev() {
        let length: u64 = said[..=end].iter().map(size).sum();
        // A mark costs something: what is short is not worth it.
        if length < takes.least || set == 2 {
            break;
        }
        if put(&mut said[end..=end], takes, control).is_some() {
            set += 1;
        }
    }
    set
}

/// Marks the last part that can be.
fn put(messages: &mut [Message], takes: Takes, control: &CacheControl) -> Option<()> {
    let parts = messages.iter_mut().flat_map(|message| &mut message.parts);
    let last = parts.rev().find(|part| takes_mark(part, takes))?;
    last.cache_control = Some(control.clone());
    Some(())
}

/// Providers refuse marks on reasoning and on nothing at all; what only one format knows is written as it came.
fn takes_mark(part: &Part, takes: Takes) -> bool {
    match &part.kind {
        PartKind::Text(text) => !text.text.trim().is_empty(),
        PartKind::ToolCall(_) | PartKind::ToolResult(_) | PartKind::Image(_) | PartKind::Document(_) => {
            takes.parts
        }
        _ => false,
    }
}

fn instructs(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// Whether the client has marked anything, also where its own format alone knows what.
fn is_marked(request: &ChatRequest) -> bool {
    let says = |json: &str| json.contains("\"cache_control\"") || json.contains("\"cachePoint\"");
    let opaque = |part: &Part| matches!(&part.kind, PartKind::Opaque { json, .. } if says(json.as_str()));
    let tool = |tool: &Tool| matches!(&tool.kind, ToolKind::Opaque { json, .. } if says(json.as_str()));
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    request.marks_cache() || request.tools.iter().any(tool) || parts.any(opaque)
}

/// About how many tokens a message has.
fn size(message: &Message) -> u64 {
    tokens::estimate(&text::message_text(message))
}

/// About how many tokens all tools have.
fn tools_of(request: &ChatRequest) -> u64 {
    let size = |tool: &Tool| match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            ..
        } => {
            let told = description.as_deref().map_or(0, tokens::estimate);
            let schema = parameters
                .as_ref()
                .map_or(0, |schema| tokens::estimate(schema.as_str()));
            tokens::estimate(name) + told + schema
        }
        ToolKind::Opaque { json, .. } => tokens::estimate(json.as_str()),
    };
    request.tools.iter().map(size).sum()
}

/// What a provider may go by that caches by itself and sends requests of the same key to the same machine: the same tools
/// and instructions have the same. None where they are too short to be cached.
#[must_use]
pub fn key(request: &ChatRequest) -> Option<u64> {
    let leading = request.messages.iter().take_while(|message| instructs(message));
    let leading: Vec<&Message> = leading.collect();
    let length = tools_of(request) + leading.iter().copied().map(size).sum::<u64>();
    if length < LEAST {
        return None;
    }
    let mut all = String::new();
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function {
                name,
                description,
                parameters,
                ..
            } => {
                all.push_str(name);
                all.push('\n');
                all.push_str(description.as_deref().unwrap_or_default());
                all.push('\n');
                all.push_str(parameters.as_ref().map_or("", |schema| schema.as_str()));
            }
            ToolKind::Opaque { json, .. } => all.push_str(json.as_str()),
        }
        all.push('\0');
    }
    for message in leading {
        all.push_str(&text::message_text(message));
        all.push('\0');
    }
    Some(hash::fnv1a(all.bytes()))
}
