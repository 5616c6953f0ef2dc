//! Tasks: work of a server that outlasts the request that began it (2025-11-25's own, and the extension of 2026-07-28).
//!
//! Clients know a task by another name than its server does: one that says, to the gateway alone, which server has it, and
//! whose it is. So any replica finds the server, no caller finds another's task, and two servers' tasks never have the same
//! name. Functions over data.

use serde::{Deserialize, Serialize};

use crate::message::{Object, Raw};
use crate::oauth::Vault;

/// The extension.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// The metadata of whatever belongs to a task.
const RELATED: &str = "io.modelcontextprotocol/related-task";
/// For what names are sealed.
const NAME: &str = "mcp task";

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Task {
    server: String,
    /// What its server calls it.
    id: String,
    owner: String,
}

/// The names of one caller's tasks.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// What seals them.
    pub vault: &'a Vault,
    /// Whose tasks they are.
    pub owner: &'a str,
}

impl Names<'_> {
    /// What the caller calls a task; the same each time.
    #[must_use]
    pub fn shown(&self, server: &str, id: &str) -> Option<String> {
        let task = Task {
            server: server.to_owned(),
            id: id.to_owned(),
            owner: self.owner.to_owned(),
        };
        self.vault.seal_same(NAME, &task)
    }

    /// Which server has a task, and what it calls it; none where it is not the caller's.
    #[must_use]
    pub fn find(&self, shown: &str) -> Option<(String, String)> {
        let task = self.vault.open::<Task>(NAME, shown)?;
        (task.owner == self.owner).then_some((task.server, task.id))
    }

    /// An object with a `taskId`, as the caller sees it.
    fn show_id(&self, server: &str, object: &mut Object) {
        let shown = object.text("taskId").and_then(|id| self.shown(server, &id));
        if let Some(shown) = shown {
            object.set("taskId", &shown);
        }
    }

    /// Something that says to which task it belongs, as the caller sees it; false where it says nothing of the kind.
    pub fn show_related(&self, server: &str, object: &mut Object) -> bool {
        rename_related(object, |id| self.shown(server, id))
    }

    /// The same the other way round.
    pub fn hide_related(&self, object: &mut Object) -> bool {
        rename_related(object, |shown| self.find(shown).map(|(_, id)| id))
    }

    /// A result that is a task, or begins or belongs to one, as the caller sees it.
    #[must_use]
    pub fn show(&self, server: &str, result: Raw, is_task: bool) -> Raw {
        if !result.get().contains("\"taskId\"") {
            return result;
        }
        let Ok(mut object) = Object::parse(result.get()) else {
            return result;
        };
        if is_task || is_begun(&object) {
            self.show_id(server, &mut object);
        }
        if let Some(mut task) = object.object("task") {
            self.show_id(server, &mut task);
            object.set("task", &task);
        }
        self.show_related(server, &mut object);
        object.raw()
    }

    /// What a server tells of a task, as the caller sees it.
    pub fn show_told(&self, server: &str, params: &mut Object) {
        self.show_id(server, params);
        self.show_related(server, params);
    }
}

fn rename_related(object: &mut Object, name: impl Fn(&str) -> Option<String>) -> bool {
    let Some(mut meta) = object.object("_meta") else {
        return false;
    };
    let Some(mut related) = meta.object(RELATED) else {
        return false;
    };
    let Some(other) = related.text("taskId").and_then(|id| name(&id)) else {
        return false;
    };
    related.set("taskId", &other);
    meta.set(RELATED, &related);
    object.set("_meta", &meta);
    true
}

/// Whether a result says that a task has begun, as the newer era says it.
#[must_use]
pub fn is_begun(result: &Object) -> bool {
    result.text("resultType").as_deref() == Some("task")
}

/// The task that a result says has begun, in either era: what its server calls it.
#[must_use]
pub fn begun(result: &Raw) -> Option<String> {
    if !result.get().contains("\"taskId\"") {
        return None;
    }
    let object = Object::parse(result.get()).ok()?;
    if is_begun(&object) {
        return object.text("taskId");
    }
    object.object("task")?.text("taskId")
}

