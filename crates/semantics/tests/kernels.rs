//! Each instruction set against plain loops: bytes exactly, floats within a rounding.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_semantics::kernels::{
    self, Codes, FLOAT_PANEL, HeadRows, Int8Weights, KeyMeasures, Machine, Norm, Output, Panels, Rows,
    Scores, Strided, float_panel, int8_product, room_for_sums,
};

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn float(&mut self) -> f32 {
        (self.next() % 20_001) as f32 / 10_000.0 - 1.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

#[test]
fn bytes_come_out_the_same_on_every_machine() {
    let mut numbers = Numbers(7);
    for (rows, inputs, outputs) in [
        (1, 1, 1),
        (5, 64, 16),
        (17, 100, 33),
        (40, 384, 80),
        (6, 1536, 48),
        (33, 129, 70),
    ] {
        let weights: Vec<i8> = (0..inputs * outputs)
            .map(|_| (numbers.next() % 255) as i8)
            .collect();
        let scales: Vec<f32> = (0..outputs).map(|_| numbers.float().abs() / 50.0).collect();
        let bias = numbers.floats(outputs);
        let values = numbers.floats(rows * inputs);
        let packed = Int8Weights::new(&weights, &scales, &bias, inputs).unwrap();
        let mut exact = vec![0.0; rows * outputs];
        for row in 0..rows {
            let (codes, scale, zero) = quantised(&values[row * inputs..][..inputs]);
            for channel in 0..outputs {
                let sum: i32 = (0..inputs)
                    .map(|input| {
                        (i32::from(codes[input]) - zero) * i32::from(weights[channel * inputs + input])
                    })
                    .sum();
                exact[row * outputs + channel] = sum as f32 * (scale * scales[channel]) + bias[channel];
            }
        }
        for machine in Machine::available() {
            let mut codes = Codes::default();
            codes.fill(machine, &values, inputs);
            let mut output = vec![0.0; rows * outputs];
            int8_product(machine, &codes, &packed, &mut output, false);
            compare(&exact, &output, 2e-6, machine);
            int8_product(machine, &codes, &packed, &mut output, true);
            let twice: Vec<f32> = exact.iter().map(|value| 2.0 * value).collect();
            compare(&twice, &output, 4e-6, machine);
        }
    }
}

fn quantised(row: &[f32]) -> (Vec<u8>, f32, i32) {
    let mut codes = vec![0; row.len()];
    let (scale, zero) = kernels::quantise(Machine::portable(), row, &mut codes);
    (codes, scale, zero)
}

fn compare(expected: &[f32], found: &[f32], tolerance: f32, machine: Machine) {
    assert_eq!(expected.len(), found.len());
    for (index, (a, b)) in expected.iter().zip(found).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + a.abs()),
            "{}: value {index}: {a} and {b}",
            machine.name()
        );
    }
}

#[test]
fn quantised_rows_are_near_what_they_were() {
    let mut numbers = Numbers(3);
    for machine in Machine::available() {
        for width in [1, 15, 16, 384, 400] {
            let row = numbers.floats(width);
            let mut codes = vec![9; width + 5];
            let (scale, zero) = kernels::quantise(machine, &row, &mut codes);
            for (code, value) in codes.iter().zip(&row) {
                let back = scale * (i32::from(*code) - zero) as f32;
                assert!(
                    (back - value).abs() <= scale * 0.51,
                    "{}: {back} for {value}",
                    machine.name()
                );
            }
            assert_eq!(codes[width..], [0; 5]);
        }
        let mut codes = vec![1; 4];
        assert_eq!(kernels::quantise(machine, &[0.0; 4], &mut codes), (0.0, 0));
        assert_eq!(
            kernels::quantise(machine, &[f32::INFINITY, 1.0, 2.0, 3.0], &mut codes),
            (0.0, 0)
        );
    }
}

