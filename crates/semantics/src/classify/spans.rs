//! A class for each token, and from them spans of the text: names, numbers, addresses.

use super::calibrate::Calibration;
use crate::kernels::{Codes, Machine};
use crate::linear::Linear;
use crate::tokenize::Token;
use crate::work;

/// A stretch of a text that is of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Which kind, as a place among the kinds.
    pub kind: usize,
    /// First byte.
    pub start: usize,
    /// First byte behind.
    pub end: usize,
    /// The mean probability of its tokens.
    pub probability: f32,
}

/// A head on each token.
#[derive(Debug, Clone)]
pub struct Tagger {
    /// Behind how many blocks it reads.
    pub exit: usize,
    /// From a row to logits.
    pub layer: Linear,
    /// From logits to spans.
    pub classes: SpanClasses,
}

impl Tagger {
    /// From classes as [`SpanClasses::new`] takes them. None if they are of another form, or the layer has not as many.
    #[must_use]
    pub fn new(exit: usize, layer: Linear, names: &[String], calibration: Calibration) -> Option<Self> {
        let classes = SpanClasses::new(names, calibration)?;
        (layer.outputs() == names.len()).then_some(Self { exit, layer, classes })
    }

    /// Logits of each row.
    #[must_use]
    pub fn logits(&self, machine: Machine, rows: &[f32], codes: &mut Codes) -> Vec<f32> {
        let mut output = vec![0.0; rows.len() / self.layer.inputs().max(1) * self.layer.outputs()];
        self.layer.apply(machine, rows, &mut output, false, codes);
        output
    }
}

/// Classes of tokens: `O`, and for each kind a beginning and an inside.
#[derive(Debug, Clone)]
pub struct SpanClasses {
    /// Kinds, such as `EMAIL_ADDRESS`.
    pub kinds: Vec<String>,
    /// For each class: none for outside, or its kind and whether it begins one.
    classes: Vec<Option<(usize, bool)>>,
    calibration: Calibration,
}

impl SpanClasses {
    /// From classes named `O`, `B-KIND` and `I-KIND`.
    ///
    /// None if a class has another form, there is no `O`, or the calibration does not fit.
    #[must_use]
    pub fn new(names: &[String], calibration: Calibration) -> Option<Self> {
        let mut kinds: Vec<String> = Vec::new();
        let mut classes = Vec::new();
        for name in names {
            if name == "O" {
                classes.push(None);
                continue;
            }
            let (position, kind) = name.split_once('-')?;
            if !matches!(position, "B" | "I") || kind.is_empty() {
                return None;
            }
            let place = kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
                kinds.push(kind.to_owned());
                kinds.len() - 1
            });
            classes.push(Some((place, position == "B")));
        }
        let fits = calibration.problem(names.len()).is_none();
        (fits && classes.contains(&None)).then_some(Self {
            kinds,
            classes,
            calibration,
        })
    }

    /// How many classes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.classes.len()
    }

    /// Spans whose tokens are of a kind with at least `threshold`.
    ///
    /// Tokens that stand close together, as those of a key or an address of a mail do, are judged as one, by the mean
    /// of their probabilities; a span neither begins nor ends within a word, and has a letter or a digit.
    #[must_use]
    pub fn spans(&self, text: &str, tokens: &[Token], logits: &[f32], threshold: f32) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut sizes: Vec<f32> = Vec::new();
        let mut open = false;
        for run in self.runs(text, tokens, logits) {
            let (kind, probability, begins) = run.likeliest();
            let joins = spans
                .last()
                .is_some_and(|last| last.end == run.start && within_word(text, last.end));
            if probability < threshold {
                // The rest of a word goes with its beginning.
                if let (true, true, Some(last)) = (open, joins, spans.last_mut()) {
                    last.end = run.end;
                } else {
                    open = false;
                }
                continue;
            }
            match (spans.last_mut(), sizes.last_mut()) {
                (Some(last), Some(size)) if open && last.kind == kind && (!begins || joins) => {
                    last.end = last.end.max(run.end);
                    *size += run.tokens;
                    last.probability += (probability - last.probability) * run.tokens / *size;
                }
                _ => {
                    let behind = spans.last().map_or(0, |last| last.end);
                    let start = word_start(text, run.start, behind).max(behind);
                    // Several pieces may stand for one character: it is in the first one's span.
                    if run.end <= start {
                        continue;
                    }
                    spans.push(Span {
                        kind,
                        start,
                        end: run.end,
                        probability,
                    });
                    sizes.push(run.tokens);
                    open = true;
                }
            }
        }
        spans.retain(|span| text.get(span.start..span.end).is_some_and(says_something));
        spans
    }

    /// Tokens that are judged together.
    fn runs(&self, text: &str, tokens: &[Token], logits: &[f32]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (token, logits) in tokens.iter().zip(logits.chunks_exact(self.classes.len().max(1))) {
            let (begins, inside) = self.kinds_of(logits);
            let run = Run::new(text, token, &begins, &inside);
            match runs.last_mut() {
                Some(last) if last.goes_on(&run, text) => last.add(&run),
                _ => runs.push(run),
            }
        }
        runs
    }

    /// For each kind, how likely a token begins one, and how likely it is further inside.
    fn kinds_of(&self, logits: &[f32]) -> (Vec<f32>, Vec<f32>) {
        work::note(logits.len());
        let probabilities = self.calibration.apply(logits);
        let mut begins = vec![0.0_f32; self.kinds.len()];
        let mut inside = vec![0.0_f32; self.kinds.len()];
        for (class, probability) in self.classes.iter().zip(&probabilities) {
            match class {
                Some((kind, true)) => begins[*kind] += probability,
                Some((kind, false)) => inside[*kind] += probability,
                None => {}
            }
        }
        (begins, inside)
    }
}

