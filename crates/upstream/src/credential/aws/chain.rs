//! The order in which AWS credentials are looked for, and the roles assumed with them.

use std::path::PathBuf;

use super::profile::Profiles;
use super::roles::ProfileRoles;
use super::sts::{Sts, WebRole};
use super::{AccessKeys, IssuedKeys, REGION_VARIABLES, STS_REGION, Settings, container, imds};
use crate::client::Client;
use crate::config::RoleConfig;
use crate::credential::cache::Issued;
use crate::credential::environment::Environment;
use crate::credential::error::CredentialError;
use crate::credential::subject::Subject;

/// Where keys come from.
pub(crate) struct Chain {
    settings: Settings,
    /// Keys from the configuration.
    base: Option<AccessKeys>,
    environment: Environment,
    /// Known once a profile was read.
    profile_region: parking_lot::Mutex<Option<String>>,
}

impl Chain {
    pub(super) fn new(settings: Settings, base: Option<AccessKeys>, environment: Environment) -> Self {
        Self {
            settings,
            base,
            environment,
            profile_region: parking_lot::Mutex::default(),
        }
    }

    /// The usual chain, for those who need keys without any configuration of their own.
    pub(crate) fn usual(environment: Environment) -> Self {
        let settings = Settings {
            region: None,
            profile: None,
            roles: Vec::new(),
            web_identity: None,
            sts_endpoint: environment.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]),
        };
        Self::new(settings, None, environment)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The region of the environment or the profile.
    pub(crate) fn region(&self) -> Option<String> {
        self.environment
            .first(&REGION_VARIABLES)
            .or_else(|| self.profile_region.lock().clone())
    }

    /// The keys that requests are signed with.
    pub(crate) async fn keys(&self, client: &Client) -> Result<IssuedKeys, CredentialError> {
        let mut issued = self.source(client).await?;
        for role in &self.settings.roles {
            let sts = self.sts();
            let shown = role.role_arn.clone();
            issued = sts
                .assume(client, &issued.token, role)
                .await
                .map_err(|error| error.within(&format!("the role {shown}")))?;
        }
        Ok(issued)
    }

    fn sts(&self) -> Sts {
        let region = self.settings.region.clone().or_else(|| self.region());
        Sts::new(
            self.settings.sts_endpoint.clone(),
            region.unwrap_or_else(|| STS_REGION.to_owned()),
        )
    }

    async fn source(&self, client: &Client) -> Result<IssuedKeys, CredentialError> {
        if let Some(keys) = &self.base {
            return Ok(unending(copy(keys)));
        }
        if let Some((config, subject)) = &self.settings.web_identity {
            let role = WebRole {
                role_arn: &config.role_arn,
                session_name: config.session_name.as_deref(),
                duration: config.duration,
            };
            let token = subject.token(client).await?;
            return self.sts().assume_with_web_identity(client, &role, &token).await;
        }
        if let Some(profile) = &self.settings.profile {
            return self
                .profile(client, profile)
                .await?
                .ok_or_else(|| no_profile(profile));
        }
        self.usual_order(client).await
    }

    async fn usual_order(&self, client: &Client) -> Result<IssuedKeys, CredentialError> {
        if let Some(keys) = from_environment(&self.environment) {
            return Ok(unending(keys));
        }
        let chosen = self.environment.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let profile = chosen.as_deref().unwrap_or("default");
        match self.profile(client, profile).await? {
            Some(keys) => return Ok(keys),
            None if chosen.is_some() => return Err(no_profile(profile)),
            None => {}
        }
        if let Some(keys) = self.web_identity_of_environment(client).await? {
            return Ok(keys);
        }
        if let Some(keys) = container::keys(client, &self.environment).await? {
            return Ok(keys);
        }
        match imds::keys(client, &self.environment).await? {
            Some(keys) => Ok(keys),
            None => Err(CredentialError::missing(
                "no AWS credentials were found: not in the environment, the shared files, a web identity, the \
                 container or the instance",
            )),
        }
    }

    /// IRSA, and everybody else who sets these variables.
    async fn web_identity_of_environment(
        &self,
        client: &Client,
    ) -> Result<Option<IssuedKeys>, CredentialError> {
        let file = self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE");
        let arn = self.environment.get("AWS_ROLE_ARN");
        let (Some(file), Some(arn)) = (file, arn) else {
            return Ok(None);
        };
        let name = self.environment.get("AWS_ROLE_SESSION_NAME");
        let role = WebRole {
            role_arn: &arn,
            session_name: name.as_deref(),
            duration: None,
        };
        let token = Subject::File(PathBuf::from(file)).token(client).await?;
        let keys = self.sts().assume_with_web_identity(client, &role, &token).await?;
        Ok(Some(keys))
    }

    /// The keys of a profile; `None` when there is no such profile, or it holds no credentials.
    async fn profile(&self, client: &Client, name: &str) -> Result<Option<IssuedKeys>, CredentialError> {
        let profiles = Profiles::read(&self.environment).await?;
        if let Some(region) = profiles.region(name) {
            *self.profile_region.lock() = Some(region);
        }
        let reader = ProfileRoles {
            sts: &self.sts(),
            profiles: &profiles,
            environment: &self.environment,
        };
        reader.keys(client, name).await
    }
}

fn no_profile(name: &str) -> CredentialError {
    CredentialError::missing(format!(
        "the AWS profile {name:?} is not there, or holds no credentials"
    ))
}

/// Keys of the environment.
pub(super) fn from_environment(environment: &Environment) -> Option<AccessKeys> {
    let id = environment.get("AWS_ACCESS_KEY_ID")?;
    let secret = environment.get("AWS_SECRET_ACCESS_KEY")?;
    Some(AccessKeys {
        id: id.trim().to_owned(),
        secret: secret.trim().into(),
        session_token: environment
            .get("AWS_SESSION_TOKEN")
            .map(|token| token.trim().into()),
    })
}

pub(super) fn unending(token: AccessKeys) -> IssuedKeys {
    Issued {
        token,
        lifetime: None,
        look_again: None,
    }
}

fn copy(keys: &AccessKeys) -> AccessKeys {
    AccessKeys {
        id: keys.id.clone(),
        secret: keys.secret.clone(),
        session_token: keys.session_token.clone(),
    }
}

/// A role of a profile.
pub(super) fn role(
    role_arn: &str,
    external_id: Option<&str>,
    session_name: Option<&str>,
    duration: Option<crate::config::HumanDuration>,
) -> RoleConfig {
    RoleConfig {
        role_arn: role_arn.to_owned(),
        external_id: external_id.map(str::to_owned),
        session_name: session_name.map(str::to_owned),
        duration,
    }
}
