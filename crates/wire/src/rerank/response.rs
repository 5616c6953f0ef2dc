//! Rankings as they are answered.

use bytes::Bytes;
use serde_json::Number;

use super::{Ranked, RerankRequest, RerankResponse, Shape};
use crate::form::{Units, Usage};
use crate::format::DecodeError;
use crate::json::fields::{Fields, Value};
use crate::json::write::{List, Object, object};

/// Documents that Cohere counts as one search.
const PER_SEARCH: u64 = 100;

pub(super) fn decode(shape: Shape, value: &Value<'_>) -> Result<RerankResponse, DecodeError> {
    if shape == Shape::Tei {
        return Ok(RerankResponse {
            id: None,
            results: read_results(value)?,
            usage: None,
        });
    }
    let mut fields = value.fields()?;
    let name = if matches!(shape, Shape::Voyage | Shape::Mixedbread) {
        "data"
    } else {
        "results"
    };
    let results = fields.need(name, |results| read_results(&results))?;
    Ok(RerankResponse {
        id: fields.take("id", |id| id.string())?,
        results,
        usage: usage(&mut fields)?,
    })
}

fn read_results(value: &Value<'_>) -> Result<Vec<Ranked>, DecodeError> {
    value.list(|item| {
        let mut result = item.fields()?;
        let index = result.need("index", |index| index.count())?;
        let score = match result.take("relevance_score", |score| score.number())? {
            Some(score) => score,
            None => result.need("score", |score| score.number())?,
        };
        Ok(Ranked { index, score })
    })
}

fn usage(fields: &mut Fields<'_>) -> Result<Option<Usage>, DecodeError> {
    let count = |value: Value<'_>| Ok(value.number()?.as_f64().unwrap_or(0.0).max(0.0) as u64);
    let told = fields.take("usage", |usage| {
        let mut usage = usage.fields()?;
        match usage.take("total_tokens", count)? {
            Some(total) => Ok(Some(total)),
            None => usage.take("prompt_tokens", count),
        }
    })?;
    let billed = fields.take("meta", |meta| {
        meta.fields()?.take("billed_units", |units| {
            let mut units = units.fields()?;
            Ok((
                units.take("input_tokens", count)?,
                units.take("search_units", count)?,
            ))
        })
    })?;
    let (tokens, searches) = billed.flatten().unwrap_or_default();
    let input = told.flatten().or(tokens);
    if input.is_none() && searches.is_none() {
        return Ok(None);
    }
    Ok(Some(Usage {
        input: input.unwrap_or(0),
        units: Units {
            queries: searches.unwrap_or(0),
            ..Units::default()
        },
        ..Usage::default()
    }))
}

impl RerankRequest {
    /// Searches that it is billed as where that is what is billed: one for each hundred documents.
    #[must_use]
    pub fn searches(&self) -> u64 {
        (self.documents.len() as u64).div_ceil(PER_SEARCH)
    }
}

pub(super) fn encode(shape: Shape, request: &RerankRequest, response: &RerankResponse, model: &str) -> Bytes {
    if shape == Shape::Tei {
        return encode_tei(request, response);
    }
    let used = response.usage.unwrap_or_default();
    object(|body| {
        body.string("id", response.id.as_deref().unwrap_or("rerank-0"));
        body.list("results", |list| write_results(list, request, response));
        if shape == Shape::Jina || shape == Shape::CohereOld {
            body.string("model", model);
            body.object("usage", |usage| usage.count("total_tokens", used.input));
        }
        if shape != Shape::Jina {
            body.object("meta", |meta| write_meta(meta, shape, &used));
        }
    })
    .into()
}

fn write_meta(meta: &mut Object<'_>, shape: Shape, used: &Usage) {
    let version = if shape == Shape::Cohere { "2" } else { "1" };
    meta.object("api_version", |api| api.string("version", version));
    meta.object("billed_units", |units| {
        if used.units.queries > 0 {
            units.count("search_units", used.units.queries);
        }
        if used.input > 0 {
            units.count("input_tokens", used.input);
        }
    });
}

fn write_results(list: &mut List<'_>, request: &RerankRequest, response: &RerankResponse) {
    for ranked in wanted(request, response) {
        list.object(|result| {
            result.count("index", ranked.index);
            result.raw("relevance_score", &ranked.score.to_string());
            let at = usize::try_from(ranked.index).ok();
            let document = at
                .and_then(|at| request.documents.get(at))
                .filter(|_| request.show);
            match document {
                None => {}
                Some(document) => match &document.object {
                    Some(object) => result.raw("document", object.as_str()),
                    None => result.object("document", |shown| shown.string("text", &document.text)),
                },
            }
        });
    }
}

/// The best, best first: some servers rank all there are, and in the order of the documents.
fn wanted<'a>(request: &RerankRequest, response: &'a RerankResponse) -> Vec<&'a Ranked> {
    let value = |number: &Number| number.as_f64().unwrap_or(f64::MIN);
    let mut all: Vec<&Ranked> = response.results.iter().collect();
    all.sort_by(|one, other| value(&other.score).total_cmp(&value(&one.score)));
    let most = request.top.and_then(|top| usize::try_from(top).ok());
    all.truncate(most.unwrap_or(usize::MAX));
    all
}

fn encode_tei(request: &RerankRequest, response: &RerankResponse) -> Bytes {
    let mut out = vec![b'['];
    for (at, ranked) in wanted(request, response).into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        crate::json::write::object_into(&mut out, |result| {
            result.count("index", ranked.index);
            result.raw("score", &ranked.score.to_string());
            let index = usize::try_from(ranked.index).ok();
            if let Some(document) = index
                .and_then(|at| request.documents.get(at))
                .filter(|_| request.show)
            {
                result.string("text", &document.text);
            }
        });
    }
    out.push(b']');
    out.into()
}