/// Signs that part what stands before them from what stands behind.
const PARTING: &str = "()[]{}<>\"',;=|（）：、。「」";
/// A sign below this is outside of any kind, and parts.
const OUTSIDE: f32 = 0.3;
/// Letters before this one are written in words of several tokens, whose tokens are judged together.
const LATIN: char = '\u{250}';
/// Scripts from here on do without blanks between words, or hang endings on names.
const UNPARTED: char = '\u{e00}';

/// One or more tokens that are judged as one.
struct Run {
    start: usize,
    end: usize,
    tokens: f32,
    /// For each kind, the sum over the tokens of how likely it is.
    sums: Vec<f32>,
    /// For each kind, whether the first token begins one.
    begins: Vec<bool>,
    /// Whether it is a sign that parts.
    parts: bool,
}

impl Run {
    /// Of one token.
    fn new(text: &str, token: &Token, begins: &[f32], inside: &[f32]) -> Self {
        let (start, end) = (token.start as usize, token.end as usize);
        let part = text.get(start..end).unwrap_or_default();
        let sums: Vec<f32> = begins
            .iter()
            .zip(inside)
            .map(|(first, rest)| first + rest)
            .collect();
        let faint = sums.iter().all(|likely| *likely < OUTSIDE);
        Self {
            start,
            end,
            tokens: 1.0,
            begins: begins
                .iter()
                .zip(inside)
                .map(|(first, rest)| first > rest)
                .collect(),
            parts: !says_something(part) && (faint || PARTING.contains(part)),
            sums,
        }
    }

    /// Whether `next` is to be judged together with this one.
    fn goes_on(&self, next: &Self, text: &str) -> bool {
        let latin = |character: Option<char>| character.is_some_and(|one| one < LATIN);
        !self.parts
            && !next.parts
            && self.end == next.start
            && latin(text.get(..self.end).and_then(|before| before.chars().next_back()))
            && latin(text.get(next.start..).and_then(|behind| behind.chars().next()))
    }

    /// Takes in the token that follows.
    fn add(&mut self, next: &Self) {
        self.end = next.end;
        self.tokens += next.tokens;
        for (sum, one) in self.sums.iter_mut().zip(&next.sums) {
            *sum += one;
        }
    }

