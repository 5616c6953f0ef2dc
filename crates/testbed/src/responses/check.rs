//! What OpenAI refuses of a request for a response, and what is asked by one it takes.

use serde_json::{Value, json};

use super::{compact, shapes};
use crate::exchange::Refusal;
use crate::media::{self, Media};
use crate::openai::error::said;
use crate::openai::{media as openai_media, schema};
use crate::script::{Choice, Question, signed};
use crate::shape::{Problem, Step, check};
use crate::store::{KeptResponse, Store};
use crate::tokens::Caching;

/// A request that was taken.
pub(super) struct Taken {
    pub(super) question: Question,
    /// Input items, those of earlier responses included.
    pub(super) input: Vec<Value>,
}

/// Reads a request.
pub(super) fn read(body: &Value, counting: bool, store: &Store) -> Result<Taken, Refusal> {
    let kind = if counting {
        &shapes::COUNT
    } else {
        &shapes::REQUEST
    };
    check(body, kind).map_err(|problem| said(&problem, false))?;
    let mut question = Question {
        format: "responses",
        model: body["model"].as_str().unwrap_or("gpt-5-mini").to_owned(),
        max_tokens: body["max_output_tokens"].as_u64(),
        choices: 1,
        stream: body["stream"] == true,
        schema: answer_schema(&body["text"]["format"])?,
        caching: Caching::Automatic,
        ..Question::default()
    };
    question.thinking = body["reasoning"]["effort"]
        .as_str()
        .is_some_and(|effort| effort != "none");
    if !body["stream_options"].is_null() && !question.stream {
        return Err(
            Refusal::bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
                .at("stream_options"),
        );
    }
    if let Some(text) = body["instructions"].as_str() {
        question.texts.push(text.to_owned());
    }
    tools(body, &mut question)?;
    let mut input = earlier(body, store)?;
    let before = input.len();
    input.extend(items(&body["input"])?);
    if input.is_empty() && body["prompt"].is_null() {
        return Err(Refusal::bad(
            "Missing required parameter: one of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.",
        ));
    }
    let mut reader = Reader {
        question,
        open: Vec::new(),
        thought: None,
        stored: body["store"] != false,
        store,
    };
    for (at, item) in input.iter().enumerate() {
        // What was kept is good.
        let place = (at >= before).then(|| at - before);
        reader.item(item, place)?;
    }
    Ok(Taken {
        question: reader.finish()?,
        input,
    })
}

fn answer_schema(format: &Value) -> Result<Option<Value>, Refusal> {
    match format["type"].as_str() {
        Some("json_schema") => {
            let name = format["name"].as_str().unwrap_or_default();
            schema::name(name, "text.format.name")?;
            let place = format!("response_format '{name}'");
            let strict = format["strict"] == true;
            schema::schema(&format["schema"], strict, &place, "text.format.schema")?;
            Ok(Some(format["schema"].clone()))
        }
        Some("json_object") => Ok(Some(
            json!({"type": "object", "properties": {"answer": {"type": "string"}}}),
        )),
        _ => Ok(None),
    }
}

fn tools(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    for (at, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let Some(name) = tool["name"].as_str() else {
            continue;
        };
        schema::name(name, &format!("tools[{at}].name"))?;
        if let Some(parameters) = tool.get("parameters").filter(|value| !value.is_null()) {
            let path = format!("tools[{at}].parameters");
            schema::schema(
                parameters,
                tool["strict"] == true,
                &format!("function '{name}'"),
                &path,
            )?;
        }
        if tool["type"] == "function" {
            question
                .tools
                .offered
                .push((name.to_owned(), tool["parameters"].clone()));
        }
    }
    question.tools.single = body["parallel_tool_calls"] == false;
    let choice = &body["tool_choice"];
    question.tools.choice = match choice {
        Value::Null => Choice::Auto,
        Value::String(word) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Any,
            other => {
                return Err(Refusal::bad(format!(
                    "Invalid value: '{other}'. Supported values are: 'none', 'auto' and 'required'."
                ))
                .at("tool_choice")
                .coded("invalid_value"));
            }
        },
        choice => Choice::Of(chosen(choice, question)?),
    };
    if question.tools.choice == Choice::Any && question.tools.offered.is_empty() {
        return Err(
            Refusal::bad("Tool choice 'required' must be specified with 'tools' parameter.")
                .at("tool_choice"),
        );
    }
    Ok(())
}

