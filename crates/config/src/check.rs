//! The tree against the schema of the configuration's types: every unknown key, wrong type and missing field at once.

use serde_json::Value as Schema;

use crate::node::{File, Node, Place, Value};
use crate::problem::Problem;

/// Checks a tree.
pub(crate) fn check(root: &Node, schema: &Schema, file: File<'_>) -> Vec<Problem> {
    let mut checker = Checker {
        root: schema,
        file,
        problems: Vec::new(),
    };
    checker.node(root, schema, "");
    checker.problems
}

/// Turns texts that came from variables into the numbers and booleans that the schema wants in their place.
pub(crate) fn coerce(node: &mut Node, root: &Schema, schema: &Schema) {
    let schema = resolve(root, schema);
    if let Some(variants) = schema.get("anyOf").and_then(Schema::as_array) {
        // An optional value: itself, or null.
        let wanted: Vec<&Schema> = variants
            .iter()
            .filter(|variant| variant.get("type").and_then(Schema::as_str) != Some("null"))
            .collect();
        if let [only] = wanted.as_slice() {
            coerce(node, root, only);
        }
        return;
    }
    match &mut node.value {
        Value::Text { text, plain: true } => {
            let types = schema.get("type").map(ToString::to_string).unwrap_or_default();
            if !types.is_empty() && !types.contains("\"string\"") && !types.contains("\"object\"") {
                node.value = crate::document::plain(text);
            }
        }
        Value::List(items) => {
            if let Some(inner) = schema.get("items") {
                items.iter_mut().for_each(|item| coerce(item, root, inner));
            }
        }
        Value::Map(entries) => {
            for (key, _, value) in entries {
                let own = schema.get("properties").and_then(|known| known.get(key.as_str()));
                if let Some(inner) = own.or_else(|| {
                    schema
                        .get("additionalProperties")
                        .filter(|others| others.is_object())
                }) {
                    coerce(value, root, inner);
                }
            }
        }
        _ => {}
    }
}

