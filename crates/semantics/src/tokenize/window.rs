//! Long texts in pieces of a size that an encoder takes.

use std::ops::Range;

/// Ranges that cover `0..length`, one after the other. Made by [`windows`].
#[derive(Debug, Clone)]
pub struct Windows {
    length: usize,
    size: usize,
    count: usize,
    next: usize,
}

/// Covers `length` tokens with as few windows of at most `size` as overlap by at least `overlap`, all of the same length: a
/// text that is a little longer than one window costs a little more than one, and no window is a scrap without anything
/// around it. The last one ends with the text. An empty text has one empty window.
///
/// `size` is at least 1; `overlap` is kept below `size`.
#[must_use]
pub fn windows(length: usize, size: usize, overlap: usize) -> Windows {
    let size = size.max(1);
    let overlap = overlap.min(size - 1);
    let count = if length <= size {
        1
    } else {
        (length - overlap).div_ceil(size - overlap)
    };
    Windows {
        length,
        size: (length + (count - 1) * overlap).div_ceil(count),
        count,
        next: 0,
    }
}

impl Iterator for Windows {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.next == self.count {
            return None;
        }
        let start = self.next * (self.length - self.size) / (self.count - 1).max(1);
        self.next += 1;
        Some(start..start + self.size)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

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
                    assert!(all.iter().all(|range| range.len() == all[0].len()));
                    assert!(all[0].len() <= size);
                    // Reading costs as little as it can: a token more or less in each window is all that rounding takes.
                    let read: usize = all.iter().map(Range::len).sum();
                    let shared = (all.len() - 1) * overlap.min(size - 1);
                    assert!(read < length + shared + all.len(), "{length} {size} {overlap}");
                }
            }
        }
    }

    #[test]
    fn an_empty_text_has_one_empty_window() {
        assert_eq!(windows(0, 126, 16).collect::<Vec<_>>(), vec![0..0]);
    }

    #[test]
    fn a_text_a_little_longer_than_a_window_is_two_short_ones() {
        assert_eq!(windows(126, 126, 16).collect::<Vec<_>>(), vec![0..126]);
        assert_eq!(windows(128, 126, 16).collect::<Vec<_>>(), vec![0..72, 56..128]);
    }
}
