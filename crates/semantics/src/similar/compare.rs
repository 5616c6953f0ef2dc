//! Two prompts side by side: what surely makes them different questions, and what the judge looks at where nothing does.

use super::align::{Alignment, How, Stand, stand};
use super::lexicon::{Kind, Lexicon, role};
use super::prompt::{Prompt, Word};
use super::relation::{self, Order};

/// Why two prompts are different questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// Another number, or one more of them.
    Number,
    /// One denies what the other doesn't.
    Negation,
    /// Words that exclude one another: opposites, days, places, units, people.
    Opposite,
    /// The same words in each other's place: from and to, who and whom.
    Order,
    /// A name of code is on one side only.
    Code,
    /// Something else stands between quotation marks.
    Quote,
    /// Another language.
    Language,
    /// Too much is different, or a prompt is too long to compare.
    Length,
}

impl Conflict {
    /// Its name, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Negation => "negation",
            Self::Opposite => "opposite",
            Self::Order => "order",
            Self::Code => "code",
            Self::Quote => "quote",
            Self::Language => "language",
            Self::Length => "length",
        }
    }
}

/// What the judge looks at, by name; the file of its weights must name the same.
pub const FEATURES: [&str; 32] = [
    "left_least",
    "left_most",
    "left_sum",
    "left_share",
    "unknown_least",
    "unknown_most",
    "names",
    "small_least",
    "small_most",
    "typos",
    "stems",
    "synonyms",
    "related",
    "exact",
    "inversions",
    "denial_moved",
    "double_negation",
    "near",
    "near_missing",
    "apart_missing",
    "quoted",
    "withdrawn",
    "length",
    "longer",
    "nothing_left",
    "one_side",
    "near_same",
    "english",
    "first_same",
    "numbers_turned",
    "from_missing",
    "near_moved",
];

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Why they are surely different.
    pub conflict: Option<Conflict>,
    /// In the order of [`FEATURES`].
    pub features: [f32; FEATURES.len()],
}

/// What is left on one side.
#[derive(Debug, Default)]
struct Rest {
    content: Vec<usize>,
    numbers: usize,
    small: usize,
    unknown: usize,
    names: usize,
    quoted: usize,
    code: usize,
    /// Words of classes whose members exclude one another.
    apart: usize,
    near: usize,
    withdrawn: usize,
}

fn rest(lexicon: &Lexicon, prompt: &Prompt, left: &[usize], withdraws: bool) -> Rest {
    let mut rest = Rest::default();
    let correction = prompt
        .words
        .iter()
        .rposition(|word| word.roles & role::LATER != 0);
    for place in left {
        let word = &prompt.words[*place];
        // What was said before "no, I mean" is taken back.
        if withdraws && correction.is_some_and(|at| *place <= at) {
            rest.withdrawn += 1;
            continue;
        }
        if word.number.is_some() {
            // "one" and "a" are the same often enough.
            rest.numbers += usize::from(word.number != Some(1.0) || word.look.digits);
            continue;
        }
        let kinds = prompt.classes(word).iter().map(|(class, _)| lexicon.kind(*class));
        let (apart, near) = kinds.fold((false, false), |(apart, near), kind| {
            (apart || kind == Kind::Apart, near || kind == Kind::Near)
        });
        rest.near += usize::from(near);
        if word.small() || near {
            rest.small += 1;
            continue;
        }
        if word.denies() {
            continue;
        }
        rest.apart += usize::from(apart);
        rest.unknown += usize::from(!word.known);
        rest.names += usize::from(word.look.capital);
        rest.quoted += usize::from(word.look.quoted);
        rest.code += usize::from(word.look.code);
        rest.content.push(*place);
    }
    rest
}

fn corrects(prompt: &Prompt) -> bool {
    prompt.words.iter().any(|word| word.roles & role::LATER != 0)
}

fn quotes(prompt: &Prompt) -> bool {
    prompt.words.iter().any(|word| word.look.quoted)
}

/// Where what stands begins: behind the last correction, if that takes back what was said before it.
fn standing_from(prompt: &Prompt, withdraws: bool) -> usize {
    let corrects = |word: &Word| word.roles & role::LATER != 0;
    let correction = prompt.words.iter().rposition(corrects).filter(|_| withdraws);
    correction.map_or(0, |at| at + 1)
}

/// How often it denies.
fn denials(prompt: &Prompt, withdraws: bool) -> usize {
    let from = standing_from(prompt, withdraws);
    prompt
        .words
        .iter()
        .skip(from)
        .filter(|word| word.denies() && word.roles & role::LATER == 0)
        .count()
}

/// Whether something left here excludes something left there.
fn excluded(
    lexicon: &Lexicon,
    (a, left): (&Prompt, &[usize]),
    (b, right): (&Prompt, &[usize]),
) -> (bool, usize) {
    let (mut apart, mut near) = (false, 0);
    for word in left.iter().map(|place| &a.words[*place]) {
        for other in right.iter().map(|place| &b.words[*place]) {
            match stand(lexicon, (a, word), (b, other)) {
                Stand::Apart => apart = true,
                Stand::Near => near += 1,
                _ => {}
            }
        }
    }
    (apart, near)
}

/// What was said before a correction is no part of what is left.
fn standing(prompt: &Prompt, left: &[usize], withdraws: bool) -> Vec<usize> {
    let from = standing_from(prompt, withdraws);
    left.iter().copied().filter(|place| *place >= from).collect()
}

