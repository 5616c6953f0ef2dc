//! Japanese names, places, addresses and companies: there are no blanks, so lists and what follows say where a name ends.

use std::collections::HashSet;
use std::sync::OnceLock;

use regex::Regex;

use super::lexicon::lists;
use super::{Kind, Name};

type Set = HashSet<&'static str, foldhash::fast::RandomState>;

/// The lists, and what addresses and companies look like.
#[derive(Default)]
pub(super) struct Lists {
    surname: Set,
    short: Set,
    given: Set,
    letters: HashSet<char, foldhash::fast::RandomState>,
    nouns: Set,
    places: Set,
    countries: Set,
    honorific: Vec<&'static str>,
    rank: Vec<&'static str>,
    kin: Vec<&'static str>,
    key: Vec<&'static str>,
    job: Vec<&'static str>,
    patterns: Vec<(Regex, Kind)>,
}

const PATTERNS: &[(&str, Kind)] = &[
    (
        r"(?:東京都|北海道|(?:大阪|京都)府|[\p{Han}]{2,3}県)[\p{Han}々ヶケノ之ツぁ-んァ-ヴー ]{1,24}?[0-9０-９一二三四五六七八九十]{1,4}(?:丁目|番地|番|号)[0-9０-９]{0,4}(?:(?:丁目|番地|番|号|[-－−‐の])[0-9０-９]{0,4}){0,4}(?:[ 　][\p{Han}\p{Hiragana}\p{Katakana}ーA-Za-z]{1,15}[ ]?[0-9０-９]{1,4}(?:号室|号|階|F)?)?",
        Kind::Address,
    ),
    (
        r"(?:東京都|北海道|(?:大阪|京都)府|[\p{Han}]{2,3}県)(?:[\p{Han}々ヶケノ之ツァ-ヴー ]|さいたま|つくば|いわき|ひたちなか|あきる野|みなとみらい){1,24}?[0-9０-９]{1,4}(?:[-－−‐][0-9０-９]{1,4}){1,3}(?:号)?(?:[ 　][\p{Han}\p{Hiragana}\p{Katakana}ーA-Za-z]{1,15}[ ]?[0-9０-９]{1,4}(?:号室|号|階|F)?)?",
        Kind::Address,
    ),
    (
        r"[\p{Han}ヶケ]{1,5}(?:市|区|郡)[\p{Han}々ヶケノ之ツァ-ヴー]{1,15}?[0-9０-９]{1,4}(?:(?:丁目|番地|番|号|[-－−‐の])[0-9０-９]{0,4}){1,5}(?:[ 　][\p{Han}\p{Hiragana}\p{Katakana}ーA-Za-z]{1,15}[ ]?[0-9０-９]{1,4}(?:号室|号|階|F)?)?",
        Kind::Address,
    ),
    (
        r"(?:株式会社|有限会社|合同会社|合資会社|医療法人|学校法人|社団法人|財団法人|㈱|㈲|（株）|（有）|\(株\)|\(有\))[ 　]?[\p{Han}\p{Katakana}々ーA-Za-z0-9&・]{2,20}",
        Kind::Organisation,
    ),
    (
        r"[\p{Han}\p{Katakana}々ーA-Za-z0-9&・]{2,20}(?:株式会社|有限会社|合同会社|合資会社|㈱|㈲|（株）|（有）|\(株\)|\(有\))",
        Kind::Organisation,
    ),
    (
        r"(?:イスラム|イスラーム|キリスト|仏|ヒンドゥー|ヒンズー|ユダヤ|カトリック)教徒|(?:ユダヤ|クルド|アラブ|チベット|ウイグル|ロマ)人",
        Kind::Nationality,
    ),
];
/// Behind a sort of company, where none is meant.
const NO_COMPANY: [&str; 12] = [
    "設立", "登記", "法", "制度", "化", "形態", "解散", "経営", "法人", "方式", "組織", "以外",
];
/// Names of one sign before these are no names.
const POLITE: [&str; 4] = ["さん", "様", "氏", "さま"];
/// May stand right behind a whole name, in the same script.
const BEHIND: [&str; 6] = ["名義", "宛", "宅", "本人", "夫妻", "御"];
/// What stands behind the place where somebody lives or comes from.
const LIVING: [&str; 8] = [
    "出身です",
    "の出身です",
    "に住んでいます",
    "に住んでいて",
    "に住んでおり",
    "在住です",
    "から来ました",
    "生まれです",
];
/// Parts of a foreign name at most.
const PARTS: usize = 4;
/// Bytes of one.
const LONGEST: usize = 90;
/// May stand right behind a place, in the same script.
const FURTHER: [&str; 8] = ["出身", "在住", "生まれ", "育ち", "支店", "本社", "市内", "勤務"];

