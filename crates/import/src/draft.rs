//! The result in the making: its blocks, and what is checked when it is done.

use std::rc::Rc;

use pointsman_catalog::Catalog;
use pointsman_config::{Environment, Problem};

use crate::hints::Hints;
use crate::report::Report;
use crate::source::Item;
use crate::variables::Variables;
use crate::yaml::{Map, Noted, Yaml};

/// A configuration that was carried over.
#[derive(Debug, Clone)]
pub struct Imported {
    /// pointsman.yaml.
    pub yaml: String,
    /// What could not be carried over, and how.
    pub report: Report,
    /// What `pointsman check` would say of it, were all variables set: the source itself holds what cannot work.
    pub problems: Vec<Problem>,
}

/// Blocks in the order in which they are written.
const BLOCKS: [&str; 17] = [
    "listeners",
    "server",
    "upstream",
    "providers",
    "models",
    "catalog",
    "routing",
    "understanding",
    "mcp",
    "guardrails",
    "cache",
    "responses",
    "prompts",
    "limits",
    "identity",
    "telemetry",
    "stores",
];

/// The result in the making.
pub(crate) struct Draft {
    pub(crate) catalog: &'static Catalog,
    /// Every block by its name.
    pub(crate) blocks: Map,
    pub(crate) report: Report,
    pub(crate) variables: Variables,
}

impl Draft {
    pub(crate) fn new() -> Self {
        let mut blocks = Map::default();
        for block in BLOCKS {
            blocks.set(block, Yaml::Map(Map::default()));
        }
        Self {
            catalog: Catalog::embedded(),
            blocks,
            report: Report::default(),
            variables: Variables::default(),
        }
    }

    /// Changes a block.
    pub(crate) fn block(&mut self, name: &str, change: impl FnOnce(&mut Map)) {
        self.blocks.update(name, change);
    }

    /// The name of the provider with these settings: one that is there already, or a new one named after `wish`.
    pub(crate) fn provider(&mut self, wish: &str, provider: Map, note: String) -> String {
        let Some(Yaml::Map(known)) = self.blocks.get("providers") else {
            return wish.to_owned();
        };
        let same = |name: &&str| known.get(name) == Some(&Yaml::Map(provider.clone()));
        if let Some(name) = known.keys().find(same) {
            return name.to_owned();
        }
        let mut name = wish.to_owned();
        let mut number = 1;
        while known.get(&name).is_some() {
            number += 1;
            name = format!("{wish}-{number}");
        }
        self.block("providers", |providers| {
            providers.noted(&name, Noted::from(Yaml::Map(provider)).note(note));
        });
        name
    }

    /// Tells of everything that nobody read.
    pub(crate) fn sweep(&mut self, root: &Item, hints: &Hints) {
        let mut unread = Vec::new();
        root.unread(&mut unread);
        for item in unread {
            let (why, instead) = hints.of(&item.shape);
            self.report.lost(item, why, instead);
        }
    }

    /// The result, checked.
    pub(crate) fn finish(mut self, main: &Rc<str>, kind: &str) -> Imported {
        self.report.sort(main);
        self.report.variables = self.variables.names();
        let mut written = Map::default();
        for block in BLOCKS {
            match self.blocks.get(block) {
                Some(Yaml::Map(map)) if map.is_empty() => {}
                // Kept by name, written as a list.
                Some(Yaml::Map(map)) if block == "guardrails" => written.set(block, map.values()),
                Some(_) => written.take(block, &self.blocks),
                None => {}
            }
        }
        let yaml = format!("{}\n{}", head(kind, &self.report), written.document());
        let problems = check(&yaml, &self.report.variables);
        Imported {
            yaml,
            report: self.report,
            problems,
        }
    }
}

/// The comment at the top.
fn head(kind: &str, report: &Report) -> String {
    let mut head = format!("# Carried over from {kind} by `pointsman import`.\n");
    if !report.variables.is_empty() {
        head.push_str("# It needs these environment variables:\n");
        let mut line = String::from("#  ");
        for name in &report.variables {
            if line.len() + name.len() > 100 {
                head.push_str(&line);
                head.push('\n');
                line = String::from("#  ");
            }
            line.push(' ');
            line.push_str(name);
        }
        head.push_str(&line);
        head.push('\n');
    }
    head
}

/// What would be wrong with the result if all its variables were set.
fn check(yaml: &str, variables: &[String]) -> Vec<Problem> {
    let values: Vec<(&str, &str)> = variables
        .iter()
        .map(|name| (name.as_str(), stand_in(name)))
        .collect();
    pointsman_config::parse(yaml, "pointsman.yaml", &Environment::of(&values))
        .err()
        .unwrap_or_default()
}

/// A value that a variable of this name could have.
fn stand_in(name: &str) -> &'static str {
    let has = |part: &str| name.contains(part);
    if has("ENDPOINT") || has("URL") || has("API_BASE") {
        "https://stand-in.invalid"
    } else if has("CREDENTIALS") || has("SERVICE_ACCOUNT") {
        r#"{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}"#
    } else {
        "stand-in"
    }
}
