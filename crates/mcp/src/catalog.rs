//! What servers have: tools, resources, templates and prompts; many lists made one, without clashes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::Value;

use crate::check;
use crate::config::Prefix;
use crate::judge::{Verdict, Verdicts};
use crate::message::{Object, Raw};
use crate::meta::{self, Mirrored};
use crate::search::Described;

/// A sort of things that servers list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tools.
    Tools,
    /// Resources.
    Resources,
    /// Templates of resources' URIs.
    Templates,
    /// Prompts.
    Prompts,
}

/// All sorts.
pub const KINDS: [Kind; 4] = [Kind::Tools, Kind::Resources, Kind::Templates, Kind::Prompts];

impl Kind {
    /// The method that lists them.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// The sort that a method lists.
    #[must_use]
    pub fn listed_by(method: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.method() == method)
    }

    /// The field of the list in a result.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The field by which one is called.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The capability of a server that has them.
    #[must_use]
    pub fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources | Self::Templates => "resources",
            Self::Prompts => "prompts",
        }
    }

    /// The sorts that a notification says have changed.
    #[must_use]
    pub fn changed_by(method: &str) -> &'static [Self] {
        match method {
            "notifications/tools/list_changed" => &[Self::Tools],
            "notifications/resources/list_changed" => &[Self::Resources, Self::Templates],
            "notifications/prompts/list_changed" => &[Self::Prompts],
            _ => &[],
        }
    }

    /// The notification that says that they have changed.
    #[must_use]
    pub fn changes(self) -> Option<&'static str> {
        match self {
            Self::Tools => Some("notifications/tools/list_changed"),
            Self::Resources => Some("notifications/resources/list_changed"),
            Self::Templates => None,
            Self::Prompts => Some("notifications/prompts/list_changed"),
        }
    }

    /// Whether names are URIs.
    #[must_use]
    pub fn is_uri(self) -> bool {
        matches!(self, Self::Resources | Self::Templates)
    }
}

/// What the gateway's own way to a user's consent is called.
const ENTRANCE: &str = "authorize";

/// One thing that a server lists.
#[derive(Debug)]
pub struct Item {
    /// What its server calls it.
    pub name: String,
    /// Its definition.
    pub object: Object,
    /// Of a tool: parameters that are repeated in headers.
    pub mirrored: Vec<Mirrored>,
    /// Whether it is the gateway's own: the way to a user's consent, where a server wants that first.
    pub is_entrance: bool,
    checker: OnceLock<Option<Validator>>,
    verdicts: Mutex<Verdicts>,
}

impl Item {
    /// Reads a definition.
    ///
    /// # Errors
    /// Why it must not be shown.
    pub fn read(kind: Kind, raw: &Raw) -> Result<Self, String> {
        let object = Object::parse(raw.get()).map_err(|error| error.to_string())?;
        let name = object
            .text(kind.key())
            .filter(|name| !name.is_empty())
            .ok_or_else(|| format!("it has no {}", kind.key()))?;
        let mirrored = match object.get("inputSchema") {
            Some(schema) if kind == Kind::Tools && schema.get().contains("x-mcp-header") => {
                let schema: Value = serde_json::from_str(schema.get()).map_err(|error| error.to_string())?;
                meta::mirrored(&schema).map_err(|why| format!("{name}: {why}"))?
            }
            _ => Vec::new(),
        };
        Ok(Self {
            name,
            object,
            mirrored,
            is_entrance: false,
            checker: OnceLock::new(),
            verdicts: Mutex::default(),
        })
    }

    /// The tool that stands in for those of a server that wants a user's consent first.
    #[must_use]
    pub fn entrance(server: &str) -> Self {
        let mut object = Object::default();
        let about = format!(
            "{server} wants to be let in: call this, and have the user open the page that it names. Its tools are there behind that."
        );
        object.set("name", ENTRANCE);
        object.set("title", &format!("Connect to {server}"));
        object.set("description", &about);
        object.set(
            "inputSchema",
            &serde_json::json!({ "type": "object", "properties": {} }),
        );
        object.set("annotations", &serde_json::json!({ "readOnlyHint": true }));
        Self {
            name: ENTRANCE.to_owned(),
            object,
            mirrored: Vec::new(),
            is_entrance: true,
            checker: OnceLock::new(),
            verdicts: Mutex::default(),
        }
    }

