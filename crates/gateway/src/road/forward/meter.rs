//! What is counted of what is passed on: tokens, pictures, sound.

use bytes::Bytes;
use pointsman_catalog::Price;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::metered::{self, Medium};
use pointsman_wire::tokens;

use super::super::errand;
use super::super::picture::Order;
use super::super::sound::{Heard, Text};
use super::payload::Payload;
use crate::surface::Endpoint;

/// What is counted.
pub(super) enum Meter {
    /// Tokens of what is sent, about.
    Tokens(u64),
    /// The same, where it is free unless the provider says otherwise.
    Judged(u64),
    Image(Order),
    Speech(Text),
    Heard(Heard),
}

impl Meter {
    /// What is counted at an endpoint.
    pub(super) fn new(endpoint: Endpoint, payload: &Payload) -> Result<Self, Failure> {
        let said = |name| payload.said(name).unwrap_or_default();
        Ok(match endpoint {
            Endpoint::Moderations => Self::Judged(count(payload)),
            Endpoint::Images | Endpoint::ImageEdits | Endpoint::ImageVariations => Self::Image(Order {
                count: said("n").parse().unwrap_or(1),
                size: said("size"),
                quality: said("quality"),
                given: payload.images(),
                prompt: tokens::estimate(&said("prompt")),
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
            _ => Self::Tokens(count(payload)),
        })
    }

    /// What may be used at most.
    pub(super) fn estimate(&self) -> Usage {
        match self {
            Self::Tokens(count) | Self::Judged(count) => input(*count),
            Self::Image(order) => order.estimate(),
            Self::Speech(text) => text.estimate(),
            Self::Heard(heard) => heard.estimate(),
        }
    }

    /// What an answer used, given the price; and whether that had to be guessed.
    pub(super) fn used(&self, body: &Bytes, price: Option<&Price>) -> (Usage, bool) {
        match self {
            Self::Judged(_) => (metered::told(Medium::Text, body).0.unwrap_or_default(), false),
            Self::Tokens(count) => {
                let told = metered::told(Medium::Text, body).0;
                (told.unwrap_or_else(|| input(*count)), told.is_none())
            }
            Self::Image(order) => order.used(metered::told(Medium::Image, body), price),
            Self::Speech(text) => text.used(body, price),
            Self::Heard(heard) => heard.used(metered::told(Medium::Transcript, body).0, price),
        }
    }
}

/// About how many tokens the texts of a body have.
fn count(payload: &Payload) -> u64 {
    let mut count = 0;
    if let Payload::Json(_, value) = payload {
        errand::each_text(value, &mut |text| count += tokens::estimate(text));
    }
    count
}

fn input(count: u64) -> Usage {
    Usage {
        input: count,
        ..Usage::default()
    }
}
