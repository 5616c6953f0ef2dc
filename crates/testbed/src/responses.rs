//! OpenAI responses as a provider: made, kept, told again, forgotten.

mod check;
mod compact;
mod reply;
mod shapes;
mod stream;

use http::{Method, Response};
use serde_json::{Value, json};

use crate::exchange::{Bill, Refusal, Reply, Tongue, refuse, send, struck};
use crate::openai::error::{OpenAi, authorize, body as read_body};
use crate::script::{answer as scripted, hash};
use crate::sim::{Asked, State};
use crate::store::{KeptResponse, page};
use crate::stream::Body;
use crate::tokens::{prompt_tokens, usage};

/// OpenAI with the error events of responses.
struct Responses;

impl Tongue for Responses {
    const REQUEST_ID: &'static str = OpenAi::REQUEST_ID;

    fn refusal(refusal: &Refusal) -> Response<Body> {
        OpenAi::refusal(refusal)
    }

    fn error_event() -> Vec<u8> {
        let error = json!({"type": "error", "sequence_number": 5, "code": "server_error",
                           "message": "The server had an error", "param": null});
        format!("event: error\ndata: {error}\n\n").into_bytes()
    }

    fn malformed() -> Vec<u8> {
        b"event: response.output_text.delta\ndata: {\"type\":\"response.outp\n\n".to_vec()
    }
}

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    if let Err(refusal) = authorize(&asked) {
        return refuse::<Responses>(&asked, &refusal);
    }
    if let Some(struck) = struck::<Responses>(&asked) {
        return struck;
    }
    let path = asked.path.trim_end_matches('/').to_owned();
    let rest = path.rsplit_once("/responses").map_or("", |(_, rest)| rest);
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let answered = match (asked.method.clone(), parts.as_slice()) {
        (Method::POST, []) => read_body(&asked).and_then(|body| create(&asked.state, &body)),
        (Method::POST, ["input_tokens"]) => read_body(&asked).and_then(|body| count(&asked, &body)),
        (Method::POST, ["compact"]) => read_body(&asked).and_then(|body| compact::answer(&asked, &body)),
        (Method::GET, [id]) => kept(&asked, id).map(|kept| plain(kept.body)),
        (Method::DELETE, [id]) => delete(&asked, id),
        (Method::POST, [id, "cancel"]) => cancel(&asked, id),
        (Method::GET, [id, "input_items"]) => kept(&asked, id).map(|kept| plain(items(&kept, &asked.query))),
        (method, _) => Err(Refusal::new(404, format!("Invalid URL ({method} {path})"))),
    };
    match answered {
        Ok((bill, reply)) => send::<Responses>(asked, bill, reply),
        Err(refusal) => refuse::<Responses>(&asked, &refusal),
    }
}

type Answered = (Bill, Reply);

fn plain(body: Value) -> Answered {
    (Bill::default(), Reply::Whole(body))
}

/// What a body is answered with; a batch asks so too.
pub(crate) fn create(state: &State, body: &Value) -> Result<(Bill, Reply), Refusal> {
    let taken = check::read(body, false, &state.store)?;
    let question = taken.question;
    let mut answer = scripted(&question);
    // The same question may be asked twice: each response has a name of its own.
    let number = state.store.responses.number();
    answer.seed = format!("{}{number:08x}", answer.seed);
    for (at, call) in answer.calls.iter_mut().enumerate() {
        call.key = format!("{}{at:04}", answer.seed);
    }
    let usage = usage(state, &question, &answer);
    let told = reply::usage(&usage);
    let whole = reply::whole(&answer, &question, body, &told);
    if body["store"] != false {
        let id = whole["id"].as_str().unwrap_or_default().to_owned();
        let kept = KeptResponse {
            body: whole.clone(),
            input: taken.input,
        };
        state.store.responses.put(&id, kept);
    }
    let bill = Bill::new(&question, usage, &told);
    if question.stream {
        let events = stream::events(&answer, &question, body, &told);
        return Ok((bill, Reply::Stream(events)));
    }
    if body["background"] == true {
        let mut queued = reply::started(&answer, &question, body);
        queued["status"] = json!("queued");
        return Ok((bill, Reply::Whole(queued)));
    }
    Ok((bill, Reply::Whole(whole)))
}

fn count(asked: &Asked, body: &Value) -> Result<Answered, Refusal> {
    let taken = check::read(body, true, &asked.state.store)?;
    let tokens = prompt_tokens(&taken.question);
    Ok(plain(
        json!({"object": "response.input_tokens", "input_tokens": tokens}),
    ))
}

fn kept(asked: &Asked, id: &str) -> Result<KeptResponse, Refusal> {
    asked
        .state
        .store
        .responses
        .get(id)
        .ok_or_else(|| Refusal::new(404, format!("Response with id '{id}' not found.")))
}

fn delete(asked: &Asked, id: &str) -> Result<Answered, Refusal> {
    kept(asked, id)?;
    asked.state.store.responses.remove(id);
    Ok(plain(json!({"id": id, "object": "response", "deleted": true})))
}

fn cancel(asked: &Asked, id: &str) -> Result<Answered, Refusal> {
    let kept = kept(asked, id)?;
    if kept.body["background"] != true {
        return Err(Refusal::bad(
            "Only responses created with background set to true can be cancelled.",
        ));
    }
    // It had finished before it could be cancelled.
    Ok(plain(kept.body))
}

fn items(kept: &KeptResponse, query: &str) -> Value {
    let named = kept.input.iter().enumerate().map(|(at, item)| {
        let mut item = item.clone();
        if item["id"].is_null() {
            let mark = if item["type"] == "message" { "msg" } else { "item" };
            item["id"] = json!(format!("{mark}_{:016x}{at}", hash(&item.to_string())));
        }
        item
    });
    let mut all: Vec<Value> = named.collect();
    if crate::routes::query(query, "order").as_deref() != Some("asc") {
        all.reverse();
    }
    let (data, more) = page(all, query);
    json!({"object": "list", "data": data, "first_id": data.first().map(|one| &one["id"]),
           "last_id": data.last().map(|one| &one["id"]), "has_more": more})
}
