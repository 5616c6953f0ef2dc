//! One spelling for the names of parameters, before anything is read of them.
//!
//! Agents may read `task_id` as well as `taskId`, and some `TaskID`: what the gateway does not read as they do, it cannot
//! check. So every spelling of a known name becomes the one of the specification, and two of the same are an error.

use crate::error::A2aError;
use crate::json::Object;

/// A name, and those within what it names: an object, or a list of such.
struct Name(&'static str, &'static [Self]);

const AUTHENTICATION: &[Name] = &[
    Name("scheme", &[]),
    Name("schemes", &[]),
    Name("credentials", &[]),
];
const PUSH: &[Name] = &[
    Name("tenant", &[]),
    Name("id", &[]),
    Name("taskId", &[]),
    Name("url", &[]),
    Name("token", &[]),
    Name("authentication", AUTHENTICATION),
];
const FILE: &[Name] = &[
    Name("bytes", &[]),
    Name("uri", &[]),
    Name("mimeType", &[]),
    Name("name", &[]),
];
const PART: &[Name] = &[
    Name("kind", &[]),
    Name("text", &[]),
    Name("raw", &[]),
    Name("url", &[]),
    Name("data", &[]),
    Name("file", FILE),
    Name("metadata", &[]),
    Name("filename", &[]),
    Name("mediaType", &[]),
];
const MESSAGE: &[Name] = &[
    Name("kind", &[]),
    Name("messageId", &[]),
    Name("contextId", &[]),
    Name("taskId", &[]),
    Name("role", &[]),
    Name("parts", PART),
    Name("metadata", &[]),
    Name("extensions", &[]),
    Name("referenceTaskIds", &[]),
];
const CONFIGURATION: &[Name] = &[
    Name("acceptedOutputModes", &[]),
    Name("taskPushNotificationConfig", PUSH),
    Name("pushNotificationConfig", PUSH),
    Name("historyLength", &[]),
    Name("returnImmediately", &[]),
    Name("blocking", &[]),
];
const PARAMS: &[Name] = &[
    Name("tenant", &[]),
    Name("id", &[]),
    Name("taskId", &[]),
    Name("contextId", &[]),
    Name("message", MESSAGE),
    Name("configuration", CONFIGURATION),
    Name("metadata", &[]),
    Name("historyLength", &[]),
    Name("status", &[]),
    Name("statusTimestampAfter", &[]),
    Name("includeArtifacts", &[]),
    Name("pageSize", &[]),
    Name("pageToken", &[]),
    Name("url", &[]),
    Name("token", &[]),
    Name("authentication", AUTHENTICATION),
    Name("pushNotificationConfig", PUSH),
    Name("pushNotificationConfigId", &[]),
];

/// Names that only the messages of `a2a.v1` have, for what is called otherwise here: what a client says under them nobody
/// checks, and an agent that reads those messages would heed it.
const FOREIGN: [&str; 4] = ["pushNotification", "request", "fileWithUri", "fileWithBytes"];

/// Puts the names of parameters of either version right, and takes out those that are of neither.
///
/// # Errors
/// When a name is there twice.
pub fn straighten(params: &mut Object) -> Result<(), A2aError> {
    names(params, PARAMS)
}

/// Takes out what has a name of other messages, in whichever spelling.
pub(crate) fn strip(object: &mut Object) {
    let is_foreign = |said: &&str| FOREIGN.iter().any(|name| is_same(said, name));
    let foreign: Vec<String> = object
        .iter()
        .map(|(said, _)| said)
        .filter(is_foreign)
        .map(str::to_owned)
        .collect();
    for said in foreign {
        object.remove(&said);
    }
}

fn names(object: &mut Object, known: &[Name]) -> Result<(), A2aError> {
    strip(object);
    let said: Vec<String> = object.iter().map(|(name, _)| name.to_owned()).collect();
    for said in &said {
        let Some(Name(name, within)) = known.iter().find(|Name(name, _)| is_same(said, name)) else {
            continue;
        };
        if said != name {
            if object.iter().any(|(other, _)| other == *name) {
                return Err(A2aError::params(format!("`{name}` is there twice")));
            }
            object.rename(said, name);
        }
        if within.is_empty() {
            continue;
        }
        let mut wrong = Ok(());
        let mut straight = |inner: &mut Object| {
            if wrong.is_ok() {
                wrong = names(inner, within);
            }
        };
        match object.list(name) {
            Some(_) => object.each(name, &mut straight),
            None => object.within(name, &mut straight),
        }
        wrong?;
    }
    Ok(())
}

/// Whether two names are the same but for case and underscores.
fn is_same(said: &str, name: &str) -> bool {
    let letters = said.chars().filter(|letter| *letter != '_');
    letters
        .map(|letter| letter.to_ascii_lowercase())
        .eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn straight(text: &str) -> Result<String, A2aError> {
        let mut params = Object::read(text.as_bytes()).unwrap();
        straighten(&mut params)?;
        Ok(params.raw().get().to_owned())
    }

    #[test]
    fn every_spelling_is_read_as_the_one_of_the_specification() {
        for (said, read) in [
            (
                r#"{"task_id":"t","page_size":2}"#,
                r#"{"taskId":"t","pageSize":2}"#,
            ),
            (
                r#"{"message":{"TaskID":"t","reference_task_ids":["a"],"parts":[{"media_type":"a/b","Text":"x"}]}}"#,
                r#"{"message":{"parts":[{"mediaType":"a/b","text":"x"}],"taskId":"t","referenceTaskIds":["a"]}}"#,
            ),
            (
                r#"{"configuration":{"task_push_notification_config":{"URL":"u"}}}"#,
                r#"{"configuration":{"taskPushNotificationConfig":{"url":"u"}}}"#,
            ),
            // What would only be read by an agent is read by none.
            (
                r#"{"id":"t","request":{},"configuration":{"pushNotification":{"url":"u"},"push_notification":{"url":"u"},"blocking":true}}"#,
                r#"{"id":"t","configuration":{"blocking":true}}"#,
            ),
            (
                r#"{"message":{"parts":[{"file":{"fileWithUri":"u","file_with_bytes":"b","name":"n"}}]}}"#,
                r#"{"message":{"parts":[{"file":{"name":"n"}}]}}"#,
            ),
            // What nobody knows, and what is within metadata and data, stays.
            (
                r#"{"id":"t","new_thing":1,"metadata":{"task_id":1},"message":{"parts":[{"data":{"a_b":1.0}}]}}"#,
                r#"{"id":"t","new_thing":1,"metadata":{"task_id":1},"message":{"parts":[{"data":{"a_b":1.0}}]}}"#,
            ),
        ] {
            assert_eq!(straight(said).unwrap(), read);
        }
    }

    #[test]
    fn a_name_in_two_spellings_is_refused() {
        for said in [
            r#"{"taskId":"mine","task_id":"theirs"}"#,
            r#"{"task_id":"theirs","taskId":"mine"}"#,
            r#"{"message":{"taskId":"mine","TASKID":"theirs"}}"#,
            r#"{"task_id":"a","TaskId":"b"}"#,
            r#"{"message":{"parts":[{"text":"good","TEXT":"bad"}]}}"#,
        ] {
            assert!(straight(said).is_err(), "{said}");
        }
    }
}
