//! Citations: Cohere's say where in the answer something is cited, the form's stand at the text that cites.

use crate::form::{Part, PartKind};
use crate::json::Json;

#[derive(serde::Deserialize)]
struct Cited {
    start: Option<u64>,
    end: Option<u64>,
    text: Option<String>,
    content_index: Option<usize>,
    #[serde(default)]
    sources: Vec<CitedSource>,
}

#[derive(serde::Deserialize)]
struct CitedSource {
    document: Option<Page>,
}

#[derive(serde::Deserialize)]
struct Page {
    url: Option<String>,
    title: Option<String>,
}

/// The citation in the form's shape, if it cites a page of the web: other formats know no other place in common.
pub(super) fn of_cohere(citation: &Json) -> Option<Json> {
    let cited: Cited = citation.read().ok()?;
    web(&cited)
}

fn web(cited: &Cited) -> Option<Json> {
    let page = cited.sources.iter().find_map(|source| {
        let page = source.document.as_ref()?;
        Some((page.url.as_deref()?, page.title.as_deref()))
    })?;
    Some(Json::object(|citation| {
        citation.string("type", "web_search_result_location");
        citation.string("url", page.0);
        citation.string("title", page.1.unwrap_or_default());
        citation.string("cited_text", cited.text.as_deref().unwrap_or_default());
        citation.maybe_count("start_index", cited.start);
        citation.maybe_count("end_index", cited.end);
    }))
}

/// Puts the citations of an answer to the texts that cite; `content` are the parts of its `content`.
pub(super) fn place(citations: &Json, content: &mut [Part]) {
    let cited: Vec<Cited> = citations.read().unwrap_or_default();
    for (index, part) in content.iter_mut().enumerate() {
        let PartKind::Text(text) = &mut part.kind else {
            continue;
        };
        // Where the block is not named, it is the only one there is.
        let here: Vec<Json> = cited
            .iter()
            .filter(|cited| cited.content_index.is_none_or(|at| at == index))
            .filter_map(web)
            .collect();
        if !here.is_empty() {
            text.citations = Json::of(&here).ok();
        }
    }
}

#[derive(serde::Deserialize)]
struct Foreign {
    url: Option<String>,
    source: Option<String>,
    title: Option<String>,
    document_title: Option<String>,
    filename: Option<String>,
    cited_text: Option<String>,
    start_index: Option<u64>,
    end_index: Option<u64>,
}

/// A citation of another format: what the text says is cited, from `start_index` on where that is known.
pub(super) fn of_form(citation: &Json, text: &str, content_index: u64) -> Option<Json> {
    let foreign: Foreign = citation.read().ok()?;
    let length = text.chars().count() as u64;
    let end = foreign
        .end_index
        .filter(|end| *end > 0 && *end <= length)
        .unwrap_or(length);
    let start = foreign.start_index.filter(|start| *start < end).unwrap_or(0);
    let said: String = text
        .chars()
        .skip(usize::try_from(start).unwrap_or(0))
        .take(usize::try_from(end - start).unwrap_or(0))
        .collect();
    Some(Json::object(|citation| {
        citation.count("start", start);
        citation.count("end", end);
        citation.string("text", &said);
        citation.list("sources", |sources| {
            sources.object(|source| {
                let url = foreign.url.as_deref().or(foreign.source.as_deref());
                let title = foreign.title.as_deref().or(foreign.document_title.as_deref());
                let title = title.or(foreign.filename.as_deref());
                source.string("type", "document");
                source.string("id", url.or(title).unwrap_or("document"));
                source.object("document", |document| {
                    document.maybe_string("title", title);
                    document.maybe_string("url", url);
                    document.maybe_string(
                        "snippet",
                        foreign.cited_text.as_deref().filter(|text| !text.is_empty()),
                    );
                });
            });
        });
        citation.count("content_index", content_index);
        citation.string("type", "TEXT_CONTENT");
    }))
}
