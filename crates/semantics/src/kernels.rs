//! The numeric kernels: products of matrices and what is done to a row, in the widest instructions this machine has.
//!
//! Int8 products are sums of integers and come out the same, bit for bit, on every machine. Float kernels keep sixteen
//! running sums whatever the width of a register; machines differ only in whether a multiplication and an addition round
//! once or twice.
//!
//! This file and its folder are the only place with `unsafe`: instructions that not every processor has, and loads and
//! stores whose bounds are checked once for a whole matrix.

#![allow(
    unsafe_code,
    reason = "instruction sets chosen at run time; every block says why it is sound"
)]

mod attend;
mod rows;
mod sums;
mod tiles;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use attend::{HeadRows, KeyMeasures, Scores, gather, pack_keys, pack_queries, pack_values, weigh};
pub use rows::{
    Norm, add, dot, dot_int8, gelu, gelu_tanh, layer_norm, quantise, quantise_symmetric, relu, rms_norm,
    rotate, silu, softmax, tanh,
};
pub use sums::{Panels, Rows, room_for_sums, sums};
pub use tiles::{
    Codes, DEPTH, FLOAT_PANEL, INT8_PANEL, Int8Weights, Output, Strided, float_panel, int8_product,
};

/// The instruction sets that a kernel may use. Made only by looking at the processor, so that having one proves that its
/// instructions are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Machine {
    /// The best that this processor and its operating system offer.
    #[must_use]
    pub fn detect() -> Self {
        static BEST: std::sync::OnceLock<Machine> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::available().into_iter().max().unwrap_or(Self::portable()))
    }

    /// No instruction beyond what every processor of this architecture has.
    #[must_use]
    pub const fn portable() -> Self {
        Self(Level::Portable)
    }

    /// Every set that works here, the simplest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg_attr(
            not(target_arch = "x86_64"),
            allow(unused_mut, reason = "only x86-64 has more to add")
        )]
        let mut found = vec![Self::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            if x86::has_avx2() {
                found.push(Self(Level::Avx2));
            }
            if x86::has_avx512() {
                found.push(Self(Level::Avx512Vnni));
                if x86::has_amx() {
                    found.push(Self(Level::Amx));
                }
            }
        }
        found
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Level::Amx => "amx-int8",
        }
    }
}

/// Compiles a function's body once for each width of registers and calls the one for the machine at hand.
///
/// The body is a generic function over `FUSED`: whether a multiplication and an addition are one instruction.
macro_rules! by_machine {
    ($(#[$about:meta])* pub fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $gives:ty)? = $body:ident;) => {
        $(#[$about])*
        pub fn $name(machine: $crate::kernels::Machine, $($arg: $kind),*) $(-> $gives)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn wide($($arg: $kind),*) $(-> $gives)? {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn narrow($($arg: $kind),*) $(-> $gives)? {
                    $body::<true>($($arg),*)
                }
                match machine.0 {
                    // SAFETY: a machine of these levels is made only where detection found these features.
                    $crate::kernels::Level::Amx | $crate::kernels::Level::Avx512Vnni => return unsafe { wide($($arg),*) },
                    // SAFETY: as above, for AVX2 and FMA.
                    $crate::kernels::Level::Avx2 => return unsafe { narrow($($arg),*) },
                    $crate::kernels::Level::Portable => {}
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = machine;
            $body::<false>($($arg),*)
        }
    };
}
use by_machine;
