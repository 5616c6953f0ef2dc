//! Sums of products of bytes, of which layers and attention are made. Each has one right value, which every machine gives.

use super::Machine;
use super::tiles::{DEPTH, INT8_PANEL, ROWS};
#[cfg(target_arch = "x86_64")]
use super::{Level, x86};

/// Rows of unsigned bytes, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The bytes, of as many rows as the next multiple of sixteen.
    pub bytes: &'a [u8],
    /// How many rows count.
    pub count: usize,
    /// From one row to the next, a multiple of [`DEPTH`].
    pub depth: usize,
    /// How many bytes of a row count, a multiple of four. The others meet zeros on the other side.
    pub used: usize,
}

/// Panels of sixteen channels of signed bytes, as [`super::Int8Weights`] has them.
#[derive(Debug, Clone, Copy)]
pub struct Panels<'a> {
    /// The bytes, panel behind panel.
    pub bytes: &'a [i8],
    /// How many panels there are.
    pub count: usize,
    /// Bytes of a channel, a multiple of [`DEPTH`].
    pub depth: usize,
}

impl<'a> Panels<'a> {
    /// The bytes of `count` panels from the `first`.
    pub(super) fn of(self, first: usize, count: usize) -> &'a [i8] {
        &self.bytes[first * INT8_PANEL * self.depth..][..count * INT8_PANEL * self.depth]
    }
}

/// Rows of whole panels of sums that a product of so many rows and panels needs.
#[must_use]
pub fn room_for_sums(rows: usize, panels: usize) -> usize {
    rows.next_multiple_of(ROWS) * panels * INT8_PANEL
}

/// Each row with each channel, into rows of `16 · panels.count` sums. What stands in the rows up to the next multiple of
/// sixteen is of no meaning.
///
/// Does nothing if the sides do not fit together.
pub fn sums(machine: Machine, rows: Rows<'_>, panels: Panels<'_>, output: &mut [i32]) {
    let fits = rows.depth == panels.depth
        && rows.depth.is_multiple_of(DEPTH)
        && rows.used.is_multiple_of(4)
        && rows.used <= rows.depth
        && rows.bytes.len() >= rows.count.next_multiple_of(ROWS) * rows.depth
        && panels.bytes.len() >= panels.count * INT8_PANEL * panels.depth
        && output.len() >= room_for_sums(rows.count, panels.count);
    if !fits {
        debug_assert!(false, "sides of a product differ");
        return;
    }
    if rows.count == 0 || panels.count == 0 || rows.depth == 0 {
        output.fill(0);
        return;
    }
    match machine.0 {
        #[cfg(target_arch = "x86_64")]
        Level::Amx => x86::amx::sums(machine, rows, panels, output),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => x86::avx512::sums(machine, rows, panels, output),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86::avx2::sums(machine, rows, panels, output),
        Level::Portable => {
            let wide = panels.count * INT8_PANEL;
            for row in 0..rows.count {
                for panel in 0..panels.count {
                    output[row * wide + panel * INT8_PANEL..][..INT8_PANEL]
                        .copy_from_slice(&portable_row(rows, row, panels, panel));
                }
            }
        }
    }
}

/// One row with one panel.
pub(super) fn portable_row(
    rows: Rows<'_>,
    row: usize,
    panels: Panels<'_>,
    panel: usize,
) -> [i32; INT8_PANEL] {
    let (groups, _) = panels.of(panel, 1).as_chunks::<{ INT8_PANEL * 4 }>();
    let (inputs, _) = rows.bytes[row * rows.depth..][..rows.used].as_chunks::<4>();
    let mut sums = [0_i32; INT8_PANEL];
    for (group, input) in groups.iter().zip(inputs) {
        let (channels, _) = group.as_chunks::<4>();
        for (sum, channel) in sums.iter_mut().zip(channels) {
            for (weight, code) in channel.iter().zip(input) {
                *sum += i32::from(*weight) * i32::from(*code);
            }
        }
    }
    sums
}
