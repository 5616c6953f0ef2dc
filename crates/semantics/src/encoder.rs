//! Transformer encoders on one core: BERT's family and its successors, as blocks with the parts that each has.
//!
//! Several texts of different length go through together, packed one behind the other without padding; a text comes out the
//! same whatever it is packed with.

mod attention;
mod bytes;
mod forward;
mod rotary;

use crate::kernels::Norm;
use crate::linear::{Linear, Table};

pub use attention::Relative;
pub use forward::{Asked, Scratch, States};
pub use rotary::Rotary;

/// A norm of one of the two kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Normaliser {
    /// Mean 0, variance 1.
    Layer(Norm),
    /// Root mean square 1.
    Rms(Norm),
}

/// What a neuron does to its sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)`.
    Gelu,
    /// GELU in its form with tanh.
    GeluTanh,
    /// `x · σ(x)`.
    Silu,
    /// The larger of x and 0.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
}

/// Which keys a query looks at: so many before it and behind it, all where there is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Keys before the query.
    pub before: Option<usize>,
    /// Keys behind the query.
    pub after: Option<usize>,
}

/// How heads share the width of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys and values; queries share them in equal groups.
    pub keys: usize,
    /// Columns of a head.
    pub width: usize,
    /// What scores are multiplied with.
    pub scale: f32,
}

/// One block's attention.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Queries, keys and values, beside each other.
    pub inputs: Linear,
    /// Back to the width of the hidden state.
    pub output: Linear,
    /// On each head of the queries.
    pub query_norm: Option<Norm>,
    /// On each head of the keys.
    pub key_norm: Option<Norm>,
    /// Which of the encoder's rotations.
    pub rotary: Option<usize>,
    /// Which keys a query looks at.
    pub span: Span,
    /// Scores that know of distances.
    pub relative: Option<Relative>,
}

/// One block's pair of linear layers.
#[derive(Debug, Clone)]
pub struct Mlp {
    /// To the inner width. Where `gated`, gate and value beside each other.
    pub up: Linear,
    /// Back.
    pub down: Linear,
    /// Of the inner layer, or of the gate.
    pub activation: Activation,
    /// The activated half is multiplied with the other.
    pub gated: bool,
}

/// Where a block has norms.
#[derive(Debug, Clone, Default)]
pub struct Norms {
    /// On what attention reads.
    pub before_attention: Option<Normaliser>,
    /// On what attention says, before it is added.
    pub after_attention: Option<Normaliser>,
    /// On the sum with what attention said.
    pub attention_sum: Option<Normaliser>,
    /// On what the inner layer reads.
    pub before_mlp: Option<Normaliser>,
    /// On what the inner layer says, before it is added.
    pub after_mlp: Option<Normaliser>,
    /// On the sum with what the inner layer said.
    pub mlp_sum: Option<Normaliser>,
}

/// A block.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its norms.
    pub norms: Norms,
    /// Its attention.
    pub attention: Attention,
    /// Its inner layer.
    pub mlp: Mlp,
}

/// Tokens into rows.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// A row for each token.
    pub words: Table,
    /// A row for each position, with what is the same for all (token type 0) added in.
    pub positions: Option<Table>,
    /// The row of the first position.
    pub first_position: usize,
    /// Added to every row where there are no positions to add it to.
    pub constant: Option<Vec<f32>>,
    /// Added to the rows of a second text: token type 1 less token type 0.
    pub second: Option<Vec<f32>>,
    /// What words are multiplied with.
    pub scale: f32,
    /// To the width of the hidden state.
    pub project: Option<Linear>,
    /// Last of all.
    pub norm: Option<Normaliser>,
}

/// An encoder.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// Tokens into rows.
    pub embeddings: Embeddings,
    /// In order.
    pub blocks: Vec<Block>,
    /// On the last block's rows.
    pub last_norm: Option<Normaliser>,
    /// How heads share a row.
    pub heads: Heads,
    /// Rotations that blocks name.
    pub rotaries: Vec<Rotary>,
    /// Columns of a hidden state.
    pub width: usize,
    /// The longest sequence, frame included.
    pub longest: usize,
}

impl Encoder {
    /// Bytes of all weights in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let embeddings = &self.embeddings;
        let tables = embeddings.words.bytes() + embeddings.positions.as_ref().map_or(0, Table::bytes);
        let project = embeddings.project.as_ref().map_or(0, Linear::bytes);
        let blocks: usize = self
            .blocks
            .iter()
            .map(|block| {
                let attention = block.attention.inputs.bytes() + block.attention.output.bytes();
                let relative = block.attention.relative.as_ref().map_or(0, Relative::bytes);
                attention + relative + block.mlp.up.bytes() + block.mlp.down.bytes()
            })
            .sum();
        tables + project + blocks + self.rotaries.iter().map(Rotary::bytes).sum::<usize>()
    }
}
