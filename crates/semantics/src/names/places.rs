//! Places, addresses and organisations in languages that have blanks between words.

use std::sync::OnceLock;

use regex::Regex;

use super::lexicon::role;
use super::people::of;
use super::words::{Phrase, Shape, Words};
use super::{Kind, Name};

/// What numbers, flats and codes of addresses look like.
pub(super) struct Patterns {
    /// Behind the name of a street: its number, and what is within the house.
    number: Option<Regex>,
    /// Before the name of a street.
    number_before: Option<Regex>,
    /// Flats and floors.
    inside: Option<Regex>,
    /// Behind an address: a code and a town.
    code: Option<Regex>,
    /// Behind an address on an envelope or in a form: everything up to the town.
    rest: Option<Regex>,
    /// Behind an address: town, state and code as North America, Britain and India write them.
    foreign: Option<Regex>,
    /// A flat on a line for itself.
    flat: Option<Regex>,
    /// What a form calls an address.
    label: Option<Regex>,
    /// Streets as Turkish writes them, and streets whose names are numbers.
    whole: [Option<Regex>; 2],
    /// What companies are called at the end.
    company: Option<Regex>,
    /// What companies are called that anybody may speak of.
    enterprise: Option<Regex>,
}

/// Those that ship; compiled the first time they are asked for.
pub(super) fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        // A pattern that does not compile finds nothing; a test compiles all.
        let pattern = |pattern: &str| Regex::new(pattern).ok();
        Patterns {
            number: pattern(
                r"^(?:,? ?(?:[Nn](?:[º°.]|úmero)? ?|No\.? ?:? ?|# ?|num\.? ?)?[0-9]{1,4}\b(?:[/-][0-9]{1,4}\b)?|,? ?(?:[Nn][º°.] ?|No\.? ?)?[0-9]{1,4}(?:-?[A-Za-z]| ?(?:bis|ter|[A-Z]))\b|,? [Ss]/[Nn]\b)(?: (?:bis|ter)\b)?",
            ),
            number_before: pattern(r"(?:H\.? ?No\.? )?(?:[0-9]{1,5}/)?[0-9]{1,6}(?: ?(?:bis|ter|[A-Z]))?,? $"),
            inside: pattern(
                r"^(?: ?,? ?(?i:edif\.?|piano|scala|palazzina|kat|daire|puerta|piso|planta|portal|escalera|apto\.?|apt\.?|appt\.?|apartamento|apartment|appartamento|interno|int\.|étage|bâtiment|bât\.?|wohnung|top|stiege|bloco|andar|suite|unit|flat|floor|depto\.?|interior)[.:]? ?[0-9]{1,4}[A-Za-z]?|, ?[0-9]{1,2} ?[ºª°](?: ?[A-Z]\b)?(?: (?i:izq|dcha)\b\.?)?)+",
            ),
            code: pattern(r"^, ([0-9]{4,8}(?:-[0-9]{3,4})?|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]) "),
            rest: pattern(
                r"^(?: ?[,\n] ?|[ ]{1,2})(?:[\p{Lu}][\p{L}'’-]*(?: (?:(?:de|da|do|dos|das|di|la|le|del|della|sur|am|an|der|in|im|bei) ){0,2}[\p{Lu}][\p{L}'’-]*){0,4}(?:, ?|\n| ))?[0-9]{4,8}(?:-[0-9]{3,4})?\b(?:,? [\p{Lu}][\p{L}'’-]*(?: (?:(?:de|da|do|dos|das|di|la|le|del|della|sur|am|an|der|in|im|bei) ){0,2}[\p{Lu}][\p{L}'’-]*){0,4}(?:(?:/| / | \()[\p{L} ]{2,20}\)?)?)?",
            ),
            foreign: pattern(
                r"^(?:,? |,?\n)(?:(?:St\. )?[\p{Lu}][\p{L}'’-]*(?: [\p{Lu}][\p{L}'’-]*){0,3}, [A-Z]{2,3},? [A-Z0-9]{3,5}(?:[ -]?[A-Z0-9]{3,4})?\b|(?:St\. )?[\p{Lu}][\p{L}'’-]*(?: [\p{Lu}][\p{L}'’-]*){0,3}(?:, ?| |\n)[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}\b|(?:St\. )?[\p{Lu}][\p{L}'’-]*(?: [\p{Lu}][\p{L}'’-]*){0,3}[- ][0-9]{6}\b|(?:[0-9]{5} )?[\p{Lu}][\p{L}]+/[\p{Lu}][\p{L}]+)",
            ),
            flat: pattern(
                r"(?m)^[^\p{L}\p{N}\n]{0,6}((?:Apt\.?|Apartment|Flat|Suite|Unit|Studio) [0-9]{1,5}[A-Za-z]?)[ ]*$",
            ),
            label: pattern(
                r"(?i)(?:address|adresse|anschrift|dirección|direccion|domicilio|indirizzo|endereço|morada|adres|adresi|adresim)(?: [\p{L}]{2,14}){0,3}[ ]?[:：]\s{0,2}$",
            ),
            whole: [pattern(
                r"(?:[\p{Lu}][\p{L}]+ ){1,2}?(?:(?:Mahallesi|Mahalle|Mah\.|Mh\.)[, ]{1,2}(?:[\p{Lu}0-9][\p{L}0-9]*\.? ){1,3})?(?:Sokağı|Sokak|Sok\.|Sk\.|Caddesi|Cadde|Cad\.|Cd\.|Bulvarı|Bulvar|Blv\.|Çıkmazı|Meydanı|Boyu|Yolu|Yokuşu|Sahili)(?:[, ]{1,2}(?:No|Numara|no|Nr)[.:]{0,2} ?[0-9]+(?:[/-][0-9A-Za-z]+)?)?(?:[, ]{1,2}(?:Daire|D|Kat|K|Apt|Blok)[.:]{0,2} ?[0-9]+)*",
            ), pattern(
                r"\b(?:(?i:av\.?|avda\.?|avenida) )?(?i:calle|carrera|transversal|diagonal|avenida|cl\.?|cra\.?|cr\.?|kr\.?) [0-9]{1,3} ?(?:ª|[A-Z]{1,2}\b)?(?: ?Bis)?(?: ?[A-Z]\b)?(?: (?:Sur|Norte|Este|Oeste))? ?(?:#|No\.?|N°) ?[0-9]{1,3} ?[A-Z]{0,2}(?: ?Bis)?(?: ?[A-Z])? ?- ?[0-9]{1,3}(?: (?:Sur|Norte|Este|Oeste))?",
            )],
            enterprise: pattern(
                r"[ ,](?:Inc\.?|Corp\.?|Holding|Sanayi|Foundation|Technologies|Solutions|Industries|Partners|Bank|Labs|Group|Groupe|Gruppo|Grupo|Hospital|Vakfı|Bankası|Hastanesi|& Co\.?)",
            ),
            company: pattern(
                r"[ ,](?:GmbH(?: & Co\.? ?KG(?:aA)?)?|& Co\. KGaA|& Co\. KG|AG|KGaA|KG|OHG|UG|mbH|e\.V\.|S\.A\.S\.|SARL|S\.A\.R\.L\.|SAS|S\.A\.|SA|S\.L\.U?\.?|SL|S\.R\.L\.|[Ss]\.r\.l\.|SRL|S\.p\.A\.|SPA|SpA|Ltda\.?|Lda\.?|A\.Ş\.|Ltd\. Şti\.|Ltd\.?|LLC|PLC)",
            ),
        }
    })
}

