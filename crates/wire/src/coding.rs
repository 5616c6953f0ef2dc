//! Content codings of HTTP bodies (RFC 9110, section 8.4): gzip, deflate, br, zstd, alone or stacked.
//!
//! Decoders push: bytes in, bytes out, so that a stream can be decoded chunk by chunk. What comes out is bounded.

use std::io::Write;

use bytes::Bytes;
use smallvec::SmallVec;

/// What is wrong with a coded body.
#[derive(Debug, thiserror::Error)]
pub enum CodingError {
    /// A coding we do not know.
    #[error("the content coding {coding:?} is not supported; use gzip, deflate, br, zstd or identity")]
    Unsupported {
        /// Its name.
        coding: String,
    },
    /// The bytes are not what the coding says.
    #[error("the body is not valid {coding}")]
    Corrupt {
        /// The coding's name.
        coding: &'static str,
    },
    /// It decodes to more than the limit.
    #[error("the body decodes to more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// Most codings stacked on each other; more is an attack.
const MAX_STACKED: usize = 4;

/// Collects decoded bytes up to a limit.
struct Sink {
    bytes: Vec<u8>,
    left: usize,
    overflown: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > self.left {
            self.overflown = true;
            return Err(std::io::Error::other("limit"));
        }
        self.left -= bytes.len();
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

enum Layer {
    Gzip(flate2::write::MultiGzDecoder<Sink>),
    Deflate(Deflate),
    Brotli(Box<brotli::DecompressorWriter<Sink>>),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

/// `deflate` is zlib by the standard and raw deflate by some servers: the first byte tells.
enum Deflate {
    Unknown(Option<Sink>),
    Zlib(flate2::write::ZlibDecoder<Sink>),
    Raw(flate2::write::DeflateDecoder<Sink>),
}

impl Layer {
    fn new(coding: &str, limit: usize) -> Result<Option<Self>, CodingError> {
        let sink = Sink {
            bytes: Vec::new(),
            left: limit,
            overflown: false,
        };
        Ok(Some(match coding {
            "identity" | "" => return Ok(None),
            "gzip" | "x-gzip" => Self::Gzip(flate2::write::MultiGzDecoder::new(sink)),
            "deflate" => Self::Deflate(Deflate::Unknown(Some(sink))),
            "br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(sink, 8 * 1024))),
            "zstd" => {
                let decoder = zstd::stream::write::Decoder::new(sink);
                Self::Zstd(decoder.map_err(|_| CodingError::Corrupt { coding: "zstd" })?)
            }
            other => {
                return Err(CodingError::Unsupported {
                    coding: other.chars().take(40).collect(),
                });
            }
        }))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
        }
    }

    fn push(&mut self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
        let written = match self {
            Self::Gzip(layer) => layer.write_all(bytes).and_then(|()| layer.flush()),
            Self::Deflate(layer) => layer.write(bytes),
            Self::Brotli(layer) => layer.write_all(bytes).and_then(|()| layer.flush()),
            Self::Zstd(layer) => layer.write_all(bytes).and_then(|()| layer.flush()),
        };
        let coding = self.name();
        let Some(sink) = self.sink() else {
            return Ok(Vec::new());
        };
        if sink.overflown {
            return Err(CodingError::TooLarge { limit });
        }
        let decoded = std::mem::take(&mut sink.bytes);
        written
            .map(|()| decoded)
            .map_err(|_| CodingError::Corrupt { coding })
    }

    fn sink(&mut self) -> Option<&mut Sink> {
        match self {
            Self::Gzip(layer) => Some(layer.get_mut()),
            Self::Deflate(Deflate::Unknown(sink)) => sink.as_mut(),
            Self::Deflate(Deflate::Zlib(layer)) => Some(layer.get_mut()),
            Self::Deflate(Deflate::Raw(layer)) => Some(layer.get_mut()),
            Self::Brotli(layer) => Some(layer.get_mut()),
            Self::Zstd(layer) => Some(layer.get_mut()),
        }
    }
}

impl Deflate {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let (Self::Unknown(sink), Some(first)) = (&mut *self, bytes.first())
            && let Some(sink) = sink.take()
        {
            // A zlib header names method 8 in its low four bits (RFC 1950, section 2.2).
            *self = if first & 0x0f == 8 {
                Self::Zlib(flate2::write::ZlibDecoder::new(sink))
            } else {
                Self::Raw(flate2::write::DeflateDecoder::new(sink))
            };
        }
        match self {
            Self::Unknown(_) => Ok(()),
            Self::Zlib(layer) => layer.write_all(bytes).and_then(|()| layer.flush()),
            Self::Raw(layer) => layer.write_all(bytes).and_then(|()| layer.flush()),
        }
    }
}

/// Decodes a body chunk by chunk.
pub struct Decoder {
    /// In the order in which they are undone.
    layers: SmallVec<[Layer; 1]>,
    limit: usize,
}

impl Decoder {
    /// A decoder for the `content-encoding` header `codings`; at most `limit` bytes come out of each layer.
    ///
    /// # Errors
    /// When one of the codings is not known.
    pub fn new(codings: &str, limit: usize) -> Result<Self, CodingError> {
        let mut layers = SmallVec::new();
        for coding in codings.rsplit(',') {
            if let Some(layer) = Layer::new(&coding.trim().to_ascii_lowercase(), limit)? {
                layers.push(layer);
            }
        }
        if layers.len() > MAX_STACKED {
            return Err(CodingError::Unsupported {
                coding: codings.chars().take(40).collect(),
            });
        }
        Ok(Self { layers, limit })
    }

