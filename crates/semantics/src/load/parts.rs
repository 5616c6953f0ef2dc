//! Parts that architectures share: linear layers by name, several of them beside each other, norms.

use super::Source;
use crate::encoder::{Heads, Normaliser};
use crate::error::LoadError;
use crate::kernels::Norm;
use crate::linear::{Linear, Table};

impl Source<'_> {
    /// A linear layer `{name}.weight`, `{name}.bias` (which may be missing only where `bias` is false).
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear, LoadError> {
        self.beside(&[(name.to_owned(), outputs)], inputs, bias)
    }

    /// Several linear layers of the same input, as one.
    pub fn beside(&self, names: &[(String, usize)], inputs: usize, bias: bool) -> Result<Linear, LoadError> {
        let mut weights = Vec::new();
        let mut biases = Vec::new();
        for (name, outputs) in names {
            weights.extend(
                self.tensors
                    .take(&format!("{name}.weight"), &[*outputs, inputs])?,
            );
            let bias_name = format!("{name}.bias");
            if bias {
                biases.extend(self.tensors.take(&bias_name, &[*outputs])?);
            } else if self.tensors.has(&bias_name) {
                let problem = format!("has `{bias_name}`, but the configuration says that there is none");
                return Err(LoadError::malformed("model.safetensors", problem));
            }
        }
        Linear::new(&weights, &biases, inputs, self.precision).ok_or_else(|| {
            LoadError::malformed("config.json", format!("`{}` would have no weights", names[0].0))
        })
    }

    /// A layer norm, with or without a bias.
    pub fn layer_norm(
        &self,
        name: &str,
        width: usize,
        epsilon: f32,
        bias: bool,
    ) -> Result<Normaliser, LoadError> {
        let bias = if bias {
            self.tensors.take(&format!("{name}.bias"), &[width])?
        } else {
            Vec::new()
        };
        Ok(Normaliser::Layer(Norm {
            weight: self.tensors.take(&format!("{name}.weight"), &[width])?,
            bias,
            epsilon,
        }))
    }

    /// A norm of root mean square, whose weights are stored less `offset`.
    pub fn rms_norm(&self, name: &str, width: usize, epsilon: f32, offset: f32) -> Result<Norm, LoadError> {
        let mut weight = self.tensors.take(&format!("{name}.weight"), &[width])?;
        weight.iter_mut().for_each(|value| *value += offset);
        Ok(Norm {
            weight,
            bias: Vec::new(),
            epsilon,
        })
    }

    /// A table of rows.
    pub fn table(&self, name: &str, rows: usize, width: usize) -> Result<Table, LoadError> {
        Ok(Table::new(
            self.tensors.take(name, &[rows, width])?,
            width,
            self.precision,
        ))
    }

    /// As many heads of keys as of queries, all of the same width.
    pub fn equal_heads(&self, key: &str, width: usize) -> Result<Heads, LoadError> {
        let count = self.config.size(key)?;
        let each = self.config.divided(key, width, count)?;
        Ok(Heads {
            queries: count,
            keys: count,
            width: each,
            scale: inverse_root(each),
        })
    }
}

/// `1 / √n`.
#[allow(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
pub fn inverse_root(n: usize) -> f32 {
    1.0 / (n as f32).sqrt()
}
