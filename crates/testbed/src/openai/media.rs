//! Images, sound and files as OpenAI takes them.

use serde_json::Value;

use crate::exchange::Refusal;
use crate::media::{ImageProblem, Kind, Media, data_url, decode, decode_strictly};

/// An image behind an address, or in it.
pub(crate) fn image(url: &str, path: &str) -> Result<Media, Refusal> {
    let refuse = |message: &str| {
        Err(Refusal::bad(message.to_owned())
            .at(path)
            .coded("invalid_image_url"))
    };
    if let Some((mime, data)) = data_url(url) {
        return match crate::media::image(mime, data) {
            Ok(image) => Ok(image),
            Err(ImageProblem::Type(mime)) => refuse(&format!(
                "Invalid MIME type. Only image types are supported, got {mime}."
            )),
            Err(ImageProblem::Base64) => refuse("Invalid base64 image_url."),
            // The bytes decide, not the label.
            Err(ImageProblem::Mismatch(real)) => Ok(Media {
                kind: Kind::Image,
                mime: real.to_owned(),
                size: decode_strictly(data).map_or(0, |bytes| bytes.len()),
            }),
            Err(ImageProblem::Bytes) => refuse(
                "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].",
            ),
        };
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Media::linked(Kind::Image, url));
    }
    refuse(&format!(
        "Invalid '{path}'. Expected a valid URL, but got a value with an invalid format."
    ))
}

/// Sound in base64, checked before.
pub(crate) fn audio(audio: &Value) -> Media {
    Media {
        kind: Kind::Audio,
        mime: format!("audio/{}", audio["format"].as_str().unwrap_or_default()),
        size: decode(audio["data"].as_str().unwrap_or_default()).map_or(0, |bytes| bytes.len()),
    }
}

/// A file: one of its data, its id or its address.
pub(crate) fn file(file: &Value, path: &str) -> Result<Media, Refusal> {
    let sources: Vec<&str> = ["file_data", "file_id", "file_url"]
        .into_iter()
        .filter(|name| file[*name].is_string())
        .collect();
    let [source] = sources.as_slice() else {
        return Err(Refusal::bad(format!(
            "Invalid '{path}': expected exactly one of 'file_data', 'file_id' or 'file_url'."
        ))
        .at(path)
        .coded("mutually_exclusive_parameters"));
    };
    let value = file[*source].as_str().unwrap_or_default();
    if *source != "file_data" {
        return Ok(Media::linked(Kind::Document, value));
    }
    if !file["filename"].is_string() {
        return Err(
            Refusal::bad(format!("Missing required parameter: '{path}.filename'."))
                .at(format!("{path}.filename"))
                .coded("missing_required_parameter"),
        );
    }
    let parts = data_url(value);
    let bytes = parts.and_then(|(_, data)| decode_strictly(data));
    match (parts, bytes) {
        (Some((mime, _)), Some(bytes)) => Ok(Media {
            kind: Kind::Document,
            mime: mime.to_owned(),
            size: bytes.len(),
        }),
        _ => Err(Refusal::bad(format!(
            "Invalid '{path}.file_data'. Expected a base64-encoded data URL with a MIME type (e.g. 'data:application/pdf;base64,JVBERi0xLjQK...'), but got an invalid value."
        ))
        .at(format!("{path}.file_data"))
        .coded("invalid_value")),
    }
}
