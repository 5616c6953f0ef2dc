//! An image in the place of an answer (`image_gen`): what the user describes goes to a model for images, as an errand on the
//! request's own ticket, and what it makes is told as an answer in the client's format.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pointsman_catalog::Price;
use pointsman_routing::ImageGen;
use pointsman_wire::form::{ChatRequest, ChatResponse, Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::metered::{self, Medium};
use pointsman_wire::{text, tokens};
use serde::Deserialize;
use serde_json::json;

use super::arrive::Asked;
use super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::picture::Order;
use super::{Arrival, Ticket, decide};
use crate::snapshot::{Snapshot, Target};
use crate::surface::Endpoint;
use crate::worker::Worker;

/// Longest wait, where nothing is said.
const PATIENCE: Duration = Duration::from_secs(120);

/// Has an image made of what the user describes.
///
/// # Errors
/// 400 where nothing is described, 504 where it takes too long, and whatever its provider says.
pub async fn imagine(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &Asked,
    image: &ImageGen,
    ticket: &mut Ticket,
) -> Result<Box<ChatResponse>, Failure> {
    let prompt = text::user_text(&asked.request).into_owned();
    if prompt.trim().is_empty() {
        return Err(
            Failure::new(FailureKind::InvalidRequest, "there is no description of an image").at("messages"),
        );
    }
    let mut picture = Picture {
        order: Order {
            count: 1,
            size: image
                .size
                .map(|(width, height)| format!("{width}x{height}"))
                .unwrap_or_default(),
            quality: said(image, "quality"),
            prompt: tokens::estimate(&prompt),
            ..Order::default()
        },
        snapshot: Arc::clone(&arrival.snapshot),
        image,
        prompt,
    };
    let time = image.seconds.map_or(PATIENCE, Duration::from_secs);
    let made = tokio::time::timeout(time, errand::within(worker, arrival, &mut picture, ticket)).await;
    let answer = match made {
        Ok(Ok(answer)) => answer,
        Ok(Err((failure, spent))) => {
            if spent != Usage::default() {
                ticket.spend(&spent, true);
            }
            return Err(failure);
        }
        Err(_) => {
            return Err(Failure::new(
                FailureKind::ProviderTimeout,
                "the image was not made in time",
            ));
        }
    };
    ticket.spend(&answer.usage, answer.estimated);
    told(&asked.request, &answer.body)
}

/// A field of the order, where it is a text.
fn said(image: &ImageGen, field: &str) -> String {
    let value = image.fields.get(field).and_then(serde_json::Value::as_str);
    value.unwrap_or_default().to_owned()
}

/// An image that is asked for.
struct Picture<'a> {
    image: &'a ImageGen,
    prompt: String,
    order: Order,
    snapshot: Arc<Snapshot>,
}

impl Errand for Picture<'_> {
    fn model(&self) -> &str {
        &self.image.model
    }

    fn estimate(&self) -> Usage {
        self.order.estimate()
    }

    fn price(&self, target: &Target) -> Option<Price> {
        self.order.price(&self.snapshot.catalog, target)
    }

    fn inspect(&mut self, _inspector: &mut Inspector) -> Result<(), Failure> {
        // The guardrails have seen what the user says.
        Ok(())
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let name = Endpoint::Images.name();
        let path = target.provider.speaks.endpoint(name, &target.model);
        let path = path.ok_or_else(|| errand::lacking(target, &format!("endpoint {name}")))?;
        let mut body = json!({ "model": target.model, "prompt": self.prompt, "n": 1 });
        if let Some(fields) = body.as_object_mut() {
            if !self.order.size.is_empty() {
                fields.insert("size".to_owned(), self.order.size.clone().into());
            }
            fields.extend(self.image.fields.clone());
        }
        let body = Bytes::from(body.to_string());
        Ok(vec![Outgoing::json(path, body, Format::OpenAiChat)])
    }

    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let Whole { body, .. } = errand::only(answers)?;
        let told = metered::told(Medium::Image, &body);
        let (usage, estimated) = self.order.used(told, self.price(target).as_ref());
        Ok(Answer::json(body, usage, estimated))
    }
}

/// The image as an answer: in Markdown, which every format can carry.
fn told(request: &ChatRequest, body: &Bytes) -> Result<Box<ChatResponse>, Failure> {
    #[derive(Deserialize)]
    struct Made {
        data: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        b64_json: Option<String>,
        url: Option<String>,
        revised_prompt: Option<String>,
    }
    let senseless = |what: &str| {
        Failure::new(
            FailureKind::Provider,
            format!("the provider's answer makes no sense: {what}"),
        )
    };
    let made: Made = serde_json::from_slice(body).map_err(|error| senseless(&error.to_string()))?;
    let Some(one) = made.data.into_iter().next() else {
        return Err(senseless("it holds no image"));
    };
    let address = match (one.b64_json, one.url) {
        (Some(data), _) => format!("data:{};base64,{data}", media_type(&data)),
        (None, Some(url)) if !url.contains([')', ' ', '\n']) => url,
        _ => return Err(senseless("it holds no image")),
    };
    let title: String = one.revised_prompt.unwrap_or_else(|| "image".to_owned());
    let title = title.replace(['[', ']', '\n', '\r'], " ");
    Ok(Box::new(decide::spoken(
        request,
        &format!("![{title}]({address})"),
    )))
}

/// What an image is, by its first bytes.
fn media_type(data: &str) -> &'static str {
    let head: String = data.chars().take(16).collect();
    let head = STANDARD.decode(head).unwrap_or_default();
    match head.as_slice() {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'R', b'I', b'F', b'F', ..] => "image/webp",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests {
    use pointsman_wire::format;

    use super::*;

    #[test]
    fn an_image_is_told_in_markdown() {
        let body = r#"{"model": "auto", "messages": []}"#;
        let request = format::decode_request(Format::OpenAiChat, &Bytes::from(body)).unwrap();
        let said = |body: &'static str| {
            let told = told(&request, &Bytes::from(body))?;
            let mut all = String::new();
            text::response_texts(&told, |_, text| all.push_str(text));
            Ok::<_, Failure>(all)
        };
        let jpeg =
            said(r#"{"data": [{"b64_json": "/9j/4AAQSkZJRgABAQ==", "revised_prompt": "a [red]\nfox"}]}"#)
                .unwrap();
        assert_eq!(
            jpeg,
            "![a  red  fox](data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==)"
        );
        let linked = said(r#"{"data": [{"url": "https://images.example/1.png"}]}"#).unwrap();
        assert_eq!(linked, "![image](https://images.example/1.png)");
        for wrong in [
            r#"{"data": []}"#,
            r#"{"data": [{}]}"#,
            "{}",
            r#"{"data": [{"url": "https://x/) [a](b"}]}"#,
        ] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
    }
}
