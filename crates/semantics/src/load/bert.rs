//! BERT and those built like it: MiniLM, RoBERTa, XLM-RoBERTa, DistilBERT.

use super::Source;
use crate::encoder::{Attention, Block, Embeddings, Encoder, Mlp, Norms, Span};
use crate::error::LoadError;
use crate::linear::{Precision, Table};

/// The encoder of a folder whose settings say `bert`, `roberta` or `xlm-roberta`.
pub fn read(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let own = match config.word_or("model_type", "")? {
        "bert" => "bert.",
        _ => "roberta.",
    };
    let prefix = source
        .tensors
        .prefix(&["", own], "embeddings.word_embeddings.weight")?;
    let width = config.size("hidden_size")?;
    let kind = config.word_or("position_embedding_type", "absolute")?;
    if kind != "absolute" {
        return Err(config.refuse(
            "position_embedding_type",
            format!("is `{kind}`; `absolute` can be loaded"),
        ));
    }
    // RoBERTa counts from behind its padding token.
    let first_position = match config.word_or("model_type", "")? {
        "bert" => 0,
        _ => config.count_or("pad_token_id", 1)? + 1,
    };
    let types = config.size("type_vocab_size")?;
    let kinds = source.tensors.take(
        &format!("{prefix}embeddings.token_type_embeddings.weight"),
        &[types, width],
    )?;
    let family = Family {
        prefix,
        layers: "encoder.layer",
        names: Names {
            attention: [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
            ],
            output: "attention.output.dense",
            attention_norm: "attention.output.LayerNorm",
            up: "intermediate.dense",
            down: "output.dense",
            norm: "output.LayerNorm",
        },
        keys: [
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "hidden_act",
        ],
        width,
        first_position,
        epsilon: config.float_or("layer_norm_eps", 1e-12)?,
    };
    family.read(source, Some(&kinds))
}

/// The encoder of a folder whose settings say `distilbert`.
pub fn read_distilled(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let family = Family {
        prefix: source
            .tensors
            .prefix(&["", "distilbert."], "embeddings.word_embeddings.weight")?,
        layers: "transformer.layer",
        names: Names {
            attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
            output: "attention.out_lin",
            attention_norm: "sa_layer_norm",
            up: "ffn.lin1",
            down: "ffn.lin2",
            norm: "output_layer_norm",
        },
        keys: ["n_layers", "n_heads", "hidden_dim", "activation"],
        width: source.config.size("dim")?,
        first_position: 0,
        epsilon: 1e-12,
    };
    family.read(source, None)
}

/// What members of the family call their parts.
struct Family {
    prefix: &'static str,
    layers: &'static str,
    names: Names,
    /// Settings: how many blocks, how many heads, the inner width, the activation.
    keys: [&'static str; 4],
    width: usize,
    first_position: usize,
    epsilon: f32,
}

impl Family {
    /// The encoder; `kinds` are the rows of token types, of which the first is added to every position.
    fn read(&self, source: &Source<'_>, kinds: Option<&[f32]>) -> Result<Encoder, LoadError> {
        let config = source.config;
        let (prefix, width, epsilon) = (self.prefix, self.width, self.epsilon);
        let [blocks, heads, inner, activation] = self.keys;
        let positions = config.size("max_position_embeddings")?;
        let name = format!("{prefix}embeddings.position_embeddings.weight");
        let mut table = source.tensors.take(&name, &[positions, width])?;
        for row in table.chunks_exact_mut(width) {
            let kind = kinds.unwrap_or_default();
            row.iter_mut().zip(kind).for_each(|(value, kind)| *value += kind);
        }
        let words = format!("{prefix}embeddings.word_embeddings.weight");
        let shape = (width, config.size(inner)?, epsilon);
        let blocks = (0..config.size(blocks)?)
            .map(|index| {
                block(
                    source,
                    &format!("{prefix}{}.{index}.", self.layers),
                    &self.names,
                    shape,
                    activation,
                )
            })
            .collect::<Result<_, _>>()?;
        Ok(Encoder {
            embeddings: Embeddings {
                words: source.table(&words, config.size("vocab_size")?, width)?,
                positions: Some(Table::new(table, width, Precision::Float)),
                first_position: self.first_position,
                constant: None,
                second: kinds.and_then(|kinds| second(kinds, width)),
                scale: 1.0,
                project: None,
                norm: Some(source.layer_norm(
                    &format!("{prefix}embeddings.LayerNorm"),
                    width,
                    epsilon,
                    true,
                )?),
            },
            blocks,
            last_norm: None,
            heads: source.equal_heads(heads, width)?,
            rotaries: Vec::new(),
            width,
            longest: longest(source, positions, self.first_position)?,
        })
    }
}

/// What token type 1 has more than token type 0, if there is one.
pub fn second(kinds: &[f32], width: usize) -> Option<Vec<f32>> {
    let (first, rest) = kinds.split_at_checked(width)?;
    let second = rest.get(..width)?;
    Some(
        second
            .iter()
            .zip(first)
            .map(|(second, first)| second - first)
            .collect(),
    )
}

/// Positions that are left once the first are set aside.
fn longest(source: &Source<'_>, positions: usize, first: usize) -> Result<usize, LoadError> {
    match positions.checked_sub(first) {
        Some(left) if left > 0 => Ok(left.min(source.longest)),
        _ => Err(source.config.refuse(
            "max_position_embeddings",
            format!("is {positions}: none is left for text"),
        )),
    }
}

/// What the parts of a block are called.
pub struct Names {
    pub attention: [&'static str; 3],
    pub output: &'static str,
    pub attention_norm: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub norm: &'static str,
}

/// A block with its norms on the sums.
pub fn block(
    source: &Source<'_>,
    prefix: &str,
    names: &Names,
    (width, inner, epsilon): (usize, usize, f32),
    activation: &str,
) -> Result<Block, LoadError> {
    let inputs: Vec<(String, usize)> = names
        .attention
        .iter()
        .map(|name| (format!("{prefix}{name}"), width))
        .collect();
    let named = |name: &str| format!("{prefix}{name}");
    Ok(Block {
        norms: Norms {
            attention_sum: Some(source.layer_norm(&named(names.attention_norm), width, epsilon, true)?),
            mlp_sum: Some(source.layer_norm(&named(names.norm), width, epsilon, true)?),
            ..Norms::default()
        },
        attention: Attention {
            inputs: source.beside(&inputs, width, true)?,
            output: source.linear(&named(names.output), width, width, true)?,
            query_norm: None,
            key_norm: None,
            rotary: None,
            span: Span::default(),
            relative: None,
        },
        mlp: Mlp {
            up: source.linear(&named(names.up), width, inner, true)?,
            down: source.linear(&named(names.down), inner, width, true)?,
            activation: source.config.activation(activation, "gelu")?,
            gated: false,
        },
    })
}