    /// What checks the arguments of a tool; none where its schema cannot be used.
    #[must_use]
    pub fn checker(&self) -> Option<&Validator> {
        self.checker.get_or_init(|| check::checker(&self.object)).as_ref()
    }

    /// What these guardrails have said of its definition.
    #[must_use]
    pub fn verdict(&self, which: u64) -> Option<Verdict> {
        self.verdicts.lock().of(which)
    }

    /// Keeps what these guardrails say of its definition.
    pub fn keep_verdict(&self, which: u64, verdict: &Verdict) {
        self.verdicts.lock().keep(which, verdict);
    }
}

/// What one server lists.
pub type List = Arc<Vec<Arc<Item>>>;

/// A thing as clients see it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The place of its server among those that were merged.
    pub server: usize,
    /// What clients call it.
    pub shown: String,
    /// What it is.
    pub item: Arc<Item>,
    /// Its definition as clients see it.
    pub text: Raw,
}

impl Entry {
    /// As it is searched for.
    #[must_use]
    pub fn described(&self) -> Described {
        let object = &self.item.object;
        let said = [object.text("title"), object.text("description")];
        let schema = object.object("inputSchema");
        let parameters = schema.and_then(|schema| schema.object("properties"));
        Described {
            server: self.server,
            name: self.item.name.clone(),
            description: said.into_iter().flatten().collect::<Vec<_>>().join(". "),
            parameters: parameters
                .iter()
                .flat_map(Object::iter)
                .map(|(name, _)| name.to_owned())
                .collect(),
        }
    }
}

/// The lists of several servers as one.
#[derive(Debug, Default)]
pub struct Merged {
    /// Things, server by server.
    pub entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    /// Things that other servers' hide, because they have the same name.
    pub hidden: Vec<(usize, String)>,
}

impl Merged {
    /// What clients call `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).and_then(|at| self.entries.get(*at))
    }

    /// What clients call that which `server` calls `name`.
    #[must_use]
    pub fn shown(&self, server: usize, name: &str) -> Option<&str> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.server == server && entry.item.name == name);
        entry.map(|entry| entry.shown.as_str())
    }
}

/// A name with that of its server before it.
#[must_use]
pub fn prefixed(kind: Kind, server: &str, name: &str) -> String {
    let between = if kind.is_uri() { '+' } else { '_' };
    format!("{server}{between}{name}")
}

/// Makes several lists one. The names of servers hold no `_` and no `+`, so that two prefixed names are never the same.
#[must_use]
pub fn merge(kind: Kind, prefix: Prefix, lists: &[(&str, List)]) -> Merged {
    merge_as(kind, prefix, lists, |_, _| None)
}

/// The same, with names of its own for what `called` says (by server, and by what that calls it).
#[must_use]
pub fn merge_as<'a>(
    kind: Kind,
    prefix: Prefix,
    lists: &[(&str, List)],
    called: impl Fn(&str, &str) -> Option<&'a str>,
) -> Merged {
    let all = || {
        lists
            .iter()
            .enumerate()
            .flat_map(|(at, (_, list))| list.iter().map(move |item| (at, item)))
    };
    let mut owners: HashMap<&str, HashSet<usize>> = HashMap::new();
    for (at, item) in all() {
        owners.entry(&item.name).or_default().insert(at);
    }
    // A prefixed name may be the plain name of another: then that one is prefixed, too.
    let with_prefix = |at: usize, name: &str| match prefix {
        Prefix::Always => true,
        Prefix::Never => false,
        Prefix::Clash => {
            owners.get(name).is_some_and(|owners| owners.len() > 1)
                || lists.iter().enumerate().any(|(other, (server, _))| {
                    let between = if kind.is_uri() { '+' } else { '_' };
                    other != at
                        && name
                            .strip_prefix(server)
                            .and_then(|rest| rest.strip_prefix(between))
                            .is_some_and(|rest| owners.contains_key(rest))
                })
        }
    };
    let mut merged = Merged::default();
    for (at, item) in all() {
        let shown = match called(lists[at].0, &item.name) {
            Some(name) => name.to_owned(),
            None if with_prefix(at, &item.name) => prefixed(kind, lists[at].0, &item.name),
            None => item.name.clone(),
        };
        if merged.by_name.contains_key(&shown) {
            merged.hidden.push((at, item.name.clone()));
            continue;
        }
        let mut object = item.object.clone();
        if shown != item.name {
            object.set(kind.key(), &shown);
        }
        merged.by_name.insert(shown.clone(), merged.entries.len());
        merged.entries.push(Entry {
            server: at,
            shown,
            item: Arc::clone(item),
            text: object.raw(),
        });
    }
    merged
}

