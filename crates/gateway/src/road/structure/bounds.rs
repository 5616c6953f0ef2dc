//! Whether checking by a schema takes bounded time. A schema whose references multiply can have more
//! paths through it than anybody can walk.

use std::collections::HashMap;

use serde_json::Value;

/// Most places of a schema, its references followed, that are walked to check a document.
const MAX_WEIGHT: u64 = 100_000;
/// Most ways through what refers to itself.
const MAX_WAYS: u64 = 100_000;

/// How far a schema branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Its places, references followed once.
    weight: u64,
    /// References that lead back to where they stand.
    circles: u64,
}

impl Bounds {
    /// Of a schema.
    pub fn of(schema: &Value) -> Self {
        let mut walk = Walk {
            root: schema,
            known: HashMap::new(),
            circles: 0,
        };
        let weight = walk.weight(schema);
        Self {
            weight,
            circles: walk.circles,
        }
    }

    /// Whether it can be walked at all.
    pub fn hold(self) -> bool {
        self.weight <= MAX_WEIGHT
    }

    /// Whether a document as deep as this one can be checked.
    pub fn hold_for(self, document: &Value) -> bool {
        self.circles.saturating_pow(depth(document)) <= MAX_WAYS
    }
}

struct Walk<'s> {
    root: &'s Value,
    /// Weights of what is referred to; none while it is being weighed.
    known: HashMap<&'s str, Option<u64>>,
    circles: u64,
}

impl<'s> Walk<'s> {
    fn weight(&mut self, schema: &'s Value) -> u64 {
        let inside = match schema {
            Value::Object(fields) => fields.iter().fold(0_u64, |sum, (name, value)| {
                let weight = match (name.as_str(), value) {
                    ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(place)) => self.referred(place),
                    // They count where they are referred to.
                    ("$defs" | "definitions", _) => 0,
                    _ => self.weight(value),
                };
                sum.saturating_add(weight)
            }),
            Value::Array(all) => all
                .iter()
                .fold(0_u64, |sum, value| sum.saturating_add(self.weight(value))),
            _ => 0,
        };
        inside.saturating_add(1)
    }

    fn referred(&mut self, place: &'s str) -> u64 {
        match self.known.get(place) {
            Some(Some(weight)) => return *weight,
            Some(None) => {
                self.circles = self.circles.saturating_add(1);
                return 1;
            }
            None => {}
        }
        let root = self.root;
        let target = match place {
            "#" => Some(root),
            _ => place.strip_prefix('#').and_then(|pointer| root.pointer(pointer)),
        };
        // Anchors and other documents are refused by the checker.
        let Some(target) = target else { return 1 };
        self.known.insert(place, None);
        let weight = self.weight(target);
        self.known.insert(place, Some(weight));
        weight
    }
}

/// How deep a document is. A parsed one is never deeper than the parser lets it be.
fn depth(value: &Value) -> u32 {
    let inside = match value {
        Value::Array(all) => all.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    inside.unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ordinary_schemas_hold_and_those_that_multiply_do_not() {
        let tree = json!({ "$ref": "#/$defs/node", "$defs": { "node": { "properties": { "left": { "$ref": "#/$defs/node" }, "right": { "$ref": "#/$defs/node" } } } } });
        let bounds = Bounds::of(&tree);
        assert!(bounds.hold() && bounds.hold_for(&json!({ "left": { "right": {} } })));
        let deep = (0..40).fold(json!({}), |inside, _| json!({ "left": inside }));
        assert!(!bounds.hold_for(&deep));
        assert!(Bounds::of(&json!({ "type": "object" })).hold_for(&deep));
        let mut defs = json!({ "a0": {} });
        for at in 1..40 {
            let one = json!({ "$ref": format!("#/$defs/a{}", at - 1) });
            defs[format!("a{at}")] = json!({ "anyOf": [one, one] });
        }
        let doubling = json!({ "$ref": "#/$defs/a39", "$defs": defs });
        assert!(!Bounds::of(&doubling).hold());
    }
}
