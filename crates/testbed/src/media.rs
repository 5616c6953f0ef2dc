//! Images, sound and documents: base64, and what the bytes say they are.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    Audio,
    Document,
}

/// Something of a prompt that is not text.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) kind: Kind,
    /// Its media type, or `url`.
    pub(crate) mime: String,
    /// Its size in bytes, or the length of its address.
    pub(crate) size: usize,
}

impl Media {
    /// A medium of which only the address is known.
    pub(crate) fn linked(kind: Kind, url: &str) -> Self {
        Self {
            kind,
            mime: "url".to_owned(),
            size: url.len(),
        }
    }

    /// Tokens that it costs.
    pub(crate) fn tokens(&self) -> u64 {
        let size = self.size as u64;
        match self.kind {
            Kind::Image => 85 + size / 512,
            Kind::Audio => 1 + size / 100,
            Kind::Document => 1 + size / 50,
        }
    }
}

/// The bytes of base64 of any alphabet.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .or_else(|_| STANDARD_NO_PAD.decode(text))
        .or_else(|_| URL_SAFE_NO_PAD.decode(text))
        .ok()
}

/// The bytes of base64 of the standard alphabet, padded.
pub(crate) fn decode_strictly(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Base64 of the standard alphabet.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What image the bytes are.
pub(crate) fn sniff(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 5] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF", "image/webp"),
    ];
    known
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|(_, mime)| *mime)
}

/// A `data:` address.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// What is wrong with an image, when something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageProblem {
    Type(String),
    Base64,
    Bytes,
    /// It is one of another type.
    Mismatch(&'static str),
}

/// An image in base64.
pub(crate) fn image(mime: &str, data: &str) -> Result<Media, ImageProblem> {
    if !["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&mime) {
        return Err(ImageProblem::Type(mime.to_owned()));
    }
    let bytes = decode_strictly(data)
        .filter(|bytes| !bytes.is_empty())
        .ok_or(ImageProblem::Base64)?;
    match sniff(&bytes) {
        None => Err(ImageProblem::Bytes),
        Some(real) if real != mime => Err(ImageProblem::Mismatch(real)),
        Some(_) => Ok(Media {
            kind: Kind::Image,
            mime: mime.to_owned(),
            size: bytes.len(),
        }),
    }
}

/// A small PNG with a colour of its own.
pub(crate) fn png(seed: u64) -> Vec<u8> {
    let raw = [&[0][..], &seed.to_be_bytes()[..3]].concat();
    let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to a vector cannot fail.
    let packed = std::io::Write::write_all(&mut coder, &raw)
        .and_then(|()| coder.finish())
        .unwrap_or_default();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0];
    for (name, data) in [(b"IHDR", &header[..]), (b"IDAT", &packed[..]), (b"IEND", &[][..])] {
        out.extend((data.len() as u32).to_be_bytes());
        let body = [&name[..], data].concat();
        out.extend(&body);
        out.extend(crate::bedrock::frame::crc32(&body).to_be_bytes());
    }
    out
}

/// A second of a wave, 8 bits at 8 kHz, that begins with the text.
pub(crate) fn wav(text: &str) -> Vec<u8> {
    let mut samples = vec![128_u8; 800];
    for (sample, byte) in samples.iter_mut().zip(text.bytes()) {
        *sample = byte;
    }
    let size = samples.len() as u32;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + size).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16_u32.to_le_bytes());
    out.extend([1, 0, 1, 0]);
    out.extend(8_000_u32.to_le_bytes());
    out.extend(8_000_u32.to_le_bytes());
    out.extend([1, 0, 8, 0]);
    out.extend(b"data");
    out.extend(size.to_le_bytes());
    out.extend(samples);
    out
}
