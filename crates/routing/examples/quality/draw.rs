//! What stands in the pictures of the curves.

use super::Result;
use super::curve::{Curve, Point, hull, single};
use super::page::{Colour, Dashes, HEIGHT, Page, Side as Beside, WIDTH};
use super::pool::{Pool, Side};

const COLOURS: [Colour; 5] = [
    [0x1b, 0x7f, 0x5c],
    [0xb8, 0x86, 0x0b],
    [0x1f, 0x5f, 0xbf],
    [0x8e, 0x3f, 0xa8],
    [0xc0, 0x39, 0x2b],
];
const BLACK: Colour = [0x22; 3];
const DARK: Colour = [0x55; 3];
const GREY: Colour = [0x88; 3];
const PALE: Colour = [0xe4; 3];
const DOTTED: Dashes = Some((2.0, 3.0));
const DASHED: Dashes = Some((7.0, 4.0));

/// Cost and accuracy.
pub type Points = Vec<(f64, f64)>;

/// A curve by its name, and where on it one would have chosen to be.
pub struct Named {
    pub name: &'static str,
    pub points: Points,
    pub chosen: (f64, f64),
}

/// Curves over one axis of cost, which ends at 1.
pub struct Picture {
    pub title: String,
    /// What the axis of cost is.
    pub cost: &'static str,
    pub oracle: Points,
    pub mix: Points,
    pub curves: Vec<Named>,
    /// What needs no selection.
    pub fixed: Vec<(String, (f64, f64))>,
}

/// The picture of three models.
pub fn models(pool: &Pool, dev: &Side, results: &[Result]) -> Picture {
    let place = |point: &Point| (point.cost, point.accuracy);
    let single = single(dev);
    let named = |result: &Result| Named {
        name: result.algorithm.name(),
        points: result.curve.points.iter().map(place).collect(),
        chosen: place(&result.chosen),
    };
    let fixed = single.iter().zip(&pool.models);
    Picture {
        title: format!(
            "Accuracy against cost: {}, {} questions never fitted to",
            pool.name,
            dev.len()
        ),
        cost: "cost, as a share of always asking the large model",
        oracle: Curve::oracle(dev).hull(&single),
        mix: hull(single.iter().map(place).collect()),
        curves: results.iter().map(named).collect(),
        fixed: fixed
            .map(|(point, (name, ..))| ((*name).to_owned(), place(point)))
            .collect(),
    }
}

/// Where a point is on the page.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn place(&self, (cost, accuracy): (f64, f64)) -> (f64, f64) {
        let across = 60.0 + cost * (WIDTH - 250.0);
        let up = (accuracy - self.low) / (self.high - self.low);
        (across, HEIGHT - 50.0 - up * (HEIGHT - 90.0))
    }

    fn places(&self, points: &Points) -> Points {
        points.iter().map(|point| self.place(*point)).collect()
    }
}

impl Picture {
    pub fn page(mut self) -> Page {
        let ends = |of: fn(f64, f64) -> f64, start: f64| {
            let all = self.curves.iter().flat_map(|curve| &curve.points);
            let all = all.chain(&self.oracle).chain(&self.mix);
            all.map(|point| point.1).fold(start, of)
        };
        let scale = Scale {
            low: ends(f64::min, 1.0) - 0.01,
            high: ends(f64::max, 0.0) + 0.01,
        };
        let mut page = Page::default();
        page.text((60.0, 22.0), BLACK, Beside::Right, self.title);
        axes(&mut page, &scale, self.cost);
        // More than that is of no use to who knows what comes.
        let most = self.oracle.last().map_or(0.0, |last| last.1);
        self.oracle.push((1.0, most));
        page.line(scale.places(&self.oracle), DARK, 2.0, DOTTED);
        page.line(scale.places(&self.mix), GREY, 2.0, DASHED);
        for (curve, colour) in self.curves.iter_mut().zip(COLOURS) {
            curve.points.sort_by(|left, right| left.0.total_cmp(&right.0));
            page.line(scale.places(&curve.points), colour, 2.0, None);
            page.dot(scale.place(curve.chosen), colour);
        }
        for (name, point) in self.fixed {
            let (across, down) = scale.place(point);
            page.dot((across, down), BLACK);
            // A name at the right end stands on the left of its dot, where the page still goes on.
            let (across, side) = if point.0 > 0.7 {
                (across + 7.0, Beside::Left)
            } else {
                (across + 7.0, Beside::Right)
            };
            page.text((across, down + 16.0), BLACK, side, name);
        }
        legend(&mut page, &self.curves);
        page
    }
}

fn axes(page: &mut Page, scale: &Scale, cost: &str) {
    for step in 0..=5 {
        let cost = f64::from(step) / 5.0;
        let (across, down) = scale.place((cost, scale.low));
        page.line(vec![(across, 40.0), (across, down)], PALE, 1.0, None);
        let label = format!("{:.0} %", cost * 100.0);
        page.text((across, down + 18.0), BLACK, Beside::Middle, label);
    }
    let every = if scale.high - scale.low < 0.2 { 50.0 } else { 20.0 };
    let first = (scale.low * every).ceil() as u32;
    for step in (first..).take_while(|step| f64::from(*step) / every <= scale.high) {
        let accuracy = f64::from(step) / every;
        let (from, to) = (scale.place((0.0, accuracy)), scale.place((1.0, accuracy)));
        page.line(vec![from, to], PALE, 1.0, None);
        let label = format!("{:.0} %", accuracy * 100.0);
        page.text((from.0 - 6.0, from.1 + 4.0), BLACK, Beside::Left, label);
    }
    page.text((60.0, HEIGHT - 10.0), BLACK, Beside::Right, cost);
}

fn legend(page: &mut Page, curves: &[Named]) {
    let named = curves
        .iter()
        .zip(COLOURS)
        .map(|(curve, colour)| (curve.name, colour, None));
    let all = [("oracle", DARK, DOTTED), ("best fixed mix", GREY, DASHED)]
        .into_iter()
        .chain(named);
    let mut down = 60.0;
    for (name, colour, dashes) in all {
        page.line(
            vec![(WIDTH - 165.0, down), (WIDTH - 135.0, down)],
            colour,
            2.0,
            dashes,
        );
        page.text((WIDTH - 128.0, down + 4.0), BLACK, Beside::Right, name);
        down += 20.0;
    }
    page.text(
        (WIDTH - 165.0, down + 4.0),
        DARK,
        Beside::Right,
        "dots: as chosen before",
    );
}