    /// The likeliest kind, its probability, and whether the first token begins one.
    fn likeliest(&self) -> (usize, f32, bool) {
        let (kind, sum) = self
            .sums
            .iter()
            .copied()
            .enumerate()
            .max_by(|left, right| left.1.total_cmp(&right.1))
            .unwrap_or((0, 0.0));
        (
            kind,
            sum / self.tokens,
            self.begins.get(kind).copied().unwrap_or(false),
        )
    }
}

/// Whether there is a letter or a digit.
fn says_something(part: &str) -> bool {
    part.chars().any(char::is_alphanumeric)
}

/// Whether the text goes on with the same word at `place`.
fn within_word(text: &str, place: usize) -> bool {
    let (Some(before), Some(behind)) = (text.get(..place), text.get(place..)) else {
        return false;
    };
    let letter =
        |character: Option<char>| character.is_some_and(|one| one < UNPARTED && one.is_alphanumeric());
    letter(before.chars().next_back()) && letter(behind.chars().next())
}

/// The beginning of the word at `place`, not before `from`.
fn word_start(text: &str, place: usize, from: usize) -> usize {
    let mut start = place;
    while start > from && within_word(text, start) {
        work::note(1);
        let Some(last) = text[..start].chars().next_back() else {
            break;
        };
        start -= last.len_utf8();
    }
    start
}

/// Logits of a text's tokens, gathered from windows that overlap: a token's come from the window in whose middle it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpanTally {
    logits: Vec<f32>,
    depths: Vec<u32>,
    classes: usize,
}

impl SpanTally {
    /// For a text of so many tokens.
    #[must_use]
    pub fn new(tokens: usize, classes: usize) -> Self {
        Self {
            logits: vec![0.0; tokens * classes],
            depths: vec![0; tokens],
            classes,
        }
    }

    /// Logits of the tokens from `first` on.
    pub fn add(&mut self, first: usize, logits: &[f32]) {
        let classes = self.classes.max(1);
        let count = logits.len() / classes;
        for (index, values) in logits.chunks_exact(classes).enumerate() {
            let depth = u32::try_from(index.min(count - 1 - index))
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            let token = first + index;
            if self.depths.get(token).is_some_and(|known| depth > *known) {
                self.depths[token] = depth;
                self.logits[token * classes..][..classes].copy_from_slice(values);
            }
        }
    }

    /// One row of logits for each token.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Precision;

    const NAMES: [&str; 5] = ["O", "B-NAME", "I-NAME", "B-MAIL", "I-MAIL"];

    fn tagger() -> Tagger {
        let layer = Linear::new(&[0.0; 10], &[], 2, Precision::Float).unwrap();
        Tagger::new(1, layer, &NAMES.map(str::to_owned), Calibration::Temperature(1.0)).unwrap()
    }

    /// Tokens at the places of `parts` in `text`, and logits that make each certainly of a class.
    fn check(text: &str, parts: &[(&str, usize)], expected: &[(&str, &str)]) {
        let mut place = 0;
        let mut tokens = Vec::new();
        let mut logits = Vec::new();
        for (part, class) in parts {
            let start = place + text[place..].find(part).unwrap();
            place = start + part.len();
            tokens.push(Token {
                id: 0,
                start: start as u32,
                end: place as u32,
            });
            logits.extend((0..NAMES.len()).map(|index| if index == *class { 9.0 } else { 0.0 }));
        }
        let classes = tagger().classes;
        let spans = classes.spans(text, &tokens, &logits, 0.5);
        let found: Vec<(&str, &str)> = spans
            .iter()
            .map(|span| (classes.kinds[span.kind].as_str(), &text[span.start..span.end]))
            .collect();
        assert_eq!(found, expected, "{text}");
        assert!(spans.iter().all(|span| span.probability > 0.6));
    }

