//! `toolConfig`: what the model may call, and whether it must.

use super::write::Pen;
use super::{kept, names, rules};
use crate::form::{ChatRequest, Extra, PartKind, Text, Tool, ToolChoice, ToolKind};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::fields::{Fields, Value};
use crate::json::write::{List, Object};

/// The schema of a tool that takes anything.
const ANYTHING: &str = r#"{"type":"object","properties":{}}"#;

/// Reads `toolConfig`.
pub fn read(
    fields: &mut Fields<'_>,
    extra: &mut Extra,
) -> Result<(Vec<Tool>, Option<ToolChoice>), DecodeError> {
    let config = fields.take("toolConfig", |config| {
        let mut fields = config.fields()?;
        let empty = fields.peek("tools");
        let tools = fields
            .take("tools", |tools| read_tools(&tools))?
            .unwrap_or_default();
        let choice = fields.take("toolChoice", |choice| read_choice(&choice))?;
        let mut left = fields.rest();
        if let Some(empty) = empty.filter(|_| tools.is_empty()) {
            left.set("tools", empty);
        }
        kept::keep_extra(extra, "toolConfig", &left, !tools.is_empty());
        Ok((tools, choice))
    })?;
    Ok(config.unwrap_or_default())
}

fn read_tools(value: &Value<'_>) -> Result<Vec<Tool>, DecodeError> {
    let mut tools: Vec<Tool> = Vec::new();
    value.list(|tool| {
        match (super::blocks::read_cache_point(&tool)?, tools.last_mut()) {
            (Some(point), Some(last)) if last.cache_control.is_none() => last.cache_control = Some(point),
            _ => tools.push(read_tool(&tool)?),
        }
        Ok(())
    })?;
    Ok(tools)
}

fn read_tool(value: &Value<'_>) -> Result<Tool, DecodeError> {
    let mut fields = value.fields()?;
    let function = fields.take("toolSpec", |spec| {
        let mut spec = spec.fields()?;
        let mut left = Extra::default();
        let schema = spec.need("inputSchema", |schema| {
            let mut schema = schema.fields()?;
            let json = schema.take("json", |json| Ok(json.json()))?;
            kept::keep(&mut left, "inputSchema", schema, true);
            Ok(json)
        })?;
        let name = spec.need("name", |name| name.string())?;
        let description = spec.take("description", |text| text.string())?;
        let strict = spec.take("strict", |strict| strict.boolean())?;
        left.0.extend(spec.rest().0);
        Ok(schema.map(|schema| ToolKind::Function {
            name,
            description,
            parameters: Some(schema),
            strict,
            extra: left,
        }))
    })?;
    let left = fields.rest();
    if let Some(kind) = function.flatten() {
        return Ok(Tool {
            kind,
            cache_control: None,
            extra: left,
        });
    }
    let kind = left.0.into_iter().next().map(|(name, _)| name);
    Ok(Tool {
        kind: ToolKind::Opaque {
            format: Format::BedrockConverse,
            kind: kind.unwrap_or_else(|| Text::from_static("toolSpec")),
            json: value.json(),
        },
        cache_control: None,
        extra: Extra::default(),
    })
}

fn read_choice(value: &Value<'_>) -> Result<ToolChoice, DecodeError> {
    let opaque = || ToolChoice::Opaque {
        format: Format::BedrockConverse,
        json: value.json(),
    };
    let mut fields = value.fields()?;
    let mut empty = |name: &str| fields.take(name, |choice| Ok(choice.fields()?.rest().is_empty()));
    let (auto, any) = (empty("auto")?, empty("any")?);
    let tool = fields.take("tool", |tool| {
        let mut tool = tool.fields()?;
        let name = tool.need("name", |name| name.string())?;
        Ok(tool.rest().is_empty().then_some(name))
    })?;
    if !fields.rest().is_empty() {
        return Ok(opaque());
    }
    Ok(match (auto, any, tool) {
        (Some(true), None, None) => ToolChoice::Auto,
        (None, Some(true), None) => ToolChoice::Required,
        (None, None, Some(Some(name))) => ToolChoice::Function(name),
        _ => opaque(),
    })
}

