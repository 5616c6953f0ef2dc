//! What pictures cost: by their tokens where the provider tells them, else by the piece, as quality and size say.

use pointsman_catalog::{Price, RateKind};
use pointsman_wire::form::{Units, Usage};
use pointsman_wire::metered;

use super::Arrival;
use crate::snapshot::Target;

/// Tokens of an image of the best quality, as OpenAI documents them: what is reserved where more is not known.
const DEAREST: u64 = 6_240;
/// Most images that are reserved for.
const MOST: u64 = 100;

/// An order of pictures.
#[derive(Debug, Default)]
pub struct Order {
    /// How many.
    pub count: u64,
    /// How large, as the client wrote it.
    pub size: String,
    /// How good, as the client wrote it.
    pub quality: String,
    /// Images that were given.
    pub given: u64,
    /// About how many tokens the description has.
    pub prompt: u64,
}

impl Order {
    /// What may be used at most.
    pub fn estimate(&self) -> Usage {
        let count = self.count.clamp(1, MOST);
        let tokens = match self.quality.as_str() {
            "low" => 408,
            "medium" => 1_584,
            _ => DEAREST,
        };
        let mut usage = self.counted(count);
        usage.output = tokens * count;
        usage.image_output = usage.output;
        usage.image_input = self.given * 1_024;
        usage.input += usage.image_input;
        usage
    }

    /// What is known without the provider: pieces and sizes.
    fn counted(&self, count: u64) -> Usage {
        Usage {
            input: self.prompt,
            units: self.units(count),
            ..Usage::default()
        }
    }

    fn units(&self, count: u64) -> Units {
        Units {
            requests: 1,
            images_in: self.given,
            images_out: count,
            pixels_out: metered::pixels(&self.size, count).unwrap_or(0),
            ..Units::default()
        }
    }

    /// What was used, given what the provider told and how many images came; and whether that had to be guessed.
    pub fn used(&self, told: Option<Usage>, images: u64, target: &Target) -> (Usage, bool) {
        let images = if images == 0 { self.count.max(1) } else { images };
        match told {
            Some(mut usage) => {
                usage.units = self.units(images);
                (usage, false)
            }
            None => (self.counted(images), is_by_token(target)),
        }
    }

    /// The price at a target: that of the quality and size, unless the operator has set one.
    pub fn price(&self, arrival: &Arrival, target: &Target) -> Option<Price> {
        let catalog = &arrival.snapshot.catalog;
        let listed = target.provider.facts(catalog, &target.model);
        let own = listed.and_then(|facts| facts.price.clone());
        if own != target.price {
            return target.price.clone();
        }
        let kind = &target.provider.kind;
        let said = |text: &str, usual: &'static str| match text {
            "" | "auto" => usual.to_owned(),
            said => said.to_owned(),
        };
        let (quality, size) = (said(&self.quality, "standard"), said(&self.size, "1024x1024"));
        let found = catalog.image(kind, &target.model, &quality, &size);
        found
            .and_then(|model| model.price.clone())
            .or_else(|| target.price.clone())
    }
}

/// Whether a target charges tokens.
pub fn is_by_token(target: &Target) -> bool {
    let kinds = [
        RateKind::Input,
        RateKind::Output,
        RateKind::ImageOutput,
        RateKind::AudioOutput,
    ];
    target.price.as_ref().is_some_and(|price| {
        let rates = kinds.into_iter().filter_map(|kind| price.listed(kind));
        rates.into_iter().any(|rate| rate.per_million().nanodollars() > 0)
    })
}
