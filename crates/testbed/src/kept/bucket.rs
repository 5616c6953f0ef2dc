//! A bucket: objects by name, listed in pages of three.

use std::collections::BTreeMap;

use super::{Asked, KEPT_ACCESS_KEY, KEPT_BUCKET, KEPT_KEY, KEPT_REGION, KEPT_SECRET, KeptKind, Told};
use crate::bedrock::signature::{hex, hmac, sha256};

/// Objects of a page, however many are asked for.
const PAGE: usize = 3;

/// What is in it.
#[derive(Default)]
pub(super) struct Bucket(BTreeMap<String, Vec<u8>>);

fn refuse(status: u16, code: &str) -> Told {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
    (status, body.into_bytes())
}

impl Bucket {
    pub(super) fn answer(&mut self, kind: KeptKind, asked: &Asked) -> Told {
        if let Err(refusal) = authorize(kind, asked) {
            return refusal;
        }
        let inside = asked.path.strip_prefix('/').unwrap_or(&asked.path);
        let (bucket, name) = inside.split_once('/').unwrap_or((inside, ""));
        if bucket != KEPT_BUCKET {
            let code = if kind == KeptKind::Azure {
                "ContainerNotFound"
            } else {
                "NoSuchBucket"
            };
            return refuse(404, code);
        }
        if name.is_empty() {
            return self.list(kind, asked);
        }
        if !asked.query.is_empty() {
            return refuse(400, "InvalidArgument");
        }
        match asked.method.as_str() {
            "PUT" => {
                self.0.insert(name.to_owned(), asked.body.to_vec());
                (if kind == KeptKind::Azure { 201 } else { 200 }, Vec::new())
            }
            "GET" => match self.0.get(name) {
                Some(object) => ranged(asked, object),
                None => missing(kind),
            },
            "DELETE" => {
                let was = self.0.remove(name).is_some();
                match kind {
                    // The others say the same whether it was there or not.
                    KeptKind::Azure if !was => missing(kind),
                    KeptKind::Azure => (202, Vec::new()),
                    _ => (204, Vec::new()),
                }
            }
            _ => refuse(405, "MethodNotAllowed"),
        }
    }

    fn list(&self, kind: KeptKind, asked: &Asked) -> Told {
        let settings = asked.settings();
        let said = |name: &str| {
            let found = settings.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let (known, after, most): (&[&str], _, _) = if kind == KeptKind::Azure {
            let known = &["restype", "comp", "maxresults", "prefix", "marker"];
            (known, said("marker"), said("maxresults"))
        } else {
            let known = &["list-type", "max-keys", "prefix", "continuation-token"];
            (known, said("continuation-token"), said("max-keys"))
        };
        let is_list = match kind {
            KeptKind::Azure => said("restype") == Some("container") && said("comp") == Some("list"),
            _ => said("list-type") == Some("2"),
        };
        let is_known = settings.iter().all(|(name, _)| known.contains(&name.as_str()));
        if asked.method != "GET" || !is_list || !is_known {
            return refuse(400, "InvalidArgument");
        }
        let most = most.map_or(Ok(PAGE), str::parse).unwrap_or(0).min(PAGE);
        let prefix = said("prefix").unwrap_or_default();
        let after = after
            .and_then(|token| token.strip_prefix("after&"))
            .unwrap_or_default();
        let mut fitting = self
            .0
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && name.as_str() > after);
        let page: Vec<_> = fitting.by_ref().take(most).collect();
        let last = page.last().map(|(name, _)| name.as_str()).unwrap_or_default();
        let next = fitting.next().map(|_| format!("after&amp;{last}"));
        (200, written(kind, &page, next.as_deref()).into_bytes())
    }
}

