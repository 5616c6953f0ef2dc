//! Who does what to whom, from where to where: what small words and the order of words say.

use super::align::{Alignment, Stand, stand};
use super::lexicon::Lexicon;
use super::prompt::{Prompt, Word};

const FROM: u16 = 1;
const TO: u16 = 1 << 1;
const BY: u16 = 1 << 2;

/// Words a relation reaches over to what it governs.
const REACH: usize = 4;

fn content(word: &Word) -> bool {
    !word.small() && word.roles == 0
}

/// Bits of relations, each with the word that stands in it.
type Governed = [(u16, usize)];

/// Each word that stands in a relation, with the relation's bit.
fn governed(lexicon: &Lexicon, prompt: &Prompt) -> Vec<(u16, usize)> {
    let words = &prompt.words;
    let mut found = Vec::new();
    let explicit = words.iter().any(|word| (word.relation | word.suffix) & FROM != 0);
    for (place, word) in words.iter().enumerate() {
        if word.suffix != 0 {
            found.push((word.suffix, place));
        }
        let text = prompt.text(word);
        // Particles and split-off suffixes stand behind.
        let behind = match text {
            "から" | "dan" | "den" | "tan" | "ten" => FROM,
            "まで" | "へ" | "e" | "a" | "ya" | "ye" if prompt.languages & (1 << 6 | 1 << 7) != 0 => TO,
            _ => 0,
        };
        if behind != 0 && place > 0 && prompt.languages & 1 == 0 {
            found.push((behind, place - 1));
            continue;
        }
        // `100 - 4` takes 4 from 100.
        if text == "minus" && place > 0 {
            found.push((FROM, place - 1));
        }
        if word.relation == 0 {
            continue;
        }
        let rest = words.iter().enumerate().skip(place + 1).take(REACH);
        let mut next = rest
            .take_while(|(_, next)| next.relation == 0)
            .filter(|(_, next)| content(next));
        if let Some((next, _)) = next.next() {
            for bit in (0..16).map(|bit| 1 << bit).filter(|bit| word.relation & bit != 0) {
                found.push((bit, next));
            }
            // `string to int`: what stands before is where it comes from.
            if word.relation & TO != 0 && matches!(text, "to" | "->") && !explicit && place > 0 {
                let kinds = stand(lexicon, (prompt, &words[place - 1]), (prompt, &words[next]));
                if kinds == Stand::Apart || text == "->" {
                    found.push((FROM, place - 1));
                }
            }
        }
    }
    found
}

/// What the words' order and relations say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Order {
    /// Two words stand in each other's place.
    pub swapped: bool,
    /// Share of matched words that stand the other way round.
    pub inversions: f32,
    /// A word is denied on one side, and another on the other.
    pub denial_moved: bool,
    /// The same numbers come in another order.
    pub numbers_turned: bool,
    /// Only one side says where from.
    pub from_missing: bool,
}

/// Compares order and relations.
pub(crate) fn order(lexicon: &Lexicon, a: &Prompt, b: &Prompt, found: &Alignment) -> Order {
    let mut to_b = vec![None; a.words.len()];
    let mut to_a = vec![None; b.words.len()];
    for one in &found.matches {
        to_b[one.a] = Some(one.b);
        to_a[one.b] = Some(one.a);
    }
    let (mine, theirs) = (governed(lexicon, a), governed(lexicon, b));
    let swapped = crossed(&mine, &theirs, &to_b, &to_a)
        || bound(lexicon, (a, b), &to_b)
        || described(lexicon, (a, b), &to_b)
        || turned((a, b), found, (&mine, &theirs));
    let numbers = found
        .matches
        .iter()
        .filter(|one| a.words[one.a].number.is_some())
        .map(|one| one.b);
    let from = |governed: &[(u16, usize)]| governed.iter().any(|(bit, _)| *bit == FROM);
    Order {
        numbers_turned: !numbers.is_sorted(),
        from_missing: from(&mine) != from(&theirs),
        swapped,
        inversions: inversions(a, found),
        denial_moved: denied(a, b, &to_b, &to_a),
    }
}

/// A relation that governs one matched word here and another matched word there.
fn crossed(mine: &Governed, theirs: &Governed, to_b: &[Option<usize>], to_a: &[Option<usize>]) -> bool {
    (0..16).map(|bit| 1_u16 << bit).any(|bit| {
        let ours: Vec<Option<usize>> = mine
            .iter()
            .filter(|(own, _)| own & bit != 0)
            .map(|(_, place)| to_b[*place])
            .collect();
        let other: Vec<usize> = theirs
            .iter()
            .filter(|(own, _)| own & bit != 0)
            .map(|(_, place)| *place)
            .collect();
        let shared = ours.iter().flatten().any(|place| other.contains(place));
        !shared && ours.iter().any(Option::is_some) && other.iter().any(|place| to_a[*place].is_some())
    })
}

/// A number that counts one thing here and another of its kind there.
fn bound(lexicon: &Lexicon, (a, b): (&Prompt, &Prompt), to_b: &[Option<usize>]) -> bool {
    let counted = |prompt: &Prompt, place: usize| {
        let rest = prompt.words.iter().enumerate().skip(place + 1).take(2);
        rest.filter(|(_, word)| content(word) && word.number.is_none())
            .map(|(next, _)| next)
            .next()
    };
    a.words
        .iter()
        .enumerate()
        .filter(|(_, word)| word.number.is_some())
        .any(|(place, _)| {
            let (Some(ours), Some(Some(theirs))) =
                (counted(a, place), to_b[place].map(|place| counted(b, place)))
            else {
                return false;
            };
            to_b[ours] != Some(theirs)
                && to_b[ours].is_some()
                && stand(lexicon, (a, &a.words[ours]), (b, &b.words[theirs])) == Stand::Apart
        })
}

