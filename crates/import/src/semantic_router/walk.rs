//! What is the same language here and there: taken as it is, as far as the schema knows it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Schema;

use crate::draft::Draft;
use crate::source::{Content, Item};
use crate::variables::variable_name;
use crate::yaml::{Map, Yaml};

/// Keys whose values are secrets.
const SECRETS: [&str; 5] = ["api_key", "password", "auth_token", "access_key", "secret"];
/// Older names of the response cache.
const CACHE: [&str; 3] = ["semantic-cache", "semantic_cache", "response-cache"];

/// Paths of files that belong to the configuration.
const PATHS: [&str; 2] = ["kbs[].source.path", ".tools_db_path"];
/// How far up from the file those are looked for.
const LEVELS: usize = 8;

/// Takes values over.
pub(super) struct Walk<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) schema: &'a Schema,
    /// How much models reason where nothing else is said.
    pub(super) reasoning: Option<&'a str>,
    /// Addresses of stores of vectors that the cache has, by their kinds.
    pub(super) stores: &'a BTreeMap<&'static str, String>,
    /// What decisions remember of users, where they say nothing themselves.
    pub(super) memory: Option<&'a Map>,
    /// Models elsewhere that classifiers ask, each with how long it may take.
    pub(super) externals: &'a BTreeMap<String, Option<u64>>,
    /// Whether what happens is learned from.
    pub(super) learns: bool,
}

impl<'a> Walk<'a> {
    /// A value, as a definition of the schema has it; nothing where there is nothing in it.
    pub(super) fn named(&mut self, item: &Item, definition: &str) -> Option<Yaml> {
        let root: &'a Schema = self.schema;
        let schema = root.get("$defs").and_then(|all| all.get(definition));
        self.value(item, schema)
    }

    /// A value; without a schema as it is.
    fn value(&mut self, item: &Item, schema: Option<&Schema>) -> Option<Yaml> {
        let schema = schema.and_then(|schema| self.fit(item, schema));
        match &item.content {
            Content::Null => {
                item.accept();
                None
            }
            Content::Scalar(text, quoted) => {
                item.accept();
                Some(self.scalar(item, text, *quoted, schema.as_ref()))
            }
            Content::List(items) => {
                item.accept();
                let inner = schema.as_ref().and_then(|schema| schema.get("items")).cloned();
                let values: Vec<Yaml> = items
                    .iter()
                    .filter_map(|item| self.value(item, inner.as_ref()))
                    .collect();
                Some(Yaml::list(values))
            }
            Content::Map(entries) => {
                item.accept();
                let map = self.map(entries, schema.as_ref());
                let map = if item.shape.ends_with("modelRefs[]") {
                    self.reference(map)
                } else if item.shape.ends_with("classifiers[]") {
                    super::classifiers::settled(self, item, map)
                } else if item.shape.ends_with("plugins[]") {
                    let map = super::images::settled(self, item, map);
                    let map = super::lookups::settled(self, item, map);
                    super::memory::settled(self, item, map)
                } else {
                    map
                };
                Some(Yaml::Map(map))
            }
        }
    }

    fn map(&mut self, entries: &[(String, Item)], schema: Option<&Schema>) -> Map {
        let known = schema.and_then(|schema| schema.get("properties")).cloned();
        let others = schema
            .and_then(|schema| schema.get("additionalProperties"))
            .cloned();
        let closed = others == Some(Schema::Bool(false));
        let mut map = Map::default();
        for (key, item) in entries {
            let own = known.as_ref().and_then(|known| known.get(key));
            if own.is_none() && closed {
                let near = known.as_ref().and_then(|known| nearest(key, known));
                let instead =
                    near.map_or_else(String::new, |near| format!("write {near}, if that was meant"));
                self.draft
                    .report
                    .lost(item, "the language has no such key", instead);
                continue;
            }
            if SECRETS.contains(&key.as_str()) && self.is_secret(item) {
                let wish = variable_name(&item.path.replace(['[', ']'], ""));
                let variables = &mut self.draft.variables;
                map.set(key, variables.in_place_of(item, &wish, &mut self.draft.report));
                continue;
            }
            let own = own.or(others.as_ref().filter(|others| others.is_object()));
            map.put(key, self.value(item, own));
        }
        map
    }

    /// Whether a value is a secret in clear text: a text, and no variable.
    fn is_secret(&self, item: &Item) -> bool {
        matches!(&item.content, Content::Scalar(text, true) if !text.is_empty() && !text.starts_with('$'))
    }

