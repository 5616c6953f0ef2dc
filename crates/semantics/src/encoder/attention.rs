//! Attention within one sequence: head by head, a band of queries at a time, so that memory grows with the sequence and not
//! with its square.

use super::{Encoder, Heads, Span};
use crate::kernels::{self, FLOAT_PANEL, Machine, Output, Strided, float_panel};

/// Queries that are worked on together.
const BAND: usize = 32;

/// DeBERTa's disentangled attention: scores of content with distance and of distance with content.
#[derive(Debug, Clone)]
pub struct Relative {
    /// Keys of each distance, `[2·reach][columns of all heads]`; empty if content never looks at distances.
    pub keys: Vec<f32>,
    /// Queries of each distance, likewise.
    pub queries: Vec<f32>,
    /// Half as many distances as there are.
    pub reach: usize,
    /// Buckets of distances, 0 where each is its own.
    pub buckets: usize,
    /// The largest distance that is told apart.
    pub farthest: usize,
}

impl Relative {
    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * (self.keys.len() + self.queries.len())
    }

    /// The row of the distance from a query to a key: distances beyond the middle share rows, the more the farther.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "distances within a sequence, far below 2^24; clamped before it is an index"
    )]
    fn row(&self, query: usize, key: usize) -> usize {
        let distance = query as i64 - key as i64;
        let middle = (self.buckets / 2) as i64;
        let bucket = if self.buckets == 0 || distance.abs() <= middle {
            distance
        } else {
            let size = distance.abs() as f32;
            let half = middle as f32;
            let share = (size / half).ln() / ((self.farthest as f32 - 1.0) / half).ln();
            ((share * (half - 1.0)).ceil() + half) as i64 * distance.signum()
        };
        (bucket + self.reach as i64).clamp(0, 2 * self.reach as i64 - 1) as usize
    }
}

/// Room for attention, kept from one call to the next.
#[derive(Debug, Default)]
pub struct Room {
    keys: Vec<f32>,
    scores: Vec<f32>,
    from_query: Vec<f32>,
    from_key: Vec<f32>,
    distances: Vec<f32>,
    rows: Vec<usize>,
}

/// One sequence: rows of queries, keys and values beside each other.
#[derive(Clone, Copy)]
pub struct Sequence<'a> {
    /// Its rows.
    pub rows: &'a [f32],
    /// How many.
    pub length: usize,
}

/// Puts what each query gathers into `output`, rows of all query heads.
pub fn attend(
    machine: Machine,
    encoder: &Encoder,
    block: usize,
    sequence: Sequence<'_>,
    output: &mut [f32],
    room: &mut Room,
) {
    let attention = &encoder.blocks[block].attention;
    let heads = encoder.heads;
    let group = heads.queries / heads.keys.max(1);
    if let Some(relative) = &attention.relative {
        room.rows.clear();
        let length = sequence.length;
        // The row of each distance from -(length - 1) to length - 1.
        room.rows
            .extend((0..length).rev().map(|key| relative.row(0, key)));
        room.rows.extend((1..length).map(|query| relative.row(query, 0)));
    }
    for key_head in 0..heads.keys {
        transpose_keys(sequence, heads, key_head, &mut room.keys);
        for head in key_head * group..(key_head + 1) * group {
            if let Some(relative) = &attention.relative {
                project_distances(machine, relative, sequence, heads, head, room);
            }
            for first in (0..sequence.length).step_by(BAND) {
                let band = Band {
                    first,
                    count: BAND.min(sequence.length - first),
                    head,
                    key_head,
                };
                band.attend(
                    machine,
                    (heads, attention.span),
                    sequence,
                    output,
                    attention.relative.as_ref(),
                    room,
                );
            }
        }
    }
}

fn stride(heads: Heads) -> usize {
    (heads.queries + 2 * heads.keys) * heads.width
}

/// Keys of one head in panels of 32: within one, the first column of all keys, then the second, and so on.
fn transpose_keys(sequence: Sequence<'_>, heads: Heads, head: usize, keys: &mut Vec<f32>) {
    let stride = stride(heads);
    let start = (heads.queries + head) * heads.width;
    let needed = sequence.length.next_multiple_of(FLOAT_PANEL) * heads.width;
    if keys.len() < needed {
        keys.resize(needed, 0.0);
    }
    for (panel, lines) in keys[..needed]
        .chunks_exact_mut(FLOAT_PANEL * heads.width)
        .enumerate()
    {
        let first = panel * FLOAT_PANEL;
        let count = FLOAT_PANEL.min(sequence.length - first);
        for key in 0..count {
            let row = &sequence.rows[(first + key) * stride + start..][..heads.width];
            for (line, value) in lines.chunks_exact_mut(FLOAT_PANEL).zip(row) {
                line[key] = *value;
            }
        }
    }
}

