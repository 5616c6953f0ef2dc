//! Words of tools and of requests: cut where names change case, without their endings, without those that say nothing.

use std::collections::HashSet;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

/// Words that stand in any request.
const EMPTY: &str = "a an the of to in on for and or is are was were be by it its this that with from at as i me my we \
    us our you your he she his her them their they do does did what which who how when where why can could would should \
    has have had not no so if than then there some any all will";

/// What tools do is told by the first or the last word of their names.
const READS: &str = "list get search find read fetch show describe";
const CREATES: &str = "create add new";
const UPDATES: &str = "update edit modify patch";
const DELETES: &str = "delete remove erase destroy";

/// What requests begin with that ask something.
const ASKS: &str = "what which who whom whose where when how why whether is are was were has have do does did will can \
    could";
/// What requests begin with that want something read, made, changed or gone.
const WANTS_READ: &str = "list get show find search look see view read fetch retrieve check query tell describe count \
    identify verify calculate compute open know learn compare watch track explain estimate predict forecast monitor \
    inspect review browse display hear";
const WANTS_CREATED: &str = "create add make new register open report file write record log set submit book reserve \
    request order announce publish issue schedule apply arrange enter generate start send give launch post say put bill \
    complain buy invite share note sign let upload allow permit plan save draft begin build introduce grant point warn \
    notify remind ask define hire answer reply join enrol subscribe hand count measure establish found prepare compose \
    store keep attach insert append propose offer assign place initiate provide bring";
const WANTS_UPDATED: &str = "update change edit modify set adjust fix correct rename move shift raise lower switch mark \
    turn swap replace put extend upgrade improve convert make give let";
/// What tells of a change wherever it stands.
const CHANGES: &str = "update change edit modify adjust fix correct rename move shift raise lower switch mark swap replace \
    amend revise alter extend shorten postpone reschedule increase decrease reduce wrong different differently instead \
    another later earlier longer shorter larger smaller more less anew";
/// The same of what shall be gone.
const WANTS_DELETED: &str = "delete remove erase drop cancel clear purge discard end destroy revoke withdraw rid forget \
    throw dispose scrap undo void retire unsubscribe";
/// Words that say it together.
const GONE_TOGETHER: [[&str; 2]; 11] = [
    ["take", "out"],
    ["take", "off"],
    ["take", "back"],
    ["take", "away"],
    ["call", "off"],
    ["any", "more"],
    ["no", "longer"],
    ["give", "up"],
    ["throw", "away"],
    ["leave", "out"],
    ["tear", "down"],
];
/// What a thing begins with, or somebody.
const NAMES: &str = "a an the our my your their his her its this that these those all some any every each no one two \
    three people somebody someone something";
/// What a sentence has that is more than a name.
const SENTENCE: &str = "has have had is are was were will shall must may want wants need needs should would does do did \
    can could";

/// What a tool does, as far as its name tells. Weights go by these places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It reads.
    Reads,
    /// It makes something.
    Creates,
    /// It changes something.
    Updates,
    /// It takes something away.
    Deletes,
    /// Something of its own.
    Other,
}

/// How a request says what it wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It asks something.
    Asks,
    /// It begins with a word that wants something read.
    Reads,
    /// Made.
    Creates,
    /// Changed.
    Updates,
    /// Gone.
    Deletes,
    /// Such a word stands elsewhere in it.
    Gone,
    /// So does one that tells of a change.
    Changes,
    /// It is a sentence about something.
    Sentence,
    /// It names something and no more.
    Named,
    /// It wants something done by another word.
    Other,
}

struct Lists {
    empty: HashSet<&'static str>,
    deeds: [(Deed, HashSet<String>); 4],
    asks: HashSet<&'static str>,
    begins: [(Sign, HashSet<String>); 4],
    says: [(Sign, HashSet<String>); 2],
    names: HashSet<&'static str>,
    sentence: HashSet<&'static str>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let set = |words: &str| words.split_ascii_whitespace().map(stem).collect::<HashSet<_>>();
    Lists {
        empty: EMPTY.split_ascii_whitespace().collect(),
        deeds: [
            (Deed::Reads, set(READS)),
            (Deed::Creates, set(CREATES)),
            (Deed::Updates, set(UPDATES)),
            (Deed::Deletes, set(DELETES)),
        ],
        asks: ASKS.split_ascii_whitespace().collect(),
        begins: [
            (Sign::Reads, set(WANTS_READ)),
            (Sign::Creates, set(WANTS_CREATED)),
            (Sign::Updates, set(WANTS_UPDATED)),
            (Sign::Deletes, set(WANTS_DELETED)),
        ],
        says: [(Sign::Gone, set(WANTS_DELETED)), (Sign::Changes, set(CHANGES))],
        names: NAMES.split_ascii_whitespace().collect(),
        sentence: SENTENCE.split_ascii_whitespace().collect(),
    }
});

