//! JSON as models write it: in fences, with words around it, with commas too many.

use serde::de::DeserializeOwned;

/// Reads the JSON object of a model's answer.
///
/// # Errors
/// What is wrong with it as it stands, where no way of reading it helps.
pub(super) fn object<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let unfenced = unfenced(text.trim());
    let between = between(unfenced);
    let mut first = None;
    for candidate in [unfenced, between] {
        for candidate in [candidate.to_owned(), without_spare_commas(candidate)] {
            match serde_json::from_str(&candidate) {
                Ok(read) => return Ok(read),
                Err(error) => first.get_or_insert(error.to_string()),
            };
        }
    }
    Err(first.unwrap_or_default())
}

/// What stands in a fence of Markdown, or all of it.
fn unfenced(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("```") else {
        return text;
    };
    let rest = rest.split_once('\n').map_or(rest, |(_, rest)| rest);
    rest.rsplit_once("```").map_or(rest, |(inside, _)| inside).trim()
}

/// From the first brace to the last.
fn between(text: &str) -> &str {
    match (text.find('{'), text.rfind('}')) {
        (Some(start), Some(end)) if end > start => &text[start..=end],
        _ => text,
    }
}

/// Without commas that nothing follows.
fn without_spare_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        if letter == ',' && !quoted {
            let next = text[at + 1..].trim_start().chars().next();
            if matches!(next, Some('}' | ']')) {
                continue;
            }
        }
        if letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = letter == '\\' && !escaped;
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_object_is_found_as_models_write_it() {
        let expected = json!({"a": [1, 2], "b": "x, }"});
        let plain = r#"{"a": [1, 2], "b": "x, }"}"#;
        for text in [
            plain.to_owned(),
            format!("```json\n{plain}\n```"),
            format!("Here it is:\n{plain}\nDone."),
            r#"{"a": [1, 2,], "b": "x, }", }"#.to_owned(),
        ] {
            assert_eq!(object::<Value>(&text), Ok(expected.clone()), "{text}");
        }
        for text in ["", "no", "{", "}{", "```"] {
            assert!(object::<serde_json::Map<String, Value>>(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn an_object_is_found_behind_any_words(before in "[a-z .,:\n]{0,20}", said in ".{0,30}") {
            let told = json!({ "a": said });
            proptest::prop_assert_eq!(object::<Value>(&format!("{before}{told}")), Ok(told));
        }
    }
}