/// The schema that a reference leads to.
pub(crate) fn resolve<'a>(root: &'a Schema, schema: &'a Schema) -> &'a Schema {
    let mut schema = schema;
    // References may lead to references, but never far.
    for _ in 0..16 {
        let name = schema
            .get("$ref")
            .and_then(Schema::as_str)
            .and_then(|name| name.strip_prefix("#/$defs/"));
        match name.and_then(|name| root.get("$defs")?.get(name)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

struct Checker<'a> {
    root: &'a Schema,
    file: File<'a>,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn node(&mut self, node: &Node, schema: &'a Schema, path: &str) {
        let schema = self.deref(schema);
        if let Some(variants) = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema.get(*key)?.as_array())
        {
            self.variants(node, variants, path);
            return;
        }
        if let Some(all) = schema.get("allOf").and_then(Schema::as_array) {
            all.iter().for_each(|schema| self.node(node, schema, path));
            return;
        }
        if let Some(allowed) = schema.get("enum").and_then(Schema::as_array) {
            self.one_of(node, allowed, path);
            return;
        }
        if let Some(only) = schema.get("const") {
            self.one_of(node, std::slice::from_ref(only), path);
            return;
        }
        if !self.has_type(node, schema, path) {
            return;
        }
        match &node.value {
            Value::Map(entries) => self.fields(node, entries, schema, path),
            Value::List(items) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.node(item, inner, &format!("{path}[{index}]"));
                    }
                }
            }
            Value::Number(number, _) => self.bounds(node, number, schema, path),
            Value::Null | Value::Bool(_) | Value::Text { .. } => {}
        }
    }

    fn deref(&self, schema: &'a Schema) -> &'a Schema {
        resolve(self.root, schema)
    }

    fn has_type(&mut self, node: &Node, schema: &Schema, path: &str) -> bool {
        let types: Vec<&str> = match schema.get("type") {
            None => return true,
            Some(Schema::String(only)) => vec![only],
            Some(Schema::Array(several)) => several.iter().filter_map(Schema::as_str).collect(),
            Some(_) => return true,
        };
        let is = |kind: &&str| match (&node.value, *kind) {
            (Value::Null, "null") | (Value::Bool(_), "boolean") | (Value::Text { .. }, "string") => true,
            (Value::Number(..), "number") => true,
            (Value::Number(number, _), "integer") => !number.is_f64(),
            (Value::List(_), "array") | (Value::Map(_), "object") => true,
            // A block with nothing in it is an empty block.
            (Value::Null, "object" | "array") => true,
            _ => false,
        };
        if types.iter().any(is) {
            return true;
        }
        let wanted: Vec<&str> = types
            .iter()
            .filter(|kind| **kind != "null")
            .map(|kind| in_words(kind))
            .collect();
        let message = format!("expected {}, found {}", wanted.join(" or "), node.describe());
        self.problems.push(self.file.problem(node.place, path, message));
        false
    }

    fn fields(&mut self, node: &Node, entries: &[(String, Place, Node)], schema: &'a Schema, path: &str) {
        let known = schema.get("properties").and_then(Schema::as_object);
        let others = schema.get("additionalProperties");
        let join = |key: &str| {
            if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            }
        };
        for (key, place, value) in entries {
            if let Some(inner) = known.and_then(|known| known.get(key)) {
                self.node(value, inner, &join(key));
            } else if let Some(inner) = others.filter(|others| others.is_object()) {
                self.node(value, inner, &join(key));
            } else if others == Some(&Schema::Bool(false)) {
                let mut problem = self.file.problem(*place, join(key), "unknown key");
                problem.suggestion = nearest(key, known.into_iter().flatten().map(|(name, _)| name.as_str()));
                self.problems.push(problem);
            }
        }
        for name in schema
            .get("required")
            .and_then(Schema::as_array)
            .into_iter()
            .flatten()
            .filter_map(Schema::as_str)
        {
            if !entries.iter().any(|(key, ..)| key == name) {
                self.problems
                    .push(self.file.problem(node.place, join(name), "is missing"));
            }
        }
    }

    fn one_of(&mut self, node: &Node, allowed: &[Schema], path: &str) {
        let json = node.json();
        if allowed.contains(&json) {
            return;
        }
        let names: Vec<&str> = allowed.iter().filter_map(Schema::as_str).collect();
        let mut problem =
            self.file
                .problem(node.place, path, format!("expected one of {}", names.join(", ")));
        problem.suggestion = json.as_str().and_then(|text| nearest(text, names.into_iter()));
        self.problems.push(problem);
    }

    fn bounds(&mut self, node: &Node, number: &serde_json::Number, schema: &Schema, path: &str) {
        let bound = |key: &str| schema.get(key).and_then(Schema::as_f64);
        let value = number.as_f64().unwrap_or(0.0);
        if bound("minimum").is_some_and(|least| value < least)
            || bound("maximum").is_some_and(|most| value > most)
        {
            let least = bound("minimum").map_or(String::new(), |least| format!(" at least {least}"));
            let most = bound("maximum").map_or(String::new(), |most| format!(" at most {most}"));
            self.problems.push(
                self.file
                    .problem(node.place, path, format!("must be{least}{most}")),
            );
        }
    }

    /// Several schemas of which one must fit: the problems told are those of the one that comes closest.
    fn variants(&mut self, node: &Node, variants: &'a [Schema], path: &str) {
        if let Some(allowed) = enumeration(variants) {
            self.one_of(node, &allowed, path);
            return;
        }
        let tagged = match self.tagged(node, variants) {
            Ok(tagged) => tagged,
            Err((tag, known)) => {
                let message = format!("expected one of {}", known.join(", "));
                let mut problem = self.file.problem(tag, format!("{path}.type"), message);
                problem.suggestion =
                    text_of(node.field("type")).and_then(|text| nearest(text, known.into_iter()));
                self.problems.push(problem);
                return;
            }
        };
        let mut best: Option<Vec<Problem>> = None;
        for variant in tagged {
            let mut checker = Checker {
                root: self.root,
                file: self.file,
                problems: Vec::new(),
            };
            checker.node(node, variant, path);
            if checker.problems.is_empty() {
                return;
            }
            let closer = best
                .as_ref()
                .is_none_or(|best| closeness(&checker.problems, node) < closeness(best, node));
            if closer {
                best = Some(checker.problems);
            }
        }
        self.problems.extend(best.into_iter().flatten());
    }

    /// Where the variants are told apart by `type`, only the one of this node's type counts; when there is none, where
    /// the type stands, and those there are.
    fn tagged(&self, node: &Node, variants: &'a [Schema]) -> Result<Vec<&'a Schema>, (Place, Vec<&'a str>)> {
        let Some(text) = text_of(node.field("type")) else {
            return Ok(variants.iter().collect());
        };
        let tag = |schema: &'a Schema| {
            self.deref(schema)
                .get("properties")?
                .get("type")?
                .get("const")?
                .as_str()
        };
        let own: Vec<&Schema> = variants
            .iter()
            .filter(|variant| tag(variant) == Some(text))
            .collect();
        let known: Vec<&str> = variants.iter().filter_map(tag).collect();
        if own.is_empty() && known.len() == variants.len() {
            return Err((node.place_of("type"), known));
        }
        Ok(if own.is_empty() {
            variants.iter().collect()
        } else {
            own
        })
    }
}

/// The text of a node.
fn text_of(node: Option<&Node>) -> Option<&str> {
    match &node?.value {
        Value::Text { text, .. } => Some(text),
        _ => None,
    }
}

/// The names, when every variant is a plain name (an enum whose members have descriptions).
fn enumeration(variants: &[Schema]) -> Option<Vec<Schema>> {
    let mut names = Vec::new();
    for variant in variants {
        match (
            variant.get("const"),
            variant.get("enum").and_then(Schema::as_array),
        ) {
            (Some(name), _) => names.push(name.clone()),
            (None, Some(several)) => names.extend(several.iter().cloned()),
            (None, None) => return None,
        }
    }
    Some(names)
}

/// A variant of which the type fits is closer than one of another type.
fn closeness(problems: &[Problem], node: &Node) -> (bool, usize) {
    let elsewhere = problems.iter().any(|problem| {
        problem.line == node.place.line
            && problem.column == node.place.column
            && problem.message.starts_with("expected")
    });
    (elsewhere, problems.len())
}

fn in_words(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

/// The known name that looks most like `name`, if one does.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let near = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(near, _)| *near > 0.75);
    near.max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known.to_owned())
}
