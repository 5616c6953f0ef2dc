//! LiteLLM's `config.yaml`.

mod cache;
mod catalog;
mod deployment;
mod group;
mod guardrails;
mod hints;
mod params;
mod price;
mod prompts;
mod provider;
mod router;
mod settings;

use std::path::Path;
use std::rc::Rc;

use pointsman_config::Problem;

use crate::draft::{Draft, Imported};
use crate::source::{self, Item};
use crate::variables::{is_secret_url, variable_name};
use crate::yaml::{Map, Yaml};

/// Most files that a configuration may include.
const MAX_INCLUDES: usize = 64;

/// What LiteLLM writes before the name of a variable.
const VARIABLE: &str = "os.environ/";

/// Carries LiteLLM's configuration over.
///
/// # Errors
/// When the file, or one that it includes, cannot be read or is no YAML.
pub fn litellm(path: &Path) -> Result<Imported, Vec<Problem>> {
    let main: Rc<str> = path.display().to_string().into();
    let files = Files::read(path)?;
    let mut import = Import {
        draft: Draft::new(),
        policy: Policy::default(),
    };
    import.reserve(&files);
    let aliases = router::policy(&mut import, &files);
    settings::carry(&mut import, &files);
    group::carry(&mut import, &files);
    router::links(&mut import, &files, &aliases);
    guardrails::carry(&mut import, &files);
    prompts::carry(&mut import, &files);
    for root in &files.roots {
        import.draft.sweep(root, &hints::HINTS);
    }
    import.draft.blocks.note(
        "identity",
        "Callers need a key of Pointsman: pointsman key create --name NAME",
    );
    Ok(import.draft.finish(&main, "LiteLLM"))
}

/// The file and those it includes.
struct Files {
    roots: Vec<Item>,
}

impl Files {
    fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut files = Self {
            roots: vec![one(path)?],
        };
        let mut included = Vec::new();
        if let Some(main) = files.roots.first()
            && let Some(list) = main.get("include")
        {
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            for item in list.items() {
                if included.len() == MAX_INCLUDES {
                    return Err(vec![problem(item, format!("at most {MAX_INCLUDES} files"))]);
                }
                if let Some(name) = item.text() {
                    included.push(one(&folder.join(name))?);
                }
            }
        }
        files.roots.extend(included);
        Ok(files)
    }

    /// The items of a list: those of included files follow.
    fn list(&self, name: &str) -> Vec<&Item> {
        let lists = self.roots.iter().filter_map(|root| root.get(name));
        lists.flat_map(Item::items).collect()
    }

    /// A mapping: that of the last file that has one.
    fn map(&self, name: &str) -> Option<&Item> {
        let found = self.roots.iter().rev().find_map(|root| root.get(name))?;
        // What has nothing in it counts as read.
        found.entries();
        Some(found)
    }

    /// Mappings that a later file replaces.
    fn replaced(&self) -> Vec<&Item> {
        let mut replaced = Vec::new();
        for (place, root) in self.roots.iter().enumerate() {
            let later = &self.roots[place + 1..];
            let again = |name: &str| later.iter().any(|root| root.get(name).is_some());
            replaced.extend(
                root.entries()
                    .iter()
                    .filter(|(name, item)| !item.entries().is_empty() && again(name))
                    .map(|(_, item)| item),
            );
        }
        replaced
    }
}

/// The only document of a file.
fn one(path: &Path) -> Result<Item, Vec<Problem>> {
    let file: Rc<str> = path.display().to_string().into();
    let mut documents = source::read(path)?.into_iter();
    let root = documents
        .next()
        .map(|node| Item::new(node, &file, "", ""))
        .ok_or_else(|| {
            vec![Problem {
                file: file.to_string(),
                line: 1,
                column: 1,
                path: String::new(),
                message: "there is nothing in it".to_owned(),
                suggestion: None,
            }]
        })?;
    if root.entries().is_empty() {
        return Err(vec![problem(&root, "is no mapping".to_owned())]);
    }
    match documents.next() {
        Some(second) => {
            let second = Item::new(second, &file, "", "");
            Err(vec![problem(&second, "only one document is allowed".to_owned())])
        }
        None => Ok(root),
    }
}

fn problem(item: &Item, message: String) -> Problem {
    Problem {
        file: item.file.to_string(),
        line: item.line,
        column: 1,
        path: item.path.clone(),
        message,
        suggestion: None,
    }
}

/// What holds for every deployment or model.
#[derive(Default)]
struct Policy {
    /// The block `health` of every provider.
    health: Map,
    /// The block `retry` of every model.
    retry: Map,
    /// The blocks `retry` of some models.
    retries: Vec<(String, Map)>,
    /// The block `balance` of every model with several targets.
    balance: Option<&'static str>,
    /// For requests.
    timeout: Option<String>,
    /// For streamed requests.
    stream_timeout: Option<String>,
    /// What the format of a provider does not know is left out.
    drop_params: bool,
    /// Azure without a key means Entra ID.
    azure_entra: bool,
    /// `rpm` and `tpm` of deployments are limits.
    limits: bool,
}

struct Import {
    draft: Draft,
    policy: Policy,
}

impl Import {
    /// Keeps the names of variables that the source uses for what it means by them.
    fn reserve(&mut self, files: &Files) {
        let mut texts = Vec::new();
        files.roots.iter().for_each(|root| root.texts(&mut texts));
        for name in texts.iter().filter_map(|text| text.strip_prefix(VARIABLE)) {
            self.draft.variables.reserve(name);
        }
        for item in files.replaced() {
            self.draft.report.lost(
                item,
                "an included file has this block, too, and replaces it as a whole, as LiteLLM does",
                "merge the two by hand if that was not meant",
            );
        }
    }

    /// The variable that a text names.
    fn variable(&mut self, item: &Item) -> Option<Yaml> {
        let name = item.peek()?.strip_prefix(VARIABLE)?.to_owned();
        item.accept();
        Some(self.draft.variables.known(&name))
    }

    /// A setting that is no secret.
    fn setting(&mut self, item: &Item) -> Option<Yaml> {
        self.variable(item)
            .or_else(|| item.text().filter(|text| !text.is_empty()).map(Yaml::text))
    }

    /// A secret: the variable that it names, or one that takes its place.
    fn secret(&mut self, item: &Item, wish: &str) -> Option<Yaml> {
        if item.peek().is_none_or(str::is_empty) {
            return None;
        }
        self.variable(item).or_else(|| {
            let Draft {
                variables, report, ..
            } = &mut self.draft;
            Some(variables.in_place_of(item, &variable_name(wish), report))
        })
    }

    /// A URL, changed by `tidy`; it is a secret when it may hold one.
    fn url(&mut self, item: &Item, wish: &str, tidy: impl Fn(&str) -> String) -> Option<Yaml> {
        match item.peek()? {
            text if !text.starts_with(VARIABLE) && is_secret_url(text) => self.secret(item, wish),
            text if !text.starts_with(VARIABLE) => {
                let tidied = Yaml::text(tidy(text));
                item.accept();
                Some(tidied)
            }
            _ => self.variable(item),
        }
    }
}
