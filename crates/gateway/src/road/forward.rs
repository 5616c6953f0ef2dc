//! What has one shape everywhere: the client's bytes go on with the provider's name of the model in them, and the
//! answer comes back as it is. JSON, and forms with files.

mod meter;
mod payload;

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use pointsman_catalog::Price;
use pointsman_governance::Principal;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::metered::Medium;

use super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::{Arrival, Refusal, alias, tokens};
use crate::reply::Reply;
use crate::snapshot::{Snapshot, Target};
use crate::surface::Endpoint;
use crate::worker::Worker;
use meter::Meter;
use payload::Payload;

/// The model that judges content where the client names none, as OpenAI has it.
const USUAL_MODERATOR: &str = "omni-moderation-latest";

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
    let mut forward = Forward {
        user: payload.said("user"),
        meter: Meter::new(endpoint, &payload)?,
        medium: medium(endpoint, &payload),
        // A form still says what its client calls it.
        model: alias::meant(&arrival.snapshot, &caller, &model(endpoint, &payload)?).to_owned(),
        endpoint,
        payload,
        snapshot: Arc::clone(&arrival.snapshot),
    };
    errand::run(worker, arrival, caller, &mut forward).await
}

fn model(endpoint: Endpoint, payload: &Payload) -> Result<String, Failure> {
    match payload.said("model") {
        Some(model) if !model.is_empty() => Ok(model),
        _ if endpoint == Endpoint::Moderations => Ok(USUAL_MODERATOR.to_owned()),
        _ => Err(Failure::new(FailureKind::InvalidRequest, "model is missing").at("model")),
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

struct Forward {
    endpoint: Endpoint,
    model: String,
    user: Option<String>,
    payload: Payload,
    meter: Meter,
    medium: Option<Medium>,
    snapshot: Arc<Snapshot>,
}

impl Errand for Forward {
    fn model(&self) -> &str {
        &self.model
    }

    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn estimate(&self) -> Usage {
        self.meter.estimate()
    }

    fn price(&self, target: &Target) -> Option<Price> {
        match &self.meter {
            Meter::Image(order) => order.price(&self.snapshot.catalog, target),
            _ => target.price.clone(),
        }
    }

    fn inspect(&mut self, inspector: &mut Inspector) -> Result<(), Failure> {
        if inspector.is_idle() {
            return Ok(());
        }
        self.payload.inspect(inspector)
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let name = self.endpoint.name();
        let path = target.provider.speaks.endpoint(name, &target.model);
        let path = path.ok_or_else(|| errand::lacking(target, &format!("endpoint {name}")))?;
        Ok(vec![Outgoing {
            path,
            body: self.payload.named(&target.model)?,
            content_type: self.payload.content_type(),
            format: Format::OpenAiChat,
        }])
    }

    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let Whole { headers, body } = errand::only(answers)?;
        let content_type = headers.get(header::CONTENT_TYPE).cloned();
        let said = content_type.as_ref().and_then(|kind| kind.to_str().ok());
        self.check(&body, said.is_some_and(|kind| kind.contains("json")))?;
        let (usage, estimated) = self.meter.used(&body, self.price(target).as_ref());
        Ok(Answer {
            body,
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
