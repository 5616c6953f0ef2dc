//! Responses and conversations that are kept: gone on from behind any provider, by their own tenant only, across
//! restarts and deaths.

mod shared;

use std::time::{Duration, Instant};

use http::{Method, Request};
use pointsman_store::{NewKey, StateStore, TeamId};
use pointsman_testbed::{ServedOutcome, SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, folder, key, send, write};

const MODELS: [&str; 4] = ["responses", "chat", "claude", "gemini"];

fn configuration(sim: &SimServer, rest: &str) -> String {
    let at = sim.address();
    format!(
        r#"
providers:
  o: {{ kind: openai, base_url: "http://{at}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  a: {{ kind: anthropic, base_url: "http://{at}", auth: {{ api_key: sk-ant-sim }}, retry: {{ attempts: 1 }} }}
  g: {{ kind: gemini, base_url: "http://{at}", auth: {{ api_key: AIza-sim }}, retry: {{ attempts: 1 }} }}
models:
  responses: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-responses }} ] }}
  chat: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }}
  claude: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ] }}
  gemini: {{ targets: [ {{ provider: g, model: gemini-2.5-flash, format: gemini }} ] }}
{rest}
"#
    )
}

struct Scene {
    sim: SimServer,
    folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    async fn set(options: SimOptions, rest: &str) -> Self {
        let sim = SimServer::local(options).await.unwrap();
        let folder = folder(&configuration(&sim, rest));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        Self {
            sim,
            folder,
            house,
            key,
        }
    }

    async fn usual() -> Self {
        Self::set(SimOptions::default(), "").await
    }

    async fn slow() -> Self {
        let options = SimOptions {
            token_delay: Duration::from_millis(20),
            ..SimOptions::default()
        };
        Self::set(options, "server: { drain: 1s }").await
    }

