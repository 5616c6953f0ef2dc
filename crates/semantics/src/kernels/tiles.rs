//! Products of matrices, tile by tile: floats by a panel of columns, bytes by panels of sixteen output channels.

use super::Machine;
use super::sums::{Panels, Rows, portable_row};
#[cfg(target_arch = "x86_64")]
use super::{Level, x86};

/// Columns of a panel of float weights.
pub const FLOAT_PANEL: usize = 32;

/// Output channels of a panel of int8 weights.
pub const INT8_PANEL: usize = 16;

/// Rows of codes are as long as the next multiple of this.
pub const DEPTH: usize = 64;

/// Rows of codes come in multiples of this, so that a tile never reads past the end.
pub(super) const ROWS: usize = 16;

/// Rows of activations as unsigned bytes, with scale and zero point of each.
#[derive(Debug, Default)]
pub struct Codes {
    bytes: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
    depth: usize,
    used: usize,
    rows: usize,
}

impl Codes {
    /// Quantises rows of `width` columns.
    pub fn fill(&mut self, machine: Machine, values: &[f32], width: usize) {
        self.rows = values.len().checked_div(width).unwrap_or(0);
        self.depth = width.next_multiple_of(DEPTH);
        self.used = width.next_multiple_of(4);
        let needed = self.rows.next_multiple_of(ROWS) * self.depth;
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        self.scales.clear();
        self.zeros.clear();
        for (row, codes) in values
            .chunks_exact(width.max(1))
            .zip(self.bytes.chunks_exact_mut(self.depth.max(1)))
        {
            let (scale, zero) = super::quantise(machine, row, codes);
            self.scales.push(scale);
            self.zeros.push(zero);
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// A linear layer's weights: a signed byte for each, a scale for each output channel.
///
/// Channels stand in panels of sixteen; within a panel, four inputs of each channel beside each other, which is what the
/// dot-product instructions and the matrix tiles take.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Weights {
    inputs: usize,
    outputs: usize,
    depth: usize,
    panels: Vec<i8>,
    /// One for each channel, up to whole panels.
    scales: Vec<f32>,
    /// Sums of a channel's codes, for the zero point of activations.
    sums: Vec<i32>,
    bias: Vec<f32>,
}

impl Int8Weights {
    /// From codes `[outputs][inputs]` with a scale for each output; `bias` is empty or one for each output.
    ///
    /// Gives none if lengths do not fit together, or there are more than 65,536 inputs.
    #[must_use]
    pub fn new(codes: &[i8], scales: &[f32], bias: &[f32], inputs: usize) -> Option<Self> {
        let outputs = scales.len();
        // Sums of more inputs might not fit into 32 bits.
        if inputs == 0
            || inputs > 1 << 16
            || outputs == 0
            || codes.len() != inputs * outputs
            || !(bias.is_empty() || bias.len() == outputs)
        {
            return None;
        }
        let depth = inputs.next_multiple_of(DEPTH);
        let padded = outputs.next_multiple_of(INT8_PANEL);
        let mut panels = vec![0_i8; padded * depth];
        let mut sums = vec![0_i32; padded];
        for (channel, row) in codes.chunks_exact(inputs).enumerate() {
            let start = channel / INT8_PANEL * INT8_PANEL * depth + channel % INT8_PANEL * 4;
            for (input, code) in row.iter().enumerate() {
                panels[start + input / 4 * INT8_PANEL * 4 + input % 4] = *code;
                sums[channel] += i32::from(*code);
            }
        }
        let mut padded_scales = scales.to_vec();
        padded_scales.resize(padded, 0.0);
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(padded, 0.0);
        Some(Self {
            inputs,
            outputs,
            depth,
            panels,
            scales: padded_scales,
            sums,
            bias: padded_bias,
        })
    }

    /// Width of the rows it takes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the rows it gives.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.panels.len() + 12 * self.scales.len()
    }
}

/// Where a product goes: `rows` of `stride` columns; added to what is there, or put in its place.
pub struct Output<'a> {
    /// The rows, one after the other.
    pub values: &'a mut [f32],
    /// From one row to the next.
    pub stride: usize,
    /// Adds to what is there.
    pub add: bool,
}

/// `codes · weights`, scaled back, with bias, into rows of `weights.outputs()` columns.
///
/// Does nothing if the widths do not fit.
pub fn int8_product(machine: Machine, codes: &Codes, weights: &Int8Weights, output: &mut [f32], add: bool) {
    if codes.depth != weights.depth || output.len() < codes.rows * weights.outputs {
        debug_assert!(false, "widths of codes and weights differ");
        return;
    }
    let mut output = Output {
        values: output,
        stride: weights.outputs,
        add,
    };
    match machine.0 {
        #[cfg(target_arch = "x86_64")]
        Level::Amx => x86::amx::product(machine, codes, weights, &mut output),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => x86::avx512::product(machine, codes, weights, &mut output),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86::avx2::product(machine, codes, weights, &mut output),
        Level::Portable => portable_product(codes, weights, &mut output),
    }
}

impl Codes {
    /// The codes alone.
    pub(super) fn sides(&self) -> Rows<'_> {
        Rows {
            bytes: &self.bytes[..self.rows.next_multiple_of(ROWS) * self.depth],
            count: self.rows,
            depth: self.depth,
            used: self.used,
        }
    }

    /// What the rows are scaled back with: a scale and a zero point for each.
    pub(super) fn measures(&self) -> (&[f32], &[i32]) {
        (&self.scales, &self.zeros)
    }
}

