//! What stands on an encoder's rows: a class for the text, a class for each token, or an embedding.

use std::path::Path;

use super::Source;
use super::config::Config;
use super::tensors::{Files, Tensors};
use crate::encoder::{Activation, Normaliser};
use crate::error::LoadError;
use crate::kernels::{self, Codes, Machine};
use crate::linear::{Linear, Precision};

/// Which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first.
    First,
    /// The last.
    Last,
    /// The mean of all.
    Mean,
    /// Each by itself.
    Each,
}

/// A linear layer with what comes behind it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The layer.
    pub linear: Linear,
    /// On its sums.
    pub activation: Option<Activation>,
    /// Last of all.
    pub norm: Option<Normaliser>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// A vector.
    Embed {
        /// Of length 1.
        normalise: bool,
    },
    /// A class for the text.
    Sequence {
        /// What classes are called.
        labels: Vec<String>,
        /// Any number of classes may hold at once.
        independent: bool,
    },
    /// A class for each token.
    Tokens {
        /// What classes are called.
        labels: Vec<String>,
    },
}

/// What a model is for.
#[derive(Debug, Clone)]
pub struct Purpose {
    /// Which rows are read.
    pub pooling: Pooling,
    /// Layers on what is read, in order.
    pub layers: Vec<Layer>,
    /// What comes out.
    pub task: Task,
}

impl Purpose {
    /// From a sequence's rows to numbers: logits of the text, logits of each token one behind the other, or a vector.
    #[must_use]
    pub fn apply(&self, machine: Machine, rows: &[f32], width: usize, codes: &mut Codes) -> Vec<f32> {
        let mut values = pooled(self.pooling, rows, width.max(1));
        let mut wide = width.max(1);
        for layer in &self.layers {
            let mut output = vec![0.0; values.len() / wide * layer.linear.outputs()];
            layer.linear.apply(machine, &values, &mut output, false, codes);
            if let Some(activation) = layer.activation {
                activation.apply(machine, &mut output);
            }
            if let Some(norm) = &layer.norm {
                norm.apply(machine, &mut output);
            }
            values = output;
            wide = layer.linear.outputs();
        }
        if self.task == (Task::Embed { normalise: true }) {
            normalise(machine, &mut values);
        }
        values
    }
}

