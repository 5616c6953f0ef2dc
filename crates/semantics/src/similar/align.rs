//! Which word of one prompt stands for which of the other, and what is left on either side.

use super::lexicon::{Kind, Lexicon};
use super::prompt::{Prompt, Word};

/// How two words were found to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The same letters, or the same number.
    Same,
    /// Another form of one word.
    Stem,
    /// Another word that means the same.
    Synonym,
    /// A slip of the pen.
    Typo,
    /// A word of the same root, surely related and perhaps not the same.
    Related,
}

/// Two words that are one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    /// Place in the first prompt.
    pub a: usize,
    /// Place in the second.
    pub b: usize,
    /// How.
    pub how: How,
}

/// What an alignment found.
#[derive(Debug, Default)]
pub(crate) struct Alignment {
    /// In the order of the first prompt.
    pub matches: Vec<Match>,
    /// Places of the first that stand for nothing in the second.
    pub left: Vec<usize>,
    /// Places of the second that stand for nothing in the first.
    pub right: Vec<usize>,
    /// So much is left that the rest was not looked at.
    pub far: bool,
}

/// Words left on one side that are looked at one by one.
const MOST_LEFT: usize = 48;

/// How two classes of words stand to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// They share a meaning.
    Same,
    /// They exclude one another.
    Apart,
    /// They are about different things, perhaps.
    Near,
    /// Nothing is known.
    Unknown,
}

/// How two words stand by the lists.
pub(crate) fn stand(lexicon: &Lexicon, (a, word): (&Prompt, &Word), (b, other): (&Prompt, &Word)) -> Stand {
    let mut found = Stand::Unknown;
    for (class, member) in a.classes(word) {
        for (_, theirs) in b.classes(other).iter().filter(|(own, _)| own == class) {
            match (member == theirs, lexicon.kind(*class)) {
                (true, _) => return Stand::Same,
                (false, Kind::Apart) => found = Stand::Apart,
                (false, Kind::Near) if found == Stand::Unknown => found = Stand::Near,
                (false, _) => {}
            }
        }
    }
    found
}

impl Alignment {
    /// Aligns two prompts.
    pub(crate) fn of(lexicon: &Lexicon, a: &Prompt, b: &Prompt) -> Self {
        let mut found = Self::default();
        found.exact(a, b);
        if found.left.len() > MOST_LEFT || found.right.len() > MOST_LEFT {
            found.far = true;
            return found;
        }
        found.pairs(a, b, |word, other| {
            if word.number.is_some() || other.number.is_some() {
                let same =
                    matches!((word.number, other.number), (Some(one), Some(two)) if (one - two).abs() < 1e-9);
                return same.then_some(How::Same);
            }
            match stand(lexicon, (a, word), (b, other)) {
                Stand::Same => Some(How::Synonym),
                Stand::Apart => None,
                _ if a.stem(word) == b.stem(other) && !a.stem(word).is_empty() => Some(How::Stem),
                _ => None,
            }
        });
        found.pairs(a, b, |word, other| {
            // A slip makes an unknown word of a small one, too.
            let small = |one: &Word, two: &Word| one.small() && (two.known || one.end - one.start < 5);
            let plain =
                !small(word, other) && !small(other, word) && word.number.is_none() && other.number.is_none();
            if !plain
                || word.denies() != other.denies()
                || stand(lexicon, (a, word), (b, other)) == Stand::Apart
            {
                return None;
            }
            slip((a.text(word), word), (b.text(other), other))
        });
        found.matches.sort_by_key(|found| found.a);
        found
    }

    /// Words of the same letters: those at both ends first, then the first with the first, the second with the second.
    fn exact(&mut self, a: &Prompt, b: &Prompt) {
        let least = a.words.len().min(b.words.len());
        let same = |(one, two): &(&Word, &Word)| a.text(one) == b.text(two);
        let front = a.words.iter().zip(&b.words).take_while(same).count();
        let back = a
            .words
            .iter()
            .rev()
            .zip(b.words.iter().rev())
            .take(least - front)
            .take_while(same)
            .count();
        let (end, theirs_end) = (a.words.len() - back, b.words.len() - back);
        let ends = (0..front)
            .map(|place| (place, place))
            .chain((end..a.words.len()).zip(theirs_end..));
        self.matches
            .extend(ends.map(|(a, b)| Match { a, b, how: How::Same }));
        let middle = b.words.iter().enumerate().take(theirs_end).skip(front);
        let mut theirs: Vec<(&str, usize)> = middle.map(|(place, word)| (b.text(word), place)).collect();
        theirs.sort_unstable();
        let mut taken = vec![false; theirs.len()];
        for (place, word) in a.words.iter().enumerate().take(end).skip(front) {
            let text = a.text(word);
            let start = theirs.partition_point(|(other, _)| *other < text);
            let same = theirs[start..]
                .iter()
                .take_while(|(other, _)| *other == text)
                .count();
            // Equal words are taken in order; what was taken stands in front.
            let next = taken[start..start + same].partition_point(|taken| *taken);
            if next < same {
                taken[start + next] = true;
                self.matches.push(Match {
                    a: place,
                    b: theirs[start + next].1,
                    how: How::Same,
                });
            } else {
                self.left.push(place);
            }
        }
        self.right = theirs
            .iter()
            .zip(&taken)
            .filter(|(_, taken)| !**taken)
            .map(|((_, place), _)| *place)
            .collect();
        self.right.sort_unstable();
    }