/// Whether a URI is one of a template's: what stands between its expressions is there, in this order.
#[must_use]
pub fn fits(template: &str, uri: &str) -> bool {
    let Some((first, mut rest)) = template.split_once('{') else {
        return template == uri;
    };
    let Some(mut left) = uri.strip_prefix(first) else {
        return false;
    };
    loop {
        let Some((_, after)) = rest.split_once('}') else {
            return false;
        };
        let Some((literal, next)) = after.split_once('{') else {
            return left.len() > after.len() && left.ends_with(after);
        };
        if !literal.is_empty() {
            let Some(at) = left.find(literal) else {
                return false;
            };
            left = &left[at + literal.len()..];
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> List {
        let item = |name: &&str| {
            let raw =
                serde_json::value::to_raw_value(&serde_json::json!({"name": name, "uri": name, "z": 1}))
                    .unwrap();
            Arc::new(Item::read(Kind::Tools, &raw).unwrap())
        };
        Arc::new(names.iter().map(item).collect())
    }

    fn names(prefix: Prefix, lists: &[(&str, List)]) -> Vec<String> {
        let merged = merge(Kind::Tools, prefix, lists);
        for entry in &merged.entries {
            assert_eq!(merged.find(&entry.shown).unwrap().item.name, entry.item.name);
        }
        merged.entries.into_iter().map(|entry| entry.shown).collect()
    }

    #[test]
    fn names_never_clash() {
        let lists = [("a", list(&["x", "b_x"])), ("b", list(&["x", "y"]))];
        assert_eq!(names(Prefix::Always, &lists), ["a_x", "a_b_x", "b_x", "b_y"]);
        assert_eq!(names(Prefix::Clash, &lists), ["a_x", "a_b_x", "b_x", "y"]);
        assert_eq!(names(Prefix::Never, &lists), ["x", "b_x", "y"]);
        let merged = merge(Kind::Tools, Prefix::Never, &lists);
        assert_eq!(merged.hidden, [(1, "x".to_owned())]);
        assert_eq!(merged.find("x").unwrap().server, 0);
        // A server that lists a name twice has it once.
        assert_eq!(names(Prefix::Clash, &[("a", list(&["x", "x"]))]), ["x"]);
    }

    #[test]
    fn definitions_keep_what_is_not_known() {
        let merged = merge(Kind::Tools, Prefix::Always, &[("a", list(&["x"]))]);
        assert_eq!(merged.entries[0].text.get(), r#"{"name":"a_x","uri":"x","z":1}"#);
    }

    #[test]
    fn uris_fit_their_templates() {
        for (template, uri, expected) in [
            ("test://t/{id}/data", "test://t/7/data", true),
            ("test://t/{id}/data", "test://t//data", false),
            ("test://t/{id}/data", "test://t/7/date", false),
            ("file:///{+path}", "file:///a/b", true),
            ("a://{x}-{y}", "a://1-2", true),
            ("a://{x}-{y}", "a://12", false),
            ("a://b", "a://b", true),
            ("a://{x", "a://b", false),
        ] {
            assert_eq!(fits(template, uri), expected, "{template} {uri}");
        }
    }
}
