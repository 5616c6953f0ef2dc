//! One head's answer out of what several heads say at both stages: an attack is often a harmful request in other clothes, and
//! what n-grams miss the encoder sees, and the other way round.

use serde::Deserialize;

use super::Stage;

/// One input: what a head says at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Who says it.
    pub stage: Stage,
    /// The head's place at that stage.
    pub place: usize,
    /// How many labels it has.
    pub labels: usize,
}

/// A linear layer on the logits of several heads, as they are before calibration.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    sources: Vec<Source>,
    /// `[labels][inputs]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// How a file names one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointSettings {
    /// Stages and names of heads, in the order of the layer's columns.
    pub from: Vec<(Stage, String)>,
    /// The layer: `NAME` f32 `[labels, inputs]`, `NAME.bias` f32 `[labels]`.
    pub layer: String,
}

impl Joint {
    /// None if the sizes do not fit together.
    #[must_use]
    pub fn new(sources: Vec<Source>, weights: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let inputs: usize = sources.iter().map(|source| source.labels).sum();
        (inputs > 0 && weights.len() == inputs * bias.len()).then_some(Self {
            sources,
            weights,
            bias,
        })
    }

    /// Places of the encoder's heads that it listens to.
    pub fn heads(&self) -> impl Iterator<Item = usize> {
        let encoder = self
            .sources
            .iter()
            .filter(|source| source.stage == Stage::Encoder);
        encoder.map(|source| source.place)
    }

    /// Logits out of those that `said` has of each source. None if one of them is not there.
    pub fn logits<'a>(&self, mut said: impl FnMut(&Source) -> Option<&'a [f32]>) -> Option<Vec<f32>> {
        let mut input = Vec::with_capacity(self.weights.len() / self.bias.len().max(1));
        for source in &self.sources {
            let logits = said(source).filter(|logits| logits.len() == source.labels)?;
            input.extend_from_slice(logits);
        }
        let rows = self.weights.chunks_exact(input.len().max(1));
        let each = rows.zip(&self.bias).map(|(row, bias)| {
            let products = row.iter().zip(&input).map(|(weight, logit)| weight * logit);
            products.sum::<f32>() + bias
        });
        Some(each.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_of_several_heads_are_weighed() {
        let source = |stage, place, labels| Source { stage, place, labels };
        let sources = vec![source(Stage::Encoder, 1, 2), source(Stage::First, 0, 1)];
        let joint = Joint::new(
            sources.clone(),
            vec![1.0, 0.0, 2.0, 0.0, -1.0, 0.5],
            vec![0.5, 0.0],
        )
        .unwrap();
        assert_eq!(joint.heads().collect::<Vec<_>>(), [1]);
        let said = |source: &Source| -> Option<&[f32]> {
            Some(match source.stage {
                Stage::Encoder => &[3.0, 4.0],
                Stage::First => &[10.0],
            })
        };
        assert_eq!(joint.logits(said), Some(vec![23.5, 1.0]));
        assert_eq!(joint.logits(|_| None), None);
        assert_eq!(joint.logits(|_| Some(&[1.0])), None);
        assert_eq!(Joint::new(sources, vec![1.0; 5], vec![0.0; 2]), None);
        assert_eq!(Joint::new(Vec::new(), Vec::new(), vec![0.0; 2]), None);
    }
}
