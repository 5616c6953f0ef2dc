//! How much of a stream must be held back: from where a match could still form.
//!
//! A match that begins at `p` can still form while the automaton, begun at `p`, is alive after all that has come. The
//! earliest such `p` is where the stream must wait. Beginnings are candidates only where the pattern's automaton does
//! not die at once, so that ordinary prose is let through without a second look.

use regex_automata::dfa::Automaton;
use regex_automata::dfa::dense::{self, DFA};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, nfa::thompson};

/// Largest automaton of a pattern. Larger patterns (long bounded repetitions of large classes) are refused at load.
const DFA_LIMIT: usize = 16 * 1024 * 1024;

/// A pattern's automaton, to be walked from any beginning.
#[derive(Debug)]
pub(crate) struct Prospect {
    dfa: DFA<Vec<u32>>,
}

/// A beginning from which a match could still form.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    from: usize,
    state: StateID,
}

/// The candidates of one stream.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    alive: Vec<Candidate>,
    /// Position behind the last byte that was looked at.
    at: usize,
    /// The byte before it, for `\b` and `^` at the beginning of a match.
    before: Option<u8>,
}

impl Candidates {
    /// Forgets beginnings that came to nothing, and of several in the same state all but the first: they share their
    /// future, so that there are never more of them than states.
    fn settle(&mut self, dfa: &DFA<Vec<u32>>) {
        let mut kept = 0;
        for at in 0..self.alive.len() {
            let candidate = self.alive[at];
            let known = self.alive[..kept]
                .iter()
                .any(|other| other.state == candidate.state);
            if !dfa.is_dead_state(candidate.state) && !known {
                self.alive[kept] = candidate;
                kept += 1;
            }
        }
        self.alive.truncate(kept);
    }
}

impl Prospect {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(regex_automata::dfa::StartKind::Anchored)
                    .dfa_size_limit(Some(DFA_LIMIT))
                    .determinize_size_limit(Some(DFA_LIMIT * 2)),
            )
            .thompson(thompson::Config::new().nfa_size_limit(Some(DFA_LIMIT)))
            .build(pattern)
            .map_err(|error| error.to_string())?;
        Ok(Self { dfa })
    }

    /// Looks at `bytes`, and says from where on the stream must be held: everything before is settled.
    pub(crate) fn advance(&self, candidates: &mut Candidates, bytes: &[u8]) -> Result<usize, String> {
        for byte in bytes {
            for candidate in &mut candidates.alive {
                candidate.state = self.dfa.next_state(candidate.state, *byte);
            }
            let start = start::Config::new()
                .anchored(Anchored::Yes)
                .look_behind(candidates.before);
            let start = self.dfa.start_state(&start).map_err(|error| error.to_string())?;
            let state = self.dfa.next_state(start, *byte);
            // A quit state gives no answer: the beginning stays a candidate, which errs on the side of holding back.
            candidates.alive.push(Candidate {
                from: candidates.at,
                state,
            });
            candidates.settle(&self.dfa);
            candidates.at += 1;
            candidates.before = Some(*byte);
        }
        Ok(candidates
            .alive
            .first()
            .map_or(candidates.at, |candidate| candidate.from))
    }
}
