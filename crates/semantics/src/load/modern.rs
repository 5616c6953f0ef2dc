//! ModernBERT and mmBERT: rotary positions, attention to the neighbourhood in most blocks, gated inner layers.

use super::Source;
use super::config::Config;
use crate::encoder::{Attention, Block, Embeddings, Encoder, Mlp, Norms, Rotary, Span};
use crate::error::LoadError;

/// Rotations of blocks that look at everything, and of those that look at their neighbourhood.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;

/// The most columns of a head.
const LARGEST_HEAD: usize = 1_024;

/// The encoder of a folder whose settings say `modernbert`.
pub fn read(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let prefix = source
        .tensors
        .prefix(&["", "model."], "embeddings.tok_embeddings.weight")?;
    let width = config.size("hidden_size")?;
    let norm = (
        config.float_or("norm_eps", 1e-5)?,
        config.flag_or("norm_bias", false)?,
    );
    let heads = source.equal_heads("num_attention_heads", width)?;
    let longest = config
        .size_or("max_position_embeddings", 8_192)?
        .min(source.longest);
    let count = config.size("num_hidden_layers")?;
    let every = config.size_or("global_attn_every_n_layers", 3)?;
    let is_global = global_layers(config, count, |index| index.is_multiple_of(every))?;
    let blocks = (0..count)
        .map(|index| block(source, prefix, (index, is_global[index]), width, norm))
        .collect::<Result<_, _>>()?;
    let name = |part: &str| format!("{prefix}{part}");
    Ok(Encoder {
        embeddings: Embeddings {
            words: source.table(
                &name("embeddings.tok_embeddings.weight"),
                config.size("vocab_size")?,
                width,
            )?,
            positions: None,
            first_position: 0,
            constant: None,
            second: None,
            scale: 1.0,
            project: None,
            norm: Some(source.layer_norm(&name("embeddings.norm"), width, norm.0, norm.1)?),
        },
        blocks,
        last_norm: Some(source.layer_norm(&name("final_norm"), width, norm.0, norm.1)?),
        heads,
        rotaries: vec![
            rotary(
                config,
                "full_attention",
                ("global_rope_theta", 160_000.0),
                heads.width,
                longest,
            )?,
            rotary(
                config,
                "sliding_attention",
                ("local_rope_theta", 10_000.0),
                heads.width,
                longest,
            )?,
        ],
        width,
        longest,
    })
}

fn block(
    source: &Source<'_>,
    prefix: &str,
    (index, global): (usize, bool),
    width: usize,
    (epsilon, norm_bias): (f32, bool),
) -> Result<Block, LoadError> {
    let config = source.config;
    let name = |part: &str| format!("{prefix}layers.{index}.{part}");
    let inner = config.size("intermediate_size")?;
    let (attention_bias, mlp_bias) = (
        config.flag_or("attention_bias", false)?,
        config.flag_or("mlp_bias", false)?,
    );
    let half = config.size_or("local_attention", 128)? / 2;
    // The first block reads what the embeddings' norm has just normed.
    let before_attention = match index {
        0 => None,
        _ => Some(source.layer_norm(&name("attn_norm"), width, epsilon, norm_bias)?),
    };
    Ok(Block {
        norms: Norms {
            before_attention,
            before_mlp: Some(source.layer_norm(&name("mlp_norm"), width, epsilon, norm_bias)?),
            ..Norms::default()
        },
        attention: Attention {
            inputs: source.linear(&name("attn.Wqkv"), width, 3 * width, attention_bias)?,
            output: source.linear(&name("attn.Wo"), width, width, attention_bias)?,
            query_norm: None,
            key_norm: None,
            rotary: Some(if global { GLOBAL } else { LOCAL }),
            span: if global {
                Span::default()
            } else {
                Span {
                    before: Some(half),
                    after: Some(half),
                }
            },
            relative: None,
        },
        mlp: Mlp {
            up: source.linear(&name("mlp.Wi"), width, 2 * inner, mlp_bias)?,
            down: source.linear(&name("mlp.Wo"), inner, width, mlp_bias)?,
            activation: config.activation("hidden_activation", "gelu")?,
            gated: true,
        },
    })
}

/// For each block whether it looks at everything: as `layer_types` says, or by the older rule.
pub fn global_layers(
    config: &Config,
    count: usize,
    older: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, LoadError> {
    let Some(types) = config.words("layer_types")? else {
        return Ok((0..count).map(older).collect());
    };
    if types.len() != count {
        return Err(config.refuse(
            "layer_types",
            format!("has {} entries for {count} layers", types.len()),
        ));
    }
    types
        .into_iter()
        .map(|kind| match kind {
            "full_attention" => Ok(true),
            "sliding_attention" => Ok(false),
            other => Err(config.refuse("layer_types", format!("has `{other}`: not known"))),
        })
        .collect()
}

/// A rotation: newer settings have a part for each kind of block, older ones a key of their own.
pub fn rotary(
    config: &Config,
    kind: &str,
    (older, default): (&str, f32),
    width: usize,
    longest: usize,
) -> Result<Rotary, LoadError> {
    let mut theta = config.float_or(older, default)?;
    let mut stretch = 1.0;
    let parameters = config.part("rope_parameters");
    let own = parameters.as_ref().and_then(|all| all.part(kind)).or(parameters);
    let scaling = config.part("rope_scaling").filter(|_| kind == "full_attention");
    for part in [scaling, own].into_iter().flatten() {
        theta = part.float_or("rope_theta", theta)?;
        match part.word_or("rope_type", part.word_or("type", "default")?)? {
            "default" => {}
            "linear" => stretch = part.float_or("factor", 1.0)?,
            other => {
                return Err(config.refuse(
                    "rope_parameters",
                    format!("has `{other}`; `default` and `linear` can be loaded"),
                ));
            }
        }
    }
    if !(theta > 0.0 && stretch > 0.0) {
        return Err(config.refuse(
            "rope_parameters",
            format!("has theta {theta} and factor {stretch}: both must be above 0"),
        ));
    }
    // The angles of all positions are worked out before any tensor is looked at: a width that is damage must not fill memory.
    if width > LARGEST_HEAD {
        return Err(config.refuse(
            if config.value.get("head_dim").is_some() {
                "head_dim"
            } else {
                "num_attention_heads"
            },
            format!("gives heads of {width} columns; {LARGEST_HEAD} are the most"),
        ));
    }
    if !width.is_multiple_of(2) {
        return Err(config.refuse(
            "num_attention_heads",
            format!("gives heads of {width} columns, which can't be halved"),
        ));
    }
    Ok(Rotary::new(theta, width, longest, stretch))
}
