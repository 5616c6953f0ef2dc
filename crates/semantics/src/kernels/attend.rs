//! What attention in bytes does besides products: queries, keys and values into bytes, sums into weights, weights into what
//! is gathered.
//!
//! Products are exact, so that all that differs from machine to machine is the rounding of a weight between them.

use super::by_machine;
use super::rows::{LANES, Lanes, exp2, integer, reduce};

/// What a query's bytes mean: the middle of an unsigned byte.
const MIDDLE: i32 = 128;

/// The code of the largest weight of a query.
const FULL_WEIGHT: f32 = 255.0;

/// The columns of some heads, in rows that stand apart.
#[derive(Debug, Clone, Copy)]
pub struct HeadRows<'a> {
    /// From the first column of the first row on.
    pub values: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
    /// How many rows.
    pub count: usize,
    /// How many heads stand beside each other.
    pub heads: usize,
    /// Columns of a head, a multiple of sixteen.
    pub width: usize,
}

impl HeadRows<'_> {
    #[inline(always)]
    fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.stride..][..self.heads * self.width]
    }
}

/// What the sums of some heads' keys are scaled with, up to whole panels of keys.
#[derive(Debug, Default)]
pub struct KeyMeasures {
    /// Of each head, one for each key.
    scales: Vec<f32>,
    /// What the middle of queries adds to a sum.
    offsets: Vec<i32>,
    /// 0 for a key, and for what only fills a panel so little that its weight is none; the same for all heads.
    masks: Vec<f32>,
    /// One key's bytes.
    line: Vec<i8>,
}

/// So little that its weight is none, and far from what a float can't hold.
const NOTHING: f32 = -1e30;

/// The sums of some queries of one head with all keys.
#[derive(Debug, Clone, Copy)]
pub struct Scores<'a> {
    /// Rows of as many sums as whole panels of keys have.
    pub sums: &'a [i32],
    /// One for each query.
    pub scales: &'a [f32],
    /// Of the keys.
    pub keys: &'a KeyMeasures,
    /// Which of the heads whose keys these are.
    pub head: usize,
}

/// From a row's largest size to the scale of its bytes and what makes bytes of it; zeros where there is none.
#[inline(always)]
fn scale_of(highest: f32) -> (f32, f32) {
    let scale = highest / 127.0;
    if scale > f32::MIN_POSITIVE && scale.is_finite() {
        (scale, 1.0 / scale)
    } else {
        (0.0, 0.0)
    }
}

#[inline(always)]
fn largest_size(row: &[f32]) -> f32 {
    let mut lanes: Lanes = [0.0; LANES];
    for chunk in row.as_chunks::<LANES>().0 {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            let size = value.abs();
            *lane = if size > *lane { size } else { *lane };
        }
    }
    reduce(lanes, |a, b| if a > b { a } else { b })
}

