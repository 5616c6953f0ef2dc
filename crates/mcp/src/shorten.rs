//! Results that are longer than their server may answer, made shorter.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::config::ToolRules;
use crate::message::{Object, Raw};

/// A result as its server's rules have it: in fewer bytes, and cut.
#[must_use]
pub fn fitted(result: Raw, rules: &ToolRules) -> Raw {
    let result = if rules.compress {
        compressed(result)
    } else {
        result
    };
    match rules.max_result {
        Some(most) => shortened(result, most),
        None => result,
    }
}

/// The same in fewer bytes: JSON in texts without its blanks, other texts without blanks at the ends of lines and without
/// more than one empty line together.
#[must_use]
pub fn compressed(result: Raw) -> Raw {
    let Ok(mut fields) = Object::parse(result.get()) else {
        return result;
    };
    let Some(mut content) = fields.list("content") else {
        return result;
    };
    let mut is_other = false;
    for block in &mut content {
        let Ok(mut object) = Object::parse(block.get()) else {
            continue;
        };
        let Some(text) = object.text("text") else { continue };
        let shorter = if serde_json::from_str::<&RawValue>(&text).is_ok() {
            without_blanks(&text)
        } else {
            without_blank_lines(&text)
        };
        if shorter.len() < text.len() {
            object.set("text", &shorter);
            *block = object.raw();
            is_other = true;
        }
    }
    if !is_other {
        return result;
    }
    fields.set("content", &content);
    fields.raw()
}

/// JSON without the blanks between its tokens; every token stays as it is.
fn without_blanks(json: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    json.chars()
        .filter(|letter| {
            let is_kept = within || !letter.is_ascii_whitespace();
            match letter {
                _ if escaped => escaped = false,
                '\\' if within => escaped = true,
                '"' => within = !within,
                _ => {}
            }
            is_kept
        })
        .collect()
}

fn without_blank_lines(text: &str) -> String {
    let mut shorter = String::with_capacity(text.len());
    let mut was_empty = false;
    for (at, line) in text.lines().map(str::trim_end).enumerate() {
        if line.is_empty() && std::mem::replace(&mut was_empty, true) {
            continue;
        }
        was_empty = line.is_empty();
        if at > 0 {
            shorter.push('\n');
        }
        shorter.push_str(line);
    }
    shorter
}

/// A result of at most about `most` bytes of content: texts are cut where they pass it, what follows is left out, and a
/// text says so. Where structured content is left out the result is told as an error: its schema promises it.
///
/// `size` bytes of what is not content (`_meta`, annotations) count as they are.
#[must_use]
pub fn shortened(result: Raw, most: usize) -> Raw {
    let size = result.get().len();
    if size <= most {
        return result;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(result.get()) else {
        return result;
    };
    let Some(fields) = value.as_object_mut() else {
        return result;
    };
    let mut is_cut = false;
    let mut left = most;
    if let Some(structured) = fields.get("structuredContent") {
        let size = structured.to_string().len();
        if size > left {
            fields.shift_remove("structuredContent");
            fields.insert("isError".to_owned(), Value::Bool(true));
            is_cut = true;
        } else {
            left -= size;
        }
    }
    for field in ["content", "contents", "messages"] {
        if let Some(Value::Array(all)) = fields.get_mut(field) {
            is_cut |= cut(all, &mut left);
        }
    }
    if !is_cut {
        return result;
    }
    let note = format!("[The gateway has cut this result: it had {size} bytes, {most} may be told.]");
    let note = json!({ "type": "text", "text": note });
    let is_other = fields.contains_key("contents") || fields.contains_key("messages");
    match fields.get_mut("content") {
        Some(Value::Array(all)) => all.push(note),
        _ if is_other => {}
        _ => drop(fields.insert("content".to_owned(), json!([note]))),
    }
    serde_json::value::to_raw_value(&value).unwrap_or(result)
}

/// Cuts a list where it passes what is left; true when something is missing.
fn cut(all: &mut Vec<Value>, left: &mut usize) -> bool {
    for at in 0..all.len() {
        let size = all[at].to_string().len();
        if size <= *left {
            *left -= size;
            continue;
        }
        let keeps = text_of(&mut all[at]).is_some_and(|text| {
            let mut end = text.len().min(*left);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            end > 0
        });
        *left = 0;
        all.truncate(at + usize::from(keeps));
        return true;
    }
    false
}

/// The text of a block of content, of a resource in one, or of a message.
fn text_of(block: &mut Value) -> Option<&mut String> {
    for way in [
        "/text",
        "/resource/text",
        "/content/text",
        "/content/resource/text",
    ] {
        if block.pointer(way).is_some_and(Value::is_string) {
            return match block.pointer_mut(way) {
                Some(Value::String(text)) => Some(text),
                _ => None,
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(value: &Value, most: usize) -> Value {
        let raw = serde_json::value::to_raw_value(value).unwrap();
        serde_json::from_str(shortened(raw, most).get()).unwrap()
    }

    #[test]
    fn what_is_short_enough_stays() {
        let value = json!({ "content": [{ "type": "text", "text": "a" }], "new": 1 });
        assert_eq!(short(&value, 1_000), value);
    }

    #[test]
    fn texts_are_cut_and_the_rest_is_left_out() {
        let text = "ö".repeat(500);
        let value = json!({ "content": [
            { "type": "text", "text": "first" }, { "type": "text", "text": text }, { "type": "image", "data": "A".repeat(500) },
        ] });
        let cut = short(&value, 300);
        let content = cut["content"].as_array().unwrap();
        assert_eq!(content.len(), 3, "{cut}");
        assert_eq!(content[0]["text"], "first");
        let kept = content[1]["text"].as_str().unwrap();
        assert!(kept.len() < 300 && kept.chars().all(|one| one == 'ö') && !kept.is_empty());
        assert!(
            content[2]["text"]
                .as_str()
                .unwrap()
                .contains("has cut this result")
        );
        assert!(cut.get("isError").is_none());
    }

    #[test]
    fn what_is_compressed_says_the_same() {
        let told = |text: &str| {
            let raw = serde_json::value::to_raw_value(
                &json!({ "content": [{ "type": "text", "text": text }], "n": 1 }),
            );
            let value: Value = serde_json::from_str(compressed(raw.unwrap()).get()).unwrap();
            assert_eq!(value["n"], 1);
            value["content"][0]["text"].as_str().unwrap().to_owned()
        };
        for (text, shorter) in [
            (
                "{ \"a\": [ 1,\n 2.50 ], \"b c\": \"x  \\\" y \" }",
                "{\"a\":[1,2.50],\"b c\":\"x  \\\" y \"}",
            ),
            ("12345678901234567890123 ", "12345678901234567890123"),
            ("one  \n\n\n\n  two\t\nthree", "one\n\n  two\nthree"),
            ("{ not json }", "{ not json }"),
            ("", ""),
        ] {
            assert_eq!(told(text), shorter, "{text:?}");
        }
    }

    #[test]
    fn structured_content_is_whole_or_not_there() {
        let value = json!({ "content": [], "structuredContent": { "a": "x".repeat(500) } });
        let cut = short(&value, 300);
        assert!(cut.get("structuredContent").is_none());
        assert_eq!(cut["isError"], true);
    }
}