fn written(kind: KeptKind, page: &[(&String, &Vec<u8>)], next: Option<&str>) -> String {
    let one = |(name, object): &(&String, &Vec<u8>)| {
        let length = object.len();
        match kind {
            KeptKind::Azure => format!(
                "<Blob><Name>{name}</Name><Properties><Etag>0x1</Etag><Content-Length>{length}</Content-Length></Properties></Blob>"
            ),
            _ => format!(
                "<Contents><Key>{name}</Key><ETag>&quot;1&quot;</ETag><Size>{length}</Size></Contents>"
            ),
        }
    };
    let all: String = page.iter().map(one).collect();
    match (kind, next) {
        (KeptKind::Azure, next) => format!(
            "<EnumerationResults><Blobs>{all}</Blobs><NextMarker>{}</NextMarker></EnumerationResults>",
            next.unwrap_or_default()
        ),
        (_, Some(next)) => format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>{all}</ListBucketResult>"
        ),
        (_, None) => format!("<ListBucketResult><IsTruncated>false</IsTruncated>{all}</ListBucketResult>"),
    }
}

fn missing(kind: KeptKind) -> Told {
    refuse(
        404,
        if kind == KeptKind::Azure {
            "BlobNotFound"
        } else {
            "NoSuchKey"
        },
    )
}

/// An object, or its beginning.
fn ranged(asked: &Asked, object: &[u8]) -> Told {
    let Some(range) = asked.header("range") else {
        return (200, object.to_vec());
    };
    let end = range
        .strip_prefix("bytes=0-")
        .and_then(|end| end.parse::<usize>().ok());
    match end {
        Some(_) if object.is_empty() => refuse(416, "InvalidRange"),
        Some(end) => (206, object[..object.len().min(end + 1)].to_vec()),
        None => refuse(416, "InvalidRange"),
    }
}

fn authorize(kind: KeptKind, asked: &Asked) -> Result<(), Told> {
    if kind == KeptKind::S3 {
        return signed(asked).ok_or_else(|| refuse(403, "SignatureDoesNotMatch"));
    }
    if asked.header("authorization") != Some(&format!("Bearer {KEPT_KEY}")) {
        return Err(refuse(401, "AuthenticationFailed"));
    }
    if kind == KeptKind::Azure {
        let dated = asked.header("x-ms-date").is_some_and(is_now);
        if asked
            .header("x-ms-version")
            .is_none_or(|version| version < "2017-11-09")
            || !dated
        {
            return Err(refuse(400, "MissingRequiredHeader"));
        }
        if asked.method == "PUT" && asked.header("x-ms-blob-type") != Some("BlockBlob") {
            return Err(refuse(400, "MissingRequiredHeader"));
        }
    }
    Ok(())
}

/// Whether it is the time of now, as HTTP writes it.
fn is_now(text: &str) -> bool {
    let Ok(time) = jiff::fmt::rfc2822::parse(text) else {
        return false;
    };
    let apart = jiff::Timestamp::now().as_second() - time.timestamp().as_second();
    text.ends_with(" GMT") && apart.abs() < 300
}

/// Whether the signature is what it should be, computed anew.
fn signed(asked: &Asked) -> Option<()> {
    let said = asked.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| {
        let mut fields = said.split(", ").filter_map(|field| field.split_once('='));
        fields.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let (access, scope) = field("Credential")?.split_once('/')?;
    let date = asked.header("x-amz-date")?;
    let wanted = format!("{}/{KEPT_REGION}/s3/aws4_request", date.get(..8)?);
    let hash = hex(&sha256(&asked.body));
    if access != KEPT_ACCESS_KEY || scope != wanted || asked.header("x-amz-content-sha256") != Some(&hash) {
        return None;
    }
    let mut pairs: Vec<&str> = asked.query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let names = field("SignedHeaders")?;
    let mut text = format!("{}\n{}\n{}\n", asked.method, asked.path, pairs.join("&"));
    for name in names.split(';') {
        text += &format!("{name}:{}\n", asked.header(name)?);
    }
    text += &format!("\n{names}\n{hash}");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&sha256(text.as_bytes()))
    );
    let mut key = format!("AWS4{KEPT_SECRET}").into_bytes();
    for part in scope.split('/') {
        key = hmac(&key, part).to_vec();
    }
    (hex(&hmac(&key, &to_sign)) == field("Signature")?).then_some(())
}
