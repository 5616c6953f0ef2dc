//! Blobs in a bucket of S3, or of whatever speaks like it.
//!
//! Large files go up in parts, one at a time, so that no more than a part is in memory. Requests are signed by the
//! same signer as those to providers, with the keys of the usual AWS chain.

mod request;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pointsman_upstream::config::AwsConfig;
use pointsman_upstream::{
    AuthConfig, AuthStyle, Client, Credential, Endpoint, EndpointConfig, Environment, HealthConfig,
};
use tokio::io::AsyncReadExt;
use url::Url;

use super::{BlobError, BlobReader, BlobStore, BlobUrlError, Doing};

/// Bytes of a part: S3 takes none smaller (but the last), and at most ten thousand.
const PART: u64 = 16 * 1024 * 1024;
const SETTINGS: [&str; 2] = ["endpoint", "region"];

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    endpoint: Arc<Endpoint>,
    credential: Credential,
    /// What stands before a blob's name: `/`, the bucket where the host does not name it, the prefix.
    prefix: String,
}

impl Bucket {
    /// Reads `s3://BUCKET/PREFIX?endpoint=URL&region=REGION`.
    pub(super) fn compile(url: &str, environment: &Environment) -> Result<Self, BlobUrlError> {
        let wrong = |message: String| BlobUrlError(message);
        let parsed = Url::parse(url).map_err(|error| wrong(format!("is not a URL: {error}")))?;
        let bucket = parsed.host_str().unwrap_or_default();
        if !is_plain(bucket) {
            return Err(wrong(
                "names no bucket; write s3://BUCKET/PREFIX?region=REGION".to_owned(),
            ));
        }
        let prefix = parsed.path().trim_matches('/');
        if !prefix.split('/').all(|part| prefix.is_empty() || is_plain(part)) {
            return Err(wrong(
                "has a prefix with letters other than a-z, A-Z, 0-9, -, _ and .".to_owned(),
            ));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong(
                "holds keys; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile or role"
                    .to_owned(),
            ));
        }
        if let Some((name, _)) = parsed
            .query_pairs()
            .find(|(name, _)| !SETTINGS.contains(&name.as_ref()))
        {
            return Err(wrong(format!(
                "has an unknown setting {name:?}; known are endpoint and region"
            )));
        }
        let said = |name: &str| {
            let value = parsed.query_pairs().find(|(key, _)| key == name);
            value.map(|(_, value)| value.into_owned())
        };
        let region = said("region").or_else(|| environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.ok_or_else(|| wrong("names no region; add ?region=REGION".to_owned()))?;
        // With an endpoint of its own the bucket is in the path: what stands in for S3 seldom has a name for each.
        let (address, prefix) = match said("endpoint") {
            Some(endpoint) => (endpoint, [bucket, prefix].join("/")),
            None => (
                format!("https://{bucket}.s3.{region}.amazonaws.com"),
                prefix.to_owned(),
            ),
        };
        let prefix = prefix.trim_matches('/');
        let auth = AuthConfig {
            aws: Some(AwsConfig {
                region: Some(region),
                service: Some("s3".to_owned()),
                ..AwsConfig::default()
            }),
            ..AuthConfig::default()
        };
        Ok(Self {
            endpoint: Endpoint::new(&EndpointConfig::new(address), &HealthConfig::default())
                .map_err(|error| wrong(format!("has an endpoint that makes no sense: {error}")))?,
            credential: Credential::compile_with(&auth, &AuthStyle::Bearer, environment)
                .map_err(|error| wrong(error.to_string()))?,
            prefix: if prefix.is_empty() {
                "/".to_owned()
            } else {
                format!("/{prefix}/")
            },
        })
    }

