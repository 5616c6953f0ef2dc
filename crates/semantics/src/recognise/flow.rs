//! Recognisers over a text that comes in pieces: what can still become a find is held back, everything else goes on.
//!
//! A place is alive while a match that begins there could still grow; the earliest such place is where the text waits. A
//! match that has ended waits for the words behind it that may speak for it, and for whatever it overlaps. How a text was
//! cut into pieces makes no difference: what is decided depends on what has come so far and on nothing else.

use std::sync::Arc;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};

use super::context::{BEFORE, BEHIND};
use super::{Raw, RecogniserError, Recognisers, SIZE_LIMIT, Sighting, surest};

/// Bytes of text that are held back at most, but for `STEP`. A find can't be longer; a private key of 4,096 bits is shorter.
pub const WINDOW: usize = 4096;
/// After so many bytes it is looked whether more than [`WINDOW`] is held.
const STEP: usize = 256;
/// What is kept of the text that has gone on: the words before a match, and the rest of a letter.
const KEPT: usize = BEFORE + 8;
/// Bytes of an automaton that is built while it reads.
const CACHE_LIMIT: usize = 8 * 1024 * 1024;

type NewCache = Box<dyn Fn() -> Cache + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>;

/// Recognisers with what tells whether a match could still form.
pub struct Flowing {
    recognisers: Arc<Recognisers>,
    /// Of all patterns, walked from one place at a time.
    prospect: DFA,
    caches: Pool<Cache, NewCache>,
}

impl std::fmt::Debug for Flowing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Flowing").field(&self.recognisers).finish()
    }
}

/// What goes on of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece<'t> {
    /// Nothing was recognised in it.
    Plain(&'t str),
    /// Something was: the text, and which recogniser said so.
    Found(&'t str, usize),
}

/// One text on its way.
#[derive(Debug)]
pub struct Flow {
    flowing: Arc<Flowing>,
    /// How sure a find must be.
    least: f32,
    /// What has not gone on, behind a little of what has.
    buffer: String,
    /// Up to where it has gone on.
    done: usize,
    /// No match that begins before this can still grow.
    live: usize,
    /// Bytes of the text until it is looked at what is held.
    to_step: usize,
}

/// How much of the text is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// More may come.
    SoFar,
    /// All of it.
    All,
    /// More may come, but what lies before this place has waited long enough.
    Enough(usize),
}

impl Flowing {
    /// For texts in pieces.
    ///
    /// # Errors
    /// When the patterns together are too large.
    pub fn new(recognisers: Arc<Recognisers>) -> Result<Self, RecogniserError> {
        let patterns: Vec<&str> = recognisers.each.iter().map(|one| one.pattern.as_str()).collect();
        let config = DFA::config()
            .cache_capacity(CACHE_LIMIT)
            .skip_cache_capacity_check(true)
            .unicode_word_boundary(true);
        let prospect = DFA::builder()
            .configure(config)
            .thompson(thompson::Config::new().nfa_size_limit(Some(SIZE_LIMIT)))
            .build_many(&patterns)
            .map_err(|error| RecogniserError::Pattern {
                name: "all".to_owned(),
                message: error.to_string(),
            })?;
        let own = prospect.clone();
        let new: NewCache = Box::new(move || own.create_cache());
        Ok(Self {
            recognisers,
            prospect,
            caches: Pool::new(new),
        })
    }

    /// The recognisers.
    #[must_use]
    pub fn recognisers(&self) -> &Recognisers {
        &self.recognisers
    }

    /// The first place from `from` on from where a match could still grow.
    fn first_live(&self, text: &str, from: usize) -> usize {
        let mut cache = self.caches.get();
        let places = text[from..].char_indices().map(|(at, _)| from + at);
        let mut places = places.filter(|at| self.is_live(&mut cache, text.as_bytes(), *at));
        places.next().unwrap_or(text.len())
    }

    fn is_live(&self, cache: &mut Cache, text: &[u8], from: usize) -> bool {
        let input = Input::new(text).span(from..text.len()).anchored(Anchored::Yes);
        // What the automaton can't say counts as alive: that errs on the side of holding back.
        let Ok(mut state) = self.prospect.start_state_forward(cache, &input) else {
            return true;
        };
        for byte in &text[from..] {
            match self.prospect.next_state(cache, state, *byte) {
                Ok(next) if next.is_dead() => return false,
                Ok(next) if next.is_quit() => return true,
                Ok(next) => state = next,
                Err(_) => return true,
            }
        }
        true
    }
}

