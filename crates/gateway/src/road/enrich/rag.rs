//! What is looked up for the prompt (`rag`): asked of a provider as an errand on the request's own ticket, shown to the
//! guardrails that see what tools bring, and put into the request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_guard::{Shown, Sort, Stage};
use pointsman_routing::{ItemBounds, OnFailure, Rag, RagAccess, RagPlace, RagSource, extract};
use pointsman_understanding::SHIPPED;
use pointsman_wire::form::{
    ContentShape, Extra, Failure, FailureKind, Message, Part, PartKind, Role, Tool, ToolCall, ToolCallKind,
    ToolChoice, ToolKind, ToolResult, Usage,
};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;
use pointsman_wire::{text, tokens};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::super::arrive::Asked;
use super::super::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use super::super::understand::Remote;
use super::super::{Arrival, Ticket, guard, hallucination};
use crate::snapshot::Target;
use crate::worker::Worker;

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The tool that findings are told as the answer of.
const TOOL: &str = "look_up";
/// The id of its call.
const CALL: &str = "call_look_up";

/// Something that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    text: String,
    score: Option<f64>,
}

/// Looks up what the user says, and puts what is found into the request.
///
/// # Errors
/// Where nothing can be looked up and the decision does not let the request go on.
pub async fn look_up(
    at: (&Arc<Worker>, &Arrival),
    asked: &mut Asked,
    ticket: &mut Ticket,
    (rag, bounds): (&Rag, Option<ItemBounds>),
) -> Result<(), Failure> {
    let said = text::user_text(&asked.request).into_owned();
    if said.trim().is_empty() {
        return Ok(());
    }
    if let Some(least) = rag.least_sure {
        let likely = hallucination::wants_facts(at.1, &Arc::from(said.as_str())).await;
        // Where nobody can say, what is looked up for nothing does less harm than what is not.
        if likely.is_some_and(|likely| f64::from(likely) < least) {
            return Ok(());
        }
    }
    asked.personal |= !rag.access.is_open();
    let found = match tokio::time::timeout(PATIENCE, found(at, asked, ticket, (rag, &said))).await {
        Ok(found) => found,
        Err(_) => Err(Failure::new(FailureKind::ProviderTimeout, "it took too long")),
    };
    let texts = match found {
        Ok(texts) => texts,
        Err(failure) if rag.on_failure == OnFailure::Block => {
            let message = format!("rag could not look anything up: {}", failure.message);
            return Err(Failure::new(FailureKind::Unavailable, message).coded("rag_unavailable"));
        }
        Err(failure) => {
            if rag.on_failure == OnFailure::Warn {
                tracing::warn!(error = %failure.message, provider = rag.provider, "rag could not look anything up");
            }
            return Ok(());
        }
    };
    let together = joined(&texts, rag.longest);
    if together.is_empty() {
        return Ok(());
    }
    let together = match bounds.filter(|bounds| tokens::estimate(&together) >= bounds.least) {
        Some(bounds) => extract(&together, &said, bounds.target, &tokens::estimate).unwrap_or(together),
        None => together,
    };
    put(asked, rag.place, &said, together);
    asked.edited = true;
    Ok(())
}

/// What is found, as the guardrails leave it.
async fn found(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    asked: &Asked,
    ticket: &mut Ticket,
    (rag, said): (&Rag, &str),
) -> Result<Vec<String>, Failure> {
    let vector = match &rag.source {
        RagSource::Qdrant { model, .. } | RagSource::Milvus { model, .. } => {
            let model = model.as_deref().unwrap_or(SHIPPED.name);
            let lent = Mutex::new(&mut *ticket);
            let remote = Remote::new(worker, arrival, &lent);
            let embedded = arrival
                .snapshot
                .understanding
                .embed(model, vec![said.into()], None, &remote);
            let embedded = embedded.await;
            let embedded =
                embedded.map_err(|error| Failure::new(FailureKind::Unavailable, error.to_string()))?;
            embedded.vectors.into_iter().next()
        }
        RagSource::OpenAi { .. } | RagSource::Http { .. } => None,
    };
    let caller = ticket.shared_caller();
    let mut question = Question {
        rag,
        said,
        vector,
        name: rag.name(),
        caller: &caller,
    };
    let answer = match errand::within(worker, arrival, &mut question, ticket).await {
        Ok(answer) => answer,
        Err((failure, _)) => return Err(failure),
    };
    let mut findings = read(&rag.source, &answer.body)?;
    findings.retain(|finding| {
        finding
            .score
            .is_none_or(|score| rag.least.is_none_or(|least| score >= least))
    });
    findings.truncate(rag.most);
    let shown = findings.iter().map(|finding| Shown {
        text: finding.text.as_str().into(),
        sort: Sort::Foreign,
        stage: Stage::ToolResult,
    });
    let reviewed = guard::review(
        (worker, arrival),
        &asked.guards,
        shown.collect(),
        &asked.placeholders,
    )
    .await;
    ticket.judged(&reviewed);
    let rewritten = guard::fixed(reviewed)?;
    let texts = findings.into_iter().zip(rewritten);
    Ok(texts
        .map(|(finding, rewritten)| rewritten.unwrap_or(finding.text))
        .collect())
}