/// Places, addresses with their codes and towns, and organisations.
pub(super) fn find(words: &Words<'_>, found: &mut Vec<Name>) {
    for phrase in &words.phrases {
        let roles = phrase.roles;
        if roles & role::LIVES != 0 {
            lived(words, *phrase, found);
        }
        if roles & role::PLACED != 0 {
            placed(words, *phrase, found);
        }
        if roles & (role::STREET | role::STREETISH) != 0 {
            street(words, *phrase, found);
        }
        if roles & (role::ROAD | role::ROADISH) != 0 {
            road(words, *phrase, found);
        }
        if roles & (role::FIRM | role::FIRMED) != 0 {
            firm(words, *phrase, found);
        }
        if roles & role::PLACE != 0 {
            listed(words, *phrase, found);
        }
    }
    compounds(words, found);
    whole(words, found);
    companies(words, found);
    partners(words, found);
    flats(words, found);
}

/// "lives in Bergen".
fn lived(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let streets = role::STREET | role::STREETISH | role::LIVES;
    if words.gap(phrase.behind - 1) != " " || words.roles(phrase.behind, phrase.behind) & streets != 0 {
        return;
    }
    if let Some(last) = words.place(phrase.behind) {
        if words.roles(phrase.behind, last) & role::ROAD != 0 {
            return;
        }
        let sure = phrase.roles & role::HOME != 0 && words.begins(phrase.behind, role::PLACE);
        found.push(of(words, Kind::Place, (phrase.behind, last), sure));
    }
}

