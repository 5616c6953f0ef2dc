//! Media: `inlineData` and `fileData`, by their MIME type an image, a recording, a film or a document.

use std::collections::BTreeMap;

use super::names;
use crate::form::{Audio, Document, Extra, Image, PartKind, Source, Text, Video};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::Value;
use crate::json::object::fields_of;
use crate::json::write::Object;

const KNOWN: [&str; 4] = ["mimeType", "data", "fileUri", "displayName"];

/// Reads `inlineData`. What it holds beyond type and data is put into `extra` under the name `inlineData`.
pub(super) fn read_inline(value: &Value<'_>, extra: &mut Extra) -> Result<PartKind, DecodeError> {
    let mut fields = names::fields(value, &KNOWN)?;
    let mime = fields.take("mimeType", names::text)?.unwrap_or_default();
    let data = standard(fields.take("data", names::text)?.unwrap_or_default());
    let title = fields.take("displayName", names::text)?;
    let kind = if let Some(subtype) = mime.strip_prefix("audio/") {
        let format = audio_format(subtype);
        if format!("audio/{format}") != mime.as_ref() as &str {
            keep(extra, "inlineData", |rest| rest.string("mimeType", &mime));
        }
        PartKind::Audio(Audio {
            data,
            format: format.to_owned().into(),
            id: None,
        })
    } else {
        let source = Source::Base64 {
            media_type: mime.clone(),
            data,
        };
        by_type(&mime, source, title.clone())
    };
    keep_rest(
        extra,
        "inlineData",
        title.filter(|_| !has_title(&kind)),
        &fields.rest(),
    );
    Ok(kind)
}

/// Base64 in the alphabet that every format knows: this one's SDKs write the other, and its API takes both.
fn standard(data: Text) -> Text {
    if data.contains(['-', '_']) {
        data.replace('-', "+").replace('_', "/").into()
    } else {
        data
    }
}

/// Reads `fileData`. The type of the file is put into `extra`: a URL in the form has none.
pub(super) fn read_file(value: &Value<'_>, extra: &mut Extra) -> Result<PartKind, DecodeError> {
    let mut fields = names::fields(value, &KNOWN)?;
    let mime = fields.take("mimeType", names::text)?;
    let uri = fields.need("fileUri", names::text)?;
    let title = fields.take("displayName", names::text)?;
    let told = mime
        .clone()
        .unwrap_or_else(|| guess_type(&uri).unwrap_or_default().into());
    if told.starts_with("audio/") {
        // Recordings elsewhere the form has no place for.
        return Ok(PartKind::Opaque {
            format: Format::GeminiGenerate,
            kind: "fileData".into(),
            json: wrapped("fileData", value),
        });
    }
    let source = if is_google(&uri) {
        Source::FileId(uri)
    } else {
        Source::Url(uri)
    };
    let kind = by_type(&told, source, title.clone());
    if let Some(mime) = mime {
        keep(extra, "fileData", |rest| rest.string("mimeType", &mime));
    }
    keep_rest(
        extra,
        "fileData",
        title.filter(|_| !has_title(&kind)),
        &fields.rest(),
    );
    Ok(kind)
}

/// A part that holds nothing but `value` under `name`.
fn wrapped(name: &str, value: &Value<'_>) -> Json {
    Json::object(|part| part.raw(name, value.text()))
}

fn by_type(mime: &str, source: Source, title: Option<Text>) -> PartKind {
    if mime.starts_with("image/") {
        PartKind::Image(Image { source, detail: None })
    } else if mime.starts_with("video/") {
        PartKind::Video(Video { source })
    } else {
        PartKind::Document(Document {
            source,
            title,
            context: None,
            citations: None,
        })
    }
}

fn has_title(kind: &PartKind) -> bool {
    matches!(kind, PartKind::Document(_))
}

