//! Writing requests of Converse, also those that came in another format.

use std::borrow::Cow;

use super::model::Family;
use super::names::DocumentNames;
use super::request::INNER;
use super::write::{Pen, Place, write_content};
use super::{kept, reasoning, rules, tools, turn};
use crate::anthropic::{self, thinking};
use crate::form::{CacheControl, ChatRequest, Extra, Message, ResponseFormat, Role, Sampling};
use crate::format::{EncodeError, EncodeTarget, Encoded, Format};
use crate::json::write::{self, List, Object};
use crate::rules::{Losses, Rule, UNKNOWN};
use crate::schema::closed;

/// The tiers that Bedrock knows.
const TIERS: [&str; 4] = ["priority", "default", "flex", "reserved"];

/// Writes a request.
///
/// # Errors
/// When it holds something the format has no counterpart for; the field is named.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    let mut losses = Losses::default();
    let family = match Family::of(target.model) {
        // Who speaks Claude's own format to a name that does not tell means Claude.
        Family::Other if target.model.starts_with("arn:") && anthropic::is_own(request.format) => {
            Family::Claude
        }
        told => told,
    };
    let foreign = request.format != Format::BedrockConverse && !anthropic::is_own(request.format);
    let fitted = if foreign && family == Family::Claude {
        thinking::fitted(request, request.sampling.max_tokens, &mut losses)
    } else {
        Cow::Borrowed(request)
    };
    let request = &*fitted;
    let mut pen = Pen {
        own: request.format == Format::BedrockConverse,
        family,
        caches: family.caches(target.model),
        losses: &mut losses,
        names: DocumentNames::default(),
    };
    let body = write::body(|body| write_body(body, request, &mut pen))?;
    Ok(Encoded {
        body: body.into(),
        losses: losses.into_vec(),
    })
}

fn write_body(body: &mut Object<'_>, request: &ChatRequest, pen: &mut Pen<'_>) -> Result<(), EncodeError> {
    if pen.own {
        write_own_messages(body, request, pen)?;
    } else {
        refuse(request)?;
        write_turns(body, request, pen)?;
    }
    write_sampling(body, request, pen);
    tools::write(body, request, pen)?;
    let told = reasoning::tell(request, pen);
    reasoning::write_fields(body, request, &told.fields, pen);
    write_output(body, request, told.effort.as_deref(), pen)?;
    write_tier(body, request, pen);
    if pen.own {
        kept::write(body, &request.extra, &INNER);
        return Ok(());
    }
    if request.user.is_some() {
        pen.losses.by(&rules::USER);
    }
    for (name, _) in &request.extra.0 {
        let envelope = match name.as_ref() {
            "anthropic_version" => request.format == Format::BedrockInvoke,
            "anthropic_beta" => reasoning::takes_beta(request, pen.family),
            _ => false,
        };
        if !envelope {
            pen.losses.at(name.to_string(), &UNKNOWN);
        }
    }
    Ok(())
}