/// "Konya şehrinde".
fn placed(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let last = phrase.first.checked_sub(1).filter(|last| words.gap(*last) == " ");
    if let Some(last) = last.filter(|last| words.named(*last)) {
        found.push(of(words, Kind::Place, (last, last), false));
    }
}

/// A place of the lists.
fn listed(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let (first, last) = (phrase.first, phrase.behind - 1);
    let written = words.flat || words.words[first].shape != Shape::Small;
    // A word of a longer name is none by itself.
    let whole = last > first || words.words[first].end - words.words[first].start > 3;
    let stop = last == first && words.roles(first, last) & role::STOP != 0;
    if written && whole && !stop && !words.words[first].glued {
        found.push(of(words, Kind::Place, (first, last), false));
    }
}

/// "Calle Mayor 5", "49, rue de la Paix".
fn street(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let sort = phrase.behind - 1;
    let mut name = phrase.behind;
    // "C/ Alcalá 120".
    let letter = words.words[sort].end - words.words[sort].start == 1;
    let gaps: &[&str] = if letter {
        &["/ ", "/", ". "]
    } else {
        &[" ", ". ", "."]
    };
    if !gaps.contains(&words.gap(sort)) {
        return;
    }
    let mut small = 0;
    while small < 3
        && words
            .words
            .get(name)
            .is_some_and(|word| word.shape == Shape::Small)
        && !words.gap(name).is_empty()
    {
        if !matches!(words.gap(name), " " | "'" | "’") || words.words[name].end - words.words[name].start > 5
        {
            return;
        }
        name += 1;
        small += 1;
    }
    let doctor = words.roles(name, name) & role::TITLE != 0 && matches!(words.gap(name), ". " | " ");
    let Some(last) = words.run(name + usize::from(doctor)) else {
        return;
    };
    let (mut start, mut end) = (words.words[phrase.first].start, words.words[last].end);
    let before = patterns().number_before.as_ref().and_then(|pattern| {
        let from = floor(words.text, start.saturating_sub(20));
        Some(from + pattern.find(&words.text[from..start])?.start())
    });
    let numbered = match before {
        Some(at) => {
            start = at;
            inside(words.text, &mut end);
            true
        }
        None => number(words.text, &mut end),
    };
    let numbered = numbered || coded(words.text, end);
    if !numbered && words.words[phrase.first].shape == Shape::Small {
        return;
    }
    let written = phrase.roles & role::STREET != 0 || words.gap(sort).starts_with('/');
    let sure = numbered && (written || coded(words.text, end));
    address(words, (start, end), sure, found);
}

/// Whether a code and a town follow.
fn coded(text: &str, end: usize) -> bool {
    let code = patterns().code.as_ref();
    code.is_some_and(|code| code.is_match(&text[end..]))
}

/// "12 Long Lane".
fn road(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    let last = phrase.first;
    if words.words[last].shape == Shape::Small && !words.flat {
        return;
    }
    let Some(first) = last
        .checked_sub(1)
        .filter(|before| words.gap(*before) == " ")
        .and_then(|before| road_name(words, before))
    else {
        return;
    };
    let start = words.words[first].start;
    let from = floor(words.text, start.saturating_sub(20));
    let number = patterns().number_before.as_ref();
    let Some(at) = number.and_then(|pattern| pattern.find(&words.text[from..start])) else {
        return;
    };
    // "M.2 Solid State Drive" has no number of a house.
    let before = words.text[..from + at.start()].chars().next_back();
    if before.is_some_and(|sign| sign.is_alphanumeric() || matches!(sign, '.' | '-' | '_' | '$' | '€')) {
        return;
    }
    let mut end = words.words[last].end;
    inside(words.text, &mut end);
    let whole = patterns()
        .foreign
        .as_ref()
        .is_some_and(|rest| rest.is_match(&words.text[end..]));
    address(
        words,
        (from + at.start(), end),
        phrase.roles & role::ROAD != 0 || whole,
        found,
    );
}

