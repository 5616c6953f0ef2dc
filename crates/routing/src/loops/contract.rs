//! What the answer of a loop must be: words for its models, and a check of what they say.

use super::Said;

/// Characters of the words, at most.
const MAX_WORDS: usize = 2_000;

/// What an answer must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    pub(super) words: Option<String>,
    pub(super) check: Option<Check>,
}

/// How it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// One of these, written as the template says.
    Choice {
        values: Vec<String>,
        template: Option<String>,
        sources: Vec<Source>,
    },
    /// The number of an earlier answer, which is given in its place.
    Reference { numbered: bool, sources: Vec<Source> },
}

/// Where it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Text,
    Reasoning,
}

impl Source {
    fn of(self, said: &Said) -> &str {
        match self {
            Self::Text => &said.text,
            Self::Reasoning => &said.reasoning,
        }
    }
}

impl Contract {
    pub(super) fn new(words: Option<&str>, check: Option<Check>) -> Self {
        let words = words.map(str::trim).filter(|words| !words.is_empty());
        Self {
            words: words.map(|words| words.chars().take(MAX_WORDS).collect()),
            check,
        }
    }

    /// Whether what is said must be seen as a whole before it is given on.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    /// The words, put behind what a model is asked.
    #[must_use]
    pub fn append(&self, mut prompt: String) -> String {
        if let Some(words) = &self.words {
            prompt.push_str("\n\nThe answer must keep to this:\n");
            prompt.push_str(words);
        }
        prompt
    }

    /// Makes the last answer what it must be, as far as it can be: a choice is written as it shall be, an earlier answer
    /// is put in the place of its number. Where `vote` is set and the answer is no choice, what most of the earlier chose
    /// stands in its place.
    pub fn apply(&self, last: &mut Said, earlier: &[Said], vote: bool) {
        match &self.check {
            None => {}
            Some(Check::Choice {
                values,
                template,
                sources,
            }) => {
                let chosen = sources.iter().find_map(|source| choice(source.of(last), values));
                let voted = || vote.then(|| most_chosen(earlier, values)).flatten();
                if let Some(chosen) = chosen.or_else(voted) {
                    last.text = written(chosen, template.as_deref());
                }
            }
            Some(Check::Reference { numbered, sources }) => {
                let number = sources
                    .iter()
                    .find_map(|source| number(source.of(last), *numbered));
                let meant = number
                    .and_then(|number| number.checked_sub(1))
                    .and_then(|at| earlier.get(at))
                    .map(|said| said.material().trim())
                    .filter(|text| !text.is_empty());
                if let Some(text) = meant {
                    text.clone_into(&mut last.text);
                }
            }
        }
    }
}

/// The choice that a text is.
fn choice<'v>(text: &str, values: &'v [String]) -> Option<&'v str> {
    let text = text.trim();
    values.iter().map(String::as_str).find(|value| *value == text)
}

/// What most chose; of equals, what was chosen first.
fn most_chosen<'v>(earlier: &[Said], values: &'v [String]) -> Option<&'v str> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for chosen in earlier.iter().filter_map(|said| choice(said.material(), values)) {
        match counts.iter_mut().find(|(known, _)| *known == chosen) {
            Some((_, count)) => *count += 1,
            None => counts.push((chosen, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(chosen, _)| chosen)
}

fn written(chosen: &str, template: Option<&str>) -> String {
    template.map_or_else(
        || chosen.to_owned(),
        |template| {
            let filled = template.replace("{{choice}}", chosen).replace("{choice}", chosen);
            filled.trim().to_owned()
        },
    )
}

/// The number that a text is: `2`, or `Reference 2`.
fn number(text: &str, numbered: bool) -> Option<usize> {
    let text = text.trim();
    if !numbered {
        return text.parse().ok();
    }
    let (word, number) = text.split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case("reference")
        .then(|| number.trim().parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, reasoning: &str) -> Said {
        Said {
            model: "m".to_owned(),
            text: text.to_owned(),
            reasoning: reasoning.to_owned(),
        }
    }

    #[test]
    fn choices_are_written_as_they_shall_be() {
        let contract = Contract::new(
            Some(" One letter. "),
            Some(Check::Choice {
                values: ["A", "B"].map(str::to_owned).to_vec(),
                template: Some("ANSWER: {{choice}}".to_owned()),
                sources: vec![Source::Text, Source::Reasoning],
            }),
        );
        assert_eq!(
            contract.append("Q".to_owned()),
            "Q\n\nThe answer must keep to this:\nOne letter."
        );
        let apply = |mut last: Said, vote| {
            contract.apply(&mut last, &[said("A", ""), said("B", ""), said("", "B")], vote);
            last.text
        };
        assert_eq!(apply(said(" A\n", ""), false), "ANSWER: A");
        assert_eq!(apply(said("hm", "B"), false), "ANSWER: B");
        assert_eq!(apply(said("I think A", ""), false), "I think A", "no guesses");
        assert_eq!(apply(said("I think A", ""), true), "ANSWER: B", "two of three");
    }

    #[test]
    fn a_number_stands_for_an_earlier_answer() {
        for (numbered, text) in [(false, " 2 "), (true, "Reference 2")] {
            let contract = Contract::new(
                None,
                Some(Check::Reference {
                    numbered,
                    sources: vec![Source::Text],
                }),
            );
            let earlier = [said("first", ""), said(" second ", "")];
            let mut last = said(text, "");
            contract.apply(&mut last, &earlier, false);
            assert_eq!(last.text, "second");
            for stays in ["3", "0", "two", "reference"] {
                let mut last = said(stays, "");
                contract.apply(&mut last, &earlier, false);
                assert_eq!(last.text, stays);
            }
        }
    }
}
