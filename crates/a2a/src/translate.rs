//! From one version of the protocol to the other. What a version has no word for stays as it is.
//!
//! The two differ in how members are told apart (`kind` in 0.3, the name of the only field in 1.0), in the names of states
//! and roles, and in what stands beside what. Everything else is the same and passes untouched.

pub mod card;
mod content;

use crate::json::{self, Object, Raw};
use crate::operation::Operation;
use crate::version::Version;

/// The kinds of events: the field of 1.0, and the `kind` of 0.3.
const KINDS: [(&str, &str); 4] = [
    ("task", "task"),
    ("message", "message"),
    ("statusUpdate", "status-update"),
    ("artifactUpdate", "artifact-update"),
];

/// Translates the parameters of an operation.
pub fn params(operation: Operation, params: &mut Object, to: Version) {
    match to {
        Version::V10 => params_up(operation, params),
        Version::V03 => params_down(operation, params),
    }
}

fn params_up(operation: Operation, params: &mut Object) {
    match operation {
        Operation::Send | Operation::Stream => {
            params.within("message", content::message_up);
            params.within("configuration", configuration_up);
        }
        Operation::Get => unlimited(params),
        Operation::CreatePush => push_up(params),
        Operation::GetPush | Operation::DeletePush => {
            params.rename("id", "taskId");
            params.rename("pushNotificationConfigId", "id");
        }
        Operation::ListPush => params.rename("id", "taskId"),
        Operation::List | Operation::Cancel | Operation::Subscribe | Operation::ExtendedCard => {}
    }
}

fn params_down(operation: Operation, params: &mut Object) {
    params.remove("tenant");
    match operation {
        Operation::Send | Operation::Stream => {
            params.within("message", content::message_down);
            params.within("configuration", configuration_down);
        }
        Operation::CreatePush => push_down(params),
        Operation::GetPush | Operation::DeletePush => {
            params.rename("id", "pushNotificationConfigId");
            params.rename("taskId", "id");
        }
        Operation::ListPush => params.rename("taskId", "id"),
        Operation::Get
        | Operation::List
        | Operation::Cancel
        | Operation::Subscribe
        | Operation::ExtendedCard => {}
    }
}

/// A history of no length is one without a limit in 0.3.
fn unlimited(params: &mut Object) {
    if params.number("historyLength") == Some(0) {
        params.remove("historyLength");
    }
}

fn configuration_up(configuration: &mut Object) {
    unlimited(configuration);
    if let Some(blocking) = configuration.flag("blocking") {
        configuration.set("returnImmediately", &!blocking);
    }
    configuration.remove("blocking");
    configuration.rename("pushNotificationConfig", "taskPushNotificationConfig");
    configuration.within("taskPushNotificationConfig", authentication_up);
}

fn configuration_down(configuration: &mut Object) {
    let at_once = configuration.flag("returnImmediately").unwrap_or(false);
    configuration.remove("returnImmediately");
    configuration.set("blocking", &!at_once);
    configuration.rename("taskPushNotificationConfig", "pushNotificationConfig");
    configuration.within("pushNotificationConfig", authentication_down);
}

/// What 0.3 puts into a field of its own stands beside the task in 1.0.
fn push_up(config: &mut Object) {
    let inner = config.object("pushNotificationConfig").unwrap_or_default();
    config.remove("pushNotificationConfig");
    for (name, value) in inner.iter() {
        config.set(name, value);
    }
    authentication_up(config);
}

fn push_down(config: &mut Object) {
    let mut inner = Object::default();
    for name in ["id", "url", "token", "authentication"] {
        if let Some(value) = config.remove(name) {
            inner.set(name, &value);
        }
    }
    config.remove("tenant");
    authentication_down(&mut inner);
    config.set("pushNotificationConfig", &inner);
}

