//! A page of the list, as Anthropic's and Gemini's clients ask for it. Who asks for no page gets all.

use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::format::Format;

use super::card::Card;
use crate::surface::query_value;

/// Most models of a page.
const MOST: usize = 1_000;

/// What is asked for.
pub struct Page {
    /// Behind this name.
    after: Option<String>,
    /// Before this name.
    before: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

/// A part of the list.
pub struct Part<'a> {
    /// The models.
    pub cards: &'a [Card<'a>],
    /// Whether more follow in the direction that was asked for.
    pub more: bool,
}

impl Page {
    /// Reads the query; formats without pages have one of everything.
    ///
    /// # Errors
    /// 400 for a size that is not a number from 1 to 1000.
    pub fn asked(dialect: Format, query: &str) -> Result<Self, Failure> {
        let named = |name| query_value(query, name).map(std::borrow::Cow::into_owned);
        let (size, after, before) = match dialect {
            Format::AnthropicMessages => ("limit", named("after_id"), named("before_id")),
            Format::GeminiGenerate => ("pageSize", named("pageToken"), None),
            _ => ("", None, None),
        };
        let limit = named(size).filter(|_| !size.is_empty()).map(|text| {
            text.parse()
                .ok()
                .filter(|size| (1..=MOST).contains(size))
                .ok_or_else(|| {
                    Failure::new(
                        FailureKind::InvalidRequest,
                        format!("{size} is not a number from 1 to {MOST}"),
                    )
                    .at(size)
                })
        });
        Ok(Self {
            after,
            before,
            limit: limit.transpose()?,
        })
    }

    /// The part of `cards`, which are sorted by name.
    pub fn of<'a>(&self, cards: &'a [Card<'a>]) -> Part<'a> {
        let position = |name: &str, behind: bool| {
            cards.partition_point(|card| card.id() < name || (behind && card.id() == name))
        };
        let from = self.after.as_deref().map_or(0, |name| position(name, true));
        let to = self
            .before
            .as_deref()
            .map_or(cards.len(), |name| position(name, false))
            .max(from);
        let all = &cards[from..to];
        let size = self.limit.unwrap_or(all.len()).min(all.len());
        // Before a name, the nearest ones are wanted.
        let part = if self.before.is_some() {
            &all[all.len() - size..]
        } else {
            &all[..size]
        };
        Part {
            cards: part,
            more: size < all.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str) -> (Vec<String>, bool) {
        let cards: Vec<Card<'_>> = ["a", "b", "c", "d"].map(Card::named).into();
        let page = Page::asked(Format::AnthropicMessages, query).unwrap();
        let part = page.of(&cards);
        (
            part.cards.iter().map(|card| card.id().to_owned()).collect(),
            part.more,
        )
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        for (query, expected, more) in [
            ("", "abcd", false),
            ("limit=2", "ab", true),
            ("limit=2&after_id=b", "cd", false),
            ("limit=1&before_id=c", "b", true),
            ("before_id=c", "ab", false),
            ("after_id=nowhere", "", false),
            ("after_id=bb", "cd", false),
        ] {
            assert_eq!(
                names(query),
                (expected.chars().map(String::from).collect(), more),
                "{query}"
            );
        }
    }

    #[test]
    fn a_senseless_size_is_refused() {
        for query in ["limit=0", "limit=1001", "limit=x"] {
            assert!(Page::asked(Format::AnthropicMessages, query).is_err(), "{query}");
        }
        assert!(Page::asked(Format::OpenAiChat, "limit=x").is_ok());
    }
}
