//! What realtime sessions cost: the ledger is the provider's own bill, to the token and the nano-dollar; budgets hold.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, LedgerEntry, NewKey};
use pointsman_testbed::{Served, SimOptions, SimServer};
use rand::RngExt;
use serde_json::{Value, json};

use crate::harness::{House, folder, key, ledger};
use crate::socket::{Client, Heard, refused};

/// Dollars for a million, and so nano-dollars for a thousandth of a token.
const PRICE: &str =
    "{ input: 4, output: 16, cache_read: 0.4, cache_read_audio: 0.8, audio_input: 32, audio_output: 64 }";

fn config(sim: &SimServer) -> String {
    format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ voice: {{ targets: [ {{ provider: o, model: gpt-realtime }} ], price: {PRICE} }} }}\n",
        sim.address()
    )
}

/// What an answer costs, computed from the provider's own words.
fn cost(usage: &Value) -> i64 {
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    let (read, said) = (&usage["input_token_details"], &usage["output_token_details"]);
    let cached = &read["cached_tokens_details"];
    (count(&read["text_tokens"]) - count(&cached["text_tokens"])) * 4_000
        + (count(&read["audio_tokens"]) - count(&cached["audio_tokens"])) * 32_000
        + count(&cached["text_tokens"]) * 400
        + count(&cached["audio_tokens"]) * 800
        + count(&said["text_tokens"]) * 16_000
        + count(&said["audio_tokens"]) * 64_000
}

/// What the provider billed of answers and transcriptions.
fn billed(sim: &SimServer) -> Vec<Served> {
    sim.served()
        .into_iter()
        .filter(|served| served.told.is_some())
        .collect()
}

/// The lines of answers and transcriptions.
fn lines(entries: &[LedgerEntry]) -> Vec<&LedgerEntry> {
    entries
        .iter()
        .filter(|entry| entry.id.as_str().contains('/'))
        .collect()
}

