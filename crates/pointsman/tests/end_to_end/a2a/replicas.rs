//! Tasks of agents where there are several replicas: what one has begun, all go on with, at its own instance.

use pointsman_testbed::redis::{Keeps, RedisServer};

use super::*;

struct Site {
    agents: [A2aAgent; 2],
    _folder: TempDir,
    houses: Vec<House>,
    key: String,
    other: String,
    redis: RedisServer,
}

impl Site {
    async fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let redis = RedisServer::start(folder.path(), Keeps::Nothing)?;
        let agents = [
            A2aAgent::local(&["rpc"]).await.unwrap(),
            A2aAgent::local(&["rpc"]).await.unwrap(),
        ];
        let database = folder.path().join("shared.db");
        let store = pointsman_store::Store::open(&format!("sqlite://{}", database.display())).unwrap();
        let made = |name: &str| {
            let made = store.create_key(named(name)).unwrap().1;
            secrecy::ExposeSecret::expose_secret(&made).to_owned()
        };
        let (key, other) = (made("one"), made("two"));
        let houses = ["0", "1"].map(|number| {
            let own = folder.path().join(number);
            std::fs::create_dir_all(&own).unwrap();
            let text = format!(
                "listeners: {{ api: {{ address: \"127.0.0.1:0\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
                 stores: {{ database: \"sqlite://{}\", blobs: \"file://{}\", shared: \"{}\" }}\n\
                 a2a: {{ agents: {{ planner: {{ urls: [\"http://{}\", \"http://{}\"] }} }} }}\n",
                database.display(),
                own.display(),
                redis.url(),
                agents[0].address(),
                agents[1].address()
            );
            std::fs::write(own.join("pointsman.yaml"), text).unwrap();
            House::open(&own)
        });
        Some(Self {
            agents,
            _folder: folder,
            houses: houses.into(),
            key,
            other,
            redis,
        })
    }

    /// Clients of both replicas.
    fn clients(&self, key: &str) -> [Client; 2] {
        [0, 1].map(|at| Client::new(&self.houses[at], key))
    }

    /// How many requests each instance has had.
    fn served(&self) -> [usize; 2] {
        [0, 1].map(|at| self.agents[at].served().len())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_those_of_all_replicas() {
    let Some(site) = Site::new().await else {
        crate::harness::figure("there is no Redis server here");
        return;
    };
    let [first, second] = site.clients(&site.key);
    let [thief, _] = site.clients(&site.other);
    for _ in 0..4 {
        let task = first.say("planner", "wait").await["task"].clone();
        let at = usize::from(
            task["id"]
                .as_str()
                .unwrap()
                .ends_with(&site.agents[1].address().port().to_string()),
        );
        let before = site.served();
        let id = json!({ "id": task["id"] });
        let found = second.ask("planner", "GetTask", id.clone()).await;
        assert_eq!(found["result"]["id"], task["id"], "{found}");
        // Those of others are not there, at no replica.
        for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
            let none = thief.ask("planner", method, id.clone()).await;
            assert_eq!(none["error"]["code"], -32001, "{method}: {none}");
        }
        let subscribed =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": id }).to_string();
        let (heard, cancelled) = tokio::join!(
            second.send(Method::POST, "/a2a/planner", &subscribed, &[]),
            async {
                until(|| site.served()[at] >= before[at] + 2).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                second.ask("planner", "CancelTask", id.clone()).await
            }
        );
        assert_eq!(
            cancelled["result"]["status"]["state"], "TASK_STATE_CANCELED",
            "{cancelled}"
        );
        assert!(heard.text().contains("TASK_STATE_CANCELED"), "{}", heard.text());
        // Always where it began.
        let after = site.served();
        assert_eq!((after[at] - before[at], after[1 - at] - before[1 - at]), (3, 0));
    }
    let listed = second.ask("planner", "ListTasks", json!({})).await;
    assert_eq!(listed["result"]["totalSize"], 4, "{listed}");
    assert_eq!(
        thief.ask("planner", "ListTasks", json!({})).await["result"]["totalSize"],
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_are_those_of_all_replicas() {
    let Some(mut site) = Site::new().await else {
        crate::harness::figure("there is no Redis server here");
        return;
    };
    let [first, second] = site.clients(&site.key);
    let [_, thief] = site.clients(&site.other);
    let begun = first.say("planner", "ask me").await["task"].clone();
    let mut more = said("more");
    more["message"]["contextId"] = begun["contextId"].clone();
    let stolen = thief.ask("planner", "SendMessage", more.clone()).await;
    assert_eq!(stolen["error"]["code"], -32602, "{stolen}");
    for _ in 0..4 {
        let before = site.served();
        let answer = second.ask("planner", "SendMessage", more.clone()).await;
        assert!(answer["result"]["task"]["id"].is_string(), "{answer}");
        let at = usize::from(
            begun["id"]
                .as_str()
                .unwrap()
                .ends_with(&site.agents[1].address().port().to_string()),
        );
        let after = site.served();
        assert_eq!((after[at] - before[at], after[1 - at] - before[1 - at]), (1, 0));
    }
    // As a model: the task that waits is told what comes next through another replica, once.
    let body = |text: &str| {
        json!({ "model": "a2a/planner", "messages": [{ "role": "user", "content": text }] }).to_string()
    };
    let chat = "/v1/chat/completions";
    let context = [("x-pointsman-context", "trip")];
    let asked = first.send(Method::POST, chat, &body("ask me"), &context).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let answered = second.send(Method::POST, chat, &body("this one"), &context).await;
    assert_eq!(answered.status, 200, "{}", answered.text());
    let messages = |agent: &A2aAgent| -> Vec<Value> {
        let served = agent
            .served()
            .into_iter()
            .map(|served| served.body["params"]["message"].clone());
        served.filter(|message| message["contextId"] == "trip").collect()
    };
    let told: Vec<Value> = site.agents.iter().flat_map(messages).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1]["taskId"].is_string(), "{told:?}");
    // Where Redis is gone, what is known goes on, and nobody is told that a task is not there.
    let known = json!({ "id": begun["id"] });
    let unknown = second.say("planner", "wait").await["task"]["id"].clone();
    site.redis.kill();
    let here = first.ask("planner", "GetTask", known).await;
    assert!(here["result"].is_object(), "{here}");
    let elsewhere = first.ask("planner", "GetTask", json!({ "id": unknown })).await;
    assert_eq!(elsewhere["error"]["code"], -32603, "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_are_their_owners_as_long_as_they_are_used() {
    let Some(site) = Site::new().await else {
        crate::harness::figure("there is no Redis server here");
        return;
    };
    let [first, _] = site.clients(&site.key);
    let [_, thief] = site.clients(&site.other);
    let body = |text: &str| {
        json!({ "model": "a2a/planner", "messages": [{ "role": "user", "content": text }] }).to_string()
    };
    let context = [("x-pointsman-context", "trip")];
    for text in ["ask me", "this one"] {
        let answer = first
            .send(Method::POST, "/v1/chat/completions", &body(text), &context)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // As if long enough had passed for all records to be gone.
        if text == "ask me" {
            site.redis.ask(&["FLUSHALL"]).unwrap();
        }
    }
    let heard = site.agents.iter().flat_map(|agent| agent.served());
    let told: Vec<Value> = heard
        .map(|served| served.body["params"]["message"].clone())
        .filter(|message| message["contextId"] == "trip")
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1]["taskId"].is_string(), "{told:?}");
    let mut more = said("more");
    more["message"]["contextId"] = "trip".into();
    let stolen = thief.ask("planner", "SendMessage", more.clone()).await;
    assert_eq!(stolen["error"]["code"], -32602, "{stolen}");
    // Nobody has thousands of tasks asked for at once.
    more["message"]["referenceTaskIds"] = (0..65).map(|number| format!("t{number}")).collect();
    let many = first.ask("planner", "SendMessage", more).await;
    let text = many["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains("64 tasks"), "{many}");
}
