//! Chance that is the same on every machine and in every version: a seed gives one sequence.

/// A sequence of numbers (SplitMix64): small, and not for secrets.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A sequence of its own for a name: candidates draw alike, in whatever order they stand.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        let mixed = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut chance = Self { state: mixed };
        chance.draw();
        chance
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to below `end`; 0 where there is nothing to choose from.
    pub fn below(&mut self, end: usize) -> usize {
        // The bias of a 64-bit number over a few thousand choices is too small to be seen.
        match u64::try_from(end) {
            Ok(end @ 1..) => usize::try_from(self.draw() % end).unwrap_or(0),
            _ => 0,
        }
    }

    /// Of the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Of a gamma distribution of scale 1 (Marsaglia and Tsang).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.unit()).powf(1.0 / shape.max(1e-3));
            return self.gamma(shape + 1.0) * boost;
        }
        let (d, c) = (shape - 1.0 / 3.0, 1.0 / (9.0 * (shape - 1.0 / 3.0)).sqrt());
        // One in twenty is thrown away; a bound keeps the loop finite whatever the numbers.
        for _ in 0..1_000 {
            let (normal, uniform) = (self.normal(), 1.0 - self.unit());
            let cube = (1.0 + c * normal).powi(3);
            if cube > 0.0 && uniform.ln() < 0.5 * normal * normal + d - d * cube + d * cube.ln() {
                return d * cube;
            }
        }
        d
    }

    /// Of a beta distribution.
    pub fn beta(&mut self, alpha: f64, beta: f64) -> f64 {
        let (left, right) = (self.gamma(alpha), self.gamma(beta));
        let sum = left + right;
        if sum > 0.0 { left / sum } else { 0.5 }
    }

    /// Puts items into an order of chance.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        // The reference values of SplitMix64 for the seed 1234567.
        let mut chance = Chance::new(1_234_567);
        let found = [chance.draw(), chance.draw(), chance.draw()];
        assert_eq!(
            found,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
        assert_ne!(Chance::named(1, "a").draw(), Chance::named(1, "b").draw());
    }

    #[test]
    fn distributions_have_their_means_and_spreads() {
        let mut chance = Chance::new(7);
        let mut moments = |draw: &mut dyn FnMut(&mut Chance) -> f64| {
            let values: Vec<f64> = (0..20_000).map(|_| draw(&mut chance)).collect();
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 20_000.0;
            (mean, spread)
        };
        let near = |(mean, spread): (f64, f64), wanted: (f64, f64)| {
            assert!(
                (mean - wanted.0).abs() < 0.03 && (spread - wanted.1).abs() < 0.05,
                "{mean} {spread}"
            );
        };
        near(moments(&mut |chance| chance.normal()), (0.0, 1.0));
        near(moments(&mut |chance| chance.gamma(0.5)), (0.5, 0.5));
        near(moments(&mut |chance| chance.beta(2.0, 6.0)), (0.25, 0.0208));
        near(moments(&mut |chance| chance.unit()), (0.5, 1.0 / 12.0));
    }
}
