//! Variables: `${NAME}`, `${NAME:-default}`, `${file:PATH}`, `${vault:PATH#FIELD}` and other managers of secrets,
//! `${store:NAME}` for those of the database; `$$` is a dollar.
//!
//! What a variable holds may be a secret: it is never part of a message.

use std::path::PathBuf;
use std::sync::Arc;

use pointsman_store::{MasterKeys, StoredSecrets};
use pointsman_upstream::config::SecretsConfig;
use pointsman_upstream::secrets::{Reference, SCHEMES, SecretSource, Secrets, SecretsSession};
use secrecy::ExposeSecret;

use crate::mask::Mask;
use crate::node::{File, Node, Place, Value};
use crate::problem::Problem;
use crate::types::StoresConfig;

/// The block that says where the database is.
const STORES: &str = "stores";

/// The value of a variable, if it is set.
type Lookup<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// Where variables come from.
pub struct Environment<'a> {
    lookup: Lookup<'a>,
    names: Vec<String>,
    secrets: Option<Arc<Secrets>>,
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
            secrets: Some(Arc::default()),
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
            secrets: None,
        }
    }

    /// The same, with managers that are asked for secrets; what they say is kept there.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Arc<Secrets>) -> Self {
        self.secrets = Some(secrets);
        self
    }
}

/// Puts variables into every text of a document: first into the block that says where secrets are, which may hold none
/// itself.
pub(crate) fn interpolate_all<'a>(
    root: &mut Node,
    environment: &'a Environment<'_>,
    file: File<'_>,
    found: &mut Found<'a>,
) {
    const BLOCK: &str = "secrets";
    let mut managers = Some(SecretsConfig::default());
    let Value::Map(entries) = &mut root.value else {
        return;
    };
    for (key, _, node) in entries.iter_mut().filter(|(key, ..)| key == BLOCK) {
        interpolate(node, environment, file, key, found);
        // What is wrong with it is told when all is checked.
        managers = match &node.value {
            Value::Null => managers,
            _ => serde_json::from_value(node.json()).ok(),
        };
    }
    found.secrets = match (&environment.secrets, &managers) {
        (Some(secrets), Some(managers)) => Some(secrets.begin(managers)),
        _ => None,
    };
    // Where the database is must be known before it is asked for secrets: that may come of another manager.
    for (key, _, node) in entries.iter_mut().filter(|(key, ..)| key == STORES) {
        interpolate(node, environment, file, key, found);
    }
    if let (Some(secrets), Some(managers)) = (&mut found.secrets, managers) {
        let url = database(entries);
        secrets.offer("store", Box::new(move || stored(&managers, &url)));
    }
    for (key, _, node) in entries
        .iter_mut()
        .filter(|(key, ..)| key != BLOCK && key != STORES)
    {
        interpolate(node, environment, file, key, found);
    }
}

/// Where the database is, as far as the file says.
fn database(entries: &[(String, Place, Node)]) -> String {
    let stores = entries.iter().find(|(key, ..)| key == STORES);
    let said = stores.map(|(.., node)| node.json());
    let said = said.as_ref().and_then(|stores| stores.get("database")?.as_str());
    said.map_or_else(|| StoresConfig::default().database, str::to_owned)
}

/// The secrets of the database.
fn stored(managers: &SecretsConfig, url: &str) -> Result<Arc<dyn SecretSource>, String> {
    let keys = MasterKeys::read(managers)?;
    let keys = keys.ok_or("there is no master key: set secrets.store.keys, or POINTSMAN_MASTER_KEY")?;
    let opened = StoredSecrets::open(url, keys).map_err(|error| error.to_string())?;
    Ok(Arc::new(opened))
}

/// Puts variables into every text of the tree.
pub(crate) fn interpolate(
    node: &mut Node,
    environment: &Environment<'_>,
    file: File<'_>,
    path: &str,
    found: &mut Found<'_>,
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
#[derive(Default)]
pub(crate) struct Found<'a> {
    pub(crate) problems: Vec<Problem>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) mask: Mask,
    /// Where secrets are read, once it is known how.
    pub(crate) secrets: Option<SecretsSession<'a>>,
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

fn resolve(text: &str, environment: &Environment<'_>, found: &mut Found<'_>) -> Result<String, Wrong> {
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

fn variable(expression: &str, environment: &Environment<'_>, found: &mut Found<'_>) -> Result<String, Wrong> {
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
        return secret(scheme, expression, found);
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

/// What a manager keeps.
fn secret(scheme: &str, expression: &str, found: &mut Found<'_>) -> Result<String, Wrong> {
    if !SCHEMES.contains(&scheme) {
        let near = SCHEMES.iter().copied().chain(["file"]);
        let near = near.map(|known| (strsim::jaro_winkler(scheme, known), known));
        let near = near.filter(|(near, _)| *near > 0.7);
        return Err(Wrong {
            message: format!(
                "there are no secrets of {scheme:?}; there are file and {}",
                SCHEMES.join(", ")
            ),
            suggestion: near
                .max_by(|left, right| left.0.total_cmp(&right.0))
                .map(|(_, known)| known.to_owned()),
        });
    }
    let reference = Reference::parse(expression).map_err(|what| wrong(format!("{expression:?} {what}")))?;
    let Some(secrets) = &mut found.secrets else {
        return Err(wrong(
            "secrets of managers cannot be named within the block secrets, nor while that makes no sense"
                .to_owned(),
        ));
    };
    let value = secrets.get(&reference).map_err(wrong)?;
    found.mask.hide(value.expose_secret());
    Ok(value.expose_secret().to_owned())
}
