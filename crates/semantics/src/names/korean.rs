//! Korean names, places, addresses and companies. Particles hang on names, so a name ends where what is left is one.

use std::collections::HashSet;
use std::sync::OnceLock;

use regex::Regex;

use super::lexicon::lists;
use super::{Kind, Name};

type Set = HashSet<&'static str, foldhash::fast::RandomState>;
type Letters = HashSet<char, foldhash::fast::RandomState>;

/// The lists, and what addresses and companies look like.
#[derive(Default)]
pub(super) struct Lists {
    surname: Letters,
    double: Set,
    first: Letters,
    last: Letters,
    given: Set,
    nouns: Set,
    cities: Set,
    counties: Set,
    countries: Set,
    rank: Vec<&'static str>,
    kin: Set,
    key: Set,
    job: Vec<&'static str>,
    address: Vec<Regex>,
    company: Vec<Regex>,
}

const ADDRESSES: &[&str] = &[
    r"(?:(?:서울|부산|대구|인천|광주|대전|울산|세종)(?:특별시|광역시|특별자치시|시)?|경기도?|(?:강원|제주|전북)(?:특별자치도|도)?|[충전경][청라상][남북]도|충북|충남|전북|전남|경북|경남) (?:[가-힣]{1,5}(?:시|군|구) ){0,2}(?:[가-힣]{1,6}(?:읍|면) )?[가-힣0-9.·]{1,12}(?:로|길|거리|가|동|리|읍|면)(?:[0-9]{1,3}(?:번?길|가))? ?(?:지하 ?)?[0-9]{1,5}(?:-[0-9]{1,4})?(?:번지)?(?:,? [0-9가-힣]{1,6}동 [0-9]{1,5}호|,? [0-9]{1,5}호|,? [0-9]{1,3}층)?(?: \([가-힣0-9, ]{1,20}\)|, [가-힣A-Za-z0-9]{1,15} ?[0-9]{1,4}(?:층|호))?",
    r"[가-힣]{1,5}(?:시|군|구) (?:[가-힣]{1,5}구 )?(?:[가-힣]{1,6}(?:읍|면) )?[가-힣0-9.·]{1,12}(?:로|길|거리|동|리)(?:[0-9]{1,3}(?:번?길|가))? ?(?:지하 ?)?[0-9]{1,5}(?:-[0-9]{1,4})?(?:번지)?(?:,? [0-9가-힣]{1,6}동 [0-9]{1,5}호|,? [0-9]{1,5}호|,? [0-9]{1,3}층)?(?: \([가-힣0-9, ]{1,20}\)|, [가-힣A-Za-z0-9]{1,15} ?[0-9]{1,4}(?:층|호))?",
];
const COMPANIES: &[&str] = &[
    r"(?:주식회사|유한회사|합자회사|사단법인|재단법인|의료법인|학교법인|㈜|\(주\)|\(유\)|\(재\)|\(사\)) ?([가-힣A-Za-z0-9&]{1,18})",
    r"([가-힣A-Za-z0-9&]{2,18}) ?(?:주식회사|유한회사|㈜|\(주\)|\(유\))",
];
/// Particles that hang on names, the longest first.
const PARTICLES: [&str; 44] = [
    "이라고",
    "입니다",
    "이에요",
    "이었다",
    "이지만",
    "에게서",
    "으로부터",
    "한테서",
    "이라는",
    "이랑",
    "에게",
    "에서",
    "한테",
    "께서",
    "라고",
    "예요",
    "이고",
    "이며",
    "이야",
    "이나",
    "까지",
    "부터",
    "보다",
    "처럼",
    "으로",
    "하고",
    "이",
    "가",
    "은",
    "는",
    "을",
    "를",
    "의",
    "과",
    "와",
    "도",
    "로",
    "께",
    "만",
    "야",
    "아",
    "고",
    "랑",
    "에",
];
/// Letters of the longest, with what may stand before it.
const HANGING: usize = 5;
/// Behind somebody's name, right there or after a blank.
const POLITE: [&str; 5] = ["씨", "님", "군", "양", "귀하"];
/// Surnames that are everyday words before a position: "this", "one", "former".
const ORDINARY: [char; 14] = [
    '이', '한', '전', '현', '신', '주', '고', '구', '제', '부', '사', '두', '모', '금',
];
/// What stands behind the place where somebody lives or comes from.
const LIVING: [&str; 9] = [
    "에 살아",
    "에 살고",
    "에 삽니다",
    "에 사시",
    "출신이에요",
    "출신입니다",
    "출신이고",
    "에서 왔",
    "에서 자랐",
];
/// Behind the name of a country: whoever is of there.
const PEOPLE: [&str; 2] = ["사람", "인"];

