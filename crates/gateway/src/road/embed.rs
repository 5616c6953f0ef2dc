//! Embeddings: in the client's shape and the target's, split where the target takes fewer inputs at a time.

mod here;
mod memory;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use pointsman_governance::Principal;
use pointsman_wire::embeddings::{self, Batch, Shape};
use pointsman_wire::form::{
    EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, Extra, Failure, FailureKind, Text, Units,
    Usage,
};
use pointsman_wire::format::{Format, Loss};
use pointsman_wire::tokens;

use super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::recall::Pieces;
use super::{Arrival, Refusal, Ticket, admit, arrive, labels};
use crate::reply::Reply;
use crate::snapshot::Target;
use crate::worker::Worker;
use memory::Memory;

/// Most inputs of one request.
const MAX_INPUTS: usize = 2048;
/// Tokens of an image, about.
const IMAGE: u64 = 1_024;
/// The shape of a batch's lines.
const LINES: Shape = Shape::OpenAi;

/// Read, then as every errand.
pub async fn travel(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    shape: Shape,
    body: Bytes,
) -> Result<Reply, Refusal> {
    let mut embedding = Embedding::read(arrival, shape, body)?;
    if is_here(arrival, embedding.model()) {
        return here::travel(worker, arrival, caller, embedding).await;
    }
    embedding.is_remembered = true;
    errand::run(worker, arrival, caller, &mut embedding).await
}

/// Whether the model of this name is on this machine.
fn is_here(arrival: &Arrival, model: &str) -> bool {
    let snapshot = &arrival.snapshot;
    !snapshot.models.contains_key(model)
        && snapshot
            .understanding
            .embedding_models()
            .any(|name| name == model)
}

/// A request for vectors of texts, in OpenAI's shape.
pub fn of_texts(model: &str, texts: &[Arc<str>], dimensions: Option<usize>) -> impl Errand {
    let inputs = texts
        .iter()
        .map(|text| EmbeddingInput::Text(text.to_string().into()));
    let request = EmbeddingRequest {
        model: model.to_owned().into(),
        inputs: inputs.collect(),
        single: false,
        purpose: None,
        title: None,
        dimensions: dimensions.map(|dimensions| dimensions as u64),
        encodings: vec![Encoding::Float],
        truncate: None,
        user: None,
        extra: Extra::default(),
    };
    Embedding {
        prompt: request.inputs.iter().map(count).sum(),
        images: 0,
        renamed: true,
        shape: Shape::OpenAi,
        request,
        body: None,
        is_remembered: false,
        memory: None,
    }
}

/// What is left to send to `target` of a line that goes with a batch, and its ticket.
///
/// # Errors
/// As [`travel`], until the request is sent.
pub async fn prepared(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    caller: Arc<Principal>,
    (body, target): (&Bytes, &Target),
) -> Result<(Bytes, Ticket), Refusal> {
    let mut embedding = Embedding::read(arrival, LINES, body.clone())?;
    let estimate = admit::estimate_of(target, embedding.prompt, 0);
    let caller = labels::of_body(worker, caller, embedding.user()).await?;
    let mut ticket = admit::admit_at(worker, arrival, caller, (embedding.model(), estimate))
        .await
        .map_err(|failure| Refusal::from(failure).asking(embedding.model()))?;
    match embedding.line(arrival, target, &mut ticket).await {
        Ok(body) => Ok((body, ticket)),
        Err(failure) => Err(ticket.refuse(failure)),
    }
}

/// Which model a line asks for, about how many tokens it has, and which end customer it names.
///
/// # Errors
/// When it is no request for vectors.
pub fn asked(body: &Bytes) -> Result<(Text, u64, Option<Text>), Failure> {
    let request = embeddings::decode_request(LINES, body).map_err(arrive::malformed)?;
    let prompt = request.inputs.iter().map(count).sum();
    Ok((request.model, prompt, request.user))
}

