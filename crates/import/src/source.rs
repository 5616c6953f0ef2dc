//! The source as a tree that knows what was read of it: whatever nobody read is told, so nothing is lost in silence.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use pointsman_config::{Node, Problem, Value, read_documents};

use crate::decimal::Decimal;

/// A value of the source.
#[derive(Debug)]
pub(crate) struct Item {
    /// The file it stands in.
    pub(crate) file: Rc<str>,
    /// The line of its key, or of itself in a list.
    pub(crate) line: usize,
    /// Where it is, for people: `model_list[2].litellm_params.model`.
    pub(crate) path: String,
    /// The same without numbers: `model_list[].litellm_params.model`.
    pub(crate) shape: String,
    pub(crate) content: Content,
    seen: Cell<bool>,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Content {
    Null,
    /// A boolean, number or text, as it was written; `true` when it is a text.
    Scalar(String, bool),
    List(Vec<Item>),
    Map(Vec<(String, Item)>),
}

/// Reads the documents of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Node>, Vec<Problem>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![Problem {
            file: name.clone(),
            line: 1,
            column: 1,
            path: String::new(),
            message: format!("cannot be read: {error}"),
            suggestion: None,
        }]
    })?;
    read_documents(&text, &name)
}

/// Where a value is.
struct Spot {
    file: Rc<str>,
    line: usize,
    path: String,
    shape: String,
}

impl Item {
    /// The tree of a document, whose paths begin with `path`.
    pub(crate) fn new(node: Node, file: &Rc<str>, path: &str, shape: &str) -> Self {
        Self::at(
            Spot {
                file: Rc::clone(file),
                line: node.place.line,
                path: path.to_owned(),
                shape: shape.to_owned(),
            },
            node.value,
        )
    }

    fn at(spot: Spot, value: Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Scalar(value.to_string(), false),
            Value::Number(_, text) => Content::Scalar(text, false),
            Value::Text { text, .. } => Content::Scalar(text, true),
            Value::List(nodes) => Content::List(
                nodes
                    .into_iter()
                    .enumerate()
                    .map(|(index, node)| {
                        let inner = Spot {
                            file: Rc::clone(&spot.file),
                            line: node.place.line,
                            path: format!("{}[{index}]", spot.path),
                            shape: format!("{}[]", spot.shape),
                        };
                        Self::at(inner, node.value)
                    })
                    .collect(),
            ),
            Value::Map(entries) => Content::Map(
                entries
                    .into_iter()
                    .map(|(key, place, node)| {
                        let join = |to: &str| {
                            if to.is_empty() {
                                key.clone()
                            } else {
                                format!("{to}.{key}")
                            }
                        };
                        let inner = Spot {
                            file: Rc::clone(&spot.file),
                            line: place.line,
                            path: join(&spot.path),
                            shape: join(&spot.shape),
                        };
                        let item = Self::at(inner, node.value);
                        (key, item)
                    })
                    .collect(),
            ),
        };
        Self {
            file: spot.file,
            line: spot.line,
            path: spot.path,
            shape: spot.shape,
            content,
            seen: Cell::new(false),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.pairs()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, item)| item)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at_path(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |item, key| item.get(key))
    }

    /// Keys and values. A mapping with nothing in it counts as read.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        let entries = self.pairs();
        if entries.is_empty() && self.is_nothing() {
            self.seen.set(true);
        }
        entries
    }

    fn pairs(&self) -> &[(String, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The values of a list. A list with nothing in it counts as read.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) if !items.is_empty() => items,
            _ => {
                if self.is_nothing() {
                    self.seen.set(true);
                }
                &[]
            }
        }
    }

    /// The values of a list, or the value itself where one stands alone.
    pub(crate) fn one_or_many(&self) -> &[Self] {
        match &self.content {
            Content::Scalar(..) => std::slice::from_ref(self),
            _ => self.items(),
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.content {
            Content::Null => true,
            Content::Scalar(..) => false,
            Content::List(items) => items.is_empty(),
            Content::Map(entries) => entries.is_empty(),
        }
    }

    /// A boolean, number or text as it was written, without counting as read.
    pub(crate) fn peek(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// A boolean, number or text as it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        let text = self.peek()?;
        self.seen.set(true);
        Some(text)
    }

    /// A boolean, also as YAML 1.1 and texts have it.
    pub(crate) fn flag(&self) -> Option<bool> {
        let flag = match self.peek()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => true,
            "false" | "no" | "off" => false,
            _ => return None,
        };
        self.seen.set(true);
        Some(flag)
    }

    /// A whole number.
    pub(crate) fn whole(&self) -> Option<u64> {
        let number = self.decimal_unread()?.whole()?;
        self.seen.set(true);
        Some(number)
    }

    /// An exact number.
    pub(crate) fn decimal(&self) -> Option<Decimal> {
        let number = self.decimal_unread()?;
        self.seen.set(true);
        Some(number)
    }

    fn decimal_unread(&self) -> Option<Decimal> {
        Decimal::parse(&self.peek()?.replace('_', ""))
    }

    /// Seconds, as a duration of the configuration.
    pub(crate) fn seconds(&self) -> Option<String> {
        let millis = self.decimal_unread()?.shifted(3).whole()?;
        self.seen.set(true);
        Some(duration(millis))
    }

    /// The whole of it counts as read.
    pub(crate) fn accept(&self) {
        self.seen.set(true);
    }

    /// The whole of it as JSON; counts as read.
    pub(crate) fn json(&self) -> serde_json::Value {
        self.seen.set(true);
        match &self.content {
            Content::Null => serde_json::Value::Null,
            Content::Scalar(text, true) => text.clone().into(),
            Content::Scalar(text, false) => {
                serde_json::from_str(text).unwrap_or_else(|_| text.clone().into())
            }
            Content::List(items) => items.iter().map(Self::json).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(key, item)| (key.clone(), item.json()))
                .collect(),
        }
    }

    /// Every text of it, keys left out.
    pub(crate) fn texts<'a>(&'a self, found: &mut Vec<&'a str>) {
        match &self.content {
            Content::Null => {}
            Content::Scalar(text, _) => found.push(text),
            Content::List(items) => items.iter().for_each(|item| item.texts(found)),
            Content::Map(entries) => entries.iter().for_each(|(_, item)| item.texts(found)),
        }
    }

    fn touched(&self) -> bool {
        self.seen.get()
            || match &self.content {
                Content::List(items) => items.iter().any(Self::touched),
                Content::Map(entries) => entries.iter().any(|(_, item)| item.touched()),
                Content::Null | Content::Scalar(..) => false,
            }
    }

    /// The largest parts that nobody read.
    pub(crate) fn unread<'a>(&'a self, found: &mut Vec<&'a Self>) {
        if self.seen.get() {
            return;
        }
        if !self.touched() {
            found.push(self);
            return;
        }
        match &self.content {
            Content::List(items) => items.iter().for_each(|item| item.unread(found)),
            Content::Map(entries) => entries.iter().for_each(|(_, item)| item.unread(found)),
            Content::Null | Content::Scalar(..) => {}
        }
    }
}

/// Milliseconds as a duration of the configuration.
pub(crate) fn duration(millis: u64) -> String {
    if millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}
