//! Services that are asked what answers a prompt: each in its own words, as an errand on the request's own ticket.

use std::sync::Arc;

use bytes::Bytes;
use pointsman_governance::Principal;
use pointsman_routing::{Rag, RagAccess, RagSource};
use pointsman_understanding::SHIPPED;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::Format;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Finding;
use crate::road::errand::{self, Answer, Errand, Inspector, Outgoing, Whole};
use crate::road::understand::Remote;
use crate::road::{Arrival, Ticket};
use crate::snapshot::Target;
use crate::worker::Worker;

/// What is found, in the order in which it was told.
///
/// # Errors
/// When the service cannot be asked, or its answer makes no sense.
pub async fn ask(
    (worker, arrival): (&Arc<Worker>, &Arrival),
    ticket: &mut Ticket,
    (rag, said): (&Rag, &str),
) -> Result<Vec<Finding>, Failure> {
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
        _ => None,
    };
    let caller = ticket.shared_caller();
    let mut question = Question {
        rag,
        said,
        vector,
        name: rag.name(),
        caller: &caller,
    };
    match errand::within(worker, arrival, &mut question, ticket).await {
        Ok(answer) => read(&rag.source, &answer.body),
        Err((failure, _)) => Err(failure),
    }
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
        let most = self.rag.wanted();
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
            // Nobody else is asked.
            RagSource::Here { .. } | RagSource::Mcp { .. } => (String::new(), Value::Null),
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
        RagSource::Here { .. } | RagSource::Mcp { .. } => Vec::new(),
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
}
