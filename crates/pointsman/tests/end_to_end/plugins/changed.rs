//! Plugins that change what providers are asked: tools by what they are for, long results made shorter, parameters.

use serde_json::{Value, json};

use super::{Scene, decision, routing};

fn tool(name: &str, description: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": description, "parameters": {"type": "object", "properties": {}}}})
}

fn names(request: &Value) -> Vec<&str> {
    let tools = request["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    tools
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_are_chosen_by_what_they_are_for() {
    let listed = tempfile::NamedTempFile::new().unwrap();
    let tools = json!([
        {"tool": tool("get_weather", "Get the weather"), "description": "Current weather, temperature and forecast for a city or place", "category": "weather", "tags": ["rain"]},
        {"tool": tool("send_invoice", "Send an invoice"), "description": "Write and send an invoice to a customer", "category": "billing", "tags": []},
        {"tool": tool("search_flights", "Find flights"), "description": "Search for flights between airports", "category": "travel", "tags": []}
    ]);
    std::fs::write(listed.path(), tools.to_string()).unwrap();
    let select = |settings: Value| json!([{"type": "tool_selection", "configuration": settings}]);
    let scene = Scene::new(&routing(vec![
        decision("filtered", select(json!({"enabled": true, "mode": "filter", "relevance_threshold": 0.3, "preserve_count": 1}))),
        decision("added", select(json!({"enabled": true, "mode": "add", "tools_db_path": listed.path(), "top_k": 1, "similarity_threshold": 0.2}))),
        decision("semantic", json!([{"type": "tools", "configuration": {
            "enabled": true, "mode": "filtered", "semantic_selection": true, "block_tools": ["drop_table"]}}])),
    ]))
    .await;
    let own = [
        tool(
            "get_weather",
            "Current weather, temperature and forecast for a city or place",
        ),
        tool("send_invoice", "Write and send an invoice to a customer"),
        tool("drop_table", "Current weather table is dropped"),
    ];
    let ask = |decision: &str| {
        json!({"model": "auto", "tools": own, "messages": [
            {"role": "user", "content": format!("{decision}: will it rain, what is the weather forecast for Oslo tomorrow?")}]})
    };
    scene.ask(&ask("filtered")).await;
    let served = scene.served();
    assert!(
        names(&served[0]).contains(&"get_weather") && !names(&served[0]).contains(&"send_invoice"),
        "{:?}",
        names(&served[0])
    );
    scene.ask(&ask("semantic")).await;
    assert_eq!(names(&scene.served()[0]), ["get_weather"]);
    let mut bare = ask("added");
    bare.as_object_mut().unwrap().remove("tools");
    scene.ask(&bare).await;
    let served = scene.served();
    assert_eq!(names(&served[0]), ["get_weather"]);
    assert_eq!(
        served[0]["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {}})
    );
    scene.ask(&ask("plainly")).await;
    assert_eq!(names(&scene.served()[0]).len(), 3);
    // What must be called stays.
    let mut forced = ask("filtered");
    forced["tool_choice"] = json!({"type": "function", "function": {"name": "send_invoice"}});
    scene.ask(&forced).await;
    assert!(names(&scene.served()[0]).contains(&"send_invoice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_results_of_tools_are_sent_shorter() {
    let scene = Scene::new(&routing(vec![
        decision("compressed", json!([{"type": "context_compression", "configuration": {
            "enabled": true, "targets": {"tool_outputs": {"mode": "extractive", "min_tokens": 1000, "target_tokens": 300}},
            "request_controls": {"enabled": true, "allowed": ["bypass"]}}}])),
        decision("bounded", json!([{"type": "context_compression", "configuration": {
            "enabled": true, "failure_mode": "fail_closed", "budget": {"trigger_tokens": 50}}}])),
    ]))
    .await;
    let log: String = (0..300)
        .map(|line| match line {
            211 => "disk sda failed with code 17\n".to_owned(),
            _ => format!("line {line}: all is well and nothing of note has happened\n"),
        })
        .collect();
    let body = json!({"model": "auto", "tools": [tool("read_log", "Reads the log")], "messages": [
        {"role": "user", "content": "compressed: which disk failed?"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": log}
    ]});
    let answer = scene.ask(&body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = scene.served()[0]["messages"][2]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(sent.contains("disk sda failed with code 17"), "{sent}");
    assert!(sent.len() < log.len() / 5, "{}", sent.len());
    scene
        .ask_with(("x-vsr-compression-control", "bypass"), &body)
        .await;
    assert_eq!(scene.served()[0]["messages"][2]["content"], log);
    let long = json!({"model": "auto", "messages": [{"role": "user", "content": format!("bounded: {log}")}]});
    let refused = scene.ask(&long).await;
    assert_eq!(
        (refused.status.as_u16(), scene.served().len()),
        (413, 0),
        "{}",
        refused.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_have_their_usual_value_and_unknown_ones_go() {
    let scene = Scene::new(&routing(vec![decision(
        "bounded",
        json!([{"type": "request_params", "configuration": {
            "max_tokens_limit": 50, "default_max_tokens": 20, "strip_unknown": true, "blocked_params": ["logprobs"]}}]),
    )]))
    .await;
    let mut body = json!({"model": "auto", "my_own_field": 1, "metadata": {"team": "a"}, "logprobs": true, "messages": [{"role": "user", "content": "bounded, please"}]});
    scene.ask(&body).await;
    let sent = &scene.served()[0];
    let bound = sent.get("max_tokens").or(sent.get("max_completion_tokens"));
    assert_eq!(bound, Some(&json!(20)));
    assert!(
        sent.get("my_own_field").is_none() && sent.get("logprobs").is_none(),
        "{sent}"
    );
    assert_eq!(sent["metadata"], json!({"team": "a"}));
    body["max_tokens"] = json!(70);
    scene.ask(&body).await;
    assert_eq!(scene.served()[0]["max_tokens"], 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_out_is_read_again_by_the_model_and_seen_by_nobody_else() {
    let settings = json!({
        "enabled": true, "mode": "always", "budget": {"trigger_tokens": 500, "target_tokens": 300},
        "recovery": {"enabled": true, "max_retrievals": 2},
        "targets": {"tool_outputs": {"mode": "preserve"}, "history": {"mode": "recoverable", "min_tokens": 200, "target_tokens": 100}}
    });
    let scene = Scene::new(&routing(vec![decision(
        "long",
        json!([{"type": "context_compression", "configuration": settings}]),
    )]))
    .await;
    let log = "nothing of note happened here today.\n".repeat(300) + "Disk sda failed with code 17.\n";
    for stream in [false, true] {
        let ask = |last: &str| {
            json!({"model": "auto", "stream": stream, "stream_options": {"include_usage": true}, "messages": [
                {"role": "user", "content": log}, {"role": "assistant", "content": "I see."}, {"role": "user", "content": last}]})
        };
        let ask = |last: &str| {
            let mut body = ask(last);
            if !stream {
                body.as_object_mut().unwrap().remove("stream_options");
            }
            body
        };
        let answer = scene.ask(&ask("long: call tools and tell me")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // The simulated model reads the first of it, and quotes what it has read.
        let served = scene.served();
        assert_eq!(served.len(), 2, "{served:?}");
        assert_eq!(names(&served[0]), ["pointsman_read_whole"]);
        let before = served[0]["messages"][0]["content"].as_str().unwrap();
        assert!(before.len() < log.len() / 4, "{}", before.len());
        let read = served[1]["messages"].as_array().unwrap();
        assert_eq!(read.len(), 5, "{read:?}");
        assert_eq!(read[4]["role"], "tool");
        assert!(read[4]["content"].as_str().unwrap().contains("nothing of note"));
        let text = answer.text();
        assert!(text.contains("The tools say"), "{text}");
        assert!(
            !text.contains("pointsman_read_whole") && !text.contains("tool_calls\":[{"),
            "{text}"
        );
        // Both answers are one request in the ledger, charged with both.
        let id = answer.header("x-request-id").to_owned();
        let row = crate::harness::entry(scene.folder.path(), &id);
        assert_eq!(row.attempts, 2, "{row:?}");
        assert_eq!(row.outcome, pointsman_store::Outcome::Complete);
        let first = serde_json::to_string(&served[0]["messages"]).unwrap().len() as u64;
        assert!(row.usage.input > first / 8, "{row:?}");
        // A model that asks for nothing is asked once.
        let answer = scene.ask(&ask("long: how are you?")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(scene.served().len(), 1);
    }
    // What cannot be read again is not left out.
    let mut forbidden = json!({"model": "auto", "tool_choice": "none", "messages": [
        {"role": "user", "content": log}, {"role": "assistant", "content": "I see."}, {"role": "user", "content": "long: hello"}]});
    forbidden["tools"] = json!([tool("get_weather", "the weather")]);
    let answer = scene.ask(&forbidden).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        scene.served()[0]["messages"][0]["content"].as_str(),
        Some(log.as_str())
    );
}
