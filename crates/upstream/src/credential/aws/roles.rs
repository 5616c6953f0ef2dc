//! Profiles that lead to roles, and roles to other profiles.

use std::collections::HashSet;
use std::path::Path;

use super::profile::{Credentials, Profiles};
use super::sts::{Sts, WebRole};
use super::{IssuedKeys, chain, container, document, imds, process, sso};
use crate::client::Client;
use crate::config::RoleConfig;
use crate::credential::cache::Issued;
use crate::credential::environment::Environment;
use crate::credential::error::CredentialError;
use crate::credential::subject::Subject;

/// Profiles that name each other, at most.
const MAX_DEPTH: usize = 8;

/// Profiles of the shared files, with what it takes to get their keys.
pub(super) struct ProfileRoles<'a> {
    pub(super) sts: &'a Sts,
    pub(super) profiles: &'a Profiles,
    pub(super) environment: &'a Environment,
}

impl ProfileRoles<'_> {
    /// The keys of a profile: its own, or those of the role it names, assumed with the profile it names for that.
    pub(super) async fn keys(
        &self,
        client: &Client,
        name: &str,
    ) -> Result<Option<IssuedKeys>, CredentialError> {
        let mut seen = HashSet::new();
        let mut roles: Vec<RoleConfig> = Vec::new();
        let mut current = name.to_owned();
        let mut issued = loop {
            let again = !seen.insert(current.clone());
            if seen.len() > MAX_DEPTH {
                return Err(CredentialError::invalid(
                    "AWS profiles name each other in a chain that is too long",
                ));
            }
            // A role whose source is its own profile is assumed with that profile's keys.
            let found = match self.profiles.credentials(&current, again)? {
                Some(Credentials::Role { role, source }) if !again => {
                    roles.push(role);
                    current = source;
                    continue;
                }
                Some(Credentials::Role { .. }) => {
                    let message = format!("the AWS profiles around {current:?} name each other in a circle");
                    return Err(CredentialError::invalid(message));
                }
                other => other,
            };
            match found {
                Some(found) => break self.fetch(client, found).await?,
                None if roles.is_empty() => return Ok(None),
                None => {
                    let message =
                        format!("the AWS profile {current:?} (a source_profile) holds no credentials");
                    return Err(CredentialError::missing(message));
                }
            }
        };
        for role in roles.iter().rev() {
            let assumed = self.sts.assume(client, &issued.token, role).await;
            issued = assumed.map_err(|error| error.within(&format!("the role {}", role.role_arn)))?;
        }
        Ok(Some(issued))
    }

    async fn fetch(&self, client: &Client, found: Credentials) -> Result<IssuedKeys, CredentialError> {
        match found {
            // Files may be written anew.
            Credentials::Keys(keys) => Ok(Issued {
                look_again: Some(document::STALE_LOOK_AGAIN),
                ..chain::unending(keys)
            }),
            Credentials::Process(command) => process::keys(&command).await,
            Credentials::Sso(session) => sso::keys(client, self.environment, &session).await,
            Credentials::WebIdentity { role, token_file } => {
                let token = Subject::file(Path::new(&token_file)).token(client).await?;
                let web = WebRole {
                    role_arn: &role.role_arn,
                    session_name: role.session_name.as_deref(),
                    duration: role.duration,
                };
                self.sts.assume_with_web_identity(client, &web, &token).await
            }
            Credentials::RoleOf { role, source } => {
                let base = self.named_source(client, &source).await?;
                let assumed = self.sts.assume(client, &base.token, &role).await;
                assumed.map_err(|error| error.within(&format!("the role {}", role.role_arn)))
            }
            Credentials::Role { .. } => Err(CredentialError::invalid("an AWS role was named twice")),
        }
    }

    /// `credential_source` of a profile.
    async fn named_source(&self, client: &Client, source: &str) -> Result<IssuedKeys, CredentialError> {
        let found = match source {
            "Environment" => chain::from_environment(self.environment).map(chain::unending),
            "EcsContainer" => container::keys(client, self.environment).await?,
            "Ec2InstanceMetadata" => imds::keys(client, self.environment).await?,
            other => {
                let message = format!(
                    "credential_source {other:?} is not one of Environment, EcsContainer, Ec2InstanceMetadata"
                );
                return Err(CredentialError::invalid(message));
            }
        };
        found.ok_or_else(|| {
            CredentialError::missing(format!("credential_source {source} gives no credentials"))
        })
    }
}
