//! Who asks, as identity has established it.

use super::Reading;
use crate::config::AuthzConfig;
use crate::facts::CallerFacts;

pub(crate) struct Authz {
    config: AuthzConfig,
}

impl Authz {
    pub(crate) fn compile(config: &AuthzConfig) -> Result<Self, String> {
        for subject in &config.subjects {
            if !["User", "Group", "Team"].contains(&subject.kind.as_str()) {
                return Err(format!(
                    "unknown subject kind {:?}; use User, Group or Team",
                    subject.kind
                ));
            }
        }
        Ok(Self {
            config: config.clone(),
        })
    }

    pub(crate) fn read(&self, caller: &CallerFacts<'_>) -> Reading {
        let bound = self
            .config
            .subjects
            .iter()
            .any(|subject| match subject.kind.as_str() {
                "User" => caller.user == Some(subject.name.as_str()),
                "Team" => caller.team == Some(subject.name.as_str()),
                _ => caller.groups.contains(&subject.name),
            });
        Reading::of(bound || (!self.config.role.is_empty() && caller.roles.contains(&self.config.role)))
    }
}
