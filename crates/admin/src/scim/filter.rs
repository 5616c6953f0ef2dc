//! Filters of SCIM (RFC 7644, section 3.4.2.2): read within bounds, and asked of a resource as it is shown.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Bytes of a filter, at most.
const MAX_LENGTH: usize = 4_096;
/// How deep parentheses and brackets may stand in each other.
const MAX_DEPTH: u32 = 16;
/// Attributes whose case matters; that of all others does not.
const CASE_EXACT: [&str; 4] = ["id", "externalid", "$ref", "version"];

/// What a filter or a path names: an attribute, of a schema if it says so, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The schema, where it is an extension's.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// The part.
    pub part: Option<String>,
}

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// One of them holds.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// There is a value that says something.
    Present(Attribute),
    /// A value compares so.
    Compare(Attribute, Operator, Value),
    /// One of several values fulfils a filter of its own.
    Has(Attribute, Box<Filter>),
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// They are the same.
    Equal,
    /// They are not.
    NotEqual,
    /// One is in the other.
    Contains,
    /// One begins with the other.
    Starts,
    /// One ends with the other.
    Ends,
    /// One is later or larger.
    Greater,
    /// Or the same.
    GreaterOrEqual,
    /// One is earlier or smaller.
    Less,
    /// Or the same.
    LessOrEqual,
}

impl Operator {
    fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "co" => Self::Contains,
            "sw" => Self::Starts,
            "ew" => Self::Ends,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            _ => return None,
        })
    }
}

impl Attribute {
    /// Reads a name with its schema and part: `urn:…:User:name.givenName`.
    pub fn read(text: &str) -> Option<Self> {
        let is_urn = text
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
        let (schema, rest) = match text.rsplit_once(':') {
            Some((schema, rest)) if is_urn => (Some(schema), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (name, part) = rest
            .split_once('.')
            .map_or((rest, None), |(name, part)| (name, Some(part)));
        let is_name = |name: &str| {
            let first = name.bytes().next();
            first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'$')
                && name
                    .bytes()
                    .skip(1)
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte))
        };
        if !is_name(name) || !part.is_none_or(is_name) {
            return None;
        }
        let of_core = |schema: &&str| {
            !schema
                .to_ascii_lowercase()
                .starts_with("urn:ietf:params:scim:schemas:core:2.0")
        };
        Some(Self {
            schema: schema.filter(of_core).map(str::to_owned),
            name: name.to_owned(),
            part: part.map(str::to_owned),
        })
    }

    /// Its values in a resource, one by one; of several, each.
    fn values<'r>(&self, resource: &'r Map<String, Value>) -> Vec<&'r Value> {
        let of_schema = match &self.schema {
            Some(schema) => match get(resource, schema).and_then(Value::as_object) {
                Some(extension) => extension,
                None => return Vec::new(),
            },
            None => resource,
        };
        let Some(value) = get(of_schema, &self.name) else {
            return Vec::new();
        };
        let all = match value {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        };
        let part = |value: &'r Value| match (&self.part, value) {
            (Some(part), Value::Object(parts)) => get(parts, part),
            (Some(_), _) => None,
            // What several values are compared by.
            (None, Value::Object(parts)) => get(parts, "value").or(Some(value)),
            (None, one) => Some(one),
        };
        all.into_iter()
            .filter_map(part)
            .filter(|value| !value.is_null())
            .collect()
    }

    fn is_case_exact(&self) -> bool {
        let last = self.part.as_ref().unwrap_or(&self.name).to_ascii_lowercase();
        CASE_EXACT.contains(&last.as_str())
    }
}

/// A field by its name, in letters of any size.
pub fn get<'r>(fields: &'r Map<String, Value>, name: &str) -> Option<&'r Value> {
    fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

impl Filter {
    /// Reads a filter; nothing where it is none.
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let mut reader = Reader { rest: text, depth: 0 };
        let filter = reader.either()?;
        reader.rest.trim().is_empty().then_some(filter)
    }

    /// Whether a resource fulfils it.
    pub fn holds(&self, resource: &Map<String, Value>) -> bool {
        match self {
            Self::And(one, other) => one.holds(resource) && other.holds(resource),
            Self::Or(one, other) => one.holds(resource) || other.holds(resource),
            Self::Not(filter) => !filter.holds(resource),
            Self::Present(attribute) => {
                let says = |value: &&Value| match value {
                    Value::String(text) => !text.is_empty(),
                    Value::Object(parts) => !parts.is_empty(),
                    _ => true,
                };
                attribute.values(resource).iter().any(says)
            }
            Self::Compare(attribute, operator, expected) => {
                let values = attribute.values(resource);
                let exact = attribute.is_case_exact();
                let same = |value: &&Value| compares(value, Operator::Equal, expected, exact);
                match operator {
                    Operator::Equal if expected.is_null() => values.is_empty(),
                    Operator::NotEqual if expected.is_null() => !values.is_empty(),
                    Operator::NotEqual => !values.iter().any(same),
                    other => values
                        .iter()
                        .any(|value| compares(value, *other, expected, exact)),
                }
            }
            Self::Has(attribute, filter) => {
                let whole = Attribute {
                    part: None,
                    ..attribute.clone()
                };
                elements(resource, &whole)
                    .iter()
                    .any(|element| filter.holds(element))
            }
        }
    }

    /// Whether it asks for an attribute anywhere.
    pub fn asks(&self, name: &str) -> bool {
        match self {
            Self::And(one, other) | Self::Or(one, other) => one.asks(name) || other.asks(name),
            Self::Not(filter) => filter.asks(name),
            Self::Present(attribute) | Self::Compare(attribute, ..) | Self::Has(attribute, _) => {
                attribute.schema.is_none() && attribute.name.eq_ignore_ascii_case(name)
            }
        }
    }

    /// The text that an attribute must be, where that is all that is asked.
    pub fn only(&self, name: &str) -> Option<&str> {
        match self {
            Self::Compare(attribute, Operator::Equal, Value::String(text))
                if attribute.schema.is_none()
                    && attribute.part.is_none()
                    && attribute.name.eq_ignore_ascii_case(name) =>
            {
                Some(text)
            }
            _ => None,
        }
    }
}

