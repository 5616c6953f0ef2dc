//! People in languages that have blanks between words: by what stands before or behind their names, and by the lists.

use super::lexicon::role;
use super::places::floor;
use super::words::{Phrase, Shape, Words};
use super::{Kind, Name};

/// People, and the titles before their names.
pub(super) fn find(words: &Words<'_>, found: &mut Vec<Name>) {
    for phrase in &words.phrases {
        let roles = phrase.roles;
        if roles & role::TITLE != 0 {
            titled(words, *phrase, found);
        }
        if roles & (role::KIN | role::NAMED | role::CUE | role::MAYBE) != 0 {
            cued(words, *phrase, found);
        }
        if roles & role::KEY != 0 {
            field(words, *phrase, found);
        }
        if roles & (role::AFTER | role::OF) != 0 {
            followed(words, *phrase, found);
        }
        if roles & role::JOB != 0 {
            works(words, *phrase, found);
        }
    }
    contacts(words, found);
    listed(words, found);
}

/// A find of words from one to another.
pub(super) fn of(words: &Words<'_>, kind: Kind, (first, last): (usize, usize), sure: bool) -> Name {
    Name {
        kind,
        start: words.words[first].start,
        end: words.words[last].end,
        sure,
    }
}

/// "Mme Rivard".
fn titled(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let (first, title) = (&words.words[phrase.first], phrase.behind - 1);
    let gap = words.gap(title);
    let dotted = gap.starts_with('.');
    let short = words.words[title].end - first.start <= 2;
    let needs_dot = short && !matches!(&words.text[first.start..first.end], "Dr" | "Mr" | "Ms" | "Sr");
    if !matches!(gap, " " | ". " | ".") || (needs_dot && !dotted) {
        return;
    }
    // "la signora Greco", but not "I miss Paris".
    if first.shape == Shape::Small && !words.flat && words.words[title].end - first.start < 6 {
        return;
    }
    let Some(last) = words.run(phrase.behind) else {
        return;
    };
    // "Av." is a street, too, and "Bay" water.
    let written = &words.text[first.start..words.words[title].end];
    let joined = phrase.first > 0 && words.gap(phrase.first - 1) == " " && words.named(phrase.first - 1);
    // "Raphaël M. Staub" has no title either.
    let none = joined && (written == "Bay" || (short && dotted));
    let street = phrase.roles & role::STREET != 0 && is_numbered(words, last);
    if !none && !street {
        found.push(of(words, Kind::Person, (phrase.behind, last), true));
        let end = words.words[title].end + usize::from(dotted);
        found.push(Name {
            kind: Kind::Title,
            start: first.start,
            end,
            sure: true,
        });
    }
}

/// "my sister Ann", "I am called Ann", "to the account of Ann Lee".
fn cued(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let gap = words.gap(phrase.behind - 1);
    let colon = gap.contains([':', '：']);
    let close = gap.len() <= 4 && gap.chars().all(|sign| " :：,\n\"'(-".contains(sign)) && !gap.is_empty();
    let by_itself = phrase.roles & (role::KIN | role::NAMED | role::MAYBE) != 0;
    if !close || (by_itself && !(gap == " " || colon)) {
        return;
    }
    let Some(mut last) = words.run(phrase.behind) else {
        let Some(next) = words.words.get(phrase.behind) else {
            return;
        };
        // "my brother luis", but not "my friend can".
        let small = next.roles & role::GIVEN != 0 && next.end - next.start > 3;
        if small && phrase.roles & role::KIN != 0 && !next.glued {
            found.push(of(words, Kind::Person, (phrase.behind, phrase.behind), true));
        }
        return;
    };
    // "annem Zehra Konya şehrinde": what is said of a place is one.
    if last > phrase.behind && words.begins(last + 1, role::PLACED) {
        last -= 1;
    }
    last = listed_first(words, phrase, last);
    let known = words.known(phrase.behind, last);
    if phrase.roles & role::MAYBE != 0 {
        if known {
            found.push(of(words, Kind::Person, (phrase.behind, last), !words.flat));
        }
        return;
    }
    let sure = (known || by_itself || (colon && last > phrase.behind)) && !words.flat;
    found.push(of(words, Kind::Person, (phrase.behind, last), sure));
}

/// Where a name ends whose family name is written first, as in a list: "Lee, Ann".
fn listed_first(words: &Words<'_>, phrase: Phrase, last: usize) -> usize {
    if words.gap(last) != ", " || last != phrase.behind {
        return last;
    }
    let Some(more) = words.run(last + 1) else {
        return last;
    };
    let ends = !words.gap(more).starts_with([' ', ',']);
    let given = words.roles(last + 1, last + 1) & role::GIVEN != 0;
    if given || (ends && phrase.roles & role::NAMED != 0) {
        more
    } else {
        last
    }
}

