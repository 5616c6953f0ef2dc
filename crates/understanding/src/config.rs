//! The `understanding` block of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pointsman_semantics::service::Settings;
use pointsman_upstream::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// What says that the shipped weights are meant.
const SHIPPED: &str = "shipped";

/// How prompts are understood, on this machine.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnderstandingConfig {
    /// `shipped` for the weights that are built in, or a file of weights, or a folder with one (`understand.weights`).
    pub model: String,
    /// Threads that read prompts; as many as there are cores when absent.
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<usize>,
    /// Texts that may wait to be read; the next one is refused.
    #[schemars(range(min = 1, max = 65_536))]
    pub queue: usize,
    /// Longest wait for an answer.
    pub deadline: HumanDuration,
    /// Answers that are kept for those who ask the same again.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub kept: usize,
    /// Bytes of the longest text that is read.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub longest: usize,
    /// Further models, by the name that clients and other blocks call them.
    pub models: BTreeMap<String, UnderstandingModelConfig>,
}

impl Default for UnderstandingConfig {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            model: SHIPPED.to_owned(),
            threads: None,
            queue: settings.queue,
            deadline: HumanDuration::from_secs(2),
            kept: settings.kept,
            longest: settings.longest,
            models: BTreeMap::new(),
        }
    }
}

/// A further model: in a folder, in the hub's cache, or at a provider.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnderstandingModelConfig {
    /// What it is for.
    pub role: Role,
    /// The folder it lies in, as its authors publish it.
    pub path: Option<PathBuf>,
    /// Its name on the hub, such as `owner/name`: it is looked for in the hub's cache (`pointsman models pull` puts it
    /// there).
    pub hub: Option<String>,
    /// The provider of `providers` that has it.
    pub provider: Option<String>,
    /// The provider's name of it.
    pub model: Option<String>,
    /// Folders of LoRA adapters that are merged into it.
    #[serde(default)]
    pub adapters: Vec<PathBuf>,
    /// What its weights are kept in.
    #[serde(default)]
    pub weights: WeightsKept,
    /// Tokens of a window; the model's own bound where that is lower. Longer texts are read in several windows.
    #[schemars(range(min = 16, max = 32_768))]
    #[serde(default = "window")]
    pub window: usize,
    /// Dimensions of its vectors; the first ones, as Matryoshka models allow. All when absent.
    pub dimensions: Option<usize>,
    /// Blocks behind which its vectors are read. All when absent.
    pub blocks: Option<usize>,
    /// What it reads beside texts, of a model of vectors at a provider: signals with `query_modality` compare it.
    #[serde(default)]
    pub reads: Vec<Medium>,
    /// The head for which it answers in place of the shipped model: `domain`, `jailbreak`, `fact_check`, `feedback`, …; of
    /// tokens: `pii`.
    pub head: Option<String>,
    /// The label that says yes, where the head says yes or no: `jailbreak`, `fact_check`.
    pub positive: Option<String>,
    /// What its classes are called, in order, where its provider names only the likeliest (vLLM).
    #[serde(default)]
    pub labels: Vec<String>,
    /// The least probability that counts.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(default = "half")]
    pub threshold: f32,
}

fn window() -> usize {
    8_192
}

fn half() -> f32 {
    0.5
}

/// What is no text, and has a vector all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// Images.
    Image,
    /// Sound.
    Audio,
}

impl Medium {
    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
        }
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A class for a text.
    Texts,
    /// A class for each token: spans.
    Tokens,
    /// A vector for a text.
    Embedding,
}

impl Role {
    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Texts => "texts",
            Self::Tokens => "tokens",
            Self::Embedding => "embedding",
        }
    }
}

/// What weights are kept in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightsKept {
    /// Bytes: a quarter of the memory, and faster.
    #[default]
    Bytes,
    /// Floats, as they were trained.
    Floats,
}

