//! The one form of a request that both sides sign.

use http::HeaderMap;
use http::header::{HOST, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// The same with `/` kept.
const SEGMENTS: &AsciiSet = &STRICT.remove(b'/');

/// Where a request goes.
pub(super) struct Target<'a> {
    pub(super) method: &'a str,
    /// As sent.
    pub(super) path: &'a str,
    /// As sent.
    pub(super) query: &'a str,
    /// S3 takes paths as they are.
    pub(super) is_s3: bool,
}

/// Headers in the form that is signed.
pub(super) struct SignedHeaders {
    /// A line each.
    pub(super) lines: String,
    /// Their names, sorted.
    pub(super) names: String,
}

/// The canonical request.
pub(super) fn request(target: &Target<'_>, headers: &SignedHeaders, payload_hash: &str) -> String {
    let path = if target.is_s3 {
        encode_raw(target.path)
    } else {
        utf8_percent_encode(&normalize(target.path), SEGMENTS).to_string()
    };
    [
        target.method,
        &path,
        &query(target.query),
        &headers.lines,
        &headers.names,
        payload_hash,
    ]
    .join("\n")
}

/// `Host` and the chosen headers: lower-case names, sorted; values without superfluous spaces.
pub(super) fn headers(
    host: &str,
    headers: &HeaderMap,
    chosen: impl Fn(&HeaderName) -> bool,
) -> SignedHeaders {
    let mut all: Vec<(&str, String)> = vec![("host", host.to_owned())];
    for name in headers.keys().filter(|name| **name != HOST && chosen(name)) {
        let values: Vec<String> = headers
            .get_all(name)
            .iter()
            .map(|value| squeeze(&String::from_utf8_lossy(value.as_bytes())))
            .collect();
        all.push((name.as_str(), values.join(",")));
    }
    all.sort_unstable();
    let lines = all
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    SignedHeaders {
        lines,
        names: names.join(";"),
    }
}

/// Spaces in a row become one.
fn squeeze(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The path without `.`, `..` and empty segments.
fn normalize(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    let is_folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    if normal.is_empty() || is_folder {
        normal.push('/');
    }
    normal
}

/// Encoded once, whether it came encoded or not.
fn encode_raw(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    percent_encode(&decoded, SEGMENTS).to_string()
}

/// Parameters in one encoding, sorted by name and value.
fn query(query: &str) -> String {
    let encode = |part: &str| {
        let decoded: Vec<u8> = percent_decode_str(part).collect();
        percent_encode(&decoded, STRICT).to_string()
    };
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    parameters.sort_unstable();
    let parts: Vec<String> = parameters
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parts.join("&")
}
