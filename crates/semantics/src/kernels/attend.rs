//! What attention in bytes does besides products: queries, keys and values into bytes, sums into weights, weights into what
//! is gathered.
//!
//! Products are exact, so that all that differs from machine to machine is the rounding of a weight between them.

use super::by_machine;
use super::rows::{LANES, Lanes, exp2, integer, reduce};

/// The most columns of a head that are read in bytes.
pub const WIDEST_HEAD: usize = 256;

/// What a query's bytes mean: the middle of an unsigned byte.
const MIDDLE: i32 = 128;

/// The code of the largest weight of a query.
const FULL_WEIGHT: f32 = 255.0;

/// One head's columns, in rows that stand apart.
#[derive(Debug, Clone, Copy)]
pub struct HeadRows<'a> {
    /// From the first column of the first row on.
    pub values: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
    /// How many rows.
    pub count: usize,
    /// Columns of the head: a multiple of sixteen, at most [`WIDEST_HEAD`].
    pub width: usize,
}

impl HeadRows<'_> {
    #[inline(always)]
    fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.stride..][..self.width]
    }
}

/// What a key's sums are scaled with, up to whole panels of keys.
#[derive(Debug, Default)]
pub struct KeyMeasures {
    scales: Vec<f32>,
    /// What the middle of queries adds to a sum.
    offsets: Vec<i32>,
    /// 0 for a key, and for what only fills a panel so little that its weight is none.
    masks: Vec<f32>,
}

/// So little that its weight is none, and far from what a float can't hold.
const NOTHING: f32 = -1e30;

