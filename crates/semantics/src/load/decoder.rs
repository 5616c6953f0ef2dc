//! Decoder-style embedders: Qwen3-Embedding and EmbeddingGemma.

use super::Source;
use super::modern::{global_layers, rotary};
use super::parts::inverse_root;
use crate::encoder::{Attention, Block, Embeddings, Encoder, Heads, Mlp, Normaliser, Norms, Rotary, Span};
use crate::error::LoadError;
use crate::kernels::Norm;
use crate::linear::Linear;

/// Sizes that both architectures share.
struct Sizes {
    width: usize,
    inner: usize,
    heads: Heads,
    epsilon: f32,
    bias: bool,
    count: usize,
    longest: usize,
}

fn sizes(source: &Source<'_>) -> Result<Sizes, LoadError> {
    let config = source.config;
    let width = config.size("hidden_size")?;
    let queries = config.size("num_attention_heads")?;
    let keys = config.size_or("num_key_value_heads", queries)?;
    config.divided("num_key_value_heads", queries, keys)?;
    let each = match config.size_if("head_dim")? {
        Some(each) => each,
        None => config.divided("num_attention_heads", width, queries)?,
    };
    Ok(Sizes {
        width,
        inner: config.size("intermediate_size")?,
        heads: Heads {
            queries,
            keys,
            width: each,
            scale: inverse_root(each),
        },
        epsilon: config.float_or("rms_norm_eps", 1e-6)?,
        bias: config.flag_or("attention_bias", false)?,
        count: config.size("num_hidden_layers")?,
        longest: config
            .size_or("max_position_embeddings", 32_768)?
            .min(source.longest),
    })
}

/// The encoder of a folder whose settings say `qwen3`.
pub fn read_qwen(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let sizes = sizes(source)?;
    if config.flag_or("use_sliding_window", false)? {
        return Err(config.refuse(
            "use_sliding_window",
            "is true; only models that look at everything before can be loaded",
        ));
    }
    let prefix = source.tensors.prefix(&["", "model."], "embed_tokens.weight")?;
    let span = Span {
        before: None,
        after: Some(0),
    };
    let rotaries = vec![rotary(
        config,
        "full_attention",
        ("rope_theta", 10_000.0),
        sizes.heads.width,
        sizes.longest,
    )?];
    let mut blocks = Vec::new();
    for index in 0..sizes.count {
        let name = format!("{prefix}layers.{index}.");
        let norms = Norms {
            before_attention: Some(norm(source, &format!("{name}input_layernorm"), &sizes, 0.0)?),
            before_mlp: Some(norm(
                source,
                &format!("{name}post_attention_layernorm"),
                &sizes,
                0.0,
            )?),
            ..Norms::default()
        };
        blocks.push(block(source, &name, &sizes, norms, (0, span, 0.0))?);
    }
    finish(source, prefix, &sizes, blocks, rotaries, (1.0, 0.0))
}

/// The encoder of a folder whose settings say `gemma3_text`.
#[allow(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
pub fn read_gemma(source: &Source<'_>) -> Result<Encoder, LoadError> {
    let config = source.config;
    let mut sizes = sizes(source)?;
    sizes.heads.scale = 1.0
        / config
            .float_or("query_pre_attn_scalar", 256.0)?
            .max(f32::MIN_POSITIVE)
            .sqrt();
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if config.float_or(key, 0.0)? != 0.0 {
            return Err(config.refuse(key, "is set; capped scores can't be computed"));
        }
    }
    let both_ways = config.flag_or("use_bidirectional_attention", false)?;
    let window = config.size_or("sliding_window", 4_096)?;
    let every = config.size_or(
        "sliding_window_pattern",
        config.size_or("_sliding_window_pattern", 6)?,
    )?;
    let global = global_layers(config, sizes.count, |index| (index + 1).is_multiple_of(every))?;
    let prefix = source.tensors.prefix(&["", "model."], "embed_tokens.weight")?;
    let turn = |kind: &str, older| rotary(config, kind, older, sizes.heads.width, sizes.longest);
    let rotaries = vec![
        turn("full_attention", ("rope_theta", 1_000_000.0))?,
        turn("sliding_attention", ("rope_local_base_freq", 10_000.0))?,
    ];
    let mut blocks = Vec::new();
    for (index, global) in global.into_iter().enumerate() {
        let name = format!("{prefix}layers.{index}.");
        let norms = gemma_norms(source, &name, &sizes)?;
        let turned = (usize::from(!global), gemma_span(both_ways, global, window), 1.0);
        blocks.push(block(source, &name, &sizes, norms, turned)?);
    }
    let scale = (sizes.width as f32).sqrt();
    finish(source, prefix, &sizes, blocks, rotaries, (scale, 1.0))
}

