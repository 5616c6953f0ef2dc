//! Kernels for x86-64: what the processor has, and one file for each instruction set.

pub mod amx;
pub mod avx2;
pub mod avx512;

pub fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

pub fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

/// The matrix tiles with bytes, if the operating system lends their registers to this process.
pub fn has_amx() -> bool {
    amx::permitted()
}