fn chosen(choice: &Value, question: &Question) -> Result<Vec<String>, Refusal> {
    let all: Vec<&Value> = match choice["type"].as_str() {
        Some("allowed_tools") => choice["tools"].as_array().into_iter().flatten().collect(),
        _ => vec![choice],
    };
    let names = all.iter().filter_map(|tool| tool["name"].as_str());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let offered = |name: &String| question.tools.offered.iter().any(|(known, _)| known == name);
    match names.iter().find(|name| !offered(name)) {
        Some(name) => Err(
            Refusal::bad(format!("Tool choice '{name}' not found in 'tools' parameter.")).at("tool_choice"),
        ),
        None => Ok(names),
    }
}

/// What came before, when the request goes on from a kept response.
fn earlier(body: &Value, store: &Store) -> Result<Vec<Value>, Refusal> {
    let Some(id) = body["previous_response_id"].as_str() else {
        return Ok(Vec::new());
    };
    let Some(KeptResponse { body, mut input }) = store.responses.get(id) else {
        return Err(
            Refusal::bad(format!("Previous response with id '{id}' not found."))
                .at("previous_response_id")
                .coded("previous_response_not_found"),
        );
    };
    input.extend(body["output"].as_array().cloned().unwrap_or_default());
    Ok(input)
}

/// The items of an input, checked one by one: a message needs no type.
fn items(input: &Value) -> Result<Vec<Value>, Refusal> {
    let all = match input {
        Value::String(text) => {
            return Ok(vec![json!({"type": "message", "role": "user",
                                  "content": [{"type": "input_text", "text": text}]})]);
        }
        Value::Array(all) => all.clone(),
        _ => return Ok(Vec::new()),
    };
    let at = |at: usize, mut problem: Problem| {
        problem
            .path
            .splice(0..0, [Step::Field("input".to_owned()), Step::Index(at)]);
        said(&problem, false)
    };
    let mut out = Vec::new();
    for (index, mut item) in all.into_iter().enumerate() {
        if item.get("type").is_none() && item.get("role").is_some() {
            item["type"] = json!("message");
        }
        check(&item, &shapes::ITEM).map_err(|problem| at(index, problem))?;
        if item["type"] == "message" {
            check(&item["content"], shapes::MESSAGE_CONTENT).map_err(|mut problem| {
                problem.path.insert(0, Step::Field("content".to_owned()));
                at(index, problem)
            })?;
        }
        out.push(item);
    }
    Ok(out)
}

struct Reader<'a> {
    question: Question,
    /// Calls that have no output yet.
    open: Vec<String>,
    /// Reasoning that must be followed by what it led to.
    thought: Option<String>,
    stored: bool,
    store: &'a Store,
}