/// Keys that a query looks at.
fn gemma_span(both_ways: bool, global: bool, window: usize) -> Span {
    match (both_ways, global) {
        (true, true) => Span::default(),
        (true, false) => Span {
            before: Some(window / 2),
            after: Some(window / 2),
        },
        (false, true) => Span {
            before: None,
            after: Some(0),
        },
        (false, false) => Span {
            before: Some(window - 1),
            after: Some(0),
        },
    }
}

fn gemma_norms(source: &Source<'_>, name: &str, sizes: &Sizes) -> Result<Norms, LoadError> {
    let named = |part: &str| norm(source, &format!("{name}{part}"), sizes, 1.0).map(Some);
    Ok(Norms {
        before_attention: named("input_layernorm")?,
        after_attention: named("post_attention_layernorm")?,
        before_mlp: named("pre_feedforward_layernorm")?,
        after_mlp: named("post_feedforward_layernorm")?,
        ..Norms::default()
    })
}

fn norm(source: &Source<'_>, name: &str, sizes: &Sizes, offset: f32) -> Result<Normaliser, LoadError> {
    Ok(Normaliser::Rms(source.rms_norm(
        name,
        sizes.width,
        sizes.epsilon,
        offset,
    )?))
}

/// A block with gate and value, and norms on the heads of queries and keys.
fn block(
    source: &Source<'_>,
    name: &str,
    sizes: &Sizes,
    norms: Norms,
    (rotary, span, offset): (usize, Span, f32),
) -> Result<Block, LoadError> {
    let heads = sizes.heads;
    let named = |part: &str| format!("{name}{part}");
    let inputs = [
        (named("self_attn.q_proj"), heads.queries * heads.width),
        (named("self_attn.k_proj"), heads.keys * heads.width),
        (named("self_attn.v_proj"), heads.keys * heads.width),
    ];
    let gate = [
        (named("mlp.gate_proj"), sizes.inner),
        (named("mlp.up_proj"), sizes.inner),
    ];
    let head_norm = |part: &str| -> Result<Option<Norm>, LoadError> {
        source
            .rms_norm(&named(part), heads.width, sizes.epsilon, offset)
            .map(Some)
    };
    let activation = if source
        .config
        .value
        .get("hidden_activation")
        .is_some_and(serde_json::Value::is_string)
    {
        source
            .config
            .activation("hidden_activation", "gelu_pytorch_tanh")?
    } else {
        source.config.activation("hidden_act", "silu")?
    };
    let output: Linear = source.linear(
        &named("self_attn.o_proj"),
        heads.queries * heads.width,
        sizes.width,
        sizes.bias,
    )?;
    Ok(Block {
        norms,
        attention: Attention {
            inputs: source.beside(&inputs, sizes.width, sizes.bias)?,
            output,
            query_norm: head_norm("self_attn.q_norm")?,
            key_norm: head_norm("self_attn.k_norm")?,
            rotary: Some(rotary),
            span,
            relative: None,
        },
        mlp: Mlp {
            up: source.beside(&gate, sizes.width, false)?,
            down: source.linear(&named("mlp.down_proj"), sizes.inner, sizes.width, false)?,
            activation,
            gated: true,
        },
    })
}

fn finish(
    source: &Source<'_>,
    prefix: &str,
    sizes: &Sizes,
    blocks: Vec<Block>,
    rotaries: Vec<Rotary>,
    (scale, offset): (f32, f32),
) -> Result<Encoder, LoadError> {
    let vocabulary = source.config.size("vocab_size")?;
    Ok(Encoder {
        embeddings: Embeddings {
            words: source.table(&format!("{prefix}embed_tokens.weight"), vocabulary, sizes.width)?,
            positions: None,
            first_position: 0,
            constant: None,
            second: None,
            scale,
            project: None,
            norm: None,
        },
        blocks,
        last_norm: Some(norm(source, &format!("{prefix}norm"), sizes, offset)?),
        heads: sizes.heads,
        rotaries,
        width: sizes.width,
        longest: sizes.longest,
    })
}
