//! Namespaces of functions, for formats that have none: a function is told with its namespace in front of its name, and
//! what the model calls by that name is told apart again.

use std::borrow::Cow;

use serde::Deserialize;

use crate::form::{ChatRequest, Extra, PartKind, Text, Tool, ToolKind};
use crate::format::{Format, Loss};
use crate::json::Json;
use crate::rules::Rule;

/// Namespaces go into names.
pub static NAMESPACE: Rule = Rule::nearest(
    "tools[].type namespace",
    "functions of a namespace are told with its name in front of theirs, and calls are told apart again; what it says of itself is left out",
);

/// Where a call says of which namespace it is.
pub const FIELD: &str = "namespace";
/// Most letters of a name that every provider takes.
const MAX_NAME: usize = 64;

#[derive(Deserialize)]
struct Namespace {
    name: String,
    #[serde(default)]
    tools: Vec<Json>,
}

#[derive(Deserialize)]
struct Function {
    r#type: String,
    name: String,
    description: Option<String>,
    parameters: Option<Json>,
    strict: Option<bool>,
}

/// The names of functions that stand in namespaces.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<(Text, Text, Text)>);

impl Names {
    /// Those of a request.
    #[must_use]
    pub fn of(request: &ChatRequest) -> Self {
        let mut names = Vec::new();
        for namespace in request.tools.iter().filter_map(read) {
            for function in functions(&namespace) {
                let flat = flat(&namespace.name, &function.name);
                names.push((
                    flat,
                    namespace.name.as_str().into(),
                    function.name.as_str().into(),
                ));
            }
        }
        Self(names)
    }

    /// The namespace and the name that the client knows a function by; none if it stands in no namespace.
    #[must_use]
    pub fn apart(&self, name: &str) -> Option<(&Text, &Text)> {
        let known = self.0.iter().find(|(flat, ..)| flat == name);
        known.map(|(_, namespace, name)| (namespace, name))
    }
}

/// The request without namespaces, for a provider of another format.
#[must_use]
pub fn flattened<'r>(
    request: Cow<'r, ChatRequest>,
    target: Format,
    losses: &mut Vec<Loss>,
) -> Cow<'r, ChatRequest> {
    let calls = |request: &ChatRequest| {
        let mut parts = request.messages.iter().flat_map(|message| &message.parts);
        parts.any(|part| part.extra.get(FIELD).is_some())
    };
    let is_own = target == Format::OpenAiResponses || request.format != Format::OpenAiResponses;
    if is_own || !(request.tools.iter().any(|tool| read(tool).is_some()) || calls(&request)) {
        return request;
    }
    losses.push(Loss::by(&NAMESPACE));
    let mut request = request.into_owned();
    let tools = std::mem::take(&mut request.tools);
    for tool in tools {
        match read(&tool) {
            Some(namespace) => request.tools.extend(spread(&namespace)),
            None => request.tools.push(tool),
        }
    }
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        let namespace = part.extra.get(FIELD).and_then(|name| name.read::<String>().ok());
        if let (PartKind::ToolCall(call), Some(namespace)) = (&mut part.kind, namespace) {
            call.name = flat(&namespace, &call.name);
            part.extra.remove(FIELD);
        }
    }
    Cow::Owned(request)
}

fn read(tool: &Tool) -> Option<Namespace> {
    match &tool.kind {
        ToolKind::Opaque {
            format: Format::OpenAiResponses,
            kind,
            json,
        } if kind == FIELD => json.read().ok(),
        _ => None,
    }
}

fn functions(namespace: &Namespace) -> impl Iterator<Item = Function> {
    let tools = namespace.tools.iter();
    tools
        .filter_map(|tool| tool.read::<Function>().ok())
        .filter(|tool| tool.r#type == "function")
}

/// The tools of a namespace; what is no function is left as it is, to be refused.
fn spread(namespace: &Namespace) -> Vec<Tool> {
    let tool = |json: &Json| {
        let kind = match json.read::<Function>() {
            Ok(function) if function.r#type == "function" => ToolKind::Function {
                name: flat(&namespace.name, &function.name),
                description: function.description.map(Text::from),
                parameters: function.parameters,
                strict: function.strict,
                extra: Extra::default(),
            },
            _ => ToolKind::Opaque {
                format: Format::OpenAiResponses,
                kind: Text::from_static("in a namespace"),
                json: json.clone(),
            },
        };
        Tool {
            kind,
            cache_control: None,
            extra: Extra::default(),
        }
    };
    namespace.tools.iter().map(tool).collect()
}

/// One name for both. Too long a one is cut, and stays its own by a number made from all of it.
fn flat(namespace: &str, name: &str) -> Text {
    let between = if namespace.ends_with('_') { "" } else { "__" };
    let whole = format!("{namespace}{between}{name}");
    let fit: String = whole
        .chars()
        .map(|letter| {
            let takes = letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
            if takes { letter } else { '_' }
        })
        .collect();
    if fit == whole && fit.len() <= MAX_NAME {
        return fit.into();
    }
    let number = format!("_{:016x}", crate::hash::fnv1a(whole.bytes()));
    let kept = fit.get(..MAX_NAME - number.len()).unwrap_or(&fit);
    format!("{kept}{number}").into()
}
