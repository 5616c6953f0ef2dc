//! Files that a request names by URL, fetched for a provider that takes no URLs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;
use pointsman_upstream::Fetched;
use pointsman_wire::form::{ChatRequest, Failure, FailureKind, Part, PartKind, Source, Text};
use pointsman_wire::format::Format;

use super::super::Arrival;
use super::super::arrive::Asked;
use crate::snapshot::MediaPolicy;
use crate::worker::Worker;

/// A file to be fetched.
struct Named {
    url: Text,
    picture: bool,
    /// Where the request names it.
    at: String,
}

/// What is asked, with the files themselves where `to` takes no URLs; none when there is nothing to be fetched. Fetched
/// once a request, whoever is asked after that.
///
/// # Errors
/// 400 when there are too many, or one cannot be had; 413 when they are too large together.
pub async fn brought<'a>(
    worker: &Worker,
    arrival: &Arrival,
    asked: &'a Asked,
    to: Format,
) -> Result<Option<&'a ChatRequest>, Failure> {
    let Some(policy) = &arrival.snapshot.media else {
        return Ok(None);
    };
    if !matches!(to, Format::BedrockConverse | Format::BedrockInvoke) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for (index, message) in asked.request.messages.iter().enumerate() {
        find(&message.parts, &format!("messages[{index}].content"), &mut files);
    }
    if files.is_empty() {
        return Ok(None);
    }
    let bring = || {
        fetch(
            worker,
            policy,
            &asked.request,
            files,
            arrival.snapshot.bounds.request_limit,
        )
    };
    asked
        .fetched
        .get_or_try_init(bring)
        .await
        .map(|request| Some(&**request))
}

fn find(parts: &[Part], at: &str, files: &mut Vec<Named>) {
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let (source, picture) = match &part.kind {
            PartKind::Image(image) => (&image.source, true),
            PartKind::Document(document) => (&document.source, false),
            PartKind::ToolResult(result) => {
                find(&result.content, &at, files);
                continue;
            }
            _ => continue,
        };
        match source {
            Source::Url(url) if is_fetched(url) => files.push(Named {
                url: url.clone(),
                picture,
                at,
            }),
            Source::Parts { parts, .. } => find(parts, &at, files),
            _ => {}
        }
    }
}

/// Of URLs, the web's; what is in a cloud's store or in the URL itself the provider knows how to take, or to refuse.
fn is_fetched(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
}

async fn fetch(
    worker: &Worker,
    policy: &MediaPolicy,
    request: &ChatRequest,
    files: Vec<Named>,
    limit: usize,
) -> Result<Box<ChatRequest>, Failure> {
    if files.len() > policy.max_files {
        let message = format!(
            "the request names {} files by URL for a provider that takes none, and at most {} are fetched \
             (server.media.max_files); send the files themselves",
            files.len(),
            policy.max_files
        );
        return Err(Failure::new(FailureKind::InvalidRequest, message).at("messages"));
    }
    let fetches = files.iter().map(|file| async {
        let fetched = worker.client.fetch(&file.url, &policy.bounds).await;
        fetched
            .map_err(|error| error.to_string())
            .and_then(|fetched| source_of(file, &fetched))
            .map_err(|why| unavailable(file, &why))
    });
    let sources = try_join_all(fetches).await?;
    let size = |source: &Source| match source {
        Source::Base64 { data, .. } => data.len(),
        _ => 0,
    };
    if sources.iter().map(size).sum::<usize>() > limit {
        let message = format!("the files that the request names are larger than {limit} bytes together");
        return Err(Failure::new(FailureKind::TooLarge, message).at("messages"));
    }
    let mut request = Box::new(request.clone());
    let mut sources = sources.into_iter();
    for message in &mut request.messages {
        put_in(&mut message.parts, &mut sources);
    }
    Ok(request)
}

/// Puts files in the place of their URLs, in the order in which [`find`] found them.
fn put_in(parts: &mut [Part], files: &mut impl Iterator<Item = Source>) {
    for part in parts {
        let source = match &mut part.kind {
            PartKind::Image(image) => &mut image.source,
            PartKind::Document(document) => &mut document.source,
            PartKind::ToolResult(result) => {
                put_in(&mut result.content, &mut *files);
                continue;
            }
            _ => continue,
        };
        match source {
            Source::Url(url) if is_fetched(url) => {
                if let Some(file) = files.next() {
                    *source = file;
                }
            }
            Source::Parts { parts, .. } => put_in(parts, &mut *files),
            _ => {}
        }
    }
}

/// The file, if it is what the request says it is. What a picture is, its first bytes say.
fn source_of(file: &Named, fetched: &Fetched) -> Result<Source, String> {
    let told = fetched
        .content_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    let told = told
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let media_type = if file.picture {
        let may_be = told.starts_with("image/") || told == "application/octet-stream";
        let known = picture(&fetched.bytes).filter(|_| may_be);
        known.ok_or_else(|| format!("it is no picture in png, jpeg, gif or webp (its server says {told})"))?
    } else if told == "application/octet-stream" && fetched.bytes.starts_with(b"%PDF-") {
        "application/pdf"
    } else {
        &told
    };
    Ok(Source::Base64 {
        media_type: media_type.into(),
        data: STANDARD.encode(&fetched.bytes).into(),
    })
}

fn picture(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn unavailable(file: &Named, why: &str) -> Failure {
    let message = format!(
        "{}: the provider takes no URLs, and the file could not be fetched for it: {why}",
        file.at
    );
    Failure::new(FailureKind::InvalidRequest, message)
        .at(file.at.clone())
        .coded("file_unavailable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_first_bytes_and_documents_by_their_type() {
        let file = |picture| Named {
            url: "https://e.ch/a".into(),
            picture,
            at: "messages[0].content[0]".into(),
        };
        let fetched = |content_type: Option<&str>, bytes: &'static [u8]| Fetched {
            content_type: content_type.map(str::to_owned),
            bytes: bytes.into(),
        };
        let media_type =
            |picture, content_type, bytes| match source_of(&file(picture), &fetched(content_type, bytes)) {
                Ok(Source::Base64 { media_type, .. }) => Some(media_type.to_string()),
                _ => None,
            };
        let png: &[u8] = b"\x89PNG\r\n\x1a\n";
        assert_eq!(
            media_type(true, Some("image/jpeg; q=1"), png).as_deref(),
            Some("image/png")
        );
        assert_eq!(
            media_type(true, None, b"\xff\xd8\xff\xe0").as_deref(),
            Some("image/jpeg")
        );
        assert_eq!(
            media_type(true, Some("image/webp"), b"RIFF1234WEBPVP8 ").as_deref(),
            Some("image/webp")
        );
        assert_eq!(media_type(true, Some("text/html"), png), None);
        assert_eq!(media_type(true, Some("image/png"), b"<html>"), None);
        assert_eq!(
            media_type(false, Some("application/pdf"), b"x").as_deref(),
            Some("application/pdf")
        );
        assert_eq!(
            media_type(false, None, b"%PDF-1.7").as_deref(),
            Some("application/pdf")
        );
    }
}
