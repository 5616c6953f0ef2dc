//! What has one shape everywhere: the client's bytes go on with the provider's name of the model in them, and the
//! answer comes back as it is. JSON, and forms with files.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use pointsman_catalog::Price;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::metered::{self, Medium};
use pointsman_wire::multipart::Form;
use pointsman_wire::splice::Edits;
use serde_json::Value;

use super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::picture::Order;
use super::sound::{Heard, Text};
use super::{Arrival, Refusal, arrive, tokens};
use crate::reply::Reply;
use crate::snapshot::Target;
use crate::surface::Endpoint;
use crate::worker::Worker;

/// The model that judges content where the client names none, as OpenAI has it.
const USUAL_MODERATOR: &str = "omni-moderation-latest";
/// Fields with texts in them.
const TEXTS: [&str; 10] = [
    "input",
    "prompt",
    "instructions",
    "text_1",
    "text_2",
    "queries",
    "documents",
    "messages",
    "data_1",
    "data_2",
];

/// Read, then as every errand.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    endpoint: Endpoint,
    body: Bytes,
) -> Result<Reply, Refusal> {
    if matches!(endpoint, Endpoint::Tokenize | Endpoint::Detokenize) {
        let mut errand = tokens::read(endpoint, body)?;
        return errand::run(worker, arrival, caller, &mut errand).await;
    }
    let payload = Payload::read(arrival, body)?;
    let model = match payload.said("model") {
        Some(model) if !model.is_empty() => model,
        _ if endpoint == Endpoint::Moderations => USUAL_MODERATOR.to_owned(),
        _ => {
            return Err(Failure::new(FailureKind::InvalidRequest, "model is missing")
                .at("model")
                .into());
        }
    };
    let mut forward = Forward {
        meter: Meter::new(endpoint, &payload)?,
        medium: medium(endpoint, &payload),
        endpoint,
        model,
        payload,
    };
    errand::run(worker, arrival, caller, &mut forward).await
}

/// A body, read as far as is needed.
enum Payload {
    Json(Bytes, Value),
    Form(Form, HeaderValue),
}

impl Payload {
    fn read(arrival: &Arrival, body: Bytes) -> Result<Self, Failure> {
        let kind = arrival.headers.get(header::CONTENT_TYPE);
        let said = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if let Some(kind) = kind.filter(|_| said.trim_start().to_ascii_lowercase().starts_with("multipart/"))
        {
            let form = Form::read(said, &body).map_err(arrive::malformed)?;
            return Ok(Self::Form(form, kind.clone()));
        }
        let wrong = |error: &dyn std::fmt::Display| {
            let message = format!("the body is neither JSON nor a form of several parts: {error}");
            Failure::new(FailureKind::InvalidRequest, message)
        };
        let value: Value = serde_json::from_slice(&body).map_err(|error| wrong(&error))?;
        if value.is_object() {
            Ok(Self::Json(body, value))
        } else {
            Err(wrong(&"it is no object"))
        }
    }

    /// What a field says, as text.
    fn said(&self, name: &str) -> Option<String> {
        match self {
            Self::Form(form, _) => form.text(name).map(str::to_owned),
            Self::Json(_, value) => match value.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
                other => Some(other.to_string()),
            },
        }
    }

    /// The body with the provider's name of the model.
    fn named(&self, model: &str) -> Result<Bytes, Failure> {
        match self {
            Self::Form(form, _) => Ok(form.with("model", model)),
            Self::Json(body, value) => {
                if value.get("model").and_then(Value::as_str) == Some(model) {
                    return Ok(body.clone());
                }
                let mut edits = Edits::new();
                edits.set_string("model", model);
                edits
                    .apply(body)
                    .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))
            }
        }
    }
}

/// What is counted.
enum Meter {
    Tokens(u64),
    Image(Order),
    Speech(Text),
    Heard(Heard),
}

