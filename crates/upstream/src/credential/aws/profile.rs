//! The shared files: profiles in `~/.aws/credentials` and `~/.aws/config`.

use std::collections::HashMap;
use std::path::PathBuf;

use super::AccessKeys;
use super::chain::role;
use super::sso::Session;
use crate::config::{HumanDuration, RoleConfig};
use crate::credential::environment::{self, Environment};
use crate::credential::error::CredentialError;

type Section = HashMap<String, String>;

/// What the shared files say.
#[derive(Default)]
pub(super) struct Profiles {
    profiles: HashMap<String, Section>,
    sessions: HashMap<String, Section>,
}

/// How a profile comes to its keys.
pub(super) enum Credentials {
    /// They stand in it.
    Keys(AccessKeys),
    /// By a role, with the keys of another profile.
    Role { role: RoleConfig, source: String },
    /// By a role, with keys of the environment, the container or the instance.
    RoleOf { role: RoleConfig, source: String },
    /// By a role, with a token in a file.
    WebIdentity { role: RoleConfig, token_file: String },
    /// From IAM Identity Center.
    Sso(Session),
    /// A command prints them.
    Process(String),
}

impl Profiles {
    /// Reads both files; one that is not there is empty.
    pub(super) async fn read(environment: &Environment) -> Result<Self, CredentialError> {
        let folder = environment.home().map(|home| home.join(".aws"));
        let path = |variable: &str, name: &str| {
            let set = environment.get(variable).map(PathBuf::from);
            set.or_else(|| folder.as_ref().map(|folder| folder.join(name)))
        };
        let mut all = Self::default();
        let files = [
            (path("AWS_CONFIG_FILE", "config"), false),
            (path("AWS_SHARED_CREDENTIALS_FILE", "credentials"), true),
        ];
        for (path, is_credentials) in files {
            let Some(path) = path else { continue };
            if tokio::fs::metadata(&path).await.is_err() {
                continue;
            }
            let text = environment::read(&path, "a shared file of AWS").await?;
            all.add(&text, is_credentials);
        }
        Ok(all)
    }

    /// Adds a file; what it says goes before what is there.
    fn add(&mut self, text: &str, is_credentials: bool) {
        for (title, section) in sections(text) {
            let mut words = title.split_whitespace();
            let (first, second) = (words.next().unwrap_or_default(), words.next());
            let (kind, name) = match (is_credentials, first, second) {
                (true, name, None) => ("profile", name),
                (false, "default", None) => ("profile", "default"),
                (false, kind, Some(name)) => (kind, name),
                _ => continue,
            };
            let target = match kind {
                "profile" => &mut self.profiles,
                "sso-session" => &mut self.sessions,
                _ => continue,
            };
            let name = name.trim_matches('"').to_owned();
            target.entry(name).or_default().extend(section);
        }
    }

    pub(super) fn region(&self, name: &str) -> Option<String> {
        self.profiles.get(name)?.get("region").cloned()
    }

    /// How a profile comes to its keys; `own` looks at its own keys only. `None` when it has nothing to offer.
    pub(super) fn credentials(&self, name: &str, own: bool) -> Result<Option<Credentials>, CredentialError> {
        let Some(profile) = self.profiles.get(name) else {
            return Ok(None);
        };
        let get = |key: &str| profile.get(key).map(String::as_str);
        let keys = match (get("aws_access_key_id"), get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => Some(Credentials::Keys(AccessKeys {
                id: id.to_owned(),
                secret: secret.into(),
                session_token: get("aws_session_token").map(Into::into),
            })),
            _ => None,
        };
        if own && keys.is_some() {
            return Ok(keys);
        }
        if let Some(found) = role_of(name, profile)? {
            return Ok(Some(found));
        }
        if keys.is_some() {
            return Ok(keys);
        }
        if let Some(session) = self.session(name, profile)? {
            return Ok(Some(Credentials::Sso(session)));
        }
        Ok(get("credential_process").map(|command| Credentials::Process(command.to_owned())))
    }

    fn session(&self, name: &str, profile: &Section) -> Result<Option<Session>, CredentialError> {
        let get = |key: &str| profile.get(key).cloned();
        let named = get("sso_session");
        if named.is_none() && get("sso_start_url").is_none() {
            return Ok(None);
        }
        let missing = |what: &str| {
            CredentialError::invalid(format!(
                "the AWS profile {name:?} uses single sign-on and lacks {what}"
            ))
        };
        let (from, cache_name) = match &named {
            None => (profile, get("sso_start_url")),
            Some(session) => {
                let from = self
                    .sessions
                    .get(session)
                    .ok_or_else(|| missing(&format!("its section [sso-session {session}]")))?;
                (from, Some(session.clone()))
            }
        };
        Ok(Some(Session {
            cache_name: cache_name.ok_or_else(|| missing("sso_start_url"))?,
            region: from
                .get("sso_region")
                .cloned()
                .ok_or_else(|| missing("sso_region"))?,
            account: get("sso_account_id").ok_or_else(|| missing("sso_account_id"))?,
            role: get("sso_role_name").ok_or_else(|| missing("sso_role_name"))?,
            renewable: named.is_some(),
        }))
    }
}

