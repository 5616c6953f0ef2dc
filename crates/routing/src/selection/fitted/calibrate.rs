//! From scores to chances: a logistic curve for each model, fitted to scores of questions that were held back.

/// `1 / (1 + e^-(slope × score + shift))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Curve {
    pub(crate) slope: f32,
    pub(crate) shift: f32,
}

impl Curve {
    pub(crate) fn chance(self, score: f32) -> f64 {
        sigmoid(f64::from(self.slope) * f64::from(score) + f64::from(self.shift))
    }

    /// Fits one by Newton's method; targets are drawn in a little, so that separable scores stay finite (Platt).
    pub(crate) fn fit(points: &[(f32, f32)]) -> Self {
        let count = points.len() as f64;
        let good: f64 = points.iter().map(|(_, worth)| f64::from(*worth)).sum();
        let mean = (good + 1.0) / (count + 2.0);
        let (mut slope, mut shift) = (0.0_f64, (mean / (1.0 - mean)).ln());
        let drawn = |worth: f32| (f64::from(worth) * count + mean) / (count + 1.0);
        for _ in 0..50 {
            let ridge = 1e-3;
            let mut gradient = [ridge * slope, 0.0];
            let mut curvature = [ridge, 0.0, 1e-9];
            for (score, worth) in points {
                let score = f64::from(*score);
                let chance = sigmoid(slope * score + shift);
                let (off, spread) = (chance - drawn(*worth), (chance * (1.0 - chance)).max(1e-9));
                gradient[0] += off * score;
                gradient[1] += off;
                curvature[0] += spread * score * score;
                curvature[1] += spread * score;
                curvature[2] += spread;
            }
            let determinant = curvature[0] * curvature[2] - curvature[1] * curvature[1];
            if determinant <= 0.0 {
                break;
            }
            let step = [
                (curvature[2] * gradient[0] - curvature[1] * gradient[1]) / determinant,
                (curvature[0] * gradient[1] - curvature[1] * gradient[0]) / determinant,
            ];
            // A long step overshoots where the curve is flat.
            let long = step[0].abs().max(step[1].abs());
            let share = if long > 4.0 { 4.0 / long } else { 1.0 };
            slope -= share * step[0];
            shift -= share * step[1];
            if long < 1e-7 {
                break;
            }
        }
        Self {
            slope: slope as f32,
            shift: shift as f32,
        }
    }
}

pub(crate) fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_back() {
        let points: Vec<(f32, f32)> = (0..2_000)
            .map(|at| {
                let score = (at % 100) as f32 / 25.0 - 2.0;
                (score, sigmoid(f64::from(1.5 * score - 0.5)) as f32)
            })
            .collect();
        let curve = Curve::fit(&points);
        assert!(
            (curve.slope - 1.5).abs() < 0.03 && (curve.shift + 0.5).abs() < 0.03,
            "{curve:?}"
        );
        let split: Vec<(f32, f32)> = (0..40)
            .map(|at| (at as f32 - 20.0, f32::from(u8::from(at >= 20))))
            .collect();
        let curve = Curve::fit(&split);
        assert!(curve.slope.is_finite() && curve.chance(19.0) > 0.9 && curve.chance(-20.0) < 0.1);
    }
}
