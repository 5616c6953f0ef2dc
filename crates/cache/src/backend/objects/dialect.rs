//! How buckets are spoken to: where an object is, how they are listed, and what a request must say.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pointsman_upstream::config::{AwsConfig, EntraConfig, GcpConfig};
use pointsman_upstream::{AuthConfig, AuthStyle, Environment};
use url::Url;

use super::super::BackendConfigError;
use super::super::service::Address;
use crate::key::CacheKey;

/// Objects of one page of a list.
const PAGE: usize = 1_000;
/// The version of Azure's API that is spoken.
const AZURE_VERSION: &str = "2023-11-03";
/// What Azure's tokens are for.
const AZURE_SCOPE: &str = "https://storage.azure.com/.default";

/// Whose API it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon's, and of many who do as Amazon does.
    S3,
    /// Google's XML API: as Amazon's, with other credentials.
    Google,
    Azure,
}

/// Where entries are.
#[derive(Clone)]
pub struct BucketAddress {
    pub(super) dialect: Dialect,
    pub(super) service: Address,
    /// The path of the bucket; empty where the host names it.
    bucket: String,
    /// What names of entries begin with.
    prefix: String,
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Entries, with their bytes.
    pub objects: Vec<(CacheKey, u64)>,
    /// From where the list goes on.
    pub next: Option<String>,
}

impl Dialect {
    /// The one of a scheme.
    pub fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
    }

    /// As metrics tell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "google-storage",
            Self::Azure => "azure-blob",
        }
    }

    /// Puts on a request what it must say beside its credential.
    pub fn mark(self, method: &Method, headers: &mut HeaderMap) {
        if self != Self::Azure {
            return;
        }
        let mut put = |name: &'static str, value: HeaderValue| {
            headers.insert(HeaderName::from_static(name), value);
        };
        put("x-ms-version", HeaderValue::from_static(AZURE_VERSION));
        let date = jiff::Timestamp::now()
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        if let Ok(date) = HeaderValue::try_from(date) {
            put("x-ms-date", date);
        }
        if *method == Method::PUT {
            put("x-ms-blob-type", HeaderValue::from_static("BlockBlob"));
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::S3 => "s3://BUCKET/PREFIX?region=REGION",
            Self::Google => "gs://BUCKET/PREFIX",
            Self::Azure => "az://ACCOUNT/CONTAINER/PREFIX",
        }
    }
}