/// A question to where things are looked up.
struct Question<'a> {
    rag: &'a Rag,
    said: &'a str,
    vector: Option<Vec<f32>>,
    name: String,
    caller: &'a Principal,
}

impl Errand for Question<'_> {
    fn model(&self) -> &str {
        &self.name
    }

    fn estimate(&self) -> Usage {
        Usage::default()
    }

    fn inspect(&mut self, _inspector: &mut Inspector) -> Result<(), Failure> {
        // The guardrails have seen what the user says.
        Ok(())
    }

    fn calls(&self, _target: &Target) -> Result<Vec<Outgoing>, Failure> {
        let (path, body) = self.body();
        Ok(vec![Outgoing::json(
            path,
            Bytes::from(body.to_string()),
            Format::OpenAiChat,
        )])
    }

    fn answer(&self, _target: &Target, answers: Vec<Whole>) -> Result<Answer, Failure> {
        let only = errand::only(answers)?;
        Ok(Answer::json(only.body, Usage::default(), false))
    }
}

impl Question<'_> {
    fn body(&self) -> (String, Value) {
        let most = self.rag.most;
        match &self.rag.source {
            RagSource::Qdrant { collection, .. } => {
                let mut body = json!({
                    "query": self.vector, "limit": most, "with_payload": true,
                });
                if let Some(least) = self.rag.least {
                    body["score_threshold"] = least.into();
                }
                if !self.rag.access.is_open() {
                    let any =
                        |(key, values): (&str, Vec<&str>)| json!({"key": key, "match": {"any": values}});
                    let own: Vec<Value> = own(&self.rag.access, self.caller).into_iter().map(any).collect();
                    body["filter"] = json!({"must": [{"should": own}]});
                }
                (format!("/collections/{collection}/points/query"), body)
            }
            RagSource::Milvus {
                collection,
                content,
                vector,
                filter,
                ..
            } => {
                let mut body = json!({
                    "collectionName": collection, "data": [self.vector], "annsField": vector, "limit": most,
                    "outputFields": [content],
                });
                let mut conditions: Vec<String> = filter.iter().map(|filter| format!("({filter})")).collect();
                if !self.rag.access.is_open() {
                    let own = own(&self.rag.access, self.caller).into_iter();
                    // Texts are written as JSON writes them: no name can be more than a name.
                    let any: Vec<String> = own
                        .map(|(key, values)| format!("{key} in {}", json!(values)))
                        .collect();
                    conditions.push(format!("({})", any.join(" or ")));
                }
                if !conditions.is_empty() {
                    body["filter"] = conditions.join(" and ").into();
                }
                ("/v2/vectordb/entities/search".to_owned(), body)
            }
            RagSource::OpenAi { store } => {
                let mut body = json!({ "query": self.said, "max_num_results": most.min(50) });
                if let Some(least) = self.rag.least {
                    body["ranking_options"] = json!({"score_threshold": least});
                }
                if !self.rag.access.is_open() {
                    let any =
                        |(key, values): (&str, Vec<&str>)| json!({"type": "in", "key": key, "value": values});
                    let own: Vec<Value> = own(&self.rag.access, self.caller).into_iter().map(any).collect();
                    body["filters"] = json!({"type": "or", "filters": own});
                }
                (format!("/vector_stores/{store}/search"), body)
            }
            RagSource::Http { path } => {
                let mut body = json!({ "query": self.said, "top_k": most });
                if !self.rag.access.is_open() {
                    let own = own(&self.rag.access, self.caller).into_iter();
                    body["access"] = own.map(|(key, values)| (key.to_owned(), json!(values))).collect();
                }
                (path.clone(), body)
            }
        }
    }
}

