//! The tools that a model is shown: those of the servers that its request names, as functions.

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_governance::Principal;
use pointsman_mcp::message::Object;
use pointsman_mcp::model_tools::ModelTools;
use pointsman_routing::Tools;
use pointsman_wire::form::{
    ChatRequest, Extra, Failure, FailureKind, Part, Text, Tool, ToolChoice, ToolKind,
};
use pointsman_wire::hash::fnv1a;
use pointsman_wire::json::Json;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Arrival;
use super::super::arrive::Asked;
use super::super::mcp::{Called, Listed, Shelf};
use super::Tooled;
use super::history::{self, Due};
use super::named::Named;
use super::told::Teller;
use crate::worker::Worker;

/// Tools of a server that are looked at, at most.
const MOST_LISTED: usize = 20_000;
/// Letters of a function's name, at most.
const LONGEST: usize = 64;

/// What a model may call.
pub struct Toolbox<'a> {
    shelves: Vec<(Named, Shelf<'a>)>,
    functions: HashMap<String, Function>,
    /// What the client is told of the lists, before anything else.
    pub told: Vec<Part>,
    /// As the model is shown it.
    pub tools: Vec<Tool>,
    /// What was approved meanwhile.
    pub due: Vec<Due>,
    bounds: ModelTools,
}

/// A function: which tool of which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    shelf: usize,
    reads: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    at: At,
    name: String,
}

/// A tool that a model has called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant<'t> {
    shelf: usize,
    /// What the request calls its server.
    pub label: &'t str,
    /// What it is called there.
    pub name: &'t str,
    /// Whether the call waits for somebody's approval.
    pub waits: bool,
}

impl<'a> Toolbox<'a> {
    /// Lists what the request names.
    ///
    /// # Errors
    /// 400 for more tools than may be shown, and where the caller may reach no servers.
    pub async fn open(
        at: (&'a Arc<Worker>, &'a Arrival),
        caller: Arc<Principal>,
        asked: &Asked,
        tooled: Tooled,
    ) -> Result<Self, Failure> {
        let (bounds, request) = (&at.1.snapshot.mcp.hub.config.model_tools, &asked.request);
        let mut toolbox = Self {
            shelves: Vec::new(),
            functions: HashMap::new(),
            told: Vec::new(),
            tools: Vec::new(),
            due: tooled.due,
            bounds: bounds.clone(),
        };
        let teller = Teller {
            format: request.format,
            id: &at.1.id,
        };
        let mut taken: Vec<&str> = request.tools.iter().filter_map(name_of).collect();
        taken.sort_unstable();
        for named in tooled.named {
            let shelf = Shelf::of(at, Arc::clone(&caller), named.scope.as_deref())?;
            let listed = shelf.list(MOST_LISTED).await;
            let error = listed.as_ref().err().cloned();
            let listed = listed.unwrap_or_default();
            let shown: Vec<&Listed> = listed
                .iter()
                .filter(|tool| named.allowed.has(&tool.name, tool.is_read_only()))
                .filter(|tool| is_shown(asked.shown_tools.as_ref(), &named.label, &tool.name))
                .collect();
            if toolbox.tools.len() + shown.len() > bounds.max_tools {
                return Err(too_many(bounds.max_tools));
            }
            if !tooled.listed.contains(&named.label) {
                let number = u32::try_from(toolbox.shelves.len()).unwrap_or(u32::MAX);
                let told = teller.listed(number, &named.label, &shown, error.as_deref());
                toolbox.told.extend(told);
            }
            for tool in shown {
                toolbox.add(&named.label, tool, &taken);
            }
            toolbox.shelves.push((named, shelf));
        }
        Ok(toolbox)
    }

