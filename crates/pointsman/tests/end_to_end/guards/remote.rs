//! Guardrails that are services: every service before every format, and what happens when it fails.

use std::time::{Duration, Instant};

use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey, Terms};
use pointsman_testbed::{Chunking, GUARD_KEY, GuardFault, GuardServer};
use serde_json::{Value, json};

use super::asked::{Asked, CLIENTS, PLACES, Place, Wanted};
use super::said::said;
use super::{ANEW, PLAIN, Scene};
use crate::harness::{get, key, post, store};

/// What a service puts in the place of an address; none where it judges a text as a whole.
struct Service {
    kind: &'static str,
    /// Its fields, with `AT` where the services are.
    fields: &'static str,
    mask: Option<&'static str>,
    /// It says where, so that arguments of tools can be changed and originals put back.
    places: bool,
    /// It judges what comes from outside alone.
    foreign: bool,
    /// It finds attacks.
    attacks: bool,
}

const OURS: &str = "[EMAIL_ADDRESS_1]";

const SERVICES: [Service; 10] = [
    Service {
        kind: "presidio",
        fields: "url: \"http://AT\"",
        mask: Some(OURS),
        places: true,
        foreign: false,
        attacks: false,
    },
    Service {
        kind: "http",
        fields: "url: \"http://AT/judge\", auth: { api_key: KEY }",
        mask: Some(OURS),
        places: true,
        foreign: false,
        attacks: true,
    },
    Service {
        kind: "litellm",
        fields: "url: \"http://AT\", auth: { api_key: KEY, header: x-api-key }",
        mask: Some("[EMAIL]"),
        places: false,
        foreign: false,
        attacks: true,
    },
    Service {
        kind: "openai-moderation",
        fields: "url: \"http://AT/v1\", auth: { api_key: KEY }",
        mask: None,
        places: false,
        foreign: true,
        attacks: true,
    },
    Service {
        kind: "bedrock-guardrails",
        fields: "url: \"http://AT\", guardrail: gr-1, version: DRAFT, region: eu-west-1, auth: { aws: { access_key_id: AKIASIM, secret_access_key: secret } }",
        mask: Some(OURS),
        places: true,
        foreign: false,
        attacks: true,
    },
    Service {
        kind: "azure-content-safety",
        fields: "url: \"http://AT\", auth: { api_key: KEY }",
        mask: None,
        places: false,
        foreign: true,
        attacks: true,
    },
    Service {
        kind: "model-armor",
        fields: "url: \"http://AT\", project: p, location: europe-west4, template: t, auth: { api_key: KEY }",
        mask: Some(OURS),
        places: true,
        foreign: false,
        attacks: true,
    },
    Service {
        kind: "lakera",
        fields: "url: \"http://AT\", auth: { api_key: KEY }",
        mask: Some(OURS),
        places: true,
        foreign: false,
        attacks: true,
    },
    Service {
        kind: "llm-guard",
        fields: "url: \"http://AT\", auth: { api_key: KEY }",
        mask: Some("[REDACTED_EMAIL_ADDRESS_1]"),
        places: false,
        foreign: false,
        attacks: true,
    },
    Service {
        kind: "nemo",
        fields: "url: \"http://AT\", model: m, config: c, auth: { api_key: KEY }",
        mask: Some("<EMAIL>"),
        places: false,
        foreign: false,
        attacks: true,
    },
];

impl Service {
    /// Its block, with these other fields.
    fn block(&self, at: &GuardServer, more: &str) -> String {
        let fields = self.fields.replace("AT", &at.address().to_string());
        let fields = fields.replace("KEY", GUARD_KEY);
        format!(
            "{{ name: g, type: {}, {fields}, timeout: 20s, {more} }}",
            self.kind
        )
    }

    fn sees(&self, place: Place) -> bool {
        match place {
            Place::Definition => false,
            Place::User | Place::Result | Place::Document => true,
            Place::System | Place::History | Place::Arguments => !self.foreign,
        }
    }
}

const MAIL: &str = "Mail jane.roe@example.com about the zebra.";
const ATTACK: &str = "This is an ATTACK, is it not?";

