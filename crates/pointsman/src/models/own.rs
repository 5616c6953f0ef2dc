//! Models that understand prompts: those that ship and those of a configuration, listed and verified.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use pointsman_config::Config;
use pointsman_semantics::engine::Engine;
use pointsman_understanding::{
    Origin, Role, SHIPPED, UnderstandingConfig, UnderstandingModelConfig, WeightsKept, engine, published,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::List;
use crate::console;
use crate::route::configuration;

/// What the ledger and the lists call this machine.
pub(super) const HERE: &str = "pointsman";

#[derive(Args)]
pub(super) struct Verify {
    /// A folder or file, the name of a model of the configuration, or of one in the hub's cache; the shipped weights when
    /// absent.
    what: Option<String>,
    /// The configuration; ./pointsman.yaml where there is one.
    #[arg(short, long)]
    config: Option<PathBuf>,
}

/// A model that understands prompts.
#[derive(Serialize)]
pub(super) struct Own {
    id: String,
    provider: &'static str,
    kind: &'static str,
    /// Where it is.
    origin: String,
    /// Bytes of its file, or of its folder's weights.
    size: u64,
    /// SHA-256 of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Bytes of its weights in memory.
    memory: Option<usize>,
    /// What it can be asked.
    heads: Vec<String>,
    /// Why it can't be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl List {
    /// Whether models that understand prompts are among those that were asked for.
    fn wants_own(&self, id: &str) -> bool {
        let provider = self.provider.is_empty() || self.provider.iter().any(|name| name == HERE);
        let kind = self
            .kind
            .is_none_or(|kind| kind == pointsman_catalog::Kind::Embedding);
        let text = self
            .text
            .as_ref()
            .is_none_or(|text| id.contains(&text.to_lowercase()));
        provider && kind && text && self.feature.is_empty() && self.min_context.is_none()
    }
}

/// Those that were asked for.
pub(super) fn all(list: &List, config: &Config) -> Vec<Own> {
    let config = &config.understanding;
    let mut all = Vec::new();
    if list.wants_own(SHIPPED.name) {
        all.push(main(config));
    }
    let further = config.models.iter().filter(|(name, _)| list.wants_own(name));
    all.extend(further.map(|(name, model)| one(name, model)));
    all
}

/// Tells them below the table.
pub(super) fn tell(all: &[Own]) {
    if all.is_empty() {
        return;
    }
    console::say("");
    console::say("understanding prompts, on this machine and free:");
    for own in all {
        let memory = own
            .memory
            .map_or_else(String::new, |bytes| format!(", {} MiB in memory", bytes >> 20));
        console::say(format!(
            "{}  {} ({:.1} MB{memory})",
            own.id,
            own.origin,
            megabytes(own.size)
        ));
        if let Some(problem) = &own.problem {
            console::say(format!("  can't be loaded: {problem}"));
        }
        if !own.heads.is_empty() {
            console::say(format!("  {}", own.heads.join(", ")));
        }
        if let Some(hash) = &own.sha256 {
            console::say(format!("  sha256 {hash}"));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "for reading")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The main model.
fn main(config: &UnderstandingConfig) -> Own {
    let (origin, size, sha256) = if config.is_shipped() {
        (
            "built in".to_owned(),
            SHIPPED.bytes.len() as u64,
            Some(SHIPPED.sha256.to_owned()),
        )
    } else {
        let size = weights_in(Path::new(&config.model));
        (config.model.clone(), size, None)
    };
    let loaded = engine::load(config);
    Own {
        id: SHIPPED.name.to_owned(),
        provider: HERE,
        kind: "embedding",
        origin,
        size,
        sha256,
        memory: loaded.as_ref().ok().map(Engine::bytes),
        heads: loaded.as_ref().map(asked).unwrap_or_default(),
        problem: loaded.err().map(|error| error.to_string()),
    }
}

/// What an engine can be asked.
fn asked(engine: &Engine) -> Vec<String> {
    let heads = engine.heads().iter();
    let heads = heads.map(|(head, _)| format!("{} ({})", head.name, head.labels.len()));
    let taggers = engine.taggers().iter();
    let taggers = taggers.map(|named| format!("{} ({} kinds)", named.name, named.tagger.classes.kinds.len()));
    let mut all: Vec<String> = heads.chain(taggers).collect();
    if engine.everything().embedding {
        all.push("embedding".to_owned());
    }
    all
}

/// A further model.
fn one(name: &str, config: &UnderstandingModelConfig) -> Own {
    let (origin, folder) = match config.origin() {
        Some(Origin::Folder(folder)) => (folder.display().to_string(), Some(folder.clone())),
        Some(Origin::Hub(hub)) => (format!("{hub} in the hub's cache"), published::in_hub_cache(hub)),
        Some(Origin::Provider { provider, model }) => (format!("{model} at {provider}"), None),
        None => (String::new(), None),
    };
    let is_here = !matches!(config.origin(), Some(Origin::Provider { .. }));
    let loaded = is_here.then(|| published::load(name, config));
    let ready = loaded.as_ref().and_then(|loaded| loaded.as_ref().ok());
    Own {
        id: name.to_owned(),
        provider: HERE,
        kind: config.role.name(),
        origin,
        size: folder.as_deref().map_or(0, weights_in),
        sha256: None,
        memory: ready.map(|loaded| loaded.model.encoder.bytes()),
        heads: ready.map_or_else(Vec::new, |loaded| match config.role {
            Role::Embedding => vec![format!("{} dimensions", loaded.dimensions())],
            _ => loaded.labels().to_vec(),
        }),
        problem: loaded.and_then(Result::err).map(|error| error.to_string()),
    }
}

/// Bytes of the weights at a place.
fn weights_in(place: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    if place.is_file() {
        return size(place);
    }
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let weights = entries.map(|entry| entry.path()).filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "safetensors" || extension == "weights")
    });
    weights.map(|path| size(&path)).sum()
}

