//! The outline of a JSON text: where each of its values begins and ends, found in one pass (RFC 8259).
//!
//! A body is looked at once, however deep its objects lie in each other: readers walk the outline and copy nothing.
//! What is taken here is what `serde_json` takes; a property test holds the two next to each other.

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use super::quoted::{inner, plain, unquoted};

/// How deep objects and lists may lie in each other; the depth that `serde_json` allows.
const MAX_DEPTH: usize = 127;

/// A value of the text, or the key of an object's field.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    /// The node behind this one and all that lies in it; of a string with escapes also [`ESCAPED`].
    next: u32,
}

/// There are never so many nodes: each takes two bytes of the text or more.
const ESCAPED: u32 = 1 << 31;

/// The nodes of a text in the order in which they stand there; an object's keys and values take turns.
#[derive(Debug)]
pub struct Outline {
    nodes: Vec<Node>,
}

/// A text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct NotJson {
    what: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

impl Outline {
    /// Where the whole text's value is among the nodes.
    pub const ROOT: u32 = 0;

    /// Finds the outline of `text`.
    ///
    /// # Errors
    /// When `text` is not one JSON value, is nested too deeply, or holds four gigabytes.
    pub fn of(text: &str) -> Result<Self, NotJson> {
        let mut scan = Scan {
            bytes: text.as_bytes(),
            at: 0,
            nodes: Vec::with_capacity((text.len() / 16).clamp(8, 4096)),
        };
        match scan.run() {
            Ok(()) => Ok(Self { nodes: scan.nodes }),
            Err(what) => Err(not_json(text, scan.at, what)),
        }
    }

    /// The text of a node, which must be one of this outline.
    #[must_use]
    pub fn text<'a>(&self, body: &'a str, node: u32) -> &'a str {
        self.nodes
            .get(node as usize)
            .and_then(|node| body.get(node.start as usize..node.end as usize))
            .unwrap_or_default()
    }

    /// What a string says: a piece of the text, unless it holds escapes.
    ///
    /// # Errors
    /// When an escape stands for half a letter.
    pub fn string<'a>(&self, body: &'a str, node: u32) -> Result<Cow<'a, str>, serde_json::Error> {
        let quoted = self.text(body, node);
        match self.nodes.get(node as usize) {
            Some(node) if node.next & ESCAPED == 0 => Ok(Cow::Borrowed(inner(quoted))),
            _ => unquoted(quoted),
        }
    }

    /// Where a node's text is.
    #[must_use]
    pub fn range(&self, node: u32) -> std::ops::Range<usize> {
        self.nodes
            .get(node as usize)
            .map_or(0..0, |node| node.start as usize..node.end as usize)
    }

    /// The nodes directly inside a list, or inside an object: key, value, key, value, …
    #[must_use]
    pub fn children(&self, node: u32) -> Children<'_> {
        Children {
            outline: self,
            at: node + 1,
            end: self.next(node),
        }
    }

    fn next(&self, node: u32) -> u32 {
        self.nodes
            .get(node as usize)
            .map_or(node + 1, |node| node.next & !ESCAPED)
    }
}

/// The nodes directly inside another.
#[derive(Debug, Clone)]
pub struct Children<'a> {
    outline: &'a Outline,
    at: u32,
    end: u32,
}

impl Iterator for Children<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.at >= self.end {
            return None;
        }
        let child = self.at;
        self.at = self.outline.next(child);
        Some(child)
    }
}

fn not_json(text: &str, at: usize, what: &'static str) -> NotJson {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    NotJson {
        what,
        line: 1 + memchr::memchr_iter(b'\n', before).count(),
        column: 1 + before.len() - line_start,
    }
}

