//! DeBERTa, versions 2 and 3: attention that knows of distances.

use serde_json::Value;

use super::Source;
use super::bert::{Names, block, second};
use super::parts::inverse_root;
use crate::encoder::{Block, Embeddings, Encoder, Relative};
use crate::error::LoadError;
use crate::kernels::{Codes, Machine};
use crate::linear::{Linear, Precision, Table};

/// Distances, and how they share rows.
struct Distances {
    rows: Vec<f32>,
    reach: usize,
    buckets: usize,
    farthest: usize,
    content_to_position: bool,
    position_to_content: bool,
}

/// The encoder of a folder whose settings say `deberta-v2`.
pub fn read(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let prefix = source
        .tensors
        .prefix(&["", "deberta."], "embeddings.word_embeddings.weight")?;
    let width = config.size("hidden_size")?;
    let narrow = config.size_or("embedding_size", width)?;
    let epsilon = config.float_or("layer_norm_eps", 1e-7)?;
    let positions = config.size("max_position_embeddings")?;
    if config.count_or("conv_kernel_size", 0)? > 0 {
        return Err(config.refuse(
            "conv_kernel_size",
            "is set; models with a convolution can't be loaded",
        ));
    }
    let (table, [constant, second]) = positions_and_types(source, prefix, positions, narrow)?;
    let distances = distances(source, prefix, width, positions, epsilon)?;
    let blocks = blocks(source, prefix, (width, epsilon), distances.as_ref())?;
    let mut heads = source.equal_heads("num_attention_heads", width)?;
    let parts = distances.as_ref().map_or(0, |known| {
        usize::from(known.content_to_position) + usize::from(known.position_to_content)
    });
    heads.scale = inverse_root(heads.width * (1 + parts));
    let project = if narrow == width {
        None
    } else {
        Some(source.linear(&format!("{prefix}embeddings.embed_proj"), narrow, width, false)?)
    };
    Ok(Encoder {
        embeddings: Embeddings {
            words: source.table(
                &format!("{prefix}embeddings.word_embeddings.weight"),
                config.size("vocab_size")?,
                narrow,
            )?,
            positions: table,
            first_position: 0,
            constant,
            second,
            scale: 1.0,
            project,
            norm: Some(source.layer_norm(&format!("{prefix}embeddings.LayerNorm"), width, epsilon, true)?),
        },
        blocks,
        last_norm: None,
        heads,
        rotaries: Vec::new(),
        width,
        longest: positions.min(source.longest),
    })
}

fn blocks(
    source: &Source<'_>,
    prefix: &str,
    (width, epsilon): (usize, f32),
    distances: Option<&Distances>,
) -> Result<Vec<Block>, LoadError> {
    let names = Names {
        attention: [
            "attention.self.query_proj",
            "attention.self.key_proj",
            "attention.self.value_proj",
        ],
        output: "attention.output.dense",
        attention_norm: "attention.output.LayerNorm",
        up: "intermediate.dense",
        down: "output.dense",
        norm: "output.LayerNorm",
    };
    let mut blocks = Vec::new();
    for index in 0..source.config.size("num_hidden_layers")? {
        let name = format!("{prefix}encoder.layer.{index}.");
        let shape = (width, source.config.size("intermediate_size")?, epsilon);
        let mut block = block(source, &name, &names, shape, "hidden_act")?;
        block.attention.relative = distances
            .map(|known| relative(source, &name, known, width))
            .transpose()?;
        blocks.push(block);
    }
    Ok(blocks)
}

/// The row of token type 0, and what that of type 1 has more.
type Kinds = [Option<Vec<f32>>; 2];