impl BucketAddress {
    /// Reads `s3://BUCKET/PREFIX?endpoint=URL&region=REGION`, `gs://BUCKET/PREFIX?endpoint=URL` or
    /// `az://ACCOUNT/CONTAINER/PREFIX?endpoint=URL`.
    pub fn read(dialect: Dialect, url: &str, auth: &AuthConfig) -> Result<Self, BackendConfigError> {
        let wrong = |message: &str| BackendConfigError(message.to_owned());
        let form = || wrong(&format!("names no bucket; write {}", dialect.form()));
        let parsed = Url::parse(url).map_err(|_| form())?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("holds keys; give them under `auth`"));
        }
        let host = parsed.host_str().filter(|host| is_plain(host)).ok_or_else(form)?;
        let mut path: Vec<&str> = parsed.path().split('/').filter(|part| !part.is_empty()).collect();
        if !path.iter().all(|part| is_plain(part)) {
            return Err(wrong(
                "has a prefix with letters other than a-z, A-Z, 0-9, -, _ and .",
            ));
        }
        let (mut endpoint, mut region) = (None, None);
        for (name, value) in parsed.query_pairs() {
            match &*name {
                "endpoint" => endpoint = Some(value.into_owned()),
                "region" if dialect == Dialect::S3 => region = Some(value.into_owned()),
                _ => return Err(wrong("has an unknown setting; see docs/cache.md")),
            }
        }
        let own = |bucket: &str| format!("/{bucket}");
        let (address, bucket) = match dialect {
            Dialect::S3 => {
                let said = region.or_else(|| auth.aws.as_ref().and_then(|aws| aws.region.clone()));
                let environment = || Environment::process().first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
                let known = said.or_else(environment);
                let known = known.ok_or_else(|| wrong("names no region; add ?region=REGION"))?;
                let address = match endpoint {
                    // With an endpoint of its own the bucket is in the path: what stands in for S3 seldom has a name for each.
                    Some(endpoint) => (endpoint, own(host)),
                    None => (format!("https://{host}.s3.{known}.amazonaws.com"), String::new()),
                };
                region = Some(known);
                address
            }
            Dialect::Google => {
                let usual = || "https://storage.googleapis.com".to_owned();
                (endpoint.unwrap_or_else(usual), own(host))
            }
            Dialect::Azure => {
                if path.is_empty() {
                    return Err(form());
                }
                let usual = || format!("https://{host}.blob.core.windows.net");
                (endpoint.unwrap_or_else(usual), own(path.remove(0)))
            }
        };
        let mut prefix = path.join("/");
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let auth = with_usual(dialect, auth, region);
        Ok(Self {
            dialect,
            service: Address::of(&address, &auth, &AuthStyle::Bearer)?,
            bucket,
            prefix,
        })
    }

    /// The path of an entry.
    pub(super) fn object(&self, key: CacheKey) -> String {
        format!("{}/{}{}", self.bucket, self.prefix, key.hex())
    }

    /// The path of a page of the list.
    pub(super) fn list(&self, after: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let from = match self.dialect {
            Dialect::S3 | Dialect::Google => {
                query.append_pair("list-type", "2");
                query.append_pair("max-keys", &PAGE.to_string());
                "continuation-token"
            }
            Dialect::Azure => {
                query.append_pair("restype", "container");
                query.append_pair("comp", "list");
                query.append_pair("maxresults", &PAGE.to_string());
                "marker"
            }
        };
        if !self.prefix.is_empty() {
            query.append_pair("prefix", &self.prefix);
        }
        if let Some(after) = after {
            query.append_pair(from, after);
        }
        let slash = if self.bucket.is_empty() { "/" } else { "" };
        // A signature takes a plus for one.
        format!("{}{slash}?{}", self.bucket, query.finish().replace('+', "%20"))
    }

    /// What a page of the list says. Objects that are no entries are not told.
    pub(super) fn listed(&self, text: &str) -> Listed {
        let (item, name, size, next) = match self.dialect {
            Dialect::S3 | Dialect::Google => ("Contents", "Key", "Size", "NextContinuationToken"),
            Dialect::Azure => ("Blob", "Name", "Content-Length", "NextMarker"),
        };
        let inside = |text: &str, tag: &str| {
            between(text, &format!("<{tag}>"), &format!("</{tag}>")).map(str::to_owned)
        };
        let mut objects = Vec::new();
        let (open, close) = (format!("<{item}>"), format!("</{item}>"));
        let mut rest = text;
        while let Some((_, behind)) = rest.split_once(&open) {
            let (one, behind) = behind.split_once(&close).unwrap_or((behind, ""));
            rest = behind;
            let key = inside(one, name).and_then(|name| {
                let name = name.strip_prefix(&self.prefix)?.to_owned();
                CacheKey::from_hex(&name)
            });
            let bytes = inside(one, size).and_then(|size| size.parse().ok());
            objects.extend(key.zip(bytes));
        }
        let next = inside(text, next).filter(|next| !next.is_empty());
        Listed {
            objects,
            next: next.map(|next| {
                next.replace("&amp;", "&")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
            }),
        }
    }
}

/// What stands between two texts.
pub(super) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let behind = text.split_once(before)?.1;
    behind.split_once(after).map(|(inside, _)| inside)
}

/// The credential of a cloud as it usually is, where nothing is said of it.
fn with_usual(dialect: Dialect, auth: &AuthConfig, region: Option<String>) -> AuthConfig {
    let mut auth = auth.clone();
    let is_silent = AuthConfig {
        client_certificate: auth.client_certificate.clone(),
        ..AuthConfig::default()
    } == auth;
    match dialect {
        Dialect::S3 if is_silent => auth.aws = Some(AwsConfig::default()),
        Dialect::Google if is_silent => auth.gcp = Some(GcpConfig::default()),
        Dialect::Azure if is_silent => auth.entra = Some(EntraConfig::default()),
        _ => {}
    }
    if let Some(aws) = &mut auth.aws
        && dialect == Dialect::S3
    {
        aws.service.get_or_insert_with(|| "s3".to_owned());
        aws.region = region.or_else(|| aws.region.take());
    }
    if let Some(entra) = &mut auth.entra
        && dialect == Dialect::Azure
    {
        entra.scope.get_or_insert_with(|| AZURE_SCOPE.to_owned());
    }
    auth
}

/// Whether it can stand in a path as it is, and names no other place.
fn is_plain(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