fn role_of(name: &str, profile: &Section) -> Result<Option<Credentials>, CredentialError> {
    let get = |key: &str| profile.get(key).map(String::as_str);
    let Some(arn) = get("role_arn") else {
        return Ok(None);
    };
    let wrong = |problem: &str| CredentialError::invalid(format!("the AWS profile {name:?} {problem}"));
    if get("mfa_serial").is_some() {
        return Err(wrong("wants a second factor, which a server cannot give"));
    }
    let duration = match get("duration_seconds") {
        None => None,
        Some(text) => {
            let secs = text
                .parse()
                .map_err(|_| wrong("has a duration_seconds that is no number"))?;
            Some(HumanDuration::from_secs(secs))
        }
    };
    let role = role(arn, get("external_id"), get("role_session_name"), duration);
    match (
        get("source_profile"),
        get("credential_source"),
        get("web_identity_token_file"),
    ) {
        (Some(source), None, None) => Ok(Some(Credentials::Role {
            role,
            source: source.to_owned(),
        })),
        (None, Some(source), None) => Ok(Some(Credentials::RoleOf {
            role,
            source: source.to_owned(),
        })),
        (None, None, Some(file)) => Ok(Some(Credentials::WebIdentity {
            role,
            token_file: file.to_owned(),
        })),
        _ => Err(wrong(
            "has a role_arn and needs one of source_profile, credential_source, web_identity_token_file",
        )),
    }
}

/// The sections of an INI file, titles as written. Nested settings (indented lines) are not ours.
fn sections(text: &str) -> Vec<(String, Section)> {
    let mut all: Vec<(String, Section)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let line = without_comment(line.trim());
        if let Some(rest) = line.strip_prefix('[') {
            let title = rest.split(']').next().unwrap_or(rest).trim();
            all.push((title.to_owned(), Section::new()));
        } else if let (Some((key, value)), Some((_, section))) = (line.split_once('='), all.last_mut()) {
            let value = value.trim();
            if !value.is_empty() {
                section.insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }
    all
}

/// The line without its comment: a whole line, or what stands behind a space.
fn without_comment(line: &str) -> &str {
    if line.starts_with(['#', ';']) {
        return "";
    }
    let marks = [" #", " ;", "\t#", "\t;"];
    let end = marks.iter().filter_map(|mark| line.find(mark)).min();
    line[..end.unwrap_or(line.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_tools_write_them() {
        let mut all = Profiles::default();
        all.add(
            "# a comment\n[default]\nregion = eu-west-1 ; here\n[profile \"dev\"]\nRole_Arn=arn:aws:iam::1:role/r\n\
             source_profile = default\ns3 =\n  region = nested\n[sso-session corp]\nsso_region = eu-north-1\n\
             [dev]\nregion = not a profile\n[services x]\nregion = none\n",
            false,
        );
        all.add(
            "[default]\naws_access_key_id = AKID\naws_secret_access_key = a#b;c=\n[other]\naws_access_key_id=X\n",
            true,
        );
        assert_eq!(all.region("default").as_deref(), Some("eu-west-1"));
        assert_eq!(all.region("dev"), None);
        assert_eq!(all.profiles["default"]["aws_secret_access_key"], "a#b;c=");
        assert_eq!(all.sessions["corp"]["sso_region"], "eu-north-1");
        assert!(matches!(
            all.credentials("dev", false),
            Ok(Some(Credentials::Role { source, .. })) if source == "default"
        ));
        assert!(matches!(
            all.credentials("default", false),
            Ok(Some(Credentials::Keys(_)))
        ));
        assert!(matches!(all.credentials("other", false), Ok(None)));
        assert!(matches!(all.credentials("nobody", false), Ok(None)));
    }

    #[test]
    fn what_a_profile_lacks_is_named() {
        let mut all = Profiles::default();
        all.add(
            "[profile a]\nrole_arn = r\n[profile b]\nrole_arn = r\nsource_profile = a\nmfa_serial = m\n\
             [profile c]\nsso_session = gone\n[profile d]\nsso_start_url = https://x\nsso_region = r\n",
            false,
        );
        for (name, lacks) in [
            ("a", "source_profile"),
            ("b", "second factor"),
            ("c", "[sso-session gone]"),
            ("d", "sso_account_id"),
        ] {
            let error = all.credentials(name, false).err().unwrap().to_string();
            assert!(error.contains(lacks), "{error}");
        }
    }
}
