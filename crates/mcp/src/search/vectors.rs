//! Vectors of the texts of tools, made once: a list that changes has those made that are new.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{Index, Likeness};

/// How long a search waits for what is not read yet; it goes on without, and the reading goes on beside it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Texts that are read at once: others wait for the same reader.
const AT_ONCE: usize = 4;
/// Most vectors that are kept, in how many times those that are searched.
const SPARE: usize = 4;

/// Who makes vectors of texts, all of length 1.
pub trait Reader: Send + Sync {
    /// The vectors of texts, in their order; none where they cannot be had now.
    fn read(&self, texts: Vec<Arc<str>>) -> BoxFuture<'_, Option<Vec<Vec<f32>>>>;
}

type Key = [u8; 32];

fn key_of(text: &str) -> Key {
    Sha256::digest(text.as_bytes()).into()
}

/// Vectors by the text they are of.
#[derive(Default)]
pub struct Vectors {
    known: Mutex<HashMap<Key, Arc<[f32]>>>,
    reading: tokio::sync::Mutex<()>,
}

impl Vectors {
    fn missing(&self, texts: &[Arc<str>]) -> Vec<Arc<str>> {
        let known = self.known.lock();
        let missing = texts.iter().filter(|text| !known.contains_key(&key_of(text)));
        missing.cloned().collect()
    }

    /// Makes those that are missing, some at a time, as long as the reader goes along.
    async fn fill(self: Arc<Self>, reader: Arc<dyn Reader>, texts: Vec<Arc<str>>) {
        let _turn = self.reading.lock().await;
        let missing = self.missing(&texts);
        for some in missing.chunks(AT_ONCE) {
            let Some(made) = reader.read(some.to_vec()).await else {
                return;
            };
            let mut known = self.known.lock();
            for (text, vector) in some.iter().zip(made) {
                known.insert(key_of(text), vector.into());
            }
        }
        let mut known = self.known.lock();
        if known.len() > SPARE * texts.len().max(1_000) {
            let used: HashSet<Key> = texts.iter().map(|text| key_of(text)).collect();
            known.retain(|key, _| used.contains(key));
        }
    }

    /// How like a request is to what is in an index; none where the request itself cannot be read.
    pub async fn likeness(
        self: &Arc<Self>,
        reader: &Arc<dyn Reader>,
        index: &Index,
        request: &str,
    ) -> Option<Likeness> {
        let tools: Vec<Arc<str>> = index.tools().iter().map(|tool| tool.text().into()).collect();
        let servers: Vec<Option<Arc<str>>> = index
            .servers()
            .iter()
            .map(|place| place.text().map(Into::into))
            .collect();
        let all: Vec<Arc<str>> = tools.iter().chain(servers.iter().flatten()).cloned().collect();
        let asked = reader.read(vec![request.into()]);
        let asked = tokio::time::timeout(PATIENCE, asked).await.ok()??.pop()?;
        if !self.missing(&all).is_empty() {
            let filling = tokio::spawn(Arc::clone(self).fill(Arc::clone(reader), all));
            if tokio::time::timeout(PATIENCE, filling).await.is_err() {
                tracing::info!("tools are still being read: until then they are found by their words");
            }
        }
        let known = self.known.lock();
        let like = |text: &Arc<str>| known.get(&key_of(text)).map(|vector| cosine(&asked, vector));
        Some(Likeness {
            tools: tools.iter().map(like).collect(),
            servers: servers.iter().map(|text| like(text.as_ref()?)).collect(),
        })
    }
}

/// Of vectors of length 1.
fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;

    use super::super::{Described, Source};
    use super::*;

    /// Two dimensions: texts with a `1` in them, and others.
    struct Counting(AtomicUsize);

    impl Reader for Counting {
        fn read(&self, texts: Vec<Arc<str>>) -> BoxFuture<'_, Option<Vec<Vec<f32>>>> {
            self.0.fetch_add(texts.len(), Ordering::Relaxed);
            let vectors = texts.iter().map(|text| {
                if text.contains('1') {
                    vec![1.0, 0.0]
                } else {
                    vec![0.0, 1.0]
                }
            });
            let vectors = vectors.collect();
            async { Some(vectors) }.boxed()
        }
    }

    fn index(names: &[&str]) -> Index {
        let tool = |name: &&str| Described {
            name: (*name).to_owned(),
            ..Described::default()
        };
        Index::new(names.iter().map(tool).collect(), vec![Source::default()])
    }

    #[tokio::test]
    async fn only_what_is_new_is_read() {
        let (vectors, counting) = (
            Arc::new(Vectors::default()),
            Arc::new(Counting(AtomicUsize::new(0))),
        );
        let reader: Arc<dyn Reader> = Arc::<Counting>::clone(&counting);
        let likeness = vectors
            .likeness(&reader, &index(&["a1", "b2"]), "1")
            .await
            .unwrap();
        assert_eq!(likeness.tools, [Some(1.0), Some(0.0)]);
        assert_eq!(likeness.servers, [None]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 3);
        let likeness = vectors
            .likeness(&reader, &index(&["b2", "c1", "a1"]), "1")
            .await
            .unwrap();
        assert_eq!(likeness.tools, [Some(0.0), Some(1.0), Some(1.0)]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 5);
    }

    struct Never;

    impl Reader for Never {
        fn read(&self, _: Vec<Arc<str>>) -> BoxFuture<'_, Option<Vec<Vec<f32>>>> {
            async { None }.boxed()
        }
    }

    #[tokio::test]
    async fn without_a_reader_there_is_no_likeness() {
        let vectors = Arc::new(Vectors::default());
        let reader: Arc<dyn Reader> = Arc::new(Never);
        assert!(vectors.likeness(&reader, &index(&["a"]), "a").await.is_none());
    }
}
