//! The rules of a conversation with Gemini.

use serde_json::Value;

use crate::exchange::Refusal;
use crate::media::{Kind, Media, decode, sniff};
use crate::script::{Question, sign};

/// What a client sends that has lost a signature, and says so.
const WAIVERS: &[&str] = &[
    "skip_thought_signature_validator",
    "context_engineering_is_the_way_to_go",
];

/// Reads the system's instruction and the contents.
pub(super) fn contents(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    let system: Vec<&str> = body["systemInstruction"]["parts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect();
    if !system.is_empty() {
        question.texts.push(system.concat());
    }
    let all = body["contents"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        return Err(Refusal::bad(
            "* GenerateContentRequest.contents: contents is not specified",
        ));
    }
    let mut reader = Reader {
        question,
        open: Vec::new(),
    };
    for (at, content) in all.iter().enumerate() {
        reader.content(content, at)?;
    }
    if all.last().is_some_and(|last| last["role"] == "model") && !reader.open.is_empty() {
        return Err(unanswered());
    }
    signatures(&all, &question.model)
}

fn unanswered() -> Refusal {
    Refusal::bad(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
    )
}

struct Reader<'a> {
    question: &'a mut Question,
    /// Names and ids of the calls of the turn before.
    open: Vec<(String, Option<String>)>,
}

impl Reader<'_> {
    fn content(&mut self, content: &Value, at: usize) -> Result<(), Refusal> {
        let role = content["role"].as_str().unwrap_or("user");
        if !["user", "model", "function"].contains(&role) {
            return Err(Refusal::bad("Please use a valid role: user, model."));
        }
        let parts = content["parts"].as_array().cloned().unwrap_or_default();
        if parts.is_empty() {
            return Err(Refusal::bad(format!(
                "* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty."
            )));
        }
        let count = |name: &str| parts.iter().filter(|part| !part[name].is_null()).count();
        let (calls, responses) = (count("functionCall"), count("functionResponse"));
        if calls > 0 && (at == 0 || role != "model") {
            return Err(Refusal::bad(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            ));
        }
        if responses > 0 && self.open.is_empty() {
            return Err(Refusal::bad(
                "Please ensure that function response turn comes immediately after a function call turn.",
            ));
        }
        if responses != self.open.len() && !self.open.is_empty() {
            return Err(unanswered());
        }
        let mut text = String::new();
        let asks = role == "user" && responses == 0;
        if asks {
            self.question.last_media = self.question.media.len();
            self.question.tool_results.clear();
        }
        for (number, part) in parts.iter().enumerate() {
            self.part(part, &mut text, &format!("contents[{at}].parts[{number}]"))?;
        }
        self.open = parts
            .iter()
            .filter(|part| !part["functionCall"].is_null())
            .map(|part| {
                let call = &part["functionCall"];
                let id = call["id"].as_str().map(str::to_owned);
                (call["name"].as_str().unwrap_or_default().to_owned(), id)
            })
            .collect();
        if asks {
            self.question.last_text.clone_from(&text);
        }
        self.question.texts.push(text);
        Ok(())
    }

    fn part(&mut self, part: &Value, text: &mut String, path: &str) -> Result<(), Refusal> {
        const DATA: [&str; 7] = [
            "text",
            "inlineData",
            "fileData",
            "functionCall",
            "functionResponse",
            "executableCode",
            "codeExecutionResult",
        ];
        let set: Vec<&str> = DATA.into_iter().filter(|name| !part[*name].is_null()).collect();
        match set.as_slice() {
            [_] => {}
            // The end of a streamed answer may be a signature alone.
            [] if !part["thoughtSignature"].is_null() => {}
            [] => {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{path}.data: required oneof field 'data' must have one initialized field"
                )));
            }
            [first, second, ..] => {
                return Err(Refusal::bad(format!(
                    "Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set '{second}' after '{first}'"
                )));
            }
        }
        text.push_str(part["text"].as_str().unwrap_or_default());
        if let Some(media) = media(part, path)? {
            self.question.media.push(media);
        }
        if let Some(args) = part["functionCall"].get("args") {
            self.question.texts.push(args.to_string());
        }
        if !part["functionResponse"].is_null() {
            self.response(&part["functionResponse"])?;
        }
        Ok(())
    }

    fn response(&mut self, response: &Value) -> Result<(), Refusal> {
        let name = response["name"].as_str().unwrap_or_default();
        let id = response["id"].as_str();
        let found = self.open.iter().position(|(called, known)| {
            called == name && known.as_deref().zip(id).is_none_or(|(known, id)| known == id)
        });
        if found.is_none() {
            return Err(Refusal::bad(format!(
                "Please ensure that the function response name matches a function call of the function call turn: {name}."
            )));
        }
        let said = &response["response"];
        let plain = ["output", "result", "error", "content"]
            .iter()
            .find_map(|key| said[*key].as_str());
        let text = plain.map_or_else(|| said.to_string(), str::to_owned);
        self.question.texts.push(text.clone());
        self.question.tool_results.push(text);
        Ok(())
    }
}

