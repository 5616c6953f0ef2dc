//! AMX: tiles of 16 rows by 64 bytes, multiplied 16 by 16 by 64 at a time. The compiler has no names for these
//! instructions yet, so they are written out.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::super::sums::{Panels, Rows};
use super::super::tiles::{Codes, INT8_PANEL, Int8Weights, Output};
use super::super::{Level, Machine};
use super::avx512::finish;

/// Whether the processor has the tiles and the operating system lets this process use them. Asked once: the answer holds for
/// every thread.
pub fn permitted() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| processor_has_tiles() && kernel_lends_tiles())
}

fn processor_has_tiles() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    let highest = __cpuid(0).eax;
    if highest < 7 || !is_x86_feature_detected!("xsave") || !super::has_avx512() {
        return false;
    }
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: `xsave` is there and switched on by the operating system, which is what the detection above checks.
    let enabled = unsafe { _xgetbv(0) };
    features & TILE_AND_INT8 == TILE_AND_INT8 && enabled & TILE_STATE == TILE_STATE
}

#[cfg(target_os = "linux")]
fn kernel_lends_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two integers, touches no memory of ours, and only widens what this process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn kernel_lends_tiles() -> bool {
    false
}

/// How the eight tiles are cut: all of them 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SHAPES: Shapes = Shapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Rows and channels of a block of two by two tiles.
const SIDE: usize = 2 * INT8_PANEL;

/// `codes · weights` as [`super::super::int8_product`] wants it.
pub fn product(machine: Machine, codes: &Codes, weights: &Int8Weights, output: &mut Output<'_>) {
    with_tiles(machine, || {
        // SAFETY: every machine with tiles has AVX-512.
        unsafe { layer(codes, weights, output) };
    });
}

/// As [`super::super::sums`] wants it, which has checked the sides.
pub fn sums(machine: Machine, rows: Rows<'_>, panels: Panels<'_>, output: &mut [i32]) {
    let wide = panels.count * INT8_PANEL;
    let tall = rows.count.div_ceil(INT8_PANEL);
    with_tiles(machine, || {
        for panel in (0..panels.count).step_by(2) {
            for band in (0..tall).step_by(2) {
                let place = (band, (tall - band).min(2), panel, (panels.count - panel).min(2));
                let to = &mut output[band * INT8_PANEL * wide + panel * INT8_PANEL..];
                multiply(place, rows, panels, to, wide);
            }
        }
    });
}

/// Does `work` while the tiles are cut as `SHAPES` tells.
fn with_tiles(machine: Machine, work: impl FnOnce()) {
    assert!(machine.0 >= Level::Amx, "detected");
    // SAFETY: a machine of this level is made only where the tiles may be used; the shapes are a valid 64-byte description.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, preserves_flags)) };
    work();
    // SAFETY: as above. Gives the registers back, so that switching threads need not save them.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn layer(codes: &Codes, weights: &Int8Weights, output: &mut Output<'_>) {
    let mut sums = [0_i32; SIDE * SIDE];
    let (rows, panels) = (codes.sides(), weights.sides());
    let tall = rows.count.div_ceil(INT8_PANEL);
    for panel in (0..panels.count).step_by(2) {
        let wide = (panels.count - panel).min(2);
        for band in (0..tall).step_by(2) {
            let high = (tall - band).min(2);
            multiply((band, high, panel, wide), rows, panels, &mut sums, SIDE);
            let first = band * INT8_PANEL;
            let last = (first + high * INT8_PANEL).min(rows.count);
            for offset in 0..wide {
                let lines = (&sums[offset * INT8_PANEL..], SIDE);
                finish(weights.finish(panel + offset), codes, first..last, lines, output);
            }
        }
    }
}

/// Sums of one or two bands of sixteen rows with one or two panels, into rows of `stride` sums. Where there is only one, it is
/// taken twice, and put to the same place twice.
fn multiply(
    (band, high, panel, wide): (usize, usize, usize, usize),
    rows: Rows<'_>,
    panels: Panels<'_>,
    to: &mut [i32],
    stride: usize,
) {
    let depth = rows.depth;
    let tile = INT8_PANEL * depth;
    let left = &rows.bytes[band * tile..][..high * tile];
    let right = panels.of(panel, wide);
    assert!(
        depth >= 64
            && depth.is_multiple_of(64)
            && depth == panels.depth
            && (1..=2).contains(&high)
            && (1..=2).contains(&wide)
            && to.len() >= (high * INT8_PANEL - 1) * stride + wide * INT8_PANEL,
        "whole tiles"
    );
    let below = (high - 1) * INT8_PANEL * stride;
    let beside = (wide - 1) * INT8_PANEL;
    let first = to.as_mut_ptr();
    // SAFETY: tiles are configured by `with_tiles`. Each of depth / 64 steps reads 16 rows of 64 bytes at stride `depth` from
    // each band (16·depth bytes) and 1024 bytes of each panel (16·depth bytes). Stores go to 16 rows of 16 sums at stride
    // `stride` from four places, the last of which ends where the assertion above looked.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a0} + {lda}]",
            "tileloadd tmm6, [{b0} + {line}]",
            "tileloadd tmm7, [{b1} + {line}]",
            "tdpbusd tmm0, tmm4, tmm6",
            "tdpbusd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a1} + {lda}]",
            "tdpbusd tmm2, tmm5, tmm6",
            "tdpbusd tmm3, tmm5, tmm7",
            "add {a0}, 64", "add {a1}, 64", "add {b0}, 1024", "add {b1}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c0} + {ldc}], tmm0",
            "tilestored [{c1} + {ldc}], tmm1",
            "tilestored [{c2} + {ldc}], tmm2",
            "tilestored [{c3} + {ldc}], tmm3",
            a0 = inout(reg) left.as_ptr() => _,
            a1 = inout(reg) left[(high - 1) * tile..].as_ptr() => _,
            b0 = inout(reg) right.as_ptr() => _,
            b1 = inout(reg) right[(wide - 1) * tile..].as_ptr() => _,
            steps = inout(reg) depth / 64 => _,
            line = in(reg) 64_usize,
            lda = in(reg) depth,
            c0 = in(reg) first,
            c1 = in(reg) first.wrapping_add(beside),
            c2 = in(reg) first.wrapping_add(below),
            c3 = in(reg) first.wrapping_add(below + beside),
            ldc = in(reg) stride * 4,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
