//! What is done to one row: norms, activations, softmax, rotation, quantisation. Written so that the compiler turns each
//! into the widest vectors of the machine it is compiled for.

use super::by_machine;

/// How many sums run beside each other.
pub(super) const LANES: usize = 16;

pub(super) type Lanes = [f32; LANES];

#[inline(always)]
fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The sum of sixteen lanes, always in the same order.
#[inline(always)]
fn total(lanes: Lanes) -> f32 {
    let mut eight = [0.0; 8];
    for (index, sum) in eight.iter_mut().enumerate() {
        *sum = lanes[index] + lanes[index + 8];
    }
    ((eight[0] + eight[4]) + (eight[2] + eight[6])) + ((eight[1] + eight[5]) + (eight[3] + eight[7]))
}

/// One of sixteen lanes, picked pair by pair.
#[inline(always)]
pub(super) fn reduce(lanes: Lanes, pick: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
    for index in 0..8 {
        eight[index] = pick(lanes[index], lanes[index + 8]);
    }
    for index in 0..4 {
        four[index] = pick(eight[index], eight[index + 4]);
    }
    pick(pick(four[0], four[2]), pick(four[1], four[3]))
}

/// Rounds to the nearest integer, ties to even, where |x| < 2^22.
#[inline(always)]
fn nearest(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT) - SHIFT
}

/// 2^y within a few millionths; 0 below 2^-126, and not above 2^127.
#[inline(always)]
pub(super) fn exp2<const FUSED: bool>(y: f32) -> f32 {
    let clamped = y.clamp(-126.0, 127.0);
    let power = nearest(clamped);
    let rest = clamped - power;
    let mut value = 1.327_647e-3;
    for coefficient in [9.675_542e-3, 5.550_713_5e-2, 2.402_212_3e-1, 6.931_469_4e-1, 1.0] {
        value = fused::<FUSED>(value, rest, coefficient);
    }
    // The power is an integer from -126 to 127: it goes straight into the exponent.
    #[allow(clippy::cast_sign_loss, reason = "within 1 to 254 once shifted")]
    let scale = f32::from_bits((integer(power).wrapping_add(127) as u32) << 23);
    if y < -126.0 { 0.0 } else { value * scale }
}

/// e^x, as exactly as [`exp2`].
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    exp2::<FUSED>(x * std::f32::consts::LOG2_E)
}

/// The nearest integer of a float of small size, ties to even, without the saturation that a cast pays for.
#[inline(always)]
#[allow(clippy::cast_possible_wrap, reason = "bit patterns")]
pub(super) fn integer(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    ((value + SHIFT).to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32)
}

/// Where the normal distribution is as good as full.
const FULL: f32 = 4.25;

/// The share of the normal distribution below x, within 2e-5: half and an odd polynomial, fitted so that `x` times its error
/// is smallest.
#[inline(always)]
fn normal<const FUSED: bool>(x: f32) -> f32 {
    let square = x * x;
    let mut series = 4.547_061_3e-11;
    for coefficient in [
        -4.515_294_4e-9,
        1.986_156e-7,
        -5.147_508_5e-6,
        8.848_908e-5,
        -1.079_077_6e-3,
        9.718_778e-3,
        -6.619_028e-2,
        3.988_192e-1,
    ] {
        series = fused::<FUSED>(series, square, coefficient);
    }
    let inner = fused::<FUSED>(series, x, 0.5);
    let outer = if x > 0.0 { 1.0 } else { 0.0 };
    if x.abs() > FULL { outer } else { inner }
}

#[inline(always)]
fn tanh_of<const FUSED: bool>(x: f32) -> f32 {
    let grown = exp::<FUSED>(2.0 * x.clamp(-20.0, 20.0));
    1.0 - 2.0 / (grown + 1.0)
}

#[inline(always)]
fn map<const FUSED: bool>(row: &mut [f32], each: impl Fn(f32) -> f32) {
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for value in chunk {
            *value = each(*value);
        }
    }
    for value in rest {
        *value = each(*value);
    }
}

#[inline(always)]
fn gelu_body<const FUSED: bool>(row: &mut [f32]) {
    map::<FUSED>(row, |x| x * normal::<FUSED>(x));
}

