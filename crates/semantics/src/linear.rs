//! A linear layer in floats or in bytes, and a table of embeddings in either.

use crate::kernels::{
    self, Codes, FLOAT_PANEL, Int8Weights, Machine, Output, Strided, float_panel, int8_product,
};

/// What weights are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats: for comparison, and where exactness counts.
    Float,
    /// A signed byte for each weight, a scale for each output channel; activations are bytes with a scale for each row.
    Int8,
}

/// `y = W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub enum Linear {
    /// In floats.
    Float(FloatWeights),
    /// In bytes.
    Int8(Int8Weights),
}

/// Weights in panels of 32 output channels: within one, all channels of the first input, then of the second, and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatWeights {
    inputs: usize,
    outputs: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

/// Rows that are worked on together, so that a panel is read from the nearest cache.
const BAND: usize = 64;

impl FloatWeights {
    fn new(weights: &[f32], bias: &[f32], inputs: usize, outputs: usize) -> Self {
        let mut panels = vec![0.0; outputs.next_multiple_of(FLOAT_PANEL) * inputs];
        for (channel, row) in weights.chunks_exact(inputs).enumerate() {
            let start = channel / FLOAT_PANEL * FLOAT_PANEL * inputs + channel % FLOAT_PANEL;
            for (input, weight) in row.iter().enumerate() {
                panels[start + input * FLOAT_PANEL] = *weight;
            }
        }
        Self {
            inputs,
            outputs,
            panels,
            bias: bias.to_vec(),
        }
    }

    fn apply(&self, machine: Machine, rows: &[f32], output: &mut [f32], add: bool) {
        for (row, line) in rows
            .chunks_exact(self.inputs)
            .zip(output.chunks_exact_mut(self.outputs))
        {
            debug_assert_eq!(row.len(), self.inputs);
            match (add, self.bias.is_empty()) {
                (true, true) => {}
                (true, false) => kernels::add(machine, line, &self.bias),
                (false, true) => line.fill(0.0),
                (false, false) => line.copy_from_slice(&self.bias),
            }
        }
        let bands = rows
            .chunks(BAND * self.inputs)
            .zip(output.chunks_mut(BAND * self.outputs));
        for (band, lines) in bands {
            for (index, panel) in self.panels.chunks_exact(FLOAT_PANEL * self.inputs).enumerate() {
                let first = index * FLOAT_PANEL;
                let width = FLOAT_PANEL.min(self.outputs - first);
                let left = Strided {
                    values: band,
                    stride: self.inputs,
                };
                let right = Strided {
                    values: panel,
                    stride: FLOAT_PANEL,
                };
                let mut target = Output {
                    values: &mut lines[first..],
                    stride: self.outputs,
                    add: true,
                };
                let size = (band.len() / self.inputs, self.inputs, width);
                float_panel(machine, size, left, right, &mut target);
            }
        }
    }
}

impl Linear {
    /// From weights `[outputs][inputs]`; `bias` is empty or one for each output. None if lengths do not fit together.
    #[must_use]
    pub fn new(weights: &[f32], bias: &[f32], inputs: usize, precision: Precision) -> Option<Self> {
        if inputs == 0 || weights.is_empty() || !weights.len().is_multiple_of(inputs) {
            return None;
        }
        let outputs = weights.len() / inputs;
        if !(bias.is_empty() || bias.len() == outputs) {
            return None;
        }
        Some(match precision {
            Precision::Float => Self::Float(FloatWeights::new(weights, bias, inputs, outputs)),
            Precision::Int8 => {
                let mut codes = vec![0; weights.len()];
                let scales: Vec<f32> = weights
                    .chunks_exact(inputs)
                    .zip(codes.chunks_exact_mut(inputs))
                    .map(|(row, codes)| kernels::quantise_symmetric(Machine::portable(), row, codes))
                    .collect();
                Self::Int8(Int8Weights::new(&codes, &scales, bias, inputs)?)
            }
        })
    }

    /// Width of the rows it takes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::Float(weights) => weights.inputs,
            Self::Int8(weights) => weights.inputs(),
        }
    }

    /// Width of the rows it gives.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Float(weights) => weights.outputs,
            Self::Int8(weights) => weights.outputs(),
        }
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Float(weights) => 4 * (weights.panels.len() + weights.bias.len()),
            Self::Int8(weights) => weights.bytes(),
        }
    }

    /// Applies it to whole rows. `output` has a row for each; with `add` results are added to what is there.
    pub fn apply(&self, machine: Machine, rows: &[f32], output: &mut [f32], add: bool, codes: &mut Codes) {
        match self {
            Self::Float(weights) => weights.apply(machine, rows, output, add),
            Self::Int8(weights) => {
                codes.fill(machine, rows, weights.inputs());
                int8_product(machine, codes, weights, output, add);
            }
        }
    }
}

/// A row of numbers for each token.
#[derive(Debug, Clone, PartialEq)]
pub enum Table {
    /// In floats.
    Float {
        /// All rows.
        values: Vec<f32>,
        /// Columns of a row.
        width: usize,
    },
    /// In bytes, with a scale for each row.
    Int8 {
        /// All rows.
        codes: Vec<i8>,
        /// One for each row.
        scales: Vec<f32>,
        /// Columns of a row.
        width: usize,
    },
}

impl Table {
    /// From rows of `width` floats.
    #[must_use]
    pub fn new(values: Vec<f32>, width: usize, precision: Precision) -> Self {
        match precision {
            Precision::Float => Self::Float { values, width },
            Precision::Int8 => {
                let mut codes = vec![0; values.len()];
                let scales = values
                    .chunks_exact(width.max(1))
                    .zip(codes.chunks_exact_mut(width.max(1)))
                    .map(|(row, codes)| kernels::quantise_symmetric(Machine::portable(), row, codes))
                    .collect();
                Self::Int8 { codes, scales, width }
            }
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Float { values, width } => values.len() / (*width).max(1),
            Self::Int8 { scales, .. } => scales.len(),
        }
    }

    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Float { width, .. } | Self::Int8 { width, .. } => *width,
        }
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Float { values, .. } => 4 * values.len(),
            Self::Int8 { codes, scales, .. } => codes.len() + 4 * scales.len(),
        }
    }

    /// Writes row `index` into `output`; zeros if there is no such row.
    pub fn read(&self, index: usize, output: &mut [f32]) {
        if index >= self.rows() {
            output.fill(0.0);
            return;
        }
        match self {
            Self::Float { values, width } => output.copy_from_slice(&values[index * width..][..*width]),
            Self::Int8 { codes, scales, width } => {
                for (value, code) in output.iter_mut().zip(&codes[index * width..][..*width]) {
                    *value = f32::from(*code) * scales[index];
                }
            }
        }
    }
}