/// What ships; read the first time it is asked for.
pub(super) fn shipped() -> &'static Lists {
    static SHIPPED: OnceLock<Lists> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let mut all = Lists::default();
        for (key, members) in lists(include_str!("data/ko.txt")) {
            match key {
                "surname" => all.surname.extend(members.flat_map(str::chars)),
                "double" => all.double.extend(members),
                "first" => all.first.extend(members.flat_map(str::chars)),
                "last" => all.last.extend(members.flat_map(str::chars)),
                "given" => all.given.extend(members),
                "nouns" => all.nouns.extend(members),
                "city" => all.cities.extend(members),
                "county" => all.counties.extend(members),
                "country" => all.countries.extend(members),
                "rank" => all.rank.extend(members),
                "kin" => all.kin.extend(members),
                "key" => all.key.extend(members),
                "job" => all.job.extend(members),
                _ => {}
            }
        }
        all.job.sort_by_key(|one| std::cmp::Reverse(one.len()));
        all.rank.sort_by_key(|one| std::cmp::Reverse(one.len()));
        let compiled = |patterns: &[&str]| patterns.iter().filter_map(|one| Regex::new(one).ok()).collect();
        all.address = compiled(ADDRESSES);
        all.company = compiled(COMPANIES);
        all
    })
}

/// Everything of this sort in a text.
pub(super) fn find(text: &str, found: &mut Vec<Name>) {
    let lists = shipped();
    for hit in lists.address.iter().flat_map(|one| one.find_iter(text)) {
        found.push(name(Kind::Address, hit.start(), hit.end(), true));
    }
    let mut addresses: Vec<usize> = found.iter().map(|one| one.start).collect();
    addresses.sort_unstable();
    companies(text, lists, found);
    let runs = runs(text);
    for (place, run) in runs.iter().enumerate() {
        let reader = Reader {
            text,
            lists,
            run: *run,
            addresses: &addresses,
            before: place.checked_sub(1).map(|before| runs[before]),
            next: runs.get(place + 1).copied(),
        };
        if !(reader.job(found) || reader.person(found) || reader.place(found)) {
            reader.believer(found);
        }
    }
}

fn name(kind: Kind, start: usize, end: usize, sure: bool) -> Name {
    Name {
        kind,
        start,
        end,
        sure,
    }
}

fn is_hangul(letter: char) -> bool {
    matches!(letter, '\u{ac00}'..='\u{d7a3}')
}

/// Letters that stand together.
fn runs(text: &str) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (at, letter) in text.char_indices().filter(|(_, letter)| is_hangul(*letter)) {
        match all.last_mut() {
            Some((_, end)) if *end == at => *end = at + letter.len_utf8(),
            _ => all.push((at, at + letter.len_utf8())),
        }
    }
    all
}

/// "주식회사 겨레의" without what hangs on it.
fn companies(text: &str, lists: &Lists, found: &mut Vec<Name>) {
    for hit in lists.company.iter().flat_map(|one| one.captures_iter(text)) {
        let (Some(whole), Some(part)) = (hit.get(0), hit.get(1)) else {
            continue;
        };
        let mut end = whole.end();
        if part.end() == end {
            let bare = PARTICLES
                .iter()
                .filter_map(|particle| part.as_str().strip_suffix(particle))
                .find(|bare| bare.chars().count() >= 2);
            end = part.start() + bare.unwrap_or(part.as_str()).len();
        }
        let noun = ["설립", "법", "등기", "란", "형태", "주식회사", "유한회사"]
            .iter()
            .any(|word| part.as_str().starts_with(word));
        // "씨에게 주식회사 비전": the name is behind it.
        let behind = &text[whole.end()..];
        let next = behind.strip_prefix(' ').unwrap_or(behind);
        let hangs = hanging(next);
        let particle = !behind.starts_with(' ') && !hangs.is_empty() && is_particle(hangs);
        let named = next.starts_with(char::is_alphanumeric);
        let other = part.end() < whole.end() && named && !particle;
        if !noun && !other && part.as_str().chars().count() >= 2 {
            found.push(name(Kind::Organisation, whole.start(), end, true));
        }
    }
}

