//! How values are written in paths, queries, headers and cookies: the styles of the OpenAPI specification (3.1.1,
//! "Style Values" and "Style Examples"), which are those of RFC 6570 where that has them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// All but what RFC 3986 calls unreserved.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same for a query that takes reserved letters as they are; never those that end a value or the query.
const LOOSE: &AsciiSet = &STRICT
    .remove(b':')
    .remove(b'/')
    .remove(b'?')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// A style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `;a=1`, in paths.
    Matrix,
    /// `.1`, in paths.
    Label,
    /// `1`, in paths and headers.
    Simple,
    /// `a=1`, in queries and cookies.
    Form,
    /// `a=1%202`, in queries.
    Space,
    /// `a=1%7C2`, in queries.
    Pipe,
    /// `a=1%092`, in queries of Swagger 2.
    Tab,
    /// `a[b]=1`, in queries.
    Deep,
}

impl Style {
    /// The style of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "matrix" => Self::Matrix,
            "label" => Self::Label,
            "simple" => Self::Simple,
            "form" => Self::Form,
            "spaceDelimited" => Self::Space,
            "pipeDelimited" => Self::Pipe,
            "tabDelimited" => Self::Tab,
            "deepObject" => Self::Deep,
            _ => return None,
        })
    }

    /// What stands between the values of a list, as it is sent.
    fn between(self) -> &'static str {
        match self {
            Self::Space => "%20",
            Self::Pipe => "%7C",
            Self::Tab => "%09",
            _ => ",",
        }
    }
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The style.
    pub style: Style,
    /// Whether each value of a list or object stands for itself.
    pub explode: bool,
    /// Whether reserved letters stay as they are.
    pub reserved: bool,
}

/// Encodes a text for any place of a URL.
#[must_use]
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, STRICT).to_string()
}