/// A result without the metadata that it belongs to a task that its client has never heard of.
#[must_use]
pub fn unrelated(result: Raw) -> Raw {
    if !result.get().contains(RELATED) {
        return result;
    }
    let Ok(mut object) = Object::parse(result.get()) else {
        return result;
    };
    if let Some(mut meta) = object.object("_meta") {
        meta.remove(RELATED);
        if meta.is_empty() {
            object.remove("_meta");
        } else {
            object.set("_meta", &meta);
        }
    }
    object.raw()
}

/// Whether capabilities name the extension.
#[must_use]
pub fn has_extension(capabilities: &Object) -> bool {
    let extensions = capabilities.object("extensions");
    extensions.is_some_and(|extensions| extensions.get(EXTENSION).is_some())
}

/// Whether a server of the older era runs calls of tools as tasks.
#[must_use]
pub fn has_tasks(capabilities: &Object) -> bool {
    let requests = capabilities
        .object("tasks")
        .and_then(|tasks| tasks.object("requests"));
    let tools = requests.and_then(|requests| requests.object("tools"));
    tools.is_some_and(|tools| tools.get("call").is_some())
}

/// Whether a tool of the older era can be called as a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Optional,
    /// It can be called no other way.
    Required,
}

/// Whether a tool of the older era can be called as a task.
#[must_use]
pub fn support(tool: &Object) -> Option<Support> {
    let execution = tool.object("execution")?;
    match execution.text("taskSupport").as_deref() {
        Some("optional") => Some(Support::Optional),
        Some("required") => Some(Support::Required),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_task_has_one_name_and_is_its_owners_alone() {
        let vault = Vault::default();
        let (mine, yours) = (
            Names {
                vault: &vault,
                owner: "key:1",
            },
            Names {
                vault: &vault,
                owner: "key:2",
            },
        );
        let shown = mine.shown("a", "t-1").unwrap();
        assert_eq!(mine.shown("a", "t-1").unwrap(), shown);
        assert_ne!(mine.shown("b", "t-1").unwrap(), shown);
        assert_ne!(yours.shown("a", "t-1").unwrap(), shown);
        assert!(!shown.contains("t-1"));
        assert_eq!(mine.find(&shown), Some(("a".to_owned(), "t-1".to_owned())));
        assert_eq!(yours.find(&shown), None);
        assert_eq!(mine.find("t-1"), None);
        let other = Vault::default();
        assert_eq!(
            Names {
                vault: &other,
                owner: "key:1"
            }
            .find(&shown),
            None
        );
    }

    #[test]
    fn results_name_tasks_as_their_callers_do() {
        let vault = Vault::default();
        let names = Names {
            vault: &vault,
            owner: "anonymous",
        };
        let shown = names.shown("a", "t").unwrap();
        for (result, is_task) in [
            (r#"{"resultType":"task","taskId":"t","status":"working"}"#, false),
            (r#"{"resultType":"complete","taskId":"t"}"#, true),
            (r#"{"task":{"taskId":"t","status":"working"}}"#, false),
            (
                r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"},"x":1}}"#,
                false,
            ),
        ] {
            let told = names.show("a", raw(result), is_task);
            assert_eq!(
                told.get(),
                result.replace("\"t\"", &format!("\"{shown}\"")),
                "{result}"
            );
        }
        // What a tool says of tasks of its own is its own.
        let said = r#"{"content":[],"taskId":"t"}"#;
        assert_eq!(names.show("a", raw(said), false).get(), said);
    }

    #[test]
    fn what_began_is_told_apart() {
        assert_eq!(
            begun(&raw(r#"{"resultType":"task","taskId":"t"}"#)).as_deref(),
            Some("t")
        );
        assert_eq!(begun(&raw(r#"{"task":{"taskId":"t"}}"#)).as_deref(), Some("t"));
        assert_eq!(begun(&raw(r#"{"content":[],"taskId":"t"}"#)), None);
        let related =
            raw(r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#);
        assert_eq!(unrelated(related).get(), r#"{"content":[]}"#);
    }
}
