//! The curve as a picture.

use std::fmt::Write;

use super::Result;
use super::curve::{Curve, hull, single};
use super::pool::{Pool, Side};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const COLOURS: [&str; 5] = ["#1b7f5c", "#b8860b", "#1f5fbf", "#8e3fa8", "#c0392b"];

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

    fn line(&self, points: &[(f64, f64)], colour: &str, dashes: &str) -> String {
        let places = points.iter().map(|point| self.place(*point));
        let path: Vec<String> = places
            .map(|(across, up)| format!("{across:.1},{up:.1}"))
            .collect();
        format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\" points=\"{}\"/>\n",
            path.join(" ")
        )
    }

    fn dot(&self, point: (f64, f64), colour: &str, name: &str) -> String {
        let (across, up) = self.place(point);
        format!(
            "<circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>\n",
            across + 7.0,
            up + 14.0
        )
    }
}

pub fn svg(pool: &Pool, dev: &Side, results: &[Result]) -> String {
    let single = single(dev);
    let oracle = Curve::oracle(dev).hull(&[]);
    let most = oracle.iter().map(|point| point.1).fold(0.0, f64::max);
    let scale = Scale {
        low: single.iter().map(|point| point.accuracy).fold(1.0, f64::min) - 0.02,
        high: most + 0.02,
    };
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"60\" y=\"22\" font-size=\"15\">Accuracy against cost: {}, {} questions never fitted to</text>\n",
        pool.name,
        dev.len()
    );
    axes(&mut page, &scale);
    let mix = hull(single.iter().map(|point| (point.cost, point.accuracy)).collect());
    page += &scale.line(&oracle, "#555555", "2 3");
    page += &scale.line(&mix, "#888888", "7 4");
    for (result, colour) in results.iter().zip(COLOURS) {
        let mut points: Vec<(f64, f64)> = result
            .curve
            .points
            .iter()
            .map(|point| (point.cost, point.accuracy))
            .collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        page += &scale.line(&points, colour, "none");
        page += &scale.dot((result.chosen.cost, result.chosen.accuracy), colour, "");
    }
    for (point, (name, ..)) in single.iter().zip(&pool.models) {
        page += &scale.dot((point.cost, point.accuracy), "#222222", name);
    }
    legend(&mut page, results);
    page + "</svg>\n"
}

fn axes(page: &mut String, scale: &Scale) {
    for step in 0..=5 {
        let cost = f64::from(step) / 5.0;
        let (across, up) = scale.place((cost, scale.low));
        writeln!(
            page,
            "<line x1=\"{across:.1}\" y1=\"40\" x2=\"{across:.1}\" y2=\"{up:.1}\" stroke=\"#e4e4e4\"/>\
             <text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0} %</text>",
            up + 18.0,
            cost * 100.0
        )
        .unwrap();
    }
    let first = (scale.low * 20.0).ceil() as u32;
    for step in (first..).take_while(|step| f64::from(*step) / 20.0 <= scale.high) {
        let accuracy = f64::from(step) / 20.0;
        let ((from, up), (to, _)) = (scale.place((0.0, accuracy)), scale.place((1.0, accuracy)));
        writeln!(
            page,
            "<line x1=\"{from:.1}\" y1=\"{up:.1}\" x2=\"{to:.1}\" y2=\"{up:.1}\" stroke=\"#e4e4e4\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            from - 6.0,
            up + 4.0,
            accuracy * 100.0
        )
        .unwrap();
    }
    *page += &format!(
        "<text x=\"60\" y=\"{:.0}\">cost, as a share of always asking the large model</text>\n",
        HEIGHT - 10.0
    );
}

fn legend(page: &mut String, results: &[Result]) {
    let named = results
        .iter()
        .zip(COLOURS)
        .map(|(result, colour)| (result.algorithm.name(), colour, "none"));
    let all = [("oracle", "#555555", "2 3"), ("best fixed mix", "#888888", "7 4")]
        .into_iter()
        .chain(named);
    for (at, (name, colour, dashes)) in all.enumerate() {
        let up = 60.0 + 20.0 * at as f64;
        writeln!(
            page,
            "<line x1=\"{:.0}\" y1=\"{up:.0}\" x2=\"{:.0}\" y2=\"{up:.0}\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/><text x=\"{:.0}\" y=\"{:.0}\">{name}</text>",
            WIDTH - 165.0,
            WIDTH - 135.0,
            WIDTH - 128.0,
            up + 4.0
        )
        .unwrap();
    }
    *page += &format!(
        "<text x=\"{:.0}\" y=\"210\" fill=\"#555555\">dots: as chosen before</text>\n",
        WIDTH - 165.0
    );
}