/// Writes `toolConfig`. Bedrock demands it wherever the conversation holds calls or results of tools.
pub fn write(body: &mut Object<'_>, request: &ChatRequest, pen: &mut Pen<'_>) -> Result<(), EncodeError> {
    let kept = if pen.own {
        request.extra.get("toolConfig").map(kept::fields_of)
    } else {
        None
    };
    let used = if pen.own { Vec::new() } else { used_tools(request) };
    let forbidden = !pen.own && matches!(request.tool_choice, Some(ToolChoice::None));
    let leave_out = forbidden && used.is_empty();
    if forbidden && !request.tools.is_empty() {
        pen.losses.by(&rules::CHOICE_NONE);
    }
    let has_tools = !request.tools.is_empty() && !leave_out;
    if request.parallel_tool_calls == Some(false) && has_tools {
        pen.losses.by(&rules::PARALLEL);
    }
    if !has_tools && used.is_empty() && kept.is_none() && !(pen.own && request.tool_choice.is_some()) {
        return Ok(());
    }
    let mut refused = None;
    body.object("toolConfig", |config| {
        if has_tools {
            config.list("tools", |list| refused = write_tools(list, request, pen).err());
        } else if !used.is_empty() {
            pen.losses.by(&rules::TOOLS_USED);
            config.list("tools", |list| used.iter().for_each(|name| declare(list, name)));
        }
        if refused.is_none() && (has_tools || pen.own) {
            refused = write_choice(config, request, pen).err();
        }
        if let Some(kept) = &kept {
            kept::write(config, kept, &[]);
        }
    });
    refused.map_or(Ok(()), Err)
}

/// The names of the tools that the conversation has used, each once.
fn used_tools(request: &ChatRequest) -> Vec<Text> {
    let mut used: Vec<Text> = Vec::new();
    let mut results = false;
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        match &part.kind {
            PartKind::ToolCall(call) if !used.contains(&call.name) => used.push(call.name.clone()),
            PartKind::ToolResult(_) => results = true,
            _ => {}
        }
    }
    if used.is_empty() && results {
        used.push(Text::from_static("tool"));
    }
    used
}

fn declare(list: &mut List<'_>, name: &str) {
    list.object(|tool| {
        tool.object("toolSpec", |spec| {
            spec.string("name", name);
            spec.object("inputSchema", |schema| schema.raw("json", ANYTHING));
        });
    });
}

fn write_tools(list: &mut List<'_>, request: &ChatRequest, pen: &mut Pen<'_>) -> Result<(), EncodeError> {
    for (index, tool) in request.tools.iter().enumerate() {
        match &tool.kind {
            ToolKind::Opaque {
                format: Format::BedrockConverse,
                json,
                ..
            } => list.raw(json.as_str()),
            ToolKind::Opaque { kind, .. } => {
                return Err(rules::OPAQUE_TOOL.refuse_at(format!("tools[{index}].type {kind}")));
            }
            ToolKind::Function { name, .. } if !pen.own && !names::is_fit(name) => {
                return Err(rules::TOOL_NAME.refuse_at(format!("tools[{index}].function.name {name:?}")));
            }
            ToolKind::Function { .. } => write_tool(list, tool, pen),
        }
        pen.cache_point(list, tool.cache_control.as_ref());
    }
    Ok(())
}

fn write_tool(list: &mut List<'_>, tool: &Tool, pen: &mut Pen<'_>) {
    let ToolKind::Function {
        name,
        description,
        parameters,
        strict,
        extra,
    } = &tool.kind
    else {
        return;
    };
    let own = pen.own;
    let description = description.as_deref().filter(|text| own || !text.is_empty());
    let strict = strict.filter(|strict| own || *strict);
    if strict.is_some() && !pen.takes_strict() {
        pen.losses.by(&rules::STRICT);
    }
    let strict = strict.filter(|_| pen.takes_strict());
    list.object(|object| {
        object.object("toolSpec", |spec| {
            spec.string("name", name);
            spec.maybe_string("description", description);
            spec.object("inputSchema", |schema| {
                schema.raw("json", parameters.as_ref().map_or(ANYTHING, |json| json.as_str()));
                if own {
                    kept::write(schema, &kept::of(extra, "inputSchema"), &[]);
                }
            });
            spec.maybe_boolean("strict", strict);
            if own {
                kept::write(spec, extra, &["inputSchema"]);
            }
        });
        if own {
            object.extra(&tool.extra);
        }
    });
}

fn write_choice(
    config: &mut Object<'_>,
    request: &ChatRequest,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    match &request.tool_choice {
        None | Some(ToolChoice::None) => {}
        Some(ToolChoice::Auto) => config.object("toolChoice", |choice| choice.object("auto", |_| {})),
        Some(ToolChoice::Required) => config.object("toolChoice", |choice| choice.object("any", |_| {})),
        Some(ToolChoice::Function(name)) => config.object("toolChoice", |choice| {
            choice.object("tool", |tool| tool.string("name", name));
        }),
        Some(ToolChoice::Opaque {
            format: Format::BedrockConverse,
            json,
        }) if pen.own => config.raw("toolChoice", json.as_str()),
        Some(ToolChoice::Opaque { .. }) => return Err(rules::OPAQUE_CHOICE.refuse()),
    }
    Ok(())
}
