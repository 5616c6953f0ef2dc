//! Paths against the patterns of the table, and what a query says.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Where Google's cloud keeps its models, whatever stands before it (`/v1/projects/…/locations/…`).
const PUBLISHED: &str = "/publishers/google/models/";

/// The path without a slash at its end; paths of Google's cloud as those of its developer API.
pub(super) fn normalize(path: &str) -> Cow<'_, str> {
    if let Some(at) = path.find(PUBLISHED)
        && path.starts_with("/v1")
    {
        return Cow::Owned(["/v1beta/models/", &path[at + PUBLISHED.len()..]].concat());
    }
    Cow::Borrowed(if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    })
}

/// Whether `path` is what `pattern` says: inside is the model or id where the pattern has one.
#[expect(
    clippy::option_option,
    reason = "outside: whether it matches; inside: whether there is a model"
)]
pub(super) fn matches<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    // Most of the table is passed over for every request: by what stands before the first name.
    let Some(brace) = pattern.find('{') else {
        return (pattern == path).then_some(None);
    };
    if !path.as_bytes().starts_with(&pattern.as_bytes()[..brace]) {
        return None;
    }
    if let Some((before, after)) = pattern.split_once("{id}") {
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        return (!id.is_empty() && !id.contains('/')).then_some(Some(id));
    }
    let named = pattern
        .split_once("{model}")
        .or_else(|| pattern.split_once("{agent}"));
    let (before, after) = named?;
    let rest = path.strip_prefix(before)?;
    // Some clients encode the colon before the method.
    let model = rest.strip_suffix(after).or_else(|| {
        let method = after.strip_prefix(':')?;
        let rest = rest.strip_suffix(method)?;
        rest.strip_suffix("%3A").or_else(|| rest.strip_suffix("%3a"))
    })?;
    (!model.is_empty()).then_some(Some(model))
}

/// A name out of a path.
pub(super) fn decode(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

/// Whether a key stands in the query.
pub(super) fn has_key(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("key="))
}

/// The value of `name` in a query, decoded.
pub fn query_value<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })?;
    percent_decode_str(value).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_at_most_one_model() {
        assert_eq!(matches("/a", "/a"), Some(None));
        assert_eq!(matches("/a", "/a/b"), None);
        assert_eq!(matches("/m/{model}:x", "/m/a/b:x"), Some(Some("a/b")));
        assert_eq!(matches("/m/{model}:x", "/m/a%3Ax"), Some(Some("a")));
        assert_eq!(matches("/m/{model}:x", "/m/a%3ax"), Some(Some("a")));
        assert_eq!(matches("/m/{model}/x", "/m/a/x"), Some(Some("a")));
        assert_eq!(matches("/m/{model}:x", "/m/:x"), None);
        assert_eq!(matches("/m/{model}", "/m/"), None);
        assert_eq!(matches("/f/{id}/x", "/f/a/x"), Some(Some("a")));
        assert_eq!(matches("/f/{id}", "/f/a/x"), None);
        assert_eq!(matches("/f/{id}", "/f/"), None);
    }

    #[test]
    fn a_query_is_read_by_name() {
        assert_eq!(query_value("alt=sse&key=a%2Db", "key").as_deref(), Some("a-b"));
        assert_eq!(query_value("monkey=1", "key"), None);
        assert!(has_key("alt=sse&key=x") && !has_key("monkey=1&pagekey=2"));
    }
}
