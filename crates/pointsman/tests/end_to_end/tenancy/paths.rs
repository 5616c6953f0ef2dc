//! Every path of the API listener, by another tenant: what is kept of one is not there for any other. The paths are the
//! listener's own, so that a new one fails until it is said here what it shows.

use http::{Method, Request};
use serde_json::json;

use crate::admin::Site;
use crate::harness::{Answer, ask, post, send, upload};

/// What a path has to do with what is kept of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// One thing that the path names: to others it is not there.
    One(Thing),
    /// All of the caller's: for others that is none of it.
    All,
    /// Nothing: it makes something of the caller's own, asks a model, or is the same for everybody.
    Nothing,
    /// Sessions or tasks that names in the body or in headers tell; this test is about those.
    Elsewhere(&'static str),
}

/// What is kept of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    File,
    Batch,
    MessageBatch,
    Response,
    Conversation,
    VectorStore,
}

const THINGS: [Thing; 6] = [
    Thing::File,
    Thing::Batch,
    Thing::MessageBatch,
    Thing::Response,
    Thing::Conversation,
    Thing::VectorStore,
];

/// What each path shows; nothing where nobody has said it.
#[expect(clippy::too_many_lines, reason = "a list of paths")]
fn shows(method: &Method, path: &str) -> Option<Shows> {
    let kept = [
        ("/v1/files/", Thing::File),
        ("/v1/batches/", Thing::Batch),
        ("/v1/messages/batches/", Thing::MessageBatch),
        ("/v1/conversations/", Thing::Conversation),
        ("/v1/responses/", Thing::Response),
        ("/v1/vector_stores/", Thing::VectorStore),
    ];
    let one = kept
        .iter()
        .find(|(start, _)| path.starts_with(start) && path.contains('{'));
    if let Some((_, thing)) = one {
        return Some(Shows::One(*thing));
    }
    Some(match (method.as_str(), path) {
        ("GET", "/v1/files" | "/v1/batches" | "/v1/messages/batches" | "/v1/vector_stores") => Shows::All,
        ("GET" | "DELETE", "/v1/memory") | ("DELETE", "/v1/memory/{id}") | ("POST", "/v1/memory/consent") => {
            Shows::Elsewhere("what_a_user_says_is_remembered_for_them_alone_and_forgotten_when_they_say_so")
        }
        (_, "/mcp" | "/mcp/{id}") => Shows::Elsewhere("a_session_is_its_keys_alone"),
        (_, "/sse" | "/sse/{id}") => Shows::Elsewhere("a_stream_of_the_first_transport_is_its_keys_alone"),
        (_, "/a2a" | "/a2a/{agent}" | "/.well-known/agent-card.json") => {
            Shows::Elsewhere("a_task_is_its_keys_alone")
        }
        (_, "/lf.a2a.v1.A2AService/{agent}" | "/a2a.v1.A2AService/{agent}") => {
            Shows::Elsewhere("a_task_is_its_keys_alone")
        }
        ("GET", "/v1/realtime") | ("POST", "/v1/realtime/client_secrets") => {
            Shows::Elsewhere("a_client_secret_opens_the_session_it_was_made_for_and_no_other")
        }
        ("POST", "/api/v1/feedback" | "/v1/router/outcomes") => {
            Shows::Elsewhere("judgements_are_of_ones_own_requests_once_and_in_the_published_shapes")
        }
        ("GET", "/oauth/grants/mcp") | ("DELETE", "/oauth/grants/mcp/{id}") => {
            Shows::Elsewhere("test_users_see_what_they_granted_and_take_it_back")
        }
        ("POST" | "GET", path) if path.starts_with("/oauth/") => {
            Shows::Elsewhere("test_nobody_goes_on_for_somebody_else")
        }
        // What is asked of a model is answered to whoever asks.
        (
            "POST",
            "/v1/files" | "/v1/batches" | "/v1/messages/batches" | "/v1/conversations" | "/v1/vector_stores",
        ) => Shows::Nothing,
        ("POST", "/v1/responses" | "/v1/responses/input_tokens" | "/v1/responses/compact") => Shows::Nothing,
        (
            "POST",
            "/v1/chat/completions" | "/v1/completions" | "/v1/messages" | "/v1/messages/count_tokens",
        ) => Shows::Nothing,
        ("POST", "/v1/embeddings" | "/v2/embed" | "/v1/embed" | "/v2/rerank" | "/v1/rerank" | "/rerank") => {
            Shows::Nothing
        }
        ("POST", "/v1/moderations" | "/score" | "/v1/score" | "/pooling" | "/tokenize" | "/detokenize") => {
            Shows::Nothing
        }
        ("POST", "/v2/chat" | "/api/v1/eval") => Shows::Nothing,
        ("POST", path)
            if [
                "/v1/images/",
                "/v1/audio/",
                "/model/{model}/",
                "/v1beta/models/{model}:",
                "/v1/models/{model}:",
            ]
            .iter()
            .any(|start| path.starts_with(start)) =>
        {
            Shows::Nothing
        }
        ("POST", path) if path.starts_with("/api/v1/classify/") || path.starts_with("/api/v1/similarity") => {
            Shows::Nothing
        }
        ("POST", "/api/v1/embeddings") => Shows::Nothing,
        // Refused for everybody.
        ("POST", "/v1/realtime/sessions" | "/v1/realtime/transcription_sessions" | "/v1/realtime/calls") => {
            Shows::Nothing
        }
        // The same for everybody, but for models that a key may not use.
        ("GET", "/v1/models" | "/v1/models/{model}" | "/v1beta/models" | "/v1beta/models/{model}") => {
            Shows::Nothing
        }
        ("GET", "/api/v1/ratings" | "/health" | "/health/live" | "/health/ready") => Shows::Nothing,
        ("GET", path) if path.starts_with("/.well-known/o") => Shows::Nothing,
        _ => return None,
    })
}

