//! Fitted models in files: settings and weights in the container that holds all models' weights.

use std::sync::Arc;

use pointsman_semantics::container::{Container, Writer};
use pointsman_semantics::error::LoadError;
use serde::{Deserialize, Serialize};

use super::calibrate::Curve;
use super::contrast::Contrast;
use super::kmeans::KMeans;
use super::knn::Knn;
use super::mlp::Mlp;
use super::rows::MAX_MODELS;
use super::svm::Svm;
use super::{Algorithm, Fitted, Reading, Weights};

/// Of the settings below.
const VERSION: u32 = 1;

/// The widest vectors, the largest tables of what was learned.
const MAX_WIDTH: usize = 1 << 16;
const MAX_SIDE: usize = 1 << 20;

/// The longest file.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What the file is for.
    kind: String,
    version: u32,
    algorithm: Algorithm,
    reading: Reading,
    models: Vec<String>,
    /// Hidden units, columns of the space, groups or questions, by algorithm.
    size: usize,
    /// Of `knn`.
    #[serde(default)]
    neighbours: usize,
}

const KIND: &str = "model selection";

impl Fitted {
    /// The whole file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self) -> Result<Vec<u8>, LoadError> {
        let (width, models) = (self.reading.width(), self.models.len());
        let mut writer = Writer::default();
        let mut neighbours = 0;
        let size = match &self.weights {
            Weights::Knn(knn) => {
                let rows = knn.scales.len();
                neighbours = knn.neighbours;
                writer.signed("codes", &[rows, width], &knn.codes);
                writer.floats("scales", &[rows], &knn.scales);
                writer.floats("worth", &[rows, models], &knn.worth);
                writer.floats("means", &[models], &knn.means);
                rows
            }
            Weights::Kmeans(kmeans) => {
                let groups = kmeans.centres.len() / width;
                writer.floats("centres", &[groups, width], &kmeans.centres);
                writer.floats("worth", &[groups, models], &kmeans.worth);
                groups
            }
            Weights::Svm(svm) => {
                writer.floats("lines", &[width + 1, models], &svm.lines);
                1
            }
            Weights::Mlp(mlp) => {
                writer.floats("first", &[width, mlp.hidden], &mlp.first);
                writer.floats("first_bias", &[mlp.hidden], &mlp.first_bias);
                writer.floats("second", &[mlp.hidden, models], &mlp.second);
                writer.floats("second_bias", &[models], &mlp.second_bias);
                mlp.hidden
            }
            Weights::Contrast(contrast) => {
                writer.floats("way", &[width, contrast.space], &contrast.way);
                writer.floats("places", &[models, contrast.space], &contrast.places);
                writer.floats("bias", &[models], &contrast.bias);
                contrast.space
            }
        };
        let curves: Vec<f32> = self
            .curves
            .iter()
            .flat_map(|curve| [curve.slope, curve.shift])
            .collect();
        writer.floats("curves", &[models, 2], &curves);
        let settings = Settings {
            kind: KIND.to_owned(),
            version: VERSION,
            algorithm: self.algorithm(),
            reading: self.reading.clone(),
            models: self.models.clone(),
            size,
            neighbours,
        };
        let settings =
            serde_json::to_value(settings).map_err(|error| malformed("settings", error.to_string()))?;
        writer.finish(settings)
    }

    /// Loads one from a file, when a configuration is compiled.
    ///
    /// # Errors
    /// If there is none, it is longer than 256 MiB, or [`Fitted::read`] says so.
    pub fn load(path: &str) -> Result<Arc<Self>, String> {
        let length = std::fs::metadata(path)
            .map_err(|error| format!("{path}: {error}"))?
            .len();
        if length > MAX_BYTES {
            return Err(format!(
                "{path} has {length} bytes; at most {MAX_BYTES} are loaded"
            ));
        }
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        Self::read(path, &bytes)
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }

    /// Reads a file; its name is for errors.
    ///
    /// # Errors
    /// If it is damaged, of another kind or version, or sizes in it can't be.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let container = Container::read(file, bytes)?;
        let settings: Settings = container.settings()?;
        let (width, models, size) = (settings.reading.width(), settings.models.len(), settings.size);
        if settings.kind != KIND || settings.version != VERSION {
            let problem = format!(
                "holds {} of version {}; {KIND} of version {VERSION} can be read",
                settings.kind, settings.version
            );
            return Err(malformed(file, problem));
        }
        let fine = (1..=MAX_WIDTH).contains(&width)
            && (1..=MAX_SIDE).contains(&size)
            && (2..=MAX_MODELS).contains(&models)
            && (settings.algorithm != Algorithm::Knn || (1..=1_000).contains(&settings.neighbours));
        if !fine {
            let problem = format!("sizes that can't be: {width} columns, {models} models, {size} rows");
            return Err(malformed(file, problem));
        }
        let curves = container.floats("curves", &[models, 2])?;
        Ok(Self {
            weights: weights(&container, &settings)?,
            curves: curves
                .as_chunks()
                .0
                .iter()
                .map(|[slope, shift]| Curve {
                    slope: *slope,
                    shift: *shift,
                })
                .collect(),
            reading: settings.reading,
            models: settings.models,
        })
    }
}

fn weights(container: &Container<'_>, settings: &Settings) -> Result<Weights, LoadError> {
    let (width, models, size) = (settings.reading.width(), settings.models.len(), settings.size);
    Ok(match settings.algorithm {
        Algorithm::Knn => Weights::Knn(Knn {
            width,
            models,
            neighbours: settings.neighbours,
            codes: container.signed("codes", &[size, width])?,
            scales: container.floats("scales", &[size])?,
            worth: container.floats("worth", &[size, models])?,
            means: container.floats("means", &[models])?,
        }),
        Algorithm::Kmeans => Weights::Kmeans(KMeans {
            width,
            models,
            centres: container.floats("centres", &[size, width])?,
            worth: container.floats("worth", &[size, models])?,
        }),
        Algorithm::Svm => Weights::Svm(Svm {
            width,
            models,
            lines: container.floats("lines", &[width + 1, models])?,
        }),
        Algorithm::Mlp => Weights::Mlp(Mlp {
            hidden: size,
            models,
            first: container.floats("first", &[width, size])?,
            first_bias: container.floats("first_bias", &[size])?,
            second: container.floats("second", &[size, models])?,
            second_bias: container.floats("second_bias", &[models])?,
        }),
        Algorithm::RouterDc => Weights::Contrast(Contrast {
            space: size,
            way: container.floats("way", &[width, size])?,
            places: container.floats("places", &[models, size])?,
            bias: container.floats("bias", &[models])?,
        }),
    })
}

fn malformed(file: &str, problem: String) -> LoadError {
    LoadError::Malformed {
        file: file.to_owned(),
        problem,
    }
}