/// The fields of which one must name the caller, with what names them; a field that nobody can match where the caller has
/// nothing that it asks for.
fn own<'a>(access: &'a RagAccess, caller: &'a Principal) -> Vec<(&'a str, Vec<&'a str>)> {
    let user = caller.user.as_ref().map(|user| user.as_str());
    let team = caller.team.as_ref().map(|team| team.as_str());
    let groups: Vec<&str> = caller.groups.iter().map(String::as_str).collect();
    let fields = [
        (&access.user, user.into_iter().collect::<Vec<_>>()),
        (&access.team, team.into_iter().collect()),
        (&access.groups, groups),
    ];
    let named = fields
        .into_iter()
        .filter_map(|(field, values)| Some((field.as_deref()?, values)));
    named.collect()
}

/// What was found, in the order in which it was told.
fn read(source: &RagSource, body: &Bytes) -> Result<Vec<Finding>, Failure> {
    let senseless = |error: serde_json::Error| {
        Failure::new(
            FailureKind::Provider,
            format!("the answer makes no sense: {error}"),
        )
    };
    Ok(match source {
        RagSource::Qdrant { content, .. } => {
            let told: told::Points = serde_json::from_slice(body).map_err(senseless)?;
            let text = |point: told::Point| {
                Some(Finding {
                    text: point.payload.get(content)?.as_str()?.to_owned(),
                    score: Some(point.score),
                })
            };
            told.result.points.into_iter().filter_map(text).collect()
        }
        RagSource::Milvus { content, .. } => {
            let told: told::Entities = serde_json::from_slice(body).map_err(senseless)?;
            // What went wrong is told with status 200.
            if told.code != 0 {
                let message = format!("Milvus refuses ({}): {}", told.code, told.message);
                return Err(Failure::new(FailureKind::Provider, message));
            }
            let text = |mut entity: told::Entity| {
                Some(Finding {
                    text: match entity.fields.remove(content)? {
                        Value::String(text) => text,
                        _ => return None,
                    },
                    score: Some(entity.distance),
                })
            };
            told.data.into_iter().filter_map(text).collect()
        }
        RagSource::OpenAi { .. } => {
            let told: told::Data = serde_json::from_slice(body).map_err(senseless)?;
            let text = |one: told::Datum| {
                let pieces: Vec<String> = one.content.into_iter().map(|piece| piece.text).collect();
                Finding {
                    text: pieces.join("\n"),
                    score: Some(one.score),
                }
            };
            told.data.into_iter().map(text).collect()
        }
        RagSource::Http { .. } => {
            let told: told::Results = serde_json::from_slice(body).map_err(senseless)?;
            let text = |one: told::Found| Finding {
                text: one.content,
                score: one.score,
            };
            told.results.into_iter().map(text).collect()
        }
    })
}

/// What each of the services answers.
mod told {
    use serde::Deserialize;
    use serde_json::Value;

    /// Qdrant's `points/query`.
    #[derive(Deserialize)]
    pub struct Points {
        pub result: Result,
    }

    #[derive(Deserialize)]
    pub struct Result {
        pub points: Vec<Point>,
    }

    #[derive(Deserialize)]
    pub struct Point {
        pub score: f64,
        #[serde(default)]
        pub payload: Value,
    }

    /// Milvus's `entities/search`: by cosine or inner product, its distance is a likeness.
    #[derive(Deserialize)]
    pub struct Entities {
        pub code: i64,
        #[serde(default)]
        pub message: String,
        #[serde(default)]
        pub data: Vec<Entity>,
    }

    #[derive(Deserialize)]
    pub struct Entity {
        pub distance: f64,
        #[serde(flatten)]
        pub fields: serde_json::Map<String, Value>,
    }

    /// OpenAI's search of a vector store.
    #[derive(Deserialize)]
    pub struct Data {
        pub data: Vec<Datum>,
    }

    #[derive(Deserialize)]
    pub struct Datum {
        pub score: f64,
        pub content: Vec<Piece>,
    }

    #[derive(Deserialize)]
    pub struct Piece {
        #[serde(default)]
        pub text: String,
    }

    /// A service of one's own.
    #[derive(Deserialize)]
    pub struct Results {
        pub results: Vec<Found>,
    }

    #[derive(Deserialize)]
    pub struct Found {
        pub content: String,
        pub score: Option<f64>,
    }
}