/// Where the name of a road begins whose last word this is.
fn road_name(words: &Words<'_>, last: usize) -> Option<usize> {
    let large = |word: usize| matches!(words.words[word].shape, Shape::Title) && !words.words[word].glued;
    let mut first = Some(last).filter(|last| large(*last))?;
    while last - first < 3 && first > 0 && words.gap(first - 1) == " " && large(first - 1) {
        first -= 1;
    }
    Some(first)
}

/// Endings of German streets, the first of which are of nothing else.
const ENDINGS: [&str; 14] = [
    "straße", "strasse", "str", "weg", "gasse", "allee", "chaussee", "platz", "-ring", "ufer", "damm",
    "steig", "markt", "ring",
];
/// How many of them are of nothing else.
const SURE: usize = 7;

/// "Lindenallee 4".
fn compounds(words: &Words<'_>, found: &mut Vec<Name>) {
    for (at, word) in words.words.iter().enumerate() {
        let written = &words.text[word.start..word.end];
        if word.shape != Shape::Title || word.end - word.start < 3 || word.glued {
            continue;
        }
        let folded = written.to_lowercase();
        let Some(ending) = ENDINGS.iter().position(|ending| folded.ends_with(ending)) else {
            continue;
        };
        let mut end = word.end;
        if words.text[end..].starts_with('.') {
            end += 1;
        }
        if !words.text[end..].starts_with(' ') || !number(words.text, &mut end) {
            continue;
        }
        // "Engineering 101" is no street.
        if ENDINGS[ending] == "ring" && !coded(words.text, end) {
            continue;
        }
        let alone = ENDINGS.contains(&folded.as_str());
        let first = match at
            .checked_sub(1)
            .filter(|before| alone && words.gap(*before) == " ")
        {
            Some(before) => words.run_before(before, 3).unwrap_or(at),
            None => at,
        };
        if !alone || first < at {
            address(
                words,
                (words.words[first].start, end),
                ending < SURE || coded(words.text, end),
                found,
            );
        }
    }
}

/// "Lale Sokak No: 8", "Calle 7 # 25-5".
fn whole(words: &Words<'_>, found: &mut Vec<Name>) {
    for pattern in patterns().whole.iter().flatten() {
        for hit in pattern.find_iter(words.text) {
            let sure = hit.as_str().bytes().any(|byte| byte.is_ascii_digit());
            address(words, (hit.start(), hit.end()), sure, found);
        }
    }
}

/// Moves the end of a street's name behind its number.
fn number(text: &str, end: &mut usize) -> bool {
    let hit = patterns()
        .number
        .as_ref()
        .and_then(|pattern| pattern.find(&text[*end..]));
    if let Some(hit) = hit {
        *end += hit.end();
        inside(text, end);
    }
    hit.is_some()
}

fn inside(text: &str, end: &mut usize) {
    if let Some(hit) = patterns()
        .inside
        .as_ref()
        .and_then(|pattern| pattern.find(&text[*end..]))
    {
        *end += hit.end();
    }
}

/// An address: in a form it goes up to the town, in a sentence code and town stand for themselves.
fn address(words: &Words<'_>, (start, mut end): (usize, usize), sure: bool, found: &mut Vec<Name>) {
    let text = words.text;
    let all = patterns();
    let label_from = floor(text, start.saturating_sub(64));
    let labelled = all
        .label
        .as_ref()
        .is_some_and(|label| label.is_match(&text[label_from..start]));
    let sure = sure || labelled;
    let rest = all.rest.as_ref().and_then(|rest| rest.find(&text[end..]));
    let foreign = all.foreign.as_ref().and_then(|rest| rest.find(&text[end..]));
    // What no comma parts is one address, too.
    if let Some(rest) =
        foreign.or(rest.filter(|rest| labelled || !rest.as_str().trim_start().starts_with(',')))
    {
        end += rest.end();
    } else if let Some(code) = all.code.as_ref().and_then(|code| code.captures(&text[end..])) {
        let (Some(whole), Some(digits)) = (code.get(0), code.get(1)) else {
            return;
        };
        found.push(Name {
            kind: Kind::Code,
            start: end + digits.start(),
            end: end + digits.end(),
            sure,
        });
        let town = words.words.partition_point(|word| word.start < end + whole.end());
        if let Some(last) = words
            .place(town)
            .filter(|_| words.words[town].start == end + whole.end())
        {
            found.push(of(words, Kind::Place, (town, last), sure));
        }
    }
    found.push(Name {
        kind: Kind::Address,
        start,
        end,
        sure,
    });
    addressee(words, start, sure, found);
}

