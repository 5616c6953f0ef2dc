//! Who issues tokens for a server: what it says of itself (RFC 9728), what its authorization server says of itself (RFC
//! 8414, OpenID Connect Discovery), and what of both is believed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use pointsman_upstream::{Client, FetchBounds, fetch_document};
use serde::Deserialize;
use url::Url;

use super::OAuthConfig;

/// Where a resource describes itself.
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// Where authorization servers do.
const SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
/// How long one document is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of a document that are looked at.
const MAX_DOCUMENT: usize = 256 * 1024;

/// What a server says that refuses a request (RFC 6750, RFC 9728).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Where it describes itself.
    pub(crate) metadata: Option<String>,
    /// Scopes that are needed.
    pub(crate) scopes: Vec<String>,
    /// What is wrong.
    pub(crate) error: Option<String>,
}

impl Challenge {
    /// Reads it from the headers of a response.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut challenge = Self::default();
        for value in headers.get_all(header::WWW_AUTHENTICATE) {
            let Ok(text) = value.to_str() else { continue };
            let Some(rest) = bearer(text) else { continue };
            for (name, value) in parameters(rest) {
                match name.to_ascii_lowercase().as_str() {
                    "resource_metadata" => challenge.metadata = Some(value),
                    "scope" => challenge.scopes = value.split_whitespace().map(str::to_owned).collect(),
                    "error" => challenge.error = Some(value),
                    _ => {}
                }
            }
        }
        challenge
    }
}

/// The parameters of the first Bearer challenge of a header.
fn bearer(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("bearer").map(|at| at + from) {
        let before = lower[..at].trim_end();
        let after = &text[at + "bearer".len()..];
        if (before.is_empty() || before.ends_with(',')) && after.starts_with([' ', '\t']) {
            return Some(after);
        }
        from = at + "bearer".len();
    }
    None
}

/// Parameters until the next scheme begins.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        let Some((name, rest)) = text.split_once('=') else {
            return found;
        };
        let name = name.trim();
        if name.is_empty() || name.contains([' ', '\t', '"']) {
            return found;
        }
        let rest = rest.trim_start();
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = rest.find([',', ' ', '\t']).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        found.push((name.to_owned(), value));
        text = after;
    }
}

/// A quoted text, and what is behind it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

/// What a resource says of itself.
#[derive(Debug, Default, Deserialize)]
struct Resource {
    resource: Option<String>,
    #[serde(default)]
    authorization_servers: Vec<String>,
    scopes_supported: Option<Vec<String>>,
}

/// What an authorization server says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
    pub(crate) registration_endpoint: Option<String>,
    pub(crate) revocation_endpoint: Option<String>,
    pub(crate) scopes_supported: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(crate) code_challenge_methods_supported: Option<Vec<String>>,
    pub(crate) client_id_metadata_document_supported: bool,
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

/// Who issues tokens for a server.
#[derive(Debug, Clone)]
pub(crate) struct Discovered {
    /// What the server calls itself: this is what a token is asked for.
    pub(crate) resource: String,
    /// Scopes that it knows.
    pub(crate) scopes: Option<Vec<String>>,
    /// The authorization server.
    pub(crate) server: Metadata,
}