    fn pairs(&mut self, a: &Prompt, b: &Prompt, test: impl Fn(&Word, &Word) -> Option<How>) {
        let (left, mut right) = (std::mem::take(&mut self.left), std::mem::take(&mut self.right));
        for place in left {
            let word = &a.words[place];
            let hit = right
                .iter()
                .position(|other| test(word, &b.words[*other]).is_some());
            let how = hit.and_then(|index| test(word, &b.words[right[index]]));
            match (hit, how) {
                (Some(index), Some(how)) => {
                    let other = right.remove(index);
                    self.matches.push(Match {
                        a: place,
                        b: other,
                        how,
                    });
                }
                _ => self.left.push(place),
            }
        }
        self.right = right;
    }
}

/// Whether one of two words is the other with a slip, or of the same root.
fn slip((text, word): (&str, &Word), (theirs, other): (&str, &Word)) -> Option<How> {
    let code = word.look.code || other.look.code;
    if code
        || text
            .bytes()
            .chain(theirs.bytes())
            .any(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let (one, two): (Vec<char>, Vec<char>) = (text.chars().collect(), theirs.chars().collect());
    let (short, long) = (one.len().min(two.len()), one.len().max(two.len()));
    let wide = one.iter().chain(&two).all(|letter| *letter >= '\u{2e80}');
    if wide {
        let shared = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
        return (shared >= 2 || (shared == 1 && short <= 2 && long <= 3 && text < "\u{ac00}"))
            .then_some(How::Related);
    }
    let slips = if long >= 8 { 2 } else { 1 };
    // Two words that both are known are two words.
    let unknown = !(word.known && other.known);
    let both = !word.known && !other.known;
    let least = if both { 6 } else { 4 };
    let names = (word.look.capital && other.look.capital) || both;
    if unknown && short + 1 >= least && long >= least {
        let allowed = if names { 1 } else { slips };
        if edits(&one, &two, allowed) {
            return Some(How::Typo);
        }
    }
    let shared = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
    let name = word.look.capital || other.look.capital;
    (!name && shared >= 4 && shared * 5 >= long * 3).then_some(How::Related)
}

/// Whether at most `most` letters were left out, put in, changed or swapped with the next.
fn edits(a: &[char], b: &[char], most: usize) -> bool {
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, own) in a.iter().enumerate() {
        let mut line = Vec::with_capacity(b.len() + 1);
        line.push(row + 1);
        for (column, other) in b.iter().enumerate() {
            let mut least = (last[column] + usize::from(own != other))
                .min(last[column + 1] + 1)
                .min(line[column] + 1);
            if row > 0 && column > 0 && *own == b[column - 1] && a[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        if line.iter().all(|cost| *cost > most) {
            return false;
        }
        before = std::mem::replace(&mut last, line);
    }
    last.last().is_some_and(|cost| *cost <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn align(a: &str, b: &str) -> (Vec<String>, Vec<String>) {
        let lexicon = Lexicon::shipped().unwrap();
        let (a, b) = (Prompt::read(&lexicon, a), Prompt::read(&lexicon, b));
        let found = Alignment::of(&lexicon, &a, &b);
        let text = |prompt: &Prompt, places: &[usize]| {
            places
                .iter()
                .map(|place| prompt.text(&prompt.words[*place]).to_owned())
                .collect()
        };
        (text(&a, &found.left), text(&b, &found.right))
    }

    #[test]
    fn slips_forms_and_synonyms_are_one_word() {
        for (a, b) in [
            ("Which merchants accept my card", "Which merchats accept my card"),
            ("How do I convert a file", "how do I converting files"),
            (
                "What is the price of twenty pancakes",
                "what is the cost of 20 pancakkes",
            ),
            ("Wie viele Hunde sind im Haus", "wie viele Hund sind im Haus"),
        ] {
            let (left, right) = align(a, b);
            assert!(
                right.iter().chain(&left).all(|word| word == "a"),
                "{a}: {left:?} {right:?}"
            );
        }
    }

    #[test]
    fn other_words_are_left() {
        assert_eq!(
            align("capital of Iran", "capital of Iraq"),
            (vec!["iran".into()], vec!["iraq".into()])
        );
        assert_eq!(
            align("turn lights on", "turn lights off"),
            (vec!["on".into()], vec!["off".into()])
        );
        assert_eq!(
            align("my 5 cats", "my 6 cats"),
            (vec!["5".into()], vec!["6".into()])
        );
    }
}
