//! The plugin `image_gen`: the answer is an image of what the user describes, by a model for images.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::plugins::ImageGenSettings;

/// Longest side, where nothing else is said by a model.
const MOST: u64 = 8_192;

/// How images are made.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGen {
    /// The gateway's model that makes them.
    pub model: String,
    /// Width and height in dots; the model's own where absent.
    pub size: Option<(u64, u64)>,
    /// Fields of its request beside these.
    pub fields: Map<String, Value>,
    /// Longest wait, in seconds.
    pub seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    #[serde(default)]
    model: String,
    base_url: Option<String>,
    api_key: Option<String>,
    num_inference_steps: Option<u64>,
    cfg_scale: Option<f64>,
    seed: Option<i64>,
    quality: Option<String>,
    style: Option<String>,
}

impl ImageGen {
    pub(super) fn of(form: ImageGenSettings) -> Result<Option<Self>, String> {
        if !form.enabled {
            return Ok(None);
        }
        let named = form.backend.as_deref().unwrap_or("openai");
        if !["openai", "vllm_omni"].contains(&named) {
            return Err(format!(
                "image_gen.backend: unknown backend {named:?}; use openai or vllm_omni"
            ));
        }
        if form.modality_detection.is_some() {
            return Err(
                "image_gen.modality_detection is not supported in this version; put a modality signal into the \
                 decision's rules"
                    .to_owned(),
            );
        }
        let backend = form.backend_config.unwrap_or_default();
        let backend: Backend =
            serde_json::from_value(backend).map_err(|error| format!("image_gen.backend_config: {error}"))?;
        for (field, given) in [
            ("base_url", backend.base_url.is_some()),
            ("api_key", backend.api_key.is_some()),
        ] {
            if given {
                return Err(format!(
                    "image_gen.backend_config.{field}: make it one of `providers` and give backend_config.model the name \
                     of a model there"
                ));
            }
        }
        if backend.model.is_empty() {
            return Err("image_gen.backend_config.model names the model that makes images".to_owned());
        }
        let size = match (form.default_width, form.default_height) {
            (None, None) => None,
            (Some(width), Some(height)) if (1..=MOST).contains(&width) && (1..=MOST).contains(&height) => {
                Some((width, height))
            }
            _ => {
                return Err(format!(
                    "image_gen: default_width and default_height go together, up to {MOST}"
                ));
            }
        };
        let steps = match (backend.num_inference_steps, form.max_inference_steps) {
            (Some(steps), most) => Some(steps.min(most.unwrap_or(u64::MAX))),
            (None, _) => None,
        };
        let fields = [
            ("num_inference_steps", steps.map(Value::from)),
            ("guidance_scale", backend.cfg_scale.map(Value::from)),
            ("seed", backend.seed.map(Value::from)),
            ("quality", backend.quality.map(Value::from)),
            ("style", backend.style.map(Value::from)),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Some(Self {
            model: backend.model,
            size,
            fields: fields.collect(),
            seconds: form.timeout_seconds.filter(|seconds| *seconds > 0),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_of_the_gateway_makes_images() {
        let of = |settings: Value| ImageGen::of(serde_json::from_value(settings).unwrap());
        let known = of(json!({
            "enabled": true, "backend": "vllm_omni", "default_width": 512, "default_height": 256, "max_inference_steps": 20,
            "backend_config": {"model": "qwen-image", "num_inference_steps": 28, "cfg_scale": 4.5}
        }))
        .unwrap()
        .unwrap();
        assert_eq!(
            (known.model.as_str(), known.size),
            ("qwen-image", Some((512, 256)))
        );
        assert_eq!(
            Value::from(known.fields),
            json!({"num_inference_steps": 20, "guidance_scale": 4.5})
        );
        for wrong in [
            json!({"enabled": true}),
            json!({"enabled": true, "backend": "paint", "backend_config": {"model": "m"}}),
            json!({"enabled": true, "backend_config": {"model": "m", "base_url": "http://x"}}),
            json!({"enabled": true, "backend_config": {"model": "m", "colour": 1}}),
            json!({"enabled": true, "default_width": 512, "backend_config": {"model": "m"}}),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