fn refuse(request: &ChatRequest) -> Result<(), EncodeError> {
    let sampling = &request.sampling;
    let refusals: [(bool, &'static Rule); 3] = [
        (sampling.n.is_some_and(|n| n > 1), &rules::CHOICES),
        (sampling.logprobs == Some(true), &rules::LOGPROBS),
        (sampling.logit_bias.is_some(), &rules::LOGIT_BIAS),
    ];
    match refusals.into_iter().find(|(there, _)| *there) {
        Some((_, rule)) => Err(rule.refuse()),
        None => Ok(()),
    }
}

fn write_own_messages(
    body: &mut Object<'_>,
    request: &ChatRequest,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    let mut messages = request.messages.as_slice();
    let mut refused = None;
    if let [first, rest @ ..] = messages
        && first.role == Role::System
    {
        body.list("system", |list| {
            refused = write_content(list, &first.parts, Place::Instructions, &"system", pen).err();
        });
        messages = rest;
    }
    body.list("messages", |list| {
        refused = refused.take().or(write_messages(list, messages, None, pen).err());
    });
    refused.map_or(Ok(()), Err)
}

fn write_turns(body: &mut Object<'_>, request: &ChatRequest, pen: &mut Pen<'_>) -> Result<(), EncodeError> {
    let (instructions, turns) = turn::arrange(&request.messages, pen.losses);
    let mut refused = None;
    if let Some(instructions) = instructions {
        body.list("system", |list| {
            refused = write_content(list, &instructions.parts, Place::Instructions, &"system", pen).err();
        });
    }
    if request.cache_control.is_some() && pen.caches {
        pen.losses.by(&rules::CACHE_WHOLE);
    }
    body.list("messages", |list| {
        let written = write_messages(list, &turns, request.cache_control.as_ref(), pen);
        refused = refused.take().or(written.err());
    });
    refused.map_or(Ok(()), Err)
}

/// Writes messages; the cache point of the whole request stands behind the last of them.
fn write_messages(
    list: &mut List<'_>,
    messages: &[Message],
    whole: Option<&CacheControl>,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    for (index, message) in messages.iter().enumerate() {
        let (role, place) = match message.role {
            Role::Assistant => ("assistant", Place::Model),
            Role::System | Role::Developer => ("system", Place::Instructions),
            Role::User | Role::Tool => ("user", Place::User),
        };
        let last = index + 1 == messages.len()
            && message
                .parts
                .last()
                .is_some_and(|part| part.cache_control.is_none());
        let at = format_args!("messages[{index}].content");
        let mut refused = None;
        list.object(|object| {
            object.string("role", role);
            object.list("content", |list| {
                refused = write_content(list, &message.parts, place, &at, pen).err();
                pen.cache_point(list, whole.filter(|_| last));
            });
            if pen.own {
                object.extra(&message.extra);
            }
        });
        if let Some(error) = refused {
            return Err(error);
        }
    }
    Ok(())
}

fn write_sampling(body: &mut Object<'_>, request: &ChatRequest, pen: &mut Pen<'_>) {
    let own = pen.own;
    let mut sampling = request.sampling.clone();
    if !own {
        fit_sampling(&mut sampling, pen);
    }
    let kept = if own {
        request.extra.get("inferenceConfig").map(kept::fields_of)
    } else {
        None
    };
    let nothing = sampling.max_tokens.is_none()
        && sampling.temperature.is_none()
        && sampling.top_p.is_none()
        && sampling.stop.is_empty();
    if nothing && kept.is_none() {
        return;
    }
    body.object("inferenceConfig", |config| {
        config.maybe_count("maxTokens", sampling.max_tokens);
        config.maybe_number("temperature", sampling.temperature.as_ref());
        config.maybe_number("topP", sampling.top_p.as_ref());
        if !sampling.stop.is_empty() {
            config.list("stopSequences", |list| {
                sampling.stop.iter().for_each(|stop| list.string(stop));
            });
        }
        config.extra(&kept.unwrap_or_default());
    });
}

/// Fits what another format allows into Bedrock's bounds.
fn fit_sampling(sampling: &mut Sampling, pen: &mut Pen<'_>) {
    for (name, there) in [
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("seed", sampling.seed.is_some()),
    ] {
        if there {
            pen.losses.at(name, &rules::SAMPLED_WITHOUT);
        }
    }
    let hot = sampling.temperature.as_ref().and_then(serde_json::Number::as_f64);
    if hot.is_some_and(|temperature| temperature > 1.0) {
        sampling.temperature = Some(1.into());
        pen.losses.by(&rules::TEMPERATURE);
    }
    if pen.family == Family::Claude && sampling.temperature.is_some() && sampling.top_p.take().is_some() {
        pen.losses.by(&anthropic::rules::TOP_P);
    }
    let stops = sampling.stop.len();
    sampling.stop.retain(|stop| !stop.trim().is_empty());
    if sampling.stop.len() < stops {
        pen.losses.by(&rules::BLANK_STOPS);
    }
}

fn write_output(
    body: &mut Object<'_>,
    request: &ChatRequest,
    effort: Option<&str>,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    let own = pen.own;
    let kept = request
        .extra
        .get("outputConfig")
        .filter(|_| own)
        .map(kept::fields_of);
    let format = match &request.response_format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => return Err(rules::JSON_OBJECT.refuse()),
        Some(ResponseFormat::Opaque { format, .. }) if *format != Format::BedrockConverse => {
            return Err(rules::OPAQUE_FORMAT.refuse());
        }
        Some(format) => Some(format),
    };
    if format.is_none() && effort.is_none() && kept.is_none() {
        return Ok(());
    }
    let kept = kept.unwrap_or_default();
    body.object("outputConfig", |config| {
        if let Some(format) = format {
            write_format(config, format, &kept::of(&kept, "textFormat"), pen);
        }
        if let Some(effort) = effort {
            config.raw("effort", effort);
        }
        kept::write(config, &kept, &["textFormat"]);
    });
    Ok(())
}

fn write_format(config: &mut Object<'_>, format: &ResponseFormat, kept: &Extra, pen: &mut Pen<'_>) {
    match format {
        ResponseFormat::Opaque { json, .. } => config.raw("textFormat", json.as_str()),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            ..
        } => config.object("textFormat", |text| {
            text.string("type", "json_schema");
            let inner = kept::of(kept, "structure");
            text.object("structure", |structure| {
                structure.object("jsonSchema", |definition| {
                    let open = pen.own || pen.family != Family::Claude;
                    let schema = if open {
                        Cow::Borrowed(schema)
                    } else {
                        closed(schema)
                    };
                    if matches!(schema, Cow::Owned(_)) {
                        pen.losses.by(&anthropic::rules::CLOSED);
                    }
                    definition.string("schema", schema.as_str());
                    definition.maybe_string("name", name.as_deref());
                    definition.maybe_string("description", description.as_deref());
                    kept::write(definition, &kept::of(&inner, "jsonSchema"), &[]);
                });
                kept::write(structure, &inner, &["jsonSchema"]);
            });
            kept::write(text, kept, &["structure"]);
        }),
        ResponseFormat::Text | ResponseFormat::JsonObject => {}
    }
}

fn write_tier(body: &mut Object<'_>, request: &ChatRequest, pen: &mut Pen<'_>) {
    let own = pen.own;
    let kept = request
        .extra
        .get("serviceTier")
        .filter(|_| own)
        .map(kept::fields_of);
    let tier = request.service_tier.as_deref();
    // The provider's choice is Bedrock's default, too.
    let tier = tier.filter(|tier| own || *tier != "auto");
    if tier.is_some_and(|tier| !own && !TIERS.contains(&tier)) {
        pen.losses.by(&rules::SERVICE_TIER);
    }
    let tier = tier.filter(|tier| own || TIERS.contains(tier));
    if tier.is_none() && kept.is_none() {
        return;
    }
    body.object("serviceTier", |object| {
        object.maybe_string("type", tier);
        object.extra(&kept.unwrap_or_default());
    });
}
