//! `tools` and `toolConfig`: read into the form, written from it.

use super::{names, rules, schema};
use crate::form::{Extra, Text, Tool, ToolChoice, ToolKind};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value};
use crate::json::object::fields_of;
use crate::json::write::{List, Object};
use crate::rules::Losses;

const TOOL: [&str; 10] = [
    "functionDeclarations",
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "googleMaps",
    "fileSearch",
    "computerUse",
    "enterpriseWebSearch",
    "mcpServers",
];
const DECLARATION: [&str; 2] = ["parametersJsonSchema", "responseJsonSchema"];
/// Where the number of the entry is kept that a tool came in: an entry may hold many.
const ENTRY: &str = "tools[]";
/// Where the parameters are kept that came in OpenAPI's words.
const OPENAPI: &str = "parameters";

/// Reads `tools`: each function, and each tool of Google's own, is a tool of the form.
pub(super) fn read(value: &Value<'_>) -> Result<Vec<Tool>, DecodeError> {
    let mut tools = Vec::new();
    let mut entry = 0_usize;
    names::list(value, |value| {
        let before = tools.len();
        read_entry(&value, &mut tools)?;
        let note = Extra::noted(format_args!("{ENTRY}{entry}"));
        for tool in &mut tools[before..] {
            tool.extra.set(note.clone(), Json::null());
        }
        entry += 1;
        Ok(())
    })?;
    Ok(tools)
}

fn read_entry(value: &Value<'_>, tools: &mut Vec<Tool>) -> Result<(), DecodeError> {
    let mut fields = names::fields(value, &TOOL)?;
    let functions = fields.take("functionDeclarations", |functions| {
        names::list(&functions, |function| read_function(&function))
    })?;
    let count = functions.as_ref().map(Vec::len);
    tools.extend(functions.unwrap_or_default());
    let rest = fields.rest();
    if rest.is_empty() && count.is_none_or(|count| count == 0) {
        // An entry that says nothing is kept all the same.
        tools.push(opaque(Text::from_static("tool"), value.json()));
    }
    for (name, json) in rest.0 {
        let whole = Json::object(|tool| tool.raw(&name, json.as_str()));
        tools.push(opaque(name, whole));
    }
    Ok(())
}

fn opaque(kind: Text, json: Json) -> Tool {
    Tool {
        kind: ToolKind::Opaque {
            format: Format::GeminiGenerate,
            kind,
            json,
        },
        cache_control: None,
        extra: Extra::default(),
    }
}

fn read_function(value: &Value<'_>) -> Result<Tool, DecodeError> {
    let mut fields = names::fields(value, &DECLARATION)?;
    let name = fields.need("name", names::text)?;
    let description = fields.take("description", names::text)?;
    let schema = fields.take("parametersJsonSchema", |schema| Ok(schema.json()))?;
    let openapi = fields.take("parameters", |schema| Ok(schema.json()))?;
    let mut extra = fields.rest();
    let converted = openapi.as_ref().map(schema::to_json_schema);
    if let Some(openapi) = openapi {
        extra.set(OPENAPI, openapi);
        if schema.is_some() {
            extra.note("parametersJsonSchema");
        }
    }
    Ok(Tool {
        kind: ToolKind::Function {
            name,
            description,
            parameters: schema.or(converted),
            strict: None,
            extra,
        },
        cache_control: None,
        extra: Extra::default(),
    })
}

/// Reads the choice in `toolConfig`; the whole object too, if it says more.
pub(super) fn read_config(
    fields: &mut Fields<'_>,
) -> Result<(Option<ToolChoice>, Option<Json>), DecodeError> {
    let mut whole = None;
    let choice = fields.take("toolConfig", |config| {
        let (choice, exact) = read_choice(&config)?;
        whole = (!exact).then(|| config.json());
        Ok(choice)
    })?;
    Ok((choice.flatten(), whole))
}

/// The choice, and whether it is all that the object says.
fn read_choice(value: &Value<'_>) -> Result<(Option<ToolChoice>, bool), DecodeError> {
    let mut fields = names::fields(value, &["functionCallingConfig"])?;
    let choice = fields.take("functionCallingConfig", |config| {
        let mut fields = names::fields(&config, &["allowedFunctionNames"])?;
        let mode = fields.take("mode", names::text)?.unwrap_or_default();
        let allowed = fields
            .take("allowedFunctionNames", |allowed| {
                names::list(&allowed, names::text)
            })?
            .unwrap_or_default();
        let plain = fields.rest().is_empty();
        Ok(match (mode.to_ascii_uppercase().as_str(), allowed.as_slice()) {
            ("AUTO", []) => (Some(ToolChoice::Auto), plain && mode == "AUTO"),
            ("NONE", []) => (Some(ToolChoice::None), plain && mode == "NONE"),
            ("ANY", []) => (Some(ToolChoice::Required), plain && mode == "ANY"),
            ("ANY", [only]) => (Some(ToolChoice::Function(only.clone())), plain && mode == "ANY"),
            // As the model likes, and valid if it calls: others cannot promise the second.
            ("VALIDATED", []) => (Some(ToolChoice::Auto), false),
            ("" | "MODE_UNSPECIFIED", []) => (None, false),
            _ => {
                let choice = ToolChoice::Opaque {
                    format: Format::GeminiGenerate,
                    json: value.json(),
                };
                (Some(choice), true)
            }
        })
    })?;
    let (choice, exact) = choice.unwrap_or((None, false));
    Ok((choice, exact && fields.rest().is_empty()))
}

