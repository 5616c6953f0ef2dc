//! Rotary positions: the angles of every position, worked out once.

/// Cosines and sines for each position.
#[derive(Debug, Clone)]
pub struct Rotary {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotary {
    /// For heads of `width` columns and `positions` positions. Positions are divided by `stretch`.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "positions and widths are far below 2^24"
    )]
    pub fn new(theta: f32, width: usize, positions: usize, stretch: f32) -> Self {
        let half = width / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|pair| 1.0 / (theta.powf(2.0 * pair as f32 / width as f32) * stretch))
            .collect();
        let mut cosines = Vec::with_capacity(half * positions);
        let mut sines = Vec::with_capacity(half * positions);
        for position in 0..positions {
            for frequency in &frequencies {
                let angle = position as f32 * frequency;
                cosines.push(angle.cos());
                sines.push(angle.sin());
            }
        }
        Self { half, cosines, sines }
    }

    /// Cosines and sines of a position; empty beyond the last.
    #[must_use]
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (
            self.cosines.get(range.clone()).unwrap_or_default(),
            self.sines.get(range).unwrap_or_default(),
        )
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        8 * self.cosines.len()
    }
}
