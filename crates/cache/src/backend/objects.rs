//! Entries in a bucket, an object each: Amazon's S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.
//!
//! An object begins with the same head as a file of a folder. A bucket has no clock for single objects: an entry whose time
//! is over is not given, and whoever has put it deletes it; what processes leave behind that end before is for the bucket's
//! own lifecycle rule. To delete by labels means to read the heads of all.

mod dialect;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::head::{Head, LONGEST_HEAD, now};
use super::service::{Answer, Question, SHORT, Service};
use super::{Backend, BackendError, Described, Doing, Heard, Holds, NewEntry};
use crate::key::CacheKey;
use crate::labels::{Filter, Labels};
pub use dialect::{BucketAddress, Dialect};
use dialect::{Listed, between};

/// Most bytes of an object that are read.
const LONGEST: usize = 256 * 1024 * 1024;
/// Objects that are looked at or deleted at once.
const TOGETHER: usize = 16;
/// Entries of whose end a process knows, because it has put them.
const KNOWN: usize = 100_000;
/// Pages of a list that are read: a bucket of ten million entries.
const PAGES: usize = 10_000;

/// A bucket.
pub struct BucketBackend {
    address: BucketAddress,
    service: Service,
    known: Mutex<Known>,
}

/// When entries end that this process has put.
#[derive(Default)]
struct Known {
    ends: HashMap<CacheKey, u64>,
    order: BTreeSet<(u64, [u8; 32])>,
}

impl fmt::Debug for BucketBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BucketBackend")
    }
}

impl BucketBackend {
    /// Not connected yet.
    pub fn new(address: BucketAddress, runtime: Handle) -> Self {
        Self {
            service: Service::new(address.service.clone(), runtime),
            address,
            known: Mutex::default(),
        }
    }

    async fn ask(
        &self,
        (method, path): (Method, String),
        body: Bytes,
        range: bool,
        most: usize,
    ) -> Result<Answer, BackendError> {
        let mut headers = HeaderMap::new();
        self.address.dialect.mark(&method, &mut headers);
        if method == Method::PUT {
            let kind = HeaderValue::from_static("application/octet-stream");
            headers.insert(header::CONTENT_TYPE, kind);
        }
        if range {
            let range = format!("bytes=0-{}", LONGEST_HEAD - 1);
            let range = HeaderValue::try_from(range).map_err(|error| BackendError(error.to_string()))?;
            headers.insert(header::RANGE, range);
        }
        let answer = self.service.ask(Question {
            method,
            path,
            headers,
            body,
            most,
        });
        let answer = answer.await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(answer);
        }
        // What is told names codes and no object's content.
        let text = String::from_utf8_lossy(&answer.body);
        let code = between(&text, "<Code>", "</Code>").unwrap_or_default();
        let code: String = code.chars().take(100).collect();
        Err(BackendError(
            format!("{} {code}", answer.status.as_u16()).trim().to_owned(),
        ))
    }

    /// What is known of an entry, its time over or not; none where there is no such object.
    async fn head(&self, key: CacheKey) -> Result<Option<Head>, BackendError> {
        let place = self.address.object(key);
        let answer = self
            .ask((Method::GET, place), Bytes::new(), true, LONGEST)
            .await?;
        Ok(found(&answer).and_then(|body| split(&body).map(|(head, _)| head)))
    }

    /// Deletes an object; says whether there may have been one.
    async fn remove(&self, key: CacheKey) -> Result<bool, BackendError> {
        let place = self.address.object(key);
        let answer = self
            .ask((Method::DELETE, place), Bytes::new(), false, SHORT)
            .await?;
        self.known.lock().forget(key);
        Ok(answer.status != StatusCode::NOT_FOUND)
    }

    /// Deletes an object if it is meant; says whether it was.
    async fn remove_if(&self, key: CacheKey, filter: &Filter) -> Result<bool, BackendError> {
        if filter.labels == Labels::default() && filter.entry.is_none() {
            return self.remove(key).await;
        }
        match self.head(key).await? {
            Some(head) if filter.means(&key, &head.labels) => self.remove(key).await,
            Some(_) | None => Ok(false),
        }
    }

    /// All objects that are entries, with their bytes.
    async fn list(&self) -> Result<Vec<(CacheKey, u64)>, BackendError> {
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..PAGES {
            let path = self.address.list(after.as_deref());
            let answer = self.ask((Method::GET, path), Bytes::new(), false, SHORT).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Err(BackendError("there is no such bucket".to_owned()));
            }
            let Listed { objects, next } = self.address.listed(&String::from_utf8_lossy(&answer.body));
            all.extend(objects);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
        Err(BackendError("the list of the bucket does not end".to_owned()))
    }
}

impl Known {
    fn note(&mut self, key: CacheKey, end: u64) {
        self.forget(key);
        self.ends.insert(key, end);
        self.order.insert((end, key.0));
        if self.ends.len() > KNOWN
            && let Some((_, last)) = self.order.pop_last()
        {
            self.ends.remove(&CacheKey(last));
        }
    }

