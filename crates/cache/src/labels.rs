//! What an entry is known by beside its key, and how entries are picked by it.

use serde::{Deserialize, Serialize};

use crate::key::CacheKey;

/// Most tags of an entry.
const MAX_TAGS: usize = 8;
/// Most letters of a tag.
const LONGEST_TAG: usize = 64;

/// Whose an entry is, which model gave it, and what its client called it. In a [`Filter`]: what an entry must have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// Id of the key that has paid for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The user of that key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The team of that key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The organization of that key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The model by the name that was asked for, and by its provider's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The client's own tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A tag that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Too many.
    #[error("x-pointsman-cache-tags: at most {MAX_TAGS} tags")]
    Many,
    /// Letters, or none.
    #[error(
        "x-pointsman-cache-tags: {0:?} is no tag; use 1 to {LONGEST_TAG} letters, digits, and any of - _ . : /"
    )]
    Letters(String),
}

/// Reads the tags of a client from the header's values, separated by commas.
///
/// # Errors
/// When there are too many, or one is none.
pub fn tags<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<String>, TagError> {
    let mut tags = Vec::new();
    for tag in values.flat_map(|value| value.split(',')).map(str::trim) {
        if tag.is_empty() {
            continue;
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if tag.len() > LONGEST_TAG || !tag.bytes().all(is_plain) {
            return Err(TagError::Letters(tag.chars().take(LONGEST_TAG).collect()));
        }
        if tags.len() == MAX_TAGS {
            return Err(TagError::Many);
        }
        tags.push(tag.to_owned());
    }
    Ok(tags)
}

impl Labels {
    /// Whether these have all that is wanted.
    #[must_use]
    pub fn have(&self, wanted: &Self) -> bool {
        let Self {
            key,
            user,
            team,
            organization,
            models,
            tags,
        } = wanted;
        let is = |wanted: &Option<String>, own: &Option<String>| wanted.is_none() || wanted == own;
        is(key, &self.key)
            && is(user, &self.user)
            && is(team, &self.team)
            && is(organization, &self.organization)
            && models.iter().all(|model| self.models.contains(model))
            && tags.iter().all(|tag| self.tags.contains(tag))
    }

    /// About how many bytes they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let one = [&self.key, &self.user, &self.team, &self.organization];
        let one = one.into_iter().flatten();
        let all = one.chain(&self.models).chain(&self.tags);
        all.map(|text| text.len() + 24).sum()
    }
}

/// Which entries are meant: those that fit in every respect. One without any respect means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// This one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<CacheKey>,
    /// Those with these labels.
    pub labels: Labels,
}

impl Filter {
    /// All of them.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry is meant.
    #[must_use]
    pub fn means(&self, key: &CacheKey, labels: &Labels) -> bool {
        self.entry.is_none_or(|entry| entry == *key) && labels.have(&self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels {
            team: Some("red".to_owned()),
            models: vec!["fast".to_owned(), "gpt-5-mini".to_owned()],
            tags: vec!["faq".to_owned()],
            ..Labels::default()
        }
    }

    #[test]
    fn a_filter_means_what_fits_in_every_respect() {
        let key = CacheKey([1; 32]);
        let other = CacheKey([2; 32]);
        let wanted = |change: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.means(&key, &labels())
        };
        assert!(wanted(&|_| {}));
        assert!(wanted(&|filter| filter.entry = Some(key)));
        assert!(!wanted(&|filter| filter.entry = Some(other)));
        assert!(wanted(
            &|filter| filter.labels.models = vec!["gpt-5-mini".to_owned()]
        ));
        assert!(wanted(&|filter| filter.labels = labels()));
        assert!(!wanted(&|filter| filter.labels.key = Some("red".to_owned())));
        assert!(!wanted(&|filter| {
            filter.labels = labels();
            filter.labels.tags.push("other".to_owned());
        }));
        assert!(Filter::default().is_everything());
    }

    #[test]
    fn tags_are_few_and_plain() {
        let read = |text: &str| tags(std::iter::once(text));
        assert_eq!(read(" faq, a/b:c ,").unwrap(), ["faq", "a/b:c"]);
        assert_eq!(read("a b"), Err(TagError::Letters("a b".to_owned())));
        assert!(read(&"x".repeat(65)).is_err());
        assert_eq!(read("1,2,3,4,5,6,7,8,9"), Err(TagError::Many));
    }
}
