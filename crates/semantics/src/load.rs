//! Models from folders as their authors publish them: settings, tokenizer, weights, labels; adapters merged at load.
//!
//! Everything is checked while it is read: a folder that is damaged, cut off or not what it says gives an error that names
//! the file and the key or tensor, and never a model.

mod ask;
mod bert;
mod config;
mod deberta;
mod decoder;
mod heads;
mod hub;
mod modern;
mod parts;
mod tensors;

use std::path::{Path, PathBuf};

pub use ask::{AskError, AskRoom};
pub use heads::{Layer, Pooling, Purpose, Task, normalise};
pub use hub::cached;

use crate::encoder::Encoder;
use crate::error::LoadError;
use crate::linear::Precision;
use crate::tokenize::{Tokenizer, WordPiece, WordPieceOptions};
use config::{Config, read_small};
use tensors::{Files, Tensors};

/// How a folder is loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// What weights are kept in.
    pub precision: Precision,
    /// The longest sequence that is accepted; the model's own bound where that is lower.
    pub longest: usize,
    /// Folders of LoRA adapters that are merged, in this order.
    pub adapters: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            precision: Precision::Int8,
            longest: 8_192,
            adapters: Vec::new(),
        }
    }
}

/// The longest sequence that may be asked for.
const LONGEST: usize = 32_768;

/// A published model, ready to be asked.
#[derive(Debug)]
pub struct Model {
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Tokens to rows.
    pub encoder: Encoder,
    /// What stands on the rows.
    pub purpose: Purpose,
    /// The architecture, as its settings name it.
    pub architecture: String,
}

/// What the readers of architectures share.
struct Source<'a> {
    config: &'a Config,
    tensors: &'a Tensors<'a>,
    precision: Precision,
    longest: usize,
}

/// Loads the model in `folder`.
///
/// # Errors
///
/// If a file is missing or damaged, a tensor is missing or of another shape, or a setting asks for what this engine lacks.
pub fn load(folder: &Path, options: &Options) -> Result<Model, LoadError> {
    let config = Config::read(folder, "config.json")?;
    let adapters: Vec<&Path> = options.adapters.iter().map(PathBuf::as_path).collect();
    let files = Files::read(folder, &adapters)?;
    let tensors = Tensors::new(&files)?;
    let source = Source {
        config: &config,
        tensors: &tensors,
        precision: options.precision,
        longest: options.longest.clamp(1, LONGEST),
    };
    let architecture = config.word_or("model_type", "")?.to_owned();
    check_class(&config, &architecture)?;
    let encoder = match architecture.as_str() {
        "bert" | "roberta" | "xlm-roberta" | "camembert" => bert::read(&source)?,
        "distilbert" => bert::read_distilled(&source)?,
        "modernbert" => modern::read(&source)?,
        "deberta-v2" => deberta::read(&source)?,
        "qwen3" => decoder::read_qwen(&source)?,
        "gemma3_text" => decoder::read_gemma(&source)?,
        other => {
            let known = "bert, roberta, xlm-roberta, camembert, distilbert, modernbert, deberta-v2, qwen3, gemma3_text";
            return Err(config.refuse("model_type", format!("is `{other}`; this engine has {known}")));
        }
    };
    let tokenizer = tokenizer(folder)?;
    if tokenizer.size() > encoder.embeddings.words.rows() {
        let problem = format!(
            "has pieces up to number {}, but the model knows {}: they do not belong together",
            tokenizer.size() - 1,
            encoder.embeddings.words.rows()
        );
        return Err(LoadError::malformed("tokenizer.json", problem));
    }
    let purpose = heads::read(&source, &architecture, folder, encoder.width)?;
    tensors.finish()?;
    Ok(Model {
        tokenizer,
        encoder,
        purpose,
        architecture,
    })
}

/// Fails if the class that wrote the weights is one of another architecture.
fn check_class(config: &Config, architecture: &str) -> Result<(), LoadError> {
    let family = match architecture {
        "bert" => "Bert",
        "roberta" => "Roberta",
        "xlm-roberta" => "XLMRoberta",
        "camembert" => "Camembert",
        "distilbert" => "DistilBert",
        "modernbert" => "ModernBert",
        "deberta-v2" => "DebertaV2",
        "qwen3" => "Qwen3",
        "gemma3_text" => "Gemma3",
        _ => return Ok(()),
    };
    match config
        .words("architectures")?
        .and_then(|names| names.first().copied())
    {
        Some(class) if !class.starts_with(family) => Err(config.refuse(
            "architectures",
            format!("says `{class}`, but `model_type` is `{architecture}`"),
        )),
        _ => Ok(()),
    }
}

/// `tokenizer.json`, or a BERT vocabulary.
fn tokenizer(folder: &Path) -> Result<Tokenizer, LoadError> {
    let path = folder.join("tokenizer.json");
    let vocabulary = folder.join("vocab.txt");
    if path.exists() || !vocabulary.exists() {
        return Tokenizer::from_json("tokenizer.json", &read_small(&path)?);
    }
    let bytes = read_small(&vocabulary)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|error| LoadError::malformed("vocab.txt", error.to_string()))?;
    let mut options = WordPieceOptions::default();
    if folder.join("tokenizer_config.json").exists() {
        let config = Config::read(folder, "tokenizer_config.json")?;
        options.lowercase = config.flag_or("do_lower_case", true)?;
        options.strip_accents = config.flag_or("strip_accents", options.lowercase)?;
        options.split_chinese = config.flag_or("tokenize_chinese_chars", true)?;
    }
    Ok(Tokenizer::WordPiece(WordPiece::from_vocabulary(
        "vocab.txt",
        text,
        options,
    )?))
}
