//! The way of a batch through an encoder.

use super::attention::{Room, Sequence, attend};
use super::bytes;
use super::{Activation, Block, Encoder, Mlp, Normaliser};
use crate::kernels::{self, Codes, Machine};

/// Rows that go through a block's later layers together: what lies between them stays in the cache.
const BAND: usize = 64;

/// Rows, about, whose queries, keys and values are worked out before attention reads them: they stay in the cache, too.
const RUN: usize = 128;

/// What is asked of an encoder.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// How many blocks to go through; all where it has fewer.
    pub blocks: usize,
    /// With which instructions.
    pub machine: Machine,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            blocks: usize::MAX,
            machine: Machine::detect(),
        }
    }
}

/// Room that a forward pass needs, kept from one to the next. Grows with the tokens of the largest batch.
#[derive(Debug, Default)]
pub struct Scratch {
    mixed: Vec<f32>,
    gathered: Vec<f32>,
    normed: Vec<f32>,
    said: Vec<f32>,
    inner: Vec<f32>,
    codes: Codes,
    room: Room,
    bytes: bytes::Room,
}

/// The rows that come out, sequence behind sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct States {
    values: Vec<f32>,
    starts: Vec<usize>,
    width: usize,
}

impl States {
    /// How many sequences there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows of one sequence, one behind the other; empty if there is no such sequence.
    #[must_use]
    pub fn rows(&self, sequence: usize) -> &[f32] {
        match (self.starts.get(sequence), self.starts.get(sequence + 1)) {
            (Some(start), Some(end)) => &self.values[start * self.width..end * self.width],
            _ => &[],
        }
    }
}

fn room(buffer: &mut Vec<f32>, needed: usize) -> &mut [f32] {
    if buffer.len() < needed {
        buffer.resize(needed, 0.0);
    }
    &mut buffer[..needed]
}

impl Normaliser {
    /// Applies it to whole rows.
    pub fn apply(&self, machine: Machine, rows: &mut [f32]) {
        match self {
            Self::Layer(norm) => {
                for row in rows.chunks_exact_mut(norm.weight.len().max(1)) {
                    kernels::layer_norm(machine, row, norm);
                }
            }
            Self::Rms(norm) => {
                for row in rows.chunks_exact_mut(norm.weight.len().max(1)) {
                    kernels::rms_norm(machine, row, norm);
                }
            }
        }
    }
}

impl Activation {
    /// Applies it to every value.
    pub fn apply(self, machine: Machine, values: &mut [f32]) {
        match self {
            Self::Gelu => kernels::gelu(machine, values),
            Self::GeluTanh => kernels::gelu_tanh(machine, values),
            Self::Silu => kernels::silu(machine, values),
            Self::Relu => kernels::relu(machine, values),
            Self::Tanh => kernels::tanh(machine, values),
        }
    }
}

impl Encoder {
    /// Sends `sequences` (with their frames) through and puts the rows that come out into `states`.
    ///
    /// A sequence longer than [`Encoder::longest`] is cut there; split it into windows before.
    pub fn encode(&self, sequences: &[&[u32]], asked: Asked, scratch: &mut Scratch, states: &mut States) {
        self.encode_pairs(sequences, &[], asked, scratch, states);
    }

    /// As [`Encoder::encode`]; what of each sequence stands at `seconds` or behind it belongs to the second text of a pair.
    pub fn encode_pairs(
        &self,
        sequences: &[&[u32]],
        seconds: &[usize],
        asked: Asked,
        scratch: &mut Scratch,
        states: &mut States,
    ) {
        self.start((sequences, seconds), asked.machine, scratch, states);
        for block in 0..self.blocks.len().min(asked.blocks) {
            self.block(block, asked.machine, scratch, states);
        }
        if let Some(norm) = &self.last_norm {
            norm.apply(asked.machine, &mut states.values);
        }
    }

    /// As [`Encoder::encode`], and hands the rows behind each of `exits` to `each`: an exit is a number of blocks. `exits` go
    /// up; the pass ends with the last.
    pub fn encode_exits(
        &self,
        sequences: &[&[u32]],
        (exits, machine): (&[usize], Machine),
        scratch: &mut Scratch,
        states: &mut States,
        mut each: impl FnMut(usize, &States),
    ) {
        self.start((sequences, &[]), machine, scratch, states);
        let mut done = 0;
        for (index, exit) in exits.iter().enumerate() {
            while done < (*exit).min(self.blocks.len()) {
                self.block(done, machine, scratch, states);
                done += 1;
            }
            match &self.last_norm {
                Some(norm) => {
                    let mut seen = states.clone();
                    norm.apply(machine, &mut seen.values);
                    each(index, &seen);
                }
                None => each(index, states),
            }
        }
    }

