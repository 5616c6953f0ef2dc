//! Every fault the testbed can make: a correct answer from the next target, or the client format's error; never a clean
//! end of a broken answer. And the ledger agrees with what the provider says it served.

use pointsman_catalog::Money;
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{Fault, ServedOutcome, SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, entry, folder, key, post};

const SAID: &str = "word word word word word word word word word word word word";

fn config(sim: &SimServer) -> String {
    let address = sim.address();
    let mut text = format!(
        "providers:\n\
         \x20 o: &p {{ kind: openai, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }}, \
         timeouts: {{ first_byte: 1s, between_chunks: 1s, first_token: 1s }}, retry: {{ attempts: 2 }}, \
         health: {{ consecutive_failures: 0, failure_ratio: 0, max_cool_down: 1ms }} }}\n\
         \x20 a: {{ <<: *p, kind: anthropic, base_url: \"http://{address}\" }}\n\
         \x20 good-o: *p\n\
         \x20 good-a: {{ <<: *p, kind: anthropic, base_url: \"http://{address}\" }}\nmodels:\n"
    );
    for (provider, model) in [("o", "gpt-5-mini"), ("a", "claude-haiku-4-5")] {
        for fault in Fault::ALL {
            let price = "price: { input: 0.3, output: 1.7 }";
            let broken = format!("{{ provider: {provider}, model: \"{model}+fault={fault}\" }}");
            let good = format!("{{ provider: good-{provider}, model: {model}, priority: 1 }}");
            text.push_str(&format!(
                "  \"{provider}1+{fault}\": {{ targets: [ {broken} ], retry: {{ attempts: 1 }}, {price} }}\n"
            ));
            text.push_str(&format!(
                "  \"{provider}2+{fault}\": {{ targets: [ {broken}, {good} ], {price} }}\n"
            ));
        }
    }
    text
}

/// A client's format: how it asks, and what it hears.
#[derive(Clone, Copy)]
struct Client {
    path: &'static str,
    end: &'static str,
}

const CLIENTS: [Client; 2] = [
    Client {
        path: "/v1/chat/completions",
        end: "data: [DONE]",
    },
    Client {
        path: "/v1/messages",
        end: "event: message_stop",
    },
];

impl Client {
    fn body(self, model: &str, stream: bool) -> Value {
        json!({"model": model, "max_tokens": 500, "stream": stream, "messages": [{"role": "user", "content": "repeat 12 words"}]})
    }

    /// The text of an answer that is whole, or the proof that it is an error.
    fn heard(self, answer: &Answer, stream: bool) -> Result<String, String> {
        if answer.status != 200 {
            assert!(answer.json()["error"]["message"].is_string(), "{}", answer.text());
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        if !stream {
            let body = answer.json();
            let text = body["choices"][0]["message"]["content"]
                .as_str()
                .or(body["content"][0]["text"].as_str());
            return Ok(text.unwrap().to_owned());
        }
        let mut text = String::new();
        let mut failed = false;
        for line in answer
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|line| *line != "[DONE]")
        {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            failed |= event["error"].is_object();
            text.push_str(
                event["choices"][0]["delta"]["content"]
                    .as_str()
                    .unwrap_or_default(),
            );
            text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
        }
        let ended = answer.text().contains(self.end);
        assert!(
            ended != failed,
            "a stream ends in one of two manners: {}",
            answer.text()
        );
        if ended {
            Ok(text)
        } else {
            Err("error event".to_owned())
        }
    }
}

