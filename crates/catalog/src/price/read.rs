//! Reading and describing a price as people write it: rates by name, `above` a prompt size, per service tier.
//!
//! ```json
//! {"input": 1.25, "output": 10, "above": {"200000": {"input": 2.5}}, "batch": {"input": 0.625}, "per_search": 0.01}
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Entry, Price, ServiceTier};
use crate::rate::{Rate, RateKind, RateSeed};

/// The tiers that have a block of their own.
const BLOCKS: [ServiceTier; 3] = [ServiceTier::Batch, ServiceTier::Flex, ServiceTier::Priority];

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entries = Vec::new();
        let rates = Rates {
            entries: &mut entries,
            tier: ServiceTier::Standard,
            above: 0,
            level: Level::Top,
        };
        rates.deserialize(deserializer)?;
        Ok(Self::new(entries))
    }
}

/// How deep a block of rates is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The price itself: may have tiers and sizes.
    Top,
    /// A tier: may have sizes.
    Tier,
    /// A size.
    Size,
}

/// Reads a block of rates.
struct Rates<'a> {
    entries: &'a mut Vec<Entry>,
    tier: ServiceTier,
    above: u32,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for Rates<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Rates<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rates by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if let Some(kind) = RateKind::from_name(&key) {
                let rate = map.next_value_seed(RateSeed { kind })?;
                self.entries.push(Entry {
                    kind,
                    tier: self.tier,
                    above: self.above,
                    rate,
                });
                continue;
            }
            let tier = BLOCKS.into_iter().find(|tier| tier.name() == key);
            match tier {
                Some(tier) if self.level == Level::Top => map.next_value_seed(Rates {
                    entries: &mut *self.entries,
                    tier,
                    above: 0,
                    level: Level::Tier,
                })?,
                None if key == "above" && self.level != Level::Size => map.next_value_seed(Sizes {
                    entries: &mut *self.entries,
                    tier: self.tier,
                })?,
                _ => {
                    let known: Vec<&str> = RateKind::ALL.iter().map(|kind| kind.name()).collect();
                    return Err(de::Error::custom(format!(
                        "{key:?} is no rate here; there are {}",
                        known.join(", ")
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Reads blocks of rates by the size of the prompt above which they hold.
struct Sizes<'a> {
    entries: &'a mut Vec<Entry>,
    tier: ServiceTier,
}

impl<'de> DeserializeSeed<'de> for Sizes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Sizes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rates by the number of prompt tokens above which they hold")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let above = key.parse().ok().filter(|above| *above > 0).ok_or_else(|| {
                de::Error::custom(format!(
                    "{key:?} is no number of prompt tokens; write it like 200000"
                ))
            })?;
            map.next_value_seed(Rates {
                entries: &mut *self.entries,
                tier: self.tier,
                above,
                level: Level::Size,
            })?;
        }
        Ok(())
    }
}

impl Serialize for Price {
    /// As it is read. Rates are texts: no digit is lost on the way.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = block(self, ServiceTier::Standard);
        for tier in BLOCKS {
            let rates = block(self, tier);
            if !rates.is_empty() {
                all.insert(tier.name().to_owned(), Value::Object(rates));
            }
        }
        all.serialize(serializer)
    }
}

/// The rates of a tier.
fn block(price: &Price, tier: ServiceTier) -> Map<String, Value> {
    let mut sizes: BTreeMap<u32, Map<String, Value>> = BTreeMap::new();
    for entry in price.entries().iter().filter(|entry| entry.tier == tier) {
        let text = if entry.kind.is_each() {
            entry.rate.each_decimal()
        } else {
            entry.rate.per_million().usd_decimal()
        };
        let rates = sizes.entry(entry.above).or_default();
        rates.insert(entry.kind.name().to_owned(), Value::String(text));
    }
    let mut rates = sizes.remove(&0).unwrap_or_default();
    if !sizes.is_empty() {
        let above = sizes
            .into_iter()
            .map(|(above, rates)| (above.to_string(), Value::Object(rates)));
        rates.insert("above".to_owned(), Value::Object(above.collect()));
    }
    rates
}

impl JsonSchema for Price {
    fn schema_name() -> Cow<'static, str> {
        "CatalogPrice".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rate = generator.subschema_for::<Rate>();
        let mut rates = Map::new();
        for kind in RateKind::ALL {
            rates.insert(kind.name().to_owned(), rate.clone().to_value());
        }
        let sizes = json_schema!({
            "description": "Rates by the number of prompt tokens above which they hold for the whole request.",
            "type": "object",
            "additionalProperties": { "type": "object", "properties": rates.clone(), "additionalProperties": false },
        });
        let mut tier = rates;
        tier.insert("above".to_owned(), sizes.to_value());
        let mut top = tier.clone();
        for name in BLOCKS.map(ServiceTier::name) {
            let block =
                json_schema!({ "type": "object", "properties": tier.clone(), "additionalProperties": false });
            top.insert(name.to_owned(), block.to_value());
        }
        json_schema!({
            "description": "Dollars: tokens for a million, what is called per_… for one.",
            "type": "object",
            "properties": top,
            "additionalProperties": false,
        })
    }
}
