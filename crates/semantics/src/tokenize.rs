//! Text into the pieces that an encoder knows, each with where in the text it stands.
//!
//! What a user writes never becomes a special token: `[SEP]` in a text is a bracket, a word and a bracket.

mod characters;
mod published;
mod window;
mod wordpiece;

use crate::error::LoadError;

pub use published::Published;
pub use window::{Windows, windows};
pub use wordpiece::{WordPiece, WordPieceOptions};

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// First byte in the text.
    pub start: u32,
    /// First byte behind it.
    pub end: u32,
}

/// The pieces of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// In the order of the text, special tokens left out.
    pub tokens: Vec<Token>,
    /// The text has more than was asked for.
    pub cut: bool,
}

/// What stands around the pieces of every sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// In front, such as `[CLS]`.
    pub before: Vec<u32>,
    /// Behind, such as `[SEP]`.
    pub after: Vec<u32>,
    /// Between the two texts of a pair.
    pub between: Vec<u32>,
    /// The second text of a pair and what stands behind it are of token type 1.
    pub marks_second: bool,
}

impl Frame {
    /// Two texts as a pair.
    #[must_use]
    pub fn around_pair(&self, first: &[Token], second: &[Token]) -> Vec<u32> {
        let mut ids = self.before.clone();
        ids.extend(first.iter().map(|token| token.id));
        ids.extend_from_slice(&self.between);
        ids.extend(second.iter().map(|token| token.id));
        ids.extend_from_slice(&self.after);
        ids
    }

    /// How many tokens it adds to one text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Whether it adds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `tokens` with the frame around them.
    #[must_use]
    pub fn around(&self, tokens: &[Token]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(tokens.len() + self.len());
        ids.extend_from_slice(&self.before);
        ids.extend(tokens.iter().map(|token| token.id));
        ids.extend_from_slice(&self.after);
        ids
    }
}

/// Any of the tokenizers.
#[derive(Debug)]
pub enum Tokenizer {
    /// BERT's, by our own hand: linear in the text, without a copy of it.
    WordPiece(WordPiece),
    /// Any other, as its `tokenizer.json` describes it.
    Published(Box<Published>),
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// If it isn't one, or describes what can't be carried out.
    pub fn from_json(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        if let Some(own) = WordPiece::from_json(file, bytes)? {
            return Ok(Self::WordPiece(own));
        }
        Ok(Self::Published(Box::new(Published::from_json(file, bytes)?)))
    }

    /// The first `limit` pieces of `text`.
    #[must_use]
    pub fn pieces(&self, text: &str, limit: usize) -> Pieces {
        match self {
            Self::WordPiece(own) => own.pieces(text, limit),
            Self::Published(published) => published.pieces(text, limit),
        }
    }

    /// What stands around every sequence.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        match self {
            Self::WordPiece(own) => own.frame(),
            Self::Published(published) => published.frame(),
        }
    }

    /// One more than the highest number that a piece or a special token can have.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::WordPiece(own) => own.size(),
            Self::Published(published) => published.size(),
        }
    }
}

/// The last place at or before `at` where a character begins.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    let mut place = at.min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}
