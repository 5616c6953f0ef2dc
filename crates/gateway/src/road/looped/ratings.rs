//! `ratings`: all models side by side; the client gets all answers.

use std::fmt::Write as _;

use pointsman_routing::loops::{Ratings, Said};
use pointsman_wire::form::{ChatResponse, Failure};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;

use super::super::arrive::Beside;
use super::answer::{self, Done};
use super::ring::{Call, Ring};
use super::{request, together};

/// Asks all.
pub async fn run(ring: &Ring<'_>, ratings: &Ratings) -> Result<Done, Failure> {
    let calls = ratings.models.iter().map(|selected| Call {
        selected,
        request: request::without_tools(request::whole(&ring.asked.request)),
        until: ring.ends(ratings.rules.time),
    });
    let mut heard = together::ask(ring, calls.collect(), &ratings.rules).await?;
    let said: Vec<Said> = heard.iter().map(|heard| heard.said.clone()).collect();
    Ok(Done::Whole {
        response: Box::new(joined(ring.id(), ring.asked.format, &said)),
        from: heard.pop().map(|heard| heard.from),
        beside: Beside::default(),
    })
}

/// One answer of all: a choice for each, or, in formats that have one only, one after another.
fn joined(id: &str, format: Format, said: &[Said]) -> ChatResponse {
    let names: Vec<&str> = said.iter().map(|said| said.model.as_str()).collect();
    let names = names.join(",");
    let has_choices = matches!(
        format,
        Format::OpenAiChat | Format::OpenAiCompletions | Format::GeminiGenerate
    );
    if !has_choices {
        let mut text = String::new();
        for said in said {
            let gap = if text.is_empty() { "" } else { "\n\n---\n\n" };
            let _ = write!(text, "{gap}**[{}]:**\n{}", said.model, said.material());
        }
        return answer::written(id, &names, vec![text]);
    }
    let texts = said.iter().map(|said| said.material().to_owned()).collect();
    let mut response = answer::written(id, &names, texts);
    for (choice, said) in response.choices.iter_mut().zip(said) {
        if let Ok(name) = Json::of(&said.model) {
            choice.extra.set("model", name);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use pointsman_wire::format;

    use super::*;

    #[test]
    fn each_answer_is_a_choice_or_stands_under_its_name() {
        let said = |model: &str, text: &str| Said {
            model: model.to_owned(),
            text: text.to_owned(),
            reasoning: String::new(),
        };
        let all = [said("a", "one"), said("b", "two")];
        let body = format::encode_response(Format::OpenAiChat, &joined("x", Format::OpenAiChat, &all));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["choices"][1]["model"], &body["model"]),
            (&"b".into(), &"a,b".into())
        );
        let body = format::encode_response(
            Format::AnthropicMessages,
            &joined("x", Format::AnthropicMessages, &all),
        );
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body["content"][0]["text"],
            "**[a]:**\none\n\n---\n\n**[b]:**\ntwo"
        );
    }
}
