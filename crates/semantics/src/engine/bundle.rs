//! An engine from one file of weights, as training writes it.
//!
//! Parts, by name. `W` is the width, `V` the vocabulary, `I` the inner width, `P` the positions; each linear layer is
//! `NAME` (i8 `[outputs, inputs]`), `NAME.scale` (f32 `[outputs]`) and `NAME.bias` (f32 `[outputs]`); each norm is
//! `NAME.weight` and `NAME.bias` (f32 `[W]`).
//!
//! - `vocabulary`: the lines of a `vocab.txt`; `words` i8 `[V, W]` and `words.scale` f32 `[V]`; `positions` f32 `[P, W]`, with
//!   the row of token type 0 added in; norm `words.norm`.
//! - for each block, counted from 0: linear `block.N.mix` (queries, keys, values: 3·W outputs), `block.N.out`, `block.N.up`
//!   (I outputs), `block.N.down`; norms `block.N.norm1` (on the sum with attention) and `block.N.norm2`.
//! - joints of heads: the float layers that the settings name, `NAME` f32 `[labels, inputs]` and `NAME.bias` f32 `[labels]`.
//! - heads and taggers: the linear layers that the settings name, biases included.
//! - `ngrams` i8 `[2^bits, columns]`, `ngrams.scale` and `ngrams.bias` f32 `[columns]`; `beside`, `beside.scale` and
//!   `beside.bias` likewise, of the n-grams that are read beside both stages.

mod ngrams;

use serde::Deserialize;

use self::ngrams::{NgramSettings, beside_of, counterpart, ngrams};

