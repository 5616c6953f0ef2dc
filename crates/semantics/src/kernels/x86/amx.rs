//! AMX: tiles of 16 rows by 64 bytes, multiplied 16 by 16 by 64 at a time. The compiler has no names for these
//! instructions yet, so they are written out.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _MM_HINT_T1, _mm_prefetch, _xgetbv};
use std::sync::OnceLock;

use super::super::tiles::{Codes, INT8_PANEL, Int8Weights, Output};
use super::super::{Level, Machine};

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
    assert!(machine.0 >= Level::Amx, "detected");
    // SAFETY: a machine of this level is made only where the tiles may be used; the shapes are a valid 64-byte description.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, preserves_flags)) };
    // SAFETY: as above, and every machine with tiles has AVX-512.
    unsafe { blocks(codes, weights, output) };
    // SAFETY: as above. Gives the registers back, so that switching threads need not save them.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn blocks(codes: &Codes, weights: &Int8Weights, output: &mut Output<'_>) {
    let mut sums = [[0_i32; SIDE]; SIDE];
    let tall = codes.rows().div_ceil(INT8_PANEL);
    for panel in (0..weights.panels()).step_by(2) {
        let wide = (weights.panels() - panel).min(2);
        let finish = [weights.finish(panel), weights.finish(panel + wide - 1)];
        for band in (0..tall).step_by(2) {
            let high = (tall - band).min(2);
            fetch_ahead(weights, (panel + wide, wide), (band / 2, tall.div_ceil(2)));
            multiply((band, high), (panel, wide), codes, weights, &mut sums);
            let first = band * INT8_PANEL;
            let last = (first + high * INT8_PANEL).min(codes.rows());
            for (offset, finish) in finish.iter().enumerate().take(wide) {
                for (row, line) in (first..last).zip(&sums) {
                    finish.put::<true>(&line.as_chunks().0[offset], codes, row, output);
                }
            }
        }
    }
}

/// Asks for a share of the next panels while this band is worked on: weights come from far, and tiles wait for them.
fn fetch_ahead(weights: &Int8Weights, (panel, count): (usize, usize), (share, shares): (usize, usize)) {
    const LINE: usize = 64;
    let count = count.min(weights.panels().saturating_sub(panel));
    // With one band there is no work to fetch behind.
    if count == 0 || shares < 2 {
        return;
    }
    let next = weights.panel_bytes(panel, count);
    let size = (next.len() / LINE).div_ceil(shares) * LINE;
    for line in next.chunks(size).nth(share).unwrap_or_default().chunks(LINE) {
        // SAFETY: fetching ahead reads nothing that a program could see; the line is within the weights.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr()) };
    }
}

/// Sums of up to two bands of sixteen rows with up to two panels. Where there is only one, it is taken twice.
fn multiply(
    (band, high): (usize, usize),
    (panel, wide): (usize, usize),
    codes: &Codes,
    weights: &Int8Weights,
    sums: &mut [[i32; SIDE]; SIDE],
) {
    let depth = codes.depth();
    let rows = &codes.padded_bytes()[band * INT8_PANEL * depth..][..high * INT8_PANEL * depth];
    let channels = weights.panel_bytes(panel, wide);
    assert!(
        depth >= 64 && depth.is_multiple_of(64) && channels.len() == wide * INT8_PANEL * depth,
        "whole tiles"
    );
    let second_rows = rows[(high - 1) * INT8_PANEL * depth..].as_ptr();
    let second_channels = channels[(wide - 1) * INT8_PANEL * depth..].as_ptr();
    let target = sums.as_mut_ptr();
    // SAFETY: tiles are configured by `product`. Each of depth / 64 steps reads 16 rows of 64 bytes at stride `depth` from
    // each band (16·depth bytes) and 1024 bytes of each panel (16·depth bytes). Stores go to four quarters of `sums`, rows
    // of 128 bytes.
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
            "add {line}, 64",
            "tilestored [{c} + {line}], tmm0",
            "tilestored [{c} + {line} + 64], tmm1",
            "tilestored [{c} + {line} + 2048], tmm2",
            "tilestored [{c} + {line} + 2112], tmm3",
            a0 = inout(reg) rows.as_ptr() => _,
            a1 = inout(reg) second_rows => _,
            b0 = inout(reg) channels.as_ptr() => _,
            b1 = inout(reg) second_channels => _,
            steps = inout(reg) depth / 64 => _,
            line = inout(reg) 64_usize => _,
            lda = in(reg) depth,
            c = in(reg) target,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
