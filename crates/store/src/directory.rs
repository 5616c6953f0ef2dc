//! What a directory says of users and groups, beside what is kept of them as holders.

use crate::id::OrganizationId;

/// What a directory knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryKind {
    /// A user.
    User,
    /// A group: a team.
    Group,
}

impl DirectoryKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// What a directory says of a user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The id of the user or team.
    pub id: String,
    /// Whose directory.
    pub organization: OrganizationId,
    /// What it is.
    pub kind: DirectoryKind,
    /// What it is called; unique in the directory, in small letters.
    pub name: String,
    /// What the directory itself calls it.
    pub external_id: Option<String>,
    /// All that the directory says, as a JSON object.
    pub resource: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Changes with every change.
    pub version: i64,
}