#[test]
fn float_panels_are_products() {
    let mut numbers = Numbers(5);
    for (rows, depth, width) in [
        (1, 1, 1),
        (9, 32, 32),
        (8, 7, 5),
        (13, 100, 17),
        (3, 384, 31),
        (16, 0, 4),
    ] {
        let (left_stride, right_stride, stride) = (depth + 3, width + 2, width + 1);
        let left = numbers.floats(rows * left_stride + depth);
        let right = numbers.floats(depth * right_stride + width);
        for machine in Machine::available() {
            let mut output = vec![7.0; rows * stride];
            let mut target = Output {
                values: &mut output,
                stride,
                add: false,
            };
            let sides = (
                Strided {
                    values: &left,
                    stride: left_stride,
                },
                Strided {
                    values: &right,
                    stride: right_stride,
                },
            );
            float_panel(machine, (rows, depth, width), sides.0, sides.1, &mut target);
            for row in 0..rows {
                for column in 0..width {
                    let exact: f64 = (0..depth)
                        .map(|step| {
                            f64::from(left[row * left_stride + step])
                                * f64::from(right[step * right_stride + column])
                        })
                        .sum();
                    let found = f64::from(output[row * stride + column]);
                    assert!(
                        (exact - found).abs() < 1e-4,
                        "{}: {exact} and {found}",
                        machine.name()
                    );
                }
                assert_eq!(
                    output[row * stride + width],
                    7.0,
                    "{}: wrote past its columns",
                    machine.name()
                );
            }
        }
    }
    const { assert!(FLOAT_PANEL == 32) };
}

#[test]
fn activations_are_within_their_errors() {
    let inputs: Vec<f32> = (-4_000..4_000).map(|step| step as f32 / 400.0).collect();
    for machine in Machine::available() {
        let mut found = inputs.clone();
        kernels::gelu(machine, &mut found);
        check(&inputs, &found, 5e-5, |x| {
            0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
        });
        let mut found = inputs.clone();
        kernels::gelu_tanh(machine, &mut found);
        check(&inputs, &found, 1e-5, |x| {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        });
        let mut found = inputs.clone();
        kernels::silu(machine, &mut found);
        check(&inputs, &found, 1e-5, |x| x / (1.0 + (-x).exp()));
        let mut found = inputs.clone();
        kernels::tanh(machine, &mut found);
        check(&inputs, &found, 1e-5, f64::tanh);
    }
}

fn check(inputs: &[f32], found: &[f32], tolerance: f64, exact: impl Fn(f64) -> f64) {
    for (x, y) in inputs.iter().zip(found) {
        let expected = exact(f64::from(*x));
        assert!(
            (expected - f64::from(*y)).abs() < tolerance,
            "at {x}: {expected} and {y}"
        );
    }
}

/// The series of the error function, in doubles.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..120 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn softmax_sums_to_one_and_looks_at_nothing_that_is_masked() {
    for machine in Machine::available() {
        let mut row: Vec<f32> = (0..37).map(|step| step as f32 / 3.0).collect();
        row[5] = f32::NEG_INFINITY;
        kernels::softmax(machine, &mut row, 0.5);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(row[5], 0.0);
        assert!((row[36] / row[33] - (0.5_f32).exp()).abs() < 1e-5);
        let mut nothing = [f32::NEG_INFINITY; 3];
        kernels::softmax(machine, &mut nothing, 1.0);
        assert_eq!(nothing, [0.0; 3]);
    }
}

#[test]
fn norms_have_the_moments_they_promise() {
    let mut numbers = Numbers(11);
    for machine in Machine::available() {
        let norm = Norm {
            weight: vec![1.0; 100],
            bias: vec![0.0; 100],
            epsilon: 1e-12,
        };
        let mut row = numbers.floats(100);
        kernels::layer_norm(machine, &mut row, &norm);
        let mean = row.iter().sum::<f32>() / 100.0;
        let square = row.iter().map(|x| x * x).sum::<f32>() / 100.0;
        assert!(
            mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-4,
            "{mean} {square}"
        );
        let mut row = numbers.floats(100);
        kernels::rms_norm(machine, &mut row, &norm);
        let square = row.iter().map(|x| x * x).sum::<f32>() / 100.0;
        assert!((square - 1.0).abs() < 1e-4);
    }
}