/// Writes `tools` as they came.
pub(super) fn write_own(body: &mut Object<'_>, tools: &[Tool]) -> Result<(), EncodeError> {
    let mut refused = None;
    body.list("tools", |list| {
        for entry in tools.chunk_by(same_entry) {
            refused = refused.take().or(write_entry(list, entry).err());
        }
    });
    refused.map_or(Ok(()), Err)
}

fn same_entry(one: &Tool, next: &Tool) -> bool {
    match (entry(one), entry(next)) {
        (Some(one), Some(next)) => one == next,
        // What was added on the way stands with its like.
        _ => is_function(one) && is_function(next),
    }
}

/// The note that says in which entry a tool came.
fn entry(tool: &Tool) -> Option<&Text> {
    let note = tool.extra.notes().find(|(_, what)| what.starts_with(ENTRY));
    note.map(|(name, _)| name)
}

fn is_function(tool: &Tool) -> bool {
    matches!(tool.kind, ToolKind::Function { .. })
}

fn write_entry(list: &mut List<'_>, entry: &[Tool]) -> Result<(), EncodeError> {
    let mut refused = None;
    list.object(|object| {
        if entry.iter().any(is_function) {
            object.list("functionDeclarations", |list| {
                entry
                    .iter()
                    .for_each(|tool| write_function(list, &tool.kind, true));
            });
        }
        for tool in entry {
            match &tool.kind {
                ToolKind::Function { .. } => {}
                ToolKind::Opaque {
                    format: Format::GeminiGenerate,
                    json,
                    ..
                } => {
                    for (name, json) in fields_of(json) {
                        object.raw(&name, json.as_str());
                    }
                }
                ToolKind::Opaque { kind, .. } => {
                    refused.get_or_insert(rules::OPAQUE_TOOL.refuse_at(format!("tools[].type {kind}")));
                }
            }
        }
    });
    refused.map_or(Ok(()), Err)
}

/// Writes the tools of another format: all functions stand in one entry.
pub(super) fn write(body: &mut Object<'_>, tools: &[Tool], losses: &mut Losses) -> Result<(), EncodeError> {
    for (index, tool) in tools.iter().enumerate() {
        match &tool.kind {
            ToolKind::Opaque {
                format: Format::GeminiGenerate,
                ..
            } => {}
            ToolKind::Opaque { kind, .. } => {
                return Err(rules::OPAQUE_TOOL.refuse_at(format!("tools[{index}].type {kind}")));
            }
            ToolKind::Function {
                strict: Some(true), ..
            } => losses.by(&rules::STRICT),
            ToolKind::Function { .. } => {}
        }
        if tool.cache_control.is_some() {
            losses.by(&rules::CACHE_CONTROL);
        }
    }
    let functions = || {
        let kinds = tools.iter().map(|tool| &tool.kind);
        kinds.filter(|kind| matches!(kind, ToolKind::Function { .. }))
    };
    if !tools.is_empty() {
        body.list("tools", |list| {
            if functions().next().is_some() {
                list.object(|entry| {
                    entry.list("functionDeclarations", |list| {
                        functions().for_each(|kind| write_function(list, kind, false));
                    });
                });
            }
            for tool in tools {
                if let ToolKind::Opaque { json, .. } = &tool.kind {
                    list.raw(json.as_str());
                }
            }
        });
    }
    Ok(())
}

fn write_function(list: &mut List<'_>, kind: &ToolKind, own: bool) {
    let ToolKind::Function {
        name,
        description,
        parameters,
        extra,
        ..
    } = kind
    else {
        return;
    };
    list.object(|object| {
        object.string("name", name);
        object.maybe_string("description", description.as_deref());
        let openapi = own && extra.get(OPENAPI).is_some();
        if !openapi || extra.has_note("parametersJsonSchema") {
            object.maybe_json("parametersJsonSchema", parameters.as_ref());
        }
        if own {
            object.extra(extra);
        }
    });
}

/// Writes `toolConfig`.
pub(super) fn write_choice(body: &mut Object<'_>, choice: &ToolChoice) -> Result<(), EncodeError> {
    let (mode, allowed): (&str, &[Text]) = match choice {
        ToolChoice::Auto => ("AUTO", &[]),
        ToolChoice::None => ("NONE", &[]),
        ToolChoice::Required => ("ANY", &[]),
        ToolChoice::Function(name) => ("ANY", std::slice::from_ref(name)),
        ToolChoice::Opaque {
            format: Format::GeminiGenerate,
            json,
        } => {
            body.raw("toolConfig", json.as_str());
            return Ok(());
        }
        ToolChoice::Opaque { .. } => return Err(rules::OPAQUE_CHOICE.refuse()),
    };
    body.object("toolConfig", |config| {
        config.object("functionCallingConfig", |calling| {
            calling.string("mode", mode);
            if !allowed.is_empty() {
                calling.list("allowedFunctionNames", |list| {
                    allowed.iter().for_each(|name| list.string(name));
                });
            }
        });
    });
    Ok(())
}
