//! OpenAI as a provider: chat completions, completions, embeddings, models, pictures, sound, files, batches.

mod audio;
pub(crate) mod batches;
mod check;
mod embeddings;
pub(crate) mod error;
mod files;
mod images;
mod jobs;
pub(crate) mod media;
mod moderations;
mod reply;
pub(crate) mod schema;
mod shapes;
mod stream;

use http::{Method, Response};
use serde_json::{Value, json};

pub(crate) use self::embeddings::vector;
use self::error::{OpenAi, authorize, body as read_body};
pub(crate) use self::files::KeptFile;
use crate::exchange::{Bill, Refusal, Reply, json as respond, refuse, send, struck};
use crate::script::answer as scripted;
use crate::sim::{Asked, State};
use crate::stream::Body;
use crate::tokens::usage;

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    if let Err(refusal) = authorize(&asked) {
        return refuse::<OpenAi>(&asked, &refusal);
    }
    if let Some(struck) = struck::<OpenAi>(&asked) {
        return struck;
    }
    if asked.method == Method::GET && asked.path.contains("/models") {
        return models(&asked);
    }
    match serve(&asked) {
        Ok((bill, reply)) => send::<OpenAi>(asked, bill, reply),
        Err(refusal) => refuse::<OpenAi>(&asked, &refusal),
    }
}

fn serve(asked: &Asked) -> Result<(Bill, Reply), Refusal> {
    let path = asked.path.trim_end_matches('/');
    let under = |name: &str| {
        let (_, rest) = path.split_once(name)?;
        Some(
            rest.split('/')
                .filter(|part| !part.is_empty())
                .collect::<Vec<&str>>(),
        )
    };
    if let Some(parts) = under("/files") {
        return files::answer(asked, &parts);
    }
    if let Some(parts) = under("/batch/jobs") {
        return jobs::answer(asked, &parts);
    }
    if let Some(parts) = under("/batches") {
        return batches::answer(asked, &parts);
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let known = [
        "embeddings",
        "completions",
        "moderations",
        "tokenize",
        "detokenize",
        "score",
        "pooling",
        "rerank",
        "embed",
        "decode",
    ];
    let media = path.contains("/images/") || path.contains("/audio/");
    if !known.contains(&last) && !media {
        let method = &asked.method;
        return Err(Refusal::new(404, format!("Invalid URL ({method} {path})")));
    }
    if asked.method != Method::POST {
        return Err(Refusal::new(405, "Not allowed to use this method."));
    }
    if path.contains("/images/") {
        return images::answer(asked, last);
    }
    if path.contains("/audio/") {
        return audio::answer(asked, last);
    }
    let body = read_body(asked)?;
    if last == "moderations" {
        return moderations::moderate(&body);
    }
    crate::fleet::answer(&asked.state, last, &body).unwrap_or_else(|| generate(&asked.state, path, &body))
}

/// What a body is answered with at a path; a batch asks so too.
pub(crate) fn generate(state: &State, path: &str, body: &Value) -> Result<(Bill, Reply), Refusal> {
    if path.ends_with("/embeddings") {
        return embeddings::embed(body);
    }
    let text = !path.ends_with("/chat/completions");
    let question = check::read(body, text)?;
    let answer = scripted(&question);
    let usage = usage(state, &question, &answer);
    let told = reply::usage(&usage);
    let bill = Bill::new(&question, usage, &told);
    if question.stream {
        let asked = body["stream_options"]["include_usage"] == true;
        let events = stream::events(&answer, &question, asked.then_some(&told), text);
        return Ok((bill, Reply::Stream(events)));
    }
    Ok((bill, Reply::Whole(reply::whole(&answer, &question, &told, text))))
}

fn models(asked: &Asked) -> Response<Body> {
    let usual = ["gpt-sim", "gpt-5-mini", "reason-1", "text-embedding-3-small"];
    let more = asked.state.options.models.iter().map(String::as_str);
    let names: Vec<&str> = usual.into_iter().chain(more).collect();
    let model = |id: &str| json!({"id": id, "object": "model", "created": 1, "owned_by": "sim"});
    match asked.path.rsplit_once("/models/") {
        None => {
            let data: Vec<Value> = names.iter().map(|id| model(id)).collect();
            respond(200, &json!({"object": "list", "data": data}))
        }
        Some((_, id)) if names.contains(&id) => respond(200, &model(id)),
        Some((_, id)) => refuse::<OpenAi>(
            asked,
            &Refusal::new(404, format!("The model '{id}' does not exist"))
                .at("model")
                .coded("model_not_found"),
        ),
    }
}
