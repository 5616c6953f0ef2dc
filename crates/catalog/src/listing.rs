//! The models of one provider, by name.

use std::cmp::Ordering;

use crate::model::Model;

/// Models, and an index of their ids and aliases.
#[derive(Debug, Default)]
pub struct Listing {
    models: Box<[Model]>,
    /// Sorted by name. An id wins over an alias.
    names: Box<[(Box<str>, u32)]>,
}

impl Listing {
    /// A listing of models, each with its aliases.
    pub fn new(all: impl IntoIterator<Item = (Model, Vec<String>)>) -> Self {
        let mut models = Vec::new();
        let mut names: Vec<(Box<str>, u32)> = Vec::new();
        let mut aliases: Vec<(Box<str>, u32)> = Vec::new();
        for (at, (model, others)) in (0..).zip(all) {
            names.push((model.id.clone(), at));
            aliases.extend(others.into_iter().map(|alias| (alias.into(), at)));
            models.push(model);
        }
        names.extend(aliases);
        // Stable: of equal names the first, and ids stand before aliases.
        names.sort_by(|left, right| left.0.cmp(&right.0));
        names.dedup_by(|later, earlier| later.0 == earlier.0);
        Self {
            models: models.into(),
            names: names.into(),
        }
    }

    /// All models.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model whose id or alias is `parts` with slashes between them.
    pub fn find(&self, parts: &[&str]) -> Option<&Model> {
        let at = self
            .names
            .binary_search_by(|(name, _)| compare(name, parts))
            .ok()?;
        self.models.get(self.names.get(at)?.1 as usize)
    }
}

/// How `name` compares with `parts`, joined by slashes, without joining them.
fn compare(name: &str, parts: &[&str]) -> Ordering {
    let mut rest = name.as_bytes();
    for (index, part) in parts.iter().enumerate() {
        let pieces: [&[u8]; 2] = if index == 0 {
            [b"", part.as_bytes()]
        } else {
            [b"/", part.as_bytes()]
        };
        for piece in pieces {
            let (head, tail) = rest.split_at(piece.len().min(rest.len()));
            match head.cmp(piece) {
                Ordering::Equal => rest = tail,
                other => return other,
            }
        }
    }
    if rest.is_empty() {
        Ordering::Equal
    } else {
        Ordering::Greater
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelFacts;

    #[test]
    fn names_in_parts_are_found_like_whole_names() {
        let names = ["a", "a/b", "a/b/c", "ab", "a-b", "b", "a/bc"];
        let listing = Listing::new(names.map(|name| {
            (
                ModelFacts::default().over(name, None),
                vec![format!("alias-{name}"), "a".to_owned()],
            )
        }));
        for name in names {
            let parts: Vec<&str> = name.split('/').collect();
            assert_eq!(listing.find(&parts).map(|model| &*model.id), Some(name));
            assert_eq!(listing.find(&[name]).map(|model| &*model.id), Some(name));
            let alias = format!("alias-{name}");
            assert_eq!(listing.find(&[&alias]).map(|model| &*model.id), Some(name));
        }
        for name in ["", "/", "a/", "a/b/", "a/b/c/d", "c", "alias-"] {
            assert!(listing.find(&[name]).is_none(), "{name}");
        }
        assert!(Listing::default().find(&["a"]).is_none());
    }
}
