//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write;

use crate::histogram::Histogram;

/// Writes metrics, family by family.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// Names and values of a series' labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family; its series follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value.
    pub fn value(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        self.series(name, labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// One value with a fraction.
    pub fn fraction(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.series(name, labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// A histogram; `scale` turns its unit into the metric's (microseconds into seconds: 1e-6).
    pub fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram, scale: f64) {
        let (buckets, count, sum) = histogram.snapshot();
        let bucket = format!("{name}_bucket");
        for (bound, below) in buckets {
            self.series(&bucket, labels, Some(&trimmed(bound as f64 * scale)));
            let _ = writeln!(self.text, " {below}");
        }
        self.series(&bucket, labels, Some("+Inf"));
        let _ = writeln!(self.text, " {count}");
        self.fraction(&format!("{name}_sum"), labels, sum as f64 * scale);
        self.value(&format!("{name}_count"), labels, count);
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn series(&mut self, name: &str, labels: Labels<'_>, le: Option<&str>) {
        self.text.push_str(name);
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        let mut first = true;
        for (label, value) in all {
            self.text.push(if first { '{' } else { ',' });
            first = false;
            let _ = write!(self.text, "{label}=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !first {
            self.text.push('}');
        }
    }
}

/// A bound without the noise of binary fractions: `0.00025`, not `0.00024999999999999995`.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_bounds_are_readable() {
        let histogram = Histogram::new(&[250, 1000]);
        histogram.observe(300);
        let mut exposition = Exposition::default();
        exposition.family("t_seconds", "histogram", "Time.");
        exposition.histogram("t_seconds", &[("a", "x\"y\\z\n")], &histogram, 1e-6);
        let text = exposition.finish();
        assert!(
            text.contains("t_seconds_bucket{a=\"x\\\"y\\\\z\\n\",le=\"0.00025\"} 0\n"),
            "{text}"
        );
        assert!(text.contains("le=\"0.001\"} 1\n"), "{text}");
        assert!(text.contains("le=\"+Inf\"} 1\n"), "{text}");
        assert!(
            text.contains("t_seconds_count{a=\"x\\\"y\\\\z\\n\"} 1\n"),
            "{text}"
        );
    }
}
