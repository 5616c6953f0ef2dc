//! BERT and those built like it: MiniLM, RoBERTa, XLM-RoBERTa, DistilBERT.

use super::Source;
use crate::encoder::{Attention, Block, Embeddings, Encoder, Heads, Mlp, Norms, Span};
use crate::error::LoadError;
use crate::linear::{Precision, Table};

/// The encoder of a folder whose settings say `bert`, `roberta` or `xlm-roberta`.
pub fn read(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let prefix = source
        .tensors
        .prefix(&["", "bert.", "roberta."], "embeddings.word_embeddings.weight")?;
    let width = config.size("hidden_size")?;
    let epsilon = config.float_or("layer_norm_eps", 1e-12)?;
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
        _ => {
            config
                .value
                .get("pad_token_id")
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(1) as usize
                + 1
        }
    };
    let positions = config.size("max_position_embeddings")?;
    let types = config.size("type_vocab_size")?;
    let mut table = source.tensors.take(
        &format!("{prefix}embeddings.position_embeddings.weight"),
        &[positions, width],
    )?;
    let kinds = source.tensors.take(
        &format!("{prefix}embeddings.token_type_embeddings.weight"),
        &[types, width],
    )?;
    for row in table.chunks_exact_mut(width) {
        row.iter_mut()
            .zip(&kinds)
            .for_each(|(value, kind)| *value += kind);
    }
    let words = source.table(
        &format!("{prefix}embeddings.word_embeddings.weight"),
        config.size("vocab_size")?,
        width,
    )?;
    let names = Names {
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
    };
    let blocks = (0..config.size("num_hidden_layers")?)
        .map(|index| {
            let shape = (width, config.size("intermediate_size")?, epsilon);
            block(
                source,
                &format!("{prefix}encoder.layer.{index}."),
                &names,
                shape,
                "hidden_act",
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(Encoder {
        embeddings: Embeddings {
            words,
            positions: Some(Table::new(table, width, Precision::Float)),
            first_position,
            constant: None,
            scale: 1.0,
            project: None,
            norm: Some(source.layer_norm(&format!("{prefix}embeddings.LayerNorm"), width, epsilon, true)?),
        },
        blocks,
        last_norm: None,
        heads: source.equal_heads("num_attention_heads", width)?,
        rotaries: Vec::new(),
        width,
        longest: longest(source, positions, first_position)?,
    })
}

/// The encoder of a folder whose settings say `distilbert`.
pub fn read_distilled(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let prefix = source
        .tensors
        .prefix(&["", "distilbert."], "embeddings.word_embeddings.weight")?;
    let width = config.size("dim")?;
    let positions = config.size("max_position_embeddings")?;
    let epsilon = 1e-12;
    let names = Names {
        attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
        output: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        up: "ffn.lin1",
        down: "ffn.lin2",
        norm: "output_layer_norm",
    };
    let blocks = (0..config.size("n_layers")?)
        .map(|index| {
            let shape = (width, config.size("hidden_dim")?, epsilon);
            block(
                source,
                &format!("{prefix}transformer.layer.{index}."),
                &names,
                shape,
                "activation",
            )
        })
        .collect::<Result<_, _>>()?;
    let table = source.tensors.take(
        &format!("{prefix}embeddings.position_embeddings.weight"),
        &[positions, width],
    )?;
    let heads: Heads = source.equal_heads("n_heads", width)?;
    Ok(Encoder {
        embeddings: Embeddings {
            words: source.table(
                &format!("{prefix}embeddings.word_embeddings.weight"),
                config.size("vocab_size")?,
                width,
            )?,
            positions: Some(Table::new(table, width, Precision::Float)),
            first_position: 0,
            constant: None,
            scale: 1.0,
            project: None,
            norm: Some(source.layer_norm(&format!("{prefix}embeddings.LayerNorm"), width, epsilon, true)?),
        },
        blocks,
        last_norm: None,
        heads,
        rotaries: Vec::new(),
        width,
        longest: longest(source, positions, 0)?,
    })
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