/// What ships; read the first time it is asked for.
pub(super) fn shipped() -> &'static Lists {
    static SHIPPED: OnceLock<Lists> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let mut all = Lists::default();
        for (key, members) in lists(include_str!("data/ja.txt")) {
            match key {
                "surname" => all.surname.extend(members),
                "short" => all.short.extend(members),
                "given" => all.given.extend(members),
                "letters" => all.letters.extend(members.flat_map(str::chars)),
                "nouns" => all.nouns.extend(members),
                "city" => all.places.extend(members),
                "country" => all.countries.extend(members),
                "honorific" => all.honorific.extend(members),
                "rank" => all.rank.extend(members),
                "kin" => all.kin.extend(members),
                "key" => all.key.extend(members),
                "job" => all.job.extend(members),
                _ => {}
            }
        }
        // "弁護士会" before "弁護士": the longest first.
        for list in [
            &mut all.job,
            &mut all.rank,
            &mut all.kin,
            &mut all.key,
            &mut all.honorific,
        ] {
            list.sort_by_key(|one| std::cmp::Reverse(one.len()));
        }
        let compiled = PATTERNS
            .iter()
            .filter_map(|(pattern, kind)| Some((Regex::new(pattern).ok()?, *kind)));
        all.patterns = compiled.collect();
        all
    })
}