    fn forget(&mut self, key: CacheKey) {
        if let Some(end) = self.ends.remove(&key) {
            self.order.remove(&(end, key.0));
        }
    }

    /// Those whose time is over.
    fn over(&self, now: u64) -> Vec<CacheKey> {
        let ended = self.order.iter().take_while(|(end, _)| *end <= now);
        ended.map(|(_, key)| CacheKey(*key)).collect()
    }
}

/// The body of what is there.
fn found(answer: &Answer) -> Option<Bytes> {
    answer.status.is_success().then(|| answer.body.clone())
}

/// Head and value of an object; none where another version has written it, or nobody.
fn split(body: &Bytes) -> Option<(Head, Bytes)> {
    let end = body.iter().take(LONGEST_HEAD).position(|byte| *byte == b'\n')?;
    Some((Head::read(&body[..end])?, body.slice(end + 1..)))
}

impl Backend for BucketBackend {
    fn name(&self) -> &'static str {
        self.address.dialect.name()
    }

    fn get(&self, key: CacheKey) -> Doing<'_, Option<Bytes>> {
        async move {
            let place = self.address.object(key);
            let answer = self
                .ask((Method::GET, place), Bytes::new(), false, LONGEST)
                .await?;
            let read = found(&answer).and_then(|body| split(&body));
            let whole = read.filter(|(head, value)| !head.is_over() && head.fits(value));
            Ok(whole.map(|(_, value)| value))
        }
        .boxed()
    }

    fn put<'a>(&'a self, entry: &'a NewEntry) -> Doing<'a, ()> {
        async move {
            let head = Head::of(entry, now());
            let mut body = head.written().map_err(|error| BackendError(error.to_string()))?;
            if body.len() > LONGEST_HEAD || entry.value.len() > LONGEST - LONGEST_HEAD {
                return Ok(());
            }
            body.extend_from_slice(&entry.value);
            let place = self.address.object(entry.key);
            let answer = self.ask((Method::PUT, place), body.into(), false, SHORT).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Err(BackendError("there is no such bucket".to_owned()));
            }
            self.known.lock().note(entry.key, head.expires);
            Ok(())
        }
        .boxed()
    }

    fn delete<'a>(&'a self, filter: &'a Filter) -> Doing<'a, u64> {
        async move {
            let keys = match filter.entry {
                Some(key) => vec![(key, 0)],
                None => self.list().await?,
            };
            let each = keys
                .into_iter()
                .map(|(key, _)| async move { self.remove_if(key, filter).await });
            let gone = stream::iter(each).buffer_unordered(TOGETHER);
            gone.try_fold(0, |count, gone| async move { Ok(count + u64::from(gone)) })
                .await
        }
        .boxed()
    }

    fn describe(&self, key: CacheKey) -> Doing<'_, Option<Described>> {
        async move {
            let head = self.head(key).await?.filter(|head| !head.is_over());
            Ok(head.map(Head::described))
        }
        .boxed()
    }

    fn holds(&self) -> Doing<'_, Holds> {
        async move {
            let all = self.list().await?;
            Ok(Holds {
                entries: all.len() as u64,
                bytes: Some(all.iter().map(|(_, bytes)| bytes).sum()),
            })
        }
        .boxed()
    }

    fn tend(&self) -> Doing<'_, ()> {
        async move {
            let over = self.known.lock().over(now());
            let each = over.into_iter().map(|key| async move {
                // Somebody else may have put it anew.
                match self.head(key).await? {
                    Some(head) if head.is_over() => self.remove(key).await.map(drop),
                    Some(_) | None => {
                        self.known.lock().forget(key);
                        Ok(())
                    }
                }
            });
            stream::iter(each).buffer_unordered(TOGETHER).try_collect().await
        }
        .boxed()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn tell(&self, _: Bytes) -> Doing<'_, ()> {
        async { Ok(()) }.boxed()
    }

    fn hear(&self, after: Heard, _: usize) -> Doing<'_, (Vec<Bytes>, Heard)> {
        async move { Ok((Vec::new(), after)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyBuilder;

    #[test]
    fn of_more_entries_than_are_known_the_last_to_end_are_left_to_the_bucket() {
        let key = |number: u64| {
            let mut key = KeyBuilder::new();
            key.field("number", &number.to_le_bytes());
            key.finish()
        };
        let mut known = Known::default();
        for number in 0..KNOWN as u64 + 5 {
            known.note(key(number), number);
        }
        known.note(key(0), 50);
        known.note(key(7), 60);
        known.forget(key(8));
        assert_eq!(known.ends.len(), KNOWN - 1);
        assert_eq!(known.order.len(), KNOWN - 1);
        // Of 0 to 9 without 0, 7 and 8.
        assert_eq!(known.over(9).len(), 7);
        assert!(known.over(u64::MAX).len() == KNOWN - 1);
    }
}
