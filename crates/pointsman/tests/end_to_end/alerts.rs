//! What goes wrong is told: to a webhook, to what takes Slack's messages, by e-mail; once, and once when it is over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, NewKey};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{House, folder, key, post, store};

/// What a receiver was told, message by message.
type Heard = Arc<Mutex<Vec<String>>>;

/// Listens for as long as the test lasts; `serve` takes one connection.
fn receiver(serve: impl Fn(TcpStream, &Heard) + Send + 'static) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            serve(stream, &hears);
        }
    });
    (address, heard)
}

/// Takes what is posted; the first `refusals` are answered 503.
fn hook(refusals: usize) -> (SocketAddr, Heard) {
    let refused = Mutex::new(0);
    receiver(move |stream, heard| {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            if let Some(count) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = count.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut refused = refused.lock().unwrap();
        let status = if *refused < refusals {
            *refused += 1;
            "503 Service Unavailable"
        } else {
            heard
                .lock()
                .unwrap()
                .push(format!("{head}\r\n{}", String::from_utf8(body).unwrap()));
            "200 OK"
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
    })
}

/// Takes e-mail.
fn mail() -> (SocketAddr, Heard) {
    receiver(|stream, heard| {
        let mut reader = BufReader::new(stream);
        let say = |reader: &mut BufReader<TcpStream>, text: &str| {
            reader.get_mut().write_all(text.as_bytes()).unwrap();
        };
        say(&mut reader, "220 mail ESMTP\r\n");
        let (mut message, mut in_data) = (String::new(), false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            message.push_str(&line);
            if in_data {
                if line == ".\r\n" {
                    in_data = false;
                    heard.lock().unwrap().push(std::mem::take(&mut message));
                    say(&mut reader, "250 taken\r\n");
                }
                continue;
            }
            match line.split_whitespace().next().unwrap_or("") {
                "EHLO" => say(&mut reader, "250-mail\r\n250 8BITMIME\r\n"),
                "DATA" => {
                    in_data = true;
                    say(&mut reader, "354 go on\r\n");
                }
                "QUIT" => return say(&mut reader, "221 bye\r\n"),
                _ => say(&mut reader, "250 ok\r\n"),
            }
        }
    })
}

/// Waits until a receiver was told something of this kind, and gives it.
async fn told(heard: &Heard, kind: &str, state: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found = all(heard)
            .into_iter()
            .find(|alert| alert["kind"] == kind && alert["state"] == state);
        if let Some(alert) = found {
            return alert;
        }
        assert!(
            Instant::now() < until,
            "{kind} was not told: {:?}",
            heard.lock().unwrap()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All that a webhook was told.
fn all(heard: &Heard) -> Vec<Value> {
    let heard = heard.lock().unwrap();
    let bodies = heard.iter().map(|text| text.split("\r\n\r\n").nth(1).unwrap());
    bodies.map(|body| serde_json::from_str(body).unwrap()).collect()
}

#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_once_and_told_when_it_is_over() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    // Nobody is there yet.
    let ill = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (ops, ops_heard) = hook(1);
    let (chat, chat_heard) = hook(0);
    let (post_office, mail_heard) = mail();
    let folder = folder(&format!(
        "providers:\n\
         \x20 well: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n\
         \x20 ill: {{ kind: openai, base_url: \"http://{ill}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, \
              health: {{ consecutive_failures: 3, open_for: 200ms, max_open_for: 400ms }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: well, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }},\n\
         \x20 n: {{ targets: [ {{ provider: ill, model: gpt-5-mini }} ] }} }}\n\
         alerts:\n\
         \x20 every: 100ms\n\
         \x20 receivers:\n\
         \x20   ops: {{ webhook: {{ url: \"http://{ops}/hook/s3cr3t\", headers: {{ authorization: Bearer t0ken }}, private: true }} }}\n\
         \x20   chat: {{ slack: {{ url: \"http://{chat}/services/s3cr3t\", private: true }} }}\n\
         \x20   mail: {{ email: {{ smtp: \"smtp://{post_office}\", from: Pointsman <pointsman@example.com>, to: [ ops@example.com ] }} }}\n\
         \x20 soft_budget: {{ to: [ ops, mail ] }}\n\
         \x20 budget_forecast: {{ percent: 1, after: 0, to: [ ops ] }}\n\
         \x20 key_expiry: {{ within: 3d, to: [ ops ] }}\n\
         \x20 provider_down: {{ for: 300ms }}\n\
         \x20 error_rate: {{ percent: 50, requests: 3, within: 1m, to: [ ops ] }}\n",
        sim.address()
    ));
    let soft = Budget {
        amount: None,
        soft: Some(Money::parse("0.001").unwrap()),
        ..Budget::of(Money::ZERO, BudgetWindow::Total)
    };
    // Of this a hundredth is spent by one answer.
    let day = Budget {
        amount: None,
        soft: Some(Money::parse("0.5").unwrap()),
        ..Budget::of(Money::ZERO, BudgetWindow::Day)
    };
    let spender = key(
        folder.path(),
        NewKey {
            name: "spender".to_owned(),
            budgets: vec![soft, day],
            ..NewKey::default()
        },
    );
    let day = 24 * 3_600_000;
    let soon = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
        + day;
    for (name, expires_at) in [("ending", soon), ("lasting", soon + 30 * day)] {
        let grant = NewKey {
            name: name.to_owned(),
            expires_at: Some(expires_at),
            ..NewKey::default()
        };
        key(folder.path(), grant);
    }
    let house = House::open(folder.path());
    let ask = |model: &'static str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "a secret prompt"}]});
        let (address, spender) = (house.address, spender.clone());
        async move {
            post(address, "/v1/chat/completions", &spender, &body)
                .await
                .unwrap()
        }
    };
    // The first attempt is refused by the receiver, and made again.
    let ending = told(&ops_heard, "key_expiry", "firing").await;
    assert!(
        ending["text"]
            .as_str()
            .unwrap()
            .starts_with("The key ending ends at "),
        "{ending}"
    );
    assert_eq!(ask("m").await.status, 200);
    let spent = told(&ops_heard, "soft_budget", "firing").await;
    assert_eq!(spent["facts"]["soft_usd"], "0.001");
    let forecast = told(&ops_heard, "budget_forecast", "firing").await;
    assert_eq!(forecast["facts"]["amount_usd"], "0.5", "{forecast}");
    for _ in 0..6 {
        assert_ne!(ask("n").await.status, 200);
    }
    let rate = told(&ops_heard, "error_rate", "firing").await;
    assert_eq!(rate["subject"], "provider/ill");
    let down = told(&ops_heard, "provider_down", "firing").await;
    assert_eq!(down["subject"], "provider/ill");
    // It is well again.
    let revived = SimServer::start(ill, SimOptions::default()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while ask("n").await.status != 200 {
        assert!(Instant::now() < until, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    told(&ops_heard, "provider_down", "resolved").await;
    drop(revived);
    // Nothing is told twice, also not by the next process on the same database.
    house.stop();
    let house = House::open(folder.path());
    tokio::time::sleep(Duration::from_millis(600)).await;
    house.stop();
    let heard = all(&ops_heard);
    for kind in [
        "key_expiry",
        "soft_budget",
        "budget_forecast",
        "error_rate",
        "provider_down",
    ] {
        let firing = heard
            .iter()
            .filter(|alert| alert["kind"] == kind && alert["state"] == "firing");
        assert_eq!(firing.count(), 1, "{kind}: {heard:?}");
    }
    assert!(
        ops_heard.lock().unwrap()[0].contains("authorization: Bearer t0ken"),
        "{:?}",
        ops_heard.lock().unwrap()[0]
    );
    // Each is told what it is to be told, and no more.
    let chat_heard = chat_heard.lock().unwrap();
    assert_eq!(chat_heard.len(), 2, "{chat_heard:?}");
    assert!(chat_heard[0].contains(r#"{"text":"*[pointsman] provider_down: provider/ill*\n"#));
    let mails = mail_heard.lock().unwrap();
    assert_eq!(mails.len(), 3, "{mails:?}");
    assert!(
        mails[0].contains("Subject: [pointsman] soft_budget: key/key_")
            && mails[0].contains("RCPT TO:<ops@example.com>"),
        "{}",
        mails[0]
    );
    for text in ops_heard
        .lock()
        .unwrap()
        .iter()
        .chain(chat_heard.iter())
        .chain(mails.iter())
    {
        assert!(
            !text.contains("a secret prompt") && !text.contains(&spender),
            "{text}"
        );
    }
    assert_eq!(store(folder.path()).keys().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_takes_longer_than_it_did_is_told_of_and_when_it_is_as_it_was() {
    let slow = SimOptions {
        token_delay: Duration::from_millis(4),
        ..SimOptions::default()
    };
    let sim = SimServer::local(slow).await.unwrap();
    let (ops, heard) = hook(0);
    let folder = folder(&format!(
        "providers: {{ p: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: p, model: gpt-5-mini }} ] }} }}\n\
         alerts:\n\
         \x20 every: 100ms\n\
         \x20 receivers: {{ ops: {{ webhook: {{ url: \"http://{ops}/\", private: true }} }} }}\n\
         \x20 latency: {{ times: 3, above: 250ms, within: 2s, against: 60s, requests: 3 }}\n",
        sim.address()
    ));
    let who = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = |words: u32| {
        let body = json!({"model": "m", "stream": true,
                          "messages": [{"role": "user", "content": format!("repeat {words} words")}]});
        let (address, who) = (house.address, who.clone());
        async move {
            let answer = post(address, "/v1/chat/completions", &who, &body).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    };
    let is_told = |state: &str| all(&heard).iter().any(|alert| alert["state"] == state);
    let until = Instant::now() + Duration::from_secs(40);
    // As it is used to be, until it is looked at as what was before.
    let before = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < before {
        ask(2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!is_told("firing"), "{:?}", all(&heard));
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    while !is_told("firing") {
        assert!(Instant::now() < until, "it is slow, and nobody is told");
        ask(80).await;
    }
    let slower = all(&heard)[0].clone();
    assert_eq!(slower["kind"], "latency", "{slower}");
    assert_eq!(slower["subject"], "provider/p/gpt-5-mini", "{slower}");
    let milliseconds = |fact: &str| slower["facts"][fact].as_str().unwrap().parse::<u64>().unwrap();
    let (mean, mean_before) = (milliseconds("mean_ms"), milliseconds("mean_before_ms"));
    assert!(mean > 250 && mean > 3 * mean_before, "{slower}");
    while !is_told("resolved") {
        assert!(Instant::now() < until, "it is over, and nobody is told");
        ask(2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.stop();
    assert_eq!(all(&heard).len(), 2, "{:?}", all(&heard));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_without_leave_is_never_posted_to_within_the_operator_s_own_network() {
    let (inside, heard) = hook(0);
    let folder = folder(&format!(
        "providers: {{ p: {{ kind: openai, base_url: \"http://127.0.0.1:9/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: p, model: gpt-5-mini }} ] }} }}\n\
         alerts:\n\
         \x20 every: 100ms\n\
         \x20 receivers:\n\
         \x20   here: {{ webhook: {{ url: \"https://127.0.0.1:{port}/latest/meta-data\" }} }}\n\
         \x20   named: {{ slack: {{ url: \"https://localhost:{port}/s3cr3t\" }} }}\n\
         \x20   cloud: {{ webhook: {{ url: \"https://169.254.169.254/latest/meta-data\" }} }}\n\
         \x20   leave: {{ webhook: {{ url: \"http://{inside}/allowed\", private: true }} }}\n\
         \x20 key_expiry: {{ within: 3d }}\n",
        port = inside.port()
    ));
    let soon = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
        + 3_600_000;
    let grant = NewKey {
        name: "ending".to_owned(),
        expires_at: Some(soon),
        ..NewKey::default()
    };
    key(folder.path(), grant);
    let house = House::open(folder.path());
    told(&heard, "key_expiry", "firing").await;
    // The others are tried at the same time; a connection would be heard, whatever it says.
    tokio::time::sleep(Duration::from_millis(500)).await;
    house.stop();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].starts_with("POST /allowed "), "{heard:?}");
}

#[test]
fn alerts_that_make_no_sense_are_refused_with_their_place_and_without_secrets() {
    let folder = folder(
        "alerts:\n  receivers:\n    ops: { webhook: { url: \"http://ops.example.com/s3cr3t\" } }\n    mail: { email: { smtp: \"smtp://u:s3cr3t@mail.example.com\", from: a@example.com, to: [ b@example.com ] } }\n  provider_down: { to: [ nobody ] }\n",
    );
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("check")
        .arg(folder.path().join("pointsman.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(!checked.status.success(), "{said}");
    for part in [
        "alerts.receivers.ops.webhook.url",
        "alerts.receivers.mail.email.smtp",
        "there is no receiver \"nobody\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");
}