/// Settles what came back for a line of about `prompt` tokens, and tells it.
///
/// # Errors
/// When it makes no sense, or cannot be recorded.
pub fn told(ticket: Ticket, prompt: u64, body: Bytes) -> Result<Reply, Refusal> {
    match embeddings::response_usage(LINES, &HeaderMap::new(), &body) {
        Ok(usage) => {
            let estimated = usage.is_none();
            let usage = usage.unwrap_or(Usage {
                input: prompt,
                ..Usage::default()
            });
            errand::hand_out(Answer::json(body, usage, estimated), ticket)
        }
        Err(error) => Err(ticket.refuse(errand::nonsense(error))),
    }
}

struct Embedding {
    shape: Shape,
    request: EmbeddingRequest,
    /// Whether the body names the model.
    renamed: bool,
    /// About how many tokens the texts have.
    prompt: u64,
    /// Inputs that are more than texts.
    images: u64,
    /// The client's bytes, where they still say what is asked.
    body: Option<Bytes>,
    /// Whether its vectors may be remembered.
    is_remembered: bool,
    /// What is remembered of them.
    memory: Option<Memory>,
}

impl Errand for Embedding {
    fn model(&self) -> &str {
        &self.request.model
    }

    fn estimate(&self) -> Usage {
        Usage {
            input: self.prompt + self.images * IMAGE,
            image_input: self.images * IMAGE,
            units: Units {
                images_in: self.images,
                ..Units::default()
            },
            ..Usage::default()
        }
    }

    fn inspect(&mut self, inspector: &mut Inspector) -> Result<(), Failure> {
        let title = self.request.title.as_deref().map(|title| inspector.text(title));
        if let Some(rewritten) = title.flatten() {
            self.request.title = Some(rewritten.into());
            self.body = None;
        }
        for input in &mut self.request.inputs {
            match input {
                EmbeddingInput::Text(text) => {
                    if let Some(rewritten) = inspector.text(text) {
                        *text = rewritten.into();
                        self.body = None;
                    }
                }
                EmbeddingInput::Tokens(_) => inspector.unreadable("input")?,
                EmbeddingInput::Native(native) => inspector.fixed(&native.text, native.field)?,
            }
        }
        Ok(())
    }

    fn calls(&self, target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let (shape, path) = self.way(target)?;
        let outgoing = |body| Outgoing::json(path.clone(), body, format(shape));
        let wanted = self.wanted(target);
        let all = wanted.len() == self.request.inputs.len();
        if let Some(body) = self.passes(target, shape)?.filter(|_| all) {
            return Ok(vec![outgoing(body)]);
        }
        let most = most_inputs(target, shape);
        let batches = wanted.chunks(most).map(|inputs| {
            let batch = Batch {
                request: &self.request,
                inputs,
                model: &target.model,
                from: self.shape,
            };
            embeddings::encode_request(shape, batch)
                .map(outgoing)
                .map_err(errand::inexpressible)
        });
        batches.collect()
    }

    fn user(&self) -> Option<&str> {
        self.request.user.as_deref()
    }

    fn is_remembered(&self) -> bool {
        self.is_remembered
    }

    fn recall(&mut self, pieces: &Pieces, ticket: &mut Ticket) -> Result<Option<Answer>, Failure> {
        self.memory = Memory::look(pieces, self);
        memory::recalled(self, pieces, ticket)
    }

    fn keep(&self, pieces: &Pieces, ticket: &mut Ticket, answer: &Answer) {
        memory::keep(self, pieces, ticket, &answer.usage);
    }

    fn losses(&self, target: &Target) -> Vec<Loss> {
        match self.way(target) {
            Ok((shape, _)) if shape != self.shape => embeddings::losses(self.shape, shape, &self.request),
            _ => Vec::new(),
        }
    }

    fn spent(&self, target: &Target, answers: &[Whole]) -> Usage {
        let decoded = self.decode(target, answers).unwrap_or_default();
        embeddings::join(decoded).usage.unwrap_or_default()
    }