#[test]
fn inner_products_agree() {
    let mut numbers = Numbers(13);
    let left = numbers.floats(403);
    let right = numbers.floats(403);
    let exact: f64 = left
        .iter()
        .zip(&right)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    let (mut a, mut b) = (vec![0; 403], vec![0; 403]);
    kernels::quantise_symmetric(Machine::portable(), &left, &mut a);
    kernels::quantise_symmetric(Machine::portable(), &right, &mut b);
    let whole: i32 = a.iter().zip(&b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
    for machine in Machine::available() {
        assert!((f64::from(kernels::dot(machine, &left, &right)) - exact).abs() < 1e-4);
        assert_eq!(kernels::dot_int8(machine, &a, &b), whole);
    }
}

/// Queries, keys and values beside each other, as an encoder's first layer leaves them.
fn attended(machine: Machine, rows: &[f32], (count, heads, width): (usize, usize, usize)) -> Vec<f32> {
    let wide = heads * width;
    let side = |first: usize| HeadRows {
        values: &rows[first * wide..],
        stride: 3 * wide,
        count,
        heads,
        width,
    };
    let (tall, deep) = (count.next_multiple_of(16), width.next_multiple_of(64));
    let (mut queries, mut scales) = (vec![77; heads * tall * deep], vec![0.0; heads * count]);
    kernels::pack_queries(machine, side(0), 0.25, deep, &mut queries, &mut scales);
    let (mut keys, mut measures) = (vec![77; heads * tall * deep], KeyMeasures::default());
    kernels::pack_keys(machine, side(1), deep, &mut keys, &mut measures);
    let long = count.next_multiple_of(64);
    let (mut values, mut value_scales) = (vec![77; wide * long], vec![0.0; wide]);
    let room = &mut Vec::new();
    kernels::pack_values(machine, side(2), long, &mut values, &mut value_scales, room);
    let mut output = vec![0.0; count * wide];
    for head in 0..heads {
        let mut sums = vec![9; room_for_sums(count, (tall / 16).max(width / 16))];
        let left = Rows {
            bytes: &queries[head * tall * deep..][..tall * deep],
            count,
            depth: deep,
            used: width,
        };
        let right = Panels {
            bytes: &keys[head * tall * deep..][..tall * deep],
            count: tall / 16,
            depth: deep,
        };
        kernels::sums(machine, left, right, &mut sums);
        let scores = Scores {
            sums: &sums,
            scales: &scales[head * count..][..count],
            keys: &measures,
            head,
        };
        let (mut weights, mut shares) = (vec![77; tall * long], vec![0.0; count]);
        kernels::weigh(machine, scores, &mut Vec::new(), long, &mut weights, &mut shares);
        let left = Rows {
            bytes: &weights,
            count,
            depth: long,
            used: count.next_multiple_of(4),
        };
        let right = Panels {
            bytes: &values[head * width * long..][..width * long],
            count: width / 16,
            depth: long,
        };
        kernels::sums(machine, left, right, &mut sums);
        let scales = &value_scales[head * width..][..width];
        let to = &mut output[head * width..];
        kernels::gather(machine, &sums, scales, &shares, to, wide);
    }
    output
}

#[test]
fn attention_in_bytes_is_near_that_in_doubles() {
    let mut numbers = Numbers(17);
    for (count, heads, width) in [(1, 1, 16), (5, 2, 32), (16, 1, 64), (33, 2, 80), (130, 3, 32)] {
        let wide = heads * width;
        let rows: Vec<f32> = numbers
            .floats(count * 3 * wide)
            .iter()
            .map(|value| 2.0 * value)
            .collect();
        let mut exact = vec![0.0; count * wide];
        for head in 0..heads {
            let at = |row: usize, side: usize| &rows[row * 3 * wide + side * wide + head * width..][..width];
            for query in 0..count {
                let weights: Vec<f64> = (0..count)
                    .map(|key| {
                        let products = at(query, 0).iter().zip(at(key, 1));
                        let score: f64 = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        (score * 0.25 * std::f64::consts::LN_2).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for column in 0..width {
                    let sum: f64 = (0..count)
                        .map(|key| weights[key] * f64::from(at(key, 2)[column]))
                        .sum();
                    exact[query * wide + head * width + column] = sum / total;
                }
            }
        }
        let portable = attended(Machine::portable(), &rows, (count, heads, width));
        for machine in Machine::available() {
            let found = attended(machine, &rows, (count, heads, width));
            let size = (exact.iter().map(|x| x * x).sum::<f64>() / exact.len() as f64).sqrt();
            let error = found
                .iter()
                .zip(&exact)
                .map(|(a, b)| (f64::from(*a) - b).powi(2))
                .sum::<f64>();
            let error = (error / exact.len() as f64).sqrt();
            assert!(
                error < 0.02 * size + 1e-3,
                "{}, {count} × {heads} × {width}: off by {error}, size {size}",
                machine.name()
            );
            // Only a weight's rounding may differ: by one of 255.
            compare(&portable, &found, 0.02, machine);
        }
    }
}
