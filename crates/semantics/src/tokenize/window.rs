//! Long texts in pieces of a size that an encoder takes.

use std::ops::Range;

/// Ranges that cover `0..length`. Made by [`windows`].
#[derive(Debug, Clone)]
pub struct Windows {
    length: usize,
    size: usize,
    step: usize,
    next: Option<usize>,
}

/// Covers `length` tokens with windows of `size` that overlap by at least `overlap`. The last one ends at the end and is as
/// long as the others where the text is long enough, so that no window is a scrap. An empty text has one empty window.
///
/// `size` is at least 1; `overlap` is kept below `size`.
#[must_use]
pub fn windows(length: usize, size: usize, overlap: usize) -> Windows {
    let size = size.max(1);
    Windows {
        length,
        size,
        step: size - overlap.min(size - 1),
        next: Some(0),
    }
}

impl Iterator for Windows {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.next?;
        let end = start + self.size;
        if end >= self.length {
            self.next = None;
            return Some(self.length.saturating_sub(self.size)..self.length);
        }
        self.next = Some(start + self.step);
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::windows;

    #[test]
    fn windows_cover_everything_and_are_whole() {
        for length in 0..200 {
            for size in [1, 2, 7, 64] {
                for overlap in [0, 1, 3, 80] {
                    let all: Vec<_> = windows(length, size, overlap).collect();
                    assert_eq!(all[0].start, 0);
                    assert_eq!(all.last().unwrap().end, length);
                    for pair in all.windows(2) {
                        assert!(pair[1].start > pair[0].start, "{length} {size} {overlap}");
                        assert!(pair[1].start + overlap.min(size - 1) <= pair[0].end);
                    }
                    assert!(all.iter().all(|range| range.len() == size.min(length)));
                }
            }
        }
    }

    #[test]
    fn an_empty_text_has_one_empty_window() {
        assert_eq!(windows(0, 126, 16).collect::<Vec<_>>(), vec![0..0]);
    }
}
