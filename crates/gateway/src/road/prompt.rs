//! Stage *prompt*: templates are filled in, and the operator's own messages put around the conversation. Which models rewrite
//! texts of it is noted for later stages.
//!
//! It comes before every other stage that reads the request, so that what is guarded, counted and decided upon is what
//! the model will see.

use std::borrow::Cow;
use std::collections::BTreeMap;

use pointsman_config::{DecoratorMessage, DecoratorRole, PromptsConfig};
use pointsman_wire::form::{Failure, FailureKind, Message, PartKind, Role, Text};
use pointsman_wire::tokens;
use serde_json::Value;

use super::arrive::Asked;
use super::transform::Transforming;

/// How a template is called.
const CALL: &str = "{template://";
/// The field that holds the values of its variables.
const PROPERTIES: &str = "properties";
/// Most bytes of a filled template.
const MAX_FILLED: usize = 1024 * 1024;

/// Fills in and decorates.
///
/// # Errors
/// 400 for a template that is not there, or a variable without value.
pub fn prepare(prompts: &PromptsConfig, asked: &mut Asked) -> Result<(), Failure> {
    let filled = !prompts.templates.is_empty() && fill(prompts, asked)?;
    let decorated = decorate(prompts, asked);
    asked.transforming = Transforming::of(prompts, &asked.request.model);
    if filled || decorated {
        asked.edited = true;
        asked.prompt_tokens = tokens::estimate_request(&asked.request);
    }
    Ok(())
}

fn fill(prompts: &PromptsConfig, asked: &mut Asked) -> Result<bool, Failure> {
    let mut properties: Option<BTreeMap<String, Value>> = None;
    let mut filled = false;
    for message in &mut asked.request.messages {
        for part in &mut message.parts {
            let PartKind::Text(text) = &mut part.kind else {
                continue;
            };
            let Some(name) = called(&text.text) else { continue };
            let template = prompts.templates.get(name).ok_or_else(|| {
                let known: Vec<&str> = prompts.templates.keys().map(String::as_str).collect();
                refused(format!(
                    "there is no template {name:?}; there are {}",
                    known.join(", ")
                ))
            })?;
            if properties.is_none() {
                let given = asked.request.extra.get(PROPERTIES);
                let read = given.map(|json| json.read().map_err(|_| refused("properties is not an object")));
                properties = Some(read.transpose()?.unwrap_or_default());
            }
            let values = properties.as_ref();
            text.text = render(template, |name| values?.get(name))?.into();
            filled = true;
        }
    }
    if filled {
        // They were for us: a provider would refuse them.
        asked.request.extra.remove(PROPERTIES);
    }
    Ok(filled)
}

/// The name in `{template://name}`.
fn called(text: &Text) -> Option<&str> {
    text.trim().strip_prefix(CALL)?.strip_suffix('}')
}

/// The template with its variables' values. They are put in as text, never read as a template again.
fn render<'v>(template: &str, value: impl Fn(&str) -> Option<&'v Value>) -> Result<String, Failure> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = behind.split_once("}}") else {
            out.push_str("{{");
            rest = behind;
            continue;
        };
        let value = value(name.trim()).ok_or_else(|| {
            refused(format!(
                "the template needs a value for {:?} in properties",
                name.trim()
            ))
        })?;
        out.push_str(&match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        });
        if out.len() > MAX_FILLED {
            return Err(refused("the filled template is larger than a megabyte"));
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidRequest, message).at(PROPERTIES)
}

fn decorate(prompts: &PromptsConfig, asked: &mut Asked) -> bool {
    let request = &mut asked.request;
    let mut decorated = false;
    for decorator in &prompts.decorators {
        if !decorator.is_for(&request.model) {
            continue;
        }
        decorated = true;
        request
            .messages
            .splice(0..0, decorator.prepend.iter().map(message));
        request.messages.extend(decorator.append.iter().map(message));
    }
    decorated
}

fn message(own: &DecoratorMessage) -> Message {
    let role = match own.role {
        DecoratorRole::System => Role::System,
        DecoratorRole::User => Role::User,
        DecoratorRole::Assistant => Role::Assistant,
    };
    Message::text(role, own.content.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: &str, properties: &Value) -> Result<String, String> {
        render(template, |name| properties.get(name)).map_err(|failure| failure.message)
    }

    #[test]
    fn variables_are_put_in_as_text_and_never_read_again() {
        let properties = json!({ "text": "say \"hi\" {{secret}}", "n": 3, "secret": "no" });
        assert_eq!(
            filled("Summarise: {{text}} in {{ n }}", &properties).unwrap(),
            "Summarise: say \"hi\" {{secret}} in 3"
        );
        assert_eq!(filled("no {{ end", &properties).unwrap(), "no {{ end");
        assert!(
            filled("{{missing}}", &properties)
                .unwrap_err()
                .contains("missing")
        );
    }

    #[test]
    fn only_a_text_that_is_nothing_else_calls_a_template() {
        assert_eq!(called(&Text::from_static(" {template://a} ")), Some("a"));
        assert_eq!(called(&Text::from_static("see {template://a}")), None);
        assert_eq!(called(&Text::from_static("{template://a")), None);
    }
}