/// A value that is one text.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Way {
    fn write(self, value: &Value) -> String {
        let set = if self.reserved { LOOSE } else { STRICT };
        utf8_percent_encode(&plain(value), set).to_string()
    }

    /// All values of a list or object, one after another, with the names of an object's before them.
    fn row(self, value: &Value) -> String {
        let written: Vec<String> = match value {
            Value::Array(list) => list.iter().map(|one| self.write(one)).collect(),
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, one)| [encoded(name), self.write(one)])
                .collect(),
            one => vec![self.write(one)],
        };
        written.join(self.style.between())
    }

    /// `name=value` for each value of an object.
    fn pairs(self, value: &Value) -> Option<Vec<String>> {
        let fields = value.as_object()?.iter();
        Some(
            fields
                .map(|(name, one)| format!("{}={}", encoded(name), self.write(one)))
                .collect(),
        )
    }

    /// In a path.
    #[must_use]
    pub fn in_path(self, name: &str, value: &Value) -> String {
        let name = encoded(name);
        let is_empty = plain(value).is_empty();
        match (self.style, self.explode, value) {
            (Style::Matrix, true, Value::Array(list)) => {
                let each = list.iter().map(|one| format!(";{name}={}", self.write(one)));
                each.collect()
            }
            (Style::Matrix, true, Value::Object(_)) => {
                let pairs = self.pairs(value).unwrap_or_default();
                pairs.iter().map(|pair| format!(";{pair}")).collect()
            }
            (Style::Matrix, ..) if is_empty => format!(";{name}"),
            (Style::Matrix, ..) => format!(";{name}={}", self.row(value)),
            (Style::Label, true, Value::Array(list)) => {
                list.iter().map(|one| format!(".{}", self.write(one))).collect()
            }
            (Style::Label, true, Value::Object(_)) => {
                let pairs = self.pairs(value).unwrap_or_default();
                pairs.iter().map(|pair| format!(".{pair}")).collect()
            }
            (Style::Label, ..) => format!(".{}", self.row(value)),
            (_, true, Value::Object(_)) => self.pairs(value).unwrap_or_default().join(","),
            _ => self.row(value),
        }
    }

    /// In a query, or in a form: parts that stand between `&`.
    #[must_use]
    pub fn in_query(self, name: &str, value: &Value) -> Vec<String> {
        let key = encoded(name);
        match (self.style, value) {
            (Style::Deep, Value::Object(_)) => {
                let mut parts = Vec::new();
                self.deep(&key, value, &mut parts);
                parts
            }
            (_, Value::Array(list)) if self.explode || self.style == Style::Deep => {
                let each = list.iter().map(|one| format!("{key}={}", self.write(one)));
                each.collect()
            }
            (Style::Form, Value::Object(_)) if self.explode => self.pairs(value).unwrap_or_default(),
            _ => vec![format!("{key}={}", self.row(value))],
        }
    }

    /// Objects in objects are not in the specification; this is how those write them that do.
    fn deep(self, key: &str, value: &Value, parts: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, one) in fields {
                    self.deep(&format!("{key}%5B{}%5D", encoded(name)), one, parts);
                }
            }
            Value::Array(list) => parts.extend(list.iter().map(|one| format!("{key}={}", self.write(one)))),
            one => parts.push(format!("{key}={}", self.write(one))),
        }
    }

    /// In a header, where nothing is encoded.
    #[must_use]
    pub fn in_header(self, value: &Value) -> String {
        match value {
            Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
            Value::Object(fields) => {
                let between = if self.explode { '=' } else { ',' };
                let pairs = fields
                    .iter()
                    .map(|(name, one)| format!("{name}{between}{}", plain(one)));
                pairs.collect::<Vec<_>>().join(",")
            }
            one => plain(one),
        }
    }

    /// In a cookie: pairs that stand between `; `.
    #[must_use]
    pub fn in_cookie(self, name: &str, value: &Value) -> Vec<String> {
        self.in_query(name, value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn way(style: &str, explode: bool) -> Way {
        Way {
            style: Style::of(style).unwrap(),
            explode,
            reserved: false,
        }
    }

    /// The table of the specification, line by line: style, explode, empty, string, array, object.
    #[test]
    #[rustfmt::skip]
    fn the_table_of_the_specification() {
        let values = [
            json!(""),
            json!("blue"),
            json!(["blue", "black", "brown"]),
            json!({ "R": 100, "G": 200, "B": 150 }),
        ];
        for (style, explode, expected) in [
            ("matrix", false, [";color", ";color=blue", ";color=blue,black,brown", ";color=R,100,G,200,B,150"]),
            ("matrix", true, [";color", ";color=blue", ";color=blue;color=black;color=brown", ";R=100;G=200;B=150"]),
            ("label", false, [".", ".blue", ".blue,black,brown", ".R,100,G,200,B,150"]),
            ("label", true, [".", ".blue", ".blue.black.brown", ".R=100.G=200.B=150"]),
            ("simple", false, ["", "blue", "blue,black,brown", "R,100,G,200,B,150"]),
            ("simple", true, ["", "blue", "blue,black,brown", "R=100,G=200,B=150"]),
        ] {
            for (value, expected) in values.iter().zip(expected) {
                assert_eq!(way(style, explode).in_path("color", value), expected, "{style} {explode} {value}");
            }
        }
        for (style, explode, expected) in [
            ("form", false, ["color=", "color=blue", "color=blue,black,brown", "color=R,100,G,200,B,150"]),
            ("form", true, ["color=", "color=blue", "color=blue&color=black&color=brown", "R=100&G=200&B=150"]),
            (
                "spaceDelimited",
                false,
                ["color=", "color=blue", "color=blue%20black%20brown", "color=R%20100%20G%20200%20B%20150"],
            ),
            (
                "pipeDelimited",
                false,
                ["color=", "color=blue", "color=blue%7Cblack%7Cbrown", "color=R%7C100%7CG%7C200%7CB%7C150"],
            ),
            (
                "deepObject",
                true,
                [
                    "color=",
                    "color=blue",
                    "color=blue&color=black&color=brown",
                    "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150",
                ],
            ),
            (
                "tabDelimited",
                false,
                ["color=", "color=blue", "color=blue%09black%09brown", "color=R%09100%09G%09200%09B%09150"],
            ),
        ] {
            for (value, expected) in values.iter().zip(expected) {
                let parts = way(style, explode).in_query("color", value);
                assert_eq!(parts.join("&"), expected, "{style} {explode} {value}");
            }
        }
        for (explode, expected) in [
            (false, ["", "blue", "blue,black,brown", "R,100,G,200,B,150"]),
            (true, ["", "blue", "blue,black,brown", "R=100,G=200,B=150"]),
        ] {
            for (value, expected) in values.iter().zip(expected) {
                assert_eq!(way("simple", explode).in_header(value), expected, "{explode} {value}");
            }
        }
    }

    #[test]
    fn letters_that_mean_something_are_encoded() {
        let value = json!("a/b?c#d&e=f ü%");
        assert_eq!(
            way("simple", false).in_path("x", &value),
            "a%2Fb%3Fc%23d%26e%3Df%20%C3%BC%25"
        );
        let loose = Way {
            reserved: true,
            ..way("form", true)
        };
        assert_eq!(
            loose.in_query("x y", &value),
            ["x%20y=a/b?c%23d%26e=f%20%C3%BC%25"]
        );
    }
}
