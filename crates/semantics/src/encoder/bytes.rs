//! Attention in bytes, for blocks whose layers are in bytes and whose queries look at all keys: queries, keys, weights and
//! values are bytes, and every sum is one of integers.

use super::attention::Sequence;
use super::{Encoder, Span};
use crate::kernels::{
    self, DEPTH, HeadRows, INT8_PANEL, KeyMeasures, Machine, Panels, Rows, Scores, WIDEST_HEAD, room_for_sums,
};
use crate::linear::Linear;

/// Queries that are worked on together, so that memory grows with the sequence and not with its square.
const BAND: usize = 128;

/// Room for one head, kept from one to the next.
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
        && (1..=WIDEST_HEAD).contains(&width)
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
    let group = heads.queries / heads.keys.max(1);
    let stride = (heads.queries + 2 * heads.keys) * heads.width;
    let columns = |head: usize| HeadRows {
        values: sequence.rows.get(head * heads.width..).unwrap_or_default(),
        stride,
        count: sequence.length,
        width: heads.width,
    };
    if sequence.length == 0 {
        return;
    }
    for key_head in 0..heads.keys {
        room.take(
            machine,
            columns(heads.queries + key_head),
            columns(heads.queries + heads.keys + key_head),
        );
        for head in key_head * group..(key_head + 1) * group {
            for first in (0..sequence.length).step_by(BAND) {
                let all = columns(head);
                let band = HeadRows {
                    values: &all.values[first * stride..],
                    count: BAND.min(sequence.length - first),
                    ..all
                };
                let wide = heads.queries * heads.width;
                let to = &mut output[first * wide + head * heads.width..];
                room.attend(machine, (band, heads.scale), sequence.length, to, wide);
            }
        }
    }
}

fn at_least<T: Clone + Default>(buffer: &mut Vec<T>, needed: usize) -> &mut [T] {
    if buffer.len() < needed {
        buffer.resize(needed, T::default());
    }
    &mut buffer[..needed]
}

impl Room {
    /// Takes a head's keys and values in.
    fn take(&mut self, machine: Machine, keys: HeadRows<'_>, values: HeadRows<'_>) {
        let depth = keys.width.next_multiple_of(DEPTH);
        let panels = at_least(
            &mut self.keys,
            keys.count.next_multiple_of(INT8_PANEL) * depth,
        );
        kernels::pack_keys(machine, keys, depth, panels, &mut self.key_measures);
        let depth = values.count.next_multiple_of(DEPTH);
        let panels = at_least(&mut self.values, values.width * depth);
        let scales = at_least(&mut self.value_scales, values.width);
        kernels::pack_values(machine, values, depth, panels, scales);
    }

    /// Sends some queries of one head to `length` keys that were taken in.
    fn attend(
        &mut self,
        machine: Machine,
        (queries, scale): (HeadRows<'_>, f32),
        length: usize,
        output: &mut [f32],
        stride: usize,
    ) {
        let (count, width) = (queries.count, queries.width);
        let padded = count.next_multiple_of(INT8_PANEL);
        let depth = width.next_multiple_of(DEPTH);
        let codes = at_least(&mut self.queries, padded * depth);
        let scales = at_least(&mut self.query_scales, count);
        let factor = scale * std::f32::consts::LOG2_E;
        kernels::pack_queries(machine, queries, factor, depth, codes, scales);
        let rows = Rows {
            bytes: codes,
            count,
            depth,
            used: width,
        };
        let panels = Panels {
            bytes: &self.keys,
            count: length.div_ceil(INT8_PANEL),
            depth,
        };
        let sums = at_least(
            &mut self.sums,
            room_for_sums(count, panels.count.max(width / INT8_PANEL)),
        );
        kernels::sums(machine, rows, panels, sums);
        let depth = length.next_multiple_of(DEPTH);
        let codes = at_least(&mut self.weights, padded * depth);
        let shares = at_least(&mut self.shares, count);
        let scores = Scores {
            sums,
            scales,
            keys: &self.key_measures,
        };
        kernels::weigh(machine, scores, &mut self.line, depth, codes, shares);
        let rows = Rows {
            bytes: codes,
            count,
            depth,
            used: length.next_multiple_of(4),
        };
        let panels = Panels {
            bytes: &self.values,
            count: width / INT8_PANEL,
            depth,
        };
        kernels::sums(machine, rows, panels, sums);
        kernels::gather(machine, sums, &self.value_scales[..width], shares, output, stride);
    }
}