/// Two tenants; the first has one of everything.
struct World {
    site: Site,
    own: String,
    foreign: [String; 3],
    ids: Vec<(Thing, String)>,
}

impl World {
    async fn open() -> Self {
        let site = Site::open().await;
        for (kind, body) in [
            ("organizations", json!({"id": "o"})),
            ("organizations", json!({"id": "p"})),
            ("teams", json!({"id": "a", "organization": "o"})),
            ("teams", json!({"id": "b", "organization": "o"})),
            ("teams", json!({"id": "c", "organization": "p"})),
        ] {
            site.does(Method::POST, &format!("/admin/v1/{kind}"), body).await;
        }
        let mut keys = Vec::new();
        for held in [
            json!({"team": "a"}),
            json!({"team": "b"}),
            json!({"team": "c"}),
            json!({}),
        ] {
            let key = site.does(Method::POST, "/admin/v1/keys", held).await;
            keys.push(key["secret"].as_str().unwrap().to_owned());
        }
        let [own, foreign @ ..] = <[String; 4]>::try_from(keys).unwrap();
        let mut world = Self {
            site,
            own,
            foreign,
            ids: Vec::new(),
        };
        for thing in THINGS {
            let id = world.make(thing).await;
            world.ids.push((thing, id));
        }
        world
    }

    /// Has the first tenant make one.
    async fn make(&self, thing: Thing) -> String {
        let turn = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        let (path, body) = match thing {
            Thing::File => {
                let line =
                    json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": turn});
                let line = line.to_string();
                let fields = [("purpose", "batch")];
                let kept = upload(self.site.house.address, &self.own, &fields, line.as_bytes());
                return id(&kept.await.unwrap());
            }
            Thing::Batch => {
                let file = self.id_of(Thing::File);
                let asked = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
                ("/v1/batches", asked)
            }
            Thing::MessageBatch => (
                "/v1/messages/batches",
                json!({"requests": [{"custom_id": "1", "params": turn}]}),
            ),
            Thing::Response => (
                "/v1/responses",
                json!({"model": "m", "input": "hi", "store": true}),
            ),
            Thing::VectorStore => ("/v1/vector_stores", json!({"name": "ours"})),
            Thing::Conversation => (
                "/v1/conversations",
                json!({"items": [{"type": "message", "role": "user", "content": "hi"}]}),
            ),
        };
        id(&post(self.site.house.address, path, &self.own, &body)
            .await
            .unwrap())
    }

    fn id_of(&self, thing: Thing) -> &str {
        let found = self.ids.iter().find(|(of, _)| *of == thing);
        &found.unwrap().1
    }

