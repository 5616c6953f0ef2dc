//! HTTP+JSON of 0.3: what is asked, from and to the words of 0.3.

use http::Method;

use super::{params_down, params_up, schema};
use crate::call::Call;
use crate::error::{A2aError, Kind};
use crate::json::{self, JsonError, Object};
use crate::operation::Operation;
use crate::proto;
use crate::rest::{self, Written};
use crate::version::Version;

/// What all paths begin with.
const ROOT: &str = "/v1";
/// Where the card for those who are known is, and where it is in 1.0.
const CARD: [&str; 2] = ["/card", "/extendedAgentCard"];

/// Reads an operation. The path stands below the agent's, as it was sent.
///
/// # Errors
/// When there is no such operation, or its body is none.
pub fn read(method: &Method, path: &str, query: Option<&str>, body: &[u8]) -> Result<Call, A2aError> {
    let below = path.strip_prefix(ROOT).filter(|below| below.starts_with('/'));
    let below = below.ok_or_else(|| {
        A2aError::new(
            Kind::VersionNotSupported,
            "this path is none of A2A 0.3, whose paths begin with /v1; send A2A-Version: 1.0",
        )
    })?;
    let below = if below == CARD[0] { CARD[1] } else { below };
    let (operation, task, config) = rest::place(method, below)?;
    if operation == Operation::List {
        return Err(A2aError::new(Kind::Method, "A2A 0.3 does not list tasks"));
    }
    let mut params = message(operation, method, body)?;
    if operation.is_message() && params.get("message").is_some() && is_rpc(&params) {
        return Ok(call(operation, params));
    }
    if let Some(task) = task {
        let mut name = format!("tasks/{task}");
        if let Some(config) = config {
            name = format!("{name}/pushNotificationConfigs/{config}");
        }
        let is_parent = matches!(operation, Operation::CreatePush | Operation::ListPush);
        params.set(if is_parent { "parent" } else { "name" }, &name);
    }
    for (name, value) in rest::parameters(query) {
        if name == "historyLength" || name == "history_length" {
            let number: i64 = value
                .parse()
                .map_err(|_| A2aError::params("historyLength must be a whole number"))?;
            params.set("historyLength", &number);
        }
    }
    params_up(operation, &mut params);
    Ok(call(operation, params))
}

fn call(operation: Operation, params: Object) -> Call {
    Call {
        operation,
        version: Version::V03,
        params,
    }
}

/// Whether a message is one as JSON-RPC has it: the specification's text leaves both open.
fn is_rpc(params: &Object) -> bool {
    let message = params.object("message").unwrap_or_default();
    message.get("parts").is_some()
}

/// A body as the message that it is, every name spelled as the specification does; one of JSON-RPC as it came.
fn message(operation: Operation, method: &Method, body: &[u8]) -> Result<Object, A2aError> {
    if *method != Method::POST || body.trim_ascii().is_empty() {
        return Ok(Object::default());
    }
    let mut object = Object::read(body).map_err(|error| match error {
        JsonError::Syntax(why) => A2aError::new(Kind::Parse, format!("Invalid JSON payload: {why}")),
        JsonError::Shape(why) => A2aError::new(Kind::Request, format!("Invalid request: {why}")),
    })?;
    if object.get("message").is_none() {
        object.rename("request", "message");
    }
    if operation.is_message() && is_rpc(&object) {
        return Ok(object);
    }
    let wrong = |why: String| A2aError::params(why);
    let value = serde_json::from_str(object.raw().get()).map_err(|error| wrong(error.to_string()))?;
    let (question, _) = schema::of(operation);
    let bytes = proto::encode(question, &value).map_err(|error| wrong(error.to_string()))?;
    let value = proto::decode(question, &bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(Object::of(&json::raw(&value)).unwrap_or_default())
}

/// Writes an operation of 0.3.
///
/// # Errors
/// When a name in it cannot stand in a path, or there is no such operation.
pub fn write(operation: Operation, params: &Object) -> Result<Written, A2aError> {
    // Paths are those of 1.0, one level below; ids are called otherwise.
    let mut ids = params.clone();
    match operation {
        Operation::List => {
            let why = "the agent speaks A2A 0.3, which has no such operation";
            return Err(A2aError::new(Kind::Unsupported, why));
        }
        Operation::GetPush | Operation::DeletePush => {
            ids.rename("id", "taskId");
            ids.rename("pushNotificationConfigId", "id");
        }
        Operation::ListPush => ids.rename("id", "taskId"),
        _ => {}
    }
    let mut written = rest::write(operation, &ids)?;
    if operation == Operation::ExtendedCard {
        written.path = CARD[0].to_owned();
    }
    written.path.insert_str(0, ROOT);
    if operation == Operation::Subscribe {
        // As the proto and the SDKs of 0.3 have it; its text says POST.
        (written.method, written.body) = (Method::GET, None);
    }
    if operation.is_message() || operation == Operation::CreatePush {
        let mut said = params.clone();
        params_down(operation, &mut said);
        written.body = Some(said.raw());
    }
    Ok(written)
}