    fn add(&mut self, label: &str, tool: &Listed, taken: &[&str]) {
        let mut called = called(label, &tool.name);
        if self.functions.contains_key(&called) || taken.binary_search(&called.as_str()).is_ok() {
            called = apart(&called, label, &tool.name);
        }
        let at = At {
            shelf: self.shelves.len(),
            reads: tool.is_read_only(),
        };
        self.tools.push(Tool {
            kind: ToolKind::Function {
                name: called.as_str().into(),
                description: tool.description.as_deref().map(Text::from),
                parameters: parameters(&tool.schema),
                strict: None,
                extra: Extra::default(),
            },
            cache_control: None,
            extra: Extra::default(),
        });
        let name = tool.name.clone();
        self.functions.insert(called, Function { at, name });
    }

    /// The tool that a function stands for; none of the client's own.
    pub fn meant(&self, function: &str) -> Option<Meant<'_>> {
        let Function { at, name } = self.functions.get(function)?;
        let (named, _) = self.shelves.get(at.shelf)?;
        Some(Meant {
            shelf: at.shelf,
            label: &named.label,
            name,
            waits: named.approval.is_needed(name, at.reads),
        })
    }

    /// The tool of a server, by what the request calls that.
    pub fn tool(&self, label: &str, name: &str) -> Option<Meant<'_>> {
        let is_it = |function: &&Function| {
            function.name == name
                && self
                    .shelves
                    .get(function.at.shelf)
                    .is_some_and(|(named, _)| named.label == label)
        };
        let function = self.functions.values().find(is_it)?;
        let (named, _) = self.shelves.get(function.at.shelf)?;
        Some(Meant {
            shelf: function.at.shelf,
            label: &named.label,
            name: &function.name,
            waits: false,
        })
    }

    /// How far it goes.
    pub fn bounds(&self) -> &ModelTools {
        &self.bounds
    }

    /// Calls a tool.
    pub async fn call(&self, id: String, meant: Meant<'_>, arguments: &str) -> Called {
        let arguments = if arguments.trim().is_empty() {
            "{}"
        } else {
            arguments
        };
        let Ok(arguments) = serde_json::from_str::<&RawValue>(arguments) else {
            return Called::refused("the arguments are no JSON");
        };
        let Some((_, shelf)) = self.shelves.get(meant.shelf) else {
            return Called::refused("there is no such tool");
        };
        Box::pin(shelf.call(id, (meant.name, arguments), self.bounds.max_result)).await
    }

    /// The request with functions in the place of servers.
    pub fn shown(&self, request: &ChatRequest) -> ChatRequest {
        let mut request = request.clone();
        // They are counted here.
        request.extra.remove("max_tool_calls");
        request.tools.retain(|tool| !self.is_own(tool));
        request.tools.extend(self.tools.iter().cloned());
        request.tool_choice = request.tool_choice.map(|choice| self.chosen(choice));
        if request.tools.is_empty() {
            request.tool_choice = None;
            request.parallel_tool_calls = None;
            history::define(&mut request);
        }
        request
    }

    /// Whether a tool of the request is a server of the gateway.
    fn is_own(&self, tool: &Tool) -> bool {
        #[derive(Deserialize)]
        struct Label {
            server_label: String,
        }
        let ToolKind::Opaque { kind, json, .. } = &tool.kind else {
            return false;
        };
        &**kind == "mcp"
            && json.read::<Label>().is_ok_and(|told| {
                self.shelves
                    .iter()
                    .any(|(named, _)| named.label == told.server_label)
            })
    }

    /// What must be called, by the name that the model knows.
    fn chosen(&self, choice: ToolChoice) -> ToolChoice {
        #[derive(Deserialize)]
        struct Chosen {
            r#type: String,
            #[serde(default)]
            server_label: String,
            #[serde(default)]
            name: Option<String>,
        }
        let function = |label: Option<&str>, wanted: &str| {
            let mut functions = self.functions.iter();
            let (called, _) = functions.find(|(_, function)| {
                let (named, _) = &self.shelves[function.at.shelf];
                function.name == wanted && label.is_none_or(|label| named.label == label)
            })?;
            Some(ToolChoice::Function(called.as_str().into()))
        };
        match &choice {
            ToolChoice::Opaque {
                format: pointsman_wire::format::Format::OpenAiResponses,
                json,
            } => match json.read::<Chosen>() {
                Ok(chosen) if chosen.r#type == "mcp" => match &chosen.name {
                    Some(name) => function(Some(&chosen.server_label), name).unwrap_or(choice),
                    None => ToolChoice::Required,
                },
                _ => choice,
            },
            ToolChoice::Function(name) => function(None, name).unwrap_or(choice),
            _ => choice,
        }
    }
}