impl Meter {
    fn new(endpoint: Endpoint, payload: &Payload) -> Result<Self, Failure> {
        let said = |name| payload.said(name).unwrap_or_default();
        let estimate = |text: &str| pointsman_wire::tokens::estimate(text);
        Ok(match endpoint {
            Endpoint::Images | Endpoint::ImageEdits | Endpoint::ImageVariations => Self::Image(Order {
                count: said("n").parse().unwrap_or(1),
                size: said("size"),
                quality: said("quality"),
                given: given(payload),
                prompt: estimate(&said("prompt")),
            }),
            Endpoint::Speech => Self::Speech(Text::new(&said("input"), &said("instructions"))),
            Endpoint::Transcriptions | Endpoint::Translations => match payload {
                Payload::Form(form, _) => Self::Heard(Heard::new(form)),
                Payload::Json(..) => {
                    let message =
                        "sound must be sent as a form of several parts (multipart/form-data), with a file";
                    return Err(Failure::new(FailureKind::InvalidRequest, message).at("file"));
                }
            },
            _ => {
                let mut count = 0;
                if let Payload::Json(_, value) = payload {
                    for name in TEXTS {
                        each_text(value.get(name), &mut |text| count += estimate(text));
                    }
                }
                Self::Tokens(count)
            }
        })
    }
}

/// Images that were given to be changed.
fn given(payload: &Payload) -> u64 {
    match payload {
        Payload::Form(form, _) => form.files("image").count() as u64,
        Payload::Json(_, value) => ["image", "images"]
            .into_iter()
            .filter_map(|name| value.get(name))
            .map(|images| images.as_array().map_or(1, Vec::len) as u64)
            .sum(),
    }
}

/// What comes as a stream of events, where one is asked for.
fn medium(endpoint: Endpoint, payload: &Payload) -> Option<Medium> {
    let streams = payload.said("stream").as_deref() == Some("true");
    match endpoint {
        Endpoint::Images | Endpoint::ImageEdits if streams => Some(Medium::Image),
        Endpoint::Transcriptions if streams => Some(Medium::Transcript),
        Endpoint::Speech if payload.said("stream_format").as_deref() == Some("sse") => Some(Medium::Speech),
        _ => None,
    }
}

/// Calls `see` with every text of a value: strings, and those under `text` and `content` of objects.
fn each_text(value: Option<&Value>, see: &mut impl FnMut(&str)) {
    match value {
        Some(Value::String(text)) => see(text),
        Some(Value::Array(all)) => all.iter().for_each(|value| each_text(Some(value), see)),
        Some(Value::Object(fields)) => {
            for name in ["text", "content"] {
                each_text(fields.get(name), see);
            }
        }
        _ => {}
    }
}

