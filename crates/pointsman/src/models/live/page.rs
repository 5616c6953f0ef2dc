//! A page of a list of models, in any of the shapes that providers give, and where the next one is.

use http::HeaderMap;
use http::header::LINK;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Where the entries of a list are.
const LISTS: [&str; 4] = ["data", "models", "modelSummaries", "publisherModels"];
/// What an entry is called.
const NAMES: [&str; 3] = ["id", "modelId", "name"];
/// Fields that hold the whole address of the next page.
const LINKS: [&str; 2] = ["nextLink", "@odata.nextLink"];
/// Fields that hold a token of the next page, with what asks for it.
const TOKENS: [(&str, &str); 3] = [
    ("nextPageToken", "pageToken"),
    ("next_page_token", "page_token"),
    ("nextToken", "nextToken"),
];

/// Some models, and where there are more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) ids: Vec<String>,
    pub(super) next: Option<Next>,
}

/// Where the next page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// At the same place, asked with this.
    Query(&'static str, String),
    /// At this address.
    Link(String),
}

impl Page {
    /// Reads a page; none when it is no list of models.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let list: Value = serde_json::from_slice(body).ok()?;
        let entries = LISTS
            .iter()
            .find_map(|name| list.get(name)?.as_array())
            .or_else(|| list.as_array())?;
        Some(Self {
            ids: entries.iter().filter_map(id).collect(),
            next: next(headers, &list, entries),
        })
    }
}

impl Next {
    /// The path of the next page, below `base`; `first` is that of the first.
    ///
    /// # Errors
    /// When it is elsewhere: the key is for nobody else.
    pub(super) fn path(&self, base: &str, first: &str) -> Result<String, String> {
        match self {
            Self::Query(name, value) => {
                let sign = if first.contains('?') { '&' } else { '?' };
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                Ok(format!("{first}{sign}{name}={value}"))
            }
            Self::Link(link) => {
                let base = base.trim_end_matches('/');
                let host = base.find("://").map_or(0, |at| at + 3);
                let prefix = base[host..].find('/').map_or("", |at| &base[host + at..]);
                let rest = link.strip_prefix(base).or_else(|| link.strip_prefix(prefix));
                let below = rest.filter(|rest| rest.starts_with('/') && !rest.starts_with("//"));
                let below = below.or_else(|| rest.filter(|rest| rest.starts_with('?')));
                below
                    .map(|rest| {
                        if rest.starts_with('?') {
                            format!("{first}{rest}")
                        } else {
                            rest.to_owned()
                        }
                    })
                    .ok_or_else(|| {
                        format!("the next page is said to be at {link:?}, which is not below {base}")
                    })
            }
        }
    }
}

fn id(entry: &Value) -> Option<String> {
    let named = NAMES.iter().find_map(|name| entry.get(name));
    let id = named.unwrap_or(entry).as_str()?;
    // Google's names say where they stand.
    let published = id
        .strip_prefix("publishers/")
        .and_then(|rest| rest.split_once("/models/"));
    let id = published.map_or_else(|| id.strip_prefix("models/").unwrap_or(id), |(_, id)| id);
    Some(id.to_owned())
}