    fn block(&self, index: usize, machine: Machine, scratch: &mut Scratch, states: &mut States) {
        let block = &self.blocks[index];
        self.attention(index, machine, scratch, states);
        let narrow = self.heads.queries * self.heads.width;
        let gathered = std::mem::take(&mut scratch.gathered);
        let bands = states.values.chunks_mut(BAND * self.width.max(1));
        for (band, gathered) in bands.zip(gathered.chunks(BAND * narrow.max(1))) {
            let gathered = &gathered[..band.len() / self.width.max(1) * narrow];
            block.take_attention(machine, scratch, gathered, band);
            block.inner(machine, scratch, band, self.width);
        }
        scratch.gathered = gathered;
    }

    fn start(
        &self,
        (sequences, seconds): (&[&[u32]], &[usize]),
        machine: Machine,
        scratch: &mut Scratch,
        states: &mut States,
    ) {
        states.width = self.width;
        states.starts.clear();
        states.starts.push(0);
        let mut total = 0;
        for sequence in sequences {
            total += sequence.len().min(self.longest);
            states.starts.push(total);
        }
        states.values.clear();
        states.values.resize(total * self.width, 0.0);
        self.embed((sequences, seconds), machine, scratch, states);
    }

    fn embed(
        &self,
        (sequences, seconds): (&[&[u32]], &[usize]),
        machine: Machine,
        scratch: &mut Scratch,
        states: &mut States,
    ) {
        let embeddings = &self.embeddings;
        let width = embeddings.words.width();
        let total = states.values.len() / self.width.max(1);
        let rows = match embeddings.project {
            Some(_) => room(&mut scratch.inner, total * width),
            None => states.values.as_mut_slice(),
        };
        let position_row = room(&mut scratch.said, width);
        let mut lines = rows.chunks_exact_mut(width.max(1));
        for (index, sequence) in sequences.iter().enumerate() {
            let second = seconds.get(index).copied().unwrap_or(usize::MAX);
            let tokens = &sequence[..sequence.len().min(self.longest)];
            for (position, (token, line)) in tokens.iter().zip(&mut lines).enumerate() {
                embeddings.words.read(*token as usize, line);
                if embeddings.scale != 1.0 {
                    line.iter_mut().for_each(|value| *value *= embeddings.scale);
                }
                if let Some(positions) = &embeddings.positions {
                    positions.read(position + embeddings.first_position, position_row);
                    kernels::add(machine, line, position_row);
                }
                if let Some(constant) = &embeddings.constant {
                    kernels::add(machine, line, constant);
                }
                if let Some(more) = embeddings.second.as_ref().filter(|_| position >= second) {
                    kernels::add(machine, line, more);
                }
            }
        }
        if let Some(project) = &embeddings.project {
            let rows = &scratch.inner[..total * width];
            project.apply(machine, rows, &mut states.values, false, &mut scratch.codes);
        }
        if let Some(norm) = &embeddings.norm {
            norm.apply(machine, &mut states.values);
        }
    }

    /// What each query of each sequence gathers, into `scratch.gathered`.
    fn attention(&self, index: usize, machine: Machine, scratch: &mut Scratch, states: &States) {
        let block = &self.blocks[index];
        let attention = &block.attention;
        let rows = states.values.len() / self.width.max(1);
        let (wide, narrow) = (attention.inputs.outputs(), self.heads.queries * self.heads.width);
        let in_bytes = bytes::suits(self, index);
        let gathered = room(&mut scratch.gathered, rows * narrow);
        let mut starts = states.starts.as_slice();
        while starts.len() > 1 {
            // As many sequences as fit, and one at least.
            let fit = starts.partition_point(|start| start - starts[0] <= RUN).max(2);
            let run = &starts[..fit];
            let (first, last) = (run[0], run[fit - 1]);
            let mixed = room(&mut scratch.mixed, (last - first) * wide);
            let read = normed(
                block.norms.before_attention.as_ref(),
                machine,
                &states.values[first * self.width..last * self.width],
                &mut scratch.normed,
            );
            attention
                .inputs
                .apply(machine, read, mixed, false, &mut scratch.codes);
            self.turn(index, machine, mixed, run);
            for pair in run.windows(2) {
                let sequence = Sequence {
                    rows: &mixed[(pair[0] - first) * wide..(pair[1] - first) * wide],
                    length: pair[1] - pair[0],
                };
                let output = &mut gathered[pair[0] * narrow..pair[1] * narrow];
                if in_bytes {
                    bytes::attend(machine, self, sequence, output, &mut scratch.bytes);
                } else {
                    attend(machine, self, index, sequence, output, &mut scratch.room);
                }
            }
            starts = &starts[fit - 1..];
        }
    }

