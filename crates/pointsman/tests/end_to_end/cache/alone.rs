//! Whose answers are given to whom, against callers who try; and one call upstream for many who ask the same.

use std::time::Duration;

use http::Request;
use pointsman_store::NewKey;
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::json;

use super::{PATH, Town, hit, say, town, town_of};
use crate::harness::{House, folder, key, post, send, store};

fn of(user: Option<&str>, team: Option<&str>) -> NewKey {
    NewKey {
        user: user.map(|user| user.to_owned().into()),
        team: team.map(|team| team.to_owned().into()),
        ..NewKey::default()
    }
}

fn within(organization: &str, grant: NewKey) -> NewKey {
    NewKey {
        organization: Some(organization.into()),
        ..grant
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scope_gives_answers_to_its_own_and_to_nobody_else() {
    // Who asks first, who asks next, and in which scopes the second may see the first's answer.
    let pairs = [
        (
            of(Some("ann"), Some("red")),
            of(Some("ann"), Some("red")),
            "user team organization shared",
        ),
        (
            of(Some("ann"), Some("red")),
            of(Some("ann"), Some("blue")),
            "user shared",
        ),
        (
            of(Some("ann"), Some("red")),
            of(Some("bob"), Some("red")),
            "team organization shared",
        ),
        (
            of(Some("ann"), Some("red")),
            of(Some("bob"), Some("blue")),
            "shared",
        ),
        (of(None, None), of(None, None), "shared"),
        (
            within("acme", of(Some("eve"), Some("green"))),
            within("acme", of(Some("dan"), Some("brown"))),
            "organization shared",
        ),
        (
            within("acme", of(Some("eve"), Some("green"))),
            within("other", of(Some("kim"), Some("white"))),
            "shared",
        ),
        (within("acme", of(None, None)), of(None, Some("acme")), "shared"),
        (of(Some("x"), None), of(None, Some("x")), "shared"),
    ];
    for scope in ["key", "user", "team", "organization", "shared"] {
        let cache = format!("{{ exact: {{ ttl: 1h }}, scope: {scope} }}");
        let grants: Vec<NewKey> = pairs
            .iter()
            .flat_map(|(first, second, _)| [first.clone(), second.clone()])
            .collect();
        let (town, keys) = town_of(&cache, SimOptions::default(), &grants).await;
        for (number, (_, _, allowed)) in pairs.iter().enumerate() {
            let (first, second) = (&keys[2 * number], &keys[2 * number + 1]);
            let body = say(&format!("Question {number}"));
            assert_eq!(hit(&town.ask(first, &body).await), "miss");
            let wanted = if allowed.split(' ').any(|one| one == scope) {
                "exact"
            } else {
                "miss"
            };
            assert_eq!(hit(&town.ask(second, &body).await), wanted, "{scope} {number}");
            assert_eq!(hit(&town.ask(first, &body).await), "exact");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_given_the_answer_of_a_provider_that_may_not_answer_them() {
    let (cheap, trusted) = (
        SimServer::local(SimOptions::default()).await.unwrap(),
        SimServer::local(SimOptions::default()).await.unwrap(),
    );
    let of = |name: &str, sim: &SimServer| {
        format!(
            "{name}: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}",
            sim.address()
        )
    };
    let target = |name: &str| format!("{{ provider: {name}, model: gpt-5-mini, format: openai-chat }}");
    let folder = folder(&format!(
        "providers: {{ {}, {} }}\nmodels: {{ fast: {{ targets: [ {}, {} ] }} }}\ncache: {{ exact: {{ ttl: 1h }}, scope: shared }}\n",
        of("cheap", &cheap),
        of("trusted", &trusted),
        target("cheap").replace(" }", ", priority: 0 }"),
        target("trusted").replace(" }", ", priority: 1 }"),
    ));
    let anybody = key(folder.path(), NewKey::default());
    let narrow = || NewKey {
        providers: vec!["trusted".to_owned()],
        ..NewKey::default()
    };
    let (one, another) = (key(folder.path(), narrow()), key(folder.path(), narrow()));
    let house = House::open(folder.path());
    let body = say("Whose answer is this?");
    for (key, wanted) in [
        (&anybody, "miss"),
        (&anybody, "exact"),
        (&one, "miss"),
        (&another, "exact"),
    ] {
        assert_eq!(hit(&post(house.address, PATH, key, &body).await.unwrap()), wanted);
    }
    assert_eq!((cheap.served().len(), trusted.served().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_headers_and_keys_made_again_see_nobody_elses_answer() {
    let grants = [of(Some("ann"), Some("red")), of(Some("eve"), Some("blue"))];
    let (town, keys) = town_of(
        "{ exact: { ttl: 1h }, scope: user }",
        SimOptions::default(),
        &grants,
    )
    .await;
    let [ann, eve] = keys.try_into().unwrap();
    let body = say("What did Ann ask?");
    assert_eq!(hit(&town.ask(&ann, &body).await), "miss");
    let forged = [
        ("x-pointsman-user", "ann"),
        ("x-user-id", "ann"),
        ("x-forwarded-user", "ann"),
        ("x-pointsman-team", "red"),
        ("x-pointsman-cache-scope", "shared"),
        ("openai-organization", "red"),
        ("x-litellm-end-user-id", "ann"),
    ];
    for (number, (name, value)) in forged.into_iter().enumerate() {
        let mut asked = body.clone();
        // What Eve herself has asked before would be hers.
        asked["seed"] = json!(number);
        assert_eq!(hit(&town.ask(&ann, &asked).await), "miss");
        let request = Request::post(PATH)
            .header("authorization", format!("Bearer {eve}"))
            .header(name, value)
            .body(asked.to_string())
            .unwrap();
        assert_eq!(
            hit(&send(town.house.address, request).await.unwrap()),
            "miss",
            "{name}"
        );
    }
    let mut named = body.clone();
    named["user"] = json!("ann");
    assert_eq!(
        hit(&town.ask(&eve, &named).await),
        "miss",
        "a body that names another"
    );
    // End users that a key names are kept apart.
    named["user"] = json!("bob");
    assert_eq!(hit(&town.ask(&eve, &named).await), "miss");
    assert_eq!(hit(&town.ask(&eve, &named).await), "exact");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_and_made_again_begins_anew() {
    let grant = NewKey {
        name: "app".to_owned(),
        ..NewKey::default()
    };
    let (town, keys) = town_of(
        "{ exact: { ttl: 1h }, scope: key }",
        SimOptions::default(),
        std::slice::from_ref(&grant),
    )
    .await;
    let old = &keys[0];
    let body = say("What is kept for app?");
    assert_eq!(hit(&town.ask(old, &body).await), "miss");
    let keys = store(town.folder.path());
    let record = keys
        .keys()
        .unwrap()
        .into_iter()
        .find(|key| key.grant.name == "app")
        .unwrap();
    keys.revoke_key(&record.id).unwrap();
    let new = town.known(grant).await;
    assert_eq!(hit(&town.ask(&new, &body).await), "miss");
}

/// A provider that takes so many milliseconds.
fn slow(milliseconds: u64) -> Vec<(Schedule, Fault)> {
    vec![(Schedule::Always, Fault::SlowFirstToken(milliseconds))]
}

/// So many ask the same at once.
async fn at_once(
    town: &Town,
    key: &str,
    many: usize,
    body: &serde_json::Value,
) -> Vec<crate::harness::Answer> {
    let asking: Vec<_> = (0..many)
        .map(|_| {
            let (address, key, body) = (town.house.address, key.to_owned(), body.clone());
            tokio::spawn(async move { post(address, PATH, &key, &body).await })
        })
        .collect();
    let mut answers = Vec::new();
    for asking in asking {
        answers.extend(asking.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_who_ask_the_same_at_once_are_one_call_upstream() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    town.sim.set_faults(slow(1_500));
    for stream in [false, true] {
        town.sim.clear();
        let mut body = say("repeat 20 words");
        body["stream"] = json!(stream);
        body["seed"] = json!(u8::from(stream));
        let answers = at_once(&town, &key, 200, &body).await;
        assert_eq!(answers.len(), 200);
        let hits = answers.iter().filter(|answer| hit(answer) == "exact").count();
        assert_eq!(hits, 199);
        let text = answers[0].text().len();
        assert!(text > 20 && answers.iter().all(|answer| !answer.body.is_empty()));
        assert_eq!(town.sim.served().len(), 1);
    }
    assert!(
        town.metric("pointsman_cache_waits_total{result=\"shared\"}")
            .await
            > 20
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_for_an_answer_that_is_not_kept_go_themselves() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    town.sim.set_faults(slow(600));
    let mut body = say("repeat 50 words");
    body["max_completion_tokens"] = json!(5);
    let answers = at_once(&town, &key, 12, &body).await;
    assert_eq!(answers.len(), 12);
    assert!(answers.iter().all(|answer| hit(answer) == "miss"));
    assert_eq!(town.sim.served().len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_fails_or_leaves_takes_nobody_along() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    // The first fails at once, while others wait.
    town.sim
        .set_faults(vec![(Schedule::First(1), Fault::Status(500))]);
    let answers = at_once(&town, &key, 10, &say("Who leads?")).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(
        (answers.len(), good),
        (10, 9),
        "only the leader's own failure is told"
    );
    town.sim.set_faults(slow(700));
    // The first goes away.
    let body = say("Who leaves?");
    let (address, own, asked) = (town.house.address, key.clone(), body.clone());
    let leader = tokio::spawn(async move { post(address, PATH, &own, &asked).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let (address, own, asked) = (town.house.address, key.clone(), body.clone());
    let follower = tokio::spawn(async move { post(address, PATH, &own, &asked).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    leader.abort();
    let answer = tokio::time::timeout(Duration::from_secs(10), follower)
        .await
        .unwrap();
    let answer = answer.unwrap().unwrap();
    assert_eq!(hit(&answer), "miss", "another leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_longer_than_the_configuration_says() {
    let (town, key) = town("{ exact: { ttl: 1h, wait: 300ms } }", SimOptions::default()).await;
    town.sim
        .set_faults(vec![(Schedule::First(1), Fault::SlowFirstToken(4_000))]);
    let body = say("Who is slow?");
    let (address, own, asked) = (town.house.address, key.clone(), body.clone());
    let slow = tokio::spawn(async move { post(address, PATH, &own, &asked).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = std::time::Instant::now();
    assert_eq!(hit(&town.ask(&key, &body).await), "miss");
    assert!(
        began.elapsed() < Duration::from_millis(3_000),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(slow.await.unwrap().unwrap().status, 200);
    assert_eq!(
        town.metric("pointsman_cache_waits_total{result=\"late\"}").await,
        1
    );
}
