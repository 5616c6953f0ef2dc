//! WordPiece as BERT has it: cleaned, lower-cased, split at spaces and punctuation, then the longest known piece first.
//!
//! A walk through a tree of bytes finds the longest piece from each place, so time is linear in the text times the length of
//! the longest piece, whatever the text repeats.

use serde::Deserialize;
use unicode_normalization::char::decompose_canonical;

use super::characters::Class;
use super::{Frame, Pieces, Token};
use crate::error::LoadError;
use crate::work;

/// How text is cleaned before it is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Lower case.
    pub lowercase: bool,
    /// Accents are taken off.
    pub strip_accents: bool,
    /// Control characters are dropped.
    pub clean: bool,
    /// Each Chinese character is a word.
    pub split_chinese: bool,
    /// A word of more characters is unknown.
    pub longest_word: usize,
}

impl Default for WordPieceOptions {
    fn default() -> Self {
        Self {
            lowercase: true,
            strip_accents: true,
            clean: true,
            split_chinese: true,
            longest_word: 100,
        }
    }
}

/// BERT's tokenizer.
#[derive(Debug)]
pub struct WordPiece {
    first: Tree,
    inner: Tree,
    unknown: u32,
    size: usize,
    frame: Frame,
    options: WordPieceOptions,
}

/// A tree of bytes in one open table: a node and a byte lead to a node.
#[derive(Debug)]
struct Tree {
    /// Key `node << 8 | byte` plus one (0 is an empty place), and the child.
    edges: Vec<(u32, u32)>,
    /// The piece that ends at a node, or `NONE`.
    ends: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Tree {
    fn new(pieces: &[(&[u8], u32)]) -> Self {
        let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        let mut tree = Self {
            edges: vec![(0, 0); (bytes * 2).next_power_of_two().max(16)],
            ends: vec![NONE],
        };
        for (piece, id) in pieces {
            let mut node = 0;
            for byte in *piece {
                node = tree.child_or_new(node, *byte);
            }
            tree.ends[node as usize] = *id;
        }
        tree
    }

    fn place(&self, key: u32) -> usize {
        let mixed = key.wrapping_mul(0x9E37_79B1);
        (mixed ^ (mixed >> 15)) as usize & (self.edges.len() - 1)
    }

    fn child(&self, node: u32, byte: u8) -> Option<u32> {
        let key = (node << 8 | u32::from(byte)) + 1;
        let mut place = self.place(key);
        loop {
            work::note(1);
            match self.edges[place] {
                (0, _) => return None,
                (found, child) if found == key => return Some(child),
                _ => place = (place + 1) & (self.edges.len() - 1),
            }
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "vocabularies are bounded to 2^22 bytes when they are read"
    )]
    fn child_or_new(&mut self, node: u32, byte: u8) -> u32 {
        if let Some(child) = self.child(node, byte) {
            return child;
        }
        let child = self.ends.len() as u32;
        self.ends.push(NONE);
        let key = (node << 8 | u32::from(byte)) + 1;
        let mut place = self.place(key);
        while self.edges[place].0 != 0 {
            place = (place + 1) & (self.edges.len() - 1);
        }
        self.edges[place] = (key, child);
        child
    }

    /// The longest piece at the start of `bytes`: its length and number.
    fn longest(&self, bytes: &[u8]) -> Option<(usize, u32)> {
        let mut node = 0;
        let mut best = None;
        for (index, byte) in bytes.iter().enumerate() {
            let Some(child) = self.child(node, *byte) else {
                break;
            };
            node = child;
            let end = self.ends[node as usize];
            if end != NONE {
                best = Some((index + 1, end));
            }
        }
        best
    }
}

/// Bytes of all pieces together: three million is ten times the largest known vocabulary.
const LARGEST_VOCABULARY: usize = 3 << 20;

impl WordPiece {
    /// From the lines of a `vocab.txt`.
    ///
    /// # Errors
    ///
    /// If a special token is missing, or the vocabulary is too large.
    pub fn from_vocabulary(file: &str, text: &str, options: WordPieceOptions) -> Result<Self, LoadError> {
        let words: Vec<(&str, u32)> = text.lines().map(str::trim_end).zip(0..).collect();
        Self::new(file, &words, ("##", "[UNK]", "[CLS]", "[SEP]"), options)
    }

    /// The longest word that any file may ask for: beyond, it is damage, and one word could hold a whole text.
    const LONGEST_WORD: usize = 10_000;

