//! The search that providers run themselves, told in each other's words.
//!
//! A hosted tool belongs to its provider. Only a search of the web is offered by several under terms that are alike:
//! it becomes the search of the provider that is asked, as far as nothing that the client demands of it is lost. What
//! is merely a hint goes, and is told; a search that must keep to certain sites goes nowhere that cannot be told so.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::form::{ChatRequest, Text, Tool, ToolChoice, ToolKind};
use crate::format::{Format, Loss};
use crate::json::Json;
use crate::rules::Rule;

/// Anthropic's search; also the name that it is chosen by.
const ANTHROPIC: (&str, &str) = ("web_search_20250305", "web_search");

/// A search becomes another provider's.
pub static SEARCH: Rule = Rule::nearest(
    "tools[].type web_search",
    "the search of OpenAI's responses, of Anthropic or of Gemini becomes that of the provider that is asked, if it can be kept to the same sites; each provider bills its own",
);
/// What only one search takes.
pub static HINT: Rule = Rule::left_out(
    "tools[].type web_search: hints",
    "how often to search and how much to bring has no counterpart in the target's search",
);
/// A search that must not leave OpenAI's index.
pub static OFFLINE: Rule = Rule::left_out(
    "tools[].external_web_access",
    "a search without access to the web is OpenAI's own: the model answers without it",
);

/// What is demanded of a search.
#[derive(Default)]
struct Search {
    allowed: Vec<Value>,
    blocked: Vec<Value>,
    place: Option<Value>,
    offline: bool,
    hints: bool,
}

/// The request with searches as a provider of `target` has them; what it has not is left as it is, to be refused.
#[must_use]
pub fn adapted<'r>(
    request: Cow<'r, ChatRequest>,
    target: Format,
    losses: &mut Vec<Loss>,
) -> Cow<'r, ChatRequest> {
    let foreign = |tool: &Tool| matches!(&tool.kind, ToolKind::Opaque { format, .. } if *format != target);
    if !request.tools.iter().any(foreign) {
        return request;
    }
    let functions = request
        .tools
        .iter()
        .any(|tool| matches!(tool.kind, ToolKind::Function { .. }));
    let mut told: Vec<&'static Rule> = Vec::new();
    let mut found = false;
    let tools = request.tools.iter().filter_map(|tool| {
        let Some(search) = read(tool) else {
            return Some(tool.clone());
        };
        if search.offline && target != Format::OpenAiResponses {
            told.push(&OFFLINE);
            return None;
        }
        // Before its third generation Gemini searches or calls functions, not both.
        let written = (target != Format::GeminiGenerate || !functions).then(|| write(&search, target));
        let Some(kind) = written.flatten() else {
            return Some(tool.clone());
        };
        found = true;
        told.push(&SEARCH);
        told.extend(search.hints.then_some(&HINT));
        Some(Tool {
            kind,
            cache_control: tool.cache_control.clone(),
            extra: crate::form::Extra::default(),
        })
    });
    let tools: Vec<Tool> = tools.collect();
    told.dedup();
    losses.extend(told.into_iter().map(Loss::by));
    let mut request = request.into_owned();
    request.tools = tools;
    if found {
        request.tool_choice = request.tool_choice.map(|choice| chosen(choice, target));
    }
    Cow::Owned(request)
}

/// What a tool demands, if it is a search.
fn read(tool: &Tool) -> Option<Search> {
    let ToolKind::Opaque { format, kind, json } = &tool.kind else {
        return None;
    };
    let fields: Map<String, Value> = json.read().ok()?;
    match format {
        Format::OpenAiResponses if kind.starts_with("web_search") => Some(of_openai(fields)),
        Format::AnthropicMessages if kind.starts_with("web_search_") => Some(of_anthropic(fields)),
        Format::GeminiGenerate if kind == "googleSearch" => of_google(&fields),
        _ => None,
    }
}

fn sites(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(sites)) => sites,
        _ => Vec::new(),
    }
}

fn of_openai(mut fields: Map<String, Value>) -> Search {
    let mut filters = match fields.remove("filters") {
        Some(Value::Object(filters)) => filters,
        _ => Map::new(),
    };
    let live = fields.remove("external_web_access");
    fields.remove("type");
    let place = fields.remove("user_location").filter(Value::is_object);
    Search {
        allowed: sites(filters.remove("allowed_domains")),
        blocked: sites(filters.remove("blocked_domains")),
        place,
        offline: live == Some(Value::Bool(false)),
        hints: fields.values().any(|value| !value.is_null()),
    }
}

fn of_anthropic(mut fields: Map<String, Value>) -> Search {
    let place = fields.remove("user_location").filter(Value::is_object);
    let (allowed, blocked) = (fields.remove("allowed_domains"), fields.remove("blocked_domains"));
    for name in ["type", "name", "cache_control"] {
        fields.remove(name);
    }
    Search {
        allowed: sites(allowed),
        blocked: sites(blocked),
        place,
        offline: false,
        hints: fields.values().any(|value| !value.is_null()),
    }
}

/// Google's search as anybody can have it; one that is told more is its own.
fn of_google(fields: &Map<String, Value>) -> Option<Search> {
    let told = fields.values().next()?.as_object()?;
    told.is_empty().then(Search::default)
}

/// The search of a provider of `target`; none if it has none that can be kept to what is demanded.
fn write(search: &Search, target: Format) -> Option<ToolKind> {
    let free = search.allowed.is_empty() && search.blocked.is_empty();
    let mut tool = Map::new();
    let kind = match target {
        Format::AnthropicMessages => {
            let (kind, name) = ANTHROPIC;
            tool.insert("type".to_owned(), json!(kind));
            tool.insert("name".to_owned(), json!(name));
            for (field, sites) in [
                ("allowed_domains", &search.allowed),
                ("blocked_domains", &search.blocked),
            ] {
                if !sites.is_empty() {
                    tool.insert(field.to_owned(), json!(sites));
                }
            }
            kind
        }
        Format::OpenAiResponses if search.blocked.is_empty() => {
            tool.insert("type".to_owned(), json!("web_search"));
            if !search.allowed.is_empty() {
                tool.insert("filters".to_owned(), json!({"allowed_domains": search.allowed}));
            }
            "web_search"
        }
        Format::GeminiGenerate if free => {
            tool.insert("googleSearch".to_owned(), json!({}));
            "googleSearch"
        }
        _ => return None,
    };
    if let Some(place) = search.place.as_ref().filter(|_| target != Format::GeminiGenerate) {
        tool.insert("user_location".to_owned(), place.clone());
    }
    Some(ToolKind::Opaque {
        format: target,
        kind: Text::from_static(kind),
        json: Json::of(&tool).ok()?,
    })
}

/// The choice of a search, as a provider of `target` says it.
fn chosen(choice: ToolChoice, target: Format) -> ToolChoice {
    let names_search = match &choice {
        ToolChoice::Function(name) => name == ANTHROPIC.1,
        ToolChoice::Opaque {
            format: Format::OpenAiResponses,
            json,
        } => json.read::<Map<String, Value>>().is_ok_and(|choice| {
            choice
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.starts_with("web_search"))
        }),
        _ => false,
    };
    match target {
        Format::AnthropicMessages if names_search => ToolChoice::Function(Text::from_static(ANTHROPIC.1)),
        Format::OpenAiResponses if names_search => match Json::of(&json!({"type": "web_search"})) {
            Ok(json) => ToolChoice::Opaque { format: target, json },
            Err(_) => choice,
        },
        // There is nothing else to choose from, and no way to demand it.
        Format::GeminiGenerate if names_search => ToolChoice::Auto,
        _ => choice,
    }
}