/// Checks from end to end what was named.
pub(super) fn verify(arguments: &Verify) -> ExitCode {
    let begun = Instant::now();
    let config = match configuration(arguments.config.as_deref()) {
        Ok(config) => config.understanding,
        Err(code) => return code,
    };
    let checked = match arguments.what.as_deref() {
        None => shipped(),
        Some(name) if name == SHIPPED.name => shipped(),
        Some(name) => match config.models.get(name) {
            Some(model) => further(name, model),
            None => place(name),
        },
    };
    match checked {
        Ok(told) => {
            console::say(format!("{told}: good, in {} ms", begun.elapsed().as_millis()));
            ExitCode::SUCCESS
        }
        Err(problem) => console::fail(&problem),
    }
}

/// The hash of what is built in, and everything that it holds.
fn shipped() -> Result<String, String> {
    let hash = hex(&Sha256::digest(SHIPPED.bytes));
    if hash != SHIPPED.sha256 {
        return Err(format!(
            "the program is damaged: its weights have the hash {hash}, and had {} when they were built in",
            SHIPPED.sha256
        ));
    }
    let engine = engine::load(&UnderstandingConfig::default()).map_err(|error| error.to_string())?;
    Ok(format!(
        "{} ({}), sha256 {hash}",
        SHIPPED.name,
        asked(&engine).join(", ")
    ))
}

fn further(name: &str, config: &UnderstandingModelConfig) -> Result<String, String> {
    if let Some(Origin::Provider { provider, .. }) = config.origin() {
        return Err(format!(
            "{name:?} is at the provider {provider:?}: there is nothing here to verify"
        ));
    }
    let loaded = published::load(name, config).map_err(|error| error.to_string())?;
    Ok(describe(name, &loaded))
}

/// A file of weights, a folder, or a name of the hub.
fn place(name: &str) -> Result<String, String> {
    let path = Path::new(name);
    if path.is_file() || path.join("understand.weights").is_file() {
        let config = UnderstandingConfig {
            model: name.to_owned(),
            ..UnderstandingConfig::default()
        };
        let engine = engine::load(&config).map_err(|error| error.to_string())?;
        return Ok(format!("{name} ({})", asked(&engine).join(", ")));
    }
    let folder = if path.is_dir() {
        path.to_owned()
    } else {
        published::in_hub_cache(name).ok_or_else(|| {
            format!("there is no file, folder or configured model {name:?}, and it is not in the hub's cache")
        })?
    };
    let loaded = published::load_folder(&folder, WeightsKept::Bytes, 8_192, &[])
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(describe(name, &loaded))
}

fn describe(name: &str, loaded: &published::Loaded) -> String {
    let what = match loaded.role() {
        Role::Embedding => format!("vectors of {} dimensions", loaded.dimensions()),
        role => format!("{}: {}", role.name(), loaded.labels().join(", ")),
    };
    format!("{name} ({}, {what})", loaded.model.architecture)
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
