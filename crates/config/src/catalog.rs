//! The block `catalog`: providers, models and prices of one's own; in the file itself or in files beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pointsman_catalog::{Additions, Catalog, Date, ModelFacts, ProviderFacts};
use pointsman_wire::format::Format;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{check, coerce, nearest};
use crate::document;
use crate::interpolate::{Environment, Found, interpolate};
use crate::node::{File, Node, Place};
use crate::problem::Problem;
use crate::types::Config;

/// Most files that a catalog may be made of.
const MAX_FILES: usize = 64;

/// Providers, models and prices of one's own, over those of the catalog.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// Files with `providers` and `models` as here; relative to this one. What stands here wins, then later files.
    pub files: Vec<PathBuf>,
    /// Providers by id: new ones, or other facts of known ones.
    pub providers: BTreeMap<String, ProviderFacts>,
    /// Models by provider and id: new ones, or other facts of known ones.
    pub models: BTreeMap<String, BTreeMap<String, ModelFacts>>,
}

impl CatalogConfig {
    /// The catalog of the binary with these additions over it.
    #[must_use]
    pub fn build(&self) -> Catalog {
        Catalog::with(&Additions {
            providers: self.providers.clone(),
            models: self.models.clone(),
        })
    }

    /// Takes what `other` has and this has not.
    fn under(&mut self, other: Self) {
        for (id, facts) in other.providers {
            self.providers.entry(id).or_insert(facts);
        }
        for (provider, models) in other.models {
            let own = self.models.entry(provider).or_default();
            for (id, facts) in models {
                own.entry(id).or_insert(facts);
            }
        }
    }
}

/// Reads the files of the block into it.
pub(crate) fn read_files(
    config: &mut Config,
    root: &Node,
    main: File<'_>,
    environment: &Environment<'_>,
    found: &mut Found<'_>,
) {
    let folder = Path::new(main.name).parent().unwrap_or_else(|| Path::new(""));
    let files = config.catalog.files.clone();
    if files.len() > MAX_FILES {
        let path = "catalog.files";
        let message = format!("at most {MAX_FILES} files");
        found
            .problems
            .push(main.problem(root.place_of(path), path, message));
        return;
    }
    for (index, file) in files.iter().enumerate().rev() {
        let file = folder.join(file);
        let path = format!("catalog.files[{index}]");
        match std::fs::read_to_string(&file) {
            Err(error) => {
                let message = format!("{} cannot be read: {error}", file.display());
                found
                    .problems
                    .push(main.problem(root.place_of(&path), path, message));
            }
            Ok(text) => {
                let name = file.display().to_string();
                match read_file(&text, File { name: &name }, environment, found) {
                    Ok(read) => config.catalog.under(read),
                    Err(problems) => found.problems.extend(problems),
                }
            }
        }
        found.files.push(file);
    }
}