#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within a byte once it is scaled"
)]
fn pack_queries_body<const FUSED: bool>(
    rows: HeadRows<'_>,
    factor: f32,
    depth: usize,
    codes: &mut [u8],
    scales: &mut [f32],
) {
    let padded = rows.count.next_multiple_of(LANES);
    for index in 0..rows.count {
        for (head, row) in rows.row(index).chunks_exact(rows.width).enumerate() {
            let (scale, inverse) = scale_of(largest_size(row));
            scales[head * rows.count + index] = scale * factor;
            let line = &mut codes[(head * padded + index) * depth..][..rows.width];
            for (code, value) in line.iter_mut().zip(row) {
                *code = integer(*value * inverse).wrapping_add(MIDDLE) as u8;
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "within a byte once it is scaled")]
fn pack_keys_body<const FUSED: bool>(
    rows: HeadRows<'_>,
    depth: usize,
    panels: &mut [i8],
    measures: &mut KeyMeasures,
) {
    let padded = rows.count.next_multiple_of(LANES);
    measures.scales.clear();
    measures.scales.resize(rows.heads * padded, 0.0);
    measures.offsets.clear();
    measures.offsets.resize(rows.heads * padded, 0);
    measures.masks.clear();
    measures.masks.resize(rows.count, 0.0);
    measures.masks.resize(padded, NOTHING);
    measures.line.clear();
    measures.line.resize(rows.width, 0);
    panels.fill(0);
    for key in 0..rows.count {
        let (place, lane) = (key / LANES * LANES, key % LANES * 4);
        for (head, row) in rows.row(key).chunks_exact(rows.width).enumerate() {
            let (scale, inverse) = scale_of(largest_size(row));
            let panel = &mut panels[(head * padded + place) * depth..][..LANES * depth];
            let mut sum = 0_i32;
            for (code, value) in measures.line.iter_mut().zip(row) {
                let whole = integer(*value * inverse);
                sum = sum.wrapping_add(whole);
                *code = whole as i8;
            }
            let groups = panel.as_chunks_mut::<{ LANES * 4 }>().0.iter_mut();
            for (group, four) in groups.zip(measures.line.as_chunks::<4>().0) {
                group[lane..lane + 4].copy_from_slice(four);
            }
            measures.scales[head * padded + key] = scale;
            measures.offsets[head * padded + key] = sum.wrapping_mul(MIDDLE);
        }
    }
}

#[inline(always)]
fn pack_values_body<const FUSED: bool>(
    rows: HeadRows<'_>,
    depth: usize,
    panels: &mut [i8],
    scales: &mut [f32],
    inverses: &mut Vec<f32>,
) {
    let wide = rows.heads * rows.width;
    inverses.clear();
    inverses.resize(wide, 0.0);
    let highest = inverses.as_chunks_mut::<LANES>().0;
    for key in 0..rows.count {
        for (most, values) in highest.iter_mut().zip(rows.row(key).as_chunks::<LANES>().0) {
            for (most, value) in most.iter_mut().zip(values) {
                let size = value.abs();
                *most = if size > *most { size } else { *most };
            }
        }
    }
    for (scale, inverse) in scales.iter_mut().zip(inverses.iter_mut()) {
        (*scale, *inverse) = scale_of(*inverse);
    }
    let inverses = inverses.as_chunks::<LANES>().0;
    for group in 0..depth / 4 {
        let keys = 4.min(rows.count.saturating_sub(group * 4));
        for (place, inverse) in inverses.iter().enumerate() {
            let mut words = [0_u32; LANES];
            for part in 0..keys {
                let values = rows.row(group * 4 + part).as_chunks::<LANES>().0[place];
                for index in 0..LANES {
                    let code = integer(values[index] * inverse[index]).cast_unsigned() & 255;
                    words[index] |= code << (8 * part);
                }
            }
            let four = &mut panels[place * LANES * depth + group * LANES * 4..][..LANES * 4];
            for (bytes, word) in four.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *bytes = word.to_le_bytes().map(u8::cast_signed);
            }
        }
    }
}

#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sums of products of bytes over a head are below 2^24; a weight fits a byte"
)]
fn weigh_body<const FUSED: bool>(
    scores: Scores<'_>,
    line: &mut Vec<f32>,
    depth: usize,
    codes: &mut [u8],
    shares: &mut [f32],
) {
    let wide = scores.keys.masks.len().max(1);
    line.clear();
    line.resize(wide, 0.0);
    let line = line.as_chunks_mut::<LANES>().0;
    let scales = scores.keys.scales[scores.head * wide..][..wide]
        .as_chunks::<LANES>()
        .0;
    let offsets = scores.keys.offsets[scores.head * wide..][..wide]
        .as_chunks::<LANES>()
        .0;
    let masks = scores.keys.masks.as_chunks::<LANES>().0;
    let rows = scores.sums.chunks_exact(wide).zip(scores.scales);
    let lines = codes.chunks_exact_mut(depth.max(1)).zip(shares);
    for ((sums, factor), (codes, share)) in rows.zip(lines) {
        let factor = *factor;
        let mut highest = [f32::NEG_INFINITY; LANES];
        let parts = sums
            .as_chunks::<LANES>()
            .0
            .iter()
            .zip(scales)
            .zip(offsets)
            .zip(masks);
        for (to, (((sums, scales), offsets), masks)) in line.iter_mut().zip(parts) {
            let mut values: Lanes = [0.0; LANES];
            for index in 0..LANES {
                let exact = sums[index].wrapping_sub(offsets[index]) as f32;
                values[index] = exact * (factor * scales[index]) + masks[index];
            }
            for index in 0..LANES {
                let (most, value) = (highest[index], values[index]);
                highest[index] = if value > most { value } else { most };
            }
            *to = values;
        }
        let most = reduce(highest, |a, b| if a > b { a } else { b });
        let mut totals = [0_i32; LANES];
        let targets = codes.as_chunks_mut::<LANES>().0;
        for (codes, scores) in targets.iter_mut().zip(line.iter()) {
            for index in 0..LANES {
                let code = integer(FULL_WEIGHT * exp2::<FUSED>(scores[index] - most));
                totals[index] = code.wrapping_add(totals[index]);
                codes[index] = code as u8;
            }
        }
        let total = totals.iter().fold(0_i32, |sum, lane| sum.wrapping_add(*lane));
        *share = 1.0 / total.max(1) as f32;
    }
}