impl Reader<'_> {
    fn item(&mut self, item: &Value, place: Option<usize>) -> Result<(), Refusal> {
        let kind = item["type"].as_str().unwrap_or_default();
        let id = item["id"].as_str().unwrap_or_default();
        if let Some(place) = place {
            self.check_id(kind, id, place)?;
        }
        if let Some(thought) = self
            .thought
            .take_if(|_| kind == "function_call_output" || kind == "reasoning" || item["role"] == "user")
        {
            return Err(without_following(&thought));
        }
        match kind {
            "message" => self.message(item, place)?,
            "function_call" | "custom_tool_call" => {
                let call = item["call_id"].as_str().unwrap_or_default();
                self.open.push(call.to_owned());
                self.thought = None;
                let said = item["arguments"].as_str().or(item["input"].as_str());
                self.question.texts.push(said.unwrap_or_default().to_owned());
            }
            "function_call_output" | "custom_tool_call_output" => {
                let call = item["call_id"].as_str().unwrap_or_default();
                let Some(at) = self.open.iter().position(|open| open == call) else {
                    return Err(Refusal::bad(format!(
                        "No tool call found for function call output with call_id {call}."
                    ))
                    .at("input"));
                };
                self.open.remove(at);
                let text = self.content(&item["output"], place.unwrap_or(0), "input_text")?;
                self.question.texts.push(text.clone());
                self.question.tool_results.push(text);
            }
            "reasoning" => self.reasoning(item, id, place.is_none())?,
            "compaction" if !compact::is_ours(item) => {
                return Err(Refusal::bad("The encrypted content could not be verified.")
                    .at("input")
                    .coded("invalid_encrypted_content"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Ids say what they are of.
    fn check_id(&self, kind: &str, id: &str, place: usize) -> Result<(), Refusal> {
        let mark = match kind {
            "message" => "msg",
            "function_call" => "fc",
            "custom_tool_call" => "ctc",
            "reasoning" => "rs",
            _ => return Ok(()),
        };
        if id.is_empty() || id.starts_with(mark) {
            return Ok(());
        }
        let path = format!("input[{place}].id");
        Err(Refusal::bad(format!(
            "Invalid '{path}': '{id}'. Expected an ID that begins with '{mark}'."
        ))
        .at(path)
        .coded("invalid_value"))
    }

    fn message(&mut self, item: &Value, place: Option<usize>) -> Result<(), Refusal> {
        let role = item["role"].as_str().unwrap_or_default();
        let part = if role == "assistant" {
            "output_text"
        } else {
            "input_text"
        };
        if role == "user" {
            self.question.last_media = self.question.media.len();
        }
        let text = self.content(&item["content"], place.unwrap_or(0), part)?;
        if role == "user" {
            self.question.last_text.clone_from(&text);
            self.question.tool_results.clear();
        }
        if role == "assistant" {
            self.thought = None;
        }
        self.question.texts.push(text);
        Ok(())
    }

    fn content(&mut self, content: &Value, place: usize, own: &str) -> Result<String, Refusal> {
        let mut all = content.as_str().unwrap_or_default().to_owned();
        for (at, part) in content.as_array().into_iter().flatten().enumerate() {
            let path = format!("input[{place}].content[{at}]");
            let kind = part["type"].as_str().unwrap_or_default();
            // Either side has texts of its own.
            let theirs = kind == "output_text" || kind == "refusal";
            if theirs != (own == "output_text") {
                return Err(Refusal::bad(format!(
                    "Invalid value: '{kind}'. Supported values are: '{own}'{}.",
                    if own == "output_text" {
                        " and 'refusal'"
                    } else {
                        ", 'input_image', 'input_file' and 'input_audio'"
                    }
                ))
                .at(format!("{path}.type"))
                .coded("invalid_value"));
            }
            match kind {
                "input_image" => {
                    let url = part["image_url"].as_str();
                    self.question.media.push(match url {
                        Some(url) => openai_media::image(url, &format!("{path}.image_url"))?,
                        None => {
                            Media::linked(media::Kind::Image, part["file_id"].as_str().unwrap_or_default())
                        }
                    });
                }
                "input_file" => self.question.media.push(openai_media::file(part, &path)?),
                "input_audio" => self
                    .question
                    .media
                    .push(openai_media::audio(&part["input_audio"])),
                _ => all.push_str(part["text"].as_str().unwrap_or_default()),
            }
        }
        Ok(all)
    }

    fn reasoning(&mut self, item: &Value, id: &str, known: bool) -> Result<(), Refusal> {
        self.thought = Some(id.to_owned());
        match item["encrypted_content"].as_str() {
            Some(sealed) if signed(sealed).is_none() => Err(Refusal::bad(format!(
                "The encrypted content for item {id} could not be verified. Reason: Encrypted content could not be decrypted or parsed."
            ))
            .coded("invalid_encrypted_content")),
            Some(_) => Ok(()),
            None if known || (self.stored && self.is_kept(id)) => Ok(()),
            None => Err(Refusal::new(404, format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
            ))
            .at("input")),
        }
    }

    fn is_kept(&self, id: &str) -> bool {
        let seed = id.trim_start_matches("rs_");
        self.store.responses.get(&format!("resp_{seed}")).is_some()
    }

    fn finish(self) -> Result<Question, Refusal> {
        if let Some(thought) = &self.thought {
            return Err(without_following(thought));
        }
        match self.open.first() {
            Some(call) => {
                Err(Refusal::bad(format!("No tool output found for function call {call}.")).at("input"))
            }
            None => Ok(self.question),
        }
    }
}

fn without_following(thought: &str) -> Refusal {
    Refusal::bad(format!(
        "Item '{thought}' of type 'reasoning' was provided without its required following item."
    ))
    .at("input")
}