/// The letters in front, of which one more than a particle has is enough: the rest of the text may be one word.
fn hanging(behind: &str) -> &str {
    let letters = behind.chars().take_while(|letter| is_hangul(*letter));
    let bytes = letters.take(HANGING + 1).map(char::len_utf8).sum();
    behind.get(..bytes).unwrap_or_default()
}

/// One run of letters, and those beside it.
struct Reader<'t> {
    text: &'t str,
    lists: &'static Lists,
    run: (usize, usize),
    /// Where addresses begin, in their order.
    addresses: &'t [usize],
    before: Option<(usize, usize)>,
    next: Option<(usize, usize)>,
}

impl<'t> Reader<'t> {
    fn word(&self) -> &'t str {
        &self.text[self.run.0..self.run.1]
    }

    /// The word behind a blank.
    fn next(&self) -> &'t str {
        let next = self
            .next
            .filter(|(start, _)| self.text.get(self.run.1..*start) == Some(" "));
        next.map_or("", |(start, end)| &self.text[start..end])
    }

    /// The word before, and what stands between.
    fn before(&self) -> (&'t str, &'t str) {
        self.before.map_or(("", ""), |(start, end)| {
            (&self.text[start..end], &self.text[end..self.run.0])
        })
    }

    /// Whether the name of a field or a relative stands right before.
    fn introduced(&self) -> (bool, bool) {
        let (word, between) = self.before();
        let field =
            between.contains([':', '：', '=']) && between.chars().all(|sign| " :：=\"'".contains(sign));
        let key = field && self.lists.key.contains(word);
        let kin = between == " " && self.lists.kin.contains(word);
        // Whoever is written before an address.
        let behind = self.text[self.run.1..].strip_prefix(", ").map(|_| self.run.1 + 2);
        let addressed = behind.is_some_and(|at| self.addresses.binary_search(&at).is_ok());
        (key, kin || addressed)
    }

    /// "간호사로 일": what somebody works as.
    fn job(&self, found: &mut Vec<Name>) -> bool {
        let behind = &self.text[self.run.0..];
        let Some(job) = self.lists.job.iter().find(|job| behind.starts_with(**job)) else {
            return false;
        };
        let rest = &behind[job.len()..];
        let works = ["로 일", "으로 일", "로 근무", "으로 근무"]
            .iter()
            .any(|one| rest.starts_with(one));
        if works {
            found.push(name(Kind::Title, self.run.0, self.run.0 + job.len(), false));
        }
        works
    }

    /// Somebody's name at the beginning of this run.
    fn person(&self, found: &mut Vec<Name>) -> bool {
        let word = self.word();
        // What hangs on a number.
        if self.text[..self.run.0].ends_with(|sign: char| sign.is_ascii_alphanumeric()) {
            return false;
        }
        let Some(family) = self.family(word) else {
            return false;
        };
        let (key, kin) = self.introduced();
        for letters in [2, 1, 3] {
            let Some(rest) = nth(&word[family..], letters) else {
                continue;
            };
            let end = family + rest;
            let given = &word[family..end];
            if let Some(sure) = self.is_name((&word[..end], given), &word[end..], key || kin) {
                found.push(name(Kind::Person, self.run.0, self.run.0 + end, sure));
                self.titled(end, found);
                return true;
            }
        }
        self.family_alone(word, family, found)
    }

    /// Bytes of the family name in front.
    fn family(&self, word: &str) -> Option<usize> {
        let double = nth(word, 2).filter(|end| self.lists.double.contains(&word[..*end]));
        double.or_else(|| {
            let first = word.chars().next()?;
            self.lists.surname.contains(&first).then_some(first.len_utf8())
        })
    }

    /// Whether this is a name, and whether surely, by what hangs on it and what follows.
    fn is_name(&self, (whole, given): (&str, &str), behind: &str, introduced: bool) -> Option<bool> {
        let letters = given.chars().count();
        if self.lists.nouns.contains(whole) || self.lists.nouns.contains(self.word()) {
            return None;
        }
        let polite = POLITE
            .iter()
            .any(|one| behind.strip_prefix(one).is_some_and(is_particle));
        let called = behind.is_empty()
            && (POLITE
                .iter()
                .any(|one| self.next().strip_prefix(one).is_some_and(is_particle)));
        let rank = self.lists.rank.iter().any(|rank| {
            let ranked = |word: &str| {
                word.strip_prefix(rank)
                    .is_some_and(|rest| is_particle(rest.strip_prefix('님').unwrap_or(rest)))
            };
            ranked(behind) || (behind.is_empty() && ranked(self.next()))
        });
        let listed = letters == 2 && self.lists.given.contains(given);
        let syllables = letters == 2 && {
            let mut each = given.chars();
            each.next().is_some_and(|one| self.lists.first.contains(&one))
                && each.next().is_some_and(|one| self.lists.last.contains(&one))
        };
        if !(polite || rank || is_particle(behind)) {
            return None;
        }
        if listed {
            // "남아라." is a verb.
            let alone = behind.is_empty() && !introduced && !called && !rank;
            let ends = self.text[self.run.1..]
                .chars()
                .next()
                .is_none_or(|sign| ".!?".contains(sign));
            return Some(!(alone && ends));
        }
        let near = polite || called || rank;
        // What ends like a particle may be a noun with one.
        let open = behind.is_empty() && PARTICLES.iter().any(|particle| given.ends_with(particle));
        if letters == 2 && syllables && (called || rank || (introduced && !open)) {
            return Some(true);
        }
        let says = ["입니다", "이라고", "이에요", "예요", "라고", "이야"].contains(&behind);
        if letters == 2 && syllables && says && matches!(self.before(), ("저는" | "나는" | "제가", " "))
        {
            return Some(false);
        }
        let short = letters == 1 && given.chars().all(|letter| self.lists.last.contains(&letter));
        if short && (called || rank) && behind.is_empty() {
            return Some(false);
        }
        (letters == 2 && syllables && near).then_some(false)
    }

    /// The position behind a name.
    fn titled(&self, end: usize, found: &mut Vec<Name>) {
        let rest = &self.word()[end..];
        let (from, words) = match (rest.is_empty(), self.next) {
            (false, _) => (self.run.0 + end, rest),
            (true, Some((start, _))) if !self.next().is_empty() => (start, self.next()),
            _ => return,
        };
        if let Some(rank) = self.lists.rank.iter().find(|rank| words.starts_with(**rank)) {
            let polite = if words[rank.len()..].starts_with('님') {
                '님'.len_utf8()
            } else {
                0
            };
            found.push(name(Kind::Title, from, from + rank.len() + polite, true));
        }
    }

    /// "송 대표".
    fn family_alone(&self, word: &str, family: usize, found: &mut Vec<Name>) -> bool {
        let rest = &word[family..];
        let next = if rest.is_empty() { self.next() } else { rest };
        let first = word.chars().next().unwrap_or_default();
        let rank = self.lists.rank.iter().find(|rank| next.starts_with(**rank));
        let Some(rank) = rank else { return false };
        let behind = &next[rank.len()..];
        // Who is spoken to is somebody.
        let called = if rest.is_empty() {
            self.next.map(|(_, end)| end)
        } else {
            Some(self.run.1)
        };
        let called = behind.is_empty() && called.is_some_and(|end| self.text[end..].starts_with(','));
        let polite = behind.starts_with('님') || called;
        let whole = is_particle(behind.strip_prefix('님').unwrap_or(behind));
        let ordinary =
            ORDINARY.contains(&first) && !(polite && matches!(first, '이' | '한' | '신' | '주' | '구'));
        if !whole
            || ordinary
            || (!rest.is_empty() && self.lists.nouns.contains(word))
            || (!rest.is_empty() && !polite)
        {
            return false;
        }
        found.push(name(Kind::Person, self.run.0, self.run.0 + family, true));
        self.titled(family, found);
        true
    }

    /// A place that this run names.
    fn place(&self, found: &mut Vec<Name>) -> bool {
        let word = self.word();
        let behind_word = &self.text[self.run.0..];
        for letters in (2..=6).rev() {
            let Some(end) = nth(word, letters) else { continue };
            let (place, rest) = (&word[..end], &word[end..]);
            let country = self.lists.countries.contains(place);
            if country
                && let Some(people) = PEOPLE.iter().find(|one| rest.starts_with(**one))
                && is_particle(&rest[people.len()..])
            {
                let end = self.run.0 + end + people.len();
                found.push(name(Kind::Nationality, self.run.0, end, false));
                return true;
            }
            let unit = place.strip_suffix(['시', '군', '구']);
            let named = self.lists.cities.contains(place)
                || unit.is_some_and(|bare| {
                    self.lists.cities.contains(bare) || self.lists.counties.contains(bare)
                });
            if named
                && rest.is_empty()
                && unit.is_some()
                && let Some((district, to)) = self.district()
            {
                let living = LIVING
                    .iter()
                    .any(|one| self.text[to..].trim_start().starts_with(one));
                found.push(name(Kind::Place, self.run.0, to, living));
                return !district.is_empty();
            }
            if (country || named) && is_particle(rest) {
                let living = LIVING
                    .iter()
                    .any(|one| behind_word[end..].trim_start().starts_with(one));
                found.push(name(Kind::Place, self.run.0, self.run.0 + end, living));
                return true;
            }
        }
        false
    }

    /// The district of a city, behind a blank, and where it ends.
    fn district(&self) -> Option<(&'t str, usize)> {
        let next = self.next();
        let end = next.find(['구', '군']).filter(|end| *end > 0)?;
        let whole = end + '구'.len_utf8();
        let (start, _) = self.next.filter(|_| is_particle(&next[whole..]))?;
        Some((&next[..whole], start + whole))
    }

    /// "불교 신자", "이슬람교도".
    fn believer(&self, found: &mut Vec<Name>) {
        const FAITHS: [&str; 6] = ["불교", "기독교", "천주교", "이슬람교", "힌두교", "유대교"];
        let word = self.word();
        let Some(faith) = FAITHS.iter().find(|one| word.starts_with(**one)) else {
            return;
        };
        let rest = &word[faith.len()..];
        if rest.starts_with("인") || rest.starts_with("도") && rest.chars().count() > 1 {
            let last = rest.chars().next().map_or(0, char::len_utf8);
            found.push(name(
                Kind::Nationality,
                self.run.0,
                self.run.0 + faith.len() + last,
                false,
            ));
        } else if let (true, Some((start, _))) =
            (rest.is_empty() && self.next().starts_with("신자"), self.next)
        {
            found.push(name(Kind::Nationality, self.run.0, start + "신자".len(), false));
        }
    }
}

/// Bytes of so many letters.
fn nth(word: &str, letters: usize) -> Option<usize> {
    let mut each = word.char_indices();
    let (at, letter) = each.nth(letters.checked_sub(1)?)?;
    Some(at + letter.len_utf8())
}

/// Whether nothing else hangs on a word.
fn is_particle(rest: &str) -> bool {
    rest.is_empty()
        || PARTICLES.contains(&rest)
        || rest
            .strip_prefix('님')
            .is_some_and(|more| more.is_empty() || PARTICLES.contains(&more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_every_list_is_there() {
        let lists = shipped();
        assert_eq!(
            (lists.address.len(), lists.company.len()),
            (ADDRESSES.len(), COMPANIES.len())
        );
        assert!(lists.surname.len() > 90 && lists.given.len() > 300 && lists.counties.len() > 70);
        assert!(!lists.kin.is_empty() && !lists.key.is_empty() && !lists.rank.is_empty());
        assert!(PARTICLES.iter().all(|one| one.chars().count() < HANGING));
    }
}
