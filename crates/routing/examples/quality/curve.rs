//! Cost against accuracy.

use super::PRICES;
use super::pool::{Side, best};

/// What came of some picks. Cost is a share of what always asking the large model costs.
#[derive(Clone, Copy)]
pub struct Point {
    pub cost: f64,
    pub accuracy: f64,
    pub shares: [f64; 3],
    pub seconds: f64,
    /// For a thousand questions.
    pub dollars: f64,
}

pub struct Curve {
    pub points: Vec<Point>,
}

impl Curve {
    pub fn of(side: &Side, chances: &[Vec<f64>]) -> Self {
        let point = |price| {
            let each = chances.iter().zip(&side.costs);
            let picks: Vec<usize> = each.map(|(chances, costs)| best(chances, costs, price)).collect();
            side.point(&picks)
        };
        Self {
            points: PRICES.into_iter().map(point).collect(),
        }
    }

    /// What could be had by who knew the outcomes.
    pub fn oracle(side: &Side) -> Self {
        let known: Vec<Vec<f64>> = side.right.iter().map(|right| right.to_vec()).collect();
        let mut curve = Self::of(side, &known);
        // At no price at all, the cheapest of the right ones is still the one to take.
        curve.points[0] = curve.points[1];
        curve
    }

    /// Cost and accuracy, from the cheapest on, such that no mix of two points is above.
    pub fn hull(&self, more: &[Point]) -> Vec<(f64, f64)> {
        hull(
            self.points
                .iter()
                .chain(more)
                .map(|point| (point.cost, point.accuracy))
                .collect(),
        )
    }
}

/// Each model by itself.
pub fn single(side: &Side) -> [Point; 3] {
    [0, 1, 2].map(|model| side.point(&vec![model; side.len()]))
}

/// The upper hull of points.
pub fn hull(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|left, right| left.0.total_cmp(&right.0).then(right.1.total_cmp(&left.1)));
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if hull.last().is_some_and(|last| last.1 >= point.1) {
            continue;
        }
        while let [.., before, last] = hull[..] {
            let (rise, further) = (
                (last.1 - before.1) / (last.0 - before.0),
                (point.1 - last.1) / (point.0 - last.0),
            );
            if further < rise {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

/// The height of a hull at a cost.
pub fn height(hull: &[(f64, f64)], cost: f64) -> f64 {
    let above = hull.iter().position(|point| point.0 >= cost);
    match above {
        None => hull.last().map_or(0.0, |last| last.1),
        Some(0) => {
            if hull[0].0 <= cost {
                hull[0].1
            } else {
                0.0
            }
        }
        Some(at) => {
            let (from, to) = (hull[at - 1], hull[at]);
            from.1 + (to.1 - from.1) * (cost - from.0) / (to.0 - from.0)
        }
    }
}

/// The area below a hull, from a cost to 1.
pub fn area(hull: &[(f64, f64)], from: f64) -> f64 {
    let steps = 2_000;
    let width = (1.0 - from) / f64::from(steps);
    (0..steps)
        .map(|step| height(hull, from + (f64::from(step) + 0.5) * width) * width)
        .sum()
}
