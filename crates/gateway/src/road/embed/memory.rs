//! Vectors that are remembered, input by input. Only those that are not are asked for; vectors of different models are
//! never put into one answer.

use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_cache::CacheKey;
use pointsman_catalog::Money;
use pointsman_wire::embeddings;
use pointsman_wire::form::{
    EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Encoding, Failure, FailureKind, Purpose, Truncate,
    Usage,
};
use pointsman_wire::json::Json;

use super::super::Ticket;
use super::super::errand::Answer;
use super::super::recall::{Found, Kept, Piece, Pieces, Said};
use super::{Embedding, count};

/// A vector in each of the ways in which it is written.
type Ways = Vec<(Encoding, Json)>;

/// What is remembered of the inputs of a request.
pub struct Memory {
    keys: Vec<CacheKey>,
    known: Vec<Option<Arc<Kept>>>,
    /// Vectors that have come, with their place.
    fresh: Mutex<Vec<(usize, Ways)>>,
}

impl Memory {
    /// Looks the inputs up; none where they cannot be told apart.
    pub fn look(pieces: &Pieces, embedding: &Embedding) -> Option<Self> {
        let keys: Option<Vec<_>> = embedding
            .request
            .inputs
            .iter()
            .map(|input| key(pieces, embedding, input))
            .collect();
        let keys = keys?;
        Some(Self {
            known: keys.iter().map(|key| pieces.get(key)).collect(),
            keys,
            fresh: Mutex::default(),
        })
    }

    fn piece(&self, at: usize) -> Option<&Piece> {
        self.known.get(at)?.as_deref()?.piece()
    }

    /// Whether the vector of an input is remembered, and is `model`'s.
    fn has(&self, at: usize, model: &str) -> bool {
        self.piece(at).is_some_and(|piece| piece.model == model)
    }

    /// Places of the inputs that `model` must be asked for.
    pub fn missing(&self, model: &str) -> Vec<usize> {
        (0..self.keys.len()).filter(|at| !self.has(*at, model)).collect()
    }

    /// The first piece, where all are remembered and are one model's.
    fn all(&self) -> Option<&Piece> {
        let first = self.piece(0)?;
        self.missing(&first.model).is_empty().then_some(first)
    }

    /// All vectors in their order: those that are remembered, and those that have come for the `missing`.
    ///
    /// # Errors
    /// When they are not written in the same ways.
    pub fn join(&self, missing: &[usize], came: &mut EmbeddingResponse) -> Result<(), Failure> {
        let mut fresh: Vec<(usize, Ways)> = missing.iter().map(|at| (*at, Vec::new())).collect();
        for (encoding, vectors) in std::mem::take(&mut came.sets) {
            for ((_, ways), vector) in fresh.iter_mut().zip(vectors) {
                ways.push((encoding, vector));
            }
        }
        let mut next = fresh.iter().peekable();
        for at in 0..self.keys.len() {
            let ways = match next.next_if(|(place, _)| *place == at) {
                Some((_, ways)) => ways,
                None => self.ways(at)?,
            };
            add(&mut came.sets, ways, at)?;
        }
        *self.fresh.lock() = fresh;
        Ok(())
    }

    fn ways(&self, at: usize) -> Result<&Ways, Failure> {
        match self.piece(at).map(|piece| &piece.said) {
            Some(Said::Vector(ways, _)) => Ok(ways),
            _ => Err(Failure::new(FailureKind::Internal, "a remembered vector is none")),
        }
    }

    /// What the remembered vectors have cost that `model` was not asked for.
    fn saved(&self, model: &str) -> Money {
        let own = (0..self.keys.len()).filter(|at| self.has(*at, model));
        own.filter_map(|at| Some(self.piece(at)?.cost)).sum()
    }
}

/// Puts the vector of the input at `at` behind those before it.
fn add(sets: &mut Vec<(Encoding, Vec<Json>)>, ways: &Ways, at: usize) -> Result<(), Failure> {
    for (encoding, vector) in ways {
        match sets.iter_mut().find(|(known, _)| known == encoding) {
            Some((_, vectors)) => vectors.push(vector.clone()),
            None => sets.push((*encoding, vec![vector.clone()])),
        }
    }
    if sets.iter().all(|(_, vectors)| vectors.len() == at + 1) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Provider,
        "the provider has written its vectors in another way than before; send `x-pointsman-cache-control: no-cache`",
    ))
}