/// Looks for whoever issues tokens for the server at `url`; `said` is where it says that it describes itself.
///
/// # Errors
/// Why nobody is found who may be asked.
pub(crate) async fn discover(
    client: &Client,
    (url, said): (&str, Option<&str>),
    config: &OAuthConfig,
) -> Result<Discovered, String> {
    let here = Url::parse(url).map_err(|error| error.to_string())?;
    let reach = Reach::of(&here, config);
    let resource = match said {
        Some(place) => {
            let found = reach.document(client, "the server", place).await?;
            Some(read::<Resource>(&found).ok_or("what the server says of itself makes no sense")?)
        }
        None => {
            let mut found = None;
            for place in described_at(&here) {
                let document = reach.document(client, "the server", &place).await.ok();
                found = document.and_then(|document| read::<Resource>(&document));
                if found.is_some() {
                    break;
                }
            }
            found
        }
    };
    let resource = resource.unwrap_or_default();
    let name = match &resource.resource {
        Some(name) if is_same_resource(name, &here) => name.clone(),
        Some(name) => {
            return Err(format!(
                "the server says that it is {name:?}: tokens for that are not asked for on its behalf"
            ));
        }
        None => canonical(&here),
    };
    // Older servers say nothing of themselves, and issue their tokens where they are.
    let own = here.origin().ascii_serialization();
    let issuers = resource.authorization_servers.iter().map(String::as_str);
    let issuers: Vec<&str> = issuers
        .chain(resource.authorization_servers.is_empty().then_some(own.as_str()))
        .collect();
    let issuer = match &config.issuer {
        None => issuers[0],
        Some(only) => issuers
            .into_iter()
            .find(|issuer| is_same(issuer, only))
            .ok_or_else(|| {
                format!("the server does not name {only}, the only issuer that is asked (`oauth.issuer`)")
            })?,
    };
    let server = authorization_server(client, &reach, issuer).await?;
    for endpoint in [
        &server.authorization_endpoint,
        &server.token_endpoint,
        &server.registration_endpoint,
    ]
    .into_iter()
    .flatten()
    {
        reach.vet(client, endpoint).await?;
    }
    Ok(Discovered {
        resource: name,
        scopes: resource.scopes_supported,
        server,
    })
}

/// Where an authorization server revokes tokens (RFC 7009), if it says so.
///
/// # Errors
/// When that leads where nobody may be asked.
pub(crate) async fn revocation_endpoint<'a>(
    client: &Client,
    (url, config): (&str, &OAuthConfig),
    server: &'a Metadata,
) -> Result<Option<&'a str>, String> {
    let Some(endpoint) = server.revocation_endpoint.as_deref() else {
        return Ok(None);
    };
    let here = Url::parse(url).map_err(|error| error.to_string())?;
    Reach::of(&here, config).vet(client, endpoint).await?;
    Ok(Some(endpoint))
}

async fn authorization_server(client: &Client, reach: &Reach, issuer: &str) -> Result<Metadata, String> {
    let mut why = format!("{issuer} says nothing of itself");
    for place in places(issuer) {
        let document = match reach.document(client, "the authorization server", &place).await {
            Ok(document) => document,
            Err(error) => {
                tracing::debug!(place, error, "nothing is said of an authorization server here");
                continue;
            }
        };
        match read::<Metadata>(&document) {
            // RFC 8414, section 3.3: whoever describes itself as somebody else is not believed.
            Some(said) if is_same(&said.issuer, issuer) => return Ok(said),
            Some(said) => why = format!("{issuer} says that it is {:?}", said.issuer),
            None => why = format!("what {issuer} says of itself makes no sense"),
        }
    }
    Err(why)
}

fn read<T: for<'a> Deserialize<'a>>(document: &Bytes) -> Option<T> {
    serde_json::from_slice(document).ok()
}

/// How far what others name may lead.
struct Reach(FetchBounds);

impl Reach {
    /// Encrypted and public, but for the server's own host and what the operator names.
    fn of(here: &Url, config: &OAuthConfig) -> Self {
        let own = here.host_str().map(str::to_owned);
        Self(FetchBounds {
            max_bytes: MAX_DOCUMENT,
            timeout: PATIENCE,
            plain_http: here.scheme() == "http",
            private_hosts: own.into_iter().chain(config.hosts.iter().cloned()).collect(),
        })
    }

    async fn vet(&self, client: &Client, url: &str) -> Result<(), String> {
        let vetted = client.vet(url, &self.0).await;
        vetted.map_err(|error| format!("{url} is not asked: {error} (`oauth.hosts`)"))
    }

    async fn document(&self, client: &Client, who: &str, url: &str) -> Result<Bytes, String> {
        self.vet(client, url).await?;
        let fetching = tokio::time::timeout(PATIENCE, fetch_document(client, who, url));
        match fetching.await {
            Ok(Ok(document)) if document.len() <= MAX_DOCUMENT => Ok(document),
            Ok(Ok(_)) => Err(format!("{url} is larger than {MAX_DOCUMENT} bytes")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("{url} did not answer in time")),
        }
    }
}