/// The sums of some queries with all keys.
#[derive(Debug, Clone, Copy)]
pub struct Scores<'a> {
    /// Rows of as many sums as whole panels of keys have.
    pub sums: &'a [i32],
    /// One for each query.
    pub scales: &'a [f32],
    /// Of the keys.
    pub keys: &'a KeyMeasures,
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
    let lines = codes.chunks_exact_mut(depth).zip(scales).take(rows.count);
    for (index, (line, kept)) in lines.enumerate() {
        let row = rows.row(index);
        let (scale, inverse) = scale_of(largest_size(row));
        *kept = scale * factor;
        for (code, value) in line[..rows.width].iter_mut().zip(row) {
            *code = (integer(*value * inverse) + MIDDLE) as u8;
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
    measures.scales.resize(padded, 0.0);
    measures.offsets.clear();
    measures.offsets.resize(padded, 0);
    measures.masks.clear();
    measures.masks.resize(rows.count, 0.0);
    measures.masks.resize(padded, NOTHING);
    let mut line = [0_i8; WIDEST_HEAD];
    let line = &mut line[..rows.width];
    for (place, panel) in panels.chunks_exact_mut(LANES * depth).enumerate() {
        let (groups, _) = panel.as_chunks_mut::<{ LANES * 4 }>();
        groups[rows.width / 4..]
            .iter_mut()
            .for_each(|group| group.fill(0));
        for lane in 0..LANES.min(rows.count.saturating_sub(place * LANES)) {
            let key = place * LANES + lane;
            let row = rows.row(key);
            let (scale, inverse) = scale_of(largest_size(row));
            let mut sum = 0;
            for (code, value) in line.iter_mut().zip(row) {
                let whole = integer(*value * inverse);
                sum += whole;
                *code = whole as i8;
            }
            for (group, four) in groups.iter_mut().zip(line.as_chunks::<4>().0) {
                group[lane * 4..lane * 4 + 4].copy_from_slice(four);
            }
            measures.scales[key] = scale;
            measures.offsets[key] = MIDDLE * sum;
        }
    }
}

#[inline(always)]
fn pack_values_body<const FUSED: bool>(
    rows: HeadRows<'_>,
    depth: usize,
    panels: &mut [i8],
    scales: &mut [f32],
) {
    let none = [0.0; LANES];
    let at = |key: usize, first: usize| -> &[f32; LANES] {
        let row = rows.values[key * rows.stride + first..].first_chunk();
        row.unwrap_or(&none)
    };
    let panels = panels.chunks_exact_mut(LANES * depth);
    for ((place, panel), kept) in panels.enumerate().zip(scales.as_chunks_mut::<LANES>().0) {
        let first = place * LANES;
        let mut highest: Lanes = [0.0; LANES];
        for key in 0..rows.count {
            for (most, value) in highest.iter_mut().zip(at(key, first)) {
                let size = value.abs();
                *most = if size > *most { size } else { *most };
            }
        }
        let mut inverse: Lanes = [0.0; LANES];
        for ((kept, inverse), highest) in kept.iter_mut().zip(&mut inverse).zip(highest) {
            (*kept, *inverse) = scale_of(highest);
        }
        for (group, four) in panel.as_chunks_mut::<{ LANES * 4 }>().0.iter_mut().enumerate() {
            let mut words = [0_u32; LANES];
            for part in 0..4.min(rows.count.saturating_sub(group * 4)) {
                let values = at(group * 4 + part, first);
                for ((word, value), inverse) in words.iter_mut().zip(values).zip(inverse) {
                    *word |= (integer(*value * inverse).cast_unsigned() & 255) << (8 * part);
                }
            }
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
    let keys = scores.keys;
    let wide = keys.scales.len();
    line.resize(wide, 0.0);
    let (scales, offsets, masks) = (
        keys.scales.as_chunks::<LANES>().0,
        keys.offsets.as_chunks::<LANES>().0,
        keys.masks.as_chunks::<LANES>().0,
    );
    let rows = scores.sums.chunks_exact(wide.max(1)).zip(scores.scales);
    let lines = codes.chunks_exact_mut(depth.max(1)).zip(shares);
    for ((sums, factor), (codes, share)) in rows.zip(lines) {
        let mut highest = [f32::NEG_INFINITY; LANES];
        let each = line.as_chunks_mut::<LANES>().0.iter_mut();
        let parts = sums.as_chunks::<LANES>().0.iter().zip(scales).zip(offsets).zip(masks);
        for (to, (((sums, scales), offsets), masks)) in each.zip(parts) {
            for index in 0..LANES {
                let exact = sums[index].wrapping_sub(offsets[index]) as f32;
                let score = exact * (factor * scales[index]) + masks[index];
                to[index] = score;
                highest[index] = if score > highest[index] { score } else { highest[index] };
            }
        }
        let most = reduce(highest, |a, b| if a > b { a } else { b });
        let mut totals = [0_i32; LANES];
        let each = line.as_chunks::<LANES>().0.iter();
        for (codes, scores) in codes.as_chunks_mut::<LANES>().0.iter_mut().zip(each) {
            for index in 0..LANES {
                let code = integer(FULL_WEIGHT * exp2::<FUSED>(scores[index] - most));
                totals[index] += code;
                codes[index] = code as u8;
            }
        }
        *share = 1.0 / (totals.iter().sum::<i32>().max(1)) as f32;
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
    let width = scales.len().max(1);
    let rows = sums.chunks_exact(width).zip(shares);
    for ((sums, share), to) in rows.zip(output.chunks_mut(stride.max(1))) {
        for ((to, sum), scale) in to.iter_mut().zip(sums).zip(scales) {
            *to = *sum as f32 * (scale * share);
        }
    }
}

by_machine! {
    /// Queries into rows of unsigned bytes, `depth` apart; scales are multiplied with `factor`. What stands between the rows
    /// stays as it is.
    pub fn pack_queries(
        rows: HeadRows<'_>, factor: f32, depth: usize, codes: &mut [u8], scales: &mut [f32],
    ) = pack_queries_body;
}
by_machine! {
    /// Keys into panels of sixteen channels of `depth` signed bytes, zeros behind each, and what their sums are scaled with.
    pub fn pack_keys(
        rows: HeadRows<'_>, depth: usize, panels: &mut [i8], measures: &mut KeyMeasures,
    ) = pack_keys_body;
}
by_machine! {
    /// Values into panels of sixteen columns of `depth` signed bytes, zeros behind each, with a scale for each column.
    pub fn pack_values(
        rows: HeadRows<'_>, depth: usize, panels: &mut [i8], scales: &mut [f32],
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
