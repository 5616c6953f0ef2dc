//! Managed identities of Azure: App Service, Cloud Shell and virtual machines.

use std::path::Path;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName, WWW_AUTHENTICATE};
use url::form_urlencoded::Serializer;

use crate::client::Client;
use crate::config::ManagedIdentityConfig;
use crate::credential::bearer::{self, Token, Wanted};
use crate::credential::cache::Issued;
use crate::credential::environment::{self, Environment};
use crate::credential::error::{CredentialError, CredentialErrorKind};
use crate::credential::fetch::{Ask, Form};

const WHO: &str = "the managed identity service of Azure";
const IMDS: &str = "http://169.254.169.254";
const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");
const SECRET: HeaderName = HeaderName::from_static("secret");

/// The identity of the machine or service that this process runs on.
pub(super) struct Managed {
    named: ManagedIdentityConfig,
    environment: Environment,
}

/// How a service calls the names of an identity.
struct Names {
    client: &'static str,
    object: &'static str,
    resource: &'static str,
}

impl Managed {
    pub(super) fn new(named: ManagedIdentityConfig, environment: Environment) -> Self {
        Self { named, environment }
    }

    /// Asks whichever service the environment names.
    pub(super) async fn ask(&self, client: &Client, scope: &str) -> Result<Issued<Token>, CredentialError> {
        let resource = scope.trim_end_matches("/.default");
        let get = |name: &str| self.environment.get(name);
        let ask = match (
            get("IDENTITY_ENDPOINT"),
            get("IDENTITY_HEADER"),
            get("MSI_ENDPOINT"),
        ) {
            (Some(url), Some(header), _) => self.app_service(&url, &header, resource)?,
            (Some(url), None, _) if get("IMDS_ENDPOINT").is_some() => {
                return self.arc(client, &url, resource).await;
            }
            (_, _, Some(url)) => self.msi(&url, resource)?,
            _ => self.machine(resource),
        };
        let reply = ask.send(client).await.map_err(explain)?;
        bearer::issued(&reply, WHO, Wanted::Access)
    }

    /// App Service, Functions, Container Apps.
    fn app_service(&self, url: &str, header: &str, resource: &str) -> Result<Ask, CredentialError> {
        let names = Names {
            client: "client_id",
            object: "principal_id",
            resource: "mi_res_id",
        };
        let url = self.url(url, "2019-08-01", resource, &names);
        Ask::get(WHO, url).nearby().secret(IDENTITY_HEADER, header)
    }

    /// The older form of App Service, and Cloud Shell, which has no secret.
    fn msi(&self, url: &str, resource: &str) -> Result<Ask, CredentialError> {
        let names = Names {
            client: "clientid",
            object: "object_id",
            resource: "mi_res_id",
        };
        let Some(secret) = self.environment.get("MSI_SECRET") else {
            let mut form = Form::default();
            form.set("resource", resource);
            return Ok(Ask::form(WHO, url, form).plain(METADATA, "true").nearby());
        };
        let url = self.url(url, "2017-09-01", resource, &names);
        Ask::get(WHO, url).nearby().secret(SECRET, &secret)
    }

    /// A virtual machine, or a pod behind the same address.
    fn machine(&self, resource: &str) -> Ask {
        let names = Names {
            client: "client_id",
            object: "object_id",
            resource: "msi_res_id",
        };
        let base = self.environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        let base = base.unwrap_or_else(|| IMDS.to_owned());
        let url = format!("{}/metadata/identity/oauth2/token", base.trim_end_matches('/'));
        let url = self.url(&url, "2018-02-01", resource, &names);
        Ask::get(WHO, url).plain(METADATA, "true").nearby()
    }

    /// A server joined by Azure Arc: it names a file that only this machine's services can read.
    async fn arc(
        &self,
        client: &Client,
        url: &str,
        resource: &str,
    ) -> Result<Issued<Token>, CredentialError> {
        let names = Names {
            client: "client_id",
            object: "object_id",
            resource: "msi_res_id",
        };
        let url = self.url(url, "2020-06-01", resource, &names);
        let first = Ask::get(WHO, url.as_str()).plain(METADATA, "true").nearby();
        let reply = first.send(client).await?;
        let challenge = reply
            .headers
            .get(WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok());
        let path = challenge.and_then(|value| value.strip_prefix("Basic realm="));
        let (StatusCode::UNAUTHORIZED, Some(path)) = (reply.status, path) else {
            return Err(reply.refusal());
        };
        let path = Path::new(path.trim_matches('"'));
        // Only the agent's own folder: a service that is not the agent must not have us read other files.
        let folder = Path::new("/var/opt/azcmagent/tokens");
        if path.parent() != Some(folder) || path.extension().is_none_or(|extension| extension != "key") {
            return Err(CredentialError::invalid(
                "Azure Arc names a key file outside of its agent's folder",
            ));
        }
        let secret = environment::read_token(path, "the key file of Azure Arc").await?;
        let second = Ask::get(WHO, url)
            .plain(METADATA, "true")
            .nearby()
            .secret(AUTHORIZATION, &format!("Basic {secret}"))?;
        bearer::issued(&second.send(client).await?, WHO, Wanted::Access)
    }

    fn url(&self, base: &str, version: &str, resource: &str, names: &Names) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("api-version", version);
        query.append_pair("resource", resource);
        let given = [
            (names.client, &self.named.client_id),
            (names.object, &self.named.object_id),
            (names.resource, &self.named.resource_id),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let mark = if base.contains('?') { '&' } else { '?' };
        format!("{base}{mark}{}", query.finish())
    }
}

fn explain(error: CredentialError) -> CredentialError {
    if error.kind() != CredentialErrorKind::Unreachable {
        return error;
    }
    error.within("no Azure credentials: neither configured nor in the environment, and")
}
