//! Texts as token ids and back: asked of the model server where it can tell, else counted here for models whose
//! vocabulary is public.

use bytes::Bytes;
use pointsman_semantics::tokens::{self, Vocabulary};
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use pointsman_wire::splice::Edits;
use serde_json::{Value, json};

use super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use crate::snapshot::Target;
use crate::surface::Endpoint;

/// A question of tokens. It costs nothing.
pub struct Tokens {
    endpoint: Endpoint,
    model: String,
    body: Bytes,
    value: Value,
}

/// Who can answer, and how.
enum Way {
    /// A server that speaks the client's shape.
    Same(String),
    /// text-embeddings-inference, for a client of vLLM's shape.
    Across(String),
    /// Here.
    Here(Vocabulary),
}

/// Reads a question, in vLLM's shape or that of text-embeddings-inference.
pub fn read(endpoint: Endpoint, body: Bytes) -> Result<Tokens, Failure> {
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, format!("not valid JSON: {error}")))?;
    let Some(model) = value.get("model").and_then(Value::as_str) else {
        return Err(Failure::new(FailureKind::InvalidRequest, "model is missing").at("model"));
    };
    let fields: &[&str] = if endpoint == Endpoint::Tokenize {
        &["prompt", "messages", "inputs"]
    } else {
        &["tokens", "ids"]
    };
    if fields
        .iter()
        .all(|name| value.get(*name).is_none_or(Value::is_null))
    {
        let message = format!("{} is missing", fields[0]);
        return Err(Failure::new(FailureKind::InvalidRequest, message).at(fields[0]));
    }
    Ok(Tokens {
        endpoint,
        model: model.to_owned(),
        body,
        value,
    })
}

impl Tokens {
    /// Whether the question has the shape of text-embeddings-inference.
    fn is_small(&self) -> bool {
        ["inputs", "ids"]
            .iter()
            .any(|name| self.value.get(*name).is_some())
    }

    fn way(&self, target: &Target) -> Option<Way> {
        let (large, small) = if self.endpoint == Endpoint::Tokenize {
            ("tokenize", "tei_tokenize")
        } else {
            ("detokenize", "tei_detokenize")
        };
        let at = |name| target.provider.speaks.endpoint(name, &target.model);
        let plain = self.value.get("messages").is_none();
        if self.is_small() {
            return at(small).map(Way::Same);
        }
        at(large)
            .map(Way::Same)
            .or_else(|| at(small).filter(|_| plain).map(Way::Across))
            .or_else(|| Vocabulary::of(&target.model).filter(|_| plain).map(Way::Here))
    }

    fn here(&self, vocabulary: Vocabulary) -> Result<Value, Failure> {
        let wrong = |field: &str, message: &str| {
            Failure::new(FailureKind::InvalidRequest, format!("{field}: {message}")).at(field)
        };
        if self.endpoint == Endpoint::Tokenize {
            let prompt = self.value["prompt"].as_str();
            let prompt = prompt.ok_or_else(|| wrong("prompt", "expected a string"))?;
            let tokens = tokens::encode(prompt, vocabulary);
            return Ok(json!({"count": tokens.len(), "tokens": tokens}));
        }
        let ids: Vec<u32> = serde_json::from_value(self.value["tokens"].clone())
            .map_err(|_| wrong("tokens", "expected a list of token ids"))?;
        let text = tokens::decode(&ids, vocabulary);
        let text = text.ok_or_else(|| wrong("tokens", "these are no tokens of a text"))?;
        Ok(json!({"prompt": text}))
    }

    /// An answer of text-embeddings-inference in vLLM's shape.
    fn across(&self, body: &Bytes) -> Result<Value, Failure> {
        let nonsense = || Failure::new(FailureKind::Provider, "the provider's answer makes no sense");
        let told: Value = serde_json::from_slice(body).map_err(|_| nonsense())?;
        let first = told.get(0).ok_or_else(nonsense)?;
        if self.endpoint == Endpoint::Detokenize {
            return first
                .as_str()
                .map(|text| json!({"prompt": text}))
                .ok_or_else(nonsense);
        }
        let all = first.as_array().ok_or_else(nonsense)?;
        let tokens: Vec<&Value> = all.iter().filter_map(|token| token.get("id")).collect();
        Ok(json!({"count": tokens.len(), "tokens": tokens}))
    }
}

impl Errand for Tokens {
    fn model(&self) -> &str {
        &self.model
    }

    fn estimate(&self) -> Usage {
        Usage::default()
    }

    fn inspect(&mut self, inspector: &mut Inspector) -> Result<(), Failure> {
        if inspector.is_idle() || self.endpoint == Endpoint::Detokenize {
            return Ok(());
        }
        if let Some(edited) = errand::inspect_json(&self.body, &mut self.value, inspector)? {
            self.body = edited;
        }
        let inputs = self.value.get("inputs").map(ToString::to_string);
        inputs.map_or(Ok(()), |inputs| inspector.fixed(&inputs, "inputs"))
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let what = "tokenizer that can be asked and no public vocabulary";
        let (path, body) = match self.way(target).ok_or_else(|| errand::lacking(target, what))? {
            Way::Here(_) => return Ok(Vec::new()),
            Way::Across(path) if self.endpoint == Endpoint::Tokenize => {
                let mut asked = json!({"inputs": self.value["prompt"]});
                if let Some(special) = self.value.get("add_special_tokens") {
                    asked["add_special_tokens"] = special.clone();
                }
                (path, asked.to_string().into())
            }
            Way::Across(path) => (path, json!({"ids": [self.value["tokens"]]}).to_string().into()),
            Way::Same(path) => {
                let mut edits = Edits::new();
                // A server of one model is not asked for it by name.
                if self.is_small() {
                    edits.remove("model");
                } else {
                    edits.set_string("model", &target.model);
                }
                (path, errand::edited(&self.body, &edits)?)
            }
        };
        Ok(vec![Outgoing::json(path, body, Format::OpenAiChat)])
    }

    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let body = match (self.way(target), answers.into_iter().next()) {
            (Some(Way::Here(vocabulary)), _) => self.here(vocabulary)?.to_string().into(),
            (Some(Way::Across(_)), Some(whole)) => self.across(&whole.body)?.to_string().into(),
            (_, Some(whole)) => whole.body,
            (_, None) => return Err(errand::lacking(target, "tokenizer")),
        };
        Ok(Answer::json(body, Usage::default(), false))
    }
}
