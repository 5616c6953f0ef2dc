//! The located tree of a document.

use crate::problem::Problem;

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, with the text it was written in.
    Number(serde_json::Number, String),
    /// A text. `plain` when it stood without quotes, so that what a variable holds may be a number.
    Text {
        /// The text.
        text: String,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys, where they stand, and their values.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// What it is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(..) => "a number",
            Value::Text { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The field of a mapping.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(key, ..)| key == name)
                .map(|(.., node)| node),
            _ => None,
        }
    }

    /// The place of the deepest node that a dotted path such as `a.b[2].c` leads to.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        let mut place = self.place;
        for step in path
            .split(['.', '['])
            .map(|step| step.trim_end_matches(']'))
            .filter(|step| !step.is_empty())
        {
            let next = match &node.value {
                Value::Map(entries) => entries
                    .iter()
                    .find(|(key, ..)| key == step)
                    .map(|(_, place, node)| (*place, node)),
                Value::List(items) => step
                    .parse()
                    .ok()
                    .and_then(|at: usize| items.get(at))
                    .map(|node| (node.place, node)),
                _ => None,
            };
            let Some((next_place, next)) = next else { break };
            (place, node) = (next_place, next);
        }
        place
    }

    /// The tree as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number, _) => number.clone().into(),
            Value::Text { text, .. } => text.clone().into(),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, _, node)| (key.clone(), node.json()))
                .collect(),
        }
    }
}

/// Makes problems of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
}

impl File<'_> {
    pub(crate) fn problem(
        self,
        place: Place,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Problem {
        Problem {
            file: self.name.to_owned(),
            line: place.line,
            column: place.column,
            path: path.into(),
            message: message.into(),
            suggestion: None,
        }
    }
}
