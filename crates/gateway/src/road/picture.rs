//! What pictures cost: by their tokens where the provider tells them, else by the piece, as quality and size say.

use pointsman_catalog::{Catalog, Price, RateKind};
use pointsman_wire::form::{Units, Usage};
use pointsman_wire::metered;

use super::rates;
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
        self.in_tokens(self.count.clamp(1, MOST))
    }

    /// `count` images, in tokens and in pieces: a price with rates for both charges the tokens.
    fn in_tokens(&self, count: u64) -> Usage {
        let each = match self.quality.as_str() {
            "low" => 408,
            "medium" => 1_584,
            _ => DEAREST,
        };
        let mut usage = self.in_pieces(count);
        usage.output = each * count;
        usage.image_output = usage.output;
        usage.image_input = self.given * 1_024;
        usage.input += usage.image_input;
        usage
    }

    /// What is known without the provider: pieces and sizes.
    fn in_pieces(&self, count: u64) -> Usage {
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

    /// What was used, given what the provider told, how many images came, and what is paid for; and whether that had
    /// to be guessed.
    pub fn used(&self, (told, images): (Option<Usage>, u64), price: Option<&Price>) -> (Usage, bool) {
        let images = if images == 0 { self.count.max(1) } else { images };
        let pieces = [RateKind::PerImageOutput, RateKind::PerPixelOutput];
        match told {
            Some(mut usage) => {
                usage.units = self.units(images);
                (usage, false)
            }
            None if rates::has(price, &pieces) => (self.in_pieces(images), rates::has_tokens(price)),
            None if rates::has_tokens(price) => (self.in_tokens(images.min(MOST)), true),
            None => (self.in_pieces(images), false),
        }
    }

    /// The price at a target: the operator's, or the catalog's rates for tokens and for images of this quality and
    /// size. Where tokens are told, they pay for the images.
    pub fn price(&self, catalog: &Catalog, target: &Target) -> Option<Price> {
        let listed = target.provider.facts(catalog, &target.model);
        if target.price != listed.and_then(|facts| facts.price.clone()) {
            return target.price.clone();
        }
        let (quality, size) = (said(&self.quality, "standard"), said(&self.size, "1024x1024"));
        let found = catalog.image(&target.provider.kind, &target.model, quality, size);
        let of_size = found.and_then(|model| model.price.clone());
        match (&target.price, of_size) {
            (Some(own), Some(of_size)) => {
                let both = own.entries().iter().chain(of_size.entries());
                Some(Price::new(both.copied()))
            }
            (own, of_size) => of_size.or_else(|| own.clone()),
        }
    }
}

/// What the client said, or what is usual.
fn said<'a>(text: &'a str, usual: &'a str) -> &'a str {
    match text {
        "" | "auto" => usual,
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use pointsman_catalog::ServiceTier;

    use super::*;

    fn price(model: &str, quality: &str) -> Option<Price> {
        let catalog = Catalog::embedded();
        let own = catalog
            .model("openai", model)
            .and_then(|model| model.price.clone())?;
        let found = catalog.image("openai", model, quality, "1024x1024");
        let of_size = found.and_then(|model| model.price.clone())?;
        Some(Price::new(own.entries().iter().chain(of_size.entries()).copied()))
    }

    #[test]
    fn tokens_that_are_told_pay_for_the_images_and_pieces_where_none_are() {
        let order = Order {
            count: 2,
            quality: "low".to_owned(),
            ..Order::default()
        };
        let price = price("gpt-image-1", "low").unwrap();
        let told = Usage {
            input: 3,
            output: 544,
            image_output: 544,
            ..Usage::default()
        };
        let (usage, estimated) = order.used((Some(told), 2), Some(&price));
        assert!(!estimated);
        assert_eq!(
            price.cost(&usage, ServiceTier::Standard).nanodollars(),
            3 * 5_000 + 544 * 40_000
        );
        let (usage, estimated) = order.used((None, 2), Some(&price));
        assert!(estimated);
        assert_eq!(
            price.cost(&usage, ServiceTier::Standard).nanodollars(),
            2 * 11_000_000
        );
    }

    #[test]
    fn tokens_are_guessed_where_nothing_else_is_paid_for() {
        let order = Order {
            count: 1,
            quality: "medium".to_owned(),
            ..Order::default()
        };
        let catalog = Catalog::embedded();
        let price = catalog.model("openai", "gpt-image-2").unwrap().price.clone();
        let (usage, estimated) = order.used((None, 1), price.as_ref());
        assert_eq!((usage.image_output, estimated), (1_584, true));
        assert_eq!(order.used((None, 1), None).0.image_output, 0);
    }
}
