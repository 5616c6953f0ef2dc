//! One file with all weights of a model: settings as JSON, then parts, each with its checksum.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `PMWEIGHT` |
//! | 4 | version, 1; numbers are little-endian |
//! | 4 | length of the header |
//! | 4 | CRC-32 of the header |
//! | … | header: `{"settings": …, "parts": {name: {"type": "i8"\|"f32"\|"u8", "shape": […], "offset": n, "crc32": n}}}` |
//! | … | zeros up to a multiple of 64; offsets count from here |
//! | … | parts in the order of their offsets, each from a multiple of 64 on, zeros between |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LoadError;

const MAGIC: &[u8; 8] = b"PMWEIGHT";
const VERSION: u32 = 1;
const PREFIX: usize = 20;
const ALIGN: usize = 64;

/// What a part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    I8,
    F32,
    U8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(rename = "type")]
    kind: Kind,
    shape: Vec<usize>,
    offset: usize,
    crc32: u32,
}

impl Part {
    /// Bytes of it; none if the shape is beyond counting.
    fn size(&self) -> Option<usize> {
        let each = if self.kind == Kind::F32 { 4 } else { 1 };
        self.shape
            .iter()
            .try_fold(each, |product: usize, side| product.checked_mul(*side))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    settings: Value,
    parts: BTreeMap<String, Part>,
}

/// A file that was checked from end to end.
#[derive(Debug)]
pub struct Container<'a> {
    file: String,
    header: Header,
    data: &'a [u8],
}

impl<'a> Container<'a> {
    /// Checks all of `bytes`: lengths, the checksum of the header and of each part.
    ///
    /// # Errors
    ///
    /// If the file is cut off, damaged, or of another kind or version.
    pub fn read(file: &str, bytes: &'a [u8]) -> Result<Self, LoadError> {
        let bad = |problem: String| LoadError::malformed(file, problem);
        let (Some(prefix), Some(rest)) = (bytes.first_chunk::<PREFIX>(), bytes.get(PREFIX..)) else {
            return Err(bad(format!("{} bytes: cut off", bytes.len())));
        };
        if !prefix.starts_with(MAGIC) {
            return Err(bad("is no file of weights".to_owned()));
        }
        let number = |place: usize| {
            u32::from_le_bytes([
                prefix[place],
                prefix[place + 1],
                prefix[place + 2],
                prefix[place + 3],
            ])
        };
        if number(8) != VERSION {
            return Err(bad(format!(
                "is of version {}; version {VERSION} can be read",
                number(8)
            )));
        }
        let length = number(12) as usize;
        let text = rest
            .get(..length)
            .ok_or_else(|| bad("the header is cut off".to_owned()))?;
        if crc32fast::hash(text) != number(16) {
            return Err(bad("the header is damaged: its checksum differs".to_owned()));
        }
        let header: Header = serde_json::from_slice(text).map_err(|error| bad(format!("header: {error}")))?;
        let start = (PREFIX + length).next_multiple_of(ALIGN);
        let data = bytes.get(start..).unwrap_or_default();
        let mut behind = 0;
        let mut parts: Vec<_> = header.parts.iter().collect();
        parts.sort_by_key(|(_, part)| part.offset);
        for (name, part) in parts {
            let end = part.size().and_then(|size| part.offset.checked_add(size));
            let body = end.and_then(|end| data.get(part.offset..end));
            let body = body.ok_or_else(|| bad(format!("part `{name}` is cut off")))?;
            if !part.offset.is_multiple_of(ALIGN) || crc32fast::hash(body) != part.crc32 {
                return Err(bad(format!("part `{name}` is damaged: its checksum differs")));
            }
            // Otherwise a small file could name the same bytes again and again, and never come to an end.
            if part.offset < behind && !body.is_empty() {
                return Err(bad(format!("part `{name}` lies within another")));
            }
            behind = behind.max(part.offset + body.len());
        }
        Ok(Self {
            file: file.to_owned(),
            header,
            data,
        })
    }

    /// What its settings say.
    ///
    /// # Errors
    ///
    /// If they have another form.
    pub fn settings<T: serde::de::DeserializeOwned>(&self) -> Result<T, LoadError> {
        T::deserialize(&self.header.settings)
            .map_err(|error| LoadError::malformed(&self.file, format!("settings: {error}")))
    }

    /// The file's name, for errors.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    fn part(&self, name: &str, kind: Kind, shape: &[usize]) -> Result<&'a [u8], LoadError> {
        let part = self.header.parts.get(name).ok_or_else(|| LoadError::Missing {
            name: name.to_owned(),
            count: self.header.parts.len(),
            near: String::new(),
        })?;
        if part.kind != kind {
            let problem = format!("part `{name}` is of type {:?}, {kind:?} is wanted", part.kind);
            return Err(LoadError::malformed(&self.file, problem));
        }
        if part.shape != shape {
            return Err(LoadError::Shape {
                name: name.to_owned(),
                found: part.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        let size = part.size().unwrap_or(0);
        Ok(&self.data[part.offset..part.offset + size])
    }

    /// Signed bytes of this shape.
    ///
    /// # Errors
    ///
    /// If there is no such part, or it is of another type or shape.
    pub fn signed(&self, name: &str, shape: &[usize]) -> Result<Vec<i8>, LoadError> {
        Ok(self
            .part(name, Kind::I8, shape)?
            .iter()
            .map(|byte| byte.cast_signed())
            .collect())
    }

    /// Floats of this shape, all of them numbers.
    ///
    /// # Errors
    ///
    /// If there is no such part, it is of another type or shape, or has a value that is no number.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let bytes = self.part(name, Kind::F32, shape)?;
        let values: Vec<f32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|four| f32::from_le_bytes(*four))
            .collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(LoadError::malformed(
                &self.file,
                format!("part `{name}` has values that are no numbers"),
            )),
        }
    }

    /// Text.
    ///
    /// # Errors
    ///
    /// If there is no such part, or it is no text.
    pub fn text(&self, name: &str) -> Result<&'a str, LoadError> {
        let shape = self
            .header
            .parts
            .get(name)
            .map(|part| part.shape.clone())
            .unwrap_or_default();
        let bytes = self.part(name, Kind::U8, &shape)?;
        std::str::from_utf8(bytes)
            .map_err(|error| LoadError::malformed(&self.file, format!("part `{name}`: {error}")))
    }

    /// Whether there is a part of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.header.parts.contains_key(name)
    }
}

