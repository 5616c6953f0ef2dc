//! Annotations of an answer's text, and the form's citations.

use crate::form::{Part, PartKind};
use crate::json::Json;
use crate::json::write::Object;

/// A citation of the web, in the form's shape.
#[derive(serde::Serialize, serde::Deserialize)]
struct WebCitation {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    cited_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_index: Option<u64>,
}

/// OpenAI's.
#[derive(serde::Serialize)]
struct UrlCitation {
    #[serde(rename = "type")]
    kind: &'static str,
    start_index: u64,
    end_index: u64,
    url: String,
    title: String,
}

/// An annotation as citation; none for what cites no page of the web.
pub(super) fn citation_of(annotation: &Json) -> Option<Json> {
    let mut citation: WebCitation = annotation.read().ok()?;
    if citation.kind != "url_citation" {
        return None;
    }
    "web_search_result_location".clone_into(&mut citation.kind);
    Json::of(&citation).ok()
}

/// A citation as annotation; none for what cites something else than a page of the web.
pub(super) fn annotation_of(citation: &Json) -> Option<Json> {
    let citation: WebCitation = citation.read().ok()?;
    Json::of(&UrlCitation {
        kind: "url_citation",
        start_index: citation.start_index.unwrap_or(0),
        end_index: citation.end_index.unwrap_or(0),
        url: citation.url,
        title: citation.title,
    })
    .ok()
}

/// Gives an answer's text the citations that its annotations tell.
pub(super) fn cite(part: &mut Part) {
    let annotations: Vec<Json> = part
        .extra
        .get("annotations")
        .and_then(|json| json.read().ok())
        .unwrap_or_default();
    let citations: Vec<Json> = annotations.iter().filter_map(citation_of).collect();
    if let PartKind::Text(text) = &mut part.kind
        && !citations.is_empty()
    {
        text.citations = Json::of(&citations).ok();
    }
}

/// Writes `annotations` from the form's citations.
pub(super) fn write_annotations(object: &mut Object<'_>, citations: Option<&Json>) {
    let citations: Vec<Json> = citations.and_then(|json| json.read().ok()).unwrap_or_default();
    object.list("annotations", |list| {
        citations
            .iter()
            .filter_map(annotation_of)
            .for_each(|annotation| list.raw(annotation.as_str()));
    });
}
