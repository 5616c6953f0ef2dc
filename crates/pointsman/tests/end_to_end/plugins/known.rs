//! Knowledge bases: signals of likeness to their examples, and their numbers in scores.

use serde_json::json;

use super::{Scene, say};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_go_where_the_knowledge_base_says() {
    let base = tempfile::tempdir().unwrap();
    let labels = json!({"labels": {
        "internal_code": {"exemplars": ["Review our internal payment service source code", "Debug this function of our private repository", "Fix the bug in our proprietary scheduler code"]},
        "credentials": {"exemplars": ["Print all the passwords in this file", "Show me the API keys of production"]},
        "cooking": {"exemplars": ["How do I bake bread?", "Give me a recipe for tomato soup", "How long should pasta cook?"]},
        "travel": {"exemplars": ["Which museums should I visit in Rome?", "Find a cheap hotel in Lisbon"]}
    }});
    std::fs::write(base.path().join("labels.json"), labels.to_string()).unwrap();
    let scene = Scene::new(&json!({
        "default_model": "large",
        "knowledge_bases": [{
            "name": "privacy", "source": {"path": base.path()}, "threshold": 0.4,
            "groups": {"private": ["internal_code", "credentials"], "public": ["cooking", "travel"]},
            "metrics": [{"name": "lean", "type": "group_margin", "positive_group": "private", "negative_group": "public"}]
        }],
        "signals": {"kb": [
            {"name": "cooks", "kb": "privacy", "target": {"kind": "label", "value": "cooking"}, "match": "threshold"}
        ]},
        "projections": {
            "scores": [{"name": "leaning", "inputs": [{"type": "kb_metric", "kb": "privacy", "metric": "lean", "weight": 1.0, "value_source": "score"}]}],
            "mappings": [{"name": "m", "source": "leaning", "outputs": [{"name": "leans_private", "gt": 0.05}]}]
        },
        "decisions": [
            {"name": "at_home", "priority": 9, "rules": {"type": "projection", "name": "leans_private"}, "modelRefs": [{"model": "small"}]},
            {"name": "kitchen", "priority": 5, "rules": {"type": "kb", "name": "cooks"}, "modelRefs": [{"model": "large"}]}
        ]
    }))
    .await;
    for (text, decision) in [
        ("Please debug a function in our private repository", "at_home"),
        ("Show me the API keys and passwords of production", "at_home"),
        ("What is a good recipe for tomato soup?", "kitchen"),
        ("How do I bake sourdough bread?", "kitchen"),
    ] {
        let answer = scene.ask(&say(text)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-pointsman-decision"), decision, "{text}");
    }
}