    /// What `bytes` decode to.
    ///
    /// # Errors
    /// When they are not what the coding says, or more than the limit came out.
    pub fn push(&mut self, bytes: &Bytes) -> Result<Bytes, CodingError> {
        let mut bytes = bytes.clone();
        for layer in &mut self.layers {
            bytes = layer.push(&bytes, self.limit)?.into();
        }
        Ok(bytes)
    }
}

/// Decodes a whole body.
///
/// # Errors
/// As [`Decoder`]; a body that ends too early is corrupt where its coding can tell.
pub fn decode_all(body: &Bytes, codings: &str, limit: usize) -> Result<Bytes, CodingError> {
    let mut decoder = Decoder::new(codings, limit)?;
    let decoded = decoder.push(body)?;
    for layer in &mut decoder.layers {
        let coding = layer.name();
        let ended = match layer {
            Layer::Gzip(layer) => layer.try_finish(),
            Layer::Deflate(Deflate::Zlib(layer)) => layer.try_finish(),
            Layer::Deflate(Deflate::Raw(layer)) => layer.try_finish(),
            Layer::Brotli(layer) => layer.close(),
            Layer::Deflate(Deflate::Unknown(_)) | Layer::Zstd(_) => Ok(()),
        };
        ended.map_err(|_| CodingError::Corrupt { coding })?;
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(coding: &str, bytes: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match coding {
            "gzip" => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            "deflate" => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), level);
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            "raw" => {
                let mut out = flate2::write::DeflateEncoder::new(Vec::new(), level);
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            "br" => {
                let mut out = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
                out.write_all(bytes).unwrap();
                out.into_inner()
            }
            _ => zstd::stream::encode_all(bytes, 3).unwrap(),
        }
    }

    #[test]
    fn every_coding_in_any_chunking() {
        let text = "To be, or not to be. ".repeat(500).into_bytes();
        for (coding, header) in [
            ("gzip", "gzip"),
            ("deflate", "deflate"),
            ("raw", "deflate"),
            ("br", "br"),
            ("zstd", "ZSTD"),
        ] {
            let body = coded(coding, &text);
            assert_eq!(
                decode_all(&body.clone().into(), header, 1 << 20).unwrap(),
                text,
                "{coding}"
            );
            let mut decoder = Decoder::new(header, 1 << 20).unwrap();
            let mut out = Vec::new();
            for chunk in body.chunks(7) {
                out.extend_from_slice(&decoder.push(&Bytes::copy_from_slice(chunk)).unwrap());
            }
            assert_eq!(out, text, "{coding} in chunks");
        }
    }

    #[test]
    fn codings_stack() {
        let body = coded("br", &coded("gzip", b"hello"));
        assert_eq!(decode_all(&body.into(), "gzip, br", 100).unwrap(), "hello");
    }

    #[test]
    fn bombs_damage_and_strangers_are_refused() {
        let zeros = vec![0_u8; 1 << 20];
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let bomb = Bytes::from(coded(coding, &zeros));
            assert!(
                matches!(
                    decode_all(&bomb, coding, 1 << 16),
                    Err(CodingError::TooLarge { .. })
                ),
                "{coding}"
            );
            let damaged = Bytes::from_static(b"\x01not at all compressed");
            assert!(
                matches!(
                    decode_all(&damaged, coding, 1 << 16),
                    Err(CodingError::Corrupt { .. })
                ),
                "{coding}"
            );
        }
        let cut = Bytes::from(coded("gzip", b"hello hello hello")).slice(..12);
        assert!(decode_all(&cut, "gzip", 100).is_err());
        assert!(matches!(
            decode_all(&cut, "lzma", 100),
            Err(CodingError::Unsupported { .. })
        ));
        assert_eq!(
            decode_all(&Bytes::from_static(b"x"), "identity", 100).unwrap(),
            "x"
        );
    }
}
