//! Ids: texts that must not be mixed up.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
    };
}

id! {
    /// A virtual key.
    KeyId
}
id! {
    /// An organization.
    OrganizationId
}
id! {
    /// A plan: terms that many share by name.
    PlanId
}
id! {
    /// A project.
    ProjectId
}
id! {
    /// A team.
    TeamId
}
id! {
    /// A user.
    UserId
}
id! {
    /// A request; unique in the ledger.
    RequestId
}
id! {
    /// A file that a client keeps here.
    FileId
}
id! {
    /// A batch.
    BatchId
}
id! {
    /// Whoever files and batches belong to: a team, or a key without one. Nobody else ever learns of them.
    Tenant
}