    /// Norms of heads and rotary positions, on queries and keys where they stand.
    fn turn(&self, index: usize, machine: Machine, mixed: &mut [f32], starts: &[usize]) {
        let attention = &self.blocks[index].attention;
        if attention.query_norm.is_none() && attention.key_norm.is_none() && attention.rotary.is_none() {
            return;
        }
        let rotary = attention.rotary.and_then(|rotary| self.rotaries.get(rotary));
        let (wide, origin) = (attention.inputs.outputs(), starts[0]);
        for pair in starts.windows(2) {
            let rows = mixed[(pair[0] - origin) * wide..(pair[1] - origin) * wide].chunks_exact_mut(wide);
            for (position, row) in rows.enumerate() {
                let turned = (self.heads.queries + self.heads.keys) * self.heads.width;
                for (head, columns) in row[..turned].chunks_exact_mut(self.heads.width).enumerate() {
                    let norm = if head < self.heads.queries {
                        &attention.query_norm
                    } else {
                        &attention.key_norm
                    };
                    if let Some(norm) = norm {
                        kernels::rms_norm(machine, columns, norm);
                    }
                    if let Some(rotary) = rotary {
                        let (cosines, sines) = rotary.at(position);
                        kernels::rotate(machine, columns, cosines, sines);
                    }
                }
            }
        }
    }
}

/// `values` themselves, or normed in `buffer`.
fn normed<'a>(
    norm: Option<&Normaliser>,
    machine: Machine,
    values: &'a [f32],
    buffer: &'a mut Vec<f32>,
) -> &'a [f32] {
    let Some(norm) = norm else { return values };
    let copy = room(buffer, values.len());
    copy.copy_from_slice(values);
    norm.apply(machine, copy);
    copy
}

impl Block {
    /// Adds what attention gathered, through its last layer, to rows.
    fn take_attention(&self, machine: Machine, scratch: &mut Scratch, gathered: &[f32], band: &mut [f32]) {
        let output = &self.attention.output;
        match &self.norms.after_attention {
            None => output.apply(machine, gathered, band, true, &mut scratch.codes),
            Some(norm) => {
                let said = room(&mut scratch.said, band.len());
                output.apply(machine, gathered, said, false, &mut scratch.codes);
                norm.apply(machine, said);
                kernels::add(machine, band, said);
            }
        }
        if let Some(norm) = &self.norms.attention_sum {
            norm.apply(machine, band);
        }
    }

    fn inner(&self, machine: Machine, scratch: &mut Scratch, band: &mut [f32], width: usize) {
        let rows = band.len() / width.max(1);
        let read = normed(self.norms.before_mlp.as_ref(), machine, band, &mut scratch.normed);
        let inner = room(&mut scratch.inner, rows * self.mlp.up.outputs());
        self.mlp.up.apply(machine, read, inner, false, &mut scratch.codes);
        let inner = self.mlp.activate(machine, inner);
        let down = &self.mlp.down;
        match &self.norms.after_mlp {
            None => down.apply(machine, inner, band, true, &mut scratch.codes),
            Some(norm) => {
                let said = room(&mut scratch.said, band.len());
                down.apply(machine, inner, said, false, &mut scratch.codes);
                norm.apply(machine, said);
                kernels::add(machine, band, said);
            }
        }
        if let Some(norm) = &self.norms.mlp_sum {
            norm.apply(machine, band);
        }
    }
}

impl Mlp {
    /// Activates rows in place; gated ones become half as wide and move together.
    fn activate<'a>(&self, machine: Machine, inner: &'a mut [f32]) -> &'a [f32] {
        if !self.gated {
            self.activation.apply(machine, inner);
            return inner;
        }
        let wide = self.up.outputs();
        let half = wide / 2;
        let rows = inner.len() / wide.max(1);
        for row in 0..rows {
            let (gate, value) = inner[row * wide..(row + 1) * wide].split_at_mut(half);
            self.activation.apply(machine, gate);
            for (gate, value) in gate.iter_mut().zip(value) {
                *gate *= *value;
            }
            inner.copy_within(row * wide..row * wide + half, row * half);
        }
        &inner[..rows * half]
    }
}
