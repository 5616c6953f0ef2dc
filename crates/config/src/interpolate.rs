//! Variables: `${NAME}`, `${NAME:-default}`, `${file:PATH}`; `$$` is a dollar.
//!
//! What a variable holds may be a secret: it is never part of a message.

use std::path::PathBuf;

use crate::mask::Mask;
use crate::node::{File, Node, Value};
use crate::problem::Problem;

/// The value of a variable, if it is set.
type Lookup<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// Where variables come from.
pub struct Environment<'a> {
    lookup: Lookup<'a>,
    names: Vec<String>,
}

impl<'a> Environment<'a> {
    /// The environment of the process.
    #[must_use]
    pub fn process() -> Self {
        let names = std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect();
        Self {
            lookup: Box::new(|name| std::env::var(name).ok()),
            names,
        }
    }

    /// An environment of one's own.
    #[must_use]
    pub fn of(variables: &'a [(&'a str, &'a str)]) -> Self {
        let names = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
        let find = move |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Self {
            lookup: Box::new(find),
            names,
        }
    }
}

/// Puts variables into every text of the tree.
pub(crate) fn interpolate(
    node: &mut Node,
    environment: &Environment<'_>,
    file: File<'_>,
    path: &str,
    found: &mut Found,
) {
    match &mut node.value {
        Value::Text { text, .. } if text.contains('$') => match resolve(text, environment, found) {
            // Where the schema wants a number, it becomes one later; a key of nothing but digits stays a text.
            Ok(resolved) => {
                node.value = Value::Text {
                    text: resolved,
                    plain: true,
                }
            }
            Err(wrong) => {
                let mut problem = file.problem(node.place, path, wrong.message);
                problem.suggestion = wrong.suggestion;
                found.problems.push(problem);
            }
        },
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                interpolate(item, environment, file, &format!("{path}[{index}]"), found);
            }
        }
        Value::Map(entries) => {
            for (key, _, node) in entries {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                interpolate(node, environment, file, &path, found);
            }
        }
        _ => {}
    }
}

/// What interpolation came upon.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) problems: Vec<Problem>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) mask: Mask,
}

struct Wrong {
    message: String,
    suggestion: Option<String>,
}

fn wrong(message: String) -> Wrong {
    Wrong {
        message,
        suggestion: None,
    }
}

fn resolve(text: &str, environment: &Environment<'_>, found: &mut Found) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let Some(end) = inside.find('}') else {
                return Err(wrong("\"${\" without its \"}\"".to_owned()));
            };
            out.push_str(&variable(&inside[..end], environment, found)?);
            rest = &inside[end + 1..];
        } else {
            // A dollar alone is a dollar: patterns end in one.
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(expression: &str, environment: &Environment<'_>, found: &mut Found) -> Result<String, Wrong> {
    if let Some(path) = expression.strip_prefix("file:") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong(format!("the file {path:?} cannot be read: {error}")))?;
        found.files.push(PathBuf::from(path));
        found.mask.hide(&text);
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    if let Some((scheme, _)) = expression
        .split_once(':')
        .filter(|(_, rest)| !rest.starts_with('-'))
    {
        return Err(wrong(format!(
            "secrets from {scheme:?} are not supported in this version; use a variable or file:PATH"
        )));
    }
    let (name, default) = expression
        .split_once(":-")
        .map_or((expression, None), |(name, default)| (name, Some(default)));
    let value = (environment.lookup)(name).filter(|value| !value.is_empty() || default.is_none());
    if let Some(value) = value {
        found.mask.hide(&value);
        return Ok(value);
    }
    if let Some(default) = default {
        return Ok(default.to_owned());
    }
    let near = environment
        .names
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known));
    let near = near
        .filter(|(near, _)| *near > 0.85)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    Err(Wrong {
        message: format!("the environment variable {name} is not set"),
        suggestion: near.map(|(_, known)| known.clone()),
    })
}