/// Every query with the keys of distances, and every key with the queries of distances.
fn project_distances(
    machine: Machine,
    relative: &Relative,
    sequence: Sequence<'_>,
    heads: Heads,
    head: usize,
    room: &mut Room,
) {
    let distances = 2 * relative.reach;
    let columns = heads.queries * heads.width;
    let sides = [
        (&relative.keys, head * heads.width, &mut room.from_query),
        (
            &relative.queries,
            (heads.queries + head) * heads.width,
            &mut room.from_key,
        ),
    ];
    for (table, start, output) in sides {
        output.clear();
        if table.is_empty() {
            continue;
        }
        room.distances.clear();
        room.distances
            .resize(distances.next_multiple_of(FLOAT_PANEL) * heads.width, 0.0);
        for distance in 0..distances {
            let row = &table[distance * columns + head * heads.width..][..heads.width];
            let panel = distance / FLOAT_PANEL * FLOAT_PANEL * heads.width + distance % FLOAT_PANEL;
            for (column, value) in row.iter().enumerate() {
                room.distances[panel + column * FLOAT_PANEL] = *value;
            }
        }
        output.resize(sequence.length * distances, 0.0);
        for (panel, lines) in room.distances.chunks_exact(FLOAT_PANEL * heads.width).enumerate() {
            let first = panel * FLOAT_PANEL;
            let left = Strided {
                values: &sequence.rows[start..],
                stride: stride(heads),
            };
            let right = Strided {
                values: lines,
                stride: FLOAT_PANEL,
            };
            let mut target = Output {
                values: &mut output[first..],
                stride: distances,
                add: false,
            };
            let size = (sequence.length, heads.width, FLOAT_PANEL.min(distances - first));
            float_panel(machine, size, left, right, &mut target);
        }
    }
}

/// Some queries of one head.
struct Band {
    first: usize,
    count: usize,
    head: usize,
    key_head: usize,
}

/// Keys that a query looks at.
fn looks_at(span: Span, query: usize, length: usize) -> (usize, usize) {
    let from = span.before.map_or(0, |before| query.saturating_sub(before));
    let to = span.after.map_or(length, |after| (query + after + 1).min(length));
    (from, to)
}

impl Band {
    fn attend(
        &self,
        machine: Machine,
        (heads, span): (Heads, Span),
        sequence: Sequence<'_>,
        output: &mut [f32],
        relative: Option<&Relative>,
        room: &mut Room,
    ) {
        let length = sequence.length;
        let from = looks_at(span, self.first, length).0 / FLOAT_PANEL * FLOAT_PANEL;
        let to = looks_at(span, self.first + self.count - 1, length).1;
        let width = to - from;
        if room.scores.len() < self.count * width {
            room.scores.resize(self.count * width, 0.0);
        }
        self.score(machine, heads, sequence, (from, to), room);
        if let Some(relative) = relative {
            self.add_distances(relative, length, room);
        }
        for (index, row) in room.scores[..self.count * width]
            .chunks_exact_mut(width)
            .enumerate()
        {
            let (first, last) = looks_at(span, self.first + index, length);
            row[..first - from].fill(0.0);
            row[last - from..].fill(0.0);
            kernels::softmax(machine, &mut row[first - from..last - from], heads.scale);
        }
        let values = from * stride(heads) + (heads.queries + heads.keys + self.key_head) * heads.width;
        let columns = heads.queries * heads.width;
        for column in (0..heads.width).step_by(FLOAT_PANEL) {
            let left = Strided {
                values: &room.scores,
                stride: width,
            };
            let right = Strided {
                values: &sequence.rows[values + column..],
                stride: stride(heads),
            };
            let mut target = Output {
                values: &mut output[self.first * columns + self.head * heads.width + column..],
                stride: columns,
                add: false,
            };
            let size = (self.count, width, FLOAT_PANEL.min(heads.width - column));
            float_panel(machine, size, left, right, &mut target);
        }
    }

    fn score(
        &self,
        machine: Machine,
        heads: Heads,
        sequence: Sequence<'_>,
        (from, to): (usize, usize),
        room: &mut Room,
    ) {
        let queries = &sequence.rows[self.first * stride(heads) + self.head * heads.width..];
        for first in (from..to).step_by(FLOAT_PANEL) {
            let left = Strided {
                values: queries,
                stride: stride(heads),
            };
            let right = Strided {
                values: &room.keys[first * heads.width..],
                stride: FLOAT_PANEL,
            };
            let mut target = Output {
                values: &mut room.scores[first - from..],
                stride: to - from,
                add: false,
            };
            let size = (self.count, heads.width, FLOAT_PANEL.min(to - first));
            float_panel(machine, size, left, right, &mut target);
        }
    }

    /// Blocks with distances look at the whole sequence, so that scores have a column for each key.
    fn add_distances(&self, relative: &Relative, length: usize, room: &mut Room) {
        let distances = 2 * relative.reach;
        for (index, row) in room.scores[..self.count * length]
            .chunks_exact_mut(length)
            .enumerate()
        {
            let query = self.first + index;
            for (key, score) in row.iter_mut().enumerate() {
                let distance = room.rows[query + length - 1 - key];
                if let Some(value) = room.from_query.get(query * distances + distance) {
                    *score += value;
                }
                if let Some(value) = room.from_key.get(key * distances + distance) {
                    *score += value;
                }
            }
        }
    }
}
