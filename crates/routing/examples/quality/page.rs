//! A picture: lines, dots and words on a white page, written as SVG and as PNG.

use std::fmt::Write;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Pixel, Size};
use embedded_graphics::text::{Alignment, Text};

pub const WIDTH: f64 = 760.0;
pub const HEIGHT: f64 = 480.0;

/// Pixels for a unit of the page.
const SCALE: f64 = 2.0;

/// A colour: red, green and blue.
pub type Colour = [u8; 3];

/// A line's strokes and gaps in turn; none for an unbroken one.
pub type Dashes = Option<(f64, f64)>;

/// A place on the page, from its upper left.
pub type Place = (f64, f64);

/// On which side of its place a text stands.
#[derive(Clone, Copy)]
pub enum Side {
    Right,
    Middle,
    Left,
}

enum Mark {
    Line(Vec<Place>, Colour, f64, Dashes),
    Dot(Place, Colour),
    Text(Place, Colour, Side, String),
}

/// What stands on a page, in the order of drawing.
#[derive(Default)]
pub struct Page {
    marks: Vec<Mark>,
}

impl Page {
    pub fn line(&mut self, points: Vec<Place>, colour: Colour, width: f64, dashes: Dashes) {
        self.marks.push(Mark::Line(points, colour, width, dashes));
    }

    pub fn dot(&mut self, at: Place, colour: Colour) {
        self.marks.push(Mark::Dot(at, colour));
    }

    pub fn text(&mut self, at: Place, colour: Colour, side: Side, text: impl Into<String>) {
        self.marks.push(Mark::Text(at, colour, side, text.into()));
    }

    pub fn svg(&self) -> String {
        let mut page = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        for mark in &self.marks {
            match mark {
                Mark::Line(points, colour, width, dashes) => {
                    let path: Vec<String> = points
                        .iter()
                        .map(|(across, down)| format!("{across:.1},{down:.1}"))
                        .collect();
                    let dashes = dashes.map_or("none".to_owned(), |(on, off)| format!("{on} {off}"));
                    writeln!(
                        page,
                        "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-dasharray=\"{dashes}\" \
                         points=\"{}\"/>",
                        hex(*colour),
                        path.join(" ")
                    )
                    .unwrap();
                }
                Mark::Dot((across, down), colour) => writeln!(
                    page,
                    "<circle cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"4\" fill=\"{}\"/>",
                    hex(*colour)
                )
                .unwrap(),
                Mark::Text((across, down), colour, side, text) => {
                    let anchor = match side {
                        Side::Right => "start",
                        Side::Middle => "middle",
                        Side::Left => "end",
                    };
                    writeln!(
                        page,
                        "<text x=\"{across:.1}\" y=\"{down:.1}\" fill=\"{}\" text-anchor=\"{anchor}\">{text}</text>",
                        hex(*colour)
                    )
                    .unwrap();
                }
            }
        }
        page + "</svg>\n"
    }

    pub fn png(&self) -> Vec<u8> {
        let mut canvas = Canvas::new();
        for mark in &self.marks {
            match mark {
                Mark::Line(points, colour, width, dashes) => canvas.line(points, *colour, *width, *dashes),
                Mark::Dot(at, colour) => canvas.stroke(*at, *at, *colour, 8.0),
                Mark::Text(at, colour, side, text) => canvas.text(*at, *colour, *side, text),
            }
        }
        canvas.encode()
    }
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Pixels.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    fn new() -> Self {
        let (width, height) = ((WIDTH * SCALE) as usize, (HEIGHT * SCALE) as usize);
        Self {
            width,
            height,
            pixels: vec![[255; 3]; width * height],
        }
    }

    fn line(&mut self, points: &[Place], colour: Colour, width: f64, dashes: Dashes) {
        let mut gone = 0.0;
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let at = |way: f64| {
                let share = way / length;
                (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
            };
            let Some((on, off)) = dashes else {
                self.stroke(from, to, colour, width);
                continue;
            };
            // Strokes go on over the corners of the line.
            let mut way = 0.0;
            while way < length {
                let phase = (gone + way) % (on + off);
                let left = if phase < on { on - phase } else { on + off - phase };
                let end = (way + left.max(1e-6)).min(length);
                if phase < on {
                    self.stroke(at(way), at(end), colour, width);
                }
                way = end;
            }
            gone += length;
        }
    }

    /// A straight stroke with round ends; a dot, where it goes nowhere. The edge of a pixel is mixed by how near it is.
    fn stroke(&mut self, from: Place, to: Place, colour: Colour, width: f64) {
        let [from, to] = [from, to].map(|(across, down)| (across * SCALE, down * SCALE));
        let half = width * SCALE / 2.0;
        let (across, down) = (to.0 - from.0, to.1 - from.1);
        let square = across * across + down * down;
        let range = |one: f64, other: f64, end: usize| {
            let low = (one.min(other) - half - 1.0).max(0.0) as usize;
            let high = (one.max(other) + half + 2.0).max(0.0) as usize;
            low..high.min(end)
        };
        for y in range(from.1, to.1, self.height) {
            for x in range(from.0, to.0, self.width) {
                let (right, below) = (x as f64 + 0.5 - from.0, y as f64 + 0.5 - from.1);
                let along = if square > 0.0 {
                    ((right * across + below * down) / square).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let away = (right - along * across).hypot(below - along * down);
                let cover = (half + 0.5 - away).clamp(0.0, 1.0);
                let pixel = &mut self.pixels[y * self.width + x];
                for (was, is) in pixel.iter_mut().zip(colour) {
                    *was = (f64::from(*was) + (f64::from(is) - f64::from(*was)) * cover).round() as u8;
                }
            }
        }
    }

    fn text(&mut self, (across, down): Place, [red, green, blue]: Colour, side: Side, text: &str) {
        let style = MonoTextStyle::new(&FONT_10X20, Rgb888::new(red, green, blue));
        let at = ((across * SCALE) as i32, (down * SCALE) as i32);
        let side = match side {
            Side::Right => Alignment::Left,
            Side::Middle => Alignment::Center,
            Side::Left => Alignment::Right,
        };
        // Letters that would stand outside are left out by `draw_iter`.
        Text::with_alignment(text, at.into(), style, side)
            .draw(self)
            .unwrap();
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(self.pixels.as_flattened()).unwrap();
        writer.finish().unwrap();
        bytes
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else {
                continue;
            };
            if x < self.width && y < self.height {
                self.pixels[y * self.width + x] = [colour.r(), colour.g(), colour.b()];
            }
        }
        Ok(())
    }
}
