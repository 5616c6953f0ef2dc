//! What every further model can be asked, wherever it is.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::config::{Medium, UnderstandingModelConfig};
use crate::failed::Failed;

/// Labels with their probabilities.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Classes {
    /// In the model's order.
    pub labels: Vec<(String, f32)>,
    /// Any number of them may hold at once.
    pub independent: bool,
}

/// Stretches of a text: kind, first byte, first byte behind, probability.
pub type Spans = Vec<(String, usize, usize, f32)>;

/// Vectors, and how many tokens were read for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vectors {
    /// One for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: u64,
}

/// A model that can be asked, on this machine or elsewhere.
pub trait Model: Send + Sync {
    /// Classes of a text.
    fn classes(&self, text: Arc<str>) -> BoxFuture<'_, Result<Classes, Failed>>;

    /// Stretches of a text.
    fn spans(&self, text: Arc<str>) -> BoxFuture<'_, Result<Spans, Failed>>;

    /// A vector for each text.
    fn vectors(
        &self,
        texts: Vec<Arc<str>>,
        dimensions: Option<usize>,
    ) -> BoxFuture<'_, Result<Vectors, Failed>>;

    /// The vector of an image or of sound, by its address: `data:` with what it holds, or where it lies.
    fn seen(&self, medium: Medium, address: Arc<str>) -> BoxFuture<'_, Result<Vectors, Failed>>;
}

/// Who reaches models at providers.
pub trait Remotes: Send + Sync {
    /// The model of this configuration; none where it can't be reached from here.
    fn model(&self, config: &UnderstandingModelConfig) -> Option<Box<dyn Model + '_>>;
}
