//! Documents to answer from: those of the request, and those that a tool gives back.
//!
//! As it came, a document stays beside its text; it is written back so, unless the text was changed meanwhile.

use crate::form::{ContentShape, Document, Extra, Message, Part, PartKind, Role, Source, Text, TextPart};
use crate::format::DecodeError;
use crate::json::Json;
use crate::json::fields::Value;
use crate::json::write::{List, Object};

/// Under this name a part keeps the document as it came.
pub(super) const AS_IT_CAME: &str = "document";

/// A document as a part; `cited` when the answer shall cite it.
pub(super) fn read(value: &Value<'_>, cited: bool) -> Result<Part, DecodeError> {
    let told = read_told(value)?;
    let citations = cited.then(|| Json::parse(r#"{"enabled":true}"#).ok()).flatten();
    let mut part = Part::new(PartKind::Document(Document {
        source: Source::PlainText {
            media_type: Text::from_static("text/plain"),
            data: told.text,
        },
        title: told.id,
        context: None,
        citations,
    }));
    part.extra.set(AS_IT_CAME, value.json());
    Ok(part)
}

/// A document that a tool gave back, as text: in other formats results are text.
pub(super) fn read_result(value: &Value<'_>) -> Result<Part, DecodeError> {
    let told = read_told(value)?;
    let mut part = Part::new(PartKind::Text(TextPart {
        text: told.text,
        citations: None,
    }));
    part.extra.set(AS_IT_CAME, value.json());
    Ok(part)
}

struct Told {
    id: Option<Text>,
    text: Text,
}

fn read_told(value: &Value<'_>) -> Result<Told, DecodeError> {
    if value.is_string() {
        return Ok(Told {
            id: None,
            text: value.string()?,
        });
    }
    let mut fields = value.fields()?;
    Ok(Told {
        id: fields.take("id", |id| id.string())?,
        text: fields.need("data", |data| {
            if data.is_string() {
                data.string()
            } else {
                Ok(Text::from(data.text()))
            }
        })?,
    })
}

/// The documents of a request as one message, told from others in that it has no content field.
pub(super) fn message(parts: Vec<Part>) -> Message {
    Message {
        role: Role::User,
        parts,
        shape: ContentShape::Absent,
        name: None,
        extra: Extra::default(),
    }
}

/// Whether a message of this format holds the documents of the request.
pub(super) fn holds_documents(message: &Message) -> bool {
    message.role == Role::User && message.shape == ContentShape::Absent
}

/// Writes a document of the request.
pub(super) fn write(list: &mut List<'_>, part: &Part) {
    if let PartKind::Document(Document {
        source: Source::PlainText { data, .. },
        title,
        ..
    }) = &part.kind
    {
        list.raw(&told_again(part, data, title.as_deref()));
    }
}

/// Writes a document that a tool gave back.
pub(super) fn write_result(object: &mut Object<'_>, part: &Part, text: &str) {
    object.string("type", "document");
    let id = part
        .extra
        .get(AS_IT_CAME)
        .and_then(|came| came.read::<Identified>().ok());
    let id = id.and_then(|known| known.id);
    object.raw("document", &told_again(part, text, id.as_deref()));
}

/// The document as it came, or with what was changed of it.
fn told_again(part: &Part, text: &str, id: Option<&str>) -> String {
    if let Some(came) = part.extra.get(AS_IT_CAME) {
        let body = Text::from(came.as_str());
        let same = crate::json::fields::parse(&body)
            .and_then(|value| read_told(&value))
            .is_ok_and(|told| told.text == text && told.id.as_deref() == id);
        if same {
            return came.as_str().to_owned();
        }
        if came.as_str().starts_with('"') {
            return Json::of(text).map_or_else(|_| "\"\"".to_owned(), |json| json.as_str().to_owned());
        }
    }
    let data = Json::parse(text)
        .ok()
        .filter(|json| json.as_str().starts_with('{'));
    let written = Json::object(|document| {
        document.maybe_string("id", id);
        match &data {
            Some(data) => document.raw("data", data.as_str()),
            None => document.object("data", |data| data.string("text", text)),
        }
    });
    written.as_str().to_owned()
}

#[derive(serde::Deserialize)]
struct Identified {
    id: Option<String>,
}

/// A text document of another format as one that can be cited.
pub(super) fn of_foreign(document: &Document, text: &str) -> Json {
    Json::object(|whole| {
        whole.object("data", |data| {
            data.maybe_string("title", document.title.as_deref());
            data.maybe_string("context", document.context.as_deref());
            data.string("text", text);
        });
    })
}