/// Where a server may describe itself: below its path, or at its root.
fn described_at(here: &Url) -> Vec<String> {
    let path = here.path().trim_end_matches('/');
    let at = |path: String| {
        let mut place = here.clone();
        place.set_path(&path);
        place.set_query(None);
        place.set_fragment(None);
        place.to_string()
    };
    let mut places = vec![at(format!("{RESOURCE}{path}"))];
    if !path.is_empty() {
        places.push(at(RESOURCE.to_owned()));
    }
    places
}

/// Where an authorization server may describe itself.
#[must_use]
pub fn places(issuer: &str) -> Vec<String> {
    let Ok(url) = Url::parse(issuer) else {
        return Vec::new();
    };
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut place = url.clone();
        place.set_path(&path);
        place.to_string()
    };
    let mut places = vec![at(format!("{SERVER}{path}")), at(format!("{OPENID}{path}"))];
    if !path.is_empty() {
        places.push(at(format!("{path}{OPENID}")));
    }
    places
}

/// Whether two issuers are the same.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Whether what a server calls itself is where it is asked, or above it.
fn is_same_resource(name: &str, here: &Url) -> bool {
    let Ok(said) = Url::parse(name) else { return false };
    let above = said.path().trim_end_matches('/');
    let below = here.path().trim_end_matches('/');
    said.origin() == here.origin()
        && below
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name of a server that says none.
fn canonical(here: &Url) -> String {
    let mut name = here.clone();
    name.set_fragment(None);
    name.set_query(None);
    name.to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn challenge(text: &'static str) -> Challenge {
        let mut headers = HeaderMap::new();
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
        Challenge::read(&headers)
    }

    #[test]
    fn a_challenge_is_read_however_it_is_written() {
        let full = challenge(
            r#"Bearer error="insufficient_scope", scope="a b",resource_metadata="https://x/p", error_description="no \"way\", at all""#,
        );
        assert_eq!(full.metadata.as_deref(), Some("https://x/p"));
        assert_eq!(full.scopes, ["a", "b"]);
        assert_eq!(full.error.as_deref(), Some("insufficient_scope"));
        let other = challenge(r#"Basic realm="bearer x", bearer Scope=a, Digest realm="r""#);
        assert_eq!(other.scopes, ["a"]);
        assert_eq!(other.metadata, None);
        assert_eq!(challenge("Bearer"), Challenge::default());
        assert_eq!(challenge(r#"Bearer scope="a"#).scopes, ["a"]);
        assert_eq!(challenge(r#"Basic realm="x""#), Challenge::default());
    }

    #[test]
    fn servers_are_looked_for_where_they_may_describe_themselves() {
        let here = Url::parse("https://s.example.com/a/mcp?x=1").unwrap();
        assert_eq!(
            described_at(&here),
            [
                "https://s.example.com/.well-known/oauth-protected-resource/a/mcp",
                "https://s.example.com/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            places("https://id.example.com/t"),
            [
                "https://id.example.com/.well-known/oauth-authorization-server/t",
                "https://id.example.com/.well-known/openid-configuration/t",
                "https://id.example.com/t/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            places("https://id.example.com/t/"),
            places("https://id.example.com/t")
        );
        assert_eq!(places("https://id.example.com").len(), 2);
    }

    #[test]
    fn a_server_is_nobody_else() {
        let here = Url::parse("https://s.example.com/a/mcp").unwrap();
        for (name, expected) in [
            ("https://s.example.com/a/mcp", true),
            ("https://s.example.com/a/mcp/", true),
            ("https://s.example.com/a", true),
            ("https://s.example.com", true),
            ("https://s.example.com/a/m", false),
            ("https://s.example.com/b", false),
            ("https://s.example.com:8443/a/mcp", false),
            ("http://s.example.com/a/mcp", false),
            ("https://evil.example.com/a/mcp", false),
            ("mcp", false),
        ] {
            assert_eq!(is_same_resource(name, &here), expected, "{name}");
        }
        assert_eq!(canonical(&here), "https://s.example.com/a/mcp");
    }
}
