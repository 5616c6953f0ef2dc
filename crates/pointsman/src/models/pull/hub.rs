//! The hub's API: which files a model has at a revision, and their bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, RANGE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use pointsman_upstream::{
    Client, ClientOptions, Endpoint, EndpointConfig, HealthConfig, Timeouts, UpstreamBody, UpstreamConfig,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::cache::{Cache, Hash};

/// Bytes of a list of files, at most.
const MAX_LIST: usize = 16 << 20;
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Times that a file is gone on with after its transfer broke off.
const TRIES: usize = 4;
/// How long is waited.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(20),
    first_byte: Duration::from_secs(60),
    between_chunks: Duration::from_secs(60),
    total: Duration::from_secs(6 * 60 * 60),
};

/// The hub.
pub(super) struct Hub {
    client: Client,
    base: String,
    token: Option<SecretString>,
}

/// A model at a commit.
pub(super) struct Commit {
    /// The commit.
    pub(super) commit: String,
    /// Its files.
    pub(super) files: Vec<Listed>,
}

/// A file.
pub(super) struct Listed {
    /// Its name in the repository.
    pub(super) name: String,
    /// Its bytes.
    pub(super) size: u64,
    /// What it must have.
    pub(super) hash: Hash,
}

#[derive(Deserialize)]
struct Told {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: u64,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    #[serde(default)]
    size: u64,
}

impl Hub {
    /// At an address, with a token.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub(super) fn new(base: &str, token: Option<SecretString>) -> Result<Self, String> {
        let options =
            ClientOptions::compile(&UpstreamConfig::default()).map_err(|error| error.to_string())?;
        let base = base.trim_end_matches('/').to_owned();
        split(&base).ok_or_else(|| format!("HF_ENDPOINT {base:?} is no address"))?;
        Ok(Self {
            client: Client::new(options),
            base,
            token,
        })
    }

    /// The files of a model at a revision.
    ///
    /// # Errors
    ///
    /// If it is not there, may not be seen, or the answer makes no sense.
    pub(super) async fn list(&self, repo: &str, revision: &str) -> Result<Commit, String> {
        let revision = revision.replace('/', "%2F");
        let url = format!("{}/api/models/{repo}/revision/{revision}?blobs=true", self.base);
        let response = self.get(&url, 0).await?;
        if !response.status().is_success() {
            return Err(self.refused(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_LIST).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let told: Told = serde_json::from_slice(&body)
            .map_err(|error| format!("the hub's answer makes no sense: {error}"))?;
        if !matches!(Hash::read(&told.sha), Some(Hash::Git(_))) {
            return Err(format!("the hub names a commit {:?}, which is none", told.sha));
        }
        let files = told.siblings.into_iter().map(|sibling| {
            let (digits, size) = match &sibling.lfs {
                Some(lfs) => (Some(lfs.sha256.as_str()), lfs.size.max(sibling.size)),
                None => (sibling.blob_id.as_deref(), sibling.size),
            };
            let hash = digits
                .and_then(Hash::read)
                .ok_or_else(|| format!("the hub tells no hash of {}", sibling.rfilename))?;
            Ok(Listed {
                name: sibling.rfilename,
                size,
                hash,
            })
        });
        Ok(Commit {
            commit: told.sha,
            files: files.collect::<Result<_, String>>()?,
        })
    }

    /// Fetches a file into the cache, going on where an earlier transfer broke off; how many bytes it has.
    ///
    /// # Errors
    ///
    /// If it does not come, or is not what the hub said.
    pub(super) async fn download(
        &self,
        (repo, commit): (&str, &str),
        file: &Listed,
        cache: &Cache,
    ) -> Result<u64, String> {
        let url = format!("{}/{repo}/resolve/{commit}/{}", self.base, escaped(&file.name));
        let mut fetching = cache.fetch(file)?;
        let mut last = String::new();
        for _ in 0..TRIES {
            if fetching.there > file.size {
                fetching.restart()?;
            }
            if fetching.there < file.size || file.size == 0 {
                let response = self.get(&url, fetching.there).await?;
                match response.status() {
                    StatusCode::PARTIAL_CONTENT => {}
                    // It comes from the beginning, whatever was asked.
                    status if status.is_success() => fetching.restart()?,
                    status => return Err(format!("{}: {}", file.name, self.refused(status))),
                }
                let mut body = response.into_body();
                let mut broken = false;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => {
                            if let Some(bytes) = frame.data_ref() {
                                if fetching.there + bytes.len() as u64 > file.size {
                                    return Err(format!("{}: more comes than the hub said", file.name));
                                }
                                fetching.write(bytes)?;
                            }
                        }
                        Err(error) => {
                            last = error.to_string();
                            broken = true;
                            break;
                        }
                    }
                }
                if broken || fetching.there < file.size {
                    continue;
                }
            }
            return cache.keep(file, fetching);
        }
        Err(format!(
            "{}: {last}; {} of {} bytes are kept, and the next pull goes on from there",
            file.name, fetching.there, file.size
        ))
    }

    /// Asks, and follows where it leads. The token goes to the hub alone.
    async fn get(&self, url: &str, from: u64) -> Result<Response<UpstreamBody>, String> {
        let mut url = url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let (origin, path) = split(&url).ok_or_else(|| "the hub leads to no address".to_owned())?;
            let endpoint = Endpoint::new(&EndpointConfig::new(origin), &HealthConfig::default())
                .map_err(|error| error.to_string())?;
            let response = self.send(&endpoint, path, from, origin == self.origin()).await?;
            let leads = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            match leads {
                Some(next) if response.status().is_redirection() => {
                    url = match next.starts_with('/') {
                        true => format!("{origin}{next}"),
                        false => next.to_owned(),
                    };
                }
                _ => return Ok(response),
            }
        }
        Err("the hub redirects too often".to_owned())
    }

    async fn send(
        &self,
        endpoint: &Arc<Endpoint>,
        path: &str,
        from: u64,
        with_token: bool,
    ) -> Result<Response<UpstreamBody>, String> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = endpoint.uri(path).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))),
        );
        if from > 0 {
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            headers.insert(RANGE, range.map_err(|error| error.to_string())?);
        }
        if let Some(token) = self.token.as_ref().filter(|_| with_token) {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
                .map_err(|_| "HF_TOKEN is no token".to_owned())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let sent = self.client.send(endpoint, request, &TIMEOUTS).await;
        sent.map_err(|error| error.to_string())
    }

    fn origin(&self) -> &str {
        split(&self.base).map_or("", |(origin, _)| origin)
    }

    fn refused(&self, status: StatusCode) -> String {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.token.is_some() => {
                format!("the hub answered {status}: HF_TOKEN may not see it")
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("the hub answered {status}: it is not there, or only for those who set HF_TOKEN")
            }
            StatusCode::NOT_FOUND => "the hub has no such model or revision".to_owned(),
            _ => format!("the hub answered {status}"),
        }
    }
}

/// Origin and path of an address.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let scheme = url.len() - rest.len();
    let end = rest.find('/').map_or(url.len(), |place| scheme + place);
    let (origin, path) = url.split_at(end);
    (origin.len() > scheme).then_some((origin, if path.is_empty() { "/" } else { path }))
}

/// A name as it stands in a path.
fn escaped(name: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(name, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        assert_eq!(split("http://h:1/a/b?c"), Some(("http://h:1", "/a/b?c")));
        assert_eq!(split("https://h"), Some(("https://h", "/")));
        assert!(split("ftp://h").is_none() && split("https://").is_none());
        assert_eq!(escaped("a b/c.json"), "a%20b/c.json");
    }
}