    async fn call(&self, method: &Method, path: &str, key: &str) -> Answer {
        let body = match method.as_str() {
            "POST" if path.ends_with("/items") => {
                json!({"items": [{"type": "message", "role": "user", "content": "more"}]}).to_string()
            }
            "POST" if path.starts_with("/v1/conversations/") => json!({"metadata": {"a": "b"}}).to_string(),
            _ => String::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let request = if path.starts_with("/v1/messages") {
            request.header("anthropic-version", "2023-06-01")
        } else {
            request
        };
        send(self.site.house.address, request.body(body).unwrap())
            .await
            .unwrap()
    }
}

/// What is said, but for the number of the request.
fn said(answer: &Answer) -> String {
    let mut told = answer.json();
    if let Some(fields) = told.as_object_mut() {
        fields.remove("request_id");
    }
    told.to_string()
}

fn id(answer: &Answer) -> String {
    let made = answer.json();
    let id = made["id"].as_str();
    id.unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

#[expect(clippy::too_many_lines, reason = "every way in, one after another")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_of_the_api_shows_nothing_of_another_tenants() {
    let world = World::open().await;
    let (mut tried, mut unsaid, mut wrong) = (0, Vec::new(), Vec::new());
    let mut seen = Vec::new();
    for (method, pattern) in pointsman_gateway::paths() {
        let Some(shows) = shows(method, pattern) else {
            unsaid.push(format!("{method} {pattern}"));
            continue;
        };
        let path = match shows {
            Shows::One(thing) => {
                seen.push(thing);
                pattern
                    .replace("{id}", world.id_of(thing))
                    .replace("{model}", world.id_of(thing))
            }
            Shows::All => pattern.to_owned(),
            Shows::Nothing | Shows::Elsewhere(_) => continue,
        };
        for stranger in &world.foreign {
            let answer = world.call(method, &path, stranger).await;
            let is_hidden = match shows {
                Shows::All => answer.status == 200 && answer.json()["data"] == json!([]),
                _ => answer.status == 404,
            };
            if !is_hidden {
                wrong.push(format!("{method} {path}: {} {}", answer.status, answer.text()));
            }
            // Nor is it told that it is somebody else's.
            if let Shows::One(thing) = shows {
                let absent = path.replace(world.id_of(thing), "nothing_of_this_name");
                let absent = world.call(method, &absent, stranger).await;
                let told = said(&answer).replace(world.id_of(thing), "nothing_of_this_name");
                if (absent.status, said(&absent)) != (answer.status, told.clone()) {
                    wrong.push(format!(
                        "{method} {path}: {told}, but of nothing {}",
                        absent.text()
                    ));
                }
            }
            tried += 1;
        }
    }
    assert!(
        unsaid.is_empty(),
        "say in this test what these show:\n{}",
        unsaid.join("\n")
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 60, "only {tried}");
    assert!(THINGS.iter().all(|thing| seen.contains(thing)), "{seen:?}");
    // Names in bodies lead there no more than names in paths.
    let (file, response) = (world.id_of(Thing::File), world.id_of(Thing::Response));
    let conversation = world.id_of(Thing::Conversation);
    for (path, body) in [
        (
            "/v1/batches",
            json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
        ),
        (
            "/v1/responses",
            json!({"model": "m", "input": "hi", "previous_response_id": response}),
        ),
        (
            "/v1/responses",
            json!({"model": "m", "input": "hi", "conversation": conversation}),
        ),
        (
            "/v1/responses/input_tokens",
            json!({"model": "m", "input": "hi", "previous_response_id": response}),
        ),
    ] {
        for stranger in &world.foreign {
            let answer = post(world.site.house.address, path, stranger, &body)
                .await
                .unwrap();
            let is_hidden = [400, 404].contains(&answer.status.as_u16());
            assert!(is_hidden, "{path} {body}: {} {}", answer.status, answer.text());
        }
    }
    // It is all still there for whose it is.
    for (thing, path) in [
        (Thing::File, "/v1/files/"),
        (Thing::Batch, "/v1/batches/"),
        (Thing::MessageBatch, "/v1/messages/batches/"),
        (Thing::Response, "/v1/responses/"),
        (Thing::Conversation, "/v1/conversations/"),
        (Thing::VectorStore, "/v1/vector_stores/"),
    ] {
        let path = format!("{path}{}", world.id_of(thing));
        let answer = ask(world.site.house.address, Method::GET, &path, &world.own)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["id"], json!(world.id_of(thing)));
    }
    let items = format!("/v1/conversations/{conversation}/items");
    let items = ask(world.site.house.address, Method::GET, &items, &world.own)
        .await
        .unwrap()
        .json();
    assert_eq!(
        items["data"].as_array().map(Vec::len),
        Some(1),
        "nobody has added to it: {items}"
    );
}

/// Tests that are named here exist.
#[test]
fn what_is_tested_elsewhere_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut text = String::new();
    read(&root.join("crates/pointsman/tests/end_to_end"), &mut text);
    read(&root.join("tests/mcp"), &mut text);
    for (method, path) in pointsman_gateway::paths() {
        if let Some(Shows::Elsewhere(test)) = shows(method, path) {
            let is_there = ["fn", "def"]
                .iter()
                .any(|kind| text.contains(&format!("{kind} {test}(")));
            assert!(is_there, "{method} {path}: {test}");
        }
    }
}

fn read(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "py") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