/// "Name: Ann Lee", `"nombre": "Ana Lugo"`.
fn field(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let gap = words.gap(phrase.behind - 1);
    let says = gap.contains([':', '=', '：']) && gap.chars().all(|sign| " :=：\"'\t".contains(sign));
    if !says {
        return;
    }
    if gap.contains('"') {
        quoted(words, phrase.behind, found);
        return;
    }
    let Some(mut last) = words.run(phrase.behind) else {
        return;
    };
    if words.gap(last) == ", " && last == phrase.behind && words.named(last + 1) {
        last = words.run(last + 1).unwrap_or(last);
    }
    let known = words.known(phrase.behind, last);
    found.push(of(
        words,
        Kind::Person,
        (phrase.behind, last),
        known && !words.flat,
    ));
}

/// Everything up to the next quotation mark, where it looks like a name.
fn quoted(words: &Words<'_>, first: usize, found: &mut Vec<Name>) {
    let Some(start) = words.words.get(first).map(|word| word.start) else {
        return;
    };
    let near = &words.text[start..floor(words.text, (start + 64).min(words.text.len()))];
    let Some(end) = near.find('"').map(|at| start + at) else {
        return;
    };
    let behind = words.words.partition_point(|word| word.start < end);
    let Some(last) = behind
        .checked_sub(1)
        .filter(|last| *last >= first && last - first < 6)
    else {
        return;
    };
    let whole = words.words[last].end == end
        && (first..last).all(|word| matches!(words.gap(word), " " | ", " | ". " | "'" | "’"));
    let large = |word: usize| words.named(word) || words.words[word].shape == Shape::Small;
    let listed = words.roles(first, last) & (role::GIVEN | role::SURNAME) != 0;
    let named = words.named(first) || (listed && words.words[first].roles & role::STOP == 0);
    if whole && named && (first..=last).all(large) {
        let known = listed || words.words[first].shape == Shape::Initial;
        found.push(of(words, Kind::Person, (first, last), known));
    }
}

/// Whether a number stands behind a word, as behind a street's name.
fn is_numbered(words: &Words<'_>, last: usize) -> bool {
    let behind = words.text[words.words[last].end..].trim_start_matches([',', ' ']);
    behind.starts_with(|sign: char| sign.is_ascii_digit())
}

/// "Ahmet Bey", "Ahmet Kaya adına".
fn followed(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let Some(last) = phrase.first.checked_sub(1).filter(|last| words.gap(*last) == " ") else {
        return;
    };
    if words.words[phrase.first].shape == Shape::Small && phrase.roles & role::AFTER != 0 {
        return;
    }
    if let Some(mut first) = words.run_before(last, 4) {
        // The first word of a sentence has a capital, too.
        while first < last
            && words.roles(first, first) & (role::GIVEN | role::SURNAME) == 0
            && words.roles(first + 1, first + 1) & role::GIVEN != 0
        {
            first += 1;
        }
        let sure = phrase.roles & role::AFTER != 0 || words.known(first, last);
        found.push(of(words, Kind::Person, (first, last), sure));
    }
}

/// "works as a nurse", said of somebody.
fn works(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    const AS: [&str; 6] = ["als", "como", "comme", "come", "as", "olarak"];
    let is = |word: usize| {
        let one = words.words.get(word);
        one.is_some_and(|one| AS.contains(&&words.text[one.start..one.end]))
    };
    let last = phrase.behind - 1;
    let before = phrase
        .first
        .checked_sub(1)
        .filter(|before| words.gap(*before) == " ");
    if before.is_some_and(is) || (words.gap(last) == " " && is(phrase.behind)) {
        found.push(of(words, Kind::Title, (phrase.first, last), false));
    }
}

/// "Ann Lee (ann@example.com)".
fn contacts(words: &Words<'_>, found: &mut Vec<Name>) {
    for (at, _) in words.text.match_indices(" (") {
        let near = &words.text[at + 2..floor(words.text, (at + 82).min(words.text.len()))];
        let inside = near.split([')', '\n']).next().unwrap_or_default();
        let digits = inside.bytes().filter(u8::is_ascii_digit).count();
        let reached = inside.contains('@') || digits >= 7;
        let count = words.words.partition_point(|word| word.end <= at);
        let last = count
            .checked_sub(1)
            .filter(|last| reached && words.words[*last].end == at);
        if let Some(last) = last
            && let Some(first) = words.run_before(last, 4)
        {
            found.push(of(words, Kind::Person, (first, last), false));
        }
    }
}

/// Names of the lists. One alone is somebody's only where a text has something else of a person.
fn listed(words: &Words<'_>, found: &mut Vec<Name>) {
    let mut from = 0;
    while from < words.words.len() {
        let given = words.words[from].roles & role::GIVEN != 0;
        let Some(last) = words.run(from).filter(|_| given) else {
            from += 1;
            continue;
        };
        let family = last > from && words.roles(from + 1, last) & role::SURNAME != 0;
        let places = role::PLACE | role::STREET | role::ROAD;
        let place = words.roles(from, last) & places != 0 && !family;
        if !place {
            // "414 Nicholas Parkways" is a street.
            let numbered = words.text[..words.words[from].start]
                .trim_end()
                .ends_with(|sign: char| sign.is_ascii_digit());
            let sure = family && words.roles(from, last) & places == 0 && !numbered && !words.flat;
            found.push(of(words, Kind::Person, (from, last), sure));
        }
        from = last + 1;
    }
}
