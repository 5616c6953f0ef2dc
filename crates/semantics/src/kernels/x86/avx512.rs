//! AVX-512 with VNNI: six rows by four panels of bytes, eight rows by one panel of floats.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps,
    _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_storeu_si512, _mm512_sub_epi32,
};
use std::ops::Range;

use super::super::sums::{Panels, Rows};
use super::super::tiles::{Codes, Finish, INT8_PANEL, Int8Weights, Output, Strided};
use super::super::{Level, Machine};

/// `codes · weights` as [`super::super::int8_product`] wants it.
pub fn product(machine: Machine, codes: &Codes, weights: &Int8Weights, output: &mut Output<'_>) {
    assert!(machine.0 >= Level::Avx512Vnni, "detected");
    // SAFETY: a machine of this level is made only where detection found these features.
    unsafe { all_panels(codes.sides(), weights.sides(), &mut Layer(codes, weights, output)) }
}

/// As [`super::super::sums`] wants it, which has checked the sides.
pub fn sums(machine: Machine, rows: Rows<'_>, panels: Panels<'_>, output: &mut [i32]) {
    assert!(machine.0 >= Level::Avx512Vnni, "detected");
    // SAFETY: as above.
    unsafe { all_panels(rows, panels, &mut Plain(output, panels.count * INT8_PANEL)) }
}

/// Where sums go: of `sums`, those of `row` and the rows behind it with one panel.
trait Target {
    /// # Safety
    ///
    /// The processor has AVX-512.
    unsafe fn put<const ROWS: usize>(&mut self, sums: [__m512i; ROWS], row: usize, panel: usize);
}

/// Scaled back, into a layer's output.
struct Layer<'a, 'b>(&'a Codes, &'a Int8Weights, &'a mut Output<'b>);

/// As they are, into rows of so many sums.
struct Plain<'a>(&'a mut [i32], usize);

impl Target for Layer<'_, '_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    unsafe fn put<const ROWS: usize>(&mut self, sums: [__m512i; ROWS], row: usize, panel: usize) {
        put_rows(self.1.finish(panel), self.0, row, sums, self.2);
    }
}

impl Target for Plain<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    unsafe fn put<const ROWS: usize>(&mut self, sums: [__m512i; ROWS], row: usize, panel: usize) {
        for (index, sum) in sums.into_iter().enumerate() {
            let to = &mut self.0[(row + index) * self.1 + panel * INT8_PANEL..][..INT8_PANEL];
            // SAFETY: the sixteen places that were just cut out.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sum) };
        }
    }
}

/// What one panel's sums are scaled back with, in registers.
#[derive(Clone, Copy)]
struct Back {
    sums: __m512i,
    scales: __m512,
    bias: __m512,
    lanes: u16,
}

impl Back {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(finish: Finish<'_>) -> Self {
        // SAFETY: each is an array of sixteen.
        unsafe {
            Self {
                sums: _mm512_loadu_si512(finish.sums.as_ptr().cast()),
                scales: _mm512_loadu_ps(finish.scales.as_ptr()),
                bias: _mm512_loadu_ps(finish.bias.as_ptr()),
                lanes: mask(finish.width),
            }
        }
    }

    /// Scales the sums of one row back and puts them to `to`.
    ///
    /// # Safety
    ///
    /// As many places as there are lanes can be written there.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn put<const ADD: bool>(self, sums: __m512i, scale: f32, zero: i32, to: *mut f32) {
        let exact = _mm512_sub_epi32(sums, _mm512_mullo_epi32(_mm512_set1_epi32(zero), self.sums));
        let factor = _mm512_mul_ps(_mm512_set1_ps(scale), self.scales);
        let value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), factor, self.bias);
        // SAFETY: the mask keeps to the lanes that the caller speaks of.
        unsafe {
            let value = if ADD {
                _mm512_add_ps(_mm512_maskz_loadu_ps(self.lanes, to), value)
            } else {
                value
            };
            _mm512_mask_storeu_ps(to, self.lanes, value);
        }
    }
}

