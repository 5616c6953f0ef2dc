//! HTTP+JSON: operations of 1.0 as methods, paths and queries, read and written.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::error::{A2aError, Kind};
use crate::json::{JsonError, Object, Raw};
use crate::operation::Operation;
use crate::spelling;
use crate::version::Version;

/// What stays as it is in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// The parameter of a query that stands for the header.
pub const VERSION_PARAMETER: &str = "A2A-Version";
/// Query parameters that are numbers, and those that are flags.
const NUMBERS: [&str; 2] = ["historyLength", "pageSize"];
const FLAGS: [&str; 1] = ["includeArtifacts"];

/// Reads an operation. The path stands below the agent's, as it was sent.
///
/// # Errors
/// When there is no such operation, or its body is none.
pub fn read(method: &Method, path: &str, query: Option<&str>, body: &[u8]) -> Result<Call, A2aError> {
    let (operation, task, config) = place(method, path)?;
    let mut params = if *method == Method::POST && !body.trim_ascii().is_empty() {
        Object::read(body).map_err(|error| match error {
            JsonError::Syntax(why) => A2aError::new(Kind::Parse, format!("Invalid JSON payload: {why}")),
            JsonError::Shape(why) => A2aError::new(Kind::Request, format!("Invalid request: {why}")),
        })?
    } else {
        Object::default()
    };
    spelling::straighten(&mut params)?;
    for (name, value) in parameters(query) {
        if name != VERSION_PARAMETER && *method != Method::POST {
            take(&mut params, &name, &value)?;
        }
    }
    if let (Some(task), Some(field)) = (task, operation.task_field(Version::V10)) {
        params.set(field, &task);
    }
    if let Some(config) = config {
        params.set("id", &config);
    }
    Ok(Call {
        operation,
        version: Version::V10,
        params,
    })
}

/// The operation of a path, with the ids of a task and of a push configuration in it.
pub(crate) fn place(
    method: &Method,
    path: &str,
) -> Result<(Operation, Option<String>, Option<String>), A2aError> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|one| !one.is_empty())
        .map(decoded)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operation, task, config) = find(method, &segments)?;
    Ok((operation, task.map(str::to_owned), config.map(str::to_owned)))
}

/// An operation, its task, and its push configuration.
type Found<'a> = (Operation, Option<&'a str>, Option<&'a str>);

fn find<'a>(method: &Method, segments: &[&'a str]) -> Result<Found<'a>, A2aError> {
    let (get, post, delete) = (
        *method == Method::GET,
        *method == Method::POST,
        *method == Method::DELETE,
    );
    let found = match segments {
        ["message:send"] if post => (Operation::Send, None, None),
        ["message:stream"] if post => (Operation::Stream, None, None),
        ["extendedAgentCard"] if get => (Operation::ExtendedCard, None, None),
        ["tasks"] if get => (Operation::List, None, None),
        ["tasks", task] => match task.rsplit_once(':') {
            Some((task, "cancel")) if post => (Operation::Cancel, Some(task), None),
            // The text says POST, the proto GET.
            Some((task, "subscribe")) if post || get => (Operation::Subscribe, Some(task), None),
            _ if get => (Operation::Get, Some(*task), None),
            _ => return Err(nothing()),
        },
        ["tasks", task, "pushNotificationConfigs"] if post => (Operation::CreatePush, Some(*task), None),
        ["tasks", task, "pushNotificationConfigs"] if get => (Operation::ListPush, Some(*task), None),
        ["tasks", task, "pushNotificationConfigs", config] if get => {
            (Operation::GetPush, Some(*task), Some(*config))
        }
        ["tasks", task, "pushNotificationConfigs", config] if delete => {
            (Operation::DeletePush, Some(*task), Some(*config))
        }
        _ => return Err(nothing()),
    };
    Ok(found)
}

