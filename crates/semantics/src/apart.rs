//! Of finds that overlap, those that come first.

use std::collections::BTreeMap;
use std::ops::Range;

/// Keeps of `found`, the best first, what overlaps nothing better, in the order of the text. `place`: where one is, in bytes.
pub(crate) fn apart<T>(found: &mut Vec<T>, place: impl Fn(&T) -> Range<usize>) {
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    found.retain(|one| {
        let Range { start, end } = place(one);
        let before = taken.range(..end).next_back();
        let is_free = before.is_none_or(|(_, end)| *end <= start);
        if is_free {
            taken.insert(start, end);
        }
        is_free
    });
    found.sort_by_key(|one| place(one).start);
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn what_overlaps_something_better_goes() {
        let mut found = vec![5..9, 0..2, 1..3, 8..12, 2..5, 9..9];
        apart(&mut found, Clone::clone);
        assert_eq!(found, [0..2, 2..5, 5..9, 9..9]);
    }
}
