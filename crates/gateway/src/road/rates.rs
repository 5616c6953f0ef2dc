//! By what a price charges: what an answer does not tell is guessed in the unit that is paid for.

use pointsman_catalog::{Price, RateKind};

/// Whether a price has a rate for one of these kinds.
pub fn has(price: Option<&Price>, kinds: &[RateKind]) -> bool {
    let is_charged = |kind: &RateKind| {
        let rate = price.and_then(|price| price.listed(*kind));
        rate.is_some_and(|rate| rate.per_million().nanodollars() > 0)
    };
    kinds.iter().any(is_charged)
}

/// Whether a price charges tokens.
pub fn has_tokens(price: Option<&Price>) -> bool {
    let kinds = [
        RateKind::Input,
        RateKind::Output,
        RateKind::ImageOutput,
        RateKind::AudioInput,
        RateKind::AudioOutput,
    ];
    has(price, &kinds)
}