/// Makes a vector's length 1; a vector of zeros stays.
pub fn normalise(machine: Machine, vector: &mut [f32]) {
    let length = kernels::dot(machine, vector, vector).sqrt();
    if length > f32::MIN_POSITIVE {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

#[allow(clippy::cast_precision_loss, reason = "sequences are far shorter than 2^24")]
fn pooled(pooling: Pooling, rows: &[f32], width: usize) -> Vec<f32> {
    let mut all = rows.chunks_exact(width);
    let one = match pooling {
        Pooling::Each => return rows.to_vec(),
        Pooling::First => all.next().map(<[f32]>::to_vec),
        Pooling::Last => all.next_back().map(<[f32]>::to_vec),
        Pooling::Mean => {
            let count = all.len().max(1) as f32;
            let mut sum = vec![0.0; width];
            for row in all {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            sum.iter_mut().for_each(|value| *value /= count);
            Some(sum)
        }
    };
    one.unwrap_or_else(|| vec![0.0; width])
}

/// What a folder's settings and tensors say that the model is for.
pub fn read(
    source: &Source<'_>,
    architecture: &str,
    folder: &Path,
    width: usize,
) -> Result<Purpose, LoadError> {
    let class = source
        .config
        .words("architectures")?
        .and_then(|names| names.first().copied())
        .unwrap_or_default();
    if class.ends_with("ForSequenceClassification") {
        sequence(source, architecture, width)
    } else if class.ends_with("ForTokenClassification") {
        tokens(source, architecture, width)
    } else {
        embedding(architecture, folder, width)
    }
}

/// Heads are small: they stay in floats.
fn layer(
    source: &Source<'_>,
    name: &str,
    (inputs, outputs): (usize, usize),
    bias: bool,
    activation: Option<Activation>,
) -> Result<Layer, LoadError> {
    let exact = Source {
        precision: Precision::Float,
        ..*source
    };
    Ok(Layer {
        linear: exact.linear(name, inputs, outputs, bias)?,
        activation,
        norm: None,
    })
}

/// ModernBERT's head in front of the classifier.
fn modern_head(source: &Source<'_>, width: usize) -> Result<Layer, LoadError> {
    let config = source.config;
    let bias = config.flag_or("classifier_bias", false)?;
    let activation = config.activation("classifier_activation", "gelu")?;
    let mut head = layer(source, "head.dense", (width, width), bias, Some(activation))?;
    let (epsilon, norm_bias) = (
        config.float_or("norm_eps", 1e-5)?,
        config.flag_or("norm_bias", false)?,
    );
    head.norm = Some(source.layer_norm("head.norm", width, epsilon, norm_bias)?);
    Ok(head)
}

fn sequence(source: &Source<'_>, architecture: &str, width: usize) -> Result<Purpose, LoadError> {
    let config = source.config;
    let labels = config.labels()?;
    let count = labels.len();
    let mut pooling = Pooling::First;
    let two = |dense: &str, activation: Activation, last: &str| -> Result<Vec<Layer>, LoadError> {
        Ok(vec![
            layer(source, dense, (width, width), true, Some(activation))?,
            layer(source, last, (width, count), true, None)?,
        ])
    };
    let layers = match architecture {
        "bert" => two("bert.pooler.dense", Activation::Tanh, "classifier")?,
        "roberta" | "xlm-roberta" | "camembert" => {
            two("classifier.dense", Activation::Tanh, "classifier.out_proj")?
        }
        "distilbert" => two("pre_classifier", Activation::Relu, "classifier")?,
        "deberta-v2" => two(
            "pooler.dense",
            config.activation("pooler_hidden_act", "gelu")?,
            "classifier",
        )?,
        "modernbert" => {
            pooling = match config.word_or("classifier_pooling", "cls")? {
                "cls" => Pooling::First,
                "mean" => Pooling::Mean,
                other => {
                    return Err(config.refuse("classifier_pooling", format!("is `{other}`; `cls` or `mean`")));
                }
            };
            vec![
                modern_head(source, width)?,
                layer(source, "classifier", (width, count), true, None)?,
            ]
        }
        "qwen3" => {
            pooling = Pooling::Last;
            vec![layer(source, "score", (width, count), false, None)?]
        }
        other => {
            return Err(config.refuse(
                "architectures",
                format!("wants classes of `{other}`, which has no known head"),
            ));
        }
    };
    let independent = config.word_or("problem_type", "")? == "multi_label_classification";
    Ok(Purpose {
        pooling,
        layers,
        task: Task::Sequence { labels, independent },
    })
}

fn tokens(source: &Source<'_>, architecture: &str, width: usize) -> Result<Purpose, LoadError> {
    let labels = source.config.labels()?;
    let mut layers = Vec::new();
    if architecture == "modernbert" {
        layers.push(modern_head(source, width)?);
    }
    layers.push(layer(source, "classifier", (width, labels.len()), true, None)?);
    Ok(Purpose {
        pooling: Pooling::Each,
        layers,
        task: Task::Tokens { labels },
    })
}

/// As `modules.json` says; without one, the last row of decoders and the mean of encoders.
fn embedding(architecture: &str, folder: &Path, width: usize) -> Result<Purpose, LoadError> {
    let mut purpose = Purpose {
        pooling: if architecture == "qwen3" {
            Pooling::Last
        } else {
            Pooling::Mean
        },
        layers: Vec::new(),
        task: Task::Embed { normalise: true },
    };
    if !folder.join("modules.json").exists() {
        return Ok(purpose);
    }
    let modules = Config::read(folder, "modules.json")?;
    purpose.task = Task::Embed { normalise: false };
    let mut wide = width;
    for module in modules.value.as_array().into_iter().flatten() {
        let text = |key: &str| {
            module
                .get(key)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
        };
        let path = text("path");
        if path.contains("..") || Path::new(path).is_absolute() {
            return Err(modules.refuse("path", format!("is `{path}`: it must lie in the folder")));
        }
        match text("type").rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Pooling" => purpose.pooling = pooling(&Config::read(&folder.join(path), "config.json")?)?,
            "Normalize" => purpose.task = Task::Embed { normalise: true },
            "Dense" => {
                let dense = dense(&folder.join(path), wide)?;
                wide = dense.linear.outputs();
                purpose.layers.push(dense);
            }
            other => return Err(modules.refuse("type", format!("is `{other}`: not known"))),
        }
    }
    Ok(purpose)
}

fn pooling(config: &Config) -> Result<Pooling, LoadError> {
    if config.flag_or("pooling_mode_cls_token", false)? {
        Ok(Pooling::First)
    } else if config.flag_or("pooling_mode_mean_tokens", false)? {
        Ok(Pooling::Mean)
    } else if config.flag_or("pooling_mode_lasttoken", false)? {
        Ok(Pooling::Last)
    } else {
        match config.word_or("pooling_mode", "")? {
            "cls" => Ok(Pooling::First),
            "mean" => Ok(Pooling::Mean),
            "lasttoken" => Ok(Pooling::Last),
            _ => Err(config.refuse("pooling_mode", "is none of cls, mean and lasttoken")),
        }
    }
}

fn dense(folder: &Path, inputs: usize) -> Result<Layer, LoadError> {
    let config = Config::read(folder, "config.json")?;
    let outputs = config.size("out_features")?;
    let activation = match config
        .word_or("activation_function", "Tanh")?
        .rsplit('.')
        .next()
        .unwrap_or_default()
    {
        "Identity" => None,
        "Tanh" => Some(Activation::Tanh),
        "ReLU" => Some(Activation::Relu),
        "GELU" => Some(Activation::Gelu),
        other => return Err(config.refuse("activation_function", format!("is `{other}`: not known"))),
    };
    let files = Files::read(folder, &[])?;
    let tensors = Tensors::new(&files)?;
    let source = Source {
        config: &config,
        tensors: &tensors,
        precision: Precision::Float,
        longest: 1,
    };
    layer(
        &source,
        "linear",
        (inputs, outputs),
        config.flag_or("bias", true)?,
        activation,
    )
}
