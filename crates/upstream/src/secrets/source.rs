//! What a manager gives, and how it is named.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::credential::CredentialError;

/// Longest name of a secret.
const LONGEST: usize = 1_024;

/// Something that secrets are read from.
pub trait SecretSource: Send + Sync {
    /// Reads what stands at a path now.
    fn read<'a>(&'a self, path: &'a str) -> Reading<'a>;
}

/// What is read, once it is there.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<Document, CredentialError>> + Send + 'a>>;

/// A name of a secret: `vault:secret/openai#api_key`. No secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Which manager.
    pub scheme: String,
    /// Where it keeps it.
    pub path: String,
    /// Which part of it.
    pub field: Option<String>,
}

impl Reference {
    /// Reads what stands between `${` and `}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').ok_or("names no manager")?;
        let (path, field) = match rest.split_once('#') {
            Some((path, field)) => (path, Some(field)),
            None => (rest, None),
        };
        let path = path.trim_matches('/');
        if path.is_empty() || field == Some("") {
            return Err(format!("write it like ${{{scheme}:PATH#FIELD}}"));
        }
        let is_odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if text.len() > LONGEST || path.split('/').any(is_odd) || text.chars().any(char::is_control) {
            return Err("is not the path of a secret".to_owned());
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            path: path.to_owned(),
            field: field.map(str::to_owned),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.path)?;
        match &self.field {
            Some(field) => write!(f, "#{field}"),
            None => Ok(()),
        }
    }
}

/// What stands at a path: one text, or fields with names. It shows names and never values.
#[derive(Clone)]
pub struct Document(Kind);

#[derive(Clone)]
enum Kind {
    Text(SecretString),
    Fields(BTreeMap<String, SecretString>),
}

impl Document {
    /// One text.
    #[must_use]
    pub fn text(text: impl Into<SecretString>) -> Self {
        Self(Kind::Text(text.into()))
    }

    /// Fields with names.
    pub fn fields(fields: impl IntoIterator<Item = (String, SecretString)>) -> Self {
        Self(Kind::Fields(fields.into_iter().collect()))
    }

    /// Fields of a JSON object: texts as they are, everything else as JSON.
    pub(super) fn object(fields: &serde_json::Map<String, Value>) -> Self {
        Self::fields(fields.iter().map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (name.clone(), text.into())
        }))
    }

    /// A field of it; of a text, a field of the JSON that it is.
    ///
    /// # Errors
    /// When there is none of this name, in words that hold no value.
    pub fn take(&self, field: Option<&str>) -> Result<SecretString, String> {
        let fields = match (&self.0, field) {
            (Kind::Text(text), None) => return Ok(text.clone()),
            (Kind::Text(text), Some(_)) => {
                let read = serde_json::from_str::<Value>(text.expose_secret());
                let Ok(Value::Object(fields)) = read else {
                    return Err("is not JSON with fields: leave #FIELD out".to_owned());
                };
                return Self::object(&fields).take(field);
            }
            (Kind::Fields(fields), _) => fields,
        };
        let names = || fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match field {
            Some(field) => fields
                .get(field)
                .cloned()
                .ok_or_else(|| format!("has no field {field:?}; it has {}", names())),
            None if fields.len() == 1 => fields.values().next().cloned().ok_or_else(String::new),
            None => Err(format!("has several fields: say which, by #FIELD ({})", names())),
        }
    }

    /// Whether both hold the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same = |one: &SecretString, two: &SecretString| one.expose_secret() == two.expose_secret();
        match (&self.0, &other.0) {
            (Kind::Text(one), Kind::Text(two)) => same(one, two),
            (Kind::Fields(one), Kind::Fields(two)) => {
                one.len() == two.len()
                    && one
                        .iter()
                        .zip(two)
                        .all(|((name, value), (other, known))| name == other && same(value, known))
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Text(_) => f.write_str("Document([secret])"),
            Kind::Fields(fields) => write!(f, "Document({:?})", fields.keys().collect::<Vec<_>>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_odd_ones_refused() {
        let read = Reference::parse("vault:secret/team a/openai#api_key").unwrap();
        assert_eq!(
            (read.path.as_str(), read.field.as_deref()),
            ("secret/team a/openai", Some("api_key"))
        );
        let arn = "aws:arn:aws:secretsmanager:eu-west-1:111:secret:openai-AbCdEf";
        let read = Reference::parse(arn).unwrap();
        assert_eq!((read.scheme.as_str(), read.to_string().as_str()), ("aws", arn));
        for odd in [
            "vault:",
            "vault:#x",
            "vault:a#",
            "vault:a/../b#x",
            "vault:a//b",
            "vault:a\n#x",
        ] {
            assert!(Reference::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn fields_are_found_and_nothing_is_shown() {
        let json = serde_json::json!({"key": "s3cr3t", "port": 5432});
        let document = Document::object(json.as_object().unwrap());
        assert_eq!(document.take(Some("key")).unwrap().expose_secret(), "s3cr3t");
        assert_eq!(document.take(Some("port")).unwrap().expose_secret(), "5432");
        let told = document.take(Some("kee")).unwrap_err();
        assert!(told.contains("key, port") && !told.contains("s3cr3t"), "{told}");
        assert!(document.take(None).is_err());
        let text = Document::text(json.to_string());
        assert_eq!(text.take(Some("key")).unwrap().expose_secret(), "s3cr3t");
        let told = Document::text("s3cr3t").take(Some("key")).unwrap_err();
        assert!(!format!("{told}{document:?}{text:?}").contains("s3cr3t"));
        assert!(document.is(&document.clone()) && !document.is(&text));
    }
}
