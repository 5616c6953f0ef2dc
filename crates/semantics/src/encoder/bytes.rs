//! Attention in bytes, for blocks whose layers are in bytes and whose queries look at all keys: queries, keys, weights and
//! values are bytes, and every sum is one of integers.

use super::attention::Sequence;
use super::{Encoder, Span};
use crate::kernels::{
    self, DEPTH, HeadRows, INT8_PANEL, KeyMeasures, Machine, Panels, Rows, Scores, room_for_sums,
};
use crate::linear::Linear;

/// Queries that are worked on together, so that memory grows with the sequence and not with its square.
const BAND: usize = 128;

/// Room for the heads of one sequence, kept from one to the next.
#[derive(Debug, Default)]
pub struct Room {
    queries: Vec<u8>,
    query_scales: Vec<f32>,
    keys: Vec<i8>,
    key_measures: KeyMeasures,
    values: Vec<i8>,
    value_scales: Vec<f32>,
    sums: Vec<i32>,
    line: Vec<f32>,
    weights: Vec<u8>,
    shares: Vec<f32>,
}

/// Whether a block's attention can be done so.
pub fn suits(encoder: &Encoder, block: usize) -> bool {
    let attention = &encoder.blocks[block].attention;
    let width = encoder.heads.width;
    matches!(attention.inputs, Linear::Int8(_))
        && attention.relative.is_none()
        && attention.span == Span::default()
        && width.is_multiple_of(INT8_PANEL)
        && width > 0
}

/// Puts what each query gathers into `output`, rows of all query heads. Only for blocks that [`suits`] tells.
pub fn attend(
    machine: Machine,
    encoder: &Encoder,
    sequence: Sequence<'_>,
    output: &mut [f32],
    room: &mut Room,
) {
    let heads = encoder.heads;
    if sequence.length == 0 {
        return;
    }
    let columns = |first: usize, count: usize| HeadRows {
        values: sequence.rows.get(first * heads.width..).unwrap_or_default(),
        stride: (heads.queries + 2 * heads.keys) * heads.width,
        count: sequence.length,
        heads: count,
        width: heads.width,
    };
    let keys = columns(heads.queries, heads.keys);
    room.take_keys(machine, keys, columns(heads.queries + heads.keys, heads.keys));
    room.take_queries(machine, columns(0, heads.queries), heads.scale);
    let group = heads.queries / heads.keys.max(1);
    let wide = heads.queries * heads.width;
    for head in 0..heads.queries {
        for first in (0..sequence.length).step_by(BAND) {
            let band = Band {
                heads: (head, head / group.max(1)),
                first,
                count: BAND.min(sequence.length - first),
            };
            let to = &mut output[first * wide + head * heads.width..];
            room.attend(machine, &band, keys, to, wide);
        }
    }
}

/// Some queries of one head.
struct Band {
    /// The head of queries, and that of keys.
    heads: (usize, usize),
    first: usize,
    count: usize,
}

fn at_least<T: Clone + Default>(buffer: &mut Vec<T>, needed: usize) -> &mut [T] {
    if buffer.len() < needed {
        buffer.resize(needed, T::default());
    }
    &mut buffer[..needed]
}

impl Room {
    fn take_keys(&mut self, machine: Machine, keys: HeadRows<'_>, values: HeadRows<'_>) {
        let depth = keys.width.next_multiple_of(DEPTH);
        let padded = keys.count.next_multiple_of(INT8_PANEL);
        let panels = at_least(&mut self.keys, keys.heads * padded * depth);
        kernels::pack_keys(machine, keys, depth, panels, &mut self.key_measures);
        let depth = values.count.next_multiple_of(DEPTH);
        let wide = values.heads * values.width;
        let panels = at_least(&mut self.values, wide * depth);
        let scales = at_least(&mut self.value_scales, wide);
        kernels::pack_values(machine, values, depth, panels, scales, &mut self.line);
    }

    fn take_queries(&mut self, machine: Machine, queries: HeadRows<'_>, scale: f32) {
        let depth = queries.width.next_multiple_of(DEPTH);
        let padded = queries.count.next_multiple_of(INT8_PANEL);
        let codes = at_least(&mut self.queries, queries.heads * padded * depth);
        let scales = at_least(&mut self.query_scales, queries.heads * queries.count);
        let factor = scale * std::f32::consts::LOG2_E;
        kernels::pack_queries(machine, queries, factor, depth, codes, scales);
    }

    /// Sends some queries to all keys; `keys` tells how many and how wide they are.
    fn attend(
        &mut self,
        machine: Machine,
        band: &Band,
        keys: HeadRows<'_>,
        output: &mut [f32],
        stride: usize,
    ) {
        let (length, width) = (keys.count, keys.width);
        let (head, key_head) = band.heads;
        let padded = length.next_multiple_of(INT8_PANEL);
        let depth = width.next_multiple_of(DEPTH);
        let rows = Rows {
            bytes: &self.queries[(head * padded + band.first) * depth..(head + 1) * padded * depth],
            count: band.count,
            depth,
            used: width,
        };
        let panels = Panels {
            bytes: &self.keys[key_head * padded * depth..][..padded * depth],
            count: padded / INT8_PANEL,
            depth,
        };
        let most = panels.count.max(width / INT8_PANEL);
        let sums = at_least(&mut self.sums, room_for_sums(band.count, most));
        kernels::sums(machine, rows, panels, sums);
        let scores = Scores {
            sums,
            scales: &self.query_scales[head * length + band.first..][..band.count],
            keys: &self.key_measures,
            head: key_head,
        };
        let depth = length.next_multiple_of(DEPTH);
        let tall = band.count.next_multiple_of(INT8_PANEL);
        let codes = at_least(&mut self.weights, tall * depth);
        let shares = at_least(&mut self.shares, band.count);
        kernels::weigh(machine, scores, &mut self.line, depth, codes, shares);
        let rows = Rows {
            bytes: codes,
            count: band.count,
            depth,
            used: length.next_multiple_of(4),
        };
        let panels = Panels {
            bytes: &self.values[key_head * width * depth..][..width * depth],
            count: width / INT8_PANEL,
            depth,
        };
        kernels::sums(machine, rows, panels, sums);
        let scales = &self.value_scales[key_head * width..][..width];
        kernels::gather(machine, sums, scales, shares, output, stride);
    }
}