    #[test]
    fn spans_are_put_together() {
        check(
            "I am Ann Lee.",
            &[("I", 0), ("am", 0), ("Ann", 1), ("Lee", 2), (".", 0)],
            &[("NAME", "Ann Lee")],
        );
        check(
            "Ann Bob",
            &[("Ann", 1), ("Bob", 1)],
            &[("NAME", "Ann"), ("NAME", "Bob")],
        );
        check(
            "Ann a@b.c",
            &[("Ann", 2), ("a", 3), ("@", 4), ("b", 4), (".", 4), ("c", 4)],
            &[("NAME", "Ann"), ("MAIL", "a@b.c")],
        );
        check("", &[], &[]);
    }

    #[test]
    fn a_span_never_ends_within_a_word() {
        check(
            "Annabel sat",
            &[("Ann", 1), ("a", 2), ("bel", 0), ("sat", 0)],
            &[("NAME", "Annabel")],
        );
        check(
            "Annabel sat",
            &[("An", 0), ("na", 1), ("bel", 2), ("sat", 0)],
            &[("NAME", "Annabel")],
        );
        check(
            "Zoë-Ann",
            &[("Zo", 1), ("ë", 2), ("-", 0), ("Ann", 0)],
            &[("NAME", "Zoë")],
        );
    }

    #[test]
    fn tokens_that_stand_close_together_are_judged_as_one() {
        check(
            "user=ann2 ok",
            &[("user", 0), ("=", 0), ("ann", 3), ("2", 3), ("ok", 0)],
            &[("MAIL", "ann2")],
        );
        check(
            "a.b@c.d",
            &[
                ("a", 3),
                (".", 4),
                ("b", 3),
                ("@", 4),
                ("c", 3),
                (".", 4),
                ("d", 4),
            ],
            &[("MAIL", "a.b@c.d")],
        );
        check("(3)", &[("(", 1), ("3", 0), (")", 1)], &[]);
    }

    #[test]
    fn names_in_scripts_without_blanks_end_where_they_end() {
        check(
            "佐藤さん",
            &[("佐", 1), ("藤", 2), ("さん", 0)],
            &[("NAME", "佐藤")],
        );
        check(
            "김민준은",
            &[("김", 1), ("민준", 2), ("은", 0)],
            &[("NAME", "김민준")],
        );
    }

    #[test]
    fn pieces_of_one_character_make_no_spans_that_overlap() {
        let classes = tagger().classes;
        let place = |start: u32, end: u32| Token { id: 0, start, end };
        let tokens = [
            place(0, 3),
            place(0, 3),
            place(0, 3),
            place(3, 4),
            place(4, 4),
            place(4, 6),
            place(4, 6),
        ];
        for pick in 0..5_usize.pow(4) {
            let class = |index: usize| pick / 5_usize.pow(index as u32 % 4) % 5;
            let logits: Vec<f32> = (0..tokens.len())
                .flat_map(|index| (0..5).map(move |other| if other == class(index) { 9.0 } else { 0.0 }))
                .collect();
            let mut behind = 0;
            for span in classes.spans("中aé", &tokens, &logits, 0.5) {
                assert!(span.start >= behind && span.start < span.end, "{pick}: {span:?}");
                assert!("中aé".get(span.start..span.end).is_some(), "{pick}: {span:?}");
                behind = span.end;
            }
        }
    }

    #[test]
    fn classes_of_another_form_are_refused() {
        let layer = || Linear::new(&[0.0; 4], &[], 2, Precision::Float).unwrap();
        for names in [["O", "X-NAME"], ["B-NAME", "I-NAME"], ["O", "NAME"], ["O", "B-"]] {
            assert!(
                Tagger::new(
                    1,
                    layer(),
                    &names.map(str::to_owned),
                    Calibration::Temperature(1.0)
                )
                .is_none()
            );
        }
        assert!(
            Tagger::new(
                1,
                layer(),
                &["O", "B-A"].map(str::to_owned),
                Calibration::Temperature(-1.0)
            )
            .is_none()
        );
    }

    #[test]
    fn a_token_in_two_windows_is_read_from_its_middle() {
        let mut tally = SpanTally::new(6, 1);
        tally.add(0, &[1.0, 1.0, 1.0, 1.0]);
        tally.add(2, &[2.0, 2.0, 2.0, 2.0]);
        assert_eq!(tally.logits(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    }
}
