//! `pointsman models pull`: a model from the hub into the hub's own cache, where its own tools find it, too.

mod cache;
mod hub;

use std::process::ExitCode;

use clap::Args;
use pointsman_understanding::published;
use secrecy::SecretString;

use self::cache::Cache;
use self::hub::{Hub, Listed};
use crate::console;

/// Where the hub is, unless `HF_ENDPOINT` says otherwise.
const HUB: &str = "https://huggingface.co";

#[derive(Args)]
pub(super) struct Pull {
    /// The model's name on the hub: `owner/name`.
    repo: String,
    /// A branch, tag or commit.
    #[arg(long, default_value = "main")]
    revision: String,
}

pub(super) async fn run(arguments: &Pull) -> ExitCode {
    match pull(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => console::fail(&format!("{}: {problem}", arguments.repo)),
    }
}

async fn pull(arguments: &Pull) -> Result<(), String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let root = published::hub_cache().ok_or("there is no home for the hub's cache: set HF_HOME")?;
    let cache = Cache::open(&root, &arguments.repo, &arguments.revision)?;
    let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
    let token = set("HF_TOKEN")
        .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
        .map(SecretString::from);
    let hub = Hub::new(&endpoint, token)?;
    let listed = hub.list(&arguments.repo, &arguments.revision).await?;
    let wanted: Vec<&Listed> = listed.files.iter().filter(|file| is_wanted(&file.name)).collect();
    if !wanted.iter().any(|file| file.name == "config.json") {
        return Err("it has no config.json: it is no model that can be loaded".to_owned());
    }
    for file in wanted {
        let place = cache.place(&listed.commit, &file.name)?;
        if cache.has(&place, file)? {
            console::say(format!("  {} is there", file.name));
        } else {
            let bytes = hub
                .download((&arguments.repo, &listed.commit), file, &cache)
                .await?;
            console::say(format!("  {} ({:.1} MB)", file.name, bytes as f64 / 1e6));
        }
        cache.link(&place, file)?;
    }
    cache.point_to(&listed.commit)?;
    let folder = cache.snapshot(&listed.commit);
    console::say(format!("{} is in {}", arguments.repo, folder.display()));
    Ok(())
}

/// Whether a file is one that loading reads: settings, tokenizer, weights, modules.
fn is_wanted(name: &str) -> bool {
    const OTHERS: [&str; 6] = ["onnx/", "openvino/", "coreml/", "runs/", "checkpoint-", "tf_"];
    let plain = !OTHERS.iter().any(|other| name.starts_with(other));
    let ending = name.rsplit('.').next().unwrap_or_default();
    plain && matches!(ending, "json" | "txt" | "safetensors")
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn only_what_loading_reads_is_fetched() {
        for name in [
            "config.json",
            "model.safetensors",
            "vocab.txt",
            "1_Pooling/config.json",
        ] {
            assert!(is_wanted(name), "{name}");
        }
        for name in [
            "pytorch_model.bin",
            "onnx/config.json",
            "README.md",
            ".gitattributes",
            "tf_model.h5",
        ] {
            assert!(!is_wanted(name), "{name}");
        }
    }
}