fn media(part: &Value, path: &str) -> Result<Option<Media>, Refusal> {
    let kind_of = |mime: &str| match mime.split('/').next() {
        Some("image") => Kind::Image,
        Some("audio") => Kind::Audio,
        _ => Kind::Document,
    };
    if let Some(uri) = part["fileData"]["fileUri"].as_str() {
        let mime = part["fileData"]["mimeType"].as_str().unwrap_or_default();
        return Ok(Some(Media::linked(kind_of(mime), uri)));
    }
    let blob = &part["inlineData"];
    let Some(mime) = blob["mimeType"].as_str() else {
        return Ok(None);
    };
    let known = [
        "image/",
        "audio/",
        "video/",
        "text/",
        "application/pdf",
        "application/json",
    ];
    if !mime.contains('/') || !known.iter().any(|start| mime.starts_with(start)) {
        return Err(Refusal::bad(format!("Unsupported MIME type: {mime}")).at(path));
    }
    let bytes = decode(blob["data"].as_str().unwrap_or_default()).unwrap_or_default();
    if bytes.is_empty() || (mime.starts_with("image/") && sniff(&bytes).is_none()) {
        return Err(Refusal::bad(
            "Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
        ));
    }
    Ok(Some(Media {
        kind: kind_of(mime),
        mime: mime.to_owned(),
        size: bytes.len(),
    }))
}

/// The signature of a call.
pub(super) fn of_call(name: &str, args: &Value) -> String {
    sign(&format!("call {name} {}", ordered(args)))
}

/// A value whose fields are in one order: maps of Google have none.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            names
                .into_iter()
                .map(|name| (name.clone(), ordered(&fields[name])))
                .collect()
        }
        Value::Array(all) => all.iter().map(ordered).collect(),
        other => other.clone(),
    }
}

/// In the turn that goes on, each step's first call carries the signature it came with.
fn signatures(all: &[Value], model: &str) -> Result<(), Refusal> {
    let parts = |content: &Value| content["parts"].as_array().cloned().unwrap_or_default();
    let asks = |content: &Value| {
        content["role"] != "model"
            && parts(content)
                .iter()
                .any(|part| part["functionResponse"].is_null())
    };
    let turn = all.iter().rposition(asks).unwrap_or(0);
    for (at, content) in all.iter().enumerate() {
        let mut first = true;
        for (number, part) in parts(content).iter().enumerate() {
            let call = &part["functionCall"];
            let said = part["thoughtSignature"].as_str();
            if !call.is_null() {
                let name = call["name"].as_str().unwrap_or_default();
                let waived = said.is_some_and(|said| WAIVERS.contains(&said) || is_waiver(said));
                let needed = std::mem::take(&mut first) && at > turn && model.starts_with("gemini-3");
                if said.is_none() && needed {
                    return Err(Refusal::bad(format!(
                        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}` , position {}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                        number + 1
                    )));
                }
                let args = call.get("args").cloned().unwrap_or_else(|| serde_json::json!({}));
                let good = said.is_none_or(|said| same(said, &of_call(name, &args)));
                if !good && !waived && at > turn {
                    return Err(Refusal::bad("Corrupted thought signature."));
                }
            } else if let Some(said) = said.filter(|_| at > turn) {
                let known = crate::script::signed(said).is_some();
                if !known && !WAIVERS.contains(&said) && !is_waiver(said) {
                    return Err(Refusal::bad("Corrupted thought signature."));
                }
            }
        }
    }
    Ok(())
}

/// Whether two texts are base64 of the same bytes.
fn same(one: &str, other: &str) -> bool {
    decode(one) == decode(other)
}

/// A waiver, encoded as bytes are by SDKs.
fn is_waiver(said: &str) -> bool {
    decode(said).is_some_and(|bytes| WAIVERS.iter().any(|waiver| waiver.as_bytes() == bytes))
}