/// "Ann Lee, 12 Long Lane": whoever is written before an address.
fn addressee(words: &Words<'_>, start: usize, sure: bool, found: &mut Vec<Name>) {
    let before = &words.text[..start];
    let name = before.trim_end_matches([',', '\n', ' ']);
    let count = words.words.partition_point(|word| word.end <= name.len());
    let parted = matches!(&before[name.len()..], ", " | "\n" | ",\n" | "\n\n");
    let last = count
        .checked_sub(1)
        .filter(|last| parted && words.words[*last].end == name.len());
    let Some(last) = last else { return };
    let Some(mut first) = words.run_before(last, 4) else {
        return;
    };
    // The family name first, behind a small word: "an Löwer, Elke".
    let listed = first == last && first > 1 && words.gap(first - 1) == ", " && words.named(first - 1);
    if listed && words.words[first - 2].shape == Shape::Small && words.gap(first - 2) == " " {
        first -= 1;
    }
    if first < last || words.known(first, last) {
        found.push(of(words, Kind::Person, (first, last), sure));
    }
}

/// "chez Robert, Turcotte et Turgeon", "Nova Yazılım şirketinin".
fn firm(words: &Words<'_>, phrase: Phrase, found: &mut Vec<Name>) {
    if phrase.roles & role::FIRMED != 0 {
        let last = phrase.first.checked_sub(1).filter(|last| words.gap(*last) == " ");
        let Some(last) = last else { return };
        // "Akış Bankası": what is no name of its own may end one.
        let sort = words.words[last].roles & role::STOP != 0 && words.words[last].shape == Shape::Title;
        let name = last.checked_sub(usize::from(sort));
        if let Some(first) = name.and_then(|name| words.run_before(name, 4)) {
            found.push(of(words, Kind::Organisation, (first, last), false));
        }
        return;
    }
    if words.gap(phrase.behind - 1) != " " {
        return;
    }
    let Some(mut last) = words.run(phrase.behind) else {
        return;
    };
    let one = last;
    // Names of partners, the last of which is joined by a word.
    let mut end = last;
    while words.gap(end) == ", " && words.named(end + 1) && end - one < 6 {
        end = words.run(end + 1).unwrap_or(end + 1);
    }
    let joins = |word: usize| {
        words
            .words
            .get(word)
            .is_some_and(|one| JOINS.contains(&&words.text[one.start..one.end]))
    };
    let more = |word: usize| {
        words.named(word) || (joins(word) && words.words[word].end - words.words[word].start > 3)
    };
    if words.gap(end) == " " && joins(end + 1) && words.gap(end + 1) == " " && more(end + 2) {
        last = words.run(end + 2).unwrap_or(end + 2);
        if words.gap(last) == " " && joins(last + 1) && words.gap(last + 1) == " " && joins(last + 2) {
            last += 2;
        }
    }
    let person = last == one && words.known(phrase.behind, last);
    if !person {
        found.push(of(words, Kind::Organisation, (phrase.behind, last), false));
    }
}

/// What joins the names of partners in a company's.
const JOINS: [&str; 14] = [
    "and",
    "y",
    "e",
    "et",
    "und",
    "de",
    "di",
    "da",
    "asociados",
    "figli",
    "hijos",
    "fils",
    "filhos",
    "ve",
];

/// "Senn GmbH".
fn companies(words: &Words<'_>, found: &mut Vec<Name>) {
    let all = patterns();
    for (pattern, sure) in [(&all.company, true), (&all.enterprise, false)] {
        let Some(pattern) = pattern else { continue };
        for hit in pattern.find_iter(words.text) {
            company(words, (hit.start(), hit.end()), sure, found);
        }
    }
}

