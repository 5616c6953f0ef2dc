//! LiteLLM's prices, dollars for one token, as prices of the catalog, dollars for a million: exact, or told.

use pointsman_catalog::{Rate, RateKind};

use super::Import;
use super::deployment::Deployment;
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// LiteLLM's names and the catalog's.
const RATES: [(&str, RateKind); 27] = [
    ("input_cost_per_token", RateKind::Input),
    ("output_cost_per_token", RateKind::Output),
    ("output_cost_per_reasoning_token", RateKind::Reasoning),
    ("cache_read_input_token_cost", RateKind::CacheRead),
    ("input_cost_per_token_cache_hit", RateKind::CacheRead),
    ("cache_read_input_audio_token_cost", RateKind::CacheReadAudio),
    ("cache_read_input_image_token_cost", RateKind::CacheReadImage),
    ("cache_creation_input_token_cost", RateKind::CacheWrite),
    (
        "cache_creation_input_token_cost_above_1hr",
        RateKind::CacheWrite1h,
    ),
    ("input_cost_per_audio_token", RateKind::AudioInput),
    ("output_cost_per_audio_token", RateKind::AudioOutput),
    ("input_cost_per_image_token", RateKind::ImageInput),
    ("output_cost_per_image_token", RateKind::ImageOutput),
    ("input_cost_per_video_token", RateKind::VideoInput),
    ("input_cost_per_request", RateKind::PerRequest),
    ("input_cost_per_query", RateKind::PerQuery),
    ("ocr_cost_per_page", RateKind::PerPage),
    ("input_cost_per_image", RateKind::PerImageInput),
    ("output_cost_per_image", RateKind::PerImageOutput),
    ("input_cost_per_pixel", RateKind::PerPixelInput),
    ("output_cost_per_pixel", RateKind::PerPixelOutput),
    ("input_cost_per_second", RateKind::PerSecondInput),
    ("output_cost_per_second", RateKind::PerSecondOutput),
    ("input_cost_per_audio_per_second", RateKind::PerSecondInput),
    ("input_cost_per_character", RateKind::PerCharacterInput),
    ("output_cost_per_character", RateKind::PerCharacterOutput),
    ("output_cost_per_audio_per_second", RateKind::PerSecondOutput),
];

/// What a price holds for, behind its name.
const TIERS: [(&str, &str); 3] = [
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
];

/// A name of LiteLLM's, understood.
struct Named {
    kind: RateKind,
    tier: Option<&'static str>,
    above: Option<String>,
}

fn named(name: &str) -> Option<Named> {
    let whole = |name: &str| {
        RATES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    };
    let tier = TIERS
        .iter()
        .find_map(|(end, tier)| Some((name.strip_suffix(end)?, *tier)));
    let (name, tier) = tier.map_or((name, None), |(name, tier)| (name, Some(tier)));
    if let Some(kind) = whole(name) {
        return Some(Named {
            kind,
            tier,
            above: None,
        });
    }
    let (start, size) = name.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
    let thousands: u32 = size.parse().ok()?;
    Some(Named {
        kind: whole(start)?,
        tier,
        above: Some(thousands.checked_mul(1_000)?.to_string()),
    })
}

/// The price of a deployment: what its parameters say, then its `model_info`.
pub(super) fn read(import: &mut Import, deployment: &Deployment<'_>) -> Map {
    let mut price = Map::default();
    let places = [deployment.info, Some(deployment.params.own)];
    for (name, item) in places.into_iter().flatten().flat_map(Item::entries) {
        let Some(named) = named(name) else { continue };
        let Some(rate) = rate(import, item, named.kind) else {
            continue;
        };
        let put = |map: &mut Map| match &named.above {
            None => map.set(named.kind.name(), rate.clone()),
            Some(above) => map.update("above", |sizes| {
                sizes.update(above, |rates| rates.set(named.kind.name(), rate.clone()));
            }),
        };
        match named.tier {
            None => put(&mut price),
            Some(tier) => price.update(tier, put),
        }
    }
    price
}

fn rate(import: &mut Import, item: &Item, kind: RateKind) -> Option<Yaml> {
    let Some(number) = item.decimal() else {
        if !item.is_nothing() {
            import
                .draft
                .report
                .lost(item, "it is no amount of dollars", "write the price by hand");
        }
        return None;
    };
    let (text, fits) = if kind.is_each() {
        let text = number.text();
        let fits = Rate::parse_each(&text).is_ok();
        (text, fits)
    } else {
        let text = number.shifted(6).text();
        let fits = Rate::parse(&text).is_ok();
        (text, fits)
    };
    if !fits {
        import.draft.report.lost(
            item,
            "it is finer than a billionth of a dollar for a million, or far too large",
            "write a rounded price by hand",
        );
        return None;
    }
    // More digits than a number of a file surely keeps are written as text.
    Some(if text.len() > 15 {
        Yaml::text(text)
    } else {
        Yaml::plain(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_price_is_for() {
        let said = |name: &str| named(name).map(|named| (named.kind.name(), named.tier, named.above));
        assert_eq!(said("input_cost_per_token"), Some(("input", None, None)));
        assert_eq!(
            said("input_cost_per_token_above_272k_tokens_priority"),
            Some(("input", Some("priority"), Some("272000".to_owned())))
        );
        assert_eq!(
            said("output_cost_per_token_batches"),
            Some(("output", Some("batch"), None))
        );
        assert_eq!(
            said("cache_creation_input_token_cost_above_1hr"),
            Some(("cache_write_1h", None, None))
        );
        for other in [
            "input_cost",
            "input_cost_per_token_above_k_tokens",
            "max_tokens",
            "tiered_pricing",
        ] {
            assert_eq!(said(other), None, "{other}");
        }
    }
}
