//! What can be asked of an agent, and what each version calls it.

use crate::version::Version;

/// What is asked of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A message, answered as a whole.
    Send,
    /// A message, answered event by event.
    Stream,
    /// A task.
    Get,
    /// The tasks there are.
    List,
    /// That a task stops.
    Cancel,
    /// The events of a task from now on.
    Subscribe,
    /// That events of a task are told to an address.
    CreatePush,
    /// One such address.
    GetPush,
    /// All of a task.
    ListPush,
    /// That it is told no more.
    DeletePush,
    /// The card for those who are known.
    ExtendedCard,
}

/// All operations with their names: of 1.0, and of 0.3.
const NAMES: [(Operation, &str, Option<&str>); 11] = [
    (Operation::Send, "SendMessage", Some("message/send")),
    (Operation::Stream, "SendStreamingMessage", Some("message/stream")),
    (Operation::Get, "GetTask", Some("tasks/get")),
    (Operation::List, "ListTasks", None),
    (Operation::Cancel, "CancelTask", Some("tasks/cancel")),
    (Operation::Subscribe, "SubscribeToTask", Some("tasks/resubscribe")),
    (
        Operation::CreatePush,
        "CreateTaskPushNotificationConfig",
        Some("tasks/pushNotificationConfig/set"),
    ),
    (
        Operation::GetPush,
        "GetTaskPushNotificationConfig",
        Some("tasks/pushNotificationConfig/get"),
    ),
    (
        Operation::ListPush,
        "ListTaskPushNotificationConfigs",
        Some("tasks/pushNotificationConfig/list"),
    ),
    (
        Operation::DeletePush,
        "DeleteTaskPushNotificationConfig",
        Some("tasks/pushNotificationConfig/delete"),
    ),
    (
        Operation::ExtendedCard,
        "GetExtendedAgentCard",
        Some("agent/getAuthenticatedExtendedCard"),
    ),
];

impl Operation {
    /// The operation of a method of JSON-RPC, and the version whose name it is.
    #[must_use]
    pub fn named(method: &str) -> Option<(Self, Version)> {
        NAMES.iter().find_map(|(operation, new, old)| {
            if *new == method {
                return Some((*operation, Version::V10));
            }
            (*old == Some(method)).then_some((*operation, Version::V03))
        })
    }

    /// What a version calls it; nothing where it does not have it.
    #[must_use]
    pub fn name(self, version: Version) -> Option<&'static str> {
        let (_, new, old) = NAMES.iter().find(|(operation, ..)| *operation == self)?;
        match version {
            Version::V10 => Some(new),
            Version::V03 => *old,
        }
    }

    /// Its name in 1.0, by which it is told of.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.name(Version::V10).unwrap_or_default()
    }

    /// Whether its answer is a stream.
    #[must_use]
    pub fn is_streamed(self) -> bool {
        matches!(self, Self::Stream | Self::Subscribe)
    }

    /// Whether it brings a message.
    #[must_use]
    pub fn is_message(self) -> bool {
        matches!(self, Self::Send | Self::Stream)
    }

    /// Whether it is about addresses that events are told to.
    #[must_use]
    pub fn is_push(self) -> bool {
        matches!(
            self,
            Self::CreatePush | Self::GetPush | Self::ListPush | Self::DeletePush
        )
    }

    /// The parameter that names the task it is about.
    #[must_use]
    pub fn task_field(self, version: Version) -> Option<&'static str> {
        match self {
            Self::Get | Self::Cancel | Self::Subscribe => Some("id"),
            Self::CreatePush => Some("taskId"),
            Self::GetPush | Self::ListPush | Self::DeletePush => Some(match version {
                Version::V10 => "taskId",
                Version::V03 => "id",
            }),
            Self::Send | Self::Stream | Self::List | Self::ExtendedCard => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_operations() {
        for (operation, new, old) in NAMES {
            assert_eq!(Operation::named(new), Some((operation, Version::V10)));
            if let Some(old) = old {
                assert_eq!(Operation::named(old), Some((operation, Version::V03)));
            }
        }
        assert_eq!(Operation::named("tasks/list"), None);
    }
}
