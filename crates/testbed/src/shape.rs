//! Shapes of JSON: tables of the fields a provider knows, and the walk that finds the first thing it would refuse.
//!
//! The walk only says where and what; each provider says it in its own words.

use serde_json::{Map, Value};

/// What a value has to be.
pub(crate) enum Kind {
    Any,
    Text,
    Bool,
    Int,
    Number,
    /// A number within these bounds.
    Within(f64, f64),
    /// An integer of at least this.
    AtLeast(i64),
    /// Base64 of something.
    Base64,
    /// An object of anything.
    Map,
    Object(&'static Shape),
    /// An object with exactly one of these fields.
    Union(&'static Shape),
    List(&'static Kind),
    /// An object whose values are of one kind.
    Each(&'static Kind),
    OneOf(&'static [&'static str]),
    /// A text, or something else.
    TextOr(&'static Kind),
    /// An object whose shape is told by a field of it.
    Tagged(&'static str, &'static [(&'static str, &'static Shape)]),
}

/// The fields of an object.
pub(crate) struct Shape(pub(crate) &'static [Field]);

/// A field: name, kind, and whether it must be there.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// A field that must be there.
pub(crate) const fn req(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// A field that may be there.
pub(crate) const fn opt(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Index(usize),
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Unknown,
    Missing,
    /// Not of this type.
    Type(&'static str),
    /// None of these words.
    Choice(&'static [&'static str]),
    /// A tag that tells no shape: the field of the tag.
    Tag(&'static str, Vec<&'static str>),
    Below(f64),
    Above(f64),
    NotBase64,
    /// Not exactly one field of a union.
    Union,
}

/// The first thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// From the root, outermost first.
    pub(crate) path: Vec<Step>,
    pub(crate) what: What,
    pub(crate) found: Box<Value>,
}

impl Problem {
    fn new(what: What, found: &Value) -> Self {
        Self {
            path: Vec::new(),
            what,
            found: Box::new(found.clone()),
        }
    }

    fn at(mut self, step: Step) -> Self {
        self.path.insert(0, step);
        self
    }

    /// `messages.0.content`.
    pub(crate) fn dotted(&self) -> String {
        let steps = self.path.iter().map(|step| match step {
            Step::Field(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }

    /// `messages[0].content`.
    pub(crate) fn bracketed(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => text.push_str(&format!("[{index}]")),
                Step::Field(name) if text.is_empty() => text.push_str(name),
                Step::Field(name) => text.push_str(&format!(".{name}")),
            }
        }
        text
    }

    /// The last name of the path.
    pub(crate) fn name(&self) -> &str {
        match self.path.last() {
            Some(Step::Field(name)) => name,
            _ => "",
        }
    }
}

/// What kind of JSON a value is.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "decimal",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Finds the first thing that is wrong with a value.
pub(crate) fn check(value: &Value, kind: &'static Kind) -> Result<(), Problem> {
    let must = |good: bool, expected: &'static str| {
        if good {
            Ok(())
        } else {
            Err(Problem::new(What::Type(expected), value))
        }
    };
    match kind {
        Kind::Any => Ok(()),
        Kind::Text => must(value.is_string(), "string"),
        Kind::Bool => must(value.is_boolean(), "boolean"),
        Kind::Int => must(value.is_i64() || value.is_u64(), "integer"),
        Kind::Number => must(value.is_number(), "number"),
        Kind::Map => must(value.is_object(), "object"),
        Kind::Within(least, most) => {
            must(value.is_number(), "number")?;
            within(value, *least, *most)
        }
        Kind::AtLeast(least) => {
            must(value.is_i64() || value.is_u64(), "integer")?;
            within(value, *least as f64, f64::MAX)
        }
        Kind::Base64 => {
            must(value.is_string(), "string")?;
            let good = crate::media::decode(value.as_str().unwrap_or_default()).is_some();
            if good {
                Ok(())
            } else {
                Err(Problem::new(What::NotBase64, value))
            }
        }
        Kind::OneOf(words) => {
            must(value.is_string(), "string")?;
            if value.as_str().is_some_and(|word| words.contains(&word)) {
                Ok(())
            } else {
                Err(Problem::new(What::Choice(words), value))
            }
        }
        Kind::TextOr(other) => {
            if value.is_string() {
                Ok(())
            } else {
                check(value, other)
            }
        }
        Kind::List(_) | Kind::Each(_) => each(value, kind),
        Kind::Object(_) | Kind::Union(_) | Kind::Tagged(..) => object(value, kind),
    }
}

fn within(value: &Value, least: f64, most: f64) -> Result<(), Problem> {
    let number = value.as_f64().unwrap_or_default();
    if number < least {
        Err(Problem::new(What::Below(least), value))
    } else if number > most {
        Err(Problem::new(What::Above(most), value))
    } else {
        Ok(())
    }
}

fn each(value: &Value, kind: &'static Kind) -> Result<(), Problem> {
    match (kind, value) {
        (Kind::List(kind), Value::Array(all)) => all
            .iter()
            .enumerate()
            .try_for_each(|(at, one)| check(one, kind).map_err(|problem| problem.at(Step::Index(at)))),
        (Kind::Each(kind), Value::Object(all)) => all.iter().try_for_each(|(name, one)| {
            check(one, kind).map_err(|problem| problem.at(Step::Field(name.clone())))
        }),
        (Kind::List(_), _) => Err(Problem::new(What::Type("array"), value)),
        _ => Err(Problem::new(What::Type("object"), value)),
    }
}

fn object(value: &Value, kind: &'static Kind) -> Result<(), Problem> {
    let Value::Object(all) = value else {
        return Err(Problem::new(What::Type("object"), value));
    };
    match kind {
        Kind::Object(shape) => fields(all, shape, None),
        Kind::Union(shape) => {
            fields(all, shape, None)?;
            if all.values().filter(|value| !value.is_null()).count() == 1 {
                Ok(())
            } else {
                Err(Problem::new(What::Union, value))
            }
        }
        Kind::Tagged(tag, shapes) => {
            let Some(said) = all.get(*tag) else {
                return Err(Problem::new(What::Missing, &Value::Null).at(Step::Field((*tag).to_owned())));
            };
            let found = shapes.iter().find(|(name, _)| Some(*name) == said.as_str());
            let Some((_, shape)) = found else {
                let words = shapes.iter().map(|(name, _)| *name).collect();
                return Err(Problem::new(What::Tag(tag, words), said));
            };
            fields(all, shape, Some(tag))
        }
        _ => Ok(()),
    }
}

fn fields(all: &Map<String, Value>, shape: &'static Shape, tag: Option<&str>) -> Result<(), Problem> {
    for field in shape.0 {
        let step = || Step::Field(field.name.to_owned());
        match all.get(field.name) {
            // Nothing is as good as null where a field may be missing.
            None | Some(Value::Null) if !field.required => {}
            None | Some(Value::Null) => {
                return Err(Problem::new(What::Missing, &Value::Null).at(step()));
            }
            Some(value) => check(value, &field.kind).map_err(|problem| problem.at(step()))?,
        }
    }
    let known = |name: &str| Some(name) == tag || shape.0.iter().any(|field| field.name == name);
    match all.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, value)) => Err(Problem::new(What::Unknown, value).at(Step::Field(name.clone()))),
    }
}

/// Renames fields that are known under another spelling.
pub(crate) fn respell(value: &mut Value, kind: &'static Kind, spell: fn(&str) -> String) {
    match (kind, value) {
        (Kind::List(kind), Value::Array(all)) => {
            all.iter_mut().for_each(|one| respell(one, kind, spell));
        }
        (Kind::Each(kind), Value::Object(all)) => {
            all.values_mut().for_each(|one| respell(one, kind, spell));
        }
        (Kind::Object(shape) | Kind::Union(shape), Value::Object(all)) => {
            let old = std::mem::take(all);
            for (name, mut value) in old {
                let spelled = spell(&name);
                let found = shape.0.iter().find(|field| field.name == spelled);
                if let Some(field) = found {
                    respell(&mut value, &field.kind, spell);
                }
                all.insert(if found.is_some() { spelled } else { name }, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static INNER: Shape = Shape(&[
        req("x", Kind::Int),
        opt("y", Kind::List(&Kind::OneOf(&["a", "b"]))),
    ]);
    static OUTER: Shape = Shape(&[opt(
        "list",
        Kind::List(&Kind::Tagged("type", &[("inner", &INNER)])),
    )]);

    static ROOT: Kind = Kind::Object(&OUTER);

    #[test]
    fn the_first_problem_is_found_with_its_path() {
        let find = |value: Value| check(&value, &ROOT).unwrap_err();
        let problem = find(json!({"list": [{"type": "inner", "x": 1}, {"type": "inner"}]}));
        assert_eq!(
            (problem.dotted().as_str(), problem.what),
            ("list.1.x", What::Missing)
        );
        let problem = find(json!({"list": [{"type": "inner", "x": 1, "y": ["a", "c"]}]}));
        assert_eq!(problem.bracketed(), "list[0].y[1]");
        assert_eq!(
            find(json!({"list": [{"type": "outer"}]})).what,
            What::Tag("type", vec!["inner"])
        );
        assert_eq!(find(json!({"lisp": []})).what, What::Unknown);
        assert!(check(&json!({"list": [{"type": "inner", "x": 1, "y": null}]}), &ROOT).is_ok());
    }
}