/// The answer, if all of it is remembered.
///
/// # Errors
/// When the client wants nothing else, and there is not.
pub fn recalled(
    embedding: &Embedding,
    pieces: &Pieces,
    ticket: &mut Ticket,
) -> Result<Option<Answer>, Failure> {
    let Some(memory) = &embedding.memory else {
        return Ok(None);
    };
    let Found::All(first) = pieces.looked(memory.all(), ticket)? else {
        return Ok(None);
    };
    let mut response = EmbeddingResponse::default();
    memory.join(&[], &mut response)?;
    let tokens = (0..memory.keys.len()).filter_map(|at| match &memory.piece(at)?.said {
        Said::Vector(_, tokens) => Some(*tokens),
        Said::Body(..) => None,
    });
    let usage = Usage {
        input: tokens.sum(),
        ..Usage::default()
    };
    response.usage = Some(usage);
    let body = embeddings::encode_response(embedding.shape, &embedding.request, &response, &first.model)
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
    let oldest = (0..memory.keys.len()).filter_map(|at| Some(memory.piece(at)?.stored));
    ticket.recalled_from(
        (&first.provider, &first.model),
        memory.saved(&first.model),
        (oldest.min().unwrap_or(first.stored), None),
    );
    Ok(Some(Answer::json(body, usage, false)))
}

/// Remembers the vectors that have come.
pub fn keep(embedding: &Embedding, pieces: &Pieces, ticket: &mut Ticket, usage: &Usage) {
    let Some(memory) = &embedding.memory else { return };
    let Some(model) = ticket.facts.asked.as_ref().map(|asked| asked.model.clone()) else {
        return;
    };
    let fresh = std::mem::take(&mut *memory.fresh.lock());
    let inputs = &embedding.request.inputs;
    let weight = |at: usize| inputs.get(at).map_or(1, |input| count(input).max(1));
    let whole: u64 = fresh.iter().map(|(at, _)| weight(*at)).sum();
    let cost = ticket.cost(usage).nanodollars();
    let share = |of: i128, at: usize| of * i128::from(weight(at)) / i128::from(whole.max(1));
    let said = fresh.into_iter().filter_map(|(at, ways)| {
        let tokens = u64::try_from(share(i128::from(usage.input), at)).unwrap_or(0);
        let cost = i64::try_from(share(i128::from(cost), at)).unwrap_or(0);
        // In memory of its own: it is a slice of the provider's answer.
        let own = ways
            .into_iter()
            .map(|(encoding, json)| Some((encoding, Json::parse(json.as_str().to_owned()).ok()?)));
        let said = Said::Vector(own.collect::<Option<_>>()?, tokens);
        Some((*memory.keys.get(at)?, said, Money::from_nanodollars(cost)))
    });
    pieces.put(ticket, said.collect());
    let saved = memory.saved(&model);
    if let Some(asked) = &mut ticket.facts.asked {
        asked.saved = saved;
    }
}

/// Everything that changes the vector of an input. Taken apart field by field, so that one that is added cannot be
/// forgotten. None for what is more than text.
fn key(pieces: &Pieces, embedding: &Embedding, input: &EmbeddingInput) -> Option<CacheKey> {
    let EmbeddingRequest {
        // Part of the errand.
        model: _,
        inputs: _,
        // How many stand beside it, and who asks, which is part of the scope.
        single: _,
        user: _,
        purpose,
        title,
        dimensions,
        encodings,
        truncate,
        extra,
    } = &embedding.request;
    let mut key = pieces.key("embedding");
    let purpose = purpose.as_ref().map(|purpose| match purpose {
        Purpose::Document => "document",
        Purpose::Query => "query",
        Purpose::Classification => "classification",
        Purpose::Clustering => "clustering",
        Purpose::Similarity => "similarity",
        Purpose::Other(text) => text,
    });
    key.field("shape", format!("{:?}", embedding.shape).as_bytes());
    for (name, text) in [("purpose", purpose), ("title", title.as_deref())] {
        key.field(name, &[u8::from(text.is_some())]);
        key.field(name, text.unwrap_or_default().as_bytes());
    }
    key.field("dimensions", format!("{dimensions:?}").as_bytes());
    for encoding in encodings {
        key.field("encoding", encoding_name(*encoding).as_bytes());
    }
    let truncate = truncate.map_or("", |truncate| match truncate {
        Truncate::Never => "never",
        Truncate::Start => "start",
        Truncate::End => "end",
    });
    key.field("truncate", truncate.as_bytes());
    for (name, json) in &extra.0 {
        key.field(name, json.as_str().as_bytes());
    }
    match input {
        EmbeddingInput::Text(text) => key.field("text", text.as_bytes()),
        EmbeddingInput::Tokens(tokens) => {
            let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
            key.field("tokens", &bytes);
        }
        EmbeddingInput::Native(_) => return None,
    }
    Some(key.finish())
}

fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Float => "float",
        Encoding::Base64 => "base64",
        Encoding::Int8 => "int8",
        Encoding::Uint8 => "uint8",
        Encoding::Binary => "binary",
        Encoding::Ubinary => "ubinary",
    }
}