/// Where a further model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<'a> {
    /// In a folder.
    Folder(&'a PathBuf),
    /// In the hub's cache, under this name.
    Hub(&'a str),
    /// At a provider, under this name.
    Provider {
        /// The provider.
        provider: &'a str,
        /// Its name of the model.
        model: &'a str,
    },
}

impl UnderstandingModelConfig {
    /// Where it is; none where that is not said, or said twice.
    #[must_use]
    pub fn origin(&self) -> Option<Origin<'_>> {
        match (&self.path, &self.hub, &self.provider) {
            (Some(folder), None, None) => Some(Origin::Folder(folder)),
            (None, Some(name), None) => Some(Origin::Hub(name)),
            (None, None, Some(provider)) => Some(Origin::Provider {
                provider,
                model: self.model.as_deref()?,
            }),
            _ => None,
        }
    }

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.origin().is_none() {
            let wanted = "say where it is: one of `path`, `hub`, or `provider` with `model`";
            problems.push(("", wanted.to_owned()));
        }
        let of_embedding = [
            ("dimensions", self.dimensions.is_some()),
            ("blocks", self.blocks.is_some()),
        ];
        for (name, said) in of_embedding {
            if said && self.role != Role::Embedding {
                problems.push((
                    name,
                    format!("is for models with `role: {}`", Role::Embedding.name()),
                ));
            }
            if said && name == "blocks" && self.provider.is_some() {
                problems.push((name, "a provider's model is asked as a whole".to_owned()));
            }
        }
        if !self.reads.is_empty() && (self.role != Role::Embedding || self.provider.is_none()) {
            let wanted =
                "is for models with `role: embedding` at a provider: those on this machine read texts alone";
            problems.push(("reads", wanted.to_owned()));
        }
        match (self.role, self.head.as_deref()) {
            (Role::Embedding, Some(_)) => {
                problems.push(("head", "an embedding model answers for no head".to_owned()));
            }
            (Role::Tokens, _) if self.provider.is_some() => {
                let wanted = "providers have no common way to tell spans; load the model on this machine";
                problems.push(("provider", wanted.to_owned()));
            }
            (Role::Tokens, Some(head)) if head != "pii" => {
                problems.push(("head", "a model of tokens answers for `pii`".to_owned()));
            }
            (Role::Texts, Some("jailbreak" | "fact_check")) if self.positive.is_none() => {
                let wanted = "is missing: which of its labels says yes?";
                problems.push(("positive", wanted.to_owned()));
            }
            _ => {}
        }
        problems
    }
}

impl UnderstandingConfig {
    /// Whether the shipped weights are meant.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.model == SHIPPED
    }

    /// What does not fit together, each with its place in the block.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.is_shipped() && !std::path::Path::new(&self.model).exists() {
            let message = format!(
                "{:?} is neither `shipped` nor a file or folder that is there",
                self.model
            );
            problems.push(("model".to_owned(), message));
        }
        let mut heads: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, model) in &self.models {
            let at = |field: &str| match field {
                "" => format!("models.{name}"),
                _ => format!("models.{name}.{field}"),
            };
            if name == pointsman_models::UNDERSTAND.name {
                problems.push((
                    at(""),
                    "is the name of the shipped model; take another".to_owned(),
                ));
            }
            let own = model.problems().into_iter();
            problems.extend(own.map(|(field, message)| (at(field), message)));
            if let Some(head) = &model.head
                && let Some(other) = heads.insert(head, name)
            {
                let message = format!("{other:?} answers for {head:?} already");
                problems.push((at("head"), message));
            }
            if let Some(Origin::Folder(folder)) = model.origin()
                && !folder.join("config.json").exists()
            {
                let message = format!(
                    "{} has no config.json: it is no folder of a model",
                    folder.display()
                );
                problems.push((at("path"), message));
            }
        }
        problems
    }

    /// How the service of the main model is run.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Settings {
            threads: self.threads.unwrap_or_else(cores).max(1),
            queue: self.queue,
            kept: self.kept,
            longest: self.longest,
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> UnderstandingConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        for (json, place) in [
            (r#"{"model":"/nowhere/at/all"}"#, "model"),
            (r#"{"models":{"a":{"role":"texts"}}}"#, "models.a"),
            (
                r#"{"models":{"a":{"role":"texts","hub":"x/y","path":"/z"}}}"#,
                "models.a",
            ),
            (r#"{"models":{"a":{"role":"texts","provider":"p"}}}"#, "models.a"),
            (
                r#"{"models":{"a":{"role":"texts","path":"/nowhere"}}}"#,
                "models.a.path",
            ),
            (
                r#"{"models":{"a":{"role":"texts","hub":"x/y","dimensions":8}}}"#,
                "models.a.dimensions",
            ),
            (
                r#"{"models":{"a":{"role":"embedding","hub":"x/y","reads":["image"]}}}"#,
                "models.a.reads",
            ),
            (
                r#"{"models":{"a":{"role":"embedding","hub":"x/y","head":"domain"}}}"#,
                "models.a.head",
            ),
            (
                r#"{"models":{"a":{"role":"tokens","hub":"x/y","head":"domain"}}}"#,
                "models.a.head",
            ),
            (
                r#"{"models":{"a":{"role":"texts","hub":"x/y","head":"jailbreak"}}}"#,
                "models.a.positive",
            ),
            (
                r#"{"models":{"pointsman-understand":{"role":"texts","hub":"x/y"}}}"#,
                "models.pointsman-understand",
            ),
        ] {
            let problems = read(json).problems();
            assert!(problems.iter().any(|(at, _)| at == place), "{json}: {problems:?}");
        }
        let twice = read(
            r#"{"models":{"a":{"role":"texts","hub":"x/y","head":"domain"},"b":{"role":"texts","hub":"x/z","head":"domain"}}}"#,
        );
        assert_eq!(twice.problems()[0].0, "models.b.head");
    }

    #[test]
    fn a_block_with_nothing_in_it_is_the_shipped_model() {
        let config = read("{}");
        assert!(config.is_shipped() && config.problems().is_empty());
        assert!(config.settings().threads >= 1);
    }
}