/// The several values of an attribute, as objects.
fn elements<'r>(resource: &'r Map<String, Value>, attribute: &Attribute) -> Vec<&'r Map<String, Value>> {
    let of_schema = match &attribute.schema {
        Some(schema) => get(resource, schema).and_then(Value::as_object),
        None => Some(resource),
    };
    match of_schema.and_then(|fields| get(fields, &attribute.name)) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_object).collect(),
        Some(Value::Object(one)) => vec![one],
        _ => Vec::new(),
    }
}

fn compares(value: &Value, operator: Operator, expected: &Value, exact: bool) -> bool {
    let ordering = match (value, expected) {
        (Value::String(value), Value::String(expected)) => {
            let cased = |text: &str| {
                if exact {
                    text.to_owned()
                } else {
                    text.to_lowercase()
                }
            };
            let (text, wanted) = (cased(value), cased(expected));
            match operator {
                Operator::Contains => return text.contains(&wanted),
                Operator::Starts => return text.starts_with(&wanted),
                Operator::Ends => return text.ends_with(&wanted),
                _ => {}
            }
            match (value.parse::<Timestamp>(), expected.parse::<Timestamp>()) {
                (Ok(value), Ok(expected)) => value.cmp(&expected),
                _ => text.cmp(&wanted),
            }
        }
        (Value::Number(value), Value::Number(expected)) => {
            match value
                .as_f64()
                .zip(expected.as_f64())
                .and_then(|(value, expected)| value.partial_cmp(&expected))
            {
                Some(ordering) => ordering,
                None => return false,
            }
        }
        (Value::Bool(value), Value::Bool(expected)) => {
            return operator == Operator::Equal && value == expected;
        }
        _ => return false,
    };
    match operator {
        Operator::Equal => ordering == Ordering::Equal,
        Operator::Greater => ordering == Ordering::Greater,
        Operator::GreaterOrEqual => ordering != Ordering::Less,
        Operator::Less => ordering == Ordering::Less,
        Operator::LessOrEqual => ordering != Ordering::Greater,
        Operator::NotEqual | Operator::Contains | Operator::Starts | Operator::Ends => false,
    }
}

/// Reads a filter from left to right.
struct Reader<'t> {
    rest: &'t str,
    depth: u32,
}

