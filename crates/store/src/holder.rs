//! Who holds keys: organizations, teams, projects, users; plans, whose terms many share by name; and what requests name
//! beside their keys: end customers, agents, tags.

use serde::{Deserialize, Serialize};

use crate::id::{OrganizationId, TeamId};
use crate::store::StoreError;
use crate::terms::{Metadata, Terms, check_metadata, check_text, invalid};

/// What kind of holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HolderKind {
    /// Whoever keys are given to.
    User,
    /// What keys are used for; belongs to a team or an organization.
    Project,
    /// Users that work together; belongs to an organization.
    Team,
    /// The highest of all.
    Organization,
    /// No holder itself, but terms that keys take over by its name, each for itself.
    Plan,
    /// The end customer that a request names.
    Customer,
    /// The agent that a request says it comes from.
    Agent,
    /// A tag that requests bear.
    Tag,
}

impl HolderKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Project,
        Self::Team,
        Self::Organization,
        Self::Plan,
        Self::Customer,
        Self::Agent,
        Self::Tag,
    ];

    /// Whether it holds no keys, but is named by requests: by its name, within its organization.
    #[must_use]
    pub fn is_label(self) -> bool {
        matches!(self, Self::Customer | Self::Agent | Self::Tag)
    }

    /// In one word, as it is kept.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Project => "project",
            Self::Team => "team",
            Self::Organization => "organization",
            Self::Plan => "plan",
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Tag => "tag",
        }
    }

    /// The kind of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What its generated ids begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::User => "user_",
            Self::Project => "proj_",
            Self::Team => "team_",
            Self::Organization => "org_",
            Self::Plan => "plan_",
            Self::Customer => "cust_",
            Self::Agent => "agent_",
            Self::Tag => "tag_",
        }
    }
}

/// What a new holder is, or an old one becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HolderSpec {
    /// A name for people; several may have the same.
    pub name: String,
    /// The organization that it belongs to.
    pub organization: Option<OrganizationId>,
    /// The team that a project belongs to.
    pub team: Option<TeamId>,
    /// What it may use.
    pub terms: Terms,
    /// Notes.
    pub metadata: Metadata,
    /// Its keys are refused while it is.
    pub disabled: bool,
}

impl HolderSpec {
    /// Whether a holder of this kind can be so.
    pub(crate) fn check(&self, kind: HolderKind) -> Result<(), StoreError> {
        if !self.name.is_empty() {
            check_text("name", &self.name)?;
        }
        let organization = self.organization.is_some();
        if organization && matches!(kind, HolderKind::Organization | HolderKind::Plan) {
            return Err(invalid(format!("a {} belongs to no organization", kind.as_str())));
        }
        if self.team.is_some() && kind != HolderKind::Project {
            return Err(invalid(format!("a {} belongs to no team", kind.as_str())));
        }
        if kind == HolderKind::Plan && !self.terms.shares.is_empty() {
            return Err(invalid(
                "the limits of a named budget are each key's own: there is nobody to reserve shares for"
                    .to_owned(),
            ));
        }
        check_metadata(&self.metadata)?;
        self.terms.check()?;
        if kind.is_label() {
            self.check_label(kind)?;
        }
        Ok(())
    }

    /// What requests name is known by its name, and has limits and budgets alone.
    fn check_label(&self, kind: HolderKind) -> Result<(), StoreError> {
        let kind = kind.as_str();
        if self.name.is_empty() {
            return Err(invalid(format!(
                "a {kind} needs the name that requests call it by"
            )));
        }
        let terms = &self.terms;
        let lists = [
            &terms.models,
            &terms.providers,
            &terms.guardrails,
            &terms.surfaces,
            &terms.networks,
        ];
        if terms.priority.is_some() || !terms.shares.is_empty() {
            return Err(invalid(format!(
                "a {kind} has no priority and reserves none: that is said of keys and their holders"
            )));
        }
        if lists.iter().any(|list| !list.is_empty()) {
            return Err(invalid(format!(
                "a {kind} has limits and budgets; what may be used is said of keys and their holders"
            )));
        }
        Ok(())
    }
}

/// A holder as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Unique within its kind, also after it was deleted.
    pub id: String,
    /// What kind of holder.
    pub kind: HolderKind,
    /// What it is.
    #[serde(flatten)]
    pub spec: HolderSpec,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Unix milliseconds.
    pub deleted_at: Option<i64>,
    /// Changes with every change.
    pub version: i64,
}

impl Holder {
    /// Whether its keys are refused.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.spec.disabled || self.deleted_at.is_some()
    }
}

/// Who changes something, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub name: String,
    /// From where.
    pub source: String,
}

impl Actor {
    /// Whoever may open the database: commands of this machine, and the gateway itself.
    #[must_use]
    pub fn local() -> Self {
        Self {
            name: "local".to_owned(),
            source: "database".to_owned(),
        }
    }
}

impl Actor {
    /// The gateway, for somebody whose identity provider has made them known.
    #[must_use]
    pub fn token() -> Self {
        Self {
            name: "token".to_owned(),
            source: "identity provider".to_owned(),
        }
    }
}

/// Whether an id can be one. What people choose themselves, such as addresses of mail, is welcome.
pub(crate) fn check_id(id: &str) -> Result<(), StoreError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@+".contains(&byte);
    if id.is_empty() || id.len() > 128 || !id.bytes().all(allowed) {
        return Err(invalid(format!(
            "the id {:?} must have between 1 and 128 letters, digits or any of _-.:@+",
            id.chars().take(40).collect::<String>()
        )));
    }
    Ok(())
}