/// Faults that strike before any content of a stream.
fn strikes_early(fault: Fault) -> bool {
    !matches!(
        fault,
        Fault::StallMidStream
            | Fault::CutClean
            | Fault::CutAbort
            | Fault::ResetMidStream
            | Fault::MalformedEvent
            | Fault::ErrorEvent
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_in_an_answer_or_an_error() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for provider in ["o", "a"] {
        for client in CLIENTS {
            for stream in [false, true] {
                for fault in Fault::ALL {
                    let context = format!("{provider} {} stream={stream} {fault}", client.path);
                    let ask = async |targets: u32| {
                        sim.clear();
                        let body = client.body(&format!("{provider}{targets}+{fault}"), stream);
                        post(house.address, client.path, &key, &body)
                            .await
                            .unwrap_or_else(|| panic!("{context}: the connection broke"))
                    };
                    let alone = ask(1).await;
                    // A content type that lies about a correct document does no harm; all else must be told.
                    assert!(
                        client.heard(&alone, stream).is_err(),
                        "{context}: {}",
                        alone.text()
                    );
                    let is_json = alone.header("content-type").starts_with("application/json");
                    assert!(
                        alone.status == 200 || is_json,
                        "{context}: a refusal is no stream"
                    );
                    let rescued = ask(2).await;
                    let heard = client.heard(&rescued, stream);
                    if strikes_early(fault) || !stream {
                        assert_eq!(heard.as_deref(), Ok(SAID), "{context}");
                        agrees(folder.path(), &sim, &rescued, &context).await;
                    } else {
                        assert!(heard.is_err(), "{context}: content had been sent");
                    }
                    let broken = entry(folder.path(), alone.header("x-request-id"));
                    assert!(broken.outcome != Outcome::Complete, "{context}: {broken:?}");
                }
            }
        }
    }
}

/// The ledger says what the provider says: to the token, and to the nano-dollar.
async fn agrees(folder: &std::path::Path, sim: &SimServer, answer: &Answer, context: &str) {
    let entry = entry(folder, answer.header("x-request-id"));
    let complete = || {
        sim.served()
            .into_iter()
            .filter(|served| served.outcome == ServedOutcome::Complete)
            .collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if !complete().is_empty() {
            break;
        }
        // The provider notes the end of a stream a moment after it has sent it.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let served = complete();
    let [served] = served.as_slice() else {
        panic!(
            "{context}: complete: {served:?}, all: {:?}",
            sim.served()
                .iter()
                .map(|served| served.outcome)
                .collect::<Vec<_>>()
        )
    };
    assert_eq!(
        (entry.usage.input, entry.usage.output),
        (served.input, served.output),
        "{context}"
    );
    assert_eq!(
        entry.cost,
        Money::from_nanodollars((served.input * 300 + served.output * 1_700) as i64),
        "{context}"
    );
    assert!(
        !entry.usage_estimated && entry.outcome == Outcome::Complete && entry.attempts <= 2,
        "{context}: {entry:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_of_every_shape_are_understood() {
    use pointsman_testbed::{Chunking, Coding};
    for (coding, chunking, crlf) in [
        (Coding::Gzip, Chunking::Events, false),
        (Coding::Deflate, Chunking::Bytes(7), false),
        (Coding::Brotli, Chunking::Bytes(100), false),
        (Coding::Zstd, Chunking::Events, true),
        (Coding::None, Chunking::Bytes(1), true),
    ] {
        let options = SimOptions {
            coding,
            chunking,
            crlf,
            ..SimOptions::default()
        };
        let sim = SimServer::local(options).await.unwrap();
        let folder = folder(&config(&sim));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        for model in ["o/gpt-5-mini", "a/claude-haiku-4-5"] {
            for client in CLIENTS {
                for stream in [false, true] {
                    let answer = post(house.address, client.path, &key, &client.body(model, stream))
                        .await
                        .unwrap();
                    assert_eq!(
                        client.heard(&answer, stream).as_deref(),
                        Ok(SAID),
                        "{coding:?} {chunking:?} {model} {}",
                        client.path
                    );
                    assert_eq!(
                        answer.header("content-encoding"),
                        "",
                        "what was undone is not told"
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_cancels_and_is_charged() {
    use http_body_util::BodyExt;
    let sim = SimServer::local(SimOptions {
        token_delay: std::time::Duration::from_millis(20),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let folder = folder(&config(&sim));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut sender = pointsman_testbed::load::connect(house.address).await.unwrap();
    let body = json!({"model": "o/gpt-5-mini", "stream": true, "messages": [{"role": "user", "content": "repeat 5000 words"}]});
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "x")
        .header("authorization", format!("Bearer {key}"))
        .body(http_body_util::Full::new(bytes::Bytes::from(body.to_string())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let mut body = response.into_body();
    for _ in 0..10 {
        body.frame().await.unwrap().unwrap();
    }
    drop((body, sender));
    let entry = entry(folder.path(), &id);
    assert_eq!(entry.outcome, Outcome::Cancelled);
    assert!(
        entry.usage_estimated && entry.usage.input > 0 && entry.usage.output > 0 && entry.cost > Money::ZERO,
        "{entry:?}"
    );
    for _ in 0..100 {
        if sim.served()[0].outcome == ServedOutcome::ClientGone {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the provider was not told: {:?}", sim.served()[0].outcome);
}