fn read_file(
    text: &str,
    file: File<'_>,
    environment: &Environment<'_>,
    found: &mut Found<'_>,
) -> Result<CatalogConfig, Vec<Problem>> {
    let mut root = document::read(text, file)?;
    interpolate(&mut root, environment, file, "", found);
    let schema = schemars::schema_for!(CatalogConfig).to_value();
    coerce(&mut root, &schema, &schema);
    let mut problems = check(&root, &schema, file);
    if root.field("files").is_some() {
        problems.push(file.problem(
            root.place_of("files"),
            "files",
            "a file of a catalog names no further files",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_path_to_error::deserialize(root.json()).map_err(|error| {
        let path = error.path().to_string();
        vec![file.problem(root.place_of(&path), path, error.inner().to_string())]
    })
}

/// What is wrong with a catalog of one's own, as path and message, with a suggestion where there is one.
pub(crate) fn wrong(config: &CatalogConfig, catalog: &Catalog) -> Vec<(String, String, Option<String>)> {
    let mut problems = Vec::new();
    for (id, provider) in &config.providers {
        let path = format!("catalog.providers.{id}");
        for (format, to) in provider.formats.iter().flatten() {
            if Format::from_name(format).is_none() {
                let known = Format::ALL.map(Format::name);
                let message = format!("there is no format {format:?}; there are {}", known.join(", "));
                problems.push((
                    format!("{path}.formats.{format}"),
                    message,
                    nearest(format, known.into_iter()),
                ));
            }
            if !to.starts_with('/') {
                problems.push((format!("{path}.formats.{format}"), starts_with_slash(), None));
            }
        }
        for (endpoint, to) in provider.endpoints.iter().flatten() {
            if !to.starts_with('/') {
                problems.push((format!("{path}.endpoints.{endpoint}"), starts_with_slash(), None));
            }
        }
        if provider
            .base_url
            .as_ref()
            .is_some_and(|url| !url.starts_with("http"))
        {
            problems.push((
                format!("{path}.base_url"),
                "must be an http or https URL".to_owned(),
                None,
            ));
        }
        for alias in &provider.aliases {
            let other = catalog
                .provider(alias)
                .filter(|other| other.id != *id && !other.aliases.contains(id));
            if let Some(other) = other {
                let message = format!("{alias:?} is a name of {:?} already", other.id);
                problems.push((format!("{path}.aliases"), message, None));
            }
        }
    }
    for provider in config.models.keys() {
        if catalog.provider(provider).is_none() {
            let known = catalog.providers().map(|known| known.id.as_str());
            let message = format!("there is no provider {provider:?}; add it under catalog.providers");
            problems.push((
                format!("catalog.models.{provider}"),
                message,
                nearest(provider, known),
            ));
        }
    }
    problems
}

fn starts_with_slash() -> String {
    "a path under the base URL starts with a slash".to_owned()
}

/// Models of the configuration that their providers retire: one warning a place.
pub(crate) fn retiring(config: &Config, catalog: &Catalog, today: Date) -> Vec<(String, String)> {
    let mut warnings = Vec::new();
    let mut look = |path: String, provider: &str, model: &str| {
        let Some(configured) = config.providers.get(provider) else {
            return;
        };
        let kind = configured.kind.as_deref().unwrap_or(provider);
        let Some(facts) = catalog.model(kind, model) else {
            return;
        };
        let Some(day) = facts.deprecated else { return };
        let verb = if day <= today {
            "went away on"
        } else {
            "goes away on"
        };
        let next = match &facts.successor {
            Some(successor) => format!("; its provider recommends {successor:?}"),
            None => String::new(),
        };
        warnings.push((path, format!("the model {model:?} {verb} {day}{next}")));
    };
    for (name, model) in &config.models {
        for (index, target) in model.targets.iter().enumerate() {
            look(
                format!("models.{name}.targets[{index}].model"),
                &target.provider,
                &target.model,
            );
        }
    }
    for (name, provider) in &config.providers {
        for (index, model) in provider.models.iter().enumerate() {
            look(format!("providers.{name}.models[{index}]"), name, model);
        }
    }
    warnings
}

/// Warnings, in their places.
pub(crate) fn warnings(config: &Config, root: &Node, file: File<'_>) -> Vec<Problem> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    retiring(config, &config.catalog.build(), Date::of(now.as_secs()))
        .into_iter()
        .map(|(path, message)| {
            let place: Place = root.place_of(&path);
            file.problem(place, path, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_goes_away_is_told_with_its_day_and_successor() {
        let mut config: Config = serde_json::from_value(serde_json::json!({
            "providers": { "openai": {}, "mine": { "kind": "acme", "models": ["old", "new"] } },
            "models": { "m": { "targets": [
                { "provider": "openai", "model": "gpt-5.1-codex" },
                { "provider": "openai", "model": "gpt-4o-mini-transcribe-nobody" }
            ] } },
            "catalog": {
                "providers": { "acme": { "base_url": "https://acme.example/v1" } },
                "models": { "acme": { "old": { "deprecated": "2027-01-31", "successor": "new" }, "new": {} } }
            }
        }))
        .unwrap();
        let told =
            |config: &Config, day: &str| retiring(config, &config.catalog.build(), Date::parse(day).unwrap());
        let warnings = told(&config, "2026-06-01");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(warnings[0].0, "models.m.targets[0].model");
        assert!(
            warnings[0].1.ends_with("; its provider recommends \"gpt-5\""),
            "{warnings:?}"
        );
        assert_eq!(
            warnings[1],
            (
                "providers.mine.models[0]".to_owned(),
                "the model \"old\" goes away on 2027-01-31; its provider recommends \"new\"".to_owned()
            )
        );
        assert!(
            told(&config, "2027-01-31")[1]
                .1
                .contains("went away on 2027-01-31")
        );
        config.models.clear();
        config.providers.clear();
        assert!(told(&config, "2026-06-01").is_empty());
    }
}
