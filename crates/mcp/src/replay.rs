//! The events of a stream, numbered and kept for a while, so that a client whose connection broke hears the rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most events of a stream that are kept, and most bytes of them.
pub const MAX_EVENTS: usize = 1_024;
/// See [`MAX_EVENTS`].
pub const MAX_BYTES: usize = 1024 * 1024;
/// Events that whoever reads may be behind before whoever writes waits.
const MAX_BEHIND: usize = 256;

/// Events of one stream.
pub struct Stream {
    /// Its name: what its events' ids begin with.
    pub name: String,
    inner: Mutex<Inner>,
    changed: Notify,
    taken: Notify,
}

struct Inner {
    events: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    /// The number of the newest event.
    last: u64,
    /// Up to where somebody has taken them.
    read: u64,
    /// Everything up to here was there once, and is not kept any more.
    lost: u64,
    over: Option<Instant>,
    /// Counts readers; the newest one alone hears something.
    turn: u64,
    reading: bool,
}

/// What comes next of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An event.
    Event {
        /// Its number.
        number: u64,
        /// Its text.
        text: Arc<str>,
        /// Whether nothing comes behind it.
        last: bool,
    },
    /// Nothing any more.
    Over,
}

/// Reads a stream from some event on. A newer reader takes its place.
pub struct Reader {
    stream: Arc<Stream>,
    after: u64,
    turn: u64,
}

impl Stream {
    /// A stream without events, whose next one has the number behind `last`.
    #[must_use]
    pub fn new(name: &str, last: u64) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            inner: Mutex::new(Inner {
                events: VecDeque::new(),
                bytes: 0,
                last,
                read: last,
                lost: last,
                over: None,
                turn: 0,
                reading: false,
            }),
            changed: Notify::new(),
            taken: Notify::new(),
        })
    }

    /// The number of the newest event.
    pub fn last(&self) -> u64 {
        self.inner.lock().last
    }

    /// Up to where somebody has taken events.
    pub fn read(&self) -> u64 {
        self.inner.lock().read
    }

    /// From where on somebody hears what nobody has heard, as far as it is kept.
    pub fn left_at(&self) -> u64 {
        let inner = self.inner.lock();
        inner.read.max(inner.lost)
    }

    /// Whether somebody reads.
    pub fn is_read(&self) -> bool {
        self.inner.lock().reading
    }

    /// Whether it has been over for so long.
    pub fn is_over(&self, now: Instant, since: Duration) -> bool {
        let over = self.inner.lock().over;
        over.is_some_and(|over| now.saturating_duration_since(over) >= since)
    }

    /// Adds an event, with the number that it has elsewhere or else the next one; gives the number. What nobody has read
    /// goes, too, where there is too much of it.
    pub fn offer(&self, number: Option<u64>, text: &str) -> u64 {
        let mut inner = self.inner.lock();
        let number = number.unwrap_or(0).max(inner.last + 1);
        inner.last = number;
        inner.bytes += text.len();
        inner.events.push_back((number, text.into()));
        while inner.events.len() > 1 && (inner.events.len() > MAX_EVENTS || inner.bytes > MAX_BYTES) {
            if let Some((gone, text)) = inner.events.pop_front() {
                inner.bytes -= text.len();
                inner.lost = gone;
            }
        }
        drop(inner);
        self.changed.notify_waiters();
        number
    }

    /// Adds an event; waits while whoever reads is far behind.
    pub async fn push(&self, number: Option<u64>, text: &str) -> u64 {
        loop {
            let taken = self.taken.notified();
            {
                let inner = self.inner.lock();
                let behind = inner
                    .events
                    .iter()
                    .rev()
                    .take_while(|(number, _)| *number > inner.read);
                let behind = behind.fold((0, 0), |(count, bytes), (_, text)| {
                    (count + 1, bytes + text.len())
                });
                let is_far = behind.0 >= MAX_BEHIND || behind.1 + text.len() > MAX_BYTES;
                if !inner.reading || !is_far || behind.0 == 0 {
                    break;
                }
            }
            taken.await;
        }
        self.offer(number, text)
    }

    /// Nothing comes any more.
    pub fn finish(&self) {
        self.inner.lock().over.get_or_insert_with(Instant::now);
        self.changed.notify_waiters();
    }

    /// Reads what is behind an event; none where some of that is not kept any more, or was never there.
    #[must_use]
    pub fn reader(self: &Arc<Self>, after: u64) -> Option<Reader> {
        let mut inner = self.inner.lock();
        if after < inner.lost || after > inner.last {
            return None;
        }
        inner.turn += 1;
        inner.reading = true;
        inner.read = after;
        let turn = inner.turn;
        drop(inner);
        // Whoever read before is told, and whoever writes may have waited for them.
        self.changed.notify_waiters();
        self.taken.notify_waiters();
        Some(Reader {
            stream: Arc::clone(self),
            after,
            turn,
        })
    }
}