#[inline(always)]
fn gelu_tanh_body<const FUSED: bool>(row: &mut [f32]) {
    map::<FUSED>(row, |x| {
        let inner = 0.797_884_6 * fused::<FUSED>(0.044_715 * x * x, x, x);
        0.5 * x * (1.0 + tanh_of::<FUSED>(inner))
    });
}

#[inline(always)]
fn silu_body<const FUSED: bool>(row: &mut [f32]) {
    map::<FUSED>(row, |x| x / (1.0 + exp::<FUSED>(-x)));
}

#[inline(always)]
fn relu_body<const FUSED: bool>(row: &mut [f32]) {
    map::<FUSED>(row, |x| x.max(0.0));
}

#[inline(always)]
fn tanh_body<const FUSED: bool>(row: &mut [f32]) {
    map::<FUSED>(row, tanh_of::<FUSED>);
}

#[inline(always)]
fn add_body<const FUSED: bool>(row: &mut [f32], other: &[f32]) {
    for (value, more) in row.iter_mut().zip(other) {
        *value += more;
    }
}

#[inline(always)]
fn sum_of<const FUSED: bool>(row: &[f32], each: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += each(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += each(*value);
    }
    total(lanes)
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
fn layer_norm_body<const FUSED: bool>(row: &mut [f32], norm: &Norm) {
    let width = row.len() as f32;
    let mean = sum_of::<FUSED>(row, |x| x) / width;
    let variance = sum_of::<FUSED>(row, |x| (x - mean) * (x - mean)) / width;
    let scale = 1.0 / (variance + norm.epsilon).sqrt();
    if norm.bias.is_empty() {
        for (value, weight) in row.iter_mut().zip(&norm.weight) {
            *value = (*value - mean) * scale * weight;
        }
    } else {
        for ((value, weight), bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
            *value = fused::<FUSED>((*value - mean) * scale, *weight, *bias);
        }
    }
}

#[inline(always)]
#[allow(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
fn rms_norm_body<const FUSED: bool>(row: &mut [f32], norm: &Norm) {
    let mean = sum_of::<FUSED>(row, |x| x * x) / row.len() as f32;
    let scale = 1.0 / (mean + norm.epsilon).sqrt();
    for (value, weight) in row.iter_mut().zip(&norm.weight) {
        *value = *value * scale * weight;
    }
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = if *value > *lane { *value } else { *lane };
    }
    reduce(lanes, |a, b| if a > b { a } else { b })
}

#[inline(always)]
fn softmax_body<const FUSED: bool>(row: &mut [f32], scale: f32) {
    let highest = largest(row) * scale;
    if !highest.is_finite() {
        // Nothing may be looked at: no weight anywhere.
        row.fill(0.0);
        return;
    }
    let (steep, low) = (
        scale * std::f32::consts::LOG2_E,
        -highest * std::f32::consts::LOG2_E,
    );
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = exp2::<FUSED>(fused::<FUSED>(*value, steep, low));
            *lane += *value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *value = exp2::<FUSED>(fused::<FUSED>(*value, steep, low));
        *lane += *value;
    }
    let share = 1.0 / total(lanes);
    row.iter_mut().for_each(|value| *value *= share);
}

#[inline(always)]
fn dot_body<const FUSED: bool>(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        for index in 0..LANES {
            lanes[index] = fused::<FUSED>(a[index], b[index], lanes[index]);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(left_rest).zip(right_rest) {
        *lane = fused::<FUSED>(*a, *b, *lane);
    }
    total(lanes)
}

#[inline(always)]
fn dot_int8_body<const FUSED: bool>(left: &[i8], right: &[i8]) -> i32 {
    left.iter()
        .zip(right)
        .map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b)))
        .sum()
}