/// The schema of a tool's arguments. Some providers refuse one that does not say which there are.
fn parameters(schema: &RawValue) -> Option<Json> {
    let mut schema = Object::parse(schema.get()).ok()?;
    if schema.get("properties").is_none() {
        schema.set("properties", &Object::default());
    }
    Json::parse(schema.raw().get().to_owned()).ok()
}

/// Whether the decision lets the model see a tool: by what its server calls it, or by what the model would.
fn is_shown(tools: Option<&Tools>, label: &str, name: &str) -> bool {
    let Some(tools) = tools else { return true };
    let called = called(label, name);
    let is_in = |list: &[String]| list.iter().any(|one| one == name || *one == called);
    !tools.none && !is_in(&tools.blocked) && (tools.allowed.is_empty() || is_in(&tools.allowed))
}

fn name_of(tool: &Tool) -> Option<&str> {
    match &tool.kind {
        ToolKind::Function { name, .. } => Some(name),
        ToolKind::Opaque { .. } => None,
    }
}

fn too_many(most: usize) -> Failure {
    let message = format!(
        "the servers that are named have more than {most} tools (`mcp.model_tools.max_tools`); name those that are wanted (`allowed_tools`), or a server that searches (`search: true`)"
    );
    Failure::new(FailureKind::InvalidRequest, message).at("tools")
}

/// What a model calls a tool of a server: letters, digits, `_` and `-`, as every provider takes them.
pub fn called(label: &str, name: &str) -> String {
    let plain: String = format!("{label}_{name}")
        .chars()
        .map(|letter| match letter {
            '_' | '-' => letter,
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => '_',
        })
        .collect();
    let is_same = plain == format!("{label}_{name}") && plain.len() <= LONGEST;
    if is_same && plain.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        plain
    } else {
        apart(&plain, label, name)
    }
}

/// The same, told apart from all others.
fn apart(plain: &str, label: &str, name: &str) -> String {
    let hash = fnv1a(label.bytes().chain([0]).chain(name.bytes()));
    let start: String = plain.chars().take(LONGEST - 11).collect();
    format!("t_{start}_{:08x}", hash & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_provider_takes() {
        assert_eq!(called("files", "read-file"), "files_read-file");
        for (label, name) in [("7zip", "list"), ("a", "b.c/d"), ("label", &"long".repeat(40))] {
            let called = called(label, name);
            assert!(called.len() <= LONGEST, "{called}");
            assert!(
                called.starts_with(|first: char| first.is_ascii_alphabetic()),
                "{called}"
            );
            assert!(
                called
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter)),
                "{called}"
            );
        }
        assert_ne!(called("a", "b.c"), called("a", "b/c"));
    }

    #[test]
    fn what_a_decision_hides_no_model_is_shown() {
        let named = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (none, allowed, blocked, expected) in [
            (false, named(&[]), named(&[]), true),
            (true, named(&[]), named(&[]), false),
            (false, named(&["look"]), named(&[]), true),
            (false, named(&["files_look"]), named(&[]), true),
            (false, named(&["other"]), named(&[]), false),
            (false, named(&[]), named(&["files_look"]), false),
            (false, named(&["look"]), named(&["look"]), false),
        ] {
            let tools = Tools {
                none,
                allowed,
                blocked,
                without_history: false,
            };
            assert_eq!(is_shown(Some(&tools), "files", "look"), expected, "{tools:?}");
        }
        assert!(is_shown(None, "files", "look"));
    }
}