    async fn put(&self, client: &Client, name: &str, staged: &Path) -> Result<(), BlobError> {
        let mut file = tokio::fs::File::open(staged).await?;
        let length = file.metadata().await?.len();
        if length <= PART {
            let body = part(&mut file, length).await?;
            self.ask(client, Method::PUT, (name, ""), body).await?;
        } else {
            let upload = self.begin(client, name).await?;
            let parts = self.parts(client, (name, &upload), &mut file, length).await;
            let done = match parts {
                Ok(parts) => self.complete(client, (name, &upload), &parts).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                // Parts of an upload that is not completed are paid for until it is given up.
                let query = format!("?uploadId={upload}");
                let _ = self
                    .ask(client, Method::DELETE, (name, &query), Bytes::new())
                    .await;
                return Err(error);
            }
        }
        tokio::fs::remove_file(staged).await?;
        Ok(())
    }

    /// Begins an upload in parts; says its id.
    async fn begin(&self, client: &Client, name: &str) -> Result<String, BlobError> {
        let answer = self
            .ask(client, Method::POST, (name, "?uploads="), Bytes::new())
            .await?;
        let text = answer.text().await?;
        let id = between(&text, "<UploadId>", "</UploadId>");
        let id = id.ok_or_else(|| BlobError::Bucket("an upload in parts was given no id".to_owned()))?;
        Ok(url::form_urlencoded::byte_serialize(id.as_bytes()).collect())
    }

    /// Sends the parts; gives their tags.
    async fn parts(
        &self,
        client: &Client,
        (name, upload): (&str, &str),
        file: &mut tokio::fs::File,
        length: u64,
    ) -> Result<Vec<String>, BlobError> {
        let mut tags = Vec::new();
        let mut left = length;
        while left > 0 {
            let body = part(file, left.min(PART)).await?;
            left -= body.len() as u64;
            let query = format!("?partNumber={}&uploadId={upload}", tags.len() + 1);
            let answer = self.ask(client, Method::PUT, (name, &query), body).await?;
            let tag = answer.header(&header::ETAG);
            tags.push(tag.ok_or_else(|| BlobError::Bucket("a part was given no tag".to_owned()))?);
        }
        Ok(tags)
    }

    async fn complete(
        &self,
        client: &Client,
        (name, upload): (&str, &str),
        tags: &[String],
    ) -> Result<(), BlobError> {
        let mut body = String::from("<CompleteMultipartUpload>");
        for (index, tag) in tags.iter().enumerate() {
            let tag = tag.replace('&', "&amp;").replace('<', "&lt;");
            body += &format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{tag}</ETag></Part>",
                index + 1
            );
        }
        body += "</CompleteMultipartUpload>";
        let query = format!("?uploadId={upload}");
        let answer = self
            .ask(client, Method::POST, (name, &query), body.into())
            .await?;
        // This one answer may be 200 and an error.
        let text = answer.text().await?;
        if text.contains("<Error>") {
            return Err(BlobError::Bucket(request::told(StatusCode::OK, &text)));
        }
        Ok(())
    }
}

impl BlobStore for Bucket {
    fn put<'a>(&'a self, client: &'a Client, name: &'a str, staged: &'a Path) -> Doing<'a, ()> {
        Box::pin(self.put(client, name, staged))
    }

    fn open<'a>(&'a self, client: &'a Client, name: &'a str) -> Doing<'a, BlobReader> {
        Box::pin(async move {
            let answer = self.ask(client, Method::GET, (name, ""), Bytes::new()).await?;
            let length = answer.header(&header::CONTENT_LENGTH);
            let length = length.and_then(|length| length.parse().ok());
            let length = length.ok_or_else(|| BlobError::Bucket("a blob has no length".to_owned()))?;
            Ok(BlobReader::bucket(answer.into_body(), length))
        })
    }

    fn delete<'a>(&'a self, client: &'a Client, name: &'a str) -> Doing<'a, ()> {
        Box::pin(async move {
            match self.ask(client, Method::DELETE, (name, ""), Bytes::new()).await {
                Ok(_) | Err(BlobError::Missing) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

async fn part(file: &mut tokio::fs::File, length: u64) -> std::io::Result<Bytes> {
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes).await?;
    Ok(bytes.into())
}

/// What stands between two texts.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(inside, _)| inside)
}

/// Whether it can stand in a path as it is, and names no other place.
fn is_plain(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