fn next(headers: &HeaderMap, list: &Value, entries: &[Value]) -> Option<Next> {
    let said = |name: &str| list.get(name)?.as_str().filter(|said| !said.is_empty());
    if let Some(link) = LINKS.iter().find_map(|name| said(name)) {
        return Some(Next::Link(link.to_owned()));
    }
    let token = TOKENS.iter().find_map(|(name, asks)| Some((*asks, said(name)?)));
    if let Some((asks, token)) = token {
        return Some(Next::Query(asks, token.to_owned()));
    }
    if list.get("has_more").and_then(Value::as_bool) == Some(true) {
        let last = entries.last().and_then(|last| last.get("id")?.as_str());
        let last = said("last_id").or(last)?.to_owned();
        // Anthropic's entries say what they are, and no `object`.
        let anthropic = entries.iter().any(|entry| entry.get("type").is_some());
        return Some(Next::Query(if anthropic { "after_id" } else { "after" }, last));
    }
    let links = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (address, about) = link.trim().strip_prefix('<')?.split_once('>')?;
        about
            .contains("rel=\"next\"")
            .then(|| Next::Link(address.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Page> {
        Page::read(&HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn lists_of_every_shape_are_read() {
        for (body, found) in [
            (
                r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#,
                Some(vec!["a", "b"]),
            ),
            (
                r#"{"models":[{"name":"models/gemini"},{"name":"command"}]}"#,
                Some(vec!["gemini", "command"]),
            ),
            (
                r#"{"publisherModels":[{"name":"publishers/google/models/gemini-x"}]}"#,
                Some(vec!["gemini-x"]),
            ),
            (
                r#"{"modelSummaries":[{"modelId":"amazon.nova-lite-v1:0","modelName":"Nova"}]}"#,
                Some(vec!["amazon.nova-lite-v1:0"]),
            ),
            (r#"[{"id":"a"},{"other":1}]"#, Some(vec!["a"])),
            (r#"{"models":["a"]}"#, Some(vec!["a"])),
            (r#"{"error":"no"}"#, None),
            ("<html>", None),
        ] {
            let found: Option<Vec<String>> = found.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(read(body).map(|page| page.ids), found, "{body}");
        }
    }

    #[test]
    fn every_shape_says_where_the_next_page_is() {
        let query = |name, value: &str| Some(Next::Query(name, value.to_owned()));
        for (body, next) in [
            (
                r#"{"data":[{"type":"model","id":"a"}],"has_more":true,"last_id":"a"}"#,
                query("after_id", "a"),
            ),
            (
                r#"{"data":[{"type":"model","id":"a"}],"has_more":false,"last_id":"a"}"#,
                None,
            ),
            (
                r#"{"object":"list","data":[{"id":"a","object":"model"}],"has_more":true}"#,
                query("after", "a"),
            ),
            (
                r#"{"models":[],"nextPageToken":"t/1"}"#,
                query("pageToken", "t/1"),
            ),
            (r#"{"models":[],"nextPageToken":""}"#, None),
            (r#"{"models":[],"next_page_token":"t"}"#, query("page_token", "t")),
            (
                r#"{"modelSummaries":[],"nextToken":"t"}"#,
                query("nextToken", "t"),
            ),
            (
                r#"{"data":[],"nextLink":"https://h/v1/models?skip=2"}"#,
                Some(Next::Link("https://h/v1/models?skip=2".to_owned())),
            ),
        ] {
            assert_eq!(read(body).unwrap().next, next, "{body}");
        }
        let mut headers = HeaderMap::new();
        let links = r#"<https://h/v1/models?p=1>; rel="prev", <https://h/v1/models?p=3>; rel="next""#;
        headers.insert(LINK, links.parse().unwrap());
        let page = Page::read(&headers, b"[]").unwrap();
        assert_eq!(page.next, Some(Next::Link("https://h/v1/models?p=3".to_owned())));
    }

    #[test]
    fn the_next_page_is_where_the_first_was_or_nowhere() {
        let base = "https://h/v1/";
        let query = Next::Query("pageToken", "a b/&".to_owned());
        assert_eq!(
            query.path(base, "/models").unwrap(),
            "/models?pageToken=a%20b%2F%26"
        );
        assert_eq!(
            query.path(base, "/models?x=1").unwrap(),
            "/models?x=1&pageToken=a%20b%2F%26"
        );
        for (link, expected) in [
            ("https://h/v1/models?skip=2", Some("/models?skip=2")),
            ("/v1/models?skip=2", Some("/models?skip=2")),
            ("https://h.evil/v1/models", None),
            ("https://h/v1.evil/models", None),
            ("https://other/v1/models", None),
            ("//other/v1/models", None),
        ] {
            let path = Next::Link(link.to_owned()).path(base, "/models");
            assert_eq!(path.ok().as_deref(), expected, "{link}");
        }
    }
}
