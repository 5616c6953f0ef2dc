//! Vectors of the texts of tools, made once: a list that changes has those made that are new.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{Index, Likeness, Texts, asked_words};

/// How long a search waits for what is not read yet; it goes on without, and the reading goes on beside it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Texts that are read at once: others wait for the same reader.
const AT_ONCE: usize = 4;
/// Most vectors that are kept, in how many times those that are searched.
const SPARE: usize = 4;
/// Most vectors of what was asked that are kept.
const MOST_ASKED: usize = 4_096;

/// Who makes vectors of texts, all of length 1.
pub trait Reader: Send + Sync {
    /// The vectors of texts, in their order; none where they cannot be had now.
    fn read(&self, texts: Vec<Arc<str>>) -> BoxFuture<'_, Option<Vec<Vec<f32>>>>;
}

type Key = [u8; 32];

/// A text that is read once, and known by its hash.
#[derive(Debug, Clone)]
pub struct Text {
    text: Arc<str>,
    key: Key,
}

impl Text {
    /// A text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            key: Sha256::digest(text.as_bytes()).into(),
        }
    }

    /// The text itself.
    #[must_use]
    pub fn says(&self) -> &str {
        &self.text
    }
}

/// Vectors by the text they are of.
#[derive(Default)]
pub struct Vectors {
    known: Mutex<HashMap<Key, Arc<[f32]>>>,
    /// Of what was asked lately.
    asked: Mutex<HashMap<Key, Arc<[f32]>>>,
    reading: tokio::sync::Mutex<()>,
}

impl Vectors {
    fn missing(&self, texts: &[Text]) -> Vec<Text> {
        let known = self.known.lock();
        let missing = texts.iter().filter(|text| !known.contains_key(&text.key));
        missing.cloned().collect()
    }

    /// Makes those that are missing, some at a time, as long as the reader goes along.
    async fn fill(self: Arc<Self>, reader: Arc<dyn Reader>, texts: Vec<Text>) {
        let _turn = self.reading.lock().await;
        let missing = self.missing(&texts);
        for some in missing.chunks(AT_ONCE) {
            let Some(made) = reader.read(told(some)).await else {
                return;
            };
            let mut known = self.known.lock();
            for (text, vector) in some.iter().zip(made) {
                known.insert(text.key, vector.into());
            }
        }
        let mut known = self.known.lock();
        if known.len() > SPARE * texts.len().max(1_000) {
            let used: HashSet<Key> = texts.iter().map(|text| text.key).collect();
            known.retain(|key, _| used.contains(key));
        }
    }

    /// Makes those of what is asked that are not known; false where they cannot be had now.
    async fn read_asked(&self, reader: &dyn Reader, asked: &[Text]) -> bool {
        let unread: Vec<Text> = {
            let (known, before) = (self.known.lock(), self.asked.lock());
            let unread = asked
                .iter()
                .filter(|text| !known.contains_key(&text.key) && !before.contains_key(&text.key));
            unread.cloned().collect()
        };
        if unread.is_empty() {
            return true;
        }
        let Some(made) = reader.read(told(&unread)).await else {
            return false;
        };
        let mut before = self.asked.lock();
        if before.len() + made.len() > MOST_ASKED {
            before.clear();
        }
        for (text, vector) in unread.iter().zip(made) {
            before.insert(text.key, vector.into());
        }
        true
    }

    /// Whether all that is in an index is read.
    #[must_use]
    pub fn has(&self, index: &Index) -> bool {
        let known = self.known.lock();
        index.texts().all().all(|text| known.contains_key(&text.key))
    }

    /// How like a request is to what is in an index; none where the request itself cannot be read.
    pub async fn likeness(
        self: &Arc<Self>,
        reader: &Arc<dyn Reader>,
        index: &Index,
        request: &str,
    ) -> Option<Likeness> {
        let asked: Vec<Text> = std::iter::once(Text::new(request))
            .chain(asked_words(request).iter().map(|(_, word)| Text::new(word)))
            .collect();
        let reading = self.read_asked(&**reader, &asked);
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.ok().filter(|is_read| *is_read)?;
        let texts = index.texts();
        if !self.has(index) {
            let all = texts.all().cloned().collect();
            let filling = tokio::spawn(Arc::clone(self).fill(Arc::clone(reader), all));
            if tokio::time::timeout(PATIENCE, filling).await.is_err() {
                tracing::info!("tools are still being read: until then they are found by their words");
            }
        }
        let compared = self.compared(texts, &asked)?;
        // Thousands of words by dozens: others have the worker meanwhile.
        tokio::task::spawn_blocking(move || compared.likeness())
            .await
            .ok()
    }

    /// What is compared.
    fn compared(&self, texts: &Texts, asked: &[Text]) -> Option<Compared> {
        let (known, before) = (self.known.lock(), self.asked.lock());
        let vector = |text: &Text| {
            let vector = known.get(&text.key).or_else(|| before.get(&text.key));
            vector.map(Arc::clone)
        };
        let (request, words) = asked.split_first()?;
        let server = |text: &Option<Text>| text.as_ref().and_then(vector);
        Some(Compared {
            request: vector(request)?,
            asked: words.iter().map(vector).collect(),
            tools: texts.tools.iter().map(vector).collect(),
            named: texts.named.iter().map(vector).collect(),
            servers: texts.servers.iter().map(server).collect(),
            words: texts.words.iter().map(vector).collect(),
        })
    }
}

fn told(texts: &[Text]) -> Vec<Arc<str>> {
    texts.iter().map(|text| Arc::clone(&text.text)).collect()
}

/// A vector, where it is read already.
type Read = Option<Arc<[f32]>>;

/// Vectors of a request and its words, and of what is in an index.
struct Compared {
    request: Arc<[f32]>,
    asked: Vec<Read>,
    tools: Vec<Read>,
    named: Vec<Read>,
    servers: Vec<Read>,
    words: Vec<Read>,
}

impl Compared {
    /// How like the request, and each of its words, is to what is in the index.
    fn likeness(&self) -> Likeness {
        let like = |vector: &Read| vector.as_ref().map(|vector| cosine(&self.request, vector));
        let near = |word: &Read| {
            let word = word.as_ref()?;
            let to = |other: &Read| other.as_ref().map_or(0.0, |other| cosine(word, other));
            Some(self.words.iter().map(to).collect())
        };
        Likeness {
            tools: self.tools.iter().map(like).collect(),
            named: self.named.iter().map(like).collect(),
            servers: self.servers.iter().map(like).collect(),
            words: self.asked.iter().map(near).collect(),
        }
    }
}

/// Numbers that are multiplied at once.
const LANES: usize = 8;

/// Of vectors of length 1.
fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = lefts.remainder().iter().zip(rights.remainder());
    let rest: f32 = rest.map(|(left, right)| left * right).sum();
    for (left, right) in lefts.zip(rights) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    rest + sums.iter().sum::<f32>()
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
        assert_eq!(likeness.words.len(), 1);
        // The request, which is its only word, two tools, their two names, and their two words.
        assert_eq!(counting.0.load(Ordering::Relaxed), 8);
        let likeness = vectors
            .likeness(&reader, &index(&["b2", "c1", "a1"]), "1")
            .await
            .unwrap();
        assert_eq!(likeness.tools, [Some(0.0), Some(1.0), Some(1.0)]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 11);
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
