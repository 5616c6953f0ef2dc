//! An operation with its parameters, in the words of one version.

use serde_json::{Value, json};

use crate::card::Card;
use crate::error::A2aError;
use crate::json::{self, Object, Raw};
use crate::operation::Operation;
use crate::spelling;
use crate::translate;
use crate::version::Version;

/// How metadata name a skill.
const SKILL: [&str; 3] = ["skillId", "skill_id", "skill"];

/// What is asked.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// The version whose words the parameters are in.
    pub version: Version,
    /// With what.
    pub params: Object,
}

/// What a message refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// The task it goes on with.
    pub task: Option<String>,
    /// The context it belongs to.
    pub context: Option<String>,
    /// Other tasks that it speaks of.
    pub others: Vec<String>,
}

/// Other tasks that a message may speak of: each may have to be asked for at other replicas.
const MAX_REFERENCES: usize = 64;

impl Call {
    /// A message in the words of 1.0, to the agent of a card: its answer is told as it comes, where the agent can, and else
    /// waited for.
    #[must_use]
    pub fn of_message(card: &Card, message: &Value) -> Self {
        let params = json!({ "message": message, "configuration": { "returnImmediately": false } });
        Self {
            operation: if card.streams {
                Operation::Stream
            } else {
                Operation::Send
            },
            version: Version::V10,
            params: Object::of(&json::raw(&params)).unwrap_or_default(),
        }
    }

    /// The task it is about; of a message, the one it goes on with.
    #[must_use]
    pub fn task(&self) -> Option<String> {
        if self.operation.is_message() {
            return self.references().task;
        }
        self.params.filled(self.operation.task_field(self.version)?)
    }

    /// What its message refers to. Both versions say it with the same words.
    #[must_use]
    pub fn references(&self) -> References {
        let Some(message) = self.params.object("message") else {
            return References::default();
        };
        let others = message.list("referenceTaskIds").unwrap_or_default();
        References {
            task: message.filled("taskId"),
            context: message.filled("contextId"),
            others: others
                .iter()
                .filter_map(|id| serde_json::from_str(id.get()).ok())
                .collect(),
        }
    }

    /// The skills that its message names, in its own metadata or in those of the request.
    #[must_use]
    pub fn skills(&self) -> Vec<String> {
        let message = self
            .params
            .object("message")
            .and_then(|message| message.object("metadata"));
        let all = [message, self.params.object("metadata")];
        all.iter()
            .flatten()
            .flat_map(|said| SKILL.iter().filter_map(|name| said.filled(name)))
            .collect()
    }

    /// Puts the names of its parameters right, and checks what must be there, whatever the agent makes of it.
    ///
    /// # Errors
    /// What is missing, or there twice.
    pub fn check(&mut self) -> Result<(), A2aError> {
        spelling::straighten(&mut self.params)?;
        self.own_push_only();
        if let Some(field) = self.operation.task_field(self.version)
            && self.params.filled(field).is_none()
        {
            return Err(A2aError::params(format!("`{field}` must be the id of a task")));
        }
        if !self.operation.is_message() {
            return Ok(());
        }
        let message = self.params.object("message");
        let message = message.ok_or_else(|| A2aError::params("`message` must be a message"))?;
        if message.filled("messageId").is_none() {
            return Err(A2aError::params("`message.messageId` must be an id"));
        }
        let others = message.list("referenceTaskIds").unwrap_or_default();
        if others.len() > MAX_REFERENCES {
            return Err(A2aError::params(format!(
                "`message.referenceTaskIds` may name {MAX_REFERENCES} tasks at most"
            )));
        }
        let parts = message.list("parts").unwrap_or_default();
        if parts.is_empty() || parts.iter().any(|part| Object::of(part).is_none()) {
            return Err(A2aError::params("`message.parts` must hold at least one part"));
        }
        Ok(())
    }

    /// Takes out the address of its client where only the other version has it: nobody looks for it there, and the agent
    /// may be asked in that one's words.
    fn own_push_only(&mut self) {
        let is_old = self.version == Version::V03;
        if self.operation.is_message() {
            self.params.within("configuration", |configuration| {
                configuration.remove(if is_old {
                    "taskPushNotificationConfig"
                } else {
                    "pushNotificationConfig"
                });
            });
        } else if self.operation == Operation::CreatePush && is_old {
            for name in ["url", "token", "authentication"] {
                self.params.remove(name);
            }
        }
    }

    /// The same in the words of another version.
    #[must_use]
    pub fn translated(mut self, version: Version) -> Self {
        if version != self.version {
            translate::params(self.operation, &mut self.params, version);
            self.version = version;
        }
        self
    }
}

/// The result of an operation in the words of another version.
#[must_use]
pub fn result(operation: Operation, result: &Raw, from: Version, to: Version) -> Raw {
    if from == to {
        return result.clone();
    }
    translate::result(operation, result, to)
}
