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

/// What requests begin with that want something read, made, changed or gone.
const WANTS_READ: &str = "list get show find search look see view read fetch retrieve check query which what who where \
    when how why whether is are has do does will tell describe count identify verify calculate compute open";
const WANTS_CREATED: &str = "create add make new register open report file write record log set submit book reserve \
    request order announce publish issue schedule apply arrange enter generate start send give launch post say put bill \
    complain buy invite share note sign let upload";
const WANTS_UPDATED: &str = "update change edit modify set adjust fix correct rename move shift raise lower switch mark \
    turn swap replace put";
/// What tells of a change wherever it stands.
const CHANGES: &str = "update change edit modify adjust fix correct rename move shift raise lower switch mark swap replace \
    amend revise alter extend shorten postpone reschedule increase decrease reduce wrong";
/// The same of what shall be gone.
const WANTS_DELETED: &str = "delete remove erase drop cancel clear purge discard end destroy revoke withdraw rid forget \
    throw dispose scrap undo void retire unsubscribe";
/// Words that say it together.
const GONE_TOGETHER: [[&str; 2]; 4] = [["take", "out"], ["take", "off"], ["call", "off"], ["any", "more"]];

/// What a tool does, as far as its name tells.
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

struct Lists {
    empty: HashSet<&'static str>,
    deeds: [(Deed, HashSet<String>); 4],
    wants: [(Deed, HashSet<String>); 4],
    changes: HashSet<String>,
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
        wants: [
            (Deed::Reads, set(WANTS_READ)),
            (Deed::Creates, set(WANTS_CREATED)),
            (Deed::Updates, set(WANTS_UPDATED)),
            (Deed::Deletes, set(WANTS_DELETED)),
        ],
        changes: set(CHANGES),
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
    let lower = apart(text).to_lowercase();
    let words = lower.split_whitespace();
    words
        .filter(|word| !LISTS.empty.contains(word))
        .map(stem)
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

/// What a request wants done; reading, where it does not say.
#[must_use]
pub fn wanted(request: &str) -> Vec<Deed> {
    let words = stems(request);
    let wants = LISTS.wants.iter().filter(|(deed, list)| {
        let begins = words.first().is_some_and(|word| list.contains(word));
        let says = |list: &HashSet<String>| words.iter().any(|word| list.contains(word));
        begins
            || match deed {
                Deed::Deletes => says(list) || is_gone_together(request),
                Deed::Updates => says(&LISTS.changes),
                _ => false,
            }
    });
    let wants: Vec<Deed> = wants.map(|(deed, _)| *deed).collect();
    if wants.is_empty() {
        vec![Deed::Reads]
    } else {
        wants
    }
}

fn is_gone_together(request: &str) -> bool {
    let lower = request.to_lowercase();
    let words: HashSet<&str> = lower.split(|one: char| !one.is_alphanumeric()).collect();
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
    fn deeds_are_known_by_names_and_wishes_by_their_words() {
        assert_eq!(deed("issue_create"), Deed::Creates);
        assert_eq!(deed("deleteEverything"), Deed::Deletes);
        assert_eq!(deed("merge_pull_request"), Deed::Other);
        assert_eq!(wanted("book a room"), [Deed::Creates]);
        assert_eq!(wanted("the rooms of a house"), [Deed::Reads]);
        assert!(wanted("have a booking cancelled").contains(&Deed::Deletes));
        assert_eq!(wanted("we do not need it any more"), [Deed::Deletes]);
        assert_eq!(wanted("take a page out"), [Deed::Deletes]);
        assert_eq!(wanted("a guest has moved"), [Deed::Updates]);
        assert_eq!(things("list_pull_requests")[0], things("pullRequest_merge")[1]);
    }
}
