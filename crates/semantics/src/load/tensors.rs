//! The tensors of a folder: `model.safetensors` whole or in shards, each taken by name and shape; adapters merged on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use super::config::Config;
use crate::error::LoadError;

/// Bytes of all files together that are read for a model.
const LARGEST: u64 = 8 << 30;

/// Files of a model, in memory.
#[derive(Debug)]
pub struct Files {
    files: Vec<(String, Vec<u8>)>,
    adapters: Vec<(Config, Vec<u8>)>,
}

impl Files {
    /// Reads the weights of a folder and of adapters to it.
    pub fn read(folder: &Path, adapters: &[&Path]) -> Result<Self, LoadError> {
        let index = "model.safetensors.index.json";
        let names = if folder.join(index).exists() {
            shards(&Config::read(folder, index)?)?
        } else {
            BTreeSet::from(["model.safetensors".to_owned()])
        };
        let mut files = Vec::new();
        let mut left = LARGEST;
        for name in names {
            files.push((name.clone(), read_large(&folder.join(&name), &mut left)?));
        }
        let mut merged = Vec::new();
        for adapter in adapters {
            let config = Config::read(adapter, "adapter_config.json")?;
            let path = adapter.join("adapter_model.safetensors");
            merged.push((config, read_large(&path, &mut left)?));
        }
        Ok(Self {
            files,
            adapters: merged,
        })
    }
}

/// The files that an index names: they must lie beside it.
fn shards(index: &Config) -> Result<BTreeSet<String>, LoadError> {
    let map = index.value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| index.refuse("weight_map", "is missing"))?;
    map.values()
        .map(|value| match value.as_str() {
            Some(name) if !name.contains(['/', '\\']) && name.ends_with(".safetensors") => {
                Ok(name.to_owned())
            }
            _ => Err(index.refuse("weight_map", format!("names {value}, which is no file beside it"))),
        })
        .collect()
}

/// Reads a file that takes no more than is `left` for all.
fn read_large(path: &Path, left: &mut u64) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    let Some(rest) = left.checked_sub(size) else {
        return Err(LoadError::malformed(
            path.display().to_string(),
            format!("{size} bytes: more than {LARGEST} for all files together"),
        ));
    };
    *left = rest;
    std::fs::read(path).map_err(failed)
}

/// A low-rank change of one matrix.
struct Change<'a> {
    down: TensorView<'a>,
    up: TensorView<'a>,
    scale: f32,
    transposed: bool,
}