/// Scales sums of rows from `row` on with one panel back, and puts them where they belong.
#[inline]
#[target_feature(enable = "avx512f")]
fn put_rows<const ROWS: usize>(
    finish: Finish<'_>,
    codes: &Codes,
    row: usize,
    sums: [__m512i; ROWS],
    output: &mut Output<'_>,
) {
    let (scales, zeros) = codes.measures();
    let (scales, zeros) = (&scales[row..row + ROWS], &zeros[row..row + ROWS]);
    let (stride, add) = (output.stride, output.add);
    let to = &mut output.values[row * stride + finish.first..][..(ROWS - 1) * stride + finish.width];
    let to = to.as_mut_ptr();
    let back = Back::new(finish);
    for (index, sum) in sums.into_iter().enumerate() {
        // SAFETY: of each row, the panel's columns were cut out.
        unsafe {
            let to = to.add(index * stride);
            if add {
                back.put::<true>(sum, scales[index], zeros[index], to);
            } else {
                back.put::<false>(sum, scales[index], zeros[index], to);
            }
        }
    }
}

/// Scales one panel's sums of some rows back, from lines that stand apart, and puts them where they belong.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn finish(
    panel: Finish<'_>,
    codes: &Codes,
    rows: Range<usize>,
    sums: (&[i32], usize),
    output: &mut Output<'_>,
) {
    if output.add {
        finish_all::<true>(panel, codes, rows, sums, output);
    } else {
        finish_all::<false>(panel, codes, rows, sums, output);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn finish_all<const ADD: bool>(
    panel: Finish<'_>,
    codes: &Codes,
    rows: Range<usize>,
    (sums, line): (&[i32], usize),
    output: &mut Output<'_>,
) {
    let (scales, zeros) = codes.measures();
    let (scales, zeros) = (&scales[rows.clone()], &zeros[rows.clone()]);
    let Some(below) = rows.len().checked_sub(1) else {
        return;
    };
    let sums = &sums[..below * line + INT8_PANEL];
    let stride = output.stride;
    let to = &mut output.values[rows.start * stride + panel.first..][..below * stride + panel.width];
    let (from, to) = (sums.as_ptr(), to.as_mut_ptr());
    let back = Back::new(panel);
    for (index, (scale, zero)) in scales.iter().zip(zeros).enumerate() {
        // SAFETY: `index` is at most `below`: of its line, sixteen sums, and of its row, the panel's columns were cut out.
        unsafe {
            let sums = _mm512_loadu_si512(from.add(index * line).cast());
            back.put::<ADD>(sums, *scale, *zero, to.add(index * stride));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn all_panels(rows: Rows<'_>, panels: Panels<'_>, target: &mut impl Target) {
    let mut panel = 0;
    while panel + 4 <= panels.count {
        some_panels::<4>(rows, panels, panel, target);
        panel += 4;
    }
    if panel + 2 <= panels.count {
        some_panels::<2>(rows, panels, panel, target);
        panel += 2;
    }
    if panel < panels.count {
        some_panels::<1>(rows, panels, panel, target);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn some_panels<const PANELS: usize>(
    rows: Rows<'_>,
    panels: Panels<'_>,
    panel: usize,
    target: &mut impl Target,
) {
    let mut row = 0;
    while row + 6 <= rows.count {
        tile::<6, PANELS>(rows, row, panels, panel, target);
        row += 6;
    }
    match rows.count - row {
        5 => tile::<5, PANELS>(rows, row, panels, panel, target),
        4 => tile::<4, PANELS>(rows, row, panels, panel, target),
        3 => tile::<3, PANELS>(rows, row, panels, panel, target),
        2 => tile::<2, PANELS>(rows, row, panels, panel, target),
        1 => tile::<1, PANELS>(rows, row, panels, panel, target),
        _ => {}
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn tile<const ROWS: usize, const PANELS: usize>(
    rows: Rows<'_>,
    row: usize,
    panels: Panels<'_>,
    panel: usize,
    target: &mut impl Target,
) {
    let (depth, used) = (rows.depth, rows.used);
    let inputs = &rows.bytes[row * depth..(row + ROWS) * depth];
    let channels = panels.of(panel, PANELS);
    assert!(
        channels.len() == PANELS * INT8_PANEL * depth && depth.is_multiple_of(4) && used <= depth,
        "whole panels"
    );
    let mut sums = [[_mm512_setzero_si512(); ROWS]; PANELS];
    for step in 0..used / 4 {
        let mut columns = [_mm512_setzero_si512(); PANELS];
        for (index, column) in columns.iter_mut().enumerate() {
            // SAFETY: panel `index` has 16·depth bytes from index·16·depth on; this step's 64 begin at step·64, and
            // step < depth / 4.
            *column = unsafe { load(channels.as_ptr().add(index * INT8_PANEL * depth + step * 64)) };
        }
        for index in 0..ROWS {
            // SAFETY: `inputs` has ROWS·depth bytes and step·4 + 4 <= depth.
            let input = unsafe {
                inputs
                    .as_ptr()
                    .add(index * depth + step * 4)
                    .cast::<i32>()
                    .read_unaligned()
            };
            let input = _mm512_set1_epi32(input);
            for (sum, column) in sums.iter_mut().zip(columns) {
                sum[index] = _mm512_dpbusd_epi32(sum[index], input, column);
            }
        }
    }
    for (offset, sums) in sums.into_iter().enumerate() {
        // SAFETY: this function runs only where AVX-512 is.
        unsafe { target.put(sums, row, panel + offset) };
    }
}

/// Sixty-four bytes.
///
/// # Safety
///
/// All of them can be read.
#[target_feature(enable = "avx512f")]
unsafe fn load(from: *const i8) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// A panel of floats as [`super::super::float_panel`] wants it; the bounds were checked there.
pub fn float_panel(
    machine: Machine,
    (rows, depth, width): (usize, usize, usize),
    left: Strided<'_>,
    right: Strided<'_>,
    output: &mut Output<'_>,
) {
    assert!(machine.0 >= Level::Avx512Vnni, "detected");
    let mut row = 0;
    while row < rows {
        let count = (rows - row).min(8);
        let from = &left.values[row * left.stride..];
        let to = &mut output.values[row * output.stride..];
        let sides = (from.as_ptr(), left.stride, right.values.as_ptr(), right.stride);
        let target = (to.as_mut_ptr(), output.stride, output.add);
        // SAFETY: the features were detected, and `tiles::float_panel` has asserted that `rows` rows of `left` and
        // `output` and `depth` rows of `right` lie within their slices.
        unsafe {
            match count {
                8 => float_tile::<8>(depth, width, sides, target),
                7 => float_tile::<7>(depth, width, sides, target),
                6 => float_tile::<6>(depth, width, sides, target),
                5 => float_tile::<5>(depth, width, sides, target),
                4 => float_tile::<4>(depth, width, sides, target),
                3 => float_tile::<3>(depth, width, sides, target),
                2 => float_tile::<2>(depth, width, sides, target),
                _ => float_tile::<1>(depth, width, sides, target),
            }
        }
        row += count;
    }
}

/// ROWS rows by up to 32 columns.
///
/// # Safety
///
/// `sides` and `target` hold ROWS rows of `depth` and `width` columns, and `depth` rows of `width`, at their strides.
#[target_feature(enable = "avx512f")]
unsafe fn float_tile<const ROWS: usize>(
    depth: usize,
    width: usize,
    (left, left_stride, right, right_stride): (*const f32, usize, *const f32, usize),
    (output, stride, add): (*mut f32, usize, bool),
) {
    let low_mask = mask(width.min(16));
    let high_mask = mask(width.saturating_sub(16));
    let mut sums: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
    for step in 0..depth {
        // SAFETY: row `step` of the right side is within it, and the masks keep to its columns.
        let (low, high) = unsafe {
            let line = right.add(step * right_stride);
            (
                _mm512_maskz_loadu_ps(low_mask, line),
                _mm512_maskz_loadu_ps(high_mask, line.wrapping_add(16)),
            )
        };
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `step` is a column of the left side.
            let factor = _mm512_set1_ps(unsafe { *left.add(row * left_stride + step) });
            sum[0] = _mm512_fmadd_ps(factor, low, sum[0]);
            sum[1] = _mm512_fmadd_ps(factor, high, sum[1]);
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        for (half, columns) in [low_mask, high_mask].into_iter().enumerate() {
            let to = output.wrapping_add(row * stride + half * 16);
            // SAFETY: the masks keep to the columns of the output.
            unsafe {
                let value = if add {
                    _mm512_add_ps(sum[half], _mm512_maskz_loadu_ps(columns, to))
                } else {
                    sum[half]
                };
                _mm512_mask_storeu_ps(to, columns, value);
            }
        }
    }
}

/// The first `count` of sixteen lanes.
fn mask(count: usize) -> u16 {
    if count >= 16 { u16::MAX } else { (1 << count) - 1 }
}