    fn scalar(&mut self, item: &Item, text: &str, quoted: bool, schema: Option<&Schema>) -> Yaml {
        let kinds = schema
            .and_then(|schema| schema.get("type"))
            .map(ToString::to_string)
            .unwrap_or_default();
        let wants = |kind: &str| kinds.contains(&format!("\"{kind}\""));
        if CACHE.contains(&text) && item.shape.ends_with("plugins[].type") {
            return Yaml::text("response_cache");
        }
        if PATHS.iter().any(|path| item.shape.ends_with(path)) {
            return Yaml::text(beside(&item.file, text));
        }
        if !quoted && !kinds.is_empty() && wants("string") && !wants("number") && !wants("boolean") {
            return Yaml::text(text);
        }
        let numeric =
            (wants("number") || wants("integer")) && !wants("string") && text.parse::<f64>().is_ok();
        if !quoted || numeric {
            return Yaml::plain(text);
        }
        // What tools are given is filled in for each request.
        if item.shape.contains("tool_arguments") {
            return Yaml::text(text);
        }
        self.expanded(text)
    }

    /// A text with its variables.
    pub(super) fn expanded(&mut self, text: &str) -> Yaml {
        expanded(self.draft, text)
    }

    /// A reference to a model: no reasoning unless it is asked for, and as much as is usual where nothing is said.
    fn reference(&self, mut map: Map) -> Map {
        let is = |map: &Map, key: &str, value: &str| map.get(key) == Some(&Yaml::plain(value));
        if map.get("use_reasoning").is_none() && map.get("reasoning_mode").is_none() {
            map.set("use_reasoning", Yaml::plain(false));
        }
        if let Some(effort) = self.reasoning
            && is(&map, "use_reasoning", "true")
            && map.get("reasoning_effort").is_none()
        {
            map.set("reasoning_effort", Yaml::text(effort));
        }
        if is(&map, "weight", "0") || is(&map, "weight", "0.0") {
            map.remove("weight");
        }
        map
    }

    /// The schema that holds for a value: where references lead, and of several the one that fits.
    fn fit(&self, item: &Item, schema: &Schema) -> Option<Schema> {
        let mut schema = schema;
        for _ in 0..16 {
            if let Some(name) = schema.get("$ref").and_then(Schema::as_str) {
                schema = self.schema.get("$defs")?.get(name.strip_prefix("#/$defs/")?)?;
                continue;
            }
            let several = ["anyOf", "oneOf"]
                .iter()
                .find_map(|key| schema.get(*key)?.as_array());
            let Some(several) = several else {
                return Some(schema.clone());
            };
            let no_null = |one: &&Schema| one.get("type").and_then(Schema::as_str) != Some("null");
            let some: Vec<&Schema> = several.iter().filter(no_null).collect();
            let tag = item.get("type").and_then(Item::peek);
            let tagged = |one: &&Schema| {
                let known = one.pointer("/properties/type/const").and_then(Schema::as_str);
                known.is_some() && known == tag
            };
            let only = some.first().filter(|_| some.len() == 1);
            schema = match only {
                Some(only) => *only,
                None => some.iter().copied().find(tagged)?,
            };
        }
        None
    }
}

/// A text with its variables: `${NAME}`, `${NAME:-default}` and `$NAME`.
pub(super) fn expanded(draft: &mut Draft, text: &str) -> Yaml {
    let mut out = String::new();
    let mut found = false;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let (name, default, after) = match braced {
            Some((inner, after)) => match inner.split_once(":-").or_else(|| inner.split_once('-')) {
                Some((name, default)) => (name, Some(default), after),
                None => (inner, None, after),
            },
            None => (&rest[..length], None, &rest[length..]),
        };
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            // Twice stands for itself.
            let twice = rest.strip_prefix('$');
            out.push_str(if twice.is_some() || rest.starts_with('{') {
                "$$"
            } else {
                "$"
            });
            rest = twice.unwrap_or(rest);
            continue;
        }
        found = true;
        match default {
            Some(default) => out.push_str(&format!("${{{name}:-{default}}}")),
            None => {
                drop(draft.variables.known(name));
                out.push_str(&format!("${{{name}}}"));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    if found {
        Yaml::Variable(out)
    } else {
        Yaml::text(text.replace("$$", "$"))
    }
}

/// The known key that looks most like one.
fn nearest(key: &str, known: &Schema) -> Option<String> {
    let plain = |key: &str| key.to_ascii_lowercase().replace(['_', '-'], "");
    let known = known.as_object()?.keys();
    let same = known.into_iter().find(|known| plain(known) == plain(key));
    same.cloned()
}

/// A path as it is found from the source: in its folder or one above it; as it is where it is in none.
pub(super) fn beside(file: &str, path: &str) -> String {
    let folders = Path::new(file).ancestors().skip(1).take(LEVELS);
    let found = folders
        .map(|folder| folder.join(path))
        .find(|found| found.exists());
    found.map_or_else(|| path.to_owned(), |found| found.display().to_string())
}
