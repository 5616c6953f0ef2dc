//! Log probabilities: `logprobsResult` has the tokens chosen and the likeliest ones in two lists, OpenAI one in the other.

use serde::Deserialize;

use super::names;
use crate::format::DecodeError;
use crate::json::Json;
use crate::json::fields::Value;
use crate::json::write::{List, Object, object};

/// A token and its log probability.
struct Token {
    text: String,
    logprob: Json,
}

/// Reads `logprobsResult` as OpenAI would write it; none when it names no token.
pub(super) fn read(value: &Value<'_>) -> Result<Option<Json>, DecodeError> {
    let mut fields = names::fields(value, &["chosenCandidates", "topCandidates"])?;
    let chosen = fields.take("chosenCandidates", |chosen| {
        chosen.list(|token| read_token(&token))
    })?;
    let top = fields.take("topCandidates", |top| {
        top.list(|step| {
            step.fields()?
                .take("candidates", |list| list.list(|token| read_token(&token)))
        })
    })?;
    let Some(chosen) = chosen else { return Ok(None) };
    let mut top = top.unwrap_or_default().into_iter();
    let written = object(|logprobs| {
        logprobs.list("content", |list| {
            for token in &chosen {
                list.object(|object| {
                    write_openai(object, token);
                    object.list("top_logprobs", |list| {
                        for token in top.next().flatten().unwrap_or_default() {
                            list.object(|object| write_openai(object, &token));
                        }
                    });
                });
            }
        });
        logprobs.raw("refusal", "null");
    });
    Ok(String::from_utf8(written)
        .ok()
        .and_then(|text| Json::parse(text).ok()))
}

fn read_token(value: &Value<'_>) -> Result<Token, DecodeError> {
    let mut fields = names::fields(value, &["logProbability"])?;
    Ok(Token {
        text: fields.take("token", names::text)?.unwrap_or_default().to_string(),
        // Proto leaves zeros out.
        logprob: fields
            .take("logProbability", |number| Ok(number.json()))?
            .or_else(|| Json::parse("0").ok())
            .unwrap_or_else(Json::null),
    })
}

fn write_openai(object: &mut Object<'_>, token: &Token) {
    object.string("token", &token.text);
    object.raw("logprob", token.logprob.as_str());
    object.raw(
        "bytes",
        &serde_json::to_string(token.text.as_bytes()).unwrap_or_default(),
    );
}

#[derive(Deserialize)]
struct Told {
    content: Option<Vec<ToldToken>>,
}

#[derive(Deserialize)]
struct ToldToken {
    token: String,
    logprob: Json,
    #[serde(default)]
    top_logprobs: Vec<ToldToken>,
}

/// Writes OpenAI's `logprobs` as `logprobsResult`.
pub(super) fn write(object: &mut Object<'_>, logprobs: &Json) {
    let Some(tokens) = logprobs.read::<Told>().ok().and_then(|told| told.content) else {
        return;
    };
    object.object("logprobsResult", |result| {
        result.list("topCandidates", |list| {
            for token in &tokens {
                list.object(|step| {
                    step.list("candidates", |list| {
                        token
                            .top_logprobs
                            .iter()
                            .for_each(|token| write_token(list, token));
                    });
                });
            }
        });
        result.list("chosenCandidates", |list| {
            tokens.iter().for_each(|token| write_token(list, token));
        });
    });
}

fn write_token(list: &mut List<'_>, token: &ToldToken) {
    list.object(|object| {
        object.string("token", &token.token);
        object.raw("logProbability", token.logprob.as_str());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Text;
    use crate::json::fields::parse;

    #[test]
    fn there_and_back() {
        let told = r#"{"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.25},{"token":"Yo","logProbability":-2}]}],"chosenCandidates":[{"token":"Hi","logProbability":-0.25}]}"#;
        let body = Text::from(told.to_owned());
        let openai = read(&parse(&body).unwrap()).unwrap().unwrap();
        assert_eq!(
            openai.as_str(),
            r#"{"content":[{"token":"Hi","logprob":-0.25,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.25,"bytes":[72,105]},{"token":"Yo","logprob":-2,"bytes":[89,111]}]}],"refusal":null}"#
        );
        let back = object(|object| write(object, &openai));
        assert_eq!(
            String::from_utf8(back).unwrap(),
            format!(r#"{{"logprobsResult":{told}}}"#)
        );
    }
}
