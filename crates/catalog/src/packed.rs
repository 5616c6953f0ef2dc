//! The data files in the binary: unpacking and reading.

use std::io::Read;

use flate2::read::DeflateDecoder;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::listing::Listing;
use crate::model::{Date, Effort, Endpoint, Feature, Kind, Modality, ModelFacts};
use crate::named::Set;
use crate::price::Price;
use crate::provider::Provider;

include!(concat!(env!("OUT_DIR"), "/packed.rs"));

/// A deflated file.
#[derive(Clone, Copy)]
pub struct Packed {
    bytes: &'static [u8],
    length: usize,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It cannot be unpacked.
    #[error(transparent)]
    Packing(#[from] std::io::Error),
    /// It does not say what it should.
    #[error(transparent)]
    Text(#[from] serde_json::Error),
}

impl Packed {
    fn text(self) -> Result<String, std::io::Error> {
        let mut text = String::with_capacity(self.length);
        DeflateDecoder::new(self.bytes).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The providers, in order: those that make models before those that only run them, resellers last.
pub fn providers() -> Result<Vec<Provider>, Unreadable> {
    Ok(serde_json::from_str(&PROVIDERS.text()?)?)
}

/// A line of a models file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    id: &'a str,
    kind: Option<Kind>,
    #[serde(default)]
    variant: bool,
    #[serde(default)]
    aliases: Vec<String>,
    context_window: Option<u64>,
    max_output: Option<u64>,
    price: Option<Price>,
    features: Option<Set<Feature>>,
    input: Option<Set<Modality>>,
    output: Option<Set<Modality>>,
    efforts: Option<Set<Effort>>,
    endpoints: Option<Set<Endpoint>>,
    cache_minimum: Option<u32>,
    dimensions: Option<u32>,
    deprecated: Option<Date>,
    successor: Option<String>,
    /// Where the facts were read: for people, not kept.
    #[serde(rename = "source")]
    _source: Option<IgnoredAny>,
}

/// The models of a file.
pub fn listing(packed: Packed) -> Result<Listing, Unreadable> {
    let text = packed.text()?;
    let lines: Vec<Line<'_>> = serde_json::from_str(&text)?;
    Ok(Listing::new(lines.into_iter().map(|line| {
        let facts = ModelFacts {
            kind: line.kind,
            aliases: Vec::new(),
            context_window: line.context_window,
            max_output: line.max_output,
            price: line.price,
            features: line.features,
            input: line.input,
            output: line.output,
            efforts: line.efforts,
            endpoints: line.endpoints,
            cache_minimum: line.cache_minimum,
            dimensions: line.dimensions,
            deprecated: line.deprecated,
            successor: line.successor,
        };
        let mut model = facts.over(line.id, None);
        model.variant = line.variant;
        (model, line.aliases)
    })))
}