    fn new(
        file: &str,
        words: &[(&str, u32)],
        (prefix, unknown, start, end): (&str, &str, &str, &str),
        options: WordPieceOptions,
    ) -> Result<Self, LoadError> {
        if words.iter().map(|(word, _)| word.len()).sum::<usize>() > LARGEST_VOCABULARY {
            return Err(LoadError::malformed(
                file,
                format!("more than {LARGEST_VOCABULARY} bytes of vocabulary"),
            ));
        }
        let number = |special: &str| {
            let found = words.iter().find(|(word, _)| *word == special);
            found
                .map(|(_, id)| *id)
                .ok_or_else(|| LoadError::malformed(file, format!("the vocabulary has no `{special}`")))
        };
        let mut first = Vec::new();
        let mut inner = Vec::new();
        for (word, id) in words {
            match word.strip_prefix(prefix) {
                Some(rest) if !rest.is_empty() => inner.push((rest.as_bytes(), *id)),
                _ => {}
            }
            if !word.is_empty() {
                first.push((word.as_bytes(), *id));
            }
        }
        Ok(Self {
            first: Tree::new(&first),
            inner: Tree::new(&inner),
            unknown: number(unknown)?,
            size: words.iter().map(|(_, id)| *id as usize + 1).max().unwrap_or(0),
            frame: Frame {
                before: vec![number(start)?],
                after: vec![number(end)?],
                between: vec![number(end)?],
                marks_second: true,
            },
            options,
        })
    }

    /// Reads a `tokenizer.json` that describes BERT's tokenizer; none if it describes another.
    ///
    /// # Errors
    ///
    /// If it isn't JSON, or the vocabulary lacks a special token.
    pub fn from_json(file: &str, bytes: &[u8]) -> Result<Option<Self>, LoadError> {
        let kind: Kind =
            serde_json::from_slice(bytes).map_err(|error| LoadError::malformed(file, error.to_string()))?;
        if kind.model.kind.as_deref() != Some("WordPiece") {
            return Ok(None);
        }
        let Ok(described) = serde_json::from_slice::<Described>(bytes) else {
            return Ok(None);
        };
        let (Some(normalizer), Some("BertPreTokenizer")) = (
            described.normalizer,
            described.pre_tokenizer.and_then(|part| part.kind).as_deref(),
        ) else {
            return Ok(None);
        };
        if normalizer.kind != "BertNormalizer" {
            return Ok(None);
        }
        let words: Vec<(&str, u32)> = described
            .model
            .vocab
            .iter()
            .map(|(word, id)| (word.as_str(), *id))
            .collect();
        let options = WordPieceOptions {
            lowercase: normalizer.lowercase,
            strip_accents: normalizer.strip_accents.unwrap_or(normalizer.lowercase),
            clean: normalizer.clean_text,
            split_chinese: normalizer.handle_chinese_chars,
            longest_word: described.model.max_input_chars_per_word,
        };
        let model = &described.model;
        let names = (
            model.continuing_subword_prefix.as_str(),
            model.unk_token.as_str(),
            "[CLS]",
            "[SEP]",
        );
        if !(1..=Self::LONGEST_WORD).contains(&options.longest_word) {
            let problem = format!("is {}; 1 to {} can be", options.longest_word, Self::LONGEST_WORD);
            return Err(LoadError::unsupported(
                file,
                "model.max_input_chars_per_word",
                problem,
            ));
        }
        let mut own = Self::new(file, &words, names, options)?;
        own.frame.marks_second = described.post_processor.is_none_or(|part| part.marks_second());
        Ok(Some(own))
    }

