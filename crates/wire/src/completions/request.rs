//! Completion requests. A prompt becomes one user turn; what only this format knows stays in `extra`.

use bytes::Bytes;

use crate::form::{ChatRequest, ContentShape, Extra, Message, Part, PartKind, Role, Text};
use crate::format::{DecodeError, EncodeError, EncodeTarget, Encoded, Format};
use crate::json::fields::parse;
use crate::json::write::object;
use crate::openai::request::{read_sampling, read_stream, write_sampling, write_stream};

/// Reads a request.
///
/// # Errors
/// When it does not say what the format demands.
pub fn decode(body: &Bytes) -> Result<ChatRequest, DecodeError> {
    let body = Text::try_from(body.clone()).map_err(|_| DecodeError::plain("the body is not UTF-8"))?;
    let value = parse(&body)?;
    let mut fields = value.fields()?;
    let model = fields.need("model", |model| model.string())?;
    let mut tokens = None;
    let mut shape = ContentShape::Text;
    let parts = fields.need("prompt", |prompt| {
        if prompt.is_string() {
            return Ok(vec![Part::text(prompt.string()?)]);
        }
        shape = ContentShape::Parts;
        let mut texts = Vec::new();
        prompt.list(|item| {
            if item.is_string() {
                texts.push(Part::text(item.string()?));
            } else {
                tokens = Some(prompt.json());
            }
            Ok(())
        })?;
        Ok(texts)
    })?;
    // `logprobs` is a number here.
    let logprobs = fields.take("logprobs", |count| Ok(count.json()))?;
    let sampling = read_sampling(&mut fields)?;
    let stream = read_stream(&mut fields)?;
    let user = fields.take("user", |user| user.string())?;
    let mut extra = fields.rest();
    for (name, json) in [("logprobs", logprobs), ("prompt", tokens)] {
        if let Some(json) = json {
            extra.set(name, json);
        }
    }
    Ok(ChatRequest {
        format: Format::OpenAiCompletions,
        model,
        messages: vec![Message {
            role: Role::User,
            parts,
            shape,
            name: None,
            extra: Extra::default(),
        }],
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        sampling,
        reasoning: None,
        response_format: None,
        stream,
        user,
        cache_control: None,
        service_tier: None,
        extra,
    })
}

/// Writes a request that came in this format.
///
/// # Errors
/// When it came in another: a conversation cannot be written as a text to complete.
pub fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded, EncodeError> {
    if request.format != Format::OpenAiCompletions {
        return Err(EncodeError::at(
            "messages",
            "a conversation cannot be written as a text completion",
        ));
    }
    let texts: Vec<&Text> = request
        .messages
        .iter()
        .filter(|message| message.role == Role::User)
        .flat_map(|message| &message.parts)
        .filter_map(|part| {
            if let PartKind::Text(text) = &part.kind {
                Some(&text.text)
            } else {
                None
            }
        })
        .collect();
    let shape = request
        .messages
        .iter()
        .find(|message| message.role == Role::User)
        .map(|message| message.shape);
    let body = object(|body| {
        body.string("model", target.model);
        if request.extra.get("prompt").is_none() {
            match (shape, texts.as_slice()) {
                (Some(ContentShape::Text), [only]) => body.string("prompt", only),
                (_, all) => body.list("prompt", |list| all.iter().for_each(|text| list.string(text))),
            }
        }
        write_sampling(body, &request.sampling, "max_tokens");
        write_stream(body, request, target);
        body.maybe_string("user", request.user.as_deref());
        body.extra(&request.extra);
    });
    Ok(Encoded {
        body: body.into(),
        losses: Vec::new(),
    })
}