fn sound(ms: usize, byte: u8) -> Value {
    json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(vec![byte; ms * 48])})
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_the_providers_bill_to_the_token_and_the_nano_dollar() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut ids = Vec::new();
    for (transcriber, modalities) in [
        (Value::Null, "text"),
        (json!({"model": "whisper-1"}), "audio"),
        (json!({"model": "gpt-4o-transcribe"}), "audio"),
    ] {
        let mut client = Client::open(house.address, "voice", &key).await;
        client.until("session.created").await;
        let session = json!({"type": "realtime", "output_modalities": [modalities], "audio": {"input": {"transcription": transcriber}}});
        client
            .say(json!({"type": "session.update", "session": session}))
            .await;
        client.until("session.updated").await;
        for words in [3, 70, 20] {
            client.ask(&format!("repeat {words} words")).await;
            let done = client.until("response.done").await;
            ids.push(format!(
                "{}/{}",
                client.id(),
                done["response"]["id"].as_str().unwrap()
            ));
        }
        // What is spoken, and answered without being asked for.
        for _ in 0..4 {
            client.say(sound(250, 7)).await;
        }
        client.say(sound(200, 0)).await;
        let done = client.until("response.done").await;
        ids.push(format!(
            "{}/{}",
            client.id(),
            done["response"]["id"].as_str().unwrap()
        ));
        // Beside the conversation.
        client.say(json!({"type": "response.create", "response": {"conversation": "none", "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "repeat 4 words"}]}]}})).await;
        client.until("response.done").await;
        client.close().await;
    }
    house.stop();
    let entries = ledger(folder.path());
    let lines = lines(&entries);
    let billed = billed(&sim);
    assert_eq!(lines.len(), billed.len());
    assert_eq!(lines.len(), 3 * 5 + 2);
    assert_eq!(entries.len(), lines.len() + 3, "a line for each session, too");
    for id in &ids {
        assert!(lines.iter().any(|line| line.id.as_str() == id), "{id} is missing");
    }
    let of = |model: &str| -> (Vec<&LedgerEntry>, Vec<&Served>) {
        let lines = lines
            .iter()
            .copied()
            .filter(|line| line.model.as_deref() == Some(model));
        (
            lines.collect(),
            billed.iter().filter(|served| served.model == model).collect(),
        )
    };
    let (answers, bills) = of("gpt-realtime");
    assert!(
        answers
            .iter()
            .all(|line| !line.usage_estimated && line.provider.as_deref() == Some("o"))
    );
    let mut ours: Vec<_> = answers
        .iter()
        .map(|line| {
            (
                line.usage.input,
                line.usage.cache_read,
                line.usage.audio_input,
                line.usage.output,
                line.usage.audio_output,
                line.cost.nanodollars(),
            )
        })
        .collect();
    let told = |served: &&Served| served.told.clone().unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let mut theirs: Vec<_> = bills
        .iter()
        .map(told)
        .map(|usage| {
            let read = &usage["input_token_details"];
            (
                number(&usage["input_tokens"]),
                number(&read["cached_tokens"]),
                number(&read["audio_tokens"]),
                number(&usage["output_tokens"]),
                number(&usage["output_token_details"]["audio_tokens"]),
                cost(&usage),
            )
        })
        .collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    assert!(
        theirs.iter().any(|bill| bill.1 > 0)
            && theirs.iter().any(|bill| bill.2 > 0)
            && theirs.iter().any(|bill| bill.4 > 0)
    );
    // Transcriptions at their own models' prices: whisper by the second, the other by tokens.
    let (whispers, bills) = of("whisper-1");
    assert_eq!((whispers.len(), bills.len()), (1, 1));
    assert_eq!(whispers[0].usage.units.milliseconds_in, 1_000);
    assert!(whispers[0].cost.nanodollars() > 0);
    let (written, bills) = of("gpt-4o-transcribe");
    let usage = told(&bills[0]);
    assert_eq!(
        (written[0].usage.input, written[0].usage.output),
        (number(&usage["input_tokens"]), number(&usage["output_tokens"]))
    );
    assert!(written[0].cost.nanodollars() > 0);
}

fn budget(dollars: &str) -> NewKey {
    NewKey {
        budgets: vec![Budget::of(Money::parse(dollars).unwrap(), BudgetWindow::Total)],
        ..NewKey::default()
    }
}

/// Bounds the answers of a session, so that less is reserved for each.
async fn bounded(client: &mut Client, modality: &str, tokens: u64) {
    let session = json!({"type": "realtime", "output_modalities": [modality], "max_output_tokens": tokens});
    client
        .say(json!({"type": "session.update", "session": session}))
        .await;
}

/// Asks for answers until the session is ended; how it was.
async fn use_up(client: &mut Client, words: usize, most: usize) -> Option<(Value, Option<u16>)> {
    for _ in 0..most {
        client.ask(&format!("repeat {words} words")).await;
        loop {
            match client.hear().await {
                Heard::Event(event) if event["type"] == "response.done" => break,
                Heard::Event(event) if event["type"] == "error" => {
                    let (_, code) = client.end().await;
                    return Some((event["error"].clone(), code));
                }
                Heard::Event(_) => {}
                end => panic!("{end:?}"),
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_used_up_ends_the_session_and_admits_no_other() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    // The first answer is reserved in full: 4,096 tokens of sound are 0.26 dollars.
    let key = key(folder.path(), budget("0.3"));
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    bounded(&mut client, "audio", 1_000).await;
    let (error, code) = use_up(&mut client, 150, 100)
        .await
        .expect("the budget never ends");
    assert_eq!(
        (&error["type"], &error["code"], code),
        (
            &json!("insufficient_quota"),
            &json!("insufficient_quota"),
            Some(1008)
        )
    );
    let answer = refused(house.address, "/v1/realtime?model=voice", &key).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"]["code"].clone()),
        (429, json!("insufficient_quota"))
    );
    house.stop();
    let spent: Money = ledger(folder.path()).iter().map(|entry| entry.cost).sum();
    assert!(
        spent <= Money::parse("0.3").unwrap() && spent > Money::parse("0.2").unwrap(),
        "{spent}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_limit_ends_the_session_before_the_answer() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let grant = NewKey {
        tokens_per_minute: Some(5_000),
        ..NewKey::default()
    };
    let key = key(folder.path(), grant);
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    bounded(&mut client, "text", 40).await;
    let (error, code) = use_up(&mut client, 30, 500).await.expect("the limit never comes");
    assert_eq!(
        (&error["code"], code),
        (&json!("rate_limit_exceeded"), Some(1008))
    );
    house.stop();
    let tokens: u64 = ledger(folder.path())
        .iter()
        .map(|entry| entry.usage.total())
        .sum();
    assert!(tokens <= 5_000, "{tokens}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_sessions_never_pass_their_budget() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    // Reserved for a first answer: 0.26 dollars. Long answers cost about a third of that.
    let amount = Money::parse("6").unwrap();
    let key = Arc::new(key(folder.path(), budget("6")));
    let house = House::open(folder.path());
    let address = house.address;
    let clients: Vec<_> = (0..32)
        .map(|number| {
            let key = Arc::clone(&key);
            tokio::spawn(async move { spend(address, &key, number % 2 == 0).await })
        })
        .collect();
    let mut denied = [0, 0];
    for client in clients {
        let (before, within) = client.await.unwrap();
        denied = [denied[0] + before, denied[1] + within];
    }
    assert!(
        denied[0] > 0 && denied[1] > 0,
        "not denied in both ways: {denied:?}"
    );
    house.stop();
    let entries = ledger(folder.path());
    let spent: Money = entries.iter().map(|entry| entry.cost).sum();
    assert!(spent <= amount, "{spent} of {amount} were spent");
    assert!(
        spent > Money::parse("5").unwrap(),
        "only {spent} of {amount} could be used"
    );
    // And the provider's own bill is no larger.
    let theirs: i64 = billed(&sim)
        .iter()
        .map(|served| cost(served.told.as_ref().unwrap()))
        .sum();
    assert!(theirs <= amount.nanodollars(), "{theirs}");
}

/// Opens sessions until the budget is used up; how often it was denied, before a session and within one.
async fn spend(address: SocketAddr, key: &str, asks: bool) -> (u32, u32) {
    let mut denied = (0, 0);
    while denied.0 < 4 && denied.1 < 4 {
        let Some(mut client) = Client::attempt(address, "voice", key).await else {
            denied.0 += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        client.until("session.created").await;
        let ended = if asks {
            bounded(&mut client, "audio", 2_000).await;
            use_up(&mut client, 300, 4).await
        } else {
            speak(&mut client, 4).await
        };
        match ended {
            Some((error, code)) => {
                assert_eq!((&error["code"], code), (&json!("insufficient_quota"), Some(1008)));
                denied.1 += 1;
            }
            None => client.close().await,
        }
    }
    denied
}

/// Speaks until the session is ended; how it was.
async fn speak(client: &mut Client, most: usize) -> Option<(Value, Option<u16>)> {
    for _ in 0..most {
        for event in [sound(300, 7), sound(300, 9), sound(200, 0)] {
            client.say(event).await;
        }
        loop {
            match client.hear().await {
                Heard::Event(event) if event["type"] == "response.done" => break,
                Heard::Event(event) if event["type"] == "error" => {
                    let (_, code) = client.end().await;
                    return Some((event["error"].clone(), code));
                }
                Heard::Event(_) => {}
                end => panic!("{end:?}"),
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_lose_no_finished_answer_of_a_session() {
    const ROUNDS: usize = 12;
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = Arc::new(key(folder.path(), NewKey::default()));
    let mut finished = HashSet::new();
    for _ in 0..ROUNDS {
        let mut house = House::open(folder.path());
        let address = house.address;
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let key = Arc::clone(&key);
                tokio::spawn(async move {
                    let mut finished = Vec::new();
                    let Some(mut client) = Client::attempt(address, "voice", &key).await else {
                        return finished;
                    };
                    client.ask("repeat 6 words").await;
                    loop {
                        match client.hear().await {
                            Heard::Event(event) if event["type"] == "response.done" => {
                                finished.push(format!(
                                    "{}/{}",
                                    client.id(),
                                    event["response"]["id"].as_str().unwrap()
                                ));
                                client.ask("repeat 6 words").await;
                            }
                            Heard::Event(_) => {}
                            _ => return finished,
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(100..400))).await;
        house.kill();
        for client in clients {
            finished.extend(client.await.unwrap());
        }
    }
    House::open(folder.path()).stop();
    let entries = ledger(folder.path());
    let ids: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), entries.len(), "an entry is there twice");
    let missing: Vec<&String> = finished.iter().filter(|id| !ids.contains(id.as_str())).collect();
    assert!(
        missing.is_empty(),
        "{} of {} finished answers are missing: {missing:?}",
        missing.len(),
        finished.len()
    );
    assert!(
        finished.len() > ROUNDS * 3,
        "only {} answers were finished",
        finished.len()
    );
}
