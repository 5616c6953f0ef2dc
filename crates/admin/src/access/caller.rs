//! Who calls the admin API, and what they may do where.

use std::collections::BTreeMap;

use pointsman_store::{
    Credential, CredentialKind, Membership, Permission, Permissions, Place, Scope, Store, StoreError, UserId,
    Within,
};
use serde_json::{Value, json};

/// Whoever calls.
pub enum Caller {
    /// Nobody who is known: of what is not open to everybody, nothing is theirs.
    Nobody,
    /// Whoever has the operator's token: everything is theirs.
    Operator,
    /// Somebody with roles; without any, nothing is theirs.
    Person(Person),
}

/// Somebody with roles.
pub struct Person {
    /// Who.
    pub user: UserId,
    /// What they have come with.
    pub credential: Credential,
    grants: Vec<(Membership, Permissions)>,
}

impl Person {
    /// Whoever a credential belongs to, with the roles that they have now.
    pub fn of(store: &Store, credential: Credential) -> Result<Self, StoreError> {
        Ok(Self {
            grants: store.grants_of(&credential.user)?,
            user: credential.user.clone(),
            credential,
        })
    }

    /// Their roles, for themselves.
    pub fn shown(&self) -> Value {
        let shown = |(membership, permissions): &(Membership, Permissions)| {
            let (kind, id) = membership.scope.parts();
            json!({ kind: id, "role": membership.role, "permissions": permissions, "source": membership.source })
        };
        self.grants.iter().map(shown).collect()
    }
}

impl Caller {
    /// A name for the audit log.
    pub fn name(&self) -> String {
        match self {
            Self::Nobody => "nobody".to_owned(),
            Self::Operator => "admin".to_owned(),
            Self::Person(person) => format!("user:{}", person.user.as_str()),
        }
    }

    /// Whether it is the operator.
    pub fn is_operator(&self) -> bool {
        matches!(self, Self::Operator)
    }

    /// The session that they come with, where it is one.
    pub fn session(&self) -> Option<&Credential> {
        match self {
            Self::Person(person) if person.credential.kind == CredentialKind::Session => {
                Some(&person.credential)
            }
            _ => None,
        }
    }

    /// What they may do to what is at this place; nothing where they may not even know of it.
    pub fn permissions_at(&self, place: &Place) -> Option<Permissions> {
        match self {
            Self::Nobody => None,
            Self::Operator => Some(Permissions::ALL),
            Self::Person(person) => {
                let covering = person
                    .grants
                    .iter()
                    .filter(|(membership, _)| membership.scope.covers(place));
                covering
                    .map(|(_, permissions)| *permissions)
                    .reduce(Permissions::and)
            }
        }
    }

    /// Whether they may do this anywhere.
    pub fn has_somewhere(&self, permission: Permission) -> bool {
        match self {
            Self::Nobody => false,
            Self::Operator => true,
            Self::Person(person) => person
                .grants
                .iter()
                .any(|(_, permissions)| permissions.has(permission)),
        }
    }

    /// To what belongs where they may do this; no bounds for the operator.
    pub fn within(&self, permission: Permission) -> Option<Within> {
        let person = match self {
            Self::Operator => return None,
            Self::Nobody => return Some(Within::default()),
            Self::Person(person) => person,
        };
        let mut within = Within::default();
        for (membership, permissions) in &person.grants {
            if !permissions.has(permission) {
                continue;
            }
            match &membership.scope {
                Scope::Organization(id) => within.organizations.push(id.clone()),
                Scope::Team(id) => within.teams.push(id.clone()),
            }
        }
        Some(within)
    }

    /// What each of their roles may do, by its scope.
    pub fn scopes(&self) -> BTreeMap<&Scope, Permissions> {
        match self {
            Self::Nobody | Self::Operator => BTreeMap::new(),
            Self::Person(person) => person
                .grants
                .iter()
                .map(|(membership, permissions)| (&membership.scope, *permissions))
                .collect(),
        }
    }
}