impl Reader<'_> {
    fn either(&mut self) -> Option<Filter> {
        let mut filter = self.both()?;
        while self.takes_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        Some(filter)
    }

    fn both(&mut self) -> Option<Filter> {
        let mut filter = self.one()?;
        while self.takes_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Some(filter)
    }

    fn one(&mut self) -> Option<Filter> {
        let before = self.rest;
        if self.takes_word("not") {
            if self.takes('(') {
                return Some(Filter::Not(Box::new(self.inside(')')?)));
            }
            self.rest = before;
        }
        if self.takes('(') {
            return self.inside(')');
        }
        let attribute = self.attribute()?;
        if self.takes('[') {
            return Some(Filter::Has(attribute, Box::new(self.inside(']')?)));
        }
        let word = self.word();
        if word.eq_ignore_ascii_case("pr") {
            return Some(Filter::Present(attribute));
        }
        let operator = Operator::named(word)?;
        let value = self.value()?;
        let is_ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if is_ordered && (value.is_boolean() || value.is_null()) {
            return None;
        }
        Some(Filter::Compare(attribute, operator, value))
    }

    /// A filter up to what closes it.
    fn inside(&mut self, end: char) -> Option<Filter> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let filter = self.either()?;
        self.depth -= 1;
        self.takes(end).then_some(filter)
    }

    fn takes(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a word that stands by itself.
    fn takes_word(&mut self, expected: &str) -> bool {
        let before = self.rest;
        if self.word().eq_ignore_ascii_case(expected) {
            return true;
        }
        self.rest = before;
        false
    }

    fn word(&mut self) -> &str {
        let rest = self.rest.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn attribute(&mut self) -> Option<Attribute> {
        let rest = self.rest.trim_start();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-$:.".contains(c);
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (text, rest) = rest.split_at(end);
        self.rest = rest;
        Attribute::read(text)
    }

    /// A text, a number, `true`, `false` or `null`, as JSON writes them.
    fn value(&mut self) -> Option<Value> {
        let rest = self.rest.trim_start();
        if !rest.starts_with('"') {
            let end = rest
                .find(|c: char| c.is_whitespace() || c == ')' || c == ']')
                .unwrap_or(rest.len());
            let (word, rest) = rest.split_at(end);
            self.rest = rest;
            let value: Value = serde_json::from_str(word).ok()?;
            return (!value.is_array() && !value.is_object()).then_some(value);
        }
        let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let text = texts.next()?.ok()?;
        let end = texts.byte_offset();
        self.rest = rest.get(end..)?;
        Some(Value::String(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource() -> Map<String, Value> {
        let resource = json!({
            "id": "user_1", "externalId": "Ext-7", "userName": "Kim@Acme.example", "active": true,
            "name": {"givenName": "Kim", "familyName": "O'Neill \"K\""}, "title": "",
            "emails": [
                {"value": "kim@acme.example", "type": "work", "primary": true},
                {"value": "kim@home.example", "type": "home"},
            ],
            "meta": {"lastModified": "2026-11-24T12:00:00.000Z", "resourceType": "User"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Rails", "employeeNumber": "7"},
        });
        resource.as_object().unwrap().clone()
    }

    #[test]
    fn filters_hold_as_the_standard_says() {
        for (filter, holds) in [
            // The examples of RFC 7644, figure 2, as far as this resource has what they ask for.
            ("userName Eq \"kim@acme.example\"", true),
            ("name.familyName co \"O'Neill\"", true),
            ("userName sw \"KIM\"", true),
            (
                "urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"kim\"",
                true,
            ),
            ("title pr", false),
            ("meta.lastModified gt \"2011-05-13T04:42:34Z\"", true),
            ("meta.lastModified ge \"2026-11-24T13:00:00+01:00\"", true),
            ("meta.lastModified lt \"2011-05-13T04:42:34Z\"", false),
            ("meta.lastModified le \"2026-11-24T12:00:00Z\"", true),
            ("title pr and userType eq \"Employee\"", false),
            ("title pr or userName sw \"kim\"", true),
            (
                "schemas eq \"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\"",
                false,
            ),
            (
                "userType ne \"Employee\" and not (emails co \"example.com\" or emails.value co \"example.org\")",
                true,
            ),
            ("userType ne \"Employee\" and (emails.type eq \"work\")", true),
            ("emails[type eq \"work\" and value co \"@acme.example\"]", true),
            ("emails[type eq \"home\" and value co \"@acme.example\"]", false),
            (
                "emails[type eq \"work\" and value co \"@acme.example\"] or ims[type eq \"xmpp\"]",
                true,
            ),
            // Precedence: not before and before or.
            ("active eq true or active eq false and userName eq \"x\"", true),
            ("(active eq true or active eq false) and userName eq \"x\"", false),
            ("not (active eq true) or active eq true", true),
            // Case matters for ids alone.
            ("externalId eq \"Ext-7\"", true),
            ("externalId eq \"ext-7\"", false),
            ("USERNAME eq \"KIM@ACME.EXAMPLE\"", true),
            ("name.familyName ew \"\\\"k\\\"\"", true),
            ("userName ew \"example\"", true),
            ("active eq \"true\"", false),
            ("active ne false", true),
            ("nickName eq null", true),
            ("userName ne null", true),
            ("emails pr", true),
            ("ims pr", false),
            ("emails.primary eq true", true),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"rails\"",
                true,
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:Group:department pr",
                false,
            ),
            ("notes pr or userName pr", true),
        ] {
            let read = Filter::read(filter).unwrap_or_else(|| panic!("{filter}"));
            assert_eq!(read.holds(&resource()), holds, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}a pr{}", "(".repeat(100), ")".repeat(100));
        let long = format!("userName eq \"{}\"", "x".repeat(MAX_LENGTH));
        for wrong in [
            "",
            " ",
            "userName",
            "userName eq",
            "userName eq kim",
            "userName like \"kim\"",
            "userName eq \"kim",
            "userName eq \"kim\" and",
            "userName eq \"kim\" userName pr",
            "(userName pr",
            "userName pr)",
            "emails[type eq \"work\"",
            "not userName pr",
            "active gt true",
            "userName gt null",
            "userName eq [1]",
            "userName eq {}",
            "1name pr",
            "a.b.c pr",
            "x:userName pr",
            "' OR '1'='1",
            deep.as_str(),
            long.as_str(),
        ] {
            assert_eq!(Filter::read(wrong), None, "{wrong}");
        }
    }
}