fn nothing() -> A2aError {
    A2aError::new(Kind::Method, "there is no such operation")
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The parameters of a query.
pub fn parameters(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    let query = query.unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

fn take(params: &mut Object, name: &str, value: &str) -> Result<(), A2aError> {
    let wrong = |what: &str| A2aError::params(format!("{name} must be {what}"));
    if NUMBERS.contains(&name) {
        let number: i64 = value.parse().map_err(|_| wrong("a whole number"))?;
        params.set(name, &number);
    } else if FLAGS.contains(&name) {
        let flag: bool = value.parse().map_err(|_| wrong("true or false"))?;
        params.set(name, &flag);
    } else {
        params.set(name, value);
    }
    Ok(())
}

/// How an operation is written: method, path with its query, and body.
#[derive(Debug, Clone)]
pub struct Written {
    /// The method.
    pub method: Method,
    /// The path below the agent's, with its query.
    pub path: String,
    /// The body.
    pub body: Option<Raw>,
}

/// Writes an operation of 1.0.
///
/// # Errors
/// When a name in it cannot stand in a path.
pub fn write(operation: Operation, params: &Object) -> Result<Written, A2aError> {
    let mut rest = params.clone();
    let mut id = |field: &str| {
        let id = rest
            .remove(field)
            .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        id.filter(|id| !matches!(id.as_str(), "" | "." | ".."))
            .map(|id| utf8_percent_encode(&id, PLAIN).to_string())
            .ok_or_else(|| A2aError::params(format!("`{field}` must be an id")))
    };
    let (method, path) = match operation {
        Operation::Send => (Method::POST, "/message:send".to_owned()),
        Operation::Stream => (Method::POST, "/message:stream".to_owned()),
        Operation::Get => (Method::GET, format!("/tasks/{}", id("id")?)),
        Operation::List => (Method::GET, "/tasks".to_owned()),
        Operation::Cancel => (Method::POST, format!("/tasks/{}:cancel", id("id")?)),
        Operation::Subscribe => (Method::POST, format!("/tasks/{}:subscribe", id("id")?)),
        Operation::CreatePush => {
            let task = id("taskId")?;
            (Method::POST, format!("/tasks/{task}/pushNotificationConfigs"))
        }
        Operation::ListPush => {
            let task = id("taskId")?;
            (Method::GET, format!("/tasks/{task}/pushNotificationConfigs"))
        }
        Operation::GetPush | Operation::DeletePush => {
            let (task, config) = (id("taskId")?, id("id")?);
            let method = if operation == Operation::GetPush {
                Method::GET
            } else {
                Method::DELETE
            };
            (method, format!("/tasks/{task}/pushNotificationConfigs/{config}"))
        }
        Operation::ExtendedCard => (Method::GET, "/extendedAgentCard".to_owned()),
    };
    if method == Method::POST {
        return Ok(Written {
            method,
            path,
            body: Some(rest.raw()),
        });
    }
    Ok(Written {
        method,
        path: format!("{path}{}", query(&rest)),
        body: None,
    })
}

fn query(params: &Object) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in params.iter() {
        if let Some(text) = plain(value) {
            query.append_pair(name, &text);
        }
    }
    let query = query.finish();
    if query.is_empty() {
        query
    } else {
        format!("?{query}")
    }
}

/// What can stand in a query.
fn plain(value: &RawValue) -> Option<String> {
    match serde_json::from_str(value.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(value.get().to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations_and_back() {
        for (method, path, query, expected) in [
            (Method::POST, "/message:send", "", Operation::Send),
            (Method::POST, "/message%3Astream", "", Operation::Stream),
            (Method::GET, "/tasks/a", "historyLength=3", Operation::Get),
            (
                Method::GET,
                "/tasks",
                "status=TASK_STATE_WORKING&pageSize=5&includeArtifacts=true",
                Operation::List,
            ),
            (Method::POST, "/tasks/a:cancel", "", Operation::Cancel),
            (Method::POST, "/tasks/a%3Asubscribe", "", Operation::Subscribe),
            (Method::GET, "/tasks/a:subscribe", "", Operation::Subscribe),
            (
                Method::POST,
                "/tasks/a/pushNotificationConfigs",
                "",
                Operation::CreatePush,
            ),
            (
                Method::GET,
                "/tasks/a/pushNotificationConfigs",
                "",
                Operation::ListPush,
            ),
            (
                Method::GET,
                "/tasks/a/pushNotificationConfigs/c",
                "",
                Operation::GetPush,
            ),
            (
                Method::DELETE,
                "/tasks/a/pushNotificationConfigs/c",
                "",
                Operation::DeletePush,
            ),
            (
                Method::GET,
                "/extendedAgentCard",
                "A2A-Version=1.0",
                Operation::ExtendedCard,
            ),
        ] {
            let call = read(&method, path, Some(query), b"").unwrap();
            assert_eq!(call.operation, expected, "{path}");
            let written = write(call.operation, &call.params).unwrap();
            let (path, query) = written.path.split_once('?').unwrap_or((&written.path, ""));
            let body = written.body.map(|body| body.get().to_owned()).unwrap_or_default();
            let again = read(&written.method, path, Some(query), body.as_bytes()).unwrap();
            assert_eq!(again.operation, expected);
            assert_eq!(again.params.raw().get(), call.params.raw().get(), "{path}");
        }
    }

    #[test]
    fn names_cannot_leave_their_place() {
        let call = read(&Method::GET, "/tasks/a%2F..%2Fb%3Fc", None, b"").unwrap();
        assert_eq!(call.task().as_deref(), Some("a/../b?c"));
        assert_eq!(
            write(Operation::Get, &call.params).unwrap().path,
            "/tasks/a%2F..%2Fb%3Fc"
        );
        let call = read(&Method::GET, "/tasks/%2E%2E", None, b"").unwrap();
        assert!(write(Operation::Get, &call.params).is_err());
    }

    #[test]
    fn what_is_not_there_is_told_so() {
        for (method, path) in [
            (Method::GET, "/message:send"),
            (Method::DELETE, "/tasks/a"),
            (Method::POST, "/tasks/a"),
            (Method::GET, "/tasks/a/b"),
            (Method::GET, "/tenant/tasks"),
            (Method::POST, ""),
        ] {
            assert_eq!(
                read(&method, path, None, b"{}").unwrap_err().kind,
                Kind::Method,
                "{path}"
            );
        }
        assert_eq!(
            read(&Method::GET, "/tasks", Some("pageSize=x"), b"")
                .unwrap_err()
                .kind,
            Kind::Params
        );
    }
}
