//! Lists of names, places and the words around them, by language (`data/`), and which of them a word is in.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::words;

/// What a word or a phrase may be, one bit each.
pub(super) mod role {
    /// A given name.
    pub const GIVEN: u32 = 1;
    /// A family name.
    pub const SURNAME: u32 = 1 << 1;
    /// A city, a province or a country.
    pub const PLACE: u32 = 1 << 2;
    /// Stands before a name: "Mme".
    pub const TITLE: u32 = 1 << 3;
    /// Stands behind a name: "Bey".
    pub const AFTER: u32 = 1 << 4;
    /// A relative or a friend, whose name follows.
    pub const KIN: u32 = 1 << 5;
    /// Somebody's name follows where the word itself says no more: "I am called".
    pub const NAMED: u32 = 1 << 6;
    /// Somebody's name may follow.
    pub const CUE: u32 = 1 << 7;
    /// A name follows now and then: "I am".
    pub const MAYBE: u32 = 1 << 8;
    /// What a form calls the field of a name.
    pub const KEY: u32 = 1 << 9;
    /// Stands behind whoever it is about: "adına".
    pub const OF: u32 = 1 << 10;
    /// A place follows.
    pub const LIVES: u32 = 1 << 11;
    /// Stands behind a place: "şehrinde".
    pub const PLACED: u32 = 1 << 12;
    /// A sort of street that stands before its name.
    pub const STREET: u32 = 1 << 13;
    /// What divides a house: "piso".
    pub const INSIDE: u32 = 1 << 14;
    /// A sort of street that stands behind its name.
    pub const ROAD: u32 = 1 << 15;
    /// Written with a capital and no name.
    pub const STOP: u32 = 1 << 16;
    /// Before the name of a street, but more often something else.
    pub const STREETISH: u32 = 1 << 17;
    /// Behind the name of a street, but more often something else.
    pub const ROADISH: u32 = 1 << 18;
    /// Where whoever writes lives or comes from follows.
    pub const HOME: u32 = 1 << 22;
    /// The name of a company may follow.
    pub const FIRM: u32 = 1 << 20;
    /// Stands behind the name of a company.
    pub const FIRMED: u32 = 1 << 21;
    /// What somebody works as.
    pub const JOB: u32 = 1 << 19;
}

const FILES: [&str; 7] = [
    include_str!("data/de.txt"),
    include_str!("data/en.txt"),
    include_str!("data/es.txt"),
    include_str!("data/fr.txt"),
    include_str!("data/it.txt"),
    include_str!("data/pt.txt"),
    include_str!("data/tr.txt"),
];

/// What the lists say of a word.
#[derive(Debug, Default)]
struct Entry {
    roles: u32,
    /// Phrases that begin with it: the words that follow, and what the whole is.
    longer: Vec<(Box<[Box<str>]>, u32)>,
}

/// The lists of languages that have blanks between words.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    words: HashMap<Box<str>, Entry, foldhash::fast::RandomState>,
}

impl Lexicon {
    /// The lists that ship.
    pub(super) fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<Lexicon> = OnceLock::new();
        SHIPPED.get_or_init(|| {
            let mut lexicon = Self::default();
            for (key, members) in FILES.iter().flat_map(|file| lists(file)) {
                if let Some(role) = role_of(key) {
                    members.for_each(|member| lexicon.add(member, role));
                }
            }
            lexicon
        })
    }

    fn add(&mut self, member: &str, role: u32) {
        let mut parts = words::split(member).map(|(start, end)| {
            let mut part = String::new();
            words::fold(&member[start..end], &mut part);
            part.into_boxed_str()
        });
        let Some(first) = parts.next() else { return };
        let rest: Box<[Box<str>]> = parts.collect();
        let entry = self.words.entry(first).or_default();
        if rest.is_empty() {
            entry.roles |= role;
        } else if let Some((_, roles)) = entry.longer.iter_mut().find(|(known, _)| *known == rest) {
            *roles |= role;
        } else {
            entry.longer.push((rest, role));
        }
    }

    /// What a folded word is by itself.
    pub(super) fn roles(&self, word: &str) -> u32 {
        self.words.get(word).map_or(0, |entry| entry.roles)
    }

    /// Phrases that begin with a folded word.
    pub(super) fn longer(&self, word: &str) -> &[(Box<[Box<str>]>, u32)] {
        self.words.get(word).map_or(&[], |entry| entry.longer.as_slice())
    }
}

/// The lists of a file: what each is called, and its members.
pub(super) fn lists(file: &'static str) -> impl Iterator<Item = (&'static str, Members)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (key, members) = line.split_once(": ")?;
        Some((key, members.split(", ")))
    })
}

/// Members of a list.
pub(super) type Members = std::str::Split<'static, &'static str>;

fn role_of(key: &str) -> Option<u32> {
    Some(match key {
        "given" => role::GIVEN,
        "surname" => role::SURNAME,
        "city" | "country" => role::PLACE,
        "title" => role::TITLE,
        "after" => role::AFTER,
        "kin" => role::KIN,
        "named" => role::NAMED,
        "cue" => role::CUE,
        "maybe" => role::MAYBE,
        "key" => role::KEY,
        "of" => role::OF,
        "place" => role::LIVES,
        "placed" => role::PLACED,
        "street" => role::STREET,
        "inside" => role::INSIDE,
        "road" => role::ROAD,
        "stop" => role::STOP,
        "job" => role::JOB,
        "home" => role::LIVES | role::HOME,
        "firm" => role::FIRM,
        "firmed" => role::FIRMED,
        "streetish" => role::STREETISH,
        "roadish" => role::ROADISH,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_of_a_known_kind_and_every_word_in_its_place() {
        for file in FILES {
            for (key, mut members) in lists(file) {
                assert!(role_of(key).is_some(), "{key}");
                assert!(members.all(|member| !member.trim().is_empty()), "{key}");
            }
        }
        let lexicon = Lexicon::shipped();
        let of = |word: &str| {
            let mut folded = String::new();
            words::fold(word, &mut folded);
            lexicon.roles(&folded)
        };
        assert!(of("İbrahim") & role::GIVEN > 0 && of("IBRAHIM") & role::GIVEN > 0);
        assert!(of("Köln") & role::PLACE > 0 && of("Kölns") == 0);
        assert!(
            lexicon
                .longer("san")
                .iter()
                .any(|(rest, _)| **rest == ["sebastián".into()])
        );
    }
}