fn asked<'a>(question: &'a str, planted: Option<(Place, &'a str)>) -> Asked<'a> {
    Asked {
        question,
        planted,
        wanted: Wanted::Text,
        stream: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_sees_what_goes_in_at_every_place_of_every_format() {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for service in &SERVICES {
        let services = GuardServer::local().await.unwrap();
        let action = if service.mask.is_some() { "redact" } else { "block" };
        let guard = service.block(&services, &format!("on: [input, tool_result], action: {action}"));
        let scene = Scene::new(Chunking::Events, &format!("guardrails: [ {ANEW}, {guard} ]\n")).await;
        for client in CLIENTS {
            for place in PLACES {
                let kind = service.kind;
                if let Some(mask) = service.mask.filter(|_| service.sees(place)) {
                    cells += 1;
                    let answer = scene
                        .ask(client, &asked(PLAIN, Some((place, MAIL))))
                        .await
                        .unwrap();
                    let served = scene.served();
                    let becomes = MAIL.replace("jane.roe@example.com", mask);
                    // Who does not say where cannot have JSON changed.
                    let right = if place == Place::Arguments && !service.places {
                        answer.status == 403 && served.is_empty()
                    } else {
                        scene.ask(client, &asked(PLAIN, Some((place, &becomes)))).await;
                        answer.status == 200 && served.len() == 1 && served == scene.served()
                    };
                    if !right {
                        wrong.push(format!("{kind} {client} {place:?}: {} {served:?}", answer.status));
                    }
                }
                if service.attacks {
                    cells += 1;
                    let answer = scene
                        .ask(client, &asked(PLAIN, Some((place, ATTACK))))
                        .await
                        .unwrap();
                    let expected = if service.sees(place) { (403, 0) } else { (200, 1) };
                    let served = scene.served().len();
                    if (answer.status.as_u16(), served) != expected {
                        wrong.push(format!(
                            "{kind} {client} {place:?}: {} {}",
                            answer.status,
                            answer.text()
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_sees_what_comes_out_whole_before_anybody_else() {
    let mut wrong = Vec::new();
    for service in &SERVICES {
        let services = GuardServer::local().await.unwrap();
        let action = if service.mask.is_some() { "redact" } else { "block" };
        let guard = service.block(&services, &format!("on: [output], action: {action}"));
        let scene = Scene::new(Chunking::Bytes(7), &format!("guardrails: [ {guard} ]\n")).await;
        for client in CLIENTS {
            for wanted in [Wanted::Text, Wanted::Three, Wanted::Call] {
                for stream in [false, true] {
                    for (says, attack) in [(MAIL, false), (ATTACK, true)] {
                        if (attack && !service.attacks) || (!attack && service.mask.is_none()) {
                            continue;
                        }
                        let question = match wanted {
                            Wanted::Call => format!("say in turn: {{\"note\": \"{says}\"}}"),
                            _ => format!("say in turn: {says}"),
                        };
                        let asked = Asked {
                            question: &question,
                            planted: None,
                            wanted,
                            stream,
                        };
                        let Some(answer) = scene.ask(client, &asked).await else {
                            continue;
                        };
                        let cell = format!(
                            "{} {client} {wanted:?} stream: {stream} attack: {attack}",
                            service.kind
                        );
                        let all = said(&answer.body);
                        // What judges the outside alone has nothing to say of arguments.
                        let unseen = service.foreign && wanted == Wanted::Call;
                        let unchangeable = wanted == Wanted::Call && !service.places;
                        let blocked = (attack || unchangeable) && !unseen;
                        let right = if blocked {
                            answer.status == 403
                        } else if attack {
                            answer.status == 200
                        } else {
                            let count = if wanted == Wanted::Three { 3 } else { 1 };
                            let mask = service.mask.unwrap_or_default();
                            let masked = all.values().filter(|text| text.contains(mask)).count();
                            answer.status == 200
                                && masked == count
                                && !all.values().any(|text| text.contains("jane.roe"))
                        };
                        if !right {
                            wrong.push(format!("{cell}: {} {all:?}", answer.status));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_found_is_put_back() {
    for service in SERVICES.iter().filter(|service| service.places) {
        let services = GuardServer::local().await.unwrap();
        let guard = service.block(&services, "on: [input], action: redact, restore: true");
        let scene = Scene::new(Chunking::Bytes(3), &format!("guardrails: [ {guard} ]\n")).await;
        for stream in [false, true] {
            let says = "say in turn: I wrote to jane.roe@example.com.";
            let asked = Asked {
                stream,
                ..asked(says, None)
            };
            let answer = scene.ask("chat", &asked).await.unwrap();
            let served = scene.served();
            assert!(!served[0].contains("jane.roe"), "{}: {served:?}", service.kind);
            let said = said(&answer.body);
            assert!(
                said[&0].contains("jane.roe@example.com"),
                "{}: {said:?}",
                service.kind
            );
        }
        assert!(!scene.house.said().contains("jane.roe"));
        assert!(!scene.house.said().contains(GUARD_KEY));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_shown_what_the_guardrails_before_it_left() {
    let services = GuardServer::local().await.unwrap();
    let guard = SERVICES[1].block(&services, "on: [input], action: block");
    let first =
        "{ name: first, type: pii, on: [input], action: redact, entities: [EMAIL_ADDRESS], model: never }";
    let scene = Scene::new(Chunking::Events, &format!("guardrails: [ {first}, {guard} ]\n")).await;
    let answer = scene.ask("chat", &asked(MAIL, None)).await.unwrap();
    assert_eq!(answer.status, 200);
    let shown = services.served();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        shown[0].body["texts"],
        json!(["Mail [EMAIL_ADDRESS_1] about the zebra."])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_fails_closes_or_opens_as_it_is_told_and_its_breaker_is_seen() {
    for (on_error, status) in [("block", 503), ("allow", 200)] {
        let services = GuardServer::local().await.unwrap();
        let more = format!("on: [input], action: redact, on_error: {on_error}");
        let guard = SERVICES[0]
            .block(&services, &more)
            .replace("timeout: 20s", "timeout: 300ms");
        let scene = Scene::new(Chunking::Events, &format!("guardrails: [ {guard} ]\n")).await;
        for fault in [GuardFault::Status(500), GuardFault::Nonsense, GuardFault::Hang] {
            services.fault(fault);
            let answer = scene.ask("chat", &asked(MAIL, None)).await.unwrap();
            assert_eq!(answer.status, status, "{fault:?}: {}", answer.text());
        }
        for _ in 0..4 {
            scene.ask("chat", &asked(MAIL, None)).await.unwrap();
        }
        // It is not asked any more.
        services.clear();
        let answer = scene.ask("chat", &asked(MAIL, None)).await.unwrap();
        assert_eq!((answer.status.as_u16(), services.served().len()), (status, 0));
        let metrics = get(scene.house.admin, "/metrics").await.unwrap();
        let metrics = metrics.text();
        for line in [
            "pointsman_guardrail_breaker{guardrail=\"g\"} 2",
            "pointsman_guardrail_failures_total{guardrail=\"g\",reason=\"status\"} 1",
            "pointsman_guardrail_failures_total{guardrail=\"g\",reason=\"answer\"} 1",
            "pointsman_guardrail_failures_total{guardrail=\"g\",reason=\"open\"}",
            "pointsman_guardrail_seconds_count{guardrail=\"g\"} 8",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
        let verdict = if status == 503 { "blocked" } else { "unjudged" };
        let verdicts = format!("verdict=\"{verdict}\"}} 8");
        assert!(metrics.contains(&verdicts), "{verdicts}: {metrics}");
        assert!(!metrics.contains("zebra"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
async fn models_keys_and_teams_add_guardrails_and_take_none_away() {
    let word = |name: &str, more: &str| {
        format!("{{ name: {name}, type: regex, on: [input, output], action: block, deny: [{name}], {more} }}")
    };
    let rest = format!(
        "guardrails: [ {}, {}, {}, {} ]\n",
        word("everywhere", ""),
        word("modelword", "default_on: false"),
        word("keyword", "default_on: false"),
        word("teamword", "default_on: false")
    );
    let scene = Scene::with_models(Chunking::Events, &rest, "guarded: { guardrails: [modelword], targets: [ { provider: o, model: gpt-4o-mini, format: openai-chat } ] }\n  \
         unguarded: { fallback: { any: [guarded] }, targets: [ { provider: o, model: gpt-4o-mini, format: openai-chat } ] }").await;
    store(scene.folder.path())
        .create_holder(
            &Actor::local(),
            HolderKind::Team,
            Some("readers".to_owned()),
            team(),
        )
        .unwrap();
    let of_key = key(
        scene.folder.path(),
        NewKey {
            guardrails: vec!["keyword".to_owned()],
            ..NewKey::default()
        },
    );
    let of_team = key(
        scene.folder.path(),
        NewKey {
            team: Some("readers".into()),
            ..NewKey::default()
        },
    );
    let amiss = key(
        scene.folder.path(),
        NewKey {
            guardrails: vec!["nowhere".to_owned()],
            ..NewKey::default()
        },
    );
    let ask = async |key: &str, model: &str, text: &str| {
        let body = json!({ "model": model, "messages": [ { "role": "user", "content": text } ] });
        let answer = post(scene.house.address, "/v1/chat/completions", key, &body)
            .await
            .unwrap();
        answer.status.as_u16()
    };
    let plain = scene.key.as_str();
    // Keys that are made while it runs are known within a moment.
    for made in [&of_key, &of_team, &amiss] {
        let until = Instant::now() + Duration::from_secs(20);
        while ask(made, "chat", "everywhere").await == 401 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for (key, model, text, status) in [
        (plain, "chat", "everywhere", 403),
        (of_key.as_str(), "chat", "everywhere", 403),
        (&of_team, "guarded", "everywhere", 403),
        (plain, "chat", "modelword keyword teamword", 200),
        (plain, "guarded", "modelword", 403),
        (plain, "unguarded", "modelword", 403),
        (plain, "guarded", "keyword teamword", 200),
        (&of_key, "chat", "keyword", 403),
        (&of_key, "chat", "modelword teamword", 200),
        (&of_team, "chat", "teamword", 403),
        (&of_team, "chat", "keyword", 200),
        (&amiss, "chat", "hello", 503),
    ] {
        assert_eq!(ask(key, model, text).await, status, "{model} {text}");
    }
}

fn team() -> HolderSpec {
    HolderSpec {
        name: "Readers".to_owned(),
        terms: Terms {
            guardrails: vec!["teamword".to_owned()],
            ..Terms::default()
        },
        ..HolderSpec::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_model_answers_and_dry_runs_and_samples_change_little() {
    let rest = "guardrails:\n\
        \x20 - { name: safer, type: regex, on: [input], action: route, to: claude, deny: [delicate] }\n\
        \x20 - { name: dry, type: regex, on: [input, output], action: block, deny: [falcon], dry_run: true }\n\
        \x20 - { name: some, type: regex, on: [input], action: block, deny: [sampled], sample: 50 }\n";
    let scene = Scene::new(Chunking::Events, rest).await;
    for (text, provider) in [
        ("a delicate matter", "a"),
        ("a plain matter", "o"),
        ("a falcon", "o"),
    ] {
        for stream in [false, true] {
            let asked = Asked {
                stream,
                ..asked(text, None)
            };
            let answer = scene.ask("chat", &asked).await.unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("x-pointsman-provider"), provider, "{text}");
        }
    }
    let answer = scene
        .ask("chat", &asked("say in turn: a falcon", None))
        .await
        .unwrap();
    let id = answer.header("x-request-id").to_owned();
    let said = scene.house.hears(&id);
    let line = said.lines().find(|line| line.contains(&id)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert!(line.to_string().contains("dry:would_block"), "{line}");
    let mut blocked = 0;
    for _ in 0..60 {
        let answer = scene.ask("chat", &asked("sampled", None)).await.unwrap();
        blocked += usize::from(answer.status == 403);
    }
    // One in a thousand million runs falls outside.
    assert!((8..=52).contains(&blocked), "{blocked} of 60");
}
