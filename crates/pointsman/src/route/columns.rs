//! Lines for a terminal: columns that stand under each other, and nothing wider than a hundred letters.

/// The widest line.
pub(super) const WIDE: usize = 100;

/// A text cut to a width, with a mark where something is left out.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A text filled up to a width, or cut to it.
pub(super) fn left(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let missing = width - text.chars().count();
    text + &" ".repeat(missing)
}

/// The same, at the right edge.
pub(super) fn right(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let missing = width - text.chars().count();
    " ".repeat(missing) + &text
}

/// A text in several lines, each behind an indent, broken where words end.
pub(super) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let room = WIDE - indent;
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let gap = usize::from(!line.is_empty());
        if !line.is_empty() && line.chars().count() + gap + word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&fit(word, room));
    }
    lines.push(line);
    let indent = " ".repeat(indent);
    lines.into_iter().map(|line| format!("{indent}{line}")).collect()
}

/// Things side by side behind an indent, as many in a line as it has room for, none broken.
pub(super) fn listed(things: impl IntoIterator<Item = String>, indent: usize) -> Vec<String> {
    const GAP: &str = "  ";
    let room = WIDE - indent;
    let mut lines: Vec<String> = Vec::new();
    for thing in things {
        let thing = fit(&thing, room);
        match lines.last_mut() {
            Some(line) if line.chars().count() + GAP.len() + thing.chars().count() <= WIDE => {
                line.push_str(GAP);
                line.push_str(&thing);
            }
            _ => lines.push(" ".repeat(indent) + &thing),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_their_width_whatever_stands_in_them() {
        for text in ["", "short", "läng… ünd läng", &"x".repeat(200)] {
            for width in [1, 7, 40] {
                assert_eq!(left(text, width).chars().count(), width);
                assert_eq!(right(text, width).chars().count(), width);
            }
        }
        assert_eq!(
            (left("ab", 4), right("ab", 4)),
            ("ab  ".to_owned(), "  ab".to_owned())
        );
        assert_eq!(fit("abcdef", 4), "abc…");
    }

    #[test]
    fn things_in_a_list_stay_whole() {
        let things = (0..9).map(|number| format!("point_{number} yes (attack ≥ 0.500)"));
        let lines = listed(things, 15);
        assert_eq!(lines.len(), 5);
        for line in &lines {
            assert!(line.starts_with(&" ".repeat(15)) && line.ends_with(')'), "{line}");
            assert!(line.chars().count() <= WIDE, "{line}");
        }
        assert!(listed([], 15).is_empty());
    }

    #[test]
    fn long_rules_break_between_words() {
        let lines = wrapped(&"✓ keyword:some_name, ".repeat(20), 6);
        assert!(lines.len() > 3);
        for line in &lines {
            assert!(
                line.starts_with("      ") && line.chars().count() <= WIDE,
                "{line}"
            );
        }
    }
}