/// Adds fields to the object that `extra` keeps under `name`.
fn keep(extra: &mut Extra, name: &str, write: impl FnOnce(&mut Object<'_>)) {
    let kept = Json::object(|rest| {
        kept_fields(extra.get(name))
            .iter()
            .for_each(|(name, json)| rest.raw(name, json.as_str()));
        write(rest);
    });
    extra.set(name.to_owned(), kept);
}

fn keep_rest(extra: &mut Extra, name: &str, title: Option<Text>, rest: &Extra) {
    if let Some(title) = title {
        keep(extra, name, |object| object.string("displayName", &title));
    }
    if !rest.is_empty() {
        keep(extra, name, |object| object.extra(rest));
    }
}

/// The fields of the object that was kept under a name.
fn kept_fields(json: Option<&Json>) -> BTreeMap<String, Json> {
    json.map(fields_of).unwrap_or_default()
}

/// Files that only Google can read.
fn is_google(uri: &str) -> bool {
    uri.starts_with("gs://")
        || uri.starts_with("files/")
        || uri.starts_with("https://generativelanguage.googleapis.com/")
}

/// The name that the form (and OpenAI) has for a sort of audio.
fn audio_format(subtype: &str) -> &str {
    match subtype {
        "mpeg" | "mp3" => "mp3",
        "wav" | "x-wav" | "wave" => "wav",
        pcm if pcm.to_ascii_lowercase().starts_with("l16") || pcm.starts_with("pcm") => "pcm16",
        other => other,
    }
}

/// The type of a file by the end of its name, where models take that type.
fn guess_type(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    if ["youtube.com/", "youtu.be/"]
        .iter()
        .any(|site| uri.contains(site))
    {
        return Some("video/mp4");
    }
    let (_, end) = path.rsplit_once('.')?;
    Some(match end.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "gif" => "image/gif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        _ => return None,
    })
}

/// Writes base64 data as `inlineData`.
pub(super) fn write_inline(
    object: &mut Object<'_>,
    mime: &str,
    data: &str,
    title: Option<&str>,
    kept: Option<&Json>,
) {
    let kept = kept_fields(kept);
    let told = kept.contains_key("mimeType");
    object.object("inlineData", |blob| {
        if !told && !mime.is_empty() {
            blob.string("mimeType", mime);
        }
        blob.string("data", data);
        blob.maybe_string("displayName", title);
        kept.iter().for_each(|(name, json)| blob.raw(name, json.as_str()));
    });
}

/// Writes a URI as `fileData`; `own` when it came in this format. Of other formats' files the type is guessed.
pub(super) fn write_file(
    object: &mut Object<'_>,
    uri: &str,
    fallback: &str,
    title: Option<&str>,
    kept: Option<&Json>,
    own: bool,
) {
    let kept = kept_fields(kept);
    object.object("fileData", |file| {
        if !own {
            file.string("mimeType", guess_type(uri).unwrap_or(fallback));
        }
        file.string("fileUri", uri);
        file.maybe_string("displayName", title);
        kept.iter().for_each(|(name, json)| file.raw(name, json.as_str()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::fields::parse;

    fn inline(body: &str) -> (PartKind, Extra) {
        let body = Text::from(body.to_owned());
        let mut extra = Extra::default();
        let kind = read_inline(&parse(&body).unwrap(), &mut extra).unwrap();
        (kind, extra)
    }

    #[test]
    fn the_type_says_what_it_is() {
        assert!(matches!(
            inline(r#"{"mime_type":"image/png","data":"AA"}"#).0,
            PartKind::Image(_)
        ));
        assert!(matches!(
            inline(r#"{"mimeType":"application/pdf","data":"AA"}"#).0,
            PartKind::Document(_)
        ));
        assert!(matches!(
            inline(r#"{"mimeType":"video/mp4","data":"AA"}"#).0,
            PartKind::Video(_)
        ));
        let (kind, extra) = inline(r#"{"mimeType":"audio/L16;codec=pcm;rate=24000","data":"AA"}"#);
        let PartKind::Audio(audio) = kind else {
            panic!("{kind:?}")
        };
        assert_eq!(audio.format, "pcm16");
        assert_eq!(
            extra.get("inlineData").unwrap().as_str(),
            r#"{"mimeType":"audio/L16;codec=pcm;rate=24000"}"#
        );
    }

    #[test]
    fn types_are_guessed_by_name() {
        assert_eq!(guess_type("https://example.com/a.PNG?width=3"), Some("image/png"));
        assert_eq!(
            guess_type("https://www.youtube.com/watch?v=9hE5"),
            Some("video/mp4")
        );
        assert_eq!(guess_type("https://example.com/picture"), None);
    }
}