impl Reader {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// What comes next. Cancelled and asked again, nothing is lost.
    pub async fn next(&mut self) -> Step {
        loop {
            let changed = self.stream.changed.notified();
            {
                let mut inner = self.stream.inner.lock();
                if inner.turn != self.turn {
                    return Step::Over;
                }
                let at = inner.events.partition_point(|(number, _)| *number <= self.after);
                if let Some((number, text)) = inner.events.get(at) {
                    let (number, text) = (*number, Arc::clone(text));
                    self.after = number;
                    inner.read = number;
                    let last = inner.over.is_some() && number == inner.last;
                    drop(inner);
                    self.stream.taken.notify_waiters();
                    return Step::Event { number, text, last };
                }
                if inner.over.is_some() {
                    return Step::Over;
                }
            }
            changed.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.stream.inner.lock();
        if inner.turn == self.turn {
            inner.reading = false;
        }
        drop(inner);
        self.stream.taken.notify_waiters();
    }
}

/// The id of an event.
#[must_use]
pub fn event_id(stream: &str, number: u64) -> String {
    format!("{stream}.{number}")
}

/// The stream and number of an event's id.
#[must_use]
pub fn read_id(id: &str) -> Option<(&str, u64)> {
    let (stream, number) = id.rsplit_once('.')?;
    let is_name = !stream.is_empty()
        && stream.len() <= 64
        && stream
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Some((stream, number.parse().ok()?)).filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(mut reader: Reader) -> Vec<(u64, String)> {
        let mut heard = Vec::new();
        while let Step::Event { number, text, last } = reader.next().await {
            heard.push((number, text.to_string()));
            if last {
                break;
            }
        }
        heard
    }

    #[tokio::test]
    async fn a_reader_hears_what_is_behind_its_event() {
        let stream = Stream::new("p1", 0);
        for text in ["a", "b", "c"] {
            stream.push(None, text).await;
        }
        let mut first = stream.reader(0).unwrap();
        assert!(matches!(first.next().await, Step::Event { number: 1, .. }));
        let second = stream.reader(1).unwrap();
        // Nobody hears what another has taken over.
        assert_eq!(first.next().await, Step::Over);
        stream.finish();
        assert_eq!(all(second).await, [(2, "b".to_owned()), (3, "c".to_owned())]);
        assert!(stream.reader(4).is_none());
        assert_eq!(all(stream.reader(3).unwrap()).await, []);
    }

    #[tokio::test]
    async fn what_is_not_kept_is_not_left_out_silently() {
        let stream = Stream::new("p1", 0);
        for _ in 0..MAX_EVENTS + 5 {
            stream.push(None, "x").await;
        }
        assert!(stream.reader(4).is_none());
        let mut reader = stream.reader(5).unwrap();
        assert!(matches!(reader.next().await, Step::Event { number: 6, .. }));
    }

    #[tokio::test]
    async fn whoever_writes_waits_for_whoever_reads() {
        let stream = Stream::new("p1", 0);
        let mut reader = stream.reader(0).unwrap();
        for _ in 0..MAX_BEHIND {
            stream.push(None, "x").await;
        }
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, stream.push(None, "y")).await.is_err());
        reader.next().await;
        assert_eq!(
            tokio::time::timeout(soon, stream.push(None, "y")).await.unwrap(),
            257
        );
        let waiting = tokio::spawn({
            let stream = Arc::clone(&stream);
            async move { stream.push(None, "z").await }
        });
        tokio::time::sleep(soon).await;
        drop(reader);
        assert_eq!(waiting.await.unwrap(), 258);
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        assert_eq!(read_id(&event_id("p-0f", 7)), Some(("p-0f", 7)));
        for id in ["", "7", ".7", "a.b", "a b.7", "a.-1", "a.99999999999999999999"] {
            assert_eq!(read_id(id), None, "{id}");
        }
    }
}