/// Puts a file together.
#[derive(Debug, Default)]
pub struct Writer {
    parts: BTreeMap<String, Part>,
    data: Vec<u8>,
}

impl Writer {
    fn add(&mut self, name: &str, kind: Kind, shape: &[usize], bytes: &[u8]) {
        self.data.resize(self.data.len().next_multiple_of(ALIGN), 0);
        let part = Part {
            kind,
            shape: shape.to_vec(),
            offset: self.data.len(),
            crc32: crc32fast::hash(bytes),
        };
        self.data.extend_from_slice(bytes);
        self.parts.insert(name.to_owned(), part);
    }

    /// Adds signed bytes.
    pub fn signed(&mut self, name: &str, shape: &[usize], values: &[i8]) {
        let bytes: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
        self.add(name, Kind::I8, shape, &bytes);
    }

    /// Adds floats.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.add(name, Kind::F32, shape, &bytes);
    }

    /// Adds text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.add(name, Kind::U8, &[text.len()], text.as_bytes());
    }

    /// The whole file.
    ///
    /// # Errors
    ///
    /// If the header can't be written, or is longer than 4 GiB.
    pub fn finish(self, settings: Value) -> Result<Vec<u8>, LoadError> {
        let header = Header {
            settings,
            parts: self.parts,
        };
        let bad = |problem: String| LoadError::malformed("header", problem);
        let text = serde_json::to_vec(&header).map_err(|error| bad(error.to_string()))?;
        let length = u32::try_from(text.len()).map_err(|error| bad(error.to_string()))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(crc32fast::hash(&text).to_le_bytes());
        bytes.extend(text);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        bytes.extend(self.data);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file() -> Vec<u8> {
        let mut writer = Writer::default();
        writer.signed("codes", &[2, 3], &[1, -2, 3, -4, 5, -128]);
        writer.floats("scales", &[2], &[0.5, -1.25]);
        writer.text("words", "a\nb");
        writer.finish(json!({"width": 3})).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = file();
        let container = Container::read("model.pm", &bytes).unwrap();
        assert_eq!(
            container.signed("codes", &[2, 3]).unwrap(),
            [1, -2, 3, -4, 5, -128]
        );
        assert_eq!(container.floats("scales", &[2]).unwrap(), [0.5, -1.25]);
        assert_eq!(container.text("words").unwrap(), "a\nb");
        assert_eq!(container.settings::<Value>().unwrap(), json!({"width": 3}));
        let error = container.signed("codes", &[3, 2]).unwrap_err().to_string();
        assert_eq!(
            error,
            "tensor `codes` has shape [2, 3], but the configuration asks for [3, 2]"
        );
        assert!(container.floats("codes", &[2, 3]).is_err());
        assert!(container.floats("more", &[1]).is_err());
    }

    #[test]
    fn parts_that_share_bytes_are_refused() {
        let mut writer = Writer::default();
        writer.signed("codes", &[128], &[7; 128]);
        let mut twin = writer.parts["codes"].clone();
        writer.parts.insert("twin".to_owned(), twin.clone());
        let bytes = writer.finish(json!({})).unwrap();
        let error = Container::read("model.pm", &bytes).unwrap_err().to_string();
        assert!(error.contains("lies within another"), "{error}");
        // An empty part takes no bytes from anyone.
        let mut writer = Writer::default();
        writer.signed("codes", &[128], &[7; 128]);
        twin = Part {
            shape: vec![0],
            crc32: 0,
            ..twin
        };
        writer.parts.insert("none".to_owned(), twin);
        assert!(Container::read("model.pm", &writer.finish(json!({})).unwrap()).is_ok());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = file();
        for end in 0..bytes.len() {
            assert!(
                Container::read("model.pm", &bytes[..end]).is_err(),
                "cut at {end}"
            );
        }
        let header = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let start = (PREFIX + header).next_multiple_of(ALIGN);
        for place in (0..bytes.len()).filter(|place| {
            // Zeros between parts say nothing.
            let data = place.checked_sub(start);
            *place < PREFIX + header
                || data.is_some_and(|data| data < 6 || (64..72).contains(&data) || data >= 128)
        }) {
            for bit in 0..8 {
                let mut spoilt = bytes.clone();
                spoilt[place] ^= 1 << bit;
                assert!(
                    Container::read("model.pm", &spoilt).is_err(),
                    "byte {place}, bit {bit}"
                );
            }
        }
    }
}