/// Compares two prompts.
pub(crate) fn compare(lexicon: &Lexicon, a: &Prompt, b: &Prompt) -> Compared {
    let nothing = |conflict| Compared {
        conflict: Some(conflict),
        features: [0.0; FEATURES.len()],
    };
    if a.more || b.more {
        return nothing(Conflict::Length);
    }
    if a.languages & b.languages == 0 && a.votes >= 6 && b.votes >= 6 {
        return nothing(Conflict::Language);
    }
    let found = Alignment::of(lexicon, a, b);
    if found.far {
        return nothing(Conflict::Length);
    }
    // Only one of two corrects itself: two that do are compared as they stand.
    let (first, second) = (corrects(a) && !corrects(b), corrects(b) && !corrects(a));
    let (left, right) = (
        rest(lexicon, a, &found.left, first),
        rest(lexicon, b, &found.right, second),
    );
    let order = relation::order(lexicon, a, b, &found);
    let (ours, theirs) = (standing(a, &found.left, first), standing(b, &found.right, second));
    let (apart, near) = excluded(lexicon, (a, &ours), (b, &theirs));
    let (denied, theirs) = (denials(a, first), denials(b, second));
    let conflict = if left.numbers + right.numbers > 0 {
        Some(Conflict::Number)
    } else if (denied + theirs) % 2 == 1 {
        Some(Conflict::Negation)
    } else if apart {
        Some(Conflict::Opposite)
    } else if order.swapped && !first && !second {
        Some(Conflict::Order)
    } else if left.code + right.code > 0 {
        Some(Conflict::Code)
    } else if left.quoted + right.quoted > 0 && quotes(a) && quotes(b) {
        Some(Conflict::Quote)
    } else {
        None
    };
    let features = features(
        (lexicon, a, b),
        &found,
        (&left, &right),
        (order, near, denied.abs_diff(theirs)),
    );
    Compared { conflict, features }
}

#[allow(clippy::cast_precision_loss, reason = "prompts have few words")]
fn features(
    (lexicon, a, b): (&Lexicon, &Prompt, &Prompt),
    found: &Alignment,
    (left, right): (&Rest, &Rest),
    (order, near, denials): (Order, usize, usize),
) -> [f32; FEATURES.len()] {
    let content = |prompt: &Prompt| prompt.words.iter().filter(|word| !word.small()).count();
    let counted = |how: How| {
        let same = found
            .matches
            .iter()
            .filter(|one| one.how == how && !a.words[one.a].small());
        same.count() as f32
    };
    let least = |get: fn(&Rest) -> usize| get(left).min(get(right)) as f32;
    let most = |get: fn(&Rest) -> usize| get(left).max(get(right)) as f32;
    let sum = |get: fn(&Rest) -> usize| (get(left) + get(right)) as f32;
    let (ours, theirs) = (content(a), content(b));
    let all = (ours + theirs).max(1) as f32;
    let leftover = sum(|rest| rest.content.len());
    let near_same = found
        .matches
        .iter()
        .any(|one| asks(lexicon, a, &a.words[one.a]) && asks(lexicon, b, &b.words[one.b]));
    let first_same = found.matches.first().is_some_and(|one| one.a == 0 && one.b == 0);
    let flag = |yes: bool| f32::from(u8::from(yes));
    let shorter = a.words.len().min(b.words.len()) as f32 + 1.0;
    let longer = a.words.len().max(b.words.len()) as f32 + 1.0;
    [
        least(|rest| rest.content.len()),
        most(|rest| rest.content.len()),
        leftover.ln_1p(),
        leftover / all,
        least(|rest| rest.unknown),
        most(|rest| rest.unknown),
        sum(|rest| rest.names),
        least(|rest| rest.small),
        most(|rest| rest.small),
        counted(How::Typo),
        counted(How::Stem),
        counted(How::Synonym),
        counted(How::Related),
        counted(How::Same) * 2.0 / all,
        order.inversions,
        flag(order.denial_moved),
        flag(denials > 0),
        near.min(4) as f32,
        flag(left.near.min(right.near) == 0 && left.near + right.near > 0),
        sum(|rest| rest.apart).min(6.0),
        sum(|rest| rest.quoted).min(6.0),
        sum(|rest| rest.withdrawn).ln_1p(),
        longer.ln(),
        (longer / shorter).ln(),
        flag(leftover == 0.0),
        flag(left.content.is_empty() != right.content.is_empty()),
        flag(near_same),
        flag(a.languages & b.languages & 1 != 0),
        flag(first_same),
        flag(order.numbers_turned),
        flag(order.from_missing),
        moved(lexicon, a, b, found),
    ]
}

/// Whether a word asks: who, what, when.
fn asks(lexicon: &Lexicon, prompt: &Prompt, word: &Word) -> bool {
    prompt
        .classes(word)
        .iter()
        .any(|(class, _)| lexicon.kind(*class) == Kind::Near)
}

/// How far the question word has moved, as a share of the text.
#[allow(clippy::cast_precision_loss, reason = "prompts have few words")]
fn moved(lexicon: &Lexicon, a: &Prompt, b: &Prompt, found: &Alignment) -> f32 {
    let asking = found
        .matches
        .iter()
        .filter(|one| asks(lexicon, a, &a.words[one.a]) && asks(lexicon, b, &b.words[one.b]));
    let share = |place: usize, prompt: &Prompt| place as f32 / prompt.words.len() as f32;
    asking
        .map(|one| (share(one.a, a) - share(one.b, b)).abs())
        .fold(0.0, f32::max)
}