/// Findings in one text, at most so many letters of them.
fn joined(texts: &[String], longest: usize) -> String {
    let mut all = String::new();
    let mut left = longest;
    for text in texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
    {
        if left == 0 {
            break;
        }
        let cut: String = text.chars().take(left).collect();
        left -= cut.chars().count();
        if !all.is_empty() {
            all.push_str("\n\n");
        }
        all.push_str(&cut);
    }
    all
}

/// Puts findings into the request.
fn put(asked: &mut Asked, place: RagPlace, said: &str, found: String) {
    let request = &mut asked.request;
    match place {
        RagPlace::System => {
            let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
            let behind = request
                .messages
                .iter()
                .take_while(|message| is_instruction(message))
                .count();
            let text =
                format!("What was looked up for the user's question; use it where it helps:\n\n{found}");
            request.messages.insert(behind, Message::text(Role::System, text));
        }
        RagPlace::Tool => {
            let call = PartKind::ToolCall(ToolCall {
                id: CALL.into(),
                name: TOOL.into(),
                arguments: json!({ "query": said }).to_string().into(),
                kind: ToolCallKind::Function,
                signature: None,
                extra: Extra::default(),
            });
            let result = PartKind::ToolResult(ToolResult {
                call_id: CALL.into(),
                content: vec![Part::text(found)],
                shape: ContentShape::Text,
                is_error: None,
            });
            let told = |role, kind, shape| Message {
                role,
                parts: vec![Part::new(kind)],
                shape,
                name: None,
                extra: Extra::default(),
            };
            request
                .messages
                .push(told(Role::Assistant, call, ContentShape::Null));
            request
                .messages
                .push(told(Role::Tool, result, ContentShape::Text));
            // Some providers want to know what was called.
            if request.tools.is_empty() {
                request.tools.push(tool());
                request.tool_choice = Some(ToolChoice::None);
            }
        }
    }
}

fn tool() -> Tool {
    let schema =
        json!({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]});
    Tool {
        kind: ToolKind::Function {
            name: TOOL.into(),
            description: Some("Looks up what is known about a question.".into()),
            parameters: Json::of(&schema).ok(),
            strict: None,
            extra: Extra::default(),
        },
        cache_control: None,
        extra: Extra::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_backend_are_read() {
        let qdrant = RagSource::Qdrant {
            collection: "docs".to_owned(),
            content: "body".to_owned(),
            model: None,
        };
        let body = r#"{"result": {"points": [{"id": 1, "score": 0.9, "payload": {"body": "one"}}, {"id": 2, "score": 0.8, "payload": {}}]}}"#;
        let found = read(&qdrant, &Bytes::from(body)).unwrap();
        assert_eq!(
            found,
            [Finding {
                text: "one".to_owned(),
                score: Some(0.9)
            }]
        );
        let openai = RagSource::OpenAi {
            store: "vs".to_owned(),
        };
        let body = r#"{"data": [{"score": 0.5, "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}"#;
        assert_eq!(read(&openai, &Bytes::from(body)).unwrap()[0].text, "a\nb");
        let http = RagSource::Http {
            path: "/search".to_owned(),
        };
        assert_eq!(
            read(&http, &Bytes::from(r#"{"results": [{"content": "x"}]}"#)).unwrap()[0].score,
            None
        );
        let milvus = RagSource::Milvus {
            collection: "docs".to_owned(),
            content: "body".to_owned(),
            vector: "embedding".to_owned(),
            filter: None,
            model: None,
        };
        let body =
            r#"{"code": 0, "data": [{"distance": 0.7, "id": 3, "body": "one"}, {"distance": 0.6, "id": 4}]}"#;
        assert_eq!(read(&milvus, &Bytes::from(body)).unwrap()[0].text, "one");
        let refused = r#"{"code": 1100, "message": "no such collection"}"#;
        assert!(read(&milvus, &Bytes::from(refused)).is_err());
        for source in [&qdrant, &openai, &http, &milvus] {
            assert!(read(source, &Bytes::from("[]")).is_err());
        }
    }

    #[test]
    fn findings_are_bounded() {
        let texts = ["äbc".to_owned(), "  ".to_owned(), "defg".to_owned()];
        assert_eq!(joined(&texts, 5), "äbc\n\nde");
        assert_eq!(joined(&texts, 100), "äbc\n\ndefg");
    }
}