    /// The first `limit` pieces of `text`.
    #[must_use]
    pub fn pieces(&self, text: &str, limit: usize) -> Pieces {
        let mut walk = Walk {
            tokenizer: self,
            // The last word may go beyond the limit before that is seen.
            tokens: Vec::with_capacity(
                (text.len() / 4 + 4).min(limit.saturating_add(self.options.longest_word)),
            ),
            word: Vec::new(),
            sources: Vec::new(),
            characters: 0,
        };
        let mut cut = false;
        for (start, character) in text.char_indices() {
            if walk.tokens.len() > limit {
                cut = true;
                break;
            }
            work::note(1);
            let end = start + character.len_utf8();
            walk.character(character, (offset(start), offset(end)));
        }
        walk.end_word();
        let mut tokens = walk.tokens;
        cut |= tokens.len() > limit;
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

/// Texts beyond 4 GiB don't come here; their end would be told as the last byte that can be.
fn offset(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

/// A walk over a text.
struct Walk<'a> {
    tokenizer: &'a WordPiece,
    tokens: Vec<Token>,
    /// The word so far, cleaned.
    word: Vec<u8>,
    /// For each byte of it, where it comes from.
    sources: Vec<(u32, u32)>,
    characters: usize,
}

impl Walk<'_> {
    fn character(&mut self, character: char, source: (u32, u32)) {
        let options = self.tokenizer.options;
        if character.is_ascii() {
            if character.is_ascii_alphanumeric() {
                let lower = if options.lowercase {
                    character.to_ascii_lowercase()
                } else {
                    character
                };
                self.push(lower, source);
                return;
            }
            if character == ' ' {
                self.end_word();
                return;
            }
        }
        if options.clean && (character == '\0' || character == '\u{fffd}' || Class::of(character).control) {
            return;
        }
        let chinese = options.split_chinese && is_chinese(character);
        if chinese {
            self.end_word();
        }
        if options.strip_accents {
            decompose_canonical(character, |part| {
                if !Class::of(part).mark {
                    self.lowered(part, source);
                }
            });
        } else {
            self.lowered(character, source);
        }
        if chinese {
            self.end_word();
        }
    }

    fn lowered(&mut self, character: char, source: (u32, u32)) {
        if self.tokenizer.options.lowercase {
            for lower in character.to_lowercase() {
                self.place(lower, source);
            }
        } else {
            self.place(character, source);
        }
    }

    /// A cleaned character: ends a word, is one, or goes on with one.
    fn place(&mut self, character: char, source: (u32, u32)) {
        if character.is_whitespace() {
            self.end_word();
        } else if Class::of(character).punctuation {
            self.end_word();
            self.push(character, source);
            self.end_word();
        } else {
            self.push(character, source);
        }
    }

    fn push(&mut self, character: char, source: (u32, u32)) {
        work::note(1);
        self.characters += 1;
        if self.characters > self.tokenizer.options.longest_word {
            // Unknown already: only where it ends is of interest.
            if let Some(last) = self.sources.last_mut() {
                last.1 = source.1;
            }
            return;
        }
        let mut buffer = [0; 4];
        for byte in character.encode_utf8(&mut buffer).bytes() {
            self.word.push(byte);
            self.sources.push(source);
        }
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let before = self.tokens.len();
        let known = self.characters <= self.tokenizer.options.longest_word && self.split_word();
        if !known {
            self.tokens.truncate(before);
            self.tokens.push(Token {
                id: self.tokenizer.unknown,
                start: self.sources[0].0,
                end: self.sources[self.sources.len() - 1].1,
            });
        }
        self.word.clear();
        self.sources.clear();
        self.characters = 0;
    }

    /// Whether the whole word is made of known pieces.
    fn split_word(&mut self) -> bool {
        let mut start = 0;
        while start < self.word.len() {
            let tree = if start == 0 {
                &self.tokenizer.first
            } else {
                &self.tokenizer.inner
            };
            let Some((length, id)) = tree.longest(&self.word[start..]) else {
                return false;
            };
            self.tokens.push(Token {
                id,
                start: self.sources[start].0,
                end: self.sources[start + length - 1].1,
            });
            start += length;
        }
        true
    }
}

fn is_chinese(character: char) -> bool {
    matches!(u32::from(character),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

/// What kind of model a `tokenizer.json` has.
#[derive(Deserialize)]
struct Kind {
    model: Tagged,
}

#[derive(Deserialize)]
struct Tagged {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Described {
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<Tagged>,
    post_processor: Option<PostProcessor>,
    model: Vocabulary,
}

/// What puts pairs together.
#[derive(Deserialize)]
struct PostProcessor {
    /// A template's parts; others than templates have none, and mark the second text.
    pair: Option<Vec<std::collections::HashMap<String, Placed>>>,
}

#[derive(Deserialize)]
struct Placed {
    id: Option<String>,
    type_id: Option<u32>,
}

impl PostProcessor {
    fn marks_second(&self) -> bool {
        let parts = self.pair.iter().flatten();
        let second = parts
            .filter_map(|part| part.get("Sequence"))
            .find(|part| part.id.as_deref() == Some("B"));
        second.is_none_or(|part| part.type_id == Some(1))
    }
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "yes")]
    clean_text: bool,
    #[serde(default = "yes")]
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    #[serde(default = "yes")]
    lowercase: bool,
}

#[derive(Deserialize)]
struct Vocabulary {
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: std::collections::HashMap<String, u32>,
}

fn yes() -> bool {
    true
}