/// Rows of positions where the model has them, the row of token type 0, and what that of type 1 has more.
fn positions_and_types(
    source: &Source<'_>,
    prefix: &str,
    positions: usize,
    width: usize,
) -> Result<(Option<Table>, Kinds), LoadError> {
    let config = source.config;
    let mut table = None;
    if config.flag_or("position_biased_input", true)? {
        let rows = source.tensors.take(
            &format!("{prefix}embeddings.position_embeddings.weight"),
            &[positions, width],
        )?;
        table = Some(Table::new(rows, width, Precision::Float));
    }
    let types = config.count_or("type_vocab_size", 0)?;
    let mut kinds = [None, None];
    if types > 0 {
        let name = format!("{prefix}embeddings.token_type_embeddings.weight");
        let mut rows = source.tensors.take(&name, &[types, width])?;
        let more = second(&rows, width);
        rows.truncate(width);
        kinds = [Some(rows), more];
    }
    Ok((table, kinds))
}

fn distances(
    source: &Source<'_>,
    prefix: &str,
    width: usize,
    positions: usize,
    epsilon: f32,
) -> Result<Option<Distances>, LoadError> {
    let config = source.config;
    if !config.flag_or("relative_attention", false)? {
        return Ok(None);
    }
    let signed = |key: &str| {
        config
            .value
            .get(key)
            .and_then(Value::as_i64)
            .filter(|number| *number > 0)
    };
    let farthest =
        signed("max_relative_positions").map_or(Ok(positions), |_| config.size("max_relative_positions"))?;
    let buckets = signed("position_buckets").map_or(Ok(0), |_| config.size("position_buckets"))?;
    let reach = if buckets > 0 { buckets } else { farthest };
    let mut rows = source.tensors.take(
        &format!("{prefix}encoder.rel_embeddings.weight"),
        &[2 * reach, width],
    )?;
    if config
        .word_or("norm_rel_ebd", "none")?
        .to_lowercase()
        .contains("layer_norm")
    {
        let norm = source.layer_norm(&format!("{prefix}encoder.LayerNorm"), width, epsilon, true)?;
        norm.apply(Machine::detect(), &mut rows);
    }
    let kinds = match config.value.get("pos_att_type") {
        Some(Value::String(joined)) => joined.clone(),
        Some(Value::Array(_)) => config.words("pos_att_type")?.unwrap_or_default().join("|"),
        _ => String::new(),
    };
    Ok(Some(Distances {
        rows,
        reach,
        buckets,
        farthest,
        content_to_position: kinds.contains("c2p"),
        position_to_content: kinds.contains("p2c"),
    }))
}

/// Distances as a block's keys and queries. They don't depend on the text, so they are worked out here once.
fn relative(
    source: &Source<'_>,
    name: &str,
    distances: &Distances,
    width: usize,
) -> Result<Relative, LoadError> {
    let shared = source.config.flag_or("share_att_key", false)?;
    let project = |own: &str, bias: bool, wanted: bool| -> Result<Vec<f32>, LoadError> {
        if !wanted {
            return Ok(Vec::new());
        }
        let name = format!("{name}attention.self.{own}");
        let weights = source.tensors.take(&format!("{name}.weight"), &[width, width])?;
        let bias = if bias {
            source.tensors.take(&format!("{name}.bias"), &[width])?
        } else {
            Vec::new()
        };
        let mut output = vec![0.0; distances.rows.len()];
        if let Some(linear) = Linear::new(&weights, &bias, width, Precision::Float) {
            linear.apply(
                Machine::detect(),
                &distances.rows,
                &mut output,
                false,
                &mut Codes::default(),
            );
        }
        Ok(output)
    };
    let (keys, queries) = if shared {
        (
            project("key_proj", true, distances.content_to_position)?,
            project("query_proj", true, distances.position_to_content)?,
        )
    } else {
        (
            project("pos_key_proj", true, distances.content_to_position)?,
            project("pos_query_proj", true, distances.position_to_content)?,
        )
    };
    Ok(Relative {
        keys,
        queries,
        reach: distances.reach,
        buckets: distances.buckets,
        farthest: distances.farthest,
    })
}