/// Tensors by name.
pub struct Tensors<'a> {
    tensors: BTreeMap<String, TensorView<'a>>,
    /// Those that an adapter brings whole.
    brought: BTreeSet<String>,
    changes: BTreeMap<String, Vec<Change<'a>>>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Tensors<'a> {
    /// Looks into files that were read.
    pub fn new(files: &'a Files) -> Result<Self, LoadError> {
        let mut tensors = BTreeMap::new();
        for (name, bytes) in &files.files {
            let found = SafeTensors::deserialize(bytes)
                .map_err(|error| LoadError::malformed(name, error.to_string()))?;
            for (tensor, view) in found.tensors() {
                if tensors.insert(tensor.clone(), view).is_some() {
                    return Err(LoadError::malformed(
                        name,
                        format!("has `{tensor}`, as another file has"),
                    ));
                }
            }
        }
        let mut this = Self {
            tensors,
            brought: BTreeSet::new(),
            changes: BTreeMap::new(),
            used: RefCell::default(),
        };
        for (config, bytes) in &files.adapters {
            this.adapt(config, bytes)?;
        }
        Ok(this)
    }

    fn adapt(&mut self, config: &Config, bytes: &'a [u8]) -> Result<(), LoadError> {
        let file = "adapter_model.safetensors";
        let found =
            SafeTensors::deserialize(bytes).map_err(|error| LoadError::malformed(file, error.to_string()))?;
        let (rank, scale) = rank_and_scale(config)?;
        let transposed = config.flag_or("fan_in_fan_out", false)?;
        let mut all: BTreeMap<String, TensorView<'a>> = found.tensors().into_iter().collect();
        let downs: Vec<String> = all
            .keys()
            .filter(|name| name.ends_with(".lora_A.weight"))
            .cloned()
            .collect();
        for name in downs {
            let module = plain_name(name.trim_end_matches(".lora_A.weight"));
            let up_name = name.replace(".lora_A.weight", ".lora_B.weight");
            let (Some(down), Some(up)) = (all.remove(&name), all.remove(&up_name)) else {
                return Err(LoadError::malformed(file, format!("`{name}` has no `{up_name}`")));
            };
            if down.shape().first() != Some(&rank) {
                return Err(LoadError::Shape {
                    found: down.shape().to_vec(),
                    expected: vec![rank, down.shape().get(1).copied().unwrap_or(0)],
                    name,
                });
            }
            let target = format!("{module}.weight");
            if !self.tensors.contains_key(&target) {
                return Err(LoadError::malformed(
                    file,
                    format!("`{name}` changes `{target}`, which the model lacks"),
                ));
            }
            let change = Change {
                down,
                up,
                scale,
                transposed,
            };
            self.changes.entry(target).or_default().push(change);
        }
        // What is left are whole modules that were trained along.
        for (name, view) in all {
            let target = plain_name(&name).replace(".modules_to_save.default.", ".");
            if target.contains("lora_") {
                return Err(LoadError::malformed(
                    file,
                    format!("`{name}` is no change that can be merged"),
                ));
            }
            self.brought.insert(target.clone());
            self.tensors.insert(target, view);
        }
        Ok(())
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The first of `prefixes` under which there is `name`.
    pub fn prefix(&self, prefixes: &[&'static str], name: &str) -> Result<&'static str, LoadError> {
        prefixes
            .iter()
            .find(|prefix| self.has(&format!("{prefix}{name}")))
            .copied()
            .ok_or_else(|| self.missing(&format!("{}{name}", prefixes.first().unwrap_or(&""))))
    }

    fn missing(&self, name: &str) -> LoadError {
        let last = name.rsplit('.').nth(1).unwrap_or(name);
        let near = self.tensors.keys().find(|other| other.contains(last));
        LoadError::Missing {
            name: name.to_owned(),
            count: self.tensors.len(),
            near: near
                .map(|near| format!(", among them `{near}`"))
                .unwrap_or_default(),
        }
    }

    /// The values of a tensor that must have this shape.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let view = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        let mut values = checked(name, view, shape)?;
        self.used.borrow_mut().insert(name.to_owned());
        for change in self.changes.get(name).into_iter().flatten() {
            change.merge(name, &mut values, shape)?;
        }
        Ok(values)
    }

    /// Fails if an adapter changes a matrix that the architecture never read, or a layer has more than was read: then
    /// weights and configuration are not of the same model.
    pub fn finish(&self) -> Result<(), LoadError> {
        let used = self.used.borrow();
        if let Some(name) = self.changes.keys().find(|name| !used.contains(*name)) {
            let problem = format!("changes `{name}`, which this architecture does not use");
            return Err(LoadError::malformed("adapter_model.safetensors", problem));
        }
        if let Some(name) = self.brought.iter().find(|name| !used.contains(*name)) {
            let problem = format!("brings `{name}`, which this architecture does not use");
            return Err(LoadError::malformed("adapter_model.safetensors", problem));
        }
        let left_out = self
            .tensors
            .keys()
            .find(|name| is_of_a_layer(name) && !used.contains(*name));
        match left_out {
            None => Ok(()),
            Some(name) => Err(LoadError::malformed(
                "model.safetensors",
                format!(
                    "has `{name}`, of which the configuration knows nothing: they do not belong together"
                ),
            )),
        }
    }
}

/// Whether a tensor belongs to a numbered layer and is none of the constants that some releases store beside the weights.
fn is_of_a_layer(name: &str) -> bool {
    let mut parts = name
        .split('.')
        .skip_while(|part| !matches!(*part, "layer" | "layers"));
    let number = parts.nth(1);
    let constant = ["inv_freq", "position_ids", "masked_bias"];
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        && !constant.iter().any(|constant| name.ends_with(constant))
}

/// The rank of an adapter's changes, and what they are multiplied with.
fn rank_and_scale(config: &Config) -> Result<(usize, f32), LoadError> {
    let kind = config.word_or("peft_type", "LORA")?;
    if kind != "LORA" || config.flag_or("use_dora", false)? {
        return Err(config.refuse(
            "peft_type",
            format!("is `{kind}`; plain LORA adapters can be merged"),
        ));
    }
    for key in ["rank_pattern", "alpha_pattern"] {
        let pattern = config.value.get(key).and_then(Value::as_object);
        if pattern.is_some_and(|pattern| !pattern.is_empty()) {
            return Err(config.refuse(
                key,
                "is set; only adapters of one rank and one alpha can be merged",
            ));
        }
    }
    let rank = config.size("r")?;
    let alpha = config.float_or("lora_alpha", 8.0)?;
    #[allow(clippy::cast_precision_loss, reason = "ranks are small")]
    let scale = if config.flag_or("use_rslora", false)? {
        alpha / (rank as f32).sqrt()
    } else {
        alpha / rank as f32
    };
    Ok((rank, scale))
}

fn plain_name(name: &str) -> String {
    name.trim_start_matches("base_model.model.").to_owned()
}

impl Change<'_> {
    /// Adds `scale · up · down`.
    fn merge(&self, name: &str, values: &mut [f32], shape: &[usize]) -> Result<(), LoadError> {
        let [outputs, inputs] = *shape else {
            return Err(LoadError::malformed(
                "adapter_model.safetensors",
                format!("`{name}` is no matrix"),
            ));
        };
        if self.transposed {
            return Err(LoadError::unsupported(
                "adapter_config.json",
                "fan_in_fan_out",
                "is true; merge it beforehand",
            ));
        }
        let rank = self.down.shape().first().copied().unwrap_or(0);
        let down = checked(&format!("{name} (lora_A)"), &self.down, &[rank, inputs])?;
        let up = checked(&format!("{name} (lora_B)"), &self.up, &[outputs, rank])?;
        for (row, factors) in values
            .chunks_exact_mut(inputs.max(1))
            .zip(up.chunks_exact(rank.max(1)))
        {
            for (factor, line) in factors.iter().zip(down.chunks_exact(inputs.max(1))) {
                for (value, step) in row.iter_mut().zip(line) {
                    *value += self.scale * factor * step;
                }
            }
        }
        Ok(())
    }
}

/// The values of a view, if it has this shape and all of them are numbers.
fn checked(name: &str, view: &TensorView<'_>, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
    if view.shape() != shape {
        return Err(LoadError::Shape {
            name: name.to_owned(),
            found: view.shape().to_vec(),
            expected: shape.to_vec(),
        });
    }
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
        Dtype::F16 => view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| half(u16::from_le_bytes(*bytes)))
            .collect(),
        Dtype::BF16 => {
            let words = view.data().as_chunks().0.iter();
            words
                .map(|bytes| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16))
                .collect()
        }
        other => {
            let problem = format!("tensor `{name}` is of type {other:?}; F32, F16 and BF16 can be read");
            return Err(LoadError::malformed("model.safetensors", problem));
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        let problem = format!("tensor `{name}` has values that are no numbers: the file is damaged");
        return Err(LoadError::malformed("model.safetensors", problem));
    }
    Ok(values)
}

/// A 16-bit float.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        0 => {
            #[allow(clippy::cast_precision_loss, reason = "ten bits")]
            let small = fraction as f32 / 16_777_216.0;
            if sign == 0 { small } else { -small }
        }
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_read() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x7bff, 65_504.0),
        ] {
            assert!(
                (half(bits) - value).abs() <= value.abs() * 1e-6,
                "{bits:x}: {}",
                half(bits)
            );
        }
        assert!(half(0x7c00).is_infinite());
    }
}
