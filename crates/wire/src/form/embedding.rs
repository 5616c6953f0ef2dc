//! Requests to turn something into vectors, and their answers.

use super::{Extra, Text, Usage};
use crate::json::Json;

/// An embedding request, in any format's words.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// The model's name as the client wrote it.
    pub model: Text,
    /// What to embed.
    pub inputs: Vec<EmbeddingInput>,
    /// Whether the only input was written as it is, not as a list of one.
    pub single: bool,
    /// What the vectors are for.
    pub purpose: Option<Purpose>,
    /// A title of the document.
    pub title: Option<Text>,
    /// Length of the vectors, where the model can choose.
    pub dimensions: Option<u64>,
    /// How the vectors are to be written; the format's usual way when empty.
    pub encodings: Vec<Encoding>,
    /// What becomes of inputs that are too long.
    pub truncate: Option<Truncate>,
    /// The end user, as the client names them.
    pub user: Option<Text>,
    /// Fields the form has no place for.
    pub extra: Extra,
}

/// Something to embed.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbeddingInput {
    /// A text.
    Text(Text),
    /// A text as token ids.
    Tokens(Vec<u32>),
    /// What only the format it came in can say: images, several parts.
    Native(NativeInput),
}

/// An input in the words of its format.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeInput {
    /// The field it came in.
    pub field: &'static str,
    /// The value as it came.
    pub json: Json,
    /// The texts in it, for who must see them.
    pub text: Text,
}

/// What vectors are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Documents that will be searched.
    Document,
    /// A query that searches.
    Query,
    /// Telling classes apart.
    Classification,
    /// Finding clusters.
    Clustering,
    /// Comparing texts.
    Similarity,
    /// Something only one format knows, in its words.
    Other(Text),
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A list of numbers.
    Float,
    /// Base64 of 32-bit floats, the lowest byte first.
    Base64,
    /// Signed bytes.
    Int8,
    /// Unsigned bytes.
    Uint8,
    /// Bits in signed bytes.
    Binary,
    /// Bits in unsigned bytes.
    Ubinary,
}

/// What becomes of an input that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncate {
    /// It is refused.
    Never,
    /// Its beginning goes.
    Start,
    /// Its end goes.
    End,
}

/// Vectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingResponse {
    /// Vectors, by how they are written; each list in the order of the inputs.
    pub sets: Vec<(Encoding, Vec<Json>)>,
    /// What was used; none when it was not told.
    pub usage: Option<Usage>,
}