fn authentication_up(config: &mut Object) {
    config.within("authentication", |said| {
        let first = said
            .list("schemes")
            .and_then(|schemes| schemes.into_iter().next());
        said.remove("schemes");
        if let Some(first) = first {
            said.set("scheme", &first);
        }
    });
}

fn authentication_down(config: &mut Object) {
    config.within("authentication", |said| {
        let scheme = said.remove("scheme");
        said.set("schemes", &scheme.into_iter().collect::<Vec<_>>());
    });
}

/// Translates the result of an operation.
#[must_use]
pub fn result(operation: Operation, result: &Raw, to: Version) -> Raw {
    if operation == Operation::ListPush {
        return push_list(result, to);
    }
    if operation == Operation::DeletePush {
        return match to {
            Version::V10 => Object::default().raw(),
            Version::V03 => json::raw(&()),
        };
    }
    let Some(mut object) = Object::of(result) else {
        return result.clone();
    };
    match (operation, to) {
        (Operation::Send | Operation::Stream | Operation::Subscribe, _) => return event(result, to),
        (Operation::Get | Operation::Cancel, Version::V10) => content::task_up(&mut object),
        (Operation::Get | Operation::Cancel, Version::V03) => content::task_down(&mut object),
        (Operation::List, Version::V10) => object.each("tasks", content::task_up),
        (Operation::List, Version::V03) => object.each("tasks", content::task_down),
        (Operation::CreatePush | Operation::GetPush, Version::V10) => push_up(&mut object),
        (Operation::CreatePush | Operation::GetPush, Version::V03) => push_down(&mut object),
        (Operation::ExtendedCard, Version::V10) => card::up(&mut object),
        (Operation::ExtendedCard, Version::V03) => card::down(&mut object),
        (Operation::ListPush | Operation::DeletePush, _) => {}
    }
    object.raw()
}

fn push_list(result: &Raw, to: Version) -> Raw {
    match to {
        Version::V10 => {
            let mut all = Object::from([("configs", result.clone())]);
            all.each("configs", push_up);
            all.raw()
        }
        Version::V03 => {
            let mut all = Object::of(result).unwrap_or_default();
            all.each("configs", push_down);
            all.get("configs")
                .map_or_else(|| json::raw(&[(); 0]), ToOwned::to_owned)
        }
    }
}

/// Translates an event of a stream, which is also what a message is answered with.
#[must_use]
pub fn event(event: &Raw, to: Version) -> Raw {
    let Some(object) = Object::of(event) else {
        return event.clone();
    };
    match to {
        Version::V10 => event_up(object),
        Version::V03 => event_down(&object),
    }
}

fn event_up(mut event: Object) -> Raw {
    let kind = event.text("kind").unwrap_or_default();
    let Some((field, _)) = KINDS.iter().find(|(_, old)| *old == kind) else {
        return event.raw();
    };
    match *field {
        "task" => content::task_up(&mut event),
        "message" => content::message_up(&mut event),
        "statusUpdate" => {
            event.remove("final");
            event.remove("kind");
            event.within("status", content::status_up);
        }
        _ => {
            event.remove("kind");
            event.within("artifact", content::artifact_up);
        }
    }
    Object::from([(*field, event.raw())]).raw()
}

fn event_down(event: &Object) -> Raw {
    let found = KINDS
        .iter()
        .find_map(|(field, kind)| event.object(field).map(|inner| (*field, *kind, inner)));
    let Some((field, kind, mut inner)) = found else {
        return event.raw();
    };
    match field {
        "task" => content::task_down(&mut inner),
        "message" => content::message_down(&mut inner),
        "statusUpdate" => {
            let state = inner.object("status").and_then(|status| status.text("state"));
            inner.within("status", content::status_down);
            inner.set("kind", kind);
            inner.set("final", &state.as_deref().is_some_and(content::is_last));
        }
        _ => {
            inner.within("artifact", content::artifact_down);
            inner.set("kind", kind);
        }
    }
    inner.raw()
}

#[cfg(test)]
mod tests;
