//! Citations: the form has them as Anthropic writes them, Converse nests them by the sort of place they point to.

use crate::form::Text;
use crate::format::DecodeError;
use crate::json::Json;
use crate::json::fields::{Value, parse};
use crate::json::write::{Object, object};

/// A sort of place: Bedrock's name, Anthropic's type, and both names of its index, its start and its end.
struct Place {
    name: &'static str,
    kind: &'static str,
    numbers: [[&'static str; 2]; 3],
}

const PLACES: [Place; 4] = [
    Place {
        name: "documentChar",
        kind: "char_location",
        numbers: [
            ["documentIndex", "document_index"],
            ["start", "start_char_index"],
            ["end", "end_char_index"],
        ],
    },
    Place {
        name: "documentPage",
        kind: "page_location",
        numbers: [
            ["documentIndex", "document_index"],
            ["start", "start_page_number"],
            ["end", "end_page_number"],
        ],
    },
    Place {
        name: "documentChunk",
        kind: "content_block_location",
        numbers: [
            ["documentIndex", "document_index"],
            ["start", "start_block_index"],
            ["end", "end_block_index"],
        ],
    },
    Place {
        name: "searchResultLocation",
        kind: "search_result_location",
        numbers: [
            ["searchResultIndex", "search_result_index"],
            ["start", "start_block_index"],
            ["end", "end_block_index"],
        ],
    },
];

/// Reads a list of citations; none when none of them can be told in the form.
pub fn read_list(value: &Value<'_>) -> Result<Option<Json>, DecodeError> {
    let all = value.list(|citation| read(&citation))?;
    let told: Vec<Json> = all.into_iter().flatten().collect();
    Ok((!told.is_empty()).then(|| Json::of(&told).ok()).flatten())
}

/// Reads a citation; none when it points to a place of a sort that is not known.
pub fn read(value: &Value<'_>) -> Result<Option<Json>, DecodeError> {
    let mut fields = value.fields()?;
    let title = fields.take("title", |title| title.string())?;
    let source = fields.take("source", |source| source.string())?;
    let cited = fields.take("sourceContent", |content| {
        content.list(|piece| piece.fields()?.take("text", |text| text.string()))
    })?;
    let cited: String = cited
        .unwrap_or_default()
        .iter()
        .flatten()
        .map(|text| &**text)
        .collect();
    let told = fields.take("location", |location| {
        let mut places = location.fields()?;
        if let Some(url) = places.take("web", |web| web.fields()?.take("url", |url| url.string()))? {
            return Ok(Some(object(|citation| {
                citation.string("type", "web_search_result_location");
                citation.string("cited_text", &cited);
                citation.string("url", url.as_deref().unwrap_or_default());
                citation.string("encrypted_index", "");
                maybe_null(citation, "title", title.as_ref());
            })));
        }
        for Place { name, kind, numbers } in &PLACES {
            let place = places.take(name, |place| {
                let mut place = place.fields()?;
                let mut count = |at: usize| place.take(numbers[at][0], |number| number.count());
                Ok([count(0)?, count(1)?, count(2)?])
            })?;
            let Some(told) = place else { continue };
            return Ok(Some(object(|citation| {
                citation.string("type", kind);
                citation.string("cited_text", &cited);
                if *name == "searchResultLocation" {
                    citation.string("source", source.as_deref().unwrap_or_default());
                    maybe_null(citation, "title", title.as_ref());
                } else {
                    maybe_null(citation, "document_title", title.as_ref());
                }
                for (names, number) in numbers.iter().zip(told) {
                    citation.count(names[1], number.unwrap_or(0));
                }
            })));
        }
        Ok(None)
    })?;
    Ok(told
        .flatten()
        .and_then(|bytes| Json::parse(String::from_utf8(bytes).ok()?).ok()))
}

fn maybe_null(object: &mut Object<'_>, name: &str, value: Option<&Text>) {
    match value {
        Some(value) => object.string(name, value),
        None => object.raw(name, "null"),
    }
}

/// The citations of a list, as Converse writes each of them.
#[must_use]
pub fn write_list(list: &Json) -> Vec<String> {
    let all: Vec<Json> = list.read().unwrap_or_default();
    all.iter().filter_map(write).collect()
}

/// A citation as Converse writes it; none when it points to a place that Converse does not know.
#[must_use]
pub fn write(citation: &Json) -> Option<String> {
    let text = Text::from(citation.as_str());
    let written = parse(&text).and_then(|value| written(&value)).ok()??;
    String::from_utf8(written).ok()
}

fn written(value: &Value<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let mut string = |name: &str| fields.take(name, |text| text.string());
    let cited = string("cited_text")?;
    let title = string("document_title")?.or(string("title")?);
    let source = string("source")?;
    let url = string("url")?;
    let place = PLACES.iter().find(|place| kind == place.kind);
    if place.is_none() && kind != "web_search_result_location" {
        return Ok(None);
    }
    let mut numbers = [None; 3];
    if let Some(place) = place {
        for (number, names) in numbers.iter_mut().zip(&place.numbers) {
            *number = fields.take(names[1], |number| number.count())?;
        }
    }
    Ok(Some(object(|citation| {
        citation.maybe_string("title", title.as_deref());
        citation.maybe_string("source", source.as_deref());
        if let Some(cited) = &cited {
            citation.list("sourceContent", |list| {
                list.object(|piece| piece.string("text", cited));
            });
        }
        citation.object("location", |location| match place {
            Some(place) => location.object(place.name, |inner| {
                for (names, number) in place.numbers.iter().zip(numbers) {
                    inner.maybe_count(names[0], number);
                }
            }),
            None => location.object("web", |web| web.maybe_string("url", url.as_deref())),
        });
    })))
}