/// `the Portuguese letter` and `the Swedish letter`, where both tongues are in both.
fn described(lexicon: &Lexicon, (a, b): (&Prompt, &Prompt), to_b: &[Option<usize>]) -> bool {
    (1..a.words.len()).any(|place| {
        let (Some(own), Some(noun)) = (to_b[place - 1], to_b[place]) else {
            return false;
        };
        if noun == 0 || noun - 1 == own || !content(&a.words[place]) || a.words[place].number.is_some() {
            return false;
        }
        stand(lexicon, (a, &a.words[place - 1]), (b, &b.words[noun - 1])) == Stand::Apart
            && content(&a.words[place - 1])
            && content(&b.words[noun - 1])
            && to_b.contains(&Some(noun - 1))
    })
}

/// `dog bites man` and `man bites dog`; `Rome attacks Carthage` and `Rome is attacked by Carthage`.
fn turned((a, b): (&Prompt, &Prompt), found: &Alignment, (mine, theirs): (&Governed, &Governed)) -> bool {
    let rest = found.left.iter().any(|place| content(&a.words[*place]))
        || found.right.iter().any(|place| content(&b.words[*place]));
    let pairs: Vec<(usize, usize)> = found
        .matches
        .iter()
        .filter(|one| content(&a.words[one.a]) && content(&b.words[one.b]))
        .map(|one| (one.a, one.b))
        .collect();
    if rest || pairs.len() < 3 {
        return false;
    }
    let agent = |governed: &[(u16, usize)]| {
        governed
            .iter()
            .find(|(bit, _)| *bit == BY)
            .map(|(_, place)| *place)
    };
    let passive = |prompt: &Prompt, agent: Option<usize>| {
        agent.is_some()
            && prompt.words.iter().any(|word| {
                matches!(
                    prompt.text(word),
                    "is" | "are" | "was" | "were" | "been" | "being" | "be"
                )
            })
    };
    let (ours, other) = (agent(mine), agent(theirs));
    let voices = passive(a, ours) != passive(b, other);
    let mut ordered: Vec<usize> = pairs.iter().map(|(_, place)| *place).collect();
    ordered.sort_unstable();
    let moved: Vec<usize> = (0..pairs.len())
        .filter(|place| pairs[*place].1 != ordered[*place])
        .collect();
    match moved.as_slice() {
        [] => {
            voices
                && pairs
                    .iter()
                    .any(|(own, place)| Some(*own) == ours || Some(*place) == other)
        }
        [first, last] => {
            // Side by side they say another thing ("sales tax"), joined by a word they don't ("salt and pepper").
            let beside = pairs[*last].0 - pairs[*first].0 == 1;
            let around = last - first > 1 && !voices;
            (beside || around) && in_place((a, b), found, (pairs[*first], pairs[*last]))
        }
        _ => false,
    }
}

/// Whether all words stand at the same places but for two, which stand at each other's.
fn in_place(
    (a, b): (&Prompt, &Prompt),
    found: &Alignment,
    (one, two): ((usize, usize), (usize, usize)),
) -> bool {
    a.words.len() == b.words.len()
        && one.0 == two.1
        && two.0 == one.1
        && found
            .matches
            .iter()
            .all(|pair| pair.a == pair.b || pair.a == one.0 || pair.a == two.0)
}

/// Share of matched words that come in another order; the longest run in order counts as right.
#[allow(clippy::cast_precision_loss, reason = "prompts have few words")]
fn inversions(a: &Prompt, found: &Alignment) -> f32 {
    let places: Vec<usize> = found
        .matches
        .iter()
        .filter(|one| !a.words[one.a].small())
        .map(|one| one.b)
        .collect();
    if places.len() < 2 {
        return 0.0;
    }
    let mut tails: Vec<usize> = Vec::new();
    for place in &places {
        let at = tails.partition_point(|tail| tail < place);
        if at == tails.len() {
            tails.push(*place);
        } else {
            tails[at] = *place;
        }
    }
    (places.len() - tails.len()) as f32 / places.len() as f32
}

/// Whether what is denied here is not what is denied there, though both are in both.
fn denied(a: &Prompt, b: &Prompt, to_b: &[Option<usize>], to_a: &[Option<usize>]) -> bool {
    // Where `not` stands behind what it denies, the next word tells nothing.
    if a.languages & b.languages & 0b11_0111 == 0 {
        return false;
    }
    let after = |prompt: &Prompt| -> Vec<usize> {
        let denying = prompt.words.iter().enumerate().filter(|(_, word)| word.denies());
        denying
            .filter_map(|(place, _)| {
                (place + 1..(place + 1 + REACH).min(prompt.words.len()))
                    .find(|next| content(&prompt.words[*next]))
            })
            .collect()
    };
    let (ours, theirs) = (after(a), after(b));
    let shared = ours
        .iter()
        .any(|place| to_b[*place].is_some_and(|other| theirs.contains(&other)));
    !shared
        && ours.iter().any(|place| to_b[*place].is_some())
        && theirs.iter().any(|place| to_a[*place].is_some())
}
