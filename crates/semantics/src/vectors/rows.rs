//! Vectors in bytes, one behind the other, in blocks: growing copies nothing that is there.

use crate::kernels::{self, Machine};

/// Vectors of a block.
const BLOCK: usize = 1_024;

/// A vector in bytes, and what its codes are multiplied with to have length 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coded {
    pub codes: Vec<i8>,
    pub scale: f32,
}

impl Coded {
    /// None if it has no direction: all zeros, or not finite.
    pub(super) fn of(machine: Machine, vector: &[f32]) -> Option<Self> {
        let mut codes = vec![0; vector.len()];
        let scale = kernels::quantise_symmetric(machine, vector, &mut codes);
        let squares = kernels::dot_int8(machine, &codes, &codes);
        if scale == 0.0 || squares <= 0 || !vector.iter().all(|value| value.is_finite()) {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "a length needs seven digits")]
        let length = (squares as f32).sqrt();
        Some(Self {
            codes,
            scale: 1.0 / length,
        })
    }
}

/// Rows by their place.
#[derive(Debug)]
pub(super) struct Rows {
    width: usize,
    machine: Machine,
    blocks: Vec<Vec<i8>>,
    scales: Vec<f32>,
}

impl Rows {
    pub(super) fn new(width: usize, machine: Machine) -> Self {
        Self {
            width: width.max(1),
            machine,
            blocks: Vec::new(),
            scales: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.scales.len()
    }

    pub(super) fn scale(&self, place: usize) -> f32 {
        self.scales[place]
    }

    pub(super) fn codes(&self, place: usize) -> &[i8] {
        &self.blocks[place / BLOCK][place % BLOCK * self.width..][..self.width]
    }

    pub(super) fn row(&self, place: usize) -> Coded {
        Coded {
            codes: self.codes(place).to_vec(),
            scale: self.scales[place],
        }
    }

    pub(super) fn push(&mut self, row: &Coded) {
        if self.scales.len().is_multiple_of(BLOCK) {
            self.blocks.push(Vec::new());
        }
        if let Some(block) = self.blocks.last_mut() {
            block.extend_from_slice(&row.codes);
        }
        self.scales.push(row.scale);
    }

    pub(super) fn set(&mut self, place: usize, row: &Coded) {
        self.blocks[place / BLOCK][place % BLOCK * self.width..][..self.width].copy_from_slice(&row.codes);
        self.scales[place] = row.scale;
    }

    /// Takes a row out; the last one moves to where it was.
    pub(super) fn swap_remove(&mut self, place: usize) {
        let last = self.len() - 1;
        if place != last {
            let moved = self.row(last);
            self.set(place, &moved);
        }
        self.scales.pop();
        if let Some(block) = self.blocks.last_mut() {
            block.truncate(block.len() - self.width);
            if block.is_empty() {
                self.blocks.pop();
            }
        }
    }

    /// The cosine of a row with a vector.
    #[allow(clippy::cast_precision_loss, reason = "a cosine needs seven digits")]
    pub(super) fn cosine(&self, place: usize, codes: &[i8], scale: f32) -> f32 {
        kernels::dot_int8(self.machine, codes, self.codes(place)) as f32 * scale * self.scales[place]
    }

    /// Hands the cosine of every row on, in order.
    #[allow(clippy::cast_precision_loss, reason = "a cosine needs seven digits")]
    pub(super) fn scan(&self, vector: &Coded, mut each: impl FnMut(usize, f32)) {
        let rows = self
            .blocks
            .iter()
            .flat_map(|block| block.chunks_exact(self.width));
        for (place, (row, own)) in rows.zip(&self.scales).enumerate() {
            each(
                place,
                kernels::dot_int8(self.machine, &vector.codes, row) as f32 * vector.scale * own,
            );
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.iter().map(Vec::capacity).sum::<usize>() + self.scales.capacity() * 4
    }
}
