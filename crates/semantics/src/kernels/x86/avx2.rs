//! AVX2: bytes are widened to 16 bits before they are multiplied, so that no sum saturates and results are those of every
//! other machine.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_set1_epi32, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16,
    _mm256_cvtepu8_epi16, _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maskload_ps,
    _mm256_maskstore_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::super::sums::{Panels, Rows};
use super::super::tiles::{Codes, INT8_PANEL, Int8Weights, Output, Strided};
use super::super::{Level, Machine};

/// `codes · weights` as [`super::super::int8_product`] wants it.
pub fn product(machine: Machine, codes: &Codes, weights: &Int8Weights, output: &mut Output<'_>) {
    assert!(machine.0 >= Level::Avx2, "detected");
    // SAFETY: a machine of this level is made only where detection found these features.
    unsafe {
        all_panels(codes.sides(), weights.sides(), |row, panel, sums| {
            weights.finish(panel).put::<true>(sums, codes, row, output);
        });
    }
}

/// As [`super::super::sums`] wants it, which has checked the sides.
pub fn sums(machine: Machine, rows: Rows<'_>, panels: Panels<'_>, output: &mut [i32]) {
    assert!(machine.0 >= Level::Avx2, "detected");
    let wide = panels.count * INT8_PANEL;
    // SAFETY: as above.
    unsafe {
        all_panels(rows, panels, |row, panel, sums| {
            output[row * wide + panel * INT8_PANEL..][..INT8_PANEL].copy_from_slice(sums);
        });
    }
}

#[target_feature(enable = "avx2,fma")]
fn all_panels(rows: Rows<'_>, panels: Panels<'_>, mut put: impl FnMut(usize, usize, &[i32; INT8_PANEL])) {
    for panel in 0..panels.count {
        let mut row = 0;
        while row + 2 <= rows.count {
            for (index, sums) in tile::<2>(rows, row, panels, panel).iter().enumerate() {
                put(row + index, panel, sums);
            }
            row += 2;
        }
        if row < rows.count {
            put(row, panel, &tile::<1>(rows, row, panels, panel)[0]);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile<const ROWS: usize>(
    rows: Rows<'_>,
    row: usize,
    panels: Panels<'_>,
    panel: usize,
) -> [[i32; INT8_PANEL]; ROWS] {
    let (depth, used) = (rows.depth, rows.used);
    let inputs = &rows.bytes[row * depth..(row + ROWS) * depth];
    let channels = panels.of(panel, 1);
    assert!(
        channels.len() == INT8_PANEL * depth && depth.is_multiple_of(4) && used <= depth,
        "a whole panel"
    );
    // Each sum has four channels, with two halves of their sums beside each other.
    let mut sums = [[_mm256_setzero_si256(); 4]; ROWS];
    for step in 0..used / 4 {
        let mut wide = [_mm256_setzero_si256(); 4];
        for (quarter, wide) in wide.iter_mut().enumerate() {
            // SAFETY: the panel has 16·depth bytes; this quarter's 16 begin at step·64 + quarter·16, step < depth / 4.
            let bytes = unsafe { _mm_loadu_si128(channels.as_ptr().add(step * 64 + quarter * 16).cast()) };
            *wide = _mm256_cvtepi8_epi16(bytes);
        }
        for (index, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `inputs` has ROWS·depth bytes and step·4 + 4 <= depth.
            let input = unsafe {
                inputs
                    .as_ptr()
                    .add(index * depth + step * 4)
                    .cast::<i32>()
                    .read_unaligned()
            };
            let input = _mm256_cvtepu8_epi16(_mm_set1_epi32(input));
            for (sum, wide) in sum.iter_mut().zip(wide) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(wide, input));
            }
        }
    }
    let mut plain = [[0_i32; INT8_PANEL]; ROWS];
    for (sum, plain) in sums.iter().zip(&mut plain) {
        let mut halves = [0_i32; INT8_PANEL * 2];
        let (quarters, _) = halves.as_chunks_mut::<8>();
        for (sum, to) in sum.iter().zip(quarters) {
            store(*sum, to);
        }
        for (whole, pair) in plain.iter_mut().zip(halves.as_chunks::<2>().0) {
            *whole = pair[0].wrapping_add(pair[1]);
        }
    }
    plain
}

#[target_feature(enable = "avx2")]
fn store(value: __m256i, to: &mut [i32; 8]) {
    // SAFETY: the array has the 32 bytes of a register.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) };
}

/// A panel of floats as [`super::super::float_panel`] wants it; the bounds were checked there.
pub fn float_panel(
    machine: Machine,
    (rows, depth, width): (usize, usize, usize),
    left: Strided<'_>,
    right: Strided<'_>,
    output: &mut Output<'_>,
) {
    assert!(machine.0 >= Level::Avx2, "detected");
    for column in (0..width).step_by(16) {
        let here = (width - column).min(16);
        let mut row = 0;
        while row < rows {
            let count = (rows - row).min(4);
            let from = &left.values[row * left.stride..];
            let to = &mut output.values[row * output.stride + column..];
            let sides = (
                from.as_ptr(),
                left.stride,
                right.values[column..].as_ptr(),
                right.stride,
            );
            let target = (to.as_mut_ptr(), output.stride, output.add);
            // SAFETY: the features were detected, and `tiles::float_panel` has asserted that `rows` rows of `left` and
            // `output` and `depth` rows of `right` lie within their slices.
            unsafe {
                match count {
                    4 => float_tile::<4>(depth, here, sides, target),
                    3 => float_tile::<3>(depth, here, sides, target),
                    2 => float_tile::<2>(depth, here, sides, target),
                    _ => float_tile::<1>(depth, here, sides, target),
                }
            }
            row += count;
        }
    }
}

/// ROWS rows by up to 16 columns.
///
/// # Safety
///
/// `sides` and `target` hold ROWS rows of `depth` and `width` columns, and `depth` rows of `width`, at their strides.
#[target_feature(enable = "avx2,fma")]
unsafe fn float_tile<const ROWS: usize>(
    depth: usize,
    width: usize,
    (left, left_stride, right, right_stride): (*const f32, usize, *const f32, usize),
    (output, stride, add): (*mut f32, usize, bool),
) {
    let masks = [mask(width.min(8)), mask(width.saturating_sub(8))];
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    for step in 0..depth {
        // SAFETY: row `step` of the right side is within it, and the masks keep to its columns.
        let halves = unsafe {
            let line = right.add(step * right_stride);
            [
                _mm256_maskload_ps(line, masks[0]),
                _mm256_maskload_ps(line.wrapping_add(8), masks[1]),
            ]
        };
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `step` is a column of the left side.
            let factor = _mm256_set1_ps(unsafe { *left.add(row * left_stride + step) });
            sum[0] = _mm256_fmadd_ps(factor, halves[0], sum[0]);
            sum[1] = _mm256_fmadd_ps(factor, halves[1], sum[1]);
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        for (half, columns) in masks.into_iter().enumerate() {
            let to = output.wrapping_add(row * stride + half * 8);
            // SAFETY: the masks keep to the columns of the output.
            unsafe {
                let value = if add {
                    _mm256_add_ps(sum[half], _mm256_maskload_ps(to, columns))
                } else {
                    sum[half]
                };
                _mm256_maskstore_ps(to, columns, value);
            }
        }
    }
}

/// The first `count` of eight lanes.
#[target_feature(enable = "avx2")]
fn mask(count: usize) -> __m256i {
    let mut lanes = [0_i32; 8];
    lanes[..count.min(8)].fill(-1);
    // SAFETY: the array has the 32 bytes of a register.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}
