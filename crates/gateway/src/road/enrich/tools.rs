//! Tools by what they are for (`tool_selection`, and `tools` with `semantic_selection`): those of the request that are like
//! what the user says stay, or those of a list come.

use std::sync::Arc;
use std::time::Duration;

use pointsman_routing::{ListedTool, ToolChoice, WeighedTool};
use pointsman_understanding::SHIPPED;
use pointsman_wire::form::{ChatRequest, Extra, Text, Tool, ToolChoice as Chosen, ToolKind};
use pointsman_wire::json::Json;
use pointsman_wire::text;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::super::arrive::Asked;
use super::super::understand::Remote;
use super::super::{Arrival, Ticket};
use crate::worker::Worker;

/// How long it may take until all are understood; after that they stay as they are.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tools of a request that are looked at; with more, they stay as they are.
const MOST: usize = 256;
/// Bytes of a description that are read.
const LONGEST: usize = 2_000;

/// Chooses.
pub async fn choose(
    at: (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    ticket: &mut Ticket,
    choice: &ToolChoice,
) {
    let said = text::user_text(&asked.request).into_owned();
    if said.trim().is_empty() {
        return;
    }
    match &choice.listed {
        None => stay(at, asked, ticket, (choice, &said)).await,
        Some(listed) => come(at, asked, ticket, (choice, listed, &said)).await,
    }
}

/// Those of the request that are not chosen go. What only its own format knows stays, and so does what must be called.
async fn stay(
    at: (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    ticket: &mut Ticket,
    (choice, said): (&ToolChoice, &str),
) {
    let described: Vec<(usize, String, String)> = described(&asked.request);
    if described.is_empty() || described.len() > MOST {
        return;
    }
    let texts = described.iter().map(|(_, _, text)| text.as_str());
    let Some(likenesses) = likenesses(at, ticket, said, texts).await else {
        return;
    };
    let weighed: Vec<WeighedTool<'_>> = described
        .iter()
        .zip(likenesses)
        .map(|((_, name, text), likeness)| WeighedTool {
            name,
            description: text,
            category: "",
            tags: &[],
            likeness: Some(likeness),
        })
        .collect();
    let chosen = choice.choose(said, &weighed);
    if chosen.is_empty() && !choice.or_none {
        return;
    }
    let gone: Vec<usize> = described
        .iter()
        .enumerate()
        .filter(|(number, (_, name, _))| !chosen.contains(number) && !is_demanded(&asked.request, name))
        .map(|(_, (place, ..))| *place)
        .collect();
    if gone.is_empty() {
        return;
    }
    let request = &mut asked.request;
    let mut place = 0;
    request.tools.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
    if request.tools.is_empty() {
        request.tool_choice = None;
        request.parallel_tool_calls = None;
    }
    asked.edited = true;
}

/// Those of the list that are chosen come, behind those of the request; none whose name is there already.
async fn come(
    at: (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    ticket: &mut Ticket,
    (choice, listed, said): (&ToolChoice, &[ListedTool], &str),
) {
    let texts = listed.iter().map(|tool| tool.description.as_str());
    let Some(likenesses) = likenesses(at, ticket, said, texts).await else {
        return;
    };
    let weighed: Vec<WeighedTool<'_>> = listed
        .iter()
        .zip(likenesses)
        .map(|(tool, likeness)| WeighedTool {
            name: &tool.name,
            description: &tool.description,
            category: &tool.category,
            tags: &tool.tags,
            likeness: Some(likeness),
        })
        .collect();
    let chosen = choice.choose(said, &weighed);
    if chosen.is_empty() && choice.or_none && !asked.request.tools.is_empty() {
        asked.request.tools.clear();
        asked.request.tool_choice = None;
        asked.request.parallel_tool_calls = None;
        asked.edited = true;
        return;
    }
    for index in chosen {
        let tool = &listed[index];
        let known = asked
            .request
            .tools
            .iter()
            .any(|known| name_of(known) == Some(tool.name.as_str()));
        if let (false, Some(added)) = (known, function(tool)) {
            asked.request.tools.push(added);
            asked.edited = true;
        }
    }
}

/// Number, name and description of each function.
fn described(request: &ChatRequest) -> Vec<(usize, String, String)> {
    let tools = request.tools.iter().enumerate();
    tools
        .filter_map(|(place, tool)| match &tool.kind {
            ToolKind::Function {
                name, description, ..
            } => {
                let words = name.replace(['_', '-', '.'], " ");
                let text = match description {
                    Some(description) => format!("{words}: {description}"),
                    None => words,
                };
                Some((place, name.to_string(), cut(&text)))
            }
            ToolKind::Opaque { .. } => None,
        })
        .collect()
}

fn cut(text: &str) -> String {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn name_of(tool: &Tool) -> Option<&str> {
    match &tool.kind {
        ToolKind::Function { name, .. } => Some(&**name),
        ToolKind::Opaque { .. } => None,
    }
}

/// Whether the model must call it.
fn is_demanded(request: &ChatRequest, name: &str) -> bool {
    matches!(&request.tool_choice, Some(Chosen::Function(wanted)) if &**wanted == name)
}

/// How like each text is to what the user says; none where that could not be understood in time.
async fn likenesses<'t>(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    ticket: &mut Ticket,
    said: &'t str,
    texts: impl Iterator<Item = &'t str>,
) -> Option<Vec<f32>> {
    let all: Vec<Arc<str>> = std::iter::once(said).chain(texts).map(Arc::from).collect();
    let count = all.len();
    let lent = Mutex::new(&mut *ticket);
    let remote = Remote::new(worker, arrival, &lent);
    let embed = arrival
        .snapshot
        .understanding
        .embed(SHIPPED.name, all, None, &remote);
    let vectors = match tokio::time::timeout(PATIENCE, embed).await {
        Ok(Ok(read)) if read.vectors.len() == count => read.vectors,
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => {
            tracing::warn!(%error, "tools could not be chosen by what they are for: they stay as they are");
            return None;
        }
        Err(_) => {
            tracing::warn!("tools could not be chosen in time by what they are for: they stay as they are");
            return None;
        }
    };
    let (said, tools) = vectors.split_first()?;
    let cosine = |tool: &Vec<f32>| {
        said.iter()
            .zip(tool)
            .map(|(left, right)| left * right)
            .sum::<f32>()
    };
    Some(tools.iter().map(cosine).collect())
}

/// A tool of a list, as requests have them.
fn function(listed: &ListedTool) -> Option<Tool> {
    #[derive(Deserialize)]
    struct Function {
        name: String,
        #[serde(default)]
        description: Option<String>,
        #[serde(default)]
        parameters: Option<Box<RawValue>>,
        #[serde(default)]
        strict: Option<bool>,
    }
    let function: Function = serde_json::from_str(&listed.function).ok()?;
    let parameters = function
        .parameters
        .map(|schema| Json::parse(schema.get().to_owned()));
    Some(Tool {
        kind: ToolKind::Function {
            name: function.name.into(),
            description: function.description.map(Text::from),
            parameters: parameters.transpose().ok()?,
            strict: function.strict,
            extra: Extra::default(),
        },
        cache_control: None,
        extra: Extra::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_tool_becomes_one_of_the_request() {
        let listed = ListedTool {
            name: "look".to_owned(),
            description: "Looks".to_owned(),
            category: String::new(),
            tags: Vec::new(),
            function: r#"{"name": "look", "description": "Looks", "parameters": {"type": "object"}}"#
                .to_owned(),
        };
        let tool = function(&listed).unwrap();
        let ToolKind::Function { name, parameters, .. } = &tool.kind else {
            panic!("{tool:?}");
        };
        assert_eq!(
            (&**name, parameters.as_ref().unwrap().as_str()),
            ("look", r#"{"type": "object"}"#)
        );
    }
}
