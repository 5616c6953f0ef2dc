//! What people may do: permissions, the roles that are made of them, and where somebody has a role.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{OrganizationId, TeamId, UserId};
use crate::store::StoreError;
use crate::terms::invalid;

/// Bytes of a role's name, at most.
const MAX_NAME: usize = 64;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One thing that somebody may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

permissions! {
    /// See an organization.
    OrganizationsRead = "organizations.read",
    /// Change an organization's name and notes.
    OrganizationsWrite = "organizations.write",
    /// See teams.
    TeamsRead = "teams.read",
    /// Make, change and delete teams.
    TeamsWrite = "teams.write",
    /// See projects.
    ProjectsRead = "projects.read",
    /// Make, change and delete projects.
    ProjectsWrite = "projects.write",
    /// See users.
    UsersRead = "users.read",
    /// Make, change and delete users, and end their tokens.
    UsersWrite = "users.write",
    /// See keys; never their secrets.
    KeysRead = "keys.read",
    /// Make, change, rotate and revoke keys.
    KeysWrite = "keys.write",
    /// Change limits and budgets.
    BudgetsWrite = "budgets.write",
    /// See usage and the ledger.
    UsageRead = "usage.read",
    /// See recorded decisions.
    DecisionsRead = "decisions.read",
    /// See who has which role, and which roles there are.
    MembersRead = "members.read",
    /// Give and take roles, none of which may do more than oneself.
    MembersWrite = "members.write",
    /// Make and change roles.
    RolesWrite = "roles.write",
    /// Provision users and groups (SCIM).
    DirectoryWrite = "directory.write",
}

impl Permission {
    /// The permission that is written so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == text)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Several permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u32);

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);
    /// All there are.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// These.
    #[must_use]
    pub const fn of(all: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < all.len() {
            bits |= all[at].bit();
            at += 1;
        }
        Self(bits)
    }

    /// All but these.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of those are among them.
    #[must_use]
    pub const fn covers(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let all = Permission::ALL.iter().copied();
        all.filter(move |permission| self.has(*permission))
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Permission::as_str))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Self::NONE;
        for name in Vec::<String>::deserialize(deserializer)? {
            let known = Permission::named(&name);
            let known = known.ok_or_else(|| {
                let names: Vec<_> = Permission::ALL.iter().map(|known| known.as_str()).collect();
                serde::de::Error::custom(format!(
                    "there is no permission {name:?}; there is {}",
                    names.join(", ")
                ))
            })?;
            all = all.and(Self::of(&[known]));
        }
        Ok(all)
    }
}

/// The role of this name that every organization and team has.
#[must_use]
pub fn built_in_role(name: &str) -> Option<Permissions> {
    use Permission::{
        BudgetsWrite, DecisionsRead, DirectoryWrite, KeysRead, MembersRead, OrganizationsRead,
        OrganizationsWrite, ProjectsRead, RolesWrite, TeamsRead, UsageRead, UsersRead,
    };
    let see = Permissions::of(&[
        OrganizationsRead,
        TeamsRead,
        ProjectsRead,
        UsersRead,
        KeysRead,
        UsageRead,
    ]);
    Some(match name {
        "owner" => Permissions::ALL,
        "admin" => {
            Permissions::ALL.without(Permissions::of(&[OrganizationsWrite, RolesWrite, DirectoryWrite]))
        }
        "billing" => see.and(Permissions::of(&[BudgetsWrite])),
        "viewer" => see.and(Permissions::of(&[DecisionsRead, MembersRead])),
        _ => return None,
    })
}

/// The names of the roles that are always there, the mightiest first.
pub const BUILT_IN_ROLES: [&str; 4] = ["owner", "admin", "billing", "viewer"];

/// Where a role holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// In an organization, and in all that belongs to it.
    Organization(OrganizationId),
    /// In a team, and in all that belongs to it.
    Team(TeamId),
}