fn company(words: &Words<'_>, (start, end): (usize, usize), sure: bool, found: &mut Vec<Name>) {
    let behind = words.text[end..].chars().next();
    let count = words.words.partition_point(|word| word.end <= start);
    let Some(last) = count.checked_sub(1) else { return };
    let between = &words.text[words.words[last].end..start];
    // "Adelaide, SA" is no company.
    let state = words.text[start..end].starts_with(',') || between == ",";
    let state = state && words.text[start..end].ends_with("SA");
    // "Studio54 Group".
    let digits = between.bytes().all(|byte| byte.is_ascii_digit());
    if state || behind.is_some_and(char::is_alphanumeric) || !(digits || between == ",") {
        return;
    }
    if let Some(first) = company_name(words, last) {
        found.push(Name {
            kind: Kind::Organisation,
            start: words.words[first].start,
            end,
            sure,
        });
    }
}

/// "Robert, Turcotte and Turgeon".
fn partners(words: &Words<'_>, found: &mut Vec<Name>) {
    for first in 0..words.words.len().saturating_sub(3) {
        let listed = words.gap(first) == ", " && words.gap(first + 1) == " " && words.gap(first + 2) == " ";
        if !listed || !joins(words, first + 2) || words.flat {
            continue;
        }
        let three = [first, first + 1, first + 3];
        let named = three.iter().all(|word| words.named(*word));
        let family = three
            .iter()
            .any(|word| words.roles(*word, *word) & role::GIVEN == 0);
        let longer = first > 0 && words.gap(first - 1) == " " && words.named(first - 1);
        if named && family && !longer {
            found.push(of(words, Kind::Organisation, (first, first + 3), false));
        }
    }
}

/// "Apt. 5", where it stands on a line for itself.
fn flats(words: &Words<'_>, found: &mut Vec<Name>) {
    let Some(pattern) = &patterns().flat else { return };
    for hit in pattern.captures_iter(words.text).filter_map(|hit| hit.get(1)) {
        found.push(Name {
            kind: Kind::Address,
            start: hit.start(),
            end: hit.end(),
            sure: false,
        });
    }
}

/// Whether a word joins the names of partners.
fn joins(words: &Words<'_>, word: usize) -> bool {
    words
        .words
        .get(word)
        .is_some_and(|one| JOINS.contains(&&words.text[one.start..one.end]))
}

/// Where the name of a company begins whose last word this is: words with capitals, and what joins them.
fn company_name(words: &Words<'_>, last: usize) -> Option<usize> {
    const SORTS: [&str; 10] = ["AG", "GmbH", "SA", "SL", "KG", "SAS", "SARL", "LLC", "Ltd", "SRL"];
    let is = |word: usize, any: &[&str]| {
        any.contains(&&words.text[words.words[word].start..words.words[word].end])
    };
    let large = |word: usize| words.words[word].shape != Shape::Small && !is(word, &SORTS);
    let joins = |word: usize| is(word, &JOINS);
    if !(large(last) || joins(last)) || words.words[last].roles & role::STOP != 0 {
        return None;
    }
    let (mut first, mut at) = (last, last);
    let sort = |word: usize| words.words[word].roles & role::FIRM != 0 && !words.flat;
    while last - at < 6
        && at > 0
        && !sort(at - 1)
        && matches!(words.gap(at - 1), " " | ", " | " & " | "'" | "’")
    {
        at -= 1;
        if large(at) && words.words[at].roles & role::STOP == 0 {
            first = at;
        } else if !joins(at) || words.gap(at) != " " {
            break;
        }
    }
    // Not of sorts of companies alone.
    let says = |word: usize| {
        words.words[word].shape == Shape::Title && words.words[word].end - words.words[word].start > 2
    };
    (large(first) && (first..=last).any(says)).then_some(first)
}

/// The nearest place at or before `at` where a letter begins.
pub(super) fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        let all = patterns();
        let each = [
            &all.number,
            &all.number_before,
            &all.inside,
            &all.code,
            &all.rest,
            &all.foreign,
            &all.flat,
            &all.label,
            &all.whole[0],
            &all.whole[1],
            &all.company,
            &all.enterprise,
        ];
        assert!(each.iter().all(|pattern| pattern.is_some()));
    }
}