    fn answer(&self, target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let (shape, _) = self.way(target)?;
        let mut response = embeddings::join(self.decode(target, &answers)?);
        let missing = self.memory.as_ref().map(|memory| memory.missing(&target.model));
        let all = self.request.inputs.len();
        let wanted = missing.as_ref().map_or(all, Vec::len);
        if let Some((_, vectors)) = response.sets.iter().find(|(_, vectors)| vectors.len() != wanted) {
            let message = format!("the provider gave {} vectors for {wanted} inputs", vectors.len());
            return Err(Failure::new(FailureKind::Provider, message));
        }
        if let (Some(memory), Some(missing)) = (&self.memory, &missing) {
            memory.join(missing, &mut response)?;
        }
        let estimated = response.usage.is_none();
        let usage = response
            .usage
            .unwrap_or_else(|| self.estimate_of(missing.as_deref()));
        response.usage = Some(usage);
        let same = wanted == all && shape == self.shape && self.passes(target, shape)?.is_some();
        let body = match answers.into_iter().next() {
            Some(only) if same => only.body,
            _ => embeddings::encode_response(self.shape, &self.request, &response, &target.model)
                .map_err(|error| Failure::new(FailureKind::Provider, error.to_string()))?,
        };
        Ok(Answer::json(body, usage, estimated))
    }
}

impl Embedding {
    /// What it uses when only the `missing` inputs are sent, where any are remembered.
    fn estimate_of(&self, missing: Option<&[usize]>) -> Usage {
        let Some(missing) = missing else {
            return self.estimate();
        };
        let inputs = &self.request.inputs;
        Usage {
            input: missing.iter().filter_map(|at| inputs.get(*at)).map(count).sum(),
            ..Usage::default()
        }
    }

    /// The inputs that a target must be asked for: those whose vectors are not remembered.
    fn wanted(&self, target: &Target) -> Cow<'_, [EmbeddingInput]> {
        let inputs = &self.request.inputs;
        let missing = self.memory.as_ref().map(|memory| memory.missing(&target.model));
        match missing.filter(|missing| missing.len() < inputs.len()) {
            Some(missing) => missing
                .into_iter()
                .filter_map(|at| inputs.get(at).cloned())
                .collect(),
            None => Cow::Borrowed(inputs),
        }
    }

    fn read(arrival: &Arrival, shape: Shape, body: Bytes) -> Result<Self, Failure> {
        let mut request = embeddings::decode_request(shape, &body).map_err(arrive::malformed)?;
        let named = request.model.clone();
        if let Some(model) = &arrival.surface.model {
            request.model = model.as_str().into();
        }
        if request.inputs.len() > MAX_INPUTS {
            let message = format!("at most {MAX_INPUTS} inputs can be embedded at once; send fewer");
            let field = match shape {
                Shape::Cohere | Shape::CohereOld => "texts",
                Shape::Gemini | Shape::GeminiBatch => "requests",
                _ => "input",
            };
            return Err(Failure::new(FailureKind::InvalidRequest, message).at(field));
        }
        Ok(Self {
            prompt: request.inputs.iter().map(count).sum(),
            images: request.inputs.iter().filter(|input| is_image(input)).count() as u64,
            renamed: shape == Shape::GeminiBatch || !named.is_empty(),
            shape,
            request,
            body: Some(body),
            is_remembered: false,
            memory: None,
        })
    }

    /// The body of a line that goes to `target` with a batch.
    async fn line(
        &mut self,
        arrival: &Arrival,
        target: &Target,
        ticket: &mut Ticket,
    ) -> Result<Bytes, Failure> {
        errand::inspect(arrival, self, ticket).await?;
        let mut calls = self.calls(target)?.into_iter();
        match (calls.next(), calls.next()) {
            (Some(only), None) if self.way(target)?.0 == LINES => Ok(only.body),
            _ => Err(errand::lacking(target, "embeddings in batches")),
        }
    }

    /// In which shape, and at which path, a target is asked.
    fn way(&self, target: &Target) -> Result<(Shape, String), Failure> {
        way(target, self.shape, self.request.inputs.len())
            .ok_or_else(|| errand::lacking(target, "embeddings"))
    }

    fn decode(&self, target: &Target, answers: &[Whole]) -> Result<Vec<EmbeddingResponse>, Failure> {
        let (shape, _) = self.way(target)?;
        let decode = |answer: &Whole| embeddings::decode_response(shape, &answer.headers, &answer.body);
        let decoded: Result<Vec<_>, _> = answers.iter().map(decode).collect();
        decoded.map_err(errand::nonsense)
    }

    /// The client's own bytes for the target, where they can be passed.
    fn passes(&self, target: &Target, shape: Shape) -> Result<Option<Bytes>, Failure> {
        let fits = shape == self.shape && self.request.inputs.len() <= most_inputs(target, shape);
        let Some(body) = self.body.as_ref().filter(|_| fits) else {
            return Ok(None);
        };
        let named = !self.renamed || *self.request.model == *target.model;
        match shape {
            _ if named => Ok(Some(body.clone())),
            // Every request of a batch names the model, too: it is written anew.
            Shape::GeminiBatch | Shape::Gemini => Ok(None),
            _ => errand::named(body, &target.model).map(Some),
        }
    }
}

