//! OpenAI as a provider: chat completions, completions, embeddings, models.

mod check;
mod embeddings;
pub(crate) mod error;
pub(crate) mod media;
mod reply;
pub(crate) mod schema;
mod shapes;
mod stream;

use http::{Method, Response};
use serde_json::{Value, json};

pub(crate) use self::embeddings::vector;
use self::error::{OpenAi, authorize, body as read_body};
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
    let path = asked.path.trim_end_matches('/').to_owned();
    let known = path.ends_with("/embeddings") || path.ends_with("/completions");
    let answered = if !known {
        let method = &asked.method;
        Err(Refusal::new(404, format!("Invalid URL ({method} {path})")))
    } else if asked.method != Method::POST {
        Err(Refusal::new(405, "Not allowed to use this method."))
    } else {
        read_body(&asked).and_then(|body| generate(&asked.state, &path, &body))
    };
    match answered {
        Ok((bill, reply)) => send::<OpenAi>(asked, bill, reply),
        Err(refusal) => refuse::<OpenAi>(&asked, &refusal),
    }
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
    let names = ["gpt-sim", "gpt-5-mini", "reason-1", "text-embedding-3-small"];
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
