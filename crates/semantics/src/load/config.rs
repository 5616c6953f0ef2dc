//! A JSON file of settings, asked key by key; what is wrong is told with the file and the key.

use std::path::Path;

use serde_json::Value;

use crate::encoder::Activation;
use crate::error::LoadError;

/// A largest size that any key may have: what is beyond is damage, not a model.
const LARGEST: usize = 1 << 24;

/// The most classes that a model may have.
const MOST_LABELS: usize = 1 << 16;

/// A settings file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name, for errors.
    pub file: String,
    /// What it says.
    pub value: Value,
}

/// Reads a file that may not be larger than 64 MiB.
pub fn read_small(path: &Path) -> Result<Vec<u8>, LoadError> {
    const LARGEST_FILE: u64 = 64 << 20;
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST_FILE {
        return Err(LoadError::malformed(
            path.display().to_string(),
            format!("{size} bytes: too large"),
        ));
    }
    std::fs::read(path).map_err(failed)
}

impl Config {
    /// Reads `name` in `folder`.
    pub fn read(folder: &Path, name: &str) -> Result<Self, LoadError> {
        let bytes = read_small(&folder.join(name))?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| LoadError::malformed(name, error.to_string()))?;
        if !(value.is_object() || value.is_array()) {
            return Err(LoadError::malformed(name, "neither an object nor a list"));
        }
        Ok(Self {
            file: name.to_owned(),
            value,
        })
    }

    /// A key that can't be honoured.
    pub fn refuse(&self, key: &str, problem: impl Into<String>) -> LoadError {
        LoadError::unsupported(&self.file, key, problem)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    /// A whole number that must be there and not be zero.
    pub fn size(&self, key: &str) -> Result<usize, LoadError> {
        self.size_if(key)?.ok_or_else(|| self.refuse(key, "is missing"))
    }

    /// A whole number, or `default` where the key is not there.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize, LoadError> {
        Ok(self.size_if(key)?.unwrap_or(default))
    }

    /// A whole number above zero, if the key is there.
    pub fn size_if(&self, key: &str) -> Result<Option<usize>, LoadError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_u64().and_then(|number| usize::try_from(number).ok()) {
            Some(number) if (1..=LARGEST).contains(&number) => Ok(Some(number)),
            _ => Err(self.refuse(
                key,
                format!("is {value}: a whole number from 1 to {LARGEST} is wanted"),
            )),
        }
    }

    /// A whole number that may be zero, or `default`.
    pub fn count_or(&self, key: &str, default: usize) -> Result<usize, LoadError> {
        match self.get(key) {
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            _ => self.size_or(key, default),
        }
    }

    /// A number, or `default`.
    #[allow(clippy::cast_possible_truncation, reason = "settings have few digits")]
    pub fn float_or(&self, key: &str, default: f32) -> Result<f32, LoadError> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        match value.as_f64() {
            Some(number) if number.is_finite() => Ok(number as f32),
            _ => Err(self.refuse(key, format!("is {value}: a number is wanted"))),
        }
    }

    /// True or false, or `default`.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool, LoadError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.refuse(key, format!("is {value}: true or false is wanted"))),
        }
    }

    /// A word, or `default`.
    pub fn word_or<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str, LoadError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::String(word)) => Ok(word),
            Some(value) => Err(self.refuse(key, format!("is {value}: a word is wanted"))),
        }
    }

    /// Words, or none where the key is not there.
    pub fn words(&self, key: &str) -> Result<Option<Vec<&str>>, LoadError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let words: Option<Vec<&str>> = value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect());
        words
            .map(Some)
            .ok_or_else(|| self.refuse(key, "is not a list of words"))
    }

    /// A part of it, under the same file's name.
    pub fn part(&self, key: &str) -> Option<Self> {
        self.get(key).filter(|value| value.is_object()).map(|value| Self {
            file: self.file.clone(),
            value: value.clone(),
        })
    }

    /// The activation that a key names.
    pub fn activation(&self, key: &str, default: &str) -> Result<Activation, LoadError> {
        Ok(match self.word_or(key, default)? {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" => Activation::GeluTanh,
            "silu" | "swish" => Activation::Silu,
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            other => {
                let known = "gelu, gelu_new, gelu_pytorch_tanh, silu, relu and tanh";
                return Err(self.refuse(key, format!("is `{other}`; this engine has {known}")));
            }
        })
    }

    /// What the classes are called, in order.
    pub fn labels(&self) -> Result<Vec<String>, LoadError> {
        let Some(map) = self.get("id2label").and_then(Value::as_object) else {
            let count = self.size_or("num_labels", 2)?;
            if count > MOST_LABELS {
                return Err(self.refuse("num_labels", format!("is {count}; {MOST_LABELS} are the most")));
            }
            return Ok((0..count).map(|index| format!("LABEL_{index}")).collect());
        };
        (0..map.len())
            .map(|index| {
                map.get(&index.to_string())
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .ok_or_else(|| {
                        self.refuse(
                            "id2label",
                            format!("has {} labels but none for {index}", map.len()),
                        )
                    })
            })
            .collect()
    }

    /// `whole` divided into `parts`, which it must be divisible by.
    pub fn divided(&self, key: &str, whole: usize, parts: usize) -> Result<usize, LoadError> {
        if whole.is_multiple_of(parts) {
            Ok(whole / parts)
        } else {
            Err(self.refuse(key, format!("is {parts}, which does not divide {whole}")))
        }
    }
}
