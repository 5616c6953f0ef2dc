//! What is known of each word of an answer: whether the context has it, where, and beside what.

#![allow(clippy::cast_precision_loss, reason = "texts have a few ten thousand words")]

use super::context::{Context, Counted};
use super::words::{Text, Word};
use crate::similar::{Kind, Lexicon};

/// What the network looks at, word by word. Its file names the same, in this order.
pub const FEATURES: [&str; 52] = [
    "number",
    "name",
    "first_capital",
    "upper",
    "small",
    "denies",
    "known",
    "length",
    "exact",
    "synonym",
    "root",
    "coverage",
    "counted",
    "rounded",
    "asked",
    "in_best",
    "in_near",
    "excluded",
    "other_number",
    "before_supported",
    "after_supported",
    "before_near",
    "after_near",
    "pair_before",
    "pair_after",
    "triple",
    "far_before",
    "far_after",
    "often",
    "denials_more",
    "denials_fewer",
    "denial_new",
    "denial_lost",
    "denial_here",
    "sentence_share",
    "best_share",
    "rest_share",
    "sentence_length",
    "telling_missing",
    "answer_share",
    "first_sentence",
    "last_sentence",
    "run_missing",
    "clause_share",
    "clause_best_share",
    "context_length",
    "unit_differs",
    "name_joined_anew",
    "second_before_supported",
    "second_after_supported",
    "missing_around",
    "supported",
];

/// What is known of a word.
pub(crate) type Row = [f32; FEATURES.len()];

/// Sentences of the context that a sentence of the answer is held against.
const NEAR: usize = 3;
/// Words between two that belong together, at most.
const TOGETHER: u32 = 12;
/// Words to either side within which a denial counts.
const DENIES: usize = 3;

/// A word of an answer, as far as it is looked up by itself.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Seen {
    /// Where the context has it, or a word that means the same.
    places: Vec<u32>,
    exact: bool,
    synonym: bool,
    root: bool,
    coverage: f32,
    counted: bool,
    rounded: bool,
    asked: bool,
    /// How well it is supported, 0 to 1.
    support: f32,
    /// It says something: no small word.
    tells: bool,
}

/// A sentence or clause of the answer.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    telling: f32,
    supported: f32,
    best: f32,
    /// Numbers and names, and how many of them are missing.
    marked: f32,
    marked_missing: f32,
}

impl Share {
    fn of(part: f32, whole: f32) -> f32 {
        if whole > 0.0 { part / whole } else { 1.0 }
    }
}

/// What an answer is looked at with.
pub(crate) struct Looking<'a> {
    pub lexicon: &'a Lexicon,
    pub context: &'a Context,
    pub question: &'a Context,
    pub answer: &'a Text,
}

/// What a sentence of the answer is held against.
#[derive(Debug, Clone, Default)]
struct Against {
    /// Sentences of the context, the best first.
    near: Vec<u32>,
    /// Denials in the sentence, and in the best one.
    denials: (f32, f32),
    /// There is a number in one of them.
    has_number: bool,
}

