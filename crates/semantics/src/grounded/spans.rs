//! From words to spans: where nothing supports an answer.

use std::ops::Range;

use super::words::Word;

/// Words of which nothing is known that may lie within a span.
const BRIDGE: usize = 2;

/// A run of words, with the highest probability among them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    /// Places of words.
    pub words: Range<usize>,
    /// The highest probability.
    pub peak: f32,
}

/// Runs that reach `peak` somewhere and whose words reach `edge`; small words between them belong to them. No run crosses
/// the end of a sentence.
pub(crate) fn runs(words: &[Word], chances: &[f32], (peak, edge): (f32, f32)) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if chances[at] < edge {
            at += 1;
            continue;
        }
        let mut end = at + 1;
        let mut highest = chances[at];
        let mut ahead = end;
        while ahead < words.len() && ahead - end <= BRIDGE && words[ahead].sentence == words[at].sentence {
            if chances[ahead] >= edge {
                highest = highest.max(chances[ahead]);
                end = ahead + 1;
            } else if !words[ahead].look.small {
                break;
            }
            ahead += 1;
        }
        // What says nothing stands at no end of a span.
        let says = |place: &usize| !words[*place].look.small || words[*place].look.denies;
        let range = at..end;
        let first = range.clone().find(says);
        let last = range.rev().find(says);
        if let (Some(first), Some(last), true) = (first, last, highest >= peak) {
            runs.push(Run {
                words: first..last + 1,
                peak: highest,
            });
        }
        at = end;
    }
    runs
}
