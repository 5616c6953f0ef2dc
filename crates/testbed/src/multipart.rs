//! Forms of several parts, as files are sent.

use crate::exchange::Refusal;
use crate::sim::Asked;

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) data: Vec<u8>,
}

/// A form.
pub(crate) struct Form(pub(crate) Vec<Part>);

impl Form {
    /// Reads the body of a request, and refuses fields that are not known.
    pub(crate) fn read(asked: &Asked, known: &[&str]) -> Result<Self, Refusal> {
        let kind = asked.headers.get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let boundary = kind
            .strip_prefix("multipart/form-data")
            .and_then(|rest| rest.split_once("boundary="))
            .map(|(_, boundary)| boundary.split(';').next().unwrap_or_default().trim_matches('"'));
        let Some(boundary) = boundary else {
            return Err(Refusal::bad(
                "Invalid Content-Type. Expected 'multipart/form-data' with a boundary.",
            ));
        };
        let parts =
            parse(&asked.body, boundary).ok_or_else(|| Refusal::bad("Could not parse multipart form"))?;
        let form = Self(parts);
        let odd = form.0.iter().find(|part| {
            let plain = part.name.split('[').next().unwrap_or_default();
            !known.contains(&plain)
        });
        match odd {
            Some(part) => Err(Refusal::bad(format!("Unknown parameter: '{}'.", part.name))
                .at(part.name.clone())
                .coded("unknown_parameter")),
            None => Ok(form),
        }
    }

    /// The text of a field.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let part = self.0.iter().find(|part| part.name == name)?;
        Some(String::from_utf8_lossy(&part.data).into_owned())
    }

    /// The text of a field that must be there.
    pub(crate) fn needed(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| missing(name))
    }

    /// A file that must be there.
    pub(crate) fn file(&self, name: &str) -> Result<&Part, Refusal> {
        let file = self
            .0
            .iter()
            .find(|part| part.name.trim_end_matches("[]") == name && part.filename.is_some());
        file.ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::bad(format!("Missing required parameter: '{name}'."))
        .at(name)
        .coded("missing_required_parameter")
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn parse(body: &[u8], boundary: &str) -> Option<Vec<Part>> {
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let mut rest = body.get(find(body, first.as_bytes())? + first.len()..)?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let split = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..split]).into_owned();
        let data = &rest[split + 4..];
        let end = find(data, next.as_bytes())?;
        parts.push(Part {
            name: value(&head, "name")?,
            filename: value(&head, "filename"),
            data: data[..end].to_vec(),
        });
        rest = &data[end + next.len()..];
    }
    Some(parts)
}

/// A value in the head of a part.
fn value(head: &str, name: &str) -> Option<String> {
    let line = head
        .lines()
        .find(|line| line.to_lowercase().starts_with("content-disposition:"))?;
    line.split(';').find_map(|field| {
        let (key, value) = field.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: x/y\r\n\r\none\r\n\r\ntwo\r\n--b--\r\n";
        let parts = parse(body, "b").unwrap();
        assert_eq!(
            (parts[0].name.as_str(), &parts[0].data[..]),
            ("purpose", &b"batch"[..])
        );
        assert_eq!(
            (parts[1].filename.as_deref(), &parts[1].data[..]),
            (Some("a.jsonl"), &b"one\r\n\r\ntwo"[..])
        );
        assert_eq!(parse(&body[..60], "b"), None);
    }
}