#[inline(always)]
#[allow(
    clippy::cast_precision_loss,
    reason = "sums of products of bytes; a rounding in the 24th bit"
)]
fn gather_body<const FUSED: bool>(
    sums: &[i32],
    scales: &[f32],
    shares: &[f32],
    output: &mut [f32],
    stride: usize,
) {
    let rows = sums.chunks_exact(scales.len().max(1)).zip(shares);
    let scales = scales.as_chunks::<LANES>().0;
    for ((sums, share), to) in rows.zip(output.chunks_mut(stride.max(1))) {
        let share = *share;
        let parts = sums.as_chunks::<LANES>().0.iter().zip(scales);
        for (to, (sums, scales)) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(parts) {
            let mut values: Lanes = [0.0; LANES];
            for index in 0..LANES {
                values[index] = sums[index] as f32 * (scales[index] * share);
            }
            *to = values;
        }
    }
}

by_machine! {
    /// Queries into rows of unsigned bytes, head behind head, `depth` apart; scales, likewise, are multiplied with `factor`.
    /// What stands behind a row stays as it is.
    pub fn pack_queries(
        rows: HeadRows<'_>, factor: f32, depth: usize, codes: &mut [u8], scales: &mut [f32],
    ) = pack_queries_body;
}
by_machine! {
    /// Keys into panels of sixteen channels of `depth` signed bytes, head behind head, zeros behind each channel, and what
    /// their sums are scaled with.
    pub fn pack_keys(
        rows: HeadRows<'_>, depth: usize, panels: &mut [i8], measures: &mut KeyMeasures,
    ) = pack_keys_body;
}
by_machine! {
    /// Values into panels of sixteen columns of `depth` signed bytes, zeros behind each, with a scale for each column.
    pub fn pack_values(
        rows: HeadRows<'_>, depth: usize, panels: &mut [i8], scales: &mut [f32], inverses: &mut Vec<f32>,
    ) = pack_values_body;
}
by_machine! {
    /// Sums into the weights that softmax gives the keys, as bytes, in rows `depth` apart; with what makes the weights of a
    /// query one.
    pub fn weigh(
        scores: Scores<'_>, line: &mut Vec<f32>, depth: usize, codes: &mut [u8], shares: &mut [f32],
    ) = weigh_body;
}
by_machine! {
    /// Sums of weights with values, scaled back, into rows `stride` apart.
    pub fn gather(
        sums: &[i32], scales: &[f32], shares: &[f32], output: &mut [f32], stride: usize,
    ) = gather_body;
}