/// Everything of this sort in a text.
pub(super) fn find(text: &str, found: &mut Vec<Name>) {
    let lists = shipped();
    for (pattern, kind) in &lists.patterns {
        for hit in pattern.find_iter(text) {
            let company = *kind == Kind::Organisation;
            if !(company && NO_COMPANY.iter().any(|word| says_no_more(hit.as_str(), word))) {
                found.push(name(*kind, hit.start(), hit.end(), *kind != Kind::Nationality));
            }
        }
    }
    let reader = Reader { text, lists };
    let mut from = 0;
    for (at, letter) in text.char_indices() {
        if at < from || !is_japanese(letter) {
            continue;
        }
        if let Some(end) = reader.job(at, found) {
            from = end;
        } else if let Some(end) = reader.person(at, found) {
            from = end;
        } else if let Some(end) = reader.place(at, found) {
            from = end;
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

/// "株式会社設立": a word about companies.
fn says_no_more(company: &str, word: &str) -> bool {
    company
        .split("会社")
        .nth(1)
        .is_some_and(|rest| rest.starts_with(word))
}

fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{9fff}' | '々' | '﨑' | 'ヶ')
}

fn is_hiragana(letter: char) -> bool {
    matches!(letter, '\u{3041}'..='\u{309f}')
}

fn is_katakana(letter: char) -> bool {
    matches!(letter, '\u{30a1}'..='\u{30fa}' | 'ー')
}

fn is_japanese(letter: char) -> bool {
    is_han(letter) || is_hiragana(letter) || is_katakana(letter)
}

struct Reader<'t> {
    text: &'t str,
    lists: &'static Lists,
}

impl<'t> Reader<'t> {
    fn behind(&self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or_default()
    }

    /// Where so many letters from here on end.
    fn letters(&self, at: usize, count: usize) -> Option<usize> {
        let mut rest = self.behind(at).char_indices();
        (0..count).try_fold(at, |_, _| {
            rest.next().map(|(from, one)| at + from + one.len_utf8())
        })
    }

    /// The longest member that begins here, in letters from `most` down to `least`.
    fn longest(&self, set: &Set, at: usize, (least, most): (usize, usize)) -> Option<usize> {
        (least..=most).rev().find_map(|count| {
            let end = self.letters(at, count)?;
            set.contains(&self.text[at..end]).then_some(end)
        })
    }

    fn starts(&self, at: usize, members: &[&'static str]) -> Option<&'static str> {
        let behind = self.behind(at);
        members.iter().copied().find(|one| behind.starts_with(one))
    }

    /// Whether a word may begin here: another script before, or somebody's part.
    fn begins(&self, at: usize) -> bool {
        let before = &self.text[..at];
        let (Some(last), Some(first)) = (before.chars().next_back(), self.behind(at).chars().next()) else {
            return true;
        };
        let same = (is_han(last) && is_han(first)) || (is_katakana(last) && is_katakana(first));
        if same {
            return self.kin_before(at);
        }
        // In writing without blanks a word may begin behind the small words only.
        !is_hiragana(first) || !is_hiragana(last) || matches!(last, 'の' | 'と' | 'は' | 'が' | 'や' | 'も')
    }

    fn kin_before(&self, at: usize) -> bool {
        let before = &self.text[..at];
        self.lists.kin.iter().any(|kin| before.ends_with(kin))
    }

    /// "看護師として": what somebody works as.
    fn job(&self, at: usize, found: &mut Vec<Name>) -> Option<usize> {
        let job = self.starts(at, &self.lists.job).filter(|_| self.begins(at))?;
        let end = at + job.len();
        self.behind(end).strip_prefix("として")?;
        found.push(name(Kind::Title, at, end, false));
        Some(end)
    }

    /// Somebody's name that begins here; where it ends.
    fn person(&self, at: usize, found: &mut Vec<Name>) -> Option<usize> {
        if let Some(end) = self.field(at, found) {
            return Some(end);
        }
        if !self.begins(at) {
            return None;
        }
        if let Some(end) = self.foreign(at, found) {
            return Some(end);
        }
        let long = self.longest(&self.lists.surname, at, (2, 4));
        let family = long.or_else(|| self.longest(&self.lists.short, at, (1, 1)));
        if let Some(family) = family {
            if let Some((end, sure)) = self.given(at, family, long.is_some()) {
                found.push(name(Kind::Person, at, end, sure));
                self.rank(end, found);
                return Some(end);
            }
            if self.family_alone(at, family, long.is_some(), found) {
                return Some(family);
            }
        }
        self.given_alone(at, found)
    }

    /// The given name behind a family's: where it ends, and whether it is one for sure.
    fn given(&self, start: usize, family: usize, long: bool) -> Option<(usize, bool)> {
        let mut at = family;
        if let Some(blank) = self
            .behind(at)
            .chars()
            .next()
            .filter(|one| matches!(one, ' ' | '　'))
        {
            at += blank.len_utf8();
        }
        let least = if long { 1 } else { 2 };
        if let Some(end) = self.longest(&self.lists.given, at, (least, 4))
            && self.ends(end)
        {
            return Some((end, true));
        }
        if !long || self.lists.places.contains(&self.text[start..family]) {
            return None;
        }
        let mut end = at;
        for (count, letter) in self.behind(at).chars().enumerate() {
            if !is_han(letter) || (count > 0 && self.ends(end)) {
                break;
            }
            if count == 3 || !self.lists.letters.contains(&letter) {
                return None;
            }
            end += letter.len_utf8();
        }
        let given = &self.text[at..end];
        let noun = self.lists.nouns.contains(given) || self.lists.nouns.contains(&self.text[start..end]);
        if given.is_empty() || noun {
            return None;
        }
        let polite = self.starts(end, &self.lists.honorific).is_some();
        Some((end, polite || at > family || given.chars().count() == 2))
    }

    /// Whether a whole name may end here.
    fn ends(&self, at: usize) -> bool {
        let before = self.text[..at].chars().next_back();
        let Some(next) = self.behind(at).chars().next() else {
            return true;
        };
        let same = before
            .is_some_and(|last| (is_han(last) && is_han(next)) || (is_katakana(last) && is_katakana(next)));
        !same
            || self.starts(at, &self.lists.honorific).is_some()
            || self.starts(at, &self.lists.rank).is_some()
            || BEHIND.iter().any(|word| self.behind(at).starts_with(word))
    }

    /// "松本さん", "松本社長".
    fn family_alone(&self, at: usize, family: usize, long: bool, found: &mut Vec<Name>) -> bool {
        let polite: &[&'static str] = if long { &self.lists.honorific } else { &POLITE };
        let called = self.starts(family, polite).is_some() || (long && self.says_who(at, family));
        let ranked = long && self.starts(family, &self.lists.rank).is_some();
        if called || ranked {
            found.push(name(Kind::Person, at, family, true));
            self.rank(family, found);
            return true;
        }
        let said = self.behind(family).starts_with(['が', 'は', 'も', 'に', 'を']);
        if long && said && !self.lists.places.contains(&self.text[at..family]) {
            found.push(name(Kind::Person, at, family, false));
            return true;
        }
        false
    }

    /// "担当の佐々木が", "株式会社グリーンの森田です".
    fn says_who(&self, at: usize, family: usize) -> bool {
        let Some(of) = self.text[..at].strip_suffix('の') else {
            return false;
        };
        let behind = self.behind(family);
        let kin = self.lists.kin.iter().any(|kin| of.ends_with(kin))
            && behind.starts_with(['が', 'は', 'を', 'に', 'と', 'も']);
        let place = self.lists.places.contains(&self.text[at..family]);
        (kin && !place) || behind.starts_with("と申") || (!place && behind.starts_with("です"))
    }

    fn rank(&self, at: usize, found: &mut Vec<Name>) {
        if let Some(rank) = self.starts(at, &self.lists.rank) {
            found.push(name(Kind::Title, at, at + rank.len(), true));
        }
    }

    /// "加奈ちゃん", "息子の亮介".
    fn given_alone(&self, at: usize, found: &mut Vec<Name>) -> Option<usize> {
        let end = self.longest(&self.lists.given, at, (1, 4))?;
        let several = self.text[at..end].chars().nth(1).is_some();
        let called = several && self.starts(end, &self.lists.honorific).is_some();
        let before = &self.text[..at];
        let kin = before
            .strip_suffix('の')
            .is_some_and(|of| self.lists.kin.iter().any(|kin| of.ends_with(kin)))
            && self.ends(end)
            && self.behind(end).starts_with([
                'は', 'が', 'を', 'に', 'と', 'も', 'へ', 'で', '、', '（', '(', ' ',
            ]);
        if !called && !kin {
            return None;
        }
        found.push(name(Kind::Person, at, end, true));
        Some(end)
    }

    /// "ジョン・スミスさん".
    fn foreign(&self, at: usize, found: &mut Vec<Name>) -> Option<usize> {
        let mut end = at;
        let mut parts = 1;
        for letter in self.behind(at).chars() {
            if matches!(letter, '・' | '＝') {
                parts += 1;
            } else if !is_katakana(letter) {
                break;
            }
            end += letter.len_utf8();
            // Every part of a long row may begin one, and none reads it to its end.
            if parts > PARTS || end - at > LONGEST {
                return None;
            }
        }
        let polite = end > at && self.starts(end, &self.lists.honorific).is_some();
        if !polite || end - at < 6 {
            return None;
        }
        found.push(name(Kind::Person, at, end, parts > 1));
        Some(end)
    }

    /// "氏名：後藤加奈": what a form calls a name, and the name.
    fn field(&self, at: usize, found: &mut Vec<Name>) -> Option<usize> {
        let key = self.starts(at, &self.lists.key)?;
        let behind = self.behind(at + key.len());
        let value = behind.trim_start_matches([' ', '"', '\'', '：', ':', '　', '「']);
        let between = &behind[..behind.len() - value.len()];
        if between.len() > 12 || !between.contains(['：', ':']) {
            return None;
        }
        let start = at + key.len() + between.len();
        let mut end = start;
        for letter in value.chars().take(12) {
            if !(is_japanese(letter) || matches!(letter, ' ' | '　' | '・')) {
                break;
            }
            end += letter.len_utf8();
        }
        let mut whole = self.text[start..end].trim_end();
        for polite in &self.lists.honorific {
            whole = whole.strip_suffix(polite).unwrap_or(whole);
        }
        let long = self.longest(&self.lists.surname, start, (2, 4));
        let family = long.or_else(|| self.longest(&self.lists.short, start, (1, 1)));
        let known = family.and_then(|family| self.given(start, family, long.is_some()));
        if let Some((end, _)) = known {
            found.push(name(Kind::Person, start, end, true));
            return Some(end);
        }
        let letters = whole.chars().count();
        let first = whole.chars().next()?;
        if !(2..=10).contains(&letters) || is_hiragana(first) || whole.contains(['は', 'を', 'で']) {
            return None;
        }
        found.push(name(Kind::Person, start, start + whole.len(), family.is_some()));
        Some(start + whole.len())
    }

    /// A town, a prefecture or a country that begins here; where it ends.
    fn place(&self, at: usize, found: &mut Vec<Name>) -> Option<usize> {
        let before = &self.text[..at];
        let province = before.ends_with(['県', '都', '府', '道']);
        if !province && !self.begins(at) {
            return None;
        }
        let country = self.longest(&self.lists.countries, at, (2, 9));
        if let Some(end) = country {
            let behind = self.behind(end);
            if behind.starts_with('人') && !behind.starts_with("人口") {
                found.push(name(Kind::Nationality, at, end + '人'.len_utf8(), false));
                return Some(end);
            }
            return self.placed(at, end, found);
        }
        let end = self.longest(&self.lists.places, at, (1, 5));
        if let Some(end) = end {
            let unit = self
                .behind(end)
                .chars()
                .next()
                .filter(|one| matches!(one, '県' | '府' | '都' | '市' | '区' | '町'));
            let end = end + unit.map_or(0, char::len_utf8);
            if unit.is_none() && self.text[at..end].chars().nth(1).is_none() {
                return None;
            }
            // "横浜市保土ケ谷区".
            let ward = unit.filter(|unit| *unit == '市').and_then(|_| self.town(end));
            let ward = ward.filter(|ward| self.text[..*ward].ends_with('区'));
            return self.placed(at, ward.unwrap_or(end), found);
        }
        let town = self.town(at)?;
        self.placed(at, town, found)
    }

    /// A town of whatever name, by what it is called at its end.
    fn town(&self, at: usize) -> Option<usize> {
        let mut end = at;
        for (count, letter) in self.behind(at).chars().enumerate() {
            if count >= 2 && matches!(letter, '市' | '区' | '町' | '村') {
                let last = self.text[at..end].chars().next_back()?;
                let common =
                    "都政別挙治護猟校学地農漁山下港場泉門工商業住宅選特管全各同本新旧当両".contains(last);
                return (!common).then_some(end + letter.len_utf8());
            }
            if count == 4 || !(is_han(letter) || letter == 'ケ') {
                return None;
            }
            end += letter.len_utf8();
        }
        None
    }

    fn placed(&self, at: usize, end: usize, found: &mut Vec<Name>) -> Option<usize> {
        let living = LIVING.iter().any(|word| self.behind(end).starts_with(word));
        let next = self.behind(end).chars().next();
        let last = self.text[at..end].chars().next_back()?;
        let same = next
            .is_some_and(|next| (is_han(last) && is_han(next)) || (is_katakana(last) && is_katakana(next)));
        let goes_on = FURTHER.iter().any(|word| self.behind(end).starts_with(word));
        if (same || next == Some('語')) && !(living || goes_on) {
            return None;
        }
        found.push(name(Kind::Place, at, end, living));
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_every_list_is_there() {
        let lists = shipped();
        assert_eq!(lists.patterns.len(), PATTERNS.len());
        let sizes = [
            lists.surname.len(),
            lists.given.len(),
            lists.places.len(),
            lists.countries.len(),
        ];
        assert!(sizes.iter().all(|size| *size > 50), "{sizes:?}");
        assert!(!lists.kin.is_empty() && !lists.key.is_empty() && !lists.rank.is_empty());
    }
}
