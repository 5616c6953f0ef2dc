//! From YAML text to a located tree. Size, depth and the growth by aliases are bounded.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::node::{File, Node, Place, Value};
use crate::problem::Problem;

const MAX_BYTES: usize = 8 * 1024 * 1024;
const MAX_DEPTH: usize = 64;
/// Nodes of a document, aliases written out.
const MAX_NODES: usize = 500_000;

/// Reads the documents of a text of any language that is written in YAML; documents with nothing in them are left out.
///
/// # Errors
/// When the text is no YAML, is too large or holds a key twice.
pub fn read_documents(text: &str, name: &str) -> Result<Vec<Node>, Vec<Problem>> {
    read_all(text, File { name }, usize::MAX)
}

/// Reads a document.
pub(crate) fn read(text: &str, file: File<'_>) -> Result<Node, Vec<Problem>> {
    let nothing = || Node {
        place: Place { line: 1, column: 1 },
        value: Value::Map(Vec::new()),
    };
    let documents = read_all(text, file, 1)?;
    Ok(documents.into_iter().next().unwrap_or_else(nothing))
}

fn read_all(text: &str, file: File<'_>, most: usize) -> Result<Vec<Node>, Vec<Problem>> {
    let start = Place { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        return Err(vec![file.problem(
            start,
            "",
            format!("larger than {MAX_BYTES} bytes"),
        )]);
    }
    let mut reader = Reader {
        file,
        anchors: HashMap::new(),
        nodes: 0,
        problems: Vec::new(),
        parser: Parser::new_from_str(text),
    };
    match reader.documents(most) {
        Ok(nodes) if reader.problems.is_empty() => Ok(nodes),
        Ok(_) => Err(reader.problems),
        Err(problem) => {
            reader.problems.push(*problem);
            Err(reader.problems)
        }
    }
}

struct Reader<'a> {
    file: File<'a>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<Problem>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

type Read<T> = Result<T, Box<Problem>>;

impl<'a> Reader<'a> {
    fn documents(&mut self, most: usize) -> Read<Vec<Node>> {
        let mut roots = Vec::new();
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd | Event::Nothing => return Ok(roots),
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                _ if roots.len() >= most => {
                    return Err(Box::new(self.file.problem(
                        place,
                        "",
                        "only one document is allowed",
                    )));
                }
                event => {
                    let root = self.node(event, place, 0)?;
                    // What stands between two lines of `---` may be nothing but comments.
                    if most == 1 || root.value != Value::Null {
                        roots.push(root);
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Read<(Event<'a>, Place)> {
        match self.parser.next() {
            None => Ok((Event::StreamEnd, Place::default())),
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => {
                let marker = error.marker();
                let place = Place {
                    line: marker.line(),
                    column: marker.col() + 1,
                };
                Err(Box::new(self.file.problem(
                    place,
                    "",
                    format!("not valid YAML: {}", error.info()),
                )))
            }
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Read<Node> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(Box::new(self.file.problem(
                place,
                "",
                "nested too deeply, or too large once aliases are written out",
            )));
        }
        let before = self.nodes;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, scalar(&text, style)),
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(Box::new(self.file.problem(
                        place,
                        "",
                        "an alias of something that is not complete",
                    )));
                };
                self.nodes += size;
                return Ok(Node { place, ..node });
            }
            _ => return Err(Box::new(self.file.problem(place, "", "a value was expected"))),
        };
        let node = Node { place, value };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, place, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Read<Value> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        let mut merged: Vec<(String, Place, Node)> = Vec::new();
        loop {
            let (event, place) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    return Err(Box::new(self.file.problem(
                        place,
                        "",
                        "a key must be a plain text",
                    )));
                }
            };
            let (event, value_place) = self.next()?;
            let node = self.node(event, value_place, depth + 1)?;
            if key == "<<" {
                merge(node, &mut merged);
                continue;
            }
            if let Some((_, first, _)) = entries.iter().find(|(known, ..)| *known == key) {
                let message = format!(
                    "the key {key:?} stands here a second time; the first is on line {}",
                    first.line
                );
                self.problems.push(self.file.problem(place, "", message));
                continue;
            }
            entries.push((key, place, node));
        }
        // What stands here counts for more than what is merged in.
        for (key, place, node) in merged {
            if !entries.iter().any(|(known, ..)| *known == key) {
                entries.push((key, place, node));
            }
        }
        Ok(Value::Map(entries))
    }
}

fn merge(node: Node, merged: &mut Vec<(String, Place, Node)>) {
    match node.value {
        Value::Map(entries) => merged.extend(entries),
        Value::List(items) => items.into_iter().for_each(|item| merge(item, merged)),
        _ => {}
    }
}

fn place(span: Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

/// YAML 1.2 core schema.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style == ScalarStyle::Plain {
        plain(text)
    } else {
        Value::Text {
            text: text.to_owned(),
            plain: false,
        }
    }
}

/// What a text without quotes is.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let numeric = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.'));
    if numeric {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = unsigned.parse::<i64>() {
            return Value::Number(number.into(), text.to_owned());
        }
        if let Some(number) = unsigned
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
        {
            return Value::Number(number, text.to_owned());
        }
    }
    Value::Text {
        text: text.to_owned(),
        plain: true,
    }
}