impl Looking<'_> {
    /// Everything about every word.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let seen: Vec<Seen> = self.answer.words.iter().map(|word| self.see(word)).collect();
        let against = self.against(&seen);
        let sentences = self.shares(&seen, &against, |word| word.sentence);
        let clauses = self.shares(&seen, &against, |word| word.clause);
        let mut whole = Share::default();
        for share in &sentences {
            whole.telling += share.telling;
            whole.supported += share.supported;
        }
        let runs = runs(&seen);
        let shared = Shared {
            seen: &seen,
            against: &against,
            sentences: &sentences,
            clauses: &clauses,
            whole,
            runs: &runs,
        };
        (0..seen.len()).map(|at| self.row(at, &shared)).collect()
    }

    fn see(&self, word: &Word) -> Seen {
        let (text, stem) = (self.answer.text(word), self.answer.stem(word));
        let context = self.context;
        let mut seen = Seen {
            places: context.places(stem).to_vec(),
            coverage: context.coverage(text),
            asked: !self.question.places(stem).is_empty(),
            tells: !word.look.small,
            ..Seen::default()
        };
        seen.exact = !seen.places.is_empty();
        if let Some(number) = word.number {
            let (counted, place) = context.counted(number, word.grain);
            // `5 pm` where the context says `at 5`.
            let bare = word.bare.is_some_and(|bare| context.has_bare(bare));
            seen.counted = counted == Counted::Same || bare;
            seen.rounded = counted == Counted::Rounded;
            if counted != Counted::Missing && seen.places.is_empty() {
                seen.places.extend(place);
            }
            seen.asked |= self.question.counted(number, word.grain).0 == Counted::Same;
            // Digits that happen to occur are no support where the whole number does not: `1.2 billion`.
            if word.look.digits && counted == Counted::Missing && !bare && seen.exact {
                seen.exact = false;
            }
        }
        for (class, member) in self.answer.classes(word) {
            for (other, place) in context.members(*class) {
                if other == member {
                    seen.synonym = true;
                    if !seen.exact {
                        seen.places.push(*place);
                    }
                }
            }
        }
        seen.synonym |= month(text).is_some_and(|month| context.has_month(month));
        seen.root = context.has_root(text);
        seen.support = if seen.exact || seen.counted {
            1.0
        } else if seen.synonym || seen.rounded {
            0.9
        } else if seen.root {
            0.6
        } else if word.number.is_some() {
            0.0
        } else {
            0.5 * seen.coverage * seen.coverage
        };
        seen
    }

    /// For each sentence of the answer, the sentences of the context that share most with it.
    fn against(&self, seen: &[Seen]) -> Vec<Against> {
        let count = self.answer.sentences as usize + 1;
        let mut all = vec![Against::default(); count];
        let words = &self.answer.words;
        let mut weights: Vec<f32> = vec![0.0; self.context.text.sentences as usize + 1];
        let mut start = 0;
        while let Some(first) = words.get(start) {
            let sentence = first.sentence;
            let length = words[start..]
                .iter()
                .take_while(|word| word.sentence == sentence)
                .count();
            let mut touched: Vec<u32> = Vec::new();
            for one in seen[start..start + length].iter().filter(|one| one.tells) {
                let weight = 1.0 / (1.0 + one.places.len() as f32).sqrt();
                let mut last = None;
                for place in &one.places {
                    let of = self.context.text.words[*place as usize].sentence;
                    if last != Some(of) {
                        if weights[of as usize] == 0.0 {
                            touched.push(of);
                        }
                        weights[of as usize] += weight;
                        last = Some(of);
                    }
                }
            }
            touched.sort_by(|a, b| {
                weights[*b as usize]
                    .total_cmp(&weights[*a as usize])
                    .then(a.cmp(b))
            });
            for of in &touched {
                weights[*of as usize] = 0.0;
            }
            touched.truncate(NEAR);
            let mut against = Against {
                near: touched,
                ..Against::default()
            };
            self.weigh(&words[start..start + length], &mut against);
            if let Some(place) = all.get_mut(sentence as usize) {
                *place = against;
            }
            start += length;
        }
        all
    }

    fn weigh(&self, sentence: &[Word], against: &mut Against) {
        let denials = |words: &[Word]| words.iter().filter(|word| word.look.denies).count() as f32;
        against.denials.0 = denials(sentence);
        for (rank, near) in against.near.iter().enumerate() {
            let words = self.sentence(*near);
            if rank == 0 {
                against.denials.1 = denials(words);
            }
            against.has_number |= words.iter().any(|word| word.number.is_some());
        }
    }

    /// The words of a sentence of the context.
    fn sentence(&self, sentence: u32) -> &[Word] {
        let words = &self.context.text.words;
        let start = words.partition_point(|word| word.sentence < sentence);
        let end = words.partition_point(|word| word.sentence <= sentence);
        &words[start..end]
    }

    fn shares(&self, seen: &[Seen], against: &[Against], part: impl Fn(&Word) -> u32) -> Vec<Share> {
        let count = self.answer.words.last().map_or(0, &part) as usize + 1;
        let mut shares = vec![Share::default(); count];
        for (word, seen) in self.answer.words.iter().zip(seen) {
            if !seen.tells {
                continue;
            }
            let best = against.get(word.sentence as usize).and_then(|of| of.near.first());
            let share = &mut shares[part(word) as usize];
            share.telling += 1.0;
            share.supported += f32::from(u8::from(seen.support >= 0.6));
            share.best += f32::from(u8::from(best.is_some_and(|best| self.is_in(seen, &[*best]))));
            if word.number.is_some() || word.look.name {
                share.marked += 1.0;
                share.marked_missing += f32::from(u8::from(seen.support < 0.6));
            }
        }
        shares
    }

    /// Whether a word stands in one of these sentences of the context.
    fn is_in(&self, seen: &Seen, sentences: &[u32]) -> bool {
        let of = |place: &u32| self.context.text.words[*place as usize].sentence;
        seen.places.iter().any(|place| sentences.contains(&of(place)))
    }

    /// Whether the lists have something in a near sentence that excludes this word.
    fn is_excluded(&self, word: &Word, near: &[u32]) -> bool {
        self.answer.classes(word).iter().any(|(class, member)| {
            self.lexicon.kind(*class) == Kind::Apart
                && self.context.members(*class).iter().any(|(other, place)| {
                    other != member && near.contains(&self.context.text.words[*place as usize].sentence)
                })
        })
    }

    #[allow(clippy::too_many_lines, reason = "one line for each feature")]
    fn row(&self, at: usize, shared: &Shared<'_>) -> Row {
        let words = &self.answer.words;
        let (word, seen) = (&words[at], &shared.seen[at]);
        let against = &shared.against[word.sentence as usize];
        let sentence = shared.sentences[word.sentence as usize];
        let clause = shared.clauses[word.clause as usize];
        let telling = |step: isize, nth: usize| shared.telling(words, at, step, nth);
        let (before, after) = (telling(-1, 1), telling(1, 1));
        let support = |of: Option<usize>| of.map_or(0.5, |of| shared.seen[of].support);
        let distance = |of: Option<usize>| of.and_then(|of| nearest(&seen.places, &shared.seen[of].places));
        let (gap_before, gap_after) = (distance(before), distance(after));
        let far = |gap: Option<u32>| gap.is_some_and(|gap| gap > TOGETHER);
        let near =
            |gap: Option<u32>| gap.map_or(0.0, |gap| 1.0 / f32::from(u16::try_from(gap).unwrap_or(999)));
        let next = |of: usize| is_next(&seen.places, &shared.seen[of].places);
        let pair_before = at > 0 && next(at - 1);
        let pair_after = at + 1 < words.len() && is_next(&shared.seen[at + 1].places, &seen.places);
        let yes = |fact: bool| f32::from(u8::from(fact));
        let missing = seen.tells && seen.support < 0.6;
        let denial = self.denial(at, seen);
        let mine = yes(seen.support >= 0.6 && seen.tells);
        [
            yes(word.number.is_some()),
            yes(word.look.name),
            yes(word.look.first),
            yes(word.look.upper),
            yes(word.look.small),
            yes(word.look.denies),
            yes(word.look.known),
            (word.folded.len() as f32).ln_1p(),
            yes(seen.exact),
            yes(seen.synonym),
            yes(seen.root),
            seen.coverage,
            yes(seen.counted),
            yes(seen.rounded),
            yes(seen.asked),
            yes(against
                .near
                .first()
                .is_some_and(|best| self.is_in(seen, &[*best]))),
            yes(self.is_in(seen, &against.near)),
            yes(!seen.exact && !seen.synonym && self.is_excluded(word, &against.near)),
            yes(missing && word.number.is_some() && against.has_number),
            support(before),
            support(after),
            near(gap_before),
            near(gap_after),
            yes(pair_before),
            yes(pair_after),
            yes(pair_before && pair_after),
            yes(far(gap_before)),
            yes(far(gap_after)),
            (seen.places.len() as f32).ln_1p(),
            (against.denials.0 - against.denials.1).clamp(0.0, 2.0),
            (against.denials.1 - against.denials.0).clamp(0.0, 2.0),
            yes(word.look.denies && against.denials.1 == 0.0),
            yes(denial == (true, false)),
            yes(denial == (false, true)),
            Share::of(sentence.supported, sentence.telling),
            Share::of(sentence.best, sentence.telling),
            Share::of(sentence.supported - mine, sentence.telling - yes(seen.tells)),
            sentence.telling.ln_1p(),
            Share::of(sentence.marked_missing, sentence.marked.max(1.0)),
            Share::of(shared.whole.supported, shared.whole.telling),
            yes(word.sentence == 0),
            yes(word.sentence == words.last().map_or(0, |last| last.sentence)),
            (shared.runs[at] as f32).ln_1p(),
            Share::of(clause.supported, clause.telling),
            Share::of(clause.best, clause.telling),
            (self.context.words() as f32).ln_1p(),
            yes(self.unit_differs(at, shared)),
            yes(at > 0 && word.look.name && words[at - 1].look.name && !pair_before),
            support(telling(-1, 2)),
            support(telling(1, 2)),
            shared.missing_around(at),
            seen.support,
        ]
    }

    /// Whether the context denies around this word, and whether the answer does.
    fn denial(&self, at: usize, seen: &Seen) -> (bool, bool) {
        let around = |words: &[Word], at: usize| {
            let sentence = words[at].sentence;
            words[at.saturating_sub(DENIES)..(at + DENIES + 1).min(words.len())]
                .iter()
                .any(|word| word.look.denies && word.sentence == sentence)
        };
        if !seen.tells || seen.places.is_empty() {
            return (false, false);
        }
        let all = &self.context.text.words;
        let there = seen
            .places
            .iter()
            .take(8)
            .all(|place| around(all, *place as usize));
        (there, around(&self.answer.words, at))
    }

    /// Behind a number that the context has, another word stands there than here.
    fn unit_differs(&self, at: usize, shared: &Shared<'_>) -> bool {
        let words = &self.answer.words;
        let Some(before) = at.checked_sub(1).filter(|before| words[*before].number.is_some()) else {
            return false;
        };
        let (number, here) = (&shared.seen[before], &shared.seen[at]);
        let tells = here.tells && words[at].number.is_none();
        tells && !number.places.is_empty() && !is_next(&here.places, &number.places)
    }
}