    async fn ask_as(&self, key: &str, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .body(body)
            .unwrap();
        send(self.house.address, request).await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask_as(&self.key, Method::POST, path, body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        answer.json()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask_as(&self.key, Method::GET, path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn delete(&self, path: &str) -> Value {
        let answer = self.ask_as(&self.key, Method::DELETE, path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn refused(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.ask_as(&self.key, method, path, body).await;
        (answer.status.as_u16(), answer.json()["error"].clone())
    }

    /// The body that the provider saw last.
    fn seen(&self) -> String {
        self.sim.served().last().unwrap().body.clone()
    }

    /// Waits until a response is in one of these statuses.
    async fn until(&self, id: &str, statuses: &[&str]) -> Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let told = self.get(&format!("/v1/responses/{id}")).await;
            if statuses.iter().any(|status| told["status"] == *status) {
                return told;
            }
            assert!(Instant::now() < until, "it never gets there: {told}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

fn id(response: &Value) -> String {
    response["id"].as_str().unwrap().to_owned()
}

fn text(response: &Value) -> String {
    let items = response["output"].as_array().unwrap();
    let message = items.iter().find(|item| item["type"] == "message");
    let message = message.unwrap_or_else(|| panic!("no message: {response}"));
    message["content"][0]["text"].as_str().unwrap().to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(id).collect()
}

fn weather() -> Value {
    json!([{"type": "function", "name": "get_weather", "strict": false, "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_with_tools_go_on_behind_every_format() {
    let scene = Scene::usual().await;
    for model in MODELS {
        let first = json!({"model": model, "instructions": "Only now.", "tools": weather(),
            "input": "the weather in Paris", "metadata": {"k": "v"}});
        let first = scene.post("/v1/responses", &first).await;
        assert_eq!(first["store"], true, "{model}");
        assert_eq!(first["metadata"]["k"], "v", "{model}");
        let call = first["output"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["type"] == "function_call")
            .unwrap_or_else(|| panic!("{model}: {first}"));
        let result =
            json!({"type": "function_call_output", "call_id": call["call_id"], "output": "12 degrees"});
        let second = json!({"model": model, "previous_response_id": first["id"], "tools": weather(), "input": [result]});
        let second = scene.post("/v1/responses", &second).await;
        assert_eq!(text(&second), "The tools say: 12 degrees", "{model}");
        assert_eq!(second["previous_response_id"], first["id"]);
        let seen = scene.seen();
        assert!(
            seen.contains("Paris") && seen.contains("12 degrees"),
            "{model}: {seen}"
        );
        assert!(
            !seen.contains("Only now."),
            "{model}: instructions were carried over: {seen}"
        );
        assert!(!seen.contains("previous_response_id"), "{model}: {seen}");
        let third = json!({"model": model, "previous_response_id": second["id"], "tools": weather(), "input": "and then", "stream": true});
        let third = scene
            .ask_as(&scene.key, Method::POST, "/v1/responses", &third)
            .await;
        assert!(
            third.text().contains("event: response.completed"),
            "{model}: {}",
            third.text()
        );
        let seen = scene.seen();
        for said in ["Paris", "12 degrees", "The tools say", "and then"] {
            assert!(seen.contains(said), "{model}: {said} is missing: {seen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_response_is_gone_on_from_twice_and_by_another_provider() {
    let scene = Scene::usual().await;
    let root = scene
        .post("/v1/responses", &json!({"model": "claude", "input": "the root"}))
        .await;
    for (model, branch) in [
        ("chat", "to the left"),
        ("gemini", "to the right"),
        ("responses", "straight on"),
    ] {
        let body = json!({"model": model, "previous_response_id": root["id"], "input": branch});
        let told = scene.post("/v1/responses", &body).await;
        assert_eq!(text(&told), format!("You said: {branch}"));
        let items = scene
            .get(&format!("/v1/responses/{}/input_items?order=asc", id(&told)))
            .await;
        let all = items["data"].to_string();
        assert!(all.contains("the root") && all.contains("You said: the root") && all.contains(branch));
        assert_eq!(items["data"].as_array().unwrap().len(), 3, "{items}");
    }
    assert!(!scene.seen().contains("to the left"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_is_shown_listed_and_deleted() {
    let scene = Scene::usual().await;
    let input = json!([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}, {"role": "user", "content": "three"}]);
    let told = scene
        .post("/v1/responses", &json!({"model": "chat", "input": input}))
        .await;
    let path = format!("/v1/responses/{}", id(&told));
    assert!(id(&told).len() > 40 && id(&told).starts_with("resp_"));
    assert_eq!(scene.get(&path).await, told);
    let newest = scene.get(&format!("{path}/input_items?limit=2")).await;
    assert_eq!(newest["has_more"], true);
    assert_eq!(
        newest["data"][0]["content"][0],
        json!({"type": "input_text", "text": "three"})
    );
    let last = newest["last_id"].as_str().unwrap();
    let rest = scene
        .get(&format!("{path}/input_items?limit=2&after={last}"))
        .await;
    assert_eq!((ids(&rest).len(), &rest["has_more"]), (1, &json!(false)));
    let (status, error) = scene
        .refused(Method::GET, &format!("{path}/input_items?limit=0"), &Value::Null)
        .await;
    assert_eq!((status, &error["param"]), (400, &json!("limit")));
    let (status, _) = scene
        .refused(Method::GET, &format!("{path}?stream=true"), &Value::Null)
        .await;
    assert_eq!(status, 400, "only background responses can be streamed again");
    let (status, _) = scene
        .refused(Method::POST, &format!("{path}/cancel"), &Value::Null)
        .await;
    assert_eq!(status, 400, "only background responses can be cancelled");
    assert_eq!(scene.delete(&path).await["deleted"], true);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/input_items")),
    ] {
        assert_eq!(scene.refused(method, &path, &Value::Null).await.0, 404);
    }
    let on = json!({"model": "chat", "previous_response_id": told["id"], "input": "x"});
    let (status, error) = scene.refused(Method::POST, "/v1/responses", &on).await;
    assert_eq!(
        (status, &error["code"]),
        (404, &json!("previous_response_not_found"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_tenant_sees_continues_cancels_or_deletes() {
    let scene = Scene::usual().await;
    let team = |name: &str| NewKey {
        team: Some(TeamId::from(name)),
        ..NewKey::default()
    };
    let stranger = key(scene.folder.path(), NewKey::default());
    let (mine, colleague, other) = (
        key(scene.folder.path(), team("blue")),
        key(scene.folder.path(), team("blue")),
        key(scene.folder.path(), team("red")),
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let body = json!({"model": "chat", "input": "ours"});
    let told = scene
        .ask_as(&mine, Method::POST, "/v1/responses", &body)
        .await
        .json();
    let conversation = scene
        .ask_as(&mine, Method::POST, "/v1/conversations", &json!({}))
        .await
        .json();
    let (response, talk) = (
        format!("/v1/responses/{}", id(&told)),
        format!("/v1/conversations/{}", id(&conversation)),
    );
    let items = json!({"items": [{"role": "user", "content": "x"}]});
    let on = json!({"model": "chat", "previous_response_id": told["id"], "input": "x"});
    let within = json!({"model": "chat", "conversation": conversation["id"], "input": "x"});
    let item = told["output"][0]["id"].clone();
    let refer = json!({"model": "chat", "input": [{"type": "item_reference", "id": item}]});
    for key in [&stranger, &other] {
        let tries = [
            (Method::GET, response.clone(), Value::Null),
            (Method::GET, format!("{response}/input_items"), Value::Null),
            (Method::GET, format!("{response}?stream=true"), Value::Null),
            (Method::POST, format!("{response}/cancel"), Value::Null),
            (Method::DELETE, response.clone(), Value::Null),
            (Method::POST, "/v1/responses".to_owned(), on.clone()),
            (Method::POST, "/v1/responses".to_owned(), within.clone()),
            (Method::POST, "/v1/responses".to_owned(), refer.clone()),
            (Method::POST, "/v1/responses/input_tokens".to_owned(), on.clone()),
            (Method::GET, talk.clone(), Value::Null),
            (Method::POST, talk.clone(), json!({"metadata": {}})),
            (Method::GET, format!("{talk}/items"), Value::Null),
            (Method::POST, format!("{talk}/items"), items.clone()),
            (Method::DELETE, talk.clone(), Value::Null),
        ];
        for (method, path, body) in tries {
            let answer = scene.ask_as(key, method.clone(), &path, &body).await;
            assert_eq!(answer.status, 404, "{method} {path} {body}: {}", answer.text());
        }
    }
    let answer = scene.ask_as(&colleague, Method::POST, "/v1/responses", &on).await;
    assert_eq!(answer.status, 200, "the team's: {}", answer.text());
    assert_eq!(
        scene
            .ask_as(&colleague, Method::GET, &talk, &Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_outlives_the_process() {
    let mut scene = Scene::usual().await;
    let first = scene
        .post(
            "/v1/responses",
            &json!({"model": "claude", "input": "before the night"}),
        )
        .await;
    let talk = json!({"items": [{"role": "user", "content": "an opening"}], "metadata": {"topic": "sleep"}});
    let talk = scene.post("/v1/conversations", &talk).await;
    let house = std::mem::replace(&mut scene.house, House::open(scene.folder.path()));
    house.stop();
    let again = scene.get(&format!("/v1/responses/{}", id(&first))).await;
    assert_eq!(again, first);
    let body = json!({"model": "gemini", "previous_response_id": first["id"], "input": "after it"});
    scene.post("/v1/responses", &body).await;
    assert!(scene.seen().contains("before the night"));
    assert_eq!(
        scene.get(&format!("/v1/conversations/{}", id(&talk))).await["metadata"]["topic"],
        "sleep"
    );
}

/// Whether any of the database's files holds this text.
fn is_on_disk(folder: &TempDir, text: &str) -> bool {
    let files = std::fs::read_dir(folder.path()).unwrap();
    files
        .filter_map(|file| std::fs::read(file.unwrap().path()).ok())
        .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_to_be_kept_leaves_nothing_behind() {
    let mut scene = Scene::usual().await;
    let unkept = "an-unkept-sentence";
    for (model, stream) in [("chat", false), ("claude", true), ("responses", false)] {
        let body = json!({"model": model, "input": unkept, "store": false, "stream": stream});
        let told = scene
            .ask_as(&scene.key, Method::POST, "/v1/responses", &body)
            .await;
        assert_eq!(told.status, 200, "{}", told.text());
    }
    let kept = scene
        .post(
            "/v1/responses",
            &json!({"model": "chat", "input": "a-kept-sentence"}),
        )
        .await;
    let on = json!({"model": "chat", "input": unkept, "store": false, "previous_response_id": kept["id"]});
    let told = scene.post("/v1/responses", &on).await;
    assert_eq!(told["store"], false);
    assert_eq!(
        scene
            .refused(Method::GET, &format!("/v1/responses/{}", id(&told)), &Value::Null)
            .await
            .0,
        404
    );
    let background = json!({"model": "chat", "input": "x", "store": false, "background": true});
    assert_eq!(
        scene.refused(Method::POST, "/v1/responses", &background).await.0,
        400
    );
    scene.house.signal("TERM");
    scene.house.ended(Duration::from_secs(20));
    assert!(is_on_disk(&scene.folder, "a-kept-sentence"));
    assert!(!is_on_disk(&scene.folder, unkept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_removes_the_bytes() {
    let scene = Scene::usual().await;
    let told = scene
        .post(
            "/v1/responses",
            &json!({"model": "chat", "input": "a-regretted-sentence"}),
        )
        .await;
    scene.get(&format!("/v1/responses/{}", id(&told))).await;
    assert!(is_on_disk(&scene.folder, "a-regretted-sentence"));
    scene.delete(&format!("/v1/responses/{}", id(&told))).await;
    assert!(!is_on_disk(&scene.folder, "a-regretted-sentence"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_says_who_keeps_and_how_long() {
    let scene = Scene::set(SimOptions::default(), "responses: { store: false }").await;
    let told = scene
        .post(
            "/v1/responses",
            &json!({"model": "responses", "input": "x", "store": true}),
        )
        .await;
    assert!(scene.seen().contains("\"store\":false"), "{}", scene.seen());
    assert_eq!(
        scene
            .refused(Method::GET, &format!("/v1/responses/{}", id(&told)), &Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        scene
            .refused(Method::POST, "/v1/conversations", &json!({}))
            .await
            .0,
        400
    );
    // The provider keeps: everything goes on as it came.
    write(
        scene.folder.path(),
        &configuration(&scene.sim, "responses: { state: provider }"),
    );
    scene.house.hears("the new configuration is in force");
    let told = scene
        .post("/v1/responses", &json!({"model": "responses", "input": "x"}))
        .await;
    assert!(!scene.seen().contains("\"store\""), "{}", scene.seen());
    let on = json!({"model": "responses", "input": "y", "previous_response_id": told["id"]});
    scene.post("/v1/responses", &on).await;
    assert!(scene.seen().contains("previous_response_id"));
    // Retention.
    write(
        scene.folder.path(),
        &configuration(&scene.sim, "responses: { retention: 1s }"),
    );
    let until = Instant::now() + Duration::from_secs(20);
    let path = loop {
        let told = scene
            .post("/v1/responses", &json!({"model": "chat", "input": "x"}))
            .await;
        let path = format!("/v1/responses/{}", id(&told));
        if scene
            .ask_as(&scene.key, Method::GET, &path, &Value::Null)
            .await
            .status
            == 200
        {
            break path;
        }
        assert!(Instant::now() < until, "it is never kept");
    };
    while scene
        .ask_as(&scene.key, Method::GET, &path, &Value::Null)
        .await
        .status
        == 200
    {
        assert!(Instant::now() < until, "it is never deleted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn background_responses_run_end_and_are_paid_for() {
    let scene = Scene::usual().await;
    for model in MODELS {
        let body = json!({"model": model, "input": "repeat 7 words", "background": true});
        let answer = scene
            .ask_as(&scene.key, Method::POST, "/v1/responses", &body)
            .await;
        let begun = answer.json();
        assert_eq!(
            (&begun["status"], &begun["background"]),
            (&json!("queued"), &json!(true)),
            "{begun}"
        );
        let ended = scene.until(&id(&begun), &["completed", "failed"]).await;
        assert_eq!(text(&ended).split_whitespace().count(), 7, "{model}: {ended}");
        assert_eq!((&ended["background"], &ended["id"]), (&json!(true), &begun["id"]));
        let entry = entry(scene.folder.path(), answer.header("x-request-id"));
        assert!(entry.usage.output >= 7, "{model}: {entry:?}");
        let on = json!({"model": "chat", "input": "more", "previous_response_id": begun["id"]});
        scene.post("/v1/responses", &on).await;
        // Cancelling what has ended changes nothing.
        let same = scene
            .post(&format!("/v1/responses/{}/cancel", id(&begun)), &Value::Null)
            .await;
        assert_eq!(same["status"], "completed");
    }
    let wrong = json!({"model": "no-such-model", "input": "x", "background": true});
    assert_eq!(
        scene.refused(Method::POST, "/v1/responses", &wrong).await.0,
        404,
        "told at once"
    );
}

/// Numbers and names of the events of a stream.
fn events(stream: &str) -> Vec<(u64, String)> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let read = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    read.map(|event| {
        let kind = event["type"].as_str().unwrap().to_owned();
        (event["sequence_number"].as_u64().unwrap(), kind)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_background_stream_is_resumed_where_it_was_left() {
    let scene = Scene::slow().await;
    for model in ["chat", "responses"] {
        let body = json!({"model": model, "input": "repeat 40 words", "background": true, "stream": true});
        let whole = scene
            .ask_as(&scene.key, Method::POST, "/v1/responses", &body)
            .await;
        let told = events(whole.text());
        assert_eq!(told.last().unwrap().1, "response.completed", "{model}");
        assert!(
            told.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "{model}: {told:?}"
        );
        let first: Value = serde_json::from_str(
            whole
                .text()
                .lines()
                .find_map(|line| line.strip_prefix("data: "))
                .unwrap(),
        )
        .unwrap();
        let id = id(&first["response"]);
        // Another one, followed while it runs.
        let begun = scene.ask_as(&scene.key, Method::POST, "/v1/responses", &body);
        let begun = events(begun.await.text()).len();
        assert_eq!(begun, told.len());
        let middle = told[told.len() / 2].0;
        let path = format!("/v1/responses/{id}?stream=true&starting_after={middle}");
        let rest = scene.ask_as(&scene.key, Method::GET, &path, &Value::Null).await;
        assert_eq!(events(rest.text()), told[told.len() / 2 + 1..], "{model}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_followed_cancelled_and_stops_its_provider() {
    let scene = Scene::slow().await;
    let body = json!({"model": "claude", "input": "repeat 2000 words", "background": true, "stream": true});
    // The client that began it goes away: the run does not.
    let begun = scene.ask_as(&scene.key, Method::POST, "/v1/responses", &body);
    assert!(
        tokio::time::timeout(Duration::from_millis(700), begun)
            .await
            .is_err()
    );
    let store = StateStore::open(&format!("sqlite://{}/p.db", scene.folder.path().display())).unwrap();
    let run = store.unfinished().unwrap().pop().unwrap();
    let path = format!("/v1/responses/{}", run.id);
    let running = scene.until(&run.id, &["in_progress"]).await;
    assert_eq!(running["background"], true);
    let on = json!({"model": "chat", "input": "x", "previous_response_id": run.id});
    let (status, error) = scene.refused(Method::POST, "/v1/responses", &on).await;
    assert_eq!(
        (status, &error["code"]),
        (400, &json!("previous_response_not_completed"))
    );
    let follow = format!("{path}?stream=true&starting_after=3");
    let followed = scene.ask_as(&scene.key, Method::GET, &follow, &Value::Null);
    let cancelled = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.post(&format!("{path}/cancel"), &Value::Null).await
    };
    let (followed, cancelled) = tokio::join!(followed, cancelled);
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    let told = events(followed.text());
    assert_eq!(told[0].0, 4);
    assert_eq!(told.last().unwrap().1, "response.incomplete");
    assert_eq!(scene.get(&path).await["status"], "cancelled");
    let until = Instant::now() + Duration::from_secs(5);
    while scene.sim.served().last().unwrap().outcome == ServedOutcome::Open {
        assert!(Instant::now() < until, "the provider is never told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(
        scene.sim.served().last().unwrap().outcome,
        ServedOutcome::Complete
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_process_dies_has_failed_and_does_not_hang() {
    let mut scene = Scene::slow().await;
    for kill in [true, false] {
        let body = json!({"model": "chat", "input": "repeat 5000 words", "background": true});
        let begun = scene.post("/v1/responses", &body).await;
        scene.until(&id(&begun), &["in_progress"]).await;
        if kill {
            scene.house.kill();
        } else {
            scene.house.signal("TERM");
            scene.house.ended(Duration::from_secs(20));
        }
        scene.house = House::open(scene.folder.path());
        let told = scene.get(&format!("/v1/responses/{}", id(&begun))).await;
        assert_eq!(told["status"], "failed", "{told}");
        assert_eq!(told["error"]["code"], "server_error");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains("gateway"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_provider_fails_has_failed() {
    let scene = Scene::usual().await;
    scene.sim.set_faults(vec![(
        pointsman_testbed::Schedule::Always,
        pointsman_testbed::Fault::Status(500),
    )]);
    let body = json!({"model": "chat", "input": "x", "background": true, "stream": true});
    let answer = scene
        .ask_as(&scene.key, Method::POST, "/v1/responses", &body)
        .await;
    assert_eq!(
        events(answer.text()).last().unwrap().1,
        "response.failed",
        "{}",
        answer.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_grow_by_turns_of_any_provider() {
    let scene = Scene::usual().await;
    let talk = json!({"metadata": {"topic": "demo"}, "items": [{"type": "message", "role": "user", "content": "an opening"}]});
    let talk = scene.post("/v1/conversations", &talk).await;
    assert_eq!(talk["object"], "conversation");
    let path = format!("/v1/conversations/{}", id(&talk));
    for (turn, model) in MODELS.into_iter().enumerate() {
        let body = json!({"model": model, "conversation": talk["id"], "input": format!("turn {turn}"), "stream": turn % 2 == 1});
        let answer = scene
            .ask_as(&scene.key, Method::POST, "/v1/responses", &body)
            .await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        assert!(answer.text().contains(&id(&talk)), "{model}: {}", answer.text());
        let seen = scene.seen();
        assert!(seen.contains("an opening"), "{model}: {seen}");
        for earlier in 0..=turn {
            assert!(seen.contains(&format!("turn {earlier}")), "{model}: {seen}");
        }
        let items = scene.get(&format!("{path}/items?order=asc&limit=100")).await;
        assert_eq!(ids(&items).len(), 1 + 2 * (turn + 1), "{model}: {items}");
    }
    let items = scene.get(&format!("{path}/items?limit=100")).await;
    let newest = &ids(&items)[0];
    assert_eq!(items["data"][0]["role"], "assistant");
    let one = scene.get(&format!("{path}/items/{newest}")).await;
    assert_eq!(one, items["data"][0]);
    scene.delete(&format!("{path}/items/{newest}")).await;
    assert_eq!(
        scene
            .refused(Method::GET, &format!("{path}/items/{newest}"), &Value::Null)
            .await
            .0,
        404
    );
    let more = json!({"items": [{"role": "user", "content": "by hand"}]});
    assert_eq!(ids(&scene.post(&format!("{path}/items"), &more).await).len(), 1);
    let changed = scene.post(&path, &json!({"metadata": {"topic": "done"}})).await;
    assert_eq!(changed["metadata"]["topic"], "done");
    assert_eq!(scene.delete(&path).await["deleted"], true);
    assert_eq!(scene.refused(Method::GET, &path, &Value::Null).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_turns_of_one_conversation_at_once_conflict() {
    let scene = Scene::slow().await;
    let talk = scene.post("/v1/conversations", &json!({})).await;
    let body = json!({"model": "chat", "conversation": talk["id"], "input": "repeat 30 words"});
    let (one, two) = tokio::join!(
        scene.ask_as(&scene.key, Method::POST, "/v1/responses", &body),
        scene.ask_as(&scene.key, Method::POST, "/v1/responses", &body)
    );
    let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
    assert_eq!(
        (won.status.as_u16(), lost.status.as_u16()),
        (200, 400),
        "{} {}",
        won.text(),
        lost.text()
    );
    assert_eq!(lost.json()["error"]["code"], "conversation_locked");
    let items = scene.get(&format!("/v1/conversations/{}/items", id(&talk))).await;
    assert_eq!(ids(&items).len(), 2, "{items}");
    // A client that goes away frees it, and leaves no half turn.
    let streamed =
        json!({"model": "chat", "conversation": talk["id"], "input": "repeat 500 words", "stream": true});
    let gone = scene.ask_as(&scene.key, Method::POST, "/v1/responses", &streamed);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), gone)
            .await
            .is_err()
    );
    let until = Instant::now() + Duration::from_secs(5);
    while scene
        .ask_as(&scene.key, Method::POST, "/v1/responses", &body)
        .await
        .status
        != 200
    {
        assert!(Instant::now() < until, "it is never free again");
    }
    let items = scene.get(&format!("/v1/conversations/{}/items", id(&talk))).await;
    assert_eq!(ids(&items).len(), 4, "{items}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_and_token_counts_see_what_was_kept() {
    let scene = Scene::usual().await;
    let first = scene
        .post(
            "/v1/responses",
            &json!({"model": "chat", "input": "a long beginning of a story"}),
        )
        .await;
    let item = &first["output"].as_array().unwrap().last().unwrap()["id"];
    let body = json!({"model": "claude", "input": [
        {"role": "user", "content": "go"}, {"type": "item_reference", "id": item}, {"role": "user", "content": "on"}]});
    scene.post("/v1/responses", &body).await;
    assert!(
        scene.seen().contains("You said: a long beginning"),
        "{}",
        scene.seen()
    );
    let short = json!({"model": "chat", "input": "on"});
    let long = json!({"model": "chat", "input": "on", "previous_response_id": first["id"]});
    let short = scene.post("/v1/responses/input_tokens", &short).await;
    let long = scene.post("/v1/responses/input_tokens", &long).await;
    assert_eq!(short["object"], "response.input_tokens");
    assert!(
        long["input_tokens"].as_u64() > Some(short["input_tokens"].as_u64().unwrap() + 8),
        "{short} {long}"
    );
}