/// An object or list that is still open.
struct Open {
    node: usize,
    close: u8,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Scan<'_> {
    fn run(&mut self) -> Result<(), &'static str> {
        if u32::try_from(self.bytes.len()).is_err() {
            return Err("more than four gigabytes");
        }
        let mut open: SmallVec<[Open; 16]> = SmallVec::new();
        self.space();
        loop {
            // A value stands here.
            let opened = self.value()?;
            if let Some(close) = opened {
                if open.len() == MAX_DEPTH {
                    return Err("nested too deeply");
                }
                open.push(Open {
                    node: self.nodes.len() - 1,
                    close,
                });
                self.space();
                if self.peek() != Some(close) {
                    self.key_of(close)?;
                    continue;
                }
            }
            // A value has ended, or an empty object or list is about to.
            if !self.close(&mut open)? {
                break;
            }
        }
        self.space();
        if self.at < self.bytes.len() {
            return Err("trailing characters");
        }
        Ok(())
    }

    /// Closes what ends here; false when the whole text's value has ended, true when another value follows.
    fn close(&mut self, open: &mut SmallVec<[Open; 16]>) -> Result<bool, &'static str> {
        while let Some(innermost) = open.last() {
            let close = innermost.close;
            self.space();
            match self.peek() {
                Some(b',') if !self.just_opened(innermost) => {
                    self.at += 1;
                    self.space();
                    self.key_of(close)?;
                    return Ok(true);
                }
                Some(byte) if byte == close => {
                    self.at += 1;
                    let (end, next) = (self.at as u32, self.nodes.len() as u32);
                    if let Some(node) = self.nodes.get_mut(innermost.node) {
                        (node.end, node.next) = (end, next);
                    }
                    open.pop();
                }
                None => return Err("unexpected end"),
                Some(_) if close == b'}' => return Err("expected `,` or `}`"),
                Some(_) => return Err("expected `,` or `]`"),
            }
        }
        Ok(false)
    }

    fn just_opened(&self, open: &Open) -> bool {
        self.nodes.len() == open.node + 1
    }

    /// Reads the key of the field that follows, if what is open is an object.
    fn key_of(&mut self, close: u8) -> Result<(), &'static str> {
        if close == b']' {
            return Ok(());
        }
        if self.peek() != Some(b'"') {
            return Err("expected a key in quotes");
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err("expected `:`");
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Reads a value; of an object or a list its beginning only, and says how it will end.
    fn value(&mut self) -> Result<Option<u8>, &'static str> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
                return Ok(None);
            }
            Some(b'{') => return Ok(Some(self.begin(b'}'))),
            Some(b'[') => return Ok(Some(self.begin(b']'))),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(_) => return Err("expected a value"),
            None => return Err("unexpected end"),
        }
        self.leaf(start, 0);
        Ok(None)
    }

    fn begin(&mut self, close: u8) -> u8 {
        let start = self.at as u32;
        self.nodes.push(Node {
            start,
            end: start,
            next: 0,
        });
        self.at += 1;
        close
    }

    fn leaf(&mut self, start: usize, escaped: u32) {
        self.nodes.push(Node {
            start: start as u32,
            end: self.at as u32,
            next: (self.nodes.len() as u32 + 1) | escaped,
        });
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> Result<(), &'static str> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err("expected a value")
        }
    }

    /// Reads from the opening to behind the closing quote.
    fn string(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        self.at += 1;
        let mut escaped = 0;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.escape()?;
                    escaped = ESCAPED;
                }
                Some(_) => return Err("a control character in a string"),
                None => return Err("unexpected end of a string"),
            }
        }
        self.at += 1;
        self.leaf(start, escaped);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err("an invalid escape in a string");
                }
                self.at += 6;
            }
            _ => return Err("an invalid escape in a string"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), &'static str> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), &'static str> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from {
            Err("an invalid number")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn is_json(text: &str) -> bool {
        serde_json::from_str::<&RawValue>(text).is_ok()
    }

    #[test]
    fn children_are_found_in_place() {
        let text = r#" { "a" : [1, {"b":[]}, "x\"y"], "c":{} , "d": -1.5e+3 } "#;
        let outline = Outline::of(text).unwrap();
        let texts = |node| {
            outline
                .children(node)
                .map(|child| outline.text(text, child))
                .collect::<Vec<_>>()
        };
        let top: Vec<u32> = outline.children(Outline::ROOT).collect();
        assert_eq!(
            texts(Outline::ROOT),
            [
                r#""a""#,
                r#"[1, {"b":[]}, "x\"y"]"#,
                r#""c""#,
                "{}",
                r#""d""#,
                "-1.5e+3"
            ]
        );
        assert_eq!(texts(top[1]), ["1", r#"{"b":[]}"#, r#""x\"y""#]);
        assert!(texts(top[3]).is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("", "unexpected end at line 1 column 1"),
            ("{\n \"a\" 1}", "expected `:` at line 2 column 6"),
            ("[1,]", "expected a value at line 1 column 4"),
            ("[,1]", "expected a value at line 1 column 2"),
            ("{,}", "expected a key in quotes at line 1 column 2"),
            ("{\"a\":1,}", "expected a key in quotes at line 1 column 8"),
            ("[1 2]", "expected `,` or `]` at line 1 column 4"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("\"a\nb\"", "a control character in a string at line 1 column 3"),
            ("\"\\x\"", "an invalid escape in a string at line 1 column 2"),
            ("01", "trailing characters at line 1 column 2"),
            ("-", "an invalid number at line 1 column 2"),
            ("[", "unexpected end at line 1 column 2"),
            ("tru", "expected a value at line 1 column 1"),
        ] {
            assert_eq!(Outline::of(text).unwrap_err().to_string(), told, "{text}");
            assert!(!is_json(text), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_as_elsewhere() {
        for depth in [1, 100, 127, 128, 200, 100_000] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            let deep = serde_json::from_str::<serde_json::Value>(&text);
            assert_eq!(Outline::of(&text).is_ok(), deep.is_ok(), "{depth}");
        }
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_takes(
            text in r#"[\[\]{}",:\\\-0-9.eEtrufalsn \nau\x01é]{0,24}"#,
        ) {
            prop_assert_eq!(Outline::of(&text).is_ok(), is_json(&text));
        }

        #[test]
        fn strings_of_any_length_are_passed(text in "\\PC{0,80}", tail in 0_usize..40) {
            let json = serde_json::to_string(&format!("{text}{}", "x".repeat(tail))).unwrap();
            let outline = Outline::of(&json).unwrap();
            prop_assert_eq!(outline.text(&json, Outline::ROOT), json.as_str());
        }
    }
}
