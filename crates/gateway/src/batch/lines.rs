//! The lines of a batch: found, checked, read again one by one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use pointsman_store::Batch;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Problems that are told of one file.
const MAX_PROBLEMS: usize = 50;
/// Most characters of a `custom_id`.
const MAX_ID: usize = 512;

/// What a batch's file must be like.
pub(super) struct Rules {
    pub(super) endpoint: String,
    pub(super) max_lines: usize,
    pub(super) max_line: usize,
}

impl Rules {
    pub(super) fn of(batch: &Batch, max_lines: usize, max_line: usize) -> Self {
        Self {
            endpoint: batch.asked.endpoint.clone(),
            max_lines,
            max_line,
        }
    }
}

/// What is wrong with a line, in OpenAI's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    code: &'static str,
    message: String,
    param: Option<&'static str>,
    line: Option<usize>,
}

impl Problem {
    pub(super) fn of_file(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            line: None,
        }
    }
}

/// Why a file could not be read.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It makes no sense.
    Problems(Vec<Problem>),
    /// The disk.
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A line, as its client wrote it.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    custom_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// A line that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) custom_id: String,
    pub(super) body: Bytes,
}

/// Where the lines of a file are.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    places: Vec<(u64, u32)>,
}

impl Lines {
    /// Finds and checks the lines of a file. Blocks.
    ///
    /// # Errors
    /// All that is wrong with it, as far as it is told.
    pub(super) fn open(path: &Path, rules: &Rules) -> Result<Self, Unusable> {
        let file = File::open(path)?;
        let mut checker = Checker {
            rules,
            ids: HashSet::new(),
            problems: Vec::new(),
        };
        let mut reader = BufReader::with_capacity(1 << 18, file.try_clone()?);
        let (mut places, mut at, mut number) = (Vec::new(), 0_u64, 0);
        let mut bytes = Vec::new();
        while checker.problems.len() < MAX_PROBLEMS {
            bytes.clear();
            let most = rules.max_line as u64 + 1;
            let length = reader.by_ref().take(most).read_until(b'\n', &mut bytes)?;
            if length == 0 {
                break;
            }
            number += 1;
            if length > rules.max_line {
                let message = format!("the line is larger than {} bytes", rules.max_line);
                checker.wrong(number, ("line_too_large", None), message);
                break;
            }
            if !bytes.trim_ascii().is_empty() {
                if places.len() == rules.max_lines {
                    let message = format!("the file has more than {} lines", rules.max_lines);
                    checker.wrong(number, ("request_limit_exceeded", None), message);
                    break;
                }
                checker.check(number, &bytes);
                places.push((at, length as u32));
            }
            at += length as u64;
        }
        if places.is_empty() && checker.problems.is_empty() {
            checker
                .problems
                .push(Problem::of_file("empty_file", "the file has no lines"));
        }
        if checker.problems.is_empty() {
            Ok(Self { file, places })
        } else {
            Err(Unusable::Problems(checker.problems))
        }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Reads a line, counted from 0.
    ///
    /// # Errors
    /// When the disk refuses, or the file is not any more what it was.
    pub(super) fn read(&self, line: usize) -> io::Result<Line> {
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "the file of a batch has changed");
        let (offset, length) = self.places.get(line).copied().ok_or_else(changed)?;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|_| changed())?;
        let (Some(custom_id), Some(body)) = (written.custom_id, written.body) else {
            return Err(changed());
        };
        Ok(Line {
            custom_id: custom_id.into_owned(),
            body: Bytes::copy_from_slice(body.get().as_bytes()),
        })
    }
}