/// Rotates pairs (x, y) at the two halves of a head by an angle each.
#[inline(always)]
fn rotate_body<const FUSED: bool>(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (first, second) = head.split_at_mut(head.len() / 2);
    for (((x, y), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        let turned = *x * cosine - *y * sine;
        *y = *y * cosine + *x * sine;
        *x = turned;
    }
}

#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes are clamped to a byte before they are stored in one"
)]
fn quantise_body<const FUSED: bool>(row: &[f32], codes: &mut [u8]) -> (f32, i32) {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lows = [0.0_f32; LANES];
    let mut highs = [0.0_f32; LANES];
    let mut note = |values: &[f32]| {
        for ((low, high), value) in lows.iter_mut().zip(&mut highs).zip(values) {
            *low = if *value < *low { *value } else { *low };
            *high = if *value > *high { *value } else { *high };
        }
    };
    for chunk in chunks {
        note(chunk);
    }
    note(rest);
    let low = reduce(lows, |a, b| if a < b { a } else { b });
    let high = reduce(highs, |a, b| if a > b { a } else { b });
    let scale = (high - low) / 255.0;
    if !(scale > f32::MIN_POSITIVE && scale.is_finite()) {
        codes.fill(0);
        return (0.0, 0);
    }
    let inverse = 1.0 / scale;
    let zero = nearest(-low * inverse);
    // One loop over all, which the compiler makes wide; bytes of sixteen at a time it would store one by one.
    for (code, value) in codes.iter_mut().zip(row) {
        // Rounded twice on every machine, so that codes are the same on all.
        *code = integer(*value * inverse + zero).clamp(0, 255) as u8;
    }
    codes[row.len()..].fill(0);
    (scale, integer(zero))
}

#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    reason = "codes are clamped to a byte before they are stored in one"
)]
fn quantise_symmetric_body<const FUSED: bool>(row: &[f32], codes: &mut [i8]) -> f32 {
    let highest = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = highest / 127.0;
    if !(scale > f32::MIN_POSITIVE && scale.is_finite()) {
        codes.fill(0);
        return 0.0;
    }
    for (code, value) in codes.iter_mut().zip(row) {
        *code = integer(nearest(*value / scale).clamp(-127.0, 127.0)) as i8;
    }
    scale
}

/// What a norm knows: a weight for each column, a bias for each (or none), and what keeps the division finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// One for each column.
    pub weight: Vec<f32>,
    /// One for each column, or empty.
    pub bias: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

by_machine! {
    /// `x · Φ(x)`, within 5e-5 of the exact form.
    pub fn gelu(row: &mut [f32]) = gelu_body;
}
by_machine! {
    /// GELU in its form with tanh.
    pub fn gelu_tanh(row: &mut [f32]) = gelu_tanh_body;
}
by_machine! {
    /// `x · σ(x)`.
    pub fn silu(row: &mut [f32]) = silu_body;
}
by_machine! {
    /// The larger of x and 0.
    pub fn relu(row: &mut [f32]) = relu_body;
}
by_machine! {
    /// Hyperbolic tangent.
    pub fn tanh(row: &mut [f32]) = tanh_body;
}
by_machine! {
    /// Adds `other` to `row`, column by column.
    pub fn add(row: &mut [f32], other: &[f32]) = add_body;
}
by_machine! {
    /// Mean 0 and variance 1, then weight and bias.
    pub fn layer_norm(row: &mut [f32], norm: &Norm) = layer_norm_body;
}
by_machine! {
    /// Root mean square 1, then weight.
    pub fn rms_norm(row: &mut [f32], norm: &Norm) = rms_norm_body;
}
by_machine! {
    /// Softmax of `scale · row`. A row in which nothing is finite becomes all zeros.
    pub fn softmax(row: &mut [f32], scale: f32) = softmax_body;
}
by_machine! {
    /// The inner product, over the shorter of both.
    pub fn dot(left: &[f32], right: &[f32]) -> f32 = dot_body;
}
by_machine! {
    /// The inner product of bytes, over the shorter of both. Exact below 2^16 columns.
    pub fn dot_int8(left: &[i8], right: &[i8]) -> i32 = dot_int8_body;
}
by_machine! {
    /// Rotary position: turns column i of the first half and column i of the second half by the i-th angle.
    pub fn rotate(head: &mut [f32], cosines: &[f32], sines: &[f32]) = rotate_body;
}
by_machine! {
    /// Quantises a row into unsigned bytes; the codes past the row become 0. Gives scale and zero point:
    /// `x ≈ scale · (code − zero)`. A row of zeros, or one that is not finite, gives scale 0.
    pub fn quantise(row: &[f32], codes: &mut [u8]) -> (f32, i32) = quantise_body;
}
by_machine! {
    /// Quantises a row into signed bytes; gives the scale: `x ≈ scale · code`.
    pub fn quantise_symmetric(row: &[f32], codes: &mut [i8]) -> f32 = quantise_symmetric_body;
}
