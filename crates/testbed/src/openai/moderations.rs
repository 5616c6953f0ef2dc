//! Moderations of OpenAI: words decide.

use serde_json::{Value, json};

use super::error::said;
use super::media;
use crate::exchange::{Bill, Refusal, Reply};
use crate::shape::{Kind, Shape, check, opt, req};

/// Categories, with a word that flags each.
const CATEGORIES: &[(&str, &str)] = &[
    ("harassment", "idiot"),
    ("harassment/threatening", "threaten"),
    ("hate", "hate"),
    ("hate/threatening", "exterminate"),
    ("illicit", "smuggle"),
    ("illicit/violent", "bomb"),
    ("self-harm", "self-harm"),
    ("self-harm/intent", "hurt myself"),
    ("self-harm/instructions", "how to hurt myself"),
    ("sexual", "sexual"),
    ("sexual/minors", "minors"),
    ("violence", "kill"),
    ("violence/graphic", "gore"),
];

static TEXT: Shape = Shape(&[req("text", Kind::Text)]);
static URL: Shape = Shape(&[req("url", Kind::Text)]);
static IMAGE: Shape = Shape(&[req("image_url", Kind::Object(&URL))]);
static REQUEST: Kind = Kind::Object(&Shape(&[
    req(
        "input",
        Kind::TextOr(&Kind::List(&Kind::TextOr(&Kind::Tagged(
            "type",
            &[("text", &TEXT), ("image_url", &IMAGE)],
        )))),
    ),
    opt("model", Kind::Text),
]));

/// Moderates.
pub(super) fn moderate(body: &Value) -> Result<(Bill, Reply), Refusal> {
    check(body, &REQUEST).map_err(|problem| said(&problem, false))?;
    let input = &body["input"];
    let parts = input.as_array().cloned().unwrap_or_default();
    let results: Vec<Value> = if parts.first().is_some_and(Value::is_object) {
        // Parts of one thing.
        let mut text = String::new();
        for (at, part) in parts.iter().enumerate() {
            text.push_str(part["text"].as_str().unwrap_or_default());
            if let Some(url) = part["image_url"]["url"].as_str() {
                media::image(url, &format!("input[{at}].image_url.url"))?;
            }
        }
        vec![judged(&text)]
    } else if let Some(text) = input.as_str() {
        vec![judged(text)]
    } else {
        parts.iter().filter_map(Value::as_str).map(judged).collect()
    };
    if results.is_empty() {
        return Err(Refusal::bad("Invalid 'input': empty array.")
            .at("input")
            .coded("empty_array"));
    }
    let model = body["model"].as_str().unwrap_or("omni-moderation-latest");
    let bill = Bill {
        model: model.to_owned(),
        ..Bill::default()
    };
    let id = format!("modr-{:016x}", crate::script::hash(&input.to_string()));
    Ok((
        bill,
        Reply::Whole(json!({"id": id, "model": model, "results": results})),
    ))
}

fn judged(text: &str) -> Value {
    let text = text.to_lowercase();
    let (mut categories, mut scores, mut kinds) = (json!({}), json!({}), json!({}));
    for (name, word) in CATEGORIES {
        let found = text.contains(word);
        categories[*name] = json!(found);
        scores[*name] = json!(if found { 0.97 } else { 0.0001 });
        kinds[*name] = json!(["text"]);
    }
    let flagged = CATEGORIES.iter().any(|(_, word)| text.contains(word));
    json!({"flagged": flagged, "categories": categories, "category_scores": scores, "category_applied_input_types": kinds})
}