impl Flow {
    /// A new text.
    #[must_use]
    pub fn new(flowing: Arc<Flowing>, least: f32) -> Self {
        Self {
            flowing,
            least,
            buffer: String::new(),
            done: 0,
            live: 0,
            to_step: STEP,
        }
    }

    /// Bytes that are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() - self.done
    }

    /// Takes a piece in; what can go on is handed to `each`, in order.
    pub fn push(&mut self, piece: &str, each: &mut impl FnMut(Piece<'_>)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let mut cut = self.to_step.min(rest.len());
            while !rest.is_char_boundary(cut) {
                cut += 1;
            }
            self.buffer.push_str(&rest[..cut]);
            rest = &rest[cut..];
            self.to_step = self.to_step.saturating_sub(cut);
            let step = self.to_step == 0;
            // Of a long piece only what the steps decide matters.
            if step || rest.is_empty() {
                self.go_on(Known::SoFar, each);
            }
            if step {
                self.to_step = STEP;
                if self.held() > WINDOW {
                    self.go_on(Known::Enough(self.buffer.len() - WINDOW), each);
                }
            }
        }
    }

    /// The text has ended.
    pub fn finish(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        self.go_on(Known::All, each);
    }

    fn go_on(&mut self, known: Known, each: &mut impl FnMut(Piece<'_>)) {
        let end = self.buffer.len();
        let flowing = Arc::clone(&self.flowing);
        if known == Known::SoFar {
            self.live = flowing.first_live(&self.buffer, self.live.max(self.done));
        }
        let live = if known == Known::SoFar { self.live } else { end };
        let matches = flowing.recognisers.raw(&self.buffer, self.done);
        let mut until = live;
        for cluster in clusters(&matches, live) {
            let settled = match known {
                Known::SoFar => cluster.end <= live && cluster.end + BEHIND <= end,
                Known::All => true,
                Known::Enough(limit) => cluster.start < limit,
            };
            if !settled {
                until = until.min(cluster.start);
                break;
            }
            self.settle(&flowing.recognisers, cluster.of, cluster.end, each);
        }
        if let Known::Enough(limit) = known {
            until = until.min(limit);
        }
        while !self.buffer.is_char_boundary(until) {
            until -= 1;
        }
        if until > self.done {
            each(Piece::Plain(&self.buffer[self.done..until]));
            self.done = until;
        }
        self.live = self.live.max(self.done);
        self.forget();
    }

    /// Hands on everything up to `end`, with what was found among matches that overlap.
    fn settle(
        &mut self,
        recognisers: &Recognisers,
        matches: &[(usize, Raw)],
        end: usize,
        each: &mut impl FnMut(Piece<'_>),
    ) {
        let scored = matches.iter().filter_map(|(recogniser, raw)| {
            let score = recognisers.each[*recogniser].score(&self.buffer, &raw.value);
            (score >= self.least).then_some(Sighting {
                start: raw.value.start,
                end: raw.value.end,
                recogniser: *recogniser,
                score,
            })
        });
        for one in surest(scored.collect()) {
            if one.start > self.done {
                each(Piece::Plain(&self.buffer[self.done..one.start]));
            }
            each(Piece::Found(&self.buffer[one.start..one.end], one.recogniser));
            self.done = one.end;
        }
        if end > self.done {
            each(Piece::Plain(&self.buffer[self.done..end]));
            self.done = end;
        }
    }

    /// Drops what has gone on, but for what a later match may have to look back at.
    fn forget(&mut self) {
        let mut keep = self.done.saturating_sub(KEPT);
        // Moved seldom, and then by much.
        if keep < KEPT {
            return;
        }
        while !self.buffer.is_char_boundary(keep) {
            keep -= 1;
        }
        self.buffer.drain(..keep);
        self.done -= keep;
        self.live -= keep;
    }
}

/// Matches that overlap, from the first to the last.
struct Cluster<'m> {
    start: usize,
    end: usize,
    of: &'m [(usize, Raw)],
}

/// Matches that begin before `live`, in the order of the text, those together that overlap.
fn clusters(matches: &[(usize, Raw)], live: usize) -> impl Iterator<Item = Cluster<'_>> {
    let mut rest = matches;
    std::iter::from_fn(move || {
        let (_, first) = rest.first().filter(|(_, raw)| raw.whole.start < live)?;
        let (start, mut end, mut count) = (first.whole.start, first.end(), 1);
        while let Some((_, next)) = rest.get(count).filter(|(_, raw)| raw.whole.start < end) {
            end = end.max(next.end());
            count += 1;
        }
        let (of, behind) = rest.split_at(count);
        rest = behind;
        Some(Cluster { start, end, of })
    })
}