/// Shows every text of a value; true when one was changed.
fn show(value: &mut Value, name: &str, inspector: &mut Inspector<'_>) -> Result<bool, Failure> {
    let mut changed = false;
    match value {
        Value::String(text) => {
            if let Some(rewritten) = inspector.text(text)? {
                *text = rewritten;
                changed = true;
            }
        }
        Value::Number(_) => inspector.unreadable(name)?,
        Value::Array(all) => {
            for value in all {
                changed |= show(value, name, inspector)?;
            }
        }
        Value::Object(fields) => {
            for part in ["text", "content"] {
                if let Some(value) = fields.get_mut(part) {
                    changed |= show(value, name, inspector)?;
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    Ok(changed)
}

/// Shows the texts of a JSON body; the body as the guardrails leave it.
pub fn inspect_json(
    body: &Bytes,
    value: &mut Value,
    inspector: &mut Inspector<'_>,
) -> Result<Option<Bytes>, Failure> {
    let mut edits = Edits::new();
    for name in TEXTS {
        if let Some(value) = value.get_mut(name)
            && show(value, name, inspector)?
        {
            edits.set(name, value.to_string());
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    edits
        .apply(body)
        .map(Some)
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))
}

struct Forward {
    endpoint: Endpoint,
    model: String,
    payload: Payload,
    meter: Meter,
    medium: Option<Medium>,
}

impl Errand for Forward {
    fn model(&self) -> &str {
        &self.model
    }

    fn estimate(&self) -> Usage {
        match &self.meter {
            Meter::Tokens(count) => Usage {
                input: *count,
                ..Usage::default()
            },
            Meter::Image(order) => order.estimate(),
            Meter::Speech(text) => text.estimate(),
            Meter::Heard(heard) => heard.estimate(),
        }
    }

    fn price(&self, arrival: &Arrival, target: &Target) -> Option<Price> {
        match &self.meter {
            Meter::Image(order) => order.price(arrival, target),
            _ => target.price.clone(),
        }
    }

    fn inspect(&mut self, inspector: &mut Inspector<'_>) -> Result<(), Failure> {
        if inspector.is_idle() {
            return Ok(());
        }
        match &mut self.payload {
            Payload::Json(body, value) => {
                if let Some(edited) = inspect_json(body, value, inspector)? {
                    *body = edited;
                }
            }
            Payload::Form(form, kind) => {
                let prompt = form.text("prompt").map(|prompt| inspector.text(prompt));
                if let Some(rewritten) = prompt.transpose()?.flatten() {
                    let body = form.with("prompt", &rewritten);
                    *form =
                        Form::read(kind.to_str().unwrap_or_default(), &body).map_err(arrive::malformed)?;
                }
            }
        }
        Ok(())
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let name = self.endpoint.name();
        let path = target.provider.speaks.endpoint(name, &target.model);
        let path = path.ok_or_else(|| errand::lacking(target, &format!("endpoint {name}")))?;
        Ok(vec![Outgoing {
            path,
            body: self.payload.named(&target.model)?,
            content_type: match &self.payload {
                Payload::Form(_, kind) => Some(kind.clone()),
                Payload::Json(..) => None,
            },
            format: Format::OpenAiChat,
        }])
    }

    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let Some(whole) = answers.into_iter().next() else {
            return Err(errand::lacking(target, self.endpoint.name()));
        };
        let content_type = whole.headers.get(header::CONTENT_TYPE).cloned();
        let is_json = content_type
            .as_ref()
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.contains("json"));
        self.check(&whole.body, is_json)?;
        let (usage, estimated) = match &self.meter {
            Meter::Tokens(count) => {
                let told = metered::told(Medium::Text, &whole.body).0;
                let counted = Usage {
                    input: *count,
                    ..Usage::default()
                };
                let usage = if self.endpoint == Endpoint::Moderations {
                    Usage::default()
                } else {
                    counted
                };
                let estimated = told.is_none() && self.endpoint != Endpoint::Moderations;
                (told.unwrap_or(usage), estimated)
            }
            Meter::Image(order) => {
                let (told, images) = metered::told(Medium::Image, &whole.body);
                order.used(told, images, target)
            }
            Meter::Speech(text) => text.used(&whole.body, target),
            Meter::Heard(heard) => heard.used(metered::told(Medium::Transcript, &whole.body).0, target),
        };
        Ok(Answer {
            body: whole.body,
            content_type,
            usage,
            estimated,
        })
    }

    fn streamed(&self) -> Option<Medium> {
        self.medium
    }
}

impl Forward {
    /// An answer that must be JSON is JSON, and sound is there at all: half an answer is none.
    fn check(&self, body: &Bytes, is_json: bool) -> Result<(), Failure> {
        let wrong = |what: &str| {
            let message = format!("the provider's answer makes no sense: {what}");
            Failure::new(FailureKind::Provider, message)
        };
        match self.endpoint {
            Endpoint::Speech if body.is_empty() || is_json => Err(wrong("it is no sound")),
            Endpoint::Speech => Ok(()),
            Endpoint::Transcriptions | Endpoint::Translations if !is_json && !body.is_empty() => Ok(()),
            _ => {
                let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(body);
                read.map(|_| ()).map_err(|error| wrong(&error.to_string()))
            }
        }
    }
}