impl Int8Weights {
    /// How many panels there are.
    pub(super) fn panels(&self) -> usize {
        self.scales.len() / INT8_PANEL
    }

    /// The bytes alone.
    pub(super) fn sides(&self) -> Panels<'_> {
        Panels {
            bytes: &self.panels,
            count: self.panels(),
            depth: self.depth,
        }
    }
}

/// What a panel's sums are scaled back with.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub sums: &'a [i32; INT8_PANEL],
    pub scales: &'a [f32; INT8_PANEL],
    pub bias: &'a [f32; INT8_PANEL],
    /// The first channel, and how many there are.
    pub first: usize,
    pub width: usize,
}

impl Int8Weights {
    pub(super) fn finish(&self, panel: usize) -> Finish<'_> {
        let place = panel.min(self.panels() - 1);
        let first = place * INT8_PANEL;
        Finish {
            sums: &self.sums.as_chunks().0[place],
            scales: &self.scales.as_chunks().0[place],
            bias: &self.bias.as_chunks().0[place],
            first,
            width: INT8_PANEL.min(self.outputs - first),
        }
    }
}

impl Finish<'_> {
    /// Scales sums of one row back and puts them where they belong.
    #[inline(always)]
    pub(super) fn put<const FUSED: bool>(
        &self,
        sums: &[i32; INT8_PANEL],
        codes: &Codes,
        row: usize,
        output: &mut Output<'_>,
    ) {
        let scale = codes.scales[row];
        let zero = codes.zeros[row];
        let mut values = [0.0_f32; INT8_PANEL];
        for index in 0..INT8_PANEL {
            #[allow(
                clippy::cast_precision_loss,
                reason = "sums of products of bytes; a rounding in the 24th bit"
            )]
            let exact = sums[index].wrapping_sub(zero.wrapping_mul(self.sums[index])) as f32;
            let factor = scale * self.scales[index];
            values[index] = if FUSED {
                exact.mul_add(factor, self.bias[index])
            } else {
                exact * factor + self.bias[index]
            };
        }
        let rest = &mut output.values[row * output.stride + self.first..];
        match (
            rest.first_chunk_mut::<INT8_PANEL>(),
            self.width == INT8_PANEL,
            output.add,
        ) {
            (Some(target), true, false) => *target = values,
            (Some(target), true, true) => {
                for index in 0..INT8_PANEL {
                    target[index] += values[index];
                }
            }
            (_, _, add) => {
                for (old, new) in rest.iter_mut().zip(values).take(self.width) {
                    *old = if add { *old + new } else { new };
                }
            }
        }
    }
}

fn portable_product(codes: &Codes, weights: &Int8Weights, output: &mut Output<'_>) {
    let (rows, panels) = (codes.sides(), weights.sides());
    for panel in 0..weights.panels() {
        let finish = weights.finish(panel);
        for row in 0..codes.rows {
            finish.put::<false>(&portable_row(rows, row, panels, panel), codes, row, output);
        }
    }
}

/// A float matrix seen through a stride.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    /// From the first value on.
    pub values: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
}

/// `left · right` for up to [`FLOAT_PANEL`] columns: `rows` rows of `left` over `depth` columns, `depth` rows of `right`
/// over `width` columns.
///
/// Sums run over `depth` in order, each in its own lane: a row comes out the same whatever rows stand around it.
pub fn float_panel(
    machine: Machine,
    (rows, depth, width): (usize, usize, usize),
    left: Strided<'_>,
    right: Strided<'_>,
    output: &mut Output<'_>,
) {
    if rows == 0 || width == 0 {
        return;
    }
    // Every access of the kernels below lies within these.
    assert!(width <= FLOAT_PANEL, "a panel has at most {FLOAT_PANEL} columns");
    assert!(
        depth == 0 || left.values.len() >= (rows - 1) * left.stride + depth,
        "left matrix too short"
    );
    assert!(
        depth == 0 || right.values.len() >= (depth - 1) * right.stride + width,
        "right matrix too short"
    );
    assert!(
        output.values.len() >= (rows - 1) * output.stride + width,
        "output too short"
    );
    match machine.0 {
        #[cfg(target_arch = "x86_64")]
        Level::Amx | Level::Avx512Vnni => {
            x86::avx512::float_panel(machine, (rows, depth, width), left, right, output);
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86::avx2::float_panel(machine, (rows, depth, width), left, right, output),
        Level::Portable => portable_panel((rows, depth, width), left, right, output),
    }
}

fn portable_panel(
    (rows, depth, width): (usize, usize, usize),
    left: Strided<'_>,
    right: Strided<'_>,
    output: &mut Output<'_>,
) {
    for row in 0..rows {
        let mut sums = [0.0_f32; FLOAT_PANEL];
        for step in 0..depth {
            let factor = left.values[row * left.stride + step];
            let line = &right.values[step * right.stride..][..width];
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += factor * value;
            }
        }
        let target = &mut output.values[row * output.stride..][..width];
        for (old, new) in target.iter_mut().zip(sums) {
            *old = if output.add { *old + new } else { new };
        }
    }
}
