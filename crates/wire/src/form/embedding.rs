//! A request to turn texts into vectors.

use super::{Extra, Text};

/// An embedding request (OpenAI's shape; other formats map onto it).
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// The model's name as the client wrote it.
    pub model: Text,
    /// What to embed.
    pub input: EmbeddingInput,
    /// Length of the vectors, where the model can choose.
    pub dimensions: Option<u64>,
    /// `float` or `base64`, as written.
    pub encoding_format: Option<Text>,
    /// The end user, as the client names them.
    pub user: Option<Text>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

/// What to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingInput {
    /// One text, written as a plain string.
    Text(Text),
    /// Several texts.
    Texts(Vec<Text>),
    /// One text as token ids.
    Tokens(Vec<u32>),
    /// Several texts as token ids.
    TokenLists(Vec<Vec<u32>>),
}