/// What all words of an answer share.
struct Shared<'a> {
    seen: &'a [Seen],
    against: &'a [Against],
    sentences: &'a [Share],
    clauses: &'a [Share],
    whole: Share,
    runs: &'a [usize],
}

impl Shared<'_> {
    /// The `nth` word that tells something before or behind `at`, within its sentence.
    fn telling(&self, words: &[Word], at: usize, step: isize, nth: usize) -> Option<usize> {
        let mut place = at;
        let mut left = nth;
        loop {
            place = place.checked_add_signed(step)?;
            let word = words.get(place)?;
            if word.sentence != words[at].sentence {
                return None;
            }
            if self.seen[place].tells {
                left -= 1;
                if left == 0 {
                    return Some(place);
                }
            }
        }
    }

    /// The share of telling words around this one that are missing, itself left out.
    fn missing_around(&self, at: usize) -> f32 {
        let range = at.saturating_sub(4)..(at + 5).min(self.seen.len());
        let (mut telling, mut missing) = (0.0, 0.0);
        for place in range.filter(|place| *place != at) {
            if self.seen[place].tells {
                telling += 1.0;
                missing += 1.0 - self.seen[place].support;
            }
        }
        if telling > 0.0 { missing / telling } else { 0.0 }
    }
}

/// Whether a word of the second list stands right before one of the first.
fn is_next(here: &[u32], before: &[u32]) -> bool {
    here.iter().any(|place| {
        place
            .checked_sub(1)
            .is_some_and(|wanted| before.contains(&wanted))
    })
}

/// Words between the nearest of two lists of places, 1 where they stand side by side.
fn nearest(these: &[u32], those: &[u32]) -> Option<u32> {
    let gaps = these
        .iter()
        .flat_map(|one| those.iter().map(|two| one.abs_diff(*two).max(1)));
    gaps.min()
}

/// For each word, how many telling words on end are missing where it is one of them.
fn runs(seen: &[Seen]) -> Vec<usize> {
    let mut runs = vec![0; seen.len()];
    let mut run: Vec<usize> = Vec::new();
    let mut close = |run: &mut Vec<usize>| {
        let length = run.len();
        for place in run.drain(..) {
            runs[place] = length;
        }
    };
    for (place, one) in seen.iter().enumerate().filter(|(_, one)| one.tells) {
        if one.support < 0.6 {
            run.push(place);
        } else {
            close(&mut run);
        }
    }
    close(&mut run);
    runs
}

/// The number of a month of this English name.
fn month(text: &str) -> Option<u16> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    const WHOLE: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let place = MONTHS.iter().chain(&WHOLE).position(|name| *name == text)?;
    u16::try_from(place % 12 + 1).ok()
}