impl Scope {
    /// Its kind and its id.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Organization(id) => ("organization", id.as_str()),
            Self::Team(id) => ("team", id.as_str()),
        }
    }

    pub(crate) fn of(kind: &str, id: String) -> Result<Self, StoreError> {
        match kind {
            "organization" => Ok(Self::Organization(id.into())),
            "team" => Ok(Self::Team(id.into())),
            other => Err(invalid(format!(
                "the database holds a {other:?}, where no role holds"
            ))),
        }
    }

    /// Whether what is at this place belongs to it.
    #[must_use]
    pub fn covers(&self, place: &Place) -> bool {
        match self {
            Self::Organization(id) => place.organization.as_ref() == Some(id),
            Self::Team(id) => place.team.as_ref() == Some(id),
        }
    }
}

/// Where something belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The organization, its own or that of what it belongs to.
    pub organization: Option<OrganizationId>,
    /// The team.
    pub team: Option<TeamId>,
}

/// Who has given a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Somebody, by the admin API.
    Admin,
    /// The groups of an identity provider, at sign-in: taken back by the next one that does not tell them.
    SignIn,
    /// A directory (SCIM).
    Directory,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::SignIn => "sign_in",
            Self::Directory => "directory",
        }
    }

    pub(crate) fn named(text: &str) -> Result<Self, StoreError> {
        let all = [Self::Admin, Self::SignIn, Self::Directory];
        let known = all.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| invalid(format!("the database holds the source {text:?}, which is none")))
    }
}

/// The role of somebody somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// Who.
    pub user: UserId,
    /// Where.
    pub scope: Scope,
    /// The name of the role.
    pub role: String,
    /// Who has given it.
    pub source: Source,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Changes with every change.
    pub version: i64,
}

/// A role that an organization has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomRole {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name, unlike that of any role that is always there.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Changes with every change.
    pub version: i64,
}

/// Whether a role can be called so.
pub(crate) fn check_role_name(name: &str) -> Result<(), StoreError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        return Err(invalid(format!(
            "the name of a role has between 1 and {MAX_NAME} letters, digits or any of _-."
        )));
    }
    if built_in_role(name).is_some() {
        return Err(invalid(format!(
            "{name:?} is the name of a role that is always there"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_one_before_may_and_less() {
        let [owner, admin, billing, viewer] = BUILT_IN_ROLES.map(|name| built_in_role(name).unwrap());
        assert_eq!(owner, Permissions::ALL);
        for less in [admin, billing, viewer] {
            assert!(owner.covers(less) && !less.covers(owner));
        }
        for less in [billing, viewer] {
            assert!(admin.covers(less) && !less.covers(admin));
        }
        let writes =
            |permissions: Permissions| permissions.iter().any(|one| one.as_str().ends_with(".write"));
        assert!(!writes(viewer));
        assert_eq!(built_in_role("Owner"), None);
    }

    #[test]
    fn permissions_are_written_and_read_by_their_names() {
        let all = serde_json::to_string(&Permissions::ALL).unwrap();
        assert_eq!(
            serde_json::from_str::<Permissions>(&all).unwrap(),
            Permissions::ALL
        );
        let wrong = serde_json::from_str::<Permissions>("[\"keys.read\", \"everything\"]");
        assert!(wrong.unwrap_err().to_string().contains("everything"));
        assert_eq!(serde_json::to_string(&Permissions::NONE).unwrap(), "[]");
    }

    #[test]
    fn a_scope_covers_what_belongs_to_it_and_nothing_else() {
        let place = |organization: Option<&str>, team: Option<&str>| Place {
            organization: organization.map(Into::into),
            team: team.map(Into::into),
        };
        let organization = Scope::Organization("a".into());
        let team = Scope::Team("a".into());
        assert!(organization.covers(&place(Some("a"), Some("t"))));
        assert!(!organization.covers(&place(Some("b"), Some("a"))));
        assert!(team.covers(&place(Some("b"), Some("a"))));
        assert!(!team.covers(&place(Some("a"), None)));
        for scope in [organization, team] {
            assert!(!scope.covers(&Place::default()));
        }
    }
}