fn stem(word: &str) -> String {
    Stemmer::create(Algorithm::English).stem(word).into_owned()
}

/// A name or a text with its words apart: `createIssue`, `create_issue` and `create-issue` are `create issue`.
#[must_use]
pub fn apart(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for one in text.chars() {
        if one.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()) {
            out.push(' ');
        }
        out.push(if one.is_alphanumeric() { one } else { ' ' });
        before = one;
    }
    out
}

/// All words, in lower case and without their endings.
fn stems(text: &str) -> Vec<String> {
    let lower = apart(text).to_lowercase();
    lower.split_whitespace().map(stem).collect()
}

/// The words that say something, without their endings.
#[must_use]
pub fn telling(text: &str) -> Vec<String> {
    whole(text).into_iter().map(|(stem, _)| stem).collect()
}

/// The words that say something, without their endings and with them.
#[must_use]
pub fn whole(text: &str) -> Vec<(String, String)> {
    let lower = apart(text).to_lowercase();
    let words = lower.split_whitespace();
    words
        .filter(|word| !LISTS.empty.contains(word))
        .map(|word| (stem(word), word.to_owned()))
        .collect()
}

/// What a tool of this name does.
#[must_use]
pub fn deed(name: &str) -> Deed {
    let words = stems(name);
    let ends = [words.first(), words.last()];
    let told = ends.into_iter().flatten().find_map(|word| {
        let deeds = LISTS.deeds.iter();
        let mut fitting = deeds.filter(|(_, words)| words.contains(word));
        fitting.next().map(|(deed, _)| *deed)
    });
    told.unwrap_or(Deed::Other)
}

/// How a request says what it wants done.
#[must_use]
pub fn signs(request: &str) -> Vec<Sign> {
    let lower = request.to_lowercase();
    let whole: Vec<&str> = lower
        .split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let Some((first, others)) = whole.split_first() else {
        return Vec::new();
    };
    let (begin, rest) = (
        stem(first),
        others.iter().map(|word| stem(word)).collect::<Vec<_>>(),
    );
    let mut signs = Vec::new();
    if LISTS.asks.contains(first) || request.contains('?') {
        signs.push(Sign::Asks);
    }
    let begins = LISTS.begins.iter().filter(|(_, list)| list.contains(&begin));
    signs.extend(begins.map(|(sign, _)| *sign));
    let is_known = !signs.is_empty();
    for (sign, list) in &LISTS.says {
        let is_said = rest.iter().any(|word| list.contains(word));
        if is_said || *sign == Sign::Gone && is_gone_together(&whole) {
            signs.push(*sign);
        }
    }
    if !is_known {
        let is_sentence = others.iter().any(|word| LISTS.sentence.contains(word));
        signs.push(match is_sentence {
            true => Sign::Sentence,
            false if LISTS.names.contains(first) => Sign::Named,
            false => Sign::Other,
        });
    }
    signs
}

fn is_gone_together(words: &[&str]) -> bool {
    let mut pairs = GONE_TOGETHER.iter();
    pairs.any(|pair| pair.iter().all(|word| words.contains(word)))
}

/// What a tool is about: its name without the first word, and without the last.
#[must_use]
pub fn things(name: &str) -> [String; 2] {
    let words = stems(name);
    let [from, to] = [words.get(1..), words.get(..words.len().saturating_sub(1))];
    [from, to].map(|words| words.unwrap_or_default().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        for (name, expected) in [
            ("createPullRequests", "creat pull request"),
            ("create_pull-request", "creat pull request"),
            ("getA1Value", "get a1 valu"),
            ("the list of ÜBERSICHT", "list übersicht"),
        ] {
            assert_eq!(telling(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn deeds_are_known_by_names_and_wishes_by_their_signs() {
        assert_eq!(deed("issue_create"), Deed::Creates);
        assert_eq!(deed("deleteEverything"), Deed::Deletes);
        assert_eq!(deed("merge_pull_request"), Deed::Other);
        for (request, expected) in [
            ("book a room", &[Sign::Creates][..]),
            ("the rooms of a house", &[Sign::Named]),
            ("which rooms are free", &[Sign::Asks]),
            ("have a booking cancelled", &[Sign::Asks, Sign::Gone]),
            (
                "we do not need it any more",
                &[Sign::Gone, Sign::Changes, Sign::Sentence],
            ),
            ("take a page out", &[Sign::Gone, Sign::Other]),
            ("a guest has moved", &[Sign::Changes, Sign::Sentence]),
            ("merge both", &[Sign::Other]),
            ("", &[]),
        ] {
            assert_eq!(signs(request), expected, "{request}");
        }
        assert_eq!(things("list_pull_requests")[0], things("pullRequest_merge")[1]);
    }
}
