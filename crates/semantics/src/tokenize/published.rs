//! Tokenizers as their authors published them: BPE, Unigram and others, from a `tokenizer.json`.

use std::panic::catch_unwind;
use std::str::FromStr;

use super::{Frame, Pieces, Token, boundary};
use crate::error::LoadError;
use crate::work;

/// A tokenizer described by a `tokenizer.json`.
#[derive(Debug)]
pub struct Published {
    inner: tokenizers::Tokenizer,
    frame: Frame,
    size: usize,
}

/// A longer text goes through in stretches, so that no step sees more than this many bytes at once.
const STRETCH: usize = 64 << 10;

impl Published {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// If it isn't one.
    pub fn from_json(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let bad = |problem: String| LoadError::malformed(file, problem);
        let text = std::str::from_utf8(bytes).map_err(|error| bad(error.to_string()))?;
        // Of some descriptions that make no sense, the library does not say so but falls over them.
        let read = catch_unwind(|| {
            let mut inner = tokenizers::Tokenizer::from_str(text).map_err(|error| error.to_string())?;
            inner.with_padding(None);
            inner.with_truncation(None).map_err(|error| error.to_string())?;
            let frame = frame_of(&inner)?;
            Ok((inner, frame))
        });
        let read = read.unwrap_or_else(|_| Err("describes a tokenizer that can't work".to_owned()));
        let (mut inner, frame) = read.map_err(bad)?;
        let highest = inner.get_vocab(true).values().copied().max();
        inner.set_encode_special_tokens(true);
        Ok(Self {
            size: highest.map_or(0, |id| id as usize + 1),
            inner,
            frame,
        })
    }

    /// The first `limit` pieces of `text`.
    #[must_use]
    pub fn pieces(&self, text: &str, limit: usize) -> Pieces {
        let mut tokens = Vec::new();
        let mut rest = text;
        while !rest.is_empty() && tokens.len() <= limit {
            let (stretch, after) = rest.split_at(stretch_end(rest));
            let base = text.len() - rest.len();
            // What is done with a stretch may be anything: its length is what bounds it.
            work::note(STRETCH.min(rest.len()));
            let Ok(encoding) = self.inner.encode(stretch, false) else {
                // Only a vocabulary without its own unknown token fails here: what it can't say is left out.
                rest = after;
                continue;
            };
            tokens.extend(
                encoding
                    .get_ids()
                    .iter()
                    .zip(encoding.get_offsets())
                    .map(|(id, (start, end))| Token {
                        id: *id,
                        // A piece may be a part of a character: it stands for all of it.
                        start: offset(boundary(text, base + start)),
                        end: offset(boundary_behind(text, base + end)),
                    }),
            );
            rest = after;
        }
        let cut = tokens.len() > limit || !rest.is_empty();
        tokens.truncate(limit);
        Pieces { tokens, cut }
    }

    /// What stands around every sequence.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// One more than the highest number of a piece.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

/// The first place at or behind `at` where a character begins.
fn boundary_behind(text: &str, at: usize) -> usize {
    let mut place = at.min(text.len());
    while !text.is_char_boundary(place) {
        place += 1;
    }
    place
}

fn offset(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

/// Where the first stretch ends: in front of the last space in it, or at its end where there is none.
fn stretch_end(text: &str) -> usize {
    if text.len() <= STRETCH {
        return text.len();
    }
    let end = boundary(text, STRETCH);
    match text[..end].rfind(char::is_whitespace) {
        Some(space) if space > 0 => space,
        _ => end,
    }
}

/// What the tokenizer puts around a text, seen by what it puts around one.
fn frame_of(inner: &tokenizers::Tokenizer) -> Result<Frame, String> {
    let encode = |special| inner.encode("a", special).map_err(|error| error.to_string());
    let (plain, framed) = (encode(false)?, encode(true)?);
    let pair = inner
        .encode(("a", "a"), true)
        .map_err(|error| error.to_string())?;
    let (plain, framed) = (plain.get_ids(), framed.get_ids());
    let start = framed
        .windows(plain.len().max(1))
        .position(|window| window == plain)
        .ok_or_else(|| "the post-processor changes the pieces of a text".to_owned())?;
    let (before, after) = (&framed[..start], &framed[start + plain.len()..]);
    // What a pair has more than its two texts and their frame; a tokenizer that never puts pairs together may have none.
    let edges = before.len() + plain.len();
    let inside = pair.get_ids().get(edges..);
    let between = inside.and_then(|rest| rest.get(..rest.len().checked_sub(plain.len() + after.len())?));
    let second = edges + between.map_or(0, <[u32]>::len);
    Ok(Frame {
        before: before.to_vec(),
        after: after.to_vec(),
        between: between.unwrap_or_default().to_vec(),
        marks_second: pair.get_type_ids().get(second) == Some(&1),
    })
}