/// Most inputs that a target takes at once.
fn most_inputs(target: &Target, shape: Shape) -> usize {
    let most = shape.most_inputs();
    match (target.provider.kind.as_str(), shape) {
        (_, Shape::Vertex) if target.model.starts_with("gemini-embedding") => 1,
        (_, Shape::Vertex) if target.provider.region.as_deref() != Some("us-central1") => 5,
        ("voyage", _) => 1000,
        ("tei", _) => 32,
        ("dashscope" | "qwencloud" | "qwen-ai-platform", _) => 10,
        _ => most,
    }
}

/// In which shape, and at which path, a target is asked by a client of `client`.
fn way(target: &Target, client: Shape, inputs: usize) -> Option<(Shape, String)> {
    let model = target.model.as_str();
    let speaks = &target.provider.speaks;
    let at = |name| speaks.endpoint(name, model);
    if let Some(path) = at("cohere_embed") {
        return Some((Shape::Cohere, path));
    }
    if let Some(path) = at("gemini_embed") {
        return Some(gemini(client, inputs, path));
    }
    if let Some(path) = at("bedrock_invoke") {
        if model.contains("titan-embed") {
            return Some((Shape::Titan, path));
        }
        if model.contains("cohere.embed") {
            return Some((Shape::BedrockCohere, path));
        }
    }
    if let Some(path) = at("vertex_predict") {
        return Some(if model.starts_with("gemini-embedding-2") {
            let single = path.replace(":predict", ":embedContent");
            (Shape::Gemini, single)
        } else {
            (Shape::Vertex, path)
        });
    }
    at("embeddings")
        .map(|path| (Shape::OpenAi, path))
        .or_else(|| at("tei_embed").map(|path| (Shape::Tei, path)))
}

/// One content or many: each has a method of its own.
fn gemini(client: Shape, inputs: usize, path: String) -> (Shape, String) {
    if client == Shape::Gemini || (client != Shape::GeminiBatch && inputs == 1) {
        (
            Shape::Gemini,
            path.replace(":batchEmbedContents", ":embedContent"),
        )
    } else {
        (Shape::GeminiBatch, path)
    }
}

/// The format in which a provider of this shape tells its errors.
fn format(shape: Shape) -> Format {
    match shape {
        Shape::OpenAi | Shape::Tei => Format::OpenAiChat,
        Shape::Cohere | Shape::CohereOld => Format::CohereChat,
        Shape::Gemini | Shape::GeminiBatch | Shape::Vertex => Format::GeminiGenerate,
        Shape::Titan | Shape::BedrockCohere => Format::BedrockConverse,
    }
}

fn is_image(input: &EmbeddingInput) -> bool {
    matches!(input, EmbeddingInput::Native(_))
}

fn count(input: &EmbeddingInput) -> u64 {
    match input {
        EmbeddingInput::Text(text) => tokens::estimate(text),
        EmbeddingInput::Tokens(tokens) => tokens.len() as u64,
        EmbeddingInput::Native(native) => tokens::estimate(&native.text),
    }
}