use super::beside::BesideSettings;
use super::joint::{Joint, JointSettings, Source};
use super::{Cascade, Embedding, Engine, NamedTagger, Stage};
use crate::classify::{
    Across, Calibration, Head, HeadError, NgramModel, OperatingPoint, Reads, Sure, Tagger,
};
use crate::container::Container;
use crate::encoder::{
    Activation, Attention, Block, Embeddings, Encoder, Heads, Mlp, Normaliser, Norms, Span,
};
use crate::error::LoadError;
use crate::kernels::{Int8Weights, Machine, Norm};
use crate::linear::{Linear, Precision, Table};
use crate::passage::Cut;
use crate::tokenize::{Tokenizer, WordPiece, WordPieceOptions};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    encoder: EncoderSettings,
    window: usize,
    overlap: usize,
    heads: Vec<HeadSettings>,
    #[serde(default)]
    taggers: Vec<TaggerSettings>,
    embedding: Option<EmbeddingSettings>,
    ngrams: Option<NgramSettings>,
    /// N-grams that are read beside both stages.
    beside: Option<NgramSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncoderSettings {
    vocabulary: usize,
    width: usize,
    heads: usize,
    inner: usize,
    blocks: usize,
    positions: usize,
    epsilon: f32,
    lowercase: bool,
    strip_accents: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadSettings {
    name: String,
    labels: Vec<String>,
    exit: usize,
    reads: Reads,
    across: Across,
    /// Name and outputs of each layer.
    layers: Vec<(String, usize)>,
    calibration: Calibration,
    #[serde(default)]
    points: Vec<OperatingPoint>,
    /// The head of the first stage that says the same.
    first: Option<String>,
    #[serde(default = "never")]
    sure: Sure,
    #[serde(default)]
    share: f32,
    /// How both stages are joined, with what other heads say; in place of `share`.
    joint: Option<JointSettings>,
    /// How it listens to the n-grams beside both stages.
    beside: Option<BesideSettings>,
}

fn never() -> Sure {
    Sure::Never
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaggerSettings {
    name: String,
    labels: Vec<String>,
    exit: usize,
    layer: String,
    calibration: Calibration,
    threshold: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmbeddingSettings {
    exit: usize,
    reads: Reads,
}

/// The largest side that settings may name.
const LARGEST: usize = 1 << 20;

impl Engine {
    /// Reads a file of weights.
    ///
    /// # Errors
    ///
    /// If it is damaged, a part is missing or of another shape, or settings do not fit together.
    pub fn from_file(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let container = Container::read(file, bytes)?;
        let settings: Settings = container.settings()?;
        let sides = &settings.encoder;
        sides.check(file)?;
        let tokenizer = tokenizer(&container, sides)?;
        let encoder = encoder(&container, sides)?;
        let read = |settings: Option<NgramSettings>, name: &str| {
            settings
                .map(|settings| ngrams(&container, settings, name))
                .transpose()
        };
        let (ngrams, beside) = (read(settings.ngrams, "ngrams")?, read(settings.beside, "beside")?);
        let mut joints: Vec<Option<JointSettings>> = Vec::new();
        let mut heads = Vec::new();
        for mut settings in settings.heads {
            joints.push(settings.joint.take());
            heads.push(head(
                &container,
                settings,
                &encoder,
                (ngrams.as_ref(), beside.as_ref()),
            )?);
        }
        join(&container, &mut heads, joints, ngrams.as_ref())?;
        let taggers = settings
            .taggers
            .into_iter()
            .map(|settings| tagger(&container, settings, &encoder));
        let taggers = taggers.collect::<Result<Vec<_>, _>>()?;
        let embedding = settings.embedding.map(|settings| Embedding {
            exit: settings.exit,
            reads: settings.reads,
        });
        if embedding.is_some_and(|embedding| embedding.exit == 0 || embedding.exit > encoder.blocks.len()) {
            return Err(LoadError::malformed(
                file,
                "settings: `embedding.exit` is no block",
            ));
        }
        if settings.window <= 2
            || settings.window > encoder.longest
            || settings.overlap >= settings.window - 2
        {
            return Err(LoadError::malformed(
                file,
                "settings: `window` or `overlap` does not fit the encoder",
            ));
        }
        Ok(Self {
            tokenizer,
            encoder,
            heads,
            taggers,
            embedding,
            ngrams,
            beside,
            machine: Machine::detect(),
            cut: Cut {
                size: settings.window,
                overlap: settings.overlap,
                ..Cut::default()
            },
        })
    }
}

impl EncoderSettings {
    /// Fails if sides are beyond what a model has, or do not fit together.
    fn check(&self, file: &str) -> Result<(), LoadError> {
        let all = [
            self.vocabulary,
            self.width,
            self.heads,
            self.inner,
            self.blocks,
            self.positions,
        ];
        if !all.iter().all(|side| (1..=LARGEST).contains(side)) || !self.width.is_multiple_of(self.heads) {
            let problem = "settings: `encoder` has sides that do not fit together";
            return Err(LoadError::malformed(file, problem));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            let problem = "settings: `encoder.epsilon` is not between 0 and 1";
            return Err(LoadError::malformed(file, problem));
        }
        Ok(())
    }
}

fn tokenizer(container: &Container<'_>, sides: &EncoderSettings) -> Result<Tokenizer, LoadError> {
    let options = WordPieceOptions {
        lowercase: sides.lowercase,
        strip_accents: sides.strip_accents,
        ..WordPieceOptions::default()
    };
    let tokenizer = WordPiece::from_vocabulary(container.file(), container.text("vocabulary")?, options)?;
    if tokenizer.size() > sides.vocabulary {
        let problem = format!(
            "{} words in the vocabulary, but {} rows",
            tokenizer.size(),
            sides.vocabulary
        );
        return Err(LoadError::malformed(container.file(), problem));
    }
    Ok(Tokenizer::WordPiece(tokenizer))
}

fn linear(container: &Container<'_>, name: &str, inputs: usize, outputs: usize) -> Result<Linear, LoadError> {
    let codes = container.signed(name, &[outputs, inputs])?;
    let scales = container.floats(&format!("{name}.scale"), &[outputs])?;
    let bias = container.floats(&format!("{name}.bias"), &[outputs])?;
    Int8Weights::new(&codes, &scales, &bias, inputs)
        .map(Linear::Int8)
        .ok_or_else(|| LoadError::malformed(container.file(), format!("`{name}` has no weights")))
}

fn norm(container: &Container<'_>, name: &str, sides: &EncoderSettings) -> Result<Normaliser, LoadError> {
    Ok(Normaliser::Layer(Norm {
        weight: container.floats(&format!("{name}.weight"), &[sides.width])?,
        bias: container.floats(&format!("{name}.bias"), &[sides.width])?,
        epsilon: sides.epsilon,
    }))
}

fn encoder(container: &Container<'_>, sides: &EncoderSettings) -> Result<Encoder, LoadError> {
    let width = sides.width;
    let blocks = (0..sides.blocks).map(|index| block(container, index, sides));
    let each = width / sides.heads;
    Ok(Encoder {
        blocks: blocks.collect::<Result<_, _>>()?,
        embeddings: Embeddings {
            words: Table::Int8 {
                codes: container.signed("words", &[sides.vocabulary, width])?,
                scales: container.floats("words.scale", &[sides.vocabulary])?,
                width,
            },
            positions: Some(Table::new(
                container.floats("positions", &[sides.positions, width])?,
                width,
                Precision::Float,
            )),
            first_position: 0,
            constant: None,
            second: None,
            scale: 1.0,
            project: None,
            norm: Some(norm(container, "words.norm", sides)?),
        },
        last_norm: None,
        #[allow(clippy::cast_precision_loss, reason = "widths are far below 2^24")]
        heads: Heads {
            queries: sides.heads,
            keys: sides.heads,
            width: each,
            scale: 1.0 / (each as f32).sqrt(),
        },
        rotaries: Vec::new(),
        width,
        longest: sides.positions,
    })
}

fn block(container: &Container<'_>, index: usize, sides: &EncoderSettings) -> Result<Block, LoadError> {
    let (width, inner) = (sides.width, sides.inner);
    let named = |part: &str| format!("block.{index}.{part}");
    Ok(Block {
        norms: Norms {
            attention_sum: Some(norm(container, &named("norm1"), sides)?),
            mlp_sum: Some(norm(container, &named("norm2"), sides)?),
            ..Norms::default()
        },
        attention: Attention {
            inputs: linear(container, &named("mix"), width, 3 * width)?,
            output: linear(container, &named("out"), width, width)?,
            query_norm: None,
            key_norm: None,
            rotary: None,
            span: Span::default(),
            relative: None,
        },
        mlp: Mlp {
            up: linear(container, &named("up"), width, inner)?,
            down: linear(container, &named("down"), inner, width)?,
            activation: Activation::Gelu,
            gated: false,
        },
    })
}

fn told(container: &Container<'_>, error: &HeadError) -> LoadError {
    LoadError::malformed(container.file(), error.to_string())
}

fn head(
    container: &Container<'_>,
    settings: HeadSettings,
    encoder: &Encoder,
    (ngrams, beside_model): (Option<&NgramModel>, Option<&NgramModel>),
) -> Result<(Head, Cascade), LoadError> {
    let bad = |problem: String| {
        LoadError::malformed(container.file(), format!("head `{}`: {problem}", settings.name))
    };
    let labels = &settings.labels;
    let first = counterpart(("first stage", ngrams), settings.first.as_ref(), labels).map_err(bad)?;
    let beside = settings.beside.as_ref();
    let beside = beside.map(|named| beside_of(named, beside_model, (labels, &settings.calibration)));
    let beside = beside.transpose().map_err(bad)?;
    if !settings.share.is_finite() {
        return Err(bad("`share` is no number".to_owned()));
    }
    if matches!(settings.sure, Sure::Outside { class, .. } if class >= settings.labels.len()) {
        return Err(bad("`sure` names a class that it lacks".to_owned()));
    }
    let mut wide = if settings.reads == Reads::FirstAndMean {
        2 * encoder.width
    } else {
        encoder.width
    };
    let mut layers = Vec::new();
    for (name, outputs) in &settings.layers {
        layers.push(linear(container, name, wide, *outputs)?);
        wide = *outputs;
    }
    let cascade = Cascade {
        first,
        sure: settings.sure,
        share: settings.share,
        joint: None,
        beside,
    };
    let head = Head {
        name: settings.name,
        labels: settings.labels,
        exit: settings.exit,
        reads: settings.reads,
        across: settings.across,
        layers,
        calibration: settings.calibration,
        points: settings.points,
    };
    head.check(encoder.width, encoder.blocks.len())
        .map_err(|error| told(container, &error))?;
    Ok((head, cascade))
}

/// Reads how heads listen to each other: each may name any of them.
fn join(
    container: &Container<'_>,
    heads: &mut [(Head, Cascade)],
    joints: Vec<Option<JointSettings>>,
    ngrams: Option<&NgramModel>,
) -> Result<(), LoadError> {
    let first = ngrams.map(NgramModel::heads).unwrap_or_default();
    for (at, settings) in joints.into_iter().enumerate() {
        let Some(settings) = settings else { continue };
        let (name, labels) = (heads[at].0.name.clone(), heads[at].0.labels.len());
        let bad =
            |problem: String| LoadError::malformed(container.file(), format!("head `{name}`: {problem}"));
        let source = |(stage, known): &(Stage, String)| {
            let found = match stage {
                Stage::First => first
                    .iter()
                    .position(|head| head.name == *known)
                    .map(|place| (place, first[place].labels.len())),
                Stage::Encoder => heads
                    .iter()
                    .position(|(head, _)| head.name == *known)
                    .map(|place| (place, heads[place].0.labels.len())),
            };
            let (place, labels) = found
                .ok_or_else(|| bad(format!("`joint` names `{known}`, which is no head of that stage")))?;
            Ok(Source {
                stage: *stage,
                place,
                labels,
            })
        };
        let sources = settings
            .from
            .iter()
            .map(source)
            .collect::<Result<Vec<_>, LoadError>>()?;
        let inputs = sources.iter().map(|source| source.labels).sum();
        let weights = container.floats(&settings.layer, &[labels, inputs])?;
        let bias = container.floats(&format!("{}.bias", settings.layer), &[labels])?;
        let joint =
            Joint::new(sources, weights, bias).ok_or_else(|| bad("`joint` names no head".to_owned()))?;
        heads[at].1.joint = Some(joint);
    }
    Ok(())
}

fn tagger(
    container: &Container<'_>,
    settings: TaggerSettings,
    encoder: &Encoder,
) -> Result<NamedTagger, LoadError> {
    let bad = |problem: &str| {
        LoadError::malformed(container.file(), format!("tagger `{}`: {problem}", settings.name))
    };
    if settings.exit == 0 || settings.exit > encoder.blocks.len() {
        return Err(bad("reads behind no block"));
    }
    if !(0.0..=1.0).contains(&settings.threshold) {
        return Err(bad("`threshold` is no probability"));
    }
    let layer = linear(container, &settings.layer, encoder.width, settings.labels.len())?;
    let tagger = Tagger::new(
        settings.exit,
        layer,
        &settings.labels,
        settings.calibration.clone(),
    )
    .ok_or_else(|| bad("labels must be `O`, `B-KIND` and `I-KIND`, with a calibration for as many"))?;
    Ok(NamedTagger {
        tagger,
        threshold: settings.threshold,
        name: settings.name,
    })
}
