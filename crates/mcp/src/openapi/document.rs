//! A document: which language it is written in, what its references lead to, and where it says that its API is.

use serde_json::Value;

use super::{swagger, text};

/// Most references that lead to one another.
const MAX_HOPS: usize = 16;

/// An OpenAPI 3 document, or a Swagger 2 one.
#[derive(Debug, Clone)]
pub struct Document {
    root: Value,
    is_swagger: bool,
}

/// How a document says that callers are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// A key in a header.
    Header(String),
    /// A key in the query.
    Query(String),
    /// A key in a cookie.
    Cookie(String),
    /// `Authorization: Basic …`.
    Basic,
    /// `Authorization: Bearer …`, and whatever ends in a token.
    Bearer,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let root = text::read(text)?;
        let version = |field: &str| {
            let said = root.get(field)?;
            Some(said.as_str().map_or_else(|| said.to_string(), str::to_owned))
        };
        let is_swagger = match (version("openapi"), version("swagger")) {
            (Some(version), _) if version.starts_with("3.0") || version.starts_with("3.1") => false,
            (None, Some(version)) if version.starts_with('2') => true,
            (Some(version), _) | (None, Some(version)) => {
                return Err(format!(
                    "it is written in version {version}; 3.1, 3.0 and Swagger 2.0 are read"
                ));
            }
            (None, None) => {
                return Err("it is no OpenAPI document: it has neither `openapi` nor `swagger`".to_owned());
            }
        };
        if !root.get("paths").is_some_and(Value::is_object) {
            return Err("it has no `paths`".to_owned());
        }
        Ok(Self { root, is_swagger })
    }

    /// Whether it is a Swagger 2 document.
    #[must_use]
    pub fn is_swagger(&self) -> bool {
        self.is_swagger
    }

    /// A field of the document.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.root.get(field)
    }

    /// What the document says of its API: title and description.
    #[must_use]
    pub fn about(&self) -> Option<String> {
        let info = self.root.get("info")?;
        let said = ["title", "description"];
        let said: Vec<&str> = said
            .iter()
            .filter_map(|field| info.get(field)?.as_str())
            .collect();
        (!said.is_empty()).then(|| said.join("\n\n").chars().take(4_096).collect())
    }

    /// Where the document says that its API is: the first of its servers, with the defaults of its variables.
    #[must_use]
    pub fn server(&self) -> Option<String> {
        if self.is_swagger {
            return swagger::server(&self.root);
        }
        let server = self.root.get("servers")?.get(0)?;
        let mut url = server.get("url")?.as_str()?.to_owned();
        for (name, variable) in server
            .get("variables")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let value = variable
                .get("default")
                .and_then(Value::as_str)
                .unwrap_or_default();
            url = url.replace(&format!("{{{name}}}"), value);
        }
        Some(url)
    }

    /// What a value stands for, after its references.
    ///
    /// # Errors
    /// When a reference leads out of the document, to nothing, or in a circle.
    pub fn resolve<'a>(&'a self, mut value: &'a Value) -> Result<&'a Value, String> {
        for _ in 0..MAX_HOPS {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Ok(value);
            };
            value = self.at(reference)?;
        }
        Err("its references go in a circle".to_owned())
    }

    /// What a reference leads to. Nothing is fetched.
    ///
    /// # Errors
    /// When it leads out of the document, or to nothing.
    pub fn at(&self, reference: &str) -> Result<&Value, String> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(format!("{reference:?} leads out of the document"));
        };
        let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
        let found = self.root.pointer(&pointer);
        found.ok_or_else(|| format!("{reference:?} leads to nothing"))
    }

    /// How callers are known, by its security schemes: those that it requires first.
    #[must_use]
    pub fn schemes(&self) -> Vec<Scheme> {
        let all = if self.is_swagger {
            self.root.get("securityDefinitions")
        } else {
            self.root.pointer("/components/securitySchemes")
        };
        let Some(all) = all.and_then(Value::as_object) else {
            return Vec::new();
        };
        let wanted = self.root.get("security").and_then(Value::as_array);
        let wanted = wanted
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|one| one.keys());
        let (mut first, mut rest): (Vec<&Value>, Vec<&Value>) = (Vec::new(), Vec::new());
        first.extend(wanted.filter_map(|name| all.get(name)));
        rest.extend(all.values());
        first
            .into_iter()
            .chain(rest)
            .filter_map(|scheme| scheme_of(self.resolve(scheme).ok()?))
            .collect()
    }
}

fn scheme_of(scheme: &Value) -> Option<Scheme> {
    let said = |field: &str| scheme.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = || said("name").to_owned();
    Some(match (said("type"), said("in")) {
        ("apiKey", "header") => Scheme::Header(name()),
        ("apiKey", "query") => Scheme::Query(name()),
        ("apiKey", "cookie") => Scheme::Cookie(name()),
        ("basic", _) => Scheme::Basic,
        ("http", _) if said("scheme").eq_ignore_ascii_case("basic") => Scheme::Basic,
        ("http", _) if said("scheme").eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        ("oauth2" | "openIdConnect", _) => Scheme::Bearer,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_not() {
        for (text, expected) in [
            ("openapi: 3.0.3\npaths: {}", None),
            ("openapi: '3.1.0'\npaths: {}", None),
            ("swagger: '2.0'\npaths: {}", None),
            ("openapi: 4.0.0\npaths: {}", Some("version 4.0.0")),
            ("openapi: 3.0.3", Some("no `paths`")),
            ("a: b", Some("no OpenAPI document")),
        ] {
            let read = Document::read(text).map(|_| ());
            match expected {
                None => assert!(read.is_ok(), "{text}: {read:?}"),
                Some(why) => assert!(read.unwrap_err().contains(why), "{text}"),
            }
        }
    }

    #[test]
    fn references_stay_inside() {
        let text = "openapi: 3.0.0\npaths: {}\na: {$ref: '#/b'}\nb: {$ref: '#/c~1d'}\nc/d: 1\nloop: {$ref: '#/loop'}\nout: {$ref: 'file:///etc/passwd'}";
        let document = Document::read(text).unwrap();
        let found = |name: &str| document.resolve(document.get(name).unwrap());
        assert_eq!(found("a").unwrap(), 1);
        assert!(found("loop").unwrap_err().contains("circle"));
        assert!(found("out").unwrap_err().contains("out of the document"));
    }

    #[test]
    fn servers_and_schemes() {
        let text = "openapi: 3.0.0\npaths: {}\nservers: [{url: 'https://{region}.example.com/v1', variables: {region: {default: eu}}}]\nsecurity: [{key: []}]\ncomponents: {securitySchemes: {oauth: {type: oauth2}, key: {type: apiKey, in: header, name: X-Key}}}";
        let document = Document::read(text).unwrap();
        assert_eq!(document.server().unwrap(), "https://eu.example.com/v1");
        assert_eq!(document.schemes()[0], Scheme::Header("X-Key".to_owned()));
        let old = Document::read("swagger: '2.0'\npaths: {}\nhost: api.example.com\nbasePath: /v2\nschemes: [http, https]\nsecurityDefinitions: {b: {type: basic}}").unwrap();
        assert_eq!(old.server().unwrap(), "https://api.example.com/v2");
        assert_eq!(old.schemes(), [Scheme::Basic]);
    }
}