struct Checker<'a> {
    rules: &'a Rules,
    ids: HashSet<String>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn wrong(&mut self, line: usize, (code, param): (&'static str, Option<&'static str>), message: String) {
        self.problems.push(Problem {
            code,
            message,
            param,
            line: Some(line),
        });
    }

    fn check(&mut self, number: usize, bytes: &[u8]) {
        let written: Written = match serde_json::from_slice(bytes) {
            Ok(written) => written,
            Err(error) => {
                // Its own place in the text says more than the line, which is always the first.
                let message = format!("the line is not a JSON object of a request: {error}");
                return self.wrong(number, ("invalid_json_line", None), message);
            }
        };
        let missing = [
            ("custom_id", written.custom_id.is_none()),
            ("method", written.method.is_none()),
            ("url", written.url.is_none()),
            ("body", written.body.is_none()),
        ];
        if let Some((field, _)) = missing.into_iter().find(|(_, missing)| *missing) {
            let message = format!("the line has no {field}");
            return self.wrong(number, ("missing_required_parameter", Some(field)), message);
        }
        let id = written.custom_id.unwrap_or_default();
        if id.is_empty() || id.chars().count() > MAX_ID {
            let message = format!("custom_id must have 1 to {MAX_ID} characters");
            return self.wrong(number, ("invalid_custom_id", Some("custom_id")), message);
        }
        if written.method.as_deref() != Some("POST") {
            let message = "method must be POST".to_owned();
            return self.wrong(number, ("invalid_method", Some("method")), message);
        }
        if written.url.as_deref() != Some(self.rules.endpoint.as_str()) {
            let message = format!("url must be {}, the endpoint of the batch", self.rules.endpoint);
            return self.wrong(number, ("mismatched_endpoint", Some("url")), message);
        }
        if !written.body.is_some_and(|body| body.get().starts_with('{')) {
            let message = "body must be an object".to_owned();
            return self.wrong(number, ("invalid_body", Some("body")), message);
        }
        if !self.ids.insert(id.clone().into_owned()) {
            let message = format!("{id:?} is the custom_id of an earlier line, too");
            self.wrong(number, ("duplicate_custom_id", Some("custom_id")), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<Lines, Vec<(&'static str, Option<usize>)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        std::fs::write(&path, text).unwrap();
        let rules = Rules {
            endpoint: "/v1/embeddings".to_owned(),
            max_lines: 3,
            max_line: 200,
        };
        Lines::open(&path, &rules).map_err(|unusable| match unusable {
            Unusable::Problems(problems) => problems
                .iter()
                .map(|problem| (problem.code, problem.line))
                .collect(),
            Unusable::Io(error) => panic!("{error}"),
        })
    }

    fn line(id: &str) -> String {
        format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/embeddings","body":{{"input" : "x"}}}}"#)
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let text = format!("\n{}\r\n  \n{}", line("a"), line("b\\u00e9"));
        let lines = open(&text).unwrap();
        assert_eq!(lines.count(), 2);
        let read = lines.read(1).unwrap();
        assert_eq!(
            (read.custom_id.as_str(), &read.body[..]),
            ("bé", &br#"{"input" : "x"}"#[..])
        );
        assert!(lines.read(2).is_err());
    }

    #[test]
    fn each_problem_is_told_with_its_line() {
        let text = ["{not json".to_owned(), "{}".to_owned(), line("a"), line("a")].join("\n");
        assert_eq!(
            open(&text).err().unwrap(),
            [
                ("invalid_json_line", Some(1)),
                ("missing_required_parameter", Some(2)),
                ("request_limit_exceeded", Some(4)),
            ]
        );
        for (text, code) in [
            (format!("{}\n{}", line("a"), line("a")), "duplicate_custom_id"),
            (line("a").replace("POST", "GET"), "invalid_method"),
            (
                line("a").replace("embeddings", "responses"),
                "mismatched_endpoint",
            ),
            (line("a").replace(r#"{"input" : "x"}"#, "[]"), "invalid_body"),
            (line(""), "invalid_custom_id"),
            (line(&"x".repeat(300)), "line_too_large"),
            ("\n \n".to_owned(), "empty_file"),
        ] {
            let problems = open(&text).err().unwrap();
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].0, code, "{text}");
        }
    }
}
