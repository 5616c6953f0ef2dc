//! Gemini as a provider: content, streamed both ways, counts, embeddings, models.

mod check;
mod contents;
mod error;
mod reply;
mod shapes;

use http::{Method, Response};
use serde_json::{Value, json};

use self::error::{Gemini, GeminiArray};
use crate::exchange::{Bill, Refusal, Reply, refuse, send, struck};
use crate::openai::vector;
use crate::routes::{percent::decode, plain_model, query};
use crate::script::answer as scripted;
use crate::sim::Asked;
use crate::stream::Body;
use crate::tokens::{count, prompt_tokens, usage};

const METHODS: &[&str] = &[
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "batchEmbedContents",
    "predict",
];

/// The model and the method of a path.
pub(crate) fn route(path: &str) -> Option<(String, String)> {
    let path = decode(path);
    let (_, rest) = path.rsplit_once("/models/")?;
    let (model, method) = rest.rsplit_once(':')?;
    METHODS
        .contains(&method)
        .then(|| (model.to_owned(), method.to_owned()))
}

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    let routed = route(&asked.path);
    let streamed = routed
        .as_ref()
        .is_some_and(|(_, method)| method == "streamGenerateContent");
    let array = streamed && query(&asked.query, "alt").as_deref() != Some("sse");
    if array {
        exchange::<GeminiArray>(asked, routed, true)
    } else {
        exchange::<Gemini>(asked, routed, false)
    }
}

fn exchange<T: crate::exchange::Tongue>(
    asked: Asked,
    routed: Option<(String, String)>,
    array: bool,
) -> Response<Body> {
    if let Err(refusal) = authorize(&asked) {
        return refuse::<T>(&asked, &refusal);
    }
    if let Some(struck) = struck::<T>(&asked) {
        return struck;
    }
    let answered = match (asked.method.clone(), routed) {
        (Method::POST, Some((model, method))) => generate(&asked, &model, &method, array),
        (Method::GET, None) => models(&asked),
        (method, _) => Err(Refusal::new(
            404,
            format!("{method} {} was not found on this server.", asked.path),
        )),
    };
    match answered {
        Ok((bill, reply)) => send::<T>(asked, bill, reply),
        Err(refusal) => refuse::<T>(&asked, &refusal),
    }
}

fn authorize(asked: &Asked) -> Result<(), Refusal> {
    let said = |name: &str| {
        let value = asked.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let bearer = said("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let key = said("x-goog-api-key").or_else(|| query(&asked.query, "key"));
    match key.or(bearer) {
        None => Err(Refusal::new(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
        )),
        Some(key)
            if ["sk-", "AIza", "ya29."]
                .iter()
                .any(|start| key.starts_with(start)) =>
        {
            Ok(())
        }
        Some(_) => {
            Err(Refusal::bad("API key not valid. Please pass a valid API key.").coded("API_KEY_INVALID"))
        }
    }
}

fn generate(asked: &Asked, model: &str, method: &str, array: bool) -> Result<(Bill, Reply), Refusal> {
    let plain = plain_model(model);
    match method {
        "countTokens" => return count_tokens(asked, &plain),
        "predict" => return predict(asked, &plain),
        "embedContent" => return reply::embed(&asked.body, &plain, false),
        "batchEmbedContents" => return reply::embed(&asked.body, &plain, true),
        _ => {}
    }
    let body = check::body(&asked.body, &shapes::GENERATE)?;
    let question = check::read(&body, model, method == "streamGenerateContent")?;
    let answer = scripted(&question);
    let usage = usage(&asked.state, &question, &answer);
    let told = reply::usage(&usage);
    let bill = Bill::new(&question, usage, &told);
    let reply = if question.stream {
        Reply::Stream(reply::events(&answer, &question, &body, &told, array))
    } else {
        Reply::Whole(reply::whole(&answer, &question, &body, &told))
    };
    Ok((bill, reply))
}

/// Embeds as Vertex AI does.
fn predict(asked: &Asked, model: &str) -> Result<(Bill, Reply), Refusal> {
    let body: Value = serde_json::from_slice(&asked.body)
        .map_err(|error| Refusal::bad(format!("Invalid JSON payload received. {error}")))?;
    let instances = body["instances"].as_array().cloned().unwrap_or_default();
    let most = if model.starts_with("gemini-embedding") {
        1
    } else {
        250
    };
    if instances.is_empty() || instances.len() > most {
        return Err(Refusal::bad(format!(
            "The number of instances must be at least 1 and at most {most}."
        )));
    }
    let dimensions = body["parameters"]["outputDimensionality"].as_u64();
    let dimensions = dimensions
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(8)
        .min(4096);
    let mut bill = Bill {
        model: model.to_owned(),
        ..Bill::default()
    };
    let mut predictions = Vec::new();
    for (at, instance) in instances.iter().enumerate() {
        let Some(text) = instance["content"].as_str() else {
            return Err(Refusal::bad(format!("instances[{at}].content is required.")));
        };
        let tokens = count(text);
        bill.usage.input += tokens;
        predictions.push(json!({"embeddings": {"values": vector(text, dimensions),
            "statistics": {"token_count": tokens as f64, "truncated": false}}}));
    }
    bill.told = Some(json!({"token_count": bill.usage.input}));
    let characters: usize = instances
        .iter()
        .filter_map(|one| one["content"].as_str())
        .map(str::len)
        .sum();
    let reply = json!({"predictions": predictions, "metadata": {"billableCharacterCount": characters}});
    Ok((bill, Reply::Whole(reply)))
}

fn count_tokens(asked: &Asked, model: &str) -> Result<(Bill, Reply), Refusal> {
    let body = check::body(&asked.body, &shapes::COUNT)?;
    let inner = &body["generateContentRequest"];
    if inner.is_null() == body["contents"].is_null() {
        return Err(Refusal::bad(
            "* CountTokensRequest: exactly one of contents and generate_content_request must be set",
        ));
    }
    let tokens = if inner.is_null() {
        prompt_tokens(&check::read(&body, model, false)?)
    } else {
        prompt_tokens(&check::read(inner, model, false)?)
    };
    let told =
        json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]});
    Ok((Bill::default(), Reply::Whole(told)))
}

fn models(asked: &Asked) -> Result<(Bill, Reply), Refusal> {
    let model = |id: &str| {
        json!({"name": format!("models/{id}"), "version": "1", "displayName": id, "description": "simulated",
               "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
               "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"]})
    };
    let all = ["gemini-3-flash", "gemini-2.5-flash", "gemini-embedding-001"];
    let reply = match asked.path.rsplit_once("/models/") {
        None => json!({"models": all.iter().map(|id| model(id)).collect::<Vec<Value>>()}),
        Some((_, id)) if all.contains(&id) => model(id),
        Some((_, id)) => {
            return Err(Refusal::new(
                404,
                format!(
                    "models/{id} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."
                ),
            ));
        }
    };
    Ok((Bill::default(), Reply::Whole(reply)))
}
